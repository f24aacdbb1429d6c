// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/topology.c - `dvmm vm topology`: the options of the command. What it prints
 * is run/topology.c's; no agent is asked.
 */
#include <argp.h>
#include <errno.h>
#include <string.h>
#include "../run/topology.h"
#include "client.h"

struct options {
	struct places places;
	uint64_t bytes;
	enum topology_machine machine;
	enum topology_format format;
};

enum { OPTION_PLACE = 1000, OPTION_MEM, OPTION_MACHINE };

static const struct argp_option argp_options[] = {
	{ "place", OPTION_PLACE, "PLACES", 0, "Which vCPU lives where, as 0-1=n1,2-3=n2", 0 },
	{ "mem", OPTION_MEM, "SIZE", 0, "Memory of the guest, as 2G", 0 },
	{ "machine", OPTION_MACHINE, "TYPE", 0, "q35 (default) or pc", 0 },
	{ "output", 'o', "FORMAT", 0, "qemu (default), libvirt or json", 0 },
	{ 0 },
};

static int take_format(const char *arg, enum topology_format *ret_format)
{
	static const char *const words[] = { [TOPOLOGY_QEMU] = "qemu",
					     [TOPOLOGY_LIBVIRT] = "libvirt",
					     [TOPOLOGY_JSON] = "json" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(arg, words[i]))
			continue;
		*ret_format = i;
		return 0;
	}
	return -EINVAL;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	char *machine[] = { (char *)"-M", arg, NULL };
	char why[256];

	switch (key) {
	case OPTION_PLACE:
		if (places_add(&options->places, arg, why, sizeof(why)))
			argp_error(state, "--place: %s", why);
		return 0;
	case OPTION_MEM:
		if (topology_parse_size(arg, &options->bytes))
			argp_error(state, "--mem: '%s' is not a size, as 2G", arg);
		return 0;
	case OPTION_MACHINE:
		if (topology_machine_of(machine, &options->machine))
			argp_error(state, "--machine: '%s' is neither q35 nor pc", arg);
		return 0;
	case 'o':
		if (take_format(arg, &options->format))
			argp_error(state, "'%s' is not a format: qemu, libvirt, json", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp topology_argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "Prints options of QEMU, or XML of libvirt, that show the guest a NUMA cell for each "
	       "node, and the homes of memory that agree with it (dvmm run --numa does both).",
};

int topology_main(int argc, char **argv)
{
	static struct options options;
	static struct topology topology;
	char why[256], name[] = "dvmm vm topology";

	argv[0] = name;
	argp_parse(&topology_argp, argc, argv, 0, NULL, &options);
	if (!options.places.nr || !options.bytes) {
		fprintf(stderr, "dvmm: usage: dvmm vm topology --place 0-1=NODE,2-3=NODE --mem SIZE [--machine q35|pc] [-o qemu|libvirt|json]\n");
		return STATUS_USAGE;
	}
	if (topology_make(&topology, options.machine, &options.places, options.bytes, why,
			  sizeof(why))) {
		fprintf(stderr, "dvmm: vm topology: %s\n", why);
		return STATUS_USAGE;
	}
	topology_print(stdout, &topology, options.format);
	return STATUS_OK;
}
