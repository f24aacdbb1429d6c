// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/request.c - takes requests apart, also those of hosts that nobody knows yet.
 * Pure; what becomes of them is api.c's and admit.c's.
 */
#include <errno.h>
#include <string.h>
#include "internal.h"

int request_parse(const char *text, size_t len, json_t **ret_json, const char **ret_method,
		  json_t **ret_params, struct cluster_error *error)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *method = json_string_value(json_object_get(json, "method"));
	json_t *params = json_object_get(json, "params");
	int err = 0;

	if (!method)
		err = cluster_fail(error, RPC_INVALID, "a request is a JSON object with a method");
	else if (params && !json_is_object(params))
		err = cluster_fail(error, RPC_INVALID, "params must be an object");
	if (err) {
		json_decref(json);
		return err;
	}
	*ret_json = json;
	*ret_method = method;
	*ret_params = params;
	return 0;
}

static int parse_member(json_t *params, struct join_request *request, struct cluster_error *error)
{
	struct cluster_member *member = &request->member;
	const char *name, *uuid, *addr, *api;

	if (json_unpack(params, "{s:s, s:s, s:s, s:s}", "node", &name, "uuid", &uuid, "addr", &addr,
			"api", &api))
		return cluster_fail(error, RPC_INVALID,
				    "a join has secret, node, uuid, addr, api and request");
	if (!cluster_name_is_good(name))
		return cluster_fail(
			error, RPC_INVALID,
			"a node's name has 1 to %d letters, digits, '.', '_' and '-', unlike '%.64s'",
			DVMM_NAME_SIZE - 1, name);
	if (dvmm_uuid_parse(uuid, member->uuid) || dvmm_addr_parse(addr, &member->addr) ||
	    dvmm_addr_parse(api, &member->api))
		return cluster_fail(error, RPC_INVALID, "%s: bad uuid, addr or api", name);
	strcpy(member->name, name);
	return 0;
}

static int parse_id(json_t *params, struct join_request *request, struct cluster_error *error)
{
	json_t *id = json_object_get(params, "id");

	if (!id)
		return 0;
	if (!json_is_integer(id) || json_integer_value(id) < 0 ||
	    json_integer_value(id) >= DVMM_MAX_NODES)
		return cluster_fail(error, RPC_INVALID, "a node's id is a number from 0 to %d",
				    DVMM_MAX_NODES - 1);
	request->member.id = json_integer_value(id);
	request->has_id = true;
	return 0;
}

int join_request_parse(json_t *params, struct join_request *ret_request,
		       struct cluster_error *error)
{
	const char *secret = json_string_value(json_object_get(params, "secret"));
	const char *pem = json_string_value(json_object_get(params, "request"));
	const char *cluster = json_string_value(json_object_get(params, "cluster"));
	struct join_request request = { 0 };

	if (!secret || dvmm_hex_parse(secret, request.secret, sizeof(request.secret)) || !pem ||
	    (cluster && !cluster_name_is_good(cluster)))
		return cluster_fail(error, RPC_INVALID,
				    "a join has secret, node, uuid, addr, api and request");
	if (parse_member(params, &request, error) || parse_id(params, &request, error))
		return -EINVAL;
	request.request = (char *)pem;
	strcpy(request.cluster, cluster ? cluster : "");
	*ret_request = request;
	return 0;
}
