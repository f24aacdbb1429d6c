// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/room.c - how many more vCPUs each node has a CPU for, how much memory it has free, and
 * what VMs hold there. Their agents are asked; for one that does not answer, or without a
 * cluster, what this node knows has to do: the nodes are taken for alike then, and full of this
 * node's VMs only.
 */
#include <stdlib.h>
#include <string.h>
#include "internal.h"

struct inquiry {
	struct agent *agent;
	struct room room;
	uint32_t nr_waiting;
	room_done *done;
	void *arg;
};

struct question {
	struct inquiry *inquiry;
	uint32_t node;
};

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

static void guess(struct inquiry *inquiry)
{
	uint32_t nr_on[DVMM_MAX_NODES] = { 0 };
	uint64_t free_bytes = host_free_memory();

	count_vcpus(inquiry->agent, nr_on);
	for (uint32_t i = 0; i < DVMM_MAX_NODES; i++) {
		inquiry->room.free_cpus[i] = host_cpus() - nr_on[i];
		inquiry->room.free_bytes[i] = free_bytes;
	}
}

/* What it holds elsewhere is told by the others. */
static void add_vm(struct inquiry *inquiry, const struct dvmm_vm_get *get)
{
	uint32_t self = inquiry->agent->config.self.id;
	struct room_vm *vm = &inquiry->room.vms[inquiry->room.nr_vms++];
	struct dvmm_vm_budget budget = { .out_bytes = DVMM_BUDGET_NONE };

	memcpy(vm->uuid, get->out_uuid, sizeof(vm->uuid));
	for (uint32_t i = 0; i < DVMM_MAX_NODES; i++)
		vm->budget[i] = DVMM_BUDGET_NONE;
	dvmm_vm_budget(inquiry->agent->control, get->vm_id, DVMM_BUDGET_KEEP, &budget);
	vm->held[self] = budget.out_resident;
	vm->budget[self] = budget.out_bytes;
}

static void add_vms(struct inquiry *inquiry, uint32_t node)
{
	struct agent *agent = inquiry->agent;
	struct dvmm_vm_get vm;

	for (uint32_t from = 0; inquiry->room.nr_vms < ROOM_MAX_VMS &&
	     !dvmm_vm_next(agent->control, from, &vm); from = vm.vm_id + 1)
		if (vm.out_origin == agent->config.self.id && vm.out_state < DVMM_VM_DEAD &&
		    vm.out_nodes >> node & 1)
			add_vm(inquiry, &vm);
}

static void finish(struct inquiry *inquiry)
{
	inquiry->done(inquiry->arg, &inquiry->room);
	free(inquiry);
}

static void finish_one(struct question *question)
{
	struct inquiry *inquiry = question->inquiry;

	free(question);
	if (!--inquiry->nr_waiting)
		finish(inquiry);
}

static void on_info(void *arg, json_t *result, const struct cluster_error *error)
{
	struct question *question = arg;
	struct room *room = &question->inquiry->room;
	json_int_t free_bytes;
	int cpus, vcpus;

	(void)error;
	if (result && !json_unpack(result, "{s:i, s:i}", "cpus", &cpus, "vcpus", &vcpus))
		room->free_cpus[question->node] = cpus - vcpus;
	if (result && !json_unpack(result, "{s:I}", "free_bytes", &free_bytes))
		room->free_bytes[question->node] = free_bytes;
	finish_one(question);
}

/* No budget: null. */
static void learn_vm(struct question *question, json_t *row)
{
	const char *text = json_string_value(json_object_get(row, "uuid"));
	json_t *budget = json_object_get(row, "budget_bytes");
	uint8_t uuid[DVMM_UUID_SIZE];
	struct room_vm *vm;

	if (!text || dvmm_uuid_parse(text, uuid))
		return;
	vm = room_vm(&question->inquiry->room, uuid);
	if (!vm)
		return;
	vm->held[question->node] = json_integer_value(json_object_get(row, "resident_bytes"));
	if (json_is_integer(budget))
		vm->budget[question->node] = json_integer_value(budget);
}

static void on_vms(void *arg, json_t *result, const struct cluster_error *error)
{
	json_t *row;
	size_t i;

	(void)error;
	json_array_foreach(result, i, row)
		learn_vm(arg, row);
	finish_one(arg);
}

static void ask(struct inquiry *inquiry, const struct config_node *node, const char *method,
		cluster_done *done)
{
	struct question *question = malloc(sizeof(*question));

	if (!question)
		abort();
	*question = (struct question){ inquiry, node->id };
	inquiry->nr_waiting++;
	cluster_call(inquiry->agent->cluster, node->name, method, json_object(), done, question);
}

void room_ask(struct agent *agent, uint32_t node, room_done *done, void *arg)
{
	const struct config *config = &agent->config;
	struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

	if (!inquiry)
		abort();
	inquiry->agent = agent;
	inquiry->nr_waiting = 1;
	inquiry->done = done;
	inquiry->arg = arg;
	guess(inquiry);
	add_vms(inquiry, node);
	for (uint32_t i = 0; agent->cluster && i < config->nr_peers; i++) {
		ask(inquiry, &config->peers[i], "node.info", on_info);
		ask(inquiry, &config->peers[i], "vm.list", on_vms);
	}
	if (!--inquiry->nr_waiting)
		finish(inquiry);
}
