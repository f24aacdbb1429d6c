/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/trace.h - tracepoints of links and messages. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dvmm

#if !defined(KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KMOD_TRACE_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(dvmm_msg,
	TP_PROTO(u8 peer, u16 type, u32 vm, u32 len),
	TP_ARGS(peer, type, vm, len),
	TP_STRUCT__entry(
		__field(u8, peer)
		__field(u16, type)
		__field(u32, vm)
		__field(u32, len)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->type = type;
		__entry->vm = vm;
		__entry->len = len;
	),
	TP_printk("peer=%u type=0x%x vm=%u len=%u",
		  __entry->peer, __entry->type, __entry->vm, __entry->len)
);

DEFINE_EVENT(dvmm_msg, dvmm_msg_tx,
	TP_PROTO(u8 peer, u16 type, u32 vm, u32 len),
	TP_ARGS(peer, type, vm, len));

DEFINE_EVENT(dvmm_msg, dvmm_msg_rx,
	TP_PROTO(u8 peer, u16 type, u32 vm, u32 len),
	TP_ARGS(peer, type, vm, len));

DECLARE_EVENT_CLASS(dvmm_page,
	TP_PROTO(u8 peer, u32 imm),
	TP_ARGS(peer, imm),
	TP_STRUCT__entry(
		__field(u8, peer)
		__field(u32, imm)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->imm = imm;
	),
	TP_printk("peer=%u imm=0x%x", __entry->peer, __entry->imm)
);

DEFINE_EVENT(dvmm_page, dvmm_page_tx, TP_PROTO(u8 peer, u32 imm), TP_ARGS(peer, imm));
DEFINE_EVENT(dvmm_page, dvmm_page_rx, TP_PROTO(u8 peer, u32 imm), TP_ARGS(peer, imm));

TRACE_EVENT(dvmm_link_state,
	TP_PROTO(u8 peer, u32 from, u32 to),
	TP_ARGS(peer, from, to),
	TP_STRUCT__entry(
		__field(u8, peer)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("peer=%u %u->%u", __entry->peer, __entry->from, __entry->to)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
