// SPDX-License-Identifier: LGPL-2.1-or-later
/* lib/words.c - words and help for counters, events and states, from the tables. */
#include <errno.h>
#include <string.h>
#include <dvmm/stat.h>
#include "dvmm.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

#define UNIT_COUNT "count"
#define UNIT_BYTES "bytes"
#define UNIT_NS "ns"
#define UNIT_TICKS "ticks"
#define STAT(name, kind, unit, help) STAT_##kind(name, unit, help)
#define WANTED(name, unit, help) { #name, UNIT_##unit, help },
#define NOT_WANTED(name, unit, help)

static const struct dvmm_stat_info node_stats[] = {
#define STAT_NODE WANTED
#define STAT_LINK NOT_WANTED
#define STAT_VM NOT_WANTED
#include <dvmm/stat.tbl.h>
#undef STAT_NODE
#undef STAT_LINK
};

static const struct dvmm_stat_info link_stats[] = {
#define STAT_NODE NOT_WANTED
#define STAT_LINK WANTED
#include <dvmm/stat.tbl.h>
#undef STAT_LINK
#undef STAT_VM
};

static const struct dvmm_stat_info vm_stats[] = {
#define STAT_LINK NOT_WANTED
#define STAT_VM WANTED
#include <dvmm/stat.tbl.h>
};

static const struct {
	const struct dvmm_stat_info *infos;
	uint32_t nr;
} stats[] = {
	[DVMM_STAT_NODE] = { node_stats, NR(node_stats) },
	[DVMM_STAT_LINK] = { link_stats, NR(link_stats) },
	[DVMM_STAT_VM] = { vm_stats, NR(vm_stats) },
};

const struct dvmm_stat_info *dvmm_stat_info(uint32_t kind, uint32_t nr)
{
	if (kind >= NR(stats) || nr >= stats[kind].nr)
		return NULL;
	return &stats[kind].infos[nr];
}

static const struct {
	uint32_t kind;
	const char *word;
	const char *help;
} events[] = {
#define EVENT(name, number, word, help) { number, word, help },
#include <dvmm/event.tbl.h>
#undef EVENT
};

const char *dvmm_event_word(uint32_t kind)
{
	for (size_t i = 0; i < NR(events); i++)
		if (events[i].kind == kind)
			return events[i].word;
	return "?";
}

const char *dvmm_event_help(uint32_t kind)
{
	for (size_t i = 0; i < NR(events); i++)
		if (events[i].kind == kind)
			return events[i].help;
	return "?";
}

static const char *const link_states[] = {
	[DVMM_LINK_DOWN] = "down",
	[DVMM_LINK_CONNECTING] = "connecting",
	[DVMM_LINK_UP] = "up",
	[DVMM_LINK_SUSPECT] = "suspect",
	[DVMM_LINK_LOST] = "lost",
};

static const char *const vm_states[] = {
	[DVMM_VM_DEFINED] = "defined",
	[DVMM_VM_READY] = "ready",
	[DVMM_VM_RUNNING] = "running",
	[DVMM_VM_DEAD] = "dead",
	[DVMM_VM_STOPPED] = "stopped",
};

static const char *const vcpu_states[] = {
	[DVMM_VCPU_PLACED] = "placed",
	[DVMM_VCPU_STOPPED] = "stopped",
	[DVMM_VCPU_RUNNING] = "running",
};

static const char *const home_policies[] = {
	[DVMM_HOME_ORIGIN] = "origin",
	[DVMM_HOME_INTERLEAVE] = "interleave",
};

static const char *word_of(const char *const *words, size_t nr, uint32_t value)
{
	return value < nr ? words[value] : "?";
}

const char *dvmm_link_state_word(uint32_t state)
{
	return word_of(link_states, NR(link_states), state);
}

const char *dvmm_vm_state_word(uint32_t state)
{
	return word_of(vm_states, NR(vm_states), state);
}

const char *dvmm_vcpu_state_word(uint32_t state)
{
	return word_of(vcpu_states, NR(vcpu_states), state);
}

const char *dvmm_home_policy_word(uint32_t policy)
{
	return word_of(home_policies, NR(home_policies), policy);
}

int dvmm_home_policy_parse(const char *word, uint32_t *ret_policy)
{
	for (uint32_t i = 0; i < NR(home_policies); i++) {
		if (strcmp(word, home_policies[i]))
			continue;
		*ret_policy = i;
		return 0;
	}
	return -EINVAL;
}
