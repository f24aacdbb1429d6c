// SPDX-License-Identifier: GPL-2.0-only
/* dsm/proto.c - the rules of page coherence.
 * Pure: no locks, no memory, no messages; act.c does what is decided here.
 * Also built as a program: see selftests/proto.
 */
#include <linux/errno.h>

#include "proto.h"

static u64 bit(u8 node)
{
	return 1ULL << node;
}

static u8 nr_bits(u64 set)
{
	u8 nr = 0;

	for (; set; set &= set - 1)
		nr++;
	return nr;
}

static bool is_node(u8 node)
{
	return node < PROTO_MAX_NODES;
}

static bool is_txn(u32 txn)
{
	return txn && txn <= PROTO_TXN_MASK;
}

static struct proto_action *add(struct proto_actions *acts, enum proto_act act)
{
	struct proto_action *action = &acts->act[acts->nr++];

	*action = (struct proto_action){ .act = act };
	return action;
}

static struct proto_event *add_send(struct proto_actions *acts, u8 self, u64 to,
				    enum proto_msg msg, u32 txn)
{
	struct proto_action *action = add(acts, PROTO_ACT_SEND);

	action->to = to;
	action->msg.event = msg;
	action->msg.from = self;
	action->msg.txn = txn;
	return &action->msg;
}

/* ---- a node: local accesses ---- */

static int node_request(const struct proto_site *site, struct proto_node *node,
			const struct proto_event *ev,
			struct proto_actions *acts, enum proto_msg msg,
			enum proto_node_state next)
{
	if (!is_txn(ev->txn))
		return -EPROTO;
	node->state = next;
	node->txn = ev->txn;
	node->acks = 0;
	node->asked = site->home;
	add_send(acts, site->self, bit(site->home), msg, ev->txn);
	return 0;
}

static int node_read(const struct proto_site *site, struct proto_node *node,
		     const struct proto_event *ev, struct proto_actions *acts,
		     enum proto_access *access)
{
	*access = PROTO_WAIT;
	if (proto_can_read(node->state))
		*access = PROTO_HIT;
	else if (node->state == PROTO_I)
		return node_request(site, node, ev, acts, PROTO_GETS, PROTO_IS);
	return 0;
}

static int node_write(const struct proto_site *site, struct proto_node *node,
		      const struct proto_event *ev, struct proto_actions *acts,
		      enum proto_access *access)
{
	*access = PROTO_WAIT;
	switch (node->state) {
	case PROTO_I:
		return node_request(site, node, ev, acts, PROTO_GETM, PROTO_IM);
	case PROTO_S:
		return node_request(site, node, ev, acts, PROTO_GETM, PROTO_SM);
	case PROTO_E:
		node->state = PROTO_M;
		fallthrough;
	case PROTO_M:
		*access = PROTO_HIT;
		return 0;
	default:
		return 0;
	}
}

/* Zap before the Put: once home has taken us off its list, the next writer does
 * not tell us. The frame stays until then, as home may still send others to it.
 */
static int node_evict(const struct proto_site *site, struct proto_node *node,
		      const struct proto_event *ev, struct proto_actions *acts)
{
	static const struct {
		u8 put;
		u8 next;
	} way[] = {
		[PROTO_S] = { PROTO_PUTS, PROTO_SI_A },
		[PROTO_E] = { PROTO_PUTE, PROTO_EI_A },
		[PROTO_M] = { PROTO_PUTM, PROTO_MI_A },
	};
	u8 state = node->state;

	if (state == PROTO_I || proto_is_transient(state))
		return 0;
	add(acts, PROTO_ACT_ZAP);
	return node_request(site, node, ev, acts, way[state].put,
			    way[state].next);
}

/* Whoever waits for acks has the page and has not written it, so it is one reader
 * among others: some sharer may never have been told to go. Who has put away a page
 * whose home is lost may have been dismissed without knowing: others may have
 * written it since.
 */
