// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/vm.c - a VM on this node: its life, its end, and who is in it.
 * How it comes to be is origin.c's (the VMM's node) and slice.c's (the others).
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include "internal.h"

/* All VMs of this node by id, without references. */
static DEFINE_XARRAY(vms);
static atomic_t nr_vms = ATOMIC_INIT(0);
static struct workqueue_struct *vm_wq;

static u64 nodes_of_places(const struct vm_config *config)
{
	u64 nodes = BIT_ULL(config->origin);
	u32 i;

	for (i = 0; i < config->nr_places; i++)
		nodes |= BIT_ULL(config->places[i].node_id);
	return nodes;
}

static int check_places(const struct vm_config *config, u8 *node_of)
{
	u32 i;

	memset(node_of, DVMM_NO_NODE, DVMM_MAX_VCPUS);
	for (i = 0; i < config->nr_places; i++) {
		const struct dvmm_vcpu_place *place = &config->places[i];

		if (place->node_id >= DVMM_MAX_NODES)
			return -EINVAL;
		if (place->vcpu_id == DVMM_NO_VCPU)
			continue;
		if (place->vcpu_id >= DVMM_MAX_VCPUS ||
		    node_of[place->vcpu_id] != DVMM_NO_NODE)
			return -EINVAL;
		node_of[place->vcpu_id] = place->node_id;
	}
	for (i = 0; i < DVMM_MAX_VCPUS; i++)
		if (node_of[i] == DVMM_NO_NODE)
			node_of[i] = config->origin;
	return 0;
}

/* At the origin all placed vCPUs are known, on a slice its own. */
static int add_vcpus(struct vm *vm)
{
	struct vcpu *vcpu;
	u32 i;

	for (i = 0; i < vm->nr_places; i++) {
		const struct dvmm_vcpu_place *place = &vm->places[i];

		if (place->vcpu_id == DVMM_NO_VCPU ||
		    (!vm_is_origin(vm) && place->node_id != dvmm_node_self()))
			continue;
		vcpu = vcpu_add(vm, place->vcpu_id, place->node_id);
		if (IS_ERR(vcpu))
			return PTR_ERR(vcpu);
	}
	return 0;
}

/* -ESTALE: this node is out, the VM perhaps is not. */
static void memory_failed(void *priv, int error, const char *reason)
{
	vm_end(priv, error, reason, error != -ESTALE);
}

static bool all_halted(struct vm *vm, struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (!READ_ONCE(vcpu->stat.generic.blocking) &&
		    vm_node_of(vm, vcpu->vcpu_id) == dvmm_node_self())
			return false;
	return true;
}

/* Only tries the lock: dsm asks under its own, and a guess will do. */
static bool memory_is_idle(void *priv)
{
	struct vm *vm = priv;
	bool idle = false;

	if (!mutex_trylock(&vm->lock))
		return false;
	if (vm->kvm_file)
		idle = all_halted(vm, vm->kvm);
	mutex_unlock(&vm->lock);
	return idle;
}

static bool memory_needs_node(void *priv, u8 node)
{
	return vm_vcpu_nodes(priv) & BIT_ULL(node);
}

/* Both before its slice would be missed: nothing is sent to it from now on. */
static void memory_lost_node(void *priv, u8 node)
{
	struct vm *vm = priv;

	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->lost_nodes, vm->lost_nodes | BIT_ULL(node));
	WRITE_ONCE(vm->nodes, vm->nodes & ~BIT_ULL(node));
	mutex_unlock(&vm->lock);
}

void vm_expect_node(struct vm *vm, u8 node)
{
	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->expected_nodes, vm->expected_nodes | BIT_ULL(node));
	mutex_unlock(&vm->lock);
}

/* The memory last: once dsm has it, it may also be lost. */
int vm_add_node(struct vm *vm, u8 node)
{
	u64 was_lost = READ_ONCE(vm->lost_nodes) & BIT_ULL(node);
	int err;

	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->lost_nodes, vm->lost_nodes & ~BIT_ULL(node));
	WRITE_ONCE(vm->nodes, vm->nodes | BIT_ULL(node));
	mutex_unlock(&vm->lock);
	err = dsm_vm_add_node(vm->dsm, node);
	if (!err)
		return 0;
	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->nodes, vm->nodes & ~BIT_ULL(node));
	WRITE_ONCE(vm->lost_nodes, vm->lost_nodes | was_lost);
	mutex_unlock(&vm->lock);
	return err;
}

