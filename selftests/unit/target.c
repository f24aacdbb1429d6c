// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/target.c - which node takes what leaves another one. Node 1 is the origin. */
#include <stdio.h>
#include <string.h>
#include "../../agent/target.h"
#include "tap.h"

#define MIB(n) ((uint64_t)(n) << 20)
#define NODES (1 << 1 | 1 << 2 | 1 << 3 | 1 << 4)

static struct room room;
static struct leaving leaving;

/* Of the VM node 4 holds so much and is to hold nothing. Each node has 4 CPUs, the origin 2. */
static void begin(unsigned int held_mib)
{
	struct room_vm *vm = &room.vms[0];

	memset(&room, 0, sizeof(room));
	room.nr_vms = 1;
	for (int i = 0; i < DVMM_MAX_NODES; i++) {
		room.free_cpus[i] = i == 1 ? 2 : 4;
		room.free_bytes[i] = MIB(1000);
		vm->budget[i] = DVMM_BUDGET_NONE;
	}
	memset(vm->uuid, 7, sizeof(vm->uuid));
	vm->held[4] = MIB(held_mib);
	leaving = (struct leaving){ .vm = vm, .from = 4 };
}

static void vcpu_goes_where_most_cpus_are_free(void **state)
{
	(void)state;
	begin(256);
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 2);
	room.free_cpus[3] = 5;
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 3);
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES & ~(1 << 3), 1), 2);
	room.free_cpus[1] = 6;
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 1);
}

static void vcpu_avoids_a_node_without_memory(void **state)
{
	(void)state;
	begin(256);
	room.free_bytes[2] = MIB(256) - 1;
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 3);
	room.free_bytes[3] = 0;
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 1);
	room.free_bytes[2] = MIB(256);
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 2);
}

static void budget_bounds_what_comes(void **state)
{
	struct room_vm *vm = &room.vms[0];

	(void)state;
	begin(256);
	room.free_bytes[2] = MIB(60);
	vm->budget[2] = MIB(100);
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 3);
	vm->held[2] = MIB(40);
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 2);
	vm->held[2] = MIB(200);
	room.free_bytes[2] = 0;
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 2);
}

/* The second vCPU brings nothing more, and there is less for another VM. */
static void memory_counts_once(void **state)
{
	struct leaving other;

	(void)state;
	begin(600);
	other = leaving;
	target_take_vcpu(&room, &leaving, 2);
	assert_int_equal(room.free_bytes[2], MIB(400));
	assert_int_equal(room.free_cpus[2], 3);
	room.free_cpus[3] = 0;
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 2);
	target_take_vcpu(&room, &leaving, 2);
	assert_int_equal(room.free_bytes[2], MIB(400));
	room.free_cpus[2] = 4;
	assert_int_equal(target_of_vcpu(&room, &other, NODES, 1), 1);
}

static void homes_go_to_the_origin_if_it_has_room(void **state)
{
	(void)state;
	begin(256);
	room.free_bytes[1] = MIB(256);
	room.vms[0].budget[1] = MIB(1);
	assert_int_equal(target_of_homes(&room, &leaving, NODES, 1), 1);
	target_take_homes(&room, &leaving, 1);
	assert_int_equal(room.free_bytes[1], 0);
	assert_int_equal(target_of_vcpu(&room, &leaving, 1 << 1, 1), 1);
}

static void homes_go_where_most_memory_is_free(void **state)
{
	(void)state;
	begin(256);
	room.free_bytes[1] = MIB(255);
	room.free_bytes[3] = MIB(1001);
	assert_int_equal(target_of_homes(&room, &leaving, NODES, 1), 3);
	assert_int_equal(target_of_homes(&room, &leaving, NODES & ~(1 << 3), 1), 2);
}

/* Also not to the node that is drained, which has the most. */
static void homes_go_nowhere_without_room(void **state)
{
	(void)state;
	begin(1001);
	room.free_bytes[2] = MIB(1000) + 1;
	room.free_bytes[4] = MIB(5000);
	assert_int_equal(target_of_homes(&room, &leaving, NODES, 1), DVMM_ANY_NODE);
	assert_int_equal(target_of_most(&room, &leaving, NODES), 2);
	assert_int_equal(target_of_most(&room, &leaving, 1 << 4), DVMM_ANY_NODE);
}

static void unknown_memory_fits(void **state)
{
	uint8_t uuid[DVMM_UUID_SIZE] = { 7, 7 };

	(void)state;
	begin(256);
	assert_ptr_equal(room_vm(&room, room.vms[0].uuid), &room.vms[0]);
	leaving.vm = room_vm(&room, uuid);
	assert_null(leaving.vm);
	memset(room.free_bytes, 0, sizeof(room.free_bytes));
	assert_int_equal(target_of_homes(&room, &leaving, NODES, 1), 1);
	assert_int_equal(target_of_vcpu(&room, &leaving, NODES, 1), 2);
	target_take_vcpu(&room, &leaving, 2);
	assert_int_equal(room.free_bytes[2], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vcpu_goes_where_most_cpus_are_free),
		cmocka_unit_test(vcpu_avoids_a_node_without_memory),
		cmocka_unit_test(budget_bounds_what_comes),
		cmocka_unit_test(memory_counts_once),
		cmocka_unit_test(homes_go_to_the_origin_if_it_has_room),
		cmocka_unit_test(homes_go_where_most_memory_is_free),
		cmocka_unit_test(homes_go_nowhere_without_room),
		cmocka_unit_test(unknown_memory_fits),
	};

	return run_as_tap(tests);
}