static int node_loss(const struct proto_site *site, struct proto_node *node,
		     const struct proto_event *ev, struct proto_actions *acts)
{
	static const u8 settled[PROTO_NR_NODE_STATES] = {
		[PROTO_S] = PROTO_S,	   [PROTO_E] = PROTO_E,
		[PROTO_M] = PROTO_M,	   [PROTO_IM_A] = PROTO_S,
		[PROTO_SM] = PROTO_S,	   [PROTO_SM_A] = PROTO_S,
		[PROTO_SI_A] = PROTO_S,	   [PROTO_EI_A] = PROTO_E,
		[PROTO_MI_A] = PROTO_M, /* all others: PROTO_I */
	};

	bool dismissed = ev->requester == node->asked &&
			 (node->state == PROTO_SI_A || node->state == PROTO_EI_A);

	if (!is_node(ev->requester) || ev->requester == site->self)
		return -EPROTO;
	if (dismissed)
		add(acts, PROTO_ACT_DROP);
	if (proto_is_transient(node->state))
		add(acts, PROTO_ACT_WAKE);
	*node = (struct proto_node){
		.state = dismissed ? PROTO_I : settled[node->state],
	};
	return 0;
}

/* ---- a node: home asks for the page on behalf of another node ---- */

static bool owns(const struct proto_node *node)
{
	switch (node->state) {
	case PROTO_E:
	case PROTO_M:
	case PROTO_EI_A:
	case PROTO_MI_A:
		return true;
	default:
		return false;
	}
}

static bool shares(const struct proto_node *node)
{
	switch (node->state) {
	case PROTO_S:
	case PROTO_SM:
	case PROTO_SI_A:
		return true;
	default: /* also PROTO_SM_A: home has made it the owner but still serves it */
		return false;
	}
}

static bool holds(const struct proto_node *node)
{
	return owns(node) || shares(node);
}

static bool puts_away(const struct proto_node *node)
{
	return node->state >= PROTO_SI_A && node->state <= PROTO_II_A;
}

static void send_page(const struct proto_site *site,
		      const struct proto_event *ev, struct proto_actions *acts,
		      enum proto_grant grant)
{
	struct proto_action *action = add(acts, PROTO_ACT_SEND_PAGE);

	action->to = bit(ev->requester);
	action->msg.event = PROTO_DATA;
	action->msg.from = site->self;
	action->msg.grant = grant;
	action->msg.txn = ev->txn;
	if (grant == PROTO_GRANT_M)
		action->msg.acks = ev->acks;
}

/* An upgrade that loses its copy on the way becomes a write miss, and a Put has
 * nothing left to put: home will see that we are no holder any more when it comes
 * to our request.
 */
static void lose_copy(struct proto_node *node)
{
	if (node->state == PROTO_SM)
		node->state = PROTO_IM;
	else
		node->state = puts_away(node) ? PROTO_II_A : PROTO_I;
}

static void become_sharer(struct proto_node *node, struct proto_actions *acts)
{
	if (puts_away(node)) {
		node->state = PROTO_SI_A;
		return;
	}
	add(acts, PROTO_ACT_PROTECT);
	node->state = PROTO_S;
}

/* What is put away was zapped before. */
static void zap(const struct proto_node *node, struct proto_actions *acts)
{
	if (!puts_away(node))
		add(acts, PROTO_ACT_ZAP);
}

static int node_fwd_gets(const struct proto_site *site, struct proto_node *node,
			 const struct proto_event *ev,
			 struct proto_actions *acts)
{
	if (!holds(node))
		return -EPROTO;
	if (owns(node))
		become_sharer(node, acts);
	send_page(site, ev, acts, PROTO_GRANT_S);
	return 0;
}

static int node_fwd_getm(const struct proto_site *site, struct proto_node *node,
			 const struct proto_event *ev,
			 struct proto_actions *acts)
{
	if (!holds(node) || ev->acks >= PROTO_MAX_NODES)
		return -EPROTO;
	if (owns(node) && ev->acks)
		return -EPROTO;
	/* Zap before the page is sent: after it the new writer may run. */
	zap(node, acts);
	send_page(site, ev, acts, PROTO_GRANT_M);
	add(acts, PROTO_ACT_DROP);
	lose_copy(node);
	return 0;
}

