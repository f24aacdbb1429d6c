// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/ioeventfd.c - doorbells of vCPUs that live elsewhere: a write that
 * the VMM wants as an eventfd is answered here and never reaches its thread.
 * vCPUs that live here have the real KVM's ioeventfds.
 */
#include <linux/eventfd.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

struct ioeventfd {
	struct list_head item;
	struct kvm_ioeventfd args;
	struct eventfd_ctx *eventfd;
};

/* What a vCPU wrote. */
struct doorbell {
	bool pio;
	u64 addr;
	u64 data;
	u32 len;
};

static bool same(const struct kvm_ioeventfd *one, const struct kvm_ioeventfd *other)
{
	const u32 kind = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH;

	return one->addr == other->addr && one->len == other->len &&
	       (one->flags & kind) == (other->flags & kind) &&
	       (!(one->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) ||
		one->datamatch == other->datamatch);
}

static void free_one(struct ioeventfd *one)
{
	list_del(&one->item);
	eventfd_ctx_put(one->eventfd);
	kfree(one);
}

static void remove_same(struct vm *vm, const struct kvm_ioeventfd *args,
			struct eventfd_ctx *eventfd)
{
	struct ioeventfd *one, *next;

	list_for_each_entry_safe(one, next, &vm->ioeventfds, item)
		if (one->eventfd == eventfd && same(&one->args, args))
			free_one(one);
}

static int add(struct vm *vm, const struct kvm_ioeventfd *args,
	       struct eventfd_ctx *eventfd)
{
	struct ioeventfd *one = kzalloc(sizeof(*one), GFP_KERNEL);

	if (!one)
		return -ENOMEM;
	one->args = *args;
	one->eventfd = eventfd;
	list_add_tail(&one->item, &vm->ioeventfds);
	return 0;
}

/* Without a place in the list the VMM gets the exit, which is right too, but slow. */
static void note(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);

	if (IS_ERR(eventfd))
		return;
	mutex_lock(&vm->ioeventfds_lock);
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		remove_same(vm, args, eventfd);
	else if (!add(vm, args, eventfd))
		eventfd = NULL;
	mutex_unlock(&vm->ioeventfds_lock);
	if (eventfd)
		eventfd_ctx_put(eventfd);
}

long ioeventfd_set(struct vm *vm, struct file *real, void __user *user)
{
	struct kvm_ioeventfd args;
	long err;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	err = real_ioctl(real, KVM_IOEVENTFD, (unsigned long)user);
	if (!err)
		note(vm, &args);
	return err;
}

static bool rings(const struct ioeventfd *one, const struct doorbell *bell)
{
	const struct kvm_ioeventfd *args = &one->args;

	if (args->addr != bell->addr || (args->len && args->len != bell->len) ||
	    !!(args->flags & KVM_IOEVENTFD_FLAG_PIO) != bell->pio)
		return false;
	return !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) ||
	       args->datamatch == bell->data;
}

static bool ring(struct vm *vm, const struct doorbell *bell)
{
	struct ioeventfd *one;
	bool rung = false;

	mutex_lock(&vm->ioeventfds_lock);
	list_for_each_entry(one, &vm->ioeventfds, item) {
		if (!rings(one, bell))
			continue;
		compat_eventfd_signal(one->eventfd);
		rung = true;
		break;
	}
	mutex_unlock(&vm->ioeventfds_lock);
	return rung;
}

static bool is_mmio_write(const struct kvm_run *run, struct doorbell *out)
{
	u32 len = READ_ONCE(run->mmio.len);

	if (!READ_ONCE(run->mmio.is_write) || len > sizeof(out->data))
		return false;
	*out = (struct doorbell){ .addr = READ_ONCE(run->mmio.phys_addr), .len = len };
	memcpy(&out->data, run->mmio.data, len);
	return true;
}

static bool is_port_write(const struct kvm_run *run, struct doorbell *out)
{
	u32 len = READ_ONCE(run->io.size);

	if (READ_ONCE(run->io.count) != 1 || len > sizeof(out->data) ||
	    READ_ONCE(run->io.direction) != KVM_EXIT_IO_OUT)
		return false;
	*out = (struct doorbell){ .pio = true, .addr = READ_ONCE(run->io.port), .len = len };
	memcpy(&out->data, (void *)run + KVM_PIO_PAGE_OFFSET * PAGE_SIZE, len);
	return true;
}

/* The VMM can write its area at any time: read each field once. */
static bool is_doorbell(struct vcpu *vcpu, struct doorbell *out)
{
	const struct kvm_run *run = vcpu->area;

	switch (READ_ONCE(run->exit_reason)) {
	case KVM_EXIT_MMIO:
		return is_mmio_write(run, out);
	case KVM_EXIT_IO:
		return is_port_write(run, out);
	default:
		return false;
	}
}

bool ioeventfd_answers(struct vcpu *vcpu)
{
	struct doorbell bell;

	if (!is_doorbell(vcpu, &bell) || !ring(vcpu->vm, &bell))
		return false;
	dvmm_stat_inc(vcpu->vm->stats, DVMM_STAT_VM_eventfd_remote);
	return true;
}

void ioeventfd_free_all(struct vm *vm)
{
	struct ioeventfd *one, *next;

	list_for_each_entry_safe(one, next, &vm->ioeventfds, item)
		free_one(one);
}
