// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/target.c - which node takes what leaves another one: one with free CPUs for a vCPU, and
 * with the memory for what comes with it. Pure: room.c asks what there is, drain.c moves.
 */
#include <string.h>
#include "target.h"

struct room_vm *room_vm(struct room *room, const uint8_t uuid[DVMM_UUID_SIZE])
{
	for (uint32_t i = 0; i < room->nr_vms; i++)
		if (!memcmp(room->vms[i].uuid, uuid, DVMM_UUID_SIZE))
			return &room->vms[i];
	return NULL;
}

uint64_t leaving_bytes(const struct leaving *leaving)
{
	return leaving->vm ? leaving->vm->held[leaving->from] : 0;
}

static bool has(uint64_t nodes, uint32_t node)
{
	return nodes >> node & 1;
}

/* What a vCPU there would bring; once, for all of them. */
static uint64_t follows(const struct leaving *leaving, uint32_t node)
{
	uint64_t bytes = leaving_bytes(leaving), held, budget;

	if (!bytes || has(leaving->counted, node))
		return 0;
	held = leaving->vm->held[node];
	budget = leaving->vm->budget[node];
	if (budget <= held)
		return 0;
	return bytes < budget - held ? bytes : budget - held;
}

static void take(struct room *room, struct leaving *leaving, uint32_t node, uint64_t bytes)
{
	uint64_t free = room->free_bytes[node];

	room->free_bytes[node] = bytes < free ? free - bytes : 0;
	leaving->counted |= 1ull << node;
}

uint32_t target_of_most(const struct room *room, const struct leaving *leaving, uint64_t nodes)
{
	uint32_t best = DVMM_ANY_NODE;

	for (uint32_t node = 0; node < DVMM_MAX_NODES; node++)
		if (node != leaving->from && has(nodes, node) &&
		    (best == DVMM_ANY_NODE || room->free_bytes[node] > room->free_bytes[best]))
			best = node;
	return best;
}

uint32_t target_of_homes(const struct room *room, const struct leaving *leaving, uint64_t nodes,
			 uint32_t origin)
{
	uint64_t bytes = leaving_bytes(leaving);
	uint32_t best;

	if (room->free_bytes[origin] >= bytes)
		return origin;
	best = target_of_most(room, leaving, nodes);
	return best != DVMM_ANY_NODE && room->free_bytes[best] >= bytes ? best : DVMM_ANY_NODE;
}

uint32_t target_of_vcpu(const struct room *room, const struct leaving *leaving, uint64_t nodes,
			uint32_t otherwise)
{
	uint32_t best = otherwise;

	for (uint32_t node = 0; node < DVMM_MAX_NODES; node++)
		if (node != leaving->from && has(nodes, node) &&
		    room->free_bytes[node] >= follows(leaving, node) &&
		    room->free_cpus[node] > room->free_cpus[best])
			best = node;
	return best;
}

void target_take_homes(struct room *room, struct leaving *leaving, uint32_t node)
{
	take(room, leaving, node, leaving_bytes(leaving));
}

void target_take_vcpu(struct room *room, struct leaving *leaving, uint32_t node)
{
	room->free_cpus[node]--;
	take(room, leaving, node, follows(leaving, node));
}
