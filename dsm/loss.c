// SPDX-License-Identifier: GPL-2.0-only
/* dsm/loss.c - a node of a VM is lost: the survivors agree on what is left of the
 * memory and go on. What that is, is proto.c's (PROTO_LOSS, proto_home_forget(),
 * proto_home_heard()); whether the VM can do without the node, the layer's above.
 *
 * The origin says which node is lost. Then each survivor takes the steps of enum
 * loss_step, and none before all have taken the one before it. One loss at a
 * time: another one meanwhile, or a survivor that is too slow, ends the VM.
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "internal.h"

#define HELD_BATCH 500 /* pages in one message */

static u64 others(const struct dsm_vm *vm)
{
	return READ_ONCE(vm->nodes) & ~BIT_ULL(vm->self);
}

/* The epoch whose steps are taken next, or now. */
static u32 next_epoch(const struct dsm_vm *vm)
{
	return vm->loss.phase == LOSS_REBUILDS ? vm->epoch : vm->epoch + 1;
}

/* ---- a node is missed ---- */

static bool needs(const struct dsm_vm *vm, u8 node)
{
	return vm->ops && vm->ops->needs_node && vm->ops->needs_node(vm->priv, node);
}

/* False: another one is lost as well, and that is not dealt with yet. */
static bool note(struct dsm_vm *vm, u8 node)
{
	struct loss *loss = &vm->loss;
	bool alone = true;

	spin_lock(&loss->lock);
	if (vm_has_node(vm, node)) {
		alone = loss->phase == LOSS_NONE && !(loss->seen & ~BIT_ULL(node));
		loss->seen |= BIT_ULL(node);
	}
	spin_unlock(&loss->lock);
	return alone;
}

/* Because homes move, or a node joins. Origin. */
static bool nodes_differ(struct dsm_vm *vm)
{
	/* Either this sees the move, or loss_is_near() what note() has noted. */
	smp_mb();
	return READ_ONCE(vm->nodes_differ);
}

bool loss_is_near(struct dsm_vm *vm)
{
	/* Pairs with nodes_differ(), which was set before. */
	smp_mb();
	return READ_ONCE(vm->loss.seen) || loss_is_dealt_with(vm);
}

void loss_seen(struct dsm_vm *vm, u8 node)
{
	if (node == vm->self || !vm_has_node(vm, node))
		return;
	if (node == vm->origin)
		vm_fail(vm, -ESTALE, "lost node %u, the origin", node);
	else if (needs(vm, node))
		vm_fail(vm, -ENOTCONN, "lost node %u", node);
	else if (!note(vm, node) || nodes_differ(vm))
		vm_fail(vm, -ENOTCONN, "lost node %u while another loss was dealt with, homes moved or a node joined",
			node);
	else
		queue_work(system_unbound_wq, &vm->loss.work);
}

static void seen_in_vm(struct dsm_vm *vm, void *node)
{
	loss_seen(vm, *(u8 *)node);
}

void loss_of_link(u8 node)
{
	vm_each(seen_in_vm, &node);
}

/* ---- steps ---- */

static int send_patiently(u8 node, const struct dvmm_msg *msg)
{
	int tries, err;

	for (tries = 0; tries < 1000; tries++) {
		err = dvmm_link_send(node, msg);
		if (err != -ENOBUFS)
			break;
		usleep_range(1000, 2000);
	}
	return err;
}

static int tell(struct dsm_vm *vm, u8 node, u8 lost, enum loss_step step)
{
	struct dvmm_msg_mem_loss payload = {
		.epoch = cpu_to_le32(next_epoch(vm)),
		.pages = cpu_to_le32(step == LOSS_FROZEN ?
				     atomic_read(&vm->loss.sent_pages[node]) : 0),
		.step = step,
		.lost = lost,
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_MEM_LOSS,
		.vm = vm->id,
		.payload = &payload,
		.len = sizeof(payload),
	};

	return send_patiently(node, &msg);
}

