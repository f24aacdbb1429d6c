// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/rules.c - each pair of state and event, one by one: either
 * it is in the tables below, or it is refused and nothing has changed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "../../dsm/proto.h"

enum { HOME = 0, SELF = 1, OTHER = 2, TXN = 5 };

static const u8 ids[] = { HOME, SELF, OTHER, 63, 64, 255 };
static const u8 acks[] = { 0, 1, 62, 63, 64, 255 };
static const u32 txns[] = { 0, TXN, TXN + 1, PROTO_TXN_MASK,
			    PROTO_TXN_MASK + 1, ~0U };

/* Rows as enum proto_node_state, columns as in node_column(). */
static const char *const node_table[PROTO_NR_NODE_STATES] = {
	/*            r w evict FwdS FwdM Inv Data Zero Grant Ack drop keep loss poison moved */
	[PROTO_I]    = "xxx.........x..",
	[PROTO_S]    = "xxxxxx......x..",
	[PROTO_E]    = "xxxxx.......x..",
	[PROTO_M]    = "xxxxx.......x..",
	[PROTO_IS]   = "xxx...xx....xxx",
	[PROTO_IM]   = "xxx...xx.x..xxx",
	[PROTO_IM_A] = "xxx......x..x..",
	[PROTO_SM]   = "xxxxxx..xx..x.x",
	[PROTO_SM_A] = "xxx......x..x..",
	[PROTO_SI_A] = "xxxxxx....xxx.x",
	[PROTO_EI_A] = "xxxxx.....x.x.x",
	[PROTO_MI_A] = "xxxxx......xx.x",
	[PROTO_II_A] = "xxx.......xxx.x",
};

static int node_column(const struct proto_event *ev)
{
	static const u8 columns[] = { PROTO_READ, PROTO_WRITE, PROTO_EVICT,
				      PROTO_FWD_GETS, PROTO_FWD_GETM, PROTO_INV,
				      PROTO_DATA, 0, PROTO_GRANT, PROTO_INV_ACK,
				      PROTO_PUT_ACK, 0, PROTO_LOSS,
				      PROTO_POISON, PROTO_MOVED };
	unsigned int i;

	if (ev->event == PROTO_GRANT && ev->flags & PROTO_F_ZERO)
		return 7;
	if (ev->event == PROTO_PUT_ACK && ev->flags & PROTO_F_KEEP)
		return 11;
	for (i = 0; i < sizeof(columns); i++)
		if (columns[i] && columns[i] == ev->event)
			return i;
	return -1;
}

enum { NR_COLUMNS = 15 };

/* Calls @try with every combination of interesting fields. */
static void each_event(u8 event, void (*try)(const struct proto_event *ev))
{
	struct proto_event ev = { .event = event };
	unsigned int i, k, m, n;

	for (i = 0; i < sizeof(ids) * sizeof(ids); i++) {
		ev.from = ids[i % sizeof(ids)];
		ev.requester = ids[i / sizeof(ids)];
		for (k = 0; k < sizeof(acks); k++) {
			ev.acks = acks[k];
			for (m = 0; m < sizeof(txns) / sizeof(txns[0]); m++) {
				ev.txn = txns[m];
				for (n = 0; n < 5 * 3; n++) {
					ev.grant = n % 5;
					ev.flags = n / 5;
					try(&ev);
				}
			}
		}
	}
}

/* ---- a node ---- */

static struct proto_node node_under_test;
static bool node_seen[PROTO_NR_NODE_STATES + 1][NR_COLUMNS];
static unsigned int nr_tried, nr_unclean, nr_disordered, nr_foreign;

static bool is_take_act(u8 act)
{
	return act == PROTO_ACT_ZAP || act == PROTO_ACT_PROTECT;
}

/* The zap is first, a grant and its Done are last. */
static bool is_ordered(const struct proto_actions *acts)
{
	unsigned int i;

	if (acts->nr > PROTO_MAX_ACTS)
		return false;
	for (i = 0; i < acts->nr; i++) {
		if (i && is_take_act(acts->act[i].act))
			return false;
		if (acts->act[i].act == PROTO_ACT_GRANT &&
		    (i + 2 != acts->nr ||
		     acts->act[i + 1].msg.event != PROTO_DONE))
			return false;
	}
	return true;
}

