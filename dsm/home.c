// SPDX-License-Identifier: GPL-2.0-only
/* dsm/home.c - where the directory entry of a page is, and the requests that
 * wait there while it is busy. What the directory answers is proto.c's.
 */
#include <linux/slab.h>

#include "internal.h"

#define EXTENT_PAGES 512 /* 2 MiB have one home */

struct waiting {
	struct waiting *next;
	struct proto_event ev;
};

/* As long as no node was lost. */
static u8 first_home_of(const struct dsm_mem *mem, u64 index)
{
	const struct dsm_vm *vm = mem->vm;

	if (mem->home_policy == DVMM_HOME_ORIGIN)
		return vm->origin;
	return vm->node[(index / EXTENT_PAGES) % vm->nr_nodes];
}

u8 home_of(const struct dsm_mem *mem, u64 index)
{
	return READ_ONCE(mem->vm->heir[first_home_of(mem, index)]);
}

/* Its directory was lost with its home. */
bool home_is_orphan(const struct dsm_mem *mem, u64 index)
{
	return READ_ONCE(mem->orphaned_by) >> first_home_of(mem, index) & 1;
}

/* What had its home at @lost has it at @heir. Nobody asks any home meanwhile. */
void home_replace_node(struct dsm_vm *vm, u8 lost, u8 heir)
{
	struct dsm_mem *mem;
	u32 id = 0;
	int i;

	for (; (mem = mem_next(vm, &id)); mem_put(mem))
		WRITE_ONCE(mem->orphaned_by, mem->orphaned_by | 1ULL << lost);
	/* A directory that is made from now on knows that it is not the first. */
	smp_wmb();
	for (i = 0; i < DVMM_MAX_NODES; i++)
		if (vm->heir[i] == lost)
			WRITE_ONCE(vm->heir[i], heir);
	smp_mb(); /* see chunk_make() */
}

/* Each node has at most one request per page, so the list is short and an
 * item this small is not worth a failure.
 */
int home_queue(struct dsm_home *home, const struct proto_event *ev)
{
	struct waiting **end, *item;

	for (end = &home->waiting; *end; end = &(*end)->next)
		if ((*end)->ev.from == ev->from)
			return -EPROTO;
	item = kmalloc(sizeof(*item), GFP_KERNEL | __GFP_NOFAIL);
	item->next = NULL;
	item->ev = *ev;
	*end = item;
	return 0;
}

bool home_next(struct dsm_home *home, struct proto_event *out_ev)
{
	struct waiting *item = home->waiting;

	if (!item)
		return false;
	home->waiting = item->next;
	*out_ev = item->ev;
	kfree(item);
	return true;
}

void home_free_waiting(struct dsm_home *home)
{
	struct proto_event ev;

	while (home_next(home, &ev))
		;
}

/* Untouched, or an upgrade of the only sharer. */
bool home_is_simple(const struct page_ref *ref)
{
	const struct proto_home *home;

	if (!ref->home)
		return false;
	home = &ref->home->home;
	if (home->busy)
		return false;
	return home->state == PROTO_UNCACHED ||
	       (home->state == PROTO_SHARED &&
		home->sharers == 1ULL << ref->mem->vm->self);
}