static int tell_others(struct dsm_vm *vm, u8 lost, enum loss_step step)
{
	u64 to = others(vm);
	int err = 0;

	/* It may live, and only a link be gone: it must not go on by itself. */
	if (step == LOSS_FROZEN && vm->self == vm->origin)
		tell(vm, lost, lost, step);
	for (; to && !err; to &= to - 1)
		err = tell(vm, __ffs64(to), lost, step);
	return err;
}

/* A node's small messages are in order; its pages are not, but counted. */
static bool all_came(const struct dsm_vm *vm, const u32 *due_pages)
{
	u64 from = others(vm);
	u8 node;

	for (; from; from &= from - 1) {
		node = __ffs64(from);
		if (atomic_read(&vm->loss.came_pages[node]) != due_pages[node])
			return false;
	}
	return true;
}

static bool all_reached(struct dsm_vm *vm, enum loss_step step)
{
	u32 parity = next_epoch(vm) & 1;
	struct loss *loss = &vm->loss;
	bool all;

	spin_lock(&loss->lock);
	all = !(others(vm) & ~loss->reached[parity][step]);
	if (all && step == LOSS_FROZEN)
		all = all_came(vm, loss->due_pages[parity]);
	spin_unlock(&loss->lock);
	return all;
}

static int reach(struct dsm_vm *vm, u8 lost, enum loss_step step, unsigned long deadline)
{
	long left = deadline - jiffies;
	int err = tell_others(vm, lost, step);

	if (err)
		return err;
	left = wait_event_timeout(vm->loss.wait, all_reached(vm, step) || vm_is_dead(vm),
				  max(left, 1L));
	if (vm_is_dead(vm))
		return -EIO;
	return left ? 0 : -ETIMEDOUT;
}

/* ---- FROZEN: nothing new begins ---- */

static void freeze(struct dsm_vm *vm, u8 lost)
{
	struct loss *loss = &vm->loss;

	spin_lock(&loss->lock);
	loss->lost = lost;
	loss->seen &= ~BIT_ULL(lost);
	WRITE_ONCE(vm->nodes, vm->nodes & ~BIT_ULL(lost));
	WRITE_ONCE(vm->lost_nodes, vm->lost_nodes | BIT_ULL(lost));
	WRITE_ONCE(loss->phase, LOSS_DRAINS);
	spin_unlock(&loss->lock);
	if (vm->ops && vm->ops->node_lost)
		vm->ops->node_lost(vm->priv, lost);
	/* Whoever has not seen that has sent what he sends. */
	page_synchronize();
	post_flush(vm);
}

/* Of a frozen page only answers to its own request are taken: they may bring the
 * only copy. Requests and takes may be lost at a loss, as the rules say.
 */
bool loss_refuses(struct dsm_vm *vm, const struct proto_event *ev, u32 epoch)
{
	/* Pairs with settle(): not the old phase with the new epoch, nor the reverse. */
	bool drains = smp_load_acquire(&vm->loss.phase) == LOSS_DRAINS;

	if ((u16)epoch == (u16)READ_ONCE(vm->epoch) && vm_has_node(vm, ev->from) &&
	    !(drains && (proto_is_for_home(ev->event) || proto_is_take(ev->event))))
		return false;
	vm_stat(vm, messages_stale);
	return true;
}

/* ---- SETTLED: what was under way has come ---- */

static bool was_put(u8 state)
{
	return state >= PROTO_SI_A && state <= PROTO_II_A;
}

static void end_request(const struct page_ref *ref, const struct proto_node *before)
{
	if (was_put(before->state))
		evict_put_ended(ref->mem->vm, ref->page->node.state != PROTO_I);
	else if (proto_is_transient(before->state))
		fetch_end(before->txn);
	ref->page->flags &= ~(PAGE_F_TAKE | PAGE_F_FORESEEN | PAGE_F_MARK);
}

/* The page lock is held; the home is still the old one. */
static int settle_page(struct op *op, u8 lost)
{
	struct dsm_vm *vm = op->ref.mem->vm;
	struct proto_node before = op->ref.page->node;
	struct proto_event ev = { .event = PROTO_LOSS, .from = vm->self, .requester = lost };
	int err = act_event(op, &ev);

	if (err)
		return err;
	end_request(&op->ref, &before);
	if (op->ref.home) {
		home_free_waiting(op->ref.home);
		proto_home_forget(&op->ref.home->home, true);
	}
	return 0;
}

