/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/dvmm.h - the door of libdvmm: the ioctls of /dev/dvmm/control as functions,
 * and the words and texts that people see for what they carry.
 *
 * Functions that return int return 0 (or an fd, or a number) when they succeed and
 * a negative errno when they fail, with the meanings of linux/dvmm.h. ret_* and
 * outputs are written only on success.
 */
#ifndef LIBDVMM_H
#define LIBDVMM_H

#include <stddef.h>
#include <stdint.h>
#include <linux/dvmm.h>
#include <dvmm/event.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DVMM_CONTROL_PATH "/dev/dvmm/control"

/* ---- control device (control.c) ---- */

/**
 * dvmm_control_open() - open the control device
 * @flags: O_NONBLOCK or 0, for dvmm_event_read()
 *
 * Return: an fd that is closed on exec. -ENOENT or -ENXIO: the modules are not loaded.
 */
int dvmm_control_open(int flags);

/** dvmm_node_set() - DVMM_NODE_SET; @set->size is filled in */
int dvmm_node_set(int control, struct dvmm_node_set *set);

/** dvmm_node_get() - DVMM_NODE_GET. -ENOTCONN: DVMM_NODE_SET was not called */
int dvmm_node_get(int control, struct dvmm_node_get *ret_node);

/** dvmm_epoch_set() - DVMM_EPOCH_SET: these are the members now. -ESTALE: @epoch is not greater */
int dvmm_epoch_set(int control, uint64_t epoch, uint64_t members);

/**
 * dvmm_link_add() - DVMM_LINK_ADD; @add->size is filled in
 *
 * Return: the fd that keeps the link
 */
int dvmm_link_add(int control, struct dvmm_link_add *add);

/** dvmm_link_get() - state of the link to @node_id. -ENOENT: none was added */
int dvmm_link_get(int control, uint32_t node_id, struct dvmm_link_get *ret_link);

/**
 * dvmm_vm_create() - DVMM_VM_CREATE; @create->size is filled in
 *
 * @create->out_vm_id is written.
 * Return: the fd that keeps the VM
 */
int dvmm_vm_create(int control, struct dvmm_vm_create *create);

/**
 * dvmm_vm_start() - get slices of a VM on all its nodes
 * @vm: from dvmm_vm_create()
 * @timeout_ms: how long to wait for them; 0 = the kernel's choice
 * @ret_reason: on failure: what failed and where, perhaps empty
 *
 * Waits. @ret_reason is the one output that is written on failure.
 */
int dvmm_vm_start(int vm, uint32_t timeout_ms, char ret_reason[DVMM_REASON_SIZE]);

/**
 * dvmm_vm_next() - the VM with the smallest id >= @from
 *
 * @ret_vm->vm_id is its id: go on with that + 1.
 * Return: 0; -ENOENT: no more; -ENOTTY: dvmm-vcpu is not loaded
 */
int dvmm_vm_next(int control, uint32_t from, struct dvmm_vm_get *ret_vm);

/** dvmm_vcpu_next() - as dvmm_vm_next(), over the vCPUs of a VM */
int dvmm_vcpu_next(int control, uint32_t vm_id, uint32_t from, struct dvmm_vcpu_get *ret_vcpu);

/** dvmm_mem_next() - as dvmm_vm_next(), over the memory objects of a VM */
int dvmm_mem_next(int control, uint32_t vm_id, uint32_t from, struct dvmm_mem_get *ret_mem);

/** dvmm_mem_rehome() - give extents of memory another home; @rehome->size is filled in */
int dvmm_mem_rehome(int control, struct dvmm_mem_rehome *rehome);

/**
 * dvmm_mem_top() - the pages of a VM that nodes fight over, hottest first
 * @pages: room for @nr
 * @nr: in: room; out: how many were written, at most DVMM_MEM_TOP_MAX
 */
int dvmm_mem_top(int control, uint32_t vm_id, struct dvmm_mem_page *pages, uint32_t *nr);

/**
 * dvmm_vm_budget() - how many bytes of this node's memory a VM may hold
 * @bytes: from now on, or DVMM_BUDGET_KEEP, _DEFAULT, _NONE
 * @ret_budget: what that is now, and what is held
 *
 * Return: 0; -EINVAL: less than DVMM_BUDGET_MIN; -ENOENT
 */
int dvmm_vm_budget(int control, uint32_t vm_id, uint64_t bytes, struct dvmm_vm_budget *ret_budget);

/**
 * dvmm_vcpu_move() - make a vCPU live on another node, while it runs
 * @move: vm_id, vcpu_id, node_id, timeout_ms; the rest comes back, out_reason after a failure
 *
 * Waits until nothing of the vCPU is left where it was.
 * Return: 0; the errors of DVMM_VCPU_MOVE: it runs on where it was
 */
int dvmm_vcpu_move(int control, struct dvmm_vcpu_move *move);

/**
 * dvmm_vm_join() - give a node a part in a VM that runs already
 * @control: of dvmm_control_open()
 * @join: as for DVMM_VM_JOIN; size is filled in
 *
 * Waits until the node's slice is up and knows the VM's memory.
 * Return: 0; the errors of DVMM_VM_JOIN: the VM goes on as it was
 */
