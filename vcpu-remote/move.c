// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/move.c - a vCPU goes to another node while the VM runs: DVMM_VCPU_MOVE, what the
 * VMM's thread does for it, and what its old and its new node do.
 *
 * 1. The new node makes a real vCPU, switched off, and hears what setup.c knows.
 * 2. The vCPU is kicked out of the guest. Its thread of the VMM finds it between two
 *    instructions (run.c), has its state saved and then loaded at the new node. Until that has
 *    succeeded nothing has changed for anybody, and any failure lets it run on where it is.
 * 3. It runs on at the new node; all others hear that interrupts for it go there.
 * 4. The old node's KVM has kept what came for it since step 2. When all nodes have
 *    said that nothing more comes (VCPU_FENCE), it sends that on, and switches the vCPU off.
 *
 * So no interrupt is lost; one that was pending in step 2 may come twice. An INIT sent between
 * 2 and 4 may be overtaken by its SIPI: guests send that twice.
 */
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include "internal.h"
#include "state.h"

#define RUN_TIMEOUT_MS 5000
#define RUN_TIMEOUT_MAX_MS 600000
#define FENCE_TIMEOUT_MS 10000
#define RECORDS_ROOM (DVMM_MSG_MAX - sizeof(struct dvmm_msg_hdr) - sizeof(struct dvmm_msg_state))

/* How often who waits looks whether the VM has ended. */
#define LOOK_MS 100

/* One move. References: the ioctl, the VMM's thread, then who sees to the old node. While any
 * is held no other vCPU of the VM moves, also when the ioctl has been given up.
 */
struct move {
	struct kref ref;
	struct vm *vm; /* a reference, and its turn: see move_begin() */
	struct vcpu *vcpu;
	struct work_struct left_work;
	u8 from;
	u8 to;
	int err;
	const char *what; /* failed */
	struct completion decided; /* it lives at @to, or it runs on at @from */
	struct completion left; /* what came late is sent on */
	int left_err;
	ktime_t stopped; /* when it was kicked */
	u64 downtime_ns;
	u32 bytes;
	u32 late;
};

int move_begin(struct vm *vm)
{
	return atomic_xchg_acquire(&vm->moves, 1) ? -EBUSY : 0;
}

void move_end(struct vm *vm)
{
	atomic_set_release(&vm->moves, 0);
}

static void move_free(struct kref *ref)
{
	struct move *move = container_of(ref, struct move, ref);

	move_end(move->vm);
	vm_put_later(move->vm);
	kfree(move);
}

static void move_put(struct move *move)
{
	kref_put(&move->ref, move_free);
}

/* ---- records in memory of their own ---- */

static struct records *records_new(void)
{
	struct records *records = kvzalloc(sizeof(*records) + RECORDS_ROOM, GFP_KERNEL);

	if (records) {
		records->start = (u8 *)(records + 1);
		records->room = RECORDS_ROOM;
	}
	return records;
}

/* ---- the two ends of a link ---- */

static u32 count_message(struct move *move, size_t payload)
{
	move->bytes += sizeof(struct dvmm_msg_hdr) + payload;
	return move->bytes;
}

static int save_there(struct vcpu *vcpu, struct move *move, struct records *records)
{
	const struct dvmm_msg_vcpu save = { .vcpu_id = cpu_to_le32(vcpu->id) };
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_SAVE,
		.vm = vcpu->vm->id,
		.payload = &save,
		.len = sizeof(save),
	};
	struct dvmm_msg_state *state = kvmalloc(DVMM_MSG_MAX, GFP_KERNEL);
	size_t len = 0;
	int err;

	if (!state)
		return -ENOMEM;
	err = ship_request(vcpu->vm, move->from, &msg, state, DVMM_MSG_MAX, &len);
	if (!err && (!wire_state_is_sound(state, len) || len - sizeof(*state) > records->room)) {
		dvmm_link_fail(move->from, "wrong reply to VCPU_SAVE");
		err = -EPROTO;
	}
	if (!err) {
		records->bytes = len - sizeof(*state);
		memcpy(records->start, state + 1, records->bytes);
		count_message(move, sizeof(save));
		count_message(move, len);
	}
	kvfree(state);
	return err;
}

