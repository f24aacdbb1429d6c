/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cli/rates.h - how fast the numbers of a listing change. */
#ifndef AGENT_CLI_RATES_H
#define AGENT_CLI_RATES_H

#include "table.h"

/**
 * rates_add() - fill the columns that are rates of others
 * @nr_keys: so many columns, from the first, name a row
 * @rows: array of objects
 * @earlier: the same listing @seconds ago; NULL: there was none
 *
 * What is not known, as the row is new or its count began anew, is null.
 */
void rates_add(const struct column *columns, int nr_keys, json_t *rows, json_t *earlier,
	       double seconds);

#endif
