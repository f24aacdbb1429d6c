// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/api.c - takes connections of other agents: who they are, what they may ask,
 * and how much. A host without a certificate may ask to become a member, nothing else.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../bind.h"
#include "../log.h"
#include "internal.h"

#define HANDSHAKE_MS 5000
#define REQUEST_MS 10000 /* of a stranger */
#define JOIN_MS 30000
#define IDLE_MS 30000 /* of a member, between requests */
#define GOODBYE_MS 3000
#define NR_STRANGERS_MAX 32 /* and connections that have not said who they are */
#define NR_PER_MEMBER_MAX 8
#define NR_CONNECTIONS_MAX (NR_STRANGERS_MAX + DVMM_MAX_NODES * NR_PER_MEMBER_MAX)

struct connection {
	struct connection *next;
	struct api *api;
	struct session *session;
	char member[DVMM_NAME_SIZE]; /* "": a stranger */
	char from[DVMM_ADDR_TEXT_SIZE];
};

struct api {
	struct cluster *cluster;
	sd_event_source *source;
	int fd;
	struct connection *connections;
};

static uint32_t nr_of(const struct api *api, const char *member)
{
	uint32_t nr = 0;

	for (const struct connection *connection = api->connections; connection;
	     connection = connection->next)
		nr += !member || !strcmp(connection->member, member);
	return nr;
}

static void free_connection(struct connection *connection)
{
	struct connection **place = &connection->api->connections;

	while (*place != connection)
		place = &(*place)->next;
	*place = connection->next;
	admit_gone(connection->api->cluster, connection->session);
	session_free(connection->session);
	free(connection);
}

/* ---- answers ---- */

static void answer(struct session *session, json_t *line, bool is_last)
{
	char *text = json_dumps(line, JSON_COMPACT), *with_end = NULL;

	json_decref(line);
	if (!text || asprintf(&with_end, "%s\n", text) < 0)
		abort();
	if (is_last) {
		session_set_deadline(session, GOODBYE_MS, "goodbye");
		session_send_last(session, with_end, strlen(with_end));
	} else if (session_send(session, with_end, strlen(with_end))) {
		session_set_deadline(session, 1, "reader of answers");
	}
	free(text);
	free(with_end);
}

static bool is_stranger(const struct session *session)
{
	const struct connection *connection = session_arg(session);

	return !*connection->member;
}

void answer_result(struct session *session, json_t *result)
{
	answer(session, json_pack("{s:o}", "result", result), false);
}

/* A stranger has one try for each handshake. */
void answer_error(struct session *session, const struct cluster_error *error)
{
	answer(session,
	       json_pack("{s:{s:s, s:s}}", "error", "code", error->code ? error->code : RPC_FAILED,
			 "message", error->why),
	       is_stranger(session));
}

/* ---- requests ---- */

static json_t *on_version(struct cluster *cluster, const char *peer, json_t *params,
			  struct cluster_error *error)
{
	char digest[2 * CLUSTER_FINGERPRINT_SIZE + 1];

	(void)peer;
	(void)params;
	(void)error;
	cluster_digest(&cluster->config, digest);
	return json_pack("{s:I, s:s, s:o}", "version", (json_int_t)cluster->config.version,
			 "digest", digest, "quorate", quorum_to_json(cluster));
}

static json_t *on_config(struct cluster *cluster, const char *peer, json_t *params,
			 struct cluster_error *error)
{
	(void)peer;
	(void)params;
	(void)error;
	return json_pack("{s:o}", "config", cluster_config_to_json(&cluster->config));
}

static const struct {
	const char *name;
	json_t *(*call)(struct cluster *cluster, const char *peer, json_t *params,
			struct cluster_error *error);
} methods[] = {
	{ "cluster.version", on_version },
	{ "cluster.config", on_config },
	{ "cluster.prepare", change_on_prepare },
	{ "cluster.commit", change_on_commit },
	{ "cluster.abort", change_on_abort },
};

/* One that was removed, or has left, may have a connection still. */
static bool is_member(const struct connection *connection)
{
	return cluster_member_find(&connection->api->cluster->config, connection->member);
}

static json_t *call_method(struct connection *connection, const char *name, json_t *params,
			   struct cluster_error *error)
{
	struct cluster *cluster = connection->api->cluster;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i].name, name))
			return methods[i].call(cluster, connection->member, params, error);
	return cluster->ops->call(cluster->arg, name, params, error);
}

static void on_member_request(struct connection *connection, const char *method, json_t *params)
{
	struct cluster_error error = { 0 };
	json_t *result = call_method(connection, method, params, &error);

	if (result)
		answer_result(connection->session, result);
	else
		answer_error(connection->session, &error);
	if (is_member(connection))
		session_set_deadline(connection->session, IDLE_MS, "request");
	else
		session_set_deadline(connection->session, GOODBYE_MS, "goodbye");
}

