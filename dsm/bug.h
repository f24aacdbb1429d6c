/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/bug.h - a mistake made on purpose; nothing of it is in an ordinary build. */
#ifndef DSM_BUG_H
#define DSM_BUG_H

#include "proto.h"

#ifdef DSM_BUG_SKIP_ZAP
/** bug_break() - Spoil what the rules say about page @index, when that is the planted one. */
void bug_break(u64 index, struct proto_actions *acts);
void bug_warn(void);
#else
static inline void bug_break(u64 index, struct proto_actions *acts)
{
}

static inline void bug_warn(void)
{
}
#endif

#endif
