// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/watchdog.c - a hardware watchdog (agent.conf: watchdog = /dev/watchdog0) for what fence.c alone
 * cannot promise: an agent that hangs or is killed, or VMMs that SIGKILL does not end. The host is then
 * reset before the others, who wait for no answer, start its VMs anew.
 *
 * It runs while membership is corosync's and VMs of this node need others, and is fed from the event loop: in
 * quorum always, without it for as long as the reset would still be in time (feed.c has the formula and
 * the timeout). It is looked at once at the start, so that what is wrong is known before it is needed.
 *
 * An agent that ends in order stops it (magic close), if it may: so a restart in quorum resets nothing.
 * One that is killed leaves it running: the next one has the timeout to be back, in quorum, and feed it.
 * Without quorum it is not opened, as that would feed it. A device with nowayout cannot be stopped: once
 * it runs the agent always has to be back in time, also where it is stopped for good.
 *
 * Closing feeds too, says the kernel: an agent that is killed when it had ceased to feed, a few seconds
 * before the reset, defers that by up to the timeout.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "feed.h"
#include "internal.h"
#include "wdt.h"

#define TRY_EVERY_US 5000000
#define WHAT_SIZE (CONFIG_PATH_SIZE + 200)

struct watchdog {
	struct agent *agent;
	sd_event_source *timer;
	struct wdt wdt; /* fd -1: closed */
	uint32_t wanted_s, timeout_s;
	uint64_t knew_us;
	bool has_said_hold;
	char what[WHAT_SIZE]; /* it is, or what is wrong with it */
	const char *fix; /* NULL: nothing is wrong */
};

static uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

static bool is_open(const struct watchdog *dog)
{
	return dog->wdt.fd >= 0;
}

static uint64_t within_us(const struct agent *agent)
{
	return fence_time_us(agent) + EPOCH_SLACK_US / 2;
}

/* ---- the device ---- */

static int fail(struct watchdog *dog, const char *fix, const char *why)
{
	char what[WHAT_SIZE];

	snprintf(what, sizeof(what), "%s: %s", dog->agent->config.watchdog, why);
	if (strcmp(what, dog->what))
		log_error("watchdog %s (%s)", what, fix);
	strcpy(dog->what, what);
	dog->fix = fix;
	return -EIO;
}

static int fail_to_open(struct watchdog *dog, int err)
{
	if (err == -EBUSY)
		return fail(dog, "give it to dvmm alone: RuntimeWatchdogSec= of systemd, watchdogd and sbd use one too",
			    "another program has it");
	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		return fail(dog, "load its driver (modprobe), or softdog if the host has none", strerror(-err));
	return fail(dog, "name a watchdog of the kernel in agent.conf: /dev/watchdog0", strerror(-err));
}

static int fail_to_set(struct watchdog *dog, uint32_t timeout_s, int err)
{
	char why[96];

	if (err)
		snprintf(why, sizeof(why), "it takes no timeout of %u s: %s", dog->wanted_s, strerror(-err));
	else
		snprintf(why, sizeof(why), "it takes %u s, but a reset has to come within %.1f s", timeout_s,
			 within_us(dog->agent) / 1e6);
	return fail(dog, "use another one, or a longer time: dvmm cluster set fence-after-ms", why);
}

static void say_ready(struct watchdog *dog)
{
	char what[WHAT_SIZE];

	snprintf(what, sizeof(what), "%s (%s): %u s%s%s", dog->agent->config.watchdog, dog->wdt.identity,
		 dog->timeout_s,
		 dog->wdt.stops_with_us ? "; it has no magic close: it stops when the agent is killed" : "",
		 dog->wdt.never_stops ? "; nowayout: an agent that ends must be back in this time" : "");
	if (strcmp(what, dog->what))
		log_with(dog->wdt.stops_with_us || dog->wdt.never_stops ? LOG_WARNING : LOG_NOTICE, NULL,
			 "watchdog %s", what);
	strcpy(dog->what, what);
	dog->fix = NULL;
}

static void close_it(struct watchdog *dog, bool is_over)
{
	if (is_open(dog))
		wdt_close(&dog->wdt, is_over);
	dog->knew_us = 0;
}

static int set_timeout(struct watchdog *dog)
{
	uint32_t timeout_s = dog->wanted_s = feed_timeout_s(within_us(dog->agent));
	int err = wdt_set(&dog->wdt, &timeout_s);

	if (!err)
		dog->timeout_s = timeout_s;
	if (!err && feed_is_in_time(timeout_s, within_us(dog->agent))) {
		say_ready(dog);
		return 0;
	}
	/* What cannot be stopped has to be fed, of use or not. */
	if (!dog->wdt.never_stops)
		close_it(dog, true);
	return fail_to_set(dog, timeout_s, err);
}

static int open_it(struct watchdog *dog)
{
	int err = wdt_open(dog->agent->config.watchdog, &dog->wdt);

	if (!err)
		return set_timeout(dog);
	dog->wdt.fd = -1;
	return fail_to_open(dog, err);
}

static int feed_it(struct watchdog *dog)
{
	int err = wdt_feed(&dog->wdt);

	if (err) {
		fail(dog, "look for its driver in dmesg", strerror(-err));
		close_it(dog, true);
	}
	return err;
}

/* ---- what is so ---- */

