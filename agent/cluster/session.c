// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/session.c - see session.h. Who the other side is and what lines mean is the
 * owner's business.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "session.h"

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3"
/* Of who asks and does not read. */
#define UNSENT_MAX (4 * 1024 * 1024)
#define READ_BYTES 16384

enum state { CONNECTING, SHAKING, OPEN, CLOSING };

struct session {
	sd_event_source *io, *timer;
	gnutls_session_t tls;
	int fd;
	enum state state;
	const struct session_use *use;
	void *arg;
	const char *deadline_of;
	bool in_callback; /* of the loop: session_free() only notes */
	bool is_freed;
	bool is_last; /* what is unsent is all there will be */
	size_t line_max, nr_in, room_in;
	char *in;
	size_t nr_out, room_out;
	char *out;
	char why[160];
};

gnutls_session_t session_tls(const struct session *session)
{
	return session->tls;
}

int session_fd(const struct session *session)
{
	return session->fd;
}

void *session_arg(const struct session *session)
{
	return session->arg;
}

void session_set_line_max(struct session *session, size_t line_max)
{
	session->line_max = line_max;
}

/* ---- sending ---- */

static int want_events(struct session *session)
{
	bool writes = session->state == CONNECTING || session->nr_out ||
		      (session->state == SHAKING && gnutls_record_get_direction(session->tls));

	return sd_event_source_set_io_events(session->io, EPOLLIN | (writes ? EPOLLOUT : 0));
}

static int tls_failed(struct session *session, int err)
{
	if (err == GNUTLS_E_FATAL_ALERT_RECEIVED)
		snprintf(session->why, sizeof(session->why), "TLS: the other side says: %s",
			 gnutls_alert_get_name(gnutls_alert_get(session->tls)));
	else
		snprintf(session->why, sizeof(session->why), "TLS: %s", gnutls_strerror(err));
	return -EPROTO;
}

/* Closed at once, with something unread, the last line might not arrive. */
static void say_bye(struct session *session)
{
	gnutls_bye(session->tls, GNUTLS_SHUT_WR);
	shutdown(session->fd, SHUT_WR);
	session->state = CLOSING;
}

static int wait_for_close(struct session *session)
{
	char unread[READ_BYTES];
	ssize_t nr = recv(session->fd, unread, sizeof(unread), MSG_DONTWAIT);

	return nr > 0 || (nr < 0 && errno == EAGAIN) ? 0 : -ESHUTDOWN;
}

static int flush_out(struct session *session)
{
	while (session->nr_out) {
		ssize_t nr = gnutls_record_send(session->tls, session->out, session->nr_out);

		if (nr == GNUTLS_E_AGAIN || nr == GNUTLS_E_INTERRUPTED)
			return 0;
		if (nr < 0)
			return tls_failed(session, nr);
		session->nr_out -= nr;
		memmove(session->out, session->out + nr, session->nr_out);
	}
	if (session->is_last)
		say_bye(session);
	return 0;
}

static int make_room(char **buffer, size_t *room, size_t wanted)
{
	char *larger;

	if (wanted <= *room)
		return 0;
	wanted += wanted / 2;
	larger = realloc(*buffer, wanted);
	if (!larger)
		return -ENOMEM;
	*buffer = larger;
	*room = wanted;
	return 0;
}

/* It goes out from the loop: a callback may be on the stack of whoever calls. */
int session_send(struct session *session, const char *text, size_t len)
{
	if (session->nr_out + len > UNSENT_MAX)
		return -ENOBUFS;
	if (make_room(&session->out, &session->room_out, session->nr_out + len))
		return -ENOMEM;
	memcpy(session->out + session->nr_out, text, len);
	session->nr_out += len;
	return want_events(session);
}

int session_send_last(struct session *session, const char *text, size_t len)
{
	session->is_last = true;
	return session_send(session, text, len);
}

/* ---- receiving ---- */

static int hand_over_lines(struct session *session)
{
	char *end;

	while (!session->is_freed && !session->is_last &&
	       (end = memchr(session->in, '\n', session->nr_in))) {
		size_t len = end - session->in;
		char *line = malloc(len + 1);

		if (!line)
			return -ENOMEM;
		memcpy(line, session->in, len);
		line[len] = '\0';
		session->nr_in -= len + 1;
		memmove(session->in, end + 1, session->nr_in);
		session->use->line(session, line, len, session->arg);
		free(line);
	}
	return 0;
}

static int receive_some(struct session *session)
{
	ssize_t nr;

	if (make_room(&session->in, &session->room_in, session->nr_in + READ_BYTES))
		return -ENOMEM;
	nr = gnutls_record_recv(session->tls, session->in + session->nr_in, READ_BYTES);
	if (nr == GNUTLS_E_AGAIN || nr == GNUTLS_E_INTERRUPTED)
		return -EAGAIN;
	if (nr == GNUTLS_E_PREMATURE_TERMINATION || !nr)
		return -EPIPE;
	if (nr < 0)
		return tls_failed(session, nr);
	session->nr_in += nr;
	return 0;
}

static int receive(struct session *session)
{
	int err = 0;

	while (!session->is_freed && !session->is_last && !err) {
		err = receive_some(session) ?: hand_over_lines(session);
		if (!err && !session->is_freed && session->nr_in >= session->line_max) {
			snprintf(session->why, sizeof(session->why),
				 "a line of more than %zu bytes", session->line_max);
			return -EMSGSIZE;
		}
	}
	return err == -EAGAIN ? 0 : err;
}

