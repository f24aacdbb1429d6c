// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/link/linkctl.c - drives /dev/dvmm/control from a scenario: one command
 * a line on stdin, answers and events on stdout.
 *
 *   node ID ADDR PORT [key=BYTE] [cluster=BYTE] [epoch=N]
 *   add ID ADDR PORT [lost_after_ms]     keep a link
 *   get ID                               its state
 *   close ID                             take it away
 *   stat node|link ID                    its counters
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/dvmm.h>
#include <dvmm/event.h>
#include <dvmm/stat.h>

static int control;
static int link_fds[DVMM_MAX_NODES];

static const char *event_word(unsigned int kind)
{
	switch (kind) {
#define EVENT(name, number, word, help) case number: return word;
#include <dvmm/event.tbl.h>
#undef EVENT
	}
	return "?";
}

static const char *state_word(unsigned int state)
{
	static const char * const words[] = { "down", "connecting", "up", "suspect", "lost" };

	return state < 5 ? words[state] : "?";
}

static void answer(const char *what, int ret)
{
	printf("%s: %s\n", what, ret < 0 ? strerrorname_np(errno) : "ok");
}

static void set_addr(struct dvmm_addr *addr, const char *ip, const char *port)
{
	addr->family = AF_INET;
	addr->port = atoi(port);
	inet_pton(AF_INET, ip, addr->addr);
}

static unsigned int option(char **words, const char *name, unsigned int otherwise)
{
	size_t len = strlen(name);

	for (; *words; words++)
		if (!strncmp(*words, name, len) && (*words)[len] == '=')
			return strtoul(*words + len + 1, NULL, 0);
	return otherwise;
}

static void node(char **words)
{
	struct dvmm_node_set set = { .size = sizeof(set), .node_id = atoi(words[1]) };

	set.epoch = option(words, "epoch", 1);
	memset(set.key, option(words, "key", 0x11), sizeof(set.key));
	memset(set.cluster_uuid, option(words, "cluster", 0x22), sizeof(set.cluster_uuid));
	memset(set.node_uuid, set.node_id, sizeof(set.node_uuid));
	set_addr(&set.listen, words[2], words[3]);
	snprintf(set.name, sizeof(set.name), "host%s", words[1]);
	answer("node", ioctl(control, DVMM_NODE_SET, &set));
}

static void add(char **words)
{
	struct dvmm_link_add add = { .size = sizeof(add), .node_id = atoi(words[1]) };
	int ret;

	set_addr(&add.addr, words[2], words[3]);
	snprintf(add.name, sizeof(add.name), "host%s", words[1]);
	if (words[4])
		add.lost_after_ms = atoi(words[4]);
	ret = ioctl(control, DVMM_LINK_ADD, &add);
	if (!ret)
		link_fds[add.node_id] = add.out_fd;
	answer("add", ret);
}

static void get(char **words)
{
	struct dvmm_link_get get = { .size = sizeof(get), .node_id = atoi(words[1]) };
	int ret = ioctl(control, DVMM_LINK_GET, &get);

	if (ret)
		answer("get", ret);
	else
		printf("get: n%u %s rtt_ns=%llu clock_offset=%lld clock_error=%llu reason=%s\n",
		       get.node_id, state_word(get.out_state), (unsigned long long)get.out_rtt_ns,
		       (long long)get.out_clock_offset, (unsigned long long)get.out_clock_error,
		       get.out_reason);
}

static void stat(char **words)
{
	unsigned long long values[64] = {};
	struct dvmm_stat_get get = { .size = sizeof(get), .nr = 64,
				     .values = (unsigned long)values };
	static const char * const node_names[] = {
#define STAT_NODE(name) #name,
#define STAT_LINK(name)
#define STAT_VM(name)
#define STAT(name, kind, unit, help) STAT_##kind(name)
#include <dvmm/stat.tbl.h>
#undef STAT_NODE
#undef STAT_LINK
	};
	static const char * const link_names[] = {
#define STAT_NODE(name)
#define STAT_LINK(name) #name,
#include <dvmm/stat.tbl.h>
	};
	int is_link = !strcmp(words[1], "link");
	unsigned int i;

	get.kind = is_link ? DVMM_STAT_LINK : DVMM_STAT_NODE;
	get.id = words[2] ? atoi(words[2]) : 0;
	if (ioctl(control, DVMM_STAT_GET, &get)) {
		answer("stat", -1);
		return;
	}
	printf("stat:");
	for (i = 0; i < get.nr; i++)
		printf(" %s=%llu", is_link ? link_names[i] : node_names[i], values[i]);
	printf("\n");
}

static void unlink_peer(char **words)
{
	answer("close", close(link_fds[atoi(words[1])]));
}

static void command(char *line)
{
	static const struct { const char *name; int words; void (*act)(char **); } acts[] = {
		{ "node", 4, node }, { "add", 4, add }, { "get", 2, get },
		{ "close", 2, unlink_peer }, { "stat", 2, stat },
	};
	char *words[16] = {};
	int nr = 0;
	size_t i;

	for (words[0] = strtok(line, " \n"); words[nr] && nr < 14; words[nr] = strtok(NULL, " \n"))
		nr++;
	for (i = 0; nr && i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (!strcmp(words[0], acts[i].name) && nr >= acts[i].words) {
			acts[i].act(words);
			return;
		}
	}
	printf("%s: usage\n", nr ? words[0] : "");
}

static void show_events(void)
{
	struct dvmm_event events[16];
	ssize_t bytes = read(control, events, sizeof(events));
	struct dvmm_event *event;

	for (event = events; bytes >= (ssize_t)sizeof(*event); event++, bytes -= sizeof(*event))
		printf("event: %s n%u %s\n", event_word(event->kind), event->node_id, event->text);
}

int main(void)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	control = open("/dev/dvmm/control", O_RDWR | O_NONBLOCK);
	if (control < 0) {
		perror("/dev/dvmm/control");
		return 1;
	}
	fds[1].fd = control;
	for (;;) {
		poll(fds, 2, -1);
		if (fds[1].revents & POLLIN)
			show_events();
		if (fds[0].revents & POLLIN && fgets(line, sizeof(line), stdin))
			command(line);
		else if (fds[0].revents & (POLLIN | POLLHUP))
			return 0;
	}
}
