// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/change.c - a new configuration, on all nodes or on none. The node that was
 * given it leads: it asks all whether they can have it, each keeps it as prepared, and only
 * after all have said yes it becomes the configuration, of the leader first. A node that
 * misses that part catches up (catchup.c): what any node has, all had agreed to.
 *
 * A prepared change that nobody ends is forgotten after LEASE_US.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../log.h"
#include "internal.h"

/* One of the nodes that are asked. */
struct part {
	struct change *change;
	struct call *call;
	bool has_agreed;
	struct cluster_member member;
};

struct change {
	struct cluster *cluster;
	struct cluster_config next;
	bool is_leaving; /* this node is not in @next */
	uint32_t nr_parts, nr_waiting, nr_committed;
	struct part parts[DVMM_MAX_NODES];
	bool is_committed;
	struct cluster_error error; /* the first one */
	cluster_done *done;
	void *arg;
};

/* ---- this node's part ---- */

static void forget_prepared(struct cluster *cluster)
{
	cluster->prepared.is_set = false;
	cluster->prepared.lease = sd_event_source_disable_unref(cluster->prepared.lease);
}

static int on_lease_end(sd_event_source *source, uint64_t usec, void *arg)
{
	struct cluster *cluster = arg;

	(void)source;
	(void)usec;
	log_warning("the change of the cluster's configuration by %s came to no end",
		    cluster->prepared.leader);
	forget_prepared(cluster);
	return 0;
}

static int check_next(struct cluster *cluster, const struct cluster_config *next,
		      const char *leader, struct cluster_error *error)
{
	const struct prepared *prepared = &cluster->prepared;

	if (prepared->is_set && strcmp(prepared->leader, leader))
		return cluster_fail(error, RPC_CONFLICT,
				    "another change is under way, by %s: try again",
				    prepared->leader);
	if (memcmp(next->uuid, cluster->config.uuid, DVMM_UUID_SIZE) ||
	    strcmp(next->name, cluster->config.name))
		return cluster_fail(error, RPC_CONFLICT, "this node is in another cluster, %s",
				    cluster->config.name);
	if (next->version != cluster->config.version + 1)
		return cluster_fail(error, RPC_CONFLICT,
				    "the configuration here is version %u, not %u: try again",
				    cluster->config.version, next->version - 1);
	if (cluster_member_find(next, cluster->self_name))
		return (config_has_corosync(next) && corosync_check(error)) ?
			       -EINVAL :
			       cluster->ops->check(cluster->arg, next, error);
	/* It leaves: nobody else can decide that. */
	return strcmp(leader, cluster->self_name) ?
		       cluster_fail(error, RPC_INVALID,
				    "the new configuration is without this node") :
		       0;
}

static int prepare(struct cluster *cluster, const struct cluster_config *next, const char *leader,
		   struct cluster_error *error)
{
	struct prepared *prepared = &cluster->prepared;

	if (check_next(cluster, next, leader, error))
		return -EINVAL;
	forget_prepared(cluster);
	if (sd_event_add_time_relative(cluster->loop, &prepared->lease, CLOCK_MONOTONIC, LEASE_US,
				       0, on_lease_end, cluster) < 0)
		return cluster_fail(error, RPC_FAILED, "out of memory");
	prepared->next = *next;
	snprintf(prepared->leader, sizeof(prepared->leader), "%s", leader);
	prepared->is_set = true;
	return 0;
}

json_t *change_on_prepare(struct cluster *cluster, const char *leader, json_t *params,
			  struct cluster_error *error)
{
	struct cluster_config next;

	if (cluster_config_parse(json_object_get(params, "config"), &next, error) ||
	    prepare(cluster, &next, leader, error))
		return NULL;
	return json_object();
}

static bool is_prepared(struct cluster *cluster, const char *leader, json_t *params)
{
	return cluster->prepared.is_set && !strcmp(cluster->prepared.leader, leader) &&
	       json_integer_value(json_object_get(params, "version")) ==
		       cluster->prepared.next.version;
}

json_t *change_on_commit(struct cluster *cluster, const char *leader, json_t *params,
			 struct cluster_error *error)
{
	struct cluster_config next;
	int err;

