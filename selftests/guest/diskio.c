// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * diskio.c - writes, reads and verifies a scratch disk with O_DIRECT from a given
 * vCPU (-p; else from each in turn) and speaks on the console from there.
 * -n: blocks of 64 KiB for each vCPU, -f: the disk.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK		65536
#define BLOCK_WORDS	(BLOCK / sizeof(uint64_t))

static uint64_t *wrote, *got;
static int disk;

static void fill(uint64_t *block, int cpu, long nth)
{
	for (size_t i = 0; i < BLOCK_WORDS; i++)
		block[i] = ((uint64_t)cpu << 48) + ((uint64_t)nth << 24) + i;
}

static void transfer(int is_write, long nth)
{
	off_t at = (off_t)nth * BLOCK;
	ssize_t n = is_write ? pwrite(disk, wrote, BLOCK, at) : pread(disk, got, BLOCK, at);

	if (n != BLOCK)
		violation("%s of block %ld: %s", is_write ? "write" : "read", nth, n < 0 ? strerror(errno) : "short");
}

static void use_disk_on(int cpu, double seconds)
{
	double began = seconds_now();
	long nth;

	pin_to(cpu);
	printf("diskio: the console, from vCPU %d\n", sched_getcpu());
	for (nth = 0; nth < opt.iterations && seconds_now() - began < seconds; nth++) {
		fill(wrote, cpu, nth);
		transfer(1, nth);
	}
	fdatasync(disk);
	for (long i = 0; i < nth; i++) {
		fill(wrote, cpu, i);
		memset(got, 0xee, BLOCK);
		transfer(0, i);
		if (memcmp(wrote, got, BLOCK))
			violation("block %ld written on vCPU %d reads differently", i, cpu);
	}
	printf("diskio: vCPU %d: %ld blocks of 64 KiB written and verified in %.2f s\n", sched_getcpu(), nth,
	       seconds_now() - began);
}

int main(int argc, char **argv)
{
	opt.iterations = 16;
	opt.path = "/dev/vda";
	parse_options("diskio", argc, argv);
	disk = open(opt.path, O_RDWR | O_DIRECT);
	if (disk < 0) {
		violation("%s: %s", opt.path, strerror(errno));
		return finish();
	}
	wrote = pages_alloc(BLOCK / GUEST_PAGE);
	got = pages_alloc(BLOCK / GUEST_PAGE);
	for (int i = 0; i < nr_cpus; i++)
		if (opt.on_cpu < 0 || opt.on_cpu == cpus[i])
			use_disk_on(cpus[i], opt.seconds / nr_cpus);
	return finish();
}
