// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/dsm/timing.c - how long single accesses take, and who gets how much of a page. */
#include <stdio.h>
#include <stdlib.h>

#include "memory.h"

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Each miss by itself; the pages are not here yet. */
int timing_read(const struct memory *mem, uint64_t nr, uint64_t start)
{
	double *us = calloc(nr, sizeof(*us));
	uint64_t i, sum = 0;

	if (!us || !nr) {
		printf("failed: no pages\n");
		free(us);
		return -1;
	}
	for (i = 0; i < nr; i++) {
		double began = now_us();

		sum += *word(mem, start + i, 0);
		us[i] = now_us() - began;
	}
	qsort(us, nr, sizeof(*us), by_size);
	printf("ok: p50 %.3f us p99 %.3f us %s\n", us[nr / 2], us[nr * 99 / 100], sum ? "" : "-");
	free(us);
	return 0;
}

/* Writes a word of its own in the page that others write too, as fast as it can. A stall is the
 * time from the end of one write to the end of the next, by this host's clock: the page was away
 * or, also, the host itself stood still.
 */
int timing_hammer(const struct memory *mem, uint64_t page, double seconds)
{
	volatile uint64_t *own = word(mem, page, mem->self);
	double now = now_us(), end = now + seconds * 1e6, stall = 0;
	uint64_t writes = 0;

	while (now < end) {
		double before = now;

		(*own)++;
		writes++;
		now = now_us();
		if (now - before > stall)
			stall = now - before;
	}
	printf("ok: %llu writes stall %.0f us\n", (unsigned long long)writes, stall);
	return 0;
}
