// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/table.c - what the dvmm command prints. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../../agent/cli/commands.h"
#include "../../agent/cli/rates.h"
#include "tap.h"

static const struct column columns[] = {
	{ "name", "NAME", LOOK_TEXT, 0 },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "size", "SIZE", LOOK_BYTES, 0 },
	{ "more", "MORE", LOOK_TEXT, COLUMN_WIDE },
	{ "rate", "RATE", LOOK_NUMBER, COLUMN_OPTIONAL },
	{ 0 },
};

static char *printed(enum format format, bool headings, bool one)
{
	struct how how = { format, headings, false };
	json_t *rows = json_pack("[{s:s, s:s, s:i, s:s}, {s:s, s:s, s:n}]", "name", "a", "state", "up",
				 "size", 1536, "more", "x,\"y\"", "name", "long name", "state", "lost",
				 "size");
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	if (one)
		table_print_one(out, columns, json_array_get(rows, 0), &how);
	else
		table_print(out, columns, rows, &how);
	fclose(out);
	json_decref(rows);
	return text;
}

static void expect(enum format format, bool headings, const char *expected)
{
	char *text = printed(format, headings, false);

	assert_string_equal(text, expected);
	free(text);
}

static void table_has_people_units(void **state)
{
	(void)state;
	expect(FORMAT_TABLE, true,
	       "NAME      STATE    SIZE\n"
	       "a         up    1.5 KiB\n"
	       "long name lost        -\n");
}

static void headings_can_be_left_out(void **state)
{
	(void)state;
	expect(FORMAT_TABLE, false,
	       "a         up    1.5 KiB\n"
	       "long name lost        -\n");
}

static void wide_has_all_columns(void **state)
{
	char *text = printed(FORMAT_WIDE, true, false);

	(void)state;
	assert_non_null(strstr(text, "MORE"));
	assert_null(strstr(text, "RATE"));
	free(text);
}

static void csv_has_keys_base_units_and_quotes(void **state)
{
	(void)state;
	expect(FORMAT_CSV, true, "name,state,size,more\na,up,1536,\"x,\"\"y\"\"\"\nlong name,lost,,\n");
	expect(FORMAT_CSV, false, "a,up,1536,\"x,\"\"y\"\"\"\nlong name,lost,,\n");
}

static void names_are_one_a_line(void **state)
{
	(void)state;
	expect(FORMAT_NAME, true, "a\nlong name\n");
}

static void json_has_base_units_and_null(void **state)
{
	char *text = printed(FORMAT_JSON, true, false);
	json_t *rows = json_loads(text, 0, NULL);
	json_t *second = json_array_get(rows, 1);

	(void)state;
	assert_int_equal(json_array_size(rows), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "size")), 1536);
	assert_true(json_is_null(json_object_get(second, "size")));
	assert_true(json_is_null(json_object_get(second, "more")));
	assert_null(json_object_get(second, "rate"));
	json_decref(rows);
	free(text);
}

static void one_object_is_a_line_for_each_column(void **state)
{
	char *text = printed(FORMAT_TABLE, true, true);

	(void)state;
	assert_non_null(strstr(text, "NAME  a\n"));
	assert_non_null(strstr(text, "SIZE  1.5 KiB\n"));
	free(text);
}

static void expect_look(json_t *value, enum look look, const char *expected)
{
	char text[64];

	assert_string_equal(look_format(value, look, text, sizeof(text)), expected);
	json_decref(value);
}

static void values_have_looks(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	expect_look(json_integer(0), LOOK_BYTES, "0 B");
	expect_look(json_integer(1023), LOOK_BYTES, "1023 B");
	expect_look(json_integer(1024), LOOK_BYTES, "1.0 KiB");
	expect_look(json_integer(3ll << 40), LOOK_BYTES, "3.0 TiB");
	expect_look(json_integer(999), LOOK_NS, "999 ns");
	expect_look(json_integer(12340), LOOK_NS, "12.3 us");
	expect_look(json_integer(2500000000), LOOK_NS, "2.5 s");
	expect_look(json_integer(-5), LOOK_NUMBER, "-5");
	expect_look(json_integer(1700000000123000000), LOOK_TIME, "2023-11-14 22:13:20.123");
	expect_look(json_null(), LOOK_NS, "-");
	expect_look(NULL, LOOK_TEXT, "-");
	expect_look(json_pack("[s, s]", "n1", "n2"), LOOK_TEXT, "n1,n2");
	expect_look(json_array(), LOOK_TEXT, "-");
}

static const struct column counted[] = {
	{ "object", "OBJECT", LOOK_TEXT, 0 },
	{ "nr", "NR", LOOK_NUMBER, 0 },
	{ "per_second", "PER-SECOND", LOOK_NUMBER, COLUMN_OPTIONAL, "nr" },
	{ 0 },
};

static json_t *rate_of_row(json_t *rows, size_t row)
{
	return json_object_get(json_array_get(rows, row), "per_second");
}

static void rates_follow_rows_that_move(void **state)
{
	json_t *earlier = json_pack("[{s:s, s:i}, {s:s, s:i}]", "object", "a", "nr", 100, "object", "b", "nr", 5);
	json_t *rows = json_pack("[{s:s, s:i}, {s:s, s:i}, {s:s, s:i}]", "object", "b", "nr", 9, "object",
				 "new", "nr", 7, "object", "a", "nr", 40);

	(void)state;
	rates_add(counted, 1, rows, earlier, 2);
	assert_true(json_real_value(rate_of_row(rows, 0)) == 2.0);
	assert_true(json_is_null(rate_of_row(rows, 1)));
	assert_true(json_is_null(rate_of_row(rows, 2))); /* it began anew */
	rates_add(counted, 1, rows, NULL, 2);
	assert_true(json_is_null(rate_of_row(rows, 0)));
	json_decref(earlier);
	json_decref(rows);
}

static void formats_have_words(void **state)
{
	enum format format;

	(void)state;
	assert_int_equal(format_parse("csv", &format), 0);
	assert_int_equal(format, FORMAT_CSV);
	assert_int_equal(format_parse("xml", &format), -EINVAL);
	assert_int_equal(format_parse("", &format), -EINVAL);
}

static void commands_are_found(void **state)
{
	(void)state;
	assert_string_equal(command_find("vcpu", "list")->method, "vcpu.list");
	assert_string_equal(command_find("stat", NULL)->method, "stat.list");
	assert_null(command_find("stat", "list"));
	assert_null(command_find("vcpu", NULL));
	assert_null(command_find("cpu", "list"));
	assert_true(command_takes_verb("vm"));
	assert_false(command_takes_verb("stat"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_has_people_units),
		cmocka_unit_test(headings_can_be_left_out),
		cmocka_unit_test(wide_has_all_columns),
		cmocka_unit_test(csv_has_keys_base_units_and_quotes),
		cmocka_unit_test(names_are_one_a_line),
		cmocka_unit_test(json_has_base_units_and_null),
		cmocka_unit_test(one_object_is_a_line_for_each_column),
		cmocka_unit_test(values_have_looks),
		cmocka_unit_test(rates_follow_rows_that_move),
		cmocka_unit_test(formats_have_words),
		cmocka_unit_test(commands_are_found),
	};

	return run_as_tap(tests);
}
