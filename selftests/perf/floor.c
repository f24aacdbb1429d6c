// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * floor.c - what a distributed memory in user space could be at best: a fault that
 * userfaultfd hands to a thread, and a page asked for over TCP. Medians, in ns.
 *
 *	floor serve PORT		answers each 8 bytes with a page
 *	floor ask ADDRESS PORT PAGES	prints "uffd NS", "tcp NS" and, one within the
 *					other, "both NS"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static int peer;	/* the connection */
static int uffd;
static volatile bool over_tcp;	/* faults are answered with a page of the peer */
static char page[PAGE] __attribute__((aligned(PAGE)));

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double ns_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	must(inet_pton(AF_INET, host, &address.sin_addr) == 1, host);
	return address;
}

static void send_at_once(int fd)
{
	int one = 1;

	must(!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), "TCP_NODELAY");
}

static void serve(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	uint64_t request;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(!bind(fd, (void *)&address, sizeof(address)) && !listen(fd, 1), "listen");
	printf("serving\n");
	fflush(stdout);
	peer = accept(fd, NULL, NULL);
	must(peer >= 0, "accept");
	send_at_once(peer);
	while (recv(peer, &request, sizeof(request), MSG_WAITALL) == sizeof(request))
		must(send(peer, page, PAGE, 0) == PAGE, "send");
}

static void fetch_page(uint64_t which)
{
	must(send(peer, &which, sizeof(which), 0) == sizeof(which), "send");
	must(recv(peer, page, PAGE, MSG_WAITALL) == PAGE, "recv");
}

static void *handle_faults(void *unused)
{
	struct uffd_msg msg;

	(void)unused;
	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		struct uffdio_copy copy = { .src = (uintptr_t)page, .len = PAGE };

		copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
		if (over_tcp)
			fetch_page(copy.dst);
		must(!ioctl(uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	}
	return NULL;
}

static void start_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	pthread_t thread;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	must(uffd >= 0, "userfaultfd");
	must(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API");
	must(!pthread_create(&thread, NULL, handle_faults, NULL), "pthread_create");
}

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static volatile char *make_faulting(long pages)
{
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *base = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(base != MAP_FAILED, "mmap");
	range.range.start = (uintptr_t)base;
	range.range.len = pages * PAGE;
	must(!ioctl(uffd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
	return base;
}

static void median(const char *name, double *ns, long pages)
{
	qsort(ns, pages, sizeof(*ns), by_size);
	printf("%s %.0f\n", name, ns[pages / 2]);
}

static void time_faults(const char *name, double *ns, long pages)
{
	volatile char *base = make_faulting(pages);

	for (long i = 0; i < pages; i++) {
		double began = ns_now();

		(void)base[i * PAGE];
		ns[i] = ns_now() - began;
	}
	median(name, ns, pages);
}

static void time_fetches(double *ns, long pages)
{
	for (long i = 0; i < pages; i++) {
		double began = ns_now();

		fetch_page(i);
		ns[i] = ns_now() - began;
	}
	median("tcp", ns, pages);
}

static void ask(const char *host, const char *port, long pages)
{
	struct sockaddr_in address = address_of(host, port);
	double *ns = calloc(pages, sizeof(*ns));

	must(ns && pages > 0, "PAGES");
	peer = socket(AF_INET, SOCK_STREAM, 0);
	must(!connect(peer, (void *)&address, sizeof(address)), "connect");
	send_at_once(peer);
	start_faults();
	time_faults("uffd", ns, pages);
	time_fetches(ns, pages);
	over_tcp = true;
	time_faults("both", ns, pages);
	free(ns);
}

int main(int argc, char **argv)
{
	alarm(120);
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		serve(argv[2]);
	} else if (argc == 5 && !strcmp(argv[1], "ask")) {
		ask(argv[2], argv[3], atol(argv[4]));
	} else {
		fprintf(stderr, "usage: floor serve PORT | ask ADDRESS PORT PAGES\n");
		return 2;
	}
	return 0;
}
