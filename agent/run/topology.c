// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/run/topology.c - shares a guest's CPUs and memory out to NUMA cells, one for each
 * node, and says where that memory is in the guest. Pure.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "topology.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define EXTENT (2 * MIB) /* has one home */
/* QEMU moves the memory above 4 GiB of an AMD guest that would reach a hole there. */
#define BYTES_MAX (960 * GIB)

int topology_parse_size(const char *text, uint64_t *ret_bytes)
{
	char *end;
	double number = strtod(text, &end);
	uint64_t unit = 1;

	switch (*end) {
	case 'T': unit <<= 10; /* fall through */
	case 'G': unit <<= 10; /* fall through */
	case 'M': unit <<= 10; /* fall through */
	case 'K': unit <<= 10; end++;
	}
	if (end == text || *end || !(number > 0) || number * unit >= 0x1p62)
		return -EINVAL;
	*ret_bytes = number * unit;
	return 0;
}

/* ---- CPUs ---- */

static struct topology_cell *cell_of(struct topology *topology, const char *node)
{
	struct topology_cell *cell;

	for (uint32_t i = 0; i < topology->nr_cells; i++)
		if (!strcmp(topology->cell[i].node, node))
			return &topology->cell[i];
	if (topology->nr_cells == DVMM_MAX_NODES)
		return NULL;
	cell = &topology->cell[topology->nr_cells++];
	strcpy(cell->node, node);
	return cell;
}

static const char *node_of(const struct places *places, uint32_t vcpu)
{
	for (uint32_t i = 0; i < places->nr; i++)
		if (places->list[i].vcpu == vcpu)
			return places->list[i].node;
	return NULL;
}

/* vCPUs come in order: a run of them is "FIRST-LAST". */
static void append_cpus(struct topology_cell *cell, uint32_t first, uint32_t last)
{
	size_t len = strlen(cell->cpus);
	int n = snprintf(cell->cpus + len, sizeof(cell->cpus) - len, "%s%u", len ? "," : "", first);

	if (last > first)
		snprintf(cell->cpus + len + n, sizeof(cell->cpus) - len - n, "-%u", last);
	cell->nr_cpus += last - first + 1;
}

static int share_cpus(struct topology *topology, const struct places *places, char *why,
		      size_t why_size)
{
	struct topology_cell *cell;
	uint32_t first, last;

	for (first = 0; first < places->nr; first = last + 1) {
		const char *node = node_of(places, first), *next;

		for (last = first; node && last + 1 < places->nr; last++) {
			next = node_of(places, last + 1);
			if (!next || strcmp(next, node))
				break;
		}
		cell = node ? cell_of(topology, node) : NULL;
		if (!cell) {
			if (node)
				snprintf(why, why_size, "more than %d nodes", DVMM_MAX_NODES);
			else
				snprintf(why, why_size, "vCPU %u has no place, but one of a higher number has",
					 first);
			return -EINVAL;
		}
		append_cpus(cell, first, last);
	}
	topology->nr_cpus = places->nr;
	return 0;
}

/* ---- memory ---- */

static int share_memory(struct topology *topology, char *why, size_t why_size)
{
	uint64_t left = topology->bytes;
	uint32_t cpus_left = topology->nr_cpus;

	for (uint32_t i = 0; i < topology->nr_cells; i++) {
		struct topology_cell *cell = &topology->cell[i];

		cell->bytes = left / EXTENT * cell->nr_cpus / cpus_left * EXTENT;
		if (i + 1 == topology->nr_cells)
			cell->bytes = left;
		if (!cell->bytes) {
			snprintf(why, why_size, "too little memory for %u nodes",
				 topology->nr_cells);
			return -EINVAL;
		}
		left -= cell->bytes;
		cpus_left -= cell->nr_cpus;
	}
	return 0;
}

