// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ipi.c - wakes sleeping threads on other vCPUs to and fro: each wake-up of an
 * idle vCPU is an interrupt. -n: round trips for each pair.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOST_SECONDS	30

static uint32_t *turn;		/* even: thread 0 is to move; counts up */
static double end;
static long nr_trips;

static void wait_for_turn(uint32_t want)
{
	struct timespec limit = { .tv_sec = LOST_SECONDS };
	uint32_t now;

	while ((int32_t)((now = load(turn)) - want) < 0) {
		if (!syscall(SYS_futex, turn, FUTEX_WAIT_PRIVATE, now, &limit, NULL, 0))
			continue;
		if (errno != ETIMEDOUT)
			continue;
		violation("a wake-up is lost: turn %u, waiting for %u", load(turn), want);
		exit(finish());
	}
}

static void hand_over(uint32_t next)
{
	store(turn, next);
	syscall(SYS_futex, turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Thread 0 moves from even turns, thread 1 from odd ones; bit 31 ends it. */
static void player(int self)
{
	for (uint32_t at = self; at < 2 * opt.iterations; at += 2) {
		wait_for_turn(at);
		if (load(turn) & 0x80000000u)
			return;
		if (self == 0 && nr_trips && seconds_now() > end) {
			hand_over(0x80000000u);
			return;
		}
		hand_over(at + 1);
		nr_trips += self;
	}
}

static void check_pair(int a, int b, double seconds)
{
	double began = seconds_now(), took;

	*turn = 0;
	nr_trips = 0;
	end = began + seconds;
	on_two_cpus(a, b, player);
	took = seconds_now() - began;
	printf("ipi: vCPU %d - %d: %ld round trips, %.1f us each\n", a, b, nr_trips,
	       took * 1e6 / (nr_trips + !nr_trips));
	if (!nr_trips)
		violation("no round trip between vCPU %d and %d", a, b);
}

int main(int argc, char **argv)
{
	int nr_pairs;

	opt.iterations = 200;
	parse_options("ipi", argc, argv);
	turn = pages_alloc(1);
	nr_pairs = nr_cpus * (nr_cpus - 1) / 2;
	if (!nr_pairs)
		violation("one vCPU has nobody to wake");
	for (int a = 0; a < nr_cpus; a++)
		for (int b = a + 1; b < nr_cpus; b++)
			check_pair(cpus[a], cpus[b], opt.seconds / nr_pairs);
	return finish();
}
