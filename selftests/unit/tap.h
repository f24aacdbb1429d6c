/* SPDX-License-Identifier: GPL-2.0-or-later */
/* selftests/unit/tap.h - cmocka, saying its results as TAP. */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define run_as_tap(tests) \
	(cmocka_set_message_output(CM_OUTPUT_TAP), cmocka_run_group_tests(tests, NULL, NULL))

#endif