static void on_stranger_request(struct connection *connection, const char *method, json_t *params)
{
	struct cluster *cluster = connection->api->cluster;
	struct cluster_error error;

	if (!strcmp(method, "cluster.join")) {
		session_set_deadline(connection->session, JOIN_MS, "end of the join");
		admit_request(cluster, connection->session, params);
	} else if (!strcmp(method, "cluster.joined")) {
		admit_confirm(cluster, connection->session);
	} else {
		cluster_fail(
			&error, RPC_DENIED,
			"%.64s: without a certificate of the cluster only cluster.join is answered",
			method);
		answer_error(connection->session, &error);
	}
}

static void on_line(struct session *session, const char *text, size_t len, void *arg)
{
	struct connection *connection = arg;
	struct cluster_error error;
	const char *method;
	json_t *json, *params;

	if (request_parse(text, len, &json, &method, &params, &error)) {
		answer_error(session, &error);
		return;
	}
	if (*connection->member && !is_member(connection)) {
		cluster_fail(&error, RPC_DENIED, "node %s is no member of the cluster (any more)",
			     connection->member);
		answer_error(session, &error);
	} else if (*connection->member) {
		on_member_request(connection, method, params);
	} else {
		on_stranger_request(connection, method, params);
	}
	json_decref(json);
}

/* ---- connections ---- */

static void on_opened(struct session *session, void *arg)
{
	struct connection *connection = arg;
	struct api *api = connection->api;
	const struct cluster_member *member;
	struct cluster_error error = { 0 };

	if (pki_has_shown_none(session_tls(session))) {
		session_set_deadline(session, REQUEST_MS, "request");
		return;
	}
	member = pki_check_member(session_tls(session), &api->cluster->config, &error);
	if (member && nr_of(api, member->name) >= NR_PER_MEMBER_MAX)
		cluster_fail(&error, RPC_FAILED, "node %s has %d connections already", member->name,
			     NR_PER_MEMBER_MAX);
	if (error.code) {
		log_warning("%s is refused: %s", connection->from, error.why);
		answer_error(session, &error);
		return;
	}
	strcpy(connection->member, member->name);
	session_set_line_max(session, RPC_LINE_MAX);
	session_set_deadline(session, IDLE_MS, "request");
}

static void on_closed(struct session *session, const char *why, void *arg)
{
	(void)session;
	(void)why;
	free_connection(arg);
}

static const struct session_use use = { on_opened, on_line, on_closed };

static void format_from(const struct sockaddr_storage *from, char text[DVMM_ADDR_TEXT_SIZE])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	struct dvmm_addr addr = { .family = from->ss_family };

	if (from->ss_family == AF_INET) {
		addr.port = ntohs(in->sin_port);
		memcpy(addr.addr, &in->sin_addr, 4);
	} else {
		addr.port = ntohs(in6->sin6_port);
		memcpy(addr.addr, &in6->sin6_addr, 16);
	}
	dvmm_addr_format(&addr, text);
}

static void add_connection(struct api *api, int fd, const struct sockaddr_storage *from)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		close(fd);
		return;
	}
	connection->api = api;
	format_from(from, connection->from);
	if (session_new(api->cluster->loop, fd, true, api->cluster->credentials, STRANGER_LINE_MAX,
			HANDSHAKE_MS, &use, connection, &connection->session)) {
		free(connection);
		return;
	}
	connection->next = api->connections;
	api->connections = connection;
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	struct api *api = arg;
	int client = accept4(fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)revents;
	if (client < 0)
		return 0;
	if (nr_of(api, "") >= NR_STRANGERS_MAX || nr_of(api, NULL) >= NR_CONNECTIONS_MAX)
		close(client);
	else
		add_connection(api, client, &from);
	return 0;
}

void api_drop_strangers(struct cluster *cluster)
{
	struct connection *connection, *next;

	if (!cluster->api)
		return;
	for (connection = cluster->api->connections; connection; connection = next) {
		next = connection->next;
		/* Its owner may be on the stack: the deadline ends it. */
		if (*connection->member &&
		    !cluster_member_find(&cluster->config, connection->member))
			session_set_deadline(connection->session, 1, "member any more");
	}
}

/* ---- life ---- */

static int listen_on(const struct dvmm_addr *addr)
{
	int fd = bind_addr(addr), err;

	if (fd < 0 || !listen(fd, 64))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int api_start(struct cluster *cluster)
{
	struct api *api = calloc(1, sizeof(*api));
	char addr[DVMM_ADDR_TEXT_SIZE];
	int err;

	if (!api)
		return -ENOMEM;
	api->cluster = cluster;
	api->fd = listen_on(&cluster->self.api);
	err = api->fd < 0 ? api->fd :
			    sd_event_add_io(cluster->loop, &api->source, api->fd, EPOLLIN,
					    on_connect, api);
	if (err < 0) {
		log_error("cannot listen for other agents on %s: %s",
			  dvmm_addr_format(&cluster->self.api, addr), strerror(-err));
		if (api->fd >= 0)
			close(api->fd);
		free(api);
		return err;
	}
	cluster->api = api;
	return 0;
}

void api_stop(struct cluster *cluster)
{
	struct api *api = cluster->api;

	if (!api)
		return;
	while (api->connections)
		free_connection(api->connections);
	sd_event_source_disable_unref(api->source);
	close(api->fd);
	free(api);
	cluster->api = NULL;
}
