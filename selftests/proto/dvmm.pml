/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/dvmm.pml - the rules of coherence once more, for spin.
 *
 * Written from the tables of dsm/README.md, not from proto.c: two statements of
 * the same rules, checked by two tools that have nothing in common.
 *
 * One page, N nodes, node 0 is its home. Each node does up to K things (read,
 * write, put away) at times of its own choice. Messages between two nodes may
 * overtake each other; requests that wait at home are taken in any order, and
 * home may ask any sharer. Contents are abstract: fresh = as written last.
 * Asserted in each state: a writer is alone, whoever has access has what was
 * written last, no message comes to a node that cannot answer it. When nothing
 * can happen any more: nobody waits, and the directory says what nodes hold.
 *
 * MOVES: home moves from node 0 to node 1, at any time, in the steps of dsm/rehome.c.
 * LOSS: one node is lost, at any time, with all that is on its way to it; of what it
 * has sent, and of what home asks, anything may be forgotten. The survivors settle
 * and home, or the new one, has the directory from them. Not both in one run.
 *
 * BUG_ACKS, BUG_PUT, BUG_LAST, with MOVES BUG_FROZEN and BUG_EARLY, with LOSS
 * BUG_DISMISSED, BUG_WRITER and BUG_ZERO (-D) break a rule each; spin must find them.
 */
#ifndef N
#define N 3
#endif
#ifndef K
#define K 2
#endif

mtype = { GETS, GETM, PUTS, PUTM, PUTE, DONE }; /* to home */
mtype = { FWD_GETS, FWD_GETM, INV }; /* from home, for another node */
mtype = { DATA, GRANT, ZERO, INV_ACK, DROP, KEEP, MOVED, POISON }; /* answers */
mtype = { I, S, E, M, IS, IM, SM, SI, EI, MI, II }; /* a node */
mtype = { UNCACHED, SHARED, EXCL, LOST }; /* home */

#ifdef MOVES
#define H 2 /* nodes that can be home */
#else
#define H 1
#endif

/* Sorted, as their order means nothing. */
chan to_home[H * N] = [2] of { mtype }; /* of each node to each home */
chan to_node[N] = [N + 2] of { mtype, byte, byte }; /* for whom and from which home, acks */

mtype state[N] = I;
short acks[N]; /* still to come */
bool answered[N]; /* only acks are missing */
bool has[N], fresh[N], reads[N], writes[N];
bool page_flies, page_fresh; /* home serves one at a time, so one flies */
bool written;

#ifdef MOVES
mtype = { STAYS, FREEZES, SHIPPED, LEARNT, THAWED };
mtype phase = STAYS;
bool knows[N]; /* that home is node 1 */
byte asked[N];
#define home_of(n) knows[n]
#define asked_of(n) asked[n]
#define home_node(h) (h)
#define is_home(h) ((h) -> knows[1] : !knows[0])
#if defined(BUG_FROZEN)
#define serves(h) ((h) -> phase == THAWED : !knows[0])
#elif defined(BUG_EARLY)
#define serves(h) ((h) -> phase == LEARNT || phase == SHIPPED || phase == THAWED : phase == STAYS)
#else
#define serves(h) ((h) -> phase == THAWED : phase == STAYS)
#endif
#else
#define home_of(n) 0
#define asked_of(n) 0
#define is_home(h) true
#define serves(h) !losing
#endif

#ifdef LOSS
byte lost = N; /* the node that is lost */
bool losing; /* until the directory is rebuilt */
byte the_home, page_from;
#define is_here(n) ((n) != lost)
#define home_node(h) the_home
#else
#define losing false
#define is_here(n) true
#ifndef MOVES
#define home_node(h) 0
#endif
#endif

/* Which home says it, on behalf of whom. */
#define by(h, n) ((n) + 16 * (h))
#define requester(w) ((w) & 15)
#define sender(w) ((w) >> 4)

mtype dir = UNCACHED;
byte sharers, owner, busy_node;
bool busy;

#define bit(n) (1 << (n))
#define shares(n) (dir == SHARED && (sharers & bit(n)))
#define owns(n) (dir == EXCL && owner == (n))
#define holds(n) (state[n] == S || state[n] == SM || state[n] == SI || \
		  state[n] == E || state[n] == M || state[n] == EI || state[n] == MI)

/* ---- what must hold ---- */

