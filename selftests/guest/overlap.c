// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * overlap.c - while a vCPU waits for a page of another host, can it do something else?
 *
 * The first vCPU writes pages, the last one reads them, in no order that could be
 * foreseen: by one thread, by two threads, and by one while another one counts. Round
 * after round; each says what it found:
 *
 *   overlap: 3 readers 2 counts 0: 312 us for a page, counted 0 %, told 17 times
 *
 * "counted" is the share of what the counter does alone; "told": by KVM that a page is
 * there that a thread waits for. Also checks what is read.
 * -n pages in a round, -t seconds of all rounds.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS	(GUEST_PAGE / sizeof(uint64_t))

typedef uint64_t page_t[WORDS];

static page_t *pages;
static long nr_pages;
static long *order;
static uint64_t round_nr;
static int nr_readers;
static int left;		/* readers that are not done */
static double began, ended;
static uint64_t counted;
static double alone;		/* counted in a second */

/* Interrupts of that kind, on all vCPUs. */
static long nr_told(void)
{
	char line[4096], *at, *end;
	long nr = 0, more;
	FILE *file = fopen("/proc/interrupts", "r");

	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, "HYP:");
		for (at = at ? at + 4 : NULL; at; at = end > at ? end : NULL) {
			more = strtol(at, &end, 10);
			nr += end > at ? more : 0;
		}
	}
	if (file)
		fclose(file);
	return nr;
}

static void shuffle(void)
{
	uint64_t state = 1;

	for (long i = 0; i < nr_pages; i++)
		order[i] = i;
	for (long i = nr_pages - 1; i > 0; i--) {
		long k = next_random(&state) % (i + 1), old = order[i];

		order[i] = order[k];
		order[k] = old;
	}
}

static void write_all(int self)
{
	for (long i = 0; i < nr_pages; i++)
		store(&pages[i][0], round_nr);
}

static void read_part(int self)
{
	for (long i = self; i < nr_pages; i += nr_readers) {
		uint64_t got = load(&pages[order[i]][0]);

		if (got != round_nr)
			violation("page %ld: %lu, should be %lu", order[i], got, round_nr);
	}
	if (__atomic_sub_fetch(&left, 1, __ATOMIC_SEQ_CST))
		return;
	ended = seconds_now();
}

static void count(double until)
{
	while (load(&left) && (!until || seconds_now() < until))
		for (int i = 0; i < 1000; i++)
			store(&counted, counted + 1);
}

/* The readers come first, then who counts. */
static void read_or_count(int self)
{
	if (self < nr_readers)
		read_part(self);
	else
		count(0);
}

static void measure_alone(int self)
{
	double start = seconds_now();

	left = 1;
	counted = 0;
	count(start + 0.2);
	alone = counted / (seconds_now() - start);
}

static void one(int readers, int counters)
{
	int first = 0, last[4];
	long told;

	for (int i = 0; i < 4; i++)
		last[i] = nr_cpus - 1;
	round_nr++;
	nr_readers = left = readers;
	counted = 0;
	on_cpus(1, &first, write_all);
	told = nr_told();
	began = seconds_now();
	on_cpus(readers + counters, last, read_or_count);
	printf("overlap: %lu readers %d counts %d: %.0f us for a page, counted %.0f %%, told %ld times\n", round_nr,
	       readers, counters, (ended - began) * 1e6 / nr_pages, 100 * counted / (ended - began) / alone,
	       nr_told() - told);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int last;
	double end;

	opt.iterations = 150;
	parse_options("overlap", argc, argv);
	nr_pages = opt.iterations;
	end = seconds_now() + opt.seconds;
	pages = pages_alloc(nr_pages);
	order = calloc(nr_pages, sizeof(*order));
	shuffle();
	last = nr_cpus - 1;
	on_cpus(1, &last, measure_alone);
	do {
		one(1, 0);
		one(2, 0);
		one(1, 1);
	} while (seconds_now() < end && !is_violated());
	return finish();
}
