// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/records.c - the state of a vCPU as a row of records: arguments of KVM's
 * ioctls, without the zeros at their end.
 * Pure: what the ioctls mean is state.c's. Also built as a program: selftests/unit.
 */
#include "records.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#include <asm/byteorder.h>
#else
#include <endian.h>
#include <errno.h>
#include <string.h>
#define cpu_to_le32(x) htole32(x)
#define le32_to_cpu(x) le32toh(x)
#endif

static __u32 padded(__u32 len)
{
	return (len + 7) & ~7U;
}

static __u32 without_zeros(const __u8 *arg, __u32 len)
{
	while (len && !arg[len - 1])
		len--;
	return len;
}

int records_add(struct records *records, __u32 cmd, const void *arg, __u32 len)
{
	struct dvmm_wire_record record = { .cmd = cpu_to_le32(cmd) };
	__u8 *to = records->start + records->bytes;
	__u32 left = records->room - records->bytes;

	len = without_zeros(arg, len);
	record.len = cpu_to_le32(len);
	if (left < sizeof(record) || len > left - sizeof(record) ||
	    padded(len) > left - sizeof(record))
		return -E2BIG;
	memcpy(to, &record, sizeof(record));
	memcpy(to + sizeof(record), arg, len);
	memset(to + sizeof(record) + len, 0, padded(len) - len);
	records->bytes += sizeof(record) + padded(len);
	return 0;
}

int records_next(const __u8 *start, __u32 bytes, __u32 *at, struct record *out)
{
	struct dvmm_wire_record record;
	__u32 left = bytes - *at;
	__u32 len;

	if (!left)
		return 0;
	if (left < sizeof(record))
		return -EPROTO;
	memcpy(&record, start + *at, sizeof(record));
	len = le32_to_cpu(record.len);
	left -= sizeof(record);
	if (len > left || padded(len) > left)
		return -EPROTO;
	*out = (struct record){
		.cmd = le32_to_cpu(record.cmd),
		.len = len,
		.arg = start + *at + sizeof(record),
	};
	*at += sizeof(record) + padded(len);
	return 1;
}

int records_find(const __u8 *start, __u32 bytes, __u32 cmd, struct record *out)
{
	__u32 at = 0;

	while (records_next(start, bytes, &at, out) == 1)
		if (out->cmd == cmd)
			return 0;
	return -EPROTO;
}
