// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/homes.c - which nodes are home of which guest memory: as
 * DVMM_VM_CREATE says it, and as DVMM_MEM_REHOME changes it. The memory itself is
 * dsm's.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

static bool overlap(const struct dvmm_home_range *a, const struct dvmm_home_range *b)
{
	return a->start < b->start + b->bytes && b->start < a->start + a->bytes;
}

static bool is_range(const struct dvmm_home_range *range)
{
	return range->bytes && !range->reserved && range->node_id < DVMM_MAX_NODES &&
	       PAGE_ALIGNED(range->start) && PAGE_ALIGNED(range->bytes) &&
	       range->start + range->bytes > range->start;
}

static bool are_ranges(const struct dvmm_home_range *ranges, u32 nr)
{
	u32 i, k;

	for (i = 0; i < nr; i++) {
		if (!is_range(&ranges[i]))
			return false;
		for (k = 0; k < i; k++)
			if (overlap(&ranges[i], &ranges[k]))
				return false;
	}
	return true;
}

static int keep_ranges(struct dsm_homes *out, const struct dvmm_home_range *ranges, u32 nr)
{
	struct dsm_home_range *range = kvmalloc_array(nr, sizeof(*range), GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!range)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		range[i] = (struct dsm_home_range){
			.gpa = ranges[i].start,
			.bytes = ranges[i].bytes,
			.node = ranges[i].node_id,
		};
	out->range = range;
	out->nr = nr;
	return 0;
}

int homes_copy(struct dsm_homes *out, const struct dvmm_vm_create *create)
{
	struct dvmm_home_range *ranges;
	int err;

	*out = (struct dsm_homes){ .policy = create->home_policy };
	if (create->nr_homes > DVMM_MAX_HOME_RANGES)
		return -EINVAL;
	if (!create->nr_homes)
		return 0;
	ranges = vmemdup_user(u64_to_user_ptr(create->homes),
			      create->nr_homes * sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	err = are_ranges(ranges, create->nr_homes) ?
		      keep_ranges(out, ranges, create->nr_homes) : -EINVAL;
	kvfree(ranges);
	return err;
}

bool homes_are_of(const struct dsm_homes *homes, u64 nodes)
{
	u32 i;

	for (i = 0; i < homes->nr; i++)
		if (!(nodes & BIT_ULL(homes->range[i].node)))
			return false;
	return true;
}

void homes_free(struct dsm_homes *homes)
{
	kvfree(homes->range);
}

long mem_rehome_ioctl(struct file *file, void *arg)
{
	struct dvmm_mem_rehome *rehome = arg;
	struct vm *vm;
	int err;

	if (rehome->node_id >= DVMM_MAX_NODES ||
	    (rehome->from_node >= DVMM_MAX_NODES && rehome->from_node != DVMM_ANY_NODE))
		return -EINVAL;
	vm = vm_find(rehome->vm_id);
	if (!vm)
		return -ENOENT;
	err = dsm_rehome(vm->dsm, rehome);
	vm_put(vm);
	return err;
}
