// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/explore.c - the worlds in which nothing may go wrong. */
#include <stdio.h>
#include <time.h>

#include "search.h"
#include "tap.h"

#define R &real_rules

/* nodes, pages, pairs in order, own messages at once, eviction, loss, rules, -,
 * homes move
 * Two pages in any order never meet: that their names do is all these add.
 */
static const struct setup quick[] = {
	{ "2 nodes, any order", 2, 1, false, false, true, false, R, false, false },
	{ "2 nodes, pairs in order", 2, 1, true, false, true, false, R, false, false },
	{ "3 nodes, any order", 3, 1, false, false, true, false, R, false, false },
	{ "3 nodes, pairs in order", 3, 1, true, false, true, false, R, false, false },
	{ "3 nodes, pairs in order, own messages at once", 3, 1, true, true,
	  true, false, R, false, false },
	{ "2 nodes, one is lost", 2, 1, false, false, true, true, R, false, false },
	{ "3 nodes, one is lost", 3, 1, false, false, true, true, R, false, false },
	{ "2 nodes, 2 pages with different homes, one node is lost, no eviction, pairs in order, own messages at once",
	  2, 2, true, true, false, true, R, false, false },
	{ "2 nodes, homes move", 2, 1, false, false, true, false, R, false, true },
	{ "3 nodes, homes move, no eviction, pairs in order, own messages at once", 3, 1, true, true,
	  false, false, R, false, true },
	{ "4 nodes, any order, no eviction", 4, 1, false, false, false, false, R, false, false },
	{ "2 nodes, 2 pages with different homes, any order, no eviction", 2, 2,
	  false, false, false, false, R, false, false },
};

static const struct setup slow[] = {
	{ "4 nodes, one is lost, no eviction", 4, 1, false, false, false, true,
	  R, false, false },
	{ "2 nodes, 2 pages, homes move, no eviction, pairs in order, own messages at once", 2, 2, true,
	  true, false, false, R, false, true },
	{ "3 nodes, homes move, any order, no eviction", 3, 1, false, false, false, false, R, false,
	  true },
	{ "3 nodes, homes move, pairs in order, own messages at once", 3, 1, true, true, true, false,
	  R, false, true },
	{ "4 nodes, any order", 4, 1, false, false, true, false, R, false, false },
	{ "2 nodes, 2 pages with different homes, any order", 2, 2, false,
	  false, true, false, R, false, false },
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
	struct setup setup = { "symmetry", 3, 1, false, false, true, false, R, false, false };
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
