/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/wire.h - checks of what a peer says about vCPUs. Pure; also built in user space. */
#ifndef VCPU_REMOTE_WIRE_H
#define VCPU_REMOTE_WIRE_H

#include <linux/kvm.h>
#include <dvmm/wire.h>

/* struct kvm_run up to the registers that a VMM may share; the same on all kernels. */
#define RUN_BYTES offsetof(struct kvm_run, kvm_valid_regs)
#define RUN_DATA_BYTES 4096UL

/** wire_run_is_sound() - DVMM_MSG_VCPU_RUN of @len bytes: fields, and that its tail is whole */
bool wire_run_is_sound(const struct dvmm_msg_run *run, unsigned long len);

/**
 * wire_exit_is_sound() - DVMM_MSG_VCPU_EXIT of @len bytes: as above, and that the exit is one
 * that KVM could tell: a VMM takes sizes in it as they are
 */
bool wire_exit_is_sound(const struct dvmm_msg_run *exit, unsigned long len);

/** wire_moved_is_sound() - DVMM_MSG_VCPU_MOVED of @len bytes; @nodes: bit n = node n has or had a part */
bool wire_moved_is_sound(const struct dvmm_msg_moved *moved, unsigned long len, __u64 nodes);

/** wire_join_is_sound() - DVMM_MSG_VM_JOIN of @len bytes */
bool wire_join_is_sound(const struct dvmm_msg_join *join, unsigned long len);

/** wire_state_is_sound() - DVMM_MSG_VCPU_LOAD of @len bytes: its records are whole */
bool wire_state_is_sound(const struct dvmm_msg_state *state, unsigned long len);

/** wire_empty_is_sound() - DVMM_MSG_SLICE_EMPTY of @len bytes, or its reply */
bool wire_empty_is_sound(const struct dvmm_msg_empty *empty, unsigned long len);

#endif
