// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/members.c - this node as one of a cluster: what the cluster's configuration means for
 * its links and counters, and the methods about it. How nodes agree is agent/cluster's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

#define TTL_DEFAULT_S 600

/* ---- what the configuration means here ---- */

static void fill_node(const struct cluster_member *member, struct config_node *ret_node)
{
	*ret_node = (struct config_node){ .id = member->id, .addr = member->addr, .has_id = true };
	strcpy(ret_node->name, member->name);
}

/* Settings of the cluster; "" leaves it to this node's files. */
static void take_settings(struct config *config, const struct cluster_config *cluster)
{
	config->lost_after_ms = atoi(cluster->settings[CLUSTER_LOST_AFTER_MS]);
	if (*cluster->settings[CLUSTER_METRICS])
		strcpy(config->metrics, cluster->settings[CLUSTER_METRICS]);
}

static void take_all(struct agent *agent)
{
	const struct cluster_config *cluster = cluster_config(agent->cluster);
	const struct cluster_member *self = cluster_self(agent->cluster);
	struct config *config = &agent->config;

	fill_node(self, &config->self);
	memcpy(config->node_uuid, self->uuid, DVMM_UUID_SIZE);
	config->has_node_uuid = true;
	memcpy(config->cluster_uuid, cluster->uuid, DVMM_UUID_SIZE);
	config->has_cluster_uuid = true;
	config->nr_peers = 0;
	for (uint32_t i = 0; i < cluster->nr_members; i++)
		if (strcmp(cluster->members[i].name, self->name))
			fill_node(&cluster->members[i], &config->peers[config->nr_peers++]);
	take_settings(config, cluster);
}

/* ---- what changes ---- */

static bool is_among(const struct config_node *node, const struct config_node *list, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		if (list[i].id == node->id && !strcmp(list[i].name, node->name))
			return true;
	return false;
}

/* Links that stay are not touched: VMs use them. */
static void change_links(struct agent *agent, const struct config *old)
{
	struct config *config = &agent->config;

	for (uint32_t i = 0; i < old->nr_peers; i++)
		if (!is_among(&old->peers[i], config->peers, config->nr_peers)) {
			log_notice("node %s is no member any more", old->peers[i].name);
			kmod_drop_link(agent, old->peers[i].id);
		}
	/* In between: who goes is no loss, and who comes does so in this epoch. */
	epoch_update(agent);
	for (uint32_t i = 0; i < config->nr_peers; i++)
		if (!is_among(&config->peers[i], old->peers, old->nr_peers)) {
			log_notice("node %s is a member now", config->peers[i].name);
			if (agent->control >= 0)
				kmod_add_link(agent, &config->peers[i]);
		}
}

static void apply(void *arg, const struct cluster_config *next)
{
	struct agent *agent = arg;
	struct config *old = malloc(sizeof(*old));

	(void)next;
	if (!old)
		abort();
	*old = agent->config;
	strcpy(agent->config.metrics, agent->local_metrics);
	take_all(agent);
	change_links(agent, old);
	if (strcmp(old->metrics, agent->config.metrics) && metrics_start(agent))
		log_warning("counters are not to be had at %s", agent->config.metrics);
	free(old);
}

static int check(void *arg, const struct cluster_config *next, struct cluster_error *error)
{
	struct agent *agent = arg;
	const char *metrics = next->settings[CLUSTER_METRICS];
	int err;

	if (!*metrics || !strcmp(metrics, agent->config.metrics))
		return 0;
	err = metrics_check(agent, metrics);
	if (!err)
		return 0;
	error->code = RPC_CONFLICT;
	snprintf(error->why, sizeof(error->why), "metrics at %s: %s", metrics, strerror(-err));
	return err;
}

/* ---- quorum ---- */

static void add_word(char *text, size_t size, const char *before, const char *word)
{
	size_t len = strlen(text);

	snprintf(text + len, size - len, "%s%s", before, word);
}

const char *members_describe(struct agent *agent, char *text, size_t size)
{
	const struct cluster_config *config = cluster_config(agent->cluster);
	const struct cluster_quorum *now = cluster_quorum(agent->cluster);
	char count[48];

	*text = '\0';
	if (!now->is_known) {
		add_word(text, size, "", "corosync does not answer");
		return text;
	}
	snprintf(count, sizeof(count), "%d of %u nodes:", __builtin_popcountll(now->nodes),
		 config->nr_members);
	add_word(text, size, "", count);
	for (uint32_t i = 0; i < config->nr_members; i++)
		if (now->nodes >> config->members[i].id & 1)
			add_word(text, size, " ", config->members[i].name);
	return text;
}

bool members_have_quorum(struct agent *agent)
{
	return !agent->cluster || !cluster_quorum(agent->cluster)->is_asked ||
	       cluster_quorum(agent->cluster)->is_there;
}

