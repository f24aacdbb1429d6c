/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/proto/ivy.h - the protocol ours is compared with.
 *
 * The dynamic distributed manager of Ivy: K. Li, P. Hudak, Memory Coherence in
 * Shared Virtual Memory Systems, ACM TOCS 7(4), 1989. There is no home. Each
 * node has an idea of who owns a page (probOwner); a request goes along these
 * ideas until it finds the owner. The owner hands over the page with the set of
 * its copies, and the writer invalidates the copies one after the other, each
 * time waiting for the answer. As there, and in GiantVM, ownership moves with
 * reads too; the variant in which the owner serves readers and stays the owner
 * can be chosen.
 */
#ifndef PROTO_IVY_H
#define PROTO_IVY_H

#include "world.h"

struct ivy_page {
	u64 copies; /* as the owner knows them, without itself */
	u8 owner; /* the truth; nodes have their ideas */
	u8 idea[PROTO_MAX_NODES]; /* probOwner */
	u8 access[PROTO_MAX_NODES]; /* enum mapping */
};

struct ivy_cost {
	unsigned int hops; /* messages one after another until the access goes on */
	unsigned int messages; /* all, of which */
	unsigned int pages; /* carry a page */
};

/* All zero memory belongs to @first. */
void ivy_init(struct ivy_page *page, u8 first);

/**
 * ivy_access() - a read or write; nothing else is under way
 * @reads_move: ownership moves with reads
 * @out_cost: what was sent for it
 */
void ivy_access(struct ivy_page *page, u8 node, bool write, bool reads_move,
		struct ivy_cost *out_cost);

#endif
