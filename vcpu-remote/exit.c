// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/exit.c - struct kvm_run and its port I/O data between nodes.
 * What an exit means is the VMM's business; here it is only carried and counted.
 */
#include <linux/kvm_host.h>
#include "internal.h"

u32 exit_data_bytes(const struct kvm_run *run)
{
	u64 bytes;

	if (run->exit_reason != KVM_EXIT_IO)
		return 0;
	bytes = (u64)run->io.size * run->io.count;
	return min_t(u64, bytes, RUN_DATA_BYTES);
}

static u32 stat_of(u32 exit_reason)
{
	switch (exit_reason) {
	case KVM_EXIT_IO:
		return DVMM_STAT_VM_remote_exits_io;
	case KVM_EXIT_MMIO:
		return DVMM_STAT_VM_remote_exits_mmio;
	default:
		return DVMM_STAT_VM_remote_exits_other;
	}
}

void exit_count(struct vcpu *vcpu, const struct kvm_run *run)
{
	atomic64_inc(&vcpu->remote_exits);
	dvmm_stat_inc(vcpu->vm->stats, stat_of(run->exit_reason));
}

/* What the VMM alone writes stays: it may be setting it right now. */
void exit_to_area(struct vcpu *vcpu, const struct kvm_run *run, const void *data,
		  u32 data_len)
{
	struct kvm_run *area = vcpu->area;
	const size_t from = offsetof(struct kvm_run, exit_reason);

	memcpy((void *)area + from, (const void *)run + from, RUN_BYTES - from);
	vcpu->pio_in = 0;
	if (vcpu->run_ret || run->exit_reason != KVM_EXIT_IO)
		return;
	area->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	if (run->io.direction == KVM_EXIT_IO_IN)
		vcpu->pio_in = exit_data_bytes(run);
	else
		memcpy(vcpu->area + KVM_PIO_PAGE_OFFSET * PAGE_SIZE, data, data_len);
}
