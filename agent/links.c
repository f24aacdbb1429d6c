// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/links.c - the fds that keep the links outlive the agent: systemd has them while it
 * restarts (sd_listen_fds(3), FileDescriptorStoreMax=), so that VMs go on. Without systemd
 * links end with the agent, and so do VMs that need them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

#define GONE_WITHIN_MS 2000

static void name_of(uint32_t node_id, char name[16])
{
	snprintf(name, 16, "link-%u", node_id);
}

void links_store(uint32_t node_id, int fd)
{
	char name[16], state[64];

	name_of(node_id, name);
	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
	sd_pid_notify_with_fds(0, 0, state, &fd, 1);
}

static void forget(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* The link ends when systemd, too, has closed it. */
void links_drop(struct agent *agent, uint32_t node_id, int fd)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	struct dvmm_link_get link;
	char name[16];

	name_of(node_id, name);
	forget(name);
	close(fd);
	for (int ms = 0; ms < GONE_WITHIN_MS && dvmm_link_get(agent->control, node_id, &link) != -ENOENT; ms += 20)
		nanosleep(&pause, NULL);
}

/* Is the link still to where the configuration says? */
static bool is_so(struct agent *agent, const struct config_node *peer)
{
	struct dvmm_link_get link;

	return !dvmm_link_get(agent->control, peer->id, &link) && !strcmp(link.out_name, peer->name) &&
	       !memcmp(&link.out_addr, &peer->addr, sizeof(peer->addr));
}

static const struct config_node *peer_with(const struct agent *agent, uint32_t node_id)
{
	for (uint32_t i = 0; i < agent->config.nr_peers; i++)
		if (agent->config.peers[i].id == node_id)
			return &agent->config.peers[i];
	return NULL;
}

static void take_one(struct agent *agent, const char *name, int fd, bool is_same_node)
{
	const struct config_node *peer;
	uint32_t node_id;

	if (sscanf(name, "link-%u", &node_id) != 1 || node_id >= DVMM_MAX_NODES) {
		forget(name);
		close(fd);
		return;
	}
	peer = peer_with(agent, node_id);
	if (is_same_node && peer && agent->link_fds[node_id] < 0 && is_so(agent, peer))
		agent->link_fds[node_id] = fd;
	else
		links_drop(agent, node_id, fd);
}

void links_take_stored(struct agent *agent, bool is_same_node)
{
	char **names = NULL;
	int nr = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < nr; i++) {
		take_one(agent, names[i], SD_LISTEN_FDS_START + i, is_same_node);
		free(names[i]);
	}
	free(names);
}
