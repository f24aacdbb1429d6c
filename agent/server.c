// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/server.c - the sockets of the agent: takes lines apart, calls methods, sends
 * answers. What the methods do is elsewhere.
 */
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "internal.h"

#define NR_CLIENTS_MAX 256
/* A follower that does not read is dropped, not remembered for. */
#define UNSENT_MAX (4 * 1024 * 1024)

struct line {
	struct line *next;
	int fd; /* goes with the first byte; -1: none */
	size_t len, sent;
	char text[];
};

struct client {
	struct client *next;
	struct server *server;
	sd_event_source *source;
	int fd;
	bool follows;
	struct later *later; /* its request that has no answer yet */
	struct line *first_line, **last_line;
	size_t unsent;
	size_t nr_read;
	char read[RPC_LINE_MAX];
};

struct server {
	struct agent *agent;
	sd_event_source *source;
	int fd;
	bool for_vmms;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client *clients;
	uint32_t nr_clients;
};

static const struct {
	const char *name;
	json_t *(*call)(struct request *request);
} methods[] = {
#define METHOD(function, name, params, result) { name, method_##function },
#include "rpc.tbl.h"
#undef METHOD
};

static const char *const methods_for_vmms[] = { "vm.open", "vm.take" };

/* ---- calls ---- */

json_t *request_fail(struct request *request, const char *code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(request->message, sizeof(request->message), format, args);
	va_end(args);
	request->code = code;
	return NULL;
}

static const char *code_of(int err)
{
	switch (-err) {
	case ENOENT:
		return RPC_NOT_FOUND;
	case EEXIST:
	case EBUSY:
		return RPC_CONFLICT;
	case EPERM:
	case EACCES:
		return RPC_DENIED;
	case ENOTCONN:
	case ETIMEDOUT:
		return RPC_UNREACHABLE;
	case EINVAL:
		return RPC_INVALID;
	default:
		return RPC_FAILED;
	}
}

json_t *request_fail_errno(struct request *request, int err, const char *what)
{
	if (err == -ENOTTY)
		return request_fail(request, RPC_FAILED,
				    "%s: not known to the loaded kernel modules (modprobe dvmm-vcpu)", what);
	return request_fail(request, code_of(err), "%s: %s", what, strerror(-err));
}

static bool is_for_vmms(const char *name)
{
	for (size_t i = 0; i < sizeof(methods_for_vmms) / sizeof(methods_for_vmms[0]); i++)
		if (!strcmp(methods_for_vmms[i], name))
			return true;
	return false;
}

static json_t *call_method(struct request *request, const char *name, bool by_vmm)
{
	if (by_vmm && !is_for_vmms(name))
		return request_fail(request, RPC_DENIED, "%s: not for VMMs", name);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i].name, name))
			return methods[i].call(request);
	return request_fail(request, RPC_INVALID, "%s: no such method", name);
}

static json_t *call(struct request *request, json_t *call, bool by_vmm)
{
	const char *method = json_string_value(json_object_get(call, "method"));

	request->params = json_object_get(call, "params");
	if (!method)
		return request_fail(request, RPC_INVALID, "a request is a JSON object with a method");
	if (request->params && !json_is_object(request->params))
		return request_fail(request, RPC_INVALID, "params must be an object");
	return call_method(request, method, by_vmm);
}

/* ---- sending ---- */

static void free_line(struct line *line)
{
	if (line->fd >= 0)
		close(line->fd);
	free(line);
}

static void close_client(struct client *client)
{
	struct client **place = &client->server->clients;

	while (*place != client)
		place = &(*place)->next;
	*place = client->next;
	client->server->nr_clients--;
	if (client->later)
		later_set_client(client->later, NULL);
	while (client->first_line) {
		struct line *line = client->first_line;

		client->first_line = line->next;
		free_line(line);
	}
	sd_event_source_unref(client->source);
	close(client->fd);
	free(client);
}

