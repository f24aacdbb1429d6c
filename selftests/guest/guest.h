/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest.h - what the programs that run inside the guest share: options, threads
 * pinned to vCPUs, waits that end, and the count of broken promises.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PAGE	4096
#define MAX_CPUS	256

struct options {
	const char *program;
	long iterations;	/* -n: bound of each part */
	double seconds;		/* -t: time limit of the whole */
	int want_cpus;		/* -c: fail with fewer; 0 takes what is there */
	int on_cpu;		/* -p: for programs that use one; -1 means all */
	const char *parts;	/* -k: as a+b; NULL means all */
	const char *path;	/* -f: file or device */
	const char *bug;	/* -b: mistake to make, which the program then has to find */
	bool crowded;		/* -o: also what needs more vCPUs than there are; they share */
};

extern struct options opt;
extern int nr_cpus;
extern int cpus[MAX_CPUS];	/* numbers of the vCPUs in use */
extern int nr_threads;		/* as many as vCPUs; more with -o */

/** parse_options() - Fill @opt and the vCPU list; exits when vCPUs are missing. */
void parse_options(const char *program, int argc, char **argv);

void pin_to(int cpu);

/** is_planted() - Shall the program make mistake @bug? */
bool is_planted(const char *bug);

/** cpu_of() - The vCPU of thread @self of on_each_cpu(). */
int cpu_of(int self);

/** on_cpus() - Run @fn(0..@n-1) at once, @fn(i) pinned to vCPU @where[i]; back when all are. */
void on_cpus(int n, const int *where, void (*fn)(int self));

/** on_each_cpu() - Run @fn(0..@n-1) at once, each pinned to one vCPU; back when all are. */
void on_each_cpu(int n, void (*fn)(int self));

/** on_two_cpus() - Run @fn(0) on vCPU @a and @fn(1) on vCPU @b at once. */
void on_two_cpus(int a, int b, void (*fn)(int self));

/** pages_alloc() - Zeroed 4 KiB pages: never part of a huge page, each touched. */
void *pages_alloc(size_t nr);

/** page_number() - Guest frame number of the page at @p; 0 when it is not to be known. */
uint64_t page_number(const void *p);

double seconds_now(void);
uint64_t tsc_now(void);

/** spin_until() - Spin for @cond; a wait that makes no progress ends the program as FAIL. */
#define spin_until(cond, what)						\
	do {								\
		double began_ = 0;					\
		for (unsigned int spins_ = 0; !(cond); spins_++) {	\
			__builtin_ia32_pause();				\
			if (!(spins_ & 0xfff))				\
				check_stuck(&began_, what);		\
		}							\
	} while (0)

void check_stuck(double *began, const char *what);

/** violation() - Report a broken promise; the program will exit non-zero. */
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool is_violated(void);

/** finish() - Exit status: 0 when nothing was violated. */
int finish(void);

/* Programs of several parts: part.c. */

/** struct part - One kind of check; prints no verdict but calls violation(). */
struct part {
	const char *name;
	int min_threads;
	void (*check)(const struct part *part);
	const void *what;	/* for @check */
};

/** run_parts() - Run those that -k wants and the vCPUs suffice for, each for its share of -t. */
void run_parts(const struct part *parts, size_t nr);

/** time_is_up() - Is the running part to stop? part_end may be set earlier. */
bool time_is_up(void);
extern double part_end;

/** look() - Thread @self has made @n checks more: a part without any is a violation. */
void look(int self, uint64_t n);

uint64_t next_random(uint64_t *state);

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)	/* a plain mov on x86 */
#define xadd(p, v)	__atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define mfence()	__atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
