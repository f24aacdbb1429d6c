/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/loop.h - two nodes in one kernel, joined by the loop transport. For tests: the
 * real link layer at both ends, and faults in between. See selftests/link/looptest.c.
 *
 * Messages reach the registered services as if from the other node; they answer
 * by dvmm_loop_reply() at their own end.
 */
#ifndef KMOD_LOOP_H
#define KMOD_LOOP_H

#include "kmod.h"

/** struct dvmm_loop_end - one of the two nodes; the one with the lower id connects */
struct dvmm_loop_end {
	u8 id;
	u8 peer; /* whom it expects */
	u64 epoch;
	u32 wire_version;
	u8 key; /* all bytes of the cluster key */
	u8 cluster; /* all bytes of the cluster id */
	u32 lost_after_ms;
};

enum dvmm_loop_action {
	DVMM_LOOP_DROP,
	DVMM_LOOP_DELAY, /* it and all behind it, by @arg ms */
	DVMM_LOOP_SWAP, /* with the one behind it */
	DVMM_LOOP_CORRUPT, /* invert the byte at @arg */
	DVMM_LOOP_REPLAY, /* what was sent of this type on the connection before; of the link, or MEM_PROTO */
};

struct dvmm_loop *dvmm_loop_create(const struct dvmm_loop_end ends[2]);
void dvmm_loop_destroy(struct dvmm_loop *loop);
/** dvmm_loop_fault() - the next @nr messages of @type that end @from sends meet @action */
void dvmm_loop_fault(struct dvmm_loop *loop, int from, u16 type,
		     enum dvmm_loop_action action, u32 nr, u32 arg);
/** dvmm_loop_break() - the connection fails, as by a queue pair error */
void dvmm_loop_break(struct dvmm_loop *loop);

/** dvmm_loop_epoch() - as DVMM_EPOCH_SET at @end */
int dvmm_loop_epoch(struct dvmm_loop *loop, int end, u64 epoch, u64 members);

/* As their namesakes in kmod.h, at end @end. */
int dvmm_loop_send(struct dvmm_loop *loop, int end, const struct dvmm_msg *msg);
int dvmm_loop_send_page(struct dvmm_loop *loop, int end, u32 imm, struct page *page);
int dvmm_loop_request(struct dvmm_loop *loop, int end, const struct dvmm_msg *msg, void *reply,
		      size_t reply_len, size_t *out_len, u32 timeout_ms);
int dvmm_loop_reply(struct dvmm_loop *loop, int end, u32 req, int error, const void *data, size_t len);
enum dvmm_link_state dvmm_loop_state(struct dvmm_loop *loop, int end);
void dvmm_loop_reason(struct dvmm_loop *loop, int end, char *out); /* DVMM_REASON_SIZE bytes */
u64 dvmm_loop_stat(struct dvmm_loop *loop, int end, enum dvmm_stat_link nr);

#endif
