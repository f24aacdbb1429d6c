// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * litmus.c - litmus tests of the order of memory, many instances at a time.
 *
 * Each thread of a test is pinned to a vCPU and runs its operations on 512 pairs
 * of cells (x, y) that lie on one page or two; then one thread counts what all of them left.
 * An outcome that x86-TSO cannot have (tso.c computes the others) is a violation. As in
 * litmus7 (Alglave, Maranget, Sarkar, Sewell, TACAS 2011) threads start by the TSC and walk
 * their cells without waiting for each other.
 *
 * Between hosts a page moves once in milliseconds, and only what straddles a move can
 * come in a strange order. So a thread also runs its first operation on a whole block of
 * cells, then its second on all of them: the order of each pair stays as in the test,
 * and one move is straddled by the whole block.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "tso.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define NR_INSTANCES	512
#define CELL		sizeof(uint32_t)
#define STRIDE		33	/* odd; to the next cell of a thread: on another cache line */
#define STEP		4	/* between the values of two batches */
#define MIN_DELAY	(1ull << 12)	/* cycles of the TSC until a batch starts */
#define MAX_DELAY	(1ull << 28)
#define NR_PLACINGS	3	/* sets of vCPUs that the threads of a test try, */
#define PLACING_SECONDS	0.5	/* if there is that much time: between hosts a change is slow */

enum layout { ONE_PAGE, TWO_PAGES, AT_THE_BORDER, NR_LAYOUTS };

static const char *const layout_name[] = { "in one page", "in two pages", "at the border of pages" };
static const int block_sizes[] = { 1, 32, NR_INSTANCES };
#define NR_BLOCKS	3

/* What threads do with the cells before the start; else the one that prepared has all. */
enum warming { NOTHING, READ_ALL, OWN_ONE, OWN_OTHER, NR_WARMINGS };

/*
 * Names and verdicts: Owens, Sarkar, Sewell 2009 (n4b, n5, n6); Sarkar et al., POPL 2009;
 * Maranget, Sarkar, Sewell, "A tutorial introduction to the ARM and POWER relaxed memory
 * models", 2012 (the others); Intel SDM vol. 3A, 8.2.3 has most of them as examples.
 * `weak` is the outcome the test is about: registers / x and y at the end.
 */
static const struct kind {
	const char *name;
	const char *text;
	const char *weak;
	bool allowed;
} kinds[] = {
	{ "SB", "Wx1 Ry|Wy1 Rx", "00/11", true },
	{ "SB-one-mfence", "Wx1 M Ry|Wy1 Rx", "00/11", true },
	{ "SB-mfence", "Wx1 M Ry|Wy1 M Rx", "00/11", false },
	{ "SB-locked", "Wx1 L Ry|Wy1 L Rx", "00/11", false },
	{ "SB-xchg", "Xx1 Ry|Xy1 Rx", "00/11", false },
	{ "MP", "Wx1 Wy1|Ry Rx", "10/11", false },
	{ "MP-mfence", "Wx1 M Wy1|Ry M Rx", "10/11", false },
	{ "LB", "Rx Wy1|Ry Wx1", "11/11", false },
	{ "S", "Wx2 Wy1|Ry Wx1", "1/21", false },
	{ "R", "Wx1 Wy1|Wy2 Rx", "0/12", true },
	{ "R-mfence", "Wx1 Wy1|Wy2 M Rx", "0/12", false },
	{ "2+2W", "Wx1 Wy2|Wy1 Wx2", "/11", false },
	{ "CoRR", "Wx1 Wx2|Rx Rx", "21/20", false },
	{ "n4b", "Rx Wx1|Rx Wx2", "21/.0", false },
	{ "n5", "Wx1 Rx|Wx2 Rx", "21/.0", false },
	{ "n6", "Wx1 Rx Ry|Wy2 Wx2", "10/12", true },
	{ "WRC", "Wx1|Rx Wy1|Ry Rx", "110/11", false },
	{ "RWC", "Wx1|Rx Ry|Wy1 Rx", "100/11", true },
	{ "RWC-mfence", "Wx1|Rx Ry|Wy1 M Rx", "100/11", false },
	{ "IRIW", "Wx1|Wy1|Rx Ry|Ry Rx", "1010/11", false },
	{ "IRIW-mfence", "Wx1|Wy1|Rx M Ry|Ry M Rx", "1010/11", false },
};

