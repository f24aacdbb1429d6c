// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/vcpufile.c - the vCPU fd a VMM gets when the VM has other nodes, or may
 * get some: its ioctls are done where the vCPU lives, its kvm_run pages are here.
 * KVM_RUN is run.c's.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "internal.h"

static bool is_in(unsigned int cmd)
{
	return _IOC_DIR(cmd) & _IOC_WRITE;
}

static bool is_out(unsigned int cmd)
{
	return _IOC_DIR(cmd) & _IOC_READ;
}

/* Writing it makes KVM choose a TSC offset of its own there. */
static bool sets_tsc(const struct kvm_ioctl *ioctl, const void *arg)
{
	const struct kvm_msrs *msrs = arg;
	u32 i;

	if (ioctl->cmd == KVM_SET_TSC_KHZ)
		return true;
	if (ioctl->cmd != KVM_SET_MSRS)
		return false;
	for (i = 0; i < msrs->nmsrs; i++)
		if (msrs->entries[i].index == MSR_IA32_TSC ||
		    msrs->entries[i].index == MSR_IA32_TSC_ADJUST)
			return true;
	return false;
}

static long arg_bytes(const struct kvm_ioctl *ioctl, struct vcpu *vcpu,
		      void __user *user)
{
	u8 head[16];
	size_t head_len = ioctl_head_bytes(ioctl);
	long bytes;

	if (copy_from_user(head, user, head_len))
		return -EFAULT;
	bytes = ioctl_arg_bytes(ioctl, vcpu->vm, head, head_len);
	if (bytes > (long)(DVMM_MSG_MAX - sizeof(struct dvmm_msg_hdr) -
			   sizeof(struct dvmm_msg_ioctl)))
		return -E2BIG;
	return bytes;
}

static long ship_buffer(struct vcpu *vcpu, const struct kvm_ioctl *ioctl, void *buffer,
			size_t bytes, void __user *user)
{
	struct shipped shipped = {
		.cmd = ioctl->cmd,
		.in = buffer,
		.out = buffer,
		.out_len = bytes,
	};
	long err;

	if (is_in(ioctl->cmd)) {
		shipped.in_len = bytes;
		if (copy_from_user(buffer, user, bytes))
			return -EFAULT;
		if (sets_tsc(ioctl, buffer))
			vcpu->tsc_stale = true;
	}
	err = ship_vcpu_ioctl(vcpu, &shipped);
	if (!err && shipped.ret >= 0)
		err = setup_note(vcpu, ioctl->cmd, 0, buffer, bytes);
	if (err)
		return err;
	if (is_out(ioctl->cmd) && copy_to_user(user, buffer, shipped.out_len))
		return -EFAULT;
	return shipped.ret;
}

