// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/commands.c - which commands there are and what they show. */
#include <string.h>
#include "commands.h"

static const struct column node_columns[] = {
	{ "node", "NODE", LOOK_TEXT, 0 },
	{ "id", "ID", LOOK_NUMBER, 0 },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "address", "ADDRESS", LOOK_TEXT, 0 },
	{ 0 },
};

static const struct column node_info_columns[] = {
	{ "node", "Name", LOOK_TEXT, 0 },
	{ "id", "Id", LOOK_NUMBER, 0 },
	{ "uuid", "UUID", LOOK_TEXT, 0 },
	{ "cluster", "Cluster", LOOK_TEXT, 0 },
	{ "address", "Address", LOOK_TEXT, 0 },
	{ "epoch", "Epoch", LOOK_NUMBER, 0 },
	{ "links", "Links", LOOK_NUMBER, 0 },
	{ "vms", "VMs", LOOK_NUMBER, 0 },
	{ "cpus", "CPUs", LOOK_NUMBER, 0 },
	{ "vcpus", "vCPUs of VMs", LOOK_NUMBER, 0 },
	{ "memory_bytes", "Memory", LOOK_BYTES, 0 },
	{ "free_bytes", "Free memory", LOOK_BYTES, 0 },
	{ "abi", "Kernel ABI", LOOK_NUMBER, 0 },
	{ 0 },
};

static const struct column link_columns[] = {
	{ "node", "NODE", LOOK_TEXT, 0 },
	{ "id", "ID", LOOK_NUMBER, COLUMN_WIDE },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "address", "ADDRESS", LOOK_TEXT, 0 },
	{ "rtt_ns", "RTT", LOOK_NS, 0 },
	{ "clock_offset_ticks", "CLOCK-OFFSET", LOOK_NUMBER, COLUMN_WIDE },
	{ "clock_error_ticks", "CLOCK-ERROR", LOOK_NUMBER, COLUMN_WIDE },
	{ "reason", "REASON", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column vm_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "id", "ID", LOOK_NUMBER, 0 },
	{ "uuid", "UUID", LOOK_TEXT, COLUMN_WIDE },
	{ "origin", "ORIGIN", LOOK_TEXT, 0 },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "vcpus", "VCPUS", LOOK_NUMBER, 0 },
	{ "mems", "MEMS", LOOK_NUMBER, COLUMN_WIDE },
	{ "memory_bytes", "MEMORY", LOOK_BYTES, 0 },
	{ "resident_bytes", "RESIDENT", LOOK_BYTES, COLUMN_WIDE },
	{ "budget_bytes", "BUDGET", LOOK_BYTES, COLUMN_WIDE },
	{ "reason", "REASON", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column vm_info_columns[] = {
	{ "vm", "Name", LOOK_TEXT, 0 },
	{ "id", "Id", LOOK_NUMBER, 0 },
	{ "uuid", "UUID", LOOK_TEXT, 0 },
	{ "origin", "Origin", LOOK_TEXT, 0 },
	{ "state", "State", LOOK_STATE, 0 },
	{ "vcpus", "vCPUs", LOOK_NUMBER, 0 },
	{ "mems", "Memory objects", LOOK_NUMBER, 0 },
	{ "memory_bytes", "Memory", LOOK_BYTES, 0 },
	{ "resident_bytes", "Resident here", LOOK_BYTES, 0 },
	{ "budget_bytes", "Budget here", LOOK_BYTES, 0 },
	{ "reason", "Reason", LOOK_TEXT, 0 },
	{ 0 },
};

static const struct column join_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "node", "Node", LOOK_TEXT, 0 },
	{ "took_ns", "Took", LOOK_NS, 0 },
	{ "rtt_ns", "Round trip of the link", LOOK_NS, 0 },
	{ 0 },
};

static const struct column vcpu_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "vcpu", "VCPU", LOOK_NUMBER, 0 },
	{ "node", "NODE", LOOK_TEXT, 0 },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "exits", "EXITS", LOOK_NUMBER, 0 },
	{ "exits_per_second", "EXITS/S", LOOK_NUMBER, COLUMN_OPTIONAL, "exits" },
	{ "remote_exits", "REMOTE-EXITS", LOOK_NUMBER, 0 },
	{ "remote_exits_per_second", "REMOTE/S", LOOK_NUMBER, COLUMN_OPTIONAL, "remote_exits" },
	{ "halts", "HALTS", LOOK_NUMBER, 0 },
	{ "irqs", "IRQS", LOOK_NUMBER, 0 },
	{ "irqs_per_second", "IRQS/S", LOOK_NUMBER, COLUMN_OPTIONAL, "irqs" },
	{ 0 },
};

