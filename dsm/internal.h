/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/internal.h - what the files of this folder share.
 *
 * A memory object (mem) has a record (struct dsm_page) for each page that was
 * ever touched here, and at the page's home a directory entry (struct
 * dsm_home) for it. "frame" is the struct page that holds the contents.
 *
 * Lock order: mmap_lock -> page lock (page_lock()) -> folio lock ->
 * i_mmap_rwsem -> page table lock. A taker of a frame holds the page lock and
 * only tries the folio lock, because a fault returns with the folio locked.
 * No page lock is held while a peer is waited for. The lock of an extent (block.c)
 * comes before page locks and folio locks, behind the mmap_lock.
 *
 * Memory: a receive handler and whoever holds a page lock (which handlers take) must
 * not wait for memory: a host gets some back when copies are put away, and for that
 * answers have to be received. They allocate by GFP_AT_ONCE or from a reserve; what is
 * not there then is: a request of a peer, sent back ("ask again"); an access here,
 * repeated after fetch_reserve(). Requests with a reply are done by a worker (dvmm_defer()).
 */
#ifndef DSM_INTERNAL_H
#define DSM_INTERNAL_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include "dsm.h"
#include "migrate.h"
#include "proto.h"

#define GFP_AT_ONCE (GFP_NOWAIT | __GFP_NOWARN)

/* ---- regain.c: contended pages that were lost ---- */

#define REGAIN_MAX 100

struct regain_page {
	u32 mem;
	u64 index;
};

struct regain {
	spinlock_t lock; /* order: page lock -> this */
	u32 nr; /* lock */
	struct regain_page lost[REGAIN_MAX]; /* lock */
};

/* ---- prefetch.c: pages that will be missed next ---- */

#define PREFETCH_STREAMS 8

struct prefetch_stream {
	u32 mem;
	u32 window; /* pages asked for at a time; 0 = a stride is not known yet */
	s64 stride;
	u64 last; /* the last page asked for or missed */
	u64 mark; /* touched, it asks for the next window */
};

struct prefetch {
	spinlock_t lock; /* taken under no other */
	u32 next; /* the stream to forget; lock */
	u32 window_max; /* a hint */
	struct prefetch_stream stream[PREFETCH_STREAMS]; /* lock */
};

/* ---- evict.c: what is too much ---- */

struct evict_hand {
	u32 mem;
	u64 index;
};

struct evict {
	long budget; /* frames; 0: the parameter's, LONG_MAX: no bound, -1: none at all */
	atomic_long_t nr_resident; /* frames */
	atomic_long_t nr_homed; /* of them, whose home is here */
	atomic_long_t nr_copies; /* of them, in state S */
	atomic_long_t nr_gone; /* frames that went, ever */
	atomic_long_t nr_putting; /* Puts without an answer */
	atomic_long_t shrink; /* copies the host wants to be rid of */
	bool rests; /* nothing could go lately */
	unsigned long vain_until; /* jiffies; no copy could go lately */
	unsigned long short_until; /* jiffies; the host was short of memory lately */
	struct wait_queue_head wait; /* a frame went, a Put ended, it rests */
	struct delayed_work work; /* runs one at a time, and alone uses what follows */
	struct evict_hand first, second;
	long nr_apart; /* steps the first hand is ahead */
};

/* ---- block.c: large pages ---- */

struct block;

struct block_list {
	spinlock_t lock; /* order: page lock -> this */
	struct list_head wanted; /* lock; to be split, oldest first */
	struct delayed_work work;
};

/* ---- heat.c: the pages that nodes fight over ---- */

struct heat;
/* ---- loss.c: a node is lost, the others go on ---- */

/* What a survivor has done; each waits for all others before it does the next. */
enum loss_step {
	LOSS_SEEN, /* to the origin only: I have lost it */
	LOSS_FROZEN, /* nothing new begins here; from the origin: do so */
	LOSS_SETTLED, /* nothing is under way any more; directories are forgotten */
	LOSS_REBUILT, /* the homes have heard what is held here */
	LOSS_NR_STEPS,
};

