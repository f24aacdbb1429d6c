// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/libvirt/domain.c - reads a domain's XML. Pure: what is done about it is hook.c's. */
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "../../lib/dvmm.h"
#include "../install.h"
#include "../run/topology.h"
#include "domain.h"

#define DIMM_UNIT (2ull << 20) /* has one home */
#define DIMM_MAX (1ull << 46)

struct reader {
	struct domain *domain;
	uint32_t nr_vcpus;
	uint32_t dies, cores, threads; /* of a socket, a die, a core */
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3)))
static int complain(struct reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reader->why, reader->why_size, format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- XML ---- */

static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name);
}

static bool is_ours(const xmlNode *node)
{
	return node->ns && node->ns->href && !strcmp((const char *)node->ns->href, DOMAIN_XMLNS);
}

/* Of libvirt's own vocabulary, which has no namespace. */
static xmlNode *child(xmlNode *parent, const char *name)
{
	xmlNode *node = parent ? parent->children : NULL;

	while (node && (!is_element(node, name) || node->ns))
		node = node->next;
	return node;
}

/* Copies at most @size - 1 bytes; returns false and "" when there is none. */
static bool copy(xmlChar *text, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "%s", text ? (const char *)text : "");
	xmlFree(text);
	return *ret_text;
}

static bool content(const xmlNode *node, char *ret_text, size_t size)
{
	return copy(node ? xmlNodeGetContent(node) : NULL, ret_text, size);
}

static bool attribute(xmlNode *node, const char *name, char *ret_text, size_t size)
{
	return copy(node ? xmlGetNoNsProp(node, (const xmlChar *)name) : NULL, ret_text, size);
}

static bool attribute_is(xmlNode *node, const char *name, const char *value)
{
	char text[64];

	return attribute(node, name, text, sizeof(text)) && !strcmp(text, value);
}

/* 0 when it is no number from 1 to @max. */
static uint32_t to_number(const char *text, uint32_t max)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return *text < '0' || *text > '9' || *end || number > max ? 0 : number;
}

/* A word that is misspelt would otherwise do nothing, silently. */
static int check_attributes(struct reader *reader, xmlNode *node, const char *const *known)
{
	for (xmlAttr *attr = node->properties; attr; attr = attr->next) {
		const char *const *name = known;

		while (*name && strcmp(*name, (const char *)attr->name))
			name++;
		if (!*name)
			return complain(reader, "<dvmm:%s> has no attribute '%s'", node->name, attr->name);
	}
	return 0;
}

/* ---- the placement ---- */

static int add_item(struct reader *reader, const char *item, const char *node)
{
	char text[192], why[256];

	if (snprintf(text, sizeof(text), "%s=%s", item, node) >= (int)sizeof(text))
		return complain(reader, "<dvmm:vcpu> node='%s': this name is too long", node);
	if (places_add(&reader->domain->places, text, why, sizeof(why)))
		return complain(reader, "<dvmm:vcpu ids='%s' node='%s'>: %s", item, node, why);
	return 0;
}

static int read_vcpus(struct reader *reader, xmlNode *node)
{
	static const char *const known[] = { "ids", "node", NULL };
	char ids[4096], name[DVMM_NAME_SIZE + 1], *item, *rest = ids;
	int err = check_attributes(reader, node, known);

	if (err)
		return err;
	if (!attribute(node, "ids", ids, sizeof(ids)) || !attribute(node, "node", name, sizeof(name)))
		return complain(reader, "<dvmm:vcpu> needs ids='0-3' and node='NAME'");
	while (!err && (item = strsep(&rest, ",")))
		err = add_item(reader, item, name);
	return err;
}

static int read_memory(struct reader *reader, xmlNode *node)
{
	static const char *const known[] = { "home", NULL };
	struct domain *domain = reader->domain;

	if (check_attributes(reader, node, known))
		return -EINVAL;
	if (!attribute(node, "home", domain->home, sizeof(domain->home)))
		return complain(reader, "<dvmm:memory> needs home='origin' or 'interleave'");
	return 0;
}

