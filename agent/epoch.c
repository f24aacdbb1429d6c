// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/epoch.c - tells the kernel the agreed membership: who is a member, and a number that
 * is the same on all of them. From the configuration that all have agreed to; with corosync
 * also from who is in quorum: who is not is no member any more when it has had the time to end
 * its VMs (fence.c), and one again when it is back. Without quorum nothing is told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

/* Of the number: the configuration's version, then how often the ring has changed. Both only
 * grow, and so does their sum: 64 bits of it never wrap.
 */
#define VERSION_SHIFT 16
#define RING_STEP 4 /* by which corosync counts */

struct epoch {
	sd_event_source *timer;
	uint64_t missing; /* nodes, while it runs or after its end */
	bool is_due; /* it has ended */
};

static uint64_t configured(const struct agent *agent)
{
	uint64_t nodes = 1ull << agent->config.self.id;

	for (uint32_t i = 0; i < agent->config.nr_peers; i++)
		nodes |= 1ull << agent->config.peers[i].id;
	return nodes;
}

/* As configured: it may not have been started or stopped yet. */
static bool has_corosync(const struct agent *agent)
{
	return agent->cluster &&
	       !strcmp(cluster_config(agent->cluster)->settings[CLUSTER_MEMBERSHIP], "corosync");
}

uint64_t epoch_number(const struct agent *agent)
{
	uint64_t number;

	if (!agent->cluster)
		return agent->config.epoch;
	number = (uint64_t)cluster_config(agent->cluster)->version << VERSION_SHIFT;
	if (has_corosync(agent) && cluster_quorum(agent->cluster)->is_there)
		number += cluster_quorum(agent->cluster)->ring_seq / RING_STEP;
	return number;
}

uint64_t epoch_in_kernel(const struct dvmm_node_get *get)
{
	return (uint64_t)get->out_epoch_high << 32 | get->out_epoch;
}

static void tell(struct agent *agent, uint64_t members)
{
	uint64_t number = epoch_number(agent);
	struct dvmm_node_get now;
	int err = dvmm_node_get(agent->control, &now);

	/* It knows, or this agent was just started and has not heard all of it yet. */
	if (err || number <= epoch_in_kernel(&now))
		return;
	err = dvmm_epoch_set(agent->control, number, members);
	if (err)
		log_error("the kernel does not take epoch %" PRIu64 ": %s", number, strerror(-err));
	else
		log_notice("epoch %" PRIu64 ": %d members", number, __builtin_popcountll(members));
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct agent *agent = arg;

	(void)source;
	(void)usec;
	agent->epoch->is_due = true;
	epoch_update(agent);
	return 0;
}

static void stop_waiting(struct agent *agent)
{
	if (!agent->epoch)
		return;
	sd_event_source_disable_unref(agent->epoch->timer);
	free(agent->epoch);
	agent->epoch = NULL;
}

static void start_waiting(struct agent *agent, uint64_t missing)
{
	struct epoch *epoch = calloc(1, sizeof(*epoch));

	if (!epoch)
		abort();
	epoch->missing = missing;
	agent->epoch = epoch;
	if (sd_event_add_time_relative(agent->loop, &epoch->timer, CLOCK_MONOTONIC,
				       fence_time_us(agent) + EPOCH_SLACK_US, 0, on_timer, agent) < 0)
		abort();
}

/* Have all that are @missing had their time? */
static bool have_had_time(struct agent *agent, uint64_t missing)
{
	if (missing && agent->epoch && !(missing & ~agent->epoch->missing))
		return agent->epoch->is_due;
	stop_waiting(agent);
	if (missing)
		start_waiting(agent, missing);
	return !missing;
}

void epoch_update(struct agent *agent)
{
	const struct cluster_quorum *quorum;
	uint64_t nodes = configured(agent);

	if (agent->control < 0)
		return;
	if (!has_corosync(agent)) {
		stop_waiting(agent);
		tell(agent, nodes);
		return;
	}
	quorum = cluster_quorum(agent->cluster);
	if (!quorum->is_there)
		stop_waiting(agent);
	else if (have_had_time(agent, nodes & ~quorum->nodes))
		tell(agent, nodes & quorum->nodes);
}

void epoch_stop(struct agent *agent)
{
	stop_waiting(agent);
}
