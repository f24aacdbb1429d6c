// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/join.c - a node gets a part in a VM that runs: DVMM_VM_JOIN at the origin, and
 * what the nodes do that have one already.
 *
 * 1. All nodes expect it: what it says is no error any more, and they have a link to it.
 * 2. Its slice starts. It knows all nodes and where the vCPUs live, but talks only to the
 *    origin: nobody else knows it.
 * 3. While no slot, route or home changes it hears what the other slices have heard: objects
 *    of memory, VM ioctls, memslots, routes.
 * 4. All nodes add it, itself last. It has no vCPU and no page, so nothing asks it before.
 *
 * What fails before the fourth step ends the slice there and nothing else. A node may join
 * again after it was lost to the VM, or has left it: it comes with nothing.
 */
#include <linux/delay.h>
#include "internal.h"

#define START_TIMEOUT_MS 10000
#define START_TIMEOUT_MAX_MS 600000
#define ADD_TIMEOUT_MS 20000 /* as long as a loss may take */
#define ADD_PAUSE_MS 10

struct join {
	struct vm *vm;
	u8 node;
	struct dvmm_vm_join *args;
	struct dsm_past past;
};

static int tell(struct join *join, u8 node, enum dvmm_join_step step)
{
	const struct dvmm_msg_join payload = {
		.node = cpu_to_le32(join->node),
		.step = cpu_to_le32(step),
	};
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VM_JOIN,
		.vm = join->vm->id,
		.payload = &payload,
		.len = sizeof(payload),
	};

	return ship_request(join->vm, node, &msg, NULL, 0, NULL);
}

/* ---- 1: expected ---- */

static int expect(struct vm *vm, u8 node)
{
	int err = dsm_vm_expect_node(vm->dsm, node);

	if (!err)
		vm_expect_node(vm, node);
	return err;
}

static long expect_everywhere(struct join *join)
{
	long err = expect(join->vm, join->node);
	int node;

	for (node = vm_next_node(join->vm, -1); !err && node < DVMM_MAX_NODES;
	     node = vm_next_node(join->vm, node)) {
		err = tell(join, node, DVMM_JOIN_EXPECT);
		if (err)
			return excuse(join->args, err, err == -EHOSTUNREACH ?
				    "node %d has no link to node %u (error %ld)" :
				    "node %d cannot expect node %u: error %ld", node, join->node,
				    -err);
	}
	return err;
}

/* ---- 2: its slice ---- */

static long start_slice(struct join *join)
{
	u32 timeout_ms = min_t(u32, join->args->timeout_ms ?: START_TIMEOUT_MS,
			       START_TIMEOUT_MAX_MS);
	long err;

	dsm_vm_get_past(join->vm->dsm, &join->past);
	join->vm->budget_of[join->node] = join->args->budget;
	err = origin_request_slice(join->vm, join->node, timeout_ms, &join->past);
	if (!err)
		return 0;
	excuse(join->args, err, "no slice on node %u: %s (error %ld)", join->node,
	       origin_slice_error(err), -err);
	/* EEXIST is said of a node that has a part in the VM. */
	return err == -EEXIST ? -EBUSY : err;
}

/* ---- 3: what the others know ---- */

static long teach(struct join *join)
{
	struct vm *vm = join->vm;
	const char *what = "the VM's memory";
	long err = dsm_vm_teach_node(vm->dsm, join->node);

	if (!err) {
		what = "the VM's machine";
		err = setup_tell_vm(vm, join->node);
	}
	if (!err) {
		what = "a memslot";
		err = memslot_tell(vm, join->node);
	}
	if (!err) {
		what = "interrupt routes";
		err = vmfile_tell_routes(vm, join->node);
	}
	return err ? excuse(join->args, err, "node %u does not take %s: error %ld", join->node,
			  what, -err) : 0;
}

/* ---- 4: all add it ---- */

/* It may still deal with a loss that is over here. */
static int tell_to_add(struct join *join, u8 node)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(ADD_TIMEOUT_MS);
	int err = tell(join, node, DVMM_JOIN_ADD);

	while (err == -EAGAIN && time_before(jiffies, deadline) &&
	       !fatal_signal_pending(current)) {
		msleep(ADD_PAUSE_MS);
		err = tell(join, node, DVMM_JOIN_ADD);
	}
	return err;
}

/* It has expected that, so what fails is the link: then it is lost, which ends the VM now. */
static int add_there(struct join *join, u8 node)
{
	char reason[96];
	int err = tell_to_add(join, node);

	if (!err)
		return 0;
	snprintf(reason, sizeof(reason), "node %u was not told that node %u joins: error %d", node,
		 join->node, -err);
	vm_die(join->vm, err, reason);
	return err;
}

static long add_everywhere(struct join *join)
{
	struct vm *vm = join->vm;
	long err = dsm_vm_settle_nodes(vm->dsm, join->past.epoch);
	int node;

	if (err)
		return excuse(join->args, err, "another node of the VM was lost meanwhile");
	for (node = vm_next_node(vm, -1); !err && node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node))
		err = add_there(join, node);
	if (err)
		return err;
	setup_forget_node(vm, join->node);
	err = vm_add_node(vm, join->node);
	if (err)
		vm_die(vm, err, "the origin cannot add a node that joins");
	return err;
}

