// SPDX-License-Identifier: GPL-2.0-only
/* dsm/heat.c - the pages of a VM that are taken from this node most often: a
 * summary of fixed size, for people who look for what nodes fight over.
 *
 * Space-saving counters (Metwally, Agrawal, El Abbadi: Efficient Computation of
 * Frequent and Top-k Elements in Data Streams, ICDT 2005): a page that is not in
 * the list replaces the coolest one and inherits its heat, so that a page that
 * makes up more than 1/HEAT_PAGES of the stream is never lost. What is told is the
 * heat without what was inherited. All heat is halved again and again, so that it
 * tells of now.
 *
 * Only what is taken gets in: a first miss is no fight, and whoever reads all of
 * memory once would push everything else out. Nobody waits for the lock: what
 * comes while it is held is not counted, which hits hot and cool pages alike.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "internal.h"

#define HEAT_PAGES DVMM_MEM_TOP_MAX
#define HALF_LIFE (10 * HZ)

enum heat_kind {
	READ_MISS,
	WRITE_MISS,
	TAKE,
	INVALIDATION,
	PUT_OFF,
	WAIT,
	NR_KINDS,
};

struct heat_counts {
	u64 nodes; /* since heat was halved */
	u64 nodes_before; /* in the half-life before that */
	u64 nr[NR_KINDS];
	u64 wait_ns;
};

/* What is searched lies together. */
struct heat {
	spinlock_t lock; /* innermost; only tried where pages are missed and taken */
	unsigned long halved_at; /* lock, as all that follows */
	u32 nr;
	u32 mem[HEAT_PAGES];
	u64 index[HEAT_PAGES];
	u32 heat[HEAT_PAGES];
	u32 inherited[HEAT_PAGES]; /* of heat */
	struct heat_counts counts[HEAT_PAGES];
};

int heat_init_vm(struct dsm_vm *vm)
{
	vm->heat = kzalloc(sizeof(*vm->heat), GFP_KERNEL);
	if (!vm->heat)
		return -ENOMEM;
	spin_lock_init(&vm->heat->lock);
	vm->heat->halved_at = jiffies;
	return 0;
}

void heat_free_vm(struct dsm_vm *vm)
{
	kfree(vm->heat);
}

/* ---- noting ---- */

static void cool(struct heat *heat)
{
	unsigned long periods = (jiffies - heat->halved_at) / HALF_LIFE;
	u32 i;

	if (!periods)
		return;
	heat->halved_at += periods * HALF_LIFE;
	for (i = 0; i < heat->nr; i++) {
		heat->heat[i] = periods < 32 ? heat->heat[i] >> periods : 0;
		heat->inherited[i] = periods < 32 ? heat->inherited[i] >> periods : 0;
		heat->counts[i].nodes_before = periods == 1 ? heat->counts[i].nodes : 0;
		heat->counts[i].nodes = 0;
	}
}

/* heat->nr: it is not there */
static u32 find(const struct heat *heat, const struct page_ref *ref)
{
	u32 i;

	for (i = 0; i < heat->nr; i++)
		if (heat->index[i] == ref->index && heat->mem[i] == ref->mem->id)
			break;
	return i;
}

static u32 coolest(const struct heat *heat)
{
	u32 i, best = 0;

	for (i = 1; i < heat->nr; i++)
		if (heat->heat[i] < heat->heat[best])
			best = i;
	return best;
}

/* Heat stays with the place; the counts begin anew. */
static u32 find_or_add(struct heat *heat, const struct page_ref *ref)
{
	u32 i = find(heat, ref);

	if (i < heat->nr)
		return i;
	if (heat->nr < HEAT_PAGES)
		i = heat->nr++;
	else
		i = coolest(heat);
	heat->mem[i] = ref->mem->id;
	heat->index[i] = ref->index;
	heat->inherited[i] = heat->heat[i];
	heat->counts[i] = (struct heat_counts){};
	return i;
}

