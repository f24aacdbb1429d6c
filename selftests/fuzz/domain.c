// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/fuzz/domain.c - any bytes as the XML of a domain: it is refused with a reason,
 * is none of ours, or has a placement that makes sense.
 */
#include <stdlib.h>
#include <string.h>
#include "../../agent/libvirt/domain.h"

static void check_domain(const struct domain *domain)
{
	if (!*domain->name || !*domain->uuid || (!domain->places.nr && !domain->grows) ||
	    domain->timeout_ms > 3600000)
		abort();
	for (uint32_t i = 0; i < domain->places.nr; i++)
		if (domain->places.list[i].vcpu >= DVMM_MAX_VCPUS || !*domain->places.list[i].node)
			abort();
	for (uint32_t i = 0; i < domain->nr_dimms; i++)
		if (domain->dimms[i].start < 1ull << 32 || !domain->dimms[i].bytes || !*domain->dimms[i].node ||
		    (i && domain->dimms[i].start != domain->dimms[i - 1].start + domain->dimms[i - 1].bytes))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct domain domain;
	char why[512] = "";
	int ret = domain_parse((const char *)data, size, &domain, why, sizeof(why));

	if (ret > 0)
		check_domain(&domain);
	else if (ret < 0 && !*why)
		abort();
	return 0;
}
