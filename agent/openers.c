// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/openers.c - processes that have the device of a VM open, whoever started them and under
 * which path they see it. They are looked for in /proc: the agent may be younger than they.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "internal.h"

static int find_device(const uint8_t vm_uuid[DVMM_UUID_SIZE], dev_t *ret_device)
{
	char path[sizeof("/dev/dvmm/vm/") + DVMM_UUID_TEXT_SIZE], uuid[DVMM_UUID_TEXT_SIZE];
	struct stat stat_buffer;

	snprintf(path, sizeof(path), "/dev/dvmm/vm/%s", dvmm_uuid_format(vm_uuid, uuid));
	if (stat(path, &stat_buffer) || !S_ISCHR(stat_buffer.st_mode))
		return -1;
	*ret_device = stat_buffer.st_rdev;
	return 0;
}

static bool has_open(pid_t pid, dev_t device)
{
	struct stat stat_buffer;
	struct dirent *entry;
	bool is_open = false;
	char path[32];
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	fds = opendir(path);
	if (!fds)
		return false;
	while (!is_open && (entry = readdir(fds)))
		is_open = !fstatat(dirfd(fds), entry->d_name, &stat_buffer, 0) &&
			  S_ISCHR(stat_buffer.st_mode) && stat_buffer.st_rdev == device;
	closedir(fds);
	return is_open;
}

/* Its number cannot become another process's while the pidfd is open. */
static bool signal_if_open(pid_t pid, dev_t device, int signal)
{
	int pidfd = pidfd_open(pid, 0);
	bool is_open = pidfd >= 0 && has_open(pid, device);

	if (is_open)
		pidfd_send_signal(pidfd, signal, NULL, 0);
	if (pidfd >= 0)
		close(pidfd);
	return is_open;
}

uint32_t openers_signal(const uint8_t vm_uuid[DVMM_UUID_SIZE], int signal)
{
	struct dirent *entry;
	uint32_t nr = 0;
	dev_t device;
	DIR *proc;

	if (find_device(vm_uuid, &device))
		return 0;
	proc = opendir("/proc");
	if (!proc)
		return 0;
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && pid != getpid())
			nr += signal_if_open(pid, device, signal);
	}
	closedir(proc);
	return nr;
}