static int node_inv(const struct proto_site *site, struct proto_node *node,
		    const struct proto_event *ev, struct proto_actions *acts)
{
	if (!shares(node))
		return -EPROTO;
#ifndef PROTO_BUG_SKIP_ZAP
	/* Zap before the ack: after it the new writer may run. */
	zap(node, acts);
	add(acts, PROTO_ACT_DROP);
#endif
	add_send(acts, site->self, bit(ev->requester), PROTO_INV_ACK, ev->txn);
	lose_copy(node);
	return 0;
}

static int node_forward(const struct proto_site *site, struct proto_node *node,
			const struct proto_event *ev,
			struct proto_actions *acts)
{
	if (ev->from != site->home || !is_node(ev->requester) ||
	    ev->requester == site->self || !is_txn(ev->txn))
		return -EPROTO;

	switch (ev->event) {
	case PROTO_FWD_GETS:
		return node_fwd_gets(site, node, ev, acts);
	case PROTO_FWD_GETM:
		return node_fwd_getm(site, node, ev, acts);
	case PROTO_INV:
		return node_inv(site, node, ev, acts);
	default:
		return -EPROTO;
	}
}

/* ---- a node: answers to its own request ---- */

static void node_finish(const struct proto_site *site, struct proto_node *node,
			struct proto_actions *acts, enum proto_node_state state)
{
	add(acts, PROTO_ACT_GRANT);
	add_send(acts, site->self, bit(node->asked), PROTO_DONE, node->txn);
	*node = (struct proto_node){ .state = state };
}

/* The answer to a GetM says how many acks come; some may be here already. */
static int node_answered(const struct proto_site *site, struct proto_node *node,
			 const struct proto_event *ev,
			 struct proto_actions *acts)
{
	int missing = ev->acks + node->acks;

	if (missing < 0 || ev->acks >= PROTO_MAX_NODES)
		return -EPROTO;
	if (!missing) {
		node_finish(site, node, acts, PROTO_M);
		return 0;
	}
	node->acks = missing;
	node->state = node->state == PROTO_SM ? PROTO_SM_A : PROTO_IM_A;
	return 0;
}

static int node_data(const struct proto_site *site, struct proto_node *node,
		     const struct proto_event *ev, struct proto_actions *acts)
{
	bool reads = node->state == PROTO_IS && ev->grant == PROTO_GRANT_S;
	bool writes = node->state == PROTO_IM && ev->grant == PROTO_GRANT_M;

	if ((!reads && !writes) || (reads && ev->acks) || ev->flags)
		return -EPROTO;
	add(acts, PROTO_ACT_FILL);
	if (writes)
		return node_answered(site, node, ev, acts);
	node_finish(site, node, acts, PROTO_S);
	return 0;
}

static int node_zero(const struct proto_site *site, struct proto_node *node,
		     const struct proto_event *ev, struct proto_actions *acts)
{
	bool reads = node->state == PROTO_IS && ev->grant == PROTO_GRANT_E;
	bool writes = node->state == PROTO_IM && ev->grant == PROTO_GRANT_M;

	/* Nobody holds an untouched page, so nobody can have sent an ack. */
	if ((!reads && !writes) || ev->acks || node->acks)
		return -EPROTO;
	add(acts, PROTO_ACT_ZERO);
	node_finish(site, node, acts, reads ? PROTO_E : PROTO_M);
	return 0;
}

static int node_grant(const struct proto_site *site, struct proto_node *node,
		      const struct proto_event *ev, struct proto_actions *acts)
{
	if (ev->from != node->asked)
		return -EPROTO;
	if (ev->flags == PROTO_F_ZERO)
		return node_zero(site, node, ev, acts);
	if (ev->flags || node->state != PROTO_SM || ev->grant != PROTO_GRANT_M)
		return -EPROTO;
	return node_answered(site, node, ev, acts);
}

static int node_inv_ack(const struct proto_site *site, struct proto_node *node,
			struct proto_actions *acts)
{
	switch (node->state) {
	case PROTO_IM:
	case PROTO_SM:
		if (node->acks <= -PROTO_MAX_NODES)
			return -EPROTO;
		node->acks--;
		return 0;
	case PROTO_IM_A:
	case PROTO_SM_A:
		if (!--node->acks)
			node_finish(site, node, acts, PROTO_M);
		return 0;
	default:
		return -EPROTO;
	}
}

