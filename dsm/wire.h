/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/wire.h - checks of what a peer says about homes. Pure; also built in user space. */
#ifndef DSM_WIRE_H
#define DSM_WIRE_H

#include <dvmm/wire.h>
#include "proto.h"

/** wire_mem_add_is_sound() - DVMM_MSG_MEM_ADD of @len bytes: fields, and that its tail is whole */
bool wire_mem_add_is_sound(const struct dvmm_msg_mem_add *add, unsigned long len);

/**
 * wire_runs_to_table() - the homes that the tail of DVMM_MSG_MEM_ADD says
 * @table: room for @nr_extents, one byte each; undefined after a failure
 * @nodes: bit n = node n has a part of the VM
 *
 * Return: whether they are nodes of the VM, for all extents, no more and no less
 */
bool wire_runs_to_table(u8 *table, u64 nr_extents, const struct dvmm_wire_home_run *runs, u32 nr,
			u64 nodes);

/** wire_home_is_sound() - one of DVMM_MSG_MEM_FREEZE, _INSTALL, _HOME of @len bytes */
bool wire_home_is_sound(u16 type, const struct dvmm_msg_home *home, unsigned long len);

/**
 * wire_entries_are_sound() - directory entries as a peer says them
 * @nr_pages: of their extent
 * @nodes: bit n = node n has a part of the VM
 *
 * Return: whether they are in order, and each is one that proto.c knows
 */
bool wire_entries_are_sound(const struct dvmm_wire_home *entries, u32 nr, u64 nr_pages, u64 nodes);

#endif
