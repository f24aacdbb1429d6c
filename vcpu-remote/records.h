/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/records.h - the state of a vCPU as a row of records. Pure; also built in
 * user space.
 */
#ifndef VCPU_REMOTE_RECORDS_H
#define VCPU_REMOTE_RECORDS_H

#include <dvmm/wire.h>

/**
 * struct records - a row of them in memory of the caller, aligned to 8
 * @bytes: used so far
 * @room: of @start
 */
struct records {
	__u8 *start;
	__u32 bytes;
	__u32 room;
};

/** records_add() - @len bytes of the argument of @cmd. -E2BIG: no room; nothing is added */
int records_add(struct records *records, __u32 cmd, const void *arg, __u32 len);

/**
 * struct record - one of a row that a peer sent; @arg points into it
 * @len: zeros follow, up to what @cmd takes
 */
struct record {
	__u32 cmd;
	__u32 len;
	const void *arg;
};

/**
 * records_next() - the one at @at, which goes on to the next
 * @bytes: of the row
 *
 * Return: 1: there is one; 0: no more; -EPROTO: nonsense
 */
int records_next(const __u8 *start, __u32 bytes, __u32 *at, struct record *out);

/** records_find() - the one of @cmd. 0; -EPROTO: there is none, or nonsense before it */
int records_find(const __u8 *start, __u32 bytes, __u32 cmd, struct record *out);

#endif
