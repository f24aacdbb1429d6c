// SPDX-License-Identifier: GPL-2.0-only
/* dsm/join.c - a node gets a part in the memory of a VM that has run without it. It holds
 * nothing and is home of nothing at first, so no page moves: only who takes part, and where
 * homes are, has to be the same for all. The layer above leads; see vcpu-remote/join.c.
 */
#include "internal.h"

int dsm_vm_expect_node(struct dsm_vm *vm, u8 node)
{
	int err = post_open(vm, node);

	if (err)
		return err;
	spin_lock(&vm->loss.lock);
	WRITE_ONCE(vm->known_nodes, vm->known_nodes | BIT_ULL(node));
	spin_unlock(&vm->loss.lock);
	return 0;
}
EXPORT_SYMBOL_GPL(dsm_vm_expect_node);

void dsm_vm_comes_late(struct dsm_vm *vm, const struct dsm_past *past)
{
	vm_set_founders(vm, past->founders);
	vm->gone_founders = past->gone_founders;
	vm->lost_nodes = past->gone_founders;
	vm->epoch = past->epoch;
}
EXPORT_SYMBOL_GPL(dsm_vm_comes_late);

void dsm_vm_get_past(const struct dsm_vm *vm, struct dsm_past *out_past)
{
	u64 founders = 0, gone = READ_ONCE(vm->gone_founders);
	u8 i, founder;

	for (i = 0; i < vm->nr_founders; i++) {
		founder = vm->founder[i];
		founders |= BIT_ULL(founder);
		if (READ_ONCE(vm->heir[founder]) != founder)
			gone |= BIT_ULL(founder);
	}
	*out_past = (struct dsm_past){
		.founders = founders,
		.gone_founders = gone & founders,
		.epoch = READ_ONCE(vm->epoch),
	};
}
EXPORT_SYMBOL_GPL(dsm_vm_get_past);

static bool nobody_is_lost(struct dsm_vm *vm, u32 epoch)
{
	return READ_ONCE(vm->epoch) == epoch && !loss_is_near(vm);
}

int dsm_vm_keep_homes(struct dsm_vm *vm)
{
	return mutex_lock_killable(&vm->rehome_lock) ? -EINTR : 0;
}
EXPORT_SYMBOL_GPL(dsm_vm_keep_homes);

void dsm_vm_let_homes_go(struct dsm_vm *vm)
{
	WRITE_ONCE(vm->nodes_differ, false);
	mutex_unlock(&vm->rehome_lock);
}
EXPORT_SYMBOL_GPL(dsm_vm_let_homes_go);

int dsm_vm_settle_nodes(struct dsm_vm *vm, u32 epoch)
{
	WRITE_ONCE(vm->nodes_differ, true);
	return nobody_is_lost(vm, epoch) ? 0 : -EAGAIN;
}
EXPORT_SYMBOL_GPL(dsm_vm_settle_nodes);

/* Here a loss may still be dealt with that is over for the origin: who takes part then must
 * not change. That takes as long as a link may be silent, so who asked asks again: the worker
 * that does this has requests of other VMs to do.
 */
static int may_add(struct dsm_vm *vm)
{
	if (vm_is_dead(vm))
		return -EIO;
	return loss_is_near(vm) ? -EAGAIN : 0;
}

/* What it counts begins anew. */
int dsm_vm_add_node(struct dsm_vm *vm, u8 node)
{
	int err = may_add(vm) ?: home_return_node(vm, node);

	if (err)
		return err;
	spin_lock(&vm->loss.lock);
	atomic_set(&vm->loss.sent_pages[node], 0);
	atomic_set(&vm->loss.came_pages[node], 0);
	WRITE_ONCE(vm->nodes, vm->nodes | BIT_ULL(node));
	spin_unlock(&vm->loss.lock);
	return 0;
}
EXPORT_SYMBOL_GPL(dsm_vm_add_node);

void dsm_vm_miss_node(struct dsm_vm *vm, u8 node)
{
	loss_seen(vm, node);
}
EXPORT_SYMBOL_GPL(dsm_vm_miss_node);

/* ---- what it has to know ---- */

/* Of a table with too many runs for one message. */
static int teach_extents(struct dsm_mem *mem, u8 node)
{
	u64 nr = home_nr_extents(mem->nr_pages << PAGE_SHIFT), i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		if (!home_is_by_policy(mem, i))
			err = rehome_tell(mem, i, node);
	return err;
}

static int teach(struct dsm_mem *mem, u8 node)
{
	int err = serve_announce_to(mem, node);

	if (err != -E2BIG)
		return err;
	err = serve_announce_bare(mem, node);
	return err ?: teach_extents(mem, node);
}

int dsm_vm_teach_node(struct dsm_vm *vm, u8 node)
{
	struct dsm_mem *mem;
	int err = 0;
	u32 id = 0;

	turn_decide(vm, BIT_ULL(node));
	for (; !err && (mem = mem_next(vm, &id)); mem_put(mem))
		err = teach(mem, node);
	return err;
}
EXPORT_SYMBOL_GPL(dsm_vm_teach_node);