#define NR_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static struct litmus test;
static const struct kind *kind;
static uint8_t allowed[TSO_OUTCOMES];		/* 0, or the outcome's slot in the counts */
static char *cells;				/* two pages */
static double placing_end;

/* Each page that moves costs milliseconds: what a thread reports is on one. */
static struct mailbox {
	uint64_t done;				/* the last batch */
	uint64_t late, took;			/* for the start; in cycles of the TSC */
	uint8_t digits[2][NR_INSTANCES];	/* of the registers of the thread */
	char pad[GUEST_PAGE - 3 * sizeof(uint64_t) - 2 * NR_INSTANCES];
} *mailboxes;

static struct orders {
	uint64_t nth;				/* batch that may run, not before: */
	uint64_t start;
	uint64_t last;				/* batch that was the last */
	uint64_t delay, spread;			/* of the start; over threads */
} *orders;

#define NR_SLOTS	128	/* that many outcomes no test has; 0 for the forbidden */

static struct {
	uint64_t in[NR_SLOTS];
	char pad[GUEST_PAGE - NR_SLOTS * sizeof(uint64_t)];
} seen[TSO_THREADS] __attribute__((aligned(GUEST_PAGE)));	/* by judge */

/** struct batch - One run over all cells; all threads derive the same from its number. */
struct batch {
	uint64_t nth;
	uint32_t base;			/* the value 0 of the test */
	enum layout layout;
	enum warming warming;
	int block;
	bool apart;			/* each thread takes the cells in an order of its own */
	bool skewed;			/* and begins at a time of its own */
	bool paced;			/* spreads its blocks over the time that pages move in */
};