enum loss_phase {
	LOSS_NONE,
	LOSS_DRAINS, /* answers are taken, nothing else */
	LOSS_REBUILDS, /* of the new epoch; accesses still wait */
};

#define LOSS_TIMEOUT_MS 20000 /* until all agree */

struct loss {
	spinlock_t lock; /* any context but interrupts */
	u8 phase; /* enum loss_phase; written by the work alone */
	u8 lost; /* the node that is being dealt with */
	u64 seen; /* lock; nodes lost that nobody deals with yet */
	u64 ordered[2]; /* lock; the node the origin has given up, by epoch; 0 or its bit */
	u64 reached[2][LOSS_NR_STEPS]; /* lock; the nodes that have, by epoch */
	u32 due_pages[2][DVMM_MAX_NODES]; /* lock; pages they have sent to us, by epoch */
	atomic_t sent_pages[DVMM_MAX_NODES]; /* ever, as what follows */
	atomic_t came_pages[DVMM_MAX_NODES];
	struct wait_queue_head wait; /* for what the others have done */
	struct work_struct work;
	u32 found_mem; /* set once: an access to a page that is lost; the VM has failed */
	u64 found_index;
};

/* ---- vm.c: the memory of one VM on this node ---- */

struct dsm_vm {
	struct rcu_head rcu; /* not behind its first 4 KiB */
	u32 id;
	u8 self;
	u8 origin;
	u8 nr_founders;
	u8 founder[DVMM_MAX_NODES]; /* homes by the policy are theirs: the nodes it began with */
	u8 heir[DVMM_MAX_NODES]; /* home.c: who has the homes that this node had first */
	u64 gone_founders; /* of them: were lost, and may be back; their homes are the origin's */
	u64 known_nodes; /* loss.lock for writing; have, had or are about to have a part */
	u64 lost_nodes; /* likewise */
	u64 nodes; /* likewise; have a part */
	u32 epoch; /* how many were lost; written by the work of loss alone */
	struct dvmm_stats *stats; /* NULL once it may be gone */
	const struct dsm_vm_ops *ops;
	void *priv;

	struct kref ref; /* the owner, and each mem */
	refcount_t users; /* faults, handlers, takes: vm_enter() */
	struct completion idle; /* users is zero */
	bool dead;
	atomic_t failed; /* fail_* is being set or set */
	int fail_error;
	char fail_reason[DVMM_REASON_SIZE];
	struct work_struct fail_work;

	u64 turn_ticks; /* turn.c; set before the first fault, and while the origin is alone */
	atomic_t nr_foreseen; /* requests under way that nobody waits for; fetch.c */
	struct regain regain;
	struct prefetch prefetch;
	struct evict evict;
	struct block_list blocks;
	struct heat *heat;

	struct mutex rehome_lock; /* one extent moves, or a node joins; held over requests; origin */
	bool nodes_differ; /* rehome_lock; about a home, or who takes part: no node may be lost now */
	atomic_t freezes; /* 1: an extent of this node is being frozen */
	struct wait_queue_head home_quiet; /* a page of a frozen extent is served no more */
	struct loss loss;
	struct post_box *post[DVMM_MAX_NODES]; /* of the known nodes */

	struct mutex lock; /* adoption and making of mems; taken under no other */
	u32 last_mem; /* lock */
	struct xarray mems; /* id -> struct dsm_mem; changed under lock */
};

struct dsm_vm *vm_find(u32 id); /* vm_enter()ed, or NULL. Any context */
bool vm_enter(struct dsm_vm *vm); /* false: it is ending. Any context */
void vm_leave(struct dsm_vm *vm);
void vm_get(struct dsm_vm *vm);
void vm_put(struct dsm_vm *vm);
__printf(3, 4) void vm_fail(struct dsm_vm *vm, int error, const char *fmt, ...);
void vm_set_founders(struct dsm_vm *vm, u64 nodes); /* before anyone uses it */
void vm_each(void (*act)(struct dsm_vm *vm, void *arg), void *arg); /* that does not end. Must not sleep */

