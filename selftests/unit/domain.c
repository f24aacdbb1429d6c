// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/domain.c - the XML of domains as libvirt gives it to the hook. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../agent/libvirt/domain.h"
#include "tap.h"

#define NS "xmlns:dvmm='" DOMAIN_XMLNS "'"
#define TWO "<dvmm:vcpu ids='0' node='n1'/><dvmm:vcpu ids='1' node='n2'/>"
#define CPU "<cpu mode='host-passthrough' migratable='off'/>"
#define FEATURES "<features><acpi/><ioapic driver='qemu'/></features>"
#define EMULATOR "<devices><emulator>/usr/bin/dvmm-qemu</emulator></devices>"
#define METADATA(placement) "<metadata>" placement "</metadata>"
#define PLACED(attributes, parts) \
	METADATA("<dvmm:placement " NS attributes ">" parts "</dvmm:placement>")
#define DOMAIN(metadata, nr, cpu, features, devices) \
	"<domain type='kvm'><name>web1</name><uuid>6d766d64-0000-4000-8000-000000000001</uuid>" \
	metadata "<vcpu placement='static' current='1'>" nr "</vcpu>" cpu features devices "</domain>"
#define WITH(attributes, parts) DOMAIN(PLACED(attributes, parts), "4", CPU, FEATURES, EMULATOR)

static struct domain domain;
static char why[512];

static int parse(const char *xml)
{
	*why = '\0';
	return domain_parse(xml, strlen(xml), &domain, why, sizeof(why));
}

static void placement_is_read(void **state)
{
	(void)state;
	assert_int_equal(parse(WITH(" timeout='7'", "\n<!-- x --><dvmm:vcpu ids='0-1,3' node='n1'/>"
				    "<dvmm:vcpu ids='2' node='n2'/><dvmm:memory home='interleave'/>")), 1);
	assert_string_equal(domain.name, "web1");
	assert_string_equal(domain.uuid, "6d766d64-0000-4000-8000-000000000001");
	assert_int_equal(domain.places.nr, 4);
	assert_int_equal(domain.places.list[2].vcpu, 3);
	assert_string_equal(domain.places.list[3].node, "n2");
	assert_string_equal(domain.home, "interleave");
	assert_int_equal(domain.timeout_ms, 7000);
}

static void placement_may_grow(void **state)
{
	(void)state;
	assert_int_equal(parse(WITH("", TWO)), 1);
	assert_false(domain.grows);
	assert_int_equal(parse(WITH(" grow='no'", TWO)), 1);
	assert_false(domain.grows);
	assert_int_equal(parse(WITH(" grow='yes' timeout='7'", TWO)), 1);
	assert_true(domain.grows);
	assert_int_equal(domain.timeout_ms, 7000);
	/* All that nobody names is on the origin: that is a placement then. */
	assert_int_equal(parse(WITH(" grow='yes'", "")), 1);
	assert_int_equal(domain.places.nr, 0);
}

static void domain_of_others_is_left_alone(void **state)
{
	(void)state;
	assert_int_equal(parse(DOMAIN("", "2", "", "", "")), 0);
	assert_int_equal(parse(DOMAIN(METADATA("<x:app xmlns:x='http://x'><x:vcpu/></x:app>"), "2", "", "", "")), 0);
	/* The name alone does not make it ours. */
	assert_int_equal(parse(DOMAIN(METADATA("<dvmm:placement xmlns:dvmm='http://x'/>"), "2", "", "", "")), 0);
	assert_int_equal(parse("<domain/>"), 0);
}

static void kvm_knows_vcpus_by_apic_id(void **state)
{
	static const uint32_t ids[] = { 0, 1, 2, 4, 5, 6 };

	(void)state;
	assert_int_equal(parse(DOMAIN(PLACED("", "<dvmm:vcpu ids='0-5' node='n1'/>"), "6",
				      "<cpu mode='host-passthrough' migratable='off'>"
				      "<topology sockets='2' dies='1' cores='3' threads='1'/></cpu>",
				      FEATURES, EMULATOR)), 1);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(domain.places.list[i].vcpu, ids[i]);
	assert_int_equal(parse(DOMAIN(PLACED("", "<dvmm:vcpu ids='0-5' node='n1'/>"), "6",
				      "<cpu mode='host-passthrough' migratable='off'>"
				      "<topology sockets='1' dies='1' cores='3' threads='2'/></cpu>",
				      FEATURES, EMULATOR)), 1);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(domain.places.list[i].vcpu, i);
}

