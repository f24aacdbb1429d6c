/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* include/uapi/linux/dvmm.h - what user space says to dvmm.
 *
 * /dev/dvmm/control takes the ioctls below; /dev/dvmm/vm/<uuid> speaks the
 * ioctl ABI of /dev/kvm instead (linux/kvm.h).
 *
 * Every argument starts with its size, so that it can grow. A shorter one of an
 * older caller is completed with zeros, a longer one is accepted if what is
 * unknown is zero. Fields named reserved must be zero, out_* are written.
 *
 * Errors mean the same everywhere:
 *   E2BIG       the caller is newer and uses what this kernel does not know
 *   EINVAL      a value is wrong (size too short, reserved not zero, ...)
 *   EOPNOTSUPP  a known field has a value that is not supported
 *   ENOENT      no object has this id
 *   EEXIST      it is there already
 *   EBUSY       it is in use
 *   ENOTCONN    the node is not set up, or the link to a node is not up
 *   ESTALE      old epoch
 *   ETIMEDOUT   a peer did not answer in time
 *   EIO         the VM is dead; see the event that says why
 */
#ifndef _UAPI_LINUX_DVMM_H
#define _UAPI_LINUX_DVMM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define DVMM_ABI_VERSION 1

#define DVMM_MAX_NODES 64
#define DVMM_MAX_VCPUS 1024
#define DVMM_NAME_SIZE 64 /* with the final zero byte */
#define DVMM_UUID_SIZE 16
#define DVMM_KEY_SIZE 32
#define DVMM_REASON_SIZE 128

#define DVMM_IOC 0xDE

/**
 * struct dvmm_addr - where a node listens for links
 * @family: AF_INET or AF_INET6
 * @port: in host byte order
 * @addr: network byte order; AF_INET uses the first 4 bytes
 */
struct dvmm_addr {
	__u16 family;
	__u16 port;
	__u32 reserved;
	__u8 addr[16];
};

/**
 * struct dvmm_node_set - DVMM_NODE_SET: make this host a node of a cluster
 * @node_id: 0 .. DVMM_MAX_NODES - 1, unique in the cluster
 * @epoch, @epoch_high: number of the agreed membership, 32 bits each; not 0
 * @cluster_uuid: peers of another cluster are refused
 * @node_uuid: of this host
 * @key: the cluster key; both sides of a link prove that they know it
 * @listen: where links are accepted; port 0 is refused
 * @name: of this host, for logs; zero terminated
 *
 * Once per boot of the module, or again with all links closed (EBUSY). All nodes are
 * members until DVMM_EPOCH_SET says else.
 * Needs CAP_SYS_ADMIN.
 */
struct dvmm_node_set {
	__u32 size;
	__u32 flags;
	__u32 node_id;
	__u32 epoch;
	__u8 cluster_uuid[DVMM_UUID_SIZE];
	__u8 node_uuid[DVMM_UUID_SIZE];
	__u8 key[DVMM_KEY_SIZE];
	struct dvmm_addr listen;
	char name[DVMM_NAME_SIZE];
	__u32 epoch_high;
	__u32 reserved;
};

/**
 * struct dvmm_node_get - DVMM_NODE_GET: what DVMM_NODE_SET said, without the key
 * @out_epoch, @out_epoch_high: as of now, see DVMM_EPOCH_SET; 32 bits each
 * @out_members: bit n = node n is a member
 */
struct dvmm_node_get {
	__u32 size;
	__u32 flags;
	__u32 out_abi_version;
	__u32 out_node_id;
	__u32 out_epoch;
	__u32 out_nr_links;
	__u32 out_nr_vms;
	__u32 out_epoch_high;
	__u8 out_cluster_uuid[DVMM_UUID_SIZE];
	__u8 out_node_uuid[DVMM_UUID_SIZE];
	struct dvmm_addr out_listen;
	char out_name[DVMM_NAME_SIZE];
	__u64 out_members;
};

