// SPDX-License-Identifier: GPL-2.0-only
/* kmod/stat.c - counters: which objects have some, and DVMM_STAT_GET.
 * What is counted is in dvmm/stat.tbl.h; the counting is inline in the door.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

static DEFINE_MUTEX(stats_lock);
static LIST_HEAD(stats_list); /* stats_lock */

static const u32 nr_by_kind[] = {
	[DVMM_STAT_NODE] = DVMM_NR_STAT_NODE,
	[DVMM_STAT_LINK] = DVMM_NR_STAT_LINK,
	[DVMM_STAT_VM] = DVMM_NR_STAT_VM,
};

struct dvmm_stats *dvmm_stats_alloc(u32 kind, u32 id)
{
	struct dvmm_stats *stats;

	if (kind >= ARRAY_SIZE(nr_by_kind))
		return NULL;
	stats = kzalloc(struct_size(stats, value, nr_by_kind[kind]), GFP_KERNEL);
	if (!stats)
		return NULL;
	stats->kind = kind;
	stats->id = id;
	stats->nr = nr_by_kind[kind];
	mutex_lock(&stats_lock);
	list_add_tail(&stats->list_item, &stats_list);
	mutex_unlock(&stats_lock);
	return stats;
}
EXPORT_SYMBOL_GPL(dvmm_stats_alloc);

void dvmm_stats_free(struct dvmm_stats *stats)
{
	if (!stats)
		return;
	mutex_lock(&stats_lock);
	list_del(&stats->list_item);
	mutex_unlock(&stats_lock);
	kfree(stats);
}
EXPORT_SYMBOL_GPL(dvmm_stats_free);

static struct dvmm_stats *find(u32 kind, u32 id)
{
	struct dvmm_stats *stats;

	list_for_each_entry(stats, &stats_list, list_item)
		if (stats->kind == kind && (kind == DVMM_STAT_NODE || stats->id == id))
			return stats;
	return NULL;
}

u32 stats_count(u32 kind)
{
	struct dvmm_stats *stats;
	u32 nr = 0;

	mutex_lock(&stats_lock);
	list_for_each_entry(stats, &stats_list, list_item)
		nr += stats->kind == kind;
	mutex_unlock(&stats_lock);
	return nr;
}

static int copy_values(const struct dvmm_stats *stats, u64 __user *to, u32 room)
{
	u32 i;

	for (i = 0; i < min(room, stats->nr); i++)
		if (put_user((u64)atomic64_read(&stats->value[i]), to + i))
			return -EFAULT;
	return 0;
}

long stat_ioctl_get(struct file *file, void *arg)
{
	struct dvmm_stat_get *get = arg;
	struct dvmm_stats *stats;
	int err = -ENOENT;

	if (get->reserved || get->kind >= ARRAY_SIZE(nr_by_kind))
		return -EINVAL;
	mutex_lock(&stats_lock);
	stats = find(get->kind, get->id);
	if (stats)
		err = copy_values(stats, u64_to_user_ptr(get->values), get->nr);
	mutex_unlock(&stats_lock);
	if (!err)
		get->nr = nr_by_kind[get->kind];
	return err;
}