/* Nothing is sent in another node's name, nor to nobody. */
static bool is_own(const struct proto_actions *acts, u8 self)
{
	unsigned int i;

	for (i = 0; i < acts->nr; i++) {
		u8 act = acts->act[i].act;

		if (act != PROTO_ACT_SEND && act != PROTO_ACT_SEND_PAGE)
			continue;
		if (acts->act[i].msg.from != self || !acts->act[i].to)
			return false;
	}
	return true;
}

static void try_node(const struct proto_event *ev)
{
	struct proto_site site = { .self = SELF, .home = HOME };
	struct proto_node node = node_under_test;
	struct proto_actions out;
	enum proto_access access;
	int column = node_column(ev);
	int err = proto_node(&site, &node, ev, &out, &access);

	nr_tried++;
	if (!err) {
		nr_disordered += !is_ordered(&out);
		nr_foreign += !is_own(&out, SELF);
		if (column < 0 || node_under_test.state >= PROTO_NR_NODE_STATES)
			nr_unclean++;
		else
			node_seen[node_under_test.state][column] = true;
		return;
	}
	if (err != -EPROTO || out.nr || access != PROTO_NO_ACCESS ||
	    memcmp(&node, &node_under_test, sizeof(node)))
		nr_unclean++;
}

static s8 first_acks(u8 state)
{
	return state == PROTO_IM_A || state == PROTO_SM_A ? 2 : 0;
}

static void test_node_table(void)
{
	char row[NR_COLUMNS + 1] = "";
	unsigned int state, event, i;

	for (state = 0; state <= PROTO_NR_NODE_STATES; state++) {
		node_under_test = (struct proto_node){
			.state = state,
			.txn = state >= PROTO_IS ? TXN : 0,
			.acks = first_acks(state),
		};
		for (event = 0; event < 256; event++)
			each_event(event, try_node);
		if (state == PROTO_NR_NODE_STATES)
			break;
		for (i = 0; i < NR_COLUMNS; i++)
			row[i] = node_seen[state][i] ? 'x' : '.';
		tap_result(!strcmp(row, node_table[state]),
			   "node in %s: the events of the table are legal and no others",
			   proto_node_state_name(state));
		if (strcmp(row, node_table[state]))
			printf("# is %s, should be %s\n", row,
			       node_table[state]);
	}
}

/* ---- home ---- */

/* Columns: GetS, GetM, Done, PutS, PutM, PutE from SELF with TXN. */
static const struct home_case {
	const char *name;
	struct proto_home home;
	const char *legal;
} home_table[] = {
	{ "untouched", { 0 }, "xx...." },
	{ "shared by others", { .state = PROTO_SHARED, .sharers = 4 }, "xx.xxx" },
	{ "shared by the sender", { .state = PROTO_SHARED, .sharers = 6 },
	  ".x.xxx" },
	{ "shared by the sender alone", { .state = PROTO_SHARED, .sharers = 2 },
	  ".x.xxx" },
	{ "owned by another", { .state = PROTO_EXCL, .owner = OTHER }, "xx.xxx" },
	{ "owned by the sender", { .state = PROTO_EXCL, .owner = SELF }, "....xx" },
	{ "busy with another",
	  { .state = PROTO_EXCL, .owner = OTHER, .busy = PROTO_GETM,
	    .busy_node = OTHER, .busy_txn = TXN }, "xx.xxx" },
	{ "busy with this transaction",
	  { .state = PROTO_EXCL, .owner = SELF, .busy = PROTO_GETM,
	    .busy_node = SELF, .busy_txn = TXN }, "..x..." },
	{ "busy with the sender's transaction before",
	  { .state = PROTO_SHARED, .sharers = 6, .busy = PROTO_GETS,
	    .busy_node = SELF, .busy_txn = TXN + 1 }, "xx.xxx" },
	{ "lost", { .state = PROTO_LOST }, "xx...." },
	{ "unsound: shared by nobody", { .state = PROTO_SHARED }, "......" },
	{ "unsound: no such state", { .state = 77 }, "......" },
	{ "unsound: no such owner", { .state = PROTO_EXCL, .owner = 64 },
	  "......" },
};

