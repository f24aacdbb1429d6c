// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/bind.c - a socket at an address of this host. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bind.h"

int bind_addr(const struct dvmm_addr *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(addr->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(addr->port) };
	int fd = socket(addr->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err;

	if (fd < 0)
		return -errno;
	memcpy(&in.sin_addr, addr->addr, 4);
	memcpy(&in6.sin6_addr, addr->addr, 16);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (addr->family == AF_INET)
		err = bind(fd, (struct sockaddr *)&in, sizeof(in));
	else
		err = bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	if (!err)
		return fd;
	err = -errno;
	close(fd);
	return err;
}
