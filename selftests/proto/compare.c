// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/compare.c - the same accesses by our rules and by Ivy's.
 *
 * One access at a time, each to its end: what is compared is what a miss costs,
 * not what happens when misses meet (there home's queue stands against Ivy's
 * locked pages). A message to oneself is none. Small messages and pages have the
 * size of ours for both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum { OURS, IVY, IVY_READS_STAY, NR_PROTOCOLS };

static const char *const protocol_names[NR_PROTOCOLS] = {
	"dvmm", "Ivy", "Ivy, reads leave the owner",
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

/* ---- ours ---- */

/* The world has its home at node 0: home and node 0 change names. */
static u8 name_of(u8 node, u8 home)
{
	return node == home ? 0 : node ? node : home;
}

static bool is_hit(const struct world *w, const struct access *access, u8 node)
{
	u8 state = w->page[0].node[node].state;

	if (access->kind == 'r')
		return proto_can_read(state);
	return access->kind == 'w' ? state == PROTO_M : state == PROTO_I;
}

static void our_access(struct world *w, const struct access *access, u8 home,
		       struct total *total)
{
	static const u8 kinds[] = { ['r'] = STEP_READ, ['w'] = STEP_WRITE,
				    ['e'] = STEP_EVICT };
	struct step step = { .kind = kinds[access->kind],
			     .node = name_of(access->node, home) };
	struct step deliver = { .kind = STEP_DELIVER };

	if (is_hit(w, access, step.node))
		return;
	w->nr_wire = 0;
	w->nr_wire_pages = 0;
	world_do(w, &step);
	while (w->nr_flights && !w->wrong)
		world_do(w, &deliver);
	count(total, w->page[0].hops[step.node], w->nr_wire, w->nr_wire_pages,
	      access->kind != 'e');
}

static const char *run_ours(const struct trace *trace, struct total *total)
{
	struct setup setup = { .name = "compare", .nr_nodes = trace->nr_nodes,
			       .nr_pages = 1, .self_at_once = true,
			       .rules = &real_rules };
	struct page *pages = calloc(trace->nr_pages, sizeof(*pages));
	struct world *w = malloc(sizeof(*w));
	const char *wrong;
	unsigned int i;

	if (!pages || !w)
		abort();
	world_init(w, &setup);
	for (i = 0; i < trace->nr && !w->wrong; i++) {
		const struct access *access = &trace->access[i];

		w->page[0] = pages[access->page];
		our_access(w, access, trace->home[access->page], total);
		pages[access->page] = w->page[0];
	}
	wrong = w->wrong;
	free(pages);
	free(w);
	return wrong;
}

/* ---- Ivy ---- */

static void run_ivy(const struct trace *trace, bool reads_move,
		    struct total *total)
{
	struct ivy_page *pages = calloc(trace->nr_pages, sizeof(*pages));
	struct ivy_cost cost;
	unsigned int i;

	if (!pages)
		abort();
	for (i = 0; i < trace->nr_pages; i++)
		ivy_init(&pages[i], trace->home[i]);
	for (i = 0; i < trace->nr; i++) {
		const struct access *access = &trace->access[i];

		if (access->kind == 'e')
			continue;
		ivy_access(&pages[access->page], access->node,
			   access->kind == 'w', reads_move, &cost);
		count(total, cost.hops, cost.messages, cost.pages, true);
	}
	free(pages);
}

/* ---- both ---- */

static double per_miss(const struct total *total)
{
	return total->misses ? (double)total->hops / total->misses : 0;
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
	run_ivy(trace, true, &out_total[IVY]);
	run_ivy(trace, false, &out_total[IVY_READS_STAY]);
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

/* All read, then one writes. */
static void widely_shared(struct trace *trace, unsigned int nr_nodes)
{
	unsigned int round, node, page;
	u32 number = 1;

	trace_begin(trace, "", nr_nodes);
	for (page = 0; page < NR_PAGES; page++)
		trace_home(trace, page, page % nr_nodes);
	for (round = 0; round < NR_ROUNDS; round++) {
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
	unsigned int page, node, i, best;

	for (page = 0; page < trace->nr_pages; page++) {
		unsigned int uses[PROTO_MAX_NODES] = { 0 };

		for (i = 0; i < trace->nr; i++)
			if (trace->access[i].page == page)
				uses[trace->access[i].node]++;
		for (best = 0, node = 1; node < trace->nr_nodes; node++)
			if (uses[node] > uses[best])
				best = node;
		trace_home(trace, page, best);
	}
}

/* ---- tests ---- */

/* @times: how many times fewer messages a miss has to wait for. */
static void test_trace(struct trace *trace, const char *name, double times)
{
	struct total total[NR_PROTOCOLS];
	const char *wrong = compare(trace, "# ", total);
	double ratio = per_miss(&total[IVY]) / per_miss(&total[OURS]);

	tap_result(!wrong && ratio >= times,
		   "compare: %s, %u nodes: %.2f messages a miss waits for, Ivy %.2f (%.2f times, at least %.1f)",
		   name, trace->nr_nodes, per_miss(&total[OURS]),
		   per_miss(&total[IVY]), ratio, times);
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
 * in line and is seen twice); node 1 reads a page of node 2 and puts it away.
 */
static void test_recorded(void)
{
	static const char text[] = "nodes 2\nhome 0 0\nhome 1 1\nw 0 0\nr 1 0\n"
				   "w 0 0\nr 0 1\ne 0 1\n";
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

void test_compare(void)
{
	struct trace trace;

	test_ivy();
	test_recorded();
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
	test_trace(&trace, "read-mostly", 1.4);
	read_mostly(&trace, 8);
	test_trace(&trace, "read-mostly", 1.5);
	read_mostly(&trace, 16);
	test_trace(&trace, "read-mostly", 1.5);
	widely_shared(&trace, 4);
	test_trace(&trace, "widely shared", 1.5);
	widely_shared(&trace, 64);
	test_trace(&trace, "widely shared", 1.5);
	/* Where Ivy is better, by the hop to a home that has no part in it: home
	 * follows use. What all write in turn has no better home; it must not become
	 * worse.
	 */
	producer_consumer(&trace, 2);
	test_trace(&trace, "producer and consumer, home is neither", 0.66);
	producer_consumer(&trace, 2);
	let_home_follow_use(&trace);
	test_trace(&trace, "producer and consumer, home has followed use", 1);
	migratory(&trace, 8);
	test_trace(&trace, "migratory, home is one of 8", 0.9);
	migratory(&trace, 8);
	let_home_follow_use(&trace);
	test_trace(&trace, "migratory, home is who uses it most of 8", 0.9);
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
			if (wrong || per_miss(&total[OURS]) >
						     per_miss(&total[IVY]))
				ret = 1;
		}
		trace_end(&trace);
	}
	return ret;
}
