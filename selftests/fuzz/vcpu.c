// SPDX-License-Identifier: GPL-2.0-only
/* selftests/fuzz/vcpu.c - feeds vcpu-remote/wire.c and records.c with what a peer could say about
 * vCPUs. The first byte is the type of the message, the next eight are the nodes of the VM.
 */
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../vcpu-remote/records.h"
#include "../../vcpu-remote/wire.h"

static void must(int is_so)
{
	if (!is_so)
		abort();
}

/* What run.c and exit.c copy. */
static void try_run(const struct dvmm_msg_run *msg, size_t size)
{
	if (!wire_run_is_sound(msg, size))
		return;
	must(size == sizeof(*msg) + RUN_BYTES + le32toh(msg->data_len));
	must(le32toh(msg->data_len) <= RUN_DATA_BYTES);
}

static void try_exit(const struct dvmm_msg_run *msg, size_t size)
{
	const struct kvm_run *run = (const void *)(msg + 1);

	if (!wire_exit_is_sound(msg, size))
		return;
	must(size == sizeof(*msg) + RUN_BYTES + le32toh(msg->data_len));
	if (!msg->ret && run->exit_reason == KVM_EXIT_MMIO)
		must(run->mmio.len <= 8);
	if (!msg->ret && run->exit_reason == KVM_EXIT_IO)
		must((uint64_t)run->io.size * run->io.count <= RUN_DATA_BYTES && run->io.size <= 4);
}

static void try_moved(const struct dvmm_msg_moved *msg, size_t size, uint64_t nodes)
{
	if (!wire_moved_is_sound(msg, size, nodes))
		return;
	must(le32toh(msg->vcpu_id) < DVMM_MAX_VCPUS && msg->from != msg->to);
	must(le32toh(msg->from) == DVMM_NO_NODE || nodes >> le32toh(msg->from) & 1);
	must(nodes >> le32toh(msg->to) & 1);
}

/* All that is sound can be walked through, and says nothing beyond its end. */
static void try_state(const struct dvmm_msg_state *msg, size_t size)
{
	const uint8_t *start = (const uint8_t *)(msg + 1);
	struct record record;
	uint32_t at = 0, sum = 0;

	if (!wire_state_is_sound(msg, size))
		return;
	while (records_next(start, size - sizeof(*msg), &at, &record) == 1)
		for (uint32_t i = 0; i < record.len; i++)
			sum += ((const uint8_t *)record.arg)[i];
	must(at == size - sizeof(*msg));
	(void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t nodes;
	void *buf;

	if (size < 9)
		return 0;
	memcpy(&nodes, data + 1, sizeof(nodes));
	size -= 9;
	/* Ends where the message ends, so that reading on is seen. */
	buf = malloc(size ?: 1);
	must(buf != NULL);
	memcpy(buf, data + 9, size);
	switch (0x200 + data[0]) {
	case DVMM_MSG_VCPU_RUN:
		try_run(buf, size);
		break;
	case DVMM_MSG_VCPU_EXIT:
		try_exit(buf, size);
		break;
	case DVMM_MSG_VCPU_MOVED:
		try_moved(buf, size, nodes);
		break;
	case DVMM_MSG_VCPU_LOAD:
		try_state(buf, size);
		break;
	case DVMM_MSG_VM_JOIN:
		if (wire_join_is_sound(buf, size))
			must(size == sizeof(struct dvmm_msg_join));
		break;
	case DVMM_MSG_SLICE_EMPTY:
		if (wire_empty_is_sound(buf, size))
			must(size == sizeof(struct dvmm_msg_empty));
		break;
	}
	free(buf);
	return 0;
}