static void model_with_a_stable_tsc_will_do(void **state)
{
	(void)state;
	assert_int_equal(parse(DOMAIN(PLACED("", TWO), "2", "<cpu mode='custom'><model>EPYC</model>"
				      "<feature policy='require' name='invtsc'/></cpu>", FEATURES, EMULATOR)), 1);
}

#define DIMMS "<dvmm:dimm size='128M' node='n2'/><dvmm:dimm size='4GiB' node='n3'/>"
#define MACHINE(type) "<os><type machine='" type "'>hvm</type></os>"
#define MOST "<maxMemory slots='4' unit='KiB'>67108864</maxMemory>"
#define CELLS(kib) "<cpu mode='host-passthrough' migratable='off'><numa><cell id='0' memory='" kib "' unit='KiB'/>" \
		   "<cell id='1' memory='1048576' unit='KiB'/></numa></cpu>"

static uint64_t first_dimm(const char *xml)
{
	if (parse(xml) != 1)
		fail_msg("%s", why);
	assert_int_equal(domain.nr_dimms, 2);
	assert_string_equal(domain.dimms[0].node, "n2");
	assert_string_equal(domain.dimms[1].node, "n3");
	assert_int_equal(domain.dimms[0].bytes, 128 << 20);
	assert_int_equal(domain.dimms[1].bytes, 4ull << 30);
	assert_int_equal(domain.dimms[1].start, domain.dimms[0].start + (128 << 20));
	return domain.dimms[0].start;
}

/* Behind the guest's memory, of which a part is above 4 GiB, in units of 1 GiB. */
static void dimms_are_where_qemu_plugs_them_in(void **state)
{
	(void)state;
	assert_int_equal(first_dimm(DOMAIN(PLACED("", TWO DIMMS), "2", MOST MACHINE("pc-q35-7.2") CELLS("1048576"),
					   FEATURES, EMULATOR)), 4ull << 30);
	assert_int_equal(first_dimm(DOMAIN(PLACED("", TWO DIMMS), "2", MOST MACHINE("q35") CELLS("3145728"),
					   FEATURES, EMULATOR)), 6ull << 30);
	assert_int_equal(first_dimm(DOMAIN(PLACED("", TWO DIMMS), "2", MOST MACHINE("pc") CELLS("3145728"),
					   FEATURES, EMULATOR)), 5ull << 30);
	assert_int_equal(first_dimm(DOMAIN(PLACED("", TWO DIMMS), "2", MOST MACHINE("pc-i440fx-7.2") CELLS("3147776"),
					   FEATURES, EMULATOR)), 6ull << 30);
}

