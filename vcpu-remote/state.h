/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/state.h - the whole state of a real vCPU. Callers are threads of the
 * process whose VM it is, and may sleep. The vCPU does not run.
 */
#ifndef VCPU_REMOTE_STATE_H
#define VCPU_REMOTE_STATE_H

#include "records.h"

struct file;
struct vm;

/**
 * struct real_vcpu - a vCPU of this node's KVM
 * @scratch: DVMM_SCRATCH_SIZE bytes of user memory
 */
struct real_vcpu {
	struct vm *vm;
	struct file *file;
	unsigned long scratch;
};

/** state_save() - as records of KVM_SET_*. -E2BIG: more than @records have room for */
int state_save(const struct real_vcpu *real, struct records *records);
/** state_load() - what state_save() told. -EOPNOTSUPP and others: this node cannot have it */
int state_load(const struct real_vcpu *real, const u8 *start, u32 bytes);
/** state_switch_off() - no interrupt finds it, no timer of it runs, until state_load() */
int state_switch_off(const struct real_vcpu *real);

/**
 * struct late - interrupts for a vCPU that had left when they came
 * @pending: vectors, 32 in each, also those that were pending when its state was saved
 * @level: which of them are level-triggered
 */
struct late {
	u32 pending[8];
	u32 level[8];
	bool nmi;
	bool init; /* before sipi */
	bool sipi;
	u8 sipi_vector;
};

/** state_late() - what has come since state_save() said @was */
int state_late(const struct real_vcpu *real, const struct records *was, struct late *out);

#endif
