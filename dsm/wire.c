// SPDX-License-Identifier: GPL-2.0-only
/* dsm/wire.c - checks of what a peer says about homes, before anything of it is used.
 * Pure: no memory, no locks. Also built with a fuzzer: see selftests/fuzz.
 */
#include "wire.h"

#ifdef __KERNEL__
#include <linux/string.h>
#include <asm/byteorder.h>
#elif !defined(le16_to_cpu)
#include <endian.h>
#include <string.h>
#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define le64_to_cpu(x) le64toh(x)
#endif

static bool is_node(u64 nodes, u32 node)
{
	return node < DVMM_MAX_NODES && nodes >> node & 1;
}

bool wire_mem_add_is_sound(const struct dvmm_msg_mem_add *add, unsigned long len)
{
	u32 nr;

	if (len < sizeof(*add) || add->reserved)
		return false;
	nr = le32_to_cpu(add->nr_runs);
	return nr <= DVMM_MAX_HOME_RUNS &&
	       len == sizeof(*add) + nr * sizeof(struct dvmm_wire_home_run);
}

bool wire_runs_to_table(u8 *table, u64 nr_extents, const struct dvmm_wire_home_run *runs, u32 nr,
			u64 nodes)
{
	u64 at = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		u32 length = le32_to_cpu(runs[i].nr_extents), node = le32_to_cpu(runs[i].node);

		if (!length || length > nr_extents - at || !is_node(nodes, node))
			return false;
		memset(table + at, node, length);
		at += length;
	}
	return at == nr_extents;
}

bool wire_home_is_sound(u16 type, const struct dvmm_msg_home *home, unsigned long len)
{
	u32 nr;

	if (len < sizeof(*home) || home->reserved)
		return false;
	nr = le32_to_cpu(home->nr_entries);
	if (nr > DVMM_EXTENT_PAGES || (nr && type != DVMM_MSG_MEM_INSTALL))
		return false;
	return len == sizeof(*home) + nr * sizeof(struct dvmm_wire_home);
}

static bool is_entry(const struct dvmm_wire_home *entry, u64 nodes)
{
	u64 sharers = le64_to_cpu(entry->sharers);

	if (entry->reserved)
		return false;
	switch (entry->state) {
	case PROTO_SHARED:
		return sharers && !(sharers & ~nodes) && !entry->owner;
	case PROTO_EXCL:
		return !sharers && is_node(nodes, entry->owner);
	case PROTO_LOST:
		return !sharers && !entry->owner;
	default: /* also PROTO_UNCACHED: such are left out */
		return false;
	}
}

bool wire_entries_are_sound(const struct dvmm_wire_home *entries, u32 nr, u64 nr_pages, u64 nodes)
{
	u64 next = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		u64 page = le16_to_cpu(entries[i].page);

		if (page < next || page >= nr_pages || !is_entry(&entries[i], nodes))
			return false;
		next = page + 1;
	}
	return true;
}
