/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/feed.h - the rules of the node's watchdog (watchdog.c): when it is fed, and how long it
 * may be. Pure, so that selftests/unit/feed can let all times pass.
 */
#ifndef AGENT_FEED_H
#define AGENT_FEED_H

#include <stdbool.h>
#include <stdint.h>

enum feed {
	FEED_OFF, /* nothing here has to end by itself: no watchdog is needed */
	FEED_ON,
	FEED_HOLD, /* not fed: it resets the host, unless quorum or the end of the VMs is earlier */
};

/**
 * struct feed_now - what is so
 * @is_there: this node is in quorum
 * @is_lost: it is not, but was, or may have been before the agent started
 * @is_needed: VMs of this node need other nodes
 * @is_running: the watchdog was opened, in quorum, and not closed since
 * @timeout_s: of the watchdog
 * @now_us: of CLOCK_MONOTONIC
 * @reset_us: by when a reset has to have come. Of @is_lost
 */
struct feed_now {
	bool is_there, is_lost, is_needed, is_running;
	uint32_t timeout_s;
	uint64_t now_us, reset_us;
};

enum feed feed_decide(const struct feed_now *now);
/** feed_look_us() - after what time to decide anew */
uint64_t feed_look_us(const struct feed_now *now);
/** feed_timeout_s() - the longest that resets a host within @within_us of being fed */
uint32_t feed_timeout_s(uint64_t within_us);
/** feed_is_in_time() - does a watchdog of @timeout_s do so? */
bool feed_is_in_time(uint32_t timeout_s, uint64_t within_us);

#endif
