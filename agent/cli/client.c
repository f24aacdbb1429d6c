// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/client.c - one connection to the agent: requests, answers, events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "client.h"

#define ANSWER_WITHIN_S 30
#define LINE_MAX_BYTES (64 * 1024 * 1024)

struct client {
	int fd;
	bool json_errors;
	bool is_open;
	int received_fd; /* came with bytes of the line now read; -1: none */
	char *text;
	size_t nr, room;
};

static int say(bool as_json, int status, const char *code, const char *message)
{
	json_t *json;

	if (!as_json) {
		fprintf(stderr, "dvmm: %s\n", message);
		return status;
	}
	json = json_pack("{s:s, s:s}", "code", code, "message", message);
	json_dumpf(json, stderr, 0);
	fputc('\n', stderr);
	json_decref(json);
	return status;
}

static int say_no_agent(bool as_json, const char *socket, int err)
{
	char message[512];

	if (err == EACCES || err == EPERM) {
		snprintf(message, sizeof(message), "%s: %s (run it as root)", socket, strerror(err));
		return say(as_json, STATUS_DENIED, RPC_DENIED, message);
	}
	snprintf(message, sizeof(message), "no agent answers on %s: %s (systemctl start dvmm-agent)",
		 socket, strerror(err));
	return say(as_json, STATUS_UNREACHABLE, RPC_UNREACHABLE, message);
}

int client_open(const char *path, bool json_errors, struct client **ret_client)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = ANSWER_WITHIN_S };
	struct client *client;
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return say_no_agent(json_errors, path, ENAMETOOLONG);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int err = errno;

		if (fd >= 0)
			close(fd);
		return say_no_agent(json_errors, path, err);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	client = calloc(1, sizeof(*client));
	if (!client)
		abort();
	client->fd = fd;
	client->json_errors = json_errors;
	client->is_open = true;
	client->received_fd = -1;
	*ret_client = client;
	return STATUS_OK;
}

void client_close(struct client *client)
{
	if (!client)
		return;
	if (client->received_fd >= 0)
		close(client->received_fd);
	close(client->fd);
	free(client->text);
	free(client);
}

int client_fd(const struct client *client)
{
	return client->fd;
}

bool client_is_open(const struct client *client)
{
	return client->is_open;
}

/* ---- lines ---- */

static void keep_fd(struct client *client, struct msghdr *msg)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(msg);

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(sizeof(int)))
		return;
	if (client->received_fd >= 0)
		close(client->received_fd);
	memcpy(&client->received_fd, CMSG_DATA(header), sizeof(int));
}

static int make_room(struct client *client)
{
	size_t room = client->room ? 2 * client->room : 65536;
	char *text;

	if (client->nr < client->room)
		return 0;
	text = room <= LINE_MAX_BYTES ? realloc(client->text, room) : NULL;
	if (!text)
		return -ENOMEM;
	client->text = text;
	client->room = room;
	return 0;
}

/* Returns 0, or -errno; -EPIPE: the agent has closed. */
static int receive(struct client *client, int flags)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec rest;
	struct msghdr msg = { .msg_iov = &rest, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int err = make_room(client);
	ssize_t nr;

	if (err)
		return err;
	rest.iov_base = client->text + client->nr;
	rest.iov_len = client->room - client->nr;
	nr = recvmsg(client->fd, &msg, MSG_CMSG_CLOEXEC | flags);
	if (nr < 0)
		return -errno;
	if (!nr)
		return -EPIPE;
	keep_fd(client, &msg);
	client->nr += nr;
	return 0;
}

/* The next whole line of what was received, taken out; NULL: there is none. */
static json_t *take_line(struct client *client)
{
	char *end = client->nr ? memchr(client->text, '\n', client->nr) : NULL;
	json_t *json;
	size_t len;

	if (!end)
		return NULL;
	len = end + 1 - client->text;
	json = json_loadb(client->text, len, 0, NULL);
	client->nr -= len;
	memmove(client->text, end + 1, client->nr);
	return json ? json : json_object();
}

static json_t *next_line(struct client *client, bool wait)
{
	json_t *line;
	int err;

	while (!(line = take_line(client))) {
		err = client->is_open ? receive(client, wait ? 0 : MSG_DONTWAIT) : -EPIPE;
		if (err == -EINTR)
			continue;
		if (err == -EAGAIN && !wait)
			return NULL;
		if (err) {
			client->is_open = false;
			return NULL;
		}
	}
	return line;
}

/* ---- calls ---- */

static const struct {
	const char *code;
	int status;
} codes[] = {
	{ RPC_INVALID, STATUS_USAGE },	   { RPC_NOT_FOUND, STATUS_NOT_FOUND },
	{ RPC_CONFLICT, STATUS_CONFLICT }, { RPC_DENIED, STATUS_DENIED },
	{ RPC_UNREACHABLE, STATUS_UNREACHABLE },
};

int client_status(const char *code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (!strcmp(codes[i].code, code))
			return codes[i].status;
	return STATUS_FAILED;
}

static int say_error(struct client *client, json_t *answer)
{
	const char *code = RPC_FAILED, *message = "the agent gave no answer that makes sense";

	json_unpack(answer, "{s:{s:s, s:s}}", "error", "code", &code, "message", &message);
	return say(client->json_errors, client_status(code), code, message);
}

static int send_line(struct client *client, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len = strlen(text), sent = 0;

	text[len++] = '\n';
	while (sent < len) {
		ssize_t nr = send(client->fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			break;
		sent += nr;
	}
	free(text);
	return sent == len ? 0 : -EPIPE;
}

/* Events may come before the answer: they are not what is waited for. */
static json_t *next_answer(struct client *client)
{
	json_t *line;

	while ((line = next_line(client, true)) && json_object_get(line, "event"))
		json_decref(line);
	return line;
}

int client_call(struct client *client, const char *method, json_t *params, json_t **ret_result,
		int *ret_fd)
{
	json_t *request = json_pack("{s:s, s:o*}", "method", method, "params", params);
	json_t *answer = send_line(client, request) ? NULL : next_answer(client);
	json_t *result = json_object_get(answer, "result");
	int status = STATUS_OK;

	json_decref(request);
	if (!answer)
		status = say(client->json_errors, STATUS_UNREACHABLE, RPC_UNREACHABLE,
			     "the agent does not answer");
	else if (!result)
		status = say_error(client, answer);
	else
		*ret_result = json_incref(result);
	if (!status && ret_fd) {
		*ret_fd = client->received_fd;
		client->received_fd = -1;
	}
	json_decref(answer);
	return status;
}

json_t *client_next_event(struct client *client, bool wait)
{
	struct timeval forever = { 0 };
	json_t *line, *event;

	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	line = next_line(client, wait);
	event = json_incref(json_object_get(line, "event"));
	json_decref(line);
	return event;
}
