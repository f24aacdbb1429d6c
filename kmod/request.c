// SPDX-License-Identifier: GPL-2.0-only
/* kmod/request.c - messages that wait for a reply: numbers, waiters, deadlines. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include "internal.h"
#include "transport.h"

/* On the waiter's stack; whoever takes it out of link->requests finishes it. */
struct request {
	struct completion done;
	void *reply;
	size_t room;
	size_t len;
	int ret;
};

static void finish(struct request *request, int ret)
{
	request->ret = ret;
	complete(&request->done);
}

static int add(struct link *link, struct request *request, u32 *out_id)
{
	/* Numbers return late, so that a late reply hits nobody. 0 means no request. */
	int err = xa_alloc_cyclic(&link->requests, out_id, request,
				  XA_LIMIT(1, U32_MAX), &link->next_request, GFP_KERNEL);

	return err < 0 ? err : 0;
}

static int wait(struct request *request, u32 timeout_ms)
{
	long left = timeout_ms ? msecs_to_jiffies(timeout_ms) : MAX_SCHEDULE_TIMEOUT;

	left = wait_for_completion_killable_timeout(&request->done, left);
	if (left > 0)
		return 0;
	return left ? -EINTR : -ETIMEDOUT;
}

/* Its own end, if nobody else is about to end it. */
static int give_up(struct link *link, struct request *request, u32 id, int err)
{
	if (xa_erase(&link->requests, id))
		return err;
	wait_for_completion(&request->done);
	return request->ret;
}

/* We may sleep, so a full queue is no reason to fail. */
static int send_patiently(struct link *link, const struct dvmm_msg *msg, u32 id)
{
	int tries, err;

	for (tries = 0; tries < 1000; tries++) {
		err = link_send(link, msg, id, 0);
		if (err != -ENOBUFS)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(1000, 2000);
	}
	return err;
}

static int send_once(struct link *link, const struct dvmm_msg *msg, void *reply,
		     size_t reply_len, size_t *out_len, u32 timeout_ms)
{
	struct request request = { .reply = reply, .room = reply_len };
	u32 id;
	int err;

	init_completion(&request.done);
	err = add(link, &request, &id);
	if (err)
		return err;
	err = send_patiently(link, msg, id);
	if (!err) {
		dvmm_stat_inc(link->stats, DVMM_STAT_LINK_requests);
		err = wait(&request, timeout_ms);
	}
	if (err == -ETIMEDOUT)
		dvmm_stat_inc(link->stats, DVMM_STAT_LINK_request_timeouts);
	err = err ? give_up(link, &request, id, err) : request.ret;
	if (out_len && !err)
		*out_len = request.len;
	return err;
}

/* A peer without memory for the request has not looked at it: it is asked again. */
int request_send(struct link *link, const struct dvmm_msg *msg, void *reply,
		 size_t reply_len, size_t *out_len, u32 timeout_ms)
{
	ktime_t end = ktime_add_ms(ktime_get(), timeout_ms);
	s64 left = timeout_ms;
	int err;

	for (;;) {
		err = send_once(link, msg, reply, reply_len, out_len, left);
		if (timeout_ms)
			left = ktime_ms_delta(end, ktime_get());
		if (err != -ENOBUFS || (timeout_ms && left <= 0))
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(5000, 10000);
	}
}

void request_answer(struct link *link, const struct dvmm_msg_hdr *hdr,
		    const void *data, size_t len)
{
	struct request *request = xa_erase(&link->requests, le32_to_cpu(hdr->req));

	if (!request)
		return; /* too late */
	if (hdr->status) {
		finish(request, -(int)le16_to_cpu(hdr->status));
	} else if (len > request->room) {
		finish(request, -EMSGSIZE);
	} else {
		if (len)
			memcpy(request->reply, data, len);
		request->len = len;
		finish(request, 0);
	}
}

void request_fail_all(struct link *link)
{
	struct request *request;
	unsigned long id;

	xa_for_each(&link->requests, id, request)
		if (xa_erase(&link->requests, id) == request)
			finish(request, -ENOTCONN);
}