inline check()
{
	for (c : 0 .. N - 1) {
		assert(!(reads[c] || writes[c]) || fresh[c]);
		assert(!writes[c] || !reads[(c + 1) % N] && !writes[(c + 1) % N]);
		assert(!writes[c] || !reads[(c + 2) % N] && !writes[(c + 2) % N]);
#if N > 3
		assert(!writes[c] || !reads[(c + 3) % N] && !writes[(c + 3) % N]);
#endif
	}
	c = 0
}

inline check_end()
{
	assert(!busy && !page_flies);
	for (c : 0 .. H * N - 1) {
		assert(len(to_home[c]) == 0)
	}
	for (c : 0 .. N - 1) {
		assert(len(to_node[c]) == 0);
		assert(state[c] == I || state[c] == S || state[c] == E || state[c] == M);
		assert((state[c] == S) == (shares(c) != 0));
		assert((state[c] == E || state[c] == M) == owns(c));
		assert(has[c] == (state[c] != I));
	}
	assert(!losing && (!written || dir != UNCACHED))
}

/* ---- messages ---- */

inline tell(n, message, whom, nr)
{
	if
	:: is_here(n) -> to_node[n]!!message(whom, nr)
	:: else
	fi
}

inline tell_home(n, message)
{
	if
	:: !losing -> to_home[asked_of(n) * N + n]!!message
	:: else /* home hears of it, or of nothing: the directory is rebuilt */
	fi
}

/* ---- memory ---- */

inline store(n)
{
	for (c : 0 .. N - 1) {
		fresh[c] = false
	}
	c = 0;
	fresh[n] = true;
	page_fresh = false;
	written = true
}

inline send_page(to, nr)
{
	assert(has[i] && !page_flies);
	if
	:: is_here(to) ->
		page_flies = true;
		page_fresh = fresh[i];
#ifdef LOSS
		page_from = i;
#endif
		to_node[to]!!DATA(0, nr)
	:: else
	fi
}

inline receive_page()
{
	assert(page_flies);
	has[i] = true;
	fresh[i] = page_fresh;
	page_flies = false;
#ifdef LOSS
	page_from = 0;
#endif
	page_fresh = false
}

inline lose_page()
{
	assert(!reads[i] && !writes[i]);
	has[i] = false;
	fresh[i] = false
}

inline zap()
{
	reads[i] = false;
	writes[i] = false
}

/* ---- a node ---- */

inline request(message, next)
{
	used++;
	state[i] = next;
	acks[i] = 0;
#ifdef MOVES
	asked[i] = home_of(i);
#endif
	tell_home(i, message)
}

inline finish(next)
{
	state[i] = next;
	answered[i] = false;
	reads[i] = (next != M);
	writes[i] = (next == M);
	if
	:: next == M -> store(i)
	:: else
	fi;
	tell_home(i, DONE)
}

inline finish_if_complete()
{
	if
#ifdef BUG_ACKS
	:: answered[i] && !writes[i] -> acks[i] = 0; finish(M)
#else
	:: answered[i] && acks[i] == 0 -> finish(M)
#endif
	:: else
	fi
}

/* What a node that loses its copy becomes. */
inline lose_copy()
{
	lose_page();
	if
	:: state[i] == SM -> state[i] = IM
	:: state[i] == SI || state[i] == EI || state[i] == MI -> state[i] = II
	:: else -> state[i] = I
	fi
}

#define wants (used < K && !losing && is_here(i))