static int load_there(struct vcpu *vcpu, struct move *move, const struct records *records,
		      s64 tsc_offset)
{
	const struct dvmm_msg_state state = {
		.vcpu_id = cpu_to_le32(vcpu->id),
		.records_len = cpu_to_le32(records->bytes),
		.guest_tsc_offset = cpu_to_le64(tsc_offset),
	};
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_LOAD,
		.vm = vcpu->vm->id,
		.payload = &state,
		.len = sizeof(state),
		.tail = records->start,
		.tail_len = records->bytes,
	};

	count_message(move, sizeof(state) + records->bytes);
	count_message(move, 0);
	return ship_request(vcpu->vm, move->to, &msg, NULL, 0, NULL);
}

static void tell_all(struct vcpu *vcpu, struct move *move)
{
	const struct dvmm_msg_moved moved = {
		.vcpu_id = cpu_to_le32(vcpu->id),
		.from = cpu_to_le32(move->from),
		.to = cpu_to_le32(move->to),
	};
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_MOVED,
		.vm = vcpu->vm->id,
		.payload = &moved,
		.len = sizeof(moved),
	};
	struct vm *vm = vcpu->vm;
	int node, err;

	for (node = vm_next_node(vm, -1); node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node)) {
		err = dvmm_link_send(node, &msg);
		if (err && dvmm_link_is_up(node))
			vm_die(vm, err, "a node cannot be told where a vCPU lives");
		count_message(move, sizeof(moved));
		count_message(move, sizeof(struct dvmm_msg_vcpu)); /* the fence */
	}
}

/* ---- the VMM's thread ---- */

/* Also one that was here before is switched off: that may have failed then. */
static int make_here(struct vcpu *vcpu, struct real_vcpu *real)
{
	int err = vcpu->here ? 0 : vcpu_create_here(vcpu);

	if (err)
		return err;
	real->file = vcpu->here;
	return state_switch_off(real);
}

static int come_here(struct vcpu *vcpu, struct real_vcpu *real)
{
	int err = make_here(vcpu, real);

	return err ?: setup_replay(vcpu, dvmm_node_self(), vcpu->here, real->scratch);
}

static int load_here(const struct real_vcpu *real, const struct records *records,
		     s64 tsc_offset)
{
	int err = clock_set_offset(real->file, real->scratch, tsc_offset);

	if (!err)
		err = state_load(real, records->start, records->bytes);
	/* Else it would take interrupts here, and live there. */
	if (err && state_switch_off(real))
		vm_die(real->vm, err, "a vCPU that does not live here cannot be switched off");
	return err;
}

/* From here on it lives there, whatever happens. */
static void commit(struct vcpu *vcpu, struct move *move)
{
	struct vm *vm = vcpu->vm;

	WRITE_ONCE(vcpu->node, move->to);
	vcpu->tsc_stale = false;
	atomic64_set(&vcpu->fences, 0);
	irq_vcpu_moved(vm, vcpu->id, move->from, move->to);
	tell_all(vcpu, move);
}

static int transfer(struct vcpu *vcpu, struct move *move, unsigned long scratch)
{
	struct records *records = records_new();
	struct real_vcpu real = { .vm = vcpu->vm, .file = vcpu->here, .scratch = scratch };
	u8 self = dvmm_node_self();
	s64 tsc_offset;
	int err;

	if (!records)
		return -ENOMEM;
	move->what = "the new node cannot make it";
	err = move->to == self ? come_here(vcpu, &real) : 0;
	move->what = "the TSC of the guest cannot be read";
	err = err ?: run_read_tsc(vcpu->vm, &tsc_offset);
	if (err)
		goto free_records;
	move->what = "the old node cannot tell its state";
	err = move->from == self ? state_save(&real, records) :
				   save_there(vcpu, move, records);
	if (err)
		goto free_records;
	move->what = "the new node does not take its state (see the events there)";
	err = move->to == self ? load_here(&real, records, tsc_offset) :
				 load_there(vcpu, move, records, tsc_offset);
	if (err)
		goto free_records;
	if (move->from == self) {
		/* Perhaps the last one here whose TSC tells. */
		vcpu->vm->guest_tsc_offset = tsc_offset;
		kvfree(vcpu->saved);
		swap(vcpu->saved, records);
		records = NULL;
	}
free_records:
	kvfree(records);
	return err;
}