	if (!is_prepared(cluster, leader, params)) {
		cluster_fail(error, RPC_CONFLICT, "nothing of that version is prepared here");
		return NULL;
	}
	next = cluster->prepared.next;
	forget_prepared(cluster);
	err = cluster_install(cluster, &next);
	if (!err)
		return json_object();
	cluster_fail(error, RPC_FAILED, "cannot keep the configuration: %s", strerror(-err));
	return NULL;
}

json_t *change_on_abort(struct cluster *cluster, const char *leader, json_t *params,
			struct cluster_error *error)
{
	(void)error;
	if (is_prepared(cluster, leader, params))
		forget_prepared(cluster);
	return json_object();
}

/* ---- leading ---- */

static void free_change(struct change *change)
{
	for (uint32_t i = 0; i < change->nr_parts; i++)
		call_free(change->parts[i].call);
	change->cluster->change = NULL;
	free(change);
}

static void say_done(struct change *change)
{
	json_t *result = change->error.code ?
				 NULL :
				 json_pack("{s:I}", "version", (json_int_t)change->next.version);

	change->done(change->arg, result, &change->error);
	json_decref(result);
}

/* Nobody waits for what comes of it: the lease would do it too. */
static void on_told(void *arg, json_t *result, const struct cluster_error *error)
{
	struct part *part = arg;

	(void)result;
	(void)error;
	call_free(part->call);
	free(part);
}

static void tell_abort(struct cluster *cluster, const struct cluster_member *member,
		       uint32_t version)
{
	struct part *part = calloc(1, sizeof(*part));

	if (!part)
		return;
	part->member = *member;
	part->call = call_open_member(cluster, &part->member, CALL_WITHIN_MS, part);
	call_send(part->call, "cluster.abort", json_pack("{s:I}", "version", (json_int_t)version),
		  on_told);
}

void change_abort(struct cluster *cluster)
{
	struct change *change = cluster->change;

	if (!change || change->is_committed)
		return;
	forget_prepared(cluster);
	for (uint32_t i = 0; i < change->nr_parts; i++)
		tell_abort(cluster, &change->parts[i].member, change->next.version);
	free_change(change);
}

static void end_failed(struct change *change)
{
	struct cluster_error error = change->error;
	cluster_done *done = change->done;
	void *arg = change->arg;

	forget_prepared(change->cluster);
	free_change(change);
	done(arg, NULL, &error);
}

static void on_taken_back(void *arg, json_t *result, const struct cluster_error *error)
{
	struct part *part = arg;

	(void)result;
	(void)error;
	call_free(part->call);
	part->call = NULL;
	if (!--part->change->nr_waiting)
		end_failed(part->change);
}

/* Who agreed is waited for: or the next change would find them still waiting for this one. */
static void fail_change(struct change *change)
{
	json_t *params = json_pack("{s:I}", "version", (json_int_t)change->next.version);

	for (uint32_t i = 0; i < change->nr_parts; i++)
		change->nr_waiting += change->parts[i].has_agreed;
	for (uint32_t i = 0; i < change->nr_parts; i++) {
		struct part *part = &change->parts[i];

		if (!part->has_agreed) {
			tell_abort(change->cluster, &part->member, change->next.version);
			continue;
		}
		part->call = call_open_member(change->cluster, &part->member, CALL_WITHIN_MS, part);
		call_send(part->call, "cluster.abort", json_incref(params), on_taken_back);
	}
	json_decref(params);
	if (!change->nr_waiting)
		end_failed(change);
}

static void note_failure(struct part *part, const struct cluster_error *error)
{
	struct change *change = part->change;

	if (!change->error.code)
		cluster_fail(&change->error, error->code,
			     error->code && !strcmp(error->code, RPC_UNREACHABLE) ?
				     "node %s does not answer, and a change needs all nodes (%s)" :
				     "node %s refuses: %s",
			     part->member.name, error->why);
}

static void on_prepared(void *arg, json_t *result, const struct cluster_error *error)
{
	struct part *part = arg;
	struct change *change = part->change;

	call_free(part->call);
	part->call = NULL;
	part->has_agreed = result;
	if (!result)
		note_failure(part, error);
	if (--change->nr_waiting)
		return;
	if (change->error.code)
		fail_change(change);
	else
		say_done(change);
}

