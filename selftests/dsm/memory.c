// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/dsm/memory.c - one node of a test of coherent memory: one command a
 * line on stdin, one answer a line on stdout ("ok: ..." or "failed: ...").
 *
 *   node SELF TOTAL              node SELF of 1..TOTAL at 10.77.0.<n>
 *   links                        wait until all are up
 *   vm ORIGIN [NEEDED]           the VM, on all nodes; bits of those it cannot lose
 *   adopt BYTES POLICY KIND      anon, memfd, file, huge; "filled-" before it: with contents
 *                                and START BYTES NODE: home of that range
 *   map MEM BYTES POLICY
 *   rehome MEM FIRST NR NODE [FROM]  extents of MEM; NR 0: all that follow. MEM 0: all
 *   roam MEM ROUNDS | roamed     a thread that lets all homes go round; wait for it
 *   mix ROUNDS SEED | sums       count in pages of all extents; is it right?
 *   test NAME ROUNDS SEED        as litmus.c
 *   time NAME PAGES [START]      per page: touch, shmem, readmiss, upgrade
 *   misses PAGES START           read misses one by one: median and 99th percentile
 *   hammer PAGE SECONDS          writes it, as others do: how often, and the longest stall
 *   sent                         messages and pages sent on all links
 *   write PAGE VALUE | read PAGE one word
 *   fill SEED [FROM NR]          one word of each page of the memory, or of some
 *   verify SEED [FROM NR]        SEED "zero": it is 0
 *   churn SECONDS add|read       threads add to random pages of the memory, or read those
 *                                that have their home elsewhere (policy interleave)
 *   sum                          what they have added, what is there
 *   direct PATH PAGES            O_DIRECT write from and read into the memory
 *   remap | protect              munmap and mmap again is the kernel's; mprotect
 *   top                          the pages that nodes fight over, hottest first
 *   large                        KiB of the memory that are mapped as 2 MiB
 *   info | stat | kill           SIGUSR1 kills the VM too
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/dvmm.h>
#include <dvmm/stat.h>

#include "memory.h"
#include "test.h"

#define VM_ID 0x10001

static int control, device;
static struct memory memory;
static unsigned int self_id, total;

static int failed(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	return -1;
}

static int ok(void)
{
	printf("ok:\n");
	return 0;
}

static struct dvmm_addr addr_of(unsigned int node)
{
	struct dvmm_addr addr = { .family = AF_INET, .port = 4750 };

	memcpy(addr.addr, (uint8_t[]){ 10, 77, 0, node }, 4);
	return addr;
}

static int do_node(char **words)
{
	struct dvmm_node_set set = { .size = sizeof(set), .epoch = 1 };
	unsigned int node;

	self_id = atoi(words[1]);
	total = atoi(words[2]);
	set.node_id = self_id;
	set.listen = addr_of(self_id);
	memset(set.key, 7, sizeof(set.key));
	memset(set.cluster_uuid, 1, sizeof(set.cluster_uuid));
	set.node_uuid[0] = self_id;
	snprintf(set.name, sizeof(set.name), "n%u", self_id);
	if (ioctl(control, DVMM_NODE_SET, &set))
		return failed("DVMM_NODE_SET");
	for (node = 1; node <= total; node++) {
		struct dvmm_link_add add = { .size = sizeof(add), .node_id = node,
					     .lost_after_ms = 3000, .addr = addr_of(node) };

		snprintf(add.name, sizeof(add.name), "n%u", node);
		if (node != self_id && ioctl(control, DVMM_LINK_ADD, &add))
			return failed("DVMM_LINK_ADD");
	}
	return ok();
}

static int do_links(char **words)
{
	struct dvmm_link_get get;
	unsigned int node;

	(void)words;
	for (node = 1; node <= total; node++) {
		if (node == self_id)
			continue;
		do {
			get = (struct dvmm_link_get){ .size = sizeof(get), .node_id = node };
			if (ioctl(control, DVMM_LINK_GET, &get))
				return failed("DVMM_LINK_GET");
			usleep(10000);
		} while (get.out_state != DVMM_LINK_UP);
		printf("link %u rtt %llu ns\n", node, get.out_rtt_ns);
	}
	return ok();
}

