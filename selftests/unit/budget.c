// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/budget.c - budgets as `dvmm run --budget` takes them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../../agent/run/budget.h"
#include "tap.h"

static struct budgets budgets;
static char why[256];

static int add(const char *text)
{
	return budgets_add(&budgets, text, why, sizeof(why));
}

static int add_anew(const char *text)
{
	budgets.nr = 0;
	return add(text);
}

static void node_and_size(void **state)
{
	(void)state;
	assert_int_equal(add_anew("n1=200M,host-2.example=none"), 0);
	assert_int_equal(budgets.nr, 2);
	assert_string_equal(budgets.list[0].node, "n1");
	assert_string_equal(budgets.list[0].size, "200M");
	assert_string_equal(budgets.list[1].node, "host-2.example");
	assert_string_equal(budgets.list[1].size, "none");
}

static void option_may_be_given_again(void **state)
{
	(void)state;
	assert_int_equal(add_anew("n1=1G"), 0);
	assert_int_equal(add("n2=default"), 0);
	assert_int_equal(budgets.nr, 2);
}

static void bad_budget_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = { "", ",", "n1", "=1G", "n1=", "n1=,n2=1G", "n1=1G,", "n1=1G,,n2=1G",
					   "n1=5", "n1=-1G", "n1=1G=2G", "n1=1G,n1=2G", "n1=all", "n1 1G" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*why = '\0';
		assert_int_equal(add_anew(bad[i]), -EINVAL);
		assert_int_equal(budgets.nr, 0);
		assert_true(strlen(why) > 0);
	}
}

static void refused_addition_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(add_anew("n1=1G"), 0);
	assert_int_equal(add("n2=1G,n1=2G"), -EINVAL);
	assert_int_equal(budgets.nr, 1);
}

static void all_nodes_fit_and_no_more(void **state)
{
	char text[32];

	(void)state;
	budgets.nr = 0;
	for (int i = 0; i < DVMM_MAX_NODES; i++) {
		snprintf(text, sizeof(text), "n%d=1M", i);
		assert_int_equal(add(text), 0);
	}
	assert_int_equal(add("more=1M"), -EINVAL);
	assert_int_equal(budgets.nr, DVMM_MAX_NODES);
}

static void too_long_a_name_is_refused(void **state)
{
	char text[200];

	(void)state;
	memset(text, 'n', DVMM_NAME_SIZE);
	strcpy(text + DVMM_NAME_SIZE, "=1G");
	assert_int_equal(add_anew(text), -EINVAL);
	assert_int_equal(add_anew(text + 1), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_and_size),
		cmocka_unit_test(option_may_be_given_again),
		cmocka_unit_test(bad_budget_is_refused_with_a_reason),
		cmocka_unit_test(refused_addition_changes_nothing),
		cmocka_unit_test(all_nodes_fit_and_no_more),
		cmocka_unit_test(too_long_a_name_is_refused),
	};

	return run_as_tap(tests);
}
