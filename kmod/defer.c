// SPDX-License-Identifier: GPL-2.0-only
/* kmod/defer.c - messages that are handled by a worker, one after the other in the order
 * they came, because what they ask for may have to wait for memory: a receive handler must
 * not. They are few.
 */
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "internal.h"

/* More is not asked by peers that wait for their answers. */
#define MAX_DEFERRED 1024

struct deferred {
	struct work_struct work;
	const struct dvmm_service *service;
	u8 from;
	size_t len;
	struct dvmm_msg_hdr hdr;
	u8 payload[] __aligned(8);
};

static struct workqueue_struct *defer_wq;
static atomic_t nr_deferred = ATOMIC_INIT(0);

static void defer_work(struct work_struct *work)
{
	struct deferred *msg = container_of(work, struct deferred, work);

	if (msg->service->deferred(msg->from, &msg->hdr, msg->payload, msg->len))
		dvmm_link_fail(msg->from, "broke the protocol: a service refused its message");
	kfree(msg);
	atomic_dec(&nr_deferred);
}

static struct deferred *make(size_t len)
{
	struct deferred *msg = NULL;

	if (atomic_inc_return(&nr_deferred) <= MAX_DEFERRED)
		msg = kmalloc(struct_size(msg, payload, len), GFP_NOWAIT | __GFP_NOWARN);
	if (!msg)
		atomic_dec(&nr_deferred);
	return msg;
}

int dvmm_defer(const struct dvmm_service *service, u8 from, const struct dvmm_msg_hdr *hdr,
	       const void *payload, size_t len)
{
	u32 req = le32_to_cpu(hdr->req);
	struct deferred *msg = make(len);

	if (!msg && !req)
		return -ENOMEM;
	if (!msg) {
		dvmm_link_reply(from, req, -ENOBUFS, NULL, 0);
		return 0;
	}
	msg->service = service;
	msg->from = from;
	msg->len = len;
	msg->hdr = *hdr;
	memcpy(msg->payload, payload, len);
	INIT_WORK(&msg->work, defer_work);
	queue_work(defer_wq, &msg->work);
	return 0;
}
EXPORT_SYMBOL_GPL(dvmm_defer);

void defer_flush(void)
{
	flush_workqueue(defer_wq);
}

int defer_init(void)
{
	defer_wq = alloc_ordered_workqueue("dvmm_defer", 0);
	return defer_wq ? 0 : -ENOMEM;
}

void defer_exit(void)
{
	destroy_workqueue(defer_wq);
}
