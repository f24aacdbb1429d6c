// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/explore.c - the worlds in which nothing may go wrong. */
#include <stdio.h>
#include <time.h>

#include "search.h"
#include "tap.h"

#define R &real_rules

/* Where home does not pull copies at once, it may read at any time, which is the same.
 * Two pages in any order never meet: that their names do is all these add.
 */
static const struct setup quick[] = {
	{ "2 nodes, any order", .rules = R, .nr_nodes = 2, .nr_pages = 1, .evict = true },
	{ "2 nodes, pairs in order",
	  .rules = R, .nr_nodes = 2, .nr_pages = 1, .fifo = true, .evict = true },
	{ "3 nodes, any order", .rules = R, .nr_nodes = 3, .nr_pages = 1, .evict = true },
	{ "3 nodes, pairs in order",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .fifo = true, .evict = true },
	{ "3 nodes, pairs in order, own messages at once",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .fifo = true, .self_at_once = true, .evict = true },
	{ "2 nodes, one is lost",
	  .rules = R, .nr_nodes = 2, .nr_pages = 1, .evict = true, .loss = true },
	{ "3 nodes, one is lost",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .evict = true, .loss = true },
	{ "2 nodes, 2 pages with different homes, one node is lost, no eviction, pairs in order, own messages at once",
	  .rules = R, .nr_nodes = 2, .nr_pages = 2, .fifo = true, .self_at_once = true, .loss = true },
	{ "2 nodes, homes move",
	  .rules = R, .nr_nodes = 2, .nr_pages = 1, .evict = true, .rehome = true },
	{ "3 nodes, homes move, no eviction, pairs in order, own messages at once",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .fifo = true, .self_at_once = true, .rehome = true },
	{ "2 nodes, homes send requests back",
	  .rules = R, .nr_nodes = 2, .nr_pages = 1, .evict = true, .refuses = true },
	{ "3 nodes, homes send requests back",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .evict = true, .refuses = true },
	{ "2 nodes, homes send requests back, one is lost",
	  .rules = R, .nr_nodes = 2, .nr_pages = 1, .evict = true, .refuses = true, .loss = true },
	{ "2 nodes, homes send requests back and move",
	  .rules = R, .nr_nodes = 2, .nr_pages = 1, .evict = true, .refuses = true, .rehome = true },
	{ "4 nodes, any order, no eviction", .rules = R, .nr_nodes = 4, .nr_pages = 1 },
	{ "4 nodes, home pulls copies, pairs in order, no eviction",
	  .rules = R, .nr_nodes = 4, .nr_pages = 1, .fifo = true, .pulls_copies = true },
	{ "2 nodes, 2 pages with different homes, any order, no eviction",
	  .rules = R, .nr_nodes = 2, .nr_pages = 2 },
};

static const struct setup slow[] = {
	{ "4 nodes, home pulls copies, any order",
	  .rules = R, .nr_nodes = 4, .nr_pages = 1, .evict = true, .pulls_copies = true },
	{ "4 nodes, one is lost, no eviction",
	  .rules = R, .nr_nodes = 4, .nr_pages = 1, .loss = true },
	{ "2 nodes, 2 pages, homes move, no eviction, pairs in order, own messages at once",
	  .rules = R, .nr_nodes = 2, .nr_pages = 2, .fifo = true, .self_at_once = true, .rehome = true },
	{ "3 nodes, homes move, any order, no eviction",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .rehome = true },
	{ "3 nodes, homes move, pairs in order, own messages at once",
	  .rules = R, .nr_nodes = 3, .nr_pages = 1, .fifo = true, .self_at_once = true, .evict = true, .rehome = true },
	{ "4 nodes, any order", .rules = R, .nr_nodes = 4, .nr_pages = 1, .evict = true },
	{ "2 nodes, 2 pages with different homes, any order",
	  .rules = R, .nr_nodes = 2, .nr_pages = 2, .evict = true },
};