/**
 * struct dvmm_epoch_set - DVMM_EPOCH_SET: the agreed membership is another one
 * @epoch: its number, greater than the one before (ESTALE); the same again, with the
 *	same members, is no error
 * @members: bit n = node n is a member. This node is (EINVAL)
 *
 * Links between members stay up, and are not in a hurry to be in the same epoch. A link to
 * a node that is no member any more is lost at once, and does not come up until the
 * node is one again; from then on what it says in an epoch before that one is refused, and
 * counted (stale_epoch). For a new link that is the epoch in which it was added.
 * ENOTCONN before DVMM_NODE_SET. Needs CAP_SYS_ADMIN.
 */
struct dvmm_epoch_set {
	__u32 size;
	__u32 flags;
	__u64 epoch;
	__u64 members;
};

/**
 * struct dvmm_link_add - DVMM_LINK_ADD: keep a link to a peer
 * @node_id: of the peer; the node with the lower id connects
 * @lost_after_ms: silence after which the peer is lost; 0 = 10000
 * @addr: where the peer listens
 * @name: of the peer
 * @out_fd: the link; closing it closes the link
 *
 * Returns at once; DVMM_LINK_GET and the events tell when it is up or why not.
 * Needs CAP_SYS_ADMIN.
 */
struct dvmm_link_add {
	__u32 size;
	__u32 flags;
	__u32 node_id;
	__u32 lost_after_ms;
	struct dvmm_addr addr;
	char name[DVMM_NAME_SIZE];
	__s32 out_fd;
	__u32 reserved;
};

enum dvmm_link_state {
	DVMM_LINK_DOWN = 0, /* not yet connected, or refused: see reason */
	DVMM_LINK_CONNECTING = 1,
	DVMM_LINK_UP = 2,
	DVMM_LINK_SUSPECT = 3, /* silent; everything waits */
	DVMM_LINK_LOST = 4, /* its VMs are dead; a fresh handshake makes it UP again */
};

/**
 * struct dvmm_link_get - DVMM_LINK_GET: state of the link to @node_id
 * @out_rtt_ns: smallest round trip of a message, measured when it came up
 * @out_clock_offset: peer's TSC minus ours, at one instant
 * @out_clock_error: bound of the error of @out_clock_offset, in TSC ticks
 * @out_reason: why it is not up
 */
struct dvmm_link_get {
	__u32 size;
	__u32 flags;
	__u32 node_id;
	__u32 out_state;
	__u64 out_rtt_ns;
	__s64 out_clock_offset;
	__u64 out_clock_error;
	struct dvmm_addr out_addr;
	char out_name[DVMM_NAME_SIZE];
	char out_reason[DVMM_REASON_SIZE];
};

/**
 * struct dvmm_vcpu_place - @vcpu_id (the id given to KVM_CREATE_VCPU) lives on @node_id
 *
 * DVMM_NO_VCPU: the node lends its memory only. The VM can do without it as long as
 * nobody touches a page of which it had the only copy.
 */
#define DVMM_NO_VCPU 0xffffffff
struct dvmm_vcpu_place {
	__u32 vcpu_id;
	__u32 node_id;
};

enum dvmm_home_policy {
	DVMM_HOME_ORIGIN = 0, /* all extents have their home at the origin */
	DVMM_HOME_INTERLEAVE = 1, /* 2 MiB extents in turn over all nodes */
};

/* Budgets in place of a number of bytes. */
#define DVMM_BUDGET_KEEP 0ULL /* as it is; for a new VM the default */
#define DVMM_BUDGET_DEFAULT (~0ULL - 1) /* dvmm-dsm's parameter vm_budget_mb on that node */
#define DVMM_BUDGET_NONE (~0ULL) /* as much as it takes */
#define DVMM_BUDGET_MIN (1ULL << 20)