static int move_it(struct vcpu *vcpu, struct move *move)
{
	unsigned long scratch = 0;
	int err;

	if (move->from == dvmm_node_self() || move->to == dvmm_node_self()) {
		scratch = vcpu_scratch();
		move->what = "no memory";
		if (IS_ERR_VALUE(scratch))
			return scratch;
	}
	err = transfer(vcpu, move, scratch);
	if (scratch)
		vcpu_free_scratch(scratch);
	return err;
}

bool move_is_asked(struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->move);
}

static struct move *take_move(struct vcpu *vcpu)
{
	struct move *move;

	spin_lock(&vcpu->server.lock);
	move = vcpu->move;
	WRITE_ONCE(vcpu->move, NULL);
	spin_unlock(&vcpu->server.lock);
	return move;
}

static u64 rtt_of(u8 node)
{
	return node == dvmm_node_self() ? 0 : dvmm_link_rtt_ns(node);
}

void move_now(struct vcpu *vcpu)
{
	struct move *move = take_move(vcpu);

	if (!move)
		return;
	move->err = move_it(vcpu, move);
	if (!move->err) {
		commit(vcpu, move);
		/* The run is sent at once, and begins when it arrives. */
		move->downtime_ns = ktime_to_ns(ktime_sub(ktime_get(), move->stopped)) +
				    rtt_of(move->to) / 2;
	}
	complete(&move->decided);
	if (move->err)
		move_put(move);
	else if (move->from == dvmm_node_self())
		vcpu->leaving = move;
	else
		vm_queue_work(&move->left_work);
}

/* ---- the old node ---- */

static bool fences_are_there(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u64 others = READ_ONCE(vm->nodes) & ~BIT_ULL(dvmm_node_self());

	return vm_is_dead(vm) || !(others & ~(u64)atomic64_read(&vcpu->fences));
}

/* A node that is lost meanwhile sends none, so look again now and then. */
static int wait_fences(struct vcpu *vcpu)
{
	unsigned long end = jiffies + msecs_to_jiffies(FENCE_TIMEOUT_MS);
	long left;

	do {
		left = wait_event_killable_timeout(vcpu->wait, fences_are_there(vcpu), HZ / 10);
		if (left)
			return left < 0 ? left : 0;
	} while (time_before(jiffies, end));
	vm_die(vcpu->vm, -ETIMEDOUT, "a node does not say that it knows where a vCPU moved");
	return -ETIMEDOUT;
}

int move_left(const struct real_vcpu *real, struct vcpu *vcpu, u32 *out_late)
{
	struct late late;
	int err = wait_fences(vcpu);

	*out_late = 0;
	if (vm_is_dead(vcpu->vm))
		return -EIO;
	if (!vcpu->saved)
		return -EPROTO;
	if (!err) {
		irq_settle(vcpu->vm);
		err = state_late(real, vcpu->saved, &late);
	}
	if (!err)
		err = state_switch_off(real);
	if (!err)
		*out_late = irq_send_late(vcpu->vm, vcpu->id, &late);
	kvfree(vcpu->saved);
	vcpu->saved = NULL;
	return err;
}

static int leave(struct vcpu *vcpu, struct move *move)
{
	struct real_vcpu real = {
		.vm = vcpu->vm,
		.file = vcpu->here,
		.scratch = vcpu_scratch(),
	};
	int err;

	if (IS_ERR_VALUE(real.scratch))
		return real.scratch;
	err = move_left(&real, vcpu, &move->late);
	vcpu_free_scratch(real.scratch);
	return err;
}

void move_leave(struct vcpu *vcpu)
{
	struct move *move = vcpu->leaving;
	int err = leave(vcpu, move);

	vcpu->leaving = NULL;
	move->left_err = err;
	if (err)
		vm_die(vcpu->vm, err, "a vCPU that has moved cannot be switched off where it was");
	complete(&move->left);
	move_put(move);
}