static int read_dimm(struct reader *reader, xmlNode *node)
{
	static const char *const known[] = { "size", "node", NULL };
	struct domain *domain = reader->domain;
	struct domain_dimm *dimm = &domain->dimms[domain->nr_dimms];
	char size[32], name[DVMM_NAME_SIZE + 1];

	if (check_attributes(reader, node, known))
		return -EINVAL;
	if (domain->nr_dimms == DOMAIN_DIMMS_MAX)
		return complain(reader, "more than %d <dvmm:dimm>", DOMAIN_DIMMS_MAX);
	if (!attribute(node, "size", size, sizeof(size)) || !attribute(node, "node", name, sizeof(name)))
		return complain(reader, "<dvmm:dimm> needs size='4G' and node='NAME'");
	if (strlen(name) >= DVMM_NAME_SIZE)
		return complain(reader, "<dvmm:dimm> node='%s': this name is too long", name);
	if (dvmm_size_parse(size, &dimm->bytes) || !dimm->bytes || dimm->bytes % DIMM_UNIT ||
	    dimm->bytes > DIMM_MAX)
		return complain(reader, "<dvmm:dimm size='%s'> is not a multiple of 2M, as 512M or 4G", size);
	strcpy(dimm->node, name);
	domain->nr_dimms++;
	return 0;
}

static bool is_text(const xmlNode *node)
{
	return node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE;
}

static int read_part(struct reader *reader, xmlNode *node)
{
	if (is_text(node) && !xmlIsBlankNode(node))
		return complain(reader, "<dvmm:placement> has text beside its parts: is it <dvmm:vcpu ids='0-3' node='NAME'/>?");
	if (node->type != XML_ELEMENT_NODE)
		return 0;
	if (is_ours(node) && is_element(node, "vcpu"))
		return read_vcpus(reader, node);
	if (is_ours(node) && is_element(node, "memory"))
		return read_memory(reader, node);
	if (is_ours(node) && is_element(node, "dimm"))
		return read_dimm(reader, node);
	return complain(reader, "<dvmm:placement> has no part <%s>, but <dvmm:vcpu>, <dvmm:memory>, <dvmm:dimm>",
			node->name);
}

static int read_timeout(struct reader *reader, xmlNode *placement)
{
	char seconds[16];

	if (!attribute(placement, "timeout", seconds, sizeof(seconds)))
		return 0;
	reader->domain->timeout_ms = to_number(seconds, 3600) * 1000;
	if (!reader->domain->timeout_ms)
		return complain(reader, "<dvmm:placement timeout='%s'>: not 1 to 3600 seconds", seconds);
	return 0;
}

static int read_grow(struct reader *reader, xmlNode *placement)
{
	char word[16];

	if (!attribute(placement, "grow", word, sizeof(word)))
		return 0;
	reader->domain->grows = !strcmp(word, "yes");
	if (!reader->domain->grows && strcmp(word, "no"))
		return complain(reader, "<dvmm:placement grow='%s'>: not yes or no", word);
	return 0;
}

static int read_placement(struct reader *reader, xmlNode *placement)
{
	static const char *const known[] = { "timeout", "grow", NULL };

	if (check_attributes(reader, placement, known) || read_timeout(reader, placement) ||
	    read_grow(reader, placement))
		return -EINVAL;
	for (xmlNode *node = placement->children; node; node = node->next)
		if (read_part(reader, node))
			return -EINVAL;
	if (!reader->domain->places.nr && !reader->domain->grows)
		return complain(reader, "<dvmm:placement> places no vCPU: <dvmm:vcpu ids='0-3' node='NAME'/>");
	return 0;
}

