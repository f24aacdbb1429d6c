/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/libvirt/domain.h - what libvirt's domain XML says that concerns dvmm:
 *
 *	<metadata>
 *	  <dvmm:placement xmlns:dvmm="https://dvmm.org/xmlns/domain/1.0" timeout="10" grow="yes">
 *	    <dvmm:vcpu ids="0-1" node="n1"/>
 *	    <dvmm:vcpu ids="2,3" node="n2"/>
 *	    <dvmm:memory home="interleave"/>
 *	    <dvmm:dimm size="4G" node="n2"/>
 *	  </dvmm:placement>
 *	</metadata>
 */
#ifndef AGENT_LIBVIRT_DOMAIN_H
#define AGENT_LIBVIRT_DOMAIN_H

#include <stdbool.h>
#include "../run/place.h"

#define DOMAIN_XMLNS "https://dvmm.org/xmlns/domain/1.0"
#define DOMAIN_EMULATOR "dvmm-qemu"

#define DOMAIN_DIMMS_MAX 256

/* Guest physical [@start, @start + @bytes), where a DIMM is to come, has its home on @node. */
struct domain_dimm {
	uint64_t start;
	uint64_t bytes;
	char node[DVMM_NAME_SIZE];
};

/**
 * struct domain - a domain with a placement
 * @places: by the ids that KVM knows, which are APIC ids
 * @home: a word of dvmm_home_policy_parse(); empty: not said
 * @dimms: in the order in which they are plugged in
 * @timeout_ms: how long the other nodes may take; 0: not said
 * @grows: nodes may join it also if it begins on one
 */
struct domain {
	char name[256];
	char uuid[DVMM_UUID_TEXT_SIZE];
	struct places places;
	char home[32];
	uint32_t nr_dimms;
	struct domain_dimm dimms[DOMAIN_DIMMS_MAX];
	uint32_t timeout_ms;
	bool grows;
};

/**
 * domain_parse() - read a domain's XML
 * @why: on failure: what is wrong, for people
 *
 * Checks also that the domain can be a spanning VM.
 * Return: 1; 0: it has no placement, nothing of ours; -EINVAL
 */
int domain_parse(const char *xml, size_t len, struct domain *ret_domain, char *why, size_t why_size);

#endif
