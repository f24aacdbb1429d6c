/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/simulate.h - many nodes, chosen by chance. */
#ifndef PROTO_SIMULATE_H
#define PROTO_SIMULATE_H

#include "world.h"

struct simulation {
	u64 seed; /* decides everything that follows */
	unsigned int nr_nodes, nr_pages;
	unsigned int nr_steps; /* then accesses end and all must become quiet */
	bool print; /* every step */
	const struct rules *rules;
};

struct simulation_result {
	u64 digest; /* of all steps */
	unsigned int nr_steps, nr_misses, nr_puts, nr_messages;
	unsigned int longest_wait; /* in units of the shortest delay */
	bool loss; /* a node was lost */
	unsigned int nr_moves; /* of homes */
	const char *style;
	const char *wrong; /* NULL: nothing */
};

void simulate(const struct simulation *sim, struct simulation_result *out);

#endif
