// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * spin.c - a fixed amount of computing on each vCPU, timed by the TSC: what
 * spreading a guest over hosts should speed up. -n: million steps per vCPU.
 *
 * By processes and by threads: those share page tables, which processors with nested
 * paging walk as writers whenever their TLB has lost them.
 */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct done {
	uint64_t cycles;
	uint64_t result;
	char pad[GUEST_PAGE - 16]; /* no page traffic between the vCPUs while they compute */
};

static struct done *done;

static void compute(int self)
{
	uint64_t began = tsc_now(), x = self + 1;

	for (long i = 0; i < opt.iterations * 1000000; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	done[self].result = x;
	done[self].cycles = tsc_now() - began;
}

static void run_child(int self)
{
	pin_to(cpu_of(self));
	compute(self);
	_exit(0);
}

static void in_processes(int n, void (*fn)(int self))
{
	pid_t pid[MAX_CPUS];
	int status;

	for (int i = 0; i < n; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			fn(i);
	}
	for (int i = 0; i < n; i++)
		if (pid[i] < 0 || waitpid(pid[i], &status, 0) != pid[i] || status)
			violation("no process, or no end of it, for vCPU %d", cpu_of(i));
}

static void spin(const struct part *part)
{
	double began = seconds_now();
	uint64_t began_tsc = tsc_now();

	if (part->what)
		on_each_cpu(nr_cpus, compute);
	else
		in_processes(nr_cpus, run_child);
	printf("spin: %s: %d vCPUs, %ld million steps each: %lu cycles, %.3f s\n", part->name, nr_cpus,
	       opt.iterations, tsc_now() - began_tsc, seconds_now() - began);
	for (int i = 0; i < nr_cpus; i++) {
		printf("spin: vCPU %d: %lu cycles, result %lx\n", cpu_of(i), done[i].cycles, done[i].result);
		look(i, 1);
	}
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "processes", 1, spin, NULL },
		{ "threads", 1, spin, "" },
	};

	opt.iterations = 100;
	opt.seconds = 1000;
	parse_options("spin", argc, argv);
	done = mmap(NULL, MAX_CPUS * sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	run_parts(parts, sizeof(parts) / sizeof(*parts));
	return finish();
}
