/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cli/table.h - shows rows: as a table, JSON, CSV or names. */
#ifndef AGENT_CLI_TABLE_H
#define AGENT_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum format {
	FORMAT_TABLE,
	FORMAT_WIDE, /* a table with the WIDE columns */
	FORMAT_JSON,
	FORMAT_CSV,
	FORMAT_NAME, /* the first column alone */
};

/** format_parse() - -EINVAL: no such word */
int format_parse(const char *word, enum format *ret_format);
/** format_word() - the word for format number @nr; NULL: there are no more */
const char *format_word(unsigned int nr);

/* How a value looks in a table; JSON and CSV have base units. */
enum look {
	LOOK_TEXT,
	LOOK_STATE, /* coloured */
	LOOK_PROSE, /* text that may wrap */
	LOOK_NUMBER,
	LOOK_BYTES,
	LOOK_NS,
	LOOK_TIME, /* ns since 1970 */
};

/**
 * struct column - one of a listing
 * @key: in the rows and in JSON
 * @heading: in tables; CSV has the keys
 * @rate_of: the key whose change per second this is, see rates.h; or NULL
 */
struct column {
	const char *key;
	const char *heading;
	enum look look;
	unsigned int flags;
	const char *rate_of;
};
#define COLUMN_WIDE 1 /* not in FORMAT_TABLE */
#define COLUMN_OPTIONAL 2 /* only when the first row has it */

struct how {
	enum format format;
	bool headings;
	bool colours;
	bool is_stream; /* JSON: a line each time */
};

/** table_print() - @rows: array of objects; @columns ends with a key of NULL */
void table_print(FILE *out, const struct column *columns, json_t *rows, const struct how *how);

/** table_print_one() - one object, a line for each column */
void table_print_one(FILE *out, const struct column *columns, json_t *row, const struct how *how);

/** look_format() - @value as people see it; returns @text */
const char *look_format(json_t *value, enum look look, char *text, size_t size);

#endif
