/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/trace.h - tracepoints dvmm_vcpu:*. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dvmm_vcpu

#if !defined(VCPU_REMOTE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VCPU_REMOTE_TRACE_H

#include <linux/tracepoint.h>

#define DVMM_APIC_MODES                                                        \
	{ 0x000, "fixed" }, { 0x100, "lowest" }, { 0x200, "smi" },             \
	{ 0x300, "remrd" }, { 0x400, "nmi" }, { 0x500, "init" },               \
	{ 0x600, "sipi" }, { 0x700, "extint" }

DECLARE_EVENT_CLASS(dvmm_apic_class,
	TP_PROTO(u32 vm, u64 nodes, const struct dvmm_msg_apic *msg),
	TP_ARGS(vm, nodes, msg),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u64, nodes)
		__field(u32, dest)
		__field(u32, vector)
		__field(u32, mode)
		__field(bool, logical)
		__field(u32, shorthand)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->nodes = nodes;
		__entry->dest = le32_to_cpu(msg->dest);
		__entry->vector = le32_to_cpu(msg->vector);
		__entry->mode = le32_to_cpu(msg->delivery_mode);
		__entry->logical = le32_to_cpu(msg->dest_mode);
		__entry->shorthand = le32_to_cpu(msg->shorthand);
	),
	TP_printk("vm %x nodes %llx %s dest %x%s vector %x shorthand %x",
		  __entry->vm, __entry->nodes,
		  __print_symbolic(__entry->mode, DVMM_APIC_MODES),
		  __entry->dest, __entry->logical ? " (logical)" : "",
		  __entry->vector, __entry->shorthand)
);

/* A message of this node's KVM has destinations on other nodes. */
DEFINE_EVENT(dvmm_apic_class, dvmm_apic_captured,
	TP_PROTO(u32 vm, u64 nodes, const struct dvmm_msg_apic *msg),
	TP_ARGS(vm, nodes, msg));

/* A message of another node goes to the vCPUs here. */
DEFINE_EVENT(dvmm_apic_class, dvmm_apic_received,
	TP_PROTO(u32 vm, u64 nodes, const struct dvmm_msg_apic *msg),
	TP_ARGS(vm, nodes, msg));

/* Interrupts for a vCPU go from this node to another one than before. */
TRACE_EVENT(dvmm_vcpu_moved,
	TP_PROTO(u32 vm, u32 vcpu, u8 from, u8 to),
	TP_ARGS(vm, vcpu, from, to),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, vcpu)
		__field(u8, from)
		__field(u8, to)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->vcpu = vcpu;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("vm %x vcpu %u from %u to %u", __entry->vm, __entry->vcpu,
		  __entry->from, __entry->to)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../vcpu-remote
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
