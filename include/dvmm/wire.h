/* SPDX-License-Identifier: GPL-2.0-only */
/* include/dvmm/wire.h - what travels between nodes, as data.
 *
 * A link has two queue pairs: one for messages (this header, then the payload
 * of its type, then perhaps a tail) and one for guest pages (4096 bytes and a
 * 32-bit immediate word, see proto_data_to_imm()). Order is kept within a queue
 * pair, not between the two. All numbers are little endian. A receiver checks
 * length, type, epoch and every field; a peer that breaks a rule is
 * disconnected.
 */
#ifndef DVMM_WIRE_H
#define DVMM_WIRE_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#else
#include <assert.h>
#endif
#include <linux/dvmm.h>

#define DVMM_WIRE_MAGIC 0x4d4d5644 /* "DVMM" */
#define DVMM_WIRE_VERSION 5
#define DVMM_MSG_MAX 16384 /* header, payload and tail */
#define DVMM_NONCE_SIZE 32
#define DVMM_MAC_SIZE 32
#define DVMM_NO_NODE 0xff

/**
 * struct dvmm_msg_hdr - start of each message
 * @len: of header, payload and tail
 * @type: DVMM_MSG_*
 * @status: REPLY: 0 or a positive errno
 * @epoch: membership the sender acts in; one from before it became a member is refused
 * @vm: VM id, or 0
 * @req: number of the request or of the request answered, or 0
 * @msg_credits: receive buffers for messages the sender has posted anew
 * @page_credits: receive buffers for pages the sender has posted anew
 */
struct dvmm_msg_hdr {
	__le32 len;
	__le16 type;
	__le16 status;
	__le64 epoch;
	__le32 vm;
	__le32 req;
	__le32 msg_credits;
	__le32 page_credits;
};
static_assert(sizeof(struct dvmm_msg_hdr) == 32);

/* The handshake: HELLO both ways, then PROOF both ways.
 * mac = HMAC-SHA256(key, "dvmm1" | role | hello of the prover | hello of the verifier)
 * role is one byte: 'C' for the side that connected, 'L' for the listener, so
 * that a proof cannot be reflected.
 */
struct dvmm_msg_hello {
	__le32 magic;
	__le32 version;
	__le32 node_id;
	__le32 peer_id; /* whom I think I talk to */
	__u8 cluster_uuid[DVMM_UUID_SIZE];
	__u8 node_uuid[DVMM_UUID_SIZE];
	__u8 nonce[DVMM_NONCE_SIZE];
	__le32 msg_credits; /* receive buffers posted before this was sent */
	__le32 page_credits;
};
static_assert(sizeof(struct dvmm_msg_hello) == 88);

struct dvmm_msg_proof {
	__u8 mac[DVMM_MAC_SIZE];
};

struct dvmm_msg_refuse {
	__le32 error; /* positive errno */
	__le32 reserved;
	__u8 reason[DVMM_REASON_SIZE];
};

/* Request and reply; a reply fills the last two. */
struct dvmm_msg_clock {
	__le64 sent_tsc;
	__le64 received_tsc;
	__le64 replied_tsc;
};

/**
 * struct dvmm_msg_mem - a coherence message; hdr.vm names the VM. MEM_BATCH has several
 * @mem: memory object
 * @event: enum proto_msg
 * @requester: as struct proto_event, like the rest
 * @epoch: how many nodes the VM has lost so far, as the sender knows
 * @page: index of the 4 KiB page in the object
 */
struct dvmm_msg_mem {
	__le32 mem;
	__u8 event;
	__u8 requester;
	__u8 grant;
	__u8 acks;
	__u8 flags;
	__u8 reserved; /* 0 */
	__le16 epoch;
	__le32 txn;
	__le64 page;
};
static_assert(sizeof(struct dvmm_msg_mem) == 24);
#define DVMM_MEM_BATCH 20 /* of them in one MEM_BATCH: a small send buffer with its header */

/**
 * struct dvmm_msg_mem_add - the origin has made a memory object; hdr.vm names the VM
 * @mem: its id
 * @home_policy: enum dvmm_home_policy
 * @bytes: size, a multiple of 4096
 * @turn_ticks: how long a node may keep contended pages, in TSC ticks; the same in
 *	all messages of a VM
 * @nr_runs: tail: struct dvmm_wire_home_run, whose extents together are all of the
 *	object; 0 = homes follow from the policy
 */
struct dvmm_msg_mem_add {
	__le32 mem;
	__le32 home_policy;
	__le64 bytes;
	__le64 turn_ticks;
	__le32 nr_runs;
	__le32 reserved; /* 0 */
};
static_assert(sizeof(struct dvmm_msg_mem_add) == 32);

