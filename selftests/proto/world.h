/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/world.h - a few nodes, one or two pages, and what is on the
 * way between them. It does what the rules say and knows what memory is; which
 * step comes next is left to the search (search.h) or to chance (simulate.c).
 */
#ifndef PROTO_WORLD_H
#define PROTO_WORLD_H

#include <stddef.h>

#include "../../dsm/proto.h"

#ifndef WORLD_BIG
#define MAX_NODES 4
#define MAX_PAGES 2
#define MAX_FLIGHTS 24
#else /* for simulations; too big to be packed */
#define MAX_NODES PROTO_MAX_NODES
#define MAX_PAGES 16
#define MAX_FLIGHTS 4096
#endif
#define MAX_STEPS (MAX_FLIGHTS * 5 + MAX_NODES * MAX_PAGES * 7)
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
	int (*rebuild)(struct proto_home *home,
		       const struct proto_holders *holders, bool known);
	u8 move_bug; /* enum move_bug */
};

/* How the caller of the rules may move a home wrongly. */
enum move_bug {
	MOVE_WELL,
	SHIP_WHILE_BUSY,
	SERVE_BEFORE_ALL_KNOW,
	SERVE_BEFORE_OLD_HOME_KNOWS,
	FORGET_WHO_WAITS_AT_OLD_HOME,
	FORGET_WHO_WAITS_AT_NEW_HOME,
	TELL_OTHERS_BEFORE_NEW_HOME,
};

extern const struct rules real_rules;

struct setup {
	const char *name;
	u8 nr_nodes;
	u8 nr_pages; /* page p has its home at node p, until that is lost */
	bool fifo; /* small messages of one pair of nodes keep their order */
	bool self_at_once; /* a message to oneself is never late */
	bool evict; /* nodes put pages away */
	bool loss; /* one node is lost, at any time */
	const struct rules *rules;
	bool all_names; /* symmetric states are told apart */
	bool rehome; /* homes move, at any time */
	bool refuses; /* homes send requests back for lack of memory, at any time */
	bool pulls_copies; /* home does what it may leave undone; else reads come by themselves */
};

/* A message on its way. @fresh: the page it carries is the last one written. */
struct flight {
	struct proto_event msg;
	u8 to;
	u8 page;
	u8 fresh;
	u8 hops; /* since the local access; not part of the state */
	u32 due; /* simulate.c's; not part of the state */
};

enum mapping { MAP_NONE, MAP_READ, MAP_WRITE };

/* What a node really has, whatever its protocol state claims. */
struct copy {
	u8 has;
	u8 map;
	u8 fresh;
};

/* What the home of a page has. */
struct directory {
	struct proto_home home;
	struct proto_event waiting[MAX_NODES];
	u8 nr_waiting;
};

enum phase {
	HOME_STAYS,
	HOME_FREEZES, /* the old home is frozen */
	HOME_SHIPPED, /* the new home has the entry; nodes learn it, the old home last */
	HOME_LEARNT, /* all know */
};

/* A home on its way. */
struct moving {
	struct directory at; /* of the new home */
	u64 known; /* bit n = node n takes @to for home */
	u8 phase;
	u8 to;
};

struct page {
	struct directory at; /* of the home, or the old home */
	struct moving moving;
	struct proto_node node[MAX_NODES];
	struct copy copy[MAX_NODES];
	u8 written; /* differs from the zero page */
	u8 hops[MAX_NODES]; /* of the latest grant; not part of the state */
};

struct world {
	const struct setup *setup;
	struct page page[MAX_PAGES];
	struct flight flight[MAX_FLIGHTS];
	u16 nr_flights;
	u8 home[MAX_PAGES];
	u8 lost; /* 0, or the node that is lost, + 1 */
	bool losing; /* until the directories are rebuilt */
	u8 choice; /* of the step that is being done */
	u32 nr_wire, nr_wire_pages; /* messages sent; not part of the state */
	const char *wrong; /* the first rule of the world that was broken */
};

enum step_kind {
	STEP_DELIVER,
	STEP_READ,
	STEP_WRITE,
	STEP_STORE,
	STEP_EVICT,
	STEP_LOSE,
	STEP_FORGET,
	STEP_REBUILD,
	STEP_REFUSE, /* instead of STEP_DELIVER */
	STEP_FREEZE,
	STEP_SHIP,
	STEP_LEARN,
	STEP_THAW,
};

/* STEP_STORE is a write through a mapping, which no rule gets to see.
 * STEP_LOSE: a node is lost with all it has and all that is on the way to it. Then
 * nothing new begins. What it had sent may arrive or not (STEP_FORGET), and takes
 * that are put off may be forgotten. When nothing is under way any more, the
 * survivors rebuild the directories (STEP_REBUILD, @choice: the new home).
 * STEP_FREEZE: the home of the page begins to move to @node; the steps are those of
 * struct proto_site, one request of dsm/rehome.c each.
 */
struct step {
	u8 kind;
	u8 node;
	u8 page;
	u8 choice; /* the sharer home asks first; 0 = as the rules say */
	u16 index; /* of the flight */
};

void world_init(struct world *w, const struct setup *setup);
unsigned int world_list_steps(const struct world *w, struct step *out_steps);
void world_do(struct world *w, const struct step *step);
unsigned int world_list_moves(const struct world *w, struct step *out_steps, u8 page); /* of its home */
bool world_may_arrive(const struct world *w, unsigned int index); /* in order */
bool world_may_be_forgotten(const struct world *w, unsigned int index);

static inline bool world_has(const struct world *w, unsigned int node)
{
	return w->lost != node + 1;
}
/* A step that must come in the end, when nothing new begins. */
static inline bool world_goes_on(const struct step *step)
{
	return step->kind == STEP_DELIVER || step->kind >= STEP_SHIP;
}

void world_print_step(const struct world *w, const struct step *step);
void world_print(const struct world *w);

/* No message under way, nobody waits. */
bool world_is_quiet(const struct world *w);

/* Equal bytes = equal states, whatever order unordered messages are kept in. */
size_t world_pack(const struct world *w, u8 *out_bytes);
void world_unpack(struct world *w, const struct setup *setup, const u8 *bytes);

/**
 * world_pack_canonical() - as world_pack(), the same for all symmetric states
 * @w: the world
 * @out_bytes: the least of what the renamed worlds pack to
 * @out_name: the renaming: node n is @out_name[n] there
 *
 * Nodes differ by their number alone, except the homes; two pages differ by
 * their home. The rules must treat them alike too, and they do but for one
 * thing: when home has no copy it asks the sharer of the lowest number. So the
 * worlds let every sharer be asked (struct step, choice), which covers what the
 * rules do whatever the names.
 */
size_t world_pack_canonical(const struct world *w, u8 *out_bytes, u8 *out_name);

/* How many worlds world_pack_canonical() packs like this one. */
unsigned int world_nr_symmetric(const struct world *w);

/* Which events came to nodes in which states, in all worlds so far. */
extern bool world_seen[PROTO_NR_NODE_STATES][256];

#endif
