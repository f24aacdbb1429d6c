// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/drain.c - node.drain: VMs of this node shall not need another node any more. Its vCPUs
 * move, each to the node of its VM with the most room, or when none of them has any to another
 * one, which joins the VM; then the homes of memory, then its pages. Then the node may go.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

#define MAX_VMS 64
/* Of dvmm_mem_empty(), while it helps. */
#define VAIN_ROUNDS 3

struct drained_vm {
	char name[DVMM_NAME_SIZE];
	uint32_t nr_vcpus, nr_joined;
	uint64_t nr_extents, downtime_ns, took_ns;
};

struct drain {
	struct agent *agent;
	struct deferred *deferred;
	uint32_t node, self;
	bool may_join; /* other nodes */
	int free_cpus[DVMM_MAX_NODES];
	uint32_t nr;
	struct drained_vm vms[MAX_VMS];
	char reason[256]; /* of the first failure */
};

__attribute__((format(printf, 4, 5)))
static int fail(struct drain *drain, const struct dvmm_vm_get *vm, int err, const char *format, ...)
{
	va_list args;
	int len = snprintf(drain->reason, sizeof(drain->reason), "%s: ", vm->out_name);

	va_start(args, format);
	vsnprintf(drain->reason + len, sizeof(drain->reason) - len, format, args);
	va_end(args);
	return err;
}

/* ---- vCPUs ---- */

static bool is_reached(struct drain *drain, uint32_t node)
{
	struct dvmm_link_get link;

	return node == drain->self || (!dvmm_link_get(drain->agent->control, node, &link) &&
				       link.out_state == DVMM_LINK_UP);
}

/* That of @nodes which has the most, and of these the first; the VM's origin is always one. */
static uint32_t roomiest(struct drain *drain, uint64_t nodes)
{
	uint32_t best = drain->self;

	for (uint32_t node = 0; node < DVMM_MAX_NODES; node++)
		if (node != drain->node && nodes >> node & 1 && is_reached(drain, node) &&
		    drain->free_cpus[node] > drain->free_cpus[best])
			best = node;
	return best;
}

/* Also of nodes without a part in the VM, if it has no room. Who does not join is not asked again. */
static uint32_t choose(struct drain *drain, struct dvmm_vm_get *vm, struct drained_vm *row)
{
	uint32_t best = roomiest(drain, vm->out_nodes);
	struct dvmm_vm_join join = { .vm_id = vm->vm_id };
	uint64_t took_ns;

	if (drain->free_cpus[best] > 0 || !drain->may_join)
		return best;
	join.node_id = roomiest(drain, UINT64_MAX);
	if (drain->free_cpus[join.node_id] <= 0)
		return best;
	if (join_vm(drain->agent, &join, &took_ns)) {
		drain->free_cpus[join.node_id] = 0;
		return best;
	}
	vm->out_nodes |= 1ull << join.node_id;
	row->nr_joined++;
	return join.node_id;
}

static int move_vcpu(struct drain *drain, struct dvmm_vm_get *vm, uint32_t vcpu_id,
		     struct drained_vm *row)
{
	struct dvmm_vcpu_move move = {
		.vm_id = vm->vm_id,
		.vcpu_id = vcpu_id,
		.node_id = choose(drain, vm, row),
	};
	int err = dvmm_vcpu_move(drain->agent->control, &move);

	if (err)
		return fail(drain, vm, err, "vCPU %u: %s", vcpu_id,
			    *move.out_reason ? move.out_reason : strerror(-err));
	drain->free_cpus[move.node_id]--;
	row->nr_vcpus++;
	row->downtime_ns += move.out_downtime_ns;
	return 0;
}

static int move_vcpus(struct drain *drain, struct dvmm_vm_get *vm, struct drained_vm *row)
{
	struct dvmm_vcpu_get vcpu;
	uint32_t from = 0;
	int err = 0;

	while (!err && !dvmm_vcpu_next(drain->agent->control, vm->vm_id, from, &vcpu)) {
		from = vcpu.vcpu_id + 1;
		if (vcpu.out_node_id == drain->node)
			err = move_vcpu(drain, vm, vcpu.vcpu_id, row);
	}
	return err;
}

/* ---- memory ---- */