active [N] proctype node()
{
	byte i = _pid, used = 0, whom, nr, c;

end:	do
	/* its own wishes */
	:: atomic { wants && state[i] == I -> request(GETS, IS) }
	:: atomic { wants && state[i] == I -> request(GETM, IM) }
	:: atomic { wants && state[i] == S -> request(GETM, SM) }
	:: atomic { wants && (state[i] == E || state[i] == M && writes[i]) ->
		used++; state[i] = M; reads[i] = false; writes[i] = true;
		store(i); check() }
	:: atomic { wants && state[i] == S -> zap(); request(PUTS, SI) }
	:: atomic { wants && state[i] == E -> zap(); request(PUTE, EI) }
	:: atomic { wants && state[i] == M -> zap(); request(PUTM, MI) }

	/* home asks on behalf of another */
	:: atomic { to_node[i]??FWD_GETS(whom, nr) ->
		assert(holds(i) && sender(whom) == home_of(i));
		if
		:: state[i] == E || state[i] == M ->
			reads[i] = reads[i] || writes[i]; writes[i] = false; state[i] = S
		:: state[i] == EI || state[i] == MI -> state[i] = SI
		:: else
		fi;
		send_page(requester(whom), 0); check() }
	:: atomic { to_node[i]??FWD_GETM(whom, nr) ->
		assert(holds(i) && sender(whom) == home_of(i));
		zap(); send_page(requester(whom), nr); lose_copy(); check() }
	:: atomic { to_node[i]??INV(whom, nr) ->
		assert(state[i] == S || state[i] == SM || state[i] == SI);
		assert(sender(whom) == home_of(i));
		zap(); lose_copy(); tell(requester(whom), INV_ACK, 0, 0); check() }

	/* answers */
	:: atomic { to_node[i]??DATA(whom, nr) ->
		receive_page();
		if
		:: state[i] == IS -> finish(S)
		:: state[i] == IM -> acks[i] = acks[i] + nr; answered[i] = true;
			finish_if_complete()
		fi;
		check() }
	:: atomic { to_node[i]??GRANT(whom, nr) ->
		assert(state[i] == SM && whom == asked_of(i));
		acks[i] = acks[i] + nr; answered[i] = true;
		finish_if_complete(); check() }
	:: atomic { to_node[i]??ZERO(whom, nr) ->
		assert(whom == asked_of(i));
		has[i] = true; fresh[i] = !written;
		if
		:: state[i] == IS -> finish(E)
		:: state[i] == IM -> finish(M)
		fi;
		check() }
	:: atomic { to_node[i]??INV_ACK(whom, nr) ->
#ifdef BUG_ACKS
		skip
#else
		assert(state[i] == IM || state[i] == SM);
		acks[i]--; finish_if_complete(); check()
#endif
		}
	:: atomic { to_node[i]??DROP(whom, nr) ->
		assert(whom == asked_of(i));
		if
		:: state[i] == SI || state[i] == EI -> lose_page(); state[i] = I
		:: state[i] == II -> state[i] = I
		fi }
	:: atomic { to_node[i]??KEEP(whom, nr) ->
		assert(whom == asked_of(i));
		if
		:: state[i] == SI -> state[i] = S; reads[i] = true
		:: state[i] == MI -> state[i] = M; writes[i] = true
		:: state[i] == II -> state[i] = I
		fi;
		check() }
#ifdef MOVES
	:: atomic { to_node[i]??MOVED(whom, nr) ->
		assert(whom == asked[i] && acks[i] == 0 && !answered[i]);
		if
		:: state[i] == IS || state[i] == IM || state[i] == II -> state[i] = I
		:: state[i] == SM || state[i] == SI -> state[i] = S; reads[i] = true
		:: state[i] == EI -> state[i] = E; reads[i] = true
		:: state[i] == MI -> state[i] = M; writes[i] = true
		fi;
		check() }
#endif
#ifdef LOSS
	:: atomic { to_node[i]??POISON(whom, nr) ->
		assert(acks[i] == 0 && (state[i] == IS || state[i] == IM));
		state[i] = I }
#endif
	od
}

/* ---- home ---- */

inline any_sharer(out)
{
	if
	:: sharers & bit(0) -> out = 0
	:: sharers & bit(1) -> out = 1
	:: sharers & bit(2) -> out = 2
#if N > 3
	:: sharers & bit(3) -> out = 3
#endif
	fi
}

inline serve(n)
{
	busy = true;
	busy_node = n
}

inline home_gets(n)
{
	assert(!shares(n) && !owns(n));
	serve(n);
	if
	:: dir == UNCACHED -> to_node[n]!!ZERO(h, 0); dir = EXCL; owner = n
	:: dir == SHARED -> any_sharer(to); to_node[to]!!FWD_GETS(by(h, n), 0);
		sharers = sharers | bit(n); to = 0
	:: dir == EXCL -> to_node[owner]!!FWD_GETS(by(h, n), 0);
		sharers = bit(owner) | bit(n); dir = SHARED; owner = 0
	:: dir == LOST -> to_node[n]!!POISON(h, 0); busy = false; busy_node = 0
	fi
}

inline invalidate(set, n)
{
	for (c : 0 .. N - 1) {
		if
		:: (set) & bit(c) -> to_node[c]!!INV(by(h, n), 0)
		:: else
		fi
	}
	c = 0
}

inline count_of(set, out)
{
	out = ((set) & 1) + ((set) >> 1 & 1) + ((set) >> 2 & 1) + ((set) >> 3 & 1)
}