static int do_vm(char **words)
{
	struct dsm_test_vm vm = { .vm_id = VM_ID, .origin = atoi(words[1]),
				  .nodes = ((1ULL << total) - 1) << 1,
				  .needed = words[2] ? strtoull(words[2], NULL, 0) : 0 };

	if (ioctl(device, DSM_TEST_VM, &vm))
		return failed("vm");
	return ok();
}

#define LARGE (2UL << 20)

/* Aligned as a VMM does it, for large pages. */
static void *make_anon(uint64_t bytes)
{
	uint8_t *room = mmap(NULL, bytes + LARGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip = -(uintptr_t)room % LARGE;

	if (room == MAP_FAILED)
		return room;
	if (skip)
		munmap(room, skip);
	munmap(room + skip + bytes, LARGE - skip);
	return room + skip;
}

static void *make_memory(uint64_t bytes, const char *kind)
{
	int fd;
	void *base;

	if (!strcmp(kind, "memfd") || !strcmp(kind, "file")) {
		fd = strcmp(kind, "file") ? memfd_create("test", 0) :
					    open("/out/backing", O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, bytes))
			return MAP_FAILED;
		base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
		return base;
	}
	if (strcmp(kind, "huge"))
		return make_anon(bytes);
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

/* To each page of this memory, by do_churn(). */
static uint64_t *added;

static void set_memory(void *base, uint64_t bytes)
{
	memory = (struct memory){ .base = base, .bytes = bytes, .self = self_id - 1,
				  .nr_nodes = total };
	free(added);
	added = NULL;
}

static uint64_t old_word(uint64_t page)
{
	return page % 3 ? page * 1000003 : 0;
}

/* As when a memslot of it changes: it is described, in one piece. */
static int adopt_again(struct dsm_test_adopt *adopt)
{
	uint32_t mem = adopt->out_mem;

	if (ioctl(device, DSM_TEST_ADOPT, adopt))
		return failed("adopt again");
	if (adopt->out_nr == 1 && adopt->out_mem == mem)
		return 0;
	printf("failed: object %u is %u segments of object %u\n", mem, adopt->out_nr,
	       adopt->out_mem);
	return -1;
}

static int do_adopt(char **words)
{
	struct dsm_test_adopt adopt = { .bytes = strtoull(words[1], NULL, 0),
					.home_policy = atoi(words[2]) };
	int filled = !strncmp(words[3], "filled-", 7);
	void *base = make_memory(adopt.bytes, words[3] + (filled ? 7 : 0));
	uint64_t page;

	if (base == MAP_FAILED)
		return failed("memory");
	set_memory(base, adopt.bytes);
	for (page = 0; filled && page < adopt.bytes / PAGE; page++)
		if (old_word(page))
			*word(&memory, page, 17) = old_word(page);
	adopt.hva = (uint64_t)base;
	if (words[4] && words[5] && words[6]) {
		adopt.range_start = strtoull(words[4], NULL, 0);
		adopt.range_bytes = strtoull(words[5], NULL, 0);
		adopt.range_node = atoi(words[6]);
	}
	if (ioctl(device, DSM_TEST_ADOPT, &adopt))
		return failed("adopt");
	for (page = 0; filled && page < adopt.bytes / PAGE; page++)
		if (*word(&memory, page, 17) != old_word(page)) {
			printf("failed: page %" PRIu64 " lost its contents\n", page);
			return -1;
		}
	if (adopt_again(&adopt))
		return -1;
	printf("ok: mem %u segments %u\n", adopt.out_mem, adopt.out_nr);
	return 0;
}

static int do_map(char **words)
{
	struct dsm_test_map map = { .mem = atoi(words[1]),
				    .mem_bytes = strtoull(words[2], NULL, 0),
				    .home_policy = atoi(words[3]) };

	map.bytes = map.mem_bytes;
	if (ioctl(device, DSM_TEST_MAP, &map))
		return failed("map");
	set_memory((void *)map.out_hva, map.bytes);
	return ok();
}

static int do_rehome(char **words)
{
	struct dsm_test_rehome rehome = {
		.mem = atoi(words[1]),
		.extent = strtoull(words[2], NULL, 0),
		.nr_extents = strtoull(words[3], NULL, 0),
		.node = atoi(words[4]),
		.from = words[5] ? (unsigned int)atoi(words[5]) : DVMM_ANY_NODE,
	};
	double start = now_us();

	if (ioctl(device, DSM_TEST_REHOME, &rehome))
		return failed("rehome");
	printf("ok: moved %llu %.1f us\n", rehome.out_moved, now_us() - start);
	return 0;
}

static struct roam {
	pthread_t thread;
	unsigned int mem, rounds;
	uint64_t moved;
	int error;
} roam;

static void *roam_thread(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < roam.rounds && !roam.error; i++) {
		struct dsm_test_rehome rehome = { .mem = roam.mem, .node = (i + 1) % total + 1,
						  .from = DVMM_ANY_NODE };

		if (ioctl(device, DSM_TEST_REHOME, &rehome) && errno != EBUSY)
			roam.error = errno;
		roam.moved += rehome.out_moved;
	}
	return NULL;
}

