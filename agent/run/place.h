/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/run/place.h - a placement as people write it: "0=n1,1-3=n2". */
#ifndef AGENT_RUN_PLACE_H
#define AGENT_RUN_PLACE_H

#include <stdint.h>
#include <stddef.h>
#include "../../lib/dvmm.h"

struct place {
	uint32_t vcpu; /* DVMM_NO_VCPU: the node lends its memory only */
	char node[DVMM_NAME_SIZE];
};

struct places {
	uint32_t nr;
	struct place list[DVMM_MAX_VCPUS];
};

/**
 * places_add() - parse @text and add to @places
 * @why: on failure: what is wrong, for people
 *
 * Return: 0 or -EINVAL; then @places is as it was
 */
int places_add(struct places *places, const char *text, char *why, size_t why_size);

/** places_add_memory() - the same for nodes that lend their memory only: "n2,n3" */
int places_add_memory(struct places *places, const char *text, char *why, size_t why_size);

#endif