static int settle_mem(struct dsm_mem *mem, u8 lost)
{
	struct op op = {};
	u64 index = 0;
	int err;

	while (!(err = page_next(mem, &index, &op.ref))) {
		page_lock(&op.ref);
		err = settle_page(&op, lost);
		page_unlock(&op.ref);
		if (err)
			break;
		cond_resched();
	}
	return err == -ENOENT ? 0 : err;
}

static int settle(struct dsm_vm *vm, u8 lost)
{
	struct dsm_mem *mem;
	int err = 0;
	u32 id = 0;

	spin_lock(&vm->loss.lock);
	WRITE_ONCE(vm->epoch, vm->epoch + 1);
	/* Who sees the new phase sees the new epoch: see loss_refuses(). */
	smp_store_release(&vm->loss.phase, LOSS_REBUILDS);
	spin_unlock(&vm->loss.lock);
	for (; !err && (mem = mem_next(vm, &id)); mem_put(mem))
		err = settle_mem(mem, lost);
	if (!err)
		home_replace_node(vm, lost, vm->origin);
	return err;
}

/* ---- REBUILT: homes hear what the others hold ---- */

/* Pages with one home, to be told to it. */
struct report {
	struct dsm_mem *mem;
	unsigned long deadline;
	u8 home;
	u32 nr;
	__le64 page[HELD_BATCH];
};

static int report_send(struct report *report)
{
	struct dsm_vm *vm = report->mem->vm;
	struct dvmm_msg_mem_held payload = {
		.mem = cpu_to_le32(report->mem->id),
		.epoch = cpu_to_le32(vm->epoch),
		.nr = cpu_to_le32(report->nr),
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_MEM_HELD,
		.vm = vm->id,
		.payload = &payload,
		.len = sizeof(payload),
		.tail = report->page,
		.tail_len = report->nr * sizeof(report->page[0]),
	};
	long left = report->deadline - jiffies;

	if (!report->nr)
		return 0;
	report->nr = 0;
	if (left <= 0 || vm_is_dead(vm))
		return -ETIMEDOUT;
	return dvmm_link_request(report->home, &msg, NULL, 0, NULL,
				 max(jiffies_to_msecs(left), 1U));
}

static int report_add(struct report *report, u8 home, u64 index, u8 state)
{
	int err = 0;

	if (report->nr == HELD_BATCH || home != report->home)
		err = report_send(report);
	report->home = home;
	report->page[report->nr++] = cpu_to_le64(index << 8 | state);
	return err;
}

static int hear(struct page_ref *ref, u8 node, u8 state)
{
	int err = -EPROTO;

	page_lock(ref);
	page_count_homed(ref);
	if (ref->home)
		err = proto_home_heard(&ref->home->home, node, state);
	page_unlock(ref);
	return err;
}

static int report_mem(struct report *report)
{
	struct dsm_mem *mem = report->mem;
	struct page_ref ref;
	u64 index = 0;
	u8 state, home;
	int err;

	while (!(err = page_next(mem, &index, &ref))) {
		state = READ_ONCE(ref.page->node.state);
		if (state == PROTO_I)
			continue;
		home = home_of(mem, ref.index);
		err = home == mem->vm->self ? hear(&ref, home, state) :
					      report_add(report, home, ref.index, state);
		if (err)
			return err;
		cond_resched();
	}
	return err == -ENOENT ? report_send(report) : err;
}

static int report_all(struct dsm_vm *vm, unsigned long deadline)
{
	struct report *report = kvzalloc(sizeof(*report), GFP_KERNEL);
	int err = 0;
	u32 id = 0;

	if (!report)
		return -ENOMEM;
	report->deadline = deadline;
	for (; !err && (report->mem = mem_next(vm, &id)); mem_put(report->mem))
		err = report_mem(report);
	kvfree(report);
	return err;
}