static int do_roam(char **words)
{
	roam = (struct roam){ .mem = atoi(words[1]), .rounds = atoi(words[2]) };
	errno = pthread_create(&roam.thread, NULL, roam_thread, NULL);
	return errno ? failed("thread") : ok();
}

static int do_roamed(char **words)
{
	(void)words;
	pthread_join(roam.thread, NULL);
	errno = roam.error;
	if (errno)
		return failed("rehome");
	printf("ok: moved %" PRIu64 "\n", roam.moved);
	return 0;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* Each node counts in words of its own and adds to words that all share. */
static int do_mix(char **words)
{
	uint64_t rounds = strtoull(words[1], NULL, 0), state = strtoull(words[2], NULL, 0) * 77 + self_id;
	uint64_t pages = memory.bytes / PAGE, *mine = calloc(pages, sizeof(*mine)), i, page;

	if (!mine)
		return failed("memory");
	for (i = 0; i < pages; i++)
		mine[i] = *word(&memory, i, 8 + self_id);
	for (i = 0; i < rounds; i++) {
		page = next_random(&state) % 64 * (pages / 64) + next_random(&state) % 4;
		if (*word(&memory, page, 8 + self_id) != mine[page]) {
			printf("failed: page %" PRIu64 ": %" PRIu64 " instead of %" PRIu64 "\n", page,
			       *word(&memory, page, 8 + self_id), mine[page]);
			return -1;
		}
		if (next_random(&state) & 1)
			continue;
		*word(&memory, page, 8 + self_id) = ++mine[page];
		__atomic_add_fetch(word(&memory, page, 7), 1, __ATOMIC_SEQ_CST);
	}
	free(mine);
	return ok();
}

/* Every word that all share is the sum of those of the nodes. */
static int do_sums(char **words)
{
	uint64_t page, sum, total_sum = 0;
	unsigned int node;

	(void)words;
	for (page = 0; page < memory.bytes / PAGE; page++) {
		for (sum = 0, node = 1; node <= total; node++)
			sum += *word(&memory, page, 8 + node);
		if (*word(&memory, page, 7) != sum) {
			printf("failed: page %" PRIu64 ": %" PRIu64 " instead of %" PRIu64 "\n", page,
			       *word(&memory, page, 7), sum);
			return -1;
		}
		total_sum += sum;
	}
	printf("ok: %" PRIu64 "\n", total_sum);
	return 0;
}

static int do_test(char **words)
{
	double start = now_us();
	int bad = litmus_run(&memory, words[1], atol(words[2]), atol(words[3]));

	printf("%s: %s %.1f us\n", bad ? "failed" : "ok", words[1], now_us() - start);
	return bad;
}

static int do_time(char **words)
{
	static unsigned int used = 4000;
	uint64_t nr = strtoull(words[2], NULL, 0), i, sum = 0;
	volatile uint8_t *base = memory.base + used * PAGE;
	double start;

	if (!strcmp(words[1], "shmem"))
		base = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(words[1], "touch"))
		used += nr;
	if (words[3])
		base = memory.base + strtoull(words[3], NULL, 0) * PAGE;
	start = now_us();
	for (i = 0; i < nr; i++) {
		if (!strcmp(words[1], "readmiss"))
			sum += base[i * PAGE];
		else
			base[i * PAGE] = 1;
	}
	printf("ok: %s %.3f us a page %s\n", words[1], (now_us() - start) / nr, sum ? "" : "-");
	return 0;
}

