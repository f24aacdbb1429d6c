// SPDX-License-Identifier: GPL-2.0-only
/* dsm/stay.c - how long a page stays, what it was used for, and whether it will
 * be wanted back: the memory of a page about itself. All under the page lock.
 */
#include "internal.h"

/* What every grant promises to its user. */
#define STAY_ROUND_TRIPS 1
/* A grant nobody has used: its thread may have been killed. */
#define UNUSED_LIMIT_US 20000
#define UNUSED_ROUND_TRIPS 20
/* Wanted back within so many turns: nodes fight over it. */
#define SOON_TURNS 4
#define CONTENDED 2
#define CONTENTION_MAX 3
/* So often in a row may it come back for nothing. */
#define RETURNS_MAX 3
/* A page that is not written for so long is not what anybody works on. */
#define PROBE_ROUND_TRIPS 8
#define RTT_MAX_US 20000

/* In units of 1024 ns; wraps after 73 minutes, which then costs one short wait. */
static u32 page_now(void)
{
	return ktime_get_ns() >> 10 ?: 1;
}

static u32 rtt_us(u8 node)
{
	return clamp_t(u64, dvmm_link_rtt_ns(node) / 1000, 1, RTT_MAX_US);
}

/* What one exchange about this page takes, roughly. */
u64 page_rtt_ns(const struct page_ref *ref)
{
	u8 home = home_of(ref->mem, ref->index);

	if (home != ref->mem->vm->self)
		return dvmm_link_rtt_ns(home);
	return READ_ONCE(ref->page->lost_at) ? dvmm_link_rtt_ns(READ_ONCE(ref->page->lost_to)) : 1000;
}

void page_granted(const struct page_ref *ref)
{
	page_assert_locked(ref);
	ref->page->granted_at = page_now();
	ref->page->flags &= ~(PAGE_F_USED | PAGE_F_WRITTEN | PAGE_F_PROBED | PAGE_F_COLD);
	wake_up_all(page_wait_queue(ref->page));
}

void page_used(struct dsm_page *page, bool is_write)
{
	page->flags &= ~(PAGE_F_FORESEEN | PAGE_F_MARK | PAGE_F_COLD);
	if (is_write) {
		page->flags &= ~PAGE_F_PROBED;
		page->flags |= PAGE_F_WRITTEN;
	}
	if (page->flags & PAGE_F_USED)
		return;
	page->flags |= PAGE_F_USED;
	page->granted_at = page_now();
}

bool page_is_contended(const struct dsm_page *page)
{
	return page->contention >= CONTENDED;
}

/* Read first and then written, each time it came: ask once, for both. */
bool page_will_be_written(const struct dsm_page *page)
{
	return page->flags & PAGE_F_MIGRATES || page_is_contended(page);
}

static void forget_forecasts(const struct page_ref *ref)
{
	if (ref->page->flags & PAGE_F_PREFETCHED)
		prefetch_wasted(ref);
	ref->page->flags &= ~(PAGE_F_FORESEEN | PAGE_F_MARK | PAGE_F_PROBED);
}

void page_invalidated(const struct page_ref *ref)
{
	forget_forecasts(ref);
}

void page_lost(const struct page_ref *ref, u8 requester, bool wholly)
{
	struct dsm_page *page = ref->page;

	page->lost_at = page_now();
	page->lost_to = requester;
	if (page->contention && page->flags & PAGE_F_USED && !(page->flags & PAGE_F_WRITTEN))
		page->contention--; /* was asked for writable, and only read */
	page->flags = migrate_taken(page->flags);
	if (page->flags & PAGE_F_REGAINED && page->returns)
		page->returns--; /* came back for nothing */
	if (wholly && page->returns)
		regain_note(ref);
	forget_forecasts(ref);
}

/* Write access wanted back within some turns: nodes write this page in turn, and
 * each gets more done if it keeps the page longer. A write that is only foreseen is
 * no sign of that: or what was fought over once would be for ever, by its readers.
 */
void page_write_wanted(const struct page_ref *ref, bool is_foreseen)
{
	struct dsm_page *page = ref->page;

	if (!page->lost_at)
		return;
	page->returns = RETURNS_MAX;
	if (is_foreseen)
		return;
	if (page_now() - page->lost_at < SOON_TURNS * turn_us(ref->mem->vm))
		page->contention = min(page->contention + 1, CONTENTION_MAX);
	else if (page->contention)
		page->contention--;
}

void page_upgraded(const struct page_ref *ref, u8 acks)
{
	page_assert_locked(ref);
	ref->page->flags = migrate_upgraded(ref->page->flags, acks);
}

/* Has its user had it for as long as every grant promises? */
static u32 least_stay_us(const struct dsm_page *page, u32 rtt)
{
	u32 age = page_now() - page->granted_at;
	u32 stay = STAY_ROUND_TRIPS * rtt;

	if (!(page->flags & (PAGE_F_USED | PAGE_F_FORESEEN)))
		return age < max(UNUSED_LIMIT_US, UNUSED_ROUND_TRIPS * rtt) ? rtt : 0;
	return age < stay ? stay - age : 0;
}

/* Unmapped, it is written again by a fault, which ends the probe: see page_used().
 * Who only reads it waits for somebody else's write. The longer it has been in use,
 * the longer until it is asked for again.
 */
static u32 probe_us(const struct page_ref *ref, u32 rtt)
{
	struct dsm_page *page = ref->page;

	unmap_mapping_pages(ref->mem->mapping, ref->index, 1, false);
	page->flags |= PAGE_F_PROBED;
	return max(PROBE_ROUND_TRIPS * rtt, page_now() - page->granted_at);
}

/* In its turn a node keeps the contended pages that it works with. */
u32 page_stay_us(const struct page_ref *ref, u8 requester)
{
	u32 rtt = rtt_us(requester);
	u32 stay = least_stay_us(ref->page, rtt);
	u32 turn_left;

	if (stay || !page_is_contended(ref->page) || vm_is_idle(ref->mem->vm))
		return stay;
	turn_left = turn_left_us(ref->mem->vm);
	if (!turn_left || ref->page->flags & PAGE_F_PROBED)
		return 0;
	return min(turn_left, probe_us(ref, rtt));
}
