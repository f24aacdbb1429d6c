// SPDX-License-Identifier: GPL-2.0-only
/* kmod/wire.c - checks of what came from a peer, before anything of it is used.
 * Pure: no memory, no locks. Also built with a fuzzer: see selftests/fuzz.
 */
#include "wire.h"

#ifdef __KERNEL__
#include <linux/kernel.h>
#else
#include <endian.h>
#include <stddef.h>
#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define le64_to_cpu(x) le64toh(x)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

#define MAX_ERROR 4095 /* of the kernel's errnos */
#define MAX_CREDITS 65536

struct msg_type {
	__u16 type;
	__u16 payload;
};

static const struct msg_type msg_types[] = {
#define MSG(name, number, service, bytes, help) { number, bytes },
#include <dvmm/msg.tbl.h>
#undef MSG
};

static const struct msg_type *find_type(__u16 type)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msg_types); i++)
		if (msg_types[i].type == type)
			return &msg_types[i];
	return NULL;
}

static int has_tail(__u16 type)
{
	return type >= DVMM_MSG_REPLY;
}

static const char *check_header(const struct dvmm_msg_hdr *hdr)
{
	__u16 status = le16_to_cpu(hdr->status);
	int is_reply = le16_to_cpu(hdr->type) == DVMM_MSG_REPLY;

	if (status > MAX_ERROR || (status && !is_reply))
		return "bad status";
	if (is_reply && !hdr->req)
		return "reply to no request";
	if (le32_to_cpu(hdr->msg_credits) > MAX_CREDITS ||
	    le32_to_cpu(hdr->page_credits) > MAX_CREDITS)
		return "too many credits";
	return NULL;
}

static const char *check_refuse(const struct dvmm_msg_refuse *refuse)
{
	unsigned int i;

	if (!refuse->error || le32_to_cpu(refuse->error) > MAX_ERROR || refuse->reserved)
		return "bad refusal";
	for (i = 0; i < sizeof(refuse->reason); i++) {
		if (!refuse->reason[i])
			return NULL;
		if (refuse->reason[i] < ' ' || refuse->reason[i] > '~')
			return "refusal is not text";
	}
	return "refusal has no end";
}

static const char *check_clock(const struct dvmm_msg_clock *clock)
{
	if (!clock->received_tsc != !clock->replied_tsc)
		return "half a clock reply";
	if (le64_to_cpu(clock->replied_tsc) < le64_to_cpu(clock->received_tsc))
		return "clock runs backwards";
	return NULL;
}

static const char *check_batch(const struct dvmm_msg_mem *msg, unsigned long bytes)
{
	unsigned long i, nr = bytes / sizeof(*msg);

	if (bytes % sizeof(*msg) || nr > DVMM_MEM_BATCH)
		return "bad batch";
	for (i = 0; i < nr; i++)
		if (msg[i].reserved)
			return "reserved field is not zero";
	return NULL;
}

static const char *check_payload(__u16 type, const void *payload, unsigned long bytes)
{
	switch (type) {
	case DVMM_MSG_REFUSE:
		return check_refuse(payload);
	case DVMM_MSG_CLOCK:
		return check_clock(payload);
	case DVMM_MSG_MEM_BATCH:
		return check_batch(payload, bytes);
	default:
		return NULL; /* HELLO and PROOF are judged where they are used */
	}
}

const char *wire_check(const void *buf, unsigned long bytes)
{
	const struct dvmm_msg_hdr *hdr = buf;
	const struct msg_type *type;
	const char *wrong;

	if (bytes < sizeof(*hdr))
		return "shorter than a header";
	if (bytes > DVMM_MSG_MAX || le32_to_cpu(hdr->len) != bytes)
		return "length is wrong";
	type = find_type(le16_to_cpu(hdr->type));
	if (!type)
		return "unknown type";
	wrong = check_header(hdr);
	if (wrong)
		return wrong;
	bytes -= sizeof(*hdr);
	if (bytes < type->payload || (bytes > type->payload && !has_tail(type->type)))
		return "payload length is wrong";
	return check_payload(type->type, hdr + 1, bytes);
}

int wire_is_stale(const struct dvmm_msg_hdr *hdr, unsigned long long since)
{
	__u16 type = le16_to_cpu(hdr->type);

	return (type == DVMM_MSG_HELLO || type >= DVMM_MSG_REPLY) && le64_to_cpu(hdr->epoch) < since;
}
