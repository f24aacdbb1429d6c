// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/setup.c - what the VMM set up once on a vCPU and nobody can read back:
 * remembered at the origin, and told to each node where the vCPU goes.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

struct setup {
	struct list_head item;
	unsigned int cmd;
	u64 arg; /* a scalar argument */
	size_t len;
	u8 bytes[];
};

bool setup_is_one(unsigned int cmd)
{
	switch (cmd) {
	case KVM_SET_CPUID2:
	case KVM_X86_SETUP_MCE:
	case KVM_SET_TSC_KHZ:
	case KVM_TPR_ACCESS_REPORTING:
	case KVM_SET_VAPIC_ADDR:
	case KVM_SET_GUEST_DEBUG:
	case KVM_ENABLE_CAP:
		return true;
	default:
		return false;
	}
}

/* Each capability is something of its own; its number comes first. */
static bool replaces(const struct setup *setup, const struct setup *old)
{
	return setup->cmd == old->cmd &&
	       (setup->cmd != KVM_ENABLE_CAP ||
		!memcmp(setup->bytes, old->bytes, sizeof(u32)));
}

static void keep(struct vcpu *vcpu, struct setup *setup)
{
	struct setup *old, *next;

	mutex_lock(&vcpu->setup_lock);
	list_for_each_entry_safe(old, next, &vcpu->setups, item) {
		if (!replaces(setup, old))
			continue;
		list_del(&old->item);
		kfree(old);
	}
	list_add_tail(&setup->item, &vcpu->setups);
	vcpu->ready_nodes = BIT_ULL(vcpu->node);
	mutex_unlock(&vcpu->setup_lock);
}

int setup_note(struct vcpu *vcpu, unsigned int cmd, u64 arg, const void *bytes, size_t len)
{
	struct setup *setup;

	if (!setup_is_one(cmd))
		return 0;
	setup = kzalloc(struct_size(setup, bytes, len), GFP_KERNEL);
	if (!setup)
		return -ENOMEM;
	setup->cmd = cmd;
	setup->arg = arg;
	setup->len = len;
	if (len)
		memcpy(setup->bytes, bytes, len);
	keep(vcpu, setup);
	return 0;
}

static long tell(struct vcpu *vcpu, u8 node, const struct setup *setup)
{
	struct shipped shipped = {
		.cmd = setup->cmd,
		.arg = setup->arg,
		.in = setup->bytes,
		.in_len = setup->len,
	};

	return ship_vcpu_ioctl_to(vcpu, node, &shipped);
}

static long do_here(const struct setup *setup, struct file *real, unsigned long scratch)
{
	if (!setup->len)
		return real_ioctl(real, setup->cmd, setup->arg);
	if (copy_to_user((void __user *)scratch, setup->bytes, setup->len))
		return -EFAULT;
	return real_ioctl(real, setup->cmd, scratch);
}

int setup_replay(struct vcpu *vcpu, u8 node, struct file *real, unsigned long scratch)
{
	struct setup *setup;
	long err = 0;

	if (mutex_lock_killable(&vcpu->setup_lock))
		return -EINTR;
	if (vcpu->ready_nodes & BIT_ULL(node))
		goto unlock;
	list_for_each_entry(setup, &vcpu->setups, item) {
		err = real ? do_here(setup, real, scratch) : tell(vcpu, node, setup);
		if (err < 0)
			goto unlock;
	}
	err = 0;
	vcpu->ready_nodes |= BIT_ULL(node);
unlock:
	mutex_unlock(&vcpu->setup_lock);
	return err;
}

void setup_free_all(struct vcpu *vcpu)
{
	struct setup *setup, *next;

	list_for_each_entry_safe(setup, next, &vcpu->setups, item)
		kfree(setup);
}
