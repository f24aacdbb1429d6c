/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/dsm/user/played_link.h - the links between processes that play nodes, and (played_door.c) what
 * else of kmod's door dsm/ uses.
 */
#ifndef PLAYED_LINK_H
#define PLAYED_LINK_H

/** played_service - who gets what comes: dsm/ */
extern const struct dvmm_service *played_service;

/** played_links_make() - Between each two of nodes 1..@nr, before they are started. */
void played_links_make(int nr);

/** played_links_keep_of() - This process has those of node @n alone; 0: none. */
void played_links_keep_of(int n);

/** played_links_open() - What comes by those of this node is received from now on. */
void played_links_open(void);

#endif
