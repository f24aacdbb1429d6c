// SPDX-License-Identifier: GPL-2.0-only
/* dsm/page.c - the record of a page: its lock and its frame. What may happen to
 * it is decided by proto.c and done by act.c; how long it stays by stay.c.
 */
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>

#include "internal.h"

#define CHUNK_PAGES 64
#define NR_LOCKS_SHIFT 10

/* Records are small and many, so they share locks and wait queues by hash. */
struct page_slot {
	struct mutex lock; /* order: see internal.h; never two at a time */
	struct wait_queue_head wait;
} ____cacheline_aligned_in_smp;

struct page_chunk {
	struct dsm_home *home; /* CHUNK_PAGES of them, since this node is their home */
	struct dsm_page page[CHUNK_PAGES];
};

static struct page_slot *slots;
static struct kmem_cache *chunks;
static struct kmem_cache *home_chunks;
static atomic_long_t nr_frames = ATOMIC_LONG_INIT(0);

/* ---- records ---- */

#define HOME_CHUNK_BYTES (CHUNK_PAGES * sizeof(struct dsm_home))

static bool is_home(const struct dsm_mem *mem, u64 index)
{
	return home_of(mem, index) == mem->vm->self;
}

static struct page_chunk *chunk_make(struct dsm_mem *mem, u64 index)
{
	struct page_chunk *chunk, *old;

	chunk = kmem_cache_zalloc(chunks, GFP_KERNEL);
	if (!chunk)
		return NULL;
	old = xa_cmpxchg(&mem->chunks, index / CHUNK_PAGES, NULL, chunk,
			 GFP_KERNEL);
	if (!old) {
		atomic_long_add(sizeof(*chunk), &mem->metadata_bytes);
		/* Who changes homes sees the chunk, or we see the new home. */
		smp_mb();
		return chunk;
	}
	kmem_cache_free(chunks, chunk);
	return xa_is_err(old) ? NULL : old;
}

/* What was at a home that is lost may have been touched, for all we know. */
static int chunk_become_home(struct dsm_mem *mem, struct page_chunk *chunk, u64 index)
{
	struct dsm_home *home = kmem_cache_zalloc(home_chunks, GFP_KERNEL);
	bool orphan = home_is_orphan(mem, index);
	int i;

	if (!home)
		return -ENOMEM;
	for (i = 0; orphan && i < CHUNK_PAGES; i++)
		proto_home_forget(&home[i].home, false);
	if (cmpxchg(&chunk->home, NULL, home))
		kmem_cache_free(home_chunks, home);
	else
		atomic_long_add(HOME_CHUNK_BYTES, &mem->metadata_bytes);
	return 0;
}

int page_get(struct dsm_mem *mem, u64 index, struct page_ref *out_ref)
{
	struct page_chunk *chunk = xa_load(&mem->chunks, index / CHUNK_PAGES);

	if (!chunk)
		chunk = chunk_make(mem, index);
	if (!chunk)
		return -ENOMEM;
	if (is_home(mem, index) && !READ_ONCE(chunk->home) &&
	    chunk_become_home(mem, chunk, index))
		return -ENOMEM;
	*out_ref = (struct page_ref){
		.mem = mem,
		.index = index,
		.page = &chunk->page[index % CHUNK_PAGES],
	};
	return 0;
}

/* Under the page lock, because the home may move. */
static struct dsm_home *find_home(const struct page_ref *ref)
{
	unsigned int i = ref->index % CHUNK_PAGES;
	struct page_chunk *chunk = container_of(ref->page - i, struct page_chunk, page[0]);
	struct dsm_home *home = READ_ONCE(chunk->home);

	return home && is_home(ref->mem, ref->index) ? &home[i] : NULL;
}

bool page_next_resident(struct dsm_mem *mem, u64 *index, struct page_ref *out_ref)
{
	unsigned long nr = *index / CHUNK_PAGES;
	unsigned int i = *index % CHUNK_PAGES;
	struct page_chunk *chunk;

	xa_for_each_start(&mem->chunks, nr, chunk, nr) {
		if (nr != *index / CHUNK_PAGES)
			i = 0;
		for (; i < CHUNK_PAGES; i++) {
			if (!READ_ONCE(chunk->page[i].frame))
				continue;
			*index = (u64)nr * CHUNK_PAGES + i;
			return !page_get(mem, *index, out_ref);
		}
	}
	return false;
}

int page_next(struct dsm_mem *mem, u64 *index, struct page_ref *out_ref)
{
	unsigned long nr = *index / CHUNK_PAGES;

	if (!xa_find(&mem->chunks, &nr, ULONG_MAX, XA_PRESENT))
		return -ENOENT;
	*index = max(*index, (u64)nr * CHUNK_PAGES);
	return page_get(mem, (*index)++, out_ref);
}

void page_free_all(struct dsm_mem *mem)
{
	struct page_chunk *chunk;
	unsigned long nr;
	int i;

	xa_for_each(&mem->chunks, nr, chunk) {
		for (i = 0; chunk->home && i < CHUNK_PAGES; i++)
			home_free_waiting(&chunk->home[i]);
		if (chunk->home)
			kmem_cache_free(home_chunks, chunk->home);
		kmem_cache_free(chunks, chunk);
		cond_resched();
	}
	xa_destroy(&mem->chunks);
}

/* ---- the lock and the waiters ---- */

static struct page_slot *slot_of(const struct dsm_page *page)
{
	return &slots[hash_ptr(page, NR_LOCKS_SHIFT)];
}

