// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cpuhot.c - takes vCPUs offline and brings them back, and sees each run a thread
 * again. -p: that vCPU, else all but 0; -n: times.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int ran_on;

static void set_online(int cpu, int online)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, online ? "1" : "0", 1) != 1)
		violation("vCPU %d %s: %s", cpu, online ? "online" : "offline", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void note_cpu(int self)
{
	if (self == 1)
		ran_on = sched_getcpu();
}

static void check_online(int cpu, int want)
{
	int online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online != want)
		violation("%d vCPUs online instead of %d", online, want);
	if (want < nr_cpus)
		return;
	ran_on = -1;
	on_two_cpus(cpus[0], cpu, note_cpu);
	if (ran_on != cpu)
		violation("a thread for vCPU %d ran on %d", cpu, ran_on);
}

static void cycle(int cpu)
{
	double began = seconds_now();

	for (long i = 0; i < opt.iterations; i++) {
		set_online(cpu, 0);
		check_online(cpu, nr_cpus - 1);
		set_online(cpu, 1);
		check_online(cpu, nr_cpus);
	}
	printf("cpuhot: vCPU %d off and on %ld times in %.1f s\n", cpu, opt.iterations, seconds_now() - began);
}

int main(int argc, char **argv)
{
	opt.iterations = 2;
	parse_options("cpuhot", argc, argv);
	pin_to(cpus[0]);
	if (nr_cpus < 2)
		violation("no vCPU besides the first");
	for (int i = 1; i < nr_cpus; i++)
		if (opt.on_cpu < 0 || opt.on_cpu == cpus[i])
			cycle(cpus[i]);
	return finish();
}
