// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/feed.c - the rules of the watchdog, on a clock that is played, ms by ms: whenever the agent stops, a
 * host with VMs that need others is reset before the others' time is over; and one whose VMs end in time, or whose
 * quorum comes back, is not reset at all.
 */
#include "../../agent/feed.h"
#include "tap.h"

#define MS 1000ull
#define PATIENCE_MS 2000
#define SLACK_MS 2000
#define LOST_MS 6000
#define NEVER UINT64_MAX
#define NOT_RESET 0

/* A host; times in ms. The watchdog takes longer than it says, as it may. */
struct host {
	uint32_t fence_after_ms, timeout_s;
	uint64_t stops_ms; /* the agent */
	uint64_t ends_ms; /* the VMs */
	uint64_t back_ms; /* quorum */
	uint64_t starts_ms; /* the agent, again */
	bool feeds_always; /* planted */
};

static uint64_t within_ms(const struct host *host)
{
	return host->fence_after_ms + PATIENCE_MS + SLACK_MS / 2;
}

static struct feed_now now_of(const struct host *host, uint64_t ms, bool is_running)
{
	bool is_there = ms < LOST_MS || ms >= host->back_ms;
	/* An agent that starts does not know since when. */
	uint64_t lost_ms = host->starts_ms > LOST_MS && ms >= host->starts_ms ? host->starts_ms : LOST_MS;

	return (struct feed_now){
		.is_there = is_there,
		.is_lost = !is_there,
		.is_needed = ms < host->ends_ms,
		.is_running = is_running,
		.timeout_s = host->timeout_s,
		.now_us = ms * MS,
		.reset_us = is_there ? 0 : (lost_ms + within_ms(host)) * MS,
	};
}

static bool agent_runs(const struct host *host, uint64_t ms)
{
	return ms < host->stops_ms || ms >= host->starts_ms;
}

/* When the host is reset; NOT_RESET: it is not. */
static uint64_t live(const struct host *host)
{
	uint64_t lasts_ms = host->timeout_s * 1000ull * 33 / 32, fed_ms = 0, look_ms = 0;
	bool is_running = false, is_open = false;

	for (uint64_t ms = 0; ms < LOST_MS + within_ms(host) + 2 * lasts_ms; ms++) {
		struct feed_now now = now_of(host, ms, is_open);

		if (is_running && ms > fed_ms + lasts_ms)
			return ms;
		if (!agent_runs(host, ms))
			is_open = false;
		/* What is heard is looked at at once. */
		if (!agent_runs(host, ms) || (ms < look_ms && ms != LOST_MS && ms != host->back_ms))
			continue;
		switch (host->feeds_always && now.is_needed ? FEED_ON : feed_decide(&now)) {
		case FEED_OFF:
			is_running = is_open = false;
			break;
		case FEED_ON:
			is_running = is_open = true;
			fed_ms = ms;
			break;
		case FEED_HOLD:
			break;
		}
		now.is_running = is_open;
		look_ms = ms + feed_look_us(&now) / MS;
	}
	return NOT_RESET;
}

static const uint32_t fence_times_ms[] = { 0, 500, 3000, 5000, 12345, 600000 };
#define NR_TIMES (sizeof(fence_times_ms) / sizeof(fence_times_ms[0]))

static struct host host_with(uint32_t fence_after_ms)
{
	struct host host = { .fence_after_ms = fence_after_ms, .stops_ms = NEVER, .ends_ms = NEVER,
			     .back_ms = NEVER, .starts_ms = NEVER };

	host.timeout_s = feed_timeout_s(within_ms(&host) * MS);
	return host;
}

/* Before what the others wait for, by the half of the slack that is not the VMMs'. */
static bool is_reset_in_time(const struct host *host)
{
	uint64_t reset_ms = live(host);

	return reset_ms && reset_ms <= LOST_MS + within_ms(host) + 2;
}

static void agent_that_stops_whenever_resets_in_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_TIMES - 1; i++) {
		struct host host = host_with(fence_times_ms[i]);

		for (host.stops_ms = LOST_MS - 2000; host.stops_ms < LOST_MS + within_ms(&host); host.stops_ms += 37)
			if (!is_reset_in_time(&host))
				fail_msg("fence-after-ms %u, stops at %d: reset at %llu", host.fence_after_ms,
					 (int)(host.stops_ms - LOST_MS), (unsigned long long)live(&host));
	}
}

