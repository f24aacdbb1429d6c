// SPDX-License-Identifier: GPL-2.0-only
/* selftests/fuzz/wire.c - feeds kmod/wire.c with bytes a peer could send. Whatever
 * they are, nothing beyond them is read; and what is let through keeps its promise.
 */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../kmod/wire.h"

static void must(int is_so)
{
	if (!is_so)
		abort();
}

static unsigned int payload_bytes(unsigned int type)
{
	switch (type) {
#define MSG(name, number, service, bytes, help) case number: return bytes;
#include <dvmm/msg.tbl.h>
#undef MSG
	}
	abort();
}

static void check_promise(const struct dvmm_msg_hdr *hdr, size_t size)
{
	unsigned int type = le16toh(hdr->type);
	const struct dvmm_msg_refuse *refuse = (const void *)(hdr + 1);

	must(le32toh(hdr->len) == size && size <= DVMM_MSG_MAX);
	must(size - sizeof(*hdr) >= payload_bytes(type));
	must(le16toh(hdr->status) <= 4095);
	if (type == DVMM_MSG_REPLY)
		must(hdr->req != 0);
	if (type == DVMM_MSG_MEM_BATCH) {
		must((size - sizeof(*hdr)) % sizeof(struct dvmm_msg_mem) == 0);
		must((size - sizeof(*hdr)) / sizeof(struct dvmm_msg_mem) <= DVMM_MEM_BATCH);
	}
	if (type == DVMM_MSG_REFUSE)
		must(memchr(refuse->reason, 0, sizeof(refuse->reason)) != NULL);
	must(!wire_is_stale(hdr, le64toh(hdr->epoch)));
	if (le64toh(hdr->epoch) < UINT64_MAX)
		must(wire_is_stale(hdr, le64toh(hdr->epoch) + 1) ==
		     (type == DVMM_MSG_HELLO || type >= DVMM_MSG_REPLY));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Ends where the message ends, so that reading on is seen. */
	void *buf = malloc(size);

	must(buf || !size);
	if (size)
		memcpy(buf, data, size);
	if (!wire_check(buf, size))
		check_promise(buf, size);
	free(buf);
	return 0;
}
