// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/extension.c - which of KVM's capabilities a spanning VM has. What is
 * not listed is hidden: it does not work across nodes, or nobody has tried it.
 */
#include <linux/kvm_host.h>
#include "internal.h"

static const u16 offered[] = {
	KVM_CAP_IRQCHIP, /* QEMU asks for it before it takes the split irqchip */
	KVM_CAP_HLT,
	KVM_CAP_USER_MEMORY,
	KVM_CAP_SET_TSS_ADDR,
	KVM_CAP_VAPIC,
	KVM_CAP_EXT_CPUID,
	KVM_CAP_NR_VCPUS,
	KVM_CAP_NR_MEMSLOTS,
	KVM_CAP_MP_STATE,
	KVM_CAP_SYNC_MMU,
	KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
	KVM_CAP_USER_NMI,
	KVM_CAP_SET_GUEST_DEBUG,
	KVM_CAP_IRQ_ROUTING,
	KVM_CAP_IRQ_INJECT_STATUS,
	KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
	KVM_CAP_MCE,
	KVM_CAP_IRQFD,
	KVM_CAP_SET_BOOT_CPU_ID,
	KVM_CAP_IOEVENTFD,
	KVM_CAP_SET_IDENTITY_MAP_ADDR,
	KVM_CAP_ADJUST_CLOCK,
	KVM_CAP_INTERNAL_ERROR_DATA,
	KVM_CAP_VCPU_EVENTS,
	KVM_CAP_INTR_SHADOW,
	KVM_CAP_DEBUGREGS,
	KVM_CAP_X86_ROBUST_SINGLESTEP,
	KVM_CAP_ENABLE_CAP,
	KVM_CAP_XSAVE,
	KVM_CAP_XCRS,
	KVM_CAP_TSC_CONTROL,
	KVM_CAP_GET_TSC_KHZ,
	KVM_CAP_MAX_VCPUS,
	KVM_CAP_TSC_DEADLINE_TIMER,
	KVM_CAP_SIGNAL_MSI,
	KVM_CAP_READONLY_MEM,
	KVM_CAP_EXT_EMUL_CPUID,
	KVM_CAP_IOAPIC_POLARITY_IGNORED,
	KVM_CAP_ENABLE_CAP_VM,
	KVM_CAP_IOEVENTFD_NO_LENGTH,
	KVM_CAP_CHECK_EXTENSION_VM,
	KVM_CAP_GUEST_DEBUG_HW_BPS,
	KVM_CAP_GUEST_DEBUG_HW_WPS,
	KVM_CAP_SPLIT_IRQCHIP,
	KVM_CAP_IOEVENTFD_ANY_LENGTH,
	KVM_CAP_MAX_VCPU_ID,
	KVM_CAP_X2APIC_API,
	KVM_CAP_IMMEDIATE_EXIT,
	KVM_CAP_GET_MSR_FEATURES,
	KVM_CAP_MSR_PLATFORM_INFO,
	KVM_CAP_EXCEPTION_PAYLOAD,
	KVM_CAP_SET_GUEST_DEBUG2,
	KVM_CAP_SREGS2,
	KVM_CAP_XSAVE2,
	KVM_CAP_SYS_ATTRIBUTES,
	KVM_CAP_X86_TRIPLE_FAULT_EVENT,
};

static const u16 enabled_everywhere[] = {
	KVM_CAP_SPLIT_IRQCHIP,
	KVM_CAP_X2APIC_API,
	KVM_CAP_EXCEPTION_PAYLOAD,
	KVM_CAP_X86_TRIPLE_FAULT_EVENT,
	KVM_CAP_MAX_VCPU_ID,
	KVM_CAP_MSR_PLATFORM_INFO,
};

static bool listed(const u16 *list, size_t nr, unsigned long cap)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (list[i] == cap)
			return true;
	return false;
}

long extension_check(struct file *real, unsigned long cap)
{
	if (!listed(offered, ARRAY_SIZE(offered), cap))
		return 0;
	return real_ioctl(real, KVM_CHECK_EXTENSION, cap);
}

bool extension_may_enable(unsigned long cap)
{
	return listed(enabled_everywhere, ARRAY_SIZE(enabled_everywhere), cap);
}
