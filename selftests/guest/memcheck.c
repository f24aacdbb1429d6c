// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcheck.c - is the guest's memory one memory?
 *
 * One thread pinned to each vCPU. Each part breaks one way in which a distributed
 * memory can go wrong (lost update, stale page, torn page, stale translation) and
 * prints how often it looked. Orders of memory are left to litmus.c, locked
 * instructions to atomics.c.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS		(GUEST_PAGE / sizeof(uint64_t))
#define NR_COUNTERS	8
#define NR_SUM_PAGES	8
#define NR_STORM_PAGES	8
#define RALLY		20	/* turns there and back before the players are made anew */

typedef uint64_t page_t[WORDS];

static int stop;		/* told to the others by the thread that leads */

/* Atomics: no update is lost, wherever the counter lies. */

static uint64_t *counters[NR_COUNTERS];
static uint64_t added[MAX_CPUS][NR_COUNTERS];

static void place_counters(void)
{
	page_t *pages = pages_alloc(NR_COUNTERS);

	for (int i = 0; i < NR_COUNTERS; i++)
		counters[i] = &pages[i][(i * 67) % WORDS];
	memset(added, 0, sizeof(added));
}

static void add_to(int self, int which)
{
	xadd(counters[which], 1);
	added[self][which]++;
	look(self, 1);
}

static void adder(int self)
{
	uint64_t random = 88172645463325252ull + self;

	for (long i = 0; i < opt.iterations * 10 && !time_is_up(); i++)
		add_to(self, next_random(&random) % NR_COUNTERS);
}

static void check_sums(void)
{
	for (int which = 0; which < NR_COUNTERS; which++) {
		uint64_t want = 0;

		for (int i = 0; i < nr_threads; i++)
			want += added[i][which];
		if (*counters[which] != want)
			violation("counter %d at %p is %lu, %lu were added", which,
				  (void *)counters[which], *counters[which], want);
	}
}

static void check_atomics(const struct part *part)
{
	place_counters();
	on_each_cpu(nr_threads, adder);
	check_sums();
}

/* Ping-pong: a page handed to and fro, filled anew each time, between every pair. */

static page_t *ball;

static uint64_t word_of(uint64_t turn, size_t word)
{
	return turn * 0x9e3779b97f4a7c15ull + word;
}

static void throw_ball(uint64_t turn)
{
	for (size_t i = 1; i < WORDS; i++)
		(*ball)[i] = word_of(turn, i);
	store(&(*ball)[0], turn);
}

static void catch_ball(int self, uint64_t turn)
{
	uint64_t seen, last = 0;

	spin_until((seen = load(&(*ball)[0]),
		    seen < last ? violation("turn went back from %lu to %lu", last, seen) : (void)0,
		    last = seen, seen >= turn), "waiting for the page of the other vCPU");
	if (seen != turn)
		violation("turn %lu seen instead of %lu", seen, turn);
	for (size_t i = 1; i < WORDS; i++) {
		if ((*ball)[i] == word_of(turn, i))
			continue;
		violation("turn %lu word %zu is %lx", turn, i, (*ball)[i]);
		break;
	}
	look(self, 1);
}

static void player(int self)
{
	for (uint64_t turn = 1; turn < 2 * RALLY; turn += 2) {
		if (self == 0)
			throw_ball(turn);
		else
			catch_ball(self, turn);
		if (self == 0)
			catch_ball(self, turn + 1);
		else
			throw_ball(turn + 1);
	}
}

static void check_pair(int a, int b, double end)
{
	for (long done = 0; done < opt.iterations && seconds_now() < end; done += RALLY) {
		memset(ball, 0, GUEST_PAGE);
		on_two_cpus(cpu_of(a), cpu_of(b), player);
	}
}

static void check_ping_pong(const struct part *part)
{
	double began = seconds_now();
	int nr_pairs = nr_threads * (nr_threads - 1) / 2, nth = 0;

	ball = pages_alloc(1);
	for (int a = 0; a < nr_threads; a++)
		for (int b = a + 1; b < nr_threads; b++)
			check_pair(a, b, began + (part_end - began) * ++nth / nr_pairs);
}

