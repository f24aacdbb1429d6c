/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cluster/cluster.h - the door of the cluster service: which nodes there are, how one
 * becomes a member, and how all of them come to have the same configuration. Agents talk to
 * each other by TLS 1.3, with certificates of the cluster's CA on both sides.
 *
 * Links between the kernels are not made here: struct cluster_ops tells the agent what to
 * do. Documentation/cluster.md describes the whole.
 */
#ifndef AGENT_CLUSTER_H
#define AGENT_CLUSTER_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>
#include "../../lib/dvmm.h"

#define CLUSTER_STATE "/var/lib/dvmm/cluster"
#define CLUSTER_LINK_PORT 7471
#define CLUSTER_API_PORT 7472
#define CLUSTER_VALUE_SIZE 128
#define CLUSTER_FINGERPRINT_SIZE 32

/**
 * struct cluster_member - a node
 * @addr: where its kernel accepts links
 * @api: where its agent accepts TLS
 * @cert: SHA-256 of its certificate; another one is refused, also when the CA signed it
 */
struct cluster_member {
	char name[DVMM_NAME_SIZE];
	uint32_t id;
	uint8_t uuid[DVMM_UUID_SIZE];
	struct dvmm_addr addr;
	struct dvmm_addr api;
	uint8_t cert[CLUSTER_FINGERPRINT_SIZE];
};

/* What `dvmm cluster set` knows; an empty value is the default. */
enum cluster_setting {
	CLUSTER_LOST_AFTER_MS,
	CLUSTER_METRICS,
	CLUSTER_MEMBERSHIP,
	CLUSTER_FENCE_AFTER_MS,
	NR_CLUSTER_SETTINGS,
};

/**
 * struct cluster_config - what all nodes agree on
 * @version: goes up by one with each change
 * @members: in the order in which they joined
 */
struct cluster_config {
	char name[DVMM_NAME_SIZE];
	uint8_t uuid[DVMM_UUID_SIZE];
	uint32_t version;
	uint32_t nr_members;
	struct cluster_member members[DVMM_MAX_NODES];
	char settings[NR_CLUSTER_SETTINGS][CLUSTER_VALUE_SIZE];
};

/**
 * struct cluster_error - what went wrong
 * @code: of rpc.h; NULL: nothing
 * @why: a sentence that names the thing and the reason
 */
struct cluster_error {
	const char *code;
	char why[448];
};

/**
 * struct cluster_quorum - what corosync says; with static membership nothing
 * @is_asked: membership is corosync's
 * @is_known: it answers
 * @is_there: more than half of all nodes are with this one
 * @is_lost: it is not there, but was, or may have been before the agent started
 * @nodes: bit n = node n is with this one
 * @ring_node, @ring_seq: name that set of nodes: the epoch, on all of them
 */
struct cluster_quorum {
	bool is_asked, is_known, is_there, is_lost;
	uint64_t nodes;
	uint32_t ring_node;
	uint64_t ring_seq;
};

/**
 * struct cluster_ops - what the service asks of the agent
 * @check: may this node have @next? Fills in @error if not
 * @apply: @next is in force, also on the other nodes
 * @call: a member calls a method of the agent. NULL after filling in @error
 * @quorum: corosync says something else than before
 */
struct cluster_ops {
	int (*check)(void *arg, const struct cluster_config *next, struct cluster_error *error);
	void (*apply)(void *arg, const struct cluster_config *next);
	json_t *(*call)(void *arg, const char *method, json_t *params, struct cluster_error *error);
	void (*quorum)(void *arg, const struct cluster_quorum *now);
};

struct cluster;

/**
 * cluster_open() - read what this node knows of its cluster
 * @dir: CLUSTER_STATE
 * @ops: not called before cluster_start()
 * @say: where errors go, one line each
 *
 * Return: 0; -ENOENT: the host is in no cluster; -errno, said
 */
int cluster_open(const char *dir, sd_event *loop, const struct cluster_ops *ops, void *arg,
		 FILE *say, struct cluster **ret_cluster);
/** cluster_start() - listen, and ask the others what has changed. -errno, logged */
int cluster_start(struct cluster *cluster);
void cluster_close(struct cluster *cluster);

const struct cluster_config *cluster_config(const struct cluster *cluster);
const struct cluster_member *cluster_self(const struct cluster *cluster);
const struct cluster_quorum *cluster_quorum(const struct cluster *cluster);
#define CLUSTER_EPOCH_SIZE 32
/** cluster_epoch() - as corosync-quorumtool shows it; NULL: there is none */
const char *cluster_epoch(const struct cluster *cluster, char text[CLUSTER_EPOCH_SIZE]);
/** cluster_load_key() - the key of links. -errno */
int cluster_load_key(const struct cluster *cluster, uint8_t ret_key[DVMM_KEY_SIZE]);
/** cluster_fail() - fill in an error; returns -EINVAL to return */
__attribute__((format(printf, 3, 4)))
int cluster_fail(struct cluster_error *error, const char *code, const char *format, ...);

/**
 * cluster_done - the end of what took some time
 * @result: borrowed; NULL: see @error
 */
typedef void cluster_done(void *arg, json_t *result, const struct cluster_error *error);

/* These call @done once, perhaps before they return. */
/** cluster_set() - change a setting on all nodes, or on none */
void cluster_set(struct cluster *cluster, const char *name, const char *value, cluster_done *done,
		 void *arg);
/** cluster_remove() - nodes ("n2" or "n2,n3") are no members any more; they are not asked */
void cluster_remove(struct cluster *cluster, const char *nodes, cluster_done *done, void *arg);
/**
 * cluster_leave() - this node is no member any more, and all others know it
 *
 * @done then calls cluster_forget(), and ends.
 */
void cluster_leave(struct cluster *cluster, cluster_done *done, void *arg);
/** cluster_forget() - remove the state folder: this host may join a cluster again. -errno */
int cluster_forget(struct cluster *cluster);
/** cluster_status() - a row for each node: does it answer, and with which version? */
void cluster_status(struct cluster *cluster, cluster_done *done, void *arg);
/** cluster_call() - call a method of another node's agent */
void cluster_call(struct cluster *cluster, const char *node, const char *method, json_t *params,
		  cluster_done *done, void *arg);

/** cluster_info() - the cluster and its settings, as JSON */
json_t *cluster_info(struct cluster *cluster);
/** cluster_settings() - a row for each setting */
json_t *cluster_settings(const struct cluster *cluster);
/** cluster_make_token() - for one `dvmm cluster join` within @ttl_s; NULL: see @error */
json_t *cluster_make_token(struct cluster *cluster, uint32_t ttl_s, struct cluster_error *error);

/* Programs: `dvmm cluster init`, `dvmm cluster join`. @argv from the verb on; an enum status. */
int cluster_init_main(int argc, char **argv);
int cluster_join_main(int argc, char **argv);
extern const struct argp cluster_init_argp, cluster_join_argp;

#endif
