/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/mutants.h - rules broken on purpose. */
#ifndef PROTO_MUTANTS_H
#define PROTO_MUTANTS_H

#include "world.h"

/* A node has to be lost for it; and at a moment that chance never meets. Or homes
 * have to move. FOUR: it takes four nodes.
 */
enum needs_loss { NO_LOSS, LOSS, LOSS_RARE, FOUR, MOVES, MOVES_RARE };

struct mutant {
	struct rules rules;
	const char *caught_by; /* what the exploration says */
	enum needs_loss loss;
};

extern const struct mutant mutants[];
extern const unsigned int nr_mutants;

#endif
