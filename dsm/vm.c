// SPDX-License-Identifier: GPL-2.0-only
/* dsm/vm.c - the memory of one VM on this node: its life, and how it fails.
 * Objects are mem.c's.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "internal.h"

static DEFINE_XARRAY(vms); /* id -> struct dsm_vm */

static void vm_zap_all(struct dsm_vm *vm)
{
	struct dsm_mem *mem;
	unsigned long id;

	xa_for_each(&vm->mems, id, mem)
		mem_zap_all(mem);
}

static void vm_make_dead(struct dsm_vm *vm)
{
	WRITE_ONCE(vm->dead, true);
	page_wake_all();
	wake_up_all(&vm->home_quiet);
	loss_wake(vm);
}

static void fail_work(struct work_struct *work)
{
	struct dsm_vm *vm = container_of(work, struct dsm_vm, fail_work);

	vm_zap_all(vm);
	loss_describe(vm);
	if (vm->ops && vm->ops->failed)
		vm->ops->failed(vm->priv, vm->fail_error, vm->fail_reason);
}

/* The caller is in the vm, so that the work is queued before destroy looks. */
void vm_fail(struct dsm_vm *vm, int error, const char *fmt, ...)
{
	va_list args;

	if (vm_is_dead(vm) || atomic_xchg(&vm->failed, 1))
		return;
	vm->fail_error = error;
	va_start(args, fmt);
	vsnprintf(vm->fail_reason, sizeof(vm->fail_reason), fmt, args);
	va_end(args);
	vm_make_dead(vm);
	queue_work(system_unbound_wq, &vm->fail_work);
}

void vm_each(void (*act)(struct dsm_vm *vm, void *arg), void *arg)
{
	struct dsm_vm *vm;
	unsigned long id;

	rcu_read_lock();
	xa_for_each(&vms, id, vm) {
		if (!vm_enter(vm))
			continue;
		act(vm, arg);
		vm_leave(vm);
	}
	rcu_read_unlock();
}

bool vm_enter(struct dsm_vm *vm)
{
	if (!refcount_inc_not_zero(&vm->users))
		return false;
	if (!vm_is_dead(vm))
		return true;
	vm_leave(vm);
	return false;
}

void vm_leave(struct dsm_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		complete(&vm->idle);
}

struct dsm_vm *vm_find(u32 id)
{
	struct dsm_vm *vm;

	rcu_read_lock();
	vm = xa_load(&vms, id);
	if (vm && !vm_enter(vm))
		vm = NULL;
	rcu_read_unlock();
	return vm;
}

static void vm_free(struct kref *ref)
{
	struct dsm_vm *vm = container_of(ref, struct dsm_vm, ref);

	post_free_vm(vm);
	xa_destroy(&vm->mems);
	heat_free_vm(vm);
	mutex_destroy(&vm->lock);
	mutex_destroy(&vm->rehome_lock);
	kfree_rcu(vm, rcu);
}

void vm_get(struct dsm_vm *vm)
{
	kref_get(&vm->ref);
}

void vm_put(struct dsm_vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

void vm_set_founders(struct dsm_vm *vm, u64 nodes)
{
	vm->nr_founders = 0;
	for (; nodes; nodes &= nodes - 1)
		vm->founder[vm->nr_founders++] = __ffs64(nodes);
}

static void vm_set_nodes(struct dsm_vm *vm, u64 nodes)
{
	u8 node;

	vm->nodes = nodes;
	vm->known_nodes = nodes;
	vm_set_founders(vm, nodes);
	for (node = 0; node < DVMM_MAX_NODES; node++)
		vm->heir[node] = node;
}

struct dsm_vm *dsm_vm_create(u32 vm_id, u64 nodes, u8 origin,
			     struct dvmm_stats *stats,
			     const struct dsm_vm_ops *ops, void *priv)
{
	struct dsm_vm *vm;
	int err;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->id = vm_id;
	vm->self = dvmm_node_self();
	vm->origin = origin;
	vm->stats = stats;
	vm->ops = ops;
	vm->priv = priv;
	kref_init(&vm->ref);
	refcount_set(&vm->users, 1);
	init_completion(&vm->idle);
	INIT_WORK(&vm->fail_work, fail_work);
	mutex_init(&vm->lock);
	mutex_init(&vm->rehome_lock);
	init_waitqueue_head(&vm->home_quiet);
	xa_init(&vm->mems);
	regain_init(&vm->regain);
	prefetch_init(&vm->prefetch);
	evict_init_vm(vm);
	block_init_vm(vm);
	loss_init_vm(vm);
	vm_set_nodes(vm, nodes);

	err = heat_init_vm(vm);
	if (err)
		goto free_vm;
	err = -EINVAL;
	if (!vm_has_node(vm, vm->self) || !vm_has_node(vm, origin))
		goto free_vm;
	err = post_init_vm(vm);
	if (err)
		goto free_vm;
	err = xa_insert(&vms, vm_id, vm, GFP_KERNEL);
	if (err == -EBUSY)
		err = -EEXIST;
	if (err)
		goto free_vm;
	return vm;

free_vm:
	vm_put(vm);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(dsm_vm_create);

void dsm_vm_kill(struct dsm_vm *vm)
{
	vm_make_dead(vm);
	vm_zap_all(vm);
}
EXPORT_SYMBOL_GPL(dsm_vm_kill);

/* The files go here unless mappings hold them; the frames go with the files. */
static void vm_drop_mems(struct dsm_vm *vm)
{
	struct dsm_mem *mem;
	unsigned long id;

	xa_for_each(&vm->mems, id, mem) {
		xa_erase(&vm->mems, id);
		fput(mem->file);
		mem_put(mem);
	}
}

void dsm_vm_destroy(struct dsm_vm *vm)
{
	dsm_vm_kill(vm);
	xa_erase(&vms, vm->id);
	vm_leave(vm);
	wait_for_completion(&vm->idle);
	post_end_vm(vm);
	flush_work(&vm->fail_work);
	evict_end_vm(vm);
	block_end_vm(vm);
	loss_end_vm(vm);
	fetch_end_all(vm);
	WRITE_ONCE(vm->stats, NULL);
	vm_drop_mems(vm);
	vm_put(vm);
}
EXPORT_SYMBOL_GPL(dsm_vm_destroy);