static const struct column mem_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "mem", "MEM", LOOK_NUMBER, 0 },
	{ "bytes", "SIZE", LOOK_BYTES, 0 },
	{ "resident_pages", "RESIDENT-PAGES", LOOK_NUMBER, COLUMN_WIDE },
	{ "resident_bytes", "RESIDENT", LOOK_BYTES, 0 },
	{ "budget_bytes", "VM-BUDGET", LOOK_BYTES, 0 },
	{ "metadata_bytes", "METADATA", LOOK_BYTES, 0 },
	{ "homed_bytes", "HOMED-HERE", LOOK_BYTES, 0 },
	{ "home", "HOME", LOOK_TEXT, 0 },
	{ 0 },
};

static const struct column top_columns[] = {
	{ "page", "PAGE", LOOK_TEXT, 0 },
	{ "vm", "VM", LOOK_TEXT, COLUMN_WIDE },
	{ "mem", "MEM", LOOK_NUMBER, COLUMN_WIDE },
	{ "index", "INDEX", LOOK_NUMBER, COLUMN_WIDE },
	{ "gpa", "GUEST-ADDRESS", LOOK_TEXT, 0 },
	{ "nodes", "NODES", LOOK_TEXT, 0 },
	{ "home", "HOME", LOOK_TEXT, 0 },
	{ "heat", "HEAT", LOOK_NUMBER, 0 },
	{ "read_misses", "READ-MISSES", LOOK_NUMBER, 0 },
	{ "read_misses_per_second", "READ/S", LOOK_NUMBER, COLUMN_OPTIONAL, "read_misses" },
	{ "write_misses", "WRITE-MISSES", LOOK_NUMBER, 0 },
	{ "write_misses_per_second", "WRITE/S", LOOK_NUMBER, COLUMN_OPTIONAL, "write_misses" },
	{ "takes", "TAKES", LOOK_NUMBER, 0 },
	{ "takes_per_second", "TAKES/S", LOOK_NUMBER, COLUMN_OPTIONAL, "takes" },
	{ "invalidations", "INVALIDATIONS", LOOK_NUMBER, 0 },
	{ "put_off", "PUT-OFF", LOOK_NUMBER, 0 },
	{ "wait_ns", "WAIT", LOOK_NS, 0 },
	{ 0 },
};

static const struct column budget_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "node", "Node", LOOK_TEXT, 0 },
	{ "budget_bytes", "Budget", LOOK_BYTES, 0 },
	{ "resident_bytes", "Resident", LOOK_BYTES, 0 },
	{ 0 },
};

static const struct column rehome_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "moved_extents", "Extents moved", LOOK_NUMBER, 0 },
	{ 0 },
};

static const struct column move_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "vcpu", "vCPU", LOOK_NUMBER, 0 },
	{ "from", "From", LOOK_TEXT, 0 },
	{ "node", "To", LOOK_TEXT, 0 },
	{ "downtime_ns", "Stood still", LOOK_NS, 0 },
	{ "rtt_ns", "Round trip of the link", LOOK_NS, 0 },
	{ "bytes", "Sent", LOOK_BYTES, 0 },
	{ "late_interrupts", "Interrupts sent on", LOOK_NUMBER, 0 },
	{ "joined", "Joined the VM first", LOOK_TEXT, 0 },
	{ "join_ns", "Which took", LOOK_NS, 0 },
	{ 0 },
};

static const struct column drain_columns[] = {
	{ "vm", "VM", LOOK_TEXT, 0 },
	{ "vcpus", "VCPUS-MOVED", LOOK_NUMBER, 0 },
	{ "joined", "NODES-JOINED", LOOK_NUMBER, COLUMN_WIDE },
	{ "moved_extents", "EXTENTS-MOVED", LOOK_NUMBER, 0 },
	{ "home", "THEIR-HOME", LOOK_TEXT, COLUMN_WIDE },
	{ "downtime_ns", "STOOD-STILL", LOOK_NS, 0 },
	{ "took_ns", "TOOK", LOOK_NS, 0 },
	{ 0 },
};

static const struct column leave_columns[] = {
	{ "node", "Node", LOOK_TEXT, 0 },
	{ "left", "Has left cluster", LOOK_TEXT, 0 },
	{ 0 },
};

