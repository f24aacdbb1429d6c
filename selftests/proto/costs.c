// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/costs.c - what a miss costs, in messages one after another.
 *
 * Node 0 is home. A message to oneself is no message.
 */
#include <stdio.h>

#include "tap.h"
#include "world.h"

static const struct setup setup = {
	"costs", .rules = &real_rules, .nr_nodes = 4, .nr_pages = 1, .self_at_once = true,
	.evict = true, .pulls_copies = true,
};

/* All deliveries until nothing is under way. */
static void run_out(struct world *w)
{
	struct step first = { .kind = STEP_DELIVER };

	while (w->nr_flights && !w->wrong)
		world_do(w, &first);
}

static void access_page(struct world *w, u8 node, enum step_kind kind)
{
	struct step step = { .kind = kind, .node = node };

	w->nr_wire = 0;
	world_do(w, &step);
	run_out(w);
}

/* @way: "0r 1w" = node 0 reads, then node 1 writes; the last one counts. */
static void cost(const char *way, unsigned int hops, unsigned int messages,
		 const char *what)
{
	unsigned int node = 0;
	struct world w;
	bool good;

	world_init(&w, &setup);
	for (; *way; way++) {
		if (*way >= '0' && *way <= '9')
			node = *way - '0';
		if (*way == 'r' || *way == 'w')
			access_page(&w, node,
				    *way == 'r' ? STEP_READ : STEP_WRITE);
		if (*way == 'e')
			access_page(&w, node, STEP_EVICT);
	}
	good = !w.wrong && w.page[0].hops[node] == hops &&
	       w.nr_wire == messages;
	tap_result(good, "%s: %u hops, %u messages", what, hops, messages);
	if (!good)
		printf("# was %u hops, %u messages; %s\n",
		       w.page[0].hops[node], w.nr_wire,
		       w.wrong ? w.wrong : "nothing wrong");
}

/* Messages include Done, when requester and home differ. */
void test_costs(void)
{
	cost("0r", 0, 0, "first touch at home");
	cost("0w", 0, 0, "first write at home");
	cost("1r", 2, 3, "first touch, home elsewhere");
	cost("0w 1r", 2, 3, "read miss, home owns it");
	cost("0r 1r 2r", 2, 3, "read miss, home shares it");
	cost("1w 2r", 3, 4, "read miss, another node owns it");
	cost("1w 0r", 2, 2, "read miss at home");
	cost("0w 1w", 2, 3, "write miss, home owns it");
	cost("1w 2w", 3, 4, "write miss, another node owns it");
	cost("0w 1r 1w", 2, 4, "upgrade, home is the other sharer");
	cost("1w 2r 2w", 3, 5, "upgrade, one other sharer elsewhere");
	cost("0w 1r 2r 3r 3w", 3, 8, "upgrade, three other sharers");
	cost("0w 1r 0w", 2, 2, "upgrade at home, one sharer");
	cost("0w 1r 2r 3r 0w", 2, 6, "upgrade at home, three sharers");
	cost("1r 2r 3r 0w", 2, 6, "write miss at home, three sharers");
	cost("1w 2r 3r", 3, 6, "read miss, two others share it: home gets a copy too");
	cost("1w 2r 3r 0r", 0, 0, "read at home of what three others have read");
	cost("1w 2r 3r 0r 1w", 3, 8, "upgrade after that, home and two others share it");
	cost("1r 1w", 0, 0, "the only reader writes");
	cost("0w 1r 1e", 2, 2, "a reader puts its copy away");
	cost("1r 1e", 2, 2, "a zero page is put away");
	cost("1w 1e", 2, 4, "the owner puts its page away to home");
	cost("0w 0e", 0, 0, "home puts away what is its own: in vain");
	cost("1w 1e 1r", 2, 3, "read miss of what was put away");
	cost("1w 2r 2e 1w", 2, 3, "upgrade after the other sharer is gone");
}
