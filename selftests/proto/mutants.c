// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/mutants.c - rules broken on purpose.
 *
 * A checker that catches nothing proves nothing: each mutant must be caught,
 * and for the reason stated. A mutant asks the real rules and then spoils the
 * answer, so that the rules themselves carry no test code; proto_*_skip_zap
 * are the rules as built with -DPROTO_BUG_SKIP_ZAP.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mutants.h"
#include "search.h"
#include "tap.h"

int proto_node_skip_zap(const struct proto_site *site, struct proto_node *node,
			const struct proto_event *ev,
			struct proto_actions *out_acts,
			enum proto_access *out_access);

static bool is_upgrade(const struct proto_node *node)
{
	return node->state == PROTO_SM;
}

static bool owns(const struct proto_node *node)
{
	return node->state == PROTO_E || node->state == PROTO_M;
}

static void remove_acts(struct proto_actions *acts, enum proto_act act)
{
	unsigned int i, nr = 0;

	for (i = 0; i < acts->nr; i++)
		if (acts->act[i].act != act)
			acts->act[nr++] = acts->act[i];
	acts->nr = nr;
}

static struct proto_action *find_msg(struct proto_actions *acts, u8 msg)
{
	unsigned int i;

	for (i = 0; i < acts->nr; i++)
		if (acts->act[i].msg.event == msg)
			return &acts->act[i];
	return NULL;
}

static void add_act(struct proto_actions *acts, struct proto_action action)
{
	acts->act[acts->nr++] = action;
}

/* ---- mutants of a node ---- */

#define NODE_MUTANT(name)                                                    \
	static int name(const struct proto_site *site,                       \
			struct proto_node *node, const struct proto_event *ev, \
			struct proto_actions *acts, enum proto_access *access)

/* Grants at the answer and ignores the acks that come later. */
NODE_MUTANT(grant_before_last_ack)
{
	u32 txn = node->txn;
	int err;

	if (ev->event == PROTO_INV_ACK) {
		acts->nr = 0;
		*access = PROTO_NO_ACCESS;
		return 0;
	}
	err = proto_node(site, node, ev, acts, access);
	if (err || (node->state != PROTO_IM_A && node->state != PROTO_SM_A) ||
	    proto_class_of(ev->event) != PROTO_CLASS_RESPONSE)
		return err;
	*node = (struct proto_node){ .state = PROTO_M };
	add_act(acts, (struct proto_action){ .act = PROTO_ACT_GRANT });
	add_act(acts, (struct proto_action){
			      .act = PROTO_ACT_SEND,
			      .to = 1ULL << site->home,
			      .msg = { .event = PROTO_DONE,
				       .from = site->self,
				       .txn = txn } });
	return 0;
}

NODE_MUTANT(upgrade_keeps_copy_after_inv)
{
	bool upgrade = is_upgrade(node);
	int err = proto_node(site, node, ev, acts, access);

	if (!err && upgrade && ev->event == PROTO_INV) {
		node->state = PROTO_SM;
		remove_acts(acts, PROTO_ACT_ZAP);
		remove_acts(acts, PROTO_ACT_DROP);
	}
	return err;
}

/* Takes the copy away but forgets that home will now send the page. */
NODE_MUTANT(upgrade_stays_upgrade_after_inv)
{
	bool upgrade = is_upgrade(node);
	int err = proto_node(site, node, ev, acts, access);

	if (!err && upgrade && ev->event == PROTO_INV)
		node->state = PROTO_SM;
	return err;
}

NODE_MUTANT(owner_not_downgraded)
{
	u8 state = node->state;
	bool owner = owns(node);
	int err = proto_node(site, node, ev, acts, access);

	if (!err && owner && ev->event == PROTO_FWD_GETS) {
		node->state = state;
		remove_acts(acts, PROTO_ACT_PROTECT);
	}
	return err;
}

