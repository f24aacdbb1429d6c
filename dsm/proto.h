/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/proto.h - the rules of page coherence, as data and two pure functions.
 *
 * A home-based directory protocol (MESI), names as in Sorin, Hill, Wood: A
 * Primer on Memory Consistency and Cache Coherence, chapter 8. dsm/README.md
 * has the tables. Locks, memory, queues and messages are left to the caller:
 * he brings an event, gets the next state and a list of actions, and stores
 * the one and does the other. Also built as a program: see selftests/proto.
 */
#ifndef DSM_PROTO_H
#define DSM_PROTO_H

#include <linux/types.h>

#ifndef __KERNEL__
#include <stdbool.h>

typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#ifndef fallthrough
#define fallthrough __attribute__((__fallthrough__))
#endif
#endif

#define PROTO_MAX_NODES 64
#define PROTO_MAX_ACTS 4

/* A page answer's txn, grant and acks fit one 32-bit immediate word. */
#define PROTO_TXN_BITS 24
#define PROTO_TXN_MASK ((1U << PROTO_TXN_BITS) - 1)

/**
 * enum proto_msg - what nodes say to each other about one page
 *
 * The upper four bits are the message class. A class makes progress without
 * the classes before it: receiving a response never sends anything but a
 * response, a forward sends responses, a request sends forwards and responses.
 *
 * @PROTO_GETS: node to home: I want to read. txn
 * @PROTO_GETM: node to home: I want to write. txn
 * @PROTO_FWD_GETS: home to a holder: send your page to requester, keep a
 *	read-only copy. requester, txn
 * @PROTO_FWD_GETM: home to a holder: send your page to requester, keep
 *	nothing. requester, txn, acks (to be copied into PROTO_DATA)
 * @PROTO_INV: home to a sharer: drop your copy, tell requester. requester, txn
 * @PROTO_DATA: holder to requester: the page. txn, grant, acks
 * @PROTO_GRANT: home to requester: no page is needed, because you have it or
 *	because it is all zero (PROTO_F_ZERO). txn, grant, acks, flags
 * @PROTO_INV_ACK: former sharer to requester: my copy is gone. txn
 * @PROTO_DONE: requester to home: I have all; serve the next one. txn
 * @PROTO_PUTS: node to home: I want to drop my read-only copy. txn
 * @PROTO_PUTM: node to home: I want to give my only copy away. txn
 * @PROTO_PUTE: as PROTO_PUTM, but the page was never written: it is all zero,
 *	nobody needs it. txn
 * @PROTO_PUT_ACK: home to node: you hold nothing any more; or, with
 *	PROTO_F_KEEP, yours is the last copy, go on holding it. txn, flags
 * @PROTO_POISON: home to requester: the only copy was on a node that is lost. txn
 * @PROTO_MOVED: former home to requester: I am not the home any more, and you know
 *	who is: ask again. Or home, if it has no memory to serve you now. txn
 */
enum proto_msg {
	PROTO_GETS = 0x11,
	PROTO_GETM = 0x12,
	PROTO_PUTS = 0x13,
	PROTO_PUTM = 0x14,
	PROTO_PUTE = 0x15,

	PROTO_FWD_GETS = 0x21,
	PROTO_FWD_GETM = 0x22,
	PROTO_INV = 0x23,

	PROTO_DATA = 0x31,
	PROTO_GRANT = 0x32,
	PROTO_INV_ACK = 0x33,
	PROTO_DONE = 0x34,
	PROTO_PUT_ACK = 0x35,
	PROTO_POISON = 0x36,
	PROTO_MOVED = 0x37,
};

enum proto_class {
	PROTO_CLASS_REQUEST = 1,
	PROTO_CLASS_FORWARD = 2,
	PROTO_CLASS_RESPONSE = 3,
	PROTO_CLASS_LOCAL = 4, /* never on the wire */
};

/**
 * enum proto_local - events of the node itself
 * @PROTO_READ: a thread of this node wants to read
 * @PROTO_WRITE: a thread of this node wants to write
 * @PROTO_EVICT: this node wants the frame back. No actions: not now
 * @PROTO_LOSS: a node is lost, and no message of the time before is under way
 *	between survivors any more: whatever runs ends here. requester; see
 *	proto_home_rebuild()
 */
enum proto_local {
	PROTO_READ = 0x41,
	PROTO_WRITE = 0x42,
	PROTO_EVICT = 0x43,
	PROTO_LOSS = 0x44,
};

