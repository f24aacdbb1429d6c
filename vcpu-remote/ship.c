// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/ship.c - requests of the origin to the slices of a VM.
 * job.c answers them there.
 */
#include <linux/slab.h>
#include "internal.h"

int ship_request(struct vm *vm, u8 node, const struct dvmm_msg *msg, void *reply,
		 size_t reply_len, size_t *out_len)
{
	int err;

	if (vm_is_dead(vm))
		return -EIO;
	dvmm_stat_inc(vm->stats, DVMM_STAT_VM_remote_ioctls);
	err = dvmm_link_request(node, msg, reply, reply_len, out_len,
				REQUEST_TIMEOUT_MS);
	/* Nobody knows whether it is done: the nodes may differ from now on. */
	if (err == -ETIMEDOUT && READ_ONCE(vm->nodes) & BIT_ULL(node))
		vm_die(vm, err, "a slice does not answer");
	return err;
}

static int take_reply(const struct dvmm_msg_ioctl *reply, size_t len,
		      struct shipped *shipped)
{
	size_t bytes;

	if (len < sizeof(*reply) ||
	    le32_to_cpu(reply->cmd) != shipped->cmd ||
	    le32_to_cpu(reply->arg_len) != len - sizeof(*reply))
		return -EPROTO;
	bytes = min(len - sizeof(*reply), shipped->out_len);
	if (shipped->out)
		memcpy(shipped->out, reply + 1, bytes);
	shipped->out_len = bytes;
	shipped->ret = (s32)le32_to_cpu(reply->ret);
	return 0;
}

static int ship(struct vm *vm, u8 node, u16 type, u32 vcpu_id,
		struct shipped *shipped)
{
	const struct dvmm_msg_ioctl ioctl = {
		.cmd = cpu_to_le32(shipped->cmd),
		.vcpu_id = cpu_to_le32(vcpu_id),
		.arg_len = cpu_to_le32(shipped->in_len),
		.arg = cpu_to_le64(shipped->arg),
	};
	const struct dvmm_msg msg = {
		.type = type,
		.vm = vm->id,
		.payload = &ioctl,
		.len = sizeof(ioctl),
		.tail = shipped->in,
		.tail_len = shipped->in_len,
	};
	struct dvmm_msg_ioctl *reply = kvmalloc(DVMM_MSG_MAX, GFP_KERNEL);
	size_t len = 0;
	int err;

	if (!reply)
		return -ENOMEM;
	err = ship_request(vm, node, &msg, reply, DVMM_MSG_MAX, &len);
	if (!err)
		err = take_reply(reply, len, shipped);
	if (err == -EPROTO)
		dvmm_link_fail(node, "wrong reply to a KVM ioctl");
	kvfree(reply);
	return err;
}

int ship_vcpu_ioctl(struct vcpu *vcpu, struct shipped *shipped)
{
	return ship_vcpu_ioctl_to(vcpu, vcpu->node, shipped);
}

int ship_vcpu_ioctl_to(struct vcpu *vcpu, u8 node, struct shipped *shipped)
{
	return ship(vcpu->vm, node, DVMM_MSG_VCPU_IOCTL, vcpu->id, shipped);
}

int ship_vm_ioctl(struct vm *vm, u8 node, struct shipped *shipped)
{
	return ship(vm, node, DVMM_MSG_VM_IOCTL, 0, shipped);
}

static void die_of_slice(struct vm *vm, int node, const char *what, int err)
{
	char reason[96];

	if (err == -ENOTCONN)
		snprintf(reason, sizeof(reason), "node %d is lost", node);
	else
		snprintf(reason, sizeof(reason), "%s failed on node %d: error %d", what, node, -err);
	vm_die(vm, err, reason);
}

/* Is the error of a request to @node only that it is lost, and can the VM do without? */
static bool is_dispensable(const struct vm *vm, int node, int err)
{
	return READ_ONCE(vm->lost_nodes) & BIT_ULL(node) ||
	       (err == -ENOTCONN && !(vm_vcpu_nodes(vm) & BIT_ULL(node)));
}

/* Done here already: a slice that cannot follow has another machine than ours. */
int ship_vm_ioctl_all(struct vm *vm, const char *name, struct shipped *shipped)
{
	int node, err;

	for (node = vm_next_node(vm, -1); node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node)) {
		err = ship_vm_ioctl(vm, node, shipped);
		if (err && !is_dispensable(vm, node, err)) {
			die_of_slice(vm, node, name, err);
			return err;
		}
	}
	return 0;
}

int ship_vcpu_create(struct vcpu *vcpu, u8 node)
{
	const struct dvmm_msg_vcpu create = { .vcpu_id = cpu_to_le32(vcpu->id) };
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_CREATE,
		.vm = vcpu->vm->id,
		.payload = &create,
		.len = sizeof(create),
	};

	return ship_request(vcpu->vm, node, &msg, NULL, 0, NULL);
}

static struct dvmm_wire_segment *wire_segments(const struct dsm_segment *segments,
					       u32 nr)
{
	struct dvmm_wire_segment *wire = kcalloc(nr ?: 1, sizeof(*wire), GFP_KERNEL);
	u32 i;

	for (i = 0; wire && i < nr; i++) {
		wire[i].mem = cpu_to_le32(segments[i].mem);
		wire[i].home_policy = cpu_to_le32(segments[i].home_policy);
		wire[i].mem_bytes = cpu_to_le64(segments[i].mem_bytes);
		wire[i].offset = cpu_to_le64(segments[i].offset);
		wire[i].bytes = cpu_to_le64(segments[i].bytes);
	}
	return wire;
}

int ship_memslot(struct vm *vm, u8 node, const struct kvm_userspace_memory_region *region,
		 const struct dsm_segment *segments, u32 nr)
{
	const struct dvmm_msg_memslot slot = {
		.slot = cpu_to_le32(region->slot),
		.flags = cpu_to_le32(region->flags),
		.guest_phys_addr = cpu_to_le64(region->guest_phys_addr),
		.memory_size = cpu_to_le64(region->memory_size),
		.nr_segments = cpu_to_le32(nr),
	};
	struct dvmm_wire_segment *wire = wire_segments(segments, nr);
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_MEMSLOT,
		.vm = vm->id,
		.payload = &slot,
		.len = sizeof(slot),
		.tail = wire,
		.tail_len = nr * sizeof(*wire),
	};
	int err;

	if (!wire)
		return -ENOMEM;
	err = ship_request(vm, node, &msg, NULL, 0, NULL);
	kfree(wire);
	return err;
}

int ship_memslot_all(struct vm *vm,
		     const struct kvm_userspace_memory_region *region,
		     const struct dsm_segment *segments, u32 nr)
{
	int node, err = 0;

	for (node = vm_next_node(vm, -1); !err && node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node)) {
		err = ship_memslot(vm, node, region, segments, nr);
		if (is_dispensable(vm, node, err))
			err = 0;
		if (err)
			die_of_slice(vm, node, "a memslot", err);
	}
	return err;
}
