// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/catchup.c - asks the other nodes, one after the other, which version of the
 * configuration they have; a newer one is taken over: all nodes had agreed to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../log.h"
#include "internal.h"

#define EVERY_US 5000000ull
#define FIRST_US 100000ull

struct catch_up {
	struct cluster *cluster;
	sd_event_source *timer;
	struct call *call;
	uint32_t next; /* index of the member to ask */
	uint32_t nr_asked;
	struct cluster_member member;
	bool told_removed, told_differs;
};

static void end_call(struct catch_up *catch_up)
{
	call_free(catch_up->call);
	catch_up->call = NULL;
}

static void note_failure(struct catch_up *catch_up, const struct cluster_error *error)
{
	if (error->code && !strcmp(error->code, RPC_DENIED) && !catch_up->told_removed) {
		catch_up->told_removed = true;
		log_warning("node %s does not take this node for a member: %s",
			    catch_up->member.name, error->why);
	}
}

static int may_take(struct cluster *cluster, const struct cluster_config *next,
		    struct cluster_error *error)
{
	if (memcmp(next->uuid, cluster->config.uuid, DVMM_UUID_SIZE))
		return cluster_fail(error, RPC_INVALID, "it is of another cluster");
	if (!cluster_member_find(next, cluster->self_name))
		return cluster_fail(error, RPC_INVALID, "it is without this node");
	return 0;
}

static void on_config(void *arg, json_t *result, const struct cluster_error *why)
{
	struct catch_up *catch_up = arg;
	struct cluster *cluster = catch_up->cluster;
	struct cluster_error error = *why;
	struct cluster_config next;
	int err = -EINVAL;

	end_call(catch_up);
	if (result && !cluster_config_parse(json_object_get(result, "config"), &next, &error) &&
	    !may_take(cluster, &next, &error)) {
		if (next.version <= cluster->config.version) /* a change was faster */
			return;
		err = cluster_install(cluster, &next);
		if (err)
			cluster_fail(&error, RPC_FAILED, "%s", strerror(-err));
	}
	if (err)
		log_warning("cannot take the newer configuration of node %s: %s",
			    catch_up->member.name, error.why);
	else
		log_notice("version %u of the configuration comes from node %s", next.version,
			   catch_up->member.name);
}

static void compare(struct catch_up *catch_up, json_t *result)
{
	const struct cluster_config *config = &catch_up->cluster->config;
	char digest[2 * CLUSTER_FINGERPRINT_SIZE + 1];
	const char *theirs = "";
	json_int_t version = 0;

	json_unpack(result, "{s:I, s:s}", "version", &version, "digest", &theirs);
	catch_up->told_removed = false;
	if (version > config->version) {
		call_send(catch_up->call, "cluster.config", NULL, on_config);
		return;
	}
	cluster_digest(config, digest);
	if (version == config->version && strcmp(digest, theirs) && !catch_up->told_differs) {
		catch_up->told_differs = true;
		log_error("node %s has another version %u of the configuration",
			  catch_up->member.name, config->version);
	}
	end_call(catch_up);
}

static void on_version(void *arg, json_t *result, const struct cluster_error *error)
{
	struct catch_up *catch_up = arg;

	if (result) {
		compare(catch_up, result);
		return;
	}
	note_failure(catch_up, error);
	end_call(catch_up);
}

/* NULL: there is no other. */
static const struct cluster_member *next_member(struct catch_up *catch_up)
{
	const struct cluster_config *config = &catch_up->cluster->config;

	for (uint32_t i = 0; i < config->nr_members; i++) {
		const struct cluster_member *member =
			&config->members[catch_up->next++ % config->nr_members];

		if (strcmp(member->name, catch_up->cluster->self_name))
			return member;
	}
	return NULL;
}

static void ask(struct catch_up *catch_up)
{
	const struct cluster_member *member = next_member(catch_up);

	/* While a change is under way, it will tell. */
	if (!member || catch_up->call || catch_up->cluster->prepared.is_set ||
	    catch_up->cluster->change)
		return;
	catch_up->nr_asked++;
	catch_up->member = *member;
	catch_up->call = call_open_member(catch_up->cluster, member, CALL_WITHIN_MS, catch_up);
	call_send(catch_up->call, "cluster.version", NULL, on_version);
}

/* All others soon after the start: this node may have been away. */
static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct catch_up *catch_up = arg;
	bool is_first_round = catch_up->nr_asked < catch_up->cluster->config.nr_members;

	(void)usec;
	ask(catch_up);
	sd_event_source_set_time_relative(source, is_first_round ? FIRST_US : EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int catch_up_start(struct cluster *cluster)
{
	struct catch_up *catch_up = calloc(1, sizeof(*catch_up));
	int err;

	if (!catch_up)
		return -ENOMEM;
	catch_up->cluster = cluster;
	err = sd_event_add_time_relative(cluster->loop, &catch_up->timer, CLOCK_MONOTONIC, FIRST_US,
					 0, on_timer, catch_up);
	if (err < 0) {
		free(catch_up);
		return err;
	}
	cluster->catch_up = catch_up;
	return 0;
}

void catch_up_stop(struct cluster *cluster)
{
	if (!cluster->catch_up)
		return;
	end_call(cluster->catch_up);
	sd_event_source_disable_unref(cluster->catch_up->timer);
	free(cluster->catch_up);
	cluster->catch_up = NULL;
}