static bool is_needed(struct agent *agent)
{
	struct dvmm_vm_get vm;

	for (uint32_t from = 0; agent->control >= 0 && !dvmm_vm_next(agent->control, from, &vm);
	     from = vm.vm_id + 1)
		if (vm_needs_others(agent, &vm))
			return true;
	return false;
}

static struct feed_now now_of(struct watchdog *dog)
{
	struct agent *agent = dog->agent;
	const struct cluster_quorum *quorum = cluster_quorum(agent->cluster);
	struct feed_now now = {
		.is_there = quorum->is_there,
		.is_lost = quorum->is_lost,
		.is_needed = quorum->is_asked && is_needed(agent),
		.is_running = is_open(dog),
		.timeout_s = dog->timeout_s,
		.reset_us = fence_end_us(agent) + EPOCH_SLACK_US / 2,
	};

	/* Last: what is above may have taken time. */
	now.now_us = clock_us();
	return now;
}

/* ---- what is done ---- */

/* It was tried for another time, or not at all. */
static bool is_new(const struct watchdog *dog)
{
	return dog->wanted_s != feed_timeout_s(within_us(dog->agent));
}

static void switch_off(struct watchdog *dog)
{
	if (!is_open(dog) && (dog->fix || is_new(dog)))
		open_it(dog);
	if (is_open(dog) && dog->wdt.never_stops)
		feed_it(dog);
	else
		close_it(dog, true);
}

static void feed(struct watchdog *dog, const struct feed_now *now)
{
	if (!is_open(dog) && open_it(dog))
		return;
	if (now->is_there && is_new(dog) && set_timeout(dog))
		return;
	if (!feed_it(dog) && now->is_there)
		dog->knew_us = now->now_us;
}

static void say_hold(struct watchdog *dog, const struct feed_now *now)
{
	if (is_open(dog) && !dog->has_said_hold)
		log_warning("watchdog %s is not fed without quorum: the host is reset in %.1f s, unless quorum is back "
			    "or all VMs that need other nodes have ended", dog->agent->config.watchdog,
			    now->reset_us > now->now_us ? (now->reset_us - now->now_us) / 1e6 : 0);
	dog->has_said_hold = true;
}

static void decide(struct watchdog *dog)
{
	struct feed_now now = now_of(dog);
	enum feed what = feed_decide(&now);

	if (what == FEED_OFF)
		switch_off(dog);
	else if (what == FEED_ON)
		feed(dog, &now);
	if (what == FEED_HOLD)
		say_hold(dog, &now);
	else
		dog->has_said_hold = false;
	sd_event_source_set_time_relative(dog->timer, dog->fix && !is_open(dog) ? TRY_EVERY_US :
										  feed_look_us(&now));
	sd_event_source_set_enabled(dog->timer, SD_EVENT_ONESHOT);
}

/* Not here: more that is known about quorum may wait to be read. */
void watchdog_look(struct agent *agent)
{
	if (!agent->watchdog)
		return;
	sd_event_source_set_time(agent->watchdog->timer, 0);
	sd_event_source_set_enabled(agent->watchdog->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	decide(arg);
	return 0;
}

/* ---- life ---- */

int watchdog_start(struct agent *agent)
{
	struct watchdog *dog;
	int err;

	if (!*agent->config.watchdog)
		return 0;
	if (!agent->cluster) {
		log_warning("watchdog %s is not used: this node is in no cluster (dvmm cluster)",
			    agent->config.watchdog);
		return 0;
	}
	dog = calloc(1, sizeof(*dog));
	if (!dog)
		return -ENOMEM;
	dog->agent = agent;
	dog->wdt.fd = -1;
	err = sd_event_add_time_relative(agent->loop, &dog->timer, CLOCK_MONOTONIC, 0, 1, on_timer, dog);
	if (err < 0) {
		free(dog);
		return err;
	}
	/* Before what takes long, and after what says whether there is quorum: what is_there says is so now. */
	sd_event_source_set_priority(dog->timer, SD_EVENT_PRIORITY_IMPORTANT + 1);
	agent->watchdog = dog;
	return 0;
}

void watchdog_stop(struct agent *agent)
{
	struct watchdog *dog = agent->watchdog;
	struct feed_now now;

	if (!dog)
		return;
	now = now_of(dog);
	agent->watchdog = NULL;
	if (is_open(dog) && now.is_lost && now.is_needed)
		log_warning("watchdog %s goes on: VMs that need other nodes run without quorum", agent->config.watchdog);
	close_it(dog, !now.is_lost || !now.is_needed);
	sd_event_source_disable_unref(dog->timer);
	free(dog);
}

/* ---- answers ---- */

uint64_t watchdog_knew_us(const struct agent *agent)
{
	return agent->watchdog ? agent->watchdog->knew_us : 0;
}

uint32_t watchdog_timeout_s(const struct agent *agent)
{
	return agent->watchdog && is_open(agent->watchdog) ? agent->watchdog->timeout_s : 0;
}

static const char *state_word(const struct watchdog *dog)
{
	if (!dog)
		return "none";
	if (dog->fix)
		return "failed";
	return is_open(dog) ? "running" : "ready";
}

void watchdog_add_to(const struct agent *agent, json_t *answer)
{
	const struct watchdog *dog = agent->watchdog;

	json_object_set_new(answer, "watchdog", json_string(state_word(dog)));
	json_object_set_new(answer, "watchdog_is", json_string(dog ? dog->what : ""));
	json_object_set_new(answer, "watchdog_fix", json_string(dog && dog->fix ? dog->fix : ""));
}
