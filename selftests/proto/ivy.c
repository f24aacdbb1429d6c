// SPDX-License-Identifier: GPL-2.0-only
/* selftests/proto/ivy.c - the protocol ours is compared with; see ivy.h. */
#include <string.h>

#include "ivy.h"

void ivy_init(struct ivy_page *page, u8 first)
{
	memset(page, 0, sizeof(*page));
	page->owner = first;
	memset(page->idea, first, sizeof(page->idea));
	page->access[first] = MAP_WRITE;
}

static void message(struct ivy_cost *cost)
{
	cost->hops++;
	cost->messages++;
}

/* From idea to idea; who forwards takes the requester for the next owner. */
static void find_owner(struct ivy_page *page, u8 node, bool moves,
		       struct ivy_cost *cost)
{
	u8 at = page->idea[node], next;

	message(cost);
	while (at != page->owner) {
		next = page->idea[at];
		page->idea[at] = moves ? node : page->owner;
		message(cost);
		at = next;
	}
}

static void send_page(struct ivy_cost *cost)
{
	message(cost);
	cost->pages++;
}

/* The old owner keeps a copy that the new one knows of. */
static void move_owner(struct ivy_page *page, u8 node)
{
	page->copies |= 1ULL << page->owner;
	page->copies &= ~(1ULL << node);
	page->idea[page->owner] = node;
	page->idea[node] = node;
	page->owner = node;
}

static void read_page(struct ivy_page *page, u8 node, bool moves,
		      struct ivy_cost *cost)
{
	find_owner(page, node, moves, cost);
	page->access[page->owner] = MAP_READ;
	send_page(cost);
	if (moves) {
		move_owner(page, node);
	} else {
		page->copies |= 1ULL << node;
		page->idea[node] = page->owner;
	}
	page->access[node] = MAP_READ;
}

/* One after the other, each with its answer. */
static void invalidate(struct ivy_page *page, struct ivy_cost *cost)
{
	u8 copy;

	for (; page->copies; page->copies &= page->copies - 1) {
		copy = __builtin_ctzll(page->copies);
		page->access[copy] = MAP_NONE;
		page->idea[copy] = page->owner;
		message(cost);
		message(cost);
	}
}

static void write_page(struct ivy_page *page, u8 node, struct ivy_cost *cost)
{
	u8 old = page->owner;

	if (old != node) {
		find_owner(page, node, true, cost);
		send_page(cost);
		move_owner(page, node);
		/* It gave its copy away with the page. */
		page->access[old] = MAP_NONE;
		page->copies &= ~(1ULL << old);
	}
	invalidate(page, cost);
	page->access[node] = MAP_WRITE;
}

void ivy_access(struct ivy_page *page, u8 node, bool write, bool reads_move,
		struct ivy_cost *out_cost)
{
	*out_cost = (struct ivy_cost){ 0 };
	if (page->access[node] >= (write ? MAP_WRITE : MAP_READ))
		return;
	if (write)
		write_page(page, node, out_cost);
	else
		read_page(page, node, reads_move, out_cost);
}