/* What has come late may be a guest's only interrupt: without it, it would wait for ever. */
static void leave_there(struct work_struct *work)
{
	struct move *move = container_of(work, struct move, left_work);
	const struct dvmm_msg_vcpu left = { .vcpu_id = cpu_to_le32(move->vcpu->id) };
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_LEFT,
		.vm = move->vm->id,
		.payload = &left,
		.len = sizeof(left),
	};
	__le32 late = 0;
	int err;

	count_message(move, sizeof(left));
	count_message(move, sizeof(late));
	err = ship_request(move->vm, move->from, &msg, &late, sizeof(late), NULL);
	if (err)
		vm_die(move->vm, err, "a vCPU that has moved cannot be switched off where it was");
	move->late = le32_to_cpu(late);
	move->left_err = err;
	complete(&move->left);
	move_put(move);
}

int move_saved(const struct real_vcpu *real, struct vcpu *vcpu)
{
	struct records *records = records_new();
	int err;

	if (!records)
		return -ENOMEM;
	err = state_save(real, records);
	if (err) {
		kvfree(records);
		return err;
	}
	kvfree(vcpu->saved);
	vcpu->saved = records;
	atomic64_set(&vcpu->fences, 0);
	return 0;
}

/* Any context that may take vm->irq's lock. */
int move_fence(struct vm *vm, u8 from, const struct dvmm_msg_vcpu *fence, size_t len)
{
	struct vcpu *vcpu;

	if (len != sizeof(*fence))
		return -EPROTO;
	vcpu = vcpu_find(vm, le32_to_cpu(fence->vcpu_id));
	if (!vcpu)
		return -EPROTO;
	atomic64_or(BIT_ULL(from), &vcpu->fences);
	wake_up_all(&vcpu->wait);
	return 0;
}

/* ---- the new node, and all others ---- */

int move_loaded(const struct real_vcpu *real, struct vcpu *vcpu,
		const struct dvmm_msg_state *state)
{
	struct vm *vm = vcpu->vm;
	const struct records records = {
		.start = (u8 *)(state + 1),
		.bytes = le32_to_cpu(state->records_len),
	};
	u8 self = dvmm_node_self();
	s64 offset;
	int err;

	vm->guest_tsc_offset = le64_to_cpu(state->guest_tsc_offset);
	err = clock_slice_offset(vm, &offset);
	if (!err)
		err = load_here(real, &records, offset);
	if (err)
		return err;
	WRITE_ONCE(vcpu->node, self);
	irq_vcpu_moved(vm, vcpu->id, self, self);
	drain_undo(vm);
	return 0;
}

int move_message(struct vm *vm, const struct dvmm_msg_moved *moved, size_t len)
{
	u32 id = le32_to_cpu(moved->vcpu_id);
	u32 from = le32_to_cpu(moved->from);
	u32 to = le32_to_cpu(moved->to);
	u64 nodes = READ_ONCE(vm->nodes) | READ_ONCE(vm->lost_nodes);
	struct vcpu *vcpu;

	if (!wire_moved_is_sound(moved, len, nodes))
		return -EPROTO;
	/* From here: no fence. */
	irq_vcpu_moved(vm, id, from == DVMM_NO_NODE ? dvmm_node_self() : from, to);
	vcpu = vcpu_find(vm, id);
	if (vcpu)
		WRITE_ONCE(vcpu->node, to);
	return 0;
}

/* ---- the ioctl ---- */

/* The caller has begun; the last reference ends that. */
static struct move *move_new(struct vcpu *vcpu, u8 to)
{
	struct move *move = kzalloc(sizeof(*move), GFP_KERNEL);

	if (!move)
		return NULL;
	kref_init(&move->ref);
	init_completion(&move->decided);
	init_completion(&move->left);
	INIT_WORK(&move->left_work, leave_there);
	move->vm = vm_get(vcpu->vm);
	move->vcpu = vcpu;
	move->from = vcpu->node;
	move->to = to;
	return move;
}

