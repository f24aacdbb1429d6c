// SPDX-License-Identifier: GPL-2.0-only
/* dsm/act.c - brings events to the rules (proto.c) and does what they say.
 *
 * Under the page lock. Messages to this node itself wait in the op and are
 * brought one after the other: a transaction of one node ends in one call.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"

#include <linux/highmem.h>

#include "bug.h"

static struct dsm_vm *vm_of(const struct op *op)
{
	return op->ref.mem->vm;
}

static void queue_self(struct op *op, const struct proto_event *ev)
{
	if (WARN_ON_ONCE(op->nr == OP_QUEUE))
		return;
	op->queue[(op->first + op->nr++) % OP_QUEUE] = *ev;
}

static bool next_self(struct op *op, struct proto_event *out_ev)
{
	if (!op->nr)
		return false;
	*out_ev = op->queue[op->first];
	op->first = (op->first + 1) % OP_QUEUE;
	op->nr--;
	return true;
}

/* Home serves nobody else before Done. Where nodes write and read in turn that counts;
 * a page that nobody has taken from here yet is most likely not wanted elsewhere now,
 * and stays a round trip anyway.
 */
static bool can_wait(const struct op *op, const struct proto_event *msg)
{
	return op->can_wait ||
	       (msg->event == PROTO_DONE && !(op->ref.page->flags & PAGE_F_TAKEN));
}

static void send(struct op *op, const struct proto_action *action)
{
	u64 to = action->to;
	u8 node;

	trace_dsm_send(&op->ref, &action->msg, to, __ffs64(to));
	for (; to; to &= to - 1) {
		node = __ffs64(to);
		if (node == vm_of(op)->self)
			queue_self(op, &action->msg);
		else
			serve_send(op->ref.mem, op->ref.index, node, &action->msg,
				   can_wait(op, &action->msg));
	}
}

static void send_page(struct op *op, const struct proto_action *action)
{
	trace_dsm_send(&op->ref, &action->msg, action->to, __ffs64(action->to));
	vm_stat(vm_of(op), pages_sent);
	serve_send_page(op->ref.mem, __ffs64(action->to), &action->msg,
			op->ref.page->frame);
}

/* The frame that was reserved is left over: the next page can be received into it. */
static int fill(struct op *op, u32 txn)
{
	if (!op->frame)
		return -EPROTO;
	page_set_frame(&op->ref, op->frame);
	op->frame = fetch_take_frame(txn);
	vm_stat(vm_of(op), pages_received);
	return 0;
}

static int zero(struct op *op, u32 txn)
{
	struct page *frame = op->frame;

	op->frame = NULL;
	if (!frame)
		frame = fetch_take_frame(txn);
	if (!frame)
		return -EPROTO;
	/* A block is zero already. */
	if (!PageCompound(frame))
		clear_highpage(frame);
	page_set_frame(&op->ref, frame);
	if (txn != FETCH_LOCAL_TXN)
		vm_stat(vm_of(op), faults_zero);
	return 0;
}

static void count_hops(struct op *op, const struct proto_event *ev, u8 home)
{
	if (ev->txn == FETCH_LOCAL_TXN)
		return;
	if (ev->event == PROTO_DATA && ev->from != home &&
	    home != vm_of(op)->self)
		vm_stat(vm_of(op), fetch_hops_3);
	else
		vm_stat(vm_of(op), fetch_hops_2);
}

static void grant(struct op *op, const struct proto_event *ev)
{
	count_hops(op, ev, op->ref.site.home);
	fetch_end(ev->txn);
	if (ev->txn != FETCH_LOCAL_TXN && !(op->ref.page->flags & PAGE_F_FORESEEN))
		op->ref.page->flags |= PAGE_F_COUNTED;
	page_granted(&op->ref);
}

static void next_waiting(struct op *op)
{
	struct proto_event ev;

	if (home_next(op->ref.home, &ev))
		queue_self(op, &ev);
}

