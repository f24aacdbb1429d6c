/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cli/client.h - talks to the agent of this node. */
#ifndef AGENT_CLI_CLIENT_H
#define AGENT_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include "../rpc.h"

/* What a dvmm command exits with. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_NOT_FOUND = 3,
	STATUS_CONFLICT = 4,
	STATUS_DENIED = 5,
	STATUS_UNREACHABLE = 6,
};

/** client_status() - the exit status for the code of an error (agent/rpc.h); STATUS_FAILED for others */
int client_status(const char *code);

struct client;

/**
 * client_open() - connect to the agent
 * @socket: path
 * @json_errors: say failures as JSON
 *
 * Return: 0 or an enum status, then said on stderr
 */
int client_open(const char *socket, bool json_errors, struct client **ret_client);
void client_close(struct client *client);

/**
 * client_call() - call a method and wait for its answer
 * @params: taken over; NULL: none
 * @ret_result: a new reference
 * @ret_fd: the fd that came with the answer or -1; NULL: none is expected
 *
 * Return: 0 or an enum status, then said on stderr
 */
int client_call(struct client *client, const char *method, json_t *params, json_t **ret_result,
		int *ret_fd);

/** client_fd() - for poll(), after event.follow */
int client_fd(const struct client *client);

/**
 * client_next_event() - after event.follow: the next event
 * @wait: until there is one
 *
 * Return: a new reference; NULL: there is none now, or (with @wait) the agent has gone
 */
json_t *client_next_event(struct client *client, bool wait);

/** client_is_open() - false when the agent has closed the connection */
bool client_is_open(const struct client *client);

#endif
