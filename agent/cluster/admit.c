// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/admit.c - a host that has a token becomes a member. It is the last of the
 * nodes that have to agree: it gets key and certificate when all others have, and only
 * after it has said that it could keep them (cluster.joined) the change is committed. If it
 * goes away before, nothing has happened.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../log.h"
#include "internal.h"

struct admission {
	struct cluster *cluster;
	struct session *session; /* NULL: it has gone */
	uint8_t secret[TOKEN_SECRET_SIZE];
	struct cluster_config next;
	char name[DVMM_NAME_SIZE];
	char *cert;
	bool is_offered, is_confirmed;
};

static void free_admission(struct admission *admission)
{
	if (admission->cluster->admission == admission)
		admission->cluster->admission = NULL;
	explicit_bzero(admission->secret, sizeof(admission->secret));
	free(admission->cert);
	free(admission);
}

/* ---- what is offered ---- */

static json_t *make_offer(struct admission *admission)
{
	struct cluster *cluster = admission->cluster;
	char *ca = store_read(cluster->dir, FILE_CA);
	char *key = store_read(cluster->dir, FILE_KEY);
	json_t *offer = NULL;

	if (ca && key)
		offer = json_pack("{s:s, s:s, s:s, s:o}", "cert", admission->cert, "ca", ca, "key",
				  key, "config", cluster_config_to_json(&admission->next));
	if (key)
		explicit_bzero(key, strlen(key));
	free(ca);
	free(key);
	return offer;
}

static void refuse(struct admission *admission, const struct cluster_error *error)
{
	log_warning("%s may not join: %s", admission->name, error->why);
	if (admission->session)
		answer_error(admission->session, error);
	free_admission(admission);
}

static void on_prepared(void *arg, json_t *result, const struct cluster_error *error)
{
	struct admission *admission = arg;
	struct cluster_error failed;
	json_t *offer;

	if (!result) {
		refuse(admission, error);
		return;
	}
	offer = make_offer(admission);
	if (!offer) {
		change_abort(admission->cluster);
		cluster_fail(&failed, RPC_FAILED, "cannot read the cluster's key");
		refuse(admission, &failed);
		return;
	}
	admission->is_offered = true;
	answer_result(admission->session, offer);
}

/* ---- the request ---- */

static int sign(struct cluster *cluster, const char *request, struct admission *admission,
		struct cluster_member *member, struct cluster_error *error)
{
	char *key = store_read(cluster->dir, FILE_CA_KEY);
	char *ca = store_read(cluster->dir, FILE_CA);
	int err = key && ca ? pki_sign(key, ca, request, member->name, &admission->cert) :
			      GNUTLS_E_FILE_ERROR;

	if (err >= 0)
		err = pki_fingerprint(admission->cert, member->cert);
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	free(ca);
	if (err >= 0)
		return 0;
	return cluster_fail(error, RPC_INVALID, "no certificate for %s: %s", member->name,
			    gnutls_strerror(err));
}

static int check_request(struct cluster *cluster, const struct join_request *request,
			 struct cluster_error *error)
{
	/* First: who has no token is told nothing else. */
	if (tokens_check(cluster->tokens, request->secret, error))
		return -EACCES;
	if (*request->cluster && strcmp(request->cluster, cluster->config.name))
		return cluster_fail(error, RPC_CONFLICT, "this cluster is called %s, not %s",
				    cluster->config.name, request->cluster);
	if (cluster->admission)
		return cluster_fail(error, RPC_CONFLICT, "%s is joining just now: try again",
				    cluster->admission->name);
	return 0;
}

static int fill_admission(struct cluster *cluster, const struct join_request *request,
			  struct admission *admission, struct cluster_error *error)
{
	struct cluster_member member = request->member;

	admission->cluster = cluster;
	admission->next = cluster->config;
	admission->next.version++;
	memcpy(admission->secret, request->secret, sizeof(admission->secret));
	strcpy(admission->name, member.name);
	if (!request->has_id)
		member.id = cluster_free_id(&cluster->config);
	/* Clashes before the CA has to work. */
	if (member.id == DVMM_MAX_NODES || cluster_add(&admission->next, &member, error))
		return member.id < DVMM_MAX_NODES ?
			       -EEXIST :
			       cluster_fail(error, RPC_CONFLICT, "no node id is free");
	return sign(cluster, request->request, admission,
		    &admission->next.members[admission->next.nr_members - 1], error);
}

void admit_request(struct cluster *cluster, struct session *session, json_t *params)
{
	struct admission *admission = NULL;
	struct cluster_error error = { 0 };
	struct join_request request;

	if (join_request_parse(params, &request, &error) ||
	    check_request(cluster, &request, &error)) {
		log_warning("a join is refused: %s", error.why);
		answer_error(session, &error);
		return;
	}
	admission = calloc(1, sizeof(*admission));
	if (!admission)
		abort();
	admission->session = session;
	if (fill_admission(cluster, &request, admission, &error)) {
		refuse(admission, &error);
		return;
	}
	cluster->admission = admission;
	change_start(cluster, &admission->next, on_prepared, admission);
}

/* ---- the end ---- */

static void on_committed(void *arg, json_t *result, const struct cluster_error *error)
{
	struct admission *admission = arg;

	if (!result) {
		tokens_use(admission->cluster->tokens, admission->secret, NULL);
		refuse(admission, error);
		return;
	}
	log_notice("node %s has joined the cluster", admission->name);
	if (admission->session)
		answer_result(admission->session, json_incref(result));
	free_admission(admission);
}

void admit_confirm(struct cluster *cluster, struct session *session)
{
	struct admission *admission = cluster->admission;
	struct cluster_error error;
	int err;

	if (!admission || admission->session != session || !admission->is_offered ||
	    admission->is_confirmed) {
		cluster_fail(&error, RPC_INVALID, "there is nothing to confirm");
		answer_error(session, &error);
		return;
	}
	/* Before it counts: after a crash the token must not be good again. */
	err = tokens_use(cluster->tokens, admission->secret, admission->name);
	if (err) {
		change_abort(cluster);
		cluster_fail(&error, RPC_FAILED, "cannot note that the token is used: %s",
			     strerror(-err));
		refuse(admission, &error);
		return;
	}
	admission->is_confirmed = true;
	change_commit(cluster, on_committed, admission);
}

void admit_gone(struct cluster *cluster, struct session *session)
{
	struct admission *admission = cluster->admission;

	if (!admission || admission->session != session)
		return;
	admission->session = NULL;
	if (admission->is_confirmed)
		return;
	log_warning("%s has gone before it had joined", admission->name);
	change_abort(cluster);
	free_admission(admission);
}