static int node_event(struct op *op, const struct proto_event *ev,
		      enum proto_access *out_access);

/* Here is its home. Another node wants to be rid of the last copy (PROTO_WRITE), or
 * several read it (PROTO_READ).
 */
static int pull(struct op *op, u8 want)
{
	struct proto_event ev = { .event = want, .from = vm_of(op)->self };
	enum proto_access none;

	if (op->ref.page->node.state != PROTO_I || !evict_has_room(vm_of(op)) ||
	    !fetch_may_foresee(vm_of(op)))
		return 0; /* it keeps it */
	/* No fault waits for it: it need not stay until one has used it. */
	op->ref.page->flags |= PAGE_F_REGAINED;
	if (fetch_begin(op, &ev.txn)) {
		op->ref.page->flags &= ~PAGE_F_REGAINED;
		return 0;
	}
	vm_stat_add(vm_of(op), want == PROTO_READ ? DVMM_STAT_VM_pulls_copies :
						    DVMM_STAT_VM_pulls, 1);
	return node_event(op, &ev, &none);
}

/* Without a grant: a Put, or a request that nobody will serve. What a loss ends is loss.c's. */
static void request_ended(struct op *op, const struct proto_event *ev)
{
	wake_up_all(page_wait_queue(op->ref.page));
	if (ev->event == PROTO_LOSS)
		return;
	if (ev->txn == FETCH_PUT_TXN) {
		op->put_ended = true;
		evict_put_ended(vm_of(op), op->ref.page->node.state != PROTO_I);
		return;
	}
	fetch_end(ev->txn);
	op->ref.page->flags &= ~(PAGE_F_FORESEEN | PAGE_F_MARK);
}

/* For lack of memory it cannot wait here: whoever has sent it asks again. */
static int refuse(struct op *op, const struct proto_event *ev)
{
	struct proto_actions acts;
	int err = proto_home_refuse(&op->ref.site, ev, &acts);

	if (err)
		return err;
	vm_stat(vm_of(op), requests_refused);
	send(op, &acts.act[0]);
	return 0;
}

static int queue(struct op *op, const struct proto_event *ev)
{
	int err = home_queue(op->ref.home, ev);

	if (block_has(op->ref.page))
		block_split_later(&op->ref);
	return err == -ENOMEM ? refuse(op, ev) : err;
}

static int act(struct op *op, const struct proto_event *ev,
	       const struct proto_action *action)
{
	switch (action->act) {
	case PROTO_ACT_SEND:
		send(op, action);
		return 0;
	case PROTO_ACT_SEND_PAGE:
		send_page(op, action);
		return 0;
	case PROTO_ACT_DROP:
		page_drop_frame(&op->ref);
		return 0;
	case PROTO_ACT_FILL:
		return fill(op, ev->txn);
	case PROTO_ACT_ZERO:
		return zero(op, ev->txn);
	case PROTO_ACT_GRANT:
		grant(op, ev);
		return 0;
	case PROTO_ACT_QUEUE:
		return queue(op, ev);
	case PROTO_ACT_NEXT:
		next_waiting(op);
		return 0;
	case PROTO_ACT_WAKE:
		request_ended(op, ev);
		return 0;
	case PROTO_ACT_PULL:
		return pull(op, PROTO_WRITE);
	case PROTO_ACT_PULL_COPY:
		return pull(op, PROTO_READ);
	case PROTO_ACT_POISON:
		loss_found(&op->ref);
		return 0;
	default: /* ZAP, PROTECT: done before the state was stored */
		return 0;
	}
}

static int act_all(struct op *op, const struct proto_event *ev,
		   const struct proto_actions *acts)
{
	int i, err;

	for (i = 0; i < acts->nr; i++) {
		err = act(op, ev, &acts->act[i]);
		if (err)
			return err;
	}
	return 0;
}

