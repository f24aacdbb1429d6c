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

int main(int argc, char **argv)
{
	bool all = argc > 1 && !strcmp(argv[1], "--all");

	if (argc > 1 && !all) {
		fprintf(stderr, "usage: %s [--all]\n", argv[0]);
		return 2;
	}
	printf("TAP version 13\n");
	test_rules();
	test_costs();
	test_explore(all);
	test_mutants();
	return tap_end();
}
