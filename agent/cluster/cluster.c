// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/cluster.c - this node as a member of its cluster: what it knows, from its
 * state folder, and what people and programs ask of it.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "../log.h"
#include "internal.h"

#define TTL_MAX_S (7 * 24 * 3600)

/* ---- opening ---- */

static int load_config(struct cluster *cluster, FILE *say)
{
	struct cluster_error error = { 0 };
	char *text = store_read(cluster->dir, FILE_CONFIG);
	json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int err = cluster_config_parse(json, &cluster->config, &error);

	if (err)
		fprintf(say, "%s/" FILE_CONFIG ": error: %s\n", cluster->dir,
			text ? error.why : strerror(errno));
	json_decref(json);
	free(text);
	return err;
}

static void find_self(struct cluster *cluster)
{
	const struct cluster_member *self =
		cluster_member_find(&cluster->config, cluster->self_name);

	cluster->is_member = self;
	if (self)
		cluster->self = *self;
}

static int load_certificate(struct cluster *cluster, FILE *say)
{
	char *ca = store_read(cluster->dir, FILE_CA);
	char *cert = store_read(cluster->dir, FILE_CERT);
	char *key = store_read(cluster->dir, FILE_CERT_KEY);
	int err = GNUTLS_E_FILE_ERROR;

	if (ca && cert && key)
		err = pki_credentials(ca, cert, key, &cluster->credentials);
	if (err >= 0)
		err = pki_node_name(cert, cluster->self_name);
	if (key)
		explicit_bzero(key, strlen(key));
	free(ca);
	free(cert);
	free(key);
	if (err >= 0)
		return 0;
	fprintf(say, "%s: error: the certificate of this node: %s\n", cluster->dir,
		gnutls_strerror(err));
	return -EINVAL;
}

static int load(struct cluster *cluster, FILE *say)
{
	int err = load_config(cluster, say) ?: load_certificate(cluster, say) ?:
		  tokens_load(cluster->dir, &cluster->tokens);

	if (err)
		return err;
	find_self(cluster);
	if (cluster->is_member)
		return 0;
	fprintf(say, "%s/" FILE_CONFIG ": error: it has no member %s\n", cluster->dir,
		cluster->self_name);
	return -EINVAL;
}

int cluster_open(const char *dir, sd_event *loop, const struct cluster_ops *ops, void *arg,
		 FILE *say, struct cluster **ret_cluster)
{
	struct cluster *cluster;
	int err;

	if (!store_has(dir, ""))
		return -ENOENT;
	cluster = calloc(1, sizeof(*cluster));
	if (!cluster)
		return -ENOMEM;
	snprintf(cluster->dir, sizeof(cluster->dir), "%s", dir);
	cluster->loop = loop;
	cluster->ops = ops;
	cluster->arg = arg;
	err = load(cluster, say);
	if (err)
		cluster_close(cluster);
	else
		*ret_cluster = cluster;
	return err;
}

int cluster_start(struct cluster *cluster)
{
	return api_start(cluster) ?: catch_up_start(cluster) ?: quorum_start(cluster);
}

void cluster_close(struct cluster *cluster)
{
	if (!cluster)
		return;
	quorum_stop(cluster);
	corosync_forget(cluster);
	catch_up_stop(cluster);
	api_stop(cluster);
	change_free(cluster);
	call_cancel_all(cluster);
	tokens_free(cluster->tokens);
	if (cluster->credentials)
		gnutls_certificate_free_credentials(cluster->credentials);
	free(cluster);
}

const struct cluster_config *cluster_config(const struct cluster *cluster)
{
	return &cluster->config;
}

const struct cluster_member *cluster_self(const struct cluster *cluster)
{
	return &cluster->self;
}

int cluster_load_key(const struct cluster *cluster, uint8_t ret_key[DVMM_KEY_SIZE])
{
	char *text = store_read(cluster->dir, FILE_KEY);
	int err;

	if (!text)
		return -errno;
	text[strcspn(text, "\n")] = '\0';
	err = dvmm_hex_parse(text, ret_key, DVMM_KEY_SIZE);
	explicit_bzero(text, strlen(text));
	free(text);
	return err;
}

/* ---- configurations ---- */

int cluster_install(struct cluster *cluster, const struct cluster_config *next)
{
	json_t *json = cluster_config_to_json(next);
	char *text = json_dumps(json, JSON_INDENT(1));
	int err = text ? store_write(cluster->dir, FILE_CONFIG, text) : -ENOMEM;

	free(text);
	json_decref(json);
	if (err) {
		log_error("%s/" FILE_CONFIG ": %s", cluster->dir, strerror(-err));
		return err;
	}
	cluster->config = *next;
	find_self(cluster);
	api_drop_strangers(cluster);
	cluster->ops->apply(cluster->arg, &cluster->config);
	quorum_apply(cluster);
	return 0;
}

/* ---- changes ---- */

/* A change by whoever asks this node. */
struct order {
	struct cluster *cluster;
	cluster_done *done;
	void *arg;
};

static void end_order(void *arg, json_t *result, const struct cluster_error *error)
{
	struct order *order = arg;

	order->done(order->arg, result, error);
	free(order);
}

static void commit_order(void *arg, json_t *result, const struct cluster_error *error)
{
	struct order *order = arg;

	if (result)
		change_commit(order->cluster, end_order, order);
	else
		end_order(arg, NULL, error);
}