#define PROTO_NR_EVENTS 0x50

/* What a requester may do with the page; PROTO_GRANT_* fit two bits. */
enum proto_grant {
	PROTO_GRANT_S = 1, /* read */
	PROTO_GRANT_E = 2, /* read; write without asking */
	PROTO_GRANT_M = 3, /* write */
};

#define PROTO_F_ZERO 0x01 /* PROTO_GRANT: the page is all zero */
#define PROTO_F_KEEP 0x02 /* PROTO_PUT_ACK: you hold the last copy */

/**
 * struct proto_event - a message from a peer, or a local event
 * @event: enum proto_msg or enum proto_local
 * @from: sender; ignored for local events
 * @requester: forward class: whom to answer. PROTO_LOSS: who is lost
 * @grant: PROTO_DATA, PROTO_GRANT: enum proto_grant
 * @acks: PROTO_FWD_GETM, PROTO_DATA, PROTO_GRANT: Inv-Acks the requester gets
 * @flags: PROTO_F_*
 * @txn: the requester's name for its transaction. For local events: the fresh
 *	name (24 bits, never 0) to use if the event starts a transaction
 *
 * May come from the wire as it is: the rules check every field they use.
 */
struct proto_event {
	u8 event;
	u8 from;
	u8 requester;
	u8 grant;
	u8 acks;
	u8 flags;
	u32 txn;
};

/**
 * enum proto_act - what the caller has to do
 *
 * Actions are done in the order given. @PROTO_ACT_ZAP and @PROTO_ACT_PROTECT
 * come first if at all, and only they may fail or be put off (pins, residency):
 * then nothing has happened, the caller throws the whole answer away and
 * brings the same event again later, which to the protocol is a slow message.
 * From the start of the zap to the storing of the next state no local access
 * may be let in.
 *
 * @PROTO_ACT_ZAP: take the page away from every thread and device here
 * @PROTO_ACT_PROTECT: take write access away
 * @PROTO_ACT_SEND: send the small message to every node in @to
 * @PROTO_ACT_SEND_PAGE: send PROTO_DATA with the local copy to the node in @to
 * @PROTO_ACT_DROP: the local copy is not needed any more (once it is sent)
 * @PROTO_ACT_FILL: the page that came with this event is the local copy now.
 *	Nobody may see it before PROTO_ACT_GRANT
 * @PROTO_ACT_ZERO: a page of zeros is the local copy now
 * @PROTO_ACT_GRANT: the access of the next state is allowed: map, wake waiters
 * @PROTO_ACT_QUEUE: home is busy: keep the event behind those that wait
 * @PROTO_ACT_NEXT: home is free: bring the first event that waits. That is work
 *	of the request class, not of the message that woke it
 * @PROTO_ACT_WAKE: no access is granted, but the request has ended: whoever
 *	waits asks again
 * @PROTO_ACT_PULL: home: a node wants to be rid of the last copy. If this node
 *	has room and is in PROTO_I, bring it PROTO_WRITE. Only a hint: may be
 *	done later, or not at all
 * @PROTO_ACT_PULL_COPY: home: several nodes read a page that this one does not
 *	hold. If it has room and is in PROTO_I, bring it PROTO_READ: the next readers
 *	are spared the way to another node. Only a hint, as PROTO_ACT_PULL
 * @PROTO_ACT_POISON: the page is gone for ever: no access may succeed, nor wait
 *
 * A message to oneself is sent as any other; the caller just delivers it
 * without the wire.
 */
enum proto_act {
	PROTO_ACT_ZAP = 1,
	PROTO_ACT_PROTECT,
	PROTO_ACT_SEND,
	PROTO_ACT_SEND_PAGE,
	PROTO_ACT_DROP,
	PROTO_ACT_FILL,
	PROTO_ACT_ZERO,
	PROTO_ACT_GRANT,
	PROTO_ACT_QUEUE,
	PROTO_ACT_NEXT,
	PROTO_ACT_WAKE,
	PROTO_ACT_PULL,
	PROTO_ACT_PULL_COPY,
	PROTO_ACT_POISON,
};

/**
 * struct proto_action - one thing to do
 * @to: bit n = send to node n; valid for the two sends, as all that follows
 * @msg: the message: fields as in struct proto_event, @msg.from filled in
 * @act: enum proto_act
 */
struct proto_action {
	u64 to;
	struct proto_event msg;
	u8 act;
};

