// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * code.c - code that one vCPU changes and others run (cross-modifying code), as the
 * Intel SDM vol. 3A, 8.1.3 asks for it: the writer stores the new code, then a flag;
 * a reader sees the flag, executes a serializing instruction (cpuid), runs the code.
 * What it runs has to be the new code. The writer jumps to its own at once.
 *
 * -b early: the flag goes before the code, which has to be found.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NR_PAGES	4
#define PER_PAGE	16
#define NR_FUNCTIONS	(NR_PAGES * PER_PAGE)
#define SLOT		(GUEST_PAGE / PER_PAGE)

static unsigned char *code;	/* functions; every PER_PAGE-th lies on two pages */
static uint64_t *flag;		/* the version that is there; word 64: the last one */
static uint64_t *acks;		/* a page for each thread: the version it has run */
static int writer;
static double turn_end;

/* mov $value, %eax; odd versions: not %eax; ret. */
#define LONGEST		8

static unsigned char *function(int nth)
{
	unsigned char *at = code + nth * SLOT;

	/* The last one of a page: its immediate is cut by the border. */
	return nth % PER_PAGE == PER_PAGE - 1 ? at + SLOT - 3 : at + SLOT / 2;
}

static void write_function(int nth, uint32_t version)
{
	unsigned char *at = function(nth), new[LONGEST] = { 0xb8 };
	uint32_t value = version * 0x9e3779b9u + nth;
	int len = 5;

	memcpy(new + 1, &value, sizeof(value));
	if (version % 2) {
		new[len++] = 0xf7;
		new[len++] = 0xd0;
	}
	new[len++] = 0xc3;
	memcpy(at, new, len);
}

static uint32_t result_of(int nth, uint32_t version)
{
	uint32_t value = version * 0x9e3779b9u + nth;

	return version % 2 ? ~value : value;
}

static void serialize(void)
{
	unsigned int eax = 0, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}

static void run_functions(int self, uint32_t version)
{
	for (int i = 0; i < NR_FUNCTIONS; i++) {
		uint32_t got = ((uint32_t (*)(void))function(i))();

		if (got != result_of(i, version))
			violation("function %d of version %u returned %x, not %x%s", i, version,
				  got, result_of(i, version),
				  got == result_of(i, version - 1) ? ": the old code" : "");
	}
	look(self, NR_FUNCTIONS);
}

static uint64_t *ack_of(int self)
{
	return &acks[self * GUEST_PAGE / sizeof(*acks)];
}

static void wait_for_readers(uint32_t version)
{
	for (int i = 0; i < nr_threads; i++)
		if (i != writer)
			spin_until(load(ack_of(i)) >= version, "waiting for a reader of code");
}

static bool is_my_turn(long nth)
{
	return nth < opt.iterations && seconds_now() < turn_end;
}

static void write_versions(int self)
{
	uint32_t version, first = load(&flag[0]) + 1;

	for (version = first; version == first || is_my_turn(version - first); version++) {
		if (is_planted("early")) {
			store(&flag[0], version);
			usleep(100);	/* readers are slow: cpuid leaves a guest */
		}
		for (int i = 0; i < NR_FUNCTIONS; i++)
			write_function(i, version);
		store(&flag[0], version);
		run_functions(self, version);
		wait_for_readers(version);
	}
	store(&flag[64], version - 1);
	store(&flag[0], version);
}

static void read_versions(int self)
{
	uint64_t version = load(ack_of(self));

	for (;;) {
		spin_until(load(&flag[0]) > version, "waiting for new code");
		version = load(&flag[0]);
		if (load(&flag[64]) && version > load(&flag[64]))
			return;
		serialize();
		run_functions(self, version);
		store(ack_of(self), version);
	}
}

static void write_or_read(int self)
{
	if (self == writer)
		write_versions(self);
	else
		read_versions(self);
}

static void *executable_pages(size_t nr)
{
	void *pages = pages_alloc(nr);

	if (mprotect(pages, nr * GUEST_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		violation("no memory may be executable here");
		return NULL;
	}
	return pages;
}

/* Both lengths, so that even a mix of old and new (-b early) is code that returns. */
static void write_first_versions(void)
{
	for (int i = 0; i < NR_FUNCTIONS; i++) {
		write_function(i, 1);
		write_function(i, 0);
	}
}

/* Each thread writes in its turn. */
static void check_code(const struct part *part)
{
	code = executable_pages(NR_PAGES + 1);
	flag = pages_alloc(1);
	acks = pages_alloc(nr_threads);
	if (code)
		write_first_versions();
	for (writer = 0; code && writer < nr_threads; writer++) {
		turn_end = seconds_now() + (part_end - seconds_now()) / (nr_threads - writer);
		store(&flag[64], 0);
		for (int i = 0; i < nr_threads; i++)
			*ack_of(i) = flag[0];
		on_each_cpu(nr_threads, write_or_read);
	}
}

static const struct part parts[] = {
	{ "cross-modifying", 2, check_code, NULL },
};

int main(int argc, char **argv)
{
	opt.iterations = 100000000;
	parse_options("code", argc, argv);
	run_parts(parts, sizeof(parts) / sizeof(parts[0]));
	return finish();
}