static int hear_all(struct dsm_mem *mem, u8 from, const __le64 *page, u32 nr)
{
	struct page_ref ref;
	int err = 0;
	u64 held;

	for (; !err && nr; nr--, page++) {
		held = le64_to_cpu(*page);
		if (held >> 8 >= mem->nr_pages)
			return -EPROTO;
		err = page_get(mem, held >> 8, GFP_KERNEL, &ref);
		if (!err)
			err = hear(&ref, from, held & 0xff);
	}
	return err;
}

int loss_held(struct dsm_vm *vm, u8 from, const struct dvmm_msg_mem_held *held)
{
	struct dsm_mem *mem = mem_find(vm, le32_to_cpu(held->mem));

	/* Its sender knows that we have settled. */
	if (!vm_has_node(vm, from) || READ_ONCE(vm->loss.phase) != LOSS_REBUILDS ||
	    le32_to_cpu(held->epoch) != READ_ONCE(vm->epoch))
		return -ESTALE;
	if (!mem)
		return -EPROTO;
	return hear_all(mem, from, (const __le64 *)(held + 1), le32_to_cpu(held->nr));
}

/* ---- all of it ---- */

static void resume(struct dsm_vm *vm, u8 lost)
{
	struct loss *loss = &vm->loss;
	u32 parity = vm->epoch & 1;

	spin_lock(&loss->lock);
	loss->ordered[parity] = 0;
	memset(loss->reached[parity], 0, sizeof(loss->reached[parity]));
	WRITE_ONCE(loss->phase, LOSS_NONE);
	spin_unlock(&loss->lock);
	page_wake_all();
	wake_up_all(&loss->wait);
	vm_stat(vm, nodes_lost);
	dvmm_event(DVMM_EVENT_VM_NODE_LOST, lost, vm->id, "goes on without the memory of node %u",
		   lost);
}

static int recover(struct dsm_vm *vm, u8 lost)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(LOSS_TIMEOUT_MS);
	int err;

	freeze(vm, lost);
	err = reach(vm, lost, LOSS_FROZEN, deadline);
	if (!err)
		err = settle(vm, lost);
	if (!err)
		err = reach(vm, lost, LOSS_SETTLED, deadline);
	if (!err)
		err = report_all(vm, deadline);
	if (!err)
		err = reach(vm, lost, LOSS_REBUILT, deadline);
	if (err)
		vm_fail(vm, err, "lost node %u, and the others could not agree on what is left: error %d",
			lost, err);
	else
		resume(vm, lost);
	return err;
}

static u8 next_lost(struct dsm_vm *vm)
{
	struct loss *loss = &vm->loss;
	u64 lost;

	spin_lock(&loss->lock);
	lost = vm->self == vm->origin ? loss->seen : loss->ordered[next_epoch(vm) & 1];
	spin_unlock(&loss->lock);
	return lost ? __ffs64(lost) : DVMM_NO_NODE;
}

static void ask_origin(struct dsm_vm *vm)
{
	u64 seen = READ_ONCE(vm->loss.seen);

	if (!seen || next_lost(vm) != DVMM_NO_NODE)
		return;
	if (tell(vm, vm->origin, __ffs64(seen), LOSS_SEEN))
		return; /* the origin is lost: that is the end by itself */
	if (!wait_event_timeout(vm->loss.wait, next_lost(vm) != DVMM_NO_NODE || vm_is_dead(vm),
				msecs_to_jiffies(LOSS_TIMEOUT_MS)))
		vm_fail(vm, -ETIMEDOUT, "lost node %llu, and the origin does not deal with it",
			(u64)__ffs64(seen));
}

static void loss_work(struct work_struct *work)
{
	struct dsm_vm *vm = container_of(work, struct dsm_vm, loss.work);
	u8 lost;

	if (!vm_enter(vm))
		return;
	if (vm->self != vm->origin)
		ask_origin(vm);
	for (lost = next_lost(vm); lost != DVMM_NO_NODE; lost = next_lost(vm))
		if (vm_is_dead(vm) || recover(vm, lost))
			break;
	vm_leave(vm);
}

/* ---- what the others say ---- */

