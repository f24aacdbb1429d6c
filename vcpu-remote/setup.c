// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/setup.c - what the VMM set up once, on a vCPU or on the VM, and nobody can read
 * back: remembered at the origin, and told to each node where the vCPU goes, or that joins.
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

static void keep(struct list_head *setups, struct setup *setup)
{
	struct setup *old, *next;

	list_for_each_entry_safe(old, next, setups, item) {
		if (!replaces(setup, old))
			continue;
		list_del(&old->item);
		kfree(old);
	}
	list_add_tail(&setup->item, setups);
}

static struct setup *setup_new(unsigned int cmd, u64 arg, const void *bytes, size_t len)
{
	struct setup *setup = kzalloc(struct_size(setup, bytes, len), GFP_KERNEL);

	if (!setup)
		return NULL;
	setup->cmd = cmd;
	setup->arg = arg;
	setup->len = len;
	if (len)
		memcpy(setup->bytes, bytes, len);
	return setup;
}

int setup_note(struct vcpu *vcpu, unsigned int cmd, u64 arg, const void *bytes, size_t len)
{
	struct setup *setup;

	if (!setup_is_one(cmd))
		return 0;
	setup = setup_new(cmd, arg, bytes, len);
	if (!setup)
		return -ENOMEM;
	mutex_lock(&vcpu->setup_lock);
	keep(&vcpu->setups, setup);
	vcpu->ready_nodes = BIT_ULL(vcpu->node);
	mutex_unlock(&vcpu->setup_lock);
	return 0;
}

static struct shipped as_shipped(const struct setup *setup)
{
	return (struct shipped){
		.cmd = setup->cmd,
		.arg = setup->arg,
		.in = setup->bytes,
		.in_len = setup->len,
	};
}

static long tell(struct vcpu *vcpu, u8 node, const struct setup *setup)
{
	struct shipped shipped = as_shipped(setup);

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

static void free_setups(struct list_head *setups)
{
	struct setup *setup, *next;

	list_for_each_entry_safe(setup, next, setups, item)
		kfree(setup);
}

void setup_free_all(struct vcpu *vcpu)
{
	free_setups(&vcpu->setups);
}

/* Its real vCPUs, if it had some, are gone with its former slice. */
void setup_forget_node(struct vm *vm, u8 node)
{
	struct vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu) {
		mutex_lock(&vcpu->setup_lock);
		vcpu->ready_nodes &= ~BIT_ULL(node);
		mutex_unlock(&vcpu->setup_lock);
		vcpu->made_nodes &= ~BIT_ULL(node);
	}
}

/* ---- of the VM ---- */

int setup_note_vm(struct vm *vm, unsigned int cmd, u64 arg, const void *bytes, size_t len)
{
	struct setup *setup = setup_new(cmd, arg, bytes, len);

	lockdep_assert_held(&vm->slots_lock);
	if (!setup)
		return -ENOMEM;
	keep(&vm->setups, setup);
	return 0;
}

int setup_tell_vm(struct vm *vm, u8 node)
{
	struct setup *setup;
	int err;

	lockdep_assert_held(&vm->slots_lock);
	list_for_each_entry(setup, &vm->setups, item) {
		struct shipped shipped = as_shipped(setup);

		err = ship_vm_ioctl(vm, node, &shipped);
		if (err)
			return err;
	}
	return 0;
}

void setup_free_vm(struct vm *vm)
{
	free_setups(&vm->setups);
}
