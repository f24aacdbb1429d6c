// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/job.c - does what the origin asked, in a thread of the slice, and
 * answers. Arguments of KVM's ioctls go through memory which that thread lends.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"
#include "state.h"

static void reply(struct vm *vm, const struct job *job, int error)
{
	dvmm_link_reply_patiently(vm->origin, job->req, error, NULL, 0);
}

void job_refuse(struct vm *vm, const struct job *job, int error)
{
	if (job->req)
		dvmm_link_reply(vm->origin, job->req, error, NULL, 0);
}

/* What was asked, after the checks. */
struct asked {
	struct file *file; /* the real VM or vCPU */
	const struct kvm_ioctl *ioctl;
	const struct dvmm_msg_ioctl *msg;
	unsigned long scratch;
	size_t bytes; /* of the argument */
};

static bool is_in(const struct asked *asked)
{
	return asked->ioctl->shape != SHAPE_SCALAR &&
	       (_IOC_DIR(asked->ioctl->cmd) & _IOC_WRITE);
}

static bool is_out(const struct asked *asked)
{
	return asked->ioctl->shape != SHAPE_SCALAR &&
	       (_IOC_DIR(asked->ioctl->cmd) & _IOC_READ);
}

static int check(struct vm *vm, struct asked *asked, size_t len)
{
	const struct dvmm_msg_ioctl *msg = asked->msg;
	size_t arg_len = le32_to_cpu(msg->arg_len);
	long bytes;

	if (!asked->ioctl || len != sizeof(*msg) + arg_len)
		return -EPROTO;
	bytes = ioctl_arg_bytes(asked->ioctl, vm, msg + 1,
				is_in(asked) ? arg_len : SIZE_MAX);
	if (bytes < 0)
		return bytes;
	/* Another host may keep less extended state than ours; the rest is zero. */
	if (is_in(asked) && (asked->ioctl->shape == SHAPE_XSAVE ?
			     arg_len > DVMM_SCRATCH_SIZE : arg_len != bytes))
		return -EPROTO;
	if (!is_in(asked) && arg_len)
		return -EPROTO;
	asked->bytes = max_t(size_t, bytes, arg_len);
	return asked->bytes > DVMM_SCRATCH_SIZE ? -E2BIG : 0;
}

static int load_scratch(const struct asked *asked)
{
	u8 __user *user = (void __user *)asked->scratch;
	size_t arg_len = le32_to_cpu(asked->msg->arg_len);

	if (copy_to_user(user, asked->msg + 1, arg_len) ||
	    clear_user(user + arg_len, asked->bytes - arg_len))
		return -EFAULT;
	return 0;
}

static int answer(struct vm *vm, const struct job *job, const struct asked *asked,
		  const void __user *user, size_t bytes, long ret)
{
	struct dvmm_msg_ioctl *out = kvmalloc(sizeof(*out) + bytes, GFP_KERNEL);

	if (!out)
		return -ENOMEM;
	*out = *asked->msg;
	out->ret = cpu_to_le32(ret);
	out->arg_len = cpu_to_le32(bytes);
	if (copy_from_user(out + 1, user, bytes)) {
		kvfree(out);
		return -EFAULT;
	}
	dvmm_link_reply_patiently(vm->origin, job->req, 0, out, sizeof(*out) + bytes);
	kvfree(out);
	return 0;
}

static int do_ioctl(struct vm *vm, const struct job *job, struct asked *asked)
{
	unsigned long arg = asked->scratch;
	long ret = check(vm, asked, job->len);

	if (ret)
		return ret;
	if (asked->ioctl->shape == SHAPE_SCALAR)
		arg = le64_to_cpu(asked->msg->arg);
	else
		ret = load_scratch(asked);
	if (!ret)
		ret = real_ioctl(asked->file, asked->ioctl->cmd, arg);
	if (ret < 0)
		return ret;
	return answer(vm, job, asked, (void __user *)asked->scratch,
		      is_out(asked) ? asked->bytes : 0, ret);
}

