/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/dsm.h - the door of dvmm-dsm.ko: coherent memory objects of a VM.
 * vcpu-remote and vio include this and nothing else of dsm/.
 */
#ifndef DSM_H
#define DSM_H

#include <linux/mm_types.h>
#include <linux/dvmm.h>
#include "../kmod/kmod.h"

struct dsm_vm; /* the memory of one VM on this node */

/**
 * struct dsm_vm_ops - what dsm tells the layer above
 * @is_idle: no vCPU of this node runs now, so that contended pages may go at once.
 *	May be NULL. Called under locks: must not sleep; a guess will do
 * @failed: memory is lost or a peer broke a rule: the VM cannot go on. Any sleepable
 *	context; called at most once; must not call dsm_vm_destroy() itself. -ESTALE: this
 *	node has lost the origin, or the others go on without it
 * @needs_node: the VM cannot go on without @node, whatever is left of its memory. NULL:
 *	no node but the origin is needed. Called under locks: must not sleep
 * @node_lost: the VM goes on without @node: nothing may be asked of it any more. May be
 *	NULL. May sleep; a message or fault may wait for it
 * @describe: for people: where the guest has this page. May be NULL. May sleep
 */
struct dsm_vm_ops {
	bool (*is_idle)(void *priv);
	void (*failed)(void *priv, int error, const char *reason);
	bool (*needs_node)(void *priv, u8 node);
	void (*node_lost)(void *priv, u8 node);
	void (*describe)(void *priv, u32 mem, u64 offset, char *out_text, size_t room);
};

/**
 * dsm_vm_create() - this node takes part in the memory of VM @vm_id
 * @vm_id: the same on all nodes
 * @nodes: bit n = node n has a part of the VM (origin and slices); homes are among these
 * @origin: node of the VMM
 * @stats: counters of the VM on this node (kind VM); outlives the dsm_vm
 *
 * On a slice it exists before the slice serves, so that no message meets no VM.
 * May sleep. Return: dsm_vm or ERR_PTR (-EEXIST, -ENOMEM).
 */
struct dsm_vm *dsm_vm_create(u32 vm_id, u64 nodes, u8 origin,
			     struct dvmm_stats *stats,
			     const struct dsm_vm_ops *ops, void *priv);

/**
 * struct dsm_past - what a node that joins must know of the VM's past
 * @founders: the nodes it began with: homes by a policy are theirs
 * @gone_founders: of them: have been lost; theirs are the origin's
 * @epoch: how many nodes it has lost
 */
struct dsm_past {
	u64 founders;
	u64 gone_founders;
	u32 epoch;
};

/** dsm_vm_comes_late() - on a node that joins a running VM, before anyone uses @vm */
void dsm_vm_comes_late(struct dsm_vm *vm, const struct dsm_past *past);

/** dsm_vm_get_past() - for that (origin only). Any context */
void dsm_vm_get_past(const struct dsm_vm *vm, struct dsm_past *out_past);

/**
 * dsm_vm_expect_node() - @node will perhaps have a part: what it says is no error
 *
 * On all nodes of the VM, before dsm_vm_add_node(). Idempotent. May sleep.
 * Return: 0 or -ENOMEM
 */
int dsm_vm_expect_node(struct dsm_vm *vm, u8 node);

/**
 * dsm_vm_add_node() - @node, which is expected, has a part from now on
 *
 * After dsm_vm_settle_nodes() at the origin. It may have had one before it was lost.
 * May sleep. Return: 0, -ENOMEM, -EIO: dead, -EAGAIN: a loss is dealt with here, ask again
 */
int dsm_vm_add_node(struct dsm_vm *vm, u8 node);

/**
 * dsm_vm_keep_homes() - no home moves until dsm_vm_let_homes_go() (origin only)
 *
 * A node that is lost meanwhile is dealt with as always, until dsm_vm_settle_nodes().
 * Killable. Return: 0 or -EINTR
 */
int dsm_vm_keep_homes(struct dsm_vm *vm);
void dsm_vm_let_homes_go(struct dsm_vm *vm);

/**
 * dsm_vm_settle_nodes() - after dsm_vm_keep_homes(): now the nodes will be told who joins
 * @epoch: of dsm_vm_get_past()
 *
 * Until dsm_vm_let_homes_go() the loss of a node with a part ends the VM: some know of the
 * new node, some do not. Return: 0; -EAGAIN: a node was lost since, or is being dealt with
 */
int dsm_vm_settle_nodes(struct dsm_vm *vm, u32 epoch);

/**
 * dsm_vm_teach_node() - tell @node, which is about to join, of all memory objects
 *
 * Between dsm_vm_keep_homes() and dsm_vm_settle_nodes(), and while no object is made: no
 * dsm_adopt() runs. May sleep. Return: 0, -ENOTCONN, -ETIMEDOUT, -ENOMEM, or its error
 */
int dsm_vm_teach_node(struct dsm_vm *vm, u8 node);

/** dsm_vm_miss_node() - it does not answer: as if its link were lost. Any sleepable context */
void dsm_vm_miss_node(struct dsm_vm *vm, u8 node);

/**
 * dsm_vm_kill() - no access to its memory succeeds any more
 *
 * Waiting faults end with SIGBUS, mappings are taken away, messages are ignored.
 * Idempotent. May sleep. Other nodes are not told: that is the caller's.
 */
