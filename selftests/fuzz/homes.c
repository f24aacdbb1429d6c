// SPDX-License-Identifier: GPL-2.0-only
/* selftests/fuzz/homes.c - feeds dsm/wire.c with what a peer could say about homes.
 * The first byte is the type of the message, the next eight are the nodes of the VM.
 */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../dsm/wire.h"

#define NR_EXTENTS_MAX 4096

static void must(int is_so)
{
	if (!is_so)
		abort();
}

static void try_add(const void *buf, size_t size, uint64_t nodes)
{
	static uint8_t table[NR_EXTENTS_MAX + 1];
	const struct dvmm_msg_mem_add *add = buf;
	uint64_t nr, i;

	if (!wire_mem_add_is_sound(add, size))
		return;
	nr = le64toh(add->bytes) % (NR_EXTENTS_MAX + 1);
	memset(table, 0xff, sizeof(table));
	if (!wire_runs_to_table(table, nr, (const void *)(add + 1), le32toh(add->nr_runs), nodes))
		return;
	for (i = 0; i < nr; i++)
		must(table[i] < DVMM_MAX_NODES && nodes >> table[i] & 1);
	must(table[nr] == 0xff);
}

static void try_entries(const struct dvmm_wire_home *entries, uint32_t nr, uint64_t nodes)
{
	uint8_t seen[DVMM_EXTENT_PAGES] = { 0 };
	uint32_t i;

	if (!wire_entries_are_sound(entries, nr, 300, nodes))
		return;
	for (i = 0; i < nr; i++) {
		uint64_t holders = le64toh(entries[i].sharers);

		must(le16toh(entries[i].page) < 300 && !seen[le16toh(entries[i].page)]++);
		must(entries[i].state != PROTO_UNCACHED && entries[i].state < PROTO_NR_HOME_STATES);
		if (entries[i].state == PROTO_EXCL)
			holders |= 1ULL << entries[i].owner;
		must(!(holders & ~nodes) && !holders == (entries[i].state == PROTO_LOST));
	}
}

static void try_home(uint16_t type, const void *buf, size_t size, uint64_t nodes)
{
	const struct dvmm_msg_home *home = buf;

	if (!wire_home_is_sound(type, home, size))
		return;
	must(type == DVMM_MSG_MEM_INSTALL || !home->nr_entries);
	try_entries((const void *)(home + 1), le32toh(home->nr_entries), nodes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DVMM_MSG_MEM_ADD, DVMM_MSG_MEM_FREEZE,
					  DVMM_MSG_MEM_INSTALL, DVMM_MSG_MEM_HOME };
	uint64_t nodes;
	uint16_t type;
	void *buf;

	if (size < 9)
		return 0;
	type = types[data[0] % 4];
	memcpy(&nodes, data + 1, sizeof(nodes));
	/* Ends where the message ends, so that reading on is seen. */
	buf = malloc(size - 9);
	must(buf != NULL);
	memcpy(buf, data + 9, size - 9);
	if (type == DVMM_MSG_MEM_ADD)
		try_add(buf, size - 9, nodes);
	else
		try_home(type, buf, size - 9, nodes);
	free(buf);
	return 0;
}
