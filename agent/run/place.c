// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/run/place.c - parses a placement of vCPUs, and of memory. Pure. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "place.h"

struct parser {
	const char *at;
	char *why;
	size_t why_size;
	const char *example;
};

static int complain(struct parser *parser, const char *what)
{
	snprintf(parser->why, parser->why_size, "%s: '%s' (as in %s)", what, parser->at,
		 parser->example);
	return -EINVAL;
}

static int parse_vcpu(struct parser *parser, uint32_t *ret_vcpu)
{
	size_t len = strspn(parser->at, "0123456789");
	unsigned long vcpu = strtoul(parser->at, NULL, 10);

	if (!len)
		return complain(parser, "a vCPU number is missing");
	if (len > 9 || vcpu >= DVMM_MAX_VCPUS)
		return complain(parser, "this vCPU number is too large");
	parser->at += len;
	*ret_vcpu = vcpu;
	return 0;
}

static int parse_range(struct parser *parser, uint32_t *ret_first, uint32_t *ret_last)
{
	const char *start = parser->at;
	int err = parse_vcpu(parser, ret_first);

	*ret_last = *ret_first;
	if (err || *parser->at != '-')
		return err;
	parser->at++;
	err = parse_vcpu(parser, ret_last);
	if (err || *ret_last >= *ret_first)
		return err;
	parser->at = start;
	return complain(parser, "this range goes backwards");
}

static int parse_name(struct parser *parser, char node[DVMM_NAME_SIZE])
{
	size_t len = strcspn(parser->at, ",=");

	if (!len || len >= DVMM_NAME_SIZE || parser->at[len] == '=')
		return complain(parser, "this is not the name of a node");
	memcpy(node, parser->at, len);
	node[len] = '\0';
	parser->at += len;
	return 0;
}

static int parse_node(struct parser *parser, char node[DVMM_NAME_SIZE])
{
	if (*parser->at != '=')
		return complain(parser, "'=NODE' is missing");
	parser->at++;
	return parse_name(parser, node);
}

static int is_placed(const struct places *places, uint32_t vcpu)
{
	for (uint32_t i = 0; i < places->nr; i++)
		if (places->list[i].vcpu == vcpu)
			return 1;
	return 0;
}

static int parse_item(struct parser *parser, struct places *places)
{
	const char *start = parser->at;
	char node[DVMM_NAME_SIZE];
	uint32_t first, last;
	int err = parse_range(parser, &first, &last);

	if (!err)
		err = parse_node(parser, node);
	if (err)
		return err;
	for (uint32_t vcpu = first; vcpu <= last; vcpu++) {
		struct place *place = &places->list[places->nr];

		if (places->nr == DVMM_MAX_VCPUS) {
			parser->at = start;
			return complain(parser, "these are too many places");
		}
		if (is_placed(places, vcpu)) {
			parser->at = start;
			return complain(parser, "a vCPU is placed twice");
		}
		place->vcpu = vcpu;
		strcpy(place->node, node);
		places->nr++;
	}
	return 0;
}

static int parse_memory(struct parser *parser, struct places *places)
{
	struct place *place = &places->list[places->nr];
	char node[DVMM_NAME_SIZE];
	int err;

	if (places->nr == DVMM_MAX_VCPUS)
		return complain(parser, "these are too many places");
	err = parse_name(parser, node);
	if (err)
		return err;
	place->vcpu = DVMM_NO_VCPU;
	strcpy(place->node, node);
	places->nr++;
	return 0;
}

static int parse_list(struct parser *parser, struct places *places,
		      int (*parse)(struct parser *parser, struct places *places))
{
	uint32_t nr_before = places->nr;
	int err = parse(parser, places);

	while (!err && *parser->at == ',') {
		parser->at++;
		err = parse(parser, places);
	}
	if (!err && *parser->at)
		err = complain(parser, "this is too much");
	if (err)
		places->nr = nr_before;
	return err;
}

int places_add(struct places *places, const char *text, char *why, size_t why_size)
{
	struct parser parser = { text, why, why_size, "0=n1,1-3=n2" };

	return parse_list(&parser, places, parse_item);
}

int places_add_memory(struct places *places, const char *text, char *why, size_t why_size)
{
	struct parser parser = { text, why, why_size, "n2,n3" };

	return parse_list(&parser, places, parse_memory);
}
