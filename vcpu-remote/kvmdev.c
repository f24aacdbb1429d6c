// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/kvmdev.c - /dev/dvmm/vm/<uuid>: the device a VMM opens instead of
 * /dev/kvm. What KVM offers and can work across nodes is offered, nothing else.
 * The VM it creates is vmfile.c's.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

#define NR_MINORS 4096

/* One open of the device. */
struct kvmdev {
	struct vm *vm;
	struct file *real;
};

static dev_t first_dev;
static struct cdev kvm_cdev;
static DEFINE_XARRAY_ALLOC(minors); /* minor -> struct vm, without references */

static struct vm *vm_of_minor(u32 minor)
{
	struct vm *vm;

	xa_lock(&minors);
	vm = xa_load(&minors, minor);
	if (vm && !kref_get_unless_zero(&vm->ref))
		vm = NULL;
	xa_unlock(&minors);
	return vm;
}

static int kvmdev_open(struct inode *inode, struct file *file)
{
	struct kvmdev *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int err = -ENODEV;

	if (!dev)
		return -ENOMEM;
	dev->vm = vm_of_minor(iminor(inode) - MINOR(first_dev));
	if (!dev->vm)
		goto free_dev;
	dev->real = real_open();
	if (IS_ERR(dev->real)) {
		err = PTR_ERR(dev->real);
		goto put_vm;
	}
	file->private_data = dev;
	return 0;

put_vm:
	vm_put(dev->vm);
free_dev:
	kfree(dev);
	return err;
}

static int kvmdev_release(struct inode *inode, struct file *file)
{
	struct kvmdev *dev = file->private_data;

	fput(dev->real);
	vm_put(dev->vm);
	kfree(dev);
	return 0;
}

static int limit_entries(struct kvm_cpuid2 __user *user, u32 nent)
{
	size_t bytes = struct_size_t(struct kvm_cpuid2, entries, nent);
	struct kvm_cpuid2 *cpuid = vmemdup_user(user, bytes);
	int err = 0;

	if (IS_ERR(cpuid))
		return PTR_ERR(cpuid);
	cpuid_limit(cpuid, nent);
	if (copy_to_user(user, cpuid, bytes))
		err = -EFAULT;
	kvfree(cpuid);
	return err;
}

/* KVM fills the VMM's buffer, then what does not work across nodes is taken out. */
static long get_supported_cpuid(struct kvmdev *dev, unsigned int cmd, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	long err = real_ioctl(dev->real, cmd, arg);
	u32 nent;

	if (err)
		return err;
	if (get_user(nent, &user->nent))
		return -EFAULT;
	return nent > 1024 ? -EINVAL : limit_entries(user, nent);
}

static long forward(struct kvmdev *dev, unsigned int cmd, unsigned long arg)
{
	return real_ioctl(dev->real, cmd, arg);
}

static long check_extension(struct kvmdev *dev, unsigned int cmd, unsigned long arg)
{
	return extension_check(dev->real, arg);
}

static long create_vm(struct kvmdev *dev, unsigned int cmd, unsigned long arg)
{
	return vmfile_create(dev->vm, dev->real, arg);
}

static const struct {
	unsigned int cmd;
	long (*handler)(struct kvmdev *dev, unsigned int cmd, unsigned long arg);
} handlers[] = {
	{ KVM_GET_API_VERSION, forward },
	{ KVM_CHECK_EXTENSION, check_extension },
	{ KVM_CREATE_VM, create_vm },
	{ KVM_GET_VCPU_MMAP_SIZE, forward },
	{ KVM_GET_SUPPORTED_CPUID, get_supported_cpuid },
	{ KVM_GET_EMULATED_CPUID, forward },
	{ KVM_GET_MSR_INDEX_LIST, forward },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, forward },
	{ KVM_GET_MSRS, forward },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, forward },
	{ KVM_GET_DEVICE_ATTR, forward },
	{ KVM_HAS_DEVICE_ATTR, forward },
};

static long kvmdev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kvmdev *dev = file->private_data;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].cmd == cmd)
			return handlers[i].handler(dev, cmd, arg);
	vm_unsupported(dev->vm, "KVM device ioctl %#x is not supported by a spanning VM",
		       cmd);
	return -EINVAL;
}

static const struct file_operations kvmdev_fops = {
	.owner = THIS_MODULE,
	.open = kvmdev_open,
	.release = kvmdev_release,
	.unlocked_ioctl = kvmdev_ioctl,
	.llseek = noop_llseek,
};

int kvmdev_add(struct vm *vm)
{
	struct device *device;
	int err = xa_alloc(&minors, &vm->minor, vm,
			   XA_LIMIT(1, NR_MINORS - 1), GFP_KERNEL);

	if (err)
		return err;
	device = device_create(dvmm_class, NULL, first_dev + vm->minor, NULL,
			       "dvmm!vm!%pUb", vm->uuid);
	if (IS_ERR(device)) {
		xa_erase(&minors, vm->minor);
		return PTR_ERR(device);
	}
	return 0;
}

void kvmdev_remove(struct vm *vm)
{
	device_destroy(dvmm_class, first_dev + vm->minor);
	xa_erase(&minors, vm->minor);
}

int kvmdev_init(void)
{
	int err = alloc_chrdev_region(&first_dev, 0, NR_MINORS, "dvmm-vm");

	if (err)
		return err;
	cdev_init(&kvm_cdev, &kvmdev_fops);
	kvm_cdev.owner = THIS_MODULE;
	err = cdev_add(&kvm_cdev, first_dev, NR_MINORS);
	if (err)
		unregister_chrdev_region(first_dev, NR_MINORS);
	return err;
}

void kvmdev_exit(void)
{
	cdev_del(&kvm_cdev);
	unregister_chrdev_region(first_dev, NR_MINORS);
}
