// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/drain.c - a node shall hold no memory of a VM any more: DVMM_MEM_EMPTY. Its
 * vCPUs have moved before (move.c), and the homes of memory (dsm): what is left are pages.
 */
#include "internal.h"

#define EMPTY_TIMEOUT_MS 2000
#define EMPTY_TIMEOUT_MAX_MS 20000

/* ---- the node ---- */

int drain_here(struct vm *vm, u32 timeout_ms, u64 *out_resident)
{
	u64 budget, now;
	int err;

	if (timeout_ms > EMPTY_TIMEOUT_MAX_MS)
		return -EPROTO;
	dsm_vm_get_budget(vm->dsm, &budget, &now);
	/* Zero: it has been emptied before. */
	if (budget)
		vm->budget_before = budget;
	err = dsm_vm_give_all(vm->dsm, timeout_ms);
	dsm_vm_get_budget(vm->dsm, &budget, out_resident);
	return err;
}

void drain_undo(struct vm *vm)
{
	if (!vm->budget_before)
		return;
	dsm_vm_set_budget(vm->dsm, max(vm->budget_before, DVMM_BUDGET_MIN));
	vm->budget_before = 0;
}

/* ---- origin ---- */

static long ask(struct vm *vm, struct dvmm_mem_empty *args)
{
	u32 timeout_ms = args->timeout_ms ?: EMPTY_TIMEOUT_MS;
	struct dvmm_msg_empty empty = { .timeout_ms = cpu_to_le32(timeout_ms) };
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_SLICE_EMPTY,
		.vm = vm->id,
		.payload = &empty,
		.len = sizeof(empty),
	};
	size_t len = 0;
	int err = ship_request(vm, args->node_id, &msg, &empty, sizeof(empty), &len);

	if (!err && len != sizeof(empty)) {
		dvmm_link_fail(args->node_id, "wrong reply to SLICE_EMPTY");
		err = -EPROTO;
	}
	args->out_bytes = le64_to_cpu(empty.resident);
	return err;
}

/* vm->move_lock is held: no vCPU comes there meanwhile */
static long empty_node(struct vm *vm, struct dvmm_mem_empty *args)
{
	u64 bit;

	if (args->node_id >= DVMM_MAX_NODES || args->timeout_ms > EMPTY_TIMEOUT_MAX_MS)
		return -EINVAL;
	bit = BIT_ULL(args->node_id);
	if (!(READ_ONCE(vm->nodes) & bit))
		return -ENOTCONN;
	return vm_vcpu_nodes(vm) & bit ? -EBUSY : ask(vm, args);
}

long mem_empty_ioctl(struct file *file, void *arg)
{
	struct dvmm_mem_empty *args = arg;
	struct vm *vm;
	long err;

	if (args->reserved)
		return -EINVAL;
	vm = vm_find(args->vm_id);
	if (!vm)
		return -ENOENT;
	err = vm_is_origin(vm) ? 0 : -EOPNOTSUPP;
	if (!err && !mutex_trylock(&vm->move_lock))
		err = -EBUSY;
	if (!err) {
		err = empty_node(vm, args);
		mutex_unlock(&vm->move_lock);
	}
	vm_put(vm);
	return err;
}
