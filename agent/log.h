/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/log.h - what the agent has to say, on stderr; journald takes the level. */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <syslog.h>

/** log_line() - one line; @level is LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO */
__attribute__((format(printf, 2, 3)))
void log_line(int level, const char *format, ...);

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)

#endif
