// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/simulate.c - many nodes, chosen by chance.
 *
 * What cannot be explored can be sampled: up to 64 nodes read, write and put
 * away some pages, messages take random times, perhaps a node is lost, and in each step all that the
 * world knows of memory is checked. Everything follows from the seed, so that a
 * run that fails can be had again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mutants.h"
#include "simulate.h"
#include "tap.h"

#define DELAY_MAX 1000

/* How long messages take. */
enum style { STYLE_EVEN, STYLE_TAIL, STYLE_SLOW_NODE, STYLE_ORDERED, NR_STYLES };

static const char *const style_names[NR_STYLES] = {
	"delays 1-10", "1 in 50 messages late", "one slow node",
	"pairs in order",
};

struct run {
	const struct simulation *sim;
	struct world world;
	struct setup setup;
	u64 random;
	enum style style;
	u8 slow_node;
	unsigned int lose_at; /* step; 0 = no node is lost */
	u32 think; /* between two accesses of a node, at most */
	u64 users[MAX_PAGES]; /* nodes that access the page */
	u8 write_percent[MAX_PAGES], put_percent[MAX_PAGES];
	u32 now;
	u32 access_at[MAX_NODES];
	u32 asked_at[MAX_NODES][MAX_PAGES]; /* 0 = nothing asked for */
	u32 last_due[MAX_NODES][MAX_NODES]; /* of each pair, when in order */
	struct simulation_result *out;
};

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
 * generators, OOPSLA 2014).
 */
static u64 next_random(struct run *r)
{
	u64 z = r->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static unsigned int below(struct run *r, unsigned int limit)
{
	return next_random(r) % limit;
}

static bool chance(struct run *r, unsigned int percent)
{
	return below(r, 100) < percent;
}

/* ---- time ---- */

static u32 delay(struct run *r, const struct flight *f)
{
	u32 ticks = 1 + below(r, 10);

	if (r->style == STYLE_TAIL && chance(r, 2))
		ticks *= 1 + below(r, DELAY_MAX / 10);
	if (r->style == STYLE_SLOW_NODE &&
	    (f->to == r->slow_node || f->msg.from == r->slow_node))
		ticks *= 1 + below(r, 50);
	return ticks;
}

/* Messages that have just been sent get the time of their arrival. */
static void give_due_times(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->world.nr_flights; i++) {
		struct flight *f = &r->world.flight[i];
		u32 *last = &r->last_due[f->msg.from][f->to];

		if (f->due)
			continue;
		f->due = r->now + delay(r, f);
		if (r->style != STYLE_ORDERED)
			continue;
		if (f->due <= *last)
			f->due = *last + 1;
		*last = f->due;
	}
}

static bool next_arrival(const struct run *r, unsigned int *out_index)
{
	u32 first = ~0U;
	unsigned int i;

	for (i = 0; i < r->world.nr_flights; i++) {
		if (r->world.flight[i].due >= first ||
		    !world_may_arrive(&r->world, i))
			continue;
		first = r->world.flight[i].due;
		*out_index = i;
	}
	return first != ~0U;
}

static unsigned int next_accessor(const struct run *r)
{
	unsigned int n, first = 0;

	for (n = 1; n < r->sim->nr_nodes; n++)
		if (r->access_at[n] < r->access_at[first])
			first = n;
	return first;
}

/* ---- accesses ---- */

static u8 state_of(const struct run *r, const struct step *step)
{
	return r->world.page[step->page].node[step->node].state;
}

static u8 choose_kind(struct run *r, const struct step *step)
{
	u8 page = step->page;
	u8 state = state_of(r, step);

	if (state != PROTO_I && chance(r, r->put_percent[page]))
		return STEP_EVICT;
	if (!chance(r, r->write_percent[page]))
		return STEP_READ;
	return r->world.page[page].copy[step->node].map == MAP_WRITE ?
		       STEP_STORE :
		       STEP_WRITE;
}

/* Few or many, up to all; two at least, so that one is left after a loss. */
static u64 choose_users(struct run *r)
{
	u64 users = next_random(r);
	unsigned int n;

	for (n = below(r, 6); n; n--)
		users &= next_random(r);
	n = below(r, r->sim->nr_nodes - 1);
	return chance(r, 30) ? ~0ULL : users | 3ULL << n;
}

