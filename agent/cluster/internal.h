/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cluster/internal.h - what the files of the cluster service share. */
#ifndef AGENT_CLUSTER_INTERNAL_H
#define AGENT_CLUSTER_INTERNAL_H

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include "../rpc.h"
#include "cluster.h"
#include "session.h"

#define CLUSTER_PATH_SIZE 256
#define TOKEN_SECRET_SIZE 24
#define TOKEN_TEXT_SIZE 256

/* Files of the state folder. */
#define FILE_CONFIG "config.json"
#define FILE_KEY "cluster.key"
#define FILE_CA "ca.crt"
#define FILE_CA_KEY "ca.key" /* on the node that takes in others */
#define FILE_CERT "node.crt"
#define FILE_CERT_KEY "node.key"
#define FILE_TOKENS "tokens.json"

/* ---- config.c: pure ---- */

/** cluster_config_parse() - what config_to_json() made, or a peer sent; everything is checked */
int cluster_config_parse(json_t *json, struct cluster_config *ret_config,
			 struct cluster_error *error);
json_t *cluster_config_to_json(const struct cluster_config *config);
/** cluster_digest() - hexadecimal; two nodes of one version have the same */
void cluster_digest(const struct cluster_config *config,
		    char ret_text[2 * CLUSTER_FINGERPRINT_SIZE + 1]);
/** cluster_member_find() - NULL: no such node */
const struct cluster_member *cluster_member_find(const struct cluster_config *config,
						 const char *name);
/** cluster_add() - a member more, unless it clashes with another */
int cluster_add(struct cluster_config *config, const struct cluster_member *member,
		struct cluster_error *error);
/** cluster_drop() - a member less */
int cluster_drop(struct cluster_config *config, const char *name, struct cluster_error *error);
/** cluster_free_id() - the smallest id from 1 on that no member has; DVMM_MAX_NODES: none */
uint32_t cluster_free_id(const struct cluster_config *config);
/** cluster_change_setting() - check and take over a value; "" or "default" is the default */
int cluster_change_setting(struct cluster_config *config, const char *name, const char *value,
			   struct cluster_error *error);
bool cluster_name_is_good(const char *name);
const char *cluster_setting_name(enum cluster_setting setting);
const char *cluster_setting_help(enum cluster_setting setting);

/* ---- token.c ---- */

/**
 * struct token - what a person carries from one node to another
 * @api: of the node that made it
 * @ca: SHA-256 of the CA's certificate: who cannot show it is not that node
 */
struct token {
	struct dvmm_addr api;
	uint8_t ca[CLUSTER_FINGERPRINT_SIZE];
	uint8_t secret[TOKEN_SECRET_SIZE];
};

int token_parse(const char *text, struct token *ret_token);
const char *token_format(const struct token *token, char text[TOKEN_TEXT_SIZE]);

/* tokens.c: those that were made here, by the SHA-256 of their secrets. */
struct tokens;
int tokens_load(const char *dir, struct tokens **ret_tokens);
void tokens_free(struct tokens *tokens);
int tokens_add(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE], uint32_t ttl_s);
/** tokens_check() - is it good, now? Says which of wrong, expired and used it is */
int tokens_check(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE],
		 struct cluster_error *error);
/** tokens_use() - it is @node's, on disk, and no other's. @node NULL: it is not used after all */
int tokens_use(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE], const char *node);

/* ---- store.c: files that are whole or not there ---- */

/** store_write() - replace a file of @dir, mode 0600. -errno */
int store_write(const char *dir, const char *name, const char *text);
/** store_read() - a new string; NULL and errno */
char *store_read(const char *dir, const char *name);
bool store_has(const char *dir, const char *name);
/** store_begin() - an empty folder beside @dir, which becomes @dir by store_finish(). -errno */
int store_begin(const char *dir, char ret_new[CLUSTER_PATH_SIZE]);
/** store_finish() - all of it is there from now on. -EEXIST: another one was */
int store_finish(const char *dir);
/** store_abort() - as if store_begin() had not been called */
void store_abort(const char *dir);
/** store_remove() - a folder of ours and what is in it */
int store_remove(const char *dir);