static void ask_all(struct change *change, const char *method, json_t *params, cluster_done *done)
{
	/* Counted first: an answer may not come before all are asked. */
	change->nr_waiting = change->nr_parts;
	for (uint32_t i = 0; i < change->nr_parts; i++) {
		struct part *part = &change->parts[i];

		part->change = change;
		part->call = call_open_member(change->cluster, &part->member, CALL_WITHIN_MS, part);
		call_send(part->call, method, json_incref(params), done);
	}
	json_decref(params);
}

static void pick_parts(struct change *change)
{
	const struct cluster_config *now = &change->cluster->config;

	for (uint32_t i = 0; i < now->nr_members; i++)
		if (strcmp(now->members[i].name, change->cluster->self_name) &&
		    cluster_member_find(&change->next, now->members[i].name))
			change->parts[change->nr_parts++].member = now->members[i];
}

static int make_change(struct cluster *cluster, const struct cluster_config *next,
		       struct cluster_error *error)
{
	if (!cluster->is_member)
		return cluster_fail(error, RPC_CONFLICT, "this node was removed from the cluster");
	if (cluster->change)
		return cluster_fail(error, RPC_CONFLICT, "another change is under way: try again");
	if (prepare(cluster, next, cluster->self_name, error))
		return -EINVAL;
	cluster->change = calloc(1, sizeof(*cluster->change));
	if (cluster->change)
		return 0;
	forget_prepared(cluster);
	return cluster_fail(error, RPC_FAILED, "out of memory");
}

void change_start(struct cluster *cluster, const struct cluster_config *next, cluster_done *done,
		  void *arg)
{
	struct cluster_error error = { 0 };
	struct change *change;

	if (make_change(cluster, next, &error)) {
		done(arg, NULL, &error);
		return;
	}
	change = cluster->change;
	change->cluster = cluster;
	change->next = *next;
	change->is_leaving = !cluster_member_find(next, cluster->self_name);
	change->done = done;
	change->arg = arg;
	pick_parts(change);
	if (!change->nr_parts) {
		say_done(change);
		return;
	}
	ask_all(change, "cluster.prepare",
		json_pack("{s:o}", "config", cluster_config_to_json(next)), on_prepared);
}

/* It is decided: a node that fails now has it later, from the others. */
static void end_commit(struct change *change)
{
	struct cluster_error error = { 0 };
	json_t *result = json_pack("{s:I}", "version", (json_int_t)change->next.version);
	cluster_done *done = change->done;
	void *arg = change->arg;

	/* One other that has it is enough: the rest has it from that one. */
	if (change->is_leaving && change->nr_parts && !change->nr_committed) {
		cluster_fail(&error, RPC_UNREACHABLE,
			     "no other node has confirmed it: see dvmm cluster list on one of them");
		quorum_apply(change->cluster);
	}
	free_change(change);
	done(arg, error.code ? NULL : result, &error);
	json_decref(result);
}

static void on_committed(void *arg, json_t *result, const struct cluster_error *error)
{
	struct part *part = arg;
	struct change *change = part->change;

	call_free(part->call);
	part->call = NULL;
	change->nr_committed += !!result;
	if (!result)
		log_warning("node %s will have to catch up: %s", part->member.name, error->why);
	if (!--change->nr_waiting)
		end_commit(change);
}

void change_commit(struct cluster *cluster, cluster_done *done, void *arg)
{
	struct change *change = cluster->change;
	int err;

	change->done = done;
	change->arg = arg;
	/* Before the others: as long as this node has not got it, it can still be taken back.
	 * A node that leaves has no use for it; it says goodbye to quorum first, which the others
	 * would lose for a moment if they had to drop it.
	 */
	err = change->is_leaving ? 0 : cluster_install(cluster, &change->next);
	if (change->is_leaving) {
		quorum_stop(cluster);
		corosync_stop(cluster);
	}
	if (err) {
		cluster_fail(&change->error, RPC_FAILED, "cannot keep the configuration: %s",
			     strerror(-err));
		fail_change(change);
		return;
	}
	forget_prepared(cluster);
	change->is_committed = true;
	if (!change->nr_parts)
		end_commit(change);
	else
		ask_all(change, "cluster.commit",
			json_pack("{s:I}", "version", (json_int_t)change->next.version),
			on_committed);
}

void change_free(struct cluster *cluster)
{
	if (cluster->change)
		free_change(cluster->change);
	forget_prepared(cluster);
}