static const struct column stat_columns[] = {
	{ "object", "OBJECT", LOOK_TEXT, 0 },
	{ "counter", "COUNTER", LOOK_TEXT, 0 },
	{ "value", "VALUE", LOOK_NUMBER, 0 },
	{ "per_second", "PER-SECOND", LOOK_NUMBER, COLUMN_OPTIONAL, "value" },
	{ "unit", "UNIT", LOOK_TEXT, 0 },
	{ "help", "HELP", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column event_columns[] = {
	{ "seq", "SEQ", LOOK_NUMBER, COLUMN_WIDE },
	{ "time_ns", "TIME", LOOK_TIME, 0 },
	{ "event", "EVENT", LOOK_STATE, 0 },
	{ "node", "NODE", LOOK_TEXT, 0 },
	{ "vm", "VM-ID", LOOK_NUMBER, 0 },
	{ "text", "TEXT", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column cluster_columns[] = {
	{ "cluster", "Cluster", LOOK_TEXT, 0 },
	{ "uuid", "UUID", LOOK_TEXT, 0 },
	{ "version", "Version", LOOK_NUMBER, 0 },
	{ "nodes", "Nodes", LOOK_NUMBER, 0 },
	{ "node", "This node", LOOK_TEXT, 0 },
	{ "api", "Agents come to", LOOK_TEXT, 0 },
	{ "takes_in", "Makes tokens", LOOK_TEXT, 0 },
	{ "membership", "Membership", LOOK_TEXT, 0 },
	{ "quorate", "Quorate", LOOK_TEXT, 0 },
	{ "epoch", "Epoch", LOOK_TEXT, 0 },
	{ "watchdog", "Watchdog", LOOK_STATE, 0 },
	{ "watchdog_is", "", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column status_columns[] = {
	{ "node", "NODE", LOOK_TEXT, 0 },
	{ "id", "ID", LOOK_NUMBER, 0 },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "version", "VERSION", LOOK_NUMBER, 0 },
	{ "quorate", "QUORATE", LOOK_TEXT, 0 },
	{ "address", "LINKS", LOOK_TEXT, 0 },
	{ "api", "AGENT", LOOK_TEXT, 0 },
	{ "reason", "REASON", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column setting_columns[] = {
	{ "setting", "SETTING", LOOK_TEXT, 0 },
	{ "value", "VALUE", LOOK_TEXT, 0 },
	{ "help", "HELP", LOOK_PROSE, 0 },
	{ 0 },
};

static const struct column token_columns[] = {
	{ "token", "Token", LOOK_TEXT, 0 },
	{ "valid_s", "Good for (s)", LOOK_NUMBER, 0 },
	{ 0 },
};

static const struct column version_columns[] = {
	{ "version", "Version", LOOK_NUMBER, 0 },
	{ 0 },
};

const struct command commands[] = {
	{ "node", "list", "", "Nodes of the cluster, as configured on this node", "node.list",
	  { NULL }, 0, node_columns, 0 },
	{ "node", "info", "", "This node", "node.info", { NULL }, 0, node_info_columns, COMMAND_ONE },
	{ "node", "drain", "NODE", "Make the VMs whose origin is this node do without NODE: vCPUs, homes and pages leave it; then it may leave the cluster",
	  "node.drain", { "node" }, 1, drain_columns, 0 },
	{ "node", "leave", "", "Make this node, which no VM needs, no member of its cluster any more; its agent ends",
	  "node.leave", { NULL }, 0, leave_columns, COMMAND_ONE },
	{ "node", "check", "", "What this host has and lacks to be a node", NULL, { NULL }, 0, NULL, 0 },
	{ "node", "setup", "[--dry-run | --undo]", "Make this host ready, also for libvirt", NULL,
	  { NULL }, 0, NULL, 0 },
	{ "link", "list", "", "Links of this node to the others", "link.list", { NULL }, 0,
	  link_columns, 0 },
	{ "vm", "list", "", "Spanning VMs with a part on this node", "vm.list", { NULL }, 0,
	  vm_columns, 0 },
	{ "vm", "info", "VM", "One VM, by name, UUID or id", "vm.info", { "vm" }, 1, vm_info_columns,
	  COMMAND_ONE },
	{ "vm", "join", "VM NODE [--budget BYTES]",
	  "Give NODE, which became a member later, a part in a running VM: vCPUs and homes may go there",
	  "vm.join", { "vm", "node" }, 2, join_columns, COMMAND_ONE, 0, { "budget" } },
	{ "vm", "xml", "--place 0-1=NODE,2-3=NODE [OPTION...]",
	  "Write the libvirt domain of a spanning VM (dvmm vm xml --help)", NULL, { NULL }, 0, NULL, 0 },
	{ "vm", "topology", "--place 0-1=NODE,2-3=NODE --mem SIZE [--machine q35|pc] [-o qemu|libvirt|json]",
	  "Options of QEMU, or XML of libvirt, for a guest that sees which vCPUs and memory are near",
	  NULL, { NULL }, 0, NULL, 0 },
	{ "vcpu", "list", "[VM]", "vCPUs: where they live, and what this node counted for its own",
	  "vcpu.list", { "vm" }, 0, vcpu_columns, 0, 2 },
	{ "vcpu", "move", "VM:N NODE", "Make a vCPU of a running VM live on another node; one that has no part in the VM joins it first",
	  "vcpu.move", { "vcpu", "node" }, 2, move_columns, COMMAND_ONE },
	{ "mem", "list", "[VM]", "Memory objects: size, and what of them is on this node", "mem.list",
	  { "vm" }, 0, mem_columns, 0 },
	{ "mem", "top", "VM", "Pages that nodes fight over, as this node sees it: hottest first, of the last 20 s",
	  "mem.top", { "vm" }, 1, top_columns, 0, 1 },
	{ "mem", "budget", "VM [SIZE | none | default]",
	  "How much memory of this node a VM may hold; with SIZE (as 200M) from now on", "mem.budget",
	  { "vm", "size" }, 1, budget_columns, COMMAND_ONE },
	{ "mem", "rehome", "VM NODE [--mem ID [--extent N[-M]]] [--from NODE]",
	  "Make NODE the home of a running VM's memory: all, some, or what has its home at --from",
	  "mem.rehome", { "vm", "node" }, 2, rehome_columns, COMMAND_ONE,
	  0, { "mem", "extent", "from" } },
	{ "stat", NULL, "[node | link [NODE] | VM]", "Counters of this node", "stat.list",
	  { "object", "node" }, 0, stat_columns, 0, 2 },
	{ "event", "list", "[VM]", "What happened; with --follow also what happens", "event.list",
	  { "vm" }, 0, event_columns, COMMAND_FOLLOW },
	{ "cluster", "init", "[--name NAME] [--address ADDRESS] [OPTION...]",
	  "Make this host the first node of a cluster (dvmm cluster init --help)", NULL, { NULL }, 0, NULL, 0 },
	{ "cluster", "token", "[--ttl SECONDS]", "Make a token for one host that shall join", "cluster.token",
	  { NULL }, 0, token_columns, COMMAND_ONE, 0, { "ttl" } },
	{ "cluster", "join", "TOKEN [--address ADDRESS] [OPTION...]",
	  "Make this host a node of the cluster that TOKEN is of (dvmm cluster join --help)", NULL, { NULL }, 0, NULL, 0 },
	{ "cluster", "info", "", "The cluster that this node is in", "cluster.info", { NULL }, 0, cluster_columns,
	  COMMAND_ONE },
	{ "cluster", "list", "", "Its nodes: who answers, and with which version of the configuration",
	  "cluster.status", { NULL }, 0, status_columns, 0 },
	{ "cluster", "settings", "", "Settings of all nodes", "cluster.settings", { NULL }, 0, setting_columns, 0 },
	{ "cluster", "set", "SETTING VALUE", "Change a setting on all nodes, or on none if one refuses it",
	  "cluster.set", { "setting", "value" }, 2, version_columns, COMMAND_ONE },
	{ "cluster", "remove", "NODE[,NODE...]", "Make nodes, which need not answer, no members any more", "cluster.remove",
	  { "node" }, 1, version_columns, COMMAND_ONE },
	{ "run", NULL, "--place 0=NODE,1-3=NODE [OPTION...] -- PROGRAM [ARG...]",
	  "Run a KVM program as a spanning VM (dvmm run --help)", NULL, { NULL }, 0, NULL, 0 },
	{ 0 },
};

const struct command *command_find(const char *noun, const char *verb)
{
	for (const struct command *command = commands; command->noun; command++)
		if (!strcmp(command->noun, noun) && !verb == !command->verb &&
		    (!verb || !strcmp(command->verb, verb)))
			return command;
	return NULL;
}

bool command_takes_verb(const char *noun)
{
	for (const struct command *command = commands; command->noun; command++)
		if (!strcmp(command->noun, noun) && command->verb)
			return true;
	return false;
}

int commands_help(FILE *out, const char *noun)
{
	int nr = 0;

	for (const struct command *command = commands; command->noun; command++) {
		if (noun && strcmp(noun, command->noun))
			continue;
		fprintf(out, "  dvmm %s%s%s%s%s\n        %s\n", command->noun,
			command->verb ? " " : "", command->verb ? command->verb : "",
			*command->usage ? " " : "", command->usage, command->help);
		nr++;
	}
	return nr;
}