void dsm_vm_kill(struct dsm_vm *vm);

/** dsm_vm_destroy() - kill and drop the reference; pages go when the last mapping goes. May sleep. */
void dsm_vm_destroy(struct dsm_vm *vm);

/**
 * dsm_vm_set_budget() - how many bytes of this node's memory the VM may hold
 * @bytes: DVMM_BUDGET_MIN at least, or DVMM_BUDGET_KEEP, _DEFAULT, _NONE
 *
 * What is too much goes by and by. Any time, any context but hard interrupt.
 * Return: 0 or -EINVAL
 */
int dsm_vm_set_budget(struct dsm_vm *vm, u64 bytes);

/**
 * dsm_vm_hold_nothing() - all pages of this node go to others, until a budget is set again
 *
 * By and by. What has its home here and is the last copy stays. Any sleepable context.
 */
void dsm_vm_hold_nothing(struct dsm_vm *vm);

/**
 * dsm_vm_wait_empty() - after dsm_vm_hold_nothing(), wait until they are gone
 *
 * May sleep, at most @timeout_ms; killable. dsm_vm_get_budget() tells what is left.
 * Return: 0, also when they are not or a budget is set; -EIO (dead), -EINTR
 */
int dsm_vm_wait_empty(struct dsm_vm *vm, u32 timeout_ms);

/** dsm_vm_get_budget() - in bytes: the budget or DVMM_BUDGET_NONE, and what is held now */
void dsm_vm_get_budget(const struct dsm_vm *vm, u64 *out_bytes, u64 *out_resident);

/**
 * struct dsm_segment - a part of a host address range that is one memory object
 * @mem: id of the object in the VM
 * @home_policy: enum dvmm_home_policy
 * @mem_bytes: of the whole object
 * @offset: of the segment in the object
 * @bytes: of the segment
 */
struct dsm_segment {
	u32 mem;
	u32 home_policy;
	u64 mem_bytes;
	u64 offset;
	u64 bytes;
};

#define DSM_MAX_SEGMENTS 64

/**
 * struct dsm_homes - which nodes are home of which guest memory
 * @policy: enum dvmm_home_policy, for what no range names
 * @nr: entries at @range
 * @range: [gpa, gpa + bytes) has its home at @node, a node of the VM
 */
struct dsm_homes {
	u32 policy;
	u32 nr;
	const struct dsm_home_range {
		u64 gpa;
		u64 bytes;
		u8 node;
	} *range;
};

/**
 * dsm_adopt() - make the VMM's memory at [hva, hva + bytes) coherent (origin only)
 * @gpa: where the guest sees it
 * @homes: for objects that are created now
 * @segments: room for DSM_MAX_SEGMENTS
 * @out_nr: segments written: all of the range in order
 *
 * VMAs of the range that are ours already are only described. Others must be
 * private (anonymous or of a file) or shared memory the VMM alone maps; they are replaced by a mapping of a
 * new object with the same protection, and their contents, if any, are kept. Shared
 * mappings of files, huge pages and device memory are refused; the log says why.
 * Caller is a thread of the VMM, holds no mmap_lock. May sleep.
 * Return: 0, -EINVAL (alignment, hole), -EOPNOTSUPP (kind of mapping), -E2BIG
 * (too many segments), -ENOMEM.
 */
int dsm_adopt(struct dsm_vm *vm, unsigned long hva, u64 bytes, u64 gpa,
	      const struct dsm_homes *homes, struct dsm_segment *segments, u32 *out_nr);

/**
 * dsm_map() - map segments, one after the other, into this process (slices)
 * @out_hva: where; all segments together are contiguous there
 *
 * The objects are those the origin has announced. Caller is a thread of the slice.
 * Undo: vm_munmap(). May sleep. Return: 0, -EINVAL (no such object), -ENOMEM.
 */
int dsm_map(struct dsm_vm *vm, const struct dsm_segment *segments, u32 nr,
	    unsigned long *out_hva);

/**
 * dsm_rehome() - give extents of 2 MiB another home, while the VM runs (origin only)
 * @arg: as for DVMM_MEM_REHOME; @arg->out_moved is written also after a failure
 *
 * One extent after the other; what has moved stays moved. While an extent moves (some
 * round trips), who misses a page of it waits. May sleep; killable.
 * Return: 0, -EINVAL (range, node), -ENOENT, -EBUSY (a page is in use for too long:
 * home stays where it was), -ENOMEM, -EIO (the VM is dead, perhaps by this), -EINTR,
 * -EOPNOTSUPP (not the origin).
 */
int dsm_rehome(struct dsm_vm *vm, struct dvmm_mem_rehome *arg);

/**
 * dsm_mem_get_info() - the object with the smallest id >= out->mem_id, for DVMM_MEM_GET
 * Return: 0 or -ENOENT
 */
int dsm_mem_get_info(struct dsm_vm *vm, struct dvmm_mem_get *out);

/**
 * dsm_mem_top() - the pages that are taken from this node most often, hottest first
 * @pages: room for DVMM_MEM_TOP_MAX; gpa is left to the layer that knows memslots
 *
 * May sleep. Return: how many there are
 */
u32 dsm_mem_top(struct dsm_vm *vm, struct dvmm_mem_page *pages);

#endif