static inline bool vm_is_dead(const struct dsm_vm *vm)
{
	return READ_ONCE(vm->dead);
}

static inline bool vm_has_node(const struct dsm_vm *vm, u8 node)
{
	return node < DVMM_MAX_NODES && READ_ONCE(vm->nodes) >> node & 1;
}

/* Or is it lost by now, or about to join? */
static inline bool vm_had_node(const struct dsm_vm *vm, u8 node)
{
	return node < DVMM_MAX_NODES && READ_ONCE(vm->known_nodes) >> node & 1;
}

static inline bool vm_is_idle(const struct dsm_vm *vm)
{
	return vm->ops && vm->ops->is_idle && vm->ops->is_idle(vm->priv);
}

static inline void vm_stat_add(struct dsm_vm *vm, u32 nr, s64 amount)
{
	struct dvmm_stats *stats = READ_ONCE(vm->stats);

	if (stats)
		dvmm_stat_add(stats, nr, amount);
}

#define vm_stat(vm, name) vm_stat_add(vm, DVMM_STAT_VM_##name, 1)

/* ---- mem.c: one memory object ---- */

struct dsm_mem {
	struct kref ref; /* vm->mems, the inode, takes and fetches */
	struct dsm_vm *vm;
	u32 id;
	u32 home_policy;
	u8 *homes; /* NULL: by home_policy; home.c */
	u64 nr_pages;
	bool no_blocks; /* large pages are not wanted; set before it is mapped here */
	u64 orphaned_by; /* home.c: nodes that were lost with the directories they had */
	struct file *file; /* vm->mems' reference */
	struct address_space *mapping; /* of the inode; valid while file or a fault is */
	struct xarray chunks; /* index / CHUNK_PAGES -> struct page_chunk */
	atomic_long_t nr_resident;
	atomic_long_t metadata_bytes;
};

#define MEM_MAX_BYTES (1ULL << 46)

struct mem_config {
	u32 id;
	u32 home_policy;
	u64 bytes;
	u8 *homes; /* NULL, or of home_table_alloc(): the mem's from now on, also after an error */
};

struct dsm_mem *mem_add(struct dsm_vm *vm, const struct mem_config *config); /* vm->lock. -EEXIST */
int mem_create(struct dsm_vm *vm, struct mem_config *config, struct dsm_mem **out_mem); /* vm->lock; origin; tells the others */
bool mem_is_equal(const struct dsm_mem *mem, u32 home_policy, u64 bytes);
struct dsm_mem *mem_find(struct dsm_vm *vm, u32 id); /* caller is in the vm */
struct dsm_mem *mem_next(struct dsm_vm *vm, u32 *id); /* with a reference: of an id >= *id, which goes behind it; or NULL */
void mem_get(struct dsm_mem *mem);
void mem_put(struct dsm_mem *mem);
void mem_zap_all(struct dsm_mem *mem); /* every mapping loses every page. May sleep */
void mem_exit(void); /* waits for the last mem */

/* ---- memfile.c: the file that is mapped ---- */

struct file *memfile_create(struct dsm_mem *mem); /* its inode takes a reference of mem */
struct dsm_mem *memfile_mem(struct file *file); /* NULL: not ours */
int memfile_init(void);
void memfile_exit(void);

/* ---- page.c: the record of a page, its lock, its frame ---- */

/* 0x01, 0x40, 0x80: see migrate.h */
#define PAGE_F_TAKE 0x02 /* a take is put off */
#define PAGE_F_WISH_READ 0x04 /* the fault that did not wait wanted to read */
#define PAGE_F_COUNTED 0x08 /* the fault that will use the grant is counted */
#define PAGE_F_REGAINED 0x10 /* asked for because it was lost; not used yet */
#define PAGE_F_PROBED 0x20 /* unmapped, to see whether it is still written */
#define PAGE_F_PREFETCHED 0x100 /* asked for because its neighbours were; not used yet */
#define PAGE_F_MARK 0x200 /* in the middle of a window of them */
#define PAGE_F_COLD 0x400 /* unmapped, to see whether it is still used */
#define PAGE_F_HOMED 0x800 /* its frame is counted as one of home's */
#define PAGE_F_TAKEN 0x1000 /* another node has wanted it when it was here */
#define PAGE_F_FORESEEN (PAGE_F_REGAINED | PAGE_F_PREFETCHED) /* nobody waits for it */