/* Whatever crossed our Put on its way, home has seen and decided. */
static int node_put_ack(struct proto_node *node, const struct proto_event *ev,
			struct proto_actions *acts)
{
	bool keep = ev->flags & PROTO_F_KEEP;
	u8 next = PROTO_I;

	if (ev->from != node->asked || ev->flags & ~PROTO_F_KEEP || ev->acks ||
	    ev->grant || !puts_away(node))
		return -EPROTO;
	if ((node->state == PROTO_MI_A && !keep) ||
	    (node->state == PROTO_EI_A && keep))
		return -EPROTO;
	if (keep && node->state != PROTO_II_A)
		next = node->state == PROTO_MI_A ? PROTO_M : PROTO_S;
	else if (node->state != PROTO_II_A)
		add(acts, PROTO_ACT_DROP);
	add(acts, PROTO_ACT_WAKE);
	*node = (struct proto_node){ .state = next };
	return 0;
}

static int node_poison(struct proto_node *node, const struct proto_event *ev,
		       struct proto_actions *acts)
{
	if (ev->from != node->asked || node->acks ||
	    (node->state != PROTO_IS && node->state != PROTO_IM))
		return -EPROTO;
	add(acts, PROTO_ACT_POISON);
	add(acts, PROTO_ACT_WAKE);
	*node = (struct proto_node){ .state = PROTO_I };
	return 0;
}

/* Nobody has served the request. Who wants the page still asks again, which is work
 * of the request class; a Put is given up.
 */
static int node_moved(struct proto_node *node, const struct proto_event *ev,
		      struct proto_actions *acts)
{
	static const u8 before[PROTO_NR_NODE_STATES] = {
		[PROTO_SM] = PROTO_S,	[PROTO_SI_A] = PROTO_S,
		[PROTO_EI_A] = PROTO_E, [PROTO_MI_A] = PROTO_M, /* all others: PROTO_I */
	};

	if (ev->from != node->asked || ev->acks || ev->grant || ev->flags ||
	    node->acks || node->state == PROTO_IM_A || node->state == PROTO_SM_A)
		return -EPROTO;
	add(acts, PROTO_ACT_WAKE);
	*node = (struct proto_node){ .state = before[node->state] };
	return 0;
}

static int node_response(const struct proto_site *site, struct proto_node *node,
			 const struct proto_event *ev,
			 struct proto_actions *acts)
{
	if (!proto_is_transient(node->state) || ev->txn != node->txn ||
	    !is_node(ev->from))
		return -EPROTO;

	switch (ev->event) {
	case PROTO_DATA:
		return node_data(site, node, ev, acts);
	case PROTO_GRANT:
		return node_grant(site, node, ev, acts);
	case PROTO_INV_ACK:
		return node_inv_ack(site, node, acts);
	case PROTO_PUT_ACK:
		return node_put_ack(node, ev, acts);
	case PROTO_POISON:
		return node_poison(node, ev, acts);
	case PROTO_MOVED:
		return node_moved(node, ev, acts);
	default:
		return -EPROTO;
	}
}

static int node_event(const struct proto_site *site, struct proto_node *node,
		      const struct proto_event *ev, struct proto_actions *acts,
		      enum proto_access *access)
{
	if (node->state >= PROTO_NR_NODE_STATES)
		return -EPROTO;
	if (ev->event == PROTO_READ)
		return node_read(site, node, ev, acts, access);
	if (ev->event == PROTO_WRITE)
		return node_write(site, node, ev, acts, access);
	if (ev->event == PROTO_EVICT)
		return node_evict(site, node, ev, acts);
	if (ev->event == PROTO_LOSS)
		return node_loss(site, node, ev, acts);

	switch (proto_class_of(ev->event)) {
	case PROTO_CLASS_FORWARD:
		return node_forward(site, node, ev, acts);
	case PROTO_CLASS_RESPONSE:
		return node_response(site, node, ev, acts);
	default:
		return -EPROTO;
	}
}

int proto_node(const struct proto_site *site, struct proto_node *node,
	       const struct proto_event *ev, struct proto_actions *out_acts,
	       enum proto_access *out_access)
{
	struct proto_node next = *node;
	int err;

