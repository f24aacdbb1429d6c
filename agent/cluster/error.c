// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/error.c - fills in errors. */
#include <errno.h>
#include <stdarg.h>
#include "internal.h"

int cluster_fail(struct cluster_error *error, const char *code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->why, sizeof(error->why), format, args);
	va_end(args);
	error->code = code;
	return -EINVAL;
}
