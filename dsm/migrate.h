/* SPDX-License-Identifier: GPL-2.0-only */
/* dsm/migrate.h - pages that migrate: each node in turn reads one and then writes it.
 *
 * A node that has seen that asks for such a page writable when it reads it, which
 * saves the upgrade (Stenstrom, Brorsson, Sandberg: An Adaptive Cache Coherence
 * Protocol Optimized for Migratory Sharing, ISCA 1993; Cox, Fowler, there too). Pure,
 * as the rules are, and also part of selftests/proto/compare.c. When a page was
 * used is stay.c's to know; to be wrong costs a miss, never memory.
 */
#ifndef DSM_MIGRATE_H
#define DSM_MIGRATE_H

#include "proto.h"

#define PAGE_F_USED 0x01 /* was mapped since it was granted */
#define PAGE_F_WRITTEN 0x40 /* was mapped for a write since it was granted */
#define PAGE_F_MIGRATES 0x80 /* whoever reads it here writes it soon after */

/**
 * migrate_upgraded() - a reader gets write access
 * @flags: of the page, before the new grant clears PAGE_F_WRITTEN
 * @acks: copies that go for it
 *
 * The page migrates if it was fetched to be read, and the one other copy is that of
 * the writer before. Where more nodes read it a read is no sign of a write; and who
 * wrote it before as well has only been read by the other.
 *
 * Return: the flags from now on
 */
static inline u16 migrate_upgraded(u16 flags, u8 acks)
{
	if (acks > 1)
		return flags & ~PAGE_F_MIGRATES;
	if (acks == 1 && !(flags & PAGE_F_WRITTEN))
		return flags | PAGE_F_MIGRATES;
	return flags;
}

/* Write access is taken. Who was given it for a read and did not write has foreseen wrongly. */
static inline u16 migrate_taken(u16 flags)
{
	if (flags & PAGE_F_USED && !(flags & PAGE_F_WRITTEN))
		return flags & ~PAGE_F_MIGRATES;
	return flags;
}

#endif
