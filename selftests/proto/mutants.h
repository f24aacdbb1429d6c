/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/mutants.h - rules broken on purpose. */
#ifndef PROTO_MUTANTS_H
#define PROTO_MUTANTS_H

#include "world.h"

struct mutant {
	struct rules rules;
	const char *caught_by; /* what the exploration says */
};

extern const struct mutant mutants[];
extern const unsigned int nr_mutants;

#endif
