// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/world.c - performs actions on abstract memory.
 *
 * Values are abstract: a copy is fresh when it equals what was written last.
 * A store makes the writer's copy fresh and all others stale, also those on
 * the wire, so that runs of any length have finitely many states.
 * Transaction names are reused once nothing mentions them.
 */
#include <stdio.h>
#include <string.h>

#include "world.h"

const struct rules real_rules = { "real", proto_node, proto_home,
				  proto_home_rebuild, MOVE_WELL };

bool world_seen[PROTO_NR_NODE_STATES][256];

static void deliver(struct world *w, unsigned int index);

static void wrong(struct world *w, const char *what)
{
	if (!w->wrong)
		w->wrong = what;
}

static u64 all_nodes(const struct world *w)
{
	return ~0ULL >> (64 - w->setup->nr_nodes);
}

/* @node is the home. */
static bool is_frozen(const struct world *w, u8 page, u8 node)
{
	const struct moving *moving = &w->page[page].moving;
	u64 others = all_nodes(w) & ~(1ULL << w->home[page]);
	u8 bug = w->setup->rules->move_bug;

	if (moving->phase == HOME_SHIPPED && node == moving->to)
		return bug != SERVE_BEFORE_ALL_KNOW &&
		       (bug != SERVE_BEFORE_OLD_HOME_KNOWS ||
			(moving->known & others) != others);
	return moving->phase;
}

static struct proto_site site_of(const struct world *w, u8 page, u8 self)
{
	const struct moving *moving = &w->page[page].moving;
	bool known = moving->known >> self & 1;
	u8 home = known ? moving->to : w->home[page];

	return (struct proto_site){ .self = self, .home = home,
				    .frozen = self == home && is_frozen(w, page, self) };
}

void world_init(struct world *w, const struct setup *setup)
{
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->setup = setup;
	for (i = 0; i < setup->nr_pages; i++)
		w->home[i] = i;
}

/* ---- messages under way ---- */

static bool is_page_msg(const struct flight *f)
{
	return f->msg.event == PROTO_DATA;
}

static bool same_channel(const struct flight *a, const struct flight *b)
{
	return a->msg.from == b->msg.from && a->to == b->to;
}

static u64 flight_key(const struct flight *f)
{
	return (u64)is_page_msg(f) << 63 | (u64)f->msg.from << 56 |
	       (u64)f->to << 48 | (u64)f->page << 44 |
	       (u64)f->msg.requester << 40 | (u64)f->msg.event << 32 |
	       (u64)f->msg.txn << 24 | (u64)f->msg.acks << 16 |
	       (u64)f->msg.grant << 8 | (u64)f->msg.flags << 4 | f->fresh;
}

/* In fifo order small messages of one pair are never exchanged. */
static bool goes_before(const struct world *w, const struct flight *a,
			const struct flight *b)
{
	u64 mask = ~0ULL;

	if (w->setup->fifo && !is_page_msg(a))
		mask <<= 48;
	return (flight_key(a) & mask) < (flight_key(b) & mask);
}

static void add_flight(struct world *w, const struct flight *f)
{
	unsigned int i = w->nr_flights;

	if (i == MAX_FLIGHTS) {
		wrong(w, "messages without end");
		return;
	}
	for (; i && goes_before(w, f, &w->flight[i - 1]); i--)
		w->flight[i] = w->flight[i - 1];
	w->flight[i] = *f;
	w->nr_flights++;
	if (f->msg.from != f->to) {
		w->nr_wire++;
		w->nr_wire_pages += is_page_msg(f);
	}
}

static struct flight take_flight(struct world *w, unsigned int index)
{
	struct flight f = w->flight[index];

	w->nr_flights--;
	memmove(&w->flight[index], &w->flight[index + 1],
		(w->nr_flights - index) * sizeof(f));
	return f;
}

bool world_may_arrive(const struct world *w, unsigned int index)
{
	const struct flight *f = &w->flight[index];
	unsigned int i;

	if (!w->setup->fifo || is_page_msg(f))
		return true;
	for (i = 0; i < index; i++)
		if (same_channel(&w->flight[i], f) &&
		    !is_page_msg(&w->flight[i]))
			return false;
	return true;
}

static void send(struct world *w, const struct flight *cause,
		 const struct proto_action *action, bool fresh)
{
	struct flight f = { .msg = action->msg,
			    .page = cause->page,
			    .fresh = fresh };
	u8 n;

	if (!action->to || (action->to & ~all_nodes(w)))
		wrong(w, "message to a node that does not exist");
	for (n = 0; n < w->setup->nr_nodes; n++) {
		if (!(action->to >> n & 1) || !world_has(w, n))
			continue;
		f.to = n;
		f.hops = cause->hops + (f.msg.from != n);
		add_flight(w, &f);
	}
}

/* ---- memory ---- */

static void store(struct world *w, u8 page, u8 node)
{
	struct page *p = &w->page[page];
	unsigned int i;

	for (i = 0; i < w->setup->nr_nodes; i++)
		p->copy[i].fresh = 0;
	for (i = 0; i < w->nr_flights; i++)
		if (w->flight[i].page == page)
			w->flight[i].fresh = 0;
	p->copy[node].fresh = 1;
	p->written = 1;
}

static void fill(struct world *w, struct copy *copy, bool fresh)
{
	if (copy->map)
		wrong(w, "a page in use is overwritten");
	copy->has = 1;
	copy->fresh = fresh;
}

static void drop(struct world *w, struct copy *copy)
{
	if (copy->map)
		wrong(w, "a page in use is freed");
	memset(copy, 0, sizeof(*copy));
}

/* In PROTO_E a write is told before it is done: that mapping is read-only. */
static void map(struct copy *copy, u8 state)
{
	copy->map = state == PROTO_M ? MAP_WRITE : MAP_READ;
}

static void grant(struct world *w, struct page *p, u8 node)
{
	struct copy *copy = &p->copy[node];
	u8 state = p->node[node].state;

	if (!copy->has)
		wrong(w, "access granted without a page");
	if (!proto_can_read(state) || proto_is_transient(state))
		wrong(w, "access granted in a state without access");
	map(copy, state);
}

/* ---- transaction names ---- */