/* ENOENT: it has no memory yet. */
static int move_homes(struct drain *drain, const struct dvmm_vm_get *vm, struct drained_vm *row)
{
	struct dvmm_mem_rehome rehome = {
		.vm_id = vm->vm_id,
		.node_id = drain->self,
		.from_node = drain->node,
	};
	int err = dvmm_mem_rehome(drain->agent->control, &rehome);

	row->nr_extents = rehome.out_moved;
	if (!err || err == -ENOENT)
		return 0;
	return fail(drain, vm, err, "its homes do not move: %s", strerror(-err));
}

static int move_pages(struct drain *drain, const struct dvmm_vm_get *vm)
{
	uint64_t left, before = UINT64_MAX;
	int err, vain = 0;

	do {
		err = dvmm_mem_empty(drain->agent->control, vm->vm_id, drain->node, &left);
		if (err)
			return fail(drain, vm, err, "its pages do not go: %s", strerror(-err));
		vain = left < before ? 0 : vain + 1;
		before = left;
	} while (left && vain < VAIN_ROUNDS);
	return left ? fail(drain, vm, -EBUSY, "%llu bytes of it do not go",
			   (unsigned long long)left) : 0;
}

/* ---- all of it, in a thread ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int drain_vm(struct drain *drain, struct dvmm_vm_get *vm)
{
	struct drained_vm *row = &drain->vms[drain->nr];
	uint64_t begun_ns = now_ns();
	int err;

	if (vm->out_state >= DVMM_VM_DEAD)
		return 0;
	if (vm->out_origin == drain->node)
		return fail(drain, vm, -EOPNOTSUPP, "its VMM runs there: it cannot move");
	if (vm->out_origin != drain->self || !(vm->out_nodes >> drain->node & 1))
		return 0;
	if (drain->nr == MAX_VMS)
		return fail(drain, vm, -E2BIG, "more than %d VMs: drain again", MAX_VMS);
	memcpy(row->name, vm->out_name, sizeof(row->name));
	err = move_vcpus(drain, vm, row);
	if (!err)
		err = move_homes(drain, vm, row);
	if (!err)
		err = move_pages(drain, vm);
	row->took_ns = now_ns() - begun_ns;
	drain->nr += !err;
	return err;
}

static int do_drain(void *arg)
{
	struct drain *drain = arg;
	struct dvmm_vm_get vm;
	uint32_t from = 0;
	int err = 0;

	while (!err && !dvmm_vm_next(drain->agent->control, from, &vm)) {
		err = drain_vm(drain, &vm);
		from = vm.vm_id + 1;
	}
	return err;
}

static json_t *answer(struct request *request, void *arg, int err)
{
	const struct drain *drain = arg;
	json_t *list;

	if (err)
		return request_fail(request, err == -ETIMEDOUT || err == -ENOTCONN ? RPC_UNREACHABLE :
				    RPC_CONFLICT, "%s", drain->reason);
	list = json_array();
	for (uint32_t i = 0; i < drain->nr; i++)
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}",
						      "vm", drain->vms[i].name,
						      "vcpus", (json_int_t)drain->vms[i].nr_vcpus,
						      "joined", (json_int_t)drain->vms[i].nr_joined,
						      "moved_extents", (json_int_t)drain->vms[i].nr_extents,
						      "downtime_ns", (json_int_t)drain->vms[i].downtime_ns,
						      "took_ns", (json_int_t)drain->vms[i].took_ns));
	return list;
}

static void on_room(void *arg, const int free_cpus[DVMM_MAX_NODES])
{
	struct drain *drain = arg;

	memcpy(drain->free_cpus, free_cpus, sizeof(drain->free_cpus));
	later_start(drain->agent, drain->deferred, do_drain, answer, drain, sizeof(*drain));
	free(drain);
}

json_t *method_node_drain(struct request *request)
{
	const struct config_node *node = node_of_request(request, "node");
	uint32_t self = request->agent->config.self.id;
	struct drain *drain;

	if (!node)
		return NULL;
	if (node->id == self)
		return request_fail(request, RPC_CONFLICT,
				    "%s: VMs that run here leave it when each other node drains it; those whose VMM is here cannot",
				    node->name);
	drain = calloc(1, sizeof(*drain));
	if (!drain)
		abort();
	drain->agent = request->agent;
	drain->self = self;
	drain->node = node->id;
	drain->may_join = members_have_quorum(request->agent);
	drain->deferred = request_defer(request);
	room_ask(request->agent, on_room, drain);
	return NULL;
}
