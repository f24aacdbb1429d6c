// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/cpuid.c - what a spanning VM offers to its guest: what KVM has,
 * without what works inside one node only. A mask over unequal nodes is not here.
 *
 * x2APIC, TSC deadline, RDPID, WAITPKG and TSX stay: they act on one vCPU and its
 * memory.
 */
#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include "internal.h"

enum cpuid_reg { EAX, EBX, ECX, EDX };

#define ALL_REGS 0xff
#define ALL_BITS (~0U)
/* NOP_IO_DELAY: no state; saves port 0x80 exits. ASYNC_PF: between a vCPU and its own KVM; what
 * KVM writes for it is the guest's memory, like any other. See state.c.
 */
#define PARAVIRTUAL_HIDDEN (~(1U << KVM_FEATURE_NOP_IO_DELAY | 1U << KVM_FEATURE_ASYNC_PF | \
			      1U << KVM_FEATURE_ASYNC_PF_INT))

/* One thing that is hidden, or added. */
struct limit {
	u32 first; /* function */
	u32 last;
	u32 reg; /* enum cpuid_reg, or ALL_REGS */
	u32 clear;
	u32 set;
	const char *reason;
};

static const struct limit limits[] = {
	/* What KVM and Hyper-V offer a guest. The signature (0x40000000) stays: with
	 * it Linux uses x2APIC without interrupt remapping.
	 */
	{ 0x40000001, 0x40000001, EAX, PARAVIRTUAL_HIDDEN, 0,
	  "PV IPIs, TLB flush, unhalt and yield reach vCPUs of one node; kvmclock, steal time and PV EOI are memory that its KVM writes" },
	{ 0x40000001, 0x40000001, EDX, ALL_BITS, 0,
	  "hints belong to the features above" },
	{ 0x40000002, 0x4000000f, ALL_REGS, ALL_BITS, 0,
	  "Hyper-V: synthetic interrupts and flushes reach vCPUs of one node" },
	{ 0x40000080, 0x40000082, ALL_REGS, ALL_BITS, 0,
	  "Hyper-V debugger: lives in one KVM" },
	{ 0x40000101, 0x40000101, EAX, PARAVIRTUAL_HIDDEN, 0,
	  "KVM's leaf when Hyper-V has its place" },
	{ 0x40000101, 0x40000101, EDX, ALL_BITS, 0,
	  "hints belong to the features above" },

	/* Waking or signalling other vCPUs past the APIC. */
	{ 0x1, 0x1, ECX, BIT(3), 0,
	  "MONITOR/MWAIT: a store on another node need not wake it" },
	{ 0x5, 0x5, ALL_REGS, ALL_BITS, 0, "MONITOR/MWAIT" },
	{ 0x80000001, 0x80000001, ECX, BIT(29), 0, "MONITORX/MWAITX" },
	{ 0x80000008, 0x80000008, EBX, BIT(3), 0,
	  "INVLPGB: the broadcast ends at the node" },
	{ 0x7, 0x7, EDX, BIT(5), 0,
	  "UINTR: user interrupts are posted inside one node" },

	/* A hypervisor in the guest: its shadow of this VM would span nodes. */
	{ 0x1, 0x1, ECX, BIT(5), 0, "VMX" },
	{ 0x80000001, 0x80000001, ECX, BIT(2) | BIT(12), 0, "SVM, SKINIT" },
	{ 0x8000000a, 0x8000000a, ALL_REGS, ALL_BITS, 0, "SVM" },

	/* Memory that only one machine can read. */
	{ 0x7, 0x7, EBX, BIT(2), 0, "SGX: an enclave's pages cannot be moved" },
	{ 0x7, 0x7, ECX, BIT(30), 0, "SGX launch control" },
	{ 0x12, 0x12, ALL_REGS, ALL_BITS, 0, "SGX" },
	{ 0x8000001f, 0x8000001f, ALL_REGS, ALL_BITS, 0,
	  "SME/SEV: the key is the node's" },

	/* Counters and traces of the machine below. */
	{ 0xa, 0xa, ALL_REGS, ALL_BITS, 0,
	  "PMU: a vCPU that moves takes no counters along" },
	{ 0x1, 0x1, ECX, BIT(15), 0, "PDCM: PMU" },
	{ 0x80000001, 0x80000001, ECX, BIT(23) | BIT(24) | BIT(28), 0, "AMD PMU" },
	{ 0x80000022, 0x80000022, ALL_REGS, ALL_BITS, 0, "AMD PMU" },
	{ 0x7, 0x7, EBX, BIT(25), 0, "Intel PT" },
	{ 0x14, 0x14, ALL_REGS, ALL_BITS, 0, "Intel PT" },

	{ 0x80000007, 0x80000007, EDX, 0, BIT(8),
	  "invariant TSC: clock.c makes it equal on all nodes; without the bit Linux distrusts it" },
};

static u32 *reg_of(struct kvm_cpuid_entry2 *entry, u32 reg)
{
	switch (reg) {
	case EAX:
		return &entry->eax;
	case EBX:
		return &entry->ebx;
	case ECX:
		return &entry->ecx;
	default:
		return &entry->edx;
	}
}

static void limit_reg(struct kvm_cpuid_entry2 *entry, u32 reg,
		      const struct limit *limit)
{
	u32 *value = reg_of(entry, reg);

	*value = (*value & ~limit->clear) | limit->set;
}

static void limit_apply(struct kvm_cpuid_entry2 *entry,
			const struct limit *limit)
{
	u32 reg;

	if (entry->function < limit->first || entry->function > limit->last)
		return;
	for (reg = EAX; reg <= EDX; reg++)
		if (limit->reg == reg || limit->reg == ALL_REGS)
			limit_reg(entry, reg, limit);
}

/* Sub-leaf 0 of function 7 has feature bits; the others mean other things. */
static bool has_limits(const struct kvm_cpuid_entry2 *entry)
{
	return entry->function != 7 || !entry->index;
}

void cpuid_limit(struct kvm_cpuid2 *cpuid, u32 nent)
{
	u32 i, k;

	for (i = 0; i < nent; i++)
		for (k = 0; k < ARRAY_SIZE(limits); k++)
			if (has_limits(&cpuid->entries[i]))
				limit_apply(&cpuid->entries[i], &limits[k]);
}