/** struct dvmm_vm_budget_on - @node_id shall hold at most @bytes of a VM's memory */
struct dvmm_vm_budget_on {
	__u32 node_id;
	__u32 reserved;
	__u64 bytes;
};

/**
 * struct dvmm_home_range - guest memory at [@start, @start + @bytes) has its home at @node_id
 * @start, @bytes: guest physical, multiples of 4096; an extent of 2 MiB that begins in
 *	the range belongs to it
 * @node_id: a node of the VM
 */
struct dvmm_home_range {
	__u64 start;
	__u64 bytes;
	__u32 node_id;
	__u32 reserved;
};

#define DVMM_MAX_HOME_RANGES 256

/* Flags of struct dvmm_vm_create. */
#define DVMM_VM_CREATE_GROWS 1U

/**
 * struct dvmm_vm_create - DVMM_VM_CREATE: a VM whose origin is this node
 * @flags: DVMM_VM_CREATE_GROWS: nodes may join it (DVMM_VM_JOIN) also if @places name no
 *	other node. Without it such a VM is KVM's own, at no cost, and stays alone
 * @uuid: names /dev/dvmm/vm/<uuid>
 * @name: for people
 * @nr_places: entries at @places
 * @home_policy: enum dvmm_home_policy, for memory that @homes do not name
 * @places: user pointer to struct dvmm_vcpu_place; vCPUs not named are local
 * @out_fd: the VM; closing it ends the VM on all nodes
 * @out_vm_id: its number in the cluster
 * @nr_budgets: entries at @budgets
 * @budgets: user pointer to struct dvmm_vm_budget_on, of nodes that have a part; the
 *	others take their default. See DVMM_VM_BUDGET
 * @nr_homes: entries at @homes, at most DVMM_MAX_HOME_RANGES
 * @homes: user pointer to struct dvmm_home_range, which do not overlap
 *
 * Needs CAP_SYS_ADMIN. The device node is there when this returns.
 */
struct dvmm_vm_create {
	__u32 size;
	__u32 flags;
	__u8 uuid[DVMM_UUID_SIZE];
	char name[DVMM_NAME_SIZE];
	__u32 nr_places;
	__u32 home_policy;
	__u64 places;
	__s32 out_fd;
	__u32 out_vm_id;
	__u32 nr_budgets;
	__u32 nr_homes;
	__u64 budgets;
	__u64 homes;
};

/**
 * struct dvmm_vm_start - DVMM_VM_START, on a VM fd: get slices on all its nodes
 * @timeout_ms: how long to wait for them; 0 = 10000
 * @out_reason: what failed, and where
 *
 * Asks each other node of the placement for a slice; the agent there hears
 * DVMM_EVENT_SLICE_WANTED and starts a slice process. Returns when all serve.
 */
struct dvmm_vm_start {
	__u32 size;
	__u32 flags;
	__u32 timeout_ms;
	__u32 reserved;
	char out_reason[DVMM_REASON_SIZE];
};

enum dvmm_vm_state {
	DVMM_VM_DEFINED = 0,
	DVMM_VM_READY = 1, /* all slices serve; no VMM yet */
	DVMM_VM_RUNNING = 2, /* a VMM has it open */
	DVMM_VM_DEAD = 3, /* it could not go on */
	DVMM_VM_STOPPED = 4, /* it ended as asked */
};

/**
 * struct dvmm_vm_get - DVMM_VM_GET: the VM with the smallest id >= @vm_id
 * @vm_id: in: where to start; out: the VM found. ENOENT: no more
 * @out_nodes: bit n = node n has a part in it: its vCPUs can live there
 */
struct dvmm_vm_get {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 out_origin;
	__u32 out_state;
	__u32 out_nr_vcpus; /* created so far; on this node if not the origin */
	__u32 out_nr_mems;
	__u32 reserved;
	__u64 out_mem_bytes;
	__u8 out_uuid[DVMM_UUID_SIZE];
	char out_name[DVMM_NAME_SIZE];
	char out_reason[DVMM_REASON_SIZE]; /* why it is dead */
	__u64 out_nodes;
};

