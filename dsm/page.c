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
	struct dsm_page page[CHUNK_PAGES];
	struct home_chunk *home; /* where home is here */
};

struct home_chunk {
	struct dsm_home home[CHUNK_PAGES];
};

static struct page_slot *slots;
static struct kmem_cache *node_chunks;
static struct kmem_cache *home_chunks;
static atomic_long_t nr_frames = ATOMIC_LONG_INIT(0);

/* ---- records ---- */

static struct page_chunk *chunk_of(const struct page_ref *ref)
{
	return container_of(ref->page - ref->index % CHUNK_PAGES, struct page_chunk, page[0]);
}

static struct page_chunk *chunk_make(struct dsm_mem *mem, u64 index, gfp_t gfp)
{
	struct page_chunk *chunk, *old;

	chunk = kmem_cache_zalloc(node_chunks, gfp);
	if (!chunk)
		return NULL;
	old = xa_cmpxchg(&mem->chunks, index / CHUNK_PAGES, NULL, chunk, gfp);
	if (!old) {
		atomic_long_add(sizeof(*chunk), &mem->metadata_bytes);
		return chunk;
	}
	kmem_cache_free(node_chunks, chunk);
	return xa_is_err(old) ? NULL : old;
}

/* What was at a home that is lost may have been touched, for all we know. */
static struct home_chunk *home_chunk_make(const struct dsm_mem *mem, u64 index, gfp_t flags)
{
	struct home_chunk *home = kmem_cache_zalloc(home_chunks, flags);
	bool orphan = home_is_orphan(mem, index);
	int i;

	for (i = 0; home && orphan && i < CHUNK_PAGES; i++)
		proto_home_forget(&home->home[i].home, false);
	return home;
}

/* This node is home of @index. */
static struct home_chunk *chunk_home(struct dsm_mem *mem, struct page_chunk *chunk, u64 index,
				     gfp_t flags)
{
	struct home_chunk *home = READ_ONCE(chunk->home), *old;

	if (home)
		return home;
	home = home_chunk_make(mem, index, flags);
	if (!home)
		return NULL;
	old = cmpxchg(&chunk->home, NULL, home);
	if (old) {
		kmem_cache_free(home_chunks, home);
		return old;
	}
	atomic_long_add(sizeof(*home), &mem->metadata_bytes);
	return home;
}

int page_get(struct dsm_mem *mem, u64 index, gfp_t gfp, struct page_ref *out_ref)
{
	struct page_chunk *chunk = xa_load(&mem->chunks, index / CHUNK_PAGES);
	unsigned int i = index % CHUNK_PAGES;

	if (!chunk)
		chunk = chunk_make(mem, index, gfp);
	if (!chunk)
		return -ENOMEM;
	if (home_of(mem, index) == mem->vm->self && !chunk_home(mem, chunk, index, gfp))
		return -ENOMEM;
	*out_ref = (struct page_ref){
		.mem = mem,
		.index = index,
		.page = &chunk->page[i],
	};
	return 0;
}

bool page_is_known(struct dsm_mem *mem, u64 index)
{
	return xa_load(&mem->chunks, index / CHUNK_PAGES);
}

/* Looked at without the page lock: who acts on it looks again. */
bool page_is_untouched(struct dsm_mem *mem, u64 index)
{
	const struct page_chunk *chunk = xa_load(&mem->chunks, index / CHUNK_PAGES);
	const struct home_chunk *home = chunk ? READ_ONCE(chunk->home) : NULL;
	unsigned int i = index % CHUNK_PAGES;

	if (chunk && READ_ONCE(chunk->page[i].node.state) != PROTO_I)
		return false;
	return !home || (READ_ONCE(home->home[i].home.state) == PROTO_UNCACHED &&
			 !READ_ONCE(home->home[i].home.busy));
}

bool page_next_resident(struct dsm_mem *mem, u64 *index, gfp_t gfp, struct page_ref *out_ref)
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
			return !page_get(mem, *index, gfp, out_ref);
		}
	}
	return false;
}

