/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/run/reason.h - why a VM did not start, in the words of people. */
#ifndef AGENT_RUN_REASON_H
#define AGENT_RUN_REASON_H

#include "../cli/client.h"

/**
 * reason_name_node() - put the node's name where the kernel has its number
 * @reason: of dvmm_vm_start()
 * @size: room at @reason
 */
void reason_name_node(struct client *client, char *reason, size_t size);

#endif