enum { NR_HOME_COLUMNS = 6 };

static const struct home_case *home_under_test;
static bool home_seen[NR_HOME_COLUMNS];

static int home_column(u8 event)
{
	static const u8 columns[NR_HOME_COLUMNS] = { PROTO_GETS, PROTO_GETM,
						     PROTO_DONE, PROTO_PUTS,
						     PROTO_PUTM, PROTO_PUTE };
	int i;

	for (i = 0; i < NR_HOME_COLUMNS; i++)
		if (columns[i] == event)
			return i;
	return -1;
}

static void try_home(const struct proto_event *ev)
{
	struct proto_site site = { .self = HOME, .home = HOME };
	struct proto_home home = home_under_test->home;
	struct proto_actions out;
	int err = proto_home(&site, &home, ev, &out);
	int column = home_column(ev->event);

	nr_tried++;
	if (!err) {
		nr_disordered += out.nr > PROTO_MAX_ACTS;
		nr_foreign += !is_own(&out, HOME);
		nr_unclean += column < 0;
		if (column >= 0 && ev->from == SELF && ev->txn == TXN)
			home_seen[column] = true;
		return;
	}
	if (err != -EPROTO || out.nr ||
	    memcmp(&home, &home_under_test->home, sizeof(home)))
		nr_unclean++;
}

static void test_home_table(void)
{
	unsigned int i, k, event;
	char row[NR_HOME_COLUMNS + 1] = "";

	for (i = 0; i < sizeof(home_table) / sizeof(home_table[0]); i++) {
		home_under_test = &home_table[i];
		memset(home_seen, 0, sizeof(home_seen));
		for (event = 0; event < 256; event++)
			each_event(event, try_home);
		for (k = 0; k < NR_HOME_COLUMNS; k++)
			row[k] = home_seen[k] ? 'x' : '.';
		tap_result(!strcmp(row, home_table[i].legal),
			   "home %s: GetS, GetM, Done, PutS, PutM, PutE are legal as %s",
			   home_table[i].name, home_table[i].legal);
		if (strcmp(row, home_table[i].legal))
			printf("# is %s\n", row);
	}
}

/* ---- one wrong field each ---- */

static int ask_node(u8 state, s8 node_acks, struct proto_event ev)
{
	struct proto_site site = { .self = SELF, .home = HOME };
	struct proto_node node = { .state = state,
				   .acks = node_acks,
				   .txn = state >= PROTO_IS ? TXN : 0 };
	struct proto_actions out;
	enum proto_access access;

	return proto_node(&site, &node, &ev, &out, &access);
}

static int ask_home(u8 self, struct proto_event ev)
{
	struct proto_site site = { .self = self, .home = HOME };
	struct proto_home home = { 0 };
	struct proto_actions out;

	return proto_home(&site, &home, &ev, &out) ?: out.act[0].msg.event;
}

#define REFUSED_NODE(what, state, acks, ...)                                \
	tap_result(ask_node(state, acks, (struct proto_event){ __VA_ARGS__ }) == \
			   -EPROTO,                                         \
		   "refused: " what)
#define REFUSED_HOME(what, self, ...)                                       \
	tap_result(ask_home(self, (struct proto_event){ __VA_ARGS__ }) ==   \
			   -EPROTO,                                         \
		   "refused: " what)

static void test_forward_fields(void)
{
	REFUSED_NODE("Inv that does not come from home", PROTO_S, 0,
		     .event = PROTO_INV, .from = OTHER, .requester = 3,
		     .txn = TXN);
	REFUSED_NODE("Inv for oneself", PROTO_S, 0, .event = PROTO_INV,
		     .requester = SELF, .txn = TXN);
	REFUSED_NODE("Inv for node 64", PROTO_S, 0, .event = PROTO_INV,
		     .requester = 64, .txn = TXN);
	REFUSED_NODE("Inv without a transaction", PROTO_S, 0,
		     .event = PROTO_INV, .requester = OTHER);
	REFUSED_NODE("Inv to an owner", PROTO_M, 0, .event = PROTO_INV,
		     .requester = OTHER, .txn = TXN);
	REFUSED_NODE("Fwd-GetM with 64 acks", PROTO_S, 0,
		     .event = PROTO_FWD_GETM, .requester = OTHER, .acks = 64,
		     .txn = TXN);
	REFUSED_NODE("Fwd-GetM to an owner with acks", PROTO_M, 0,
		     .event = PROTO_FWD_GETM, .requester = OTHER, .acks = 1,
		     .txn = TXN);
}

