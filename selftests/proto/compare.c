// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/compare.c - the same accesses by our rules and by Ivy's.
 *
 * One access at a time, each to its end: what is compared is what a miss costs,
 * not what happens when misses meet (there home's queue stands against Ivy's
 * locked pages). A message to oneself is none. Small messages and pages have the
 * size of ours for both.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dsm/migrate.h"
#include "../../include/dvmm/wire.h"

#include "ivy.h"
#include "tap.h"
#include "trace.h"

#define SMALL_BYTES (sizeof(struct dvmm_msg_hdr) + sizeof(struct dvmm_msg_mem))
#define PAGE_BYTES (4096 + 4) /* with its immediate word */

struct total {
	unsigned long misses; /* accesses that had to wait for a message */
	unsigned long hops, longest;
	unsigned long messages, bytes;
};

enum protocol { OURS, IVY, IVY_READS_STAY, IVY_FORESEES, NR_PROTOCOLS };

static const char *const protocol_names[NR_PROTOCOLS] = {
	"dvmm", "Ivy", "Ivy, reads leave the owner", "Ivy, with our foresight",
};

static void count(struct total *total, unsigned int hops, unsigned int messages,
		  unsigned int pages, bool is_access)
{
	total->messages += messages;
	total->bytes += (messages - pages) * SMALL_BYTES + pages * PAGE_BYTES;
	if (!is_access || !hops)
		return;
	total->misses++;
	total->hops += hops;
	if (hops > total->longest)
		total->longest = hops;
}

/* ---- what nodes expect: as in dsm/stay.c, without its sense of time ---- */

struct forecast {
	u16 flags[PROTO_MAX_NODES];
};

/* A read that misses asks for write access, if that will be wanted next. */
static bool foresees_write(const struct forecast *forecast, u8 node, char kind, u8 right)
{
	return kind == 'r' && right == MAP_NONE && forecast->flags[node] & PAGE_F_MIGRATES;
}

/* @before, @after: enum mapping of each node, or what it may do without asking. */
static void learn(struct forecast *forecast, unsigned int nr_nodes, u8 node, char kind,
		  const u8 *before, const u8 *after)
{
	u16 *own = &forecast->flags[node];
	unsigned int n, readers = 0;

	for (n = 0; n < nr_nodes; n++) {
		if (n != node && before[n] == MAP_WRITE && after[n] != MAP_WRITE)
			forecast->flags[n] = migrate_taken(forecast->flags[n]);
		readers += n != node && before[n] == MAP_READ;
	}
	if (before[node] == MAP_READ && after[node] == MAP_WRITE)
		*own = migrate_upgraded(*own, readers);
	if (after[node] > before[node])
		*own &= ~(PAGE_F_USED | PAGE_F_WRITTEN);
	if (kind != 'e')
		*own |= kind == 'w' ? PAGE_F_USED | PAGE_F_WRITTEN : PAGE_F_USED;
}

/* ---- ours ---- */

/* The world has its home at node 0: home and node 0 change names. */
static u8 name_of(u8 node, u8 home)
{
	return node == home ? 0 : node ? node : home;
}

static u8 rights_of(u8 state)
{
	if (proto_can_write(state))
		return MAP_WRITE;
	return state == PROTO_S ? MAP_READ : MAP_NONE;
}

static void our_rights(const struct world *w, u8 *out_rights)
{
	unsigned int n;

	for (n = 0; n < w->setup->nr_nodes; n++)
		out_rights[n] = rights_of(w->page[0].node[n].state);
}

/* The first write to a page in PROTO_E is one that the rules hear of. */
static bool is_hit(u8 state, char kind)
{
	if (kind == 'r')
		return proto_can_read(state);
	return kind == 'w' ? state == PROTO_M : state == PROTO_I;
}

static void our_access(struct world *w, struct forecast *forecast, char kind, u8 node,
		       struct total *total)
{
	static const u8 kinds[] = { ['r'] = STEP_READ, ['w'] = STEP_WRITE,
				    ['e'] = STEP_EVICT };
	u8 before[PROTO_MAX_NODES], after[PROTO_MAX_NODES];
	struct step step = { .kind = kinds[(u8)kind], .node = node };
	struct step deliver = { .kind = STEP_DELIVER };

	our_rights(w, before);
	if (foresees_write(forecast, node, kind, before[node]))
		step.kind = STEP_WRITE;
	w->nr_wire = 0;
	w->nr_wire_pages = 0;
	if (!is_hit(w->page[0].node[node].state, kind)) {
		world_do(w, &step);
		while (w->nr_flights && !w->wrong)
			world_do(w, &deliver);
		count(total, w->page[0].hops[node], w->nr_wire, w->nr_wire_pages,
		      kind != 'e');
	}
	our_rights(w, after);
	learn(forecast, w->setup->nr_nodes, node, kind, before, after);
}

