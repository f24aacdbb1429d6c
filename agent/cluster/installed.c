// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/installed.c - can corosync run on this host? Asked by agents before membership
 * becomes corosync's, and by a host before it joins such a cluster.
 */
#include <errno.h>
#include <unistd.h>
#include "internal.h"

/* What others may have set up. Debian's package comes with an example. */
#define OTHERS_CONFIG "/etc/corosync/corosync.conf"
#define OTHERS_KEY "/etc/corosync/authkey"
#define EXAMPLE "cluster_name: debian\n"

static bool is_example(FILE *config)
{
	char line[256];

	while (fgets(line, sizeof(line), config))
		if (!strcmp(line + strspn(line, " \t"), EXAMPLE))
			return true;
	return false;
}

static bool is_of_others(void)
{
	FILE *config = fopen(OTHERS_CONFIG, "re");
	bool is_other = !access(OTHERS_KEY, F_OK) || (config && !is_example(config));

	if (config)
		fclose(config);
	return is_other;
}

int corosync_check(struct cluster_error *error)
{
	if (access(COROSYNC_PROGRAM, X_OK) || access(COROSYNC_TOOL, X_OK))
		return cluster_fail(error, RPC_CONFLICT,
				    "corosync is not installed: apt install corosync");
	if (is_of_others())
		return cluster_fail(error, RPC_CONFLICT,
				    "this host has a corosync of somebody else (" OTHERS_CONFIG
				    " or authkey): a host has one only");
	return 0;
}
