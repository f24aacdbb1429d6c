// SPDX-License-Identifier: GPL-2.0-only
/* dsm/evict.c - memory is pooled: a node holds no more frames of a VM than its
 * budget, and gives shared copies back when the host is short of memory.
 *
 * Who goes is chosen by a clock with two hands. The first hand unmaps a page, the
 * second puts it away if nobody has touched it since: the reference bit is the
 * fault (as in Babaoglu and Joy, Converting a swap-based system to do paging in an
 * architecture lacking page-referenced bits, SOSP 1981), because neither our
 * pages nor KVM's mappings of them are on the kernel's LRU. Where a page goes and
 * that the last copy never does is proto.c's.
 */
#include <linux/module.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "internal.h"

#define PAGES_PER_MIB (1 << (20 - PAGE_SHIFT))
#define HANDS_APART_MAX 1024
/* For what a batch is to bring. It comes when it comes: this only paces. */
#define BATCH_WAIT_MS 20
/* While as many Puts as may be are under way. */
#define ANSWER_WAIT_MS 100
/* Batches in a row without any effect: there is nothing to be had for now. */
#define VAIN_BATCHES 4
#define REST_MS 200
/* A fault waits so long for room, then goes on: the budget is no promise. */
#define ROOM_WAIT_MS 100
/* A host that was short of memory is taken to be so for this long. */
#define SHORT_MS 1000
/* In place of a budget: nothing is to stay. */
#define HOLD_NOTHING (-1L)
/* dsm_vm_wait_empty() looks so often whether the VM has ended. */
#define LOOK_MS 100

static unsigned int vm_budget_mb;
module_param(vm_budget_mb, uint, 0644);
MODULE_PARM_DESC(vm_budget_mb, "memory of this host for each VM that is given no budget, in MiB; 0 = as it comes");

static struct workqueue_struct *evict_wq;
static struct shrinker *shrinker;

/* ---- how much ---- */

/* 0: no bound. */
static long budget_pages(const struct dsm_vm *vm)
{
	long budget = READ_ONCE(vm->evict.budget);

	if (!budget)
		return (long)READ_ONCE(vm_budget_mb) * PAGES_PER_MIB;
	return budget == LONG_MAX ? 0 : budget;
}

static long nr_resident(const struct dsm_vm *vm)
{
	return atomic_long_read(&vm->evict.nr_resident);
}

/* Some room is made in advance, some is given while it is made. */
static long slack_pages(long budget)
{
	return budget / 32 + 16;
}

static bool is_over(const struct dsm_vm *vm, long more)
{
	long budget = budget_pages(vm);

	if (budget == HOLD_NOTHING)
		return nr_resident(vm) > 0;
	return budget && nr_resident(vm) > budget + more;
}

/* Frames that are to go. */
static long excess(const struct dsm_vm *vm)
{
	long budget = budget_pages(vm);

	if (budget == HOLD_NOTHING)
		return nr_resident(vm);
	return budget ? nr_resident(vm) - (budget - slack_pages(budget)) : 0;
}

static void kick(struct dsm_vm *vm)
{
	if (!READ_ONCE(vm->evict.rests))
		queue_delayed_work(evict_wq, &vm->evict.work, 0);
}

/* A frame came (1) or went (-1). Page lock, or nobody else uses the page. */
void evict_count(struct dsm_vm *vm, int nr)
{
	atomic_long_add(nr, &vm->evict.nr_resident);
	if (nr > 0) {
		if (is_over(vm, 0))
			kick(vm);
		return;
	}
	atomic_long_inc(&vm->evict.nr_gone);
	if (wq_has_sleeper(&vm->evict.wait))
		wake_up_all(&vm->evict.wait);
}

/* A page became a copy, or is no longer one. Page lock. */
void evict_count_copy(struct dsm_vm *vm, u8 before, u8 after)
{
	int nr = (after == PROTO_S) - (before == PROTO_S);

	if (nr)
		atomic_long_add(nr, &vm->evict.nr_copies);
}

static bool is_host_short(const struct dsm_vm *vm)
{
	return time_before(jiffies, READ_ONCE(vm->evict.short_until));
}

void evict_count_homed(struct dsm_vm *vm, int nr)
{
	atomic_long_add(nr, &vm->evict.nr_homed);
}

/* No time to fetch what nobody has asked for. */
bool evict_is_full(const struct dsm_vm *vm)
{
	return is_over(vm, 0) || is_host_short(vm);
}

/* What has its home elsewhere can go there: only what has it here must fit. */
bool evict_has_room(const struct dsm_vm *vm)
{
	long budget = budget_pages(vm);

	return !is_host_short(vm) &&
	       (!budget || atomic_long_read(&vm->evict.nr_homed) < budget);
}

