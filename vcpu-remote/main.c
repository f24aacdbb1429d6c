// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/main.c - loads and unloads dvmm-vcpu.ko, and hands messages to the
 * file they are for.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include "internal.h"

static char *kvm = "/dev/kvm";
module_param(kvm, charp, 0444);
MODULE_PARM_DESC(kvm, "The host's own KVM device");

/* A slice without vCPUs only lent memory: it is lost as if its host were. */
static bool is_needed(const struct vm *vm, u8 node)
{
	return !vm_is_origin(vm) || vm_vcpu_nodes(vm) & BIT_ULL(node);
}

static int stop_message(struct vm *vm, u8 from, const struct dvmm_msg_vm_stop *stop, size_t len)
{
	char reason[DVMM_REASON_SIZE];
	u32 error;

	if (len != sizeof(*stop) || !(vm_is_origin(vm) || from == vm->origin))
		return -EPROTO;
	error = le32_to_cpu(stop->error);
	if (error > MAX_ERRNO)
		return -EPROTO;
	strscpy(reason, (const char *)stop->reason, sizeof(reason));
	if (is_needed(vm, from))
		vm_end(vm, -(int)error, reason, vm_is_origin(vm));
	else
		dsm_vm_miss_node(vm->dsm, from);
	return 0;
}

static int exit_message(struct vm *vm, u8 from, const struct dvmm_msg_run *run,
			size_t len)
{
	struct vcpu *vcpu;

	if (!vm_is_origin(vm) || len < sizeof(*run))
		return -EPROTO;
	vcpu = vcpu_find(vm, le32_to_cpu(run->vcpu_id));
	if (!vcpu || vcpu->node != from)
		return -EPROTO;
	return run_exited(vcpu, run, len);
}

static int apic_message(struct vm *vm, u8 from, const struct dvmm_msg_apic *apic,
			size_t len)
{
	return len == sizeof(*apic) ? irq_receive(vm, from, apic) : -EPROTO;
}

static int vm_message(struct vm *vm, u8 from, const struct dvmm_msg_hdr *hdr,
		      const void *payload, size_t len)
{
	/* It does not know yet, or takes only a link for lost; or it joins, in vain perhaps. */
	if (!(vm->nodes & BIT_ULL(from)))
		return (vm->lost_nodes | vm->expected_nodes) & BIT_ULL(from) ? 0 : -EPROTO;
	switch (le16_to_cpu(hdr->type)) {
	case DVMM_MSG_VM_STOP:
		return stop_message(vm, from, payload, len);
	case DVMM_MSG_VCPU_EXIT:
		return exit_message(vm, from, payload, len);
	case DVMM_MSG_APIC:
		return apic_message(vm, from, payload, len);
	case DVMM_MSG_VM_JOIN:
		return join_message(vm, from, hdr, payload, len);
	case DVMM_MSG_VCPU_FENCE:
		return move_fence(vm, from, payload, len);
	default:
		return slice_message(vm, from, hdr, payload, len);
	}
}

/* It has ended here, and the peer does not know yet. */
static int unknown_vm(u8 from, const struct dvmm_msg_hdr *hdr)
{
	if (hdr->req)
		dvmm_link_reply(from, le32_to_cpu(hdr->req), -ENOENT, NULL, 0);
	return 0;
}

static int known_vm(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	struct vm *vm = vm_find(le32_to_cpu(hdr->vm));
	int err;

	if (!vm)
		return unknown_vm(from, hdr);
	err = vm_message(vm, from, hdr, payload, len);
	vm_put_later(vm);
	return err;
}

/* To make a VM, or room for a node, takes memory. */
static int deferred(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	if (le16_to_cpu(hdr->type) == DVMM_MSG_SLICE_START)
		return slice_start_message(from, hdr, payload, len);
	return known_vm(from, hdr, payload, len);
}

static const struct dvmm_service service;

static int message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload,
		   size_t len)
{
	u16 type = le16_to_cpu(hdr->type);

	if (type == DVMM_MSG_SLICE_START || type == DVMM_MSG_VM_JOIN)
		return hdr->req ? dvmm_defer(&service, from, hdr, payload, len) : -EPROTO;
	if (type == DVMM_MSG_VM_STOP && !vm_is_known(le32_to_cpu(hdr->vm))) {
		/* It may be about to be made. */
		dvmm_defer(&service, from, hdr, payload, len);
		return 0;
	}
	return known_vm(from, hdr, payload, len);
}

static const struct dvmm_service service = {
	.name = "vcpu",
	.owner = THIS_MODULE,
	.first_type = DVMM_MSG_SLICE_START,
	.last_type = DVMM_MSG_VM_JOIN,
	.message = message,
	.deferred = deferred,
	.link_lost = vm_lost_node,
};

static int register_ioctls(void)
{
	int err = dvmm_control_register(origin_ioctls, nr_origin_ioctls, THIS_MODULE);

	if (err)
		return err;
	err = dvmm_control_register(slice_ioctls, nr_slice_ioctls, THIS_MODULE);
	if (err)
		dvmm_control_unregister(origin_ioctls);
	return err;
}

static void unregister_ioctls(void)
{
	dvmm_control_unregister(slice_ioctls);
	dvmm_control_unregister(origin_ioctls);
}

static int __init vcpu_init(void)
{
	int err = vm_init();

	if (err)
		return err;
	err = real_init(kvm);
	if (err)
		goto exit_vm;
	err = apic_probe_init();
	if (err)
		goto exit_real;
	err = kvmdev_init();
	if (err)
		goto exit_probe;
	err = dvmm_service_register(&service);
	if (err)
		goto exit_kvmdev;
	err = register_ioctls();
	if (err)
		goto unregister_service;
	return 0;

unregister_service:
	dvmm_service_unregister(&service);
exit_kvmdev:
	kvmdev_exit();
exit_probe:
	apic_probe_exit();
exit_real:
	real_exit();
exit_vm:
	vm_exit();
	return err;
}

/* What a peer started and no process has come for has no file that pins us. */
static void end_unattached(void)
{
	struct vm *vm;

	for (; (vm = vm_find_from(0)); vm_put(vm))
		vm_die(vm, -ESHUTDOWN, "the module is unloaded");
}

static void __exit vcpu_exit(void)
{
	unregister_ioctls();
	dvmm_service_unregister(&service);
	end_unattached();
	vm_exit();
	kvmdev_exit();
	apic_probe_exit();
	real_exit();
}

module_init(vcpu_init);
module_exit(vcpu_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: a KVM whose VMs span hosts");