static ssize_t send_rest(int fd, struct line *line)
{
	struct iovec rest = { line->text + line->sent, line->len - line->sent };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &rest, .msg_iovlen = 1 };

	if (line->fd >= 0) {
		struct cmsghdr *header = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &line->fd, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Returns 0 when there is nothing left or the socket is full. */
static int flush_lines(struct client *client)
{
	while (client->first_line) {
		struct line *line = client->first_line;
		ssize_t nr = send_rest(client->fd, line);

		if (nr < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (line->fd >= 0) {
			close(line->fd);
			line->fd = -1;
		}
		line->sent += nr;
		client->unsent -= nr;
		if (line->sent < line->len)
			continue;
		client->first_line = line->next;
		if (!client->first_line)
			client->last_line = &client->first_line;
		free_line(line);
	}
	return 0;
}

static int update_wanted(struct client *client)
{
	bool is_full = client->nr_read == sizeof(client->read);

	return sd_event_source_set_io_events(client->source,
					     (is_full ? 0 : EPOLLIN) |
					     (client->first_line ? EPOLLOUT : 0));
}

/* Owns @fd from now on, also when it fails. */
static int queue_json(struct client *client, json_t *json, int fd)
{
	size_t len = json_dumpb(json, NULL, 0, JSON_COMPACT);
	struct line *line = malloc(sizeof(*line) + len + 1);

	if (!line || client->unsent + len > UNSENT_MAX) {
		if (fd >= 0)
			close(fd);
		free(line);
		return -ENOBUFS;
	}
	json_dumpb(json, line->text, len, JSON_COMPACT);
	line->text[len] = '\n';
	line->next = NULL;
	line->fd = fd;
	line->len = len + 1;
	line->sent = 0;
	*client->last_line = line;
	client->last_line = &line->next;
	client->unsent += line->len;
	return flush_lines(client) ?: update_wanted(client);
}

void server_broadcast(struct agent *agent, json_t *event)
{
	struct client *client, *next;
	json_t *line;

	if (!agent->server)
		return;
	line = json_pack("{s:O}", "event", event);
	for (client = agent->server->clients; client; client = next) {
		next = client->next;
		if (client->follows && queue_json(client, line, -1) < 0)
			close_client(client);
	}
	json_decref(line);
}

/* ---- receiving ---- */

static int send_answer(struct client *client, struct request *request, json_t *result)
{
	json_t *line;
	int err;

	if (result)
		line = json_pack("{s:o}", "result", result);
	else
		line = json_pack("{s:{s:s, s:s}}", "error", "code", request->code,
				 "message", request->message);
	err = line ? queue_json(client, line, request->fd) : -ENOMEM;
	client->follows |= request->follow;
	json_decref(line);
	return err;
}

static int answer(struct client *client, const char *text, size_t len)
{
	struct request request = { .agent = client->server->agent, .fd = -1 };
	json_error_t error;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	socklen_t peer_size = sizeof(request.peer);
	json_t *result;
	int err = 0;

	getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &request.peer, &peer_size);
	result = call(&request, json, client->server->for_vmms);
	client->later = request.later;
	if (request.later)
		later_set_client(request.later, client);
	else
		err = send_answer(client, &request, result);
	json_decref(json);
	return err;
}

/* Up to one whose answer comes later. */
static int answer_lines(struct client *client)
{
	char *end;

	while (!client->later && (end = memchr(client->read, '\n', client->nr_read))) {
		size_t len = end + 1 - client->read;
		int err = answer(client, client->read, len);

		if (err < 0)
			return err;
		client->nr_read -= len;
		memmove(client->read, end + 1, client->nr_read);
	}
	return client->nr_read == sizeof(client->read) && !client->later ? -EMSGSIZE : 0;
}

void client_answer(struct client *client, struct request *request, json_t *result)
{
	int err;

	client->later = NULL;
	err = send_answer(client, request, result);
	if (!err)
		err = answer_lines(client) ?: update_wanted(client);
	if (err < 0)
		close_client(client);
}

static int receive(struct client *client)
{
	ssize_t nr = recv(client->fd, client->read + client->nr_read,
			  sizeof(client->read) - client->nr_read, MSG_DONTWAIT);

	if (nr < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!nr)
		return -EPIPE;
	client->nr_read += nr;
	return answer_lines(client) ?: update_wanted(client);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct client *client = arg;
	int err = 0;

	(void)source;
	(void)fd;
	if (revents & EPOLLOUT)
		err = flush_lines(client) ?: update_wanted(client);
	if (err >= 0 && revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		err = receive(client);
	if (err < 0)
		close_client(client);
	return 0;
}

static int add_client(struct server *server, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int err;

	if (!client)
		return -ENOMEM;
	client->server = server;
	client->fd = fd;
	client->last_line = &client->first_line;
	err = sd_event_add_io(server->agent->loop, &client->source, fd, EPOLLIN, on_client, client);
	if (err < 0) {
		free(client);
		return err;
	}
	client->next = server->clients;
	server->clients = client;
	server->nr_clients++;
	return 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct server *server = arg;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)revents;
	if (client < 0)
		return 0;
	if (server->nr_clients >= NR_CLIENTS_MAX || add_client(server, client) < 0)
		close(client);
	return 0;
}

/* ---- life ---- */

static void make_folder_of(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		mkdir(folder, 0755);
	}
}