struct dsm_page {
	struct proto_node node;
	struct page *frame;
	u32 granted_at; /* when its user got it, in stay.c's time */
	u32 lost_at; /* when write access was taken; 0 = never */
	u16 flags; /* PAGE_F_* */
	u8 contention; /* how often nodes fought over it lately */
	u8 returns; /* how likely it is wanted back when it is lost */
	u8 lost_to; /* the node that write access went to */
}; /* all: page lock; node.state, and what stays harmless, is also looked at without it */

struct waiting;

struct dsm_home {
	struct proto_home home;
	struct waiting *waiting; /* requests that came while busy, oldest first */
}; /* page lock of the page */

struct page_ref {
	struct dsm_mem *mem;
	u64 index;
	struct dsm_page *page;
	struct dsm_home *home; /* NULL: home is elsewhere. Page lock, which sets this and */
	struct proto_site site; /* this: they do not change while it is held */
};

int page_get(struct dsm_mem *mem, u64 index, gfp_t gfp, struct page_ref *out_ref); /* makes the record. -ENOMEM */
bool page_is_known(struct dsm_mem *mem, u64 index); /* has a record. Any context */
bool page_is_untouched(struct dsm_mem *mem, u64 index); /* by any node; its home is here. A hint */
void page_lock(struct page_ref *ref);
void page_unlock(const struct page_ref *ref);
void page_assert_locked(const struct page_ref *ref);
void page_synchronize(void); /* whoever has a page lock gives it back. May sleep */
struct wait_queue_head *page_wait_queue(const struct dsm_page *page);
void page_wake_all(void); /* all waiters look again. Any context */

bool page_next_resident(struct dsm_mem *mem, u64 *index, gfp_t gfp, struct page_ref *out_ref); /* >= *index, which is set to it */
bool page_next_homed(struct dsm_mem *mem, u64 *index, struct page_ref *out_ref); /* likewise; has a directory entry */
int page_next(struct dsm_mem *mem, u64 *index, struct page_ref *out_ref); /* a record >= *index, which goes behind it. -ENOENT, -ENOMEM */
void page_free_homes(struct dsm_mem *mem, u64 first, u64 nr); /* nobody uses them any more */
void page_count_homed(const struct page_ref *ref); /* home has changed */
void page_set_frame(const struct page_ref *ref, struct page *frame); /* frame is the record's now */
void page_drop_frame(const struct page_ref *ref);
void page_move_frame(const struct page_ref *ref, struct page *frame); /* what it holds, to @frame, which is the record's now */
bool frame_is_zero(struct page *frame);
int frame_zap(const struct page_ref *ref); /* -EBUSY: pinned or locked */
int frame_protect(const struct page_ref *ref); /* -EBUSY */
struct page *frame_alloc(gfp_t gfp);

void page_free_frames(struct dsm_mem *mem); /* nothing maps or uses mem */
void page_free_all(struct dsm_mem *mem);
int page_init(void);
void page_exit(void);

/* ---- stay.c: how long it stays, and whether it will be wanted back ---- */

void page_granted(const struct page_ref *ref); /* stamps, wakes */
void page_used(struct dsm_page *page, bool is_write);
void page_lost(const struct page_ref *ref, u8 requester, bool wholly); /* write access was taken, and read access? */
void page_invalidated(const struct page_ref *ref); /* a copy that was only read */
void page_write_wanted(const struct page_ref *ref, bool is_foreseen); /* by the wire */
void page_upgraded(const struct page_ref *ref, u8 acks); /* so many other copies go for it; before page_granted() */
bool page_is_contended(const struct dsm_page *page); /* nodes write it in turn */
bool page_will_be_written(const struct dsm_page *page); /* soon after a read */
u64 page_rtt_ns(const struct page_ref *ref);
u32 page_stay_us(const struct page_ref *ref, u8 requester); /* 0 = may go now */