inline home_getm(n)
{
	assert(!owns(n));
	serve(n);
	if
	:: dir == UNCACHED -> to_node[n]!!ZERO(h, 0)
	:: dir == EXCL -> to_node[owner]!!FWD_GETM(by(h, n), 0)
	:: shares(n) -> others = sharers & ~bit(n);
		count_of(others, nr);
		to_node[n]!!GRANT(h, nr); invalidate(others, n)
	:: dir == SHARED && !shares(n) -> any_sharer(to);
		others = sharers & ~bit(to);
		count_of(others, nr);
		to_node[to]!!FWD_GETM(by(h, n), nr); invalidate(others, n)
	:: dir == LOST -> to_node[n]!!POISON(h, 0); busy = false; busy_node = 0
	fi;
	if
	:: dir != LOST -> dir = EXCL; owner = n; sharers = 0; to = 0; nr = 0; others = 0
	:: else
	fi
}

/* The last copy stays; home fetches it if it waits for nothing itself. */
inline keep_last(n)
{
	to_node[n]!!KEEP(h, 0);
	if
	:: n != home_node(h) && state[home_node(h)] == I ->
		state[home_node(h)] = IM;
		acks[home_node(h)] = 0;
#ifdef MOVES
		asked[h] = h;
#endif
		to_home[h * N + home_node(h)]!!GETM
	:: else
	fi
}

inline home_put(n, zero)
{
	assert(dir != UNCACHED && dir != LOST);
	if
#ifdef BUG_PUT
	:: shares(n) && sharers != bit(n) -> sharers = sharers & ~bit(n)
#else
	:: shares(n) && sharers != bit(n) ->
		sharers = sharers & ~bit(n); to_node[n]!!DROP(h, 0)
#endif
#ifdef BUG_LAST
	:: shares(n) && sharers == bit(n) -> dir = UNCACHED; sharers = 0;
		to_node[n]!!DROP(h, 0)
#else
	:: shares(n) && sharers == bit(n) -> keep_last(n)
#endif
	:: owns(n) && zero -> dir = UNCACHED; owner = 0; to_node[n]!!DROP(h, 0)
	:: owns(n) && !zero -> keep_last(n)
	:: !shares(n) && !owns(n) -> to_node[n]!!DROP(h, 0)
	fi
}

#define from(n) to_home[h * N + n]

#define TAKES(n) \
	:: atomic { serves(h) && !busy && from(n)??[GETS] -> from(n)??GETS; home_gets(n) } \
	:: atomic { serves(h) && !busy && from(n)??[GETM] -> from(n)??GETM; home_getm(n) } \
	:: atomic { serves(h) && !busy && from(n)??[PUTS] -> from(n)??PUTS; home_put(n, false) } \
	:: atomic { serves(h) && !busy && from(n)??[PUTM] -> from(n)??PUTM; home_put(n, false) } \
	:: atomic { serves(h) && !busy && from(n)??[PUTE] -> from(n)??PUTE; home_put(n, true) } \
	:: atomic { !losing && busy && busy_node == n && from(n)??[DONE] -> \
		assert(is_home(h)); from(n)??DONE; busy = false; busy_node = 0 }

/* Home has moved: who comes here is sent away. */
#define REFUSES(n) \
	:: atomic { h == 0 && knows[0] && from(n)??[GETS] -> from(n)??GETS; to_node[n]!!MOVED(h, 0) } \
	:: atomic { h == 0 && knows[0] && from(n)??[GETM] -> from(n)??GETM; to_node[n]!!MOVED(h, 0) } \
	:: atomic { h == 0 && knows[0] && from(n)??[PUTS] -> from(n)??PUTS; to_node[n]!!MOVED(h, 0) } \
	:: atomic { h == 0 && knows[0] && from(n)??[PUTM] -> from(n)??PUTM; to_node[n]!!MOVED(h, 0) } \
	:: atomic { h == 0 && knows[0] && from(n)??[PUTE] -> from(n)??PUTE; to_node[n]!!MOVED(h, 0) }

active [H] proctype home()
{
	byte h = _pid - N, to, nr, others, c;

end:	do
	TAKES(0)
	TAKES(1)
	TAKES(2)
#if N > 3
	TAKES(3)
#endif
#ifdef MOVES
	REFUSES(0)
	REFUSES(1)
	REFUSES(2)
#if N > 3
	REFUSES(3)
#endif
#endif
	od
}

/* ---- home moves: each step is answered before the next ---- */

#ifdef MOVES
active proctype mover()
{
	phase = FREEZES;
	atomic { !busy -> phase = SHIPPED; knows[1] = true };
	knows[2] = true;
#if N > 3
	knows[3] = true;
#endif
	atomic { knows[0] = true; phase = LEARNT };
	phase = THAWED
}
#endif

