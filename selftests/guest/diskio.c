// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * diskio.c - writes, reads and verifies a scratch disk with O_DIRECT from a given
 * vCPU (-p; else from each in turn) and speaks on the console from there. Then it reads
 * and writes the middle of pages whose ends the others write (neighbours.c).
 * -n: blocks of 64 KiB, and rounds over the pages, for each vCPU; -f: the disk.
 * -b whole: transfer the whole page, which has to be found.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "neighbours.h"

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
static long disk_blocks;

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
	long nth, nr_blocks = opt.iterations < disk_blocks ? opt.iterations : disk_blocks;

	pin_to(cpu);
	printf("diskio: the console, from vCPU %d\n", sched_getcpu());
	for (nth = 0; nth < nr_blocks && seconds_now() - began < seconds; nth++) {
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
		look(0, 1);
	}
	printf("diskio: vCPU %d: %ld blocks of 64 KiB written and verified in %.2f s\n", sched_getcpu(), nth,
	       seconds_now() - began);
}

static bool is_on(int nth)
{
	return opt.on_cpu < 0 || opt.on_cpu == cpus[nth];
}

static void check_blocks(const struct part *part)
{
	double seconds = part_end - seconds_now();

	wrote = pages_alloc(BLOCK / GUEST_PAGE);
	got = pages_alloc(BLOCK / GUEST_PAGE);
	for (int i = 0; i < nr_cpus; i++)
		if (is_on(i))
			use_disk_on(cpus[i], seconds / nr_cpus);
}

static void transfer_bytes(bool is_write, int page, void *at, size_t len)
{
	off_t offset = (off_t)page * GUEST_PAGE;
	ssize_t n = is_write ? pwrite(disk, at, len, offset) : pread(disk, at, len, offset);

	if (n != (ssize_t)len)
		violation("%s of page %d: %s", is_write ? "write" : "read", page,
			  n < 0 ? strerror(errno) : "short");
}

static const struct neighbours neighbours = { transfer_bytes };

static const struct part parts[] = {
	{ "blocks", 1, check_blocks, NULL },
	{ "neighbours", 1, check_neighbours, &neighbours },
};

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
	disk_blocks = lseek(disk, 0, SEEK_END) / BLOCK;
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
