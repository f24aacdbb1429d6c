// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * forks.c - copy-on-write between processes on different vCPUs.
 *
 * Each thread forks again and again while the others write. Child and grandchild run
 * on other vCPUs, at once with the parent that overwrites what it gave them: each sees
 * the memory of the moment of its fork, and its own stores, and nobody else's. What
 * other threads wrote at that moment is seen in the order in which they wrote it.
 * MADV_DONTNEED empties a page for the one who asks, and for nobody else.
 *
 * -b shared: the memory is not private, which has to be found.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_PAGES	4
#define STRIDE		64	/* words between those that are looked at */
#define WORDS		(GUEST_PAGE / sizeof(uint64_t))

typedef uint64_t page_t[WORDS];

/* Who wrote a page: the value of its words follows from that. */
enum role { PARENT, CHILD, GRANDCHILD };

static const char *const role_name[] = { "parent", "child", "grandchild" };

static struct family {
	page_t *pages;			/* of the thread and its descendants */
	page_t *data, *flag;		/* the thread counts here, data first */
	uint64_t round;
} families[MAX_CPUS];

/* What a process has to complain of; shared, for a child cannot print safely. */
static struct complaint {
	const char *what;
	enum role role;
	uint64_t got, want;
	char pad[GUEST_PAGE - 4 * sizeof(uint64_t)];
} *complaints;

static struct complaint *complaint_of(int self)
{
	return &complaints[self];
}

static uint64_t value_of(enum role role, uint64_t round, int page, size_t word)
{
	return (round * 3 + role) * 0x9e3779b97f4a7c15ull + page * WORDS + word;
}

static void write_pages(struct family *family, enum role role, uint64_t round)
{
	for (int page = 0; page < NR_PAGES; page++)
		for (size_t word = 0; word < WORDS; word += STRIDE)
			store(&family->pages[page][word], value_of(role, round, page, word));
}

static bool complain(int self, enum role role, const char *what, uint64_t got, uint64_t want)
{
	*complaint_of(self) = (struct complaint){
		.what = what, .role = role, .got = got, .want = want,
	};
	return false;
}

/* Do the pages hold what @writer wrote in @round? Page @empty is to be zero. */
static bool check_pages(int self, enum role role, enum role writer, uint64_t round, int empty,
			const char *what)
{
	for (int page = 0; page < NR_PAGES; page++) {
		for (size_t word = 0; word < WORDS; word += STRIDE) {
			uint64_t got = load(&families[self].pages[page][word]);
			uint64_t want = page == empty ? 0 : value_of(writer, round, page, word);

			if (got != want)
				return complain(self, role, what, got, want);
		}
	}
	return true;
}

/* At a fork the other threads had written data first, then flag. */
static bool check_counts(int self, enum role role, uint64_t counts[])
{
	for (int i = 0; i < nr_threads; i++) {
		uint64_t flag = load(&(*families[i].flag)[0]), data = load(&(*families[i].data)[0]);

		if (data != flag && data != flag + 1)
			return complain(self, role, "saw data and flag of another thread not fit", data, flag);
		counts[2 * i] = flag;
		counts[2 * i + 1] = data;
	}
	return true;
}

static bool check_same_counts(int self, enum role role, const uint64_t before[])
{
	uint64_t now[2 * MAX_CPUS];

	if (!check_counts(self, role, now))
		return false;
	for (int i = 0; i < 2 * nr_threads; i++)
		if (now[i] != before[i])
			return complain(self, role, "saw another thread write after the fork",
					now[i], before[i]);
	return true;
}

static void move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool empty_page(int self, enum role role, int page)
{
	return !madvise(families[self].pages[page], GUEST_PAGE, MADV_DONTNEED) ||
	       complain(self, role, "could not drop a page", errno, 0);
}

static bool be_grandchild(int self, uint64_t round)
{
	struct family *family = &families[self];
	int empty = round % NR_PAGES;

	move_to(cpu_of(self + round + 1));
	if (!check_pages(self, GRANDCHILD, CHILD, round, -1, "does not see what the child wrote"))
		return false;
	write_pages(family, GRANDCHILD, round);
	if (!empty_page(self, GRANDCHILD, empty))
		return false;
	return check_pages(self, GRANDCHILD, GRANDCHILD, round, empty, "does not see its own stores");
}