/* 1: found, 0: there is nothing of ours. */
static int find_placement(struct reader *reader, xmlNode *root, xmlNode **ret_placement)
{
	xmlNode *metadata = child(root, "metadata");

	for (xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next) {
		if (node->type != XML_ELEMENT_NODE || !is_ours(node))
			continue;
		if (!is_element(node, "placement"))
			return complain(reader, "<metadata> has <dvmm:%s>, but only <dvmm:placement> is known",
					node->name);
		*ret_placement = node;
		return 1;
	}
	return 0;
}

/* ---- vCPUs ---- */

static uint32_t topology_of(xmlNode *topology, const char *name)
{
	char text[16];

	return attribute(topology, name, text, sizeof(text)) ? to_number(text, DVMM_MAX_VCPUS) : 1;
}

static void read_topology(struct reader *reader, xmlNode *root)
{
	xmlNode *topology = child(child(root, "cpu"), "topology");

	reader->dies = topology_of(topology, "dies") ?: 1;
	reader->cores = topology_of(topology, "cores") ?: 1;
	reader->threads = topology_of(topology, "threads") ?: 1;
}

static uint32_t bits_for(uint32_t nr)
{
	return nr > 1 ? 32 - __builtin_clz(nr - 1) : 0;
}

/* libvirt and QEMU count vCPUs; KVM knows them by APIC id, where each level of the
 * topology has bits of its own (Intel SDM vol. 3, "Hierarchical mapping of CPUs").
 */
static uint32_t apic_id(const struct reader *reader, uint32_t vcpu)
{
	uint32_t thread = vcpu % reader->threads, core = vcpu / reader->threads;
	uint32_t die = core / reader->cores, socket = die / reader->dies;
	uint32_t id = socket;

	id = id << bits_for(reader->dies) | die % reader->dies;
	id = id << bits_for(reader->cores) | core % reader->cores;
	return id << bits_for(reader->threads) | thread;
}

static int number_vcpus(struct reader *reader)
{
	struct places *places = &reader->domain->places;

	for (uint32_t i = 0; i < places->nr; i++) {
		struct place *place = &places->list[i];

		if (place->vcpu >= reader->nr_vcpus)
			return complain(reader, "vCPU %u is placed on %s, but the domain has %u (<vcpu>)",
					place->vcpu, place->node, reader->nr_vcpus);
		place->vcpu = apic_id(reader, place->vcpu);
		if (place->vcpu >= DVMM_MAX_VCPUS)
			return complain(reader, "this <topology> has APIC ids above %d", DVMM_MAX_VCPUS - 1);
	}
	return 0;
}

/* ---- DIMMs ---- */

/* Of its NUMA cells, 0 without: libvirt gives them to the hook in KiB. */
static uint64_t initial_bytes(xmlNode *root)
{
	xmlNode *numa = child(child(root, "cpu"), "numa");
	uint64_t kib = 0;
	char text[24];

	for (xmlNode *node = numa ? numa->children : NULL; node; node = node->next)
		if (is_element(node, "cell") && attribute_is(node, "unit", "KiB") &&
		    attribute(node, "memory", text, sizeof(text)))
			kib += strtoull(text, NULL, 10) & (UINT64_MAX >> 20);
	return kib << 10;
}

static int place_dimms(struct reader *reader, xmlNode *root)
{
	struct domain *domain = reader->domain;
	enum topology_machine machine;
	uint64_t bytes = initial_bytes(root), at;
	char type[64], option[] = "-M", *argv[] = { option, type, NULL };

	if (!domain->nr_dimms)
		return 0;
	attribute(child(child(root, "os"), "type"), "machine", type, sizeof(type));
	if (!child(root, "maxMemory") || !bytes || bytes > DIMM_MAX || topology_machine_of(argv, &machine))
		return complain(reader, "<dvmm:dimm> needs <maxMemory>, a machine q35 or pc, and <cpu> with a <numa> cell");
	at = topology_dimm_base(machine, bytes);
	for (uint32_t i = 0; i < domain->nr_dimms; i++) {
		domain->dimms[i].start = at;
		at += domain->dimms[i].bytes;
	}
	return 0;
}