/* How much is below the hole under 4 GiB: QEMU's hw/i386/pc_q35.c and pc_piix.c, of all
 * machine types since 2.0 (q35-4.1 excepted).
 */
static uint64_t low_bytes(enum topology_machine machine, uint64_t bytes)
{
	if (machine == MACHINE_Q35)
		return bytes >= 0xb0000000 ? 2 * GIB : bytes;
	return bytes >= 0xe0000000 ? 3 * GIB : bytes;
}

/* QEMU's hw/i386/pc.c: behind the last memory, in units of 1 GiB. The others follow it. */
uint64_t topology_dimm_base(enum topology_machine machine, uint64_t bytes)
{
	uint64_t end = 4 * GIB + bytes - low_bytes(machine, bytes);

	return (end + GIB - 1) / GIB * GIB;
}

static void add_range(struct topology *topology, uint32_t cell, uint64_t start, uint64_t bytes)
{
	topology->range[topology->nr_ranges++] =
		(struct topology_range){ .start = start, .bytes = bytes, .cell = cell };
}

/* Cells follow each other in the guest's memory, which the hole cuts in two. */
static void place_memory(struct topology *topology)
{
	uint64_t low = low_bytes(topology->machine, topology->bytes), at = 0;

	for (uint32_t i = 0; i < topology->nr_cells; i++) {
		uint64_t end = at + topology->cell[i].bytes;

		if (at < low)
			add_range(topology, i, at, (end < low ? end : low) - at);
		if (end > low)
			add_range(topology, i, 4 * GIB + (at > low ? at - low : 0),
				  end - (at > low ? at : low));
		at = end;
	}
}

int topology_make(struct topology *topology, enum topology_machine machine,
		  const struct places *places, uint64_t bytes, char *why, size_t why_size)
{
	int err;

	memset(topology, 0, sizeof(*topology));
	topology->machine = machine;
	topology->bytes = bytes;
	if (!places->nr || bytes % EXTENT || !bytes || bytes > BYTES_MAX) {
		snprintf(why, why_size, places->nr ? "memory is a multiple of 2M, at most 960G" :
						     "no vCPU has a place");
		return -EINVAL;
	}
	err = share_cpus(topology, places, why, why_size);
	if (!err)
		err = share_memory(topology, why, why_size);
	if (!err)
		place_memory(topology);
	return err;
}

int topology_machine_of(char *const *argv, enum topology_machine *ret_machine)
{
	const char *type = "pc", *value = NULL;

	for (; *argv; argv++)
		if (argv[1] && (!strcmp(*argv, "-M") || !strcmp(*argv, "-machine") ||
				!strcmp(*argv, "--machine")))
			value = argv[1];
	if (value)
		type = strncmp(value, "type=", 5) ? value : value + 5;
	if (!strncmp(type, "q35", 3) || !strncmp(type, "pc-q35", 6))
		*ret_machine = MACHINE_Q35;
	else if (!strncmp(type, "pc", 2))
		*ret_machine = MACHINE_PC;
	else
		return -EINVAL;
	return 0;
}

/* ---- what it is for QEMU, libvirt and the agent ---- */