static const char *run_ours(const struct trace *trace, struct total *total)
{
	struct setup setup = { .name = "compare", .nr_nodes = trace->nr_nodes,
			       .nr_pages = 1, .self_at_once = true,
			       .pulls_copies = true, .rules = &real_rules };
	struct forecast *forecasts = calloc(trace->nr_pages, sizeof(*forecasts));
	struct page *pages = calloc(trace->nr_pages, sizeof(*pages));
	struct world *w = malloc(sizeof(*w));
	const char *wrong;
	unsigned int i;

	if (!pages || !w || !forecasts)
		abort();
	world_init(w, &setup);
	for (i = 0; i < trace->nr && !w->wrong; i++) {
		const struct access *access = &trace->access[i];

		w->page[0] = pages[access->page];
		our_access(w, &forecasts[access->page], access->kind,
			   name_of(access->node, trace->home[access->page]), total);
		pages[access->page] = w->page[0];
	}
	wrong = w->wrong;
	free(forecasts);
	free(pages);
	free(w);
	return wrong;
}

/* ---- Ivy ---- */

static void run_ivy(const struct trace *trace, enum protocol protocol, struct total *total)
{
	struct forecast *forecasts = calloc(trace->nr_pages, sizeof(*forecasts));
	struct ivy_page *pages = calloc(trace->nr_pages, sizeof(*pages));
	u8 before[PROTO_MAX_NODES];
	struct ivy_cost cost;
	unsigned int i;

	if (!pages || !forecasts)
		abort();
	for (i = 0; i < trace->nr_pages; i++)
		ivy_init(&pages[i], trace->home[i]);
	for (i = 0; i < trace->nr; i++) {
		const struct access *access = &trace->access[i];
		struct ivy_page *page = &pages[access->page];
		struct forecast *forecast = &forecasts[access->page];
		bool write = access->kind == 'w';

		if (access->kind == 'e')
			continue;
		memcpy(before, page->access, sizeof(before));
		if (protocol == IVY_FORESEES)
			write |= foresees_write(forecast, access->node, access->kind,
						before[access->node]);
		ivy_access(page, access->node, write, protocol != IVY_READS_STAY, &cost);
		count(total, cost.hops, cost.messages, cost.pages, true);
		learn(forecast, trace->nr_nodes, access->node, access->kind, before,
		      page->access);
	}
	free(forecasts);
	free(pages);
}

/* ---- both ---- */

static double per_miss(const struct total *total)
{
	return total->misses ? (double)total->hops / total->misses : 0;
}

/* Of the same accesses: how many times as many messages does Ivy wait for? Per miss of
 * its own who spares himself the cheap misses would seem to be the worse for it.
 */
static double times_fewer(const struct total total[NR_PROTOCOLS])
{
	if (!total[OURS].hops)
		return total[IVY].hops ? 1000 : 1;
	return (double)total[IVY].hops / total[OURS].hops;
}

static void print_total(const char *mark, const char *name,
			const struct total *total)
{
	printf("%s%-28s %8lu misses, critical path %5.2f messages a miss (longest %lu), %9lu in all; %9lu messages, %11lu bytes\n",
	       mark, name, total->misses, per_miss(total), total->longest,
	       total->hops, total->messages, total->bytes);
}

static const char *compare(const struct trace *trace, const char *mark,
			   struct total out_total[NR_PROTOCOLS])
{
	const char *wrong;
	unsigned int i;

	memset(out_total, 0, NR_PROTOCOLS * sizeof(*out_total));
	wrong = run_ours(trace, &out_total[OURS]);
	for (i = IVY; i < NR_PROTOCOLS; i++)
		run_ivy(trace, i, &out_total[i]);
	for (i = 0; i < NR_PROTOCOLS; i++)
		print_total(mark, protocol_names[i], &out_total[i]);
	return wrong;
}

/* ---- traces made here ---- */

/* A sequence that only has to be even, and the same each time. */
static unsigned int next_number(u32 *number, unsigned int limit)
{
	*number = *number * 1664525 + 1013904223;
	return (*number >> 16) % limit;
}

enum { NR_PAGES = 64, NR_ROUNDS = 100 };

/* One writes, one other reads; @home: 0 the writer, 1 the reader, 2 neither. */
static void producer_consumer(struct trace *trace, u8 home)
{
	unsigned int round, page;

	trace_begin(trace, "", 3);
	for (page = 0; page < NR_PAGES; page++)
		trace_home(trace, page, home);
	for (round = 0; round < NR_ROUNDS; round++) {
		for (page = 0; page < NR_PAGES; page++) {
			trace_add(trace, 'w', 0, page);
			trace_add(trace, 'r', 1, page);
		}
	}
}