bool members_may_span(struct request *request, const char *vm)
{
	struct agent *agent = request->agent;
	char who[128];

	if (members_have_quorum(agent))
		return true;
	request_fail(request, RPC_CONFLICT,
		     "%s: node %s has no quorum (%s): no VM can span nodes until it is back", vm,
		     agent->config.self.name, members_describe(agent, who, sizeof(who)));
	return false;
}

static void say_quorum(struct agent *agent, const struct cluster_quorum *now)
{
	char text[DVMM_REASON_SIZE], who[DVMM_REASON_SIZE - 16], epoch[CLUSTER_EPOCH_SIZE];

	members_describe(agent, who, sizeof(who));
	if (!now->is_there && !now->is_lost) {
		log_notice("no quorum yet: %s", who);
		return;
	}
	if (now->is_there)
		snprintf(text, sizeof(text), "%.80s; epoch %s", who, cluster_epoch(agent->cluster, epoch));
	else
		snprintf(text, sizeof(text), "no quorum: %s", who);
	events_add(agent, now->is_there ? DVMM_EVENT_QUORUM : DVMM_EVENT_QUORUM_LOST, 0, text);
}

static void on_quorum(void *arg, const struct cluster_quorum *now)
{
	struct agent *agent = arg;
	struct cluster_quorum *said = &agent->quorum_said;

	if (now->is_asked && (now->is_there != said->is_there || now->nodes != said->nodes) &&
	    (now->is_known || said->is_known))
		say_quorum(agent, now);
	*said = *now;
	epoch_update(agent);
	if (now->is_lost)
		fence_start(agent);
	else
		fence_stop(agent);
	watchdog_look(agent);
}

static const struct cluster_ops ops = { check, apply, request_of_peer, on_quorum };

int members_open(struct agent *agent, const char *state)
{
	return cluster_open(state, agent->loop, &ops, agent, stderr, &agent->cluster);
}

int members_start(struct agent *agent)
{
	strcpy(agent->local_metrics, agent->config.metrics);
	if (!agent->cluster)
		return 0;
	take_all(agent);
	log_set_node(agent->config.self.name);
	return cluster_start(agent->cluster);
}

/* ---- methods ---- */

static bool is_in_cluster(struct request *request)
{
	if (!request->agent->cluster)
		request_fail(
			request, RPC_CONFLICT,
			"this node is in no cluster: it is set up by hand (dvmm cluster init, dvmm cluster join)");
	return request->agent->cluster;
}

static const char *text_param(struct request *request, const char *name)
{
	return json_string_value(json_object_get(request->params, name));
}

json_t *method_cluster_info(struct request *request)
{
	json_t *info;

	if (!is_in_cluster(request))
		return NULL;
	info = cluster_info(request->agent->cluster);
	watchdog_add_to(request->agent, info);
	return info;
}

json_t *method_cluster_settings(struct request *request)
{
	return is_in_cluster(request) ? cluster_settings(request->agent->cluster) : NULL;
}

json_t *method_cluster_status(struct request *request)
{
	if (is_in_cluster(request))
		cluster_status(request->agent->cluster, deferred_done, request_defer(request));
	return NULL;
}

json_t *method_cluster_set(struct request *request)
{
	const char *setting = text_param(request, "setting"), *value = text_param(request, "value");

	if (!is_in_cluster(request))
		return NULL;
	if (!setting || !value)
		return request_fail(request, RPC_INVALID,
				    "cluster.set needs a setting and a value");
	cluster_set(request->agent->cluster, setting, value, deferred_done, request_defer(request));
	return NULL;
}

json_t *method_cluster_remove(struct request *request)
{
	const char *node = text_param(request, "node");

	if (!is_in_cluster(request))
		return NULL;
	if (!node)
		return request_fail(request, RPC_INVALID, "cluster.remove needs a node");
	cluster_remove(request->agent->cluster, node, deferred_done, request_defer(request));
	return NULL;
}

/* A number, or text of one as it comes from the command line. */
static uint32_t seconds_of(json_t *ttl)
{
	const char *text = json_string_value(ttl);

	if (!ttl)
		return TTL_DEFAULT_S;
	if (text && *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 9)
		return atoi(text);
	return json_integer_value(ttl) > 0 && json_integer_value(ttl) < UINT32_MAX ?
		       json_integer_value(ttl) :
		       0;
}

json_t *method_cluster_token(struct request *request)
{
	struct cluster_error error = { 0 };
	json_t *token;

	if (!is_in_cluster(request))
		return NULL;
	token = cluster_make_token(request->agent->cluster,
				   seconds_of(json_object_get(request->params, "ttl")), &error);
	return token ? token : request_fail(request, error.code, "%s", error.why);
}

json_t *method_node_call(struct request *request)
{
	const char *node = text_param(request, "node"), *method = text_param(request, "method");

	if (!is_in_cluster(request))
		return NULL;
	if (!node || !method)
		return request_fail(request, RPC_INVALID, "node.call needs a node and a method");
	cluster_call(request->agent->cluster, node, method,
		     json_incref(json_object_get(request->params, "params")), deferred_done,
		     request_defer(request));
	return NULL;
}