static bool is_expected(const struct dsm_vm *vm, u32 epoch)
{
	return epoch == vm->epoch + 1 || epoch == next_epoch(vm);
}

static void order(struct dsm_vm *vm, u32 epoch, u8 lost)
{
	vm->loss.ordered[epoch & 1] = BIT_ULL(lost);
	queue_work(system_unbound_wq, &vm->loss.work);
}

/* loss->lock held */
static void note_step(struct dsm_vm *vm, u8 from, const struct dvmm_msg_mem_loss *msg)
{
	u32 epoch = le32_to_cpu(msg->epoch);
	struct loss *loss = &vm->loss;

	loss->reached[epoch & 1][msg->step] |= BIT_ULL(from);
	if (msg->step != LOSS_FROZEN)
		return;
	loss->due_pages[epoch & 1][from] = le32_to_cpu(msg->pages);
	if (from == vm->origin)
		order(vm, epoch, msg->lost);
}

static bool is_sound(const struct dsm_vm *vm, u8 from, const struct dvmm_msg_mem_loss *msg)
{
	if (!vm_had_node(vm, from) || !vm_had_node(vm, msg->lost) || msg->lost == from ||
	    msg->lost == vm->origin || memchr_inv(msg->reserved, 0, sizeof(msg->reserved)))
		return false;
	return msg->step == LOSS_SEEN ? vm->self == vm->origin : msg->step < LOSS_NR_STEPS;
}

int loss_told(struct dsm_vm *vm, u8 from, const struct dvmm_msg_mem_loss *msg)
{
	bool expected;

	if (!is_sound(vm, from, msg))
		return -EPROTO;
	if (!vm_has_node(vm, from))
		return 0;
	if (msg->step == LOSS_SEEN) {
		loss_seen(vm, msg->lost);
		return 0;
	}
	if (msg->lost == vm->self) {
		vm_fail(vm, -ESTALE, "node %u has given up this one", from);
		return 0;
	}
	spin_lock(&vm->loss.lock);
	expected = is_expected(vm, le32_to_cpu(msg->epoch));
	if (expected)
		note_step(vm, from, msg);
	spin_unlock(&vm->loss.lock);
	if (!expected)
		vm_stat(vm, messages_stale);
	wake_up_all(&vm->loss.wait);
	return 0;
}

void loss_page_sent(struct dsm_vm *vm, u8 to)
{
	atomic_inc(&vm->loss.sent_pages[to]);
}

void loss_page_came(struct dsm_vm *vm, u8 from)
{
	atomic_inc(&vm->loss.came_pages[from]);
	if (loss_drains(vm))
		wake_up_all(&vm->loss.wait);
}

void loss_wake(struct dsm_vm *vm)
{
	wake_up_all(&vm->loss.wait);
}

/* ---- a page that is lost ---- */

/* The page lock is held. */
void loss_found(const struct page_ref *ref)
{
	struct dsm_vm *vm = ref->mem->vm;
	u64 lost = READ_ONCE(vm->lost_nodes);

	if (!cmpxchg(&vm->loss.found_mem, 0, ref->mem->id))
		vm->loss.found_index = ref->index;
	vm_fail(vm, -EIO, "page %llu of memory object %u was lost with node %*pbl",
		ref->index, ref->mem->id, DVMM_MAX_NODES, &lost);
}

void loss_describe(struct dsm_vm *vm)
{
	size_t len = strlen(vm->fail_reason);

	if (vm->loss.found_mem && vm->ops && vm->ops->describe)
		vm->ops->describe(vm->priv, vm->loss.found_mem,
				  vm->loss.found_index << PAGE_SHIFT, vm->fail_reason + len,
				  sizeof(vm->fail_reason) - len);
}

/* ---- life ---- */

void loss_init_vm(struct dsm_vm *vm)
{
	spin_lock_init(&vm->loss.lock);
	init_waitqueue_head(&vm->loss.wait);
	INIT_WORK(&vm->loss.work, loss_work);
}

void loss_end_vm(struct dsm_vm *vm)
{
	cancel_work_sync(&vm->loss.work);
}