struct proto_actions {
	u8 nr;
	struct proto_action act[PROTO_MAX_ACTS];
};

/**
 * enum proto_node_state - what one node holds of a page
 *
 * The transient states are named from-to, and _A when the answer is here and
 * only acks are missing. PROTO_SM and PROTO_SM_A can be read. While a page is
 * put away its frame is kept for those whom home may send, but nobody here has
 * access: it was zapped before the Put.
 */
enum proto_node_state {
	PROTO_I = 0, /* nothing */
	PROTO_S, /* read-only copy */
	PROTO_E, /* the only copy; a write makes it M, silently */
	PROTO_M, /* the only copy, written */
	PROTO_IS, /* GetS sent */
	PROTO_IM, /* GetM sent */
	PROTO_IM_A,
	PROTO_SM, /* GetM sent, still holding a read-only copy */
	PROTO_SM_A,
	PROTO_SI_A, /* Put sent, still a sharer as far as is known here */
	PROTO_EI_A, /* PutE sent, still the owner, all zero */
	PROTO_MI_A, /* PutM sent, still the owner */
	PROTO_II_A, /* Put sent, then home took the copy for another node */
	PROTO_NR_NODE_STATES,
};

/**
 * struct proto_node - what a node knows of one page; all zero = nothing
 * @txn: name of the running transaction, in transient states
 * @state: enum proto_node_state
 * @acks: Inv-Acks still to come; below zero when they overtook the answer
 * @asked: in transient states: whom the request went to, home at that time
 */
struct proto_node {
	u32 txn;
	u8 state;
	s8 acks;
	u8 asked;
};

/** enum proto_home_state - the directory's view of a page */
enum proto_home_state {
	PROTO_UNCACHED = 0, /* all zero, nobody holds it */
	PROTO_SHARED, /* read-only copies at @sharers */
	PROTO_EXCL, /* the only copy at @owner */
	PROTO_LOST, /* the only copy was on a node that is lost */
	PROTO_NR_HOME_STATES,
};

/**
 * struct proto_home - directory entry; all zero = untouched page
 * @sharers: bit n = node n has a read-only copy; PROTO_SHARED only
 * @busy_txn: transaction being served
 * @state: enum proto_home_state; while busy, as it is after the transaction
 * @owner: PROTO_EXCL only
 * @busy: 0, or the request being served (PROTO_GETS, PROTO_GETM)
 * @busy_node: its requester
 */
struct proto_home {
	u64 sharers;
	u32 busy_txn;
	u8 state;
	u8 owner;
	u8 busy;
	u8 busy_node;
};

/**
 * struct proto_site - who is asking the rules
 * @self: this node
 * @home: home of the page, as far as this node knows
 * @frozen: this node is home, but its directory entry is on its way here or from
 *	here: requests wait, what is under way ends
 *
 * A page moves from home a to home b in these steps, one after the other:
 * a freezes; when a is not busy, b gets the entry and is frozen too, and takes itself
 * for home; all others learn that b is home; a learns it, and brings each event that
 * waits to the rules again (they answer PROTO_MOVED, now and ever after); b thaws and
 * brings the first event that waits.
 */
struct proto_site {
	u8 self;
	u8 home;
	bool frozen;
};

/* For local events: whether the access may go on. */
enum proto_access {
	PROTO_NO_ACCESS = 0, /* not a local event */
	PROTO_HIT, /* go on, under the lock that protects the state */
	PROTO_WAIT, /* wait for PROTO_ACT_GRANT, then ask again */
};

/**
 * proto_node() - an event at a node that holds or wants a page
 * @site: this node and the home of the page
 * @node: state, replaced by the next one
 * @ev: PROTO_READ, PROTO_WRITE, PROTO_EVICT, forward class, or response except
 *	PROTO_DONE
 * @out_acts: what to do
 * @out_access: for local events
 *
 * To be able to throw the answer away, call it on a copy of @node.
 *
 * Return: 0, or -EPROTO when no correct peer can cause this; then *@node is
 * unchanged and there are no actions.
 */
int proto_node(const struct proto_site *site, struct proto_node *node,
	       const struct proto_event *ev, struct proto_actions *out_acts,
	       enum proto_access *out_access);

/**
 * proto_home() - an event at the home of a page, or at who was that
 * @site: this node
 * @home: directory entry, replaced by the next one
 * @ev: request class, or PROTO_DONE
 * @out_acts: what to do
 *
 * Where @site says that home is elsewhere, @home is all zero and stays so.
 *
 * A node has at most one request per page under way, so at most
 * PROTO_MAX_NODES events wait in the caller's queue; a second one of the same
 * node there is a protocol error the caller sees and the rules cannot.
 *
 * Return: as proto_node().
 */