void regain_init(struct regain *regain);
void regain_note(const struct page_ref *ref);
void regain_all(struct dsm_vm *vm); /* may sleep, does not wait for a peer */

void prefetch_init(struct prefetch *prefetch);
void prefetch_after(struct dsm_mem *mem, u64 index, u8 want); /* may sleep, does not wait for a peer */
bool prefetch_is_mark(const struct page_ref *ref);
bool prefetch_is_ready(const struct page_ref *ref); /* can be read, was not, and is no mark; a hint without the page lock */
void prefetch_wasted(const struct page_ref *ref);

/* ---- turn.c: whose turn it is to keep contended pages ---- */

void turn_decide(struct dsm_vm *vm, u64 joining); /* origin; @joining: nodes that will have a part */
int turn_set(struct dsm_vm *vm, u64 ticks); /* -EINVAL */
u32 turn_us(const struct dsm_vm *vm); /* length of a turn */
u32 turn_left_us(const struct dsm_vm *vm); /* 0: not ours */

/* ---- home.c: where the directory is, and who waits there ---- */

#define HOME_EXTENT_PAGES DVMM_EXTENT_PAGES

u8 home_of(const struct dsm_mem *mem, u64 index);
struct proto_site home_site(const struct dsm_mem *mem, u64 index); /* under a page lock */
u64 home_nr_extents(u64 bytes);
u64 home_nr_here(const struct dsm_mem *mem); /* extents. A hint */
u8 *home_table_alloc(u64 bytes); /* not filled. May sleep */
u8 *home_table_of(const struct dsm_mem *mem); /* filled by the policy. May sleep; NULL: no memory */
void home_table_by_ranges(const struct dsm_vm *vm, u8 *table, u64 bytes, u64 gpa,
			  const struct dsm_homes *homes);
int home_set(struct dsm_mem *mem, u64 extent, u8 node, bool frozen); /* -ENOMEM. May sleep */
void home_table_free(struct dsm_mem *mem);
bool home_is_by_policy(const struct dsm_mem *mem, u64 extent); /* as a node that joins finds it */
bool home_is_orphan(const struct dsm_mem *mem, u64 index);
void home_replace_node(struct dsm_vm *vm, u8 lost, u8 heir);
int home_return_node(struct dsm_vm *vm, u8 node); /* one that was lost, perhaps, joins: it has no home. -ENOMEM. May sleep */
int home_queue(struct dsm_home *home, const struct proto_event *ev); /* -EPROTO: waits already. -ENOMEM */
bool home_next(struct dsm_home *home, struct proto_event *out_ev);
bool home_is_simple(const struct page_ref *ref); /* a request of ours ends without the wire */
void home_free_waiting(struct dsm_home *home);
int home_init(void);
void home_exit(void);

/* ---- rehome.c: an extent gets another home ---- */

int rehome_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len);
int rehome_tell(struct dsm_mem *mem, u64 extent, u8 node); /* where it is now. May sleep */
int rehome_init(void);
void rehome_exit(void);

/* ---- fetch.c: requests of this node that run ---- */

struct fetch;
struct op;

/* Requests under way that nobody waits for, of a VM on this node: prefetched, regained,
 * pulled. Some more, if threads look at once. See "How much is under way" in README.md.
 */
#define FORESEEN_MAX 256

#define FETCH_LOCAL_TXN PROTO_TXN_MASK /* for requests that end before the page lock is dropped */
#define FETCH_PUT_TXN (PROTO_TXN_MASK - 1) /* for Puts: no page answers them, and a page has one at a time */