static void start_order(struct cluster *cluster, struct cluster_config *next, cluster_done *done,
			void *arg)
{
	struct order *order = malloc(sizeof(*order));

	if (!order)
		abort();
	*order = (struct order){ cluster, done, arg };
	next->version++;
	change_start(cluster, next, commit_order, order);
}

void cluster_set(struct cluster *cluster, const char *name, const char *value, cluster_done *done,
		 void *arg)
{
	struct cluster_config next = cluster->config;
	struct cluster_error error = { 0 };

	if (cluster_change_setting(&next, name, value, &error))
		done(arg, NULL, &error);
	else
		start_order(cluster, &next, done, arg);
}

static int drop_one(struct cluster *cluster, const char *node, struct cluster_config *next,
		    struct cluster_error *error)
{
	if (!strcmp(node, cluster->self_name))
		return cluster_fail(
			error, RPC_CONFLICT,
			"%s: a node does not remove itself: dvmm node leave, or ask another one",
			node);
	return cluster_drop(next, node, error);
}

static int drop_all(struct cluster *cluster, const char *nodes, struct cluster_config *next,
		    struct cluster_error *error)
{
	char *copy = strdup(nodes), *rest = copy, *node;
	int err = copy ? 0 : cluster_fail(error, RPC_FAILED, "out of memory");

	while (!err && (node = strsep(&rest, ",")))
		err = drop_one(cluster, node, next, error);
	free(copy);
	return err;
}

void cluster_remove(struct cluster *cluster, const char *nodes, cluster_done *done, void *arg)
{
	struct cluster_config next = cluster->config;
	struct cluster_error error = { 0 };

	if (drop_all(cluster, nodes, &next, &error))
		done(arg, NULL, &error);
	else
		start_order(cluster, &next, done, arg);
}

static int check_leave(struct cluster *cluster, struct cluster_error *error)
{
	const struct cluster_config *config = &cluster->config;

	if (config->nr_members > 1 && store_has(cluster->dir, FILE_CA_KEY))
		return cluster_fail(
			error, RPC_CONFLICT,
			"this node has the CA's key, without which the cluster takes in no more hosts: "
			"move %s/" FILE_CA_KEY " to another node first", cluster->dir);
	return 0;
}

void cluster_leave(struct cluster *cluster, cluster_done *done, void *arg)
{
	struct cluster_config next = cluster->config;
	struct cluster_error error = { 0 };

	if (!check_leave(cluster, &error))
		cluster_drop(&next, cluster->self_name, &error);
	if (error.code)
		done(arg, NULL, &error);
	else
		start_order(cluster, &next, done, arg);
}

int cluster_forget(struct cluster *cluster)
{
	cluster->is_member = false;
	catch_up_stop(cluster);
	return store_remove(cluster->dir);
}

/* ---- answers ---- */

json_t *cluster_info(struct cluster *cluster)
{
	char uuid[DVMM_UUID_TEXT_SIZE], api[DVMM_ADDR_TEXT_SIZE], epoch[CLUSTER_EPOCH_SIZE];

	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:o, s:s?}", "cluster",
			 cluster->config.name, "uuid", dvmm_uuid_format(cluster->config.uuid, uuid), "node",
			 cluster->self_name, "api", dvmm_addr_format(&cluster->self.api, api),
			 "version", (json_int_t)cluster->config.version, "nodes",
			 (json_int_t)cluster->config.nr_members, "takes_in",
			 store_has(cluster->dir, FILE_CA_KEY), "membership",
			 config_has_corosync(&cluster->config) ? "corosync" : "static", "quorate",
			 quorum_to_json(cluster), "epoch", cluster_epoch(cluster, epoch));
}

json_t *cluster_settings(const struct cluster *cluster)
{
	json_t *rows = json_array();

	for (int i = 0; i < NR_CLUSTER_SETTINGS; i++)
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "setting",
						      cluster_setting_name(i), "value",
						      *cluster->config.settings[i] ?
							      cluster->config.settings[i] :
							      "default",
						      "help", cluster_setting_help(i)));
	return rows;
}

static int fill_token(struct cluster *cluster, struct token *token)
{
	char *ca = store_read(cluster->dir, FILE_CA);
	int err = ca ? pki_fingerprint(ca, token->ca) : GNUTLS_E_FILE_ERROR;

	free(ca);
	token->api = cluster->self.api;
	return err < 0 ? err : gnutls_rnd(GNUTLS_RND_KEY, token->secret, sizeof(token->secret));
}

json_t *cluster_make_token(struct cluster *cluster, uint32_t ttl_s, struct cluster_error *error)
{
	char text[TOKEN_TEXT_SIZE];
	struct token token;
	int err;

	if (!ttl_s || ttl_s > TTL_MAX_S)
		cluster_fail(error, RPC_INVALID, "a token lives 1 to %d seconds", TTL_MAX_S);
	else if (!store_has(cluster->dir, FILE_CA_KEY))
		cluster_fail(error, RPC_CONFLICT,
			     "node %s does not have the CA's key: make the token on node %s",
			     cluster->self_name, cluster->config.members[0].name);
	else if (fill_token(cluster, &token))
		cluster_fail(error, RPC_FAILED, "the CA's certificate cannot be read");
	else if ((err = tokens_add(cluster->tokens, token.secret, ttl_s)))
		cluster_fail(error, RPC_FAILED, "cannot keep the token: %s", err == -ENOSPC ?
			     "too many are waiting to be used" : strerror(-err));
	if (error->code)
		return NULL;
	return json_pack("{s:s, s:I}", "token", token_format(&token, text), "valid_s",
			 (json_int_t)ttl_s);
}