int proto_home(const struct proto_site *site, struct proto_home *home,
	       const struct proto_event *ev, struct proto_actions *out_acts);

/**
 * proto_home_refuse() - a request that the caller has no memory to bring to the rules, or
 * to have wait: as if it had never come, whoever sent it is what it was and asks again
 * @ev: request class
 *
 * Return: as proto_node().
 */
int proto_home_refuse(const struct proto_site *site, const struct proto_event *ev,
		      struct proto_actions *out_acts);

/**
 * proto_home_forget() - nobody holds the page, as far as home knows now
 * @home: as it was; all zero at a new home
 * @known: @home is the entry of before: the home has survived
 *
 * First step of proto_home_rebuild(), for who hears of the holders one by one.
 */
void proto_home_forget(struct proto_home *home, bool known);

/**
 * proto_home_heard() - after proto_home_forget(): what one survivor holds
 * @state: PROTO_S, PROTO_E or PROTO_M
 *
 * Return: 0, or -EPROTO when survivors cannot hold that.
 */
int proto_home_heard(struct proto_home *home, u8 node, u8 state);

/**
 * struct proto_holders - what the survivors hold of a page, after PROTO_LOSS
 * @readers: bit n = node n is in PROTO_S
 * @owners: bit n = node n is in PROTO_E or PROTO_M
 */
struct proto_holders {
	u64 readers;
	u64 owners;
};

/**
 * proto_home_rebuild() - the directory entry after the loss of a node
 * @home: as it was; all zero at a new home
 * @holders: from all survivors
 * @known: @home is the entry of before: the home has survived
 *
 * When a node is lost, survivors start nothing new, deliver what is under way
 * between them (home serves nobody, and forgets who waits), bring PROTO_LOSS to
 * every page, and tell its home, or its new home, what they hold. Pages that
 * nobody holds are poisoned unless they are known to be untouched. Then all goes
 * on, and who waited asks again.
 *
 * Return: as proto_node(); -EPROTO when survivors cannot hold that.
 */
int proto_home_rebuild(struct proto_home *home,
		       const struct proto_holders *holders, bool known);

static inline u8 proto_class_of(u8 event)
{
	return event >> 4;
}

/* Is @event for proto_home()? All others are for proto_node(). */
static inline bool proto_is_for_home(u8 event)
{
	return proto_class_of(event) == PROTO_CLASS_REQUEST ||
	       event == PROTO_DONE;
}

/* Does @event take something away, so that pins and residency may delay it? */
static inline bool proto_is_take(u8 event)
{
	return proto_class_of(event) == PROTO_CLASS_FORWARD;
}

/* Who began the transaction that a message to @receiver, or its local event, is of. */
static inline u8 proto_requester(const struct proto_event *ev, u8 receiver)
{
	if (proto_is_take(ev->event))
		return ev->requester;
	return proto_is_for_home(ev->event) ? ev->from : receiver;
}

static inline bool proto_can_read(u8 state)
{
	return state == PROTO_S || state == PROTO_E || state == PROTO_M ||
	       state == PROTO_SM || state == PROTO_SM_A;
}

/* In PROTO_E a write is allowed but must still be told by PROTO_WRITE. */
static inline bool proto_can_write(u8 state)
{
	return state == PROTO_E || state == PROTO_M;
}

static inline bool proto_is_transient(u8 state)
{
	return state >= PROTO_IS;
}

/* The immediate word of PROTO_DATA: acks 31..26, grant 25..24, txn 23..0. */
static inline u32 proto_data_to_imm(const struct proto_event *data)
{
	return (u32)data->acks << 26 | (u32)(data->grant & 3) << 24 |
	       (data->txn & PROTO_TXN_MASK);
}

static inline void proto_data_from_imm(struct proto_event *out_data, u8 from,
				       u32 imm)
{
	*out_data = (struct proto_event){
		.event = PROTO_DATA,
		.from = from,
		.grant = imm >> 24 & 3,
		.acks = imm >> 26,
		.txn = imm & PROTO_TXN_MASK,
	};
}

/* For traces and tests; "?" for an unknown value. */
const char *proto_event_name(u8 event);
const char *proto_node_state_name(u8 state);
const char *proto_home_state_name(u8 state);

#endif
