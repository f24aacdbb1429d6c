/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/apic_probe.h - to hear and to speak on the APIC bus of one VM of
 * the host's KVM.
 */
#ifndef VCPU_REMOTE_APIC_PROBE_H
#define VCPU_REMOTE_APIC_PROBE_H

#include <linux/rculist.h>
#include <linux/types.h>

struct kvm;
struct kvm_lapic_irq;

/**
 * struct apic_tap - hears one VM; part of a larger object
 * @kvm: the VM; must outlive the tap
 * @hear: a message is about to be delivered inside @kvm. Interrupts may be off and
 *	locks of KVM and of an eventfd held: no allocation, no sleep, no log.
 *	@ipi: sent by a vCPU of this node, else an MSI
 */
struct apic_tap {
	struct hlist_node item; /* tap_lock; readers by RCU */
	struct kvm *kvm;
	void (*hear)(struct apic_tap *tap, const struct kvm_lapic_irq *irq,
		     bool ipi);
};

/** apic_tap_add() - hear from now on. May sleep. -EOPNOTSUPP: hardware delivers past KVM */
int apic_tap_add(struct apic_tap *tap);
/** apic_tap_remove() - when it returns, hear() does not run and will not again. May sleep. */
void apic_tap_remove(struct apic_tap *tap);

/**
 * apic_inject() - deliver a message inside @kvm; no tap hears it
 *
 * Any context. @kvm has a tap.
 * Return: 0; -ENXIO: no vCPU with a LAPIC yet; -EIO: the probe did not hear KVM
 * deliver it
 */
int apic_inject(struct kvm *kvm, const struct kvm_lapic_irq *irq);

/** apic_matches() - is a vCPU that lives here among the destinations? Any context. */
bool apic_matches(struct kvm *kvm, const struct kvm_lapic_irq *irq);
/** apic_is_x2apic() - has a vCPU that lives here x2APIC mode on? Any context. */
bool apic_is_x2apic(struct kvm *kvm);

#endif