#define DVMM_EXTENT_PAGES 512 /* 2 MiB have one home */

/* So many extents in a row have their home at @node. */
struct dvmm_wire_home_run {
	__le32 nr_extents;
	__le32 node;
};
#define DVMM_MAX_HOME_RUNS 1024

/**
 * struct dvmm_msg_home - the origin moves the home of an extent; hdr.vm names the VM
 * @mem: memory object
 * @node: MEM_FREEZE: the old home, who is asked; MEM_INSTALL: the new one, who is
 *	asked; MEM_HOME: the home from now on
 * @extent: number of the 2 MiB in the object
 * @nr_entries: MEM_INSTALL: tail: struct dvmm_wire_home, in the order of their pages;
 *	those that are not there are untouched. Else 0
 *
 * The reply to MEM_FREEZE carries such entries.
 */
struct dvmm_msg_home {
	__le32 mem;
	__le32 node;
	__le64 extent;
	__le32 nr_entries;
	__le32 reserved; /* 0 */
};
static_assert(sizeof(struct dvmm_msg_home) == 24);

/* A directory entry that serves nobody; fields as in struct proto_home. */
struct dvmm_wire_home {
	__le16 page; /* in the extent */
	__u8 state;
	__u8 owner;
	__le32 reserved; /* 0 */
	__le64 sharers;
};
static_assert(sizeof(struct dvmm_wire_home) == 16);

/**
 * struct dvmm_msg_mem_loss - what a node has done about the loss of another one
 * @epoch: the one that begins with this loss
 * @pages: with the first step: pages sent to the receiver for this VM, ever
 * @step: enum loss_step (dsm/internal.h)
 * @lost: the node that is lost
 */
struct dvmm_msg_mem_loss {
	__le32 epoch;
	__le32 pages;
	__u8 step;
	__u8 lost;
	__u8 reserved[6]; /* 0 */
};
static_assert(sizeof(struct dvmm_msg_mem_loss) == 16);

/**
 * struct dvmm_msg_mem_held - after a loss: what the sender holds of the receiver's pages
 * @nr: tail: how many __le64: page << 8 | PROTO_S, PROTO_E or PROTO_M
 */
struct dvmm_msg_mem_held {
	__le32 mem;
	__le32 epoch;
	__le32 nr;
	__le32 reserved; /* 0 */
};
static_assert(sizeof(struct dvmm_msg_mem_held) == 16);

/**
 * struct dvmm_msg_slice_start - tail: nr_places * struct dvmm_wire_place
 * @mem_epoch: 0, or how many nodes it has lost before the receiver joins
 * @budget: bytes of the receiver's memory the VM may hold, or DVMM_BUDGET_*
 * @founders: 0, or the nodes it began with: the receiver joins the VM while it runs
 * @gone_founders: of them: were lost, and may be back; their homes are the origin's
 */
struct dvmm_msg_slice_start {
	__u8 uuid[DVMM_UUID_SIZE];
	__u8 name[DVMM_NAME_SIZE];
	__le64 guest_tsc_offset; /* guest TSC minus TSC of the origin */
	__le32 home_policy;
	__le32 nr_places;
	__le32 tsc_khz; /* of the origin; a slice refuses another frequency */
	__le32 mem_epoch;
	__le64 budget;
	__le64 founders;
	__le64 gone_founders;
};

enum dvmm_join_step {
	DVMM_JOIN_EXPECT = 0, /* perhaps: what it says is no error */
	DVMM_JOIN_ADD = 1, /* from now on */
};

/**
 * struct dvmm_msg_join - a node gets a part in a VM that runs
 * @node: perhaps the receiver: then all others know it
 * @step: enum dvmm_join_step
 */
struct dvmm_msg_join {
	__le32 node;
	__le32 step;
};

struct dvmm_wire_place {
	__le32 vcpu_id;
	__le32 node_id;
};

struct dvmm_msg_vm_stop {
	__le32 error; /* 0 = as asked */
	__le32 reserved;
	__u8 reason[DVMM_REASON_SIZE];
};

/**
 * struct dvmm_msg_vcpu - about one vCPU
 * @run_seq: VCPU_KICK: the run that shall end, as in struct dvmm_msg_run; else 0
 */
struct dvmm_msg_vcpu {
	__le32 vcpu_id;
	__le32 run_seq;
};

/**
 * struct dvmm_msg_ioctl - a KVM ioctl, as request and as reply
 * @cmd: KVM's ioctl number, as in linux/kvm.h
 * @vcpu_id: for VCPU_IOCTL, else 0
 * @ret: reply: what the ioctl returned, when that is not an error
 * @arg_len: bytes of the argument in the tail
 * @arg: the argument itself when it is no pointer
 */