static void add(struct heat *heat, u32 i, enum heat_kind kind, u64 nodes, u64 wait_ns)
{
	struct heat_counts *counts = &heat->counts[i];

	counts->nr[kind]++;
	counts->nodes |= nodes;
	counts->wait_ns += wait_ns;
	heat->heat[i] += nodes != 0;
}

/* @nodes: who wants the page; 0: this makes it no hotter */
static void note(const struct page_ref *ref, enum heat_kind kind, u64 nodes, u64 wait_ns)
{
	struct heat *heat = ref->mem->vm->heat;
	u32 i;

	if (!spin_trylock(&heat->lock))
		return;
	cool(heat);
	if (kind == TAKE || kind == INVALIDATION)
		i = find_or_add(heat, ref);
	else
		i = find(heat, ref);
	if (i < heat->nr)
		add(heat, i, kind, nodes, wait_ns);
	spin_unlock(&heat->lock);
}

void heat_taken(const struct page_ref *ref, u8 requester)
{
	bool is_owned = proto_can_write(ref->page->node.state);

	note(ref, is_owned ? TAKE : INVALIDATION, 1ULL << requester, 0);
}

void heat_missed(const struct page_ref *ref, u8 want)
{
	note(ref, want == PROTO_WRITE ? WRITE_MISS : READ_MISS, 1ULL << ref->mem->vm->self, 0);
}

void heat_waited(const struct page_ref *ref, u64 ns)
{
	note(ref, WAIT, 0, ns);
}

void heat_put_off(const struct page_ref *ref)
{
	note(ref, PUT_OFF, 0, 0);
}

/* ---- telling ---- */

static struct dvmm_mem_page describe(const struct heat *heat, u32 i)
{
	const struct heat_counts *counts = &heat->counts[i];

	return (struct dvmm_mem_page){
		.mem_id = heat->mem[i],
		.page = heat->index[i],
		.gpa = DVMM_NO_GPA,
		.nodes = counts->nodes | counts->nodes_before,
		.heat = heat->heat[i] - heat->inherited[i],
		.read_misses = counts->nr[READ_MISS],
		.write_misses = counts->nr[WRITE_MISS],
		.takes = counts->nr[TAKE],
		.invalidations = counts->nr[INVALIDATION],
		.put_off = counts->nr[PUT_OFF],
		.waits = counts->nr[WAIT],
		.wait_ns = counts->wait_ns,
	};
}

static int hotter_first(const void *a, const void *b)
{
	u64 heat_a = ((const struct dvmm_mem_page *)a)->heat;
	u64 heat_b = ((const struct dvmm_mem_page *)b)->heat;

	return heat_a < heat_b ? 1 : heat_a > heat_b ? -1 : 0;
}

static u32 copy_warm(struct heat *heat, struct dvmm_mem_page *pages)
{
	u32 i, nr = 0;

	spin_lock(&heat->lock);
	cool(heat);
	for (i = 0; i < heat->nr; i++)
		if (heat->heat[i] > heat->inherited[i])
			pages[nr++] = describe(heat, i);
	spin_unlock(&heat->lock);
	return nr;
}

static void fill_homes(struct dsm_vm *vm, struct dvmm_mem_page *pages, u32 nr)
{
	struct dsm_mem *mem;
	u32 i;

	mutex_lock(&vm->lock);
	for (i = 0; i < nr; i++) {
		mem = mem_find(vm, pages[i].mem_id);
		pages[i].home = mem ? home_of(mem, pages[i].page) : vm->origin;
	}
	mutex_unlock(&vm->lock);
}

u32 dsm_mem_top(struct dsm_vm *vm, struct dvmm_mem_page *pages)
{
	u32 nr = copy_warm(vm->heat, pages);

	sort(pages, nr, sizeof(*pages), hotter_first, NULL);
	fill_homes(vm, pages, nr);
	return nr;
}
EXPORT_SYMBOL_GPL(dsm_mem_top);