static u8 requester_of(const struct flight *f)
{
	if (proto_is_for_home(f->msg.event))
		return f->msg.from;
	return proto_is_take(f->msg.event) ? f->msg.requester : f->to;
}

static bool is_waiting(const struct directory *at, u8 node, u32 txn)
{
	unsigned int i;

	for (i = 0; i < at->nr_waiting; i++)
		if (at->waiting[i].from == node && at->waiting[i].txn == txn)
			return true;
	return false;
}

static bool txn_in_use(const struct world *w, u8 page, u8 node, u32 txn)
{
	const struct page *p = &w->page[page];
	unsigned int i;

	if (p->node[node].txn == txn)
		return true;
	if (p->at.home.busy_node == node && p->at.home.busy_txn == txn)
		return true;
	if (is_waiting(&p->at, node, txn) || is_waiting(&p->moving.at, node, txn))
		return true;
	for (i = 0; i < w->nr_flights; i++)
		if (w->flight[i].page == page && w->flight[i].msg.txn == txn &&
		    requester_of(&w->flight[i]) == node)
			return true;
	return false;
}

/* Each page has names of its own, so that what happens to one page does not
 * multiply the states of another.
 */
static u32 fresh_txn(struct world *w, u8 page, u8 node)
{
	u32 txn, first = page * MAX_TXN + 1;

	for (txn = first; txn < first + MAX_TXN; txn++)
		if (!txn_in_use(w, page, node, txn))
			return txn;
	wrong(w, "transactions without end");
	return first;
}

/* ---- actions ---- */

/* No class may cause a message of a class before it: no deadlock. */
static void check_class(struct world *w, const struct flight *cause,
			const struct proto_action *action)
{
	u8 in = proto_class_of(cause->msg.event);
	u8 out = proto_class_of(action->msg.event);

	if (in == PROTO_CLASS_LOCAL)
		in = 0;
	if (out <= in && out != PROTO_CLASS_RESPONSE)
		wrong(w, "a message causes one of its own or an earlier class");
}

static void do_send(struct world *w, const struct flight *cause,
		    const struct proto_action *action, const struct copy *copy)
{
	check_class(w, cause, action);
	if (action->act == PROTO_ACT_SEND) {
		send(w, cause, action, false);
		return;
	}
	if (!copy->has)
		wrong(w, "a page is sent that is not there");
	send(w, cause, action, copy->fresh);
}

static void do_node_action(struct world *w, const struct flight *cause,
			   const struct proto_action *action)
{
	struct page *p = &w->page[cause->page];
	struct copy *copy = &p->copy[cause->to];

	switch (action->act) {
	case PROTO_ACT_ZAP:
		copy->map = MAP_NONE;
		break;
	case PROTO_ACT_PROTECT:
		if (copy->map == MAP_WRITE)
			copy->map = MAP_READ;
		break;
	case PROTO_ACT_SEND:
	case PROTO_ACT_SEND_PAGE:
		do_send(w, cause, action, copy);
		break;
	case PROTO_ACT_DROP:
		drop(w, copy);
		break;
	case PROTO_ACT_FILL:
		fill(w, copy, cause->fresh);
		break;
	case PROTO_ACT_ZERO:
		fill(w, copy, !p->written);
		break;
	case PROTO_ACT_GRANT:
		grant(w, p, cause->to);
		break;
	case PROTO_ACT_WAKE:
		break;
	case PROTO_ACT_POISON:
		if (p->at.home.state != PROTO_LOST)
			wrong(w, "a page is said to be lost that is not");
		break;
	default:
		wrong(w, "unknown action");
	}
}

/* An access waits for answers; what others want of the node meanwhile is theirs. */
static void count_hops(struct page *p, const struct flight *f)
{
	u8 class = proto_class_of(f->msg.event);

	if (class == PROTO_CLASS_LOCAL)
		p->hops[f->to] = 0;
	else if (class == PROTO_CLASS_RESPONSE && f->hops > p->hops[f->to])
		p->hops[f->to] = f->hops;
}

static void node_event(struct world *w, const struct flight *f)
{
	struct page *p = &w->page[f->page];
	struct proto_site site = site_of(w, f->page, f->to);
	enum proto_access access;
	struct proto_actions acts;
	unsigned int i;

	count_hops(p, f);
	world_seen[p->node[f->to].state][f->msg.event] = true;
	if (w->setup->rules->node(&site, &p->node[f->to], &f->msg, &acts,
				  &access)) {
		wrong(w, "illegal event at a node");
		return;
	}
	for (i = 0; i < acts.nr; i++)
		do_node_action(w, f, &acts.act[i]);
	if (access != PROTO_HIT)
		return;
	grant(w, p, f->to);
	if (f->msg.event == PROTO_WRITE)
		store(w, f->page, f->to);
}

static void queue_add(struct world *w, struct page *p,
		      const struct proto_event *msg)
{
	unsigned int i;

	for (i = 0; i < p->at.nr_waiting; i++)
		if (p->at.waiting[i].from == msg->from) {
			wrong(w, "a node waits twice at home");
			return;
		}
	p->at.waiting[p->at.nr_waiting++] = *msg;
}

static bool queue_take(struct directory *at, struct proto_event *out_msg)
{
	if (!at->nr_waiting)
		return false;
	*out_msg = at->waiting[0];
	at->nr_waiting--;
	memmove(&at->waiting[0], &at->waiting[1],
		at->nr_waiting * sizeof(at->waiting[0]));
	memset(&at->waiting[at->nr_waiting], 0, sizeof(at->waiting[0]));
	return true;
}

/* ---- home, which may ask any sharer first ---- */

static u8 swap_node(u8 node, u8 a, u8 b)
{
	return node == a ? b : node == b ? a : node;
}

static u64 swap_bits(u64 set, u8 a, u8 b)
{
	u64 differ = (set >> a ^ set >> b) & 1;

	return set ^ (differ << a | differ << b);
}

static void swap_in_event(struct proto_event *ev, u8 a, u8 b)
{
	ev->from = swap_node(ev->from, a, b);
	if (proto_is_take(ev->event))
		ev->requester = swap_node(ev->requester, a, b);
}

