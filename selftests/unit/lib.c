// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/lib.c - addresses, UUIDs, keys, sizes and words of libdvmm. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "../../lib/dvmm.h"
#include <dvmm/stat.h>
#include "tap.h"

static void addr_is_read_and_written(void **state)
{
	static const char *const good[] = { "10.77.0.1:4750", "255.255.255.255:65535", "[::1]:1",
					    "[fd00::77:1]:4750" };
	char text[DVMM_ADDR_TEXT_SIZE];
	struct dvmm_addr addr;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(dvmm_addr_parse(good[i], &addr), 0);
		assert_string_equal(dvmm_addr_format(&addr, text), good[i]);
	}
}

static void addr_fields_are_what_the_kernel_wants(void **state)
{
	struct dvmm_addr addr;

	(void)state;
	assert_int_equal(dvmm_addr_parse("10.77.0.1:4750", &addr), 0);
	assert_int_equal(addr.family, AF_INET);
	assert_int_equal(addr.port, 4750);
	assert_memory_equal(addr.addr, "\x0a\x4d\x00\x01\0\0\0\0", 8);
	assert_int_equal(addr.reserved, 0);
}

static void bad_addr_is_refused(void **state)
{
	static const char *const bad[] = { "", ":", ":1", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0",
					   "10.0.0.1:65536", "10.0.0.1:1x", "10.0.0.1:-1",
					   "10.0.0.1: 1", "10.0.0:1", "10.0.0.1.2:1", "host:1", "::1:1",
					   "[::1]", "[::1:1", "[:1", "[]:1", "[::1]x:1", "::1]:1",
					   "10.0.0.1:000001",
					   "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:1" };
	struct dvmm_addr addr = { .port = 99 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dvmm_addr_parse(bad[i], &addr), -EINVAL);
	assert_int_equal(addr.port, 99);
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "0", 0 }, { "4096", 4096 }, { "3K", 3 << 10 }, { "200M", 200 << 20 },
		     { "200MiB", 200 << 20 }, { "3GiB", 3ull << 30 }, { "64T", 64ull << 40 } };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(dvmm_size_parse(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void bad_size_is_refused(void **state)
{
	static const char *const bad[] = { "", "M", "-1", " 1", "1 M", "1m", "1MB", "1.5G", "0x10", "1MM",
					   "8388608T", "9999999999999999999", "99999999999999999T" };
	uint64_t bytes = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dvmm_size_parse(bad[i], &bytes), -EINVAL);
	assert_int_equal(bytes, 99);
}

static void budget_is_a_size_or_a_word(void **state)
{
	uint64_t budget = 99;

	(void)state;
	assert_int_equal(dvmm_budget_parse("1023K", &budget), -EINVAL);
	assert_int_equal(dvmm_budget_parse("nothing", &budget), -EINVAL);
	assert_int_equal(budget, 99);
	assert_int_equal(dvmm_budget_parse("1M", &budget), 0);
	assert_int_equal(budget, DVMM_BUDGET_MIN);
	assert_int_equal(dvmm_budget_parse("none", &budget), 0);
	assert_true(budget == DVMM_BUDGET_NONE);
	assert_int_equal(dvmm_budget_parse("default", &budget), 0);
	assert_true(budget == DVMM_BUDGET_DEFAULT);
}

static void uuid_is_read_and_written(void **state)
{
	uint8_t uuid[DVMM_UUID_SIZE];
	char text[DVMM_UUID_TEXT_SIZE];

	(void)state;
	assert_int_equal(dvmm_uuid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", uuid), 0);
	assert_memory_equal(uuid, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
	assert_string_equal(dvmm_uuid_format(uuid, text), "00112233-4455-6677-8899-aabbccddeeff");
}

static void bad_uuid_is_refused(void **state)
{
	static const char *const bad[] = { "", "00112233-4455-6677-8899-aabbccddeef",
					   "00112233-4455-6677-8899-aabbccddeeff0",
					   "001122334-455-6677-8899-aabbccddeeff",
					   "00112233-4455-6677-8899-aabbccddeefg",
					   "00112233-4455-6677-8899-aabbccdd-eff",
					   "00112233445566778899aabbccddeeff" };
	uint8_t uuid[DVMM_UUID_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dvmm_uuid_parse(bad[i], uuid), -EINVAL);
}

static void random_uuid_is_version_4(void **state)
{
	uint8_t uuid[DVMM_UUID_SIZE];

	(void)state;
	assert_int_equal(dvmm_uuid_random(uuid), 0);
	assert_int_equal(uuid[6] >> 4, 4);
	assert_int_equal(uuid[8] >> 6, 2);
}

static void hex_has_exactly_its_length(void **state)
{
	uint8_t bytes[2];

	(void)state;
	assert_int_equal(dvmm_hex_parse("0fA0", bytes, 2), 0);
	assert_memory_equal(bytes, "\x0f\xa0", 2);
	assert_int_equal(dvmm_hex_parse("0fA", bytes, 2), -EINVAL);
	assert_int_equal(dvmm_hex_parse("0fA01", bytes, 2), -EINVAL);
	assert_int_equal(dvmm_hex_parse("0fAx", bytes, 2), -EINVAL);
}

static void counters_are_in_the_kernels_order(void **state)
{
	(void)state;
	assert_string_equal(dvmm_stat_info(DVMM_STAT_NODE, DVMM_STAT_NODE_links_refused)->name,
			    "links_refused");
	assert_string_equal(dvmm_stat_info(DVMM_STAT_LINK, DVMM_STAT_LINK_tx_bytes)->unit, "bytes");
	assert_string_equal(dvmm_stat_info(DVMM_STAT_VM, DVMM_STAT_VM_fault_wait_ns)->unit, "ns");
	assert_non_null(dvmm_stat_info(DVMM_STAT_VM, DVMM_NR_STAT_VM - 1));
	assert_null(dvmm_stat_info(DVMM_STAT_NODE, DVMM_NR_STAT_NODE));
	assert_null(dvmm_stat_info(DVMM_STAT_LINK, DVMM_NR_STAT_LINK));
	assert_null(dvmm_stat_info(DVMM_STAT_VM, DVMM_NR_STAT_VM));
	assert_null(dvmm_stat_info(99, 0));
}

static void words_of_values(void **state)
{
	uint32_t policy;

	(void)state;
	assert_string_equal(dvmm_event_word(DVMM_EVENT_VM_DEAD), "vm-dead");
	assert_string_equal(dvmm_event_word(9999), "?");
	assert_string_equal(dvmm_link_state_word(DVMM_LINK_SUSPECT), "suspect");
	assert_string_equal(dvmm_vm_state_word(DVMM_VM_DEAD), "dead");
	assert_string_equal(dvmm_vcpu_state_word(77), "?");
	assert_int_equal(dvmm_home_policy_parse("interleave", &policy), 0);
	assert_int_equal(policy, DVMM_HOME_INTERLEAVE);
	assert_int_equal(dvmm_home_policy_parse("here", &policy), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_is_read_and_written),
		cmocka_unit_test(addr_fields_are_what_the_kernel_wants),
		cmocka_unit_test(bad_addr_is_refused),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(bad_size_is_refused),
		cmocka_unit_test(budget_is_a_size_or_a_word),
		cmocka_unit_test(uuid_is_read_and_written),
		cmocka_unit_test(bad_uuid_is_refused),
		cmocka_unit_test(random_uuid_is_version_4),
		cmocka_unit_test(hex_has_exactly_its_length),
		cmocka_unit_test(counters_are_in_the_kernels_order),
		cmocka_unit_test(words_of_values),
	};

	return run_as_tap(tests);
}