NODE_MUTANT(read_only_in_name_alone)
{
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_FWD_GETS)
		remove_acts(acts, PROTO_ACT_PROTECT);
	return err;
}

NODE_MUTANT(supplier_keeps_mapping)
{
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_FWD_GETM) {
		remove_acts(acts, PROTO_ACT_ZAP);
		remove_acts(acts, PROTO_ACT_DROP);
	}
	return err;
}

NODE_MUTANT(early_ack_lost)
{
	u8 state = node->state;
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_INV_ACK &&
	    (state == PROTO_IM || state == PROTO_SM))
		node->acks = 0;
	return err;
}

NODE_MUTANT(done_not_sent)
{
	int err = proto_node(site, node, ev, acts, access);

	if (!err && find_msg(acts, PROTO_DONE))
		acts->nr--;
	return err;
}

NODE_MUTANT(done_before_last_ack)
{
	int err = proto_node(site, node, ev, acts, access);

	if (err || !node->acks || (ev->event != PROTO_DATA &&
				   ev->event != PROTO_GRANT))
		return err;
	add_act(acts, (struct proto_action){
			      .act = PROTO_ACT_SEND,
			      .to = 1ULL << site->home,
			      .msg = { .event = PROTO_DONE,
				       .from = site->self,
				       .txn = node->txn } });
	return 0;
}

/* ---- mutants of a node that puts pages away ---- */

NODE_MUTANT(put_without_zap)
{
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_EVICT)
		remove_acts(acts, PROTO_ACT_ZAP);
	return err;
}

NODE_MUTANT(put_lost)
{
	int err = proto_node(site, node, ev, acts, access);

	if (!err && find_msg(acts, PROTO_PUTM))
		acts->nr--;
	return err;
}

/* Does not wait for the Put-Ack with the frame. */
NODE_MUTANT(frame_freed_at_put)
{
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_EVICT && acts->nr)
		add_act(acts, (struct proto_action){ .act = PROTO_ACT_DROP });
	return err;
}

/* Lets go of a page as never written that was. */
NODE_MUTANT(written_page_put_as_zero)
{
	bool written = node->state == PROTO_M;
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_EVICT && written) {
		find_msg(acts, PROTO_PUTM)->msg.event = PROTO_PUTE;
		node->state = PROTO_EI_A;
	}
	return err;
}

NODE_MUTANT(put_of_owner_not_downgraded)
{
	u8 state = node->state;
	int err = proto_node(site, node, ev, acts, access);

	if (!err && state == PROTO_MI_A && ev->event == PROTO_FWD_GETS)
		node->state = state;
	return err;
}

/* The node may be a sharer again when the stale Put comes to home, which would
 * strike it off.
 */
NODE_MUTANT(stale_put)
{
	int err;

	if (ev->event == PROTO_PUT_ACK && ev->txn != node->txn) {
		acts->nr = 0;
		*access = PROTO_NO_ACCESS;
		return 0;
	}
	err = proto_node(site, node, ev, acts, access);
	if (!err && node->state == PROTO_II_A)
		*node = (struct proto_node){ .state = PROTO_I };
	return err;
}

NODE_MUTANT(last_copy_dropped_at_keep)
{
	struct proto_event drop = *ev;

	if (ev->event == PROTO_PUT_ACK && node->state == PROTO_SI_A)
		drop.flags = 0;
	return proto_node(site, node, &drop, acts, access);
}

NODE_MUTANT(copy_kept_at_drop)
{
	struct proto_event keep = *ev;

	if (ev->event == PROTO_PUT_ACK && node->state == PROTO_SI_A)
		keep.flags = PROTO_F_KEEP;
	return proto_node(site, node, &keep, acts, access);
}

/* ---- mutants of home ---- */

#define HOME_MUTANT(name)                                               \
	static int name(const struct proto_site *site,                  \
			struct proto_home *home, const struct proto_event *ev, \
			struct proto_actions *acts)

