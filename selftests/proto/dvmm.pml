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
 * BUG_ACKS, BUG_PUT, BUG_LAST (-D) break a rule each; spin must find them.
 */
#ifndef N
#define N 3
#endif
#ifndef K
#define K 2
#endif

mtype = { GETS, GETM, PUTS, PUTM, PUTE, DONE }; /* to home */
mtype = { FWD_GETS, FWD_GETM, INV }; /* from home, for another node */
mtype = { DATA, GRANT, ZERO, INV_ACK, DROP, KEEP }; /* answers */
mtype = { I, S, E, M, IS, IM, SM, SI, EI, MI, II }; /* a node */
mtype = { UNCACHED, SHARED, EXCL }; /* home */

/* Sorted, as their order means nothing. */
chan to_home[N] = [2] of { mtype };
chan to_node[N] = [N + 2] of { mtype, byte, byte }; /* for whom, acks */

mtype state[N] = I;
short acks[N]; /* still to come */
bool answered[N]; /* only acks are missing */
bool has[N], fresh[N], reads[N], writes[N];
bool page_flies, page_fresh; /* home serves one at a time, so one flies */
bool written;

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
	for (c : 0 .. N - 1) {
		assert(len(to_home[c]) == 0 && len(to_node[c]) == 0);
		assert(state[c] == I || state[c] == S || state[c] == E || state[c] == M);
		assert((state[c] == S) == (shares(c) != 0));
		assert((state[c] == E || state[c] == M) == owns(c));
		assert(has[c] == (state[c] != I));
	}
	assert(!written || dir != UNCACHED)
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
	page_flies = true;
	page_fresh = fresh[i];
	to_node[to]!!DATA(0, nr)
}

inline receive_page()
{
	assert(page_flies);
	has[i] = true;
	fresh[i] = page_fresh;
	page_flies = false;
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
	to_home[i]!!message
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
	to_home[i]!!DONE
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

active [N] proctype node()
{
	byte i = _pid, used = 0, whom, nr, c;

end:	do
	/* its own wishes */
	:: atomic { used < K && state[i] == I -> request(GETS, IS) }
	:: atomic { used < K && state[i] == I -> request(GETM, IM) }
	:: atomic { used < K && state[i] == S -> request(GETM, SM) }
	:: atomic { used < K && (state[i] == E || state[i] == M && writes[i]) ->
		used++; state[i] = M; reads[i] = false; writes[i] = true;
		store(i); check() }
	:: atomic { used < K && state[i] == S -> zap(); request(PUTS, SI) }
	:: atomic { used < K && state[i] == E -> zap(); request(PUTE, EI) }
	:: atomic { used < K && state[i] == M -> zap(); request(PUTM, MI) }

	/* home asks on behalf of another */
	:: atomic { to_node[i]??FWD_GETS(whom, nr) ->
		assert(holds(i));
		if
		:: state[i] == E || state[i] == M ->
			reads[i] = reads[i] || writes[i]; writes[i] = false; state[i] = S
		:: state[i] == EI || state[i] == MI -> state[i] = SI
		:: else
		fi;
		send_page(whom, 0); check() }
	:: atomic { to_node[i]??FWD_GETM(whom, nr) ->
		assert(holds(i));
		zap(); send_page(whom, nr); lose_copy(); check() }
	:: atomic { to_node[i]??INV(whom, nr) ->
		assert(state[i] == S || state[i] == SM || state[i] == SI);
		zap(); lose_copy(); to_node[whom]!!INV_ACK(0, 0); check() }

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
		assert(state[i] == SM);
		acks[i] = acks[i] + nr; answered[i] = true;
		finish_if_complete(); check() }
	:: atomic { to_node[i]??ZERO(whom, nr) ->
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
		if
		:: state[i] == SI || state[i] == EI -> lose_page(); state[i] = I
		:: state[i] == II -> state[i] = I
		fi }
	:: atomic { to_node[i]??KEEP(whom, nr) ->
		if
		:: state[i] == SI -> state[i] = S; reads[i] = true
		:: state[i] == MI -> state[i] = M; writes[i] = true
		:: state[i] == II -> state[i] = I
		fi;
		check() }
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
	:: dir == UNCACHED -> to_node[n]!!ZERO(0, 0); dir = EXCL; owner = n
	:: dir == SHARED -> any_sharer(to); to_node[to]!!FWD_GETS(n, 0);
		sharers = sharers | bit(n)
	:: dir == EXCL -> to_node[owner]!!FWD_GETS(n, 0);
		sharers = bit(owner) | bit(n); dir = SHARED; owner = 0
	fi
}

inline invalidate(set, n)
{
	for (c : 0 .. N - 1) {
		if
		:: (set) & bit(c) -> to_node[c]!!INV(n, 0)
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
	:: dir == UNCACHED -> to_node[n]!!ZERO(0, 0)
	:: dir == EXCL -> to_node[owner]!!FWD_GETM(n, 0)
	:: shares(n) -> others = sharers & ~bit(n);
		count_of(others, nr);
		to_node[n]!!GRANT(0, nr); invalidate(others, n)
	:: dir == SHARED && !shares(n) -> any_sharer(to);
		others = sharers & ~bit(to);
		count_of(others, nr);
		to_node[to]!!FWD_GETM(n, nr); invalidate(others, n)
	fi;
	dir = EXCL; owner = n; sharers = 0; to = 0; nr = 0; others = 0
}

/* The last copy stays; home fetches it if it waits for nothing itself. */
inline keep_last(n)
{
	to_node[n]!!KEEP(0, 0);
	if
	:: n != 0 && state[0] == I -> state[0] = IM; acks[0] = 0; to_home[0]!!GETM
	:: else
	fi
}

inline home_put(n, zero)
{
	assert(dir != UNCACHED);
	if
#ifdef BUG_PUT
	:: shares(n) && sharers != bit(n) -> sharers = sharers & ~bit(n)
#else
	:: shares(n) && sharers != bit(n) ->
		sharers = sharers & ~bit(n); to_node[n]!!DROP(0, 0)
#endif
#ifdef BUG_LAST
	:: shares(n) && sharers == bit(n) -> dir = UNCACHED; sharers = 0;
		to_node[n]!!DROP(0, 0)
#else
	:: shares(n) && sharers == bit(n) -> keep_last(n)
#endif
	:: owns(n) && zero -> dir = UNCACHED; owner = 0; to_node[n]!!DROP(0, 0)
	:: owns(n) && !zero -> keep_last(n)
	:: !shares(n) && !owns(n) -> to_node[n]!!DROP(0, 0)
	fi
}

#define TAKES(n) \
	:: atomic { !busy && to_home[n]??[GETS] -> to_home[n]??GETS; home_gets(n) } \
	:: atomic { !busy && to_home[n]??[GETM] -> to_home[n]??GETM; home_getm(n) } \
	:: atomic { !busy && to_home[n]??[PUTS] -> to_home[n]??PUTS; home_put(n, false) } \
	:: atomic { !busy && to_home[n]??[PUTM] -> to_home[n]??PUTM; home_put(n, false) } \
	:: atomic { !busy && to_home[n]??[PUTE] -> to_home[n]??PUTE; home_put(n, true) } \
	:: atomic { busy && busy_node == n && to_home[n]??[DONE] -> \
		to_home[n]??DONE; busy = false; busy_node = 0 }

active proctype home()
{
	byte to, nr, others, c;

end:	do
	TAKES(0)
	TAKES(1)
	TAKES(2)
#if N > 3
	TAKES(3)
#endif
	od
}

active proctype monitor()
{
	byte c;

	timeout -> check_end()
}
