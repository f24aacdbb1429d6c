// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * guest.c - options, pinned threads, ending waits and the count of violations
 * for the programs of this folder.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* Longer than a guest may be frozen (10 s) while a link comes back. */
#define STUCK_SECONDS	60
#define MAX_SHOWN	20
#define CROWD		4	/* threads of the largest litmus test */

struct options opt = { .iterations = 1000, .seconds = 10, .on_cpu = -1 };
int nr_cpus;
int cpus[MAX_CPUS];
int nr_threads;

static int nr_violations;

/* Kept for the next use: between hosts a new thread costs a second. A page each. */
static struct worker {
	pthread_t id;
	int cpu;
	bool is_busy;
	sem_t go;
	int self;
	void (*fn)(int self);
} __attribute__((aligned(GUEST_PAGE))) workers[MAX_CPUS];

static int nr_workers;
static sem_t one_is_done;

static void find_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set)) {
		perror("sched_getaffinity");
		exit(1);
	}
	for (int cpu = 0; cpu < MAX_CPUS; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[nr_cpus++] = cpu;
	if (nr_cpus < opt.want_cpus) {
		printf("%s: only %d of %d vCPUs are there\n", opt.program, nr_cpus, opt.want_cpus);
		exit(1);
	}
}

void parse_options(const char *program, int argc, char **argv)
{
	int c;

	opt.program = program;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "n:t:c:p:f:k:b:o")) != -1) {
		switch (c) {
		case 'n':
			opt.iterations = atol(optarg);
			break;
		case 't':
			opt.seconds = atof(optarg);
			break;
		case 'c':
			opt.want_cpus = atoi(optarg);
			break;
		case 'p':
			opt.on_cpu = atoi(optarg);
			break;
		case 'f':
			opt.path = optarg;
			break;
		case 'k':
			opt.parts = optarg;
			break;
		case 'b':
			opt.bug = optarg;
			break;
		case 'o':
			opt.crowded = true;
			break;
		default:
			fprintf(stderr, "usage: %s [-n iterations] [-t seconds] [-c vcpus] [-p cpu]"
				" [-f file] [-k parts] [-b bug] [-o]\n", program);
			exit(2);
		}
	}
	find_cpus();
	sem_init(&one_is_done, 0, 0);
	nr_threads = opt.crowded && nr_cpus < CROWD ? CROWD : nr_cpus;
}

bool is_planted(const char *bug)
{
	return opt.bug && !strcmp(opt.bug, bug);
}

void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		violation("cannot run on vCPU %d: %s", cpu, strerror(errno));
		exit(finish());
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	pin_to(worker->cpu);
	for (;;) {
		while (sem_wait(&worker->go))
			;
		worker->fn(worker->self);
		sem_post(&one_is_done);
	}
	return NULL;
}

static struct worker *make_worker(int cpu)
{
	struct worker *worker = &workers[nr_workers];

	worker->cpu = cpu;
	sem_init(&worker->go, 0, 0);
	if (nr_workers == MAX_CPUS || pthread_create(&worker->id, NULL, work, worker)) {
		violation("no thread for vCPU %d", cpu);
		exit(finish());
	}
	nr_workers++;
	return worker;
}

static struct worker *idle_worker(int cpu)
{
	for (int i = 0; i < nr_workers; i++)
		if (workers[i].cpu == cpu && !workers[i].is_busy)
			return &workers[i];
	return make_worker(cpu);
}

void on_cpus(int n, const int *where, void (*fn)(int self))
{
	struct worker *used[MAX_CPUS];

	for (int i = 0; i < n; i++) {
		used[i] = idle_worker(where[i]);
		used[i]->is_busy = true;
		used[i]->self = i;
		used[i]->fn = fn;
	}
	for (int i = 0; i < n; i++)
		sem_post(&used[i]->go);
	for (int i = 0; i < n; i++)
		while (sem_wait(&one_is_done))
			;
	for (int i = 0; i < n; i++)
		used[i]->is_busy = false;
}

int cpu_of(int self)
{
	return cpus[self % nr_cpus];
}

void on_each_cpu(int n, void (*fn)(int self))
{
	int where[MAX_CPUS];

	for (int i = 0; i < n; i++)
		where[i] = cpu_of(i);
	on_cpus(n, where, fn);
}

void on_two_cpus(int a, int b, void (*fn)(int self))
{
	on_cpus(2, (const int[]){ a, b }, fn);
}

void *pages_alloc(size_t nr)
{
	char *pages = mmap(NULL, nr * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	madvise(pages, nr * GUEST_PAGE, MADV_NOHUGEPAGE);
	memset(pages, 0, nr * GUEST_PAGE);
	return pages;
}

uint64_t page_number(const void *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)p / GUEST_PAGE * sizeof(entry)) < 0)
		entry = 0;
	close(fd);
	return entry & ((1ull << 55) - 1);	/* Documentation/admin-guide/mm/pagemap.rst */
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

uint64_t tsc_now(void)
{
	unsigned int aux;

	return __rdtscp(&aux);
}

void check_stuck(double *began, const char *what)
{
	double now = seconds_now();

	if (opt.crowded)
		sched_yield();
	if (!*began)
		*began = now;
	if (now - *began < STUCK_SECONDS)
		return;
	violation("no progress in %d s: %s", STUCK_SECONDS, what);
	exit(finish());
}

void violation(const char *format, ...)
{
	va_list args;

	if (xadd(&nr_violations, 1) >= MAX_SHOWN)
		return;
	flockfile(stdout);
	printf("%s: VIOLATION: ", opt.program);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	funlockfile(stdout);
}

bool is_violated(void)
{
	return load(&nr_violations);
}

int finish(void)
{
	if (load(&nr_violations))
		printf("%s: %d violations\n", opt.program, load(&nr_violations));
	return load(&nr_violations) ? 1 : 0;
}
