// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/drain.c - a node shall hold no memory of a VM any more: DVMM_MEM_EMPTY. Its
 * vCPUs have moved before (move.c), and the homes of memory (dsm): what is left are pages.
 */
#include "internal.h"

#define EMPTY_TIMEOUT_MS 2000
#define EMPTY_TIMEOUT_MAX_MS 20000

/* ---- the node ---- */

/* drain_lock held. A vCPU may have come by now, if who asked has given up. */
static int begin(struct vm *vm)
{
	u64 budget, resident;

	if (vm_vcpu_nodes(vm) & BIT_ULL(dvmm_node_self()))
		return -EBUSY;
	dsm_vm_get_budget(vm->dsm, &budget, &resident);
	/* Zero: it has been emptied before. */
	if (budget)
		vm->budget_before = budget;
	dsm_vm_hold_nothing(vm->dsm);
	return 0;
}

int drain_here(struct vm *vm, u32 timeout_ms, u64 *out_resident)
{
	u64 budget;
	int err;

	if (timeout_ms > EMPTY_TIMEOUT_MAX_MS)
		return -EPROTO;
	mutex_lock(&vm->drain_lock);
	err = begin(vm);
	mutex_unlock(&vm->drain_lock);
	if (!err)
		err = dsm_vm_wait_empty(vm->dsm, timeout_ms);
	dsm_vm_get_budget(vm->dsm, &budget, out_resident);
	return err;
}

void drain_undo(struct vm *vm)
{
	mutex_lock(&vm->drain_lock);
	if (vm->budget_before)
		dsm_vm_set_budget(vm->dsm, max(vm->budget_before, DVMM_BUDGET_MIN));
	vm->budget_before = 0;
	mutex_unlock(&vm->drain_lock);
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

	if (!err && !wire_empty_is_sound(&empty, len)) {
		dvmm_link_fail(args->node_id, "wrong reply to SLICE_EMPTY");
		err = -EPROTO;
	}
	args->out_bytes = le64_to_cpu(empty.resident);
	return err;
}

/* move_begin(): no vCPU comes there meanwhile */
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
	if (!err)
		err = move_begin(vm);
	if (!err) {
		err = empty_node(vm, args);
		move_end(vm);
	}
	vm_put(vm);
	return err;
}