static bool choose_access(struct run *r, struct step *out_step)
{
	u8 node = next_accessor(r);

	r->now = r->access_at[node] > r->now ? r->access_at[node] : r->now;
	r->access_at[node] = r->now + 1 + below(r, r->think);
	*out_step = (struct step){ .node = node,
				   .page = below(r, r->sim->nr_pages) };
	if (!world_has(&r->world, node) ||
	    !(r->users[out_step->page] >> node & 1) ||
	    proto_is_transient(state_of(r, out_step)))
		return false; /* no user of it, or waits there already */
	out_step->kind = choose_kind(r, out_step);
	return true;
}

/* ---- a run ---- */

static void note_waits(struct run *r, u8 node, u8 page)
{
	u32 *asked = &r->asked_at[node][page];
	u8 state = r->world.page[page].node[node].state;

	if (!proto_is_transient(state)) {
		if (*asked && r->now - *asked > r->out->longest_wait)
			r->out->longest_wait = r->now - *asked;
		*asked = 0;
	} else if (!*asked) {
		*asked = r->now;
		r->out->nr_puts += state >= PROTO_SI_A;
		r->out->nr_misses += state < PROTO_SI_A;
	}
}

static void digest(struct run *r, const struct step *step)
{
	const struct flight *f = &r->world.flight[step->index];
	u64 word = (u64)step->kind << 56 | (u64)step->node << 48 |
		   (u64)step->page << 40 | r->now;

	if (step->kind == STEP_DELIVER)
		word ^= (u64)f->msg.event << 48 | (u64)f->to << 40 |
			(u64)f->page << 32;
	r->out->digest = (r->out->digest ^ word) * 1099511628211ULL;
}

static void do_step(struct run *r, const struct step *step)
{
	struct world *w = &r->world;
	u8 node = step->node, page = step->page;

	r->out->loss |= step->kind == STEP_LOSE;
	if (step->kind == STEP_DELIVER) {
		node = w->flight[step->index].to;
		page = w->flight[step->index].page;
	}
	digest(r, step);
	if (r->sim->print) {
		printf("# %u:", r->now);
		world_print_step(w, step);
	}
	world_do(w, step);
	if (step->kind >= STEP_FREEZE) {
		r->out->nr_moves += step->kind == STEP_THAW;
		for (node = 0; node < r->sim->nr_nodes; node++)
			note_waits(r, node, page);
	} else if (step->kind >= STEP_LOSE) {
		memset(r->asked_at, 0, sizeof(r->asked_at));
	} else {
		note_waits(r, node, page);
	}
	give_due_times(r);
	r->out->nr_steps++;
}

/* While a node is being lost nothing new begins. */
static void choose_end(struct run *r, struct step *out_step)
{
	unsigned int index = 0;

	if (!next_arrival(r, &index)) {
		*out_step = (struct step){ .kind = STEP_REBUILD };
		do
			out_step->choice = below(r, r->sim->nr_nodes);
		while (!world_has(&r->world, out_step->choice));
		return;
	}
	*out_step = (struct step){ .kind = STEP_DELIVER, .index = index };
	if (world_may_be_forgotten(&r->world, index) && chance(r, 50))
		out_step->kind = STEP_FORGET;
}

/* A home begins to move, or goes on with it; without @begins only the latter. */
static bool choose_move(struct run *r, bool begins, struct step *out_step)
{
	unsigned int first = below(r, r->sim->nr_pages), i, nr;
	struct step steps[MAX_NODES * 3];

	for (i = 0; i < (begins ? 1 : r->sim->nr_pages); i++) {
		nr = world_list_moves(&r->world, steps, (first + i) % r->sim->nr_pages);
		if (!nr)
			continue;
		*out_step = steps[below(r, nr)];
		if (begins || out_step->kind != STEP_FREEZE)
			return true;
	}
	return false;
}