enum dvmm_vcpu_state {
	DVMM_VCPU_PLACED = 0, /* not created yet */
	DVMM_VCPU_STOPPED = 1, /* nobody is in KVM_RUN */
	DVMM_VCPU_RUNNING = 2,
};

/**
 * struct dvmm_vcpu_get - DVMM_VCPU_GET: the vCPU with the smallest id >= @vcpu_id
 * @vm_id: of a VM known on this node
 * @vcpu_id: in: where to start; out: the vCPU found. ENOENT: no more
 * @out_node_id: where it is live
 * @out_is_local: 1 = here, and the exits below are counted here
 * @out_exits: all exits KVM counts for it (stat "exits"), or 0 when not here
 * @out_remote_exits: exits that went to the VMM on another node
 */
struct dvmm_vcpu_get {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 vcpu_id;
	__u32 out_node_id;
	__u32 out_state;
	__u32 out_is_local;
	__u32 reserved;
	__u64 out_exits;
	__u64 out_remote_exits;
	__u64 out_halt_exits;
	__u64 out_irq_injections;
};

/**
 * struct dvmm_vcpu_move - DVMM_VCPU_MOVE: make a vCPU live on another node, while it runs
 * @vm_id: of a VM whose origin is this node, else EOPNOTSUPP
 * @vcpu_id: of a vCPU the VMM has created or that has a place, else ENOENT
 * @node_id: a node of the VM, also one that only lends memory
 * @timeout_ms: how long the VMM may take until it runs the vCPU; 0 = 5000
 * @out_from: where it lived
 * @out_bytes: of all messages the move took
 * @out_downtime_ns: an upper bound of how long the vCPU stood still: from when it was
 *	told to stop until it could run on
 * @out_rtt_ns: smallest round trip of a message on the slower link of the move, as
 *	in DVMM_LINK_GET
 * @out_late: interrupts that came late and were sent on
 * @out_reason: after a failure: why; the vCPU then runs on where it was
 *
 * The guest notices nothing but the time. Interrupts reach it in the meantime; one may
 * come twice. Of a vCPU that the VMM has not created yet the place changes: it costs nothing.
 *
 * A node that has no part in the VM yet gets one by DVMM_VM_JOIN.
 *
 * EEXIST: it lives there already. ETIMEDOUT: the VMM does not run it (is the VM
 * paused?). EBUSY: another vCPU of the VM moves, or the VM has not started. ENOTCONN: the
 * node has no part in the VM or there is no link to it. EIO: the VM is dead. Others: that
 * node cannot have it.
 * Needs CAP_SYS_ADMIN.
 */
struct dvmm_vcpu_move {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 vcpu_id;
	__u32 node_id;
	__u32 timeout_ms;
	__u32 out_from;
	__u32 out_late;
	__u64 out_bytes;
	__u64 out_downtime_ns;
	__u64 out_rtt_ns;
	char out_reason[DVMM_REASON_SIZE];
};

/**
 * struct dvmm_vm_join - DVMM_VM_JOIN: a node gets a part in a VM that runs already
 * @vm_id: of a VM whose origin is this node, else EOPNOTSUPP
 * @node_id: a node without a part in it. All nodes of the VM need a link to it
 * @timeout_ms: until its slice must be up; 0 = 10000
 * @budget: bytes of the node's memory the VM may hold there, or DVMM_BUDGET_*
 * @out_reason: after a failure: why; the VM then goes on as it was
 *
 * The node has no vCPU and is home of no memory at first: see DVMM_VCPU_MOVE, which may
 * bring one there now, and DVMM_MEM_REHOME. No vCPU stands still meanwhile.
 *
 * A node that the VM has lost, and goes on without, may join again.
 *
 * EEXIST: it has a part in the VM. EBUSY: the VM does not run yet, a vCPU of it moves,
 * another node joins it, or what the node had of it before is not gone yet. EAGAIN: another
 * node of it was lost meanwhile: ask again. ENOTCONN: there is no link to it, or the VM was
 * started without other nodes and without DVMM_VM_CREATE_GROWS. EHOSTUNREACH: another node of
 * the VM has no link to it. ETIMEDOUT: no slice came up. EINVAL: no node, or budget. EIO: the
 * VM is dead, or the slice died.
 * Needs CAP_SYS_ADMIN.
 */
