/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/config.h - what /etc/dvmm/agent.conf and agent.conf.d say. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stdbool.h>
#include <stdio.h>
#include "../lib/dvmm.h"

#define CONFIG_FILE "/etc/dvmm/agent.conf"
#define CONFIG_PATH_SIZE 256

struct config_node {
	char name[DVMM_NAME_SIZE];
	uint32_t id;
	struct dvmm_addr addr; /* where it listens */
	bool has_id;
};

struct config {
	struct config_node self;
	uint8_t node_uuid[DVMM_UUID_SIZE];
	bool has_node_uuid;
	uint8_t cluster_uuid[DVMM_UUID_SIZE];
	bool has_cluster_uuid;
	char key_file[CONFIG_PATH_SIZE];
	uint32_t epoch;
	uint32_t lost_after_ms; /* of links; 0: the kernel's choice */
	char metrics[CONFIG_PATH_SIZE]; /* ADDRESS:PORT, :PORT or a path; empty: nowhere */
	char watchdog[CONFIG_PATH_SIZE]; /* a device; empty: none */
	char slice_program[CONFIG_PATH_SIZE]; /* empty: beside the agent */
	struct config_node peers[DVMM_MAX_NODES];
	uint32_t nr_peers;
};

/**
 * config_read() - read a configuration
 * @text: the file, open
 * @file: its name, for messages
 * @say: where messages go, one line each: "FILE:LINE: warning: ..."
 *
 * Return: 0, or -EINVAL when there were errors (all of them are said)
 */
int config_read(FILE *text, const char *file, FILE *say, struct config *ret_config);

/**
 * config_load() - config_read() of @file and then of all @file.d/NAME.conf, in the order of their names
 * @in_cluster: nodes and keys are the cluster's (agent/cluster); @file need not be there
 *
 * What a later file says counts.
 * Return: 0 or -errno, said
 */
int config_load(const char *file, bool in_cluster, FILE *say, struct config *ret_config);

/** config_load_key() - the cluster key: 64 hexadecimal digits in @config->key_file */
int config_load_key(const struct config *config, FILE *say, uint8_t ret_key[DVMM_KEY_SIZE]);

/** config_node_by_name() - a peer or this node; NULL: no such node */
const struct config_node *config_node_by_name(const struct config *config, const char *name);
/** config_node_name() - name of node @id, or its number as text in @buffer */
const char *config_node_name(const struct config *config, uint32_t id, char buffer[16]);

#endif
