// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * diskio.c - writes, reads and verifies a scratch disk with O_DIRECT from a given
 * vCPU (-p; else from each in turn) and speaks on the console from there. Then it reads
 * and writes the middle of pages whose ends the other vCPUs write meanwhile.
 * -n: blocks of 64 KiB, and rounds over the pages, for each vCPU; -f: the disk.
 * -b whole: transfer the whole page, which has to be found.
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
#define NR_PAGES	8
#define WORDS		(GUEST_PAGE / sizeof(uint64_t))
#define MIDDLE		128	/* first word of what is transferred: 2 KiB */
#define MIDDLE_END	384

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
	long nth;

	pin_to(cpu);
	printf("diskio: the console, from vCPU %d\n", sched_getcpu());
	for (nth = 0; nth < opt.iterations && nth < disk_blocks && seconds_now() - began < seconds; nth++) {
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

/* Pages in whose middle is what the disk has; around it each word has one thread. */

static uint64_t (*pages)[WORDS];
static int disk_thread, disk_is_done;
static double turn_end;

static void transfer_middle(int is_write, int page)
{
	bool whole = is_planted("whole");
	uint64_t *at = &pages[page][whole ? 0 : MIDDLE];
	size_t len = whole ? GUEST_PAGE : (MIDDLE_END - MIDDLE) * sizeof(uint64_t);
	off_t offset = (off_t)page * GUEST_PAGE;
	ssize_t n = is_write ? pwrite(disk, at, len, offset) : pread(disk, at, len, offset);

	if (n != (ssize_t)len)
		violation("%s of page %d: %s", is_write ? "write" : "read", page, n < 0 ? strerror(errno) : "short");
}

static void use_middle(int self, long round)
{
	for (int page = 0; page < NR_PAGES; page++) {
		for (size_t i = MIDDLE; i < MIDDLE_END; i++)
			store(&pages[page][i], (uint64_t)round << 32 | page << 16 | i);
		transfer_middle(1, page);
		for (size_t i = MIDDLE; i < MIDDLE_END; i++)
			store(&pages[page][i], ~0ull);
	}
	for (int page = 0; page < NR_PAGES; page++) {
		transfer_middle(0, page);
		for (size_t i = MIDDLE; i < MIDDLE_END; i++)
			if (load(&pages[page][i]) != ((uint64_t)round << 32 | page << 16 | i))
				violation("page %d round %ld: word %zu read as %lx", page, round, i, load(&pages[page][i]));
	}
	look(self, NR_PAGES);
}

static size_t skip_middle(size_t word)
{
	return word < MIDDLE ? word : word + MIDDLE_END - MIDDLE;
}

/* Nobody else writes the words of a thread. */
static void use_ends(int self, uint64_t n)
{
	for (int page = 0; page < NR_PAGES; page++) {
		for (size_t i = self; i < WORDS - (MIDDLE_END - MIDDLE); i += nr_threads) {
			uint64_t *word = &pages[page][skip_middle(i)];

			if (load(word) != n - 1)
				violation("page %d word %zu: %lx written, %lx is there", page, skip_middle(i), n - 1, load(word));
			store(word, n);
		}
	}
	look(self, NR_PAGES);
}

static void use_neighbours(int self)
{
	if (self != disk_thread) {
		for (uint64_t n = 1; !load(&disk_is_done); n++)
			use_ends(self, n);
		return;
	}
	for (long round = 0; round < opt.iterations && (!round || seconds_now() < turn_end); round++)
		use_middle(self, round);
	store(&disk_is_done, 1);
}

static void check_neighbours(const struct part *part)
{
	pages = pages_alloc(NR_PAGES);
	for (disk_thread = 0; disk_thread < nr_cpus; disk_thread++) {
		if (!is_on(disk_thread))
			continue;
		turn_end = seconds_now() + (part_end - seconds_now()) / (nr_cpus - disk_thread);
		memset(pages, 0, NR_PAGES * GUEST_PAGE);
		disk_is_done = 0;
		on_each_cpu(nr_threads, use_neighbours);
	}
}

static const struct part parts[] = {
	{ "blocks", 1, check_blocks, NULL },
	{ "neighbours", 1, check_neighbours, NULL },
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