/* Message passing: who sees flag n sees data n; nothing goes back; the end is seen. */

static page_t *mp_data, *mp_flag, *mp_acks;	/* acks: a page for each reader */
static int mp_writer;

/* So that all readers hold both pages when they are written next. */
static void wait_for_readers(uint64_t n)
{
	for (int i = 0; i < nr_threads; i++)
		if (i != mp_writer)
			spin_until(load(&mp_acks[i][0]) >= n, "waiting for a reader to see the flag");
}

static void write_messages(int self)
{
	uint64_t n;

	for (n = 1; n <= (uint64_t)opt.iterations && !time_is_up(); n++) {
		store(&(*mp_data)[n % WORDS], n);
		store(&(*mp_data)[0], n);
		store(&(*mp_flag)[0], n);
		if (n % 2)
			wait_for_readers(n);
		look(self, 1);
	}
	store(&(*mp_data)[0], n);
	store(&(*mp_flag)[0], n);
	store(&(*mp_flag)[1], n);
}

static void read_messages(int self)
{
	uint64_t flag, data, last_flag = 0, last_data = 0, end;

	do {
		end = load(&(*mp_flag)[1]);
		flag = load(&(*mp_flag)[0]);
		data = load(&(*mp_data)[0]);
		if (data < flag)
			violation("flag %lu seen but data %lu: a stale page", flag, data);
		if (flag < last_flag || data < last_data)
			violation("went back: flag %lu to %lu, data %lu to %lu", last_flag, flag, last_data, data);
		if (flag == last_flag)
			spin_until(load(&(*mp_flag)[0]) != flag || load(&(*mp_flag)[1]),
				   "waiting for the writer's flag");
		last_flag = flag;
		last_data = data;
		store(&mp_acks[self][0], flag);
		look(self, 1);
	} while (!end);
	if (load(&(*mp_flag)[0]) != end || load(&(*mp_data)[0]) != end)
		violation("the end was %lu, still seeing flag %lu data %lu", end,
			  load(&(*mp_flag)[0]), load(&(*mp_data)[0]));
}

static void messenger(int self)
{
	if (self == mp_writer)
		write_messages(self);
	else
		read_messages(self);
}

static void check_messages(const struct part *part)
{
	double end = part_end;

	for (mp_writer = 0; mp_writer < nr_threads; mp_writer++) {
		part_end = seconds_now() + (end - seconds_now()) / (nr_threads - mp_writer);
		mp_data = pages_alloc(1);
		mp_flag = pages_alloc(1);
		mp_acks = pages_alloc(nr_threads);
		printf("memcheck: message-passing: data in page %lu\n", page_number(mp_data));
		on_each_cpu(nr_threads, messenger);
	}
}

/* Sums: whole pages rewritten under a lock, on the page or on another. */

static page_t *sum_pages, *sum_locks;

static uint64_t *lock_of(int which)
{
	return which % 2 ? &sum_locks[which][0] : &sum_pages[which][0];
}

static uint64_t sum_of(page_t page)
{
	uint64_t sum = 1;

	for (size_t i = 2; i < WORDS; i++)
		sum = (sum ^ page[i]) * 0x100000001b3ull;
	return sum;
}

static void rewrite_page(page_t page, uint64_t *random)
{
	for (size_t i = 2; i < WORDS; i++)
		page[i] = next_random(random);
	page[1] = sum_of(page);
}

static void summer(int self)
{
	uint64_t random = 362436069 + self;

	for (long i = 0; i < opt.iterations && !time_is_up(); i++) {
		int which = next_random(&random) % NR_SUM_PAGES;
		uint64_t *lock = lock_of(which);

		spin_until(!__atomic_exchange_n(lock, 1, __ATOMIC_SEQ_CST), "waiting for the lock of a page");
		if (sum_pages[which][1] != sum_of(sum_pages[which]))
			violation("page %d is torn: sum %lx, says %lx", which,
				  sum_of(sum_pages[which]), sum_pages[which][1]);
		rewrite_page(sum_pages[which], &random);
		store(lock, 0);
		look(self, 1);
	}
}