/* ---- pki.c: keys and certificates, as PEM texts to free() ---- */

/* 0 or a GnuTLS error. */
int pki_make_key(char **ret_key);
int pki_make_ca(const char *key, const char *cluster, char **ret_cert);
int pki_make_request(const char *key, const char *node, char **ret_request);
/** pki_sign() - a certificate for @node with the key of @request, whatever else that asks for */
int pki_sign(const char *ca_key, const char *ca, const char *request, const char *node,
	     char **ret_cert);
int pki_fingerprint(const char *cert, uint8_t ret_fingerprint[CLUSTER_FINGERPRINT_SIZE]);
int pki_node_name(const char *cert, char ret_name[DVMM_NAME_SIZE]);
/** pki_credentials() - what a node shows and trusts */
int pki_credentials(const char *ca, const char *cert, const char *key,
		    gnutls_certificate_credentials_t *ret_credentials);
/** pki_check_member() - the other side has shown a certificate of the CA that is still @config's */
const struct cluster_member *pki_check_member(gnutls_session_t tls,
					      const struct cluster_config *config,
					      struct cluster_error *error);
/** pki_has_shown_none() - the other side has no certificate */
bool pki_has_shown_none(gnutls_session_t tls);
/** pki_check_token() - the other side belongs to the CA with that fingerprint, which is returned */
char *pki_check_token(gnutls_session_t tls, const uint8_t ca[CLUSTER_FINGERPRINT_SIZE],
		      struct cluster_error *error);
/** pki_check_own() - @cert is for @node and @key and by @ca */
int pki_check_own(const char *ca, const char *cert, const char *key, const char *node);

/* ---- call.c: one connection to another agent, one request at a time ---- */

struct call;
/** call_checker - is this who we want? 0, or a filled in @error */
typedef int call_checker(void *arg, gnutls_session_t tls, struct cluster_error *error);

/**
 * call_open() - connect
 * @within_ms: for everything, until call_free()
 * @check: of the other side; nothing is sent before it has said yes
 * @arg: for @check and all @done
 */
struct call *call_open(sd_event *loop, const struct dvmm_addr *to,
		       gnutls_certificate_credentials_t credentials, uint32_t within_ms,
		       call_checker *check, void *arg);
/** call_open_member() - the same to a member; who answers has to be that one */
struct call *call_open_member(struct cluster *cluster, const struct cluster_member *member,
			      uint32_t within_ms, void *arg);
/** call_cancel_all() - calls to members that are still there fail now */
void call_cancel_all(struct cluster *cluster);
/** call_send() - @params is taken over. @done may free the call */
void call_send(struct call *call, const char *method, json_t *params, cluster_done *done);
void call_free(struct call *call);
/** call_local_addr() - of our side of the connection, port 0 */
int call_local_addr(const struct call *call, struct dvmm_addr *ret_addr);

/* ---- the service ---- */

#define LEASE_US (40 * 1000000ull) /* longer than a join may take */
#define CALL_WITHIN_MS 5000

/** struct prepared - a change that this node has agreed to and does not know the end of */
struct prepared {
	bool is_set;
	char leader[DVMM_NAME_SIZE];
	struct cluster_config next;
	sd_event_source *lease;
};

struct cluster {
	char dir[CLUSTER_PATH_SIZE];
	sd_event *loop;
	const struct cluster_ops *ops;
	void *arg;
	struct cluster_config config;
	char self_name[DVMM_NAME_SIZE];
	struct cluster_member self;
	bool is_member; /* false: it was removed, or has left */
	gnutls_certificate_credentials_t credentials;
	struct tokens *tokens;
	struct api *api;
	struct call *calls; /* to members */
	struct prepared prepared;
	struct change *change; /* that this node leads */
	struct admission *admission;
	struct catch_up *catch_up;
	struct corosync *corosync;
	struct quorum *quorum;
};

/** cluster_install() - @next is the configuration from now on. -errno: it is not */
int cluster_install(struct cluster *cluster, const struct cluster_config *next);

/* change.c: one configuration after another, on all nodes or on none. One that is without this
 * node, which leads it, is for the others.
 */