static void swap_in_home(struct proto_home *home, u8 a, u8 b)
{
	home->sharers = swap_bits(home->sharers, a, b);
	if (home->state == PROTO_EXCL)
		home->owner = swap_node(home->owner, a, b);
	if (home->busy)
		home->busy_node = swap_node(home->busy_node, a, b);
}

static void swap_in_actions(struct proto_actions *acts, u8 a, u8 b)
{
	unsigned int i;

	for (i = 0; i < acts->nr; i++) {
		acts->act[i].to = swap_bits(acts->act[i].to, a, b);
		swap_in_event(&acts->act[i].msg, a, b);
	}
}

/* The rules with sharer @choice and the lowest one having changed names. */
static int ask_home(struct world *w, const struct flight *f,
		    struct proto_actions *acts)
{
	struct proto_home *home = &w->page[f->page].at.home;
	struct proto_site site = site_of(w, f->page, f->to);
	struct proto_event ev = f->msg;
	u8 a = w->choice, b;
	int err;

	if (!a || home->state != PROTO_SHARED || !(home->sharers >> a & 1))
		return w->setup->rules->home(&site, home, &ev, acts);
	b = __builtin_ctzll(home->sharers);
	swap_in_event(&ev, a, b);
	swap_in_home(home, a, b);
	err = w->setup->rules->home(&site, home, &ev, acts);
	swap_in_home(home, a, b);
	swap_in_actions(acts, a, b);
	return err;
}

/* Home fetches what another node wants to be rid of, or what several read. */
static void pull(struct world *w, const struct flight *cause, u8 want)
{
	struct flight f = {
		.msg = { .event = want,
			 .from = cause->to,
			 .txn = fresh_txn(w, cause->page, cause->to) },
		.to = cause->to,
		.page = cause->page,
	};

	if (w->page[cause->page].node[cause->to].state == PROTO_I)
		node_event(w, &f);
}

static void home_event(struct world *w, const struct flight *f);

static void do_home_action(struct world *w, const struct flight *f,
			   const struct proto_action *action)
{
	struct page *p = &w->page[f->page];
	struct flight next = *f;

	if (w->losing) /* only a Done comes to home now: nobody is served */
		return;
	switch (action->act) {
	case PROTO_ACT_QUEUE:
		queue_add(w, p, &f->msg);
		break;
	case PROTO_ACT_NEXT:
		if (queue_take(&p->at, &next.msg))
			home_event(w, &next);
		break;
	case PROTO_ACT_PULL:
		pull(w, f, PROTO_WRITE);
		break;
	case PROTO_ACT_PULL_COPY:
		if (w->setup->pulls_copies)
			pull(w, f, PROTO_READ);
		break;
	default:
		do_send(w, f, action, NULL);
	}
}

static void home_event(struct world *w, const struct flight *f)
{
	struct proto_actions acts;
	unsigned int i;

	if (w->losing && f->msg.event != PROTO_DONE)
		return;
	if (ask_home(w, f, &acts)) {
		wrong(w, "illegal event at home");
		return;
	}
	for (i = 0; i < acts.nr; i++)
		do_home_action(w, f, &acts.act[i]);
}

static void swap_directory(struct page *p, struct directory *other)
{
	struct directory at = p->at;

	p->at = *other;
	*other = at;
}

/* To the home of the page, to who becomes it, or to who was it. */
static void event_at_home(struct world *w, const struct flight *f)
{
	struct page *p = &w->page[f->page];
	struct directory none = { 0 }, *at = &none;

	if (p->moving.phase >= HOME_SHIPPED && f->to == p->moving.to)
		at = &p->moving.at;
	else if (site_of(w, f->page, f->to).home == f->to)
		at = &p->at;
	if (at != &p->at)
		swap_directory(p, at);
	home_event(w, f);
	if (at != &p->at)
		swap_directory(p, at);
}

static void event(struct world *w, const struct flight *f)
{
	if (proto_is_for_home(f->msg.event))
		event_at_home(w, f);
	else
		node_event(w, f);
}

static void deliver_to_self(struct world *w)
{
	unsigned int i;

	for (i = 0; i < w->nr_flights; i++) {
		if (w->flight[i].msg.from == w->flight[i].to) {
			deliver(w, i);
			return;
		}
	}
}

static void deliver(struct world *w, unsigned int index)
{
	struct flight f = take_flight(w, index);

	event(w, &f);
	if (w->setup->self_at_once && !w->wrong)
		deliver_to_self(w);
}

static void refuse(struct world *w, unsigned int index)
{
	struct flight f = take_flight(w, index);
	struct proto_site site = site_of(w, f.page, f.to);
	struct proto_actions acts;

	if (proto_home_refuse(&site, &f.msg, &acts))
		wrong(w, "a request that cannot be sent back");
	else
		do_send(w, &f, &acts.act[0], NULL);
}

/* ---- what must hold in every state ---- */

static void check_copies(struct world *w, const struct page *p)
{
	unsigned int writers = 0, readers = 0, fresh = 0, n;

	for (n = 0; n < w->setup->nr_nodes; n++) {
		const struct copy *copy = &p->copy[n];

		writers += copy->map == MAP_WRITE;
		readers += copy->map == MAP_READ;
		fresh += copy->fresh;
		if (copy->map && !copy->fresh)
			wrong(w, "stale read");
		if (copy->map == MAP_WRITE && !proto_can_write(p->node[n].state))
			wrong(w, "can write against its state");
		if (copy->map && !proto_can_read(p->node[n].state))
			wrong(w, "can read against its state");
	}
	if (writers > 1)
		wrong(w, "two writers");
	if (writers && readers)
		wrong(w, "a reader beside a writer");
	for (n = 0; n < w->nr_flights; n++)
		fresh += w->flight[n].page == p - w->page && w->flight[n].fresh;
	if (p->written && !fresh && !w->losing && p->at.home.state != PROTO_LOST)
		wrong(w, "the last written page is lost");
}

/* Home has taken the node off its list, which the node does not know yet. */
static bool is_dismissed(const struct world *w, const struct page *p, u8 n)
{
	unsigned int i;

	for (i = 0; i < w->nr_flights; i++)
		if (w->flight[i].page == p - w->page && w->flight[i].to == n &&
		    w->flight[i].msg.event == PROTO_PUT_ACK &&
		    !(w->flight[i].msg.flags & PROTO_F_KEEP))
			return true;
	return false;
}