struct dvmm_vm_join {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 node_id;
	__u32 timeout_ms;
	__u32 reserved;
	__u64 budget;
	char out_reason[DVMM_REASON_SIZE];
};

/**
 * struct dvmm_mem_get - DVMM_MEM_GET: the memory object with the smallest id >= @mem_id
 * @vm_id: of a VM known on this node
 * @mem_id: in: where to start; out: the object found. ENOENT: no more
 * @out_bytes: size
 * @out_resident: pages this node holds now
 * @out_metadata: bytes of kernel memory spent on it here, without the pages
 * @out_homed: bytes whose home is this node, in extents of 2 MiB
 */
struct dvmm_mem_get {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 mem_id;
	__u64 out_bytes;
	__u64 out_resident;
	__u64 out_metadata;
	__u32 out_home_policy;
	__u32 reserved;
	__u64 out_homed;
};

#define DVMM_ANY_NODE 0xffffffffU

/**
 * struct dvmm_mem_rehome - DVMM_MEM_REHOME: move homes of memory, while the VM runs
 * @vm_id: of a VM whose origin is this node, else EOPNOTSUPP
 * @mem_id: memory object; 0 = all
 * @extent: first extent of 2 MiB in the object; 0 with @mem_id 0
 * @nr_extents: how many; 0 = all that follow
 * @node_id: the new home, a node of the VM
 * @from_node: only what has its home there; DVMM_ANY_NODE = wherever it is
 * @out_moved: extents that have moved, also after a failure
 *
 * EBUSY: a page is in use for too long, or the loss of a node is dealt with: its home
 * stays where it was. EOPNOTSUPP: its directory was lost with a node. EIO: the VM is
 * dead, perhaps because a node did not answer. Needs CAP_SYS_ADMIN.
 */
struct dvmm_mem_rehome {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 mem_id;
	__u64 extent;
	__u64 nr_extents;
	__u32 node_id;
	__u32 from_node;
	__u64 out_moved;
};

/**
 * struct dvmm_mem_empty - DVMM_MEM_EMPTY: a node shall hold no memory of a VM any more
 * @vm_id: of a VM whose origin is this node, else EOPNOTSUPP
 * @node_id: a node of the VM, not the origin, where no vCPU lives (EBUSY)
 * @timeout_ms: how long to wait until its pages are gone, at most 20000; 0 = 2000
 * @out_bytes: what it holds still; ask again. What has its home there and is nowhere else
 *	stays: DVMM_MEM_REHOME first
 *
 * With nothing left, losing the node costs the VM nothing. It may hold memory again when a
 * vCPU moves there, or a budget is set (DVMM_VM_BUDGET). ENOTCONN: it has no part in the VM.
 * Needs CAP_SYS_ADMIN.
 */
struct dvmm_mem_empty {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 node_id;
	__u32 timeout_ms;
	__u32 reserved;
	__u64 out_bytes;
};

#define DVMM_MEM_TOP_MAX 64
#define DVMM_NO_GPA (~0ULL)

