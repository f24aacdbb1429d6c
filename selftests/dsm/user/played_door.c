// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/played_door.c - of kmod's door what does not depend on how a link is
 * played: who this node is, how far the others are, who gets what they say.
 */
#include "played_link.h"
#include "played_node.h"

#define RTT_NS 5000 /* short turns: pages move much */

const struct dvmm_service *played_service;

u8 dvmm_node_self(void)
{
	return self;
}

u64 dvmm_link_rtt_ns(u8 node)
{
	(void)node;
	return RTT_NS;
}

int dvmm_link_clock(u8 node, s64 *out_offset, u64 *out_error)
{
	(void)node;
	*out_offset = 0;
	*out_error = 1;
	return 0;
}

void dvmm_link_fail(u8 node, const char *reason)
{
	node_die("link to node %u failed: %s", node, reason);
}

void dvmm_event(enum dvmm_event_kind kind, u8 node, u32 id, const char *fmt, ...)
{
	(void)kind, (void)node, (void)id, (void)fmt;
}

int dvmm_service_register(const struct dvmm_service *s)
{
	played_service = s;
	return 0;
}

void dvmm_service_unregister(const struct dvmm_service *s)
{
	(void)s;
	played_service = NULL;
}

int dvmm_link_reply_patiently(u8 node, u32 req, int error, const void *data, size_t len)
{
	return dvmm_link_reply(node, req, error, data, len);
}
