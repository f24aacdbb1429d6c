// SPDX-License-Identifier: GPL-2.0-only
/* dsm/home.c - where the directory entry of a page is, and the requests that
 * wait there while it is busy. What the directory answers is proto.c's, how it
 * gets another place while the VM runs rehome.c's.
 */
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"

#define EXTENT_BYTES ((u64)HOME_EXTENT_PAGES << PAGE_SHIFT)
#define FROZEN 0x80 /* in a table, beside the node */
#define ORPHAN 0x40 /* likewise: as by mem->orphaned_by, and the node that was lost is back */
#define NODE 0x3f
static_assert(!((DVMM_MAX_NODES - 1) & ~NODE));

struct waiting {
	struct waiting *next;
	struct proto_event ev;
};

/* So many can wait at homes on a host without memory; more are sent back. */
#define NR_RESERVED 1024

static struct kmem_cache *waitings;
static mempool_t *waiting_pool;

/* ---- where ---- */

static u8 home_by_policy(const struct dsm_vm *vm, u32 policy, u64 extent)
{
	u8 founder = vm->founder[extent % vm->nr_founders];

	if (policy == DVMM_HOME_ORIGIN || READ_ONCE(vm->gone_founders) >> founder & 1)
		return vm->origin;
	return founder;
}

static u8 lookup(const struct dsm_mem *mem, u64 extent)
{
	/* Pairs with the cmpxchg() of need_table(). */
	const u8 *table = smp_load_acquire(&mem->homes);

	return table ? READ_ONCE(table[extent]) :
		       home_by_policy(mem->vm, mem->home_policy, extent);
}

/* As long as no node was lost. */
static u8 first_home_of(const struct dsm_mem *mem, u64 index)
{
	return lookup(mem, index / HOME_EXTENT_PAGES) & NODE;
}

u8 home_of(const struct dsm_mem *mem, u64 index)
{
	return READ_ONCE(mem->vm->heir[first_home_of(mem, index)]);
}

struct proto_site home_site(const struct dsm_mem *mem, u64 index)
{
	u8 first = lookup(mem, index / HOME_EXTENT_PAGES);
	u8 self = mem->vm->self;

	return (struct proto_site){
		.self = self,
		.home = READ_ONCE(mem->vm->heir[first & NODE]),
		.frozen = first == (self | FROZEN),
	};
}

bool home_is_by_policy(const struct dsm_mem *mem, u64 extent)
{
	struct dsm_vm *vm = mem->vm;

	return home_of(mem, extent * HOME_EXTENT_PAGES) ==
	       READ_ONCE(vm->heir[home_by_policy(vm, mem->home_policy, extent)]);
}

/* Its directory was lost with its home. */
bool home_is_orphan(const struct dsm_mem *mem, u64 index)
{
	u8 first = lookup(mem, index / HOME_EXTENT_PAGES);

	return first & ORPHAN || READ_ONCE(mem->orphaned_by) >> (first & NODE) & 1;
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
	page_synchronize();
}

u64 home_nr_extents(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, EXTENT_BYTES);
}

u64 home_nr_here(const struct dsm_mem *mem)
{
	u64 nr = home_nr_extents(mem->nr_pages << PAGE_SHIFT), i, here = 0;

	for (i = 0; i < nr; i++)
		here += home_of(mem, i * HOME_EXTENT_PAGES) == mem->vm->self;
	return here;
}

/* ---- tables ---- */

u8 *home_table_alloc(u64 bytes)
{
	return kvmalloc(home_nr_extents(bytes), GFP_KERNEL);
}

u8 *home_table_of(const struct dsm_mem *mem)
{
	u64 bytes = mem->nr_pages << PAGE_SHIFT, i;
	u8 *table = home_table_alloc(bytes);

	for (i = 0; table && i < home_nr_extents(bytes); i++)
		table[i] = home_by_policy(mem->vm, mem->home_policy, i);
	return table;
}

static const struct dsm_home_range *find_range(const struct dsm_homes *homes, u64 gpa)
{
	u32 i;

	for (i = 0; i < homes->nr; i++)
		if (gpa >= homes->range[i].gpa &&
		    gpa - homes->range[i].gpa < homes->range[i].bytes)
			return &homes->range[i];
	return NULL;
}

