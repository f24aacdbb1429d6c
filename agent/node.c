// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/node.c - answers about this node, its peers and the links to them. */
#include "internal.h"

json_t *method_node_info(struct request *request)
{
	char node[DVMM_UUID_TEXT_SIZE], cluster[DVMM_UUID_TEXT_SIZE], listen[DVMM_ADDR_TEXT_SIZE];
	struct dvmm_node_get get;
	int err = dvmm_node_get(request->agent->control, &get);

	if (err)
		return request_fail_errno(request, err, "this node");
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:I, s:I, s:i}",
			 "node", get.out_name,
			 "id", get.out_node_id,
			 "uuid", dvmm_uuid_format(get.out_node_uuid, node),
			 "cluster", dvmm_uuid_format(get.out_cluster_uuid, cluster),
			 "address", dvmm_addr_format(&get.out_listen, listen),
			 "epoch", (json_int_t)epoch_in_kernel(&get),
			 "links", get.out_nr_links,
			 "vms", get.out_nr_vms,
			 "cpus", host_cpus(),
			 "vcpus", room_vcpus_here(request->agent),
			 "memory_bytes", (json_int_t)host_memory(),
			 "free_bytes", (json_int_t)host_free_memory(),
			 "abi", get.out_abi_version);
}

const struct config_node *node_of_request(struct request *request, const char *param)
{
	const char *name = json_string_value(json_object_get(request->params, param));
	const struct config_node *node = name ? config_node_by_name(&request->agent->config, name) :
						NULL;

	if (!node)
		request_fail(request, name ? RPC_NOT_FOUND : RPC_INVALID,
			     "%s: no such node in this node's configuration", name ? name : param);
	return node;
}

static json_t *node_row(const struct config_node *node, const char *state)
{
	char addr[DVMM_ADDR_TEXT_SIZE];

	return json_pack("{s:s, s:i, s:s, s:s}", "node", node->name, "id", node->id,
			 "state", state, "address", dvmm_addr_format(&node->addr, addr));
}

static const char *peer_state(struct agent *agent, uint32_t id)
{
	struct dvmm_link_get link;

	if (dvmm_link_get(agent->control, id, &link))
		return "?";
	return dvmm_link_state_word(link.out_state);
}

json_t *method_node_list(struct request *request)
{
	struct agent *agent = request->agent;
	json_t *list = json_array();

	json_array_append_new(list, node_row(&agent->config.self, "self"));
	for (uint32_t i = 0; i < agent->config.nr_peers; i++) {
		const struct config_node *peer = &agent->config.peers[i];

		json_array_append_new(list, node_row(peer, peer_state(agent, peer->id)));
	}
	return list;
}

static json_t *link_row(struct agent *agent, const struct config_node *peer)
{
	struct dvmm_link_get link = { .out_addr = peer->addr };
	char addr[DVMM_ADDR_TEXT_SIZE];
	bool is_up;

	dvmm_link_get(agent->control, peer->id, &link);
	is_up = link.out_state == DVMM_LINK_UP || link.out_state == DVMM_LINK_SUSPECT;
	return json_pack("{s:s, s:i, s:s, s:s, s:o, s:o, s:o, s:s}",
			 "node", peer->name,
			 "id", peer->id,
			 "state", dvmm_link_state_word(link.out_state),
			 "address", dvmm_addr_format(&link.out_addr, addr),
			 "rtt_ns", is_up ? json_integer(link.out_rtt_ns) : json_null(),
			 "clock_offset_ticks", is_up ? json_integer(link.out_clock_offset) : json_null(),
			 "clock_error_ticks", is_up ? json_integer(link.out_clock_error) : json_null(),
			 "reason", link.out_reason);
}

json_t *method_link_list(struct request *request)
{
	struct agent *agent = request->agent;
	json_t *list = json_array();

	for (uint32_t i = 0; i < agent->config.nr_peers; i++)
		json_array_append_new(list, link_row(agent, &agent->config.peers[i]));
	return list;
}
