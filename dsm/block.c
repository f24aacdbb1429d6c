// SPDX-License-Identifier: GPL-2.0-only
/* dsm/block.c - large pages: a block is an extent of 2 MiB whose frames are one folio,
 * which the kernel, and so KVM, can map by one entry.
 *
 * An extent gets one when a page of it is touched here, at its home, and nobody has ever
 * touched any. To the rules each of its pages is one that was read here first (E), so they
 * know nothing of blocks. Home serves nobody else while it is there (page_lock() says
 * "frozen"): whoever asks for a page waits until the block is split.
 *
 * Split, it is unmapped, and proven to have no pin; then each page leaves it: what is still
 * zero is let go as never touched, anything else moves to a frame of its own. So a block is
 * mapped while all of it is here, and never again: no fault returns a page of one that is
 * split, for the kernel would map the whole folio where it finds no page table.
 *
 * FILLS -> WHOLE -> SPLIT, under the lock of the extent; WHOLE ends under the folio lock too,
 * which a fault holds until it has mapped the block.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "internal.h"

#define BLOCK_PAGES HOME_EXTENT_PAGES
#define BLOCK_ORDER 9
static_assert(BLOCK_PAGES == 1 << BLOCK_ORDER);
/* Contiguous memory is taken if it is there: neither made nor waited for. */
#define GFP_BLOCK ((GFP_HIGHUSER | __GFP_ZERO | __GFP_NOMEMALLOC | __GFP_NOWARN) & ~__GFP_RECLAIM)
#define NR_LOCKS 64
/* A block that is pinned is tried again. */
#define RETRY_MS 2

enum block_state {
	BLOCK_FILLS,
	BLOCK_WHOLE,
	BLOCK_SPLIT,
};

struct block {
	struct dsm_mem *mem; /* its records keep it, not this */
	u64 first; /* page */
	struct page *head; /* a reference */
	atomic_t nr_left; /* pages that have their frame here, and who fills it */
	u8 state; /* enum block_state */
	u16 wanted; /* the page of it that somebody waits for, or 0. A hint */
	struct list_head wanted_item; /* the list's lock */
};

static bool large_pages;
module_param(large_pages, bool, 0644);
MODULE_PARM_DESC(large_pages, "hold and map as one page 2 MiB that only their home has touched");

static struct workqueue_struct *block_wq;
/* By extent. Taken under no page lock; the holder may wait for memory, not for a peer. */
static struct mutex locks[NR_LOCKS];

bool block_is_enabled(void)
{
	return READ_ONCE(large_pages) && IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE);
}

static struct mutex *lock_of(const struct dsm_mem *mem, u64 first)
{
	return &locks[(first / BLOCK_PAGES + mem->id) % NR_LOCKS];
}

static u64 first_of(u64 index)
{
	return index / BLOCK_PAGES * BLOCK_PAGES;
}

/* @page has a frame of it, and its lock is held: it does not go. */
static struct block *block_of(const struct dsm_page *page)
{
	return (struct block *)page_private(compound_head(page->frame));
}

/* The folio lock, or only as a hint. */
bool block_is_whole(const struct dsm_page *page)
{
	return READ_ONCE(block_of(page)->state) == BLOCK_WHOLE;
}

bool block_is_split(const struct dsm_page *page)
{
	return READ_ONCE(block_of(page)->state) == BLOCK_SPLIT;
}

/* ---- its life ---- */

static struct block *block_alloc(struct dsm_mem *mem, u64 first)
{
	struct block *block = kzalloc(sizeof(*block), GFP_KERNEL);
	struct folio *folio = block ? folio_alloc(GFP_BLOCK, BLOCK_ORDER) : NULL;

	if (!folio) {
		kfree(block);
		return NULL;
	}
	block->mem = mem;
	block->first = first;
	block->head = folio_page(folio, 0);
	INIT_LIST_HEAD(&block->wanted_item);
	atomic_set(&block->nr_left, 1);
	block->head->mapping = mem->mapping;
	block->head->index = first;
	set_page_private(block->head, (unsigned long)block);
	atomic_long_add(sizeof(*block), &mem->metadata_bytes);
	return block;
}

static void unwant(struct block *block)
{
	struct block_list *list = &block->mem->vm->blocks;

	spin_lock(&list->lock);
	list_del_init(&block->wanted_item);
	spin_unlock(&list->lock);
}

static void block_put(struct block *block)
{
	struct page *head = block->head;

	if (!atomic_dec_and_test(&block->nr_left))
		return;
	unwant(block);
	set_page_private(head, 0);
	head->mapping = NULL;
	head->index = 0;
	ClearPageDirty(head);
	put_page(head);
	atomic_long_sub(sizeof(*block), &block->mem->metadata_bytes);
	kfree(block);
}

