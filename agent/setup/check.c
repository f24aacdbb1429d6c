// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/setup/check.c - `dvmm node check`: what a node needs, one row each: ok, missing
 * (spanning VMs cannot work) or advice (they would work better), and what to do about it.
 */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../lib/dvmm.h"
#include "../cli/client.h"
#include "../install.h"
#include "files.h"
#include "setup.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define MTU_FOR_A_PAGE 4200

struct report {
	json_t *rows;
	struct client *client; /* NULL: no agent answers */
	bool is_missing;
};

static const struct column columns[] = {
	{ "check", "CHECK", LOOK_TEXT, 0 },
	{ "state", "STATE", LOOK_STATE, 0 },
	{ "detail", "DETAIL", LOOK_PROSE, 0 },
	{ "fix", "FIX", LOOK_PROSE, 0 },
	{ 0 },
};

/* @state: ok, missing or advice; @fix: what to do, "" when it is ok */
__attribute__((format(printf, 5, 6)))
static void say(struct report *report, const char *state, const char *check, const char *fix,
		const char *format, ...)
{
	char detail[512];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	report->is_missing |= !strcmp(state, "missing");
	json_array_append_new(report->rows, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "state",
						      state, "detail", detail, "fix", fix));
}

/* The first line; "" when there is none. */
static bool read_line(const char *path, char *ret_line, size_t size)
{
	FILE *file = fopen(path, "re");

	*ret_line = '\0';
	if (!file)
		return false;
	if (!fgets(ret_line, size, file))
		*ret_line = '\0';
	fclose(file);
	ret_line[strcspn(ret_line, "\n")] = '\0';
	return true;
}

/* ---- the host ---- */

static void check_kvm(struct report *report)
{
	if (!access("/dev/kvm", F_OK))
		say(report, "ok", "kvm", "", "/dev/kvm");
	else
		say(report, "missing", "kvm", "switch on SVM or VT-x in the firmware; modprobe kvm-amd or kvm-intel",
		    "/dev/kvm: %s", strerror(errno));
}

static bool cpu_has(const char *flag)
{
	char line[16384];
	FILE *file = fopen("/proc/cpuinfo", "re");
	bool has = false;

	while (file && !has && fgets(line, sizeof(line), file))
		if (!strncmp(line, "flags", 5))
			has = strstr(line, flag);
	if (file)
		fclose(file);
	return has;
}

static void check_tsc(struct report *report)
{
	char clock[64];

	read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", clock, sizeof(clock));
	if (!strncmp(clock, "tsc", 3)) /* tsc-early: while it is measured */
		say(report, "ok", "tsc", "", "the host trusts its TSC");
	else
		say(report, "missing", "tsc", cpu_has("constant_tsc") ? "boot with tsc=reliable" : "another CPU",
		    "the host's clock is %s, but the TSC is a spanning guest's clock", clock);
}

static void check_eptad(struct report *report)
{
	char value[8];

	if (read_line("/sys/module/kvm_intel/parameters/eptad", value, sizeof(value)) && *value == 'Y')
		say(report, "advice", "page tables", "options kvm_intel eptad=0 in /etc/modprobe.d",
		    "nodes take each page table of the guest from each other (EPT accessed/dirty bits)");
}

static void check_modules(struct report *report)
{
	if (!access("/sys/module/dvmm_vcpu", F_OK))
		say(report, "ok", "modules", "", "dvmm, dvmm-dsm, dvmm-vcpu");
	else
		say(report, "missing", "modules", "modprobe dvmm-vcpu (dmesg says why it does not load)",
		    "dvmm-vcpu is not loaded");
}

/* ---- RDMA ---- */

static void check_mtu(struct report *report, const char *device)
{
	char path[PATH_MAX], netdev[64], mtu[16];

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/gid_attrs/ndevs/0", device);
	if (!read_line(path, netdev, sizeof(netdev)))
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", netdev);
	if (!read_line(path, mtu, sizeof(mtu)))
		return;
	if (atoi(mtu) >= MTU_FOR_A_PAGE)
		say(report, "ok", "mtu", "", "%s: %s", netdev, mtu);
	else
		say(report, "advice", "mtu", "ip link set NETDEV mtu 9000, on each host and switch",
		    "%s: %s; from %d on a page travels in one packet", netdev, mtu, MTU_FOR_A_PAGE);
}

static void check_rdma(struct report *report)
{
	DIR *folder = opendir("/sys/class/infiniband");
	struct dirent *entry = NULL;

	while (folder && (entry = readdir(folder)) && entry->d_name[0] == '.')
		;
	if (entry) {
		say(report, "ok", "rdma", "", "%s", entry->d_name);
		check_mtu(report, entry->d_name);
	} else {
		say(report, "missing", "rdma",
		    "without an RDMA card: systemctl enable --now dvmm-rxe@NETDEV (eth0, ...)",
		    "there is no RDMA device");
	}
	if (folder)
		closedir(folder);
}

/* ---- the agent ---- */

