/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/wire.h - checks of what came from a peer. Pure; also built in user space. */
#ifndef KMOD_WIRE_H
#define KMOD_WIRE_H

#include <dvmm/wire.h>

/**
 * wire_check() - is this a whole, well-formed message?
 * @buf: what was received, aligned to 8
 * @bytes: how much
 *
 * Checks the header, and of the payload its least length and what every type of
 * the link layer says. Tails are checked by the services.
 *
 * Return: NULL, or what is wrong with it
 */
const char *wire_check(const void *buf, unsigned long bytes);

/** wire_is_stale() - must this message be dropped for its epoch? Not the link's own. */
int wire_is_stale(const struct dvmm_msg_hdr *hdr, unsigned int epoch);

#endif
