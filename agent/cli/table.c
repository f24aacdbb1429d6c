// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/table.c - rows of JSON objects as tables (libsmartcols), JSON, CSV, names. */
#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "table.h"

#define CELL_SIZE 512

static const char *const format_words[] = {
	[FORMAT_TABLE] = "table", [FORMAT_WIDE] = "wide", [FORMAT_JSON] = "json",
	[FORMAT_CSV] = "csv",	  [FORMAT_NAME] = "name",
};

int format_parse(const char *word, enum format *ret_format)
{
	for (size_t i = 0; i < sizeof(format_words) / sizeof(format_words[0]); i++) {
		if (strcmp(word, format_words[i]))
			continue;
		*ret_format = i;
		return 0;
	}
	return -EINVAL;
}

const char *format_word(unsigned int nr)
{
	return nr < sizeof(format_words) / sizeof(format_words[0]) ? format_words[nr] : NULL;
}

/* ---- values ---- */

struct scale {
	double above;
	double divisor;
	const char *unit;
};

static const struct scale byte_scales[] = {
	{ 1ull << 40, 1ull << 40, "TiB" }, { 1 << 30, 1 << 30, "GiB" }, { 1 << 20, 1 << 20, "MiB" },
	{ 1 << 10, 1 << 10, "KiB" },	   { 0, 1, "B" },
};

static const struct scale ns_scales[] = {
	{ 1e9, 1e9, "s" }, { 1e6, 1e6, "ms" }, { 1e3, 1e3, "us" }, { 0, 1, "ns" },
};

static void format_scaled(json_int_t value, const struct scale *scale, char *text, size_t size)
{
	while (value < scale->above)
		scale++;
	snprintf(text, size, scale->divisor == 1 ? "%.0f %s" : "%.1f %s", value / scale->divisor,
		 scale->unit);
}

static void format_time(json_int_t time_ns, char *text, size_t size)
{
	time_t seconds = time_ns / 1000000000;
	struct tm tm;
	size_t len;

	localtime_r(&seconds, &tm);
	len = strftime(text, size, "%F %T", &tm);
	snprintf(text + len, size - len, ".%03d", (int)(time_ns / 1000000 % 1000));
}

static void format_list(json_t *list, char *text, size_t size)
{
	size_t len = 0, i;
	json_t *word;

	*text = '\0';
	json_array_foreach(list, i, word) {
		snprintf(text + len, size - len, "%s%s", i ? "," : "", json_string_value(word));
		len += strlen(text + len);
	}
}