/* The finalizer of MurmurHash3. */
static uint64_t hash(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static struct batch batch_of(uint64_t nth)
{
	uint64_t choice = hash(nth);

	return (struct batch){
		.nth = nth,
		.base = nth * STEP,
		.layout = choice % NR_LAYOUTS,
		.block = block_sizes[(choice >> 8) % NR_BLOCKS],
		.warming = (choice >> 16) % NR_WARMINGS,
		.apart = (choice >> 24) % 4 == 0,
		.skewed = (choice >> 32) % 4 == 0,
		.paced = (choice >> 40) % 2,
	};
}

static uint32_t *cell(enum layout layout, int location, int instance)
{
	int at = instance * CELL;

	switch (layout) {
	case ONE_PAGE:
		return (uint32_t *)(cells + 2 * at + location * CELL);
	case TWO_PAGES:
		return (uint32_t *)(cells + location * GUEST_PAGE + at);
	default:
		return (uint32_t *)(cells + GUEST_PAGE + (location ? at : -at - (int)CELL));
	}
}

static unsigned int digit_of(uint32_t value, uint32_t base)
{
	return value - base < 3 ? value - base : 3;
}

/* Where the value of a register goes: registers are numbered thread by thread. */
static uint8_t *digits_of(int reg)
{
	int first = 0;

	for (int thread = 0; thread < test.nr_threads; thread++) {
		int nr = 0;

		for (const struct op *op = test.ops[thread]; op->kind != OP_END; op++)
			nr += op->kind == OP_READ;
		if (reg < first + nr)
			return mailboxes[thread].digits[reg - first];
		first += nr;
	}
	return NULL;
}

static void run_op(const struct op *op, const struct batch *batch, int instance, uint8_t *digits)
{
	uint32_t *at = cell(batch->layout, op->location, instance), on_stack = 0;

	switch (op->kind) {
	case OP_WRITE:
		store(at, batch->base + op->value);
		break;
	case OP_READ:
		digits[instance] = digit_of(load(at), batch->base);
		break;
	case OP_MFENCE:
		__builtin_ia32_mfence();
		break;
	case OP_LOCKED:
		asm volatile("lock orl $0, %0" : "+m"(on_stack) : : "memory", "cc");
		break;
	case OP_XCHG:
		__atomic_exchange_n(at, batch->base + op->value, __ATOMIC_SEQ_CST);
		break;
	case OP_END:
		break;
	}
}

/* On shared vCPUs a thread would else never be seen between two operations. */
static void run_block(const struct op *ops, const struct batch *batch, int first, int mask)
{
	for (const struct op *op = ops; op->kind != OP_END; op++) {
		uint8_t *digits = op->kind == OP_READ ? digits_of(op->reg) : NULL;

		for (int i = first; i < first + batch->block; i++)
			run_op(op, batch, (i ^ mask) * STRIDE % NR_INSTANCES, digits);
		if (opt.crowded && batch->block == NR_INSTANCES)
			sched_yield();
	}
}

/* The mistakes to find: fences left out, threads whose operations go backwards. */
static void leave_out_fences(struct op *ops)
{
	struct op *kept = ops;

	for (const struct op *op = ops; op->kind != OP_END; op++) {
		if (op->kind == OP_MFENCE || op->kind == OP_LOCKED)
			continue;
		*kept = *op;
		if (op->kind == OP_XCHG)
			kept->kind = OP_WRITE;
		kept++;
	}
	kept->kind = OP_END;
}

static void turn_around(struct op *ops)
{
	struct op *last = ops;

	while (last->kind != OP_END)
		last++;
	for (last--; ops < last; ops++, last--) {
		struct op first = *ops;

		*ops = *last;
		*last = first;
	}
}

/* Not for ever: the TSCs of the vCPUs may differ. No pause: it may leave the guest. */
static void wait_until(uint64_t start, uint64_t now)
{
	if (start > now + 2 * MAX_DELAY)
		start = now + 2 * MAX_DELAY;
	while (tsc_now() < start)
		;
}

static void act(int self, struct batch batch)
{
	int mask = batch.apart ? hash(batch.nth * TSO_THREADS + self) % NR_INSTANCES : 0;
	uint64_t began = tsc_now(), pace = batch.paced ? load(&orders->spread) / NR_INSTANCES : 0;
	struct op ops[TSO_OPS + 1];

	memcpy(ops, test.ops[self], sizeof(ops));
	if (is_planted("unfenced"))
		leave_out_fences(ops);
	if (is_planted("backwards") && self >= test.nr_threads / 2) {
		turn_around(ops);
		batch.block = NR_INSTANCES;
	}
	for (int first = 0; first < NR_INSTANCES; first += batch.block) {
		wait_until(began + first * pace, began);
		run_block(ops, &batch, first, mask);
	}
}

/* Nothing changes: what is written is what is there. */
static void warm(int self, const struct batch *batch)
{
	int location = (self + (batch->warming == OWN_OTHER)) % TSO_LOCATIONS;

	if (batch->warming == NOTHING)
		return;
	if (batch->warming != READ_ALL)
		xadd(cell(batch->layout, location, 0), 0);
	else
		for (int l = 0; l < TSO_LOCATIONS; l++)
			load(cell(batch->layout, l, 0));
}

static void act_in_time(int self, const struct batch *batch)
{
	uint64_t skew = batch->skewed ? hash(batch->nth * TSO_THREADS + self) >> 32 : 0;
	uint64_t start = load(&orders->start), now, began;

	warm(self, batch);
	now = tsc_now();
	skew = skew * (load(&orders->spread) >> 8 & 0xffffffff) >> 24;
	wait_until(start + skew, now);
	began = tsc_now();
	act(self, *batch);
	mailboxes[self].took = tsc_now() - began;
	mailboxes[self].late = now > start;
}

static unsigned int outcome_of(const struct batch *batch, int instance)
{
	unsigned int outcome = 0;

	for (int i = 0; i < test.nr_registers; i++)
		outcome |= outcome_digit(i, digits_of(i)[instance]);
	for (int i = 0; i < TSO_LOCATIONS; i++) {
		uint32_t value = load(cell(batch->layout, i, instance));

		outcome |= outcome_digit(TSO_REGISTERS + i, digit_of(value, batch->base));
	}
	return outcome;
}

static void report(unsigned int outcome, const struct batch *batch, int instance)
{
	char text[TSO_DIGITS + 2];

	outcome_print(&test, outcome, text);
	violation("%s (%s): outcome %s is impossible: instance %d, %s %lu and %lu, blocks of %d, batch %lu",
		  kind->name, kind->text, text, instance, layout_name[batch->layout],
		  page_number(cell(batch->layout, 0, instance)),
		  page_number(cell(batch->layout, 1, instance)), batch->block, batch->nth);
}

static void judge(int self, const struct batch *batch)
{
	for (int i = 0; i < NR_INSTANCES; i++) {
		unsigned int outcome = outcome_of(batch, i);

		seen[self].in[allowed[outcome]]++;
		if (!allowed[outcome])
			report(outcome, batch, i);
	}
	look(self, NR_INSTANCES);
}

static void prepare(const struct batch *batch)
{
	for (int i = 0; i < NR_INSTANCES; i++)
		for (int location = 0; location < TSO_LOCATIONS; location++)
			store(cell(batch->layout, location, i), batch->base);
}

/* A start that some were late for comes later next time, but a host may also be busy. */
static uint64_t next_delay(uint64_t delay, bool late)
{
	uint64_t max = opt.crowded ? 4 * MIN_DELAY : MAX_DELAY;

	delay = late ? 2 * delay : delay - delay / 4;
	return delay < MIN_DELAY ? MIN_DELAY : delay > max ? max : delay;
}

static void set_times(const struct batch *batch)
{
	uint64_t took = 0;
	bool late = false;

	for (int i = 0; i < test.nr_threads; i++) {
		late |= mailboxes[i].late;
		took = mailboxes[i].took > took ? mailboxes[i].took : took;
	}
	orders->delay = next_delay(orders->delay, late);
	if (!batch->paced)
		orders->spread = took;
}

static void give_orders(const struct batch *next)
{
	prepare(next);
	store(&orders->start, tsc_now() + orders->delay);
	store(&orders->nth, next->nth);
}

static bool is_over(uint64_t nth)
{
	return nth >= (uint64_t)opt.iterations || time_is_up() || seconds_now() >= placing_end;
}

/* Who judges a batch also prepares the next: its vCPU has the pages when that begins. */
static void judge_and_go_on(int self, const struct batch *batch)
{
	struct batch next = batch_of(batch->nth + 1);

	judge(self, batch);
	set_times(batch);
	if (is_over(batch->nth))
		store(&orders->last, batch->nth);
	else
		give_orders(&next);
}

static void wait_for_all(uint64_t nth)
{
	for (int i = 0; i < test.nr_threads; i++)
		spin_until(load(&mailboxes[i].done) == nth, "waiting for the others to end a batch");
}

static void litmus_thread(int self)
{
	for (uint64_t nth = load(&orders->nth);; nth++) {
		struct batch batch = batch_of(nth);

		spin_until(load(&orders->nth) >= nth || load(&orders->last), "waiting for the next batch");
		if (load(&orders->last))
			return;
		act_in_time(self, &batch);
		store(&mailboxes[self].done, nth);
		if (nth % test.nr_threads != (uint64_t)self)
			continue;
		wait_for_all(nth);
		judge_and_go_on(self, &batch);
	}
}

/* The first and the last vCPU first: on different hosts, if any are. Then any. */
static void place_threads(int *where, int nth, uint64_t *random)
{
	int order[MAX_CPUS];

	for (int i = 0; i < nr_threads; i++)
		order[i] = cpu_of(i);
	for (int i = nr_threads - 1; nth && i > 0; i--) {
		int other = next_random(random) % (i + 1), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
	memcpy(where, order, test.nr_threads * sizeof(*where));
	if (!nth)
		where[test.nr_threads - 1] = cpu_of(nr_threads - 1);
}

static uint64_t nr_batches;

static int placings_of(double seconds)
{
	return opt.crowded || seconds >= PLACING_SECONDS ? NR_PLACINGS : 1;
}

static void run_batches(void)
{
	int nr = placings_of((part_end - seconds_now()) / NR_PLACINGS);
	uint64_t random = 362436069;
	int where[MAX_CPUS];

	nr_batches = 0;
	for (int i = 0; i < nr; i++) {
		struct batch first = batch_of(nr_batches + 1);

		placing_end = seconds_now() + (part_end - seconds_now()) / (nr - i);
		orders->last = 0;
		give_orders(&first);
		place_threads(where, i, &random);
		on_cpus(test.nr_threads, where, litmus_thread);
		nr_batches = orders->last;
	}
}

static uint64_t times_seen(int slot)
{
	uint64_t times = 0;

	for (int i = 0; i < TSO_THREADS; i++)
		times += seen[i].in[slot];
	return times;
}

static void print_outcomes(void)
{
	char text[TSO_DIGITS + 2];
	uint64_t weak = 0;

	printf("litmus: %s (%s) in %lu batches:", kind->name, kind->text, nr_batches);
	for (unsigned int outcome = 0; outcome < TSO_OUTCOMES; outcome++) {
		uint64_t times = allowed[outcome] ? times_seen(allowed[outcome]) : 0;

		if (!times)
			continue;
		outcome_print(&test, outcome, text);
		printf(" %s:%lu", text, times);
		weak += outcome_matches(&test, outcome, kind->weak) ? times : 0;
	}
	printf("; forbidden %lu", times_seen(0));
	if (kind->allowed)
		printf(", allowed %s %s", kind->weak, weak ? "seen" : "not seen");
	printf("\n");
}

static void number_outcomes(void)
{
	int nr = 0;

	for (unsigned int outcome = 0; outcome < TSO_OUTCOMES; outcome++)
		if (allowed[outcome])
			allowed[outcome] = ++nr;
	if (nr >= NR_SLOTS)
		violation("%s has %d outcomes", kind->name, nr);
}

/* The model says of the outcome that names the test what the literature says. */
static void check_verdict(void)
{
	bool possible = false;

	for (unsigned int outcome = 0; outcome < TSO_OUTCOMES; outcome++)
		if (allowed[outcome] && outcome_matches(&test, outcome, kind->weak))
			possible = true;
	if (possible != kind->allowed)
		violation("the model %s %s of %s", possible ? "allows" : "forbids", kind->weak, kind->name);
}

static void check_kind(const struct part *part)
{
	kind = part->what;
	litmus_parse(&test, kind->text);
	tso_outcomes(&test, allowed);
	check_verdict();
	number_outcomes();
	memset(seen, 0, sizeof(seen));
	run_batches();
	print_outcomes();
}

static int threads_of(const struct kind *kind)
{
	struct litmus parsed;

	litmus_parse(&parsed, kind->text);
	return parsed.nr_threads;
}

int main(int argc, char **argv)
{
	struct part parts[NR_KINDS];

	opt.iterations = 1000000;
	parse_options("litmus", argc, argv);
	for (size_t i = 0; i < NR_KINDS; i++)
		parts[i] = (struct part){ kinds[i].name, threads_of(&kinds[i]), check_kind, &kinds[i] };
	cells = pages_alloc(2);
	mailboxes = pages_alloc(TSO_THREADS);
	orders = pages_alloc(1);
	printf("litmus: the first cells are in page %lu\n", page_number(cells));
	run_parts(parts, NR_KINDS);
	return finish();
}
