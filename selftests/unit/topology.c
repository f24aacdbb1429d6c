// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/topology.c - what a guest is told of its nodes, and where their memory is. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "../../agent/run/topology.h"
#include "tap.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static struct places places;
static struct topology topology;
static char why[256];

static int make(const char *text, uint64_t bytes, enum topology_machine machine)
{
	places.nr = 0;
	if (*text)
		assert_int_equal(places_add(&places, text, why, sizeof(why)), 0);
	return topology_make(&topology, machine, &places, bytes, why, sizeof(why));
}

static void assert_range(uint32_t nr, uint64_t start, uint64_t bytes, uint32_t cell)
{
	assert_true(nr < topology.nr_ranges);
	assert_int_equal(topology.range[nr].start, start);
	assert_int_equal(topology.range[nr].bytes, bytes);
	assert_int_equal(topology.range[nr].cell, cell);
}

static void each_node_is_a_cell(void **state)
{
	(void)state;
	assert_int_equal(make("0-1=a,2-3=b", 2 * GIB, MACHINE_Q35), 0);
	assert_int_equal(topology.nr_cells, 2);
	assert_int_equal(topology.nr_cpus, 4);
	assert_string_equal(topology.cell[1].node, "b");
	assert_string_equal(topology.cell[1].cpus, "2-3");
	assert_int_equal(topology.nr_ranges, 2);
	assert_range(0, 0, GIB, 0);
	assert_range(1, GIB, GIB, 1);
}

static void cpus_of_a_node_need_not_follow_each_other(void **state)
{
	(void)state;
	assert_int_equal(make("4=a,1-3=b,0=a", 1000 * MIB, MACHINE_Q35), 0);
	assert_string_equal(topology.cell[0].node, "a");
	assert_string_equal(topology.cell[0].cpus, "0,4");
	assert_string_equal(topology.cell[1].cpus, "1-3");
	/* 2 CPUs of 5, in steps of 2 MiB */
	assert_int_equal(topology.cell[0].bytes, 400 * MIB);
	assert_int_equal(topology.cell[1].bytes, 600 * MIB);
}

/* The first byte above the hole under 4 GiB follows the last one below it. */
static void q35_splits_at_2_gib(void **state)
{
	(void)state;
	assert_int_equal(make("0=a,1=b", 4 * GIB, MACHINE_Q35), 0);
	assert_int_equal(topology.nr_ranges, 2);
	assert_range(0, 0, 2 * GIB, 0);
	assert_range(1, 4 * GIB, 2 * GIB, 1);
	assert_int_equal(make("0=a,1=b,2=c", 6 * GIB, MACHINE_Q35), 0);
	assert_range(1, 4 * GIB, 2 * GIB, 1);
	assert_range(2, 6 * GIB, 2 * GIB, 2);
	assert_int_equal(make("0=a,1=b", 6 * GIB, MACHINE_Q35), 0);
	assert_int_equal(topology.nr_ranges, 3);
	assert_range(0, 0, 2 * GIB, 0);
	assert_range(1, 4 * GIB, GIB, 0);
	assert_range(2, 5 * GIB, 3 * GIB, 1);
}

/* Up to 2.75 GiB all is below the hole. */
static void q35_with_little_memory_has_no_hole(void **state)
{
	(void)state;
	assert_int_equal(make("0=a,1=b", 0xb0000000 - 2 * MIB, MACHINE_Q35), 0);
	assert_int_equal(topology.nr_ranges, 2);
	assert_range(1, 1406 * MIB, 1408 * MIB, 1);
	assert_int_equal(make("0=a,1=b", 0xb0000000, MACHINE_Q35), 0);
	assert_int_equal(topology.nr_ranges, 3);
	assert_range(1, 1408 * MIB, 640 * MIB, 1);
	assert_range(2, 4 * GIB, 768 * MIB, 1);
}

static void pc_splits_at_3_gib(void **state)
{
	(void)state;
	assert_int_equal(make("0=a,1=b", 0xe0000000 - 2 * MIB, MACHINE_PC), 0);
	assert_int_equal(topology.nr_ranges, 2);
	assert_int_equal(make("0=a,1=b", 4 * GIB, MACHINE_PC), 0);
	assert_int_equal(topology.nr_ranges, 3);
	assert_range(0, 0, 2 * GIB, 0);
	assert_range(1, 2 * GIB, GIB, 1);
	assert_range(2, 4 * GIB, GIB, 1);
}