bool evict_has_place(const struct dsm_vm *vm, long nr)
{
	return !is_host_short(vm) && (!budget_pages(vm) || nr_resident(vm) + nr <= budget_pages(vm));
}

/* The frame that a fault is about to need may have to wait for its place. */
void evict_wait_for_room(struct dsm_vm *vm)
{
	if (!is_over(vm, slack_pages(budget_pages(vm))) || READ_ONCE(vm->evict.rests))
		return;
	kick(vm);
	vm_stat(vm, room_waits);
	wait_event_killable_timeout(vm->evict.wait,
				    !is_over(vm, slack_pages(budget_pages(vm))) ||
				    READ_ONCE(vm->evict.rests) || vm_is_dead(vm),
				    msecs_to_jiffies(ROOM_WAIT_MS));
}

/* A Put has its answer. */
void evict_put_ended(struct dsm_vm *vm, bool kept)
{
	if (kept)
		vm_stat(vm, puts_kept);
	atomic_long_dec(&vm->evict.nr_putting);
	wake_up_all(&vm->evict.wait);
}

/* ---- which ---- */

/* Could it go at all? What only home has stays. */
static bool may_go(const struct page_ref *ref, bool shared_only)
{
	const struct dsm_page *page = ref->page;
	u8 state = page->node.state;

	if (!page->frame || proto_is_transient(state) || state == PROTO_I || block_has(page))
		return false;
	if (shared_only && state != PROTO_S)
		return false;
	if (page->flags & PAGE_F_TAKE)
		return false;
	/* Granted for a fault that has not used it yet. Nor will it, if its vCPU has moved away. */
	if (!(page->flags & (PAGE_F_USED | PAGE_F_FORESEEN)) &&
	    READ_ONCE(ref->mem->vm->evict.budget) != HOLD_NOTHING)
		return false;
	if (!ref->home)
		return true;
	return state == PROTO_E ||
	       (state == PROTO_S && ref->home->home.sharers != 1ULL << ref->mem->vm->self);
}

/* Without the page lock, so a hint: under a budget most of what a hand comes by are such. */
static bool is_last_copy(const struct page_ref *ref)
{
	return home_of(ref->mem, ref->index) == ref->mem->vm->self &&
	       READ_ONCE(ref->page->node.state) == PROTO_M;
}

static void mark(struct page_ref *ref, bool shared_only)
{
	if (is_last_copy(ref))
		return;
	page_lock(ref);
	/* What nobody has written in it goes then: one after the other. A host that is short
	 * has no frames for the rest.
	 */
	if (block_has(ref->page) && !shared_only && list_empty(&ref->mem->vm->blocks.wanted))
		block_split_later(ref);
	else if (may_go(ref, shared_only) && !(ref->page->flags & PAGE_F_COLD) &&
		 !frame_zap(ref))
		ref->page->flags |= PAGE_F_COLD;
	page_unlock(ref);
}

static bool put_if_cold(const struct page_ref *ref, bool shared_only)
{
	struct op op = { .ref = *ref };
	bool put = false;

	if (!(READ_ONCE(ref->page->flags) & PAGE_F_COLD))
		return false;
	page_lock(&op.ref);
	if (may_go(&op.ref, shared_only) && op.ref.page->flags & PAGE_F_COLD)
		put = act_evict(&op);
	page_unlock(&op.ref);
	return put;
}

/* Moves the hand to the next page that has a frame; false after the last one. */
static bool next_in_mems(struct dsm_vm *vm, struct evict_hand *hand,
			 struct page_ref *out_ref)
{
	unsigned long id = hand->mem;
	struct dsm_mem *mem;

	xa_for_each_start(&vm->mems, id, mem, hand->mem) {
		if (id != hand->mem)
			hand->index = 0;
		hand->mem = id;
		if (page_next_resident(mem, &hand->index, GFP_AT_ONCE, out_ref)) {
			hand->index++;
			return true;
		}
	}
	return false;
}

static bool next_resident(struct dsm_vm *vm, struct evict_hand *hand,
			  struct page_ref *out_ref)
{
	if (next_in_mems(vm, hand, out_ref))
		return true;
	*hand = (struct evict_hand){ 0 };
	return next_in_mems(vm, hand, out_ref);
}

