// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mappings.c - page tables that one vCPU changes while others use them.
 *
 * Each thread has an arena of pages that it protects, moves, unmaps and maps again, and
 * touches the arenas of all. The state of an arena is published before and after each
 * change: an access between two equal looks at it has to fault exactly when that state
 * says so, at that address and for that reason, and a read has to find what was
 * written last. Nothing written is lost when pages move.
 *
 * -b lazy: publish a protection without making it, which has to be found.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NR_PAGES	4
#define SIZE		(NR_PAGES * GUEST_PAGE)
#define TOUCHES		16	/* by each thread between two changes of its own arena */

typedef uint64_t page_t[GUEST_PAGE / sizeof(uint64_t)];

enum mode { OPEN, READ_ONLY, CLOSED, MOVED, UNMAPPED, NR_MODES };

static const char *const mode_name[] = { "open", "read-only", "closed", "moved away", "unmapped" };

/*
 * state: the number of the change, times 16, plus the mode at the place, or 15 while it
 * changes. Words of its pages: 0 says in which change they were mapped, 1 is added to.
 */
#define CHANGING	15
#define state_of(nth, mode)	((uint64_t)(nth) << 4 | (mode))

static struct arena {
	uint64_t state;
	uint64_t stamp;		/* in word 0 of its pages */
	page_t *place, *elsewhere;
	uint64_t nth;		/* the rest is the owner's */
	uint64_t harvested;
	char pad[GUEST_PAGE - 6 * sizeof(uint64_t)];
} arenas[MAX_CPUS] __attribute__((aligned(GUEST_PAGE)));

static struct mine {
	uint64_t added[MAX_CPUS];	/* to each arena */
	uint64_t faults, changes;
	char pad[GUEST_PAGE - (MAX_CPUS + 2) * sizeof(uint64_t)];
} mine[MAX_CPUS] __attribute__((aligned(GUEST_PAGE)));

static __thread sigjmp_buf resume;
static __thread void *volatile fault_at;
static __thread volatile int fault_code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	fault_at = info->si_addr;
	fault_code = info->si_code;
	siglongjmp(resume, 1);
}

/* One access to an arena by any thread. */

struct touch {
	struct arena *arena;
	uint64_t *word;
	bool is_write;
	uint64_t state, stamp;	/* before it */
	bool faulted;
	uint64_t value;
};

static void access_memory(struct touch *touch)
{
	if (sigsetjmp(resume, 0)) {
		touch->faulted = true;
		return;
	}
	if (touch->is_write)
		xadd(&touch->word[1], 1);
	else
		touch->value = load(&touch->word[0]);
}

static bool has_to_fault(const struct touch *touch)
{
	enum mode mode = touch->state & 15;

	return mode != OPEN && (mode != READ_ONLY || touch->is_write);
}

static void judge_fault(const struct touch *touch)
{
	enum mode mode = touch->state & 15;
	bool is_mapped = mode == READ_ONLY || mode == CLOSED;

	if (fault_at != &touch->word[touch->is_write])
		violation("a fault at %p is reported at %p", (void *)&touch->word[touch->is_write],
			  fault_at);
	if (fault_code != (is_mapped ? SEGV_ACCERR : SEGV_MAPERR))
		violation("a fault on pages %s has code %d", mode_name[mode], fault_code);
}

static void judge(const struct touch *touch)
{
	if (touch->faulted != has_to_fault(touch))
		violation("a %s of pages %s (change %lu) %s", touch->is_write ? "write" : "read",
			  mode_name[touch->state & 15], touch->state >> 4,
			  touch->faulted ? "faulted" : "went through");
	else if (touch->faulted)
		judge_fault(touch);
	else if (!touch->is_write && touch->value != touch->stamp)
		violation("pages of change %lu show %lu: a stale translation", touch->stamp,
			  touch->value);
}

static void touch_arena(int self, int which, uint64_t random)
{
	struct arena *arena = &arenas[which];
	struct touch touch = {
		.arena = arena,
		.word = arena->place[random % NR_PAGES],
		.is_write = random >> 8 & 1,
		.state = load(&arena->state),
	};

	touch.stamp = load(&arena->stamp);
	access_memory(&touch);
	mine[self].faults += touch.faulted;
	if (touch.is_write && !touch.faulted)
		mine[self].added[which]++;
	if ((touch.state & 15) == CHANGING || load(&arena->state) != touch.state)
		return;
	judge(&touch);
	look(self, 1);
}

/* Changes of an arena by its owner. */

static void need(bool done, const char *what)
{
	if (!done)
		violation("%s: %s", what, strerror(errno));
}