static int home_event(struct op *op, const struct proto_event *ev)
{
	struct proto_home none = { 0 };
	struct proto_home *home = op->ref.home ? &op->ref.home->home : &none;
	struct proto_actions acts;
	int err;

	if (loss_drains(vm_of(op)))
		return 0; /* nobody is served any more */
	err = proto_home(&op->ref.site, home, ev, &acts);
	if (err)
		return err;
	if (!op->ref.home)
		vm_stat(vm_of(op), requests_moved);
	if (op->ref.site.frozen && !home->busy)
		wake_up_all(&vm_of(op)->home_quiet);
	return act_all(op, ev, &acts);
}

/* May the page go now? Zero: yes, and nobody here has it any more. */
static int take(struct op *op, const struct proto_event *ev,
		const struct proto_actions *acts)
{
	struct dsm_page *page = op->ref.page;
	u8 act = acts->nr ? acts->act[0].act : 0;
	u32 us;
	int err;

	if (act != PROTO_ACT_ZAP && act != PROTO_ACT_PROTECT)
		return 0;
	if (ev->event == PROTO_EVICT)
		return frame_zap(&op->ref);
	/* None comes while home is here. If it is not, against the rules: as a pin. */
	if (block_has(page))
		block_split_later(&op->ref);
	us = page_stay_us(&op->ref, ev->requester);
	/* That it stays makes it faster; without memory for that it goes at once. */
	if (us && !take_defer(op, ev, us)) {
		vm_stat(vm_of(op), residency_waits);
		return -EBUSY;
	}
	err = act == PROTO_ACT_ZAP ? frame_zap(&op->ref) :
				     frame_protect(&op->ref);
	if (err) {
		vm_stat(vm_of(op), take_backoffs);
		if (take_defer(op, ev, 0))
			vm_fail(vm_of(op), -ENOMEM, "no memory to wait for a pinned page to go");
		return err;
	}
	page->flags |= PAGE_F_TAKEN;
	heat_taken(&op->ref, ev->requester);
	if (!proto_can_write(page->node.state)) {
		vm_stat(vm_of(op), invalidations);
		page_invalidated(&op->ref);
		return 0;
	}
	vm_stat(vm_of(op), takes);
	page_lost(&op->ref, ev->requester, act == PROTO_ACT_ZAP);
	return 0;
}

static int node_event(struct op *op, const struct proto_event *ev,
		      enum proto_access *out_access)
{
	struct proto_node next = op->ref.page->node;
	struct proto_actions acts;
	int err;

	err = proto_node(&op->ref.site, &next, ev, &acts, out_access);
	if (err)
		return err;
	bug_break(op->ref.index, &acts);
	if (take(op, ev, &acts))
		return 0;
	if (op->ref.page->node.state == PROTO_SM && ev->event == PROTO_GRANT)
		page_upgraded(&op->ref, ev->acks);
	evict_count_copy(vm_of(op), op->ref.page->node.state, next.state);
	op->ref.page->node = next;
	return act_all(op, ev, &acts);
}

static int one_event(struct op *op, const struct proto_event *ev,
		     enum proto_access *out_access)
{
	trace_dsm_event(&op->ref, ev, ev->from, vm_of(op)->self);
	if (proto_is_for_home(ev->event))
		return home_event(op, ev);
	return node_event(op, ev, out_access);
}

static int run(struct op *op, const struct proto_event *ev,
	       enum proto_access *out_access)
{
	struct proto_event self_ev;
	enum proto_access none;
	int err;

	page_assert_locked(&op->ref);
	err = one_event(op, ev, out_access);
	while (!err && next_self(op, &self_ev))
		err = one_event(op, &self_ev, &none);
	return err;
}

int act_event(struct op *op, const struct proto_event *ev)
{
	enum proto_access none;

	return run(op, ev, &none);
}

/* Home serves again, or has moved: then all are told. Under the page lock. */
int act_waiting(struct op *op, struct dsm_home *home)
{
	struct proto_event ev;
	int err = 0;

	while (!err && !op->ref.site.frozen && !home->home.busy && home_next(home, &ev))
		err = act_event(op, &ev);
	return err;
}

