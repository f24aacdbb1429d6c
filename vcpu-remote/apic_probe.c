// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/apic_probe.c - the APIC bus of the host's KVM: hears every message
 * (ICR writes, MSIs, irqfds, IOAPIC routes) of the VMs that have a tap, and injects
 * messages. Who gets them is irq.c's business.
 *
 * Hears through ftrace at the entry of kvm_irq_delivery_to_apic_fast(), which all of
 * them pass. Not a kprobe: that one misses hits from an interrupt that comes while
 * any kprobe handler runs on the CPU.
 */
#include <linux/ftrace.h>
#include <linux/hash.h>
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <asm/apic.h>
#include "internal.h"
#include "apic_probe.h"
#include "kvm_private.h"

#if IS_BUILTIN(CONFIG_KVM)
#define PROBED_SYMBOL "kvm_irq_delivery_to_apic_fast"
#else
#define PROBED_SYMBOL "kvm:kvm_irq_delivery_to_apic_fast"
#endif

#define TAP_HASH_BITS 4

static DEFINE_MUTEX(tap_lock);
static struct hlist_head taps[1 << TAP_HASH_BITS]; /* tap_lock; readers by RCU */
static unsigned int nr_taps; /* tap_lock */
static unsigned long probed_ip; /* set once */

/* What this CPU injects now; interrupts are off as long as it is set. */
struct injection {
	u32 dest_id;
	bool heard;
};
static DEFINE_PER_CPU(struct injection *, injection);

static struct hlist_head *tap_bucket(const struct kvm *kvm)
{
	return &taps[hash_ptr(kvm, TAP_HASH_BITS)];
}

static struct apic_tap *tap_find(const struct kvm *kvm)
{
	struct apic_tap *tap;

	hlist_for_each_entry_rcu(tap, tap_bucket(kvm), item)
		if (tap->kvm == kvm)
			return tap;
	return NULL;
}

/* An APIC in xAPIC mode cannot name a destination above 255 in its ICR. */
static void hear_own(struct injection *own, struct kvm_lapic_irq *irq)
{
	irq->dest_id = own->dest_id;
	own->heard = true;
}

/* bool kvm_irq_delivery_to_apic_fast(struct kvm *kvm, struct kvm_lapic *src,
 *	struct kvm_lapic_irq *irq, int *r, struct dest_map *dest_map)
 */
static void notrace probe_hit(unsigned long ip, unsigned long parent_ip,
			      struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);
	struct injection *own = this_cpu_read(injection);
	struct kvm_lapic_irq *irq;
	struct apic_tap *tap;
	struct kvm *kvm;

	kvm = (struct kvm *)regs_get_kernel_argument(regs, 0);
	irq = (struct kvm_lapic_irq *)regs_get_kernel_argument(regs, 2);
	rcu_read_lock();
	tap = tap_find(kvm);
	if (tap && own)
		hear_own(own, irq);
	else if (tap)
		tap->hear(tap, irq, regs_get_kernel_argument(regs, 1));
	rcu_read_unlock();
}

static struct ftrace_ops probe_ops = {
	.func = probe_hit,
	/* RECURSION: what probe_hit calls never delivers to an APIC. PERMANENT:
	 * kernel.ftrace_enabled=0 must not silence the interrupts of a guest.
	 */
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_RECURSION |
		 FTRACE_OPS_FL_PERMANENT,
};

/* A hardware path (AVIC, IPI virtualization) would post to the vCPUs of this node
 * only. KVM gives it up for this VM; no such hardware has been tried.
 */
static int keep_off_hardware(struct kvm *kvm)
{
	kvm_set_or_clear_apicv_inhibit(kvm, APICV_INHIBIT_FOR_GOOD, true);
	if (READ_ONCE(kvm->arch.apicv_inhibit_reasons) &
	    BIT(APICV_INHIBIT_FOR_GOOD))
		return 0;
	pr_err("dvmm: KVM does not switch off APICv/AVIC for a VM; load kvm_intel with enable_apicv=0 or kvm_amd with avic=0\n");
	return -EOPNOTSUPP;
}

