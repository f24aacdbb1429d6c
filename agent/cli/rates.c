// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/rates.c - how fast the numbers of a listing change. */
#include "rates.h"

static bool same_row(const struct column *columns, int nr_keys, json_t *row, json_t *other)
{
	for (int i = 0; i < nr_keys; i++)
		if (!json_equal(json_object_get(row, columns[i].key),
				json_object_get(other, columns[i].key)))
			return false;
	return true;
}

/* Mostly it is where it was. */
static json_t *find_row(const struct column *columns, int nr_keys, json_t *rows, size_t where,
			json_t *wanted)
{
	json_t *row = json_array_get(rows, where);
	size_t i;

	if (row && same_row(columns, nr_keys, row, wanted))
		return row;
	json_array_foreach(rows, i, row)
		if (same_row(columns, nr_keys, row, wanted))
			return row;
	return NULL;
}

static json_t *rate(json_t *now, json_t *before, double seconds)
{
	json_int_t change = json_integer_value(now) - json_integer_value(before);

	if (!json_is_integer(now) || !json_is_integer(before) || change < 0)
		return json_null();
	return json_real(change / seconds);
}

void rates_add(const struct column *columns, int nr_keys, json_t *rows, json_t *earlier,
	       double seconds)
{
	json_t *row, *before;
	size_t i;

	json_array_foreach(rows, i, row) {
		before = find_row(columns, nr_keys, earlier, i, row);
		for (const struct column *column = columns; column->key; column++)
			if (column->rate_of)
				json_object_set_new(row, column->key,
						    rate(json_object_get(row, column->rate_of),
							 json_object_get(before, column->rate_of),
							 seconds));
	}
}
