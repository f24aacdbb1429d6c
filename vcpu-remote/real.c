// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/real.c - the host's own KVM, met through its device and its ioctls.
 * What may be asked of it is decided by the callers.
 */
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/namei.h>
#include "internal.h"

/* Resolved once: opening it from inside an open() of a misc device would hang. */
static struct path kvm_path;
static size_t mmap_bytes;

struct file *real_open(void)
{
	return dentry_open(&kvm_path, O_RDWR | O_CLOEXEC, current_cred());
}

long real_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return file->f_op->unlocked_ioctl(file, cmd, arg);
}

/* The fd is gone before its number was told to anybody. */
struct file *real_create(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct file *created;
	long fd = real_ioctl(file, cmd, arg);

	if (fd < 0)
		return ERR_PTR(fd);
	created = fget(fd);
	close_fd(fd);
	return created ?: ERR_PTR(-EBADF);
}

/* A halted vCPU looks at its requests only when it has something to do. */
static void wake_vcpu(struct kvm_vcpu *vcpu)
{
	kvm_make_request(KVM_REQ_NMI, vcpu);
	kvm_vcpu_kick(vcpu);
}

void real_kill(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_vm_dead(kvm);
	kvm_for_each_vcpu(i, vcpu, kvm)
		wake_vcpu(vcpu);
}

/* As a signal, but one that no handler of the VMM sees. */
void real_interrupt(struct kvm_vcpu *vcpu, struct task_struct *task)
{
	set_tsk_thread_flag(task, TIF_NOTIFY_SIGNAL);
	kvm_vcpu_kick(vcpu);
}

size_t real_mmap_bytes(void)
{
	return mmap_bytes;
}

static int check_version(void)
{
	struct file *file = real_open();
	long version, bytes;

	if (IS_ERR(file))
		return PTR_ERR(file);
	version = real_ioctl(file, KVM_GET_API_VERSION, 0);
	bytes = real_ioctl(file, KVM_GET_VCPU_MMAP_SIZE, 0);
	fput(file);
	if (version != KVM_API_VERSION || bytes < 2 * (long)PAGE_SIZE)
		return -EOPNOTSUPP;
	mmap_bytes = bytes;
	return 0;
}

int real_init(const char *path)
{
	int err = kern_path(path, LOOKUP_FOLLOW, &kvm_path);

	if (err) {
		pr_err("dvmm: no %s here (%d): load kvm_intel or kvm_amd first\n",
		       path, err);
		return err;
	}
	err = check_version();
	if (err) {
		pr_err("dvmm: %s does not answer as KVM does (%d)\n", path, err);
		path_put(&kvm_path);
	}
	return err;
}

void real_exit(void)
{
	path_put(&kvm_path);
}