/* Of a child that may not wait for ever. */
static bool ends_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool be_child(int self, uint64_t round)
{
	uint64_t counts[2 * MAX_CPUS];
	pid_t pid;

	move_to(cpu_of(self + round));
	if (!check_counts(self, CHILD, counts) ||
	    !check_pages(self, CHILD, PARENT, round, -1, "does not see the memory of its fork"))
		return false;
	write_pages(&families[self], CHILD, round);
	pid = fork();
	if (!pid)
		_exit(be_grandchild(self, round) ? 0 : 1);
	if (pid < 0)
		return complain(self, CHILD, "cannot fork", errno, 0);
	if (!ends_well(pid))
		return complaint_of(self)->what ? false : complain(self, CHILD, "lost its child", 0, 0);
	return check_pages(self, CHILD, CHILD, round, -1, "does not see its own stores") &&
	       check_same_counts(self, CHILD, counts);
}

static void count_up(struct family *family)
{
	uint64_t n = (*family->data)[0] + 1;

	store(&(*family->data)[0], n);
	store(&(*family->flag)[0], n);
}

/* Goes on writing while its child looks. */
static int wait_for_child(struct family *family, pid_t pid)
{
	double began = 0;
	pid_t ended;
	int status;

	for (uint64_t i = 0; !(ended = waitpid(pid, &status, WNOHANG)); i++) {
		count_up(family);
		if (i % 16 == 0)
			usleep(100);
		if (i % 1024 == 0)
			check_stuck(&began, "waiting for a child to end");
	}
	return ended == pid ? status : -1;
}

static void report(int self)
{
	const struct complaint *said = complaint_of(self);

	if (said->what)
		violation("the %s of thread %d in round %lu %s: %lx, %lx", role_name[said->role], self,
			  families[self].round, said->what, said->got, said->want);
	else
		violation("a child of thread %d died in round %lu", self, families[self].round);
}

static bool fork_once(int self, uint64_t round)
{
	struct family *family = &families[self];
	int empty = round % NR_PAGES;
	pid_t pid;

	write_pages(family, PARENT, round);
	pid = fork();
	if (!pid)
		_exit(be_child(self, round) ? 0 : 1);
	if (pid < 0)
		return complain(self, PARENT, "cannot fork", errno, 0);
	write_pages(family, PARENT, round + 1);
	if (wait_for_child(family, pid))
		return false;
	return check_pages(self, PARENT, PARENT, round + 1, -1, "does not see its own stores") &&
	       empty_page(self, PARENT, empty) &&
	       check_pages(self, PARENT, PARENT, round + 1, empty, "does not see an empty page");
}

static void fork_and_write(int self)
{
	struct family *family = &families[self];

	for (long i = 1; i <= opt.iterations && !time_is_up(); i++) {
		family->round = i;
		if (!fork_once(self, i)) {
			report(self);
			return;
		}
		look(self, 1);
	}
}

static void *share_if_planted(size_t nr)
{
	int how = is_planted("shared") ? MAP_SHARED : MAP_PRIVATE;
	void *pages = mmap(NULL, nr * GUEST_PAGE, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	madvise(pages, nr * GUEST_PAGE, MADV_NOHUGEPAGE);
	return pages;
}

static void check_forks(const struct part *part)
{
	complaints = mmap(NULL, nr_threads * sizeof(*complaints), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (complaints == MAP_FAILED) {
		violation("mmap: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < nr_threads; i++) {
		families[i].pages = share_if_planted(NR_PAGES);
		families[i].data = share_if_planted(1);
		families[i].flag = share_if_planted(1);
	}
	on_each_cpu(nr_threads, fork_and_write);
}

static const struct part parts[] = {
	{ "copy-on-write", 1, check_forks, NULL },
};

int main(int argc, char **argv)
{
	opt.iterations = 100000000;
	parse_options("forks", argc, argv);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
