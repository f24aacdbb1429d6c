// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/libvirt/xml.c - `dvmm vm xml`: a domain that works, for who has none yet. What it
 * must say to be a spanning VM is checked by domain.c, at each start.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../cli/client.h"
#include "../install.h"
#include "domain.h"
#include "xml.h"

#define NR_DISKS_MAX 8
#define NR_FREE_PORTS 4

struct wish {
	const char *name, *home, *network;
	const char *disks[NR_DISKS_MAX];
	uint32_t nr_disks, nr_vcpus;
	uint64_t mem_mib;
	bool grows;
	struct places places;
};

enum { OPTION_NAME = 1000, OPTION_PLACE, OPTION_GROW, OPTION_HOME, OPTION_MEM, OPTION_VCPUS, OPTION_DISK, OPTION_NETWORK };

static const struct argp_option argp_options[] = {
	{ "place", OPTION_PLACE, "PLACES", 0, "Which vCPU lives where, as 0-1=n1,2-3=n2", 0 },
	{ "grow", OPTION_GROW, NULL, 0,
	  "Other nodes may join it while it runs, though none has a part in it at first", 0 },
	{ "name", OPTION_NAME, "NAME", 0, "Of the domain (vm1)", 0 },
	{ "vcpus", OPTION_VCPUS, "N", 0, "How many (as many as are placed); others live on the origin", 0 },
	{ "mem", OPTION_MEM, "SIZE", 0, "As 512M, 4G (2G)", 0 },
	{ "home", OPTION_HOME, "POLICY", 0, "Where the directory of its memory is: origin or interleave", 0 },
	{ "disk", OPTION_DISK, "FILE", 0, "An image (*.qcow2, else raw); more than once: more disks", 0 },
	{ "network", OPTION_NETWORK, "NAME", 0, "A network of libvirt's (none)", 0 },
	{ 0 },
};

static int take_mem(struct wish *wish, const char *arg)
{
	char *unit;
	unsigned long long size = strtoull(arg, &unit, 10);

	if (!strcmp(unit, "G"))
		size *= 1024;
	else if (strcmp(unit, "M"))
		return -EINVAL;
	wish->mem_mib = size;
	return *arg < '0' || *arg > '9' || size < 16 || size > 64ULL << 20 ? -EINVAL : 0;
}

static int take_vcpus(struct wish *wish, const char *arg)
{
	char *end;
	unsigned long nr = strtoul(arg, &end, 10);

	wish->nr_vcpus = nr;
	return *arg < '0' || *arg > '9' || *end || !nr || nr > DVMM_MAX_VCPUS ? -EINVAL : 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct wish *wish = state->input;
	uint32_t policy;
	char why[256];

	switch (key) {
	case OPTION_PLACE:
		if (places_add(&wish->places, arg, why, sizeof(why)))
			argp_error(state, "--place: %s", why);
		return 0;
	case OPTION_GROW:
		wish->grows = true;
		return 0;
	case OPTION_NAME:
		wish->name = arg;
		return 0;
	case OPTION_HOME:
		if (dvmm_home_policy_parse(arg, &policy))
			argp_error(state, "--home: '%s' is not origin or interleave", arg);
		wish->home = arg;
		return 0;
	case OPTION_MEM:
		if (take_mem(wish, arg))
			argp_error(state, "--mem: '%s' is not a size as 512M or 4G", arg);
		return 0;
	case OPTION_VCPUS:
		if (take_vcpus(wish, arg))
			argp_error(state, "--vcpus: '%s' is not 1 to %d", arg, DVMM_MAX_VCPUS);
		return 0;
	case OPTION_DISK:
		if (wish->nr_disks == NR_DISKS_MAX)
			argp_error(state, "--disk: more than %d", NR_DISKS_MAX);
		wish->disks[wish->nr_disks++] = arg;
		return 0;
	case OPTION_NETWORK:
		wish->network = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s' for?", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (!wish->places.nr)
			argp_error(state, "--place is missing: --place 0-1=n1,2-3=n2");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp xml_argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "Writes the libvirt domain of a spanning VM: dvmm vm xml ... >vm1.xml && virsh define vm1.xml",
};

/* ---- writing ---- */

static void print_escaped(const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", stdout);
			break;
		case '&':
			fputs("&amp;", stdout);
			break;
		case '\'':
			fputs("&apos;", stdout);
			break;
		default:
			putchar(*text);
		}
}

