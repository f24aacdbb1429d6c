// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/place.c - placements as `dvmm run --place` takes them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../../agent/run/place.h"
#include "tap.h"

static struct places places;
static char why[256];

static int add(const char *text)
{
	return places_add(&places, text, why, sizeof(why));
}

static int add_anew(const char *text)
{
	places.nr = 0;
	return add(text);
}

static void single_places(void **state)
{
	(void)state;
	assert_int_equal(add_anew("0=n1,7=n2"), 0);
	assert_int_equal(places.nr, 2);
	assert_int_equal(places.list[1].vcpu, 7);
	assert_string_equal(places.list[1].node, "n2");
}

static void range_is_inclusive(void **state)
{
	(void)state;
	assert_int_equal(add_anew("0-2=n1,3=host-2.example"), 0);
	assert_int_equal(places.nr, 4);
	assert_int_equal(places.list[2].vcpu, 2);
	assert_string_equal(places.list[3].node, "host-2.example");
	assert_int_equal(add_anew("5-5=n1"), 0);
	assert_int_equal(places.nr, 1);
}

static void option_may_be_given_again(void **state)
{
	(void)state;
	assert_int_equal(add_anew("0=n1"), 0);
	assert_int_equal(add("1=n2"), 0);
	assert_int_equal(places.nr, 2);
}

static void all_vcpus_fit(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "0-%d=n1", DVMM_MAX_VCPUS - 1);
	assert_int_equal(add_anew(text), 0);
	assert_int_equal(places.nr, DVMM_MAX_VCPUS);
	snprintf(text, sizeof(text), "0-%d=n1", DVMM_MAX_VCPUS);
	assert_int_equal(add_anew(text), -EINVAL);
}

static void bad_placement_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = { "", ",", "0", "=n1", "0=", "0=,1=n2", "x=n1", "0=n1,",
					   "0=n1,,1=n2", "-1=n1", "0-=n1", "2-1=n1", "0=n1=n2",
					   "0=n1,0=n2", "0-3=n1,2=n2", "1024=n1", "9999999999999=n1",
					   "0 =n1", "0;1=n2" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*why = '\0';
		assert_int_equal(add_anew(bad[i]), -EINVAL);
		assert_int_equal(places.nr, 0);
		assert_true(strlen(why) > 0);
	}
}

static void refused_addition_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(add_anew("0-2=n1"), 0);
	assert_int_equal(add("3=n2,1=n2"), -EINVAL);
	assert_int_equal(places.nr, 3);
}

static void too_long_a_name_is_refused(void **state)
{
	char text[200] = "0=";

	(void)state;
	memset(text + 2, 'n', DVMM_NAME_SIZE);
	assert_int_equal(add_anew(text), -EINVAL);
	text[2 + DVMM_NAME_SIZE - 1] = '\0';
	assert_int_equal(add_anew(text), 0);
}

static void nodes_that_lend_memory(void **state)
{
	(void)state;
	assert_int_equal(add_anew("0=n1"), 0);
	assert_int_equal(places_add_memory(&places, "n2,n3", why, sizeof(why)), 0);
	assert_int_equal(places.nr, 3);
	assert_int_equal(places.list[2].vcpu, DVMM_NO_VCPU);
	assert_string_equal(places.list[2].node, "n3");
	assert_int_equal(places_add_memory(&places, "n4,0=n5", why, sizeof(why)), -EINVAL);
	assert_int_equal(places_add_memory(&places, "", why, sizeof(why)), -EINVAL);
	assert_int_equal(places.nr, 3);
	assert_int_equal(add_anew("0-1023=n1"), 0);
	assert_int_equal(places_add_memory(&places, "n2", why, sizeof(why)), -EINVAL);
	assert_int_equal(places.nr, DVMM_MAX_VCPUS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_places),
		cmocka_unit_test(range_is_inclusive),
		cmocka_unit_test(option_may_be_given_again),
		cmocka_unit_test(all_vcpus_fit),
		cmocka_unit_test(bad_placement_is_refused_with_a_reason),
		cmocka_unit_test(refused_addition_changes_nothing),
		cmocka_unit_test(too_long_a_name_is_refused),
		cmocka_unit_test(nodes_that_lend_memory),
	};

	return run_as_tap(tests);
}
