// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * touchall.c - does the guest really have the memory it sees?
 *
 * The vCPUs, one after the other, fill (nearly) all free memory, each its part, each word
 * with a value of its own; then all of it is read twice: backwards, each what another
 * wrote, then scattered, each what it wrote itself. -n pages at most. They take turns
 * because here it is the guest's own work that would fight: memcheck is for fights.
 * -k plant spoils one word after it is written: an error that must be found.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS		(GUEST_PAGE / sizeof(uint64_t))
#define SPARE_BYTES	(12l << 20)	/* for what else the guest does meanwhile */
#define LEAST		16		/* pages for each vCPU */

typedef uint64_t page_t[WORDS];

static volatile page_t *pages;
static long nr_pages;
static uint64_t seed;
static long nr_wrong;
static long nr_read;

static long free_bytes(void)
{
	char line[128];
	long kib = 0;
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

/* A word says where it belongs: one page in another's place is seen, and half a page. */
static uint64_t value_of(long page, unsigned int word)
{
	uint64_t x = (page * WORDS + word + 1) * 0x9e3779b97f4a7c15ull + seed;

	return x ^ x >> 29;
}

/* Parts in a row; one that page tables of its own map is no other vCPU's matter. */
static long first_of(int owner)
{
	return nr_pages * owner / nr_cpus;
}

static int owner_of(long page)
{
	int owner = 0;

	while (page >= first_of(owner + 1))
		owner++;
	return owner;
}

static void fill_page(long page)
{
	for (unsigned int word = 0; word < WORDS; word++)
		pages[page][word] = value_of(page, word);
}

static void read_page(long page)
{
	nr_read++;
	for (unsigned int word = 0; word < WORDS; word++) {
		uint64_t got = pages[page][word];

		if (got == value_of(page, word))
			continue;
		nr_wrong++;
		violation("page %ld of %ld (written by vCPU %d, guest frame %#lx) word %u is %#lx instead of %#lx",
			  page, nr_pages, cpus[owner_of(page)], page_number((void *)pages[page]), word, got,
			  value_of(page, word));
		return;
	}
}

static void fill(int self)
{
	for (long page = first_of(self); page < first_of(self + 1); page++)
		fill_page(page);
}

static void read_backwards(int self)
{
	int other = (self + 1) % nr_cpus;

	for (long page = first_of(other + 1) - 1; page >= first_of(other); page--)
		read_page(page);
}

static long gcd(long a, long b)
{
	return b ? gcd(b, a % b) : a;
}

/* Near the golden section, and prime to the number of pages: comes by each page once. */
static void read_scattered(int self)
{
	long nr = first_of(self + 1) - first_of(self), step = nr * 0.618, page = 0;

	while (gcd(step, nr) != 1)
		step++;
	for (long i = 0; i < nr; i++, page = (page + step) % nr)
		read_page(first_of(self) + page);
}

static void run_phase(const char *name, void (*phase)(int self))
{
	double began = seconds_now();

	nr_read = 0;
	for (int self = 0; self < nr_cpus; self++) {
		pin_to(cpus[self]);
		phase(self);
		printf("touchall: %s by vCPU %d\n", name, cpus[self]);
	}
	if (nr_read && nr_read != nr_pages)
		violation("%s: %ld of %ld pages were read", name, nr_read, nr_pages);
	printf("touchall: %s: %ld pages, %.1f s\n", name, nr_pages, seconds_now() - began);
}

static void choose_pages(void)
{
	nr_pages = (free_bytes() - SPARE_BYTES) / GUEST_PAGE;
	if (nr_pages > opt.iterations)
		nr_pages = opt.iterations;
	if (nr_pages < LEAST * nr_cpus) {
		violation("only %ld free pages", nr_pages);
		exit(finish());
	}
	pages = mmap(NULL, nr_pages * GUEST_PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pages == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	/* The fewer faults and page tables of the guest's, the more is about its memory. */
	madvise((void *)pages, nr_pages * GUEST_PAGE, MADV_HUGEPAGE);
}

int main(int argc, char **argv)
{
	parse_options("touchall", argc, argv);
	choose_pages();
	seed = tsc_now();
	printf("touchall: %d vCPUs, %ld MiB\n", nr_cpus, nr_pages * GUEST_PAGE >> 20);
	run_phase("written", fill);
	if (opt.parts && !strcmp(opt.parts, "plant"))
		pages[nr_pages / 2][77] ^= 1ull << 42;
	run_phase("read backwards", read_backwards);
	run_phase("read scattered", read_scattered);
	printf("touchall: %ld pages wrong\n", nr_wrong);
	return finish();
}