	out_acts->nr = 0;
	*out_access = PROTO_NO_ACCESS;
	err = node_event(site, &next, ev, out_acts, out_access);
	if (err) {
		out_acts->nr = 0;
		*out_access = PROTO_NO_ACCESS;
		return err;
	}
	*node = next;
	return 0;
}

/* ---- home ---- */

static bool is_sharer(const struct proto_home *home, u8 node)
{
	return home->state == PROTO_SHARED && home->sharers & bit(node);
}

static bool is_owner(const struct proto_home *home, u8 node)
{
	return home->state == PROTO_EXCL && home->owner == node;
}

/* Home itself if it can, which saves a hop. */
static u8 pick_supplier(const struct proto_site *site,
			const struct proto_home *home)
{
	if (home->state == PROTO_EXCL)
		return home->owner;
	if (is_sharer(home, site->home))
		return site->home;
	return __builtin_ctzll(home->sharers);
}

static void set_owner(struct proto_home *home, u8 owner)
{
	home->state = PROTO_EXCL;
	home->owner = owner;
	home->sharers = 0;
}

static void add_sharer(struct proto_home *home, u8 node)
{
	if (home->state == PROTO_EXCL) {
		home->sharers = bit(home->owner);
		home->owner = 0;
		home->state = PROTO_SHARED;
	}
	home->sharers |= bit(node);
}

static void send_grant(const struct proto_site *site,
		       const struct proto_event *ev, struct proto_actions *acts,
		       enum proto_grant grant, u8 acks, u8 flags)
{
	struct proto_event *msg = add_send(acts, site->self, bit(ev->from),
					   PROTO_GRANT, ev->txn);

	msg->grant = grant;
	msg->acks = acks;
	msg->flags = flags;
}

static void forward(const struct proto_site *site, const struct proto_event *ev,
		    struct proto_actions *acts, u64 to, enum proto_msg msg,
		    u8 acks)
{
	struct proto_event *fwd = add_send(acts, site->self, to, msg, ev->txn);

	fwd->requester = ev->from;
	fwd->acks = acks;
}

/* The writer, a reader, and now another: many more may come. Of two nodes that share
 * a page the next news is as likely a write, and home would have a copy for nothing.
 */
static bool is_widely_read(const struct proto_site *site,
			   const struct proto_home *home,
			   const struct proto_event *ev)
{
	return home->state == PROTO_SHARED && ev->from != site->home &&
	       !is_sharer(home, site->home) && nr_bits(home->sharers) > 1;
}

static void home_gets(const struct proto_site *site, struct proto_home *home,
		      const struct proto_event *ev, struct proto_actions *acts)
{
	if (home->state == PROTO_UNCACHED) {
		send_grant(site, ev, acts, PROTO_GRANT_E, 0, PROTO_F_ZERO);
		set_owner(home, ev->from);
		return;
	}
	forward(site, ev, acts, bit(pick_supplier(site, home)), PROTO_FWD_GETS,
		0);
	if (is_widely_read(site, home, ev))
		add(acts, PROTO_ACT_PULL_COPY);
	add_sharer(home, ev->from);
}

/* Everybody but the writer and the supplier is invalidated at once; the acks
 * go straight to the writer, while the page or the grant is on its way.
 */
static void home_getm(const struct proto_site *site, struct proto_home *home,
		      const struct proto_event *ev, struct proto_actions *acts)
{
	u64 others = home->sharers & ~bit(ev->from);
	u8 supplier;

	if (home->state == PROTO_UNCACHED) {
		send_grant(site, ev, acts, PROTO_GRANT_M, 0, PROTO_F_ZERO);
	} else if (is_sharer(home, ev->from)) {
		send_grant(site, ev, acts, PROTO_GRANT_M, nr_bits(others), 0);
	} else {
		supplier = pick_supplier(site, home);
		others &= ~bit(supplier);
		forward(site, ev, acts, bit(supplier), PROTO_FWD_GETM,
			nr_bits(others));
	}
	if (others)
		forward(site, ev, acts, others, PROTO_INV, 0);
	set_owner(home, ev->from);
}

/* Home, if it waits for nothing, fetches the last copy by a GetM of its own, like
 * any other: no node gives away what nobody else has, and eviction adds no way
 * for pages to move.
 */
