/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/trace.h - who accessed which page, in order.
 *
 * As text, also packed by gzip, one item a line, "#" begins a comment:
 *
 *	nodes N		nodes are 0..N-1, at most 64; comes first
 *	home PAGE NODE	before the first access of the page; without it node 0
 *	r NODE PAGE	a read
 *	w NODE PAGE	a write
 *	e NODE PAGE	the page is put away (Ivy has no such thing: it skips it)
 *
 * The order of accesses to different pages does not matter. trace2proto makes
 * such a text of what the tracepoints dvmm_dsm:* say on real hosts.
 */
#ifndef PROTO_TRACE_H
#define PROTO_TRACE_H

#include "world.h"

#define TRACE_MAX_PAGES (1U << 20)

struct access {
	u32 page;
	u8 node;
	u8 kind; /* 'r', 'w', 'e' */
};

struct trace {
	const char *name;
	unsigned int nr_nodes, nr_pages, nr, max;
	struct access *access;
	u8 *home; /* of each page */
};

void trace_begin(struct trace *trace, const char *name, unsigned int nr_nodes);
void trace_end(struct trace *trace);
void trace_home(struct trace *trace, u32 page, u8 node);
void trace_add(struct trace *trace, char kind, u8 node, u32 page);

/* False, and a message names file and line, when it is not such a text. */
bool trace_read(struct trace *out_trace, const char *file_name);

#endif