/* All write other parts of one page, in turn. */
static void false_sharing(struct trace *trace, unsigned int nr_nodes)
{
	unsigned int round, node;

	trace_begin(trace, "", nr_nodes);
	for (round = 0; round < NR_ROUNDS; round++)
		for (node = 0; node < nr_nodes; node++)
			trace_add(trace, 'w', node, 0);
}

/* 1 access of 50 writes, by anybody. */
static void read_mostly(struct trace *trace, unsigned int nr_nodes)
{
	unsigned int i, page;
	u32 number = 1;

	trace_begin(trace, "", nr_nodes);
	for (page = 0; page < NR_PAGES; page++)
		trace_home(trace, page, page % nr_nodes);
	for (i = 0; i < NR_PAGES * NR_ROUNDS * 20; i++)
		trace_add(trace, next_number(&number, 50) ? 'r' : 'w',
			  next_number(&number, nr_nodes),
			  next_number(&number, NR_PAGES));
}

/* All read, then one writes; each page ten times, so that first touches do not decide. */
static void widely_shared(struct trace *trace, unsigned int nr_nodes)
{
	unsigned int round, node, page;
	u32 number = 1;

	trace_begin(trace, "", nr_nodes);
	for (page = 0; page < NR_PAGES; page++)
		trace_home(trace, page, page % nr_nodes);
	for (round = 0; round < NR_PAGES * 10; round++) {
		page = round % NR_PAGES;
		for (node = 0; node < nr_nodes; node++)
			trace_add(trace, 'r', node, page);
		trace_add(trace, 'w', next_number(&number, nr_nodes), page);
	}
}

/* Each node in turn reads, then writes: a lock and what it protects. */
static void migratory(struct trace *trace, unsigned int nr_nodes)
{
	unsigned int round, node;
	u32 number = 1;

	trace_begin(trace, "", nr_nodes);
	for (round = 0; round < NR_ROUNDS * nr_nodes; round++) {
		node = next_number(&number, nr_nodes);
		trace_add(trace, 'r', node, 0);
		trace_add(trace, 'w', node, 0);
	}
}

/* As vNUMA or DVMM_MEM_REHOME make it: home is who uses the page most, who comes first
 * when several do.
 */
static void let_home_follow_use(struct trace *trace)
{
	unsigned int (*uses)[PROTO_MAX_NODES] = calloc(trace->nr_pages, sizeof(*uses));
	unsigned int page, node, i, best;

	if (!uses)
		abort();
	for (i = 0; i < trace->nr; i++)
		uses[trace->access[i].page][trace->access[i].node]++;
	for (page = 0; page < trace->nr_pages; page++) {
		for (best = 0, node = 1; node < trace->nr_nodes; node++)
			if (uses[page][node] > uses[page][best])
				best = node;
		trace_home(trace, page, best);
	}
	free(uses);
}

/* ---- tests ---- */

/* @times: how many times fewer messages the accesses wait for, at least. */
static void test_trace(struct trace *trace, const char *name, double times)
{
	struct total total[NR_PROTOCOLS];
	const char *wrong = compare(trace, "# ", total);
	double ratio = times_fewer(total);

	tap_result(!wrong && ratio >= times,
		   "compare: %s, %u nodes: waits for %lu messages, Ivy for %lu: %.3f times, at least %.2f (a miss of its own: %.2f, Ivy %.2f)",
		   name, trace->nr_nodes, total[OURS].hops, total[IVY].hops, ratio, times,
		   per_miss(&total[OURS]), per_miss(&total[IVY]));
	trace_end(trace);
}

/* The model must do what the paper does: a few costs by hand. */
static void test_ivy(void)
{
	struct ivy_page page;
	struct ivy_cost cost;
	unsigned int hops[6];

	ivy_init(&page, 0);
	ivy_access(&page, 1, false, true, &cost); /* 1 asks 0, which owns */
	hops[0] = cost.hops;
	ivy_access(&page, 2, false, true, &cost); /* 2 asks 0, forwarded to 1 */
	hops[1] = cost.hops;
	ivy_access(&page, 2, true, true, &cost); /* owns; 0 and 1 have copies */
	hops[2] = cost.hops;
	ivy_access(&page, 0, true, true, &cost); /* 0 was told of 2 */
	hops[3] = cost.hops;
	ivy_access(&page, 1, true, true, &cost); /* 1 asks 2, forwarded to 0 */
	hops[4] = cost.hops;
	ivy_access(&page, 1, false, true, &cost);
	hops[5] = cost.hops;
	tap_result(hops[0] == 2 && hops[1] == 3 && hops[2] == 4 &&
			   hops[3] == 2 && hops[4] == 3 && hops[5] == 0,
		   "compare: the model of Ivy sends what the paper says");
}

