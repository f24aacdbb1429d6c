/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cluster/session.h - a TLS 1.3 connection that carries lines, on an event loop. */
#ifndef AGENT_CLUSTER_SESSION_H
#define AGENT_CLUSTER_SESSION_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct session;

/**
 * struct session_use - what the owner wants to know; each may call session_free()
 * @opened: the handshake is done. Whether the other side is who it should be is not known yet
 * @line: a line, without its end; @text[@len] is 0
 * @closed: it ended, by the other side, an error or a deadline. The owner calls session_free()
 */
struct session_use {
	void (*opened)(struct session *session, void *arg);
	void (*line)(struct session *session, const char *text, size_t len, void *arg);
	void (*closed)(struct session *session, const char *why, void *arg);
};

/**
 * session_new() - begin a handshake
 * @fd: a connected or connecting socket, non-blocking; taken over, also on failure
 * @is_server: which side this is
 * @line_max: the longest line that is taken
 * @within_ms: for the handshake
 *
 * Return: 0 or -errno
 */
int session_new(sd_event *loop, int fd, bool is_server,
		gnutls_certificate_credentials_t credentials, size_t line_max, uint32_t within_ms,
		const struct session_use *use, void *arg, struct session **ret_session);
void session_free(struct session *session);

/** session_send() - a line (with its end); what cannot be sent now is kept. -errno: too much */
int session_send(struct session *session, const char *text, size_t len);
/** session_send_last() - the same; then it is closed: @closed is called with "" */
int session_send_last(struct session *session, const char *text, size_t len);
/** session_set_deadline() - until then something has to have come; @what of, for the message */
int session_set_deadline(struct session *session, uint32_t within_ms, const char *what);
/** session_set_line_max() - from now on */
void session_set_line_max(struct session *session, size_t line_max);
gnutls_session_t session_tls(const struct session *session);
int session_fd(const struct session *session);
void *session_arg(const struct session *session);

#endif