/* Forgets one sharer and, to be believed, does not count it either. */
HOME_MUTANT(one_sharer_forgotten)
{
	int err = proto_home(site, home, ev, acts);
	struct proto_action *inv = err ? NULL : find_msg(acts, PROTO_INV);
	unsigned int i;

	if (!inv)
		return err;
	inv->to &= inv->to - 1;
	for (i = 0; i < acts->nr; i++)
		if (acts->act[i].msg.acks)
			acts->act[i].msg.acks--;
	if (!inv->to)
		*inv = acts->act[--acts->nr];
	return 0;
}

HOME_MUTANT(one_ack_too_many)
{
	int err = proto_home(site, home, ev, acts);
	struct proto_action *fwd = err ? NULL : find_msg(acts, PROTO_FWD_GETM);

	if (fwd && find_msg(acts, PROTO_INV))
		fwd->msg.acks++;
	return err;
}

HOME_MUTANT(done_ignored)
{
	if (ev->event == PROTO_DONE) {
		acts->nr = 0;
		return 0;
	}
	return proto_home(site, home, ev, acts);
}

HOME_MUTANT(waiter_forgotten)
{
	int err = proto_home(site, home, ev, acts);

	if (!err && ev->event == PROTO_DONE)
		acts->nr = 0;
	return err;
}

HOME_MUTANT(home_does_not_block)
{
	bool late = home->busy_txn != ev->txn || home->busy_node != ev->from;

	acts->nr = 0;
	if (ev->event == PROTO_DONE && late)
		return 0;
	if (ev->event != PROTO_DONE)
		home->busy = 0;
	return proto_home(site, home, ev, acts);
}

HOME_MUTANT(zero_page_twice)
{
	struct proto_home untouched = { 0 };

	if (ev->event == PROTO_GETS && !home->busy &&
	    home->state == PROTO_EXCL)
		*home = untouched;
	return proto_home(site, home, ev, acts);
}

HOME_MUTANT(reader_not_recorded)
{
	int err = proto_home(site, home, ev, acts);

	if (!err && ev->event == PROTO_GETS && home->state == PROTO_SHARED)
		home->sharers &= ~(1ULL << ev->from);
	return err;
}

/* Counts itself among the readers when it only wants a copy. */
HOME_MUTANT(copy_in_name_alone)
{
	int err = proto_home(site, home, ev, acts);
	unsigned int i;

	for (i = 0; !err && i < acts->nr; i++)
		if (acts->act[i].act == PROTO_ACT_PULL_COPY)
			home->sharers |= 1ULL << site->self;
	return err;
}

/* ---- mutants of home, of Puts ---- */

static bool is_put(u8 event)
{
	return event == PROTO_PUTS || event == PROTO_PUTM ||
	       event == PROTO_PUTE;
}

HOME_MUTANT(put_ack_before_directory)
{
	u64 sharers = home->sharers;
	int err = proto_home(site, home, ev, acts);

	if (!err && is_put(ev->event) && home->state == PROTO_SHARED)
		home->sharers = sharers;
	return err;
}

HOME_MUTANT(put_ack_not_sent)
{
	int err = proto_home(site, home, ev, acts);

	if (!err && find_msg(acts, PROTO_PUT_ACK))
		remove_acts(acts, PROTO_ACT_SEND);
	return err;
}

HOME_MUTANT(last_sharer_dismissed)
{
	int err = proto_home(site, home, ev, acts);

	if (!err && is_put(ev->event) && home->state == PROTO_SHARED &&
	    home->sharers == 1ULL << ev->from) {
		find_msg(acts, PROTO_PUT_ACK)->msg.flags = 0;
		*home = (struct proto_home){ .state = PROTO_UNCACHED };
	}
	return err;
}

HOME_MUTANT(owner_dismissed)
{
	struct proto_event pute = *ev;

	if (ev->event == PROTO_PUTM)
		pute.event = PROTO_PUTE;
	return proto_home(site, home, &pute, acts);
}