/* Node 1 writes its page, node 2 reads it, node 1 writes again (its request waits
 * in line and is seen twice), node 2 reads and foresees that it will write, home pulls
 * a copy; node 1 reads a page of node 2 and puts it away.
 */
static void test_recorded(void)
{
	static const char text[] = "nodes 2\nhome 0 0\nhome 1 1\nw 0 0\nr 1 0\n"
				   "w 0 0\nr 1 0\nw 1 0\nr 0 1\ne 0 1\n";
	FILE *file = popen("./trace2proto sample/n1.txt sample/n2.txt", "r");
	char got[256] = "";
	size_t len = file ? fread(got, 1, sizeof(got) - 1, file) : 0;
	bool good = file && len == strlen(text) && !strcmp(got, text);

	if (file)
		good &= !pclose(file);
	tap_result(good, "compare: a trace is made of what tracepoints say");
	if (!good)
		printf("# %s\n", got);
}

/* Of real guests: never more than Ivy. On more than two hosts home may have no part in it,
 * which costs a message, unless it follows use.
 */
static void test_recorded_trace(const char *path)
{
	struct trace trace;
	char name[200];

	if (!trace_read(&trace, path)) {
		tap_result(false, "compare: %s can be read", path);
		return;
	}
	if (trace.nr_nodes > 2) {
		snprintf(name, sizeof(name), "%s, home has followed use", path);
		let_home_follow_use(&trace);
		test_trace(&trace, name, 1);
		trace_read(&trace, path);
	}
	test_trace(&trace, path, trace.nr_nodes > 2 ? 0.99 : 1);
}

static void test_recorded_traces(void)
{
	glob_t files;
	size_t i;

	if (glob("traces/*.trace.gz", 0, NULL, &files))
		files.gl_pathc = 0;
	tap_result(files.gl_pathc > 0, "compare: there are recorded traces");
	for (i = 0; i < files.gl_pathc; i++)
		test_recorded_trace(files.gl_pathv[i]);
	globfree(&files);
}

void test_compare(void)
{
	struct trace trace;

	test_ivy();
	test_recorded();
	test_recorded_traces();
	producer_consumer(&trace, 0);
	test_trace(&trace, "producer and consumer, home is the producer", 1);
	producer_consumer(&trace, 1);
	test_trace(&trace, "producer and consumer, home is the consumer", 1);
	false_sharing(&trace, 2);
	test_trace(&trace, "false sharing", 1);
	false_sharing(&trace, 8);
	test_trace(&trace, "false sharing", 1);
	false_sharing(&trace, 32);
	test_trace(&trace, "false sharing", 1);
	read_mostly(&trace, 4);
	test_trace(&trace, "read-mostly", 1.5);
	read_mostly(&trace, 8);
	test_trace(&trace, "read-mostly", 1.5);
	read_mostly(&trace, 16);
	test_trace(&trace, "read-mostly", 1.5);
	widely_shared(&trace, 4);
	test_trace(&trace, "widely shared", 1.5);
	widely_shared(&trace, 64);
	test_trace(&trace, "widely shared", 1.5);
	/* Where Ivy is better, by the hop to a home that has no part in it: home
	 * follows use.
	 */
	producer_consumer(&trace, 2);
	test_trace(&trace, "producer and consumer, home is neither", 0.66);
	producer_consumer(&trace, 2);
	let_home_follow_use(&trace);
	test_trace(&trace, "producer and consumer, home has followed use", 1);
	migratory(&trace, 8);
	test_trace(&trace, "migratory, home is one of 8", 1.5);
	migratory(&trace, 8);
	let_home_follow_use(&trace);
	test_trace(&trace, "migratory, home is who uses it most of 8", 1.5);
	read_mostly(&trace, 8);
	let_home_follow_use(&trace);
	test_trace(&trace, "read-mostly, home has followed use", 1.5);
}

/* ---- by hand ---- */

int compare_main(int argc, char **argv)
{
	struct total total[NR_PROTOCOLS];
	struct trace trace;
	const char *wrong;
	int i, ret = argc ? 0 : 2;

	if (!argc)
		fprintf(stderr, "usage: proto compare TRACE...   (selftests/proto/trace.h has the format)\n");
	for (i = 0; i < argc; i++) {
		if (!trace_read(&trace, argv[i])) {
			ret = 1;
		} else {
			printf("%s: %u nodes, %u pages, %u accesses\n",
			       argv[i], trace.nr_nodes, trace.nr_pages,
			       trace.nr);
			wrong = compare(&trace, "  ", total);
			if (wrong)
				fprintf(stderr, "%s: %s\n", argv[i], wrong);
			if (wrong || times_fewer(total) < 1)
				ret = 1;
		}
		trace_end(&trace);
	}
	return ret;
}
