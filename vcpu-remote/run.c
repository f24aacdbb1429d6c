// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/run.c - KVM_RUN of a vCPU that lives on another node, or may.
 *
 * One that lives at the origin is run by the VMM's thread itself, with the real kvm_run
 * page: what the VMM shares goes in and comes out.
 * Elsewhere. Origin: the VMM's thread sends VCPU_RUN and sleeps until VCPU_EXIT comes. A
 * signal makes it send VCPU_KICK; then it still waits for the exit, as only that
 * says what the vCPU did.
 * Slice: the vCPU's thread does the real KVM_RUN with the real kvm_run page.
 *
 * Runs are numbered. A kick names the run it ends, so that one that comes too
 * early or too late hurts no other run.
 */
#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "internal.h"

int run_read_tsc(struct vm *vm, s64 *out_offset)
{
	struct file *file = vcpu_get_any_real(vm);
	int err = 0;

	/* Without a vCPU here the guest's TSC starts with the VM. */
	*out_offset = vm->guest_tsc_offset;
	if (file) {
		err = clock_read_offset(file, out_offset);
		fput(file);
	}
	return err;
}

/* The field's name differs between kernels, its place in the ABI does not. */
static void set_immediate_exit(struct kvm_run *run)
{
	WRITE_ONCE(((u8 *)run)[offsetof(struct kvm_run, padding1) - 1], 1);
}

/* @finish: only what KVM has to finish of the last exit */
static int send_run(struct vcpu *vcpu, bool finish)
{
	struct kvm_run *area = vcpu->area;
	struct dvmm_msg_run run = {
		.vcpu_id = cpu_to_le32(vcpu->id),
		.run_len = cpu_to_le32(RUN_BYTES),
		.data_len = cpu_to_le32(vcpu->pio_in),
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_RUN,
		.vm = vcpu->vm->id,
		.payload = &run,
		.len = sizeof(run),
		.tail_len = RUN_BYTES + vcpu->pio_in,
	};
	u8 *tail = kmalloc(msg.tail_len, GFP_KERNEL);
	s64 tsc_offset = 0;
	int err = 0;

	if (!tail)
		return -ENOMEM;
	if (vcpu->tsc_stale) {
		err = run_read_tsc(vcpu->vm, &tsc_offset);
		run.flags = cpu_to_le32(DVMM_RUN_F_TSC);
	}
	if (err)
		goto free_tail;
	memcpy(tail, area, RUN_BYTES);
	if (finish)
		set_immediate_exit((struct kvm_run *)tail);
	memcpy(tail + RUN_BYTES, vcpu->area + KVM_PIO_PAGE_OFFSET * PAGE_SIZE,
	       vcpu->pio_in);
	msg.tail = tail;
	run.guest_tsc_offset = cpu_to_le64(tsc_offset);
	run.run_seq = cpu_to_le32(vcpu->run_seq + 1);
	WRITE_ONCE(vcpu->run_seq, vcpu->run_seq + 1);
	err = dvmm_link_send(vcpu->node, &msg);
	if (err)
		WRITE_ONCE(vcpu->exit_seq, vcpu->run_seq);
	else
		vcpu->tsc_stale = false;
free_tail:
	kfree(tail);
	return err;
}

static void send_kick(struct vcpu *vcpu)
{
	const struct dvmm_msg_vcpu kick = {
		.vcpu_id = cpu_to_le32(vcpu->id),
		.run_seq = cpu_to_le32(vcpu->run_seq),
	};
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_KICK,
		.vm = vcpu->vm->id,
		.payload = &kick,
		.len = sizeof(kick),
	};

	dvmm_stat_inc(vcpu->vm->stats, DVMM_STAT_VM_kicks);
	dvmm_link_send(vcpu->node, &msg);
}

static bool run_is_over(struct vcpu *vcpu)
{
	/* Pairs with run_exited(): the area is complete. */
	return smp_load_acquire(&vcpu->exit_seq) == vcpu->run_seq ||
	       vm_is_dead(vcpu->vm);
}

static long wait_exit(struct vcpu *vcpu)
{
	if (wait_event_interruptible(vcpu->wait, run_is_over(vcpu))) {
		send_kick(vcpu);
		if (wait_event_killable(vcpu->wait, run_is_over(vcpu)))
			return -EINTR;
	}
	/* Pairs with run_exited(), as above. */
	if (smp_load_acquire(&vcpu->exit_seq) != vcpu->run_seq)
		return -EIO;
	return vcpu->run_ret;
}

static void swap_sigmask(struct vcpu *vcpu, sigset_t *out_saved)
{
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, out_saved);
}

static void restore_sigmask(struct vcpu *vcpu, sigset_t *saved)
{
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, saved, NULL);
}