/* A page has another frame than @frame now, or none. */
void block_left(struct page *frame)
{
	block_put((struct block *)page_private(compound_head(frame)));
}

/* ---- fill ---- */

static bool is_untouched(struct dsm_mem *mem, u64 first)
{
	u64 i;

	for (i = first; i < first + BLOCK_PAGES; i++)
		if (!page_is_untouched(mem, i))
			return false;
	return true;
}

static bool may_have_block(struct dsm_mem *mem, u64 first)
{
	return first + BLOCK_PAGES <= mem->nr_pages && home_of(mem, first) == mem->vm->self &&
	       evict_has_place(mem->vm, BLOCK_PAGES) && is_untouched(mem, first);
}

static int fill_page(struct block *block, u64 i)
{
	struct op op = {};
	int err = page_get(block->mem, block->first + i, GFP_KERNEL, &op.ref);

	if (err)
		return err;
	page_lock(&op.ref);
	atomic_inc(&block->nr_left);
	err = act_populate(&op, block->head + i);
	if (err)
		atomic_dec(&block->nr_left);
	page_unlock(&op.ref);
	return err;
}

static int leave_all(struct dsm_mem *mem, u64 first);

/* Another node may touch a page meanwhile: then it is undone. */
static void fill(struct block *block)
{
	struct dsm_vm *vm = block->mem->vm;
	int err = 0;
	u64 i;

	for (i = 0; i < BLOCK_PAGES && !err; i++)
		err = fill_page(block, i);
	WRITE_ONCE(block->state, err ? BLOCK_SPLIT : BLOCK_WHOLE);
	if (!err)
		vm_stat(vm, large_pages);
	else
		leave_all(block->mem, block->first); /* what stays leaves when it is touched */
	block_put(block);
}

void block_make(struct dsm_mem *mem, u64 index)
{
	u64 first = first_of(index);
	struct block *block;

	if (!page_is_untouched(mem, index))
		return;
	mutex_lock(lock_of(mem, first));
	if (may_have_block(mem, first)) {
		block = block_alloc(mem, first);
		if (block)
			fill(block);
		else
			vm_stat(mem->vm, large_pages_failed);
	}
	mutex_unlock(lock_of(mem, first));
}

/* ---- split ---- */

static int leave(struct dsm_mem *mem, u64 index)
{
	struct page *spare = NULL;
	struct op op = {};
	int err = page_get(mem, index, GFP_KERNEL, &op.ref);

	if (err)
		return err;
	do {
		page_lock(&op.ref);
		err = block_has(op.ref.page) ? act_leave_block(&op, &spare) : 0;
		page_unlock(&op.ref);
	} while (err == -EAGAIN && (spare = frame_alloc(GFP_KERNEL)));
	if (spare)
		put_page(spare);
	return err == -EAGAIN ? -ENOMEM : err;
}

static int leave_all(struct dsm_mem *mem, u64 first)
{
	int err = 0;
	u64 i;

	for (i = first; i < first + BLOCK_PAGES && !err; i++)
		err = leave(mem, i);
	return err;
}

/* The block of page @index, or NULL. With its page lock, unless NULL. */
static struct block *find_at(struct dsm_mem *mem, u64 index, struct page_ref *out_ref)
{
	if (!page_is_known(mem, index) || page_get(mem, index, GFP_KERNEL, out_ref))
		return NULL;
	page_lock(out_ref);
	if (block_has(out_ref->page))
		return block_of(out_ref->page);
	page_unlock(out_ref);
	return NULL;
}

static struct block *find(struct dsm_mem *mem, u64 first, struct page_ref *out_ref)
{
	struct block *block = NULL;
	u64 i;

	for (i = first; i < first + BLOCK_PAGES && i < mem->nr_pages && !block; i++)
		block = find_at(mem, i, out_ref);
	return block;
}

/* No fault is mapping it, and the count proves that nobody has a hand on a page of it. */
static int unmap(struct block *block)
{
	struct dsm_vm *vm = block->mem->vm;
	int err = -EBUSY;

	lock_page(block->head);
	unmap_mapping_pages(block->mem->mapping, block->first, BLOCK_PAGES, false);
	if (page_ref_freeze(block->head, 1)) {
		page_ref_unfreeze(block->head, 1);
		WRITE_ONCE(block->state, BLOCK_SPLIT);
		err = 0;
	}
	unlock_page(block->head);
	if (err)
		vm_stat(vm, take_backoffs);
	else
		vm_stat(vm, large_pages_split);
	return err;
}

