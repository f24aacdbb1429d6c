// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/kmod.c - makes this host a node, and keeps its links. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

/* Of this product: what makes a UUID of ours out of the machine's own id. */
static const sd_id128_t application =
	SD_ID128_MAKE(d7, 1c, 5e, 0a, 93, 44, 4b, 0f, 8a, 61, 27, e5, 70, 3d, 19, c8);

#define LOOK_EVERY_US 2000000

static bool is_not_loaded(int err)
{
	return err == -ENOENT || err == -ENXIO || err == -ENODEV;
}

static int open_control(struct agent *agent)
{
	int fd = dvmm_control_open(O_NONBLOCK);

	if (is_not_loaded(fd))
		return fd;
	if (fd == -EACCES || fd == -EPERM)
		log_error("cannot open " DVMM_CONTROL_PATH ": the agent must run as root");
	else if (fd < 0)
		log_error("cannot open " DVMM_CONTROL_PATH ": %s", strerror(-fd));
	if (fd < 0)
		return fd;
	agent->control = fd;
	return 0;
}

static int fill_node_uuid(const struct config *config, uint8_t uuid[DVMM_UUID_SIZE])
{
	sd_id128_t id;
	int err;

	if (config->has_node_uuid) {
		memcpy(uuid, config->node_uuid, DVMM_UUID_SIZE);
		return 0;
	}
	err = sd_id128_get_machine_app_specific(application, &id);
	if (err < 0) {
		log_error("no machine id (%s): give [node] uuid", strerror(-err));
		return err;
	}
	memcpy(uuid, id.bytes, DVMM_UUID_SIZE);
	return 0;
}

static bool is_set_so(int control, const struct dvmm_node_set *set)
{
	struct dvmm_node_get get;

	return !dvmm_node_get(control, &get) && get.out_node_id == set->node_id &&
	       !strcmp(get.out_name, set->name) &&
	       !memcmp(get.out_cluster_uuid, set->cluster_uuid, DVMM_UUID_SIZE) &&
	       !memcmp(get.out_node_uuid, set->node_uuid, DVMM_UUID_SIZE) &&
	       !memcmp(&get.out_listen, &set->listen, sizeof(set->listen));
}

/* Always set: the key may be new. Only while links are open it cannot be. */
static int set_node_with(struct agent *agent, const uint8_t key[DVMM_KEY_SIZE])
{
	const struct config *config = &agent->config;
	struct dvmm_node_set set = {
		.node_id = config->self.id,
		.epoch = (uint32_t)epoch_number(agent),
		.epoch_high = epoch_number(agent) >> 32,
		.listen = config->self.addr,
	};
	int err = fill_node_uuid(config, set.node_uuid);

	if (err)
		return err;
	strcpy(set.name, config->self.name);
	memcpy(set.cluster_uuid, config->cluster_uuid, DVMM_UUID_SIZE);
	memcpy(set.key, key, DVMM_KEY_SIZE);
	links_take_stored(agent, is_set_so(agent->control, &set));
	err = dvmm_node_set(agent->control, &set);
	explicit_bzero(set.key, DVMM_KEY_SIZE);
	if (err == -EBUSY && is_set_so(agent->control, &set)) {
		log_notice("the node is set up already and has links: of the agent before, or of another one");
		err = 0;
	}
	if (err)
		log_error("cannot set up node %s: %s", set.name, strerror(-err));
	return err;
}

static int set_node(struct agent *agent)
{
	uint8_t key[DVMM_KEY_SIZE];
	int err;

	if (agent->cluster)
		err = cluster_load_key(agent->cluster, key);
	else
		err = config_load_key(&agent->config, stderr, key);
	if (err)
		log_error("cannot read the cluster's key: %s", strerror(-err));
	else
		err = set_node_with(agent, key);
	explicit_bzero(key, sizeof(key));
	return err;
}

int kmod_add_link(struct agent *agent, const struct config_node *peer)
{
	struct dvmm_link_add add = {
		.node_id = peer->id,
		.lost_after_ms = agent->config.lost_after_ms,
		.addr = peer->addr,
	};
	int fd;

	if (agent->link_fds[peer->id] >= 0) /* it was stored */
		return 0;
	strcpy(add.name, peer->name);
	fd = dvmm_link_add(agent->control, &add);
	if (fd == -EEXIST || fd == -EBUSY)
		log_error("link to %s: another process holds it (does an agent run already?)",
			  peer->name);
	else if (fd < 0)
		log_error("cannot add the link to %s: %s", peer->name, strerror(-fd));
	if (fd < 0)
		return fd;
	agent->link_fds[peer->id] = fd;
	links_store(peer->id, fd);
	return 0;
}

/* A link that is lost comes up again by itself when its node is back. */
static int add_links(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->config.nr_peers; i++) {
		int err = kmod_add_link(agent, &agent->config.peers[i]);

		if (err)
			return err;
	}
	return 0;
}

void kmod_drop_link(struct agent *agent, uint32_t node_id)
{
	if (agent->link_fds[node_id] < 0)
		return;
	links_drop(agent, node_id, agent->link_fds[node_id]);
	agent->link_fds[node_id] = -1;
}

/* ---- with the kernel modules, or until they come ---- */

static int take_kernel(struct agent *agent)
{
	int err = set_node(agent);

	if (err)
		return err;
	/* Before the events, which begin with older ones. */
	vmms_start(agent);
	err = events_start(agent);
	if (err)
		return err;
	epoch_update(agent);
	return add_links(agent);
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
	struct agent *agent = arg;
	int err = open_control(agent);

	(void)usec;
	if (is_not_loaded(err)) {
		sd_event_source_set_time_relative(source, LOOK_EVERY_US);
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	err = err ?: take_kernel(agent);
	if (err < 0)
		return sd_event_exit(agent->loop, err);
	log_notice("the kernel modules are there: node %s is ready", agent->config.self.name);
	return 0;
}

int kmod_start(struct agent *agent)
{
	int err = open_control(agent);

	if (is_not_loaded(err) && agent->cluster) {
		log_warning("no " DVMM_CONTROL_PATH
			    ": the kernel modules are not loaded (modprobe dvmm-vcpu)");
		log_warning("this node takes part in the cluster, but has no links and no VMs");
		return sd_event_add_time_relative(agent->loop, &agent->kernel_timer,
						  CLOCK_MONOTONIC, LOOK_EVERY_US, 0, on_look,
						  agent);
	}
	if (is_not_loaded(err))
		log_error("no " DVMM_CONTROL_PATH
			  ": the kernel modules are not loaded (modprobe dvmm-vcpu)");
	return err ?: take_kernel(agent);
}

void kmod_close(struct agent *agent)
{
	sd_event_source_disable_unref(agent->kernel_timer);
	for (int id = 0; id < DVMM_MAX_NODES; id++)
		if (agent->link_fds[id] >= 0)
			close(agent->link_fds[id]);
	if (agent->control >= 0)
		close(agent->control);
}