static void explore(const struct setup *setup)
{
	struct search_result result;
	clock_t start = clock();

	search(setup, 30000000, SEARCH_PRINT, &result);
	tap_result(!result.wrong, "explore: %s", setup->name);
	printf("# %u states, %u transitions, depth %u, %.1f s%s%s\n",
	       result.nr_states, result.nr_transitions, result.depth,
	       (double)(clock() - start) / CLOCKS_PER_SEC,
	       result.wrong ? ": " : "", result.wrong ? result.wrong : "");
}

/* States that differ in the names of nodes alone are visited once: count how many
 * there are of each, and visit them all.
 */
static void test_symmetry(void)
{
	struct setup setup = { "symmetry", .rules = R, .nr_nodes = 3, .nr_pages = 1, .evict = true };
	struct search_result folded, all;

	search(&setup, 1000000, SEARCH_COUNT_NAMED, &folded);
	setup.all_names = true;
	search(&setup, 1000000, 0, &all);
	tap_result(!folded.wrong && !all.wrong &&
			   folded.nr_named == all.nr_states,
		   "symmetry: %u states stand for %u, and so many there are",
		   folded.nr_states, all.nr_states);
}

/* A rule nobody ever needs would be a wrong rule or a hole in the worlds. */
static void test_coverage(void)
{
	static const struct {
		u8 state;
		const u8 events[8];
	} table[] = {
		{ PROTO_I, { PROTO_READ, PROTO_WRITE } },
		{ PROTO_S, { PROTO_WRITE, PROTO_EVICT, PROTO_FWD_GETS,
			     PROTO_FWD_GETM, PROTO_INV } },
		{ PROTO_E, { PROTO_WRITE, PROTO_EVICT, PROTO_FWD_GETS,
			     PROTO_FWD_GETM } },
		{ PROTO_M, { PROTO_EVICT, PROTO_FWD_GETS, PROTO_FWD_GETM } },
		{ PROTO_IS, { PROTO_DATA, PROTO_GRANT, PROTO_POISON, PROTO_LOSS, PROTO_MOVED } },
		{ PROTO_IM, { PROTO_DATA, PROTO_GRANT, PROTO_INV_ACK,
			      PROTO_POISON, PROTO_LOSS, PROTO_MOVED } },
		{ PROTO_IM_A, { PROTO_INV_ACK, PROTO_LOSS } },
		{ PROTO_SM, { PROTO_FWD_GETS, PROTO_FWD_GETM, PROTO_INV,
			      PROTO_GRANT, PROTO_INV_ACK, PROTO_LOSS, PROTO_MOVED } },
		{ PROTO_SM_A, { PROTO_INV_ACK, PROTO_LOSS } },
		{ PROTO_SI_A, { PROTO_FWD_GETS, PROTO_FWD_GETM, PROTO_INV,
				PROTO_PUT_ACK, PROTO_LOSS, PROTO_MOVED } },
		{ PROTO_EI_A, { PROTO_FWD_GETS, PROTO_FWD_GETM, PROTO_PUT_ACK,
				PROTO_LOSS, PROTO_MOVED } },
		{ PROTO_MI_A, { PROTO_FWD_GETS, PROTO_FWD_GETM, PROTO_PUT_ACK,
				PROTO_LOSS, PROTO_MOVED } },
		{ PROTO_II_A, { PROTO_PUT_ACK, PROTO_LOSS, PROTO_MOVED } },
	};
	unsigned int i, k, nr = 0, missing = 0;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (k = 0; k < 8 && table[i].events[k]; k++, nr++) {
			if (world_seen[table[i].state][table[i].events[k]])
				continue;
			missing++;
			printf("# never seen: %s in %s\n",
			       proto_event_name(table[i].events[k]),
			       proto_node_state_name(table[i].state));
		}
	}
	tap_result(!missing, "coverage: %u pairs of state and event happened",
		   nr);
}

void test_explore(bool all)
{
	unsigned int i;

	for (i = 0; i < sizeof(quick) / sizeof(quick[0]); i++)
		explore(&quick[i]);
	test_coverage();
	test_symmetry();
	for (i = 0; all && i < sizeof(slow) / sizeof(slow[0]); i++)
		explore(&slow[i]);
}
