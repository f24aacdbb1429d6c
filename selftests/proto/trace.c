// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/trace.c - who accessed which page, in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "trace.h"

static void *grow(void *array, size_t bytes)
{
	array = realloc(array, bytes);
	if (!array) {
		fprintf(stderr, "no memory for this trace\n");
		exit(1);
	}
	return array;
}

void trace_begin(struct trace *trace, const char *name, unsigned int nr_nodes)
{
	memset(trace, 0, sizeof(*trace));
	trace->name = name;
	trace->nr_nodes = nr_nodes;
}

void trace_end(struct trace *trace)
{
	free(trace->access);
	free(trace->home);
}

static void add_pages(struct trace *trace, u32 page)
{
	if (page < trace->nr_pages)
		return;
	trace->home = grow(trace->home, page + 1);
	memset(trace->home + trace->nr_pages, 0, page + 1 - trace->nr_pages);
	trace->nr_pages = page + 1;
}

void trace_home(struct trace *trace, u32 page, u8 node)
{
	add_pages(trace, page);
	trace->home[page] = node;
}

void trace_add(struct trace *trace, char kind, u8 node, u32 page)
{
	add_pages(trace, page);
	if (trace->nr == trace->max) {
		trace->max = trace->max * 2 + 1024;
		trace->access = grow(trace->access,
				     trace->max * sizeof(*trace->access));
	}
	trace->access[trace->nr++] = (struct access){ page, node, kind };
}

static bool read_line(struct trace *trace, char *line)
{
	unsigned int a, b;
	char word[8], kind;

	line[strcspn(line, "#\n")] = '\0';
	if (sscanf(line, "%7s", word) != 1)
		return true;
	if (sscanf(line, " nodes %u", &a) == 1) {
		trace->nr_nodes = a;
		return a >= 2 && a <= PROTO_MAX_NODES && !trace->nr;
	}
	if (sscanf(line, " home %u %u", &a, &b) == 2) {
		if (a >= TRACE_MAX_PAGES || b >= trace->nr_nodes)
			return false;
		trace_home(trace, a, b);
		return true;
	}
	if (sscanf(line, " %c %u %u", &kind, &a, &b) != 3 ||
	    !strchr("rwe", kind) || a >= trace->nr_nodes ||
	    b >= TRACE_MAX_PAGES)
		return false;
	trace_add(trace, kind, a, b);
	return true;
}

bool trace_read(struct trace *out_trace, const char *file_name)
{
	gzFile file = gzopen(file_name, "r"); /* reads plain text too */
	unsigned int number = 0;
	bool good = true;
	char line[256];

	trace_begin(out_trace, file_name, 0);
	if (!file) {
		perror(file_name);
		return false;
	}
	while (good && gzgets(file, line, sizeof(line))) {
		number++;
		good = read_line(out_trace, line);
	}
	good &= gzclose(file) == Z_OK;
	if (!good)
		fprintf(stderr, "%s:%u: not a line of an access trace (see selftests/proto/trace.h)\n",
			file_name, number);
	return good;
}