static long run_there(struct vcpu *vcpu, bool finish)
{
	long err;

	dvmm_stat_inc(vcpu->vm->stats, DVMM_STAT_VM_remote_runs);
	err = send_run(vcpu, finish);
	if (vcpu->leaving)
		move_leave(vcpu);
	/* Pairs with run_stop(): it sees this run, or we see that it asks. */
	smp_mb();
	if (!err && move_is_asked(vcpu))
		send_kick(vcpu);
	if (!err)
		return wait_exit(vcpu);
	vm_die(vcpu->vm, err, "a vCPU cannot be run on its node");
	return -EIO;
}

static void begin_at_origin(struct vcpu *vcpu, struct kvm_run *run)
{
	spin_lock(&vcpu->server.lock);
	vcpu->server.task = current;
	if (vcpu->move)
		set_immediate_exit(run);
	spin_unlock(&vcpu->server.lock);
}

static void end_at_origin(struct vcpu *vcpu)
{
	spin_lock(&vcpu->server.lock);
	vcpu->server.task = NULL;
	spin_unlock(&vcpu->server.lock);
}

static long run_at_origin(struct vcpu *vcpu, bool finish)
{
	struct kvm_vcpu *real = vcpu->here->private_data;
	struct kvm_run *run = real->run;

	memcpy(run, vcpu->area, RUN_BYTES);
	if (vcpu->pio_in)
		memcpy(real->arch.pio_data, vcpu->area + KVM_PIO_PAGE_OFFSET * PAGE_SIZE,
		       vcpu->pio_in);
	if (finish)
		set_immediate_exit(run);
	begin_at_origin(vcpu, run);
	vcpu->run_ret = real_ioctl(vcpu->here, KVM_RUN, 0);
	end_at_origin(vcpu);
	exit_to_area(vcpu, run, real->arch.pio_data, exit_data_bytes(run));
	return vcpu->run_ret;
}

static bool is_at_origin(const struct vcpu *vcpu)
{
	return vcpu->node == dvmm_node_self();
}

static long run_once(struct vcpu *vcpu, bool finish)
{
	long ret = is_at_origin(vcpu) ? run_at_origin(vcpu, finish) : run_there(vcpu, finish);

	vcpu->is_between = ret == -EINTR || ret == -EAGAIN;
	return ret;
}

/* Not with half an instruction: the exit that the VMM has answered is finished first. */
static long run_or_move(struct vcpu *vcpu)
{
	long ret;

	if (move_is_asked(vcpu)) {
		ret = vcpu->is_between ? -EINTR : run_once(vcpu, true);
		if (ret != -EINTR)
			return ret;
		move_now(vcpu);
	}
	return run_once(vcpu, false);
}

static bool goes_on(struct vcpu *vcpu, long ret)
{
	if (!ret)
		return !is_at_origin(vcpu) && ioeventfd_answers(vcpu);
	return ret == -EINTR && move_is_asked(vcpu) && !signal_pending(current);
}

long run_vcpu(struct vcpu *vcpu)
{
	sigset_t saved;
	long ret;

	/* Only after a fatal signal: the run before is still out there. */
	if (vcpu->run_seq != READ_ONCE(vcpu->exit_seq))
		return -EINTR;
	swap_sigmask(vcpu, &saved);
	do {
		ret = run_or_move(vcpu);
	} while (goes_on(vcpu, ret));
	restore_sigmask(vcpu, &saved);
	return vm_is_dead(vcpu->vm) ? -EIO : ret;
}

static void interrupt_at_origin(struct vcpu *vcpu)
{
	spin_lock(&vcpu->server.lock);
	if (vcpu->server.task)
		real_interrupt(vcpu->here->private_data, vcpu->server.task);
	spin_unlock(&vcpu->server.lock);
}

void run_stop(struct vcpu *vcpu)
{
	/* Pairs with run_there(). */
	smp_mb();
	if (READ_ONCE(vcpu->node) == dvmm_node_self())
		interrupt_at_origin(vcpu);
	else
		send_kick(vcpu);
}

/* In message context; the waiter owns nothing of the area until exit_seq says so. */
int run_exited(struct vcpu *vcpu, const void *payload, size_t len)
{
	const struct dvmm_msg_run *msg = payload;
	const struct kvm_run *run = payload + sizeof(*msg);
	u32 seq, data_len;

	if (!wire_exit_is_sound(msg, len))
		return -EPROTO;
	seq = le32_to_cpu(msg->run_seq);
	data_len = le32_to_cpu(msg->data_len);
	if (seq != READ_ONCE(vcpu->run_seq) || seq == vcpu->exit_seq)
		return -EPROTO;
	vcpu->run_ret = (s32)le32_to_cpu(msg->ret);
	exit_to_area(vcpu, run, (const void *)run + RUN_BYTES, data_len);
	exit_count(vcpu, run);
	/* Pairs with run_is_over(): all of the above is seen by who sees this. */
	smp_store_release(&vcpu->exit_seq, seq);
	wake_up_all(&vcpu->wait);
	return 0;
}