/* ---- the loop ---- */

static int finish_connect(struct session *session)
{
	socklen_t size = sizeof(int);
	int err = 0;

	getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &err, &size);
	session->state = SHAKING;
	return -err;
}

static int shake_hands(struct session *session)
{
	int err = gnutls_handshake(session->tls);

	if (err == GNUTLS_E_AGAIN || err == GNUTLS_E_INTERRUPTED)
		return -EAGAIN;
	if (err < 0 && gnutls_error_is_fatal(err))
		return tls_failed(session, err);
	if (err < 0) /* a warning */
		return -EAGAIN;
	session->state = OPEN;
	session->use->opened(session, session->arg);
	return 0;
}

static int go_on(struct session *session)
{
	int err = 0;

	if (session->state == CONNECTING)
		err = finish_connect(session);
	if (!err && session->state == SHAKING)
		err = shake_hands(session);
	if (err)
		return err == -EAGAIN ? 0 : err;
	if (session->is_freed)
		return 0;
	if (session->state == CLOSING)
		return wait_for_close(session);
	err = flush_out(session) ?: receive(session);
	/* What the lines made us say need not wait for the next round. */
	return err || session->is_freed ? err : flush_out(session);
}

static void free_now(struct session *session)
{
	sd_event_source_disable_unref(session->io);
	sd_event_source_disable_unref(session->timer);
	gnutls_deinit(session->tls);
	close(session->fd);
	free(session->in);
	free(session->out);
	free(session);
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session->is_freed = true;
	if (!session->in_callback)
		free_now(session);
}

static const char *why_of(struct session *session, int err)
{
	if (err == -ESHUTDOWN)
		return "";
	if (*session->why)
		return session->why;
	return err == -EPIPE ? "the other side has closed the connection" : strerror(-err);
}

static void end(struct session *session, int err)
{
	if (session->state == OPEN)
		gnutls_bye(session->tls, GNUTLS_SHUT_WR);
	sd_event_source_set_enabled(session->io, SD_EVENT_OFF);
	sd_event_source_set_enabled(session->timer, SD_EVENT_OFF);
	session->use->closed(session, why_of(session, err), session->arg);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct session *session = arg;
	int err;

	(void)source;
	(void)fd;
	(void)revents;
	session->in_callback = true;
	err = go_on(session);
	if (!err && !session->is_freed)
		err = want_events(session);
	if (err < 0 && !session->is_freed)
		end(session, err);
	session->in_callback = false;
	if (session->is_freed)
		free_now(session);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *arg)
{
	struct session *session = arg;

	(void)source;
	(void)usec;
	snprintf(session->why, sizeof(session->why), "no %s in time", session->deadline_of);
	session->in_callback = true;
	end(session, -ETIMEDOUT);
	session->in_callback = false;
	if (session->is_freed)
		free_now(session);
	return 0;
}

int session_set_deadline(struct session *session, uint32_t within_ms, const char *what)
{
	int err = sd_event_source_set_time_relative(session->timer, within_ms * 1000ull);

	session->deadline_of = what;
	return err < 0 ? err : sd_event_source_set_enabled(session->timer, SD_EVENT_ONESHOT);
}

/* ---- making ---- */

/* Without tickets no session is ever resumed: each is checked in full. */
static int make_tls(struct session *session, bool is_server,
		    gnutls_certificate_credentials_t credentials)
{
	unsigned int flags = GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL;
	int err = gnutls_init(&session->tls, flags | (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT));

	if (err < 0)
		return -ENOMEM;
	if (gnutls_priority_set_direct(session->tls, PRIORITY, NULL) < 0 ||
	    gnutls_credentials_set(session->tls, GNUTLS_CRD_CERTIFICATE, credentials) < 0) {
		gnutls_deinit(session->tls);
		return -EINVAL;
	}
	if (is_server)
		gnutls_certificate_server_set_request(session->tls, GNUTLS_CERT_REQUEST);
	gnutls_handshake_set_timeout(session->tls, GNUTLS_INDEFINITE_TIMEOUT); /* the timer's */
	gnutls_transport_set_int(session->tls, session->fd);
	return 0;
}

static int add_sources(struct session *session, sd_event *loop, uint32_t within_ms)
{
	int err = sd_event_add_io(loop, &session->io, session->fd, EPOLLIN | EPOLLOUT, on_io,
				  session);

	if (err >= 0)
		err = sd_event_add_time_relative(loop, &session->timer, CLOCK_MONOTONIC,
						 within_ms * 1000ull, 1000, on_deadline, session);
	return err < 0 ? err : 0;
}

int session_new(sd_event *loop, int fd, bool is_server,
		gnutls_certificate_credentials_t credentials, size_t line_max, uint32_t within_ms,
		const struct session_use *use, void *arg, struct session **ret_session)
{
	struct session *session = calloc(1, sizeof(*session));
	int err = -ENOMEM;

	if (!session)
		goto close_fd;
	session->fd = fd;
	session->state = is_server ? SHAKING : CONNECTING;
	session->use = use;
	session->arg = arg;
	session->line_max = line_max;
	session->deadline_of = is_server ? "handshake" : "connection";
	err = make_tls(session, is_server, credentials);
	if (err)
		goto free_session;
	err = add_sources(session, loop, within_ms);
	if (err) {
		free_now(session);
		return err;
	}
	*ret_session = session;
	return 0;

free_session:
	free(session);
close_fd:
	close(fd);
	return err;
}
