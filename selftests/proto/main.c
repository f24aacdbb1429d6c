// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/main.c - runs the tests of the coherence rules, prints TAP. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"

static int nr_tests, nr_failed;

void tap_result(bool good, const char *format, ...)
{
	va_list args;

	nr_failed += !good;
	printf("%sok %d - ", good ? "" : "not ", ++nr_tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int tap_end(void)
{
	printf("1..%d\n", nr_tests);
	return nr_failed ? 1 : 0;
}

static int run_tests(bool all)
{
	printf("TAP version 13\n");
	test_rules();
	test_costs();
	test_explore(all);
	test_mutants();
	test_simulate(all);
	test_compare();
	return tap_end();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "check";

	if (!strcmp(what, "check") || !strcmp(what, "long"))
		return run_tests(*what == 'l');
	if (!strcmp(what, "simulate"))
		return simulate_main(argc - 2, argv + 2);
	if (!strcmp(what, "compare"))
		return compare_main(argc - 2, argv + 2);
	fprintf(stderr, "usage: %s [check|long|simulate ...|compare TRACE...]\n",
		argv[0]);
	return 2;
}