static long check(struct vm *vm, struct vcpu *vcpu, struct dvmm_vcpu_move *args)
{
	u32 to = args->node_id;

	if (!vcpu)
		return excuse(args, -ENOENT, "the VMM has not created vCPU %u", args->vcpu_id);
	if (!vcpu->area)
		return excuse(args, -ENOTCONN, WHY_IT_CANNOT_GROW);
	if (to >= DVMM_MAX_NODES)
		return excuse(args, -EINVAL, "%u is no node", to);
	if (!(READ_ONCE(vm->nodes) & BIT_ULL(to)))
		return excuse(args, -ENOTCONN, "node %u has no part in the VM: it may join it", to);
	if (to != dvmm_node_self() && !dvmm_link_is_up(to))
		return excuse(args, -ENOTCONN, "there is no link to node %u", to);
	if (READ_ONCE(vcpu->node) == to)
		return excuse(args, -EEXIST, "vCPU %u lives on node %u already", vcpu->id, to);
	return 0;
}

/* It is not there yet, so no interrupt has gone anywhere: nobody owes a fence. */
static void change_place(struct vcpu *vcpu, u8 to)
{
	struct move move = { .from = DVMM_NO_NODE, .to = to };

	WRITE_ONCE(vcpu->node, to);
	irq_vcpu_moved(vcpu->vm, vcpu->id, dvmm_node_self(), to);
	tell_all(vcpu, &move);
	dvmm_event(DVMM_EVENT_VCPU_MOVED, to, vcpu->vm->id,
		   "%s: vCPU %u, when it comes, lives on node %u", vcpu->vm->name, vcpu->id, to);
}

/* The VMM has not created it yet. Under the turn of move_begin(). */
static long move_place(struct vcpu *vcpu, struct dvmm_vcpu_move *args)
{
	long err = 0;

	/* Slices that are still to come would not hear of it. */
	if (vm_has_state(vcpu->vm, DVMM_VM_DEFINED))
		return excuse(args, -EBUSY, "the VM has not started");
	/* vcpufile_create() has it as long as it uses the place. */
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	args->out_from = vcpu->node;
	args->out_late = 0;
	args->out_bytes = 0;
	args->out_downtime_ns = 0;
	args->out_rtt_ns = 0;
	if (READ_ONCE(vcpu->created))
		err = excuse(args, -EBUSY, "the VMM has just created vCPU %u", vcpu->id);
	else
		change_place(vcpu, args->node_id);
	mutex_unlock(&vcpu->mutex);
	return err;
}

/* Before the vCPU is stopped. At the origin only the VMM's threads can do that. */
static long prepare(struct vcpu *vcpu, struct dvmm_vcpu_move *args)
{
	u8 to = args->node_id;
	long err = 0;

	if (to == dvmm_node_self())
		return 0;
	if (!(vcpu->made_nodes & BIT_ULL(to)))
		err = ship_vcpu_create(vcpu, to);
	/* By a move that was given up before the answer came. */
	if (err && err != -EEXIST)
		return excuse(args, err, "node %u cannot make the vCPU: error %ld", to, -err);
	vcpu->made_nodes |= BIT_ULL(to);
	err = setup_replay(vcpu, to, NULL, 0);
	if (err)
		return excuse(args, err, "node %u cannot set the vCPU up: error %ld", to, -err);
	return 0;
}

static void ask(struct vcpu *vcpu, struct move *move)
{
	kref_get(&move->ref);
	move->stopped = ktime_get();
	spin_lock(&vcpu->server.lock);
	WRITE_ONCE(vcpu->move, move);
	spin_unlock(&vcpu->server.lock);
	run_stop(vcpu);
}

/* False: the VMM's thread is at it. */
static bool withdraw(struct vcpu *vcpu, struct move *move)
{
	if (take_move(vcpu) != move)
		return false;
	move_put(move);
	return true;
}

/* Also ends with the VM. Zero: in vain. */
static long wait_for(struct vm *vm, struct completion *done, unsigned long end)
{
	long left;

	do {
		left = wait_for_completion_killable_timeout(done, msecs_to_jiffies(LOOK_MS));
	} while (!left && !vm_is_dead(vm) && time_before(jiffies, end));
	return left;
}