static void keep_last(const struct proto_site *site,
		      const struct proto_event *ev, struct proto_actions *acts)
{
	add_send(acts, site->self, bit(ev->from), PROTO_PUT_ACK, ev->txn)->flags =
		PROTO_F_KEEP;
	if (ev->from != site->self)
		add(acts, PROTO_ACT_PULL);
}

static int put_of_owner(const struct proto_site *site, struct proto_home *home,
			const struct proto_event *ev,
			struct proto_actions *acts)
{
	if (ev->event == PROTO_PUTM) {
		keep_last(site, ev, acts);
		return 0;
	}
	if (ev->event != PROTO_PUTE)
		return -EPROTO;
	*home = (struct proto_home){ .state = PROTO_UNCACHED };
	add_send(acts, site->self, bit(ev->from), PROTO_PUT_ACK, ev->txn);
	return 0;
}

/* Ends at once, so that home is not busy with it. What the sender was when it
 * sent does not count, but what it is now: an owner that was read meanwhile is a
 * sharer, and one that was written meanwhile is nothing.
 */
static int home_put(const struct proto_site *site, struct proto_home *home,
		    const struct proto_event *ev, struct proto_actions *acts)
{
	int err = 0;

	if (home->state == PROTO_UNCACHED || home->state == PROTO_LOST)
		return -EPROTO;
	if (is_owner(home, ev->from)) {
		err = put_of_owner(site, home, ev, acts);
	} else if (is_sharer(home, ev->from) &&
		   home->sharers == bit(ev->from)) {
		keep_last(site, ev, acts);
	} else {
		home->sharers &= ~bit(ev->from);
		add_send(acts, site->self, bit(ev->from), PROTO_PUT_ACK,
			 ev->txn);
	}
	if (!err)
		add(acts, PROTO_ACT_NEXT);
	return err;
}

static bool is_put(u8 event)
{
	return event == PROTO_PUTS || event == PROTO_PUTM ||
	       event == PROTO_PUTE;
}

static int home_request(const struct proto_site *site, struct proto_home *home,
			const struct proto_event *ev,
			struct proto_actions *acts)
{
	if (site->self != site->home) {
		add_send(acts, site->self, bit(ev->from), PROTO_MOVED, ev->txn);
		return 0;
	}
	if (home->busy && ev->from == home->busy_node && ev->txn == home->busy_txn)
		return -EPROTO;
	if (home->busy || site->frozen) {
		add(acts, PROTO_ACT_QUEUE);
		return 0;
	}
	if (is_put(ev->event))
		return home_put(site, home, ev, acts);
	if (is_owner(home, ev->from))
		return -EPROTO;
	if (home->state == PROTO_LOST) {
		add_send(acts, site->self, bit(ev->from), PROTO_POISON, ev->txn);
		add(acts, PROTO_ACT_NEXT);
		return 0;
	}

	switch (ev->event) {
	case PROTO_GETS:
		if (is_sharer(home, ev->from))
			return -EPROTO;
		home_gets(site, home, ev, acts);
		break;
	case PROTO_GETM:
		home_getm(site, home, ev, acts);
		break;
	}
	home->busy = ev->event;
	home->busy_node = ev->from;
	home->busy_txn = ev->txn;
	return 0;
}

static int home_done(const struct proto_site *site, struct proto_home *home,
		     const struct proto_event *ev, struct proto_actions *acts)
{
	/* A page moves when home is not busy, so no Done comes behind it. */
	if (site->self != site->home || !home->busy || home->busy_node != ev->from ||
	    home->busy_txn != ev->txn)
		return -EPROTO;
	home->busy = 0;
	home->busy_node = 0;
	home->busy_txn = 0;
	if (!site->frozen)
		add(acts, PROTO_ACT_NEXT);
	return 0;
}


static bool is_sound(const struct proto_home *home)
{
	switch (home->state) {
	case PROTO_UNCACHED:
	case PROTO_LOST:
		return !home->sharers && !home->busy;
	case PROTO_SHARED:
		return home->sharers;
	case PROTO_EXCL:
		return !home->sharers && is_node(home->owner);
	default:
		return false;
	}
}

