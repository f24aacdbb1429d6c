/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * neighbours.h - a device and other vCPUs on the same pages.
 */
#ifndef NEIGHBOURS_H
#define NEIGHBOURS_H

#include "guest.h"

#define NEIGHBOUR_PAGES	8
#define NEIGHBOUR_BYTES	1024		/* transferred at a time; a page with -b whole */

/** struct neighbours - @transfer: keep @len bytes for @page elsewhere, or bring them back. */
struct neighbours {
	void (*transfer)(bool is_write, int page, void *at, size_t len);
};

/** check_neighbours() - Check of a part whose @what is a struct neighbours. */
void check_neighbours(const struct part *part);

#endif
