// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/search.c - breadth-first search over packed states. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"

struct state {
	size_t bytes; /* offset in the arena: length, then packed world */
	unsigned int parent;
	unsigned int depth;
	unsigned int first_edge;
	struct step step; /* from the parent to here */
};

struct search {
	const struct setup *setup;
	struct state *state;
	unsigned int nr_states, max_states;
	u8 *arena;
	size_t arena_used, arena_size;
	unsigned int *slot; /* hash: state + 1, 0 = free */
	unsigned int slot_mask;
	unsigned int *edge; /* deliveries only */
	size_t nr_edges, max_edges;
	unsigned int nr_transitions, nr_named;
	const char *wrong;
};

static void *must(void *p)
{
	if (!p) {
		printf("Bail out! no memory for this many states\n");
		exit(1);
	}
	return p;
}

static u64 hash(const u8 *bytes, size_t len)
{
	u64 h = 14695981039346656037ULL;

	while (len--)
		h = (h ^ *bytes++) * 1099511628211ULL;
	return h ^ h >> 29;
}

static void begin(struct search *s, const struct setup *setup,
		  unsigned int max_states)
{
	unsigned int slots = 1024;

	while (slots < max_states * 2)
		slots *= 2;
	memset(s, 0, sizeof(*s));
	s->setup = setup;
	s->max_states = max_states;
	s->slot_mask = slots - 1;
	s->state = must(malloc(max_states * sizeof(*s->state)));
	s->slot = must(calloc(slots, sizeof(*s->slot)));
}

static void end(struct search *s)
{
	free(s->state);
	free(s->slot);
	free(s->arena);
	free(s->edge);
}

static size_t keep_bytes(struct search *s, const u8 *bytes, size_t len)
{
	size_t at = s->arena_used;

	if (at + len + 2 > s->arena_size) {
		s->arena_size = s->arena_size * 2 + (1 << 20);
		s->arena = must(realloc(s->arena, s->arena_size));
	}
	s->arena[at] = len & 255;
	s->arena[at + 1] = len >> 8;
	memcpy(s->arena + at + 2, bytes, len);
	s->arena_used += len + 2;
	return at;
}

static bool same_bytes(const struct search *s, unsigned int state,
		       const u8 *bytes, size_t len)
{
	const u8 *kept = s->arena + s->state[state].bytes;

	return (size_t)(kept[0] | kept[1] << 8) == len &&
	       !memcmp(kept + 2, bytes, len);
}

/* The number of the state, known before or new. */
static unsigned int visit(struct search *s, const struct world *w,
			  unsigned int parent, const struct step *step)
{
	u8 bytes[MAX_PACKED], name[MAX_NODES];
	size_t len = world_pack_canonical(w, bytes, name);
	unsigned int at = hash(bytes, len) & s->slot_mask, id;

	for (; s->slot[at]; at = (at + 1) & s->slot_mask)
		if (same_bytes(s, s->slot[at] - 1, bytes, len))
			return s->slot[at] - 1;
	if (s->nr_states == s->max_states) {
		s->wrong = "more states than allowed";
		return 0;
	}
	id = s->nr_states++;
	s->slot[at] = id + 1;
	s->state[id] = (struct state){ .bytes = keep_bytes(s, bytes, len),
				       .parent = parent,
				       .step = *step };
	if (id)
		s->state[id].depth = s->state[parent].depth + 1;
	return id;
}

static void add_edge(struct search *s, unsigned int to)
{
	if (s->nr_edges == s->max_edges) {
		s->max_edges = s->max_edges * 2 + 4096;
		s->edge = must(realloc(s->edge,
				       s->max_edges * sizeof(*s->edge)));
	}
	s->edge[s->nr_edges++] = to;
}

static void load(const struct search *s, unsigned int state, struct world *w)
{
	world_unpack(w, s->setup, s->arena + s->state[state].bytes + 2);
}

/* The next step is told with the names of the state that stands for all like it. */
static void print_renaming(const struct world *w)
{
	u8 bytes[MAX_PACKED], name[MAX_NODES];
	unsigned int n;

	world_pack_canonical(w, bytes, name);
	for (n = 0; n < w->setup->nr_nodes; n++)
		if (name[n] != n)
			printf("#     (n%u is called n%u from here on)\n", n,
			       name[n]);
}

static void print_way(const struct search *s, unsigned int state,
		      const struct step *last)
{
	struct world w;

	if (state)
		print_way(s, s->state[state].parent, &s->state[state].step);
	load(s, state, &w);
	world_print_step(&w, last);
	world_do(&w, last);
	world_print(&w);
	if (!w.wrong)
		print_renaming(&w);
}

/* Follows all steps out of one state; false when one leads to a fault. */
static bool expand(struct search *s, unsigned int state, unsigned int flags)
{
	struct step step[MAX_STEPS];
	struct world w, next;
	unsigned int nr, i, to;

	load(s, state, &w);
	if (flags & SEARCH_COUNT_NAMED)
		s->nr_named += world_nr_symmetric(&w);
	nr = world_list_steps(&w, step);
	s->nr_transitions += nr;
	s->state[state].first_edge = s->nr_edges;
	for (i = 0; i < nr; i++) {
		next = w;
		world_do(&next, &step[i]);
		s->wrong = next.wrong;
		if (!s->wrong)
			to = visit(s, &next, state, &step[i]);
		if (s->wrong) {
			if (flags & SEARCH_PRINT)
				print_way(s, state, &step[i]);
			return false;
		}
		if (world_goes_on(&step[i]))
			add_edge(s, to);
	}
	return true;
}

/* Deliveries alone must not run in circles: sort the states topologically. */
static bool deliveries_end(struct search *s)
{
	unsigned int *nr_in = must(calloc(s->nr_states, sizeof(*nr_in)));
	unsigned int *ready = must(malloc(s->nr_states * sizeof(*ready)));
	unsigned int nr_ready = 0, nr_done = 0, i;
	size_t e, last;

	for (e = 0; e < s->nr_edges; e++)
		nr_in[s->edge[e]]++;
	for (i = 0; i < s->nr_states; i++)
		if (!nr_in[i])
			ready[nr_ready++] = i;
	while (nr_done < nr_ready) {
		i = ready[nr_done++];
		last = i + 1 < s->nr_states ? s->state[i + 1].first_edge :
					      s->nr_edges;
		for (e = s->state[i].first_edge; e < last; e++)
			if (!--nr_in[s->edge[e]])
				ready[nr_ready++] = s->edge[e];
	}
	free(nr_in);
	free(ready);
	return nr_done == s->nr_states;
}

void search(const struct setup *setup, unsigned int max_states, unsigned int flags,
	    struct search_result *out)
{
	struct step none = { 0 };
	struct search s;
	struct world w;
	unsigned int i;

	begin(&s, setup, max_states);
	world_init(&w, setup);
	visit(&s, &w, 0, &none);
	for (i = 0; i < s.nr_states; i++)
		if (!expand(&s, i, flags))
			break;
	if (!s.wrong && !deliveries_end(&s))
		s.wrong = "messages go round without end";
	*out = (struct search_result){
		.nr_states = s.nr_states,
		.nr_named = s.nr_named,
		.nr_transitions = s.nr_transitions,
		.depth = s.state[s.nr_states - 1].depth,
		.wrong = s.wrong,
	};
	end(&s);
}
