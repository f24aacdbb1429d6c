// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * netio.c - sends the middle of pages whose ends other vCPUs write to another machine,
 * without a copy (MSG_ZEROCOPY), and brings it back (neighbours.c). With vhost-net
 * there, a thread of the host's kernel reads and writes the guest's pages.
 *
 * -f ADDRESS: who keeps them, which is netio -k serve over there. -n: rounds.
 */
#define _GNU_SOURCE
#include "neighbours.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT		7077
#define TRIES		20
#define ANSWER_SECONDS	2

struct request {
	uint64_t number;	/* of the request: an answer has the same */
	uint32_t page;
	uint32_t is_write;
};

static int peer;
static uint64_t nr_requests, nr_again;

/* What is sent has this before it; a fetched page comes with it. */
static ssize_t pass(ssize_t (*fn)(int fd, struct msghdr *msg, int flags), struct request *request,
		    void *data, size_t len, int flags)
{
	struct iovec parts[] = { { request, sizeof(*request) }, { data, len } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = len ? 2 : 1 };

	return fn(peer, &msg, flags);
}

static ssize_t send_parts(int fd, struct msghdr *msg, int flags)
{
	return sendmsg(fd, msg, flags);
}

/* Says when pages were sent; a few of them fit in there. */
static void empty_error_queue(void)
{
	char control[256];
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };

	while (recvmsg(peer, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		msg.msg_controllen = sizeof(control);
}

static bool is_answered(const struct request *request, void *data, size_t len)
{
	struct request answer;

	for (;;) {
		ssize_t n = pass(recvmsg, &answer, data, len, 0);

		if (n < 0)
			return false;
		if (answer.number == request->number && n == (ssize_t)(sizeof(answer) + len))
			return true;
	}
}

static void transfer_packet(bool is_write, int page, void *at, size_t len)
{
	struct request request = { .number = ++nr_requests, .page = page, .is_write = is_write };

	for (int i = 0; i < TRIES; i++) {
		pass(send_parts, &request, at, is_write ? len : 0, is_write ? MSG_ZEROCOPY : 0);
		if (is_answered(&request, at, is_write ? 0 : len)) {
			empty_error_queue();
			return;
		}
		empty_error_queue();
		nr_again++;
	}
	violation("no answer from %s after %d tries", opt.path, TRIES);
	exit(finish());
}

static void use_peer(const struct part *part)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	int on = 1;

	peer = socket(AF_INET, SOCK_DGRAM, 0);
	if (inet_pton(AF_INET, opt.path, &to.sin_addr) != 1 || connect(peer, (void *)&to, sizeof(to)) ||
	    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(peer, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on))) {
		violation("%s: %s", opt.path, strerror(errno));
		return;
	}
	check_neighbours(part);
	printf("netio: %lu requests, %lu sent again\n", nr_requests, nr_again);
	close(peer);
}

/* Keeps the last of each page, for ever. */
static int serve(void)
{
	static char kept[NEIGHBOUR_PAGES][GUEST_PAGE];
	static struct { struct request request; char data[GUEST_PAGE]; } packet;
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT) }, from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (bind(fd, (void *)&here, sizeof(here))) {
		perror("netio: bind");
		return 1;
	}
	printf("netio: serving\n");
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, &packet, sizeof(packet), 0, (void *)&from, &from_len);
		size_t page = packet.request.page % NEIGHBOUR_PAGES;

		if (n < (ssize_t)sizeof(packet.request))
			continue;
		n -= sizeof(packet.request);
		if (packet.request.is_write) {
			memcpy(kept[page], packet.data, n);
			n = 0;
		} else {
			n = is_planted("whole") ? GUEST_PAGE : NEIGHBOUR_BYTES;
			memcpy(packet.data, kept[page], n);
		}
		sendto(fd, &packet, sizeof(packet.request) + n, 0, (void *)&from, from_len);
	}
}

static const struct neighbours neighbours = { transfer_packet };

static const struct part parts[] = {
	{ "neighbours", 1, use_peer, &neighbours },
};

int main(int argc, char **argv)
{
	opt.iterations = 16;
	opt.path = "127.0.0.1";
	parse_options("netio", argc, argv);
	if (opt.parts && !strcmp(opt.parts, "serve"))
		return serve();
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