static void protect(struct arena *arena, int protection)
{
	if (!is_planted("lazy"))
		need(!mprotect(arena->place, SIZE, protection), "mprotect");
}

static void move(page_t *from, page_t *to)
{
	need(mremap(from, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
}

static void stamp(struct arena *arena)
{
	for (int i = 0; i < NR_PAGES; i++)
		store(&arena->place[i][0], arena->nth);
	store(&arena->stamp, arena->nth);
}

static void map(struct arena *arena)
{
	void *at = mmap(arena->place, SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	need(at == arena->place, "mmap");
	madvise(arena->place, SIZE, MADV_NOHUGEPAGE);
	stamp(arena);
}

static uint64_t sum_of(page_t *pages)
{
	uint64_t sum = 0;

	for (int i = 0; i < NR_PAGES; i++)
		sum += load(&pages[i][1]);
	return sum;
}

static void hold_still(page_t *pages, const char *what)
{
	uint64_t before = sum_of(pages);

	for (int spins = 0; spins < 200; spins++)
		__builtin_ia32_pause();
	if (sum_of(pages) != before)
		violation("pages were written after they were %s: a stale translation", what);
}

/* Each mode begins and ends with the arena open; its faults happen in between. */
static void enter(struct arena *arena, enum mode mode)
{
	switch (mode) {
	case READ_ONLY:
		protect(arena, PROT_READ);
		hold_still(arena->place, mode_name[mode]);
		break;
	case CLOSED:
		protect(arena, PROT_NONE);
		break;
	case MOVED:
		move(arena->place, arena->elsewhere);
		hold_still(arena->elsewhere, mode_name[mode]);
		break;
	case UNMAPPED:
		protect(arena, PROT_READ);
		arena->harvested += sum_of(arena->place);
		need(!munmap(arena->place, SIZE), "munmap");
		break;
	default:
		break;
	}
}

static void leave(struct arena *arena, enum mode mode)
{
	switch (mode) {
	case READ_ONLY:
	case CLOSED:
		protect(arena, PROT_READ | PROT_WRITE);
		break;
	case MOVED:
		move(arena->elsewhere, arena->place);
		break;
	case UNMAPPED:
		map(arena);
		break;
	default:
		break;
	}
}

static void publish(struct arena *arena, int mode)
{
	store(&arena->state, state_of(arena->nth, mode));
}

static void touch_some(int self, uint64_t *random)
{
	for (int i = 0; i < TOUCHES; i++) {
		uint64_t choice = next_random(random);

		touch_arena(self, (choice >> 16) % nr_threads, choice);
	}
}

static void change_and_touch(int self)
{
	uint64_t random = 5783321 + self;
	struct arena *arena = &arenas[self];

	for (long i = 0; i < opt.iterations && !time_is_up(); i++) {
		enum mode mode = 1 + next_random(&random) % (NR_MODES - 1);

		arena->nth++;
		publish(arena, CHANGING);
		enter(arena, mode);
		publish(arena, mode);
		touch_some(self, &random);
		publish(arena, CHANGING);
		leave(arena, mode);
		publish(arena, OPEN);
		touch_some(self, &random);
		mine[self].changes++;
	}
}

static void make_arena(struct arena *arena)
{
	void *space = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (space == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	arena->place = space;
	arena->elsewhere = arena->place + NR_PAGES;
	map(arena);
	publish(arena, OPEN);
}

/* What was added to an arena is in its pages, or was when they were unmapped. */
static void check_nothing_lost(int which)
{
	uint64_t added = 0, found = arenas[which].harvested + sum_of(arenas[which].place);

	for (int i = 0; i < nr_threads; i++)
		added += mine[i].added[which];
	if (found != added)
		violation("arena %d: %lu writes, %lu are there", which, added, found);
}

static void check_mappings(const struct part *part)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	uint64_t faults = 0, changes = 0;

	for (int i = 0; i < nr_threads; i++)
		make_arena(&arenas[i]);
	sigaction(SIGSEGV, &action, NULL);
	on_each_cpu(nr_threads, change_and_touch);
	signal(SIGSEGV, SIG_DFL);
	for (int i = 0; i < nr_threads; i++) {
		check_nothing_lost(i);
		faults += mine[i].faults;
		changes += mine[i].changes;
	}
	printf("mappings: %lu changes, %lu faults\n", changes, faults);
}

static const struct part parts[] = {
	{ "storm", 1, check_mappings, NULL },
};

int main(int argc, char **argv)
{
	opt.iterations = 100000000;
	parse_options("mappings", argc, argv);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
