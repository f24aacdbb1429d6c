/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/run/topology.h - what a guest must see so that its NUMA nodes are the nodes
 * that run its vCPUs, and the homes of memory that agree with it.
 */
#ifndef AGENT_RUN_TOPOLOGY_H
#define AGENT_RUN_TOPOLOGY_H

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include "place.h"

enum topology_machine { MACHINE_Q35, MACHINE_PC };

/* @cpus: as "0-1,4" */
struct topology_cell {
	char node[DVMM_NAME_SIZE];
	char cpus[DVMM_MAX_VCPUS * 5];
	uint32_t nr_cpus;
	uint64_t bytes;
};

/* Guest physical [@start, @start + @bytes) has its home at the node of @cell. */
struct topology_range {
	uint64_t start;
	uint64_t bytes;
	uint32_t cell;
};

struct topology {
	enum topology_machine machine;
	uint32_t nr_cpus;
	uint64_t bytes;
	uint32_t nr_cells;
	struct topology_cell cell[DVMM_MAX_NODES];
	uint32_t nr_ranges;
	struct topology_range range[2 * DVMM_MAX_NODES];
};

/** topology_parse_size() - "512M", "2G", "1.5G" or bytes. -EINVAL */
int topology_parse_size(const char *text, uint64_t *ret_bytes);

/**
 * topology_make() - a NUMA cell for each node of @places, in order of its first vCPU
 * @bytes: memory of the guest, shared out by the number of vCPUs in steps of 2 MiB
 * @why: on failure: what is wrong, for people
 *
 * Return: 0, or -EINVAL
 */
int topology_make(struct topology *topology, enum topology_machine machine,
		  const struct places *places, uint64_t bytes, char *why, size_t why_size);

/** topology_dimm_base() - where the first DIMM comes that is plugged into a guest of @bytes */
uint64_t topology_dimm_base(enum topology_machine machine, uint64_t bytes);

/** topology_machine_of() - what the options of QEMU say. -EINVAL: neither q35 nor pc */
int topology_machine_of(char *const *argv, enum topology_machine *ret_machine);

/** topology_qemu_args() - options of QEMU, ends with NULL; one block, to be freed */
char **topology_qemu_args(const struct topology *topology);

/** topology_homes() - for "homes" of the agent's vm.create */
json_t *topology_homes(const struct topology *topology);

enum topology_format { TOPOLOGY_QEMU, TOPOLOGY_LIBVIRT, TOPOLOGY_JSON };

void topology_print(FILE *out, const struct topology *topology, enum topology_format format);

/** topology_main() - `dvmm vm topology ...`; @argv from "topology" on. Returns the exit status */
int topology_main(int argc, char **argv);
extern const struct argp topology_argp;

#endif
