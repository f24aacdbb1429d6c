/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/dsm/user/played_node.h - a process that plays a node: who it is, its chance, its end. */
#ifndef PLAYED_NODE_H
#define PLAYED_NODE_H

#include "../../../dsm/internal.h"

#define MOST_NODES 8 /* of a run */

extern u8 self; /* 0: who plays no node, but starts them */
extern unsigned int seed; /* of the run */

/** node_die() - End this process, saying why. */
void node_die(const char *fmt, ...) __printf(1, 2) __attribute__((noreturn));

/** chance() - A number at random, by seed, node and thread. */
unsigned int chance(void);

/** node_start() - A process that plays node @n of a run: @act does not come back. */
pid_t node_start(int n, void (*act)(void));

/** node_meet() - Back when @nr nodes have come; @arrived is shared by them. */
void node_meet(int *arrived, int nr);

/** node_evict() - Put page @index away, if it may be. */
void node_evict(struct dsm_mem *mem, u64 index);

#endif