static void format_plain(json_t *value, char *text, size_t size)
{
	if (json_array_size(value))
		format_list(value, text, size);
	else if (json_is_string(value))
		snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(text, size, "%.1f", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(text, size, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(text, size, "-");
}

const char *look_format(json_t *value, enum look look, char *text, size_t size)
{
	json_int_t number = json_integer_value(value);

	if (look == LOOK_BYTES && json_is_integer(value) && number >= 0)
		format_scaled(number, byte_scales, text, size);
	else if (look == LOOK_NS && json_is_integer(value) && number >= 0)
		format_scaled(number, ns_scales, text, size);
	else if (look == LOOK_TIME && json_is_integer(value))
		format_time(number, text, size);
	else
		format_plain(value, text, size);
	return text;
}

static const char *colour_of(const char *state)
{
	static const char *const good[] = { "up", "self", "running", "ready", NULL };
	static const char *const bad[] = { "lost", "dead", "link-lost", "vm-dead", "slice-lost", NULL };

	for (int i = 0; good[i]; i++)
		if (!strcmp(state, good[i]))
			return "green";
	for (int i = 0; bad[i]; i++)
		if (!strcmp(state, bad[i]))
			return "red";
	return NULL;
}

/* ---- tables ---- */

static bool is_shown(const struct column *column, json_t *rows, enum format format)
{
	if ((column->flags & COLUMN_WIDE) && format == FORMAT_TABLE)
		return false;
	return !(column->flags & COLUMN_OPTIONAL) ||
	       json_object_get(json_array_get(rows, 0), column->key);
}

static bool is_number(enum look look)
{
	return look == LOOK_NUMBER || look == LOOK_BYTES || look == LOOK_NS;
}

static void set_cell(struct libscols_line *line, size_t nr, json_t *value, enum look look)
{
	char text[CELL_SIZE];

	scols_line_set_data(line, nr, look_format(value, look, text, sizeof(text)));
	if (look == LOOK_STATE && colour_of(text))
		scols_cell_set_color(scols_line_get_cell(line, nr), colour_of(text));
}

static void add_line(struct libscols_table *table, const struct column *columns, json_t *rows,
		     json_t *row, enum format format)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t nr = 0;

	for (const struct column *column = columns; column->key; column++)
		if (is_shown(column, rows, format))
			set_cell(line, nr++, json_object_get(row, column->key), column->look);
}

static struct libscols_table *new_table(FILE *out, const struct how *how)
{
	struct libscols_table *table = scols_new_table();

	if (!table)
		abort();
	scols_table_set_stream(table, out);
	scols_table_enable_colors(table, how->colours);
	return table;
}

static void print_table(FILE *out, const struct column *columns, json_t *rows, const struct how *how)
{
	struct libscols_table *table = new_table(out, how);
	json_t *row;
	size_t i;

	scols_table_enable_noheadings(table, !how->headings);
	for (const struct column *column = columns; column->key; column++) {
		int flags = is_number(column->look) ? SCOLS_FL_RIGHT : 0;

		if (column->look == LOOK_PROSE)
			flags |= SCOLS_FL_WRAP;
		if (is_shown(column, rows, how->format))
			scols_table_new_column(table, column->heading, 0, flags);
	}
	json_array_foreach(rows, i, row)
		add_line(table, columns, rows, row, how->format);
	scols_print_table(table);
	scols_unref_table(table);
}

/* ---- the other formats ---- */

static json_t *chosen_keys(const struct column *columns, json_t *row)
{
	json_t *chosen = json_object();

	for (const struct column *column = columns; column->key; column++) {
		json_t *value = json_object_get(row, column->key);

		if (value || !(column->flags & COLUMN_OPTIONAL))
			json_object_set_new(chosen, column->key,
					    value ? json_incref(value) : json_null());
	}
	return chosen;
}

static void print_json(FILE *out, json_t *json, const struct how *how)
{
	json_dumpf(json, out, how->is_stream ? JSON_COMPACT : JSON_INDENT(2));
	fputc('\n', out);
	json_decref(json);
}

static void print_rows_json(FILE *out, const struct column *columns, json_t *rows,
			    const struct how *how)
{
	json_t *list = json_array(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
		json_array_append_new(list, chosen_keys(columns, row));
	print_json(out, list, how);
}

/* RFC 4180 */
static void print_csv_text(FILE *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void print_csv_value(FILE *out, json_t *value)
{
	char text[CELL_SIZE];

	if (value && !json_is_null(value))
		print_csv_text(out, look_format(value, LOOK_TEXT, text, sizeof(text)));
}

static void print_csv_line(FILE *out, const struct column *columns, json_t *rows, json_t *row)
{
	const char *separator = "";

	for (const struct column *column = columns; column->key; column++) {
		if (!is_shown(column, rows, FORMAT_CSV))
			continue;
		fputs(separator, out);
		if (row)
			print_csv_value(out, json_object_get(row, column->key));
		else
			print_csv_text(out, column->key);
		separator = ",";
	}
	fputc('\n', out);
}

static void print_csv(FILE *out, const struct column *columns, json_t *rows, bool headings)
{
	json_t *row;
	size_t i;

	if (headings)
		print_csv_line(out, columns, rows, NULL);
	json_array_foreach(rows, i, row)
		print_csv_line(out, columns, rows, row);
}

static void print_names(FILE *out, const struct column *columns, json_t *rows)
{
	char text[CELL_SIZE];
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		fprintf(out, "%s\n", look_format(json_object_get(row, columns[0].key), LOOK_TEXT, text,
						 sizeof(text)));
}

void table_print(FILE *out, const struct column *columns, json_t *rows, const struct how *how)
{
	switch (how->format) {
	case FORMAT_TABLE:
	case FORMAT_WIDE:
		print_table(out, columns, rows, how);
		break;
	case FORMAT_JSON:
		print_rows_json(out, columns, rows, how);
		break;
	case FORMAT_CSV:
		print_csv(out, columns, rows, how->headings);
		break;
	case FORMAT_NAME:
		print_names(out, columns, rows);
		break;
	}
}

static void print_lines(FILE *out, const struct column *columns, json_t *row, const struct how *how)
{
	struct libscols_table *table = new_table(out, how);

	scols_table_enable_noheadings(table, 1);
	scols_table_new_column(table, "KEY", 0, 0);
	scols_table_new_column(table, "VALUE", 0, 0);
	for (const struct column *column = columns; column->key; column++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		scols_line_set_data(line, 0, column->heading);
		set_cell(line, 1, json_object_get(row, column->key), column->look);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

void table_print_one(FILE *out, const struct column *columns, json_t *row, const struct how *how)
{
	json_t *rows;

	if (how->format == FORMAT_JSON) {
		print_json(out, chosen_keys(columns, row), how);
		return;
	}
	if (how->format == FORMAT_TABLE || how->format == FORMAT_WIDE) {
		print_lines(out, columns, row, how);
		return;
	}
	rows = json_pack("[O]", row);
	table_print(out, columns, rows, how);
	json_decref(rows);
}