/* The struct at the start of the scratch memory, the bitmap behind it. */
static int do_dirty_log(struct vm *vm, const struct job *job, struct asked *asked)
{
	u64 id = le64_to_cpu(asked->msg->arg);
	struct slot *slot = id <= U32_MAX ? xa_load(&vm->slots, id) : NULL;
	void __user *bitmap = (void __user *)(asked->scratch + PAGE_SIZE);
	struct kvm_dirty_log log = { .slot = id, .dirty_bitmap = bitmap };
	size_t bytes;
	long ret;

	if (!slot)
		return -ENOENT;
	bytes = ALIGN(slot->bytes >> PAGE_SHIFT, BITS_PER_LONG) / 8;
	if (bytes > DVMM_MSG_MAX / 2)
		return -E2BIG;
	if (copy_to_user((void __user *)asked->scratch, &log, sizeof(log)))
		return -EFAULT;
	ret = real_ioctl(asked->file, KVM_GET_DIRTY_LOG, asked->scratch);
	return ret ? ret : answer(vm, job, asked, bitmap, bytes, 0);
}

/* On success the answer is sent. */
static int vm_ioctl(struct vm *vm, const struct job *job, unsigned long scratch)
{
	struct asked asked = {
		.file = vm->kvm_file,
		.msg = (const void *)job->payload,
		.scratch = scratch,
	};

	asked.ioctl = ioctl_of_slice_vm(le32_to_cpu(asked.msg->cmd));
	if (asked.ioctl && asked.ioctl->shape == SHAPE_DIRTY_LOG)
		return do_dirty_log(vm, job, &asked);
	return do_ioctl(vm, job, &asked);
}

static int vcpu_ioctl(struct vm *vm, struct vcpu *vcpu, const struct job *job,
		      unsigned long scratch)
{
	struct asked asked = {
		.file = vcpu_get_real(vcpu),
		.msg = (const void *)job->payload,
		.scratch = scratch,
	};
	int err;

	if (!asked.file)
		return -EIO;
	asked.ioctl = ioctl_of_vcpu(le32_to_cpu(asked.msg->cmd));
	err = do_ioctl(vm, job, &asked);
	fput(asked.file);
	return err;
}

/* It is not live here yet: no interrupt shall find it. */
static int switch_off(struct vm *vm, struct file *file, unsigned long scratch)
{
	const struct real_vcpu real = { .vm = vm, .file = file, .scratch = scratch };

	return state_switch_off(&real);
}

static int create_vcpu(struct vm *vm, const struct job *job, unsigned long scratch)
{
	const struct dvmm_msg_vcpu *msg = (const void *)job->payload;
	struct vcpu *vcpu = vcpu_find(vm, le32_to_cpu(msg->vcpu_id));
	struct file *file;
	int err;

	if (!vcpu)
		vcpu = slice_add_vcpu(vm, le32_to_cpu(msg->vcpu_id));
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	if (vcpu->created)
		return -EEXIST;
	file = real_create(vm->kvm_file, KVM_CREATE_VCPU, vcpu->id);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = irq_vcpu_created(vm, file, scratch);
	if (!err && vcpu->node != dvmm_node_self())
		err = switch_off(vm, file, scratch);
	if (err) {
		fput(file);
		return err;
	}
	vcpu_set_real(vcpu, file);
	if (vcpu->node == dvmm_node_self())
		drain_undo(vm);
	return 0;
}

/* ---- moves ---- */

static void reply_state(struct vm *vm, const struct vcpu *vcpu, const struct job *job)
{
	const struct records *records = vcpu->saved;
	size_t bytes = sizeof(struct dvmm_msg_state) + records->bytes;
	struct dvmm_msg_state *state = kvmalloc(bytes, GFP_KERNEL);

	if (!state) {
		reply(vm, job, -ENOMEM);
		return;
	}
	*state = (struct dvmm_msg_state){
		.vcpu_id = cpu_to_le32(vcpu->id),
		.records_len = cpu_to_le32(records->bytes),
	};
	memcpy(state + 1, records->start, records->bytes);
	dvmm_link_reply_patiently(vm->origin, job->req, 0, state, bytes);
	kvfree(state);
}