/* @gpa: of the first byte. The start of an extent speaks for all of it. */
void home_table_by_ranges(const struct dsm_vm *vm, u8 *table, u64 bytes, u64 gpa,
			  const struct dsm_homes *homes)
{
	const struct dsm_home_range *range;
	u64 i;

	for (i = 0; i < home_nr_extents(bytes); i++) {
		range = find_range(homes, gpa + i * EXTENT_BYTES);
		table[i] = range ? range->node : home_by_policy(vm, homes->policy, i);
	}
}

static int need_table(struct dsm_mem *mem)
{
	u8 *table;

	if (READ_ONCE(mem->homes))
		return 0;
	table = home_table_of(mem);
	if (!table)
		return -ENOMEM;
	if (cmpxchg(&mem->homes, NULL, table))
		kvfree(table);
	else
		atomic_long_add(home_nr_extents(mem->nr_pages << PAGE_SHIFT),
				&mem->metadata_bytes);
	return 0;
}

/* What @node had has it no more, also when it is back. */
static int disinherit(struct dsm_mem *mem, u8 node)
{
	u64 nr = home_nr_extents(mem->nr_pages << PAGE_SHIFT), i;
	u8 heir = READ_ONCE(mem->vm->heir[node]);
	u8 orphan = READ_ONCE(mem->orphaned_by) >> node & 1 ? ORPHAN : 0;
	int err = need_table(mem);

	for (i = 0; !err && i < nr; i++)
		if ((READ_ONCE(mem->homes[i]) & NODE) == node)
			WRITE_ONCE(mem->homes[i], heir | orphan);
	return err;
}

/* No home moves, no object is made, and nobody is lost meanwhile. */
int home_return_node(struct dsm_vm *vm, u8 node)
{
	struct dsm_mem *mem;
	int err = 0;
	u32 id = 0;

	if (vm->heir[node] == node)
		return 0;
	for (; !err && (mem = mem_next(vm, &id)); mem_put(mem))
		err = disinherit(mem, node);
	if (err)
		return err;
	WRITE_ONCE(vm->gone_founders, vm->gone_founders | 1ULL << node);
	/* Whoever has read the old entry has also read its heir. */
	page_synchronize();
	WRITE_ONCE(vm->heir[node], node);
	for (id = 0; (mem = mem_next(vm, &id)); mem_put(mem))
		WRITE_ONCE(mem->orphaned_by, mem->orphaned_by & ~(1ULL << node));
	return 0;
}

/* Whoever takes a page lock from now on acts on it, others after page_synchronize(). */
int home_set(struct dsm_mem *mem, u64 extent, u8 node, bool frozen)
{
	int err = need_table(mem);

	if (!err)
		WRITE_ONCE(mem->homes[extent], node | (frozen ? FROZEN : 0));
	return err;
}

void home_table_free(struct dsm_mem *mem)
{
	kvfree(mem->homes);
}

/* ---- who waits ---- */

/* Each node has at most one request per page, so the list is short. */
int home_queue(struct dsm_home *home, const struct proto_event *ev)
{
	struct waiting **end, *item;

	for (end = &home->waiting; *end; end = &(*end)->next)
		if ((*end)->ev.from == ev->from)
			return -EPROTO;
	item = mempool_alloc(waiting_pool, GFP_AT_ONCE);
	if (!item)
		return -ENOMEM;
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
	mempool_free(item, waiting_pool);
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

	if (!ref->home || ref->site.frozen)
		return false;
	home = &ref->home->home;
	if (home->busy)
		return false;
	return home->state == PROTO_UNCACHED ||
	       (home->state == PROTO_SHARED &&
		home->sharers == 1ULL << ref->mem->vm->self);
}

/* ---- load and unload ---- */

int home_init(void)
{
	waitings = KMEM_CACHE(waiting, 0);
	if (!waitings)
		return -ENOMEM;
	waiting_pool = mempool_create_slab_pool(NR_RESERVED, waitings);
	if (waiting_pool)
		return 0;
	kmem_cache_destroy(waitings);
	return -ENOMEM;
}

void home_exit(void)
{
	mempool_destroy(waiting_pool);
	kmem_cache_destroy(waitings);
}