int fetch_begin(struct op *op, u32 *out_txn); /* -ENOMEM: reserve, without a lock, and try again */
int fetch_reserve(struct op *op); /* what act_access() had not at once. May wait for memory. -ENOMEM */
void fetch_unreserve(struct op *op); /* was not needed */
struct page *fetch_frame_at_once(struct op *op);
bool fetch_may_foresee(const struct dsm_vm *vm); /* one more request that nobody waits for */
void fetch_end(u32 txn);
struct page *fetch_take_frame(u32 txn); /* the frame reserved for it */
bool fetch_find(u32 txn, struct dsm_mem **out_mem, u64 *out_index); /* takes a reference */
void fetch_end_all(struct dsm_vm *vm); /* nobody is in the vm */
void fetch_restock(void); /* allocates what the next requests reserve. May sleep */
void fetch_exit(void);

/* ---- act.c: asks the rules and does what they say ---- */

#define OP_QUEUE 8

/* One run of the rules on one page, under its lock. */
struct op {
	struct page_ref ref;
	struct page *frame; /* came with the event, or is spare; if used, it is another one or NULL then */
	struct take *take; /* the event was put off in this one; NULL when it is used again */
	struct fetch *fetch; /* reserved for the next request of ours; NULL when it is used */
	struct proto_event queue[OP_QUEUE]; /* events for ourselves */
	u8 first;
	u8 nr;
	bool put_ended; /* the Put has its answer already */
	bool can_wait; /* what is sent to other nodes: the caller ends by post_flush() */
};

int act_event(struct op *op, const struct proto_event *ev);
int act_waiting(struct op *op, struct dsm_home *home); /* who waits there is served, or sent away */
int act_access(struct op *op, u8 wish); /* 0, -EAGAIN: wait for it, -EIO, -ENOMEM: fetch_reserve() */
void act_used(const struct page_ref *ref, bool is_write); /* what was granted, by a fault. Page lock */
bool act_evict(struct op *op); /* false: cannot go now */
int act_populate(struct op *op, struct page *frame); /* as if read first, into @frame of zeros. -EBUSY: it is touched, -EIO */
int act_leave_block(struct op *op, struct page **spare); /* -EAGAIN: needs a spare frame, -EBUSY: not now, -EIO */

/* ---- evict.c ---- */

/* Of a VM on this node, under way at a time. See "How much is under way" in README.md. */
#define PUTS_MAX 256L

void evict_init_vm(struct dsm_vm *vm);
void evict_end_vm(struct dsm_vm *vm); /* nobody is in the vm */
void evict_count(struct dsm_vm *vm, int nr); /* frames came, or went. Any context */
void evict_count_copy(struct dsm_vm *vm, u8 before, u8 after); /* states of a page; page lock */
void evict_count_homed(struct dsm_vm *vm, int nr); /* of them, at home. Any context */
bool evict_is_full(const struct dsm_vm *vm); /* what comes now makes something else go */
bool evict_has_room(const struct dsm_vm *vm); /* for a last copy that another node wants to be rid of */
bool evict_has_place(const struct dsm_vm *vm, long nr); /* for so many frames that nobody needs yet */
void evict_wait_for_room(struct dsm_vm *vm); /* at most for a while. Killable; the mmap_lock may be held */
void evict_put_ended(struct dsm_vm *vm, bool kept);
int evict_init(void);
void evict_exit(void);

/* ---- block.c ---- */

/* Its frame is part of a block. Page lock. */
static inline bool block_has(const struct dsm_page *page)
{
	return page->frame && PageCompound(page->frame);
}

bool block_is_enabled(void);
bool block_is_whole(const struct dsm_page *page); /* block_has(); folio lock: it may be mapped */
bool block_is_split(const struct dsm_page *page); /* block_has(); no way back */
void block_left(struct page *frame); /* a page has another frame now, or none */
void block_make(struct dsm_mem *mem, u64 index); /* if the extent can have one. May sleep; no page lock */
int block_split(struct dsm_mem *mem, u64 index); /* -EBUSY: not now: it is pinned, or a loss dealt with. -ENOMEM, -EIO. May sleep; no page lock */
int block_settle(struct dsm_mem *mem, u64 index); /* what fills or splits is done then. As block_split() */
void block_split_later(const struct page_ref *ref); /* block_has(); page lock */
void block_init_vm(struct dsm_vm *vm);
void block_end_vm(struct dsm_vm *vm); /* nobody is in the vm */
int block_init(void);
void block_exit(void);

