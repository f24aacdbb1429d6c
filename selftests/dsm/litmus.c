// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/dsm/litmus.c - tests of shared memory that all nodes run together. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

/* Page 0 has the barrier, tests use pages from 1 on. */
#define BARRIER_PAGE 0

double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void barrier(const struct memory *mem)
{
	volatile uint64_t *count = word(mem, BARRIER_PAGE, 0);
	uint64_t arrived = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	uint64_t all = (arrived + mem->nr_nodes - 1) / mem->nr_nodes * mem->nr_nodes;

	while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < all)
		usleep(300);
}

static int fail(const char *test, const char *what, uint64_t got, uint64_t wanted)
{
	printf("%s: FAILED: %s: %llu, should be %llu\n", test, what,
	       (unsigned long long)got, (unsigned long long)wanted);
	return 1;
}

/* Nobody's increment is lost. */
static int atomics(const struct memory *mem, long rounds, long seed)
{
	volatile uint64_t *count = word(mem, 1, seed % 512);
	uint64_t start = __atomic_load_n(count, __ATOMIC_SEQ_CST);
	long i;

	barrier(mem);
	for (i = 0; i < rounds; i++)
		__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	barrier(mem);
	if (*count != start + mem->nr_nodes * rounds)
		return fail("atomics", "sum", *count, start + mem->nr_nodes * rounds);
	return 0;
}

/* Nodes take turns. */
static int pingpong(const struct memory *mem, long rounds, long seed)
{
	volatile uint64_t *turn = word(mem, 2, seed % 512);
	uint64_t start = *turn;
	long i;

	barrier(mem);
	for (i = 0; i < rounds; i++) {
		uint64_t mine = start + i * mem->nr_nodes + mem->self;

		while (*turn != mine)
			;
		*turn = mine + 1;
	}
	barrier(mem);
	if (*turn != start + rounds * mem->nr_nodes)
		return fail("pingpong", "turn", *turn, start + rounds * mem->nr_nodes);
	return 0;
}

/* Message passing: who sees the flag sees the data. Node 0 writes, the others read. */
static int mp(const struct memory *mem, long rounds, long seed)
{
	volatile uint64_t *x = word(mem, 3, 0), *y = word(mem, 4, 0);
	uint64_t base = (uint64_t)seed << 32, r1, r2, seen = 0;
	long i;
	int bad = 0;

	if (!mem->self)
		*x = *y = base;
	barrier(mem);
	for (i = 1; !mem->self && i <= rounds; i++) {
		*x = base + i;
		*y = base + i;
	}
	while (mem->self && seen < base + rounds && !bad) {
		r1 = *y;
		r2 = *x;
		if (r2 < r1 || r1 < seen)
			bad = fail("mp", "data behind the flag", r2, r1);
		seen = r1;
	}
	barrier(mem);
	return bad;
}

