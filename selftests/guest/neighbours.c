// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * neighbours.c - one thread lets a device write and read the middle of pages; each word
 * around it belongs to one of the other threads, that finds what it wrote there. How
 * the device is told is the program's. Each vCPU (-p: that one) has the device in turn.
 */
#include "neighbours.h"

#include <string.h>

#define WORDS		(GUEST_PAGE / sizeof(uint64_t))
#define MIDDLE_WORDS	(NEIGHBOUR_BYTES / sizeof(uint64_t))
#define MIDDLE		((WORDS - MIDDLE_WORDS) / 2)
#define MIDDLE_END	(MIDDLE + MIDDLE_WORDS)

static uint64_t (*pages)[WORDS];
static const struct neighbours *device;
static int device_thread, is_done;
static double turn_end;

static uint64_t word_of(long round, int page, size_t word)
{
	return (uint64_t)round << 32 | page << 16 | word;
}

static void transfer(bool is_write, int page)
{
	if (is_planted("whole"))
		device->transfer(is_write, page, pages[page], GUEST_PAGE);
	else
		device->transfer(is_write, page, &pages[page][MIDDLE], NEIGHBOUR_BYTES);
}

static void send_middle(int page, long round)
{
	for (size_t i = MIDDLE; i < MIDDLE_END; i++)
		store(&pages[page][i], word_of(round, page, i));
	transfer(true, page);
	for (size_t i = MIDDLE; i < MIDDLE_END; i++)
		store(&pages[page][i], ~0ull);
}

static void bring_middle(int page, long round)
{
	transfer(false, page);
	for (size_t i = MIDDLE; i < MIDDLE_END; i++) {
		uint64_t got = load(&pages[page][i]);

		if (got != word_of(round, page, i))
			violation("page %d round %ld: word %zu came back as %lx", page, round, i, got);
	}
}

static void use_device(int self)
{
	for (long round = 0; round < opt.iterations && (!round || seconds_now() < turn_end); round++) {
		for (int page = 0; page < NEIGHBOUR_PAGES; page++)
			send_middle(page, round);
		for (int page = 0; page < NEIGHBOUR_PAGES; page++)
			bring_middle(page, round);
		look(self, NEIGHBOUR_PAGES);
	}
	store(&is_done, 1);
}

static size_t skip_middle(size_t word)
{
	return word < MIDDLE ? word : word + MIDDLE_WORDS;
}

/* Nobody else writes the words of a thread. */
static void use_ends(int self, uint64_t n)
{
	for (int page = 0; page < NEIGHBOUR_PAGES; page++) {
		for (size_t i = self; i < WORDS - MIDDLE_WORDS; i += nr_threads) {
			uint64_t *word = &pages[page][skip_middle(i)], got = load(word);

			if (got != n - 1)
				violation("page %d word %zu: %lx written, %lx is there", page,
					  skip_middle(i), n - 1, got);
			store(word, n);
		}
	}
	look(self, NEIGHBOUR_PAGES);
}

static void use_pages(int self)
{
	if (self == device_thread) {
		use_device(self);
		return;
	}
	for (uint64_t n = 1; !load(&is_done); n++)
		use_ends(self, n);
}

void check_neighbours(const struct part *part)
{
	device = part->what;
	pages = pages_alloc(NEIGHBOUR_PAGES);
	for (device_thread = 0; device_thread < nr_cpus; device_thread++) {
		if (opt.on_cpu >= 0 && opt.on_cpu != cpu_of(device_thread))
			continue;
		turn_end = seconds_now() + (part_end - seconds_now()) / (nr_cpus - device_thread);
		memset(pages, 0, NEIGHBOUR_PAGES * GUEST_PAGE);
		is_done = 0;
		on_each_cpu(nr_threads, use_pages);
	}
}
