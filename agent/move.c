// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/move.c - a vCPU goes to another node while its VM runs: vcpu.move. A node that has no
 * part in the VM yet, as it became a member of the cluster later, gets one first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

struct vcpu_move {
	struct agent *agent;
	char vm[DVMM_NAME_SIZE];
	struct dvmm_vcpu_move call;
	uint64_t nodes; /* with a part in the VM */
	bool has_joined;
	uint64_t join_ns;
};

/* "web1:2"; a VM's name may have colons. Returns the number, or -EINVAL. */
static int split_vcpu(const char *text, char name[DVMM_NAME_SIZE])
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	unsigned long number;
	char *end;

	if (!colon || colon[1] < '0' || colon[1] > '9' || colon - text >= DVMM_NAME_SIZE)
		return -EINVAL;
	number = strtoul(colon + 1, &end, 10);
	if (*end || number >= DVMM_MAX_VCPUS)
		return -EINVAL;
	memcpy(name, text, colon - text);
	name[colon - text] = '\0';
	return number;
}

static int fill_vcpu(struct request *request, struct vcpu_move *move)
{
	const char *text = json_string_value(json_object_get(request->params, "vcpu"));
	char name[DVMM_NAME_SIZE];
	int number = split_vcpu(text, name);
	struct dvmm_vm_get vm;

	if (number < 0) {
		request_fail(request, RPC_INVALID, "%s: a vCPU is VM:NUMBER", text ? text : "vcpu");
		return -EINVAL;
	}
	if (vm_find(request->agent, name, &vm)) {
		request_fail(request, RPC_NOT_FOUND, "%s: no such VM on this node", name);
		return -ENOENT;
	}
	memcpy(move->vm, vm.out_name, sizeof(move->vm));
	move->call.vm_id = vm.vm_id;
	move->call.vcpu_id = number;
	move->nodes = vm.out_nodes;
	return 0;
}

/* For a vCPU that is not there nobody joins: the move says so then. */
static bool needs_join(const struct vcpu_move *move)
{
	struct dvmm_vcpu_get vcpu;

	return !(move->nodes >> move->call.node_id & 1) &&
	       !dvmm_vcpu_next(move->agent->control, move->call.vm_id, move->call.vcpu_id, &vcpu) &&
	       vcpu.vcpu_id == move->call.vcpu_id;
}

/* EEXIST: it has joined meanwhile. */
static int join(struct vcpu_move *move)
{
	struct dvmm_vm_join join = { .vm_id = move->call.vm_id, .node_id = move->call.node_id };
	int err = join_vm(move->agent, &join, &move->join_ns);

	move->has_joined = !err;
	if (err == -EEXIST)
		return 0;
	memcpy(move->call.out_reason, join.out_reason, sizeof(join.out_reason));
	return err;
}

static int do_move(void *arg)
{
	struct vcpu_move *move = arg;
	int err = needs_join(move) ? join(move) : 0;

	return err ?: dvmm_vcpu_move(move->agent->control, &move->call);
}

static json_t *answer(struct request *request, void *arg, int err)
{
	const struct vcpu_move *move = arg;
	const struct dvmm_vcpu_move *call = &move->call;
	const struct config *config = &move->agent->config;
	char from[16], to[16];

	if (err && *call->out_reason)
		return request_fail(request, join_code(err), "%s:%u: %s%s", move->vm, call->vcpu_id,
				    call->out_reason,
				    move->has_joined ? " (its node has joined the VM)" : "");
	if (err)
		return request_fail_errno(request, err, move->vm);
	return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:o}",
			 "vm", move->vm,
			 "vcpu", (json_int_t)call->vcpu_id,
			 "from", config_node_name(config, call->out_from, from),
			 "node", config_node_name(config, call->node_id, to),
			 "downtime_ns", (json_int_t)call->out_downtime_ns,
			 "rtt_ns", (json_int_t)call->out_rtt_ns,
			 "bytes", (json_int_t)call->out_bytes,
			 "late_interrupts", (json_int_t)call->out_late,
			 "joined", move->has_joined,
			 "join_ns", move->has_joined ? json_integer(move->join_ns) : json_null());
}

json_t *method_vcpu_move(struct request *request)
{
	struct vcpu_move move = { .agent = request->agent };
	const struct config_node *node;

	if (fill_vcpu(request, &move))
		return NULL;
	node = node_of_request(request, "node");
	if (!node)
		return NULL;
	move.call.node_id = node->id;
	if (move.call.node_id != request->agent->config.self.id && !members_may_span(request, move.vm))
		return NULL;
	return request_later(request, do_move, answer, &move, sizeof(move));
}