int proto_home(const struct proto_site *site, struct proto_home *home,
	       const struct proto_event *ev, struct proto_actions *out_acts)
{
	out_acts->nr = 0;
	if (!is_sound(home) || !is_node(ev->from) || !is_txn(ev->txn))
		return -EPROTO;

	switch (ev->event) {
	case PROTO_GETS:
	case PROTO_GETM:
	case PROTO_PUTS:
	case PROTO_PUTM:
	case PROTO_PUTE:
		return home_request(site, home, ev, out_acts);
	case PROTO_DONE:
		return home_done(site, home, ev, out_acts);
	default:
		return -EPROTO;
	}
}

int proto_home_refuse(const struct proto_site *site, const struct proto_event *ev,
		      struct proto_actions *out_acts)
{
	out_acts->nr = 0;
	if (ev->event < PROTO_GETS || ev->event > PROTO_PUTE || !is_node(ev->from) ||
	    !is_txn(ev->txn))
		return -EPROTO;
	add_send(out_acts, site->self, bit(ev->from), PROTO_MOVED, ev->txn);
	return 0;
}

void proto_home_forget(struct proto_home *home, bool known)
{
	bool untouched = known && home->state == PROTO_UNCACHED;

	*home = (struct proto_home){
		.state = untouched ? PROTO_UNCACHED : PROTO_LOST,
	};
}

int proto_home_heard(struct proto_home *home, u8 node, u8 state)
{
	if (!is_node(node) || home->busy)
		return -EPROTO;
	if (state == PROTO_S &&
	    (home->state == PROTO_LOST ||
	     (home->state == PROTO_SHARED && !is_sharer(home, node)))) {
		home->state = PROTO_SHARED;
		home->sharers |= bit(node);
		return 0;
	}
	if (proto_can_write(state) && home->state == PROTO_LOST) {
		set_owner(home, node);
		return 0;
	}
	return -EPROTO;
}

int proto_home_rebuild(struct proto_home *home,
		       const struct proto_holders *holders, bool known)
{
	struct proto_home next = *home;
	u64 readers = holders->readers, owners = holders->owners;
	int err = 0;

	proto_home_forget(&next, known);
	for (; readers && !err; readers &= readers - 1)
		err = proto_home_heard(&next, __builtin_ctzll(readers), PROTO_S);
	for (; owners && !err; owners &= owners - 1)
		err = proto_home_heard(&next, __builtin_ctzll(owners), PROTO_M);
	if (!err)
		*home = next;
	return err;
}

/* ---- names ---- */

const char *proto_event_name(u8 event)
{
	static const char *const names[PROTO_NR_EVENTS] = {
		[PROTO_GETS] = "GetS",		[PROTO_GETM] = "GetM",
		[PROTO_PUTS] = "PutS",		[PROTO_PUTM] = "PutM",
		[PROTO_PUTE] = "PutE",		[PROTO_FWD_GETS] = "Fwd-GetS",
		[PROTO_FWD_GETM] = "Fwd-GetM",	[PROTO_INV] = "Inv",
		[PROTO_DATA] = "Data",		[PROTO_GRANT] = "Grant",
		[PROTO_INV_ACK] = "Inv-Ack",	[PROTO_DONE] = "Done",
		[PROTO_PUT_ACK] = "Put-Ack",	[PROTO_POISON] = "Poison",
		[PROTO_MOVED] = "Moved",
		[PROTO_READ] = "read",		[PROTO_WRITE] = "write",
		[PROTO_EVICT] = "evict",	[PROTO_LOSS] = "loss",
	};

	return event < PROTO_NR_EVENTS && names[event] ? names[event] : "?";
}

const char *proto_node_state_name(u8 state)
{
	static const char *const names[PROTO_NR_NODE_STATES] = {
		"I", "S", "E", "M", "IS", "IM", "IM_A", "SM", "SM_A",
		"SI_A", "EI_A", "MI_A", "II_A",
	};

	return state < PROTO_NR_NODE_STATES ? names[state] : "?";
}

const char *proto_home_state_name(u8 state)
{
	static const char *const names[PROTO_NR_HOME_STATES] = {
		"UNCACHED", "SHARED", "EXCL", "LOST",
	};

	return state < PROTO_NR_HOME_STATES ? names[state] : "?";
}