static bool node_agrees(const struct world *w, const struct page *p,
			const struct proto_home *home, u8 n)
{
	bool shares = home->state == PROTO_SHARED && home->sharers >> n & 1;
	bool owns = home->state == PROTO_EXCL && home->owner == n;
	u8 state = p->node[n].state;

	if (p->node[n].acks)
		return false;
	switch (state) {
	case PROTO_SI_A:
	case PROTO_EI_A:
		if (is_dismissed(w, p, n))
			return !shares && !owns;
		return state == PROTO_SI_A ? shares : owns;
	case PROTO_E:
	case PROTO_M:
	case PROTO_MI_A:
		return owns;
	case PROTO_S:
	case PROTO_SM:
		return shares;
	case PROTO_I:
	case PROTO_IS:
	case PROTO_IM:
	case PROTO_II_A:
		return !shares && !owns;
	default:
		return false;
	}
}

/* Between two transactions the directory is exact, not only when all is quiet. */
static void check_directory(struct world *w, const struct page *p)
{
	const struct directory *at =
		p->moving.phase >= HOME_SHIPPED ? &p->moving.at : &p->at;
	unsigned int n;

	if (at->home.busy || w->losing)
		return;
	if (at->home.state == PROTO_UNCACHED && p->written)
		wrong(w, "the last written page is lost");
	if (at->nr_waiting && !p->moving.phase)
		wrong(w, "home idles while somebody waits");
	for (n = 0; n < w->setup->nr_nodes; n++)
		if (!node_agrees(w, p, &at->home, n))
			wrong(w, "directory and node disagree");
}

static void check_page(struct world *w, u8 page)
{
	check_copies(w, &w->page[page]);
	check_directory(w, &w->page[page]);
}

/* A freeze alone waits for something, and messages bring it. */
static bool may_move_on(const struct world *w)
{
	unsigned int i;

	for (i = 0; i < w->setup->nr_pages; i++)
		if (w->page[i].moving.phase > HOME_FREEZES ||
		    (w->page[i].moving.phase == HOME_FREEZES && !w->page[i].at.home.busy))
			return true;
	return false;
}

/* A step changes one page, or a node of them all. */
static void check(struct world *w, u8 page, bool all)
{
	if (!all)
		check_page(w, page);
	for (page = 0; all && page < w->setup->nr_pages; page++)
		check_page(w, page);
	if (!w->nr_flights && !w->losing && !may_move_on(w) && !world_is_quiet(w))
		wrong(w, "stuck: no message under way, but somebody waits");
}

bool world_is_quiet(const struct world *w)
{
	unsigned int i, n;

	for (i = 0; i < w->setup->nr_pages; i++) {
		if (w->page[i].at.home.busy || w->page[i].at.nr_waiting || w->page[i].moving.phase)
			return false;
		for (n = 0; n < w->setup->nr_nodes; n++)
			if (proto_is_transient(w->page[i].node[n].state))
				return false;
	}
	return !w->nr_flights;
}

/* ---- steps ---- */

static unsigned int list_local(const struct world *w, struct step *out_steps,
			       u8 page, u8 node)
{
	const struct page *p = &w->page[page];
	u8 state = p->node[node].state;
	unsigned int nr = 0;
	struct step step = { .node = node, .page = page };

	/* Others would only wait, or read what check() looks at anyway. */
	if (state <= PROTO_M && p->copy[node].map == MAP_NONE) {
		step.kind = STEP_READ;
		out_steps[nr++] = step;
	}
	if (state <= PROTO_M && p->copy[node].map != MAP_WRITE) {
		step.kind = STEP_WRITE;
		out_steps[nr++] = step;
	}
	if (p->copy[node].map == MAP_WRITE) {
		step.kind = STEP_STORE;
		out_steps[nr++] = step;
	}
	if (w->setup->evict && p->copy[node].has && state <= PROTO_M) {
		step.kind = STEP_EVICT;
		out_steps[nr++] = step;
	}
	return nr;
}

/* May this step end in home's choosing a sharer? */
static bool may_choose(const struct world *w, const struct step *step)
{
	if (step->kind == STEP_DELIVER)
		return proto_is_for_home(w->flight[step->index].msg.event);
	if (step->kind == STEP_THAW)
		return true;
	return w->setup->self_at_once && step->node == w->home[step->page];
}

/* Adds the step once for each sharer home may ask. */
static unsigned int add_choices(const struct world *w, struct step *out_steps,
				struct step step)
{
	u8 page = step.kind == STEP_DELIVER ? w->flight[step.index].page :
					      step.page;
	const struct page *p = &w->page[page];
	bool thaws = step.kind == STEP_THAW;
	const struct proto_home *home = thaws ? &p->moving.at.home : &p->at.home;
	u8 node = thaws ? p->moving.to : w->home[page];
	u64 set = home->sharers;
	unsigned int nr = 0;

	if (home->state != PROTO_SHARED || set >> node & 1 ||
	    !may_choose(w, &step))
		set = 0;
	do {
		step.choice = set & (set - 1) || nr ? __builtin_ctzll(set) : 0;
		out_steps[nr++] = step;
		set &= set - 1;
	} while (set);
	return nr;
}

bool world_may_be_forgotten(const struct world *w, unsigned int index)
{
	const struct proto_event *msg = &w->flight[index].msg;

	return w->losing && (!world_has(w, msg->from) || proto_is_take(msg->event));
}

static bool has_lost_home(const struct world *w)
{
	unsigned int i;

	for (i = 0; i < w->setup->nr_pages; i++)
		if (!world_has(w, w->home[i]))
			return true;
	return false;
}

static unsigned int list_losses(const struct world *w, struct step *out_steps)
{
	unsigned int nr = 0, i;

	for (i = 0; !w->lost && i < w->setup->nr_nodes; i++)
		out_steps[nr++] = (struct step){ .kind = STEP_LOSE, .node = i };
	for (i = 0; w->losing && i < w->nr_flights; i++)
		if (world_may_be_forgotten(w, i))
			out_steps[nr++] = (struct step){ .kind = STEP_FORGET,
							 .index = i };
	if (!w->losing || w->nr_flights)
		return nr;
	for (i = 0; i < w->setup->nr_nodes; i++) {
		if (!world_has(w, i))
			continue;
		out_steps[nr++] = (struct step){ .kind = STEP_REBUILD,
						 .choice = i };
		if (!has_lost_home(w))
			break; /* there is nothing to choose */
	}
	return nr;
}

