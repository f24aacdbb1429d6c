// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/run/reason.c - the kernel knows nodes by number, people by name. */
#include <stdio.h>
#include <string.h>
#include "../../lib/dvmm.h"
#include "reason.h"

void reason_name_node(struct client *client, char *reason, size_t size)
{
	char rest[DVMM_REASON_SIZE];
	json_t *nodes, *node;
	int id, at = 0;
	size_t i;

	if (sscanf(reason, "no slice on node %d%n", &id, &at) != 1 || !at ||
	    client_call(client, "node.list", NULL, &nodes, NULL))
		return;
	snprintf(rest, sizeof(rest), "%s", reason + at);
	json_array_foreach(nodes, i, node) {
		const char *name = json_string_value(json_object_get(node, "node"));

		if (name && json_integer_value(json_object_get(node, "id")) == id)
			snprintf(reason, size, "no slice on node %s%s", name, rest);
	}
	json_decref(nodes);
}
