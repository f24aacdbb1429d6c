// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/fake_wdt.c - plays agent/wdt.c: the watchdog is a file. What it has in it says what is wrong with it
 * (busy, notty, fixed: it takes 60 s whatever it is told, refuses, nomagic, nowayout); what is done with it goes
 * to FILE.log, a line each: seconds (CLOCK_MONOTONIC), open, set T, feed, stop or leave.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "../../agent/wdt.h"

static char file[512], has[128];

__attribute__((format(printf, 1, 2)))
static void note(const char *format, ...)
{
	struct timespec now;
	char path[520];
	va_list args;
	FILE *log;

	snprintf(path, sizeof(path), "%s.log", file);
	log = fopen(path, "ae");
	if (!log)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	fprintf(log, "%ld.%06ld ", (long)now.tv_sec, now.tv_nsec / 1000);
	va_start(args, format);
	vfprintf(log, format, args);
	va_end(args);
	fputc('\n', log);
	fclose(log);
}

int wdt_open(const char *path, struct wdt *ret_wdt)
{
	FILE *in = fopen(path, "re");

	if (!in)
		return -errno;
	snprintf(file, sizeof(file), "%s", path);
	has[fread(has, 1, sizeof(has) - 1, in)] = '\0';
	fclose(in);
	if (strstr(has, "busy"))
		return -EBUSY;
	if (strstr(has, "notty"))
		return -ENOTTY;
	*ret_wdt = (struct wdt){ .fd = 1000, .identity = "played", .stops_with_us = strstr(has, "nomagic"),
				 .never_stops = strstr(has, "nowayout") };
	note("open");
	return 0;
}

int wdt_set(const struct wdt *wdt, uint32_t *timeout_s)
{
	(void)wdt;
	if (strstr(has, "refuses"))
		return -EINVAL;
	if (strstr(has, "fixed"))
		*timeout_s = 60;
	note("set %u", *timeout_s);
	return 0;
}

int wdt_feed(const struct wdt *wdt)
{
	(void)wdt;
	note("feed");
	return 0;
}

void wdt_close(struct wdt *wdt, bool is_over)
{
	note(is_over ? "stop" : "leave");
	wdt->fd = -1;
}
