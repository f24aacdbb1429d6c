// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/drain.c - node.drain: VMs of this node shall not need another node any more. Its vCPUs
 * move, each to the node of its VM with the most room, or when none of them has any to another
 * one, which joins the VM; then the homes of memory, then its pages. Then the node may go.
 * All of it is planned first: if memory has no place to go, nothing moves.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

/* Of dvmm_mem_empty(), while it helps. */
#define VAIN_ROUNDS 3

struct drained_vm {
	char name[DVMM_NAME_SIZE];
	uint32_t nr_vcpus, nr_joined, home;
	uint64_t nr_extents, downtime_ns, took_ns;
};

struct drain {
	struct agent *agent;
	struct deferred *deferred;
	uint32_t node, self;
	bool may_join; /* other nodes */
	bool is_plan; /* nothing moves yet */
	struct room room;
	uint32_t nr;
	struct drained_vm vms[ROOM_MAX_VMS];
	char reason[256]; /* of the first failure */
};

/* A VM of it; @get.out_nodes grows. */
struct drained {
	struct drain *drain;
	struct dvmm_vm_get *get;
	struct drained_vm *row;
	struct leaving leaving;
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

/* ---- targets ---- */

static bool is_reached(struct drain *drain, uint32_t node)
{
	struct dvmm_link_get link;

	return node == drain->self || (!dvmm_link_get(drain->agent->control, node, &link) &&
				       link.out_state == DVMM_LINK_UP);
}

/* Of @nodes, and the VM's origin. */
static uint64_t reached(struct drain *drain, uint64_t nodes)
{
	nodes |= 1ull << drain->self;
	for (uint32_t node = 0; node < DVMM_MAX_NODES; node++)
		if (nodes >> node & 1 && !is_reached(drain, node))
			nodes &= ~(1ull << node);
	return nodes;
}

/* Has @node a part in the VM now? */
static bool take_in(struct drained *vm, uint32_t node)
{
	struct dvmm_vm_join join = { .vm_id = vm->get->vm_id, .node_id = node };
	uint64_t took_ns;

	if (vm->get->out_nodes >> node & 1)
		return true;
	if (!vm->drain->is_plan && join_vm(vm->drain->agent, &join, &took_ns))
		return false;
	vm->get->out_nodes |= 1ull << node;
	vm->row->nr_joined++;
	return true;
}

/* Also of nodes without a part in the VM, if it has no room. Who does not join is not asked again. */
static uint32_t choose(struct drained *vm)
{
	struct drain *drain = vm->drain;
	uint32_t best = target_of_vcpu(&drain->room, &vm->leaving, reached(drain, vm->get->out_nodes),
				       vm->row->home);
	uint32_t other;

	if (drain->room.free_cpus[best] > 0 || !drain->may_join)
		return best;
	other = target_of_vcpu(&drain->room, &vm->leaving, reached(drain, UINT64_MAX), best);
	if (drain->room.free_cpus[other] <= 0)
		return best;
	if (take_in(vm, other))
		return other;
	drain->room.free_cpus[other] = 0;
	return best;
}

static int no_room(struct drained *vm, uint64_t nodes)
{
	struct drain *drain = vm->drain;
	uint32_t most = target_of_most(&drain->room, &vm->leaving, nodes);
	char number[16];

	return fail(drain, vm->get, -ENOSPC,
		    "no node has room for its memory: node %s has %llu MiB free, %llu MiB needed",
		    config_node_name(&drain->agent->config, most, number),
		    (unsigned long long)drain->room.free_bytes[most] >> 20,
		    (unsigned long long)leaving_bytes(&vm->leaving) >> 20);
}

/* Where homes go, and with them memory. */
static int choose_home(struct drained *vm)
{
	struct drain *drain = vm->drain;
	uint64_t nodes = reached(drain, vm->get->out_nodes);
	uint32_t home = target_of_homes(&drain->room, &vm->leaving, nodes, drain->self);

	if (home == DVMM_ANY_NODE && drain->may_join) {
		nodes = reached(drain, UINT64_MAX);
		home = target_of_homes(&drain->room, &vm->leaving, nodes, drain->self);
	}
	if (home == DVMM_ANY_NODE)
		return no_room(vm, nodes);
	if (!take_in(vm, home))
		return fail(drain, vm->get, -EAGAIN, "node %u, which has room, does not join it", home);
	target_take_homes(&drain->room, &vm->leaving, home);
	vm->row->home = home;
	return 0;
}

/* ---- vCPUs ---- */

static int move_vcpu(struct drained *vm, uint32_t vcpu_id)
{
	struct drain *drain = vm->drain;
	struct dvmm_vcpu_move move = {
		.vm_id = vm->get->vm_id,
		.vcpu_id = vcpu_id,
		.node_id = choose(vm),
	};
	int err = drain->is_plan ? 0 : dvmm_vcpu_move(drain->agent->control, &move);

	if (err)
		return fail(drain, vm->get, err, "vCPU %u: %s", vcpu_id,
			    *move.out_reason ? move.out_reason : strerror(-err));
	target_take_vcpu(&drain->room, &vm->leaving, move.node_id);
	vm->row->nr_vcpus++;
	vm->row->downtime_ns += move.out_downtime_ns;
	return 0;
}

static int move_vcpus(struct drained *vm)
{
	struct drain *drain = vm->drain;
	struct dvmm_vcpu_get vcpu;
	uint32_t from = 0;
	int err = 0;

	while (!err && !dvmm_vcpu_next(drain->agent->control, vm->get->vm_id, from, &vcpu)) {
		from = vcpu.vcpu_id + 1;
		if (vcpu.out_node_id == drain->node)
			err = move_vcpu(vm, vcpu.vcpu_id);
	}
	return err;
}

/* ---- memory ---- */

/* ENOENT: it has no memory yet. */
static int move_homes(struct drained *vm)
{
	struct drain *drain = vm->drain;
	struct dvmm_mem_rehome rehome = {
		.vm_id = vm->get->vm_id,
		.node_id = vm->row->home,
		.from_node = drain->node,
	};
	int err = dvmm_mem_rehome(drain->agent->control, &rehome);

	vm->row->nr_extents = rehome.out_moved;
	if (!err || err == -ENOENT)
		return 0;
	return fail(drain, vm->get, err, "its homes do not move: %s", strerror(-err));
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

static int move_all(struct drained *vm)
{
	int err = choose_home(vm);

	if (!err)
		err = move_vcpus(vm);
	if (err || vm->drain->is_plan)
		return err;
	err = move_homes(vm);
	return err ?: move_pages(vm->drain, vm->get);
}

static int drain_vm(struct drain *drain, struct dvmm_vm_get *get)
{
	struct drained vm = {
		.drain = drain,
		.get = get,
		.row = &drain->vms[drain->nr],
		.leaving = { .vm = room_vm(&drain->room, get->out_uuid), .from = drain->node },
	};
	uint64_t begun_ns = now_ns();
	int err;

	if (get->out_state >= DVMM_VM_DEAD)
		return 0;
	if (get->out_origin == drain->node)
		return fail(drain, get, -EOPNOTSUPP, "its VMM runs there: it cannot move");
	if (get->out_origin != drain->self || !(get->out_nodes >> drain->node & 1))
		return 0;
	if (drain->nr == ROOM_MAX_VMS)
		return fail(drain, get, -E2BIG, "more than %d VMs have a part there", ROOM_MAX_VMS);
	*vm.row = (struct drained_vm){ 0 };
	memcpy(vm.row->name, get->out_name, sizeof(vm.row->name));
	err = move_all(&vm);
	vm.row->took_ns = now_ns() - begun_ns;
	drain->nr += !err;
	return err;
}

static int drain_vms(struct drain *drain)
{
	struct dvmm_vm_get vm;
	uint32_t from = 0;
	int err = 0;

	drain->nr = 0;
	while (!err && !dvmm_vm_next(drain->agent->control, from, &vm)) {
		err = drain_vm(drain, &vm);
		from = vm.vm_id + 1;
	}
	return err;
}

static int do_drain(void *arg)
{
	struct drain *drain = arg;
	struct room before = drain->room;
	int err;

	drain->is_plan = true;
	err = drain_vms(drain);
	if (err)
		return err;
	drain->is_plan = false;
	drain->room = before;
	return drain_vms(drain);
}

static json_t *drained_row(const struct drain *drain, const struct drained_vm *vm)
{
	char number[16];

	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:I}",
			 "vm", vm->name,
			 "vcpus", (json_int_t)vm->nr_vcpus,
			 "joined", (json_int_t)vm->nr_joined,
			 "moved_extents", (json_int_t)vm->nr_extents,
			 "home", config_node_name(&drain->agent->config, vm->home, number),
			 "downtime_ns", (json_int_t)vm->downtime_ns,
			 "took_ns", (json_int_t)vm->took_ns);
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
		json_array_append_new(list, drained_row(drain, &drain->vms[i]));
	return list;
}

static void on_room(void *arg, const struct room *room)
{
	struct drain *drain = arg;

	drain->room = *room;
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
	room_ask(request->agent, node->id, on_room, drain);
	return NULL;
}
