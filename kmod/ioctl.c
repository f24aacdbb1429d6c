// SPDX-License-Identifier: GPL-2.0-only
/* kmod/ioctl.c - takes an ioctl of ours apart: finds it in a table, checks the
 * size, the flags and the caller's right, copies in and out. What a field means
 * is left to the handlers.
 */
#include <linux/capability.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

/* All arguments start so. */
struct arg_head {
	__u32 size;
	__u32 flags;
};

/* The size in @cmd is that of the caller's struct: old and new callers meet here. */
static bool same_ioctl(unsigned int a, unsigned int b)
{
	return _IOC_TYPE(a) == _IOC_TYPE(b) && _IOC_NR(a) == _IOC_NR(b) &&
	       _IOC_DIR(a) == _IOC_DIR(b);
}

const struct dvmm_ioctl *ioctl_find(const struct dvmm_ioctl *table, size_t nr, unsigned int cmd)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (same_ioctl(table[i].cmd, cmd))
			return &table[i];
	return NULL;
}

static int copy_in(const struct dvmm_ioctl *ioctl, void *to, const void __user *from, u32 *out_size)
{
	struct arg_head *head = to;
	u32 size;
	int err;

	if (get_user(size, (const u32 __user *)from))
		return -EFAULT;
	if (size < ioctl->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(to, _IOC_SIZE(ioctl->cmd), from, size);
	if (err)
		return err;
	/* It may have changed between the two reads. */
	head->size = size;
	if (head->flags & ~ioctl->arg_flags)
		return -EINVAL;
	*out_size = min_t(u32, size, _IOC_SIZE(ioctl->cmd));
	return 0;
}

static long call(const struct dvmm_ioctl *ioctl, struct file *file, void *buf, void __user *arg)
{
	bool writes = _IOC_DIR(ioctl->cmd) & _IOC_READ;
	u32 size;
	long ret;

	ret = copy_in(ioctl, buf, arg, &size);
	if (ret)
		return ret;
	/* Fail before the handler makes an fd that nobody would hear of. */
	if (writes && copy_to_user(arg, buf, size))
		return -EFAULT;
	ret = ioctl->handler(file, buf);
	writes &= ret >= 0 || ioctl->flags & DVMM_IOCTL_EXPLAINS;
	if (writes && copy_to_user(arg, buf, size))
		return -EFAULT;
	return ret;
}

long dvmm_ioctl_dispatch(const struct dvmm_ioctl *table, size_t nr,
			 struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct dvmm_ioctl *ioctl = ioctl_find(table, nr, cmd);
	void *buf;
	long ret;

	if (!ioctl)
		return -ENOTTY;
	if ((ioctl->flags & DVMM_IOCTL_ADMIN) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	buf = kzalloc(_IOC_SIZE(ioctl->cmd), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	ret = call(ioctl, file, buf, (void __user *)arg);
	kfree_sensitive(buf);
	return ret;
}
EXPORT_SYMBOL_GPL(dvmm_ioctl_dispatch);