/* ---- local accesses ---- */

static bool allows(u8 state, u8 want)
{
	return want == PROTO_WRITE ? proto_can_write(state) :
				     proto_can_read(state);
}

/* What a request needs is reserved before it is sent. */
static int prepare(struct op *op, u8 want, u32 *out_txn)
{
	u8 state = op->ref.page->node.state;

	*out_txn = 0;
	if (allows(state, want))
		return 0;
	if (loss_is_dealt_with(vm_of(op)))
		return -EAGAIN;
	if (!home_is_simple(&op->ref))
		return fetch_begin(op, out_txn);
	*out_txn = FETCH_LOCAL_TXN;
	if (!op->ref.page->frame)
		op->frame = fetch_frame_at_once(op);
	return op->frame || op->ref.page->frame ? 0 : -ENOMEM;
}

static void count_request(struct op *op, u8 want, u8 state_before)
{
	struct dsm_vm *vm = vm_of(op);

	vm_stat(vm, faults);
	heat_missed(&op->ref, want);
	if (want == PROTO_READ)
		vm_stat(vm, faults_remote_read);
	else if (state_before == PROTO_S)
		vm_stat(vm, faults_upgrade);
	else
		vm_stat(vm, faults_remote_write);
}

static void note_request(struct op *op, u8 wish, u8 want, u8 state_before, u32 txn)
{
	if (op->ref.page->flags & PAGE_F_FORESEEN) {
		vm_stat_add(vm_of(op), op->ref.page->flags & PAGE_F_REGAINED ?
			    DVMM_STAT_VM_regains : DVMM_STAT_VM_prefetches, 1);
		return;
	}
	if (want == PROTO_WRITE)
		page_write_wanted(&op->ref, wish != want);
	if (txn != FETCH_LOCAL_TXN)
		count_request(op, want, state_before);
}

/* A page that nodes write in turn will be written after it is read: ask once. */
static u8 foresee(const struct op *op, u8 want)
{
	const struct dsm_page *page = op->ref.page;

	return page->node.state == PROTO_I && page_will_be_written(page) ? PROTO_WRITE : want;
}

static void trace_wish(const struct page_ref *ref, u8 wish, u32 txn)
{
	struct proto_event ev = { .event = wish, .txn = txn };

	trace_dsm_wish(ref, &ev, ref->mem->vm->self, ref->mem->vm->self);
}

void act_used(const struct page_ref *ref, bool is_write)
{
	if (is_write && !(ref->page->flags & PAGE_F_WRITTEN))
		trace_wish(ref, PROTO_WRITE, 0);
	page_used(ref->page, is_write);
}

int act_access(struct op *op, u8 wish)
{
	u8 before = op->ref.page->node.state, want;
	struct proto_event ev = { .from = vm_of(op)->self };
	enum proto_access access;
	int err;

	if (vm_is_dead(vm_of(op)))
		return -EIO;
	want = foresee(op, wish);
	ev.event = want;
	/* Also a read of a page that is being upgraded: mapped read-only again, its
	 * writer would fault, take the mapping away, fault ... until the grant.
	 */
	if (proto_is_transient(before))
		return -EAGAIN;
	/* A hit changes nothing, but for the first write to PROTO_E. */
	if (before == PROTO_M || (want == PROTO_READ && proto_can_read(before)))
		return 0;
	err = prepare(op, want, &ev.txn);
	if (err)
		return err;
	if (want != wish)
		trace_wish(&op->ref, wish, ev.txn);
	if (ev.txn)
		note_request(op, wish, want, before, ev.txn);
	err = run(op, &ev, &access);
	if (op->frame) {
		put_page(op->frame);
		op->frame = NULL;
	}
	if (err) {
		fetch_end(ev.txn);
		vm_fail(vm_of(op), err, "memory object %u page %llu: rules broken here",
			op->ref.mem->id, op->ref.index);
		return -EIO;
	}
	return allows(op->ref.page->node.state, want) ? 0 : -EAGAIN;
}

