/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/target.h - which node takes what leaves another one. */
#ifndef AGENT_TARGET_H
#define AGENT_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include "../lib/dvmm.h"

#define ROOM_MAX_VMS 64

/**
 * struct room_vm - memory of a VM, by node
 * @held: bytes the node holds; 0 where that is not known
 * @budget: bytes it may hold; DVMM_BUDGET_NONE: no bound
 */
struct room_vm {
	uint8_t uuid[DVMM_UUID_SIZE];
	uint64_t held[DVMM_MAX_NODES];
	uint64_t budget[DVMM_MAX_NODES];
};

/**
 * struct room - what nodes have free, by node
 * @free_cpus: that no vCPU of a spanning VM has; below zero: they share
 * @free_bytes: of memory
 * @vms: that leave a node
 */
struct room {
	int free_cpus[DVMM_MAX_NODES];
	uint64_t free_bytes[DVMM_MAX_NODES];
	uint32_t nr_vms;
	struct room_vm vms[ROOM_MAX_VMS];
};

/** room_vm() - the one with @uuid; NULL: of it nothing is known */
struct room_vm *room_vm(struct room *room, const uint8_t uuid[DVMM_UUID_SIZE]);

/**
 * struct leaving - a VM that leaves a node
 * @vm: or NULL, when nothing is known of its memory
 * @from: the node
 * @counted: nodes whose free memory is less already by what comes there
 */
struct leaving {
	const struct room_vm *vm;
	uint32_t from;
	uint64_t counted;
};

/** leaving_bytes() - what comes to the node that becomes home: all, whatever its budget is */
uint64_t leaving_bytes(const struct leaving *leaving);

/*
 * Sets of nodes have bit n for node n; @from is never chosen.
 */

/** target_of_homes() - @origin if it has the memory, else that of @nodes with the most; DVMM_ANY_NODE: none has */
uint32_t target_of_homes(const struct room *room, const struct leaving *leaving, uint64_t nodes,
			 uint32_t origin);
/**
 * target_of_vcpu() - that of @nodes with the most free CPUs, and of these the first, that has the memory
 *
 * What follows a vCPU there is at most what leaves, and what the node's budget has left.
 * None has more CPUs than @otherwise: that one.
 */
uint32_t target_of_vcpu(const struct room *room, const struct leaving *leaving, uint64_t nodes,
			uint32_t otherwise);
/** target_take_homes(), target_take_vcpu() - it goes there: there is less room now */
void target_take_homes(struct room *room, struct leaving *leaving, uint32_t node);
void target_take_vcpu(struct room *room, struct leaving *leaving, uint32_t node);
/** target_of_most() - that of @nodes, other than @from, with the most free memory */
uint32_t target_of_most(const struct room *room, const struct leaving *leaving, uint64_t nodes);

#endif