static void print_between(const char *before, const char *text, const char *after)
{
	fputs(before, stdout);
	print_escaped(text);
	fputs(after, stdout);
}

/* Places come in the order they were written: what follows on each other is one range. */
static uint32_t print_range(const struct places *places, uint32_t first)
{
	const struct place *list = places->list;
	uint32_t last = first;

	while (last + 1 < places->nr && list[last + 1].vcpu == list[last].vcpu + 1 &&
	       !strcmp(list[last + 1].node, list[first].node))
		last++;
	printf("      <dvmm:vcpu ids='%u", list[first].vcpu);
	if (last > first)
		printf("-%u", list[last].vcpu);
	print_between("' node='", list[first].node, "'/>\n");
	return last + 1;
}

static void print_placement(const struct wish *wish)
{
	printf("  <metadata>\n    <dvmm:placement xmlns:dvmm='%s'%s>\n", DOMAIN_XMLNS,
	       wish->grows ? " grow='yes'" : "");
	for (uint32_t i = 0; i < wish->places.nr;)
		i = print_range(&wish->places, i);
	if (wish->home)
		printf("      <dvmm:memory home='%s'/>\n", wish->home);
	printf("    </dvmm:placement>\n  </metadata>\n");
}

static void print_disk(const char *file, int number)
{
	size_t len = strlen(file);
	bool is_qcow2 = len > 6 && !strcmp(file + len - 6, ".qcow2");

	printf("    <disk type='file' device='disk'>\n      <driver name='qemu' type='%s'/>\n",
	       is_qcow2 ? "qcow2" : "raw");
	print_between("      <source file='", file, "'/>\n");
	printf("      <target dev='vd%c' bus='virtio'/>\n    </disk>\n", 'a' + number);
}

/* One for each PCI device: those that are here take theirs first. */
static void print_ports(const struct wish *wish)
{
	uint32_t nr = wish->nr_disks + !!wish->network + NR_FREE_PORTS;

	printf("    <!-- Some ports are free, for what is plugged in while it runs. -->\n"
	       "    <controller type='pci' model='pcie-root'/>\n");
	while (nr--)
		printf("    <controller type='pci' model='pcie-root-port'/>\n");
}

static void print_devices(const struct wish *wish)
{
	printf("  <devices>\n    <emulator>" PATH_EMULATOR "</emulator>\n");
	for (uint32_t i = 0; i < wish->nr_disks; i++)
		print_disk(wish->disks[i], i);
	if (wish->network)
		print_between("    <interface type='network'>\n      <source network='", wish->network,
			      "'/>\n      <model type='virtio'/>\n    </interface>\n");
	print_ports(wish);
	printf("    <controller type='usb' model='none'/>\n"
	       "    <memballoon model='none'/>\n"
	       "    <serial type='pty'/>\n"
	       "    <console type='pty'/>\n"
	       "  </devices>\n");
}

static uint32_t count_vcpus(const struct wish *wish)
{
	uint32_t nr = wish->nr_vcpus;

	for (uint32_t i = 0; !wish->nr_vcpus && i < wish->places.nr; i++)
		if (wish->places.list[i].vcpu >= nr)
			nr = wish->places.list[i].vcpu + 1;
	return nr;
}

static void print_domain(const struct wish *wish)
{
	printf("<domain type='kvm'>\n");
	print_between("  <name>", wish->name, "</name>\n");
	print_placement(wish);
	printf("  <memory unit='MiB'>%llu</memory>\n  <vcpu>%u</vcpu>\n",
	       (unsigned long long)wish->mem_mib, count_vcpus(wish));
	printf("  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n"
	       "  <!-- The IOAPIC of QEMU serves all nodes; the TSC is the guest's clock. -->\n"
	       "  <features><acpi/><apic/><ioapic driver='qemu'/></features>\n"
	       "  <cpu mode='host-passthrough' check='none' migratable='off'/>\n");
	print_devices(wish);
	printf("</domain>\n");
}

int xml_main(int argc, char **argv)
{
	static struct wish wish = { .name = "vm1", .mem_mib = 2048 };
	char name[] = "dvmm vm xml";

	argv[0] = name;
	argp_parse(&xml_argp, argc, argv, 0, NULL, &wish);
	print_domain(&wish);
	return STATUS_OK;
}
