// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/host.c - what this host has: CPUs and memory. */
#include <stdio.h>
#include <unistd.h>
#include "internal.h"

uint32_t host_cpus(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	return nr > 0 ? nr : 1;
}

/* A line of /proc/meminfo, which is in KiB. */
static uint64_t meminfo_bytes(const char *format)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file) && sscanf(line, format, &kib) != 1)
		;
	fclose(file);
	return kib << 10;
}

uint64_t host_memory(void)
{
	return meminfo_bytes("MemTotal: %llu kB");
}

uint64_t host_free_memory(void)
{
	return meminfo_bytes("MemAvailable: %llu kB");
}
