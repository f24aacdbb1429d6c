// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/clock.c - one guest TSC on all nodes: what is added to a node's TSC
 * to get the guest's. How far apart the TSCs of two nodes are is measured by
 * kmod's links.
 *
 * The offset is set once: two crystals of one nominal frequency drift apart by some
 * ticks per million, which is not yet made good while the VM runs.
 */
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/math64.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>
#include "internal.h"

/* Kernels calibrate: two hosts of one frequency differ a little, emulated ones by
 * up to 0.2 %. CPUs that are not of one frequency differ by 2 % (100 MHz) and more.
 */
#define KHZ_TOLERANCE_PERMILLE 5

/* User memory for an ioctl of a vCPU file. */
struct offset_attr {
	struct kvm_device_attr attr;
	u64 offset;
};

static bool khz_equal(u32 one, u32 other)
{
	u32 distance = one > other ? one - other : other - one;

	return (u64)distance * 1000 <= (u64)one * KHZ_TOLERANCE_PERMILLE;
}

int clock_read_offset(struct file *vcpu_file, s64 *out_offset)
{
	const struct kvm_vcpu *vcpu = vcpu_file->private_data;

	/* A scaled TSC is more than an offset away from the host's. */
	if (vcpu->arch.virtual_tsc_khz &&
	    !khz_equal(tsc_khz, READ_ONCE(vcpu->arch.virtual_tsc_khz)))
		return -EOPNOTSUPP;
	*out_offset = READ_ONCE(vcpu->arch.l1_tsc_offset);
	return 0;
}

int clock_set_offset(struct file *vcpu_file, unsigned long scratch, s64 offset)
{
	struct offset_attr __user *user = (void __user *)scratch;
	struct offset_attr set = {
		.attr.group = KVM_VCPU_TSC_CTRL,
		.attr.attr = KVM_VCPU_TSC_OFFSET,
		.attr.addr = (unsigned long)&user->offset,
		.offset = offset,
	};

	if (copy_to_user(user, &set, sizeof(set)))
		return -EFAULT;
	return vcpu_file->f_op->unlocked_ioctl(vcpu_file, KVM_SET_DEVICE_ATTR,
					       (unsigned long)&user->attr);
}

int clock_check_khz(u32 origin_khz)
{
	if (khz_equal(origin_khz, tsc_khz))
		return 0;
	pr_err("dvmm: the TSC of the origin runs at %u kHz, that of this node at %u kHz\n",
	       origin_khz, tsc_khz);
	return -EOPNOTSUPP;
}

int clock_slice_offset(struct vm *vm, s64 *out_offset)
{
	s64 origin_minus_ours;
	u64 error;
	int err = dvmm_link_clock(vm->origin, &origin_minus_ours, &error);

	if (err)
		return err;
	atomic64_set(&vm->stats->value[DVMM_STAT_VM_tsc_error_ticks], error);
	*out_offset = vm->guest_tsc_offset + origin_minus_ours;
	return 0;
}
