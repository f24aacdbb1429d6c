/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/kvm_private.h - what kvm.ko exports without a public header. All
 * uses are in apic_probe.c; without them a message could be injected by
 * KVM_SIGNAL_MSI from a thread of the VM's process, which takes every mode too.
 */
#ifndef VCPU_REMOTE_KVM_PRIVATE_H
#define VCPU_REMOTE_KVM_PRIVATE_H

#include <linux/kvm_host.h>

struct kvm_lapic;

/* arch/x86/kvm/lapic.h, the same in 6.1 and 6.12 */
void kvm_apic_send_ipi(struct kvm_lapic *apic, u32 icr_low, u32 icr_high);
bool kvm_apic_match_dest(struct kvm_vcpu *vcpu, struct kvm_lapic *source,
			 int shorthand, unsigned int dest, int dest_mode);

/* "Switched off by module parameter": both kvm_intel and kvm_amd know it and KVM
 * never takes it back. 6.1 calls it APICV_INHIBIT_REASON_DISABLE, 6.12
 * APICV_INHIBIT_REASON_DISABLED.
 */
#define APICV_INHIBIT_FOR_GOOD ((enum kvm_apicv_inhibit)0)

#endif
