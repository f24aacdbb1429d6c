// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/wire.c - checks of what a peer says about vCPUs, before anything of it is used.
 * Pure: no memory, no locks. Also built with a fuzzer: see selftests/fuzz.
 */
#ifdef __KERNEL__
#include <linux/stddef.h>
#include <linux/types.h>
#include <asm/byteorder.h>
#else
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#define le32_to_cpu(x) le32toh(x)
#endif

#include "records.h"
#include "wire.h"

/* The tail: struct kvm_run, then data of a port. */
static bool tail_is_whole(const struct dvmm_msg_run *run, unsigned long len)
{
	__u32 data_len;

	if (len < sizeof(*run) || le32_to_cpu(run->run_len) != RUN_BYTES)
		return false;
	data_len = le32_to_cpu(run->data_len);
	return data_len <= RUN_DATA_BYTES && len == sizeof(*run) + RUN_BYTES + data_len;
}

bool wire_run_is_sound(const struct dvmm_msg_run *run, unsigned long len)
{
	return tail_is_whole(run, len) && !(le32_to_cpu(run->flags) & ~DVMM_RUN_F_TSC);
}

static bool is_port_access(const struct kvm_run *run, __u32 data_len)
{
	__u8 size = run->io.size;

	return (size == 1 || size == 2 || size == 4) && run->io.direction <= KVM_EXIT_IO_OUT &&
	       (__u64)size * run->io.count == data_len;
}

bool wire_exit_is_sound(const struct dvmm_msg_run *exit, unsigned long len)
{
	const struct kvm_run *run = (const void *)(exit + 1);
	__u32 data_len;

	if (!tail_is_whole(exit, len))
		return false;
	data_len = le32_to_cpu(exit->data_len);
	if (exit->ret)
		return !data_len;
	if (run->exit_reason == KVM_EXIT_IO)
		return is_port_access(run, data_len);
	if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.len > sizeof(run->mmio.data))
		return false;
	return !data_len;
}

static bool is_node(__u64 nodes, __u32 node)
{
	return node < DVMM_MAX_NODES && nodes >> node & 1;
}

bool wire_moved_is_sound(const struct dvmm_msg_moved *moved, unsigned long len, __u64 nodes)
{
	return len == sizeof(*moved) && !moved->reserved && moved->from != moved->to &&
	       le32_to_cpu(moved->vcpu_id) < DVMM_MAX_VCPUS &&
	       (is_node(nodes, le32_to_cpu(moved->from)) ||
		le32_to_cpu(moved->from) == DVMM_NO_NODE) &&
	       is_node(nodes, le32_to_cpu(moved->to));
}

bool wire_state_is_sound(const struct dvmm_msg_state *state, unsigned long len)
{
	struct record record;
	__u32 at = 0, bytes;
	int ret;

	if (len < sizeof(*state))
		return false;
	bytes = le32_to_cpu(state->records_len);
	if (bytes != len - sizeof(*state))
		return false;
	do {
		ret = records_next((const __u8 *)(state + 1), bytes, &at, &record);
	} while (ret == 1);
	return !ret;
}

bool wire_join_is_sound(const struct dvmm_msg_join *join, unsigned long len)
{
	return len == sizeof(*join) && le32_to_cpu(join->node) < DVMM_MAX_NODES &&
	       le32_to_cpu(join->step) <= DVMM_JOIN_ADD;
}

bool wire_empty_is_sound(const struct dvmm_msg_empty *empty, unsigned long len)
{
	return len == sizeof(*empty) && !empty->reserved;
}
