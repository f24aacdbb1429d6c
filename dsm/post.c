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
	return &vm->post[hweight64(vm->first_nodes & (BIT_ULL(node) - 1))];
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
	int i;

	for (i = 0; i < vm->nr_nodes; i++)
		serve_sent(vm, vm->node[i], flush(&vm->post[i]));
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

int post_init_vm(struct dsm_vm *vm)
{
	int i;

	vm->post = kcalloc(vm->nr_nodes, sizeof(*vm->post), GFP_KERNEL);
	if (!vm->post)
		return -ENOMEM;
	for (i = 0; i < vm->nr_nodes; i++)
		init_box(&vm->post[i], vm, vm->node[i]);
	return 0;
}

void post_end_vm(struct dsm_vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_nodes; i++)
		hrtimer_cancel(&vm->post[i].timer);
}
