// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/leave.c - node.leave: this node, which no VM needs, is no member of its cluster any
 * more; the agent ends. How the others agree is agent/cluster's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

struct leave {
	struct agent *agent;
	struct deferred *deferred;
};

/* ---- who needs this node ---- */

struct part {
	uint32_t nr_vcpus;
	uint64_t bytes;
};

static struct part part_of(struct agent *agent, uint32_t vm_id)
{
	struct part part = { 0 };
	struct dvmm_vcpu_get vcpu;
	struct dvmm_mem_get mem;

	for (uint32_t from = 0; !dvmm_vcpu_next(agent->control, vm_id, from, &vcpu);
	     from = vcpu.vcpu_id + 1)
		part.nr_vcpus += vcpu.out_node_id == agent->config.self.id;
	for (uint32_t from = 0; !dvmm_mem_next(agent->control, vm_id, from, &mem); from = mem.mem_id + 1)
		part.bytes += mem.out_homed + mem.out_resident * 4096;
	return part;
}

/* Fills in what is to be done first. */
static bool is_needed_by(struct agent *agent, const struct dvmm_vm_get *vm, char *text, size_t size)
{
	const char *self = agent->config.self.name;
	struct part part = part_of(agent, vm->vm_id);
	char number[16];
	const char *origin = config_node_name(&agent->config, vm->out_origin, number);

	if (vm->out_state >= DVMM_VM_DEAD)
		return false;
	if (vm->out_origin == agent->config.self.id) {
		snprintf(text, size, "%s runs here: end it (virsh shutdown %s)", vm->out_name,
			 vm->out_name);
		return true;
	}
	snprintf(text, size, "%s of node %s has %u vCPUs and %llu KiB here: dvmm node drain %s on %s",
		 vm->out_name, origin, part.nr_vcpus, (unsigned long long)part.bytes / 1024, self, origin);
	return part.nr_vcpus || part.bytes;
}

static bool is_needed(struct request *request)
{
	struct agent *agent = request->agent;
	char all[384] = "", one[256];
	struct dvmm_vm_get vm;

	for (uint32_t from = 0; agent->control >= 0 && !dvmm_vm_next(agent->control, from, &vm);
	     from = vm.vm_id + 1) {
		size_t len = strlen(all);

		if (is_needed_by(agent, &vm, one, sizeof(one)))
			snprintf(all + len, sizeof(all) - len, "%s%s", len ? "; " : "", one);
	}
	if (*all)
		request_fail(request, RPC_CONFLICT, "VMs need this node: %s", all);
	return *all;
}

/* ---- leaving ---- */

static void drop_links(struct agent *agent)
{
	for (uint32_t id = 0; id < DVMM_MAX_NODES; id++)
		kmod_drop_link(agent, id);
}

static void on_left(void *arg, json_t *result, const struct cluster_error *error)
{
	struct leave *leave = arg;
	struct agent *agent = leave->agent;
	struct request answer = { .agent = agent, .fd = -1 };
	int err;

	if (!result) {
		deferred_done(leave->deferred, NULL, error);
		free(leave);
		return;
	}
	drop_links(agent);
	err = cluster_forget(agent->cluster);
	if (err)
		log_error("the cluster's folder is still there: %s", strerror(-err));
	log_notice("node %s has left cluster %s", agent->config.self.name,
		   cluster_config(agent->cluster)->name);
	deferred_answer(leave->deferred, &answer,
			json_pack("{s:s, s:s}", "node", agent->config.self.name, "left",
				  cluster_config(agent->cluster)->name));
	free(leave);
	/* It is no node's agent any more. */
	sd_event_exit(agent->loop, 0);
}

json_t *method_node_leave(struct request *request)
{
	struct agent *agent = request->agent;
	struct leave *leave;

	if (!agent->cluster)
		return request_fail(request, RPC_CONFLICT,
				    "this node is in no cluster: it is set up by hand");
	if (is_needed(request))
		return NULL;
	leave = malloc(sizeof(*leave));
	if (!leave)
		abort();
	*leave = (struct leave){ agent, request_defer(request) };
	cluster_leave(agent->cluster, on_left, leave);
	return NULL;
}