static void vms_that_do_not_end_reset_in_time_and_not_early(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_TIMES - 1; i++) {
		struct host host = host_with(fence_times_ms[i]);

		assert_true(is_reset_in_time(&host));
		/* They have had SIGKILL, and most of the time to end. */
		assert_true(live(&host) >= LOST_MS + within_ms(&host) - 150);
	}
}

static void vms_that_end_in_time_reset_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_TIMES - 1; i++) {
		struct host host = host_with(fence_times_ms[i]);

		for (uint64_t ms = 0; ms < host.fence_after_ms + PATIENCE_MS + SLACK_MS / 4; ms += 71) {
			host.ends_ms = LOST_MS + ms;
			assert_int_equal(live(&host), NOT_RESET);
		}
	}
}

static void quorum_that_is_back_resets_nothing(void **state)
{
	struct host host = host_with(5000);

	(void)state;
	for (host.back_ms = LOST_MS; host.back_ms < LOST_MS + 5000; host.back_ms += 71)
		assert_int_equal(live(&host), NOT_RESET);
}

static void agent_that_is_back_in_quorum_resets_nothing(void **state)
{
	struct host host = host_with(5000);

	(void)state;
	host.back_ms = 0; /* it is never lost */
	host.stops_ms = 2000;
	host.starts_ms = host.stops_ms + (host.timeout_s - 1) * 1000;
	assert_int_equal(live(&host), NOT_RESET);
	host.starts_ms = host.stops_ms + (host.timeout_s + 1) * 1000;
	assert_int_not_equal(live(&host), NOT_RESET);
}

/* It was killed, and starts anew, without quorum: it must not win time. */
static void agent_that_is_back_without_quorum_defers_nothing(void **state)
{
	struct host host = host_with(5000);

	(void)state;
	for (host.stops_ms = LOST_MS - 1000; host.stops_ms < LOST_MS + 6000; host.stops_ms += 111) {
		host.starts_ms = host.stops_ms + 500;
		assert_true(is_reset_in_time(&host));
	}
}

static void timeout_is_the_longest_that_is_in_time(void **state)
{
	(void)state;
	assert_int_equal(feed_timeout_s(3000 * MS), 2);
	assert_int_equal(feed_timeout_s(8000 * MS), 7);
	assert_int_equal(feed_timeout_s(603000 * MS), 30);
	for (size_t i = 0; i < NR_TIMES; i++) {
		struct host host = host_with(fence_times_ms[i]);

		assert_true(feed_is_in_time(host.timeout_s, within_ms(&host) * MS));
	}
	assert_true(feed_is_in_time(7, 8000 * MS));
	assert_false(feed_is_in_time(8, 8000 * MS));
	assert_false(feed_is_in_time(0, 8000 * MS));
}

static void without_quorum_ever_it_is_off(void **state)
{
	struct feed_now now = { .is_needed = true, .is_running = true, .timeout_s = 7 };

	(void)state;
	assert_int_equal(feed_decide(&now), FEED_OFF);
	now.is_there = true;
	assert_int_equal(feed_decide(&now), FEED_ON);
	now.is_needed = false;
	assert_int_equal(feed_decide(&now), FEED_OFF);
}

/* Else all of this could pass for a host that is never late. */
static void planted_mistakes_are_found(void **state)
{
	struct host host = host_with(5000);

	(void)state;
	host.timeout_s += 3;
	host.stops_ms = LOST_MS;
	assert_false(is_reset_in_time(&host));
	host = host_with(5000);
	host.feeds_always = true;
	assert_false(is_reset_in_time(&host));
	host.stops_ms = LOST_MS + 3000;
	assert_false(is_reset_in_time(&host));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(agent_that_stops_whenever_resets_in_time),
		cmocka_unit_test(vms_that_do_not_end_reset_in_time_and_not_early),
		cmocka_unit_test(vms_that_end_in_time_reset_nothing),
		cmocka_unit_test(quorum_that_is_back_resets_nothing),
		cmocka_unit_test(agent_that_is_back_in_quorum_resets_nothing),
		cmocka_unit_test(agent_that_is_back_without_quorum_defers_nothing),
		cmocka_unit_test(timeout_is_the_longest_that_is_in_time),
		cmocka_unit_test(without_quorum_ever_it_is_off),
		cmocka_unit_test(planted_mistakes_are_found),
	};

	return run_as_tap(tests);
}