/* The lock of the extent keeps the block. */
static int split(struct dsm_mem *mem, u64 first)
{
	struct page_ref ref;
	struct block *block = find(mem, first, &ref);
	u64 wanted;
	int err = 0;

	if (!block)
		return 0;
	page_unlock(&ref);
	wanted = first + READ_ONCE(block->wanted);
	if (block->state == BLOCK_WHOLE)
		err = unmap(block);
	return err ?: leave(mem, wanted) ?: leave_all(mem, first);
}

int block_split(struct dsm_mem *mem, u64 index)
{
	u64 first = first_of(index);
	int err;

	mutex_lock(lock_of(mem, first));
	err = split(mem, first);
	mutex_unlock(lock_of(mem, first));
	return err;
}

int block_settle(struct dsm_mem *mem, u64 index)
{
	u64 first = first_of(index);
	struct page_ref ref;
	struct block *block;
	int err = 0;

	mutex_lock(lock_of(mem, first));
	block = find_at(mem, index, &ref);
	if (block) {
		page_unlock(&ref);
		if (block->state == BLOCK_SPLIT)
			err = leave_all(mem, first);
	}
	mutex_unlock(lock_of(mem, first));
	return err;
}

/* ---- later ---- */

/* At the end of the list. The page lock of a page that has its frame there. */
static void want(struct block *block, u64 index)
{
	struct block_list *list = &block->mem->vm->blocks;

	spin_lock(&list->lock);
	if (list_empty(&block->wanted_item)) {
		list_add_tail(&block->wanted_item, &list->wanted);
		WRITE_ONCE(block->wanted, index - block->first);
	}
	spin_unlock(&list->lock);
}

void block_split_later(const struct page_ref *ref)
{
	page_assert_locked(ref);
	want(block_of(ref->page), ref->index);
	queue_delayed_work(block_wq, &ref->mem->vm->blocks.work, 0);
}

static void want_again(struct dsm_mem *mem, u64 first)
{
	struct page_ref ref;
	struct block *block = find(mem, first, &ref);

	if (!block)
		return;
	want(block, first + READ_ONCE(block->wanted));
	page_unlock(&ref);
}

/* With a reference of the mem. */
static struct dsm_mem *next_wanted(struct block_list *list, u64 *out_first)
{
	struct dsm_mem *mem = NULL;
	struct block *block;

	spin_lock(&list->lock);
	block = list_first_entry_or_null(&list->wanted, struct block, wanted_item);
	if (block) {
		list_del_init(&block->wanted_item);
		mem = block->mem;
		mem_get(mem);
		*out_first = block->first;
	}
	spin_unlock(&list->lock);
	return mem;
}

static long nr_wanted(struct block_list *list)
{
	struct list_head *item;
	long nr = 0;

	spin_lock(&list->lock);
	list_for_each(item, &list->wanted)
		nr++;
	spin_unlock(&list->lock);
	return nr;
}

/* One pass; what is pinned comes again. */
static void split_wanted(struct dsm_vm *vm)
{
	long nr = nr_wanted(&vm->blocks);
	struct dsm_mem *mem;
	u64 first;

	for (; nr > 0 && !vm_is_dead(vm); nr--) {
		mem = next_wanted(&vm->blocks, &first);
		if (!mem)
			return;
		if (block_split(mem, first))
			want_again(mem, first);
		mem_put(mem);
	}
}

static void block_work(struct work_struct *work)
{
	struct dsm_vm *vm = container_of(to_delayed_work(work), struct dsm_vm, blocks.work);

	if (!vm_enter(vm))
		return;
	split_wanted(vm);
	if (nr_wanted(&vm->blocks))
		queue_delayed_work(block_wq, &vm->blocks.work, msecs_to_jiffies(RETRY_MS));
	vm_leave(vm);
}

void block_init_vm(struct dsm_vm *vm)
{
	spin_lock_init(&vm->blocks.lock);
	INIT_LIST_HEAD(&vm->blocks.wanted);
	INIT_DELAYED_WORK(&vm->blocks.work, block_work);
}

/* Nobody is in the vm any more. */
void block_end_vm(struct dsm_vm *vm)
{
	cancel_delayed_work_sync(&vm->blocks.work);
}

int block_init(void)
{
	int i;

	for (i = 0; i < NR_LOCKS; i++)
		mutex_init(&locks[i]);
	/* Other nodes wait for it. */
	block_wq = alloc_workqueue("dvmm_block", WQ_HIGHPRI | WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return block_wq ? 0 : -ENOMEM;
}

/* After mem_exit(): no vm is left. */
void block_exit(void)
{
	destroy_workqueue(block_wq);
}
