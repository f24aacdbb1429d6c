// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * part.c - the parts of a checking program: which run, for how long, and how often
 * each looked. What they look at is the program's.
 */
#include "guest.h"

#include <stdio.h>
#include <string.h>

double part_end;

/* A page each: counting what was checked must not be traffic between the vCPUs. */
static struct {
	uint64_t n;
	char pad[GUEST_PAGE - sizeof(uint64_t)];
} looked[MAX_CPUS] __attribute__((aligned(GUEST_PAGE)));

bool time_is_up(void)
{
	/* A planted mistake needs to be found once. */
	return seconds_now() >= part_end || (opt.bug && is_violated());
}

void look(int self, uint64_t n)
{
	looked[self].n += n;
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void run_part(const struct part *part, double seconds)
{
	double began = seconds_now();
	uint64_t total = 0;

	for (int i = 0; i < nr_threads; i++)
		looked[i].n = 0;
	part_end = began + seconds;
	part->check(part);
	for (int i = 0; i < nr_threads; i++)
		total += looked[i].n;
	printf("%s: %s: %lu checks in %.1f s\n", opt.program, part->name, total, seconds_now() - began);
	if (!total)
		violation("%s looked at nothing", part->name);
}

/* Is @name one of the words of -k a+b+c? */
static bool is_wanted(const char *name)
{
	size_t len = strlen(name);
	const char *at = opt.parts;

	if (!at)
		return true;
	for (; at; at = strchr(at, '+') ? strchr(at, '+') + 1 : NULL)
		if (!strncmp(at, name, len) && (at[len] == '+' || !at[len]))
			return true;
	return false;
}

static bool runs(const struct part *part)
{
	return nr_threads >= part->min_threads && is_wanted(part->name);
}

void run_parts(const struct part *parts, size_t nr_parts)
{
	size_t nr = 0;

	printf("%s: %d vCPUs, %ld iterations, %g s at most\n", opt.program, nr_cpus, opt.iterations,
	       opt.seconds);
	for (size_t i = 0; i < nr_parts; i++)
		nr += runs(&parts[i]);
	if (!nr)
		violation("no part to run in %s on %d vCPUs", opt.parts ? opt.parts : "all", nr_cpus);
	for (size_t i = 0; i < nr_parts; i++)
		if (runs(&parts[i]))
			run_part(&parts[i], opt.seconds / nr);
}
