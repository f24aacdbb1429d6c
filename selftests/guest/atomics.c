// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * atomics.c - locked instructions are atomic, also between hosts and also on an
 * operand that lies on two pages.
 *
 * Every thread works on the same few operands. What an update returned or left must fit
 * into one order of all updates: tickets are unique, sums are exact, tokens are kept.
 * -b plain: do the same by a load and a store, which has to be found.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NR_PLACES	6
#define AT_LEAST	8	/* updates of each thread: a split lock may take 10 ms */

/* Where an operand of up to 8 bytes may lie on three pages. */
static const struct place {
	const char *name;
	int offset;
	bool split;
} places[NR_PLACES] = {
	{ "at the start of a page", 0, false },
	{ "at the end of a page", GUEST_PAGE - 8, false },
	{ "within a cache line, unaligned", GUEST_PAGE + 1027, false },
	{ "on two cache lines", GUEST_PAGE + 2048 - 3, true },
	{ "on two pages, half each", 2 * GUEST_PAGE - 4, true },
	{ "on two pages, 7 bytes and 1", 3 * GUEST_PAGE - 7, true },
};

static char *pages;
static const struct place *place;
static double place_end;

/* A page each: what the threads found out themselves is no traffic between them. */
static struct tally {
	uint64_t updates, sum, bits;
	char pad[GUEST_PAGE - 3 * sizeof(uint64_t)];
} tallies[MAX_CPUS] __attribute__((aligned(GUEST_PAGE)));

typedef uint64_t __attribute__((aligned(1))) anywhere_t;

static anywhere_t *operand(void)
{
	return (anywhere_t *)(pages + place->offset);
}

static bool place_is_over(long nth)
{
	return nth >= opt.iterations || (nth >= AT_LEAST && seconds_now() >= place_end);
}

/* The instructions themselves: a compiler may go another way for what is not aligned. */

static uint64_t lock_xadd(anywhere_t *at, uint64_t value)
{
	if (is_planted("plain")) {
		uint64_t old = *(volatile anywhere_t *)at;

		*(volatile anywhere_t *)at = old + value;
		return old;
	}
	asm volatile("lock xaddq %0, %1" : "+r"(value), "+m"(*at) : : "memory", "cc");
	return value;
}

static bool lock_cmpxchg(anywhere_t *at, uint64_t old, uint64_t new)
{
	bool done;

	if (is_planted("plain")) {
		done = *(volatile anywhere_t *)at == old;
		if (done)
			*(volatile anywhere_t *)at = new;
		return done;
	}
	asm volatile("lock cmpxchgq %3, %1"
		     : "+a"(old), "+m"(*at), "=@ccz"(done) : "r"(new) : "memory");
	return done;
}

static uint64_t xchg(anywhere_t *at, uint64_t value)
{
	if (is_planted("plain")) {
		uint64_t old = *(volatile anywhere_t *)at;

		*(volatile anywhere_t *)at = value;
		return old;
	}
	asm volatile("xchgq %0, %1" : "+r"(value), "+m"(*at) : : "memory");
	return value;
}

static bool lock_bts(anywhere_t *at, unsigned int bit)
{
	bool was;

	if (is_planted("plain")) {
		was = *(volatile anywhere_t *)at >> bit & 1;
		*(volatile anywhere_t *)at |= 1ull << bit;
		return was;
	}
	asm volatile("lock btsq %2, %1" : "=@ccc"(was), "+m"(*at) : "r"((uint64_t)bit) : "memory");
	return was;
}

static void lock_btr(anywhere_t *at, unsigned int bit)
{
	asm volatile("lock btrq %1, %0" : "+m"(*at) : "r"((uint64_t)bit) : "memory", "cc");
}

/* xadd hands out tickets 0, 1, 2, ...: all of them, none twice. */
static void take_tickets(int self)
{
	struct tally *mine = &tallies[self];
	uint64_t ticket, last = 0;

	for (long i = 0; !place_is_over(i); i++) {
		ticket = lock_xadd(operand(), 1);
		if (i && ticket <= last)
			violation("xadd %s: ticket %lu after %lu", place->name, ticket, last);
		last = ticket;
		mine->updates++;
		mine->sum += ticket;
	}
	look(self, mine->updates);
}

static void check_tickets(uint64_t updates, uint64_t sum)
{
	if (*operand() != updates)
		violation("xadd %s: %lu updates left %lu", place->name, updates, *operand());
	if (sum != updates * (updates - 1) / 2)
		violation("xadd %s: the tickets were not 0 to %lu", place->name, updates - 1);
}

/* cmpxchg counts what it says it did. */
static void compare_and_count(int self)
{
	struct tally *mine = &tallies[self];
	uint64_t old = 0;

	for (long i = 0; !place_is_over(i); i++) {
		old = *(volatile anywhere_t *)operand();
		/* Split, a plain load may be torn, which only makes it fail. */
		if (!lock_cmpxchg(operand(), old, old + 1))
			continue;
		mine->updates++;
		mine->sum += old;
	}
	look(self, mine->updates);
}

static void check_compared(uint64_t updates, uint64_t sum)
{
	if (*operand() != updates || sum != updates * (updates - 1) / 2)
		violation("cmpxchg %s: %lu successes left %lu", place->name, updates, *operand());
}

/* xchg keeps tokens: each thread has one, the operand has one, none is lost or doubled. */
static uint64_t token_of(int nth)
{
	return (nth + 1) * 0x9e3779b97f4a7c15ull;
}

static void pass_tokens(int self)
{
	struct tally *mine = &tallies[self];
	uint64_t token = token_of(self + 1);

	for (long i = 0; !place_is_over(i); i++) {
		token = xchg(operand(), token);
		mine->updates++;
	}
	mine->sum = token;
	look(self, mine->updates);
}

