/* SPDX-License-Identifier: GPL-2.0-only */
/* include/dvmm/stat.h - numbers of the counters, from their table. */
#ifndef DVMM_STAT_H
#define DVMM_STAT_H

enum dvmm_stat_node {
#define STAT_LINK(name)
#define STAT_VM(name)
#define STAT_NODE(name) DVMM_STAT_NODE_##name,
#define STAT(name, kind, unit, help) STAT_##kind(name)
#include <dvmm/stat.tbl.h>
#undef STAT_NODE
	DVMM_NR_STAT_NODE
};

enum dvmm_stat_link {
#undef STAT_LINK
#define STAT_NODE(name)
#define STAT_LINK(name) DVMM_STAT_LINK_##name,
#include <dvmm/stat.tbl.h>
#undef STAT_LINK
	DVMM_NR_STAT_LINK
};

enum dvmm_stat_vm {
#undef STAT_VM
#define STAT_LINK(name)
#define STAT_VM(name) DVMM_STAT_VM_##name,
#include <dvmm/stat.tbl.h>
#undef STAT_NODE
#undef STAT_LINK
#undef STAT_VM
#undef STAT
	DVMM_NR_STAT_VM
};

#endif