static long wait_decided(struct vcpu *vcpu, struct move *move, struct dvmm_vcpu_move *args)
{
	u32 timeout_ms = min_t(u32, args->timeout_ms ?: RUN_TIMEOUT_MS, RUN_TIMEOUT_MAX_MS);
	long left = wait_for(vcpu->vm, &move->decided, jiffies + msecs_to_jiffies(timeout_ms));

	if (left <= 0 && withdraw(vcpu, move))
		return left ? -EINTR : vm_is_dead(vcpu->vm) ? -EIO : excuse(args, -ETIMEDOUT,
					    "the VMM does not run vCPU %u; is the VM paused?",
					    vcpu->id);
	/* It has begun: its requests have deadlines. Given up here, it goes on. */
	if (left <= 0 && wait_for_completion_killable(&move->decided))
		return -EINTR;
	if (vm_is_dead(vcpu->vm))
		return -EIO;
	if (move->err)
		return excuse(args, move->err, "%s: error %d", move->what, -move->err);
	return 0;
}

static long wait_left(struct move *move)
{
	return wait_for_completion_killable(&move->left) ? -EINTR : move->left_err;
}

static void report(struct vcpu *vcpu, const struct move *move, struct dvmm_vcpu_move *args)
{
	struct vm *vm = vcpu->vm;

	args->out_from = move->from;
	args->out_late = move->late;
	args->out_bytes = move->bytes;
	args->out_downtime_ns = move->downtime_ns;
	args->out_rtt_ns = max(rtt_of(move->from), rtt_of(move->to));
	dvmm_stat_inc(vm->stats, DVMM_STAT_VM_vcpu_moves);
	dvmm_stat_add(vm->stats, DVMM_STAT_VM_vcpu_move_bytes, move->bytes);
	dvmm_stat_add(vm->stats, DVMM_STAT_VM_vcpu_move_ns, move->downtime_ns);
	dvmm_event(DVMM_EVENT_VCPU_MOVED, move->to, vm->id,
		   "%s: vCPU %u from node %u to node %u: stood still for %llu us, %u bytes", vm->name,
		   vcpu->id, move->from, move->to, move->downtime_ns / 1000, move->bytes);
}

static long move_vcpu(struct move *move, struct dvmm_vcpu_move *args)
{
	struct vcpu *vcpu = move->vcpu;
	long err = prepare(vcpu, args);

	if (err)
		return err;
	ask(vcpu, move);
	err = wait_decided(vcpu, move, args) ?: wait_left(move);
	if (!err)
		report(vcpu, move, args);
	return err;
}

/* It has begun. */
static long move_of_vm(struct vm *vm, struct dvmm_vcpu_move *args)
{
	struct vcpu *vcpu = vcpu_find(vm, args->vcpu_id);
	long err = check(vm, vcpu, args);
	bool is_there = !err && READ_ONCE(vcpu->created);
	struct move *move = is_there ? move_new(vcpu, args->node_id) : NULL;

	if (!move) {
		if (!err)
			err = is_there ? -ENOMEM : move_place(vcpu, args);
		move_end(vm);
		return err;
	}
	err = move_vcpu(move, args);
	move_put(move);
	return err;
}

static long begin_and_move(struct vm *vm, struct dvmm_vcpu_move *args)
{
	if (!vm_is_origin(vm))
		return excuse(args, -EOPNOTSUPP, "vCPUs are moved at the VM's origin, node %u",
			    vm->origin);
	if (vm_is_dead(vm))
		return excuse(args, -EIO, "the VM has ended");
	if (move_begin(vm))
		return excuse(args, -EBUSY, "another vCPU of the VM moves");
	return move_of_vm(vm, args);
}

long vcpu_move_ioctl(struct file *file, void *arg)
{
	struct dvmm_vcpu_move *args = arg;
	struct vm *vm;
	long err;

	memset(args->out_reason, 0, sizeof(args->out_reason));
	vm = vm_find(args->vm_id);
	if (!vm)
		return -ENOENT;
	err = begin_and_move(vm, args);
	vm_put(vm);
	return err;
}
