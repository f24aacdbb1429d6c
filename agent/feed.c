// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/feed.c - the rules of the node's watchdog.
 *
 * The others take it that a node has ended its VMs fence-after-ms + 2 s (fence.c) + 2 s (epoch.c) after
 * it was lost. Of the last two, one is for VMMs that SIGKILL has to end, and one for quorum that is not
 * lost on both sides at the same time; so a reset has to come WITHIN = fence-after-ms + 3 s. With the
 * watchdog's timeout T, on which no device is to be relied by more than 1/32 (i6300esb: a second is 1.024 s):
 *
 *	T * 33/32 <= WITHIN			or it is of no use
 *	last fed <= lost + WITHIN - T * 33/32	whatever stops the agent then, the reset comes in time
 *
 * With the defaults T is 7 s, and 0.8 s after quorum was lost it is not fed any more: VMs that end when
 * they are told to, after 5 s, or are killed, 2 s later, have ended before the 8 s are over, and then it
 * is switched off. T is the longest there is: it also bounds for how long the agent may be away.
 */
#include "feed.h"

#define LOOK_US 500000
#define LOOK_HOLD_US 100000 /* the rest of the time may be short */
#define TIMEOUT_MAX_S 30
#define US 1000000ull

static uint64_t lasts_us(uint32_t timeout_s)
{
	return timeout_s * US * 33 / 32;
}

bool feed_is_in_time(uint32_t timeout_s, uint64_t within_us)
{
	return timeout_s && lasts_us(timeout_s) <= within_us;
}

uint32_t feed_timeout_s(uint64_t within_us)
{
	uint64_t longest_s = within_us * 32 / 33 / US;

	return longest_s < TIMEOUT_MAX_S ? longest_s : TIMEOUT_MAX_S;
}

static bool may_feed(const struct feed_now *now)
{
	return now->is_running && now->now_us + lasts_us(now->timeout_s) <= now->reset_us;
}

enum feed feed_decide(const struct feed_now *now)
{
	if (!now->is_needed || (!now->is_there && !now->is_lost))
		return FEED_OFF;
	if (now->is_there)
		return FEED_ON;
	/* Opening it feeds it: an agent that was started in between leaves it to end its time. */
	return may_feed(now) ? FEED_ON : FEED_HOLD;
}

uint64_t feed_look_us(const struct feed_now *now)
{
	uint64_t look_us = LOOK_US, last_us;

	if (now->is_running && now->timeout_s && now->timeout_s * US / 4 < look_us)
		look_us = now->timeout_s * US / 4;
	if (feed_decide(now) == FEED_HOLD)
		return LOOK_HOLD_US;
	if (!now->is_lost || !now->is_needed || !may_feed(now))
		return look_us;
	/* The last time, as late as it may be, and not later. */
	last_us = now->reset_us - lasts_us(now->timeout_s) - now->now_us;
	if (last_us <= LOOK_HOLD_US)
		return LOOK_HOLD_US;
	return last_us - LOOK_HOLD_US / 2 < look_us ? last_us - LOOK_HOLD_US / 2 : look_us;
}