int dvmm_vm_join(int control, struct dvmm_vm_join *join);

/**
 * dvmm_mem_empty() - make a node hold no memory of a VM, as far as it comes in 2 s
 * @ret_bytes: what it holds still
 *
 * Return: 0; -EBUSY: a vCPU lives there; -EOPNOTSUPP: the VM's origin is another node
 */
int dvmm_mem_empty(int control, uint32_t vm_id, uint32_t node_id, uint64_t *ret_bytes);

/**
 * dvmm_slice_open() - make this process the slice of a VM
 * @vcpu_ids: filled with the ids of the vCPUs placed here
 * @nr_vcpus: in: room at @vcpu_ids; out: how many there are
 *
 * Return: the fd of the slice; closing it kills the VM. -ENOENT, -EIO: the VM has ended;
 * -EBUSY: another process is its slice
 */
int dvmm_slice_open(int control, uint32_t vm_id, uint32_t *vcpu_ids, uint32_t *nr_vcpus);

/**
 * dvmm_slice_serve() - lend this thread to the VM
 * @scratch: DVMM_SCRATCH_SIZE bytes, page aligned, this thread's alone
 *
 * Return: 0 when the VM has ended; -EINTR: a signal came, call again; above 0: the same
 * after a thread for the vCPU of this number less one was started
 */
int dvmm_slice_serve(int slice, void *scratch);

/** dvmm_vcpu_serve() - as dvmm_slice_serve(), for one vCPU */
int dvmm_vcpu_serve(int slice, uint32_t vcpu_id, void *scratch);

/**
 * dvmm_stat_get() - counters of an object
 * @kind: enum dvmm_stat_kind
 * @values: filled in the order of dvmm_stat_info()
 * @nr: in: room at @values; out: how many were written
 */
int dvmm_stat_get(int control, uint32_t kind, uint32_t id, uint64_t *values, uint32_t *nr);

/**
 * dvmm_event_read() - read the events that are there
 * @seen: called for each, in order
 *
 * Waits when there is none and the fd is not O_NONBLOCK.
 * Return: how many; -EAGAIN: none
 */
int dvmm_event_read(int control, void (*seen)(const struct dvmm_event *event, void *arg),
		    void *arg);

/* ---- words (words.c) ---- */

/**
 * struct dvmm_stat_info - a counter in words, from dvmm/stat.tbl.h
 * @unit: "count", "bytes", "ns" or "ticks"
 */
struct dvmm_stat_info {
	const char *name;
	const char *unit;
	const char *help;
};

/** dvmm_stat_info() - counter number @nr of enum dvmm_stat_kind @kind, NULL when there is none */
const struct dvmm_stat_info *dvmm_stat_info(uint32_t kind, uint32_t nr);

/* Words for enum values; "?" for one that is not known. */
const char *dvmm_event_word(uint32_t kind);
const char *dvmm_event_help(uint32_t kind);
const char *dvmm_link_state_word(uint32_t state);
const char *dvmm_vm_state_word(uint32_t state);
const char *dvmm_vcpu_state_word(uint32_t state);
const char *dvmm_home_policy_word(uint32_t policy);

/** dvmm_home_policy_parse() - -EINVAL: no such word */
int dvmm_home_policy_parse(const char *word, uint32_t *ret_policy);

/* ---- amounts of memory as text (size.c) ---- */

/** dvmm_size_parse() - "4096", "200M", "3GiB": powers of 1024, below 2^63. -EINVAL */
int dvmm_size_parse(const char *text, uint64_t *ret_bytes);
/** dvmm_budget_parse() - a size that a budget may be, "none" or "default". -EINVAL */
int dvmm_budget_parse(const char *text, uint64_t *ret_budget);

/* ---- addresses and UUIDs as text (addr.c, uuid.c) ---- */

#define DVMM_ADDR_TEXT_SIZE 56
#define DVMM_UUID_TEXT_SIZE 37

/** dvmm_addr_parse() - "10.0.0.1:4750" or "[fe80::1]:4750". -EINVAL */
int dvmm_addr_parse(const char *text, struct dvmm_addr *ret_addr);
/** dvmm_addr_format() - the inverse; returns @text, "-" in it for an unknown family */
const char *dvmm_addr_format(const struct dvmm_addr *addr, char text[DVMM_ADDR_TEXT_SIZE]);

/** dvmm_uuid_parse() - 8-4-4-4-12 hexadecimal digits. -EINVAL */
int dvmm_uuid_parse(const char *text, uint8_t ret_uuid[DVMM_UUID_SIZE]);
/** dvmm_uuid_format() - the inverse, lower case; returns @text */
const char *dvmm_uuid_format(const uint8_t uuid[DVMM_UUID_SIZE], char text[DVMM_UUID_TEXT_SIZE]);
/** dvmm_uuid_random() - a version 4 UUID */
int dvmm_uuid_random(uint8_t ret_uuid[DVMM_UUID_SIZE]);

/** dvmm_hex_parse() - exactly 2 * @size hexadecimal digits. -EINVAL */
int dvmm_hex_parse(const char *text, uint8_t *ret_bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif
