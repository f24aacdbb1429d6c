// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/log.c - lines on stderr. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "log.h"

void log_line(int level, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* journald reads the level from the line and knows our name by itself. */
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", level, text);
	else
		fprintf(stderr, "dvmm-agent: %s\n", text);
}