/* Who may learn now that home is elsewhere; the old home is the last one. */
static bool may_learn(const struct world *w, u8 page, u8 node)
{
	const struct moving *moving = &w->page[page].moving;
	u64 others = all_nodes(w) & ~(1ULL << w->home[page]);

	if (moving->phase != HOME_SHIPPED || moving->known >> node & 1)
		return false;
	return node != w->home[page] || (moving->known & others) == others;
}

static bool may_ship(const struct world *w, u8 page)
{
	const struct page *p = &w->page[page];

	return p->moving.phase == HOME_FREEZES &&
	       (!p->at.home.busy || w->setup->rules->move_bug == SHIP_WHILE_BUSY);
}

unsigned int world_list_moves(const struct world *w, struct step *out_steps, u8 page)
{
	struct step step = { .page = page };
	unsigned int nr = 0, n;

	for (n = 0; n < w->setup->nr_nodes; n++) {
		step.node = n;
		step.kind = STEP_FREEZE;
		if (!w->page[page].moving.phase && n != w->home[page])
			out_steps[nr++] = step;
		step.kind = STEP_LEARN;
		if (may_learn(w, page, n))
			out_steps[nr++] = step;
	}
	step.kind = STEP_SHIP;
	if (may_ship(w, page))
		out_steps[nr++] = step;
	step.kind = STEP_THAW;
	if (w->page[page].moving.phase == HOME_LEARNT)
		nr += add_choices(w, out_steps + nr, step);
	return nr;
}

unsigned int world_list_steps(const struct world *w, struct step *out_steps)
{
	struct step local[4];
	unsigned int nr = 0, i, n, k, nr_local;

	for (i = 0; i < w->nr_flights; i++)
		if (world_may_arrive(w, i))
			nr += add_choices(w, out_steps + nr,
					  (struct step){ .kind = STEP_DELIVER,
							 .index = i });
	for (i = 0; w->setup->refuses && !w->losing && i < w->nr_flights; i++)
		if (world_may_arrive(w, i) &&
		    proto_class_of(w->flight[i].msg.event) == PROTO_CLASS_REQUEST)
			out_steps[nr++] = (struct step){ .kind = STEP_REFUSE, .index = i };
	if (w->setup->loss)
		nr += list_losses(w, out_steps + nr);
	for (i = 0; w->setup->rehome && i < w->setup->nr_pages; i++)
		nr += world_list_moves(w, out_steps + nr, i);
	for (i = 0; !w->losing && i < w->setup->nr_pages; i++) {
		for (n = 0; n < w->setup->nr_nodes; n++) {
			if (!world_has(w, n))
				continue;
			nr_local = list_local(w, local, i, n);
			for (k = 0; k < nr_local; k++)
				nr += add_choices(w, out_steps + nr, local[k]);
		}
	}
	return nr;
}

static void access_page(struct world *w, const struct step *step)
{
	static const u8 events[] = { [STEP_READ] = PROTO_READ,
				     [STEP_WRITE] = PROTO_WRITE,
				     [STEP_EVICT] = PROTO_EVICT };
	struct flight f = {
		.msg = { .event = events[step->kind],
			 .from = step->node,
			 .txn = fresh_txn(w, step->page, step->node) },
		.to = step->node,
		.page = step->page,
	};

	event(w, &f);
	if (w->setup->self_at_once && !w->wrong)
		deliver_to_self(w);
}

/* ---- homes move ---- */

/* The wire carries entries that serve nobody. */
static void ship_home(struct world *w, u8 page)
{
	struct page *p = &w->page[page];

	p->moving.at.home = p->at.home;
	p->moving.at.home.busy = 0;
	p->moving.at.home.busy_node = 0;
	p->moving.at.home.busy_txn = 0;
	p->moving.phase = HOME_SHIPPED;
	if (w->setup->rules->move_bug != TELL_OTHERS_BEFORE_NEW_HOME)
		p->moving.known = 1ULL << p->moving.to;
}

static void learn_home(struct world *w, u8 page, u8 node)
{
	struct page *p = &w->page[page];
	struct directory old = p->at;
	struct flight f = { .to = node, .page = page };

	p->moving.known |= 1ULL << node;
	if (node != w->home[page])
		return;
	p->moving.phase = HOME_LEARNT;
	memset(&p->at, 0, sizeof(p->at));
	if (w->setup->rules->move_bug == FORGET_WHO_WAITS_AT_OLD_HOME)
		return;
	while (queue_take(&old, &f.msg))
		event_at_home(w, &f);
}

static void thaw_home(struct world *w, u8 page)
{
	struct page *p = &w->page[page];
	struct flight f = { .to = p->moving.to, .page = page };

	w->home[page] = p->moving.to;
	p->at = p->moving.at;
	memset(&p->moving, 0, sizeof(p->moving));
	if (w->setup->rules->move_bug != FORGET_WHO_WAITS_AT_NEW_HOME &&
	    queue_take(&p->at, &f.msg))
		event_at_home(w, &f);
}

/* ---- loss of a node ---- */

static void forget_home(struct page *p)
{
	memset(&p->at, 0, sizeof(p->at));
}

static void lose_node(struct world *w, u8 node)
{
	unsigned int i;

	w->lost = node + 1;
	w->losing = true;
	for (i = w->nr_flights; i--;)
		if (w->flight[i].to == node)
			take_flight(w, i);
	for (i = 0; i < w->setup->nr_pages; i++) {
		memset(&w->page[i].node[node], 0, sizeof(w->page[i].node[node]));
		memset(&w->page[i].copy[node], 0, sizeof(w->page[i].copy[node]));
		if (w->home[i] == node)
			forget_home(&w->page[i]);
	}
}