HOME_MUTANT(put_jumps_the_queue)
{
	struct proto_home busy = *home;
	int err;

	if (!is_put(ev->event) || home->state == PROTO_UNCACHED)
		return proto_home(site, home, ev, acts);
	home->busy = 0;
	err = proto_home(site, home, ev, acts);
	if (!busy.busy)
		return err;
	home->busy = busy.busy;
	remove_acts(acts, PROTO_ACT_NEXT);
	return err;
}

HOME_MUTANT(waiter_behind_put_forgotten)
{
	int err = proto_home(site, home, ev, acts);

	if (!err && is_put(ev->event))
		remove_acts(acts, PROTO_ACT_NEXT);
	return err;
}

/* ---- mutants of the loss of a node ---- */

NODE_MUTANT(writer_at_loss)
{
	bool waits = node->state == PROTO_IM_A || node->state == PROTO_SM_A;
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_LOSS && waits)
		node->state = PROTO_M;
	return err;
}

NODE_MUTANT(dismissed_reader_at_loss)
{
	bool puts = node->state == PROTO_SI_A;
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_LOSS && puts) {
		node->state = PROTO_S;
		remove_acts(acts, PROTO_ACT_DROP);
	}
	return err;
}

NODE_MUTANT(request_outlives_loss)
{
	struct proto_node before = *node;
	int err = proto_node(site, node, ev, acts, access);

	if (!err && ev->event == PROTO_LOSS && before.state == PROTO_IM)
		*node = before;
	return err;
}

#define REBUILD_MUTANT(name)                                  \
	static int name(struct proto_home *home,              \
			const struct proto_holders *holders, bool known)

REBUILD_MUTANT(zero_after_loss)
{
	int err = proto_home_rebuild(home, holders, known);

	if (!err && home->state == PROTO_LOST)
		home->state = PROTO_UNCACHED;
	return err;
}

REBUILD_MUTANT(directory_believed)
{
	if (!known || home->busy)
		return proto_home_rebuild(home, holders, known);
	return 0;
}

REBUILD_MUTANT(survivor_not_asked)
{
	struct proto_holders fewer = *holders;

	fewer.readers &= fewer.readers - 1;
	return proto_home_rebuild(home, &fewer, known);
}

/* ---- mutants of who moves homes ---- */

HOME_MUTANT(serves_while_frozen)
{
	struct proto_site thawed = *site;

	thawed.frozen = false;
	return proto_home(&thawed, home, ev, acts);
}

HOME_MUTANT(late_request_refused)
{
	return site->self == site->home ? proto_home(site, home, ev, acts) : -EPROTO;
}

HOME_MUTANT(late_request_not_answered)
{
	int err = proto_home(site, home, ev, acts);

	if (!err && site->self != site->home)
		acts->nr = 0;
	return err;
}

NODE_MUTANT(moved_reader_loses_its_copy)
{
	bool upgrade = is_upgrade(node);
	int err = proto_node(site, node, ev, acts, access);

	if (!err && upgrade && ev->event == PROTO_MOVED)
		node->state = PROTO_I;
	return err;
}

/* A node that puts its page away believes whoever is home when the answer comes. */
NODE_MUTANT(answer_of_present_home_alone)
{
	if (ev->event == PROTO_PUT_ACK && ev->from != site->home)
		return -EPROTO;
	return proto_node(site, node, ev, acts, access);
}

/* ---- the test ---- */

#define R proto_home_rebuild, MOVE_WELL
#define MOVES_WRONGLY(bug) proto_node, proto_home, proto_home_rebuild, bug