static int do_misses(char **words)
{
	return timing_read(&memory, strtoull(words[1], NULL, 0), strtoull(words[2], NULL, 0));
}

static int do_hammer(char **words)
{
	return timing_hammer(&memory, strtoull(words[1], NULL, 0), atof(words[2]));
}

static int do_sent(char **words)
{
	uint64_t messages = 0, pages = 0;
	unsigned int node;

	(void)words;
	for (node = 1; node <= total; node++) {
		uint64_t values[DVMM_NR_STAT_LINK] = {};
		struct dvmm_stat_get get = { .size = sizeof(get), .kind = DVMM_STAT_LINK, .id = node,
					     .nr = DVMM_NR_STAT_LINK, .values = (uint64_t)values };

		if (node != self_id && ioctl(control, DVMM_STAT_GET, &get))
			return failed("sent");
		messages += values[DVMM_STAT_LINK_tx_messages];
		pages += values[DVMM_STAT_LINK_tx_pages];
	}
	printf("ok: messages %" PRIu64 " pages %" PRIu64 "\n", messages, pages);
	return 0;
}

static int do_write(char **words)
{
	*word(&memory, strtoull(words[1], NULL, 0), 0) = strtoull(words[2], NULL, 0);
	return ok();
}

static int do_read(char **words)
{
	printf("ok: %" PRIu64 "\n", *word(&memory, strtoull(words[1], NULL, 0), 0));
	return 0;
}

static uint64_t filled_word(uint64_t page, const char *seed)
{
	return strcmp(seed, "zero") ? page * 1000003 + strtoull(seed, NULL, 0) : 0;
}

/* [FROM NR] of a command, or all pages. */
static void take_range(char **words, uint64_t *from, uint64_t *end)
{
	*from = words[2] ? strtoull(words[2], NULL, 0) : 0;
	*end = words[2] && words[3] ? *from + strtoull(words[3], NULL, 0) : memory.bytes / PAGE;
}

static int do_fill(char **words)
{
	uint64_t page, from, end;
	double start = now_us();

	take_range(words, &from, &end);
	for (page = from; page < end; page++)
		*word(&memory, page, 17) = filled_word(page, words[1]);
	printf("ok: %.3f us a page\n", (now_us() - start) / (end - from));
	return 0;
}

static int do_verify(char **words)
{
	uint64_t page, from, end, is;
	double start = now_us();

	take_range(words, &from, &end);
	for (page = from; page < end; page++) {
		is = *word(&memory, page, 17);
		if (is != filled_word(page, words[1])) {
			printf("failed: page %" PRIu64 " is %" PRIu64 " instead of %" PRIu64 "\n",
			       page, is, filled_word(page, words[1]));
			return -1;
		}
	}
	printf("ok: %.3f us a page\n", (now_us() - start) / (end - from));
	return 0;
}

/* ---- load that another node's loss must not disturb ---- */

#define CHURN_THREADS 4
#define CHURN_WORD 33 /* and those behind it: each node's own */

struct churn {
	double end_us;
	int adds;
	unsigned int seed;
	uint64_t *added; /* to each page, by all threads of this node */
};

/* A home that holds a page sends it itself, and what is on its way may be the only copy. */
static int is_homed_here(uint64_t page)
{
	return page / 512 % total == self_id - 1;
}

