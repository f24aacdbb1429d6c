/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/bind.h - door of agent/bind.c. */
#ifndef DVMM_AGENT_BIND_H
#define DVMM_AGENT_BIND_H

#include "../lib/dvmm.h"

/** bind_addr() - a TCP socket that does not block, bound to @addr. Return: the fd or -errno */
int bind_addr(const struct dvmm_addr *addr);

#endif
