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
	const char *parts;	/* -k: of memcheck, as a+b; NULL means all */
	const char *path;	/* -f: file or device */
};

extern struct options opt;
extern int nr_cpus;
extern int cpus[MAX_CPUS];	/* numbers of the vCPUs in use */

/** parse_options() - Fill @opt and the vCPU list; exits when vCPUs are missing. */
void parse_options(const char *program, int argc, char **argv);

void pin_to(int cpu);

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

/** finish() - Exit status: 0 when nothing was violated. */
int finish(void);

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)	/* a plain mov on x86 */
#define xadd(p, v)	__atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define mfence()	__atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
