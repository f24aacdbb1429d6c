// SPDX-License-Identifier: GPL-2.0-only
/* dsm/post.c - coherence messages on their way to other nodes. Those of one moment
 * share a packet: requests of a window, and what can wait for a moment goes with
 * the next message there. What they say is serve.c's.
 */
#include <linux/hrtimer.h>
#include <linux/slab.h>

#include "internal.h"

/* What waits to be sent to one node. */
struct post_box {
	struct dsm_vm *vm;
	u8 node;
	spinlock_t lock; /* softirq; order: page lock -> this -> those of the link */
	u8 nr; /* lock */
	struct dvmm_msg_mem msg[DVMM_MEM_BATCH]; /* lock */
	struct hrtimer timer;
};

static struct post_box *box_of(struct dsm_vm *vm, u8 node)
{
	return READ_ONCE(vm->post[node]);
}

/* box->lock held: who takes it next knows that all this is with the link. */
static int send_all(struct post_box *box)
{
	struct dvmm_msg msg = {
		.type = box->nr > 1 ? DVMM_MSG_MEM_BATCH : DVMM_MSG_MEM_PROTO,
		.vm = box->vm->id,
		.payload = box->msg,
		.len = box->nr * sizeof(box->msg[0]),
	};

	if (!box->nr)
		return 0;
	box->nr = 0;
	return dvmm_link_send(box->node, &msg);
}

static int flush(struct post_box *box)
{
	int err;

	spin_lock_bh(&box->lock);
	err = send_all(box);
	spin_unlock_bh(&box->lock);
	return err;
}

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
	struct post_box *box = container_of(timer, struct post_box, timer);

	/* Of a link that is gone we hear in a context that can do something about it. */
	if (flush(box) == -ENOBUFS)
		serve_sent(box->vm, box->node, -ENOBUFS);
	return HRTIMER_NORESTART;
}

/* For one round trip. box->lock held. Armed for what has gone meanwhile it comes early,
 * which does no harm.
 */
static void arm(struct post_box *box)
{
	if (!hrtimer_is_queued(&box->timer))
		hrtimer_start(&box->timer, ns_to_ktime(dvmm_link_rtt_ns(box->node)),
			      HRTIMER_MODE_REL_SOFT);
}

void post(struct dsm_vm *vm, u8 node, const struct dvmm_msg_mem *msg, bool can_wait)
{
	struct post_box *box = box_of(vm, node);
	int err = 0;

	spin_lock_bh(&box->lock);
	box->msg[box->nr++] = *msg;
	if (!can_wait || box->nr == DVMM_MEM_BATCH)
		err = send_all(box);
	else if (box->nr == 1)
		arm(box);
	spin_unlock_bh(&box->lock);
	serve_sent(vm, node, err);
}

void post_flush(struct dsm_vm *vm)
{
	u64 nodes = READ_ONCE(vm->known_nodes);

	for (; nodes; nodes &= nodes - 1)
		serve_sent(vm, __ffs64(nodes), flush(box_of(vm, __ffs64(nodes))));
}

/* ---- life ---- */

static void init_box(struct post_box *box, struct dsm_vm *vm, u8 node)
{
	box->vm = vm;
	box->node = node;
	spin_lock_init(&box->lock);
	hrtimer_init(&box->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	box->timer.function = on_timer;
}

int post_open(struct dsm_vm *vm, u8 node)
{
	struct post_box *box;

	if (vm->post[node])
		return 0;
	box = kzalloc(sizeof(*box), GFP_KERNEL);
	if (!box)
		return -ENOMEM;
	init_box(box, vm, node);
	/* Two may want to; the first has it. Pairs with box_of(). */
	if (cmpxchg(&vm->post[node], NULL, box))
		kfree(box);
	return 0;
}

int post_init_vm(struct dsm_vm *vm)
{
	u64 nodes = vm->known_nodes;
	int err = 0;

	for (; nodes && !err; nodes &= nodes - 1)
		err = post_open(vm, __ffs64(nodes));
	return err;
}

void post_end_vm(struct dsm_vm *vm)
{
	int i;

	for (i = 0; i < DVMM_MAX_NODES; i++)
		if (vm->post[i])
			hrtimer_cancel(&vm->post[i]->timer);
}

void post_free_vm(struct dsm_vm *vm)
{
	int i;

	for (i = 0; i < DVMM_MAX_NODES; i++)
		kfree(vm->post[i]);
}