static void tell_loss(struct world *w, u8 page, u8 node,
		      struct proto_holders *holders)
{
	struct flight f = { .msg = { .event = PROTO_LOSS, .from = node,
				     .requester = w->lost - 1 },
			    .to = node, .page = page };
	struct proto_node *state = &w->page[page].node[node];

	node_event(w, &f);
	if (state->state == PROTO_S)
		holders->readers |= 1ULL << node;
	else if (proto_can_write(state->state))
		holders->owners |= 1ULL << node;
	else if (state->state != PROTO_I)
		wrong(w, "a request outlives the loss of a node");
}

static void rebuild_page(struct world *w, u8 page, u8 new_home)
{
	struct proto_holders holders = { 0 };
	struct page *p = &w->page[page];
	bool known = world_has(w, w->home[page]);
	unsigned int n;

	for (n = 0; n < w->setup->nr_nodes; n++)
		if (world_has(w, n))
			tell_loss(w, page, n, &holders);
	if (!known)
		w->home[page] = new_home;
	if (w->setup->rules->rebuild(&p->at.home, &holders, known))
		wrong(w, "survivors hold what they cannot hold");
	memset(p->at.waiting, 0, sizeof(p->at.waiting));
	p->at.nr_waiting = 0;
}

static void rebuild(struct world *w, u8 new_home)
{
	unsigned int i;

	for (i = 0; i < w->setup->nr_pages; i++)
		rebuild_page(w, i, new_home);
	w->losing = false;
}

void world_do(struct world *w, const struct step *step)
{
	u8 page = step->page;

	w->choice = step->choice;
	switch (step->kind) {
	case STEP_DELIVER:
		page = w->flight[step->index].page;
		deliver(w, step->index);
		break;
	case STEP_STORE:
		store(w, page, step->node);
		break;
	case STEP_LOSE:
		lose_node(w, step->node);
		break;
	case STEP_REFUSE:
		page = w->flight[step->index].page;
		refuse(w, step->index);
		break;
	case STEP_FORGET:
		take_flight(w, step->index);
		break;
	case STEP_REBUILD:
		w->choice = 0;
		rebuild(w, step->choice);
		break;
	case STEP_FREEZE:
		w->page[page].moving.to = step->node;
		w->page[page].moving.phase = HOME_FREEZES;
		break;
	case STEP_SHIP:
		ship_home(w, page);
		break;
	case STEP_LEARN:
		learn_home(w, page, step->node);
		break;
	case STEP_THAW:
		thaw_home(w, page);
		break;
	default:
		access_page(w, step);
	}
	check(w, page, step->kind >= STEP_LOSE && step->kind <= STEP_REBUILD);
}

/* ---- for people ---- */

void world_print_step(const struct world *w, const struct step *step)
{
	static const char *const local[] = { "", "reads", "writes", "stores",
					     "puts away" };
	const struct flight *f = &w->flight[step->index];

	if (step->kind == STEP_LOSE)
		printf("#   n%u is lost\n", step->node);
	if (step->kind == STEP_REBUILD)
		printf("#   the directories are rebuilt; homes that are lost are now at n%u\n",
		       step->choice);
	if (step->kind == STEP_FREEZE)
		printf("#   the home of p%u freezes, to move to n%u\n", step->page, step->node);
	if (step->kind == STEP_SHIP)
		printf("#   the new home of p%u has the directory entry\n", step->page);
	if (step->kind == STEP_LEARN)
		printf("#   n%u learns the home of p%u\n", step->node, step->page);
	if (step->kind == STEP_THAW)
		printf("#   the new home of p%u serves\n", step->page);
	if (step->kind == STEP_LOSE || step->kind == STEP_REBUILD || step->kind >= STEP_FREEZE)
		return;
	if (step->kind < STEP_LOSE && step->kind != STEP_DELIVER) {
		printf("#   n%u %s p%u\n", step->node, local[step->kind],
		       step->page);
		return;
	}
	printf("#   n%u %s %s of p%u from n%u, txn %u", f->to,
	       step->kind == STEP_FORGET ? "never gets" :
	       step->kind == STEP_REFUSE ? "sends back" : "gets",
	       proto_event_name(f->msg.event), f->page, f->msg.from,
	       f->msg.txn);
	if (proto_is_take(f->msg.event))
		printf(", for n%u", f->msg.requester);
	if (f->msg.grant)
		printf(", grant %u, %u acks", f->msg.grant, f->msg.acks);
	if (f->msg.event == PROTO_PUT_ACK)
		printf(", %s", f->msg.flags & PROTO_F_KEEP ? "keep" : "drop");
	if (step->choice)
		printf("; home asks n%u first", step->choice);
	printf("\n");
}

void world_print(const struct world *w)
{
	unsigned int i, n;

	for (i = 0; i < w->setup->nr_pages; i++) {
		const struct page *p = &w->page[i];

		printf("#     p%u: home %s owner n%u sharers %llx busy %s n%u, %u wait;",
		       i, proto_home_state_name(p->at.home.state), p->at.home.owner,
		       (unsigned long long)p->at.home.sharers,
		       p->at.home.busy ? proto_event_name(p->at.home.busy) : "no",
		       p->at.home.busy_node, p->at.nr_waiting);
		for (n = 0; n < w->setup->nr_nodes; n++)
			printf(" n%u %s %c%s", n,
			       proto_node_state_name(p->node[n].state),
			       "-rw"[p->copy[n].map],
			       p->copy[n].fresh ? "" : " stale");
		printf("\n");
	}
}

/* ---- states as bytes ---- */

#ifndef WORLD_BIG

static u8 *pack_event(u8 *b, const struct proto_event *ev)
{
	*b++ = ev->event;
	*b++ = ev->from << 4 | ev->requester;
	*b++ = ev->grant << 4 | ev->acks;
	*b++ = ev->flags << 4 | ev->txn;
	return b;
}

static const u8 *unpack_event(struct proto_event *ev, const u8 *b)
{
	*ev = (struct proto_event){
		.event = b[0],
		.from = b[1] >> 4,
		.requester = b[1] & 15,
		.grant = b[2] >> 4,
		.acks = b[2] & 15,
		.flags = b[3] >> 4,
		.txn = b[3] & 15,
	};
	return b + 4;
}

