// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/later.c - methods that take long: their system call is made by a thread, so that
 * the agent goes on; their answer is sent by the loop when it is there. Whose client has
 * gone meanwhile is done all the same, and nobody is told.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "internal.h"

struct later {
	struct later *next;
	struct agent *agent;
	struct client *client; /* NULL: has gone */
	sd_event_source *source;
	pthread_t thread;
	int done_fd;
	int err;
	int (*work)(void *arg);
	json_t *(*answer)(struct request *request, void *arg, int err);
	char arg[];
};

static void *run(void *arg)
{
	struct later *later = arg;

	later->err = later->work(later->arg);
	eventfd_write(later->done_fd, 1);
	return NULL;
}

static void free_later(struct later *later)
{
	sd_event_source_unref(later->source);
	close(later->done_fd);
	free(later);
}

static void remove_later(struct later *later)
{
	struct later **place = &later->agent->laters;

	while (*place != later)
		place = &(*place)->next;
	*place = later->next;
	pthread_join(later->thread, NULL);
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct later *later = arg;
	struct request request = { .agent = later->agent, .fd = -1 };

	(void)source;
	(void)fd;
	(void)revents;
	remove_later(later);
	if (later->client)
		client_answer(later->client, &request,
			      later->answer(&request, later->arg, later->err));
	free_later(later);
	return 0;
}

/* Signals are the loop's. */
static int start_thread(struct later *later)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&later->thread, NULL, run, later);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

json_t *request_later(struct request *request, int (*work)(void *arg),
		      json_t *(*answer)(struct request *request, void *arg, int err),
		      const void *arg, size_t size)
{
	struct later *later = calloc(1, sizeof(*later) + size);
	int err = -ENOMEM;

	if (!later)
		return request_fail_errno(request, err, "agent");
	later->agent = request->agent;
	later->work = work;
	later->answer = answer;
	memcpy(later->arg, arg, size);
	later->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = later->done_fd < 0 ? -errno : 0;
	if (!err)
		err = sd_event_add_io(request->agent->loop, &later->source, later->done_fd,
				      EPOLLIN, on_done, later);
	if (err >= 0)
		err = start_thread(later);
	if (err < 0) {
		free_later(later);
		return request_fail_errno(request, err, "agent");
	}
	later->next = request->agent->laters;
	request->agent->laters = later;
	request->later = later;
	return NULL;
}

void later_set_client(struct later *later, struct client *client)
{
	later->client = client;
}

void later_stop(struct agent *agent)
{
	while (agent->laters) {
		struct later *later = agent->laters;

		remove_later(later);
		free_later(later);
	}
}
