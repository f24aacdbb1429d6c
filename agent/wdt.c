// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/wdt.c - a watchdog device, by linux/watchdog.h: it resets the host when it is not fed.
 * When it is fed is watchdog.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "log.h"
#include "wdt.h"

/* The kernel's CONFIG_WATCHDOG_SYSFS says it, of /dev/watchdogN. */
static bool is_nowayout(int fd)
{
	struct stat stat_buffer;
	char path[64];
	FILE *file;
	bool is_so;

	if (fstat(fd, &stat_buffer))
		return false;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/nowayout", major(stat_buffer.st_rdev),
		 minor(stat_buffer.st_rdev));
	file = fopen(path, "re");
	if (!file)
		return false;
	is_so = fgetc(file) == '1';
	fclose(file);
	return is_so;
}

int wdt_open(const char *path, struct wdt *ret_wdt)
{
	struct watchdog_info info = { 0 };
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, WDIOC_GETSUPPORT, &info)) {
		err = -errno;
		close(fd);
		return err;
	}
	ret_wdt->fd = fd;
	ret_wdt->stops_with_us = !(info.options & WDIOF_MAGICCLOSE);
	ret_wdt->never_stops = is_nowayout(fd);
	snprintf(ret_wdt->identity, sizeof(ret_wdt->identity), "%.32s", (char *)info.identity);
	return 0;
}

int wdt_set(const struct wdt *wdt, uint32_t *timeout_s)
{
	int seconds = *timeout_s;

	if (ioctl(wdt->fd, WDIOC_SETTIMEOUT, &seconds))
		return -errno;
	*timeout_s = seconds;
	return 0;
}

int wdt_feed(const struct wdt *wdt)
{
	return ioctl(wdt->fd, WDIOC_KEEPALIVE, 0) ? -errno : 0;
}

void wdt_close(struct wdt *wdt, bool is_over)
{
	/* The magic close. */
	if (is_over && write(wdt->fd, "V", 1) != 1)
		log_error("watchdog %s: it cannot be stopped: %s", wdt->identity, strerror(errno));
	close(wdt->fd);
	wdt->fd = -1;
}
