// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tso.c - every run of a litmus test on the x86-TSO machine, one after the other.
 * Tests have a few operations: thousands of runs, no need to be clever.
 */
#include "tso.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct machine {
	const struct litmus *test;
	uint8_t *allowed;
	int memory[TSO_LOCATIONS];
	int registers[TSO_REGISTERS];
	struct processor {
		const struct op *next;
		const struct op *buffer[TSO_OPS];	/* stores, the oldest first */
		int nr_buffered;
	} processors[TSO_THREADS];
};

static void bad_test(const char *text)
{
	fprintf(stderr, "not a litmus test: %s\n", text);
	exit(2);
}

static int is_access(char letter)
{
	return letter == 'W' || letter == 'R' || letter == 'X';
}

static enum op_kind kind_of(char letter, const char *text)
{
	switch (letter) {
	case 'W':
		return OP_WRITE;
	case 'R':
		return OP_READ;
	case 'M':
		return OP_MFENCE;
	case 'L':
		return OP_LOCKED;
	case 'X':
		return OP_XCHG;
	}
	bad_test(text);
	return OP_END;
}

/* One operation at @at; returns where it ends. */
static const char *parse_op(struct litmus *test, struct op *op, const char *at, const char *text)
{
	op->kind = kind_of(*at, text);
	if (!is_access(*at++))
		return at;
	op->location = *at++ - 'x';
	if (op->location < 0 || op->location >= TSO_LOCATIONS)
		bad_test(text);
	if (op->kind == OP_READ)
		op->reg = test->nr_registers++;
	else
		op->value = *at++ - '0';
	if (op->value < 0 || op->value > 2 || test->nr_registers > TSO_REGISTERS)
		bad_test(text);
	return at;
}

void litmus_parse(struct litmus *test, const char *text)
{
	int nr_ops = 0;

	*test = (struct litmus){ .nr_threads = 1 };
	for (const char *at = text; *at;) {
		if (*at == ' ') {
			at++;
		} else if (*at == '|') {
			at++;
			test->nr_threads++;
			nr_ops = 0;
		} else {
			if (test->nr_threads > TSO_THREADS || nr_ops >= TSO_OPS)
				bad_test(text);
			at = parse_op(test, &test->ops[test->nr_threads - 1][nr_ops++], at, text);
		}
	}
}

static void note_outcome(const struct machine *m)
{
	unsigned int outcome = 0;

	for (int i = 0; i < TSO_REGISTERS; i++)
		outcome |= outcome_digit(i, m->registers[i]);
	for (int i = 0; i < TSO_LOCATIONS; i++)
		outcome |= outcome_digit(TSO_REGISTERS + i, m->memory[i]);
	m->allowed[outcome] = 1;
}

/* The newest store of the processor's own, else memory. */
static int value_seen(const struct machine *m, const struct processor *p, int location)
{
	for (int i = p->nr_buffered - 1; i >= 0; i--)
		if (p->buffer[i]->location == location)
			return p->buffer[i]->value;
	return m->memory[location];
}

static int flush_oldest(struct machine *m, struct processor *p)
{
	if (!p->nr_buffered)
		return 0;
	m->memory[p->buffer[0]->location] = p->buffer[0]->value;
	memmove(p->buffer, p->buffer + 1, --p->nr_buffered * sizeof(p->buffer[0]));
	return 1;
}

static int execute_next(struct machine *m, struct processor *p)
{
	const struct op *op = p->next;

	if (op->kind == OP_END)
		return 0;
	if (op->kind == OP_WRITE)
		p->buffer[p->nr_buffered++] = op;
	else if (op->kind == OP_READ)
		m->registers[op->reg] = value_seen(m, p, op->location);
	else if (p->nr_buffered)
		return 0;
	else if (op->kind == OP_XCHG)
		m->memory[op->location] = op->value;
	p->next++;
	return 1;
}

/* All that can happen next, each followed to its end. */
static void run_on(const struct machine *m)
{
	int moved = 0;

	for (int i = 0; i < m->test->nr_threads; i++) {
		struct machine executed = *m, flushed = *m;

		if (execute_next(&executed, &executed.processors[i])) {
			moved = 1;
			run_on(&executed);
		}
		if (flush_oldest(&flushed, &flushed.processors[i])) {
			moved = 1;
			run_on(&flushed);
		}
	}
	if (!moved)
		note_outcome(m);
}

void tso_outcomes(const struct litmus *test, uint8_t allowed[TSO_OUTCOMES])
{
	struct machine m = { .test = test, .allowed = allowed };

	memset(allowed, 0, TSO_OUTCOMES);
	for (int i = 0; i < test->nr_threads; i++)
		m.processors[i].next = test->ops[i];
	run_on(&m);
}

void outcome_print(const struct litmus *test, unsigned int outcome, char *text)
{
	for (int digit = 0; digit < TSO_DIGITS; digit++) {
		if (digit == TSO_REGISTERS)
			*text++ = '/';
		if (digit < test->nr_registers || digit >= TSO_REGISTERS)
			*text++ = "012?"[outcome >> (2 * digit) & 3];
	}
	*text = '\0';
}

int outcome_matches(const struct litmus *test, unsigned int outcome, const char *pattern)
{
	char text[TSO_DIGITS + 2];
	size_t i;

	outcome_print(test, outcome, text);
	for (i = 0; text[i] && pattern[i]; i++)
		if (pattern[i] != '.' && pattern[i] != text[i])
			return 0;
	if (text[i] || pattern[i])
		bad_test(pattern);
	return 1;
}
