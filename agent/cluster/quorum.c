// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/quorum.c - hears from corosync, by libquorum, which nodes are with this one
 * and whether they are more than half. The daemon itself is corosync.c's; what is done
 * without quorum is the agent's.
 */
#include <corosync/cmap.h>
#include <corosync/quorum.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include "../log.h"
#include "internal.h"

#define TRY_EVERY_US 200000

struct quorum {
	struct cluster *cluster;
	struct cluster_quorum now;
	bool may_be_lost; /* it was there, or may have been before the agent started */
	quorum_handle_t handle;
	sd_event_source *io, *timer;
};

static const struct cluster_quorum nobody_is_asked;

const struct cluster_quorum *cluster_quorum(const struct cluster *cluster)
{
	return cluster->quorum ? &cluster->quorum->now : &nobody_is_asked;
}

json_t *quorum_to_json(const struct cluster *cluster)
{
	const struct cluster_quorum *now = cluster_quorum(cluster);

	return now->is_asked ? json_boolean(now->is_there) : json_null();
}

const char *cluster_epoch(const struct cluster *cluster, char text[CLUSTER_EPOCH_SIZE])
{
	const struct cluster_quorum *now = cluster_quorum(cluster);

	if (!now->is_known)
		return NULL;
	snprintf(text, CLUSTER_EPOCH_SIZE, "%x.%llx", now->ring_node,
		 (unsigned long long)now->ring_seq);
	return text;
}

static void set_now(struct quorum *quorum, struct cluster_quorum now)
{
	struct cluster *cluster = quorum->cluster;

	now.is_asked = true;
	now.is_lost = !now.is_there && quorum->may_be_lost;
	quorum->may_be_lost |= now.is_there;
	quorum->now = now;
	cluster->ops->quorum(cluster->arg, &quorum->now);
}

/* ---- the connection ---- */

static void on_quorum(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring,
		      uint32_t nr_members, const uint32_t *members)
{
	struct cluster_quorum now = {
		.is_known = true,
		.is_there = quorate,
		.ring_node = ring.nodeid,
		.ring_seq = ring.seq,
	};
	const void *context;

	for (uint32_t i = 0; i < nr_members; i++)
		now.nodes |= 1ull << members[i] % DVMM_MAX_NODES;
	if (quorum_context_get(handle, &context) == CS_OK)
		set_now((struct quorum *)context, now);
}

static void disconnect(struct quorum *quorum)
{
	if (!quorum->io)
		return;
	quorum->io = sd_event_source_disable_unref(quorum->io);
	quorum_finalize(quorum->handle);
}

static void try_again(struct quorum *quorum)
{
	sd_event_source_set_time_relative(quorum->timer, TRY_EVERY_US);
	sd_event_source_set_enabled(quorum->timer, SD_EVENT_ONESHOT);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct quorum *quorum = arg;

	(void)source;
	(void)fd;
	(void)revents;
	if (quorum_dispatch(quorum->handle, CS_DISPATCH_ALL) == CS_OK)
		return 0;
	log_warning("corosync does not answer any more");
	disconnect(quorum);
	set_now(quorum, (struct cluster_quorum){ 0 });
	try_again(quorum);
	return 0;
}

/* Debian's package starts one with an example for a single node, which always has quorum. */
static bool is_ours(const struct cluster *cluster)
{
	char wanted[COROSYNC_NAME_SIZE], *name = NULL;
	cmap_handle_t cmap;
	bool is_ours;

	if (cmap_initialize(&cmap) != CS_OK)
		return false;
	is_ours = cmap_get_string(cmap, "totem.cluster_name", &name) == CS_OK &&
		  !strcmp(name, corosync_name(&cluster->config, wanted));
	free(name);
	cmap_finalize(cmap);
	return is_ours;
}

static int watch(struct quorum *quorum)
{
	int fd, err;

	if (quorum_trackstart(quorum->handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES) != CS_OK ||
	    quorum_fd_get(quorum->handle, &fd) != CS_OK)
		return -ENOTCONN;
	err = sd_event_add_io(quorum->cluster->loop, &quorum->io, fd, EPOLLIN, on_readable, quorum);
	/* Who does something because there is quorum does it after this. */
	return err < 0 ? err : sd_event_source_set_priority(quorum->io, SD_EVENT_PRIORITY_IMPORTANT);
}

static int connect_to_it(struct quorum *quorum)
{
	quorum_model_v1_data_t model = {
		.model = QUORUM_MODEL_V1,
		.quorum_notify_fn = on_quorum,
	};
	uint32_t type;

	if (!is_ours(quorum->cluster) ||
	    quorum_model_initialize(&quorum->handle, QUORUM_MODEL_V1, (quorum_model_data_t *)&model,
				    &type, quorum) != CS_OK)
		return -ENOTCONN;
	if (watch(quorum) >= 0)
		return 0;
	quorum_finalize(quorum->handle);
	return -ENOTCONN;
}

/* It may have been started, with an older configuration, by the agent before this one. */
static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct quorum *quorum = arg;

	(void)source;
	(void)usec;
	if (!connect_to_it(quorum)) {
		corosync_reload(quorum->cluster);
		return 0;
	}
	corosync_start(quorum->cluster);
	try_again(quorum);
	return 0;
}

/* ---- life ---- */

static int start(struct cluster *cluster, bool may_be_lost)
{
	struct quorum *quorum = calloc(1, sizeof(*quorum));
	int err;

	if (!quorum)
		return -ENOMEM;
	quorum->cluster = cluster;
	quorum->may_be_lost = may_be_lost;
	err = sd_event_add_time_relative(cluster->loop, &quorum->timer, CLOCK_MONOTONIC, 0, 0,
					 on_timer, quorum);
	if (err < 0) {
		free(quorum);
		return err;
	}
	cluster->quorum = quorum;
	corosync_write(cluster);
	set_now(quorum, (struct cluster_quorum){ 0 });
	return 0;
}

int quorum_start(struct cluster *cluster)
{
	if (config_has_corosync(&cluster->config))
		return start(cluster, true);
	/* The agent before this one may have ended in between. */
	corosync_stop(cluster);
	return 0;
}

void quorum_apply(struct cluster *cluster)
{
	bool is_wanted = config_has_corosync(&cluster->config);

	if (is_wanted && cluster->quorum) {
		corosync_write(cluster);
	} else if (is_wanted) {
		if (start(cluster, false) < 0)
			log_error("cannot ask corosync: out of memory");
	} else if (cluster->quorum) {
		quorum_stop(cluster);
		corosync_stop(cluster);
		cluster->ops->quorum(cluster->arg, &nobody_is_asked);
	}
}

void quorum_stop(struct cluster *cluster)
{
	struct quorum *quorum = cluster->quorum;

	if (!quorum)
		return;
	disconnect(quorum);
	sd_event_source_disable_unref(quorum->timer);
	free(quorum);
	cluster->quorum = NULL;
}
