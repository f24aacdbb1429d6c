// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/room.c - how many more vCPUs each node has a CPU for. Their agents are asked; for one
 * that does not answer, or without a cluster, what this node knows has to do: the nodes are
 * taken for alike then, and full of this node's VMs only.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

struct room {
	struct agent *agent;
	int free_cpus[DVMM_MAX_NODES];
	uint32_t nr_waiting;
	room_done *done;
	void *arg;
};

struct room_question {
	struct room *room;
	uint32_t node;
};

uint32_t room_cpus(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	return nr > 0 ? nr : 1;
}

static void count_vcpus_of(struct agent *agent, uint32_t vm_id, uint32_t nr_on[DVMM_MAX_NODES])
{
	struct dvmm_vcpu_get vcpu;

	for (uint32_t from = 0; !dvmm_vcpu_next(agent->control, vm_id, from, &vcpu); from = vcpu.vcpu_id + 1)
		if (vcpu.out_node_id < DVMM_MAX_NODES)
			nr_on[vcpu.out_node_id]++;
}

static void count_vcpus(struct agent *agent, uint32_t nr_on[DVMM_MAX_NODES])
{
	struct dvmm_vm_get vm;

	for (uint32_t from = 0; !dvmm_vm_next(agent->control, from, &vm); from = vm.vm_id + 1)
		if (vm.out_state < DVMM_VM_DEAD)
			count_vcpus_of(agent, vm.vm_id, nr_on);
}

uint32_t room_vcpus_here(struct agent *agent)
{
	uint32_t nr_on[DVMM_MAX_NODES] = { 0 };

	count_vcpus(agent, nr_on);
	return nr_on[agent->config.self.id];
}

static void guess(struct room *room)
{
	uint32_t nr_on[DVMM_MAX_NODES] = { 0 };

	count_vcpus(room->agent, nr_on);
	for (uint32_t i = 0; i < DVMM_MAX_NODES; i++)
		room->free_cpus[i] = room_cpus() - nr_on[i];
}

static void finish(struct room *room)
{
	room->done(room->arg, room->free_cpus);
	free(room);
}

static void on_info(void *arg, json_t *result, const struct cluster_error *error)
{
	struct room_question *question = arg;
	struct room *room = question->room;
	int cpus, vcpus;

	(void)error;
	if (result && !json_unpack(result, "{s:i, s:i}", "cpus", &cpus, "vcpus", &vcpus))
		room->free_cpus[question->node] = cpus - vcpus;
	free(question);
	if (!--room->nr_waiting)
		finish(room);
}

static void ask(struct room *room, const struct config_node *node)
{
	struct room_question *question = malloc(sizeof(*question));

	if (!question)
		abort();
	*question = (struct room_question){ room, node->id };
	cluster_call(room->agent->cluster, node->name, "node.info", json_object(), on_info, question);
}

void room_ask(struct agent *agent, room_done *done, void *arg)
{
	const struct config *config = &agent->config;
	struct room *room = malloc(sizeof(*room));

	if (!room)
		abort();
	*room = (struct room){ .agent = agent, .nr_waiting = 1, .done = done, .arg = arg };
	guess(room);
	for (uint32_t i = 0; agent->cluster && i < config->nr_peers; i++) {
		room->nr_waiting++;
		ask(room, &config->peers[i]);
	}
	if (!--room->nr_waiting)
		finish(room);
}