/* ---- the domain ---- */

static int read_names(struct reader *reader, xmlNode *root)
{
	struct domain *domain = reader->domain;
	char nr[16];

	content(child(root, "name"), domain->name, sizeof(domain->name));
	content(child(root, "uuid"), domain->uuid, sizeof(domain->uuid));
	content(child(root, "vcpu"), nr, sizeof(nr));
	reader->nr_vcpus = to_number(nr, DVMM_MAX_VCPUS);
	if (!*domain->name || !*domain->uuid || !reader->nr_vcpus)
		return complain(reader, "this is not the XML of a domain: <name>, <uuid> or <vcpu> is missing");
	return 0;
}

/* Another type would start slices that nobody runs on. */
static int check_type(struct reader *reader, xmlNode *root)
{
	if (attribute_is(root, "type", "kvm"))
		return 0;
	return complain(reader, "a spanning VM needs <domain type='kvm'>");
}

static int check_emulator(struct reader *reader, xmlNode *root)
{
	char path[512];
	const char *name;

	content(child(child(root, "devices"), "emulator"), path, sizeof(path));
	name = strrchr(path, '/');
	if (name && !strcmp(name + 1, DOMAIN_EMULATOR))
		return 0;
	return complain(reader, "it has a placement, but its emulator is %s: write <emulator>"
			PATH_EMULATOR "</emulator>", *path ? path : "the default");
}

/* One host's full in-kernel irqchip cannot serve vCPUs of another. */
static int check_irqchip(struct reader *reader, xmlNode *root)
{
	if (attribute_is(child(child(root, "features"), "ioapic"), "driver", "qemu"))
		return 0;
	return complain(reader, "a spanning VM needs <features><ioapic driver='qemu'/></features>");
}

static bool has_stable_tsc(xmlNode *cpu)
{
	if (attribute_is(cpu, "mode", "host-passthrough") && attribute_is(cpu, "migratable", "off"))
		return true;
	for (xmlNode *node = cpu ? cpu->children : NULL; node; node = node->next)
		if (is_element(node, "feature") && attribute_is(node, "name", "invtsc") &&
		    (attribute_is(node, "policy", "require") || attribute_is(node, "policy", "force")))
			return true;
	return false;
}

/* The TSC is a spanning guest's only clock: without the flag it does not trust it. */
static int check_cpu(struct reader *reader, xmlNode *root)
{
	if (has_stable_tsc(child(root, "cpu")))
		return 0;
	return complain(reader, "a spanning VM needs <cpu mode='host-passthrough' migratable='off'/>, or a model with <feature policy='require' name='invtsc'/>");
}

static int read_domain(struct reader *reader, xmlNode *root)
{
	xmlNode *placement = NULL;
	int ret = find_placement(reader, root, &placement);

	if (ret <= 0)
		return ret;
	read_topology(reader, root);
	if (read_names(reader, root) || read_placement(reader, placement) || number_vcpus(reader) ||
	    place_dimms(reader, root) || check_type(reader, root) || check_emulator(reader, root) ||
	    check_irqchip(reader, root) || check_cpu(reader, root))
		return -EINVAL;
	return 1;
}

int domain_parse(const char *xml, size_t len, struct domain *ret_domain, char *why, size_t why_size)
{
	struct reader reader = { .domain = ret_domain, .why = why, .why_size = why_size };
	xmlDoc *doc = xmlReadMemory(xml, len, "domain.xml", NULL,
				    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
	int ret;

	memset(ret_domain, 0, sizeof(*ret_domain));
	/* Entities could be large, or files of this host; libvirt writes none. */
	if (!root || doc->intSubset || !is_element(root, "domain"))
		ret = complain(&reader, "this is not the XML of a domain");
	else
		ret = read_domain(&reader, root);
	xmlFreeDoc(doc);
	return ret;
}
