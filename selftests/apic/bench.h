/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/apic/bench.h - ioctls of /dev/apic-bench. */
#ifndef APIC_BENCH_H
#define APIC_BENCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BENCH_NR_VCPUS 16

/* Two KVM VMs become node 0 and node 1 of one VM. */
struct bench_join {
	__s32 vm_fd[2];
	__u8 node_of[BENCH_NR_VCPUS];
};

struct bench_vcpu {
	__u32 node;
	__s32 vcpu_fd;
	__u64 scratch;
	__s64 offset;
};

struct bench_stats {
	__u32 node;
	__u32 reserved;
	__u64 captured, sent, received, dropped;
};

/* A message as if from the wire; the fields of struct dvmm_msg_apic. */
struct bench_message {
	__u32 node;
	__u32 from;
	__u32 dest, vector, delivery_mode, dest_mode, shorthand, flags;
};

#define BENCH_JOIN _IOW('B', 0, struct bench_join)
#define BENCH_PART _IO('B', 1)
#define BENCH_VCPU_CREATED _IOW('B', 2, struct bench_vcpu)
#define BENCH_STATS _IOWR('B', 3, struct bench_stats)
#define BENCH_MESSAGE _IOW('B', 4, struct bench_message)
#define BENCH_SET_OFFSET _IOW('B', 5, struct bench_vcpu)
#define BENCH_GET_OFFSET _IOWR('B', 6, struct bench_vcpu)

#endif