/* As /dev/kvm. A host without that group has no VMM but root's. */
static void give_to_kvm_group(const char *path)
{
	struct group *group = getgrnam("kvm");

	if (!group || chown(path, -1, group->gr_gid) || chmod(path, 0660))
		log_warning("%s: not for group kvm (%s): only root's VMMs can use it", path,
			    group ? strerror(errno) : "there is none");
}

/* A socket file that nobody answers on is left from an agent that was killed. */
static bool is_in_use(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool in_use = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr));

	close(fd);
	return in_use;
}

static int bind_socket(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	strcpy(addr.sun_path, path);
	make_folder_of(path);
	if (is_in_use(&addr))
		return -EADDRINUSE;
	unlink(path);
	mask = umask(0177);
	err = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	umask(mask);
	return err ?: listen(fd, 16) ? -errno : 0;
}

static int start(struct agent *agent, const char *path, bool for_vmms, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof(*server));
	int err = -ENAMETOOLONG;

	if (!server)
		return -ENOMEM;
	server->agent = agent;
	server->for_vmms = for_vmms;
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (strlen(path) >= sizeof(server->path))
		goto close_socket;
	err = bind_socket(server->fd, path);
	if (err)
		goto close_socket;
	strcpy(server->path, path);
	if (for_vmms)
		give_to_kvm_group(path);
	err = sd_event_add_io(agent->loop, &server->source, server->fd, EPOLLIN, on_connect, server);
	if (err < 0)
		goto close_socket;
	*ret_server = server;
	return 0;

close_socket:
	log_error("%s: %s", path, strerror(-err));
	close(server->fd);
	free(server);
	return err;
}

static int path_beside(const char *path, char ret_path[CONFIG_PATH_SIZE])
{
	const char *slash = strrchr(path, '/');
	int folder_len = slash ? slash + 1 - path : 0;
	int len = snprintf(ret_path, CONFIG_PATH_SIZE, "%.*s%s", folder_len, path,
			   strrchr(RPC_VMM_SOCKET, '/') + 1);

	return len < CONFIG_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

int server_start(struct agent *agent, const char *path)
{
	char vmm_path[CONFIG_PATH_SIZE];

	return path_beside(path, vmm_path) ?: start(agent, path, false, &agent->server) ?:
	       start(agent, vmm_path, true, &agent->vmm_server);
}

static void stop(struct server *server)
{
	if (!server)
		return;
	while (server->clients)
		close_client(server->clients);
	sd_event_source_unref(server->source);
	unlink(server->path);
	close(server->fd);
	free(server);
}

void server_stop(struct agent *agent)
{
	struct server *server = agent->server;

	agent->server = NULL;
	stop(server);
	stop(agent->vmm_server);
	agent->vmm_server = NULL;
}
