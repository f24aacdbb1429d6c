/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/wdt.h - a watchdog device of the kernel. */
#ifndef AGENT_WDT_H
#define AGENT_WDT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct wdt - an open one: it runs
 * @stops_with_us: it has no magic close: it stops also when the agent is killed
 * @never_stops: nowayout
 */
struct wdt {
	int fd;
	char identity[33];
	bool stops_with_us, never_stops;
};

/** wdt_open() - it runs from now on. -EBUSY: another program has it; -ENOTTY: it is none */
int wdt_open(const char *path, struct wdt *ret_wdt);
/** wdt_set() - @timeout_s: becomes what the device made of it. Feeds it. -errno */
int wdt_set(const struct wdt *wdt, uint32_t *timeout_s);
int wdt_feed(const struct wdt *wdt);
/** wdt_close() - @is_over: stop it, if it can be; else it runs out */
void wdt_close(struct wdt *wdt, bool is_over);

#endif
