// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/defer.c - in place of kmod/defer.c: a thread for each message, as who
 * asks waits for the answer.
 */
#include "../../../kmod/kmod.h"

struct deferred {
	struct work_struct work;
	const struct dvmm_service *service;
	u8 from;
	size_t len;
	struct dvmm_msg_hdr hdr;
	u8 payload[] __aligned(8);
};

static void defer_work(struct work_struct *work)
{
	struct deferred *msg = container_of(work, struct deferred, work);

	if (msg->service->deferred(msg->from, &msg->hdr, msg->payload, msg->len))
		dvmm_link_fail(msg->from, "it was refused");
	free(msg); /* only its address is looked at after this */
}

int dvmm_defer(const struct dvmm_service *service, u8 from, const struct dvmm_msg_hdr *hdr,
	       const void *payload, size_t len)
{
	struct deferred *msg = kmalloc(sizeof(*msg) + len, GFP_NOWAIT);

	if (!msg) {
		dvmm_link_reply(from, hdr->req, -ENOBUFS, NULL, 0);
		return 0;
	}
	msg->service = service;
	msg->from = from;
	msg->len = len;
	msg->hdr = *hdr;
	memcpy(msg->payload, payload, len);
	INIT_WORK(&msg->work, defer_work);
	queue_work(NULL, &msg->work);
	return 0;
}
