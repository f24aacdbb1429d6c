// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * regs.c - what a vCPU has of its own while it computes: registers that change by
 * themselves, and a TSC that goes back, on one vCPU or between two. What a vCPU that moves
 * to another host must take along.
 */
#include "guest.h"

#include <stdio.h>
#include <string.h>

#define STEPS 20000

struct registers {
	uint64_t general[8];	/* r8 to r15 */
	uint64_t vector[16][2];	/* xmm0 to xmm15 */
	uint32_t mxcsr;
	uint16_t x87_control;
} __attribute__((aligned(64)));

/* Puts @in into the registers, lets some time pass, and takes them out again. */
static void __attribute__((noinline)) hold(const struct registers *in, struct registers *out, long steps)
{
#define LOAD(n) "movdqa 64+16*" #n "(%[in]), %%xmm" #n "\n"
#define STORE(n) "movdqa %%xmm" #n ", 64+16*" #n "(%[out])\n"
#define EACH(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15)
	uint32_t mxcsr;
	uint16_t control;

	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(control));
	__asm__ volatile(
		"ldmxcsr 320(%[in])\n fldcw 324(%[in])\n" EACH(LOAD)
		"mov (%[in]), %%r8\n mov 8(%[in]), %%r9\n mov 16(%[in]), %%r10\n mov 24(%[in]), %%r11\n"
		"mov 32(%[in]), %%r12\n mov 40(%[in]), %%r13\n mov 48(%[in]), %%r14\n mov 56(%[in]), %%r15\n"
		"1: pause\n dec %[steps]\n jnz 1b\n"
		"mov %%r8, (%[out])\n mov %%r9, 8(%[out])\n mov %%r10, 16(%[out])\n mov %%r11, 24(%[out])\n"
		"mov %%r12, 32(%[out])\n mov %%r13, 40(%[out])\n mov %%r14, 48(%[out])\n mov %%r15, 56(%[out])\n"
		EACH(STORE) "stmxcsr 320(%[out])\n fnstcw 324(%[out])\n"
		: [steps] "+c"(steps)
		: [in] "S"(in), [out] "D"(out)
		: "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2",
		  "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
		  "xmm14", "xmm15");
	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(control));
}

_Static_assert(offsetof(struct registers, vector) == 64 && offsetof(struct registers, mxcsr) == 320 &&
	       offsetof(struct registers, x87_control) == 324, "hold() has these numbers");

static void fill(struct registers *registers, uint64_t *state)
{
	memset(registers, 0, sizeof(*registers));
	for (int i = 0; i < 8; i++)
		registers->general[i] = next_random(state);
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 2; k++)
			registers->vector[i][k] = next_random(state);
	/* Exceptions masked; rounding and precision as they come. */
	registers->mxcsr = 0x1f80 | (next_random(state) & 0x6000);
	registers->x87_control = 0x37f & ~(next_random(state) & 0xc00);
}

static void keep_registers(int self)
{
	uint64_t state = 88172645463325252ull + self;
	struct registers in, out = { 0 };

	while (!time_is_up()) {
		fill(&in, &state);
		hold(&in, &out, STEPS);
		if (is_planted("registers") && self == 0)
			out.vector[7][1] ^= 1;
		look(self, 1);
		if (memcmp(&in, &out, sizeof(in)))
			violation("registers of vCPU %d have changed", cpu_of(self));
	}
}

static void check_registers(const struct part *part)
{
	on_each_cpu(nr_threads, keep_registers);
}

static uint64_t *latest;	/* TSC that any vCPU has seen */

static uint64_t ordered_tsc(void)
{
	__builtin_ia32_lfence();
	return tsc_now();
}

static void keep_time(int self)
{
	uint64_t own = 0, before, now;

	while (!time_is_up()) {
		before = load(latest);
		now = ordered_tsc();
		if (is_planted("clock") && self == 0)
			now -= 100000000;
		if (now < own)
			violation("the TSC of vCPU %d went back by %lu", cpu_of(self), own - now);
		if (now < before)
			violation("the TSC of vCPU %d is %lu behind that of another", cpu_of(self), before - now);
		own = now;
		if (now > before)
			__atomic_compare_exchange_n(latest, &before, now, false, __ATOMIC_SEQ_CST,
						    __ATOMIC_SEQ_CST);
		look(self, 1);
	}
}

static void check_clock(const struct part *part)
{
	latest = pages_alloc(1);
	on_each_cpu(nr_threads, keep_time);
}

static const struct part parts[] = {
	{ "registers", 1, check_registers, NULL },
	{ "clock", 2, check_clock, NULL },
};

int main(int argc, char **argv)
{
	opt.seconds = 2;
	parse_options("regs", argc, argv);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