/** change_start() - ask all that are in @next whether they can have it */
void change_start(struct cluster *cluster, const struct cluster_config *next, cluster_done *done,
		  void *arg);
/** change_commit() - after the done of change_start() said yes */
void change_commit(struct cluster *cluster, cluster_done *done, void *arg);
/** change_abort() - instead of it */
void change_abort(struct cluster *cluster);
void change_free(struct cluster *cluster);
json_t *change_on_prepare(struct cluster *cluster, const char *leader, json_t *params,
			  struct cluster_error *error);
json_t *change_on_commit(struct cluster *cluster, const char *leader, json_t *params,
			 struct cluster_error *error);
json_t *change_on_abort(struct cluster *cluster, const char *leader, json_t *params,
			struct cluster_error *error);

/* catchup.c: a node that was away asks what it has missed. */
int catch_up_start(struct cluster *cluster);
void catch_up_stop(struct cluster *cluster);

/* installed.c */
#define COROSYNC_PROGRAM "/usr/sbin/corosync"
#define COROSYNC_TOOL "/usr/sbin/corosync-cfgtool"
/** corosync_check() - can it run on this host? Fills in @error if not */
int corosync_check(struct cluster_error *error);

/* corosync.c: the daemon, with a configuration of ours. */
/** corosync_write() - its configuration is the cluster's; when it runs it hears of a change */
void corosync_write(struct cluster *cluster);
/** corosync_start() - it should run; called now and then until it answers */
void corosync_start(struct cluster *cluster);
void corosync_reload(struct cluster *cluster);
/** corosync_stop() - it ends, and its files are removed. Takes up to 5 s */
void corosync_stop(struct cluster *cluster);
/** corosync_forget() - it goes on without the agent */
void corosync_forget(struct cluster *cluster);
#define COROSYNC_NAME_SIZE (DVMM_UUID_TEXT_SIZE + 8)
/** corosync_name() - of its cluster */
const char *corosync_name(const struct cluster_config *config, char text[COROSYNC_NAME_SIZE]);
/** corosync_id() - its number of a node; 0 is none */
static inline uint32_t corosync_id(uint32_t node_id)
{
	return node_id ? node_id : DVMM_MAX_NODES;
}

/* quorum.c: what the daemon says. */
static inline bool config_has_corosync(const struct cluster_config *config)
{
	return !strcmp(config->settings[CLUSTER_MEMBERSHIP], "corosync");
}

int quorum_start(struct cluster *cluster);
/** quorum_apply() - the configuration is another one */
void quorum_apply(struct cluster *cluster);
void quorum_stop(struct cluster *cluster);
/** quorum_to_json() - true, false, or null: nobody is asked */
json_t *quorum_to_json(const struct cluster *cluster);

/* api.c: what comes in. */
int api_start(struct cluster *cluster);
void api_stop(struct cluster *cluster);
/** api_drop_strangers() - close the connections of who is no member any more */
void api_drop_strangers(struct cluster *cluster);

/* request.c: pure */
#define STRANGER_LINE_MAX 16384

/** struct join_request - what a host asks that wants to become a member */
struct join_request {
	uint8_t secret[TOKEN_SECRET_SIZE];
	struct cluster_member member;
	bool has_id;
	char cluster[DVMM_NAME_SIZE]; /* that it expects; "": any */
	char *request; /* PEM; in the JSON */
};

/** request_parse() - a line; @ret_params is borrowed from @ret_json */
int request_parse(const char *text, size_t len, json_t **ret_json, const char **ret_method,
		  json_t **ret_params, struct cluster_error *error);
int join_request_parse(json_t *params, struct join_request *ret_request,
		       struct cluster_error *error);

/* admit.c: a host that has a token becomes a member. One at a time. */
void admit_request(struct cluster *cluster, struct session *session, json_t *params);
void admit_confirm(struct cluster *cluster, struct session *session);
/** admit_gone() - the host has closed its connection */
void admit_gone(struct cluster *cluster, struct session *session);

/* Answers on a session, as lines. */
void answer_result(struct session *session, json_t *result); /* taken over */
void answer_error(struct session *session, const struct cluster_error *error);

#endif