static void memory_describe(void *priv, u32 mem, u64 offset, char *out_text, size_t room)
{
	u64 gpa;

	if (memslot_find(priv, mem, offset, &gpa))
		snprintf(out_text, room, ", guest address %#llx", gpa);
}

static const struct dsm_vm_ops memory_ops = {
	.is_idle = memory_is_idle,
	.failed = memory_failed,
	.needs_node = memory_needs_node,
	.node_lost = memory_lost_node,
	.describe = memory_describe,
};

static int make_parts(struct vm *vm, const struct vm_config *config)
{
	int err;

	vm->stats = dvmm_stats_alloc(DVMM_STAT_VM, vm->id);
	if (!vm->stats)
		return -ENOMEM;
	vm->dsm = dsm_vm_create(vm->id, vm->nodes, vm->origin, vm->stats,
				&memory_ops, vm);
	if (IS_ERR(vm->dsm)) {
		err = PTR_ERR(vm->dsm);
		vm->dsm = NULL;
		goto free_stats;
	}
	if (config->past.founders)
		dsm_vm_comes_late(vm->dsm, &config->past);
	err = dsm_vm_set_budget(vm->dsm, config->budget);
	if (!err)
		err = add_vcpus(vm);
	if (err)
		goto free_memory;
	return 0;

free_memory:
	vcpu_free_all(vm);
	dsm_vm_destroy(vm->dsm);
free_stats:
	dvmm_stats_free(vm->stats);
	return err;
}

static void init_fields(struct vm *vm, const struct vm_config *config)
{
	kref_init(&vm->ref);
	vm->id = config->id;
	vm->origin = config->origin;
	vm->nodes = nodes_of_places(config);
	vm->is_spanning = config->grows || hweight64(vm->nodes) > 1;
	memcpy(vm->uuid, config->uuid, sizeof(vm->uuid));
	strscpy(vm->name, config->name, sizeof(vm->name));
	vm->homes = config->homes;
	vm->nr_places = config->nr_places;
	vm->places = config->places;
	mutex_init(&vm->slots_lock);
	mutex_init(&vm->drain_lock);
	mutex_init(&vm->ioeventfds_lock);
	INIT_LIST_HEAD(&vm->ioeventfds);
	INIT_LIST_HEAD(&vm->setups);
	mutex_init(&vm->lock);
	xa_init(&vm->slots);
	xa_init(&vm->vcpus);
}

struct vm *vm_new(const struct vm_config *config)
{
	struct vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	int err = -ENOMEM;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->node_of = kmalloc(DVMM_MAX_VCPUS, GFP_KERNEL);
	if (!vm->node_of)
		goto free_vm;
	err = check_places(config, vm->node_of);
	if (!err && !homes_are_of(&config->homes, nodes_of_places(config)))
		err = -EINVAL;
	if (err)
		goto free_node_of;
	init_fields(vm, config);
	err = make_parts(vm, config);
	if (err)
		goto free_node_of;
	atomic_inc(&nr_vms);
	return vm;

free_node_of:
	kfree(vm->node_of);
free_vm:
	kfree(vm);
	return ERR_PTR(err);
}

static void free_slots(struct vm *vm)
{
	struct slot *slot;
	unsigned long id;

	xa_for_each(&vm->slots, id, slot)
		kfree(slot);
	xa_destroy(&vm->slots);
	kvfree(vm->routes);
}

static void vm_destroy(struct vm *vm)
{
	xa_cmpxchg(&vms, vm->id, vm, NULL, GFP_KERNEL);
	vm_release_kvm(vm);
	slice_free(vm);
	vcpu_free_all(vm);
	free_slots(vm);
	ioeventfd_free_all(vm);
	setup_free_vm(vm);
	dsm_vm_destroy(vm->dsm);
	dvmm_stats_free(vm->stats);
	kfree(vm->msrs);
	kfree(vm->node_of);
	kvfree(vm->places);
	homes_free(&vm->homes);
	kfree(vm);
	atomic_dec(&nr_vms);
}

static void vm_free(struct kref *ref)
{
	vm_destroy(container_of(ref, struct vm, ref));
}

