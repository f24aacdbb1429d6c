/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/log.h - what the agent has to say: to the journal, with fields, or on stderr. */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <stdint.h>
#include <syslog.h>

/**
 * struct log_about - what a line is about, for `journalctl DVMM_VM=web1`; 0 and NULL: nothing
 * @event: word of a kernel event
 * @peer: the other node that it is about
 */
struct log_about {
	const char *event;
	const char *peer;
	uint32_t vm_id;
	const char *vm;
};

/** log_set_node() - DVMM_NODE of all lines from now on */
void log_set_node(const char *name);

/** log_with() - one line; @level is LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO */
__attribute__((format(printf, 3, 4)))
void log_with(int level, const struct log_about *about, const char *format, ...);

#define log_line(level, ...) log_with(level, NULL, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)

#endif