/* ---- heat.c: may miss some; never waits, but heat_init_vm() may sleep ---- */

int heat_init_vm(struct dsm_vm *vm); /* -ENOMEM */
void heat_free_vm(struct dsm_vm *vm);
void heat_taken(const struct page_ref *ref, u8 requester); /* page lock; the state is still the old one */
void heat_missed(const struct page_ref *ref, u8 want); /* needs the wire */
void heat_waited(const struct page_ref *ref, u64 ns);
void heat_put_off(const struct page_ref *ref); /* a take */
/* ---- loss.c ---- */

void loss_init_vm(struct dsm_vm *vm);
void loss_end_vm(struct dsm_vm *vm); /* nobody is in the vm */
void loss_of_link(u8 node); /* for all VMs. May sleep */
void loss_seen(struct dsm_vm *vm, u8 node); /* a node of it is lost to us. Page lock or none */
int loss_told(struct dsm_vm *vm, u8 from, const struct dvmm_msg_mem_loss *msg);
int loss_held(struct dsm_vm *vm, u8 from, const struct dvmm_msg_mem_held *held);
void loss_found(const struct page_ref *ref); /* an access to a page that is lost: ends the vm */
bool loss_is_near(struct dsm_vm *vm); /* rehome_lock: homes must not move now */
void loss_describe(struct dsm_vm *vm); /* adds where the guest has that page to the reason. May sleep */
bool loss_refuses(struct dsm_vm *vm, const struct proto_event *ev, u32 epoch); /* page lock: not to be handled (any more) */
void loss_page_sent(struct dsm_vm *vm, u8 to);
void loss_page_came(struct dsm_vm *vm, u8 from);
void loss_wake(struct dsm_vm *vm); /* it is dead */

/* Until the survivors have agreed: nothing may be asked of another node. */
static inline bool loss_is_dealt_with(const struct dsm_vm *vm)
{
	return READ_ONCE(vm->loss.phase) != LOSS_NONE;
}

/* Until the directories are forgotten: home answers nothing. */
static inline bool loss_drains(const struct dsm_vm *vm)
{
	return READ_ONCE(vm->loss.phase) == LOSS_DRAINS;
}

/* ---- fault.c ---- */

extern const struct vm_operations_struct fault_vm_ops;

int fault_wait(const struct page_ref *ref); /* after -EAGAIN. Killable: -ERESTARTSYS */

/* ---- take.c: takes that are put off ---- */

int take_defer(struct op *op, const struct proto_event *ev, u32 us); /* -ENOMEM */
int take_init(void);
void take_exit(void);

/* ---- post.c: messages that share a packet ---- */

struct post_box;

void post(struct dsm_vm *vm, u8 node, const struct dvmm_msg_mem *msg, bool can_wait); /* Process context */
void post_flush(struct dsm_vm *vm); /* all that was posted is with the link then. Process context */
int post_open(struct dsm_vm *vm, u8 node); /* before it becomes known. -ENOMEM */
int post_init_vm(struct dsm_vm *vm); /* when its nodes are known */
void post_end_vm(struct dsm_vm *vm); /* nobody is in the vm */
void post_free_vm(struct dsm_vm *vm);

/* ---- serve.c: what comes from other nodes ---- */

void serve_send(struct dsm_mem *mem, u64 index, u8 node, const struct proto_event *ev, bool can_wait);
void serve_send_page(struct dsm_mem *mem, u8 node, const struct proto_event *ev, struct page *frame);
void serve_sent(struct dsm_vm *vm, u8 node, int err); /* what sending returned, and what follows from it */
int serve_announce(struct dsm_mem *mem); /* waits for all nodes */
int serve_announce_to(struct dsm_mem *mem, u8 node); /* -E2BIG: its homes are told one by one */
int serve_announce_bare(struct dsm_mem *mem, u8 node); /* as if all homes were by the policy */
int serve_init(void);
void serve_exit(void);

#endif