static int probe_attach(void)
{
	int err = ftrace_set_filter_ip(&probe_ops, probed_ip, 0, 0);

	if (!err)
		err = register_ftrace_function(&probe_ops);
	if (err)
		pr_err("dvmm: cannot trace " PROBED_SYMBOL " (%d); is kernel.ftrace_enabled 0?\n",
		       err);
	return err;
}

static void probe_detach(void)
{
	unregister_ftrace_function(&probe_ops);
	ftrace_set_filter_ip(&probe_ops, probed_ip, 1, 0);
}

int apic_tap_add(struct apic_tap *tap)
{
	int err = keep_off_hardware(tap->kvm);

	if (err)
		return err;
	mutex_lock(&tap_lock);
	if (!nr_taps)
		err = probe_attach();
	if (!err) {
		nr_taps++;
		hlist_add_head_rcu(&tap->item, tap_bucket(tap->kvm));
	}
	mutex_unlock(&tap_lock);
	return err;
}

void apic_tap_remove(struct apic_tap *tap)
{
	mutex_lock(&tap_lock);
	hlist_del_rcu(&tap->item);
	if (!--nr_taps)
		probe_detach();
	mutex_unlock(&tap_lock);
	synchronize_rcu();
}

/* Not when its vCPU has moved away, see state_switch_off(). */
static bool apic_is_on(const struct kvm_vcpu *vcpu)
{
	return vcpu->arch.apic &&
	       READ_ONCE(vcpu->arch.apic_base) & MSR_IA32_APICBASE_ENABLE;
}

static struct kvm_vcpu *first_vcpu(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (apic_is_on(vcpu))
			return vcpu;
	return NULL;
}

static bool vcpu_is_x2apic(const struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->arch.apic_base) & X2APIC_ENABLE;
}

static u32 icr_low(const struct kvm_lapic_irq *irq)
{
	return irq->vector | irq->delivery_mode | irq->dest_mode |
	       irq->shorthand | (irq->level ? APIC_INT_ASSERT : 0) |
	       (irq->trig_mode ? APIC_INT_LEVELTRIG : 0);
}

static u32 icr_high(const struct kvm_vcpu *sender, u32 dest_id)
{
	return vcpu_is_x2apic(sender) ? dest_id :
		SET_XAPIC_DEST_FIELD(dest_id);
}

int apic_inject(struct kvm *kvm, const struct kvm_lapic_irq *irq)
{
	struct injection own = { .dest_id = irq->dest_id };
	struct kvm_vcpu *sender;
	unsigned long flags;

	rcu_read_lock();
	sender = first_vcpu(kvm);
	rcu_read_unlock();
	if (!sender)
		return -ENXIO;
	/* An interrupt here may deliver messages of its own: they must be heard. */
	local_irq_save(flags);
	this_cpu_write(injection, &own);
	kvm_apic_send_ipi(sender->arch.apic, icr_low(irq),
			  icr_high(sender, irq->dest_id));
	this_cpu_write(injection, NULL);
	local_irq_restore(flags);
	return own.heard ? 0 : -EIO;
}

bool apic_matches(struct kvm *kvm, const struct kvm_lapic_irq *irq)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (apic_is_on(vcpu) &&
		    kvm_apic_match_dest(vcpu, NULL, irq->shorthand,
					irq->dest_id, irq->dest_mode))
			return true;
	return false;
}

bool apic_is_x2apic(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu_is_x2apic(vcpu))
			return true;
	return false;
}

/* The address of a function that is not exported: where a kprobe would sit. */
int apic_probe_init(void)
{
	struct kprobe kprobe = { .symbol_name = PROBED_SYMBOL };
	int err = register_kprobe(&kprobe);

	if (err) {
		pr_err("dvmm: no function " PROBED_SYMBOL " (%d): this kernel's KVM is not one dvmm knows\n",
		       err);
		return -EOPNOTSUPP;
	}
	probed_ip = (unsigned long)kprobe.addr;
	unregister_kprobe(&kprobe);
	return 0;
}

void apic_probe_exit(void)
{
	ftrace_free_filter(&probe_ops);
}