/* Returns how many Puts were sent; at most @wanted. Goes round twice at most. */
static long go_round(struct dsm_vm *vm, long wanted, bool shared_only)
{
	struct evict *evict = &vm->evict;
	long apart = min_t(long, HANDS_APART_MAX, nr_resident(vm) / 4);
	long steps = 2 * nr_resident(vm) + apart, nr = 0;
	struct page_ref ref;

	while (nr < wanted && steps-- > 0 && !vm_is_dead(vm)) {
		if (evict->nr_apart < apart) {
			if (!next_resident(vm, &evict->first, &ref))
				break;
			mark(&ref, shared_only);
			evict->nr_apart++;
		} else {
			if (!next_resident(vm, &evict->second, &ref))
				break;
			nr += put_if_cold(&ref, shared_only);
			evict->nr_apart--;
		}
		cond_resched();
	}
	return nr;
}

/* ---- when ---- */

static long nr_gone(const struct dsm_vm *vm)
{
	return atomic_long_read(&vm->evict.nr_gone);
}

static long nr_putting(const struct dsm_vm *vm)
{
	return atomic_long_read(&vm->evict.nr_putting);
}

/* Their answers are a promise, like those that faults wait for: late, they are no reason to
 * send more. What is kept goes when home comes for it, which is soon, or not at all.
 */
static void wait_for_batch(struct dsm_vm *vm, long until_gone)
{
	wait_event_timeout(vm->evict.wait,
			   (!nr_putting(vm) && nr_gone(vm) >= until_gone) || vm_is_dead(vm),
			   msecs_to_jiffies(BATCH_WAIT_MS));
	while (nr_putting(vm) >= PUTS_MAX && !vm_is_dead(vm))
		wait_event_timeout(vm->evict.wait, nr_putting(vm) < PUTS_MAX || vm_is_dead(vm),
				   msecs_to_jiffies(ANSWER_WAIT_MS));
}

/* As many as may be under way: at least one, see wait_for_batch(). */
static long batch_size(const struct dsm_vm *vm, long wanted)
{
	return min(wanted, PUTS_MAX - nr_putting(vm));
}

/* True: something has gone. */
static bool evict_batch(struct dsm_vm *vm, long size, bool shared_only)
{
	long gone = nr_gone(vm);
	long nr = go_round(vm, size, shared_only);

	if (!nr)
		return false;
	wait_for_batch(vm, gone + nr);
	return nr_gone(vm) != gone;
}

static void give_to_host(struct dsm_vm *vm)
{
	bool gone = true;
	long size;

	while (gone && (size = batch_size(vm, atomic_long_read(&vm->evict.shrink))) > 0 &&
	       !vm_is_dead(vm)) {
		gone = evict_batch(vm, size, true);
		atomic_long_sub(size, &vm->evict.shrink);
	}
	if (gone)
		return;
	/* They are in use, pinned or the last ones: none to be had for now. */
	atomic_long_set(&vm->evict.shrink, 0);
	WRITE_ONCE(vm->evict.vain_until, jiffies + msecs_to_jiffies(REST_MS));
}

static void keep_budget(struct dsm_vm *vm)
{
	int vain = 0;

	while (excess(vm) > 0 && vain < VAIN_BATCHES && !vm_is_dead(vm))
		vain = evict_batch(vm, batch_size(vm, excess(vm)), false) ? 0 : vain + 1;
	if (vain < VAIN_BATCHES)
		return;
	/* What is here is in use, pinned or the last copy, and home has no room. */
	vm_stat(vm, evict_rests);
	WRITE_ONCE(vm->evict.rests, true);
	wake_up_all(&vm->evict.wait);
	queue_delayed_work(evict_wq, &vm->evict.work, msecs_to_jiffies(REST_MS));
}

static void evict_work(struct work_struct *work)
{
	struct dsm_vm *vm = container_of(to_delayed_work(work), struct dsm_vm, evict.work);

	if (!vm_enter(vm))
		return;
	WRITE_ONCE(vm->evict.rests, false);
	give_to_host(vm);
	if (is_over(vm, 0))
		keep_budget(vm);
	vm_leave(vm);
}

static int budget_from_bytes(u64 bytes, long *out_pages)
{
	if (bytes == DVMM_BUDGET_DEFAULT)
		*out_pages = 0;
	else if (bytes == DVMM_BUDGET_NONE || bytes >> PAGE_SHIFT >= LONG_MAX)
		*out_pages = LONG_MAX;
	else if (bytes >= DVMM_BUDGET_MIN)
		*out_pages = bytes >> PAGE_SHIFT;
	else
		return -EINVAL;
	return 0;
}

int dsm_vm_set_budget(struct dsm_vm *vm, u64 bytes)
{
	long budget;
	int err;

	if (bytes == DVMM_BUDGET_KEEP)
		return 0;
	err = budget_from_bytes(bytes, &budget);
	if (err || !vm_enter(vm))
		return err;
	WRITE_ONCE(vm->evict.budget, budget);
	/* Those who wait may have room now. */
	wake_up_all(&vm->evict.wait);
	if (is_over(vm, 0))
		kick(vm);
	vm_leave(vm);
	return 0;
}
EXPORT_SYMBOL_GPL(dsm_vm_set_budget);

