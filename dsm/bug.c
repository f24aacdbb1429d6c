// SPDX-License-Identifier: GPL-2.0-only
/* dsm/bug.c - DSM_BUG=skip_zap: Inv of one page is acknowledged, but its read-only
 * copy stays mapped. Whatever checks memory must find it.
 */
#include <linux/module.h>
#include <linux/string.h>

#include "bug.h"

static ulong bug_page = ULONG_MAX;
module_param(bug_page, ulong, 0644);
MODULE_PARM_DESC(bug_page, "number, in its memory object, of the page that is to become stale");

MODULE_INFO(dsm_bug, "skip_zap");

static bool is_inv(const struct proto_actions *acts)
{
	return acts->nr == 3 && acts->act[0].act == PROTO_ACT_ZAP &&
	       acts->act[1].act == PROTO_ACT_DROP &&
	       acts->act[2].msg.event == PROTO_INV_ACK;
}

void bug_break(u64 index, struct proto_actions *acts)
{
	if (index != READ_ONCE(bug_page) || !is_inv(acts))
		return;
	acts->act[0] = acts->act[2];
	acts->nr = 1;
}

void bug_warn(void)
{
	pr_warn("dvmm-dsm: built to skip invalidations: guests see stale memory\n");
}
