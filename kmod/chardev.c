// SPDX-License-Identifier: GPL-2.0-only
/* kmod/chardev.c - /dev/dvmm/control and the device class. The ioctls are
 * handled in the files of their objects, and in modules above that register theirs.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include "internal.h"

struct class *dvmm_class;
EXPORT_SYMBOL_GPL(dvmm_class);

static dev_t control_devt;
static struct cdev control_cdev;

/* Ioctls of the modules above. */
struct control_table {
	struct list_head item;
	const struct dvmm_ioctl *table;
	size_t nr;
	struct module *owner;
};

static DEFINE_MUTEX(tables_lock);
static LIST_HEAD(tables); /* tables_lock */

#define IOCTL(cmd, struct_name, last_field, flags, handler) \
	{ cmd, offsetofend(struct struct_name, last_field), flags, #cmd, handler }

static const struct dvmm_ioctl own_ioctls[] = {
	IOCTL(DVMM_NODE_SET, dvmm_node_set, name, DVMM_IOCTL_ADMIN, node_ioctl_set),
	IOCTL(DVMM_NODE_GET, dvmm_node_get, out_name, 0, node_ioctl_get),
	IOCTL(DVMM_EPOCH_SET, dvmm_epoch_set, members, DVMM_IOCTL_ADMIN, epoch_ioctl_set),
	IOCTL(DVMM_LINK_ADD, dvmm_link_add, reserved, DVMM_IOCTL_ADMIN, link_ioctl_add),
	IOCTL(DVMM_LINK_GET, dvmm_link_get, out_reason, 0, link_ioctl_get),
	IOCTL(DVMM_STAT_GET, dvmm_stat_get, values, 0, stat_ioctl_get),
};

/* tables_lock held */
static bool is_taken(unsigned int cmd)
{
	struct control_table *entry;

	if (ioctl_find(own_ioctls, ARRAY_SIZE(own_ioctls), cmd))
		return true;
	list_for_each_entry(entry, &tables, item)
		if (ioctl_find(entry->table, entry->nr, cmd))
			return true;
	return false;
}

int dvmm_control_register(const struct dvmm_ioctl *table, size_t nr, struct module *owner)
{
	struct control_table *entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	int err = 0;
	size_t i;

	if (!entry)
		return -ENOMEM;
	entry->table = table;
	entry->nr = nr;
	entry->owner = owner;
	mutex_lock(&tables_lock);
	for (i = 0; i < nr && !err; i++)
		err = is_taken(table[i].cmd) ? -EEXIST : 0;
	if (!err)
		list_add_tail(&entry->item, &tables);
	mutex_unlock(&tables_lock);
	if (err)
		kfree(entry);
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_control_register);

void dvmm_control_unregister(const struct dvmm_ioctl *table)
{
	struct control_table *entry, *next;

	mutex_lock(&tables_lock);
	list_for_each_entry_safe(entry, next, &tables, item) {
		if (entry->table != table)
			continue;
		list_del(&entry->item);
		kfree(entry);
	}
	mutex_unlock(&tables_lock);
}
EXPORT_SYMBOL_GPL(dvmm_control_unregister);

/* Finds the table of @cmd and keeps its module until the call is over. */
static bool table_get(unsigned int cmd, struct control_table *out)
{
	struct control_table *entry;
	bool found = false;

	mutex_lock(&tables_lock);
	list_for_each_entry(entry, &tables, item) {
		if (!ioctl_find(entry->table, entry->nr, cmd))
			continue;
		found = try_module_get(entry->owner);
		*out = *entry;
		break;
	}
	mutex_unlock(&tables_lock);
	return found;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct control_table above;
	long ret;

	if (ioctl_find(own_ioctls, ARRAY_SIZE(own_ioctls), cmd))
		return dvmm_ioctl_dispatch(own_ioctls, ARRAY_SIZE(own_ioctls), file, cmd, arg);
	if (!table_get(cmd, &above))
		return -ENOTTY;
	ret = dvmm_ioctl_dispatch(above.table, above.nr, file, cmd, arg);
	module_put(above.owner);
	return ret;
}

static int control_open(struct inode *inode, struct file *file)
{
	file->private_data = event_reader_create();
	return file->private_data ? stream_open(inode, file) : -ENOMEM;
}

static int control_release(struct inode *inode, struct file *file)
{
	event_reader_free(file->private_data);
	return 0;
}

static ssize_t control_read(struct file *file, char __user *to, size_t room, loff_t *pos)
{
	return event_read(file->private_data, to, room, file->f_flags & O_NONBLOCK);
}

static __poll_t control_poll(struct file *file, poll_table *wait)
{
	return event_poll(file->private_data, file, wait);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.read = control_read,
	.poll = control_poll,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static char *class_devnode(COMPAT_DEVNODE_CONST struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = dev->devt == control_devt ? 0600 : 0660;
	return NULL;
}

int chardev_init(void)
{
	struct device *dev;
	int err;

	dvmm_class = compat_class_create("dvmm");
	if (IS_ERR(dvmm_class))
		return PTR_ERR(dvmm_class);
	dvmm_class->devnode = class_devnode;
	err = alloc_chrdev_region(&control_devt, 0, 1, "dvmm");
	if (err)
		goto destroy_class;
	cdev_init(&control_cdev, &control_fops);
	control_cdev.owner = THIS_MODULE;
	err = cdev_add(&control_cdev, control_devt, 1);
	if (err)
		goto free_region;
	dev = device_create(dvmm_class, NULL, control_devt, NULL, "dvmm!control");
	err = PTR_ERR_OR_ZERO(dev);
	if (err)
		goto del_cdev;
	return 0;

del_cdev:
	cdev_del(&control_cdev);
free_region:
	unregister_chrdev_region(control_devt, 1);
destroy_class:
	class_destroy(dvmm_class);
	return err;
}

void chardev_exit(void)
{
	device_destroy(dvmm_class, control_devt);
	cdev_del(&control_cdev);
	unregister_chrdev_region(control_devt, 1);
	class_destroy(dvmm_class);
}
