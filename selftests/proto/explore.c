// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/explore.c - the worlds in which nothing may go wrong. */
#include <stdio.h>
#include <time.h>

#include "search.h"
#include "tap.h"

static const struct setup quick[] = {
	{ "2 nodes, any order", 2, 1, false, false, &real_rules },
	{ "2 nodes, pairs in order", 2, 1, true, false, &real_rules },
	{ "3 nodes, any order", 3, 1, false, false, &real_rules },
	{ "3 nodes, pairs in order", 3, 1, true, false, &real_rules },
	{ "3 nodes, pairs in order, own messages at once", 3, 1, true, true,
	  &real_rules },
	{ "4 nodes, any order", 4, 1, false, false, &real_rules },
	{ "2 nodes, 2 pages with different homes, pairs in order", 2, 2, true,
	  false, &real_rules },
};

static const struct setup slow[] = {
	{ "2 nodes, 2 pages with different homes, any order", 2, 2, false,
	  false, &real_rules },
};

static void explore(const struct setup *setup)
{
	struct search_result result;
	clock_t start = clock();

	search(setup, 12000000, true, &result);
	tap_result(!result.wrong, "explore: %s", setup->name);
	printf("# %u states, %u transitions, depth %u, %.1f s%s%s\n",
	       result.nr_states, result.nr_transitions, result.depth,
	       (double)(clock() - start) / CLOCKS_PER_SEC,
	       result.wrong ? ": " : "", result.wrong ? result.wrong : "");
}

void test_explore(bool all)
{
	unsigned int i;

	for (i = 0; i < sizeof(quick) / sizeof(quick[0]); i++)
		explore(&quick[i]);
	for (i = 0; all && i < sizeof(slow) / sizeof(slow[0]); i++)
		explore(&slow[i]);
}
