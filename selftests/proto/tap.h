/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/tap.h - results, counted; the plan comes last. */
#ifndef PROTO_TAP_H
#define PROTO_TAP_H

#include <stdbool.h>

void tap_result(bool good, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Return: exit code. */
int tap_end(void);

/* One file each. */
void test_rules(void);
void test_costs(void);
void test_explore(bool all);
void test_mutants(void);
void test_simulate(bool all);
void test_compare(void);

/* The arguments after the name of the command. Return: exit code. */
int simulate_main(int argc, char **argv);
int compare_main(int argc, char **argv);

#endif