static void free_work(struct work_struct *work)
{
	vm_destroy(container_of(work, struct vm, free_work));
}

static void vm_free_later(struct kref *ref)
{
	struct vm *vm = container_of(ref, struct vm, ref);

	INIT_WORK(&vm->free_work, free_work);
	queue_work(vm_wq, &vm->free_work);
}

u32 vm_count(void)
{
	return atomic_read(&nr_vms);
}

int vm_publish(struct vm *vm)
{
	int err = xa_insert(&vms, vm->id, vm, GFP_KERNEL);

	return err == -EBUSY ? -EEXIST : err;
}

struct vm *vm_get(struct vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

void vm_put(struct vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

void vm_put_later(struct vm *vm)
{
	kref_put(&vm->ref, vm_free_later);
}

void vm_queue_work(struct work_struct *work)
{
	queue_work(vm_wq, work);
}

bool vm_is_known(u32 id)
{
	return xa_load(&vms, id);
}

/* vm_destroy() takes it out under the same lock before it goes. */
struct vm *vm_find(u32 id)
{
	struct vm *vm;

	xa_lock(&vms);
	vm = xa_load(&vms, id);
	if (vm && !kref_get_unless_zero(&vm->ref))
		vm = NULL;
	xa_unlock(&vms);
	return vm;
}

struct vm *vm_find_from(u32 id)
{
	unsigned long at = id;
	struct vm *vm;

	xa_lock(&vms);
	xa_for_each_start(&vms, at, vm, id)
		if (kref_get_unless_zero(&vm->ref))
			break;
	xa_unlock(&vms);
	return vm;
}

int vm_next_node(const struct vm *vm, int after)
{
	int node;

	for (node = after + 1; node < DVMM_MAX_NODES; node++)
		if (node != dvmm_node_self() && (vm->nodes & BIT_ULL(node)))
			break;
	return node;
}

u64 vm_vcpu_nodes(const struct vm *vm)
{
	u64 nodes = BIT_ULL(vm->origin);
	u32 i;

	for (i = 0; i < DVMM_MAX_VCPUS; i++)
		nodes |= BIT_ULL(READ_ONCE(vm->node_of[i]));
	return nodes;
}

u8 vm_node_of(const struct vm *vm, u32 vcpu_id)
{
	return vcpu_id < DVMM_MAX_VCPUS ? READ_ONCE(vm->node_of[vcpu_id]) : vm->origin;
}

int vm_set_state(struct vm *vm, u32 from, u32 to)
{
	int err = 0;

	mutex_lock(&vm->lock);
	if (vm_is_dead(vm))
		err = -EIO;
	else if (vm->state != from)
		err = -EBUSY;
	else
		vm->state = to;
	mutex_unlock(&vm->lock);
	return err;
}

bool vm_has_state(struct vm *vm, u32 state)
{
	return READ_ONCE(vm->state) == state;
}

int vm_set_kvm(struct vm *vm, struct file *kvm_file)
{
	int err = 0;

	mutex_lock(&vm->lock);
	if (vm_is_dead(vm)) {
		err = -EIO;
	} else if (vm->kvm_file) {
		err = -EBUSY;
	} else {
		vm->kvm_file = kvm_file;
		vm->kvm = kvm_file->private_data;
		vm->mm = current->mm;
	}
	mutex_unlock(&vm->lock);
	if (err) {
		fput(kvm_file);
		return err;
	}
	return 0;
}

struct file *vm_get_kvm(struct vm *vm)
{
	struct file *file;

	mutex_lock(&vm->lock);
	file = vm->kvm_file;
	if (file)
		get_file(file);
	mutex_unlock(&vm->lock);
	return file;
}

static struct file *steal_kvm(struct vm *vm)
{
	struct file *file;

	mutex_lock(&vm->lock);
	file = vm->kvm_file;
	vm->kvm_file = NULL;
	mutex_unlock(&vm->lock);
	return file;
}

static void put_real(struct vcpu *vcpu)
{
	struct file *file;

	mutex_lock(&vcpu->vm->lock);
	file = vcpu->real_file;
	vcpu->real_file = NULL;
	mutex_unlock(&vcpu->vm->lock);
	if (file)
		fput(file);
}

/* Interrupts first: they use the real VM without a reference. */
void vm_release_kvm(struct vm *vm)
{
	struct file *kvm_file = steal_kvm(vm);
	struct vcpu *vcpu;
	unsigned long id;

	if (!kvm_file)
		return;
	irq_vm_stop(vm);
	xa_for_each(&vm->vcpus, id, vcpu)
		put_real(vcpu);
	fput(kvm_file);
}

void vm_stop_at(struct vm *vm, u8 node, int error, const char *reason)
{
	struct dvmm_msg_vm_stop stop = { .error = cpu_to_le32(-error) };
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VM_STOP,
		.vm = vm->id,
		.payload = &stop,
		.len = sizeof(stop),
	};

	strscpy((char *)stop.reason, reason, sizeof(stop.reason));
	dvmm_link_send(node, &msg);
}

/* A slice tells the origin, which decides whether the VM can do without. */
static void tell_others(struct vm *vm, int error, const char *reason)
{
	int node;

	for (node = vm_next_node(vm, -1); node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node))
		if (vm_is_origin(vm) || node == vm->origin)
			vm_stop_at(vm, node, error, reason);
}

