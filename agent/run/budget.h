/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/run/budget.h - budgets of nodes as people write them: "n1=200M,n2=none". */
#ifndef AGENT_RUN_BUDGET_H
#define AGENT_RUN_BUDGET_H

#include <stdint.h>
#include <stddef.h>
#include "../../lib/dvmm.h"

#define BUDGET_TEXT_SIZE 32

struct budget {
	char node[DVMM_NAME_SIZE];
	char size[BUDGET_TEXT_SIZE]; /* as for dvmm_budget_parse() */
};

struct budgets {
	uint32_t nr;
	struct budget list[DVMM_MAX_NODES];
};

/**
 * budgets_add() - parse @text and add to @budgets
 * @why: on failure: what is wrong, for people
 *
 * Return: 0 or -EINVAL; then @budgets is as it was
 */
int budgets_add(struct budgets *budgets, const char *text, char *why, size_t why_size);

#endif