void page_lock(struct page_ref *ref)
{
	mutex_lock(&slot_of(ref->page)->lock);
	ref->home = find_home(ref);
}

void page_unlock(const struct page_ref *ref)
{
	mutex_unlock(&slot_of(ref->page)->lock);
}

void page_assert_locked(const struct page_ref *ref)
{
	lockdep_assert_held(&slot_of(ref->page)->lock);
}

/* Whoever has a page locked now has unlocked it when this returns. */
void page_lock_barrier(void)
{
	int i;

	for (i = 0; i < 1 << NR_LOCKS_SHIFT; i++) {
		mutex_lock(&slots[i].lock);
		mutex_unlock(&slots[i].lock);
	}
}

struct wait_queue_head *page_wait_queue(const struct dsm_page *page)
{
	return &slot_of(page)->wait;
}

void page_wake_all(void)
{
	int i;

	for (i = 0; i < 1 << NR_LOCKS_SHIFT; i++)
		wake_up_all(&slots[i].wait);
}

/* ---- frames ---- */

struct page *frame_alloc(void)
{
	return alloc_page(GFP_HIGHUSER);
}

static void count_frames(struct dsm_mem *mem, u64 index, int nr)
{
	atomic_long_add(nr, &nr_frames);
	atomic_long_add(nr, &mem->nr_resident);
	vm_stat_add(mem->vm, DVMM_STAT_VM_pages_resident, nr);
	evict_count(mem->vm, is_home(mem, index), nr);
}

void page_set_frame(const struct page_ref *ref, struct page *frame)
{
	/* Only a build that skips invalidations on purpose has one left. */
	if (ref->page->frame)
		page_drop_frame(ref);
	frame->mapping = ref->mem->mapping;
	frame->index = ref->index;
	ref->page->frame = frame;
	count_frames(ref->mem, ref->index, 1);
}

static void frame_detach(struct page *frame)
{
	frame->mapping = NULL;
	frame->index = 0;
	ClearPageDirty(frame);
}

void page_drop_frame(const struct page_ref *ref)
{
	struct page *frame = ref->page->frame;

	page_assert_locked(ref);
	if (page_mapped(frame))
		unmap_mapping_pages(ref->mem->mapping, ref->index, 1, false);
	ref->page->frame = NULL;
	frame_detach(frame);
	put_page(frame);
	count_frames(ref->mem, ref->index, -1);
}

/* The folio lock keeps faults that are on their way from mapping it; the frozen
 * count proves that neither DMA nor KVM nor a system call has a hand on it.
 */
int frame_zap(const struct page_ref *ref)
{
	struct page *frame = ref->page->frame;
	int err = -EBUSY;

	page_assert_locked(ref);
	if (!trylock_page(frame))
		return -EBUSY;
	if (page_mapped(frame))
		unmap_mapping_pages(ref->mem->mapping, ref->index, 1, false);
	if (page_ref_freeze(frame, 1)) {
		page_ref_unfreeze(frame, 1);
		err = 0;
	}
	unlock_page(frame);
	return err;
}

int frame_protect(const struct page_ref *ref)
{
	struct page *frame = ref->page->frame;
	int err = 0;

	page_assert_locked(ref);
	if (!trylock_page(frame))
		return -EBUSY;
	if (page_mapped(frame))
		folio_mkclean(page_folio(frame));
	if (page_count(frame) != 1 + compat_page_mapcount(frame))
		err = -EBUSY;
	unlock_page(frame);
	return err;
}

void page_free_frames(struct dsm_mem *mem)
{
	struct page_chunk *chunk;
	unsigned long nr;
	int i;

	xa_for_each(&mem->chunks, nr, chunk) {
		for (i = 0; i < CHUNK_PAGES; i++) {
			struct page *frame = chunk->page[i].frame;

			if (!frame)
				continue;
			chunk->page[i].frame = NULL;
			frame_detach(frame);
			put_page(frame);
			count_frames(mem, (u64)nr * CHUNK_PAGES + i, -1);
		}
		cond_resched();
	}
}

/* ---- load and unload ---- */

static int make_slots(void)
{
	int i;

	slots = kvcalloc(1 << NR_LOCKS_SHIFT, sizeof(*slots), GFP_KERNEL);
	if (!slots)
		return -ENOMEM;
	for (i = 0; i < 1 << NR_LOCKS_SHIFT; i++) {
		mutex_init(&slots[i].lock);
		init_waitqueue_head(&slots[i].wait);
	}
	return 0;
}

int page_init(void)
{
	int err = make_slots();

	if (err)
		return err;
	err = -ENOMEM;
	chunks = kmem_cache_create("dvmm_page", sizeof(struct page_chunk), 0, 0,
				   NULL);
	if (!chunks)
		goto free_slots;
	home_chunks = kmem_cache_create("dvmm_page_home", HOME_CHUNK_BYTES, 0, 0,
					NULL);
	if (!home_chunks)
		goto free_chunks;
	return 0;

free_chunks:
	kmem_cache_destroy(chunks);
free_slots:
	kvfree(slots);
	return err;
}

void page_exit(void)
{
	long left = atomic_long_read(&nr_frames);

	if (left)
		pr_err("dvmm-dsm: %ld guest pages are leaked\n", left);
	kmem_cache_destroy(home_chunks);
	kmem_cache_destroy(chunks);
	kvfree(slots);
}
