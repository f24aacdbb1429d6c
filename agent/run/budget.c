// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/run/budget.c - parses how much memory of each node a VM may hold. Pure. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "budget.h"

struct parser {
	const char *at;
	char *why;
	size_t why_size;
};

static int complain(struct parser *parser, const char *what)
{
	snprintf(parser->why, parser->why_size, "%s: '%s' (as in n1=200M,n2=none)", what, parser->at);
	return -EINVAL;
}

static int take_word(struct parser *parser, const char *ends, char *word, size_t size)
{
	size_t len = strcspn(parser->at, ends);

	if (!len || len >= size)
		return -EINVAL;
	memcpy(word, parser->at, len);
	word[len] = '\0';
	parser->at += len;
	return 0;
}

static bool has_budget(const struct budgets *budgets, const char *node)
{
	for (uint32_t i = 0; i < budgets->nr; i++)
		if (!strcmp(budgets->list[i].node, node))
			return true;
	return false;
}

static int parse_item(struct parser *parser, struct budgets *budgets)
{
	struct budget *budget = &budgets->list[budgets->nr];
	const char *start = parser->at;
	uint64_t bytes;

	if (budgets->nr == DVMM_MAX_NODES)
		return complain(parser, "too many nodes");
	if (take_word(parser, ",=", budget->node, sizeof(budget->node)))
		return complain(parser, "this is not the name of a node");
	if (has_budget(budgets, budget->node)) {
		parser->at = start;
		return complain(parser, "a node has two budgets");
	}
	if (*parser->at != '=')
		return complain(parser, "'=SIZE' is missing");
	parser->at++;
	start = parser->at;
	if (take_word(parser, ",", budget->size, sizeof(budget->size)) ||
	    dvmm_budget_parse(budget->size, &bytes)) {
		parser->at = start;
		return complain(parser, "this is not a size of 1M or more, 'none' or 'default'");
	}
	budgets->nr++;
	return 0;
}

int budgets_add(struct budgets *budgets, const char *text, char *why, size_t why_size)
{
	struct parser parser = { text, why, why_size };
	uint32_t nr_before = budgets->nr;
	int err = parse_item(&parser, budgets);

	while (!err && *parser.at == ',') {
		parser.at++;
		err = parse_item(&parser, budgets);
	}
	if (err)
		budgets->nr = nr_before;
	return err;
}
