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

/**
 * wire_is_stale() - was this said before its sender became a member, in epoch @since?
 *
 * A HELLO is refused then, a service's message and a REPLY are dropped; the rest of
 * the link's own come only after a HELLO that was not.
 */
int wire_is_stale(const struct dvmm_msg_hdr *hdr, unsigned long long since);

#endif