/* Store buffering with mfence: not both may miss the other's store. */
static int sb(const struct memory *mem, long rounds, long seed)
{
	volatile uint64_t *r = word(mem, 7, 0);
	long i;
	int bad = 0;

	(void)seed;
	for (i = 0; i < rounds; i++) {
		volatile uint64_t *mine = word(mem, 5 + mem->self, i % 512);
		volatile uint64_t *other = word(mem, 5 + !mem->self, i % 512);

		*mine = 0;
		barrier(mem);
		if (mem->self < 2) {
			*mine = 1;
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			r[mem->self] = *other;
		}
		barrier(mem);
		if (!r[0] && !r[1])
			bad = fail("sb", "both loads missed a store, round", i, 0);
		barrier(mem);
	}
	return bad;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#define RANDOM_FIRST 16
#define RANDOM_PAGES 64

/* Each node writes its own word of many pages: none of its writes is lost, and
 * nobody else's goes back.
 */
static int random_words(const struct memory *mem, long rounds, long seed)
{
	uint64_t state = 88172645463325252ULL * (seed + 1) + mem->self * 7919 + 1;
	uint64_t seen[RANDOM_PAGES][16] = {};
	unsigned int n;
	long i;
	int bad = 0;

	for (i = 0; i < RANDOM_PAGES; i++)
		seen[i][mem->self] = *word(mem, RANDOM_FIRST + i, mem->self);
	barrier(mem);
	for (i = 0; i < rounds && !bad; i++) {
		uint64_t dice = next_random(&state), page = dice % RANDOM_PAGES;
		volatile uint64_t *words = word(mem, RANDOM_FIRST + page, 0);

		for (n = 0; n < mem->nr_nodes; n++) {
			uint64_t got = words[n];

			if (n == mem->self ? got != seen[page][n] : got < seen[page][n])
				bad = fail("random", "word", got, seen[page][n]);
			seen[page][n] = got;
		}
		if (dice >> 40 & 1)
			words[mem->self] = ++seen[page][mem->self];
	}
	barrier(mem);
	return bad;
}

/* A lock in one page guards counters in others: lost or torn updates show. */
static int locked(const struct memory *mem, long rounds, long seed)
{
	volatile uint64_t *lock = word(mem, 8, 0), *a = word(mem, 9, 0), *b = word(mem, 10, 511);
	uint64_t start = *a;
	long i;
	int bad = 0;

	(void)seed;
	barrier(mem);
	for (i = 0; i < rounds && !bad; i++) {
		while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
			while (*lock)
				;
		if (*a != *b)
			bad = fail("locked", "pair differs", *a, *b);
		++*a;
		++*b;
		__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	}
	barrier(mem);
	if (!bad && *a != start + rounds * mem->nr_nodes)
		bad = fail("locked", "sum", *a, start + rounds * mem->nr_nodes);
	barrier(mem);
	return bad;
}

/* Whole pages: node 0 fills them, the others check each byte. */
static int pages(const struct memory *mem, long rounds, long seed)
{
	uint64_t nr = mem->bytes / PAGE - 100, i;
	unsigned int w;
	long round;
	int bad = 0;

	if (nr > 1024)
		nr = 1024;
	for (round = 0; round < rounds && !bad; round++) {
		uint64_t key = (seed + round + 1) * 0x9e3779b97f4a7c15ULL;

		for (i = 0; round % mem->nr_nodes == mem->self && i < nr; i++)
			for (w = 0; w < 512; w++)
				*word(mem, 100 + i, w) = key + i * 512 + w;
		barrier(mem);
		for (i = 0; i < nr && !bad; i++)
			for (w = 0; w < 512 && !bad; w++)
				if (*word(mem, 100 + i, w) != key + i * 512 + w)
					bad = fail("pages", "word", *word(mem, 100 + i, w),
						   key + i * 512 + w);
		barrier(mem);
	}
	return bad;
}

struct race {
	const struct memory *mem;
	long rounds;
	unsigned int thread;
	int bad;
};

static void *race_thread(void *arg)
{
	struct race *race = arg;
	const struct memory *mem = race->mem;
	uint64_t state = (mem->self * 16 + race->thread + 1) * 2654435761ULL;
	long i;

	for (i = 0; i < race->rounds; i++)
		__atomic_add_fetch(word(mem, 90 + next_random(&state) % 8, 0), 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Several threads of each node on the same few pages. */
static int threads(const struct memory *mem, long rounds, long seed)
{
	struct race race[4];
	pthread_t thread[4];
	uint64_t sum = 0, start = 0;
	int i;

	(void)seed;
	for (i = 0; i < 8; i++)
		start += *word(mem, 90 + i, 0);
	barrier(mem);
	for (i = 0; i < 4; i++) {
		race[i] = (struct race){ .mem = mem, .rounds = rounds, .thread = i };
		pthread_create(&thread[i], NULL, race_thread, &race[i]);
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	barrier(mem);
	for (i = 0; i < 8; i++)
		sum += *word(mem, 90 + i, 0);
	barrier(mem);
	if (sum != start + 4 * rounds * mem->nr_nodes)
		return fail("threads", "sum", sum, start + 4 * rounds * mem->nr_nodes);
	return 0;
}

int litmus_run(const struct memory *mem, const char *name, long rounds, long seed)
{
	static const struct {
		const char *name;
		int (*run)(const struct memory *mem, long rounds, long seed);
	} tests[] = {
		{ "atomics", atomics }, { "pingpong", pingpong }, { "mp", mp }, { "sb", sb },
		{ "random", random_words }, { "locked", locked }, { "pages", pages },
		{ "threads", threads },
	};
	unsigned int i;

	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!strcmp(tests[i].name, name))
			return tests[i].run(mem, rounds, seed);
	printf("no test %s\n", name);
	return 1;
}