static void test_answer_fields(void)
{
	REFUSED_NODE("Data of another transaction", PROTO_IM, 0,
		     .event = PROTO_DATA, .from = OTHER, .txn = TXN + 1,
		     .grant = PROTO_GRANT_M);
	REFUSED_NODE("Data that grants a read to a writer", PROTO_IM, 0,
		     .event = PROTO_DATA, .from = OTHER, .txn = TXN,
		     .grant = PROTO_GRANT_S);
	REFUSED_NODE("Data for a reader with acks", PROTO_IS, 0,
		     .event = PROTO_DATA, .from = OTHER, .txn = TXN,
		     .acks = 1, .grant = PROTO_GRANT_S);
	REFUSED_NODE("Data after more acks than it names", PROTO_IM, -2,
		     .event = PROTO_DATA, .from = OTHER, .txn = TXN,
		     .acks = 1, .grant = PROTO_GRANT_M);
	REFUSED_NODE("Grant that does not come from home", PROTO_SM, 0,
		     .event = PROTO_GRANT, .from = OTHER, .txn = TXN,
		     .grant = PROTO_GRANT_M);
	REFUSED_NODE("Grant with an unknown flag", PROTO_SM, 0,
		     .event = PROTO_GRANT, .txn = TXN, .flags = 2,
		     .grant = PROTO_GRANT_M);
	REFUSED_NODE("Grant without a page to a node without one", PROTO_IM, 0,
		     .event = PROTO_GRANT, .txn = TXN, .grant = PROTO_GRANT_M);
	REFUSED_NODE("zero page after an ack", PROTO_IM, -1,
		     .event = PROTO_GRANT, .txn = TXN, .flags = PROTO_F_ZERO,
		     .grant = PROTO_GRANT_M);
	REFUSED_NODE("acks without end", PROTO_IM, -PROTO_MAX_NODES,
		     .event = PROTO_INV_ACK, .from = OTHER, .txn = TXN);
	REFUSED_NODE("access without a name for the transaction", PROTO_I, 0,
		     .event = PROTO_READ);
	REFUSED_NODE("access with a name of more than 24 bits", PROTO_I, 0,
		     .event = PROTO_READ, .txn = PROTO_TXN_MASK + 1);
}

static void test_put_fields(void)
{
	REFUSED_NODE("Put-Ack that does not come from home", PROTO_SI_A, 0,
		     .event = PROTO_PUT_ACK, .from = OTHER, .txn = TXN);
	REFUSED_NODE("Put-Ack of another Put", PROTO_SI_A, 0,
		     .event = PROTO_PUT_ACK, .txn = TXN + 1);
	REFUSED_NODE("Put-Ack with an unknown flag", PROTO_SI_A, 0,
		     .event = PROTO_PUT_ACK, .txn = TXN, .flags = 4);
	REFUSED_NODE("Put-Ack that makes the owner drop the page", PROTO_MI_A,
		     0, .event = PROTO_PUT_ACK, .txn = TXN);
	REFUSED_NODE("Put-Ack that nobody waits for", PROTO_S, 0,
		     .event = PROTO_PUT_ACK, .txn = TXN);
	REFUSED_NODE("Inv to an owner that puts its page away", PROTO_MI_A, 0,
		     .event = PROTO_INV, .requester = OTHER, .txn = TXN);
	REFUSED_NODE("a Put without a name", PROTO_S, 0, .event = PROTO_EVICT);
	REFUSED_HOME("Put of a page that nobody holds", HOME,
		     .event = PROTO_PUTM, .from = OTHER, .txn = TXN);
}

static int rebuild(u8 state, u64 readers, u64 owners, bool known)
{
	struct proto_holders holders = { readers, owners };
	struct proto_home home = { .state = state, .sharers = state == PROTO_SHARED };

	return proto_home_rebuild(&home, &holders, known) ?: home.state;
}

