/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tso.h - litmus tests and what x86-TSO allows them.
 *
 * The model is the abstract machine of Owens, Sarkar and Sewell, "A better x86 memory
 * model: x86-TSO" (TPHOLs 2009), section 3.1: one memory, a FIFO store buffer for each
 * processor that only its own loads see, fences and locked instructions that wait until
 * it is empty.
 */
#ifndef TSO_H
#define TSO_H

#include <stdint.h>

#define TSO_THREADS	4
#define TSO_OPS		4
#define TSO_LOCATIONS	2
#define TSO_REGISTERS	4

enum op_kind { OP_END, OP_WRITE, OP_READ, OP_MFENCE, OP_LOCKED, OP_XCHG };

struct op {
	enum op_kind kind;
	int location;
	int value;		/* written: 1 or 2; 0 is what was there before */
	int reg;		/* read into; registers are numbered over all threads */
};

struct litmus {
	int nr_threads;
	int nr_registers;
	struct op ops[TSO_THREADS][TSO_OPS + 1];	/* each ends with OP_END */
};

/*
 * What a run of a test left, as one number: two bits for each register, then for each
 * location. 3 is no value of the test.
 */
#define TSO_DIGITS	(TSO_REGISTERS + TSO_LOCATIONS)
#define TSO_OUTCOMES	(1u << (2 * TSO_DIGITS))

static inline unsigned int outcome_digit(int digit, unsigned int value)
{
	return value << (2 * digit);
}

/**
 * litmus_parse() - Read a test as "Wx1 Ry|Wy1 Rx".
 *
 * W, R: a load or store of x or y; M: mfence; L: a locked instruction on memory of the
 * thread's own; X: a store by xchg. Exits on nonsense.
 */
void litmus_parse(struct litmus *test, const char *text);

/** tso_outcomes() - Mark in @allowed[] every outcome that x86-TSO can have. */
void tso_outcomes(const struct litmus *test, uint8_t allowed[TSO_OUTCOMES]);

/** outcome_matches() - Is it one of "01/11", registers / x and y? '.' in either is any value. */
int outcome_matches(const struct litmus *test, unsigned int outcome, const char *pattern);

/** outcome_print() - The same form, into @text of TSO_DIGITS + 2 bytes. */
void outcome_print(const struct litmus *test, unsigned int outcome, char *text);

#endif
