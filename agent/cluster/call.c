// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/call.c - asks another agent. Who that has to be is the caller's business. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "internal.h"

#define ANSWER_MAX (4 * 1024 * 1024)

struct call {
	struct call *next; /* of the cluster's */
	struct cluster *cluster; /* NULL: not to a member */
	char member[DVMM_NAME_SIZE];
	struct session *session;
	sd_event_source *failed; /* before there was a session */
	call_checker *check;
	cluster_done *done;
	void *arg;
	char *unsent; /* until the other side is checked */
	bool is_open;
	bool in_done, is_freed;
	char to[DVMM_ADDR_TEXT_SIZE];
	struct cluster_error error;
};

static void unlink_call(struct call *call)
{
	struct call **place = &call->cluster->calls;

	while (*place != call)
		place = &(*place)->next;
	*place = call->next;
}

static void free_now(struct call *call)
{
	if (call->cluster)
		unlink_call(call);
	session_free(call->session);
	sd_event_source_disable_unref(call->failed);
	free(call->unsent);
	free(call);
}

void call_free(struct call *call)
{
	if (!call)
		return;
	call->is_freed = true;
	if (!call->in_done)
		free_now(call);
}

static void finish(struct call *call, json_t *result)
{
	cluster_done *done = call->done;

	call->done = NULL;
	if (!done)
		return;
	call->in_done = true;
	done(call->arg, result, &call->error);
	call->in_done = false;
	if (call->is_freed)
		free_now(call);
}

/* ---- what the session says ---- */

static int check_member(struct call *call, gnutls_session_t tls)
{
	const struct cluster_member *member =
		pki_check_member(tls, &call->cluster->config, &call->error);

	if (!member)
		return -EACCES;
	if (!strcmp(member->name, call->member))
		return 0;
	return cluster_fail(&call->error, RPC_DENIED,
			    "wrong certificate: node %s answers on %s, which is node %s's",
			    member->name, call->to, call->member);
}

static int check(struct call *call, gnutls_session_t tls)
{
	return call->cluster ? check_member(call, tls) : call->check(call->arg, tls, &call->error);
}

static void on_opened(struct session *session, void *arg)
{
	struct call *call = arg;

	if (check(call, session_tls(session))) {
		finish(call, NULL);
		return;
	}
	call->is_open = true;
	if (call->unsent)
		session_send(session, call->unsent, strlen(call->unsent));
	free(call->unsent);
	call->unsent = NULL;
}

static void fill_error(struct call *call, json_t *answer)
{
	static const char *const codes[] = { RPC_FAILED, RPC_INVALID, RPC_NOT_FOUND, RPC_CONFLICT,
					     RPC_DENIED, RPC_UNREACHABLE };
	const char *code = "", *why = "no answer that makes sense";

	json_unpack(answer, "{s:{s:s, s:s}}", "error", "code", &code, "message", &why);
	cluster_fail(&call->error, RPC_FAILED, "%s", why);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (!strcmp(codes[i], code))
			call->error.code = codes[i];
}

static void on_line(struct session *session, const char *text, size_t len, void *arg)
{
	struct call *call = arg;
	json_t *answer = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *result = json_object_get(answer, "result");

	(void)session;
	if (!result)
		fill_error(call, answer);
	finish(call, result);
	json_decref(answer);
}

static void on_closed(struct session *session, const char *why, void *arg)
{
	struct call *call = arg;

	(void)session;
	cluster_fail(&call->error, RPC_UNREACHABLE, "%s: %s", call->to, why);
	finish(call, NULL);
}

static const struct session_use use = { on_opened, on_line, on_closed };

/* ---- connecting ---- */

static socklen_t fill_sockaddr(const struct dvmm_addr *addr, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = addr->family;
	if (addr->family == AF_INET) {
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->addr, 4);
		return sizeof(*in);
	}
	in6->sin6_port = htons(addr->port);
	memcpy(&in6->sin6_addr, addr->addr, 16);
	return sizeof(*in6);
}

/* Returns a socket or -errno. */
static int connect_to(const struct dvmm_addr *addr)
{
	struct sockaddr_storage to;
	socklen_t size = fill_sockaddr(addr, &to);
	int fd = socket(addr->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&to, size) || errno == EINPROGRESS)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int on_failed(sd_event_source *source, void *arg)
{
	(void)source;
	finish(arg, NULL);
	return 0;
}

/* Said from the loop, as every other end of a call. */
static void fail_later(struct call *call, sd_event *loop, int err)
{
	cluster_fail(&call->error, RPC_UNREACHABLE, "%s: %s", call->to, strerror(-err));
	if (sd_event_add_defer(loop, &call->failed, on_failed, call) < 0)
		abort();
}

struct call *call_open(sd_event *loop, const struct dvmm_addr *to,
		       gnutls_certificate_credentials_t credentials, uint32_t within_ms,
		       call_checker *check, void *arg)
{
	struct call *call = calloc(1, sizeof(*call));
	int fd, err;

	if (!call)
		abort();
	call->check = check;
	call->arg = arg;
	dvmm_addr_format(to, call->to);
	fd = connect_to(to);
	err = fd < 0 ? fd :
		       session_new(loop, fd, false, credentials, ANSWER_MAX, within_ms, &use, call,
				   &call->session);
	if (err < 0)
		fail_later(call, loop, err);
	else
		session_set_deadline(call->session, within_ms, "answer");
	return call;
}

struct call *call_open_member(struct cluster *cluster, const struct cluster_member *member,
			      uint32_t within_ms, void *arg)
{
	struct call *call =
		call_open(cluster->loop, &member->api, cluster->credentials, within_ms, NULL, arg);

	strcpy(call->member, member->name);
	call->cluster = cluster;
	call->next = cluster->calls;
	cluster->calls = call;
	return call;
}

/* Each done frees its call. */
void call_cancel_all(struct cluster *cluster)
{
	while (cluster->calls) {
		struct call *call = cluster->calls;

		cluster_fail(&call->error, RPC_FAILED, "the agent ends");
		finish(call, NULL);
		if (cluster->calls == call)
			call_free(call);
	}
}

void call_send(struct call *call, const char *method, json_t *params, cluster_done *done)
{
	json_t *request = json_pack("{s:s, s:o*}", "method", method, "params", params);
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;

	json_decref(request);
	call->done = done;
	if (!text || asprintf(&line, "%s\n", text) < 0)
		abort();
	free(text);
	if (!call->is_open) {
		free(call->unsent);
		call->unsent = line;
		return;
	}
	session_send(call->session, line, strlen(line));
	free(line);
}

int call_local_addr(const struct call *call, struct dvmm_addr *ret_addr)
{
	struct sockaddr_storage name = { 0 };
	socklen_t size = sizeof(name);

	*ret_addr = (struct dvmm_addr){ 0 };
	if (!call->session ||
	    getsockname(session_fd(call->session), (struct sockaddr *)&name, &size))
		return -ENOTCONN;
	ret_addr->family = name.ss_family;
	if (name.ss_family == AF_INET)
		memcpy(ret_addr->addr, &((struct sockaddr_in *)&name)->sin_addr, 4);
	else
		memcpy(ret_addr->addr, &((struct sockaddr_in6 *)&name)->sin6_addr, 16);
	return 0;
}
