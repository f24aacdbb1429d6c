// SPDX-License-Identifier: GPL-2.0-only
/* dsm/fetch.c - the requests of this node that run, by the name (txn) that the
 * answers carry. A page answer carries nothing else.
 *
 * A request begins under a page lock, so what it needs is there at once or was reserved
 * before (fetch_reserve()): see "Memory" in internal.h.
 */
#include <linux/slab.h>

#include "internal.h"

#define NR_SPARE 32

struct fetch {
	struct dsm_mem *mem; /* a reference; NULL: only reserved. xa_lock of fetches */
	u64 index;
	u32 txn;
	bool is_foreseen; /* nobody waited for it when it began */
	struct page *frame; /* reserved, for an answer that says "zero" */
};

static DEFINE_XARRAY_ALLOC1(fetches); /* txn -> struct fetch */
static u32 next_txn; /* xa_lock of fetches */

static DEFINE_SPINLOCK(spare_lock); /* innermost */
static struct page *spare[NR_SPARE]; /* spare_lock */
static u32 nr_spare; /* spare_lock */

/* ---- frames ---- */

static struct page *frame_take(gfp_t gfp)
{
	struct page *frame = NULL;

	spin_lock(&spare_lock);
	if (nr_spare)
		frame = spare[--nr_spare];
	spin_unlock(&spare_lock);
	return frame ?: frame_alloc(gfp);
}

static void frame_give(struct page *frame)
{
	spin_lock(&spare_lock);
	if (nr_spare < NR_SPARE) {
		spare[nr_spare++] = frame;
		frame = NULL;
	}
	spin_unlock(&spare_lock);
	if (frame)
		put_page(frame);
}

/* Kernels that clear what they allocate take their time: while an answer is on its
 * way there is some.
 */
void fetch_restock(void)
{
	struct page *frame;

	while (READ_ONCE(nr_spare) < NR_SPARE) {
		frame = frame_alloc(GFP_KERNEL);
		if (!frame)
			return;
		frame_give(frame);
	}
}

void fetch_exit(void)
{
	while (nr_spare)
		put_page(spare[--nr_spare]);
}

/* ---- requests ---- */

static void fetch_free(struct fetch *fetch)
{
	if (fetch->frame)
		frame_give(fetch->frame);
	if (fetch->is_foreseen)
		atomic_dec(&fetch->mem->vm->nr_foreseen);
	if (fetch->mem)
		mem_put(fetch->mem);
	kfree(fetch);
}

static struct fetch *fetch_new(gfp_t gfp)
{
	struct fetch *fetch = kzalloc(sizeof(*fetch), gfp);

	if (!fetch)
		return NULL;
	fetch->frame = frame_take(gfp);
	if (fetch->frame && xa_alloc_cyclic(&fetches, &fetch->txn, fetch,
					    XA_LIMIT(1, FETCH_PUT_TXN - 1), &next_txn, gfp) >= 0)
		return fetch;
	fetch_free(fetch);
	return NULL;
}

int fetch_reserve(struct op *op)
{
	if (!op->fetch)
		op->fetch = fetch_new(GFP_KERNEL);
	return op->fetch ? 0 : -ENOMEM;
}

void fetch_unreserve(struct op *op)
{
	if (!op->fetch)
		return;
	xa_erase(&fetches, op->fetch->txn);
	fetch_free(op->fetch);
	op->fetch = NULL;
}

/* For a request that ends at once. */
struct page *fetch_frame_at_once(struct op *op)
{
	struct page *frame = frame_take(GFP_AT_ONCE);

	if (frame || !op->fetch)
		return frame;
	swap(frame, op->fetch->frame);
	fetch_unreserve(op);
	return frame;
}

bool fetch_may_foresee(const struct dsm_vm *vm)
{
	return atomic_read(&vm->nr_foreseen) < FORESEEN_MAX;
}

int fetch_begin(struct op *op, u32 *out_txn)
{
	struct fetch *fetch = op->fetch ?: fetch_new(GFP_AT_ONCE);

	op->fetch = NULL;
	if (!fetch)
		return -ENOMEM;
	mem_get(op->ref.mem);
	fetch->is_foreseen = op->ref.page->flags & PAGE_F_FORESEEN;
	if (fetch->is_foreseen)
		atomic_inc(&op->ref.mem->vm->nr_foreseen);
	xa_lock(&fetches);
	fetch->index = op->ref.index;
	fetch->mem = op->ref.mem;
	xa_unlock(&fetches);
	*out_txn = fetch->txn;
	return 0;
}

void fetch_end(u32 txn)
{
	struct fetch *fetch;

	if (txn == FETCH_LOCAL_TXN)
		return;
	fetch = xa_erase(&fetches, txn);
	if (fetch)
		fetch_free(fetch);
}

struct page *fetch_take_frame(u32 txn)
{
	struct page *frame = NULL;
	struct fetch *fetch;

	xa_lock(&fetches);
	fetch = xa_load(&fetches, txn);
	if (fetch)
		swap(frame, fetch->frame);
	xa_unlock(&fetches);
	return frame;
}

bool fetch_find(u32 txn, struct dsm_mem **out_mem, u64 *out_index)
{
	struct fetch *fetch;

	xa_lock(&fetches);
	fetch = xa_load(&fetches, txn);
	if (fetch && !fetch->mem)
		fetch = NULL;
	if (fetch) {
		mem_get(fetch->mem);
		*out_mem = fetch->mem;
		*out_index = fetch->index;
	}
	xa_unlock(&fetches);
	return fetch;
}

static struct fetch *erase_one(struct dsm_vm *vm)
{
	struct fetch *fetch;
	unsigned long txn;

	xa_lock(&fetches);
	xa_for_each(&fetches, txn, fetch) {
		if (fetch->mem && fetch->mem->vm == vm) {
			__xa_erase(&fetches, txn);
			break;
		}
	}
	xa_unlock(&fetches);
	return fetch;
}

void fetch_end_all(struct dsm_vm *vm)
{
	struct fetch *fetch;

	while ((fetch = erase_one(vm)))
		fetch_free(fetch);
}