bool page_next_homed(struct dsm_mem *mem, u64 *index, struct page_ref *out_ref)
{
	unsigned long nr = *index / CHUNK_PAGES;
	struct home_chunk *home;
	struct page_chunk *chunk;

	xa_for_each_start(&mem->chunks, nr, chunk, nr) {
		home = READ_ONCE(chunk->home);
		if (!home)
			continue;
		*index = max(*index, (u64)nr * CHUNK_PAGES);
		*out_ref = (struct page_ref){
			.mem = mem,
			.index = *index,
			.page = &chunk->page[*index % CHUNK_PAGES],
			.home = &home->home[*index % CHUNK_PAGES],
		};
		return true;
	}
	return false;
}

int page_next(struct dsm_mem *mem, u64 *index, struct page_ref *out_ref)
{
	unsigned long nr = *index / CHUNK_PAGES;

	if (!xa_find(&mem->chunks, &nr, ULONG_MAX, XA_PRESENT))
		return -ENOENT;
	*index = max(*index, (u64)nr * CHUNK_PAGES);
	return page_get(mem, (*index)++, GFP_KERNEL, out_ref);
}

static void chunk_free_home(struct dsm_mem *mem, struct page_chunk *chunk)
{
	int i;

	if (!chunk->home)
		return;
	for (i = 0; i < CHUNK_PAGES; i++)
		home_free_waiting(&chunk->home->home[i]);
	kmem_cache_free(home_chunks, chunk->home);
	chunk->home = NULL;
	atomic_long_sub(sizeof(*chunk->home), &mem->metadata_bytes);
}

void page_free_homes(struct dsm_mem *mem, u64 first, u64 nr)
{
	struct page_chunk *chunk;
	unsigned long at;

	xa_for_each_range(&mem->chunks, at, chunk, first / CHUNK_PAGES,
			  (first + nr - 1) / CHUNK_PAGES)
		chunk_free_home(mem, chunk);
}

void page_free_all(struct dsm_mem *mem)
{
	struct page_chunk *chunk;
	unsigned long nr;

	xa_for_each(&mem->chunks, nr, chunk) {
		chunk_free_home(mem, chunk);
		kmem_cache_free(node_chunks, chunk);
		cond_resched();
	}
	xa_destroy(&mem->chunks);
}

/* ---- the lock and the waiters ---- */

static struct page_slot *slot_of(const struct dsm_page *page)
{
	return &slots[hash_ptr(page, NR_LOCKS_SHIFT)];
}

static bool try_lock(struct page_ref *ref)
{
	struct home_chunk *home;

	mutex_lock(&slot_of(ref->page)->lock);
	ref->site = home_site(ref->mem, ref->index);
	ref->home = NULL;
	if (ref->site.home != ref->site.self)
		return true;
	/* Who asks for a page of a block waits until it is split. */
	ref->site.frozen |= block_has(ref->page);
	home = chunk_home(ref->mem, chunk_of(ref), ref->index, GFP_AT_ONCE);
	if (home)
		ref->home = &home->home[ref->index % CHUNK_PAGES];
	else
		page_unlock(ref);
	return home;
}

/* page_get() has made the directory entry, unless home has come here at this moment. */
void page_lock(struct page_ref *ref)
{
	while (!try_lock(ref))
		chunk_home(ref->mem, chunk_of(ref), ref->index, GFP_KERNEL | __GFP_NOFAIL);
}

void page_unlock(const struct page_ref *ref)
{
	mutex_unlock(&slot_of(ref->page)->lock);
}

void page_assert_locked(const struct page_ref *ref)
{
	lockdep_assert_held(&slot_of(ref->page)->lock);
}

void page_synchronize(void)
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

struct page *frame_alloc(gfp_t gfp)
{
	return alloc_page(gfp | __GFP_HARDWALL | __GFP_HIGHMEM);
}

