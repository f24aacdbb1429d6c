// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * share.c - the ways in which programs share pages, one part each, so that what they
 * cost can be recorded and compared. Each part also checks what it reads.
 *
 * producer-consumer: thread 0 fills pages, thread 1 reads them. false-sharing: each
 * thread counts in a word of its own of one page. read-mostly: all look up words in a
 * table, and now and then one changes one. migratory: threads pass on a turn; whoever has
 * it reads a page and writes it.
 *
 * -b early: says that a page is filled, or passes the turn on, before that is true.
 */
#include "guest.h"

#define NR_PAGES	16
#define WORDS		(GUEST_PAGE / sizeof(uint64_t))
#define STRIDE		64	/* words between those that are looked at */
#define LOOKUPS		50	/* for one change */

typedef uint64_t page_t[WORDS];

static page_t *data, *flags;
static int has_failed;

static void failed(void)
{
	store(&has_failed, 1);
}

static bool is_over(long round)
{
	return round > opt.iterations || time_is_up() || load(&has_failed);
}

static void write_page(page_t *page, uint64_t value)
{
	for (size_t word = 0; word < WORDS; word += STRIDE)
		store(&(*page)[word], value);
}

static void check_page(int self, page_t *page, uint64_t want)
{
	for (size_t word = 0; word < WORDS; word += STRIDE) {
		uint64_t got = load(&(*page)[word]);

		if (got == want)
			continue;
		violation("page %zu word %zu: %lu, should be %lu", (size_t)(page - data), word, got, want);
		failed();
		return;
	}
	look(self, 1);
}

/* @flag becomes @value; false: the other side has given up. */
static bool wait_for(uint64_t *flag, uint64_t value)
{
	spin_until(load(flag) >= value || load(&has_failed), "waiting for the other thread");
	return !load(&has_failed);
}

/* ---- one writes, one reads: flags[0] counts rounds that are filled, flags[1] that are read ---- */

static void fill(uint64_t round)
{
	if (is_planted("early"))
		store(&flags[0][0], round);
	for (int page = 0; page < NR_PAGES; page++)
		write_page(&data[page], round);
	store(&flags[0][0], round);
}

static void produce(void)
{
	long round;

	for (round = 1; !is_over(round); round++) {
		fill(round);
		if (!wait_for(&flags[1][0], round))
			break;
	}
	store(&flags[0][0], ~0ull);
}

static void consume(int self)
{
	for (uint64_t round = 1; wait_for(&flags[0][0], round); round++) {
		if (load(&flags[0][0]) == ~0ull)
			return;
		for (int page = 0; page < NR_PAGES; page++)
			check_page(self, &data[page], round);
		store(&flags[1][0], round);
	}
}

static void produce_or_consume(int self)
{
	if (self)
		consume(self);
	else
		produce();
}

static void producer_consumer(const struct part *part)
{
	on_each_cpu(2, produce_or_consume);
}

/* ---- all write words of their own ---- */

static void count_beside_others(int self)
{
	uint64_t *mine = &data[0][self * (WORDS / MAX_CPUS)];
	uint64_t n = load(mine);

	for (long round = 1; !is_over(round); round++) {
		if (load(mine) != n)
			violation("thread %d counted to %lu and finds %lu", self, n, load(mine));
		store(mine, ++n);
		look(self, 1);
	}
}

static void false_sharing(const struct part *part)
{
	on_each_cpu(nr_threads, count_beside_others);
}

/* ---- all read, seldom one writes: no word ever goes back ---- */

static void look_up(int self)
{
	uint64_t seen[NR_PAGES] = { 0 }, random = self + 1;

	for (long round = 1; !is_over(round); round++) {
		int page = next_random(&random) % NR_PAGES;
		uint64_t got = load(&data[page][STRIDE]);

		if (got < seen[page])
			violation("page %d went back from %lu to %lu", page, seen[page], got);
		seen[page] = got;
		if (next_random(&random) % LOOKUPS == 0)
			xadd(&data[page][STRIDE], 1);
		look(self, 1);
	}
}

static void read_mostly(const struct part *part)
{
	on_each_cpu(nr_threads, look_up);
}

/* ---- each in turn reads and writes: flags[i] is the latest turn of thread i ---- */

static void take_turns(int self)
{
	int next = (self + 1) % nr_threads;

	for (uint64_t turn = self + 1; wait_for(&flags[self][0], turn); turn += nr_threads) {
		bool last = is_over(turn);

		if (is_planted("early"))
			store(&flags[next][0], turn + 1);
		for (int page = 0; page < NR_PAGES; page++) {
			check_page(self, &data[page], turn - 1);
			write_page(&data[page], turn);
		}
		if (last)
			failed(); /* the others need not wait */
		store(&flags[next][0], turn + 1);
	}
}

static void migratory(const struct part *part)
{
	store(&flags[0][0], 1);
	on_each_cpu(nr_threads, take_turns);
}

static void run_fresh(const struct part *part)
{
	void (*const *run)(const struct part *) = part->what;

	has_failed = 0;
	data = pages_alloc(NR_PAGES);
	flags = pages_alloc(nr_threads);
	(*run)(part);
}

#define PART(name, fn, threads) { name, threads, run_fresh, &(void (*const)(const struct part *)){ fn } }

static const struct part parts[] = {
	PART("producer-consumer", producer_consumer, 2),
	PART("false-sharing", false_sharing, 1),
	PART("read-mostly", read_mostly, 1),
	PART("migratory", migratory, 2),
};

int main(int argc, char **argv)
{
	opt.iterations = 100000000;
	parse_options("share", argc, argv);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