/* Returns false when it is dead already; the first reason stays. */
static bool make_dead(struct vm *vm, u32 state, const char *reason,
		      struct file **out_kvm_file)
{
	bool first;

	mutex_lock(&vm->lock);
	first = !vm_is_dead(vm);
	if (first) {
		strscpy(vm->reason, reason, sizeof(vm->reason));
		WRITE_ONCE(vm->state, state);
		*out_kvm_file = vm->kvm_file;
		if (vm->kvm_file)
			get_file(vm->kvm_file);
	}
	mutex_unlock(&vm->lock);
	return first;
}

void vm_end(struct vm *vm, int error, const char *reason, bool tell)
{
	struct file *kvm_file = NULL;

	if (!make_dead(vm, error ? DVMM_VM_DEAD : DVMM_VM_STOPPED, reason, &kvm_file))
		return;
	dvmm_event(error ? DVMM_EVENT_VM_DEAD : DVMM_EVENT_VM_STOPPED,
		   dvmm_node_self(), vm->id, "%s: %s", vm->name, reason);
	if (tell)
		tell_others(vm, error, reason);
	/* The real VM first: what it runs must not meet memory that is gone. */
	if (kvm_file) {
		real_kill(kvm_file->private_data);
		fput(kvm_file);
	}
	dsm_vm_kill(vm->dsm);
	vcpu_wake_all(vm);
	slice_ended(vm, error);
}

void vm_die(struct vm *vm, int error, const char *reason)
{
	vm_end(vm, error, reason, true);
}

void vm_stop(struct vm *vm, const char *reason)
{
	vm_end(vm, 0, reason, true);
}

long vm_say_why(char reason[DVMM_REASON_SIZE], long err, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	vsnprintf(reason, DVMM_REASON_SIZE, fmt, list);
	va_end(list);
	return err;
}

/* A node that lent memory only is dsm's to deal with: memory_lost_node(). Without
 * the origin this node is out; whether the VM is, the others know.
 */
void vm_lost_node(u8 node)
{
	char reason[48];
	struct vm *vm;
	u32 id = 0;

	snprintf(reason, sizeof(reason), "node %u is lost", node);
	for (; (vm = vm_find_from(id)); vm_put_later(vm)) {
		id = vm->id + 1;
		if (vm_vcpu_nodes(vm) & BIT_ULL(node))
			vm_end(vm, -ENOTCONN, reason, node != vm->origin);
	}
}

void vm_unsupported(struct vm *vm, const char *fmt, ...)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 20);
	char text[DVMM_REASON_SIZE];
	va_list args;

	if (!__ratelimit(&limit))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pr_notice("dvmm: vm %s: %s\n", vm->name, text);
	dvmm_event(DVMM_EVENT_VM_UNSUPPORTED, dvmm_node_self(), vm->id, "%s: %s",
		   vm->name, text);
}

int vm_init(void)
{
	vm_wq = alloc_workqueue("dvmm_vm", WQ_UNBOUND, 0);
	return vm_wq ? 0 : -ENOMEM;
}

void vm_exit(void)
{
	destroy_workqueue(vm_wq);
}