static void test_rebuild(void)
{
	tap_result(rebuild(PROTO_SHARED, 0, 6, true) == -EPROTO,
		   "refused: two survivors own a page");
	tap_result(rebuild(PROTO_SHARED, 2, 4, true) == -EPROTO,
		   "refused: survivors read and own a page");
	tap_result(rebuild(PROTO_UNCACHED, 2, 0, true) == -EPROTO,
		   "refused: a survivor holds a page that nobody has");
	tap_result(rebuild(PROTO_UNCACHED, 0, 0, true) == PROTO_UNCACHED &&
			   rebuild(PROTO_UNCACHED, 0, 0, false) == PROTO_LOST &&
			   rebuild(PROTO_EXCL, 0, 0, true) == PROTO_LOST,
		   "a page nobody holds is lost, unless known to be untouched");
	tap_result(rebuild(PROTO_EXCL, 6, 0, true) == PROTO_SHARED &&
			   rebuild(PROTO_UNCACHED, 0, 4, false) == PROTO_EXCL,
		   "what survivors hold is in the directory again");
	REFUSED_NODE("loss of oneself", PROTO_S, 0, .event = PROTO_LOSS,
		     .requester = SELF);
	REFUSED_NODE("Poison that does not come from home", PROTO_IS, 0,
		     .event = PROTO_POISON, .from = OTHER, .txn = TXN);
}

static void test_home_fields(void)
{
	REFUSED_HOME("request from node 64", HOME, .event = PROTO_GETS,
		     .from = 64, .txn = TXN);
	REFUSED_HOME("request without a transaction", HOME,
		     .event = PROTO_GETS, .from = SELF);
	tap_result(ask_home(SELF, (struct proto_event){ .event = PROTO_GETS, .from = OTHER,
							.txn = TXN }) == PROTO_MOVED,
		   "a request to a node that is not home: home has moved");
	REFUSED_HOME("Done to a node that is not home", SELF, .event = PROTO_DONE,
		     .from = OTHER, .txn = TXN);
	REFUSED_NODE("Moved that does not come from who was asked", PROTO_IS, 0,
		     .event = PROTO_MOVED, .from = OTHER, .txn = TXN);
	REFUSED_NODE("Moved after an ack", PROTO_IM, -1, .event = PROTO_MOVED, .txn = TXN);
	REFUSED_HOME("Done while nothing is served", HOME, .event = PROTO_DONE,
		     .from = SELF, .txn = TXN);
}

static bool pulls_copy(u64 sharers, u8 from)
{
	struct proto_site site = { .self = HOME, .home = HOME };
	struct proto_home home = { .state = PROTO_SHARED, .sharers = sharers };
	struct proto_event ev = { .event = PROTO_GETS, .from = from, .txn = TXN };
	struct proto_actions out;
	unsigned int i;

	if (proto_home(&site, &home, &ev, &out))
		return false;
	for (i = 0; i < out.nr; i++)
		if (out.act[i].act == PROTO_ACT_PULL_COPY)
			return true;
	return false;
}

static void test_copies(void)
{
	tap_result(pulls_copy(6, 3), "the third reader makes home want a copy");
	tap_result(!pulls_copy(4, 3), "the second one does not");
	tap_result(!pulls_copy(7, 3), "nor does the third where home has one");
	tap_result(!pulls_copy(6, HOME), "nor where it is home itself");
}

static void test_immediate(void)
{
	struct proto_event in = { .event = PROTO_DATA, .from = OTHER,
				  .grant = PROTO_GRANT_M, .acks = 63,
				  .txn = PROTO_TXN_MASK - 1 };
	struct proto_event out;

	proto_data_from_imm(&out, OTHER, proto_data_to_imm(&in));
	tap_result(!memcmp(&in, &out, sizeof(in)),
		   "Data fits the immediate word of its page");
}

void test_rules(void)
{
	test_node_table();
	test_home_table();
	tap_result(!nr_unclean,
		   "%u events: a refused one changes nothing, a legal one is known",
		   nr_tried);
	tap_result(!nr_disordered, "the zap comes first, Done after the grant");
	tap_result(!nr_foreign, "nodes send in their own name, to somebody");
	test_forward_fields();
	test_answer_fields();
	test_put_fields();
	test_rebuild();
	test_home_fields();
	test_copies();
	test_immediate();
}
