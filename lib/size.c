// SPDX-License-Identifier: LGPL-2.1-or-later
/* lib/size.c - amounts of memory as people write them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dvmm.h"

static const struct {
	const char *text;
	unsigned int shift;
} units[] = {
	{ "", 0 },    { "K", 10 }, { "KiB", 10 }, { "M", 20 }, { "MiB", 20 },
	{ "G", 30 }, { "GiB", 30 }, { "T", 40 },  { "TiB", 40 },
};

static int find_shift(const char *unit, unsigned int *ret_shift)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].text))
			continue;
		*ret_shift = units[i].shift;
		return 0;
	}
	return -EINVAL;
}

int dvmm_size_parse(const char *text, uint64_t *ret_bytes)
{
	size_t digits = strspn(text, "0123456789");
	unsigned int shift;
	uint64_t number;

	/* As many as can be no overflow. */
	if (!digits || digits > 18 || find_shift(text + digits, &shift))
		return -EINVAL;
	number = strtoull(text, NULL, 10);
	if (number > UINT64_MAX >> 1 >> shift)
		return -EINVAL;
	*ret_bytes = number << shift;
	return 0;
}

int dvmm_budget_parse(const char *text, uint64_t *ret_budget)
{
	uint64_t bytes;

	if (!strcmp(text, "none"))
		bytes = DVMM_BUDGET_NONE;
	else if (!strcmp(text, "default"))
		bytes = DVMM_BUDGET_DEFAULT;
	else if (dvmm_size_parse(text, &bytes) || bytes < DVMM_BUDGET_MIN)
		return -EINVAL;
	*ret_budget = bytes;
	return 0;
}
