// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/stat.c - counters of this node, its links and its VMs. */
#include <errno.h>
#include <string.h>
#include "internal.h"

#define NR_STATS_MAX 256

struct stats {
	struct request *request;
	json_t *list;
};

static json_t *stat_row(const char *object, const struct dvmm_stat_info *info, uint64_t value)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s}", "object", object, "counter", info->name,
			 "value", (json_int_t)value, "unit", info->unit, "help", info->help);
}

static int add_stats(struct stats *stats, uint32_t kind, uint32_t id, const char *object)
{
	uint64_t values[NR_STATS_MAX];
	uint32_t nr = NR_STATS_MAX;
	int err = dvmm_stat_get(stats->request->agent->control, kind, id, values, &nr);

	if (err)
		return err;
	for (uint32_t i = 0; i < nr && dvmm_stat_info(kind, i); i++)
		json_array_append_new(stats->list,
				      stat_row(object, dvmm_stat_info(kind, i), values[i]));
	return 0;
}

static int add_node(struct stats *stats)
{
	return add_stats(stats, DVMM_STAT_NODE, 0, "node");
}

static int add_link(struct stats *stats, const struct config_node *peer)
{
	char object[DVMM_NAME_SIZE + 8];

	snprintf(object, sizeof(object), "link %s", peer->name);
	return add_stats(stats, DVMM_STAT_LINK, peer->id, object);
}

/* Of one peer, or of all. */
static int add_links(struct stats *stats, const char *name)
{
	const struct config *config = &stats->request->agent->config;

	for (uint32_t i = 0; i < config->nr_peers; i++) {
		const struct config_node *peer = &config->peers[i];
		int err;

		if (name && strcmp(peer->name, name))
			continue;
		err = add_link(stats, peer);
		if (name || err)
			return err;
	}
	return name ? -ENOENT : 0;
}

static int add_vm(struct stats *stats, const struct dvmm_vm_get *vm)
{
	char object[DVMM_NAME_SIZE + 8];

	snprintf(object, sizeof(object), "vm %s", vm->out_name);
	return add_stats(stats, DVMM_STAT_VM, vm->vm_id, object);
}

static int add_vms(struct stats *stats)
{
	struct dvmm_vm_get vm;
	uint32_t from = 0;
	int err = 0;

	while (!err && !(err = dvmm_vm_next(stats->request->agent->control, from, &vm))) {
		err = add_vm(stats, &vm);
		from = vm.vm_id + 1;
	}
	/* Without dvmm-vcpu there are no VMs. */
	return err == -ENOENT || err == -ENOTTY ? 0 : err;
}

static int add_named_vm(struct stats *stats, const char *name)
{
	struct dvmm_vm_get vm;
	int err = vm_find(stats->request->agent, name, &vm);

	return err ?: add_vm(stats, &vm);
}

static int add_object(struct stats *stats, const char *object, const char *node)
{
	if (!object)
		return add_node(stats) ?: add_links(stats, NULL) ?: add_vms(stats);
	if (!strcmp(object, "node"))
		return add_node(stats);
	if (!strcmp(object, "link"))
		return add_links(stats, node);
	return add_named_vm(stats, object);
}

json_t *method_stat_list(struct request *request)
{
	const char *object = json_string_value(json_object_get(request->params, "object"));
	const char *node = json_string_value(json_object_get(request->params, "node"));
	struct stats stats = { request, json_array() };
	int err = add_object(&stats, object, node);

	if (!err)
		return stats.list;
	json_decref(stats.list);
	if (err == -ENOENT)
		return request_fail(request, RPC_NOT_FOUND, "%s: no such %s", node ? node : object,
				    node ? "link" : "VM");
	return request_fail_errno(request, err, object ? object : "counters");
}