/* The next thing that happens; false when nothing is left to happen. */
static bool choose_step(struct run *r, bool accesses, struct step *out_step)
{
	unsigned int index = 0;
	bool arrives;

	if (r->world.losing) {
		choose_end(r, out_step);
		return true;
	}
	if (r->lose_at && !r->world.lost && r->out->nr_steps >= r->lose_at) {
		*out_step = (struct step){ .kind = STEP_LOSE,
					   .node = below(r, r->sim->nr_nodes) };
		return true;
	}
	if (r->setup.rehome && accesses && chance(r, 5) && choose_move(r, true, out_step))
		return true;
	for (;;) {
		arrives = next_arrival(r, &index);
		if (!arrives && choose_move(r, false, out_step))
			return true;
		if (!accesses ||
		    (arrives && r->world.flight[index].due <=
					r->access_at[next_accessor(r)]))
			break;
		if (choose_access(r, out_step))
			return true;
	}
	if (!arrives)
		return false;
	*out_step = (struct step){ .kind = STEP_DELIVER, .index = index };
	if (r->world.flight[index].due > r->now)
		r->now = r->world.flight[index].due;
	return true;
}

static void begin(struct run *r, const struct simulation *sim,
		  struct simulation_result *out)
{
	unsigned int i;

	memset(out, 0, sizeof(*out));
	*r = (struct run){ .sim = sim, .random = sim->seed, .out = out };
	r->now = 1;
	r->style = below(r, NR_STYLES);
	r->slow_node = below(r, sim->nr_nodes);
	r->lose_at = chance(r, 50) ? 1 + below(r, sim->nr_steps) : 0;
	r->think = 50 << below(r, 8);
	r->setup = (struct setup){ .name = "simulation",
				   .nr_nodes = sim->nr_nodes,
				   .nr_pages = sim->nr_pages,
				   .fifo = r->style == STYLE_ORDERED,
				   .self_at_once = chance(r, 50),
				   .evict = true,
				   .loss = r->lose_at,
				   .pulls_copies = sim->seed & 1,
				   .rules = sim->rules };
	out->style = style_names[r->style];
	for (i = 0; i < sim->nr_pages; i++) {
		r->users[i] = choose_users(r);
		r->write_percent[i] = below(r, chance(r, 50) ? 8 : 90);
		r->put_percent[i] = 5 + below(r, 50);
	}
	r->setup.rehome = !r->lose_at && chance(r, 50);
	world_init(&r->world, &r->setup);
}

/* A request waits for at most one of each other node, and those for messages. */
static void check_end(struct run *r)
{
	const u32 limit = r->sim->nr_nodes * 8 * DELAY_MAX;

	r->out->wrong = r->world.wrong;
	r->out->nr_messages = r->world.nr_wire;
	if (!r->out->wrong && !world_is_quiet(&r->world))
		r->out->wrong = "not all is quiet at the end";
	if (!r->out->wrong && r->out->longest_wait > limit)
		r->out->wrong = "a request waited too long";
}

void simulate(const struct simulation *sim, struct simulation_result *out)
{
	struct run *r = malloc(sizeof(*r));
	struct step step;
	bool accesses;

	if (!r)
		abort();
	begin(r, sim, out);
	do {
		accesses = out->nr_steps < sim->nr_steps;
		if (!choose_step(r, accesses, &step))
			break;
		do_step(r, &step);
	} while (!r->world.wrong);
	check_end(r);
	free(r);
}

/* ---- tests ---- */

static struct simulation big(u64 seed, unsigned int nr_steps,
			     const struct rules *rules)
{
	return (struct simulation){ .seed = seed, .nr_nodes = MAX_NODES,
				    .nr_pages = 8, .nr_steps = nr_steps,
				    .rules = rules };
}

static void test_seed(u64 seed, unsigned int nr_steps)
{
	struct simulation sim = big(seed, nr_steps, &real_rules);
	struct simulation_result result;

	simulate(&sim, &result);
	tap_result(!result.wrong, "simulate: 64 nodes, 8 pages, %s%s",
		   result.style, result.loss ? ", a node is lost" :
				 result.nr_moves ? ", homes move" : "");
	printf("# seed %llu: %u steps, %u misses, %u puts, %u moves, %u messages, longest wait %u, digest %016llx\n",
	       (unsigned long long)seed, result.nr_steps, result.nr_misses,
	       result.nr_puts, result.nr_moves, result.nr_messages, result.longest_wait,
	       (unsigned long long)result.digest);
	if (result.wrong)
		printf("# %s; again: build/proto simulate --seed %llu --steps %u --print\n",
		       result.wrong, (unsigned long long)seed, nr_steps);
}