const struct mutant mutants[] = {
	{ { "grant before the last ack", grant_before_last_ack, proto_home, R },
	  "a reader beside a writer", NO_LOSS },
	{ { "ack without a zap", proto_node_skip_zap, proto_home, R },
	  "can read against its state", NO_LOSS },
	{ { "upgrade keeps its copy after Inv", upgrade_keeps_copy_after_inv,
	    proto_home, R },
	  "a reader beside a writer", NO_LOSS },
	{ { "upgrade stays an upgrade after Inv",
	    upgrade_stays_upgrade_after_inv, proto_home, R },
	  "directory and node disagree", NO_LOSS },
	{ { "owner not downgraded by Fwd-GetS", owner_not_downgraded,
	    proto_home, R },
	  "a reader beside a writer", NO_LOSS },
	{ { "owner downgraded in name alone", read_only_in_name_alone,
	    proto_home, R },
	  "can write against its state", NO_LOSS },
	{ { "supplier keeps its mapping", supplier_keeps_mapping, proto_home, R },
	  "against its state", NO_LOSS },
	{ { "ack that overtakes the answer is lost", early_ack_lost,
	    proto_home, R },
	  "stuck", NO_LOSS },
	{ { "Done not sent", done_not_sent, proto_home, R }, "stuck", NO_LOSS },
	{ { "Done before the last ack", done_before_last_ack, proto_home, R },
	  "directory and node disagree", NO_LOSS },
	{ { "one sharer forgotten", proto_node, one_sharer_forgotten, R },
	  "a reader beside a writer", NO_LOSS },
	{ { "one ack too many expected", proto_node, one_ack_too_many, R },
	  "stuck", NO_LOSS },
	{ { "Done ignored", proto_node, done_ignored, R }, "stuck", NO_LOSS },
	{ { "waiter forgotten", proto_node, waiter_forgotten, R },
	  "home idles while somebody waits", NO_LOSS },
	{ { "home does not block", proto_node, home_does_not_block, R },
	  "illegal event", NO_LOSS },
	{ { "zero page given twice", proto_node, zero_page_twice, R },
	  "a reader beside a writer", NO_LOSS },
	{ { "reader not recorded", proto_node, reader_not_recorded, R },
	  "directory and node disagree", NO_LOSS },
	{ { "home has its copy in name alone", proto_node, copy_in_name_alone, R },
	  "directory and node disagree", FOUR },
	{ { "Put without a zap", put_without_zap, proto_home, R },
	  "against its state", NO_LOSS },
	{ { "PutM lost", put_lost, proto_home, R }, "stuck", NO_LOSS },
	{ { "frame freed at the Put", frame_freed_at_put, proto_home, R },
	  "the last written page is lost", NO_LOSS },
	{ { "written page put as zero", written_page_put_as_zero, proto_home, R },
	  "the last written page is lost", NO_LOSS },
	{ { "owner that puts not downgraded by Fwd-GetS",
	    put_of_owner_not_downgraded, proto_home, R },
	  "directory and node disagree", NO_LOSS },
	{ { "Put that was crossed is not waited for", stale_put, proto_home, R },
	  "a node waits twice at home", NO_LOSS },
	{ { "last copy dropped against Put-Ack(keep)", last_copy_dropped_at_keep,
	    proto_home, R },
	  "directory and node disagree", NO_LOSS },
	{ { "copy kept against Put-Ack(drop)", copy_kept_at_drop, proto_home, R },
	  "directory and node disagree", NO_LOSS },
	{ { "Put-Ack before the directory changes", proto_node,
	    put_ack_before_directory, R },
	  "directory and node disagree", NO_LOSS },
	{ { "Put-Ack not sent", proto_node, put_ack_not_sent, R },
	  "directory and node disagree", NO_LOSS },
	{ { "last sharer dismissed", proto_node, last_sharer_dismissed, R },
	  "the last written page is lost", NO_LOSS },
	{ { "owner dismissed", proto_node, owner_dismissed, R },
	  "directory and node disagree", NO_LOSS },
	{ { "Put jumps the queue", proto_node, put_jumps_the_queue, R },
	  "illegal event at home", NO_LOSS },
	{ { "waiter behind a Put forgotten", proto_node,
	    waiter_behind_put_forgotten, R },
	  "home idles while somebody waits", NO_LOSS },
	{ { "writer without all acks at a loss", writer_at_loss, proto_home, R },
	  "survivors hold what they cannot hold", LOSS },
	{ { "dismissed reader stays at a loss", dismissed_reader_at_loss,
	    proto_home, R },
	  "survivors hold what they cannot hold", LOSS_RARE },
	{ { "request outlives a loss", request_outlives_loss, proto_home, R },
	  "a request outlives the loss of a node", LOSS },
	{ { "lost page becomes zero", proto_node, proto_home, zero_after_loss, MOVE_WELL },
	  "the last written page is lost", LOSS },
	{ { "directory is believed after a loss", proto_node, proto_home,
	    directory_believed, MOVE_WELL },
	  "directory and node disagree", LOSS },
	{ { "one survivor is not asked", proto_node, proto_home,
	    survivor_not_asked, MOVE_WELL },
	  "directory and node disagree", LOSS },
	{ { "home serves while it is frozen", proto_node, serves_while_frozen, R },
	  "directory and node disagree", MOVES },
	{ { "late request is refused by the former home", proto_node, late_request_refused, R },
	  "illegal event at home", MOVES },
	{ { "late request is not answered by the former home", proto_node,
	    late_request_not_answered, R },
	  "stuck", MOVES },
	{ { "copy forgotten when home has moved", moved_reader_loses_its_copy, proto_home, R },
	  "can read against its state", MOVES },
	{ { "answer of the home of before not believed", answer_of_present_home_alone,
	    proto_home, R },
	  "illegal event at a node", MOVES },
	{ { "entry shipped while home is busy", MOVES_WRONGLY(SHIP_WHILE_BUSY) },
	  "directory and node disagree", MOVES },
	{ { "new home serves before all know", MOVES_WRONGLY(SERVE_BEFORE_ALL_KNOW) },
	  "illegal event at a node", MOVES },
	{ { "new home serves before the old one knows",
	    MOVES_WRONGLY(SERVE_BEFORE_OLD_HOME_KNOWS) },
	  "illegal event at a node", MOVES },
	{ { "who waits at the old home is forgotten",
	    MOVES_WRONGLY(FORGET_WHO_WAITS_AT_OLD_HOME) },
	  "stuck", MOVES },
	{ { "who waits at the new home is forgotten",
	    MOVES_WRONGLY(FORGET_WHO_WAITS_AT_NEW_HOME) },
	  "home idles while somebody waits", MOVES },
	{ { "others know the new home before it does", MOVES_WRONGLY(TELL_OTHERS_BEFORE_NEW_HOME) },
	  "illegal event at a node", MOVES_RARE },
};

const unsigned int nr_mutants = sizeof(mutants) / sizeof(mutants[0]);

static void test_mutant(const struct mutant *mutant)
{
	const struct rules *rules = &mutant->rules;
	struct setup setup = {
		.name = rules->name,
		.nr_nodes = mutant->loss == FOUR ? 4 : 3,
		.nr_pages = 1,
		.evict = mutant->loss != FOUR,
		.loss = mutant->loss == LOSS || mutant->loss == LOSS_RARE,
		.rules = rules,
		.rehome = mutant->loss >= MOVES,
	};
	struct search_result result;

	search(&setup, 500000, 0, &result);
	tap_result(result.wrong && strstr(result.wrong, mutant->caught_by),
		   "mutant is caught: %s", rules->name);
	printf("# %s after %u states, at depth %u\n",
	       result.wrong ? result.wrong : "nothing found", result.nr_states,
	       result.depth);
}

void test_mutants(void)
{
	unsigned int i;

	for (i = 0; i < nr_mutants; i++)
		test_mutant(&mutants[i]);
}