struct dvmm_msg_ioctl {
	__le32 cmd;
	__le32 vcpu_id;
	__le32 ret;
	__le32 arg_len;
	__le64 arg;
};
static_assert(sizeof(struct dvmm_msg_ioctl) == 24);

/**
 * struct dvmm_msg_memslot - struct kvm_userspace_memory_region, over nodes
 * @nr_segments: tail: how many struct dvmm_wire_segment make up the slot; 0 = delete
 */
struct dvmm_msg_memslot {
	__le32 slot; /* with the address space in the upper 16 bits */
	__le32 flags;
	__le64 guest_phys_addr;
	__le64 memory_size;
	__le32 nr_segments;
	__le32 reserved;
};
static_assert(sizeof(struct dvmm_msg_memslot) == 32);

struct dvmm_wire_segment {
	__le32 mem;
	__le32 home_policy;
	__le64 mem_bytes; /* of the whole object */
	__le64 offset; /* in the object */
	__le64 bytes;
};
static_assert(sizeof(struct dvmm_wire_segment) == 32);

/**
 * struct dvmm_msg_run - a vCPU goes into or comes out of KVM_RUN
 * @vcpu_id: which
 * @run_seq: counts the runs of this vCPU; an exit answers the run of its number
 * @ret: exit: what KVM_RUN returned (negative errno)
 * @run_len: bytes of struct kvm_run in the tail, then
 * @data_len: bytes at its io.data_offset (port I/O)
 * @flags: DVMM_RUN_F_*
 * @guest_tsc_offset: with DVMM_RUN_F_TSC: guest TSC minus TSC of the origin
 */
struct dvmm_msg_run {
	__le32 vcpu_id;
	__le32 run_seq;
	__le32 ret;
	__le32 run_len;
	__le32 data_len;
	__le32 flags;
	__le64 guest_tsc_offset;
};
static_assert(sizeof(struct dvmm_msg_run) == 32);
#define DVMM_RUN_F_TSC 1 /* set the guest TSC before this run */

/**
 * struct dvmm_msg_state - the state of a vCPU that moves, in VCPU_LOAD and in the reply
 * to VCPU_SAVE
 * @vcpu_id: which
 * @records_len: bytes in the tail: struct dvmm_wire_record, each with its data
 * @guest_tsc_offset: VCPU_LOAD: guest TSC minus TSC of the origin; else 0
 */
struct dvmm_msg_state {
	__le32 vcpu_id;
	__le32 records_len;
	__le64 guest_tsc_offset;
};
static_assert(sizeof(struct dvmm_msg_state) == 16);

/* The argument of one of KVM's ioctls, padded to 8 bytes; zeros at its end are left out. */
struct dvmm_wire_record {
	__le32 cmd; /* KVM_SET_* */
	__le32 len;
};

/**
 * struct dvmm_msg_moved - a vCPU has moved
 * @from: node that has it no more: the receiver owes it a VCPU_FENCE; 255: none, as the VMM
 *	has not created it yet
 * @to: node it lives on
 */
struct dvmm_msg_moved {
	__le32 vcpu_id;
	__le32 from;
	__le32 to;
	__le32 reserved; /* 0 */
};
static_assert(sizeof(struct dvmm_msg_moved) == 16);

/**
 * struct dvmm_msg_empty - the origin asks a node to hold no memory of the VM any more
 * @timeout_ms: how long it may take until it answers
 * @resident: reply: bytes that it holds still
 */
struct dvmm_msg_empty {
	__le32 timeout_ms;
	__le32 reserved; /* 0 */
	__le64 resident;
};
static_assert(sizeof(struct dvmm_msg_empty) == 16);

/**
 * struct dvmm_msg_apic - one APIC message
 * @dest: as in struct kvm_lapic_irq
 * @flags: DVMM_APIC_F_*
 */
struct dvmm_msg_apic {
	__le32 dest;
	__le32 vector;
	__le32 delivery_mode; /* APIC_DM_* */
	__le32 dest_mode; /* APIC_DEST_PHYSICAL or APIC_DEST_LOGICAL */
	__le32 shorthand; /* APIC_DEST_* */
	__le32 flags;
};
#define DVMM_APIC_F_LEVEL 1
#define DVMM_APIC_F_TRIG 2

#define MSG(name, number, service, bytes, help) DVMM_MSG_##name = number,
enum dvmm_msg_type {
#include <dvmm/msg.tbl.h>
};
#undef MSG

#endif