static void append(char ***args, FILE *out, const char *option, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* To @args when there are, else to @out. */
static void append(char ***args, FILE *out, const char *option, const char *format, ...)
{
	va_list list;
	char *value;

	va_start(list, format);
	if (vasprintf(&value, format, list) < 0)
		abort();
	va_end(list);
	if (out) {
		fprintf(out, "%s %s\n", option, value);
		free(value);
		return;
	}
	*(*args)++ = strdup(option);
	*(*args)++ = value;
}

/* As QEMU wants it: cpus=0-1,cpus=4. */
static const char *qemu_cpus(const struct topology_cell *cell, char *text, size_t size)
{
	size_t len = 0;

	for (const char *at = cell->cpus; *at && len < size; at += strcspn(at, ","), at += *at == ',')
		len += snprintf(text + len, size - len, ",cpus=%.*s", (int)strcspn(at, ","), at);
	return text;
}

static void qemu_options(const struct topology *topology, char ***args, FILE *out)
{
	char cpus[DVMM_MAX_VCPUS * 10];

	append(args, out, "-smp", "%u", topology->nr_cpus);
	append(args, out, "-m", "%lluM", (unsigned long long)(topology->bytes / MIB));
	for (uint32_t i = 0; i < topology->nr_cells; i++) {
		const struct topology_cell *cell = &topology->cell[i];

		append(args, out, "-object", "memory-backend-ram,id=m%u,size=%lluM", i,
		       (unsigned long long)(cell->bytes / MIB));
		append(args, out, "-numa", "node,nodeid=%u,memdev=m%u%s", i, i,
		       qemu_cpus(cell, cpus, sizeof(cpus)));
	}
}

char **topology_qemu_args(const struct topology *topology)
{
	char **args = calloc(5 + 4 * topology->nr_cells, sizeof(*args)), **at = args;

	if (!args)
		abort();
	qemu_options(topology, &at, NULL);
	return args;
}

static void print_libvirt(FILE *out, const struct topology *topology)
{
	fprintf(out, "<vcpu>%u</vcpu>\n<memory unit='KiB'>%llu</memory>\n<cpu>\n  <numa>\n",
		topology->nr_cpus, (unsigned long long)(topology->bytes >> 10));
	for (uint32_t i = 0; i < topology->nr_cells; i++)
		fprintf(out, "    <cell id='%u' cpus='%s' memory='%llu' unit='KiB'/> <!-- %s -->\n", i,
			topology->cell[i].cpus, (unsigned long long)(topology->cell[i].bytes >> 10),
			topology->cell[i].node);
	fprintf(out, "  </numa>\n</cpu>\n");
}

json_t *topology_homes(const struct topology *topology)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < topology->nr_ranges; i++) {
		const struct topology_range *range = &topology->range[i];

		json_array_append_new(list, json_pack("{s:I, s:I, s:s}",
						      "start", (json_int_t)range->start,
						      "bytes", (json_int_t)range->bytes,
						      "node", topology->cell[range->cell].node));
	}
	return list;
}

static void print_json(FILE *out, const struct topology *topology)
{
	json_t *cells = json_array(), *all;

	for (uint32_t i = 0; i < topology->nr_cells; i++)
		json_array_append_new(cells, json_pack("{s:s, s:s, s:I}",
						       "node", topology->cell[i].node,
						       "cpus", topology->cell[i].cpus, "bytes",
						       (json_int_t)topology->cell[i].bytes));
	all = json_pack("{s:s, s:i, s:I, s:o, s:o}", "machine",
			topology->machine == MACHINE_Q35 ? "q35" : "pc", "vcpus",
			(int)topology->nr_cpus, "memory_bytes", (json_int_t)topology->bytes, "cells",
			cells, "homes", topology_homes(topology));
	json_dumpf(all, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(all);
}

static void print_homes(FILE *out, const struct topology *topology, const char *begin,
			const char *end)
{
	for (uint32_t i = 0; i < topology->nr_ranges; i++) {
		const struct topology_range *range = &topology->range[i];

		fprintf(out, "%shome of %#llx-%#llx: %s%s\n", begin, (unsigned long long)range->start,
			(unsigned long long)(range->start + range->bytes - 1),
			topology->cell[range->cell].node, end);
	}
}

void topology_print(FILE *out, const struct topology *topology, enum topology_format format)
{
	switch (format) {
	case TOPOLOGY_QEMU:
		qemu_options(topology, NULL, out);
		print_homes(out, topology, "# ", "");
		break;
	case TOPOLOGY_LIBVIRT:
		print_libvirt(out, topology);
		print_homes(out, topology, "<!-- ", " -->");
		break;
	case TOPOLOGY_JSON:
		print_json(out, topology);
		break;
	}
}