static void count_frames(struct dsm_mem *mem, int nr)
{
	atomic_long_add(nr, &nr_frames);
	atomic_long_add(nr, &mem->nr_resident);
	vm_stat_add(mem->vm, DVMM_STAT_VM_pages_resident, nr);
	evict_count(mem->vm, nr);
}

/* A frame that is (@here) or is not one of those whose home is this node. */
static void count_homed(struct dsm_vm *vm, struct dsm_page *page, bool here)
{
	if (here == !!(page->flags & PAGE_F_HOMED))
		return;
	page->flags ^= PAGE_F_HOMED;
	evict_count_homed(vm, here ? 1 : -1);
}

void page_count_homed(const struct page_ref *ref)
{
	page_assert_locked(ref);
	count_homed(ref->mem->vm, ref->page, ref->page->frame && ref->home);
}

static void frame_attach(const struct page_ref *ref, struct page *frame)
{
	ref->page->frame = frame;
	/* A block has these in its head. */
	if (PageCompound(frame))
		return;
	frame->mapping = ref->mem->mapping;
	frame->index = ref->index;
}

void page_set_frame(const struct page_ref *ref, struct page *frame)
{
	/* Only a build that skips invalidations on purpose has one left. */
	if (ref->page->frame)
		page_drop_frame(ref);
	frame_attach(ref, frame);
	page_count_homed(ref);
	count_frames(ref->mem, 1);
}

/* Nobody uses the page; a block frees its frames itself. */
static void frame_release(struct page *frame)
{
	if (PageCompound(frame)) {
		block_left(frame);
		return;
	}
	frame->mapping = NULL;
	frame->index = 0;
	ClearPageDirty(frame);
	put_page(frame);
}

void page_drop_frame(const struct page_ref *ref)
{
	struct page *frame = ref->page->frame;

	page_assert_locked(ref);
	if (!PageCompound(frame) && page_mapped(frame))
		unmap_mapping_pages(ref->mem->mapping, ref->index, 1, false);
	ref->page->frame = NULL;
	frame_release(frame);
	page_count_homed(ref);
	count_frames(ref->mem, -1);
}

/* The old one is part of a block and mapped nowhere. */
void page_move_frame(const struct page_ref *ref, struct page *frame)
{
	struct page *old = ref->page->frame;

	page_assert_locked(ref);
	copy_highpage(frame, old);
	frame_attach(ref, frame);
	frame_release(old);
}

bool frame_is_zero(struct page *frame)
{
	void *data = kmap_local_page(frame);
	bool ret = !memchr_inv(data, 0, PAGE_SIZE);

	kunmap_local(data);
	return ret;
}

/* A block is unmapped as a whole; nobody has a hand on it when it is split. */
static int zap_of_block(const struct page_ref *ref)
{
	return block_is_split(ref->page) ? 0 : -EBUSY;
}

/* The folio lock keeps faults that are on their way from mapping it; the frozen
 * count proves that neither DMA nor KVM nor a system call has a hand on it.
 */
int frame_zap(const struct page_ref *ref)
{
	struct page *frame = ref->page->frame;
	int err = -EBUSY;

	page_assert_locked(ref);
	if (PageCompound(frame))
		return zap_of_block(ref);
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
	if (PageCompound(frame))
		return zap_of_block(ref);
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
			frame_release(frame);
			count_homed(mem->vm, &chunk->page[i], false);
			count_frames(mem, -1);
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
	node_chunks = kmem_cache_create("dvmm_page", sizeof(struct page_chunk), 0, 0, NULL);
	if (!node_chunks)
		goto free_slots;
	home_chunks = kmem_cache_create("dvmm_page_home", sizeof(struct home_chunk), 0, 0, NULL);
	if (!home_chunks)
		goto free_node_chunks;
	return 0;

free_node_chunks:
	kmem_cache_destroy(node_chunks);
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
	kmem_cache_destroy(node_chunks);
	kvfree(slots);
}
