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
	struct deferred *deferred;
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
	deferred_answer(later->deferred, &request, deferred_is_wanted(later->deferred) ?
			later->answer(&request, later->arg, later->err) : NULL);
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

static struct later *start(struct agent *agent, int (*work)(void *arg),
			   json_t *(*answer)(struct request *request, void *arg, int err),
			   const void *arg, size_t size, int *ret_err)
{
	struct later *later = calloc(1, sizeof(*later) + size);
	int err;

	*ret_err = -ENOMEM;
	if (!later)
		return NULL;
	later->agent = agent;
	later->work = work;
	later->answer = answer;
	memcpy(later->arg, arg, size);
	later->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = later->done_fd < 0 ? -errno : 0;
	if (!err)
		err = sd_event_add_io(agent->loop, &later->source, later->done_fd, EPOLLIN, on_done,
				      later);
	if (err >= 0)
		err = start_thread(later);
	if (err < 0) {
		free_later(later);
		*ret_err = err;
		return NULL;
	}
	later->next = agent->laters;
	agent->laters = later;
	return later;
}

json_t *request_later(struct request *request, int (*work)(void *arg),
		      json_t *(*answer)(struct request *request, void *arg, int err),
		      const void *arg, size_t size)
{
	int err;
	struct later *later = start(request->agent, work, answer, arg, size, &err);

	if (!later)
		return request_fail_errno(request, err, "agent");
	later->deferred = request_defer(request);
	return NULL;
}

void later_start(struct agent *agent, struct deferred *deferred, int (*work)(void *arg),
		 json_t *(*answer)(struct request *request, void *arg, int err),
		 const void *arg, size_t size)
{
	struct request request = { .agent = agent, .fd = -1 };
	int err;
	struct later *later = start(agent, work, answer, arg, size, &err);

	if (later)
		later->deferred = deferred;
	else
		deferred_answer(deferred, &request, request_fail_errno(&request, err, "agent"));
}

void later_stop(struct agent *agent)
{
	while (agent->laters) {
		struct later *later = agent->laters;

		struct request request = { .agent = agent, .fd = -1 };

		remove_later(later);
		deferred_answer(later->deferred, &request, NULL);
		free_later(later);
	}
}