static void *churn_thread(void *arg)
{
	struct churn *churn = arg;
	uint64_t nr_pages = memory.bytes / PAGE, page, seen = 0;

	while (now_us() < churn->end_us) {
		page = rand_r(&churn->seed) % nr_pages;
		if (!churn->adds && is_homed_here(page))
			continue;
		if (!churn->adds) {
			seen += *word(&memory, page, CHURN_WORD);
			continue;
		}
		__atomic_add_fetch(word(&memory, page, CHURN_WORD), 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(word(&memory, page, CHURN_WORD + self_id), 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&churn->added[page], 1, __ATOMIC_RELAXED);
	}
	return (void *)seen;
}

static int do_churn(char **words)
{
	struct churn churn[CHURN_THREADS];
	pthread_t threads[CHURN_THREADS];
	double end_us = now_us() + atof(words[1]) * 1e6;
	int i;

	if (!added)
		added = calloc(memory.bytes / PAGE, sizeof(*added));
	for (i = 0; i < CHURN_THREADS; i++) {
		churn[i] = (struct churn){ .end_us = end_us, .adds = !strcmp(words[2], "add"),
					   .seed = self_id * 100 + i, .added = added };
		pthread_create(&threads[i], NULL, churn_thread, &churn[i]);
	}
	for (i = 0; i < CHURN_THREADS; i++)
		pthread_join(threads[i], NULL);
	return ok();
}

/* What only this node adds to must be exact; what all add to, the caller adds up. */
static int do_sum(char **words)
{
	uint64_t mine = 0, all = 0, page;

	(void)words;
	for (page = 0; page < memory.bytes / PAGE; page++) {
		if (added && *word(&memory, page, CHURN_WORD + self_id) != added[page]) {
			printf("failed: page %" PRIu64 ": %" PRIu64 " of %" PRIu64 " are there\n", page,
			       *word(&memory, page, CHURN_WORD + self_id), added[page]);
			return -1;
		}
		mine += added ? added[page] : 0;
		all += *word(&memory, page, CHURN_WORD);
	}
	printf("ok: %" PRIu64 " %" PRIu64 "\n", mine, all);
	return 0;
}

static int do_direct(char **words)
{
	int fd = open(words[1], O_RDWR | O_CREAT | O_DIRECT, 0600);
	uint64_t nr = strtoull(words[2], NULL, 0), i;
	volatile uint8_t *from = memory.base + 2000 * PAGE, *to = memory.base + 3000 * PAGE;

	if (fd < 0)
		return failed("open");
	for (i = 0; i < nr; i++)
		from[i * PAGE + 5] = i + 1;
	if (pwrite(fd, (void *)from, nr * PAGE, 0) != (ssize_t)(nr * PAGE) ||
	    pread(fd, (void *)to, nr * PAGE, 0) != (ssize_t)(nr * PAGE))
		return failed("direct");
	close(fd);
	for (i = 0; i < nr; i++)
		if (to[i * PAGE + 5] != (uint8_t)(i + 1)) {
			printf("failed: page %" PRIu64 "\n", i);
			return -1;
		}
	return ok();
}

static int do_protect(char **words)
{
	uint64_t i;

	(void)words;
	for (i = 0; i < 50; i++) {
		if (mprotect((void *)memory.base, memory.bytes, PROT_READ) ||
		    mprotect((void *)memory.base, memory.bytes, PROT_READ | PROT_WRITE))
			return failed("mprotect");
		if (madvise((void *)memory.base, memory.bytes, MADV_DONTNEED))
			return failed("madvise");
		__atomic_add_fetch(word(&memory, 1, 0), 1, __ATOMIC_SEQ_CST);
	}
	return ok();
}

static int do_info(char **words)
{
	struct dsm_test_info info = {};

	(void)words;
	if (ioctl(device, DSM_TEST_INFO, &info))
		return failed("info");
	printf("ok: mem %u resident %llu metadata %llu failed %u homed %llu\n", info.mem,
	       info.out_resident, info.out_metadata, info.failed, info.out_homed);
	return 0;
}

static int do_stat(char **words)
{
	static const char *const names[] = {
#define STAT_NODE(name)
#define STAT_LINK(name)
#define STAT_VM(name) #name,
#define STAT(name, kind, unit, help) STAT_##kind(name)
#include <dvmm/stat.tbl.h>
	};
	uint64_t values[DVMM_NR_STAT_VM] = {};
	struct dvmm_stat_get get = { .size = sizeof(get), .kind = DVMM_STAT_VM, .id = VM_ID,
				     .nr = DVMM_NR_STAT_VM, .values = (uint64_t)values };
	unsigned int i;

	(void)words;
	if (ioctl(control, DVMM_STAT_GET, &get))
		return failed("stat");
	printf("ok:");
	for (i = 0; i < get.nr && i < DVMM_NR_STAT_VM; i++)
		if (values[i])
			printf(" %s=%" PRIu64, names[i], values[i]);
	printf("\n");
	return 0;
}

static int do_top(char **words)
{
	struct dvmm_mem_page pages[DVMM_MEM_TOP_MAX];
	struct dsm_test_top top = { .nr = DVMM_MEM_TOP_MAX, .pages = (uint64_t)pages };
	unsigned int i;

	(void)words;
	if (ioctl(device, DSM_TEST_TOP, &top))
		return failed("top");
	printf("ok:");
	for (i = 0; i < top.nr; i++)
		printf(" %u:%llu,nodes=%#llx,home=%u,heat=%llu,reads=%llu,writes=%llu,takes=%llu,inv=%llu,off=%llu,waits=%llu,ns=%llu",
		       pages[i].mem_id, pages[i].page, pages[i].nodes, pages[i].home, pages[i].heat,
		       pages[i].read_misses, pages[i].write_misses, pages[i].takes,
		       pages[i].invalidations, pages[i].put_off, pages[i].waits, pages[i].wait_ns);
	printf("\n");
	return 0;
}

static int do_large(char **words)
{
	unsigned long start, end, kib, sum = 0;
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[256];
	int ours = 0;

	(void)words;
	if (!file)
		return failed("smaps");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = start >= (uintptr_t)memory.base &&
			       end <= (uintptr_t)memory.base + memory.bytes;
		if (ours && sscanf(line, "FilePmdMapped: %lu kB", &kib) == 1)
			sum += kib;
	}
	fclose(file);
	printf("ok: %lu\n", sum);
	return 0;
}

