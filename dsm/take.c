// SPDX-License-Identifier: GPL-2.0-only
/* dsm/take.c - takes that are put off, because the page has just come or has a
 * pin on it. A page has at most one: home asks for one thing at a time.
 */
#include <linux/hrtimer.h>
#include <linux/mempool.h>
#include <linux/slab.h>

#include "trace.h"

#define BACKOFF_MIN_US 50
#define BACKOFF_MAX_US 2000
/* So many can be put off on a host without memory. */
#define NR_RESERVED 512

struct take {
	struct dsm_mem *mem; /* a reference */
	u64 index;
	struct proto_event ev;
	u32 backoff_us;
	u32 epoch; /* of the VM; what is of an older one is forgotten */
	struct hrtimer timer;
	struct work_struct work;
};

static struct workqueue_struct *take_wq;
static struct kmem_cache *takes;
static mempool_t *take_pool;

static void take_free(struct take *take)
{
	mem_put(take->mem);
	mempool_free(take, take_pool);
}

static void retry(const struct take *take, struct op *op)
{
	struct proto_event ev = take->ev;
	int err = 0;

	page_lock(&op->ref);
	if (!loss_refuses(op->ref.mem->vm, &ev, take->epoch)) {
		op->ref.page->flags &= ~PAGE_F_TAKE;
		err = act_event(op, &ev);
	}
	page_unlock(&op->ref);
	if (err)
		vm_fail(op->ref.mem->vm, err, "node %u broke a rule: %s of page %llu",
			ev.from, proto_event_name(ev.event), op->ref.index);
}

/* op.take is the item until the op has put the event off in it again. */
static void take_work(struct work_struct *work)
{
	struct take *take = container_of(work, struct take, work);
	struct dsm_vm *vm = take->mem->vm;
	struct op op = { .take = take };

	if (!vm_enter(vm)) {
		take_free(take);
		return;
	}
	vm_get(vm);
	/* Its record is there; only a new directory entry may need memory. */
	if (page_get(take->mem, take->index, GFP_KERNEL | __GFP_NOFAIL, &op.ref))
		vm_fail(vm, -ENOMEM, "no memory for a page record");
	else
		retry(take, &op);
	if (op.take)
		take_free(take);
	vm_leave(vm);
	vm_put(vm);
}

static enum hrtimer_restart take_timer(struct hrtimer *timer)
{
	struct take *take = container_of(timer, struct take, timer);

	queue_work(take_wq, &take->work);
	return HRTIMER_NORESTART;
}

static struct take *take_make(struct op *op)
{
	struct take *take = mempool_alloc(take_pool, GFP_AT_ONCE);

	if (!take)
		return NULL;
	mem_get(op->ref.mem);
	take->mem = op->ref.mem;
	take->index = op->ref.index;
	take->backoff_us = BACKOFF_MIN_US;
	hrtimer_init(&take->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	take->timer.function = take_timer;
	INIT_WORK(&take->work, take_work);
	return take;
}

/* @us: when it may go, or 0: pinned, try again. */
int take_defer(struct op *op, const struct proto_event *ev, u32 us)
{
	struct take *take = op->take ?: take_make(op);

	page_assert_locked(&op->ref);
	if (!take)
		return -ENOMEM;
	op->take = NULL;
	take->ev = *ev;
	take->epoch = op->ref.mem->vm->epoch;
	op->ref.page->flags |= PAGE_F_TAKE;
	if (!us) {
		us = take->backoff_us;
		take->backoff_us = min(us * 2, BACKOFF_MAX_US);
	}
	trace_dsm_defer(&op->ref, ev, us, op->ref.mem->vm->self);
	heat_put_off(&op->ref);
	hrtimer_start(&take->timer, ns_to_ktime((u64)us * NSEC_PER_USEC),
		      HRTIMER_MODE_REL);
	return 0;
}

int take_init(void)
{
	takes = KMEM_CACHE(take, 0);
	if (!takes)
		return -ENOMEM;
	take_pool = mempool_create_slab_pool(NR_RESERVED, takes);
	if (!take_pool)
		goto destroy_takes;
	/* What is put off gives memory back in the end. */
	take_wq = alloc_workqueue("dvmm_take", WQ_HIGHPRI | WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!take_wq)
		goto destroy_pool;
	return 0;

destroy_pool:
	mempool_destroy(take_pool);
destroy_takes:
	kmem_cache_destroy(takes);
	return -ENOMEM;
}

/* After mem_exit(): each take holds a mem. */
void take_exit(void)
{
	destroy_workqueue(take_wq);
	mempool_destroy(take_pool);
	kmem_cache_destroy(takes);
}
