// SPDX-License-Identifier: GPL-2.0-only
/* dsm/turn.c - whose turn it is to keep contended pages.
 *
 * To run one instruction a vCPU needs several pages at once: code, stack, and,
 * because nested paging walks the guest's page tables as a writer (AMD APM
 * volume 2, 15.25.5; Intel with EPT accessed/dirty bits), each of those page
 * tables exclusively. Two nodes that collect such a set one page at a time take
 * it from each other for ever. So the nodes of a VM take turns: in its turn a
 * node keeps the contended pages it gets, in the turns of others it gives them
 * away at once. Half a turn is enough to collect a working set, the rest is for
 * work. Turns follow the origin's TSC, which every node knows well enough.
 */
#include <asm/tsc.h>
#include <linux/math64.h>

#include "internal.h"

#define TURN_ROUND_TRIPS 200
#define TURN_MIN_US 200
#define TURN_MAX_US 200000

static u64 us_to_ticks(u64 us)
{
	return div_u64(us * tsc_khz, 1000);
}

static u64 ticks_to_us(u64 ticks)
{
	return div_u64(ticks * 1000, tsc_khz);
}

/* The origin decides, when it makes its first object, and anew when a node joins it that has
 * been alone: the others have heard of no other turn.
 */
void turn_decide(struct dsm_vm *vm, u64 joining)
{
	u64 others = READ_ONCE(vm->nodes) & ~(1ULL << vm->self);
	u64 rtt_us = 0;

	if (vm->turn_ticks && others)
		return;
	for (others |= joining; others; others &= others - 1)
		rtt_us = max(rtt_us, dvmm_link_rtt_ns(__ffs64(others)) / 1000);
	WRITE_ONCE(vm->turn_ticks, us_to_ticks(clamp_t(u64, rtt_us * TURN_ROUND_TRIPS,
						       TURN_MIN_US, TURN_MAX_US)));
}

/* What the origin decided, as it comes from the wire. */
int turn_set(struct dsm_vm *vm, u64 ticks)
{
	if (!ticks || ticks > us_to_ticks(2 * TURN_MAX_US))
		return -EINVAL;
	vm->turn_ticks = ticks;
	return 0;
}

u32 turn_us(const struct dsm_vm *vm)
{
	return ticks_to_us(READ_ONCE(vm->turn_ticks));
}

/* 0: it is another node's turn. Any context. */
u32 turn_left_us(const struct dsm_vm *vm)
{
	u64 ticks = READ_ONCE(vm->turn_ticks), nodes = READ_ONCE(vm->nodes);
	u32 nr_nodes = hweight64(nodes), own = hweight64(nodes & ((1ULL << vm->self) - 1));
	u64 now = rdtsc();
	u64 error, into;
	s64 offset;
	u64 turn;

	if (!ticks || nr_nodes < 2)
		return 0;
	if (vm->self != vm->origin) {
		if (dvmm_link_clock(vm->origin, &offset, &error))
			return 0;
		now += offset;
	}
	turn = div64_u64_rem(now, ticks, &into);
	if (do_div(turn, nr_nodes) != own)
		return 0;
	return ticks_to_us(ticks - into) ?: 1;
}
