// SPDX-License-Identifier: LGPL-2.1-or-later
/* lib/addr.c - addresses of nodes as text: numeric host and port. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dvmm.h"

static int parse_port(const char *text, uint16_t *ret_port)
{
	unsigned long port = 0;

	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
		return -EINVAL;
	port = strtoul(text, NULL, 10);
	if (port < 1 || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = port;
	return 0;
}

static int parse_host(const char *text, size_t len, int family, uint8_t addr[16])
{
	char host[INET6_ADDRSTRLEN];

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	return inet_pton(family, host, addr) == 1 ? 0 : -EINVAL;
}

int dvmm_addr_parse(const char *text, struct dvmm_addr *ret_addr)
{
	struct dvmm_addr addr = { .family = AF_INET };
	const char *colon = strrchr(text, ':');
	const char *host = text;
	const char *end = colon;

	if (!colon || parse_port(colon + 1, &addr.port))
		return -EINVAL;
	if (*text == '[') {
		addr.family = AF_INET6;
		host++;
		end--;
		if (end < host || *end != ']')
			return -EINVAL;
	}
	if (parse_host(host, end - host, addr.family, addr.addr))
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

const char *dvmm_addr_format(const struct dvmm_addr *addr, char text[DVMM_ADDR_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN];

	if (addr->family != AF_INET && addr->family != AF_INET6)
		return strcpy(text, "-");
	inet_ntop(addr->family, addr->addr, host, sizeof(host));
	snprintf(text, DVMM_ADDR_TEXT_SIZE, addr->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
		 host, addr->port);
	return text;
}