static void nothing_is_lost_of_any_memory(void **state)
{
	(void)state;
	for (uint64_t bytes = 100 * MIB; bytes < 9 * GIB; bytes += 98 * MIB) {
		uint64_t cells = 0, ranges = 0;

		assert_int_equal(make("0-2=a,3=b,4-8=c,9=a", bytes, MACHINE_Q35), 0);
		for (uint32_t i = 0; i < topology.nr_cells; i++)
			cells += topology.cell[i].bytes;
		for (uint32_t i = 0; i < topology.nr_ranges; i++) {
			ranges += topology.range[i].bytes;
			assert_int_equal(topology.range[i].start % (2 * MIB), 0);
		}
		assert_int_equal(cells, bytes);
		assert_int_equal(ranges, bytes);
	}
}

static void qemu_is_told_the_same(void **state)
{
	static const char *const expected[] = {
		"-smp", "4", "-m", "6144M",
		"-object", "memory-backend-ram,id=m0,size=3072M", "-numa", "node,nodeid=0,memdev=m0,cpus=0,cpus=3",
		"-object", "memory-backend-ram,id=m1,size=3072M", "-numa", "node,nodeid=1,memdev=m1,cpus=1-2", NULL
	};
	char **args;

	(void)state;
	assert_int_equal(make("0=a,1-2=b,3=a", 6 * GIB, MACHINE_Q35), 0);
	args = topology_qemu_args(&topology);
	for (size_t i = 0; expected[i] || args[i]; i++) {
		assert_non_null(args[i]);
		assert_non_null(expected[i]);
		assert_string_equal(args[i], expected[i]);
	}
	for (size_t i = 0; args[i]; i++)
		free(args[i]);
	free(args);
}

static void machine_is_what_qemu_takes(void **state)
{
	char *none[] = { "qemu", NULL }, *q35[] = { "qemu", "-M", "q35,accel=kvm", NULL };
	char *last[] = { "qemu", "-machine", "microvm", "-machine", "type=pc-q35-7.2", NULL };
	char *other[] = { "qemu", "-M", "microvm", NULL }, *cut[] = { "qemu", "-M", NULL };
	enum topology_machine machine;

	(void)state;
	assert_int_equal(topology_machine_of(none, &machine), 0);
	assert_int_equal(machine, MACHINE_PC);
	assert_int_equal(topology_machine_of(q35, &machine), 0);
	assert_int_equal(machine, MACHINE_Q35);
	assert_int_equal(topology_machine_of(last, &machine), 0);
	assert_int_equal(machine, MACHINE_Q35);
	assert_int_equal(topology_machine_of(cut, &machine), 0);
	assert_int_equal(topology_machine_of(other, &machine), -EINVAL);
}

static void sizes_are_parsed(void **state)
{
	static const char *const bad[] = { "", "G", "0", "-1G", "2GB", "2 G", "x", "1e30", "nan" };
	uint64_t bytes;

	(void)state;
	assert_int_equal(topology_parse_size("2G", &bytes), 0);
	assert_int_equal(bytes, 2 * GIB);
	assert_int_equal(topology_parse_size("1.5G", &bytes), 0);
	assert_int_equal(bytes, 1536 * MIB);
	assert_int_equal(topology_parse_size("4096", &bytes), 0);
	assert_int_equal(bytes, 4096);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(topology_parse_size(bad[i], &bytes), -EINVAL);
}

static void impossible_is_refused_with_a_reason(void **state)
{
	(void)state;
	assert_int_equal(make("", GIB, MACHINE_Q35), -EINVAL);
	assert_string_equal(why, "no vCPU has a place");
	assert_int_equal(make("0=a,2=b", GIB, MACHINE_Q35), -EINVAL);
	assert_string_equal(why, "vCPU 1 has no place, but one of a higher number has");
	assert_int_equal(make("0=a,1=b", GIB + MIB, MACHINE_Q35), -EINVAL);
	assert_int_equal(make("0=a,1=b", 1024 * GIB, MACHINE_Q35), -EINVAL);
	assert_int_equal(make("0=a,1=b", 2 * MIB, MACHINE_Q35), -EINVAL);
	assert_string_equal(why, "too little memory for 2 nodes");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_node_is_a_cell),
		cmocka_unit_test(cpus_of_a_node_need_not_follow_each_other),
		cmocka_unit_test(q35_splits_at_2_gib),
		cmocka_unit_test(q35_with_little_memory_has_no_hole),
		cmocka_unit_test(pc_splits_at_3_gib),
		cmocka_unit_test(nothing_is_lost_of_any_memory),
		cmocka_unit_test(qemu_is_told_the_same),
		cmocka_unit_test(machine_is_what_qemu_takes),
		cmocka_unit_test(sizes_are_parsed),
		cmocka_unit_test(impossible_is_refused_with_a_reason),
	};

	return run_as_tap(tests);
}