void dsm_vm_hold_nothing(struct dsm_vm *vm)
{
	if (!vm_enter(vm))
		return;
	WRITE_ONCE(vm->evict.budget, HOLD_NOTHING);
	kick(vm);
	vm_leave(vm);
}
EXPORT_SYMBOL_GPL(dsm_vm_hold_nothing);

static bool is_emptied(const struct dsm_vm *vm)
{
	return !nr_resident(vm) || READ_ONCE(vm->evict.budget) != HOLD_NOTHING;
}

int dsm_vm_wait_empty(struct dsm_vm *vm, u32 timeout_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	long left = 0;

	if (!vm_enter(vm))
		return -EIO;
	while (left >= 0 && !is_emptied(vm) && !vm_is_dead(vm) && time_before(jiffies, end))
		left = wait_event_killable_timeout(vm->evict.wait, is_emptied(vm),
						   msecs_to_jiffies(LOOK_MS));
	vm_leave(vm);
	return left < 0 ? -EINTR : vm_is_dead(vm) ? -EIO : 0;
}
EXPORT_SYMBOL_GPL(dsm_vm_wait_empty);

void dsm_vm_get_budget(const struct dsm_vm *vm, u64 *out_bytes, u64 *out_resident)
{
	long budget = budget_pages(vm);

	*out_bytes = budget ? (u64)max(budget, 0L) << PAGE_SHIFT : DVMM_BUDGET_NONE;
	*out_resident = (u64)nr_resident(vm) << PAGE_SHIFT;
}
EXPORT_SYMBOL_GPL(dsm_vm_get_budget);

void evict_init_vm(struct dsm_vm *vm)
{
	vm->evict.vain_until = vm->evict.short_until = jiffies;
	INIT_DELAYED_WORK(&vm->evict.work, evict_work);
	init_waitqueue_head(&vm->evict.wait);
}

/* Nobody is in the vm any more. */
void evict_end_vm(struct dsm_vm *vm)
{
	cancel_delayed_work_sync(&vm->evict.work);
}

/* ---- when the host is short of memory ---- */

/* Not asked for yet. An upper bound: the last of its page is counted too. */
static long nr_to_ask(const struct dsm_vm *vm)
{
	long nr = atomic_long_read(&vm->evict.nr_copies) - atomic_long_read(&vm->evict.shrink);

	return nr > 0 && !time_before(jiffies, READ_ONCE(vm->evict.vain_until)) ? nr : 0;
}

static void count_copies(struct dsm_vm *vm, void *arg)
{
	*(unsigned long *)arg += nr_to_ask(vm);
}

static unsigned long shrink_count(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long nr = 0;

	vm_each(count_copies, &nr);
	return nr ?: SHRINK_EMPTY;
}

static void ask_for_copies(struct dsm_vm *vm, void *arg)
{
	struct shrink_control *sc = arg;
	unsigned long nr = min_t(unsigned long, nr_to_ask(vm), sc->nr_to_scan - sc->nr_scanned);

	WRITE_ONCE(vm->evict.short_until, jiffies + msecs_to_jiffies(SHORT_MS));
	atomic_long_add(nr, &vm->evict.shrink);
	sc->nr_scanned += nr;
	queue_delayed_work(evict_wq, &vm->evict.work, 0);
}

/* A copy goes when home has answered. What is asked for counts as freed, else the host
 * would kill processes meanwhile; what does not go is not counted again for a while.
 */
static unsigned long shrink_scan(struct shrinker *s, struct shrink_control *sc)
{
	sc->nr_scanned = 0;
	vm_each(ask_for_copies, sc);
	return sc->nr_scanned ?: SHRINK_STOP;
}

int evict_init(void)
{
	int err;

	evict_wq = alloc_workqueue("dvmm_evict", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!evict_wq)
		return -ENOMEM;
	err = -ENOMEM;
	shrinker = compat_shrinker_alloc("dvmm-dsm");
	if (!shrinker)
		goto destroy_wq;
	shrinker->count_objects = shrink_count;
	shrinker->scan_objects = shrink_scan;
	shrinker->seeks = DEFAULT_SEEKS;
	err = compat_shrinker_register(shrinker, "dvmm-dsm");
	if (err)
		goto free_shrinker;
	return 0;

free_shrinker:
	compat_shrinker_free(shrinker);
destroy_wq:
	destroy_workqueue(evict_wq);
	return err;
}

/* After mem_exit(): no vm is left. */
void evict_exit(void)
{
	compat_shrinker_unregister(shrinker);
	destroy_workqueue(evict_wq);
}