static long ship_pointer(struct vcpu *vcpu, const struct kvm_ioctl *ioctl,
			 void __user *user)
{
	long bytes = arg_bytes(ioctl, vcpu, user);
	void *buffer;
	long ret;

	if (bytes < 0)
		return bytes;
	buffer = kvzalloc(bytes, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	ret = ship_buffer(vcpu, ioctl, buffer, bytes, user);
	kvfree(buffer);
	return ret;
}

static long ship_scalar(struct vcpu *vcpu, const struct kvm_ioctl *ioctl,
			unsigned long arg)
{
	struct shipped shipped = { .cmd = ioctl->cmd, .arg = arg };
	long err = ship_vcpu_ioctl(vcpu, &shipped);

	if (sets_tsc(ioctl, NULL))
		vcpu->tsc_stale = true;
	if (!err && shipped.ret >= 0)
		err = setup_note(vcpu, ioctl->cmd, arg, NULL, 0);
	return err ?: shipped.ret;
}

/* ---- it lives here ---- */

static long note_user(struct vcpu *vcpu, const struct kvm_ioctl *ioctl, void __user *user)
{
	long bytes = arg_bytes(ioctl, vcpu, user);
	void *buffer;
	long err;

	if (bytes < 0)
		return bytes;
	buffer = vmemdup_user(user, bytes);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	err = setup_note(vcpu, ioctl->cmd, 0, buffer, bytes);
	kvfree(buffer);
	return err;
}

static long do_here(struct vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	const struct kvm_ioctl *ioctl = ioctl_of_vcpu(cmd);
	long ret = real_ioctl(vcpu->here, cmd, arg);
	long err;

	if (ret < 0 || !setup_is_one(cmd))
		return ret;
	if (ioctl->shape == SHAPE_SCALAR)
		err = setup_note(vcpu, cmd, arg, NULL, 0);
	else
		err = note_user(vcpu, ioctl, (void __user *)arg);
	return err ?: ret;
}

/* ---- all ---- */

/* The mask is for the thread that waits here. */
static long set_sigmask(struct vcpu *vcpu, void __user *user)
{
	struct kvm_signal_mask mask;
	sigset_t sigset;

	vcpu->sigset_active = false;
	if (!user)
		return 0;
	if (copy_from_user(&mask, user, sizeof(mask)))
		return -EFAULT;
	if (mask.len != sizeof(sigset))
		return -EINVAL;
	if (copy_from_user(&sigset, user + sizeof(mask), sizeof(sigset)))
		return -EFAULT;
	sigdelsetmask(&sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = sigset;
	vcpu->sigset_active = true;
	return 0;
}

static long ship_ioctl(struct vcpu *vcpu, const struct kvm_ioctl *ioctl,
		       unsigned long arg)
{
	if (ioctl->shape == SHAPE_SCALAR)
		return ship_scalar(vcpu, ioctl, arg);
	return ship_pointer(vcpu, ioctl, (void __user *)arg);
}

static long unknown_ioctl(struct vcpu *vcpu, unsigned int cmd)
{
	/* KVM says the same to a guest without kvmclock. */
	if (cmd == KVM_KVMCLOCK_CTRL)
		return -EINVAL;
	vm_unsupported(vcpu->vm, "vCPU ioctl %#x is not supported for vCPU %u, which lives on node %u",
		       cmd, vcpu->id, vcpu->node);
	return -EOPNOTSUPP;
}

static long do_ioctl(struct vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	const struct kvm_ioctl *ioctl;

	if (cmd == KVM_RUN)
		return arg ? -EINVAL : run_vcpu(vcpu);
	if (cmd == KVM_SET_SIGNAL_MASK)
		return set_sigmask(vcpu, (void __user *)arg);
	if (vcpu->node == dvmm_node_self())
		return do_here(vcpu, cmd, arg);
	ioctl = ioctl_of_vcpu(cmd);
	return ioctl ? ship_ioctl(vcpu, ioctl, arg) : unknown_ioctl(vcpu, cmd);
}

/* As KVM: only the process that made the VM, and one ioctl of a vCPU at a time. */
static long vcpufile_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vcpu *vcpu = file->private_data;
	long ret;

	if (vm_is_dead(vcpu->vm) || vcpu->vm->mm != current->mm)
		return -EIO;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	ret = do_ioctl(vcpu, cmd, arg);
	mutex_unlock(&vcpu->mutex);
	return ret;
}

static int vcpufile_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vcpu *vcpu = file->private_data;

	return remap_vmalloc_range(vma, vcpu->area, vma->vm_pgoff);
}

static int vcpufile_release(struct inode *inode, struct file *file)
{
	struct vcpu *vcpu = file->private_data;

	if (vcpu->here)
		fput(vcpu->here);
	vcpu->here = NULL;
	vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpufile_fops = {
	.owner = THIS_MODULE,
	.release = vcpufile_release,
	.unlocked_ioctl = vcpufile_ioctl,
	.mmap = vcpufile_mmap,
	.llseek = noop_llseek,
};

/* Its place may be changed until it is there: see move.c. */
static int create_real(struct vcpu *vcpu)
{
	int err;

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	err = vcpu->node == dvmm_node_self() ? vcpu_create_here(vcpu) :
					       ship_vcpu_create(vcpu, vcpu->node);
	if (!err) {
		vcpu->made_nodes = BIT_ULL(vcpu->node);
		WRITE_ONCE(vcpu->created, true);
	}
	mutex_unlock(&vcpu->mutex);
	return err;
}

int vcpufile_create(struct vcpu *vcpu)
{
	struct dvmm_new_fd new_fd;
	int err;

	vm_get(vcpu->vm);
	err = dvmm_fd_alloc(&new_fd, "kvm-vcpu", &vcpufile_fops, vcpu,
			    O_RDWR | O_CLOEXEC);
	if (err) {
		vm_put(vcpu->vm);
		return err;
	}
	err = create_real(vcpu);
	if (err) {
		dvmm_fd_abort(&new_fd);
		return err;
	}
	dvmm_fd_install(&new_fd);
	return new_fd.fd;
}
