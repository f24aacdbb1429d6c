// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/records.c - vcpu-remote/records.c: the state of a vCPU on its way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../../vcpu-remote/records.h"
#include "tap.h"

#define ROOM 256

/* Of exactly that size, so that ASan sees what goes beyond it. */
static struct records make(uint32_t room)
{
	return (struct records){ .start = calloc(1, room ?: 1), .room = room };
}

static void what_goes_in_comes_out(void **state)
{
	struct records records = make(ROOM);
	const uint8_t one[] = { 1, 2, 3 }, two[] = { 9, 0, 0, 0, 0, 0, 0, 0, 8 };
	struct record record;
	uint32_t at = 0;

	(void)state;
	assert_int_equal(records_add(&records, 7, one, sizeof(one)), 0);
	assert_int_equal(records_add(&records, 8, two, sizeof(two)), 0);
	assert_int_equal(records.bytes, 8 + 8 + 8 + 16);
	assert_int_equal(records_next(records.start, records.bytes, &at, &record), 1);
	assert_int_equal(record.cmd, 7);
	assert_int_equal(record.len, sizeof(one));
	assert_memory_equal(record.arg, one, sizeof(one));
	assert_int_equal(records_next(records.start, records.bytes, &at, &record), 1);
	assert_int_equal(record.cmd, 8);
	assert_memory_equal(record.arg, two, sizeof(two));
	assert_int_equal(records_next(records.start, records.bytes, &at, &record), 0);
	free(records.start);
}

static void zeros_at_the_end_are_left_out(void **state)
{
	struct records records = make(ROOM);
	uint8_t arg[100] = { [3] = 1 };
	struct record record;

	(void)state;
	assert_int_equal(records_add(&records, 7, arg, sizeof(arg)), 0);
	memset(arg, 0, sizeof(arg));
	assert_int_equal(records_add(&records, 8, arg, sizeof(arg)), 0);
	assert_int_equal(records.bytes, 8 + 8 + 8);
	assert_int_equal(records_find(records.start, records.bytes, 7, &record), 0);
	assert_int_equal(record.len, 4);
	assert_int_equal(records_find(records.start, records.bytes, 8, &record), 0);
	assert_int_equal(record.len, 0);
	assert_int_equal(records_find(records.start, records.bytes, 9, &record), -EPROTO);
	free(records.start);
}

static void what_has_no_room_is_not_added(void **state)
{
	const uint8_t arg[9] = { [8] = 1 };
	struct record record;

	(void)state;
	for (uint32_t room = 0; room < 24; room++) {
		struct records records = make(room);

		assert_int_equal(records_add(&records, 7, arg, sizeof(arg)), -E2BIG);
		assert_int_equal(records.bytes, 0);
		assert_int_equal(records_find(records.start, 0, 7, &record), -EPROTO);
		free(records.start);
	}
}

/* Each length a peer could claim, on each length there is. */
static void nothing_beyond_the_row_is_read(void **state)
{
	const uint32_t claims[] = { 0, 1, 7, 8, 9, 16, 17, 4096, 0x7fffffff, 0xfffffff8, 0xffffffff };

	(void)state;
	for (uint32_t bytes = 0; bytes <= 32; bytes++) {
		for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
			uint8_t *row = calloc(1, bytes ?: 1);
			struct record record = { 0 };
			uint32_t at = 0;
			int ret;

			if (bytes >= 8)
				memcpy(row + 4, &claims[i], 4);
			while ((ret = records_next(row, bytes, &at, &record)) == 1) {
				uint8_t *copy = malloc(record.len ?: 1);

				assert_in_range(at, 8, bytes);
				memcpy(copy, record.arg, record.len);
				free(copy);
			}
			assert_true(ret == 0 || ret == -EPROTO);
			if (bytes >= 8 && claims[i] > bytes - 8)
				assert_int_equal(ret, -EPROTO);
			free(row);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(zeros_at_the_end_are_left_out),
		cmocka_unit_test(what_has_no_room_is_not_added),
		cmocka_unit_test(nothing_beyond_the_row_is_read),
	};

	return run_as_tap(tests);
}
