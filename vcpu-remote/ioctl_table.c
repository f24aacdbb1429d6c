// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/ioctl_table.c - which ioctls of KVM cross nodes, and how large their
 * arguments are. Both ends use it: the origin to ship, the slice to check.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include "internal.h"

#define ONE(cmd, shape) { cmd, #cmd, shape }

static const struct kvm_ioctl vcpu_ioctls[] = {
	ONE(KVM_GET_REGS, SHAPE_FIXED),
	ONE(KVM_SET_REGS, SHAPE_FIXED),
	ONE(KVM_GET_SREGS, SHAPE_FIXED),
	ONE(KVM_SET_SREGS, SHAPE_FIXED),
	ONE(KVM_GET_SREGS2, SHAPE_FIXED),
	ONE(KVM_SET_SREGS2, SHAPE_FIXED),
	ONE(KVM_GET_FPU, SHAPE_FIXED),
	ONE(KVM_SET_FPU, SHAPE_FIXED),
	ONE(KVM_GET_MSRS, SHAPE_MSRS),
	ONE(KVM_SET_MSRS, SHAPE_MSRS),
	ONE(KVM_GET_LAPIC, SHAPE_FIXED),
	ONE(KVM_SET_LAPIC, SHAPE_FIXED),
	ONE(KVM_SET_CPUID2, SHAPE_CPUID),
	ONE(KVM_GET_CPUID2, SHAPE_CPUID),
	ONE(KVM_GET_XSAVE, SHAPE_FIXED),
	ONE(KVM_GET_XSAVE2, SHAPE_XSAVE),
	ONE(KVM_SET_XSAVE, SHAPE_XSAVE),
	ONE(KVM_GET_XCRS, SHAPE_FIXED),
	ONE(KVM_SET_XCRS, SHAPE_FIXED),
	ONE(KVM_GET_DEBUGREGS, SHAPE_FIXED),
	ONE(KVM_SET_DEBUGREGS, SHAPE_FIXED),
	ONE(KVM_GET_VCPU_EVENTS, SHAPE_FIXED),
	ONE(KVM_SET_VCPU_EVENTS, SHAPE_FIXED),
	ONE(KVM_GET_MP_STATE, SHAPE_FIXED),
	ONE(KVM_SET_MP_STATE, SHAPE_FIXED),
	ONE(KVM_TRANSLATE, SHAPE_FIXED),
	ONE(KVM_SET_GUEST_DEBUG, SHAPE_FIXED),
	ONE(KVM_INTERRUPT, SHAPE_FIXED),
	ONE(KVM_NMI, SHAPE_SCALAR),
	ONE(KVM_SMI, SHAPE_SCALAR),
	ONE(KVM_SET_TSC_KHZ, SHAPE_SCALAR),
	ONE(KVM_GET_TSC_KHZ, SHAPE_SCALAR),
	ONE(KVM_TPR_ACCESS_REPORTING, SHAPE_FIXED),
	ONE(KVM_SET_VAPIC_ADDR, SHAPE_FIXED),
	ONE(KVM_X86_SETUP_MCE, SHAPE_FIXED),
	ONE(KVM_X86_SET_MCE, SHAPE_FIXED),
	ONE(KVM_ENABLE_CAP, SHAPE_FIXED),
	ONE(KVM_SET_SIGNAL_MASK, SHAPE_SIGMASK),
};

static const struct kvm_ioctl slice_vm_ioctls[] = {
	ONE(KVM_ENABLE_CAP, SHAPE_FIXED),
	ONE(KVM_SET_TSS_ADDR, SHAPE_SCALAR),
	ONE(KVM_SET_IDENTITY_MAP_ADDR, SHAPE_FIXED),
	ONE(KVM_SET_BOOT_CPU_ID, SHAPE_SCALAR),
	ONE(KVM_SET_TSC_KHZ, SHAPE_SCALAR),
	ONE(KVM_SET_GSI_ROUTING, SHAPE_ROUTES),
	ONE(KVM_GET_DIRTY_LOG, SHAPE_DIRTY_LOG),
};

static const struct kvm_ioctl *find(const struct kvm_ioctl *table, size_t nr,
				    unsigned int cmd)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (table[i].cmd == cmd)
			return &table[i];
	return NULL;
}

const struct kvm_ioctl *ioctl_of_vcpu(unsigned int cmd)
{
	return find(vcpu_ioctls, ARRAY_SIZE(vcpu_ioctls), cmd);
}

const struct kvm_ioctl *ioctl_of_slice_vm(unsigned int cmd)
{
	return find(slice_vm_ioctls, ARRAY_SIZE(slice_vm_ioctls), cmd);
}

size_t ioctl_head_bytes(const struct kvm_ioctl *ioctl)
{
	switch (ioctl->shape) {
	case SHAPE_MSRS:
		return sizeof(struct kvm_msrs);
	case SHAPE_CPUID:
		return sizeof(struct kvm_cpuid2);
	case SHAPE_ROUTES:
		return sizeof(struct kvm_irq_routing);
	default:
		return 0;
	}
}

static long xsave_bytes(struct vm *vm)
{
	struct file *file = vm_get_kvm(vm);
	long bytes;

	if (!file)
		return -EIO;
	bytes = real_ioctl(file, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	fput(file);
	return max_t(long, bytes, sizeof(struct kvm_xsave));
}

static long counted(size_t head, u32 nr, size_t entry)
{
	return nr > DVMM_MSG_MAX / entry ? -E2BIG : (long)(head + nr * entry);
}

/* All three counted kinds start with their number of entries. */
long ioctl_arg_bytes(const struct kvm_ioctl *ioctl, struct vm *vm, const void *head,
		     size_t head_len)
{
	u32 nr = 0;

	if (head_len < ioctl_head_bytes(ioctl))
		return -EINVAL;
	if (ioctl_head_bytes(ioctl))
		nr = *(const u32 *)head;
	switch (ioctl->shape) {
	case SHAPE_SCALAR:
		return 0;
	case SHAPE_MSRS:
		return counted(sizeof(struct kvm_msrs), nr, sizeof(struct kvm_msr_entry));
	case SHAPE_CPUID:
		return counted(sizeof(struct kvm_cpuid2), nr,
			       sizeof(struct kvm_cpuid_entry2));
	case SHAPE_ROUTES:
		return counted(sizeof(struct kvm_irq_routing), nr,
			       sizeof(struct kvm_irq_routing_entry));
	case SHAPE_XSAVE:
		return xsave_bytes(vm);
	default:
		return _IOC_SIZE(ioctl->cmd);
	}
}
