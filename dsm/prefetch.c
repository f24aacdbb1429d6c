// SPDX-License-Identifier: GPL-2.0-only
/* dsm/prefetch.c - pages that will be missed next, asked for before they are.
 *
 * Misses of one stride make a stream. It asks for a window of pages ahead, and
 * again when the page in the middle of the window is touched, as the page cache's
 * readahead does. The window doubles while the stream goes on; what goes away
 * unused makes all windows smaller.
 */
#include <linux/module.h>

#include "internal.h"

#define WINDOW_FIRST 8
#define WINDOW_MAX 256
/* Misses farther apart are not of one stream. */
#define STRIDE_MAX 64

static uint prefetch_window = 32;
module_param(prefetch_window, uint, 0644);
MODULE_PARM_DESC(prefetch_window, "most pages asked for ahead of a stream of misses (0-256; 0: none)");

void prefetch_init(struct prefetch *prefetch)
{
	spin_lock_init(&prefetch->lock);
	prefetch->window_max = WINDOW_MAX;
}

/* The page lock is held. */
void prefetch_wasted(const struct page_ref *ref)
{
	struct prefetch *prefetch = &ref->mem->vm->prefetch;

	vm_stat(ref->mem->vm, prefetches_wasted);
	WRITE_ONCE(prefetch->window_max, max(READ_ONCE(prefetch->window_max) / 2, WINDOW_FIRST));
}

static bool goes_on(const struct prefetch_stream *stream, u32 mem, u64 index)
{
	return stream->mem == mem && stream->stride &&
	       (index == stream->last + stream->stride || index == stream->mark);
}

/* A stream that may have begun with the miss before this one. */
static bool is_near(const struct prefetch_stream *stream, u32 mem, u64 index)
{
	s64 stride = index - stream->last;

	return stream->mem == mem && !stream->window && stride && abs(stride) <= STRIDE_MAX;
}

static struct prefetch_stream *find(struct prefetch *prefetch, u32 mem, u64 index,
				    bool (*is_it)(const struct prefetch_stream *, u32, u64))
{
	int i;

	for (i = 0; i < PREFETCH_STREAMS; i++)
		if (is_it(&prefetch->stream[i], mem, index))
			return &prefetch->stream[i];
	return NULL;
}

static void begin(struct prefetch *prefetch, u32 mem, u64 index)
{
	prefetch->stream[prefetch->next++ % PREFETCH_STREAMS] = (struct prefetch_stream){
		.mem = mem,
		.last = index,
	};
}

/* How many pages, behind @out_from, are to be asked for now. */
static u32 advance(struct prefetch *prefetch, struct prefetch_stream *stream, u64 index,
		   u64 *out_from)
{
	stream->window = clamp_t(u32, stream->window * 2, WINDOW_FIRST,
				 min(READ_ONCE(prefetch->window_max), READ_ONCE(prefetch_window)));
	/* It has run beyond what was asked for: a miss. */
	if (index != stream->mark)
		stream->last = index;
	*out_from = stream->last;
	stream->mark = stream->last + stream->stride * (stream->window / 2);
	stream->last += stream->stride * stream->window;
	return stream->window;
}

/* What a miss, or the touch of a mark, at @index makes of the streams. */
static u32 note(struct prefetch *prefetch, u32 mem, u64 index, u64 *out_from, s64 *out_stride)
{
	struct prefetch_stream *stream;
	u32 nr = 0;

	spin_lock(&prefetch->lock);
	stream = find(prefetch, mem, index, goes_on);
	if (stream) {
		*out_stride = stream->stride;
		nr = advance(prefetch, stream, index, out_from);
		goto unlock;
	}
	stream = find(prefetch, mem, index, is_near);
	if (stream) {
		stream->stride = index - stream->last;
		stream->last = index;
	} else {
		begin(prefetch, mem, index);
	}
unlock:
	spin_unlock(&prefetch->lock);
	return nr;
}

/* Whatever the answer: nobody waits for it yet. False: the end of what can be asked for. */
static bool ask(struct dsm_mem *mem, u64 index, u8 want, bool is_mark)
{
	struct op op = { .can_wait = true };
	int err = 0;

	if (index >= mem->nr_pages || !fetch_may_foresee(mem->vm) ||
	    page_get(mem, index, GFP_KERNEL, &op.ref))
		return false;
	page_lock(&op.ref);
	if (op.ref.page->node.state == PROTO_I && !home_is_simple(&op.ref)) {
		op.ref.page->flags |= PAGE_F_PREFETCHED | (is_mark ? PAGE_F_MARK : 0);
		err = act_access(&op, want);
	}
	page_unlock(&op.ref);
	return !err || err == -EAGAIN;
}

/* The caller is in the VM and holds no lock. */
void prefetch_after(struct dsm_mem *mem, u64 index, u8 want)
{
	struct prefetch *prefetch = &mem->vm->prefetch;
	s64 stride;
	u64 at;
	u32 i, nr;

	if (!READ_ONCE(prefetch_window) || evict_is_full(mem->vm))
		return;
	nr = note(prefetch, mem->id, index, &at, &stride);
	for (i = 1; i <= nr; i++) {
		at += stride;
		if (!ask(mem, at, want, i == nr / 2))
			break;
	}
	if (nr)
		post_flush(mem->vm);
}

/* True, once: the page is the mark of a window. Looked at without the lock: a hint. */
bool prefetch_is_mark(const struct page_ref *ref)
{
	return READ_ONCE(ref->page->flags) & PAGE_F_MARK;
}

bool prefetch_is_ready(const struct page_ref *ref)
{
	u8 state = READ_ONCE(ref->page->node.state);
	u16 flags = READ_ONCE(ref->page->flags);

	return (flags & (PAGE_F_PREFETCHED | PAGE_F_MARK | PAGE_F_TAKE)) == PAGE_F_PREFETCHED &&
	       proto_can_read(state) && !proto_is_transient(state);
}