static void test_replay(void)
{
	struct simulation sim = big(7, 20000, &real_rules);
	struct simulation_result one, two, other;

	simulate(&sim, &one);
	simulate(&sim, &two);
	sim.seed = 8;
	simulate(&sim, &other);
	tap_result(one.digest == two.digest && one.digest != other.digest,
		   "simulate: a seed gives the same run again, another seed another run");
}

/* A seed that finds nothing proves nothing: some seed must find each mutant. */
static void test_mutant_by_chance(const struct mutant *mutant)
{
	struct simulation_result result, again;
	struct simulation sim;
	u64 seed;

	for (seed = 1; seed <= (mutant->loss ? 1000 : 40); seed++) {
		sim = big(seed, 20000, &mutant->rules);
		if (mutant->loss) { /* once in a run: short runs */
			sim.nr_nodes = 4;
			sim.nr_pages = 4;
			sim.nr_steps = 300;
		}
		simulate(&sim, &result);
		if (result.wrong)
			break;
	}
	simulate(&sim, &again);
	tap_result(result.wrong && again.wrong && result.digest == again.digest &&
			   !strcmp(result.wrong, again.wrong),
		   "simulate finds, and finds again: %s", mutant->rules.name);
	printf("# %s: seed %llu, step %u\n",
	       result.wrong ? result.wrong : "nothing found",
	       (unsigned long long)sim.seed, result.nr_steps);
}

void test_simulate(bool all)
{
	unsigned int i;

	for (i = 1; i <= (all ? 100 : 16); i++)
		test_seed(i, all ? 200000 : 60000);
	test_replay();
	for (i = 0; i < nr_mutants; i++)
		if (mutants[i].loss != LOSS_RARE && mutants[i].loss != MOVES_RARE)
			test_mutant_by_chance(&mutants[i]);
}

/* ---- by hand ---- */

static const struct rules *find_rules(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_mutants; i++)
		if (!strcmp(mutants[i].rules.name, name))
			return &mutants[i].rules;
	return NULL;
}

static bool read_option(struct simulation *sim, const char *name,
			const char *value)
{
	if (!strcmp(name, "--seed"))
		sim->seed = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--nodes"))
		sim->nr_nodes = strtoul(value, NULL, 0);
	else if (!strcmp(name, "--pages"))
		sim->nr_pages = strtoul(value, NULL, 0);
	else if (!strcmp(name, "--steps"))
		sim->nr_steps = strtoul(value, NULL, 0);
	else if (!strcmp(name, "--rules"))
		sim->rules = find_rules(value);
	else
		return false;
	return sim->nr_nodes >= 2 && sim->nr_nodes <= MAX_NODES &&
	       sim->nr_pages && sim->nr_pages <= MAX_PAGES &&
	       sim->nr_pages <= sim->nr_nodes && sim->rules;
}

static int usage(void)
{
	unsigned int i;

	fprintf(stderr, "usage: proto simulate [--seed N] [--steps N] [--nodes 2-%u] [--pages 1-%u] [--rules MUTANT] [--print]\nMutants:\n",
		MAX_NODES, MAX_PAGES);
	for (i = 0; i < nr_mutants; i++)
		fprintf(stderr, "  %s\n", mutants[i].rules.name);
	return 2;
}

int simulate_main(int argc, char **argv)
{
	struct simulation sim = big(1, 60000, &real_rules);
	struct simulation_result result;
	int i;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--print"))
			sim.print = true;
		else if (i + 1 == argc || !read_option(&sim, argv[i], argv[i + 1]))
			return usage();
		else
			i++;
	}
	simulate(&sim, &result);
	printf("seed %llu, %s: %u steps, %u misses, %u puts, %u messages, longest wait %u, digest %016llx: %s\n",
	       (unsigned long long)sim.seed, result.style, result.nr_steps,
	       result.nr_misses, result.nr_puts, result.nr_messages,
	       result.longest_wait, (unsigned long long)result.digest,
	       result.wrong ? result.wrong : "nothing wrong");
	return result.wrong ? 1 : 0;
}
