/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/internal.h - what the files of this folder share. */
#ifndef VCPU_REMOTE_INTERNAL_H
#define VCPU_REMOTE_INTERNAL_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/xarray.h>
#include "../kmod/kmod.h"
#include "../dsm/dsm.h"

struct kvm;
struct kvm_cpuid2;
struct irq_route;

/* One VM on this node: at the origin it hangs on the fd of DVMM_VM_CREATE and on
 * the VMM's files, on a slice on the fd of DVMM_SLICE_OPEN.
 */
struct vm {
	struct kref ref;
	u32 id; /* origin << 16 | number */
	u8 origin;
	u64 nodes; /* bit n = node n has a part */
	u8 uuid[DVMM_UUID_SIZE];
	char name[DVMM_NAME_SIZE];
	u32 home_policy;
	u32 nr_places;
	struct dvmm_vcpu_place *places;

	struct mutex lock; /* order: vm->lock -> nothing of dsm */
	u32 state; /* lock; enum dvmm_vm_state; DEAD is final */
	char reason[DVMM_REASON_SIZE]; /* lock */

	struct file *kvm_file; /* the real VM of this node; set once */
	struct kvm *kvm; /* of kvm_file */
	struct xarray vcpus; /* vcpu_id -> struct vcpu, live here or remote */
	struct dvmm_stats *stats;
	struct dsm_vm *dsm;
	s64 guest_tsc_offset; /* guest TSC minus TSC of the origin */
	struct irq_route *irq; /* irq.c */
	struct slice *slice; /* slice.c; NULL at the origin */
};

static inline bool vm_is_origin(const struct vm *vm)
{
	return vm->origin == dvmm_node_self();
}

/* vm.c */
struct vm *vm_find(u32 id); /* takes a reference, or NULL; any sleepable context */
void vm_put(struct vm *vm);
u8 vm_node_of(const struct vm *vm, u32 vcpu_id); /* by placement; any context */
void vm_die(struct vm *vm, int error, const char *reason); /* all nodes learn it; any sleepable context */

/* apic_probe.c: sees each APIC message of the host's KVM; calls irq_capture() */
int apic_probe_init(void);
void apic_probe_exit(void);

/* irq.c: APIC messages between the nodes of a VM */
int irq_vm_start(struct vm *vm); /* vm->kvm is set; capture from now on */
void irq_vm_stop(struct vm *vm); /* no capture and no injection any more when it returns */
int irq_receive(struct vm *vm, u8 from, const struct dvmm_msg_apic *msg); /* message context */
void irq_vcpu_created(struct vm *vm, u32 vcpu_id); /* a real vCPU of this node is complete */

/* cpuid.c: what a spanning VM offers */
void cpuid_limit(struct kvm_cpuid2 *cpuid, u32 nent); /* in place; KVM_GET_SUPPORTED_CPUID and SET_CPUID2 */

/* clock.c: one guest TSC on all nodes */
int clock_read_offset(struct file *vcpu_file, s64 *out_offset); /* guest TSC - host TSC of a real vCPU; does not wait for KVM_RUN */
int clock_set_offset(struct file *vcpu_file, unsigned long scratch, s64 offset); /* caller is a thread of the VM's process; scratch is its user memory */
int clock_slice_offset(struct vm *vm, s64 *out_offset); /* guest TSC - TSC of this node, from the origin's offset and the link's clock */

#endif