/* ---- slice ---- */

static void begin_run(struct vcpu *vcpu, struct kvm_run *run, u32 seq)
{
	struct server *server = &vcpu->server;

	spin_lock(&server->lock);
	vcpu->running_seq = seq;
	if (vcpu->kick_seq == seq)
		set_immediate_exit(run);
	spin_unlock(&server->lock);
}

static void finish_run(struct vcpu *vcpu)
{
	spin_lock(&vcpu->server.lock);
	vcpu->running_seq = 0;
	spin_unlock(&vcpu->server.lock);
}

void run_kick(struct vcpu *vcpu, u32 run_seq)
{
	struct server *server = &vcpu->server;
	struct file *file = vcpu_get_real(vcpu);
	struct kvm_vcpu *real;

	if (!file)
		return;
	real = file->private_data;
	spin_lock(&server->lock);
	vcpu->kick_seq = run_seq;
	if (vcpu->running_seq == run_seq && server->task) {
		set_immediate_exit(real->run);
		/* Its handler is empty; the run comes back with EINTR. */
		send_sig(SIGUSR1, server->task, 0);
	}
	spin_unlock(&server->lock);
	fput(file);
}

static void load_run(struct kvm_vcpu *real, const struct dvmm_msg_run *msg)
{
	u32 data_len = le32_to_cpu(msg->data_len);
	const void *tail = msg + 1;

	memcpy(real->run, tail, RUN_BYTES);
	if (data_len)
		memcpy(real->arch.pio_data, tail + RUN_BYTES, data_len);
}

static int set_tsc(struct vcpu *vcpu, struct file *file,
		   const struct dvmm_msg_run *msg, unsigned long scratch)
{
	s64 offset;
	int err;

	if (!(le32_to_cpu(msg->flags) & DVMM_RUN_F_TSC))
		return 0;
	vcpu->vm->guest_tsc_offset = le64_to_cpu(msg->guest_tsc_offset);
	err = clock_slice_offset(vcpu->vm, &offset);
	return err ?: clock_set_offset(file, scratch, offset);
}

static void send_exit(struct vcpu *vcpu, struct kvm_vcpu *real, u32 seq, long ret)
{
	u32 data_len = ret ? 0 : exit_data_bytes(real->run);
	const struct dvmm_msg_run exit = {
		.vcpu_id = cpu_to_le32(vcpu->id),
		.run_seq = cpu_to_le32(seq),
		.ret = cpu_to_le32(ret),
		.run_len = cpu_to_le32(RUN_BYTES),
		.data_len = cpu_to_le32(data_len),
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_VCPU_EXIT,
		.vm = vcpu->vm->id,
		.payload = &exit,
		.len = sizeof(exit),
		.tail_len = RUN_BYTES + data_len,
	};
	u8 *tail = kmalloc(msg.tail_len, GFP_KERNEL | __GFP_NOFAIL);
	int tries, err;

	memcpy(tail, real->run, RUN_BYTES);
	if (data_len)
		memcpy(tail + RUN_BYTES, real->arch.pio_data, data_len);
	msg.tail = tail;
	for (tries = 0; tries < 1000; tries++) {
		err = dvmm_link_send(vcpu->vm->origin, &msg);
		if (err != -ENOBUFS)
			break;
		usleep_range(1000, 2000);
	}
	kfree(tail);
	if (err)
		vm_die(vcpu->vm, err, "an exit cannot be sent to the VMM");
}

void run_here(struct vcpu *vcpu, struct file *real_file,
	      const struct dvmm_msg_run *msg, unsigned long scratch)
{
	struct kvm_vcpu *real = real_file->private_data;
	u32 seq = le32_to_cpu(msg->run_seq);
	long ret;

	dvmm_stat_inc(vcpu->vm->stats, DVMM_STAT_VM_remote_runs);
	ret = set_tsc(vcpu, real_file, msg, scratch);
	if (ret) {
		vm_die(vcpu->vm, ret, "the guest TSC cannot be set");
		return;
	}
	load_run(real, msg);
	begin_run(vcpu, real->run, seq);
	ret = real_ioctl(real_file, KVM_RUN, 0);
	finish_run(vcpu);
	exit_count(vcpu, real->run);
	send_exit(vcpu, real, seq, ret);
}