/**
 * struct dvmm_mem_page - a page that was taken from this node lately
 * @mem_id: the memory object
 * @home: node id of its home
 * @page: index of the 4 KiB page in the object
 * @gpa: its guest physical address (one of them), or DVMM_NO_GPA: in no memslot now
 * @nodes: bit n = node n took it from here in the last 20 s; the bit of this
 *	node: it missed it
 * @heat: misses and takes since the page is in the list, halved every 10 s
 * @read_misses: here, that needed another node, since the page is in the list; so
 *	are the counts that follow. All may be too low: what comes at once is not counted
 * @write_misses: with upgrades
 * @takes: write access (and the page or a copy) went to another node
 * @invalidations: a read-only copy had to go
 * @put_off: takes that had to wait, for the residency time or a pin
 * @waits: faults that waited
 * @wait_ns: all of them together
 */
struct dvmm_mem_page {
	__u32 mem_id;
	__u32 home;
	__u64 page;
	__u64 gpa;
	__u64 nodes;
	__u64 heat;
	__u64 read_misses;
	__u64 write_misses;
	__u64 takes;
	__u64 invalidations;
	__u64 put_off;
	__u64 waits;
	__u64 wait_ns;
};

/**
 * struct dvmm_mem_top - DVMM_MEM_TOP: the pages of a VM that nodes fight over, hottest first
 * @vm_id: of a VM known on this node
 * @nr: in: room at @pages, out: how many there are, at most DVMM_MEM_TOP_MAX
 * @page_bytes: sizeof(struct dvmm_mem_page) of the caller; what this kernel does not
 *	know is written as zeros. A multiple of 8
 * @pages: user pointer to struct dvmm_mem_page
 */
struct dvmm_mem_top {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 nr;
	__u32 page_bytes;
	__u32 reserved;
	__u64 pages;
};

/**
 * struct dvmm_vm_budget - DVMM_VM_BUDGET: how much memory of this node a VM may hold
 * @vm_id: of a VM known on this node
 * @bytes: from now on; DVMM_BUDGET_MIN at least, or DVMM_BUDGET_KEEP, _DEFAULT, _NONE
 * @out_bytes: now; DVMM_BUDGET_NONE: no bound
 * @out_resident: bytes this node holds now
 *
 * Cold pages beyond it go to other nodes. What has its home here and is the last copy
 * stays: a budget smaller than that makes the VM slower, never wrong.
 * Needs CAP_SYS_ADMIN.
 */
struct dvmm_vm_budget {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 reserved;
	__u64 bytes;
	__u64 out_bytes;
	__u64 out_resident;
};

/**
 * struct dvmm_slice_open - DVMM_SLICE_OPEN: the calling process becomes the slice
 * @vm_id: from DVMM_EVENT_SLICE_WANTED
 * @nr_vcpus: in: room at @vcpu_ids, out: how many vCPUs are placed here
 * @vcpu_ids: user pointer to __u32
 * @out_fd: the slice; closing it kills the VM
 */
struct dvmm_slice_open {
	__u32 size;
	__u32 flags;
	__u32 vm_id;
	__u32 nr_vcpus;
	__u64 vcpu_ids;
	__s32 out_fd;
	__u32 reserved;
};

/* Bytes a serving thread lends the kernel for the arguments of KVM's ioctls. */
#define DVMM_SCRATCH_SIZE 65536

/**
 * struct dvmm_slice_serve - DVMM_SLICE_SERVE, DVMM_VCPU_SERVE, on a slice fd
 * @vcpu_id: for DVMM_VCPU_SERVE: the vCPU this thread lives for
 * @scratch: user pointer to DVMM_SCRATCH_SIZE bytes, page aligned, this thread's
 *
 * The thread works in the kernel for the VM until the VM ends (returns 0) or a
 * signal comes (EINTR: call again). DVMM_SLICE_SERVE returns 1 + the id of a vCPU that
 * comes here and needs a thread of its own: start one, and call again.
 */
struct dvmm_slice_serve {
	__u32 size;
	__u32 flags;
	__u32 vcpu_id;
	__u32 reserved;
	__u64 scratch;
};