/* ---- a node is lost ---- */

#ifdef LOSS
inline forget_page()
{
	page_flies = false;
	page_fresh = false;
	page_from = 0
}

/* Any of these messages to @n, or none. */
inline forget_some(n)
{
	do
	:: to_node[n]??FWD_GETS(whom, nr)
	:: to_node[n]??FWD_GETM(whom, nr)
	:: to_node[n]??INV(whom, nr)
	:: to_node[n]??INV_ACK(whom, nr)
	:: page_from == lost && to_node[n]??[DATA, whom, nr] -> to_node[n]??DATA(whom, nr); forget_page()
	:: lost == the_home && to_node[n]??[GRANT, whom, nr] -> to_node[n]??GRANT(whom, nr)
	:: lost == the_home && to_node[n]??[ZERO, whom, nr] -> to_node[n]??ZERO(whom, nr)
	:: lost == the_home && to_node[n]??[DROP, whom, nr] -> to_node[n]??DROP(whom, nr)
	:: lost == the_home && to_node[n]??[KEEP, whom, nr] -> to_node[n]??KEEP(whom, nr)
	:: break
	od
}

inline lose()
{
	if
	:: lost = 0
	:: lost = 1
	:: lost = 2
	fi;
	losing = true;
	do
	:: to_node[lost]??DATA(whom, nr) -> forget_page()
	:: !(to_node[lost]??[DATA, whom, nr]) && nempty(to_node[lost]) -> to_node[lost]?what, whom, nr
	:: empty(to_node[lost]) -> break
	od;
	state[lost] = I; acks[lost] = 0; answered[lost] = false;
	has[lost] = false; fresh[lost] = false; reads[lost] = false; writes[lost] = false;
	for (n : 0 .. N - 1) {
		do
		:: to_home[n]?what
		:: empty(to_home[n]) -> break
		od;
		forget_some(n)
	}
	n = 0; whom = 0; nr = 0; what = 0
}

/* What it becomes when nothing is under way any more. */
inline settle(n)
{
	if
	:: state[n] == IS || state[n] == II || state[n] == IM && !answered[n] -> state[n] = I
	:: state[n] == IM && answered[n] || state[n] == SM ->
#ifdef BUG_WRITER
		if
		:: answered[n] -> state[n] = M
		:: else -> state[n] = S
		fi
#else
		state[n] = S
#endif
	:: state[n] == SI || state[n] == EI ->
		if
#ifndef BUG_DISMISSED
		:: lost == the_home -> state[n] = I; has[n] = false; fresh[n] = false
#endif
		:: else -> state[n] = (state[n] == SI -> S : E)
		fi
	:: state[n] == MI -> state[n] = M
	:: else
	fi;
	acks[n] = 0; answered[n] = false;
	reads[n] = (state[n] == S || state[n] == E || state[n] == M && !writes[n]);
	if
	:: state[n] == S -> readers = readers | bit(n)
	:: state[n] == E || state[n] == M -> owners = owners | bit(n); who = n
	:: else
	fi
}

inline rebuild()
{
	for (n : 0 .. N - 1) {
		if
		:: is_here(n) -> settle(n)
		:: else
		fi
	}
	n = 0;
	assert(owners == 0 || readers == 0 && owners == bit(who));
	if
	:: owners -> dir = EXCL; owner = who; sharers = 0
	:: !owners && readers -> dir = SHARED; sharers = readers; owner = 0
	:: !owners && !readers ->
		if
#ifdef BUG_ZERO
		:: true -> dir = UNCACHED
#else
		:: dir == UNCACHED && lost != the_home
		:: else -> dir = LOST
#endif
		fi;
		sharers = 0; owner = 0
	fi;
	assert(!written || dir != UNCACHED);
	for (n : 0 .. N - 1) {
		assert(!fresh[n] || !written || dir != LOST)
	}
	n = 0; readers = 0; owners = 0; who = 0;
	busy = false; busy_node = 0;
	the_home = (lost == the_home -> (lost + 1) % N : the_home);
	losing = false
}

#define is_silent(n) empty(to_node[n])

active proctype loser()
{
	mtype what;
	byte whom, nr, n, c, readers, owners, who;

	atomic { lose() };
	atomic {
		is_silent(0) && is_silent(1) && is_silent(2)
#if N > 3
			&& is_silent(3)
#endif
		-> rebuild(); check()
	}
}
#endif

active proctype monitor()
{
	byte c;

	timeout -> check_end()
}