static int do_kill(char **words)
{
	(void)words;
	if (ioctl(device, DSM_TEST_KILL))
		return failed("kill");
	return ok();
}

static void on_sigbus(int signo)
{
	static const char text[] = "failed: SIGBUS\n";

	(void)signo;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(2);
}

static void on_sigusr1(int signo)
{
	(void)signo;
	ioctl(device, DSM_TEST_KILL);
}

static void command(char *line)
{
	static const struct {
		const char *name;
		int (*run)(char **words);
		int nr_words;
	} commands[] = {
		{ "node", do_node, 3 }, { "links", do_links, 1 }, { "vm", do_vm, 2 },
		{ "adopt", do_adopt, 4 }, { "map", do_map, 4 }, { "test", do_test, 4 },
		{ "time", do_time, 3 }, { "write", do_write, 3 }, { "read", do_read, 2 },
		{ "misses", do_misses, 3 }, { "hammer", do_hammer, 3 }, { "sent", do_sent, 1 },
		{ "fill", do_fill, 2 }, { "verify", do_verify, 2 },
		{ "churn", do_churn, 3 }, { "sum", do_sum, 1 },
		{ "direct", do_direct, 3 }, { "protect", do_protect, 1 }, { "info", do_info, 1 },
		{ "stat", do_stat, 1 }, { "top", do_top, 1 }, { "kill", do_kill, 1 },
		{ "large", do_large, 1 },
		{ "rehome", do_rehome, 5 }, { "roam", do_roam, 3 }, { "roamed", do_roamed, 1 },
		{ "mix", do_mix, 3 }, { "sums", do_sums, 1 },
	};
	char *words[8] = {};
	unsigned int i;
	int nr = 0;

	for (words[0] = strtok(line, " \n"); nr < 7 && words[nr]; words[nr] = strtok(NULL, " \n"))
		nr++;
	for (i = 0; nr && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, words[0]) && nr >= commands[i].nr_words) {
			commands[i].run(words);
			return;
		}
	printf("failed: what?\n");
}

int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGBUS, on_sigbus);
	signal(SIGUSR1, on_sigusr1);
	control = open("/dev/dvmm/control", O_RDWR | O_CLOEXEC);
	device = open("/dev/dvmm-dsm-test", O_RDWR | O_CLOEXEC);
	if (control < 0 || device < 0) {
		perror("cannot open the devices");
		return 1;
	}
	printf("ready:\n");
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