enum dvmm_stat_kind {
	DVMM_STAT_NODE = 0, /* id ignored */
	DVMM_STAT_LINK = 1, /* id = node id of the peer */
	DVMM_STAT_VM = 2, /* id = vm id; memory, interrupts, exits on this node */
};

/**
 * struct dvmm_stat_get - DVMM_STAT_GET: counters of one object
 * @kind: enum dvmm_stat_kind
 * @id: of the object
 * @nr: in: room at @values, out: counters the kernel has (dvmm/stat.tbl.h)
 * @values: user pointer to __u64
 */
struct dvmm_stat_get {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 id;
	__u32 nr;
	__u32 reserved;
	__u64 values;
};

/**
 * struct dvmm_event - one record of read() on the control fd
 * @size: of this record; read() returns whole records
 * @kind: enum dvmm_event_kind (dvmm/event.tbl.h)
 * @seq: counts all events since load; a gap means that this reader was too slow
 * @time_ns: CLOCK_REALTIME
 * @node_id: the node it is about
 * @vm_id: the VM it is about, or 0
 * @text: a sentence for people
 *
 * An fd sees the events since it was opened and, before them, up to the last
 * 256. poll() tells when there is one; O_NONBLOCK works.
 */
struct dvmm_event {
	__u32 size;
	__u32 kind;
	__u64 seq;
	__u64 time_ns;
	__u32 node_id;
	__u32 vm_id;
	char text[DVMM_REASON_SIZE];
};

#define DVMM_NODE_SET	_IOW(DVMM_IOC, 0x00, struct dvmm_node_set)
#define DVMM_NODE_GET	_IOWR(DVMM_IOC, 0x01, struct dvmm_node_get)
#define DVMM_EPOCH_SET	_IOW(DVMM_IOC, 0x02, struct dvmm_epoch_set)
#define DVMM_LINK_ADD	_IOWR(DVMM_IOC, 0x10, struct dvmm_link_add)
#define DVMM_LINK_GET	_IOWR(DVMM_IOC, 0x11, struct dvmm_link_get)
#define DVMM_VM_CREATE	_IOWR(DVMM_IOC, 0x20, struct dvmm_vm_create)
#define DVMM_VM_START	_IOWR(DVMM_IOC, 0x21, struct dvmm_vm_start)
#define DVMM_VM_GET	_IOWR(DVMM_IOC, 0x22, struct dvmm_vm_get)
#define DVMM_VCPU_GET	_IOWR(DVMM_IOC, 0x23, struct dvmm_vcpu_get)
#define DVMM_MEM_GET	_IOWR(DVMM_IOC, 0x24, struct dvmm_mem_get)
#define DVMM_MEM_REHOME	_IOWR(DVMM_IOC, 0x25, struct dvmm_mem_rehome)
#define DVMM_MEM_TOP	_IOWR(DVMM_IOC, 0x28, struct dvmm_mem_top)
#define DVMM_VM_BUDGET	_IOWR(DVMM_IOC, 0x29, struct dvmm_vm_budget)
#define DVMM_VCPU_MOVE	_IOWR(DVMM_IOC, 0x2a, struct dvmm_vcpu_move)
#define DVMM_MEM_EMPTY	_IOWR(DVMM_IOC, 0x2b, struct dvmm_mem_empty)
#define DVMM_VM_JOIN	_IOWR(DVMM_IOC, 0x2c, struct dvmm_vm_join)
#define DVMM_SLICE_OPEN	_IOWR(DVMM_IOC, 0x30, struct dvmm_slice_open)
#define DVMM_SLICE_SERVE _IOW(DVMM_IOC, 0x31, struct dvmm_slice_serve)
#define DVMM_VCPU_SERVE	_IOW(DVMM_IOC, 0x32, struct dvmm_slice_serve)
#define DVMM_STAT_GET	_IOWR(DVMM_IOC, 0x40, struct dvmm_stat_get)

#endif
