// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/fence.c - a node that is in no quorum ends its VMs that need other nodes: those may
 * start them anew. When quorum is lost a deadline runs (fence-after-ms); at its end their VMMs
 * get SIGTERM, and PATIENCE_US later SIGKILL. Until quorum is back it is looked for more.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

#define FENCE_AFTER_DEFAULT_MS 5000
#define PATIENCE_US 2000000
#define LOOK_EVERY_US 200000
/* Then only a person can help, or watchdog.c has. */
#define STUCK_AFTER_US 10000000
#define NR_TOLD_MAX 256

struct told {
	uint32_t vm_id;
	uint64_t at_us;
};

struct fence {
	struct agent *agent;
	sd_event_source *timer;
	uint64_t lost_us, end_us; /* quorum was lost; it is the others' turn */
	uint32_t nr_told;
	struct told told[NR_TOLD_MAX];
	bool has_said_end, has_said_stuck;
};

static uint64_t now_us(const struct fence *fence)
{
	uint64_t now;

	sd_event_now(fence->agent->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static void tell(struct fence *fence, const struct dvmm_vm_get *vm)
{
	struct agent *agent = fence->agent;
	char text[DVMM_REASON_SIZE], who[64];

	snprintf(text, sizeof(text), "%.40s: it is ended: no quorum for %.1f s (%s)", vm->out_name,
		 (now_us(fence) - fence->lost_us) / 1e6, members_describe(agent, who, sizeof(who)));
	events_add(agent, DVMM_EVENT_VM_FENCED, vm->vm_id, text);
	fence->has_said_end = fence->has_said_stuck = false;
}

/* When it was told; so many at once that nobody remembers are killed without more ado. */
static uint64_t told_at(struct fence *fence, const struct dvmm_vm_get *vm)
{
	for (uint32_t i = 0; i < fence->nr_told; i++)
		if (fence->told[i].vm_id == vm->vm_id)
			return fence->told[i].at_us;
	if (fence->nr_told == NR_TOLD_MAX)
		return 0;
	tell(fence, vm);
	fence->told[fence->nr_told++] = (struct told){ vm->vm_id, now_us(fence) };
	return now_us(fence);
}

static void end_vm(struct fence *fence, const struct dvmm_vm_get *vm)
{
	uint64_t age_us = now_us(fence) - told_at(fence, vm);

	kept_drop(fence->agent, vm->vm_id);
	if (!age_us)
		openers_signal(vm->out_uuid, SIGTERM);
	else if (age_us >= PATIENCE_US)
		openers_signal(vm->out_uuid, SIGKILL);
	if (age_us < STUCK_AFTER_US || fence->has_said_stuck)
		return;
	fence->has_said_stuck = true;
	log_error("%s does not end: power this host off, if other nodes shall start it", vm->out_name);
}

static void say_end(struct fence *fence)
{
	if (!fence->nr_told || fence->has_said_end)
		return;
	fence->has_said_end = true;
	log_notice("all have ended (%u), %.1f s after quorum was lost", fence->nr_told,
		   (now_us(fence) - fence->lost_us) / 1e6);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct fence *fence = arg;
	struct dvmm_vm_get vm;
	uint32_t from = 0, nr = 0;

	(void)usec;
	while (fence->agent->control >= 0 && !dvmm_vm_next(fence->agent->control, from, &vm)) {
		if (vm_needs_others(fence->agent, &vm)) {
			end_vm(fence, &vm);
			nr++;
		}
		from = vm.vm_id + 1;
	}
	if (!nr)
		say_end(fence);
	sd_event_source_set_time_relative(source, LOOK_EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static uint64_t fence_after_us(const struct agent *agent)
{
	const char *value = cluster_config(agent->cluster)->settings[CLUSTER_FENCE_AFTER_MS];

	return 1000ull * (*value ? atoi(value) : FENCE_AFTER_DEFAULT_MS);
}

uint64_t fence_time_us(const struct agent *agent)
{
	return fence_after_us(agent) + PATIENCE_US;
}

uint64_t fence_end_us(const struct agent *agent)
{
	return agent->fence ? agent->fence->end_us : 0;
}

void fence_start(struct agent *agent)
{
	struct fence *fence;

	if (agent->fence)
		return;
	fence = calloc(1, sizeof(*fence));
	if (!fence)
		abort();
	fence->agent = agent;
	/* Not when it is heard: this agent may have stood still. */
	fence->lost_us = watchdog_knew_us(agent) ?: now_us(fence);
	fence->end_us = fence->lost_us + fence_time_us(agent);
	if (sd_event_add_time(agent->loop, &fence->timer, CLOCK_MONOTONIC,
			      fence->lost_us + fence_after_us(agent), 0, on_timer, fence) < 0)
		abort();
	agent->fence = fence;
}

void fence_stop(struct agent *agent)
{
	struct fence *fence = agent->fence;

	if (!fence)
		return;
	agent->fence = NULL;
	sd_event_source_disable_unref(fence->timer);
	free(fence);
}