static void wrong_domain_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *xml, *why;
	} wrong[] = {
		{ "", "not the XML of a domain" },
		{ "<domain", "not the XML of a domain" },
		{ "<network/>", "not the XML of a domain" },
		{ "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain>&x;</domain>",
		  "not the XML of a domain" },
		{ DOMAIN(METADATA("<dvmm:place " NS "/>"), "2", CPU, FEATURES, EMULATOR), "<dvmm:place>" },
		{ WITH("", ""), "places no vCPU" },
		{ WITH(" grow='no'", ""), "places no vCPU" },
		{ WITH(" grow='maybe'", TWO), "grow='maybe'>: not yes or no" },
		{ WITH(" grow='yesyesyesyesyesyes'", TWO), "not yes or no" },
		{ WITH(" grows='yes'", TWO), "no attribute 'grows'" },
		{ WITH(" grow='yes'", "vcpu ids='0' node='n2'"), "has text beside its parts" },
		{ WITH("", TWO "<![CDATA[x]]>"), "has text beside its parts" },
		{ WITH(" timeout='0'", TWO), "timeout='0'" },
		{ WITH(" timeout='3601'", TWO), "timeout='3601'" },
		{ WITH(" timeout='-1'", TWO), "timeout='-1'" },
		{ WITH(" home='origin'", TWO), "no attribute 'home'" },
		{ WITH("", "<dvmm:vcpus ids='0' node='n1'/>"), "no part <vcpus>" },
		{ WITH("", "<vcpu ids='0' node='n1'/>"), "no part <vcpu>" },
		{ WITH("", "<dvmm:vcpu id='0' node='n1'/>"), "no attribute 'id'" },
		{ WITH("", "<dvmm:vcpu ids='0'/>"), "needs ids=" },
		{ WITH("", "<dvmm:vcpu ids='0-' node='n1'/>"), "vCPU number is missing" },
		{ WITH("", "<dvmm:vcpu ids='0' node='a=b'/>"), "ids='0' node='a=b'" },
		{ WITH("", TWO "<dvmm:vcpu ids='1' node='n1'/>"), "placed twice" },
		{ WITH("", "<dvmm:vcpu ids='0-4' node='n1'/>"), "vCPU 4 is placed on n1, but the domain has 4" },
		{ WITH("", TWO "<dvmm:memory/>"), "needs home=" },
		{ WITH("", TWO "<dvmm:memory homes='origin'/>"), "no attribute 'homes'" },
		{ WITH("", TWO "<dvmm:dimm size='1G'/>"), "needs size=" },
		{ WITH("", TWO "<dvmm:dimm size='1G' node='n1' slot='1'/>"), "no attribute 'slot'" },
		{ WITH("", TWO "<dvmm:dimm size='1M' node='n1'/>"), "size='1M'> is not a multiple of 2M" },
		{ WITH("", TWO "<dvmm:dimm size='0' node='n1'/>"), "size='0'" },
		{ WITH("", TWO "<dvmm:dimm size='many' node='n1'/>"), "size='many'" },
		{ WITH("", TWO DIMMS), "needs <maxMemory>" },
		{ DOMAIN(PLACED("", TWO DIMMS), "2", MACHINE("q35") CELLS("4096"), FEATURES, EMULATOR), "needs <maxMemory>" },
		{ DOMAIN(PLACED("", TWO DIMMS), "2", MOST MACHINE("microvm") CELLS("4096"), FEATURES, EMULATOR),
		  "a machine q35 or pc" },
		{ DOMAIN(PLACED("", TWO), "0", CPU, FEATURES, EMULATOR), "<vcpu> is missing" },
		{ "<domain type='qemu'><name>a</name><uuid>b</uuid><vcpu>2</vcpu>" PLACED("", TWO) "</domain>",
		  "<domain type='kvm'>" },
		{ DOMAIN(PLACED("", TWO), "2", CPU, FEATURES, ""), "its emulator is the default" },
		{ DOMAIN(PLACED("", TWO), "2", CPU, FEATURES, "<devices><emulator>/usr/bin/kvm</emulator></devices>"),
		  "its emulator is /usr/bin/kvm" },
		{ DOMAIN(PLACED("", TWO), "2", CPU, "<features/>", EMULATOR), "<ioapic driver='qemu'/>" },
		{ DOMAIN(PLACED("", TWO), "2", "", FEATURES, EMULATOR), "migratable='off'" },
		{ DOMAIN(PLACED("", TWO), "2", "<cpu mode='host-passthrough' migratable='on'/>", FEATURES, EMULATOR),
		  "migratable='off'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (parse(wrong[i].xml) != -EINVAL)
			fail_msg("it is not refused: %s", wrong[i].why);
		if (!strstr(why, wrong[i].why))
			fail_msg("'%s' does not say '%s'", why, wrong[i].why);
	}
}

/* Cut anywhere, a document is no document; nothing is read past its end. */
static void half_a_domain_is_refused(void **state)
{
	const char *xml = WITH(" timeout='7'", TWO);
	size_t len = strlen(xml);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char *half = malloc(i + 1);

		memcpy(half, xml, i);
		assert_int_equal(domain_parse(half, i, &domain, why, sizeof(why)), -EINVAL);
		free(half);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(placement_is_read),
		cmocka_unit_test(placement_may_grow),
		cmocka_unit_test(domain_of_others_is_left_alone),
		cmocka_unit_test(kvm_knows_vcpus_by_apic_id),
		cmocka_unit_test(model_with_a_stable_tsc_will_do),
		cmocka_unit_test(dimms_are_where_qemu_plugs_them_in),
		cmocka_unit_test(wrong_domain_is_refused_with_a_reason),
		cmocka_unit_test(half_a_domain_is_refused),
	};

	return run_as_tap(tests);
}
