// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/test.c - offers the door of dsm/ to a program, without any KVM.
 * One VM for each open file; closing it destroys the VM.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../dsm/dsm.h"
#include "test.h"

struct test {
	struct dsm_vm *vm;
	struct dvmm_stats *stats;
	u64 needed;
	int failed;
	struct dsm_segment segments[DSM_MAX_SEGMENTS];
};

static void test_failed(void *priv, int error, const char *reason)
{
	struct test *test = priv;

	pr_info("dsm-test: failed: %s\n", reason);
	WRITE_ONCE(test->failed, -error);
}

static bool test_needs_node(void *priv, u8 node)
{
	struct test *test = priv;

	return test->needed >> node & 1;
}

static void test_node_lost(void *priv, u8 node)
{
	pr_info("dsm-test: lost node %u\n", node);
}

static void test_describe(void *priv, u32 mem, u64 offset, char *out_text, size_t room)
{
	snprintf(out_text, room, ", at %u:%#llx", mem, offset);
}

static const struct dsm_vm_ops test_ops = {
	.failed = test_failed,
	.needs_node = test_needs_node,
	.node_lost = test_node_lost,
	.describe = test_describe,
};

static long test_vm(struct test *test, struct dsm_test_vm *arg)
{
	if (test->vm)
		return -EBUSY;
	test->stats = dvmm_stats_alloc(DVMM_STAT_VM, arg->vm_id);
	if (IS_ERR_OR_NULL(test->stats)) {
		test->stats = NULL;
		return -ENOMEM;
	}
	test->needed = arg->needed;
	test->vm = dsm_vm_create(arg->vm_id, arg->nodes, arg->origin,
				 test->stats, &test_ops, test);
	if (IS_ERR(test->vm)) {
		long err = PTR_ERR(test->vm);

		test->vm = NULL;
		dvmm_stats_free(test->stats);
		test->stats = NULL;
		return err;
	}
	return 0;
}

static long test_adopt(struct test *test, struct dsm_test_adopt *arg)
{
	struct dsm_home_range range = {
		.gpa = arg->range_start,
		.bytes = arg->range_bytes,
		.node = arg->range_node,
	};
	struct dsm_homes homes = {
		.policy = arg->home_policy,
		.nr = !!arg->range_bytes,
		.range = &range,
	};
	int err = dsm_adopt(test->vm, arg->hva, arg->bytes, 0, &homes,
			    test->segments, &arg->out_nr);

	arg->out_mem = test->segments[0].mem;
	return err;
}

static long test_map(struct test *test, struct dsm_test_map *arg)
{
	struct dsm_segment segment = {
		.mem = arg->mem,
		.home_policy = arg->home_policy,
		.mem_bytes = arg->mem_bytes,
		.offset = arg->offset,
		.bytes = arg->bytes,
	};
	unsigned long hva;
	int err = dsm_map(test->vm, &segment, 1, &hva);

	if (!err)
		arg->out_hva = hva;
	return err;
}

static long test_info(struct test *test, struct dsm_test_info *arg)
{
	struct dvmm_mem_get get = { .mem_id = arg->mem };
	int err = dsm_mem_get_info(test->vm, &get);

	arg->mem = get.mem_id;
	arg->failed = READ_ONCE(test->failed);
	arg->out_resident = get.out_resident;
	arg->out_metadata = get.out_metadata;
	arg->out_homed = get.out_homed;
	return err;
}

static long test_rehome(struct test *test, struct dsm_test_rehome *arg)
{
	struct dvmm_mem_rehome rehome = {
		.mem_id = arg->mem,
		.node_id = arg->node,
		.from_node = arg->from,
		.extent = arg->extent,
		.nr_extents = arg->nr_extents,
	};
	int err = dsm_rehome(test->vm, &rehome);

	arg->out_moved = rehome.out_moved;
	return err;
}

static long test_top(struct test *test, struct dsm_test_top *arg)
{
	struct dvmm_mem_page *pages;
	long err = 0;
	u32 nr;

	pages = kcalloc(DVMM_MEM_TOP_MAX, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	nr = dsm_mem_top(test->vm, pages);
	if (copy_to_user(u64_to_user_ptr(arg->pages), pages, min(nr, arg->nr) * sizeof(*pages)))
		err = -EFAULT;
	arg->nr = min(nr, arg->nr);
	kfree(pages);
	return err;
}

static long test_do(struct test *test, unsigned int cmd, void *arg)
{
	if (cmd == DSM_TEST_VM)
		return test_vm(test, arg);
	if (!test->vm)
		return -EINVAL;
	switch (cmd) {
	case DSM_TEST_ADOPT:
		return test_adopt(test, arg);
	case DSM_TEST_MAP:
		return test_map(test, arg);
	case DSM_TEST_INFO:
		return test_info(test, arg);
	case DSM_TEST_TOP:
		return test_top(test, arg);
	case DSM_TEST_REHOME:
		return test_rehome(test, arg);
	case DSM_TEST_KILL:
		dsm_vm_kill(test->vm);
		return 0;
	default:
		return -ENOTTY;
	}
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	u8 arg[128] __aligned(8) = {};
	long ret;

	if (_IOC_SIZE(cmd) > sizeof(arg))
		return -ENOTTY;
	if (copy_from_user(arg, (void __user *)uarg, _IOC_SIZE(cmd)))
		return -EFAULT;
	ret = test_do(file->private_data, cmd, arg);
	if (!ret && _IOC_DIR(cmd) & _IOC_READ &&
	    copy_to_user((void __user *)uarg, arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}

static int test_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct test), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static int test_release(struct inode *inode, struct file *file)
{
	struct test *test = file->private_data;

	if (test->vm)
		dsm_vm_destroy(test->vm);
	if (test->stats)
		dvmm_stats_free(test->stats);
	kfree(test);
	return 0;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_release,
	.unlocked_ioctl = test_ioctl,
};

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dvmm-dsm-test",
	.fops = &test_fops,
};
module_misc_device(test_device);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: test of coherent memory");
