/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/world.h - a few nodes, one or two pages, and what is on the
 * way between them. It does what the rules say and knows what memory is; which
 * step comes next is left to the search.
 */
#ifndef PROTO_WORLD_H
#define PROTO_WORLD_H

#include <stddef.h>

#include "../../dsm/proto.h"

#define MAX_NODES 4
#define MAX_PAGES 2
#define MAX_FLIGHTS 24
#define MAX_STEPS (MAX_FLIGHTS + MAX_NODES * MAX_PAGES * 3)
#define MAX_PACKED 384
#define MAX_TXN 4 /* names one node needs for one page, and some to spare */

/* The rules under test: the real ones, or broken ones. */
struct rules {
	const char *name;
	int (*node)(const struct proto_site *site, struct proto_node *node,
		    const struct proto_event *ev,
		    struct proto_actions *out_acts,
		    enum proto_access *out_access);
	int (*home)(const struct proto_site *site, struct proto_home *home,
		    const struct proto_event *ev,
		    struct proto_actions *out_acts);
};

extern const struct rules real_rules;

struct setup {
	const char *name;
	u8 nr_nodes;
	u8 nr_pages; /* page p has its home at node p */
	bool fifo; /* small messages of one pair of nodes keep their order */
	bool self_at_once; /* a message to oneself is never late */
	const struct rules *rules;
};

/* A message on its way. @fresh: the page it carries is the last one written. */
struct flight {
	struct proto_event msg;
	u8 to;
	u8 page;
	u8 fresh;
	u8 hops; /* since the local access; not part of the state */
};

enum mapping { MAP_NONE, MAP_READ, MAP_WRITE };

/* What a node really has, whatever its protocol state claims. */
struct copy {
	u8 has;
	u8 map;
	u8 fresh;
};

struct page {
	struct proto_home home;
	struct proto_node node[MAX_NODES];
	struct copy copy[MAX_NODES];
	struct proto_event waiting[MAX_NODES];
	u8 nr_waiting;
	u8 written; /* differs from the zero page */
	u8 hops[MAX_NODES]; /* of the latest grant; not part of the state */
};

struct world {
	const struct setup *setup;
	struct page page[MAX_PAGES];
	struct flight flight[MAX_FLIGHTS];
	u8 nr_flights;
	u16 nr_wire; /* messages sent; not part of the state */
	const char *wrong; /* the first rule of the world that was broken */
};

enum step_kind { STEP_DELIVER, STEP_READ, STEP_WRITE, STEP_STORE };

/* STEP_STORE is a write through a mapping, which no rule gets to see. */
struct step {
	u8 kind;
	u8 index; /* of the flight */
	u8 node;
	u8 page;
};

void world_init(struct world *w, const struct setup *setup);
unsigned int world_list_steps(const struct world *w, struct step *out_steps);
void world_do(struct world *w, const struct step *step);
void world_print_step(const struct world *w, const struct step *step);
void world_print(const struct world *w);

/* No message under way, nobody waits. */
bool world_is_quiet(const struct world *w);

/* Equal bytes = equal states, whatever order unordered messages are kept in. */
size_t world_pack(const struct world *w, u8 *out_bytes);
void world_unpack(struct world *w, const struct setup *setup, const u8 *bytes);

#endif