/* ---- eviction ---- */

/* False: it stays as it is. */
static bool put(struct op *op)
{
	struct proto_event ev = { .event = PROTO_EVICT, .from = vm_of(op)->self,
				  .txn = FETCH_PUT_TXN };
	u8 before = op->ref.page->node.state;
	enum proto_access none;
	int err;

	atomic_long_inc(&vm_of(op)->evict.nr_putting);
	err = run(op, &ev, &none);
	if (err)
		vm_fail(vm_of(op), err, "memory object %u page %llu: rules broken here",
			op->ref.mem->id, op->ref.index);
	if (!err && op->ref.page->node.state != before)
		return true;
	if (!op->put_ended)
		atomic_long_dec(&vm_of(op)->evict.nr_putting);
	return false;
}

/* The caller has looked that home would let it go. */
bool act_evict(struct op *op)
{
	u8 before = op->ref.page->node.state;

	if (loss_is_dealt_with(vm_of(op)))
		return false;
	/* Nobody here touches it: when home comes for it, it is not lost in a fight,
	 * nor is there anybody to wait for who has not used it yet.
	 */
	page_invalidated(&op->ref);
	op->ref.page->flags |= PAGE_F_USED;
	op->ref.page->contention = 0;
	op->ref.page->returns = 0;
	if (put(op)) {
		vm_stat_add(vm_of(op), before == PROTO_S ? DVMM_STAT_VM_puts_shared :
							   DVMM_STAT_VM_puts_owned, 1);
		return true;
	}
	/* It has a pin on it, or home is here and has no memory for the Put. */
	vm_stat(vm_of(op), put_backoffs);
	return false;
}

/* ---- blocks ---- */

/* No fault waits for it. */
int act_populate(struct op *op, struct page *frame)
{
	struct proto_event ev = { .event = PROTO_READ, .from = vm_of(op)->self,
				  .txn = FETCH_LOCAL_TXN };
	enum proto_access none;
	int err;

	if (vm_is_dead(vm_of(op)) || loss_is_dealt_with(vm_of(op)) ||
	    op->ref.page->node.state != PROTO_I || !home_is_simple(&op->ref) ||
	    op->ref.home->home.state != PROTO_UNCACHED)
		return -EBUSY;
	op->frame = frame;
	err = run(op, &ev, &none);
	op->frame = NULL;
	if (err) {
		vm_fail(vm_of(op), err, "memory object %u page %llu: rules broken here",
			op->ref.mem->id, op->ref.index);
		return -EIO;
	}
	page_used(op->ref.page, false);
	return 0;
}

/* To the rules it was read here, and never written. */
static bool can_be_untouched(const struct op *op, bool is_zero)
{
	return is_zero && op->ref.page->node.state == PROTO_E && op->ref.home &&
	       !op->ref.site.frozen && !op->ref.home->home.busy;
}

/* Its block is unmapped. Who waits for the page is served then; not while a loss is dealt
 * with: they may be of before it.
 */
int act_leave_block(struct op *op, struct page **spare)
{
	bool is_zero;
	int err = 0;

	if (loss_is_dealt_with(vm_of(op)))
		return -EBUSY;
	is_zero = frame_is_zero(op->ref.page->frame);
	op->ref.site = home_site(op->ref.mem, op->ref.index);
	if (!can_be_untouched(op, is_zero) || !put(op)) {
		if (!*spare)
			return -EAGAIN;
		/* The mapping let it be written without a word to the rules. */
		if (!is_zero && op->ref.page->node.state == PROTO_E)
			err = act_access(op, PROTO_WRITE);
		if (err)
			return err;
		page_move_frame(&op->ref, *spare);
		*spare = NULL;
	}
	return op->ref.home ? act_waiting(op, op->ref.home) : 0;
}
