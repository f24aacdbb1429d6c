// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/played_node.c - a process that plays a node, and the parts of dsm/ that
 * meet the kernel's memory management: memfile.c, and who asks evict.c for room.
 */
#include "played_link.h"
#include "played_node.h"

#define MEET_NS 40000000000ull

u8 self;
unsigned int seed;

void node_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# node %u: ", self);
	vprintf(fmt, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
	_exit(1);
}

unsigned int chance(void)
{
	static __thread unsigned int state;

	if (!state)
		state = seed * 7919 + self * 104729 + (unsigned int)(uintptr_t)pthread_self() / 4096;
	return rand_r(&state);
}

pid_t node_start(int n, void (*act)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	self = n;
	played_links_keep_of(n);
	act();
	_exit(1);
}

void node_meet(int *arrived, int nr)
{
	u64 end = ktime_get_ns() + MEET_NS;

	__atomic_add_fetch(arrived, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(*arrived) < nr) {
		if (ktime_get_ns() > end)
			node_die("%d of %d come to a meeting", *arrived, nr);
		usleep(500);
	}
}

struct file *memfile_create(struct dsm_mem *m)
{
	struct file *file = calloc(1, sizeof(*file));

	file->private_data = m;
	file->f_mapping = calloc(1, sizeof(*file->f_mapping));
	mem_get(m);
	return file;
}

void fput(struct file *file)
{
	struct dsm_mem *m = file->private_data;

	page_free_frames(m);
	mem_put(m);
	free(file->f_mapping);
	free(file);
}

static bool may_evict(const struct page_ref *ref)
{
	u8 state = ref->page->node.state;

	if (!ref->page->frame || state == PROTO_I || proto_is_transient(state) || block_has(ref->page))
		return false;
	return !ref->home || state == PROTO_E ||
	       (state == PROTO_S && ref->home->home.sharers != 1ULL << self);
}

void node_evict(struct dsm_mem *mem, u64 index)
{
	struct op op = {};

	if (page_get(mem, index, GFP_KERNEL, &op.ref))
		node_die("no memory");
	page_lock(&op.ref);
	if (may_evict(&op.ref))
		act_evict(&op);
	else if (block_has(op.ref.page) && !(chance() % 8))
		block_split_later(&op.ref);
	page_unlock(&op.ref);
}