/* From here on it is a node of the VM like others: lost, it is lost like others. */
static long confirm(struct join *join)
{
	long err = tell(join, join->node, DVMM_JOIN_ADD);

	if (!err) {
		dvmm_event(DVMM_EVENT_VM_NODE_JOINED, join->node, join->vm->id, "%s",
			   join->vm->name);
		return 0;
	}
	dsm_vm_miss_node(join->vm->dsm, join->node);
	/* Also if the VM has ended just before it was one of its nodes. */
	vm_stop_at(join->vm, join->node, err, "it was too late in the VM");
	return excuse(join->args, err, "node %u was lost when it had joined: error %ld", join->node,
		    -err);
}

/* ---- all of it ---- */

/* Homes stay. slots_lock is held. */
static long teach_and_add(struct join *join, bool *out_added)
{
	long err = dsm_vm_keep_homes(join->vm->dsm);

	if (err)
		return err;
	err = teach(join);
	if (!err)
		err = add_everywhere(join);
	*out_added = !err;
	dsm_vm_let_homes_go(join->vm->dsm);
	return err;
}

static long let_it_in(struct join *join)
{
	bool added = false;
	long err = -EINTR;

	if (!mutex_lock_killable(&join->vm->slots_lock)) {
		err = teach_and_add(join, &added);
		mutex_unlock(&join->vm->slots_lock);
	}
	if (added)
		return confirm(join);
	vm_stop_at(join->vm, join->node, err, "the node did not get into the VM");
	return err;
}

static long do_join(struct join *join)
{
	long err = expect_everywhere(join);

	if (err)
		return err;
	err = start_slice(join);
	/* What comes too late is not wanted any more. */
	if (err)
		vm_stop_at(join->vm, join->node, err, "its origin does not wait for this slice any more");
	return err ?: let_it_in(join);
}

static bool is_budget(u64 bytes)
{
	return bytes == DVMM_BUDGET_KEEP || bytes == DVMM_BUDGET_DEFAULT ||
	       bytes == DVMM_BUDGET_NONE || bytes >= DVMM_BUDGET_MIN;
}

static long check(struct vm *vm, struct dvmm_vm_join *args)
{
	u32 node = args->node_id;

	if (!vm_is_origin(vm))
		return excuse(args, -EOPNOTSUPP, "nodes join at the VM's origin, node %u", vm->origin);
	if (vm_is_dead(vm))
		return excuse(args, -EIO, "the VM has ended");
	if (node >= DVMM_MAX_NODES)
		return excuse(args, -EINVAL, "%u is no node", node);
	if (!is_budget(args->budget))
		return excuse(args, -EINVAL, "a budget is at least %llu bytes", DVMM_BUDGET_MIN);
	if (READ_ONCE(vm->nodes) & BIT_ULL(node))
		return excuse(args, -EEXIST, "node %u has a part in the VM", node);
	if (!vm->is_spanning)
		return excuse(args, -ENOTCONN, WHY_IT_CANNOT_GROW);
	if (vm_has_state(vm, DVMM_VM_DEFINED))
		return excuse(args, -EBUSY, "the VM has not started");
	if (!dvmm_link_is_up(node))
		return excuse(args, -ENOTCONN, "there is no link to node %u", node);
	return 0;
}

static long begin_and_join(struct vm *vm, struct dvmm_vm_join *args)
{
	struct join join = { .vm = vm, .node = args->node_id, .args = args };
	long err = check(vm, args);

	if (err)
		return err;
	if (move_begin(vm))
		return excuse(args, -EBUSY, "a vCPU of the VM moves, or another node joins it");
	/* It may have joined since. */
	err = check(vm, args) ?: do_join(&join);
	move_end(vm);
	return err;
}

long vm_join_ioctl(struct file *file, void *arg)
{
	struct dvmm_vm_join *args = arg;
	struct vm *vm;
	long err;

	memset(args->out_reason, 0, sizeof(args->out_reason));
	if (args->reserved)
		return -EINVAL;
	vm = vm_find(args->vm_id);
	if (!vm)
		return -ENOENT;
	err = begin_and_join(vm, args);
	vm_put(vm);
	return err;
}

/* ---- the other nodes ---- */

static int learn(struct vm *vm, u8 node, u32 step)
{
	if (step == DVMM_JOIN_EXPECT)
		return dvmm_link_is_up(node) ? expect(vm, node) : -EHOSTUNREACH;
	if (node == dvmm_node_self())
		return 0;
	return vm->expected_nodes & BIT_ULL(node) ? vm_add_node(vm, node) : -EINVAL;
}

int join_message(struct vm *vm, u8 from, const struct dvmm_msg_hdr *hdr, const void *payload,
		 size_t len)
{
	const struct dvmm_msg_join *join = payload;
	int err;

	if (from != vm->origin || !wire_join_is_sound(join, len))
		return -EPROTO;
	err = vm_is_dead(vm) ? -EIO : learn(vm, le32_to_cpu(join->node), le32_to_cpu(join->step));
	dvmm_link_reply(from, le32_to_cpu(hdr->req), err, NULL, 0);
	return 0;
}