static u8 *pack_directory(u8 *b, const struct directory *at)
{
	unsigned int n;

	*b++ = at->home.sharers << 4 | at->home.owner << 2 | at->home.state;
	*b++ = at->home.busy;
	*b++ = at->home.busy_node << 4 | at->home.busy_txn;
	*b++ = at->nr_waiting;
	for (n = 0; n < at->nr_waiting; n++)
		b = pack_event(b, &at->waiting[n]);
	return b;
}

static const u8 *unpack_directory(struct directory *at, const u8 *b)
{
	unsigned int n;

	at->home = (struct proto_home){
		.sharers = b[0] >> 4,
		.owner = b[0] >> 2 & 3,
		.state = b[0] & 3,
		.busy = b[1],
		.busy_node = b[2] >> 4,
		.busy_txn = b[2] & 15,
	};
	at->nr_waiting = b[3];
	b += 4;
	for (n = 0; n < at->nr_waiting; n++)
		b = unpack_event(&at->waiting[n], b);
	return b;
}

/* Where homes stay, who was asked is no part of the state: see unpack_asked(). */
static u8 *pack_moving(u8 *b, const struct page *p, unsigned int nr_nodes)
{
	unsigned int n;

	*b++ = p->moving.phase << 4 | p->moving.to;
	*b++ = p->moving.known;
	if (p->moving.phase >= HOME_SHIPPED)
		b = pack_directory(b, &p->moving.at);
	for (n = 0; n < nr_nodes; n++)
		*b++ = p->node[n].asked;
	return b;
}

static const u8 *unpack_moving(struct page *p, const u8 *b, unsigned int nr_nodes)
{
	unsigned int n;

	p->moving.phase = b[0] >> 4;
	p->moving.to = b[0] & 15;
	p->moving.known = b[1];
	b += 2;
	if (p->moving.phase >= HOME_SHIPPED)
		b = unpack_directory(&p->moving.at, b);
	for (n = 0; n < nr_nodes; n++)
		p->node[n].asked = *b++;
	return b;
}

static u8 *pack_page(u8 *b, const struct page *p, unsigned int nr_nodes)
{
	unsigned int n;

	b = pack_directory(b, &p->at);
	*b++ = p->written;
	for (n = 0; n < nr_nodes; n++) {
		*b++ = p->node[n].state << 4 | p->node[n].txn;
		*b++ = p->node[n].acks;
		*b++ = p->copy[n].map << 2 | p->copy[n].has << 1 |
		       p->copy[n].fresh;
	}
	return b;
}

static const u8 *unpack_page(struct page *p, const u8 *b, unsigned int nr_nodes)
{
	unsigned int n;

	b = unpack_directory(&p->at, b);
	p->written = *b++;
	for (n = 0; n < nr_nodes; n++, b += 3) {
		p->node[n] = (struct proto_node){ .state = b[0] >> 4,
						  .txn = b[0] & 15,
						  .acks = (s8)b[1] };
		p->copy[n] = (struct copy){ .map = b[2] >> 2,
					    .has = b[2] >> 1 & 1,
					    .fresh = b[2] & 1 };
	}
	return b;
}

size_t world_pack(const struct world *w, u8 *out_bytes)
{
	u8 *b = out_bytes;
	unsigned int i;

	for (i = 0; i < w->setup->nr_pages; i++)
		b = pack_page(b, &w->page[i], w->setup->nr_nodes);
	for (i = 0; w->setup->rehome && i < w->setup->nr_pages; i++) {
		b = pack_moving(b, &w->page[i], w->setup->nr_nodes);
		*b++ = w->home[i];
	}
	for (i = 0; w->setup->loss && i < w->setup->nr_pages; i++)
		*b++ = w->home[i] << 4 | w->lost << 1 | w->losing;
	*b++ = w->nr_flights;
	for (i = 0; i < w->nr_flights; i++) {
		b = pack_event(b, &w->flight[i].msg);
		*b++ = w->flight[i].to << 4 | w->flight[i].page << 1 |
		       w->flight[i].fresh;
	}
	return b - out_bytes;
}

/* Who has a request under way, has asked the only home there is. */
static void unpack_asked(struct world *w)
{
	unsigned int i, n;

	for (i = 0; i < w->setup->nr_pages; i++)
		for (n = 0; n < w->setup->nr_nodes; n++)
			if (proto_is_transient(w->page[i].node[n].state))
				w->page[i].node[n].asked = w->home[i];
}

void world_unpack(struct world *w, const struct setup *setup, const u8 *bytes)
{
	const u8 *b = bytes;
	unsigned int i;

	world_init(w, setup);
	for (i = 0; i < setup->nr_pages; i++)
		b = unpack_page(&w->page[i], b, setup->nr_nodes);
	for (i = 0; setup->rehome && i < setup->nr_pages; i++) {
		b = unpack_moving(&w->page[i], b, setup->nr_nodes);
		w->home[i] = *b++;
	}
	for (i = 0; setup->loss && i < setup->nr_pages; i++) {
		w->home[i] = *b >> 4;
		w->lost = *b >> 1 & 7;
		w->losing = *b++ & 1;
	}
	if (!setup->rehome)
		unpack_asked(w);
	w->nr_flights = *b++;
	for (i = 0; i < w->nr_flights; i++, b++) {
		struct flight *f = &w->flight[i];

		b = unpack_event(&f->msg, b);
		f->to = *b >> 4;
		f->page = *b >> 1 & 7;
		f->fresh = *b & 1;
	}
}

/* ---- symmetry ---- */

/* A page takes the names of its transactions along: see fresh_txn(). */
static u32 rename_txn(u32 txn, u8 page, const u8 *name)
{
	return txn ? txn + MAX_TXN * name[page] - MAX_TXN * page : 0;
}

static void rename_event(struct proto_event *ev, u8 page, const u8 *name)
{
	ev->txn = rename_txn(ev->txn, page, name);
	ev->from = name[ev->from];
	if (proto_is_take(ev->event))
		ev->requester = name[ev->requester];
}