static int save_vcpu(const struct real_vcpu *real, struct vcpu *vcpu, const struct job *job)
{
	int err = move_saved(real, vcpu);

	if (!err)
		reply_state(real->vm, vcpu, job);
	return err;
}

static int load_vcpu(const struct real_vcpu *real, struct vcpu *vcpu, const struct job *job)
{
	int err = move_loaded(real, vcpu, (const void *)job->payload);

	if (!err)
		reply(real->vm, job, 0);
	return err;
}

static int leave_vcpu(const struct real_vcpu *real, struct vcpu *vcpu, const struct job *job)
{
	__le32 late;
	u32 nr;
	int err = move_left(real, vcpu, &nr);

	late = cpu_to_le32(nr);
	if (!err)
		dvmm_link_reply_patiently(real->vm->origin, job->req, 0, &late, sizeof(late));
	return err;
}

/* On success the answer is sent. */
static int move_job(struct vm *vm, struct vcpu *vcpu, const struct job *job,
		    unsigned long scratch)
{
	const struct real_vcpu real = {
		.vm = vm,
		.file = vcpu_get_real(vcpu),
		.scratch = scratch,
	};
	int err;

	if (!real.file)
		return -EIO;
	switch (job->type) {
	case DVMM_MSG_VCPU_SAVE:
		err = save_vcpu(&real, vcpu, job);
		break;
	case DVMM_MSG_VCPU_LOAD:
		err = load_vcpu(&real, vcpu, job);
		break;
	default:
		err = leave_vcpu(&real, vcpu, job);
	}
	fput(real.file);
	return err;
}

static void do_run(struct vm *vm, struct vcpu *vcpu, const struct job *job,
		unsigned long scratch)
{
	struct file *file = vcpu_get_real(vcpu);

	if (!file) {
		vm_die(vm, -EPROTO, "a vCPU shall run that does not exist");
		return;
	}
	run_here(vcpu, file, (const void *)job->payload, scratch);
	fput(file);
}

/* On success the answer is sent. */
static int empty_here(struct vm *vm, const struct job *job)
{
	struct dvmm_msg_empty msg = *(const struct dvmm_msg_empty *)job->payload;
	u64 resident;
	int err = drain_here(vm, le32_to_cpu(msg.timeout_ms), &resident);

	msg.resident = cpu_to_le64(resident);
	if (!err)
		dvmm_link_reply_patiently(vm->origin, job->req, 0, &msg, sizeof(msg));
	return err;
}

void job_do(struct vm *vm, struct vcpu *vcpu, struct job *job, unsigned long scratch)
{
	int err;

	if (job->type == DVMM_MSG_VCPU_RUN) {
		do_run(vm, vcpu, job, scratch);
		return;
	}
	dvmm_stat_inc(vm->stats, DVMM_STAT_VM_remote_ioctls);
	switch (job->type) {
	case DVMM_MSG_VM_IOCTL:
		err = vm_ioctl(vm, job, scratch);
		break;
	case DVMM_MSG_VCPU_IOCTL:
		err = vcpu_ioctl(vm, vcpu, job, scratch);
		break;
	case DVMM_MSG_MEMSLOT:
		err = memslot_set_here(vm, job, scratch);
		if (!err)
			reply(vm, job, 0);
		break;
	case DVMM_MSG_VCPU_CREATE:
		err = create_vcpu(vm, job, scratch);
		if (!err)
			reply(vm, job, 0);
		break;
	case DVMM_MSG_SLICE_EMPTY:
		err = empty_here(vm, job);
		break;
	case DVMM_MSG_VCPU_SAVE:
	case DVMM_MSG_VCPU_LOAD:
	case DVMM_MSG_VCPU_LEFT:
		err = move_job(vm, vcpu, job, scratch);
		break;
	default:
		err = -EPROTO;
	}
	if (err)
		reply(vm, job, err);
}
