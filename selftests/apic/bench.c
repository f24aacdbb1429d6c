// SPDX-License-Identifier: GPL-2.0-only
/* selftests/apic/bench.c - two KVM VMs of one host play the two nodes of a VM: the
 * product's own probe, routing and clock, with a wire that is a function call.
 */
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "../vcpu-remote/apic_probe.c"
#include "../vcpu-remote/irq.c"
#include "../vcpu-remote/clock.c"
#include "bench.h"

struct side {
	struct vm vm;
	struct file *kvm_file;
};

static struct side *sides; /* bench_lock; two, or NULL */
static DEFINE_MUTEX(bench_lock);
static u8 node_of[BENCH_NR_VCPUS];
static u8 self;

/* ---- what the product's other files would be ---- */

u8 dvmm_node_self(void)
{
	return self;
}

u8 vm_node_of(const struct vm *vm, u32 vcpu_id)
{
	return vcpu_id < BENCH_NR_VCPUS ? node_of[vcpu_id] : DVMM_NO_NODE;
}

u64 vm_vcpu_nodes(const struct vm *vm)
{
	return vm->nodes;
}

struct vcpu *vcpu_find(struct vm *vm, u32 id)
{
	return NULL;
}

int dvmm_link_send(u8 node, const struct dvmm_msg *msg)
{
	return irq_receive(&sides[node].vm, !node, msg->payload);
}

bool dvmm_link_is_up(u8 node)
{
	return true;
}

void vm_die(struct vm *vm, int error, const char *reason)
{
	pr_err("apic-bench: %s\n", reason);
}

int dvmm_link_clock(u8 node, s64 *out_offset, u64 *out_error)
{
	return -ENOTCONN;
}

/* ---- the bench ---- */

static void part(void)
{
	int i;

	for (i = 0; sides && i < 2; i++)
		irq_vm_stop(&sides[i].vm);
	for (i = 0; sides && i < 2; i++) {
		kfree(sides[i].vm.stats);
		if (sides[i].kvm_file)
			fput(sides[i].kvm_file);
	}
	kfree(sides);
	sides = NULL;
}

static int side_start(struct side *side, u8 node, int fd)
{
	side->kvm_file = fget(fd);
	side->vm.stats = kzalloc(struct_size(side->vm.stats, value,
					     DVMM_NR_STAT_VM), GFP_KERNEL);
	if (!side->kvm_file || !side->vm.stats)
		return -EBADF;
	side->vm.id = node;
	side->vm.nodes = 3;
	side->vm.kvm = side->kvm_file->private_data;
	self = node;
	return irq_vm_start(&side->vm);
}

static int join(const struct bench_join *arg)
{
	int err;

	if (sides)
		return -EBUSY;
	sides = kcalloc(2, sizeof(*sides), GFP_KERNEL);
	if (!sides)
		return -ENOMEM;
	memcpy(node_of, arg->node_of, sizeof(node_of));
	err = side_start(&sides[0], 0, arg->vm_fd[0]);
	if (!err)
		err = side_start(&sides[1], 1, arg->vm_fd[1]);
	if (err)
		part();
	return err;
}

static int message(const struct bench_message *arg)
{
	const struct dvmm_msg_apic msg = {
		.dest = cpu_to_le32(arg->dest),
		.vector = cpu_to_le32(arg->vector),
		.delivery_mode = cpu_to_le32(arg->delivery_mode),
		.dest_mode = cpu_to_le32(arg->dest_mode),
		.shorthand = cpu_to_le32(arg->shorthand),
		.flags = cpu_to_le32(arg->flags),
	};

	return irq_receive(&sides[arg->node & 1].vm, arg->from, &msg);
}

static void stats(struct bench_stats *out)
{
	atomic64_t *value = sides[out->node & 1].vm.stats->value;

	out->captured = atomic64_read(&value[DVMM_STAT_VM_apic_captured]);
	out->sent = atomic64_read(&value[DVMM_STAT_VM_apic_sent]);
	out->received = atomic64_read(&value[DVMM_STAT_VM_apic_received]);
	out->dropped = atomic64_read(&value[DVMM_STAT_VM_apic_dropped]);
}

static int vcpu_call(unsigned int cmd, struct bench_vcpu *arg)
{
	struct file *file = fget(arg->vcpu_fd);
	s64 offset = 0;
	int err;

	if (!file)
		return -EBADF;
	if (cmd == BENCH_VCPU_CREATED)
		err = irq_vcpu_created(&sides[arg->node & 1].vm, file,
				       arg->scratch);
	else if (cmd == BENCH_SET_OFFSET)
		err = clock_set_offset(file, arg->scratch, arg->offset);
	else
		err = clock_read_offset(file, &offset);
	arg->offset = offset;
	fput(file);
	return err;
}

union bench_arg {
	struct bench_join join;
	struct bench_vcpu vcpu;
	struct bench_stats stats;
	struct bench_message message;
};

static int dispatch(unsigned int cmd, union bench_arg *arg)
{
	if (cmd == BENCH_JOIN)
		return join(&arg->join);
	if (!sides)
		return -EINVAL;
	if (cmd == BENCH_MESSAGE)
		return message(&arg->message);
	if (cmd == BENCH_PART)
		part();
	else if (cmd == BENCH_STATS)
		stats(&arg->stats);
	else
		return vcpu_call(cmd, &arg->vcpu);
	return 0;
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	union bench_arg arg = {};
	int err;

	if (_IOC_SIZE(cmd) > sizeof(arg) ||
	    copy_from_user(&arg, (void __user *)user, _IOC_SIZE(cmd)))
		return -EFAULT;
	mutex_lock(&bench_lock);
	err = dispatch(cmd, &arg);
	mutex_unlock(&bench_lock);
	if (!err && copy_to_user((void __user *)user, &arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return err;
}

static int bench_release(struct inode *inode, struct file *file)
{
	mutex_lock(&bench_lock);
	part();
	mutex_unlock(&bench_lock);
	return 0;
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bench_ioctl,
	.release = bench_release,
};

static struct miscdevice bench_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "apic-bench",
	.fops = &bench_fops,
};

static int __init bench_init(void)
{
	int err = apic_probe_init();

	return err ? err : misc_register(&bench_device);
}
module_init(bench_init);

static void __exit bench_exit(void)
{
	misc_deregister(&bench_device);
	apic_probe_exit();
}
module_exit(bench_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: bench for APIC messages between two VMs of one host");