static void check_links(struct report *report)
{
	json_t *links, *link;
	size_t i;

	if (client_call(report->client, "link.list", NULL, &links, NULL))
		return;
	json_array_foreach(links, i, link) {
		const char *node, *state, *reason;
		char check[DVMM_NAME_SIZE + 8];

		if (json_unpack(link, "{s:s, s:s, s:s}", "node", &node, "state", &state, "reason", &reason))
			continue;
		snprintf(check, sizeof(check), "link %s", node);
		if (!strcmp(state, "up"))
			say(report, "ok", check, "", "up");
		else
			say(report, "missing", check, "run dvmm node check there; is the network up?",
			    "%s%s%s", state, *reason ? ": " : "", reason);
	}
	json_decref(links);
}

/* What resets a host on which the agent cannot end VMs any more. */
static void check_watchdog(struct report *report)
{
	const char *membership, *state, *is, *fix;
	json_t *info;

	if (client_call(report->client, "cluster.info", NULL, &info, NULL))
		return;
	if (!json_unpack(info, "{s:s, s:s, s:s, s:s}", "membership", &membership, "watchdog", &state,
			 "watchdog_is", &is, "watchdog_fix", &fix)) {
		if (*fix)
			say(report, "missing", "watchdog", fix, "%s", is);
		else if (strcmp(state, "none"))
			say(report, "ok", "watchdog", "", "%s", is);
		else if (!strcmp(membership, "corosync"))
			say(report, "advice", "watchdog", "watchdog = /dev/watchdog0 in [agent] of /etc/dvmm/agent.conf",
			    "none: a host without quorum whose agent hangs keeps its VMs");
	}
	json_decref(info);
}

static void check_agent(struct report *report, const char *socket)
{
	if (access(socket, F_OK))
		say(report, "missing", "agent", "dvmm cluster init, or dvmm cluster join TOKEN; systemctl start dvmm-agent",
		    "%s: %s", socket, strerror(errno));
	else if (client_open(socket, false, &report->client))
		say(report, "missing", "agent", "systemctl restart dvmm-agent", "it does not answer on %s", socket);
	else
		say(report, "ok", "agent", "", "it answers on %s", socket);
	if (!report->client)
		return;
	check_links(report);
	check_watchdog(report);
}

static void check_vmm_socket(struct report *report)
{
	struct group *group = getgrnam("kvm");
	struct stat stat_buffer;

	if (!report->client)
		return;
	if (!group)
		say(report, "missing", "group kvm", "groupadd --system kvm; restart the agent",
		    "there is no group kvm, so only root can run a spanning VM");
	else if (stat(RPC_VMM_SOCKET, &stat_buffer) || stat_buffer.st_gid != group->gr_gid)
		say(report, "missing", "vmm socket", "restart the agent", RPC_VMM_SOCKET " is not for group kvm");
	else
		say(report, "ok", "vmm socket", "", RPC_VMM_SOCKET);
}

/* ---- libvirt ---- */

static void check_file(struct report *report, const struct setup_file *file)
{
	switch (file_state(file, "")) {
	case FILE_NOT_NEEDED:
		break;
	case FILE_THERE:
		say(report, "ok", "file", "", "%s", file->path);
		break;
	case FILE_MISSING:
		say(report, "missing", "file", "dvmm node setup", "%s: %s", file->path, file->why);
		break;
	case FILE_DIFFERS:
		say(report, "missing", "file", "dvmm node setup", "%s is of another version", file->path);
		break;
	case FILE_FOREIGN:
		say(report, "missing", "file", "move it away, then dvmm node setup", "%s is not ours", file->path);
		break;
	}
}

static void check_program(struct report *report, const char *path, const char *package)
{
	if (!access(path, X_OK))
		say(report, "ok", "program", "", "%s", path);
	else
		say(report, "missing", "program", package, "%s: %s", path, strerror(errno));
}

/* libvirt remembers what an emulator can do until the emulator's file changes. */
static void check_emulator_age(struct report *report)
{
	struct stat qemu, emulator;

	if (!stat(QEMU, &qemu) && !stat(PATH_EMULATOR, &emulator) && emulator.st_ctime < qemu.st_ctime)
		say(report, "advice", "emulator", "touch " PATH_EMULATOR,
		    "QEMU is newer than " PATH_EMULATOR ": libvirt may remember what an older one could do");
}

static void check_libvirt(struct report *report)
{
	if (access("/etc/libvirt", F_OK)) {
		say(report, "advice", "libvirt", "apt install libvirt-daemon-system (on nodes where VMs are started)",
		    "libvirt is not installed");
		return;
	}
	check_program(report, QEMU, "apt install qemu-system-x86");
	check_program(report, PATH_EMULATOR, "install dvmm-agent");
	check_program(report, PATH_HOOK, "install dvmm-agent");
	check_emulator_age(report);
}

/* ---- all ---- */

static const struct argp argp = {
	.doc = "Says what this host has and lacks to be a node: ok, missing or advice.",
};

int check_main(const char *socket, const struct how *how, int argc, char **argv)
{
	struct report report = { .rows = json_array() };
	char name[] = "dvmm node check";

	argv[0] = name;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	check_kvm(&report);
	check_tsc(&report);
	check_eptad(&report);
	check_modules(&report);
	check_rdma(&report);
	check_agent(&report, socket);
	check_vmm_socket(&report);
	check_libvirt(&report);
	for (const struct setup_file *file = setup_files; file->path; file++)
		check_file(&report, file);
	table_print(stdout, columns, report.rows, how);
	json_decref(report.rows);
	client_close(report.client);
	return report.is_missing ? STATUS_FAILED : STATUS_OK;
}