static void check_tokens(uint64_t updates, uint64_t sum)
{
	uint64_t all = 0;

	for (int i = 0; i <= nr_threads; i++)
		all += token_of(i);
	if (sum + *operand() != all)
		violation("xchg %s: a token is lost or doubled after %lu", place->name, updates);
}

/* bts: for each of the 64 bits, of several that set it one sees it clear; then all begin anew. */
static void set_bits(int self)
{
	struct tally *mine = &tallies[self];

	for (long i = 0; !place_is_over(i); i++) {
		unsigned int bit = (i * 37 + self * 5) % 64;

		if (lock_bts(operand(), bit))
			continue;
		mine->bits++;
		lock_btr(operand(), bit);
		mine->updates++;
	}
	look(self, mine->updates);
}

static void check_bits(uint64_t updates, uint64_t sum)
{
	(void)sum;
	if (*operand())
		violation("bts %s: %lx is left after %lu", place->name, *operand(), updates);
}

/* A pair of words changed together by cmpxchg16b is never seen half changed. */

typedef unsigned __int128 pair_t __attribute__((aligned(16)));

static uint64_t partner_of(uint64_t word)
{
	return ~(word * 0x9e3779b97f4a7c15ull);
}

static bool lock_cmpxchg16b(uint64_t *at, uint64_t old[2], const uint64_t new[2])
{
	bool done;

	if (is_planted("plain")) {
		done = load(&at[0]) == old[0] && load(&at[1]) == old[1];
		if (done) {
			store(&at[0], new[0]);
			store(&at[1], new[1]);
		}
		old[0] = load(&at[0]);
		old[1] = load(&at[1]);
		return done;
	}
	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz"(done), "+m"(*(pair_t *)at), "+a"(old[0]), "+d"(old[1])
		     : "b"(new[0]), "c"(new[1]) : "memory");
	return done;
}

static uint64_t *pair(int nth)
{
	return (uint64_t *)(pages + (nth % 2 ? GUEST_PAGE - 16 : 2 * GUEST_PAGE));
}

static void change_pairs(int self)
{
	uint64_t seen[2] = { 0, 0 };

	for (long i = 0; !place_is_over(i); i++) {
		uint64_t *at = pair(i);
		uint64_t next[2];

		lock_cmpxchg16b(at, seen, seen);	/* an atomic read */
		if (seen[1] != partner_of(seen[0]))
			violation("cmpxchg16b: %lx and %lx do not belong together", seen[0], seen[1]);
		next[0] = seen[0] + 1;
		next[1] = partner_of(next[0]);
		if (lock_cmpxchg16b(at, seen, next))
			tallies[self].updates++;
	}
	look(self, tallies[self].updates);
}

/* A host or guest that forbids locked access to two cache lines sends SIGBUS. */

static sigjmp_buf refused;

static void refuse(int sig)
{
	(void)sig;
	siglongjmp(refused, 1);
}

static bool may_split(void)
{
	bool allowed = true;

	signal(SIGBUS, refuse);
	if (sigsetjmp(refused, 1))
		allowed = false;
	else
		lock_xadd(operand(), 0);
	signal(SIGBUS, SIG_DFL);
	return allowed;
}

static void begin_place(const struct place *next, double seconds, uint64_t value)
{
	place = next;
	place_end = seconds_now() + seconds;
	memset(pages, 0, 4 * GUEST_PAGE);
	memset(tallies, 0, nr_threads * sizeof(tallies[0]));
	*operand() = value;
}

static const struct instruction {
	void (*update)(int self);
	void (*check)(uint64_t updates, uint64_t sum);
	int first_token;
} xadd_part = { take_tickets, check_tickets, 0 },
  cmpxchg_part = { compare_and_count, check_compared, 0 },
  xchg_part = { pass_tokens, check_tokens, 1 },
  bts_part = { set_bits, check_bits, 0 };

static void check_instruction(const struct part *part)
{
	const struct instruction *instruction = part->what;

	for (int i = 0; i < NR_PLACES; i++) {
		uint64_t updates = 0, sum = 0;

		begin_place(&places[i], (part_end - seconds_now()) / (NR_PLACES - i),
			    instruction->first_token ? token_of(0) : 0);
		if (place->split && !may_split()) {
			printf("atomics: %s %s is refused here\n", part->name, place->name);
			continue;
		}
		on_each_cpu(nr_threads, instruction->update);
		for (int thread = 0; thread < nr_threads; thread++) {
			updates += tallies[thread].updates;
			sum += tallies[thread].sum;
		}
		printf("atomics: %s %s: %lu updates\n", part->name, place->name, updates);
		instruction->check(updates, sum);
	}
}

static void check_cmpxchg16b(const struct part *part)
{
	uint64_t updates = 0, got = 0;

	begin_place(&places[0], part_end - seconds_now(), 0);
	for (int i = 0; i < 2; i++)
		pair(i)[1] = partner_of(0);
	on_each_cpu(nr_threads, change_pairs);
	for (int i = 0; i < nr_threads; i++)
		updates += tallies[i].updates;
	for (int i = 0; i < 2; i++)
		got += pair(i)[0];
	if (got != updates)
		violation("cmpxchg16b: %lu successes left %lu", updates, got);
}

static const struct part parts[] = {
	{ "xadd", 1, check_instruction, &xadd_part },
	{ "cmpxchg", 1, check_instruction, &cmpxchg_part },
	{ "xchg", 1, check_instruction, &xchg_part },
	{ "bts", 1, check_instruction, &bts_part },
	{ "cmpxchg16b", 1, check_cmpxchg16b, NULL },
};

int main(int argc, char **argv)
{
	opt.iterations = 100000000;
	parse_options("atomics", argc, argv);
	pages = pages_alloc(4);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