static void rename_home(struct proto_home *home, u8 page, const u8 *name,
			unsigned int nr_nodes)
{
	u64 sharers = 0;
	unsigned int n;

	for (n = 0; n < nr_nodes; n++)
		sharers |= (home->sharers >> n & 1) << name[n];
	home->sharers = sharers;
	if (home->state == PROTO_EXCL)
		home->owner = name[home->owner];
	if (home->busy)
		home->busy_node = name[home->busy_node];
	home->busy_txn = rename_txn(home->busy_txn, page, name);
}

static void rename_directory(struct directory *at, u8 page, const u8 *name,
			     unsigned int nr_nodes)
{
	unsigned int n;

	rename_home(&at->home, page, name, nr_nodes);
	for (n = 0; n < at->nr_waiting; n++)
		rename_event(&at->waiting[n], page, name);
}

static void rename_moving(struct moving *moving, u8 page, const u8 *name,
			  unsigned int nr_nodes)
{
	u64 known = 0;
	unsigned int n;

	if (!moving->phase)
		return;
	rename_directory(&moving->at, page, name, nr_nodes);
	moving->to = name[moving->to];
	for (n = 0; n < nr_nodes; n++)
		known |= (moving->known >> n & 1) << name[n];
	moving->known = known;
}

static void rename_page(struct world *out_world, const struct world *in_world,
			u8 page, const u8 *name)
{
	const struct page *in = &in_world->page[page];
	struct page *out = &out_world->page[name[page]];
	unsigned int n, nr_nodes = in_world->setup->nr_nodes;

	*out = *in;
	rename_directory(&out->at, page, name, nr_nodes);
	rename_moving(&out->moving, page, name, nr_nodes);
	for (n = 0; n < nr_nodes; n++) {
		out->node[name[n]] = in->node[n];
		out->node[name[n]].txn =
			rename_txn(in->node[n].txn, page, name);
		if (proto_is_transient(in->node[n].state))
			out->node[name[n]].asked = name[in->node[n].asked];
		out->copy[name[n]] = in->copy[n];
	}
}

static void rename_world(struct world *out, const struct world *in,
			 const u8 *name)
{
	struct flight f;
	unsigned int i;

	world_init(out, in->setup);
	for (i = 0; i < in->setup->nr_pages; i++) {
		rename_page(out, in, i, name);
		out->home[name[i]] = name[in->home[i]];
	}
	out->lost = in->lost ? name[in->lost - 1] + 1 : 0;
	out->losing = in->losing;
	for (i = 0; i < in->nr_flights; i++) {
		f = in->flight[i];
		rename_event(&f.msg, f.page, name);
		f.to = name[f.to];
		f.page = name[f.page];
		add_flight(out, &f);
	}
}

/* What tells nodes of one page apart without their names. */
static u32 look_of(const struct world *w, u8 n)
{
	const struct page *p = &w->page[0];
	bool owns = p->at.home.state == PROTO_EXCL && p->at.home.owner == n;
	bool shares = p->at.home.sharers >> n & 1;
	bool busy = p->at.home.busy && p->at.home.busy_node == n;
	unsigned int i;

	for (i = 0; i < p->at.nr_waiting && p->at.waiting[i].from != n; i++)
		;
	return world_has(w, n) << 29 | (w->home[0] == n) << 28 |
	       p->node[n].state << 24 | p->node[n].txn << 20 |
	       (p->node[n].acks & 15) << 16 | p->copy[n].map << 12 |
	       p->copy[n].has << 11 | p->copy[n].fresh << 10 | owns << 9 |
	       shares << 8 | busy << 7 | i;
}

/* Of all renamings those that sort nodes by their look are enough. */
static bool is_sorted(const struct world *w, const u8 *name)
{
	u32 look[MAX_NODES];
	unsigned int n;

	if (w->setup->nr_pages > 1)
		return true;
	for (n = 1; n < w->setup->nr_nodes; n++)
		look[name[n]] = look_of(w, n);
	for (n = 2; n < w->setup->nr_nodes; n++)
		if (look[n - 1] > look[n])
			return false;
	return true;
}

static bool next_permutation(u8 *a, unsigned int nr)
{
	unsigned int i = nr - 1, k = nr - 1;
	u8 t;

	while (i && a[i - 1] >= a[i])
		i--;
	if (!nr || !i)
		return false;
	while (a[k] <= a[i - 1])
		k--;
	t = a[i - 1], a[i - 1] = a[k], a[k] = t;
	for (k = nr - 1; i < k; i++, k--)
		t = a[i], a[i] = a[k], a[k] = t;
	return true;
}

static bool homes_stay_homes(const struct setup *setup, const u8 *name)
{
	unsigned int i;

	for (i = 0; i < setup->nr_pages; i++)
		if (name[i] >= setup->nr_pages)
			return false;
	return true;
}

unsigned int world_nr_symmetric(const struct world *w)
{
	u8 name[MAX_NODES], bytes[MAX_PACKED], same[MAX_PACKED];
	unsigned int nr = 0, nr_same = 0, n;
	struct world renamed;
	size_t len = world_pack(w, bytes);

	for (n = 0; n < w->setup->nr_nodes; n++)
		name[n] = n;
	do {
		if (!homes_stay_homes(w->setup, name))
			continue;
		nr++;
		rename_world(&renamed, w, name);
		nr_same += world_pack(&renamed, same) == len &&
			   !memcmp(same, bytes, len);
	} while (next_permutation(name, w->setup->nr_nodes));
	return nr / nr_same;
}

size_t world_pack_canonical(const struct world *w, u8 *out_bytes, u8 *out_name)
{
	u8 name[MAX_NODES], bytes[MAX_PACKED];
	struct world renamed;
	size_t len = 0, best = 0;
	unsigned int n;

	for (n = 0; n < w->setup->nr_nodes; n++)
		name[n] = out_name[n] = n;
	if (w->setup->all_names)
		return world_pack(w, out_bytes);
	do {
		if (!homes_stay_homes(w->setup, name) || !is_sorted(w, name))
			continue;
		rename_world(&renamed, w, name);
		len = world_pack(&renamed, bytes);
		if (best && memcmp(bytes, out_bytes, len) >= 0)
			continue;
		best = len;
		memcpy(out_bytes, bytes, len);
		memcpy(out_name, name, w->setup->nr_nodes);
	} while (next_permutation(name, w->setup->nr_nodes));
	return best;
}
#endif
