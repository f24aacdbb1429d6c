// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * spin.c - a fixed amount of computing on each vCPU, timed by the TSC: what
 * spreading a guest over hosts should speed up. -n: million steps per vCPU.
 */
#include "guest.h"

#include <stdio.h>

static struct {
	uint64_t cycles;
	uint64_t result;
	char pad[112];		/* no page traffic between the vCPUs while they compute */
} done[MAX_CPUS] __attribute__((aligned(128)));

static void compute(int self)
{
	uint64_t began = tsc_now(), x = self + 1;

	for (long i = 0; i < opt.iterations * 1000000; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	done[self].result = x;
	done[self].cycles = tsc_now() - began;
}

int main(int argc, char **argv)
{
	double began;
	uint64_t began_tsc;

	opt.iterations = 100;
	parse_options("spin", argc, argv);
	began = seconds_now();
	began_tsc = tsc_now();
	on_each_cpu(nr_cpus, compute);
	printf("spin: %d vCPUs, %ld million steps each: %lu cycles, %.3f s\n", nr_cpus, opt.iterations,
	       tsc_now() - began_tsc, seconds_now() - began);
	for (int i = 0; i < nr_cpus; i++)
		printf("spin: vCPU %d: %lu cycles, result %lx\n", cpus[i], done[i].cycles, done[i].result);
	return finish();
}
