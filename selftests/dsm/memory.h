/* SPDX-License-Identifier: GPL-2.0-or-later */
/* selftests/dsm/memory.h - what the programs of this folder share. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

#define PAGE 4096UL

/* The memory under test, as this node has it mapped. */
struct memory {
	volatile uint8_t *base;
	uint64_t bytes;
	unsigned int self; /* 0 .. nr_nodes - 1 */
	unsigned int nr_nodes;
};

static inline volatile uint64_t *word(const struct memory *mem, uint64_t page, unsigned int nr)
{
	return (volatile uint64_t *)(mem->base + page * PAGE) + nr;
}

/* Runs one test on all nodes at once; 0 = passed. Says why it failed. */
int litmus_run(const struct memory *mem, const char *name, long rounds, long seed);
double now_us(void);

/* timing.c */
int timing_read(const struct memory *mem, uint64_t nr, uint64_t start);
int timing_hammer(const struct memory *mem, uint64_t page, double seconds);

#endif
