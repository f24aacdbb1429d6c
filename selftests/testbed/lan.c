// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lan.c - the Ethernet segment between the emulated hosts.
 *
 * One datagram socket per host (file descriptors on the command line), frames
 * forwarded by MAC address: host n has the address 52:54:00:77:00:0n. Each
 * direction of each pair can be cut, delayed or made lossy by lines on stdin:
 *
 *	FROM TO cut|join
 *	FROM TO delay MICROSECONDS
 *	FROM TO loss PERMILLE
 *
 * Each line is answered with "ok" on stdout once it is in force. Ends with stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_HOSTS	8
#define MAX_FRAME	65536
#define MAX_QUEUED	4096	/* frames under way in one direction */

struct frame {
	struct frame *next;
	uint64_t due_us;
	size_t len;
	uint8_t data[];
};

struct path {
	int is_cut;
	uint64_t delay_us;
	unsigned int loss_permille;
	unsigned int nr_queued;
	struct frame *first, **last;	/* by due time: delay changes keep order */
};

static struct path paths[MAX_HOSTS][MAX_HOSTS];
static int socks[MAX_HOSTS];
static int is_full[MAX_HOSTS];	/* socket takes no more until POLLOUT */
static int nr_hosts;

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

/* False when it must be tried again later; a host that is gone takes everything. */
static int deliver(int to, const void *data, size_t len)
{
	if (is_full[to])
		return 0;
	if (send(socks[to], data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	is_full[to] = errno == EAGAIN || errno == ENOBUFS;
	return !is_full[to];
}

static void enqueue(struct path *path, const void *data, size_t len)
{
	struct frame *frame;

	if (path->nr_queued == MAX_QUEUED)
		return;
	frame = malloc(sizeof(*frame) + len);
	if (!frame)
		return;
	frame->next = NULL;
	frame->due_us = now_us() + path->delay_us;
	frame->len = len;
	memcpy(frame->data, data, len);
	*path->last = frame;
	path->last = &frame->next;
	path->nr_queued++;
}

static void forward(int from, int to, const void *data, size_t len)
{
	struct path *path = &paths[from][to];

	if (path->is_cut)
		return;
	if (path->loss_permille && (unsigned int)(random() % 1000) < path->loss_permille)
		return;
	if (path->delay_us || path->first || !deliver(to, data, len))
		enqueue(path, data, len);
}

static void release_due(struct path *path, int to)
{
	while (path->first && path->first->due_us <= now_us()) {
		struct frame *frame = path->first;

		if (!path->is_cut && !deliver(to, frame->data, frame->len))
			return;
		path->first = frame->next;
		if (!path->first)
			path->last = &path->first;
		path->nr_queued--;
		free(frame);
	}
}

static void release_all_due(void)
{
	for (int from = 0; from < nr_hosts; from++)
		for (int to = 0; to < nr_hosts; to++)
			release_due(&paths[from][to], to);
}

/* The host a frame is for, or -1 for all others. */
static int frame_target(const uint8_t *frame)
{
	static const uint8_t prefix[5] = { 0x52, 0x54, 0x00, 0x77, 0x00 };

	if (memcmp(frame, prefix, sizeof(prefix)) || !frame[5] || frame[5] > nr_hosts)
		return -1;
	return frame[5] - 1;
}

static int receive(int from)
{
	static uint8_t frame[MAX_FRAME];
	ssize_t len = recv(socks[from], frame, sizeof(frame), MSG_DONTWAIT);
	int target;

	if (len < 14)
		return len > 0;
	target = frame_target(frame);
	for (int to = 0; to < nr_hosts; to++)
		if (to != from && (target < 0 || target == to))
			forward(from, to, frame, len);
	return 1;
}

static int obey(const char *line)
{
	unsigned int from, to;
	unsigned long value = 0;
	char verb[16];
	struct path *path;

	if (sscanf(line, "%u %u %15s %lu", &from, &to, verb, &value) < 3 ||
	    !from || !to || from > MAX_HOSTS || to > MAX_HOSTS)
		return 0;
	path = &paths[from - 1][to - 1];
	if (!strcmp(verb, "cut") || !strcmp(verb, "join"))
		path->is_cut = verb[0] == 'c';
	else if (!strcmp(verb, "delay"))
		path->delay_us = value;
	else if (!strcmp(verb, "loss"))
		path->loss_permille = value;
	else
		return 0;
	return 1;
}

static int obey_stdin(void)
{
	static char text[4096];
	static size_t used;
	ssize_t n = read(0, text + used, sizeof(text) - 1 - used);
	char *end;

	if (n <= 0)
		return 0;
	used += n;
	text[used] = 0;
	while ((end = strchr(text, '\n'))) {
		*end = 0;
		printf("%s\n", obey(text) ? "ok" : "bad");
		fflush(stdout);
		used -= end + 1 - text;
		memmove(text, end + 1, used + 1);
	}
	return 1;
}

static int ms_to_next_due(void)
{
	uint64_t next = UINT64_MAX, now = now_us();

	for (int from = 0; from < nr_hosts; from++)
		for (int to = 0; to < nr_hosts; to++)
			if (paths[from][to].first && !is_full[to] &&
			    paths[from][to].first->due_us < next)
				next = paths[from][to].first->due_us;
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (next - now + 999) / 1000;
}

static void serve_host(int host, struct pollfd *fd)
{
	if (fd->revents & POLLOUT)
		is_full[host] = 0;
	if (fd->revents & POLLIN)
		for (int burst = 0; burst < 64 && receive(host); burst++)
			;
	else if (fd->revents & (POLLERR | POLLHUP))
		fd->fd = -1;	/* that host is gone */
	if (fd->fd < 0)
		is_full[host] = 0;
}

static void run(void)
{
	struct pollfd fds[MAX_HOSTS + 1];

	for (int i = 0; i < nr_hosts; i++)
		fds[i] = (struct pollfd){ .fd = socks[i] };
	fds[nr_hosts] = (struct pollfd){ .fd = 0, .events = POLLIN };
	for (;;) {
		for (int i = 0; i < nr_hosts; i++)
			fds[i].events = POLLIN | (is_full[i] ? POLLOUT : 0);
		if (poll(fds, nr_hosts + 1, ms_to_next_due()) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < nr_hosts; i++)
			serve_host(i, &fds[i]);
		release_all_due();
		if (fds[nr_hosts].revents && !obey_stdin())
			return;
	}
}

int main(int argc, char **argv)
{
	nr_hosts = argc - 1;
	if (nr_hosts < 1 || nr_hosts > MAX_HOSTS) {
		fprintf(stderr, "usage: lan FD...\n");
		return 2;
	}
	for (int i = 0; i < nr_hosts; i++)
		socks[i] = atoi(argv[i + 1]);
	for (int from = 0; from < MAX_HOSTS; from++)
		for (int to = 0; to < MAX_HOSTS; to++)
			paths[from][to].last = &paths[from][to].first;
	run();
	return 0;
}
