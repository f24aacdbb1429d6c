/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/search.h - every state a world can reach. */
#ifndef PROTO_SEARCH_H
#define PROTO_SEARCH_H

#include "world.h"

struct search_result {
	unsigned int nr_states; /* symmetric ones count as one */
	unsigned int nr_named; /* as if they did not; SEARCH_COUNT_NAMED */
	unsigned int nr_transitions;
	unsigned int depth;
	const char *wrong; /* NULL: nothing is wrong in any state */
};

#define SEARCH_PRINT 1 /* the shortest way to what is wrong */
#define SEARCH_COUNT_NAMED 2 /* slow */

/**
 * search() - visit every reachable state, breadth first
 * @setup: the world
 * @max_states: give up beyond, as that many states are a fault too
 * @flags: SEARCH_*
 * @out: what was seen
 *
 * Beside what the world itself checks in each state: without new accesses
 * every run of deliveries ends, and by the world's check it ends with nobody
 * waiting. So each request ends, whatever the order of delivery.
 */
void search(const struct setup *setup, unsigned int max_states, unsigned int flags,
	    struct search_result *out);

#endif
