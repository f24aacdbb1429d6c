// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/join.c - a node gets a part in a VM that runs already: vm.join, and what vcpu.move
 * and node.drain do before a vCPU goes to a node without one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

/* While something is in the way that passes. */
#define PATIENCE_NS 5000000000ull
#define PAUSE_US 200000

struct vm_join {
	struct agent *agent;
	char vm[DVMM_NAME_SIZE];
	struct dvmm_vm_join call;
	uint64_t took_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* What is under way, or not gone yet, will be; a VM that has not started may not. */
static bool is_passing(struct agent *agent, const struct dvmm_vm_join *join, int err)
{
	struct dvmm_vm_get vm;

	return (err == -EBUSY || err == -EAGAIN) &&
	       !dvmm_vm_next(agent->control, join->vm_id, &vm) && vm.vm_id == join->vm_id &&
	       vm.out_state != DVMM_VM_DEFINED;
}

int join_vm(struct agent *agent, struct dvmm_vm_join *join, uint64_t *ret_took_ns)
{
	uint64_t begun_ns = now_ns();
	int err = dvmm_vm_join(agent->control, join);

	while (is_passing(agent, join, err) && now_ns() - begun_ns < PATIENCE_NS) {
		usleep(PAUSE_US);
		err = dvmm_vm_join(agent->control, join);
	}
	if (!err)
		*ret_took_ns = now_ns() - begun_ns;
	return err;
}

const char *join_code(int err)
{
	switch (err) {
	case -ENOENT:
		return RPC_NOT_FOUND;
	case -EINVAL:
		return RPC_INVALID;
	case -EEXIST:
	case -EBUSY:
	case -EAGAIN:
	case -EOPNOTSUPP:
		return RPC_CONFLICT;
	case -ENOTCONN:
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
		return RPC_UNREACHABLE;
	default:
		return RPC_FAILED;
	}
}

static int do_join(void *arg)
{
	struct vm_join *join = arg;

	return join_vm(join->agent, &join->call, &join->took_ns);
}

static json_t *answer(struct request *request, void *arg, int err)
{
	const struct vm_join *join = arg;
	struct dvmm_link_get link = { 0 };
	char number[16];

	if (err && *join->call.out_reason)
		return request_fail(request, join_code(err), "%s: %s", join->vm,
				    join->call.out_reason);
	if (err)
		return request_fail_errno(request, err, join->vm);
	dvmm_link_get(join->agent->control, join->call.node_id, &link);
	return json_pack("{s:s, s:s, s:I, s:I}",
			 "vm", join->vm,
			 "node", config_node_name(&join->agent->config, join->call.node_id, number),
			 "took_ns", (json_int_t)join->took_ns,
			 "rtt_ns", (json_int_t)link.out_rtt_ns);
}

static int fill(struct request *request, struct vm_join *join)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	json_t *budget = json_object_get(request->params, "budget");
	uint64_t bytes = DVMM_BUDGET_KEEP;
	const struct config_node *node;
	struct dvmm_vm_get vm;

	if (!name || vm_find(request->agent, name, &vm)) {
		request_fail(request, name ? RPC_NOT_FOUND : RPC_INVALID,
			     "%s: no such VM on this node", name ? name : "vm");
		return -ENOENT;
	}
	node = node_of_request(request, "node");
	if (!node || (budget && vm_fill_budget(request, budget, &bytes)))
		return -EINVAL;
	memcpy(join->vm, vm.out_name, sizeof(join->vm));
	join->call.vm_id = vm.vm_id;
	join->call.node_id = node->id;
	join->call.budget = bytes;
	return 0;
}

json_t *method_vm_join(struct request *request)
{
	struct vm_join join = { .agent = request->agent };

	if (fill(request, &join) || !members_may_span(request, join.vm))
		return NULL;
	return request_later(request, do_join, answer, &join, sizeof(join));
}
