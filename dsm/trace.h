/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/trace.h - tracepoints dvmm_dsm:*. Each line has node, the node it was written
 * on, and (requester, txn, mem, page), which names a transaction on every node that
 * it touches. Puts of one page by one node share their txn: they come one by one.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dvmm_dsm

#if !defined(DSM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DSM_TRACE_H

#include <linux/tracepoint.h>
#include "internal.h"

DECLARE_EVENT_CLASS(dsm_page_class,
	TP_PROTO(const struct page_ref *ref, const struct proto_event *ev,
		 u64 peer, u8 receiver),
	TP_ARGS(ref, ev, peer, receiver),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, mem)
		__field(u64, index)
		__field(u64, peer)
		__field(u32, txn)
		__field(u8, event)
		__field(u8, requester)
		__field(u8, node)
		__field(u8, grant)
		__field(u8, acks)
		__field(u8, state)
		__field(u8, busy)
	),
	TP_fast_assign(
		__entry->vm = ref->mem->vm->id;
		__entry->mem = ref->mem->id;
		__entry->index = ref->index;
		__entry->peer = peer;
		__entry->txn = ev->txn;
		__entry->event = ev->event;
		__entry->requester = proto_requester(ev, receiver);
		__entry->node = ref->mem->vm->self;
		__entry->grant = ev->grant;
		__entry->acks = ev->acks;
		__entry->state = ref->page->node.state;
		__entry->busy = ref->home && ref->home->home.busy;
	),
	TP_printk("vm=%x mem=%u page=%llu %s peer=%llx txn=%u requester=%u node=%u grant=%u acks=%u state=%s busy=%u",
		  __entry->vm, __entry->mem, __entry->index,
		  proto_event_name(__entry->event), __entry->peer,
		  __entry->txn, __entry->requester, __entry->node,
		  __entry->grant, __entry->acks,
		  proto_node_state_name(__entry->state), __entry->busy)
);

/* An event is handled: a message of node @peer, or a local access that is no hit.
 * Again when it had waited at home or was put off. State is the one before it.
 */
DEFINE_EVENT(dsm_page_class, dsm_event,
	TP_PROTO(const struct page_ref *ref, const struct proto_event *ev,
		 u64 peer, u8 receiver),
	TP_ARGS(ref, ev, peer, receiver));

/* What a thread here wants of a page that has to be asked for, when that is not what
 * is asked for because a write is foreseen: read, and the same txn. And the first
 * write since the grant: txn 0.
 */
DEFINE_EVENT(dsm_page_class, dsm_wish,
	TP_PROTO(const struct page_ref *ref, const struct proto_event *ev,
		 u64 peer, u8 receiver),
	TP_ARGS(ref, ev, peer, receiver));

/* A message is sent to the nodes in the set @peer (this one may be among them). */
DEFINE_EVENT(dsm_page_class, dsm_send,
	TP_PROTO(const struct page_ref *ref, const struct proto_event *ev,
		 u64 peer, u8 receiver),
	TP_ARGS(ref, ev, peer, receiver));

/* A take was put off by @peer microseconds. */
DEFINE_EVENT(dsm_page_class, dsm_defer,
	TP_PROTO(const struct page_ref *ref, const struct proto_event *ev,
		 u64 peer, u8 receiver),
	TP_ARGS(ref, ev, peer, receiver));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