static void check_page_sums(const struct part *part)
{
	uint64_t random = 521288629;

	sum_pages = pages_alloc(NR_SUM_PAGES);
	sum_locks = pages_alloc(NR_SUM_PAGES);
	for (int i = 0; i < NR_SUM_PAGES; i++)
		rewrite_page(sum_pages[i], &random);
	on_each_cpu(nr_threads, summer);
}

/*
 * TLB shootdown storm: thread 0 unmaps, maps and protects pages while the others
 * touch them. generation is even while all pages are mapped and hold it; then each
 * touch must see it. While it is odd a touch may fault.
 */

static page_t *storm;
static uint64_t *generation;
static uint64_t nr_faults;
static __thread sigjmp_buf storm_jump;

static void storm_fault(int sig)
{
	(void)sig;
	siglongjmp(storm_jump, 1);
}

static void remap_storm(void)
{
	if (munmap(storm, NR_STORM_PAGES * GUEST_PAGE) ||
	    mmap(storm, NR_STORM_PAGES * GUEST_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (void *)storm)
		violation("mmap failed in the storm");
}

/* Once mprotect() is back no store of another vCPU may land any more. */
static void freeze_storm(void)
{
	uint64_t before[NR_STORM_PAGES];

	if (mprotect(storm, NR_STORM_PAGES * GUEST_PAGE, PROT_READ))
		violation("mprotect failed in the storm");
	for (int i = 0; i < NR_STORM_PAGES; i++)
		before[i] = load(&storm[i][1]);
	for (int spins = 0; spins < 2000; spins++)
		__builtin_ia32_pause();
	for (int i = 0; i < NR_STORM_PAGES; i++)
		if (load(&storm[i][1]) != before[i])
			violation("page %d was written after mprotect: a stale translation", i);
	if (mprotect(storm, NR_STORM_PAGES * GUEST_PAGE, PROT_READ | PROT_WRITE))
		violation("mprotect failed in the storm");
}

static void make_storm(void)
{
	uint64_t now = 0;

	for (long i = 0; i < opt.iterations && !time_is_up(); i++) {
		store(generation, ++now);
		freeze_storm();
		remap_storm();
		now++;
		for (int page = 0; page < NR_STORM_PAGES; page++)
			store(&storm[page][0], now);
		store(generation, now);
		look(0, 1);
	}
	store(&stop, 1);
}

static void touch_page(int self, page_t page)
{
	uint64_t before = load(generation), value;

	if (sigsetjmp(storm_jump, 0)) {
		xadd(&nr_faults, 1);
		if (!(before & 1) && load(generation) == before)
			violation("fault on a mapped page in generation %lu", before);
		return;
	}
	value = load(&page[0]);
	xadd(&page[1], 1);
	if (!(before & 1) && load(generation) == before && value != before)
		violation("generation %lu shows %lu: a stale translation", before, value);
	look(self, 1);
}

static void stormer(int self)
{
	uint64_t random = 5783321 + self;

	if (self == 0) {
		make_storm();
		return;
	}
	while (!load(&stop))
		touch_page(self, storm[next_random(&random) % NR_STORM_PAGES]);
}

static void check_shootdown(const struct part *part)
{
	struct sigaction on_fault = { .sa_handler = storm_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &on_fault, NULL);
	sigaction(SIGBUS, &on_fault, NULL);
	stop = 0;
	generation = pages_alloc(1);
	storm = pages_alloc(NR_STORM_PAGES);
	on_each_cpu(nr_threads, stormer);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	printf("memcheck: shootdown met %lu faults\n", load(&nr_faults));
}

static const struct part parts[] = {
	{ "atomics", 1, check_atomics, NULL },
	{ "ping-pong", 2, check_ping_pong, NULL },
	{ "message-passing", 2, check_messages, NULL },
	{ "page-sums", 1, check_page_sums, NULL },
	{ "shootdown", 2, check_shootdown, NULL },
};

int main(int argc, char **argv)
{
	parse_options("memcheck", argc, argv);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
