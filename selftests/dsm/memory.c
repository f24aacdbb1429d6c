// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/dsm/memory.c - one node of a test of coherent memory: one command a
 * line on stdin, one answer a line on stdout ("ok: ..." or "failed: ...").
 *
 *   node SELF TOTAL              node SELF of 1..TOTAL at 10.77.0.<n>
 *   links                        wait until all are up
 *   vm ORIGIN                    the VM, on all nodes
 *   adopt BYTES POLICY KIND      anon, memfd, file, huge; "filled-" before it: with contents
 *   map MEM BYTES POLICY
 *   test NAME ROUNDS SEED        as litmus.c
 *   time NAME PAGES [START]      per page: touch, shmem, readmiss, upgrade
 *   tail PAGES START             the same of reads, p50 and p99
 *   write PAGE VALUE | read PAGE one word
 *   fill SEED | verify SEED      one word of each page of the memory
 *   direct PATH PAGES            O_DIRECT write from and read into the memory
 *   remap | protect              munmap and mmap again is the kernel's; mprotect
 *   info | stat | kill           SIGUSR1 kills the VM too
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
				  .nodes = ((1ULL << total) - 1) << 1 };

	if (ioctl(device, DSM_TEST_VM, &vm))
		return failed("vm");
	return ok();
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
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (strcmp(kind, "huge") ? 0 : MAP_HUGETLB), -1, 0);
}

static void set_memory(void *base, uint64_t bytes)
{
	memory = (struct memory){ .base = base, .bytes = bytes, .self = self_id - 1,
				  .nr_nodes = total };
}

static uint64_t old_word(uint64_t page)
{
	return page % 3 ? page * 1000003 : 0;
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
	if (ioctl(device, DSM_TEST_ADOPT, &adopt))
		return failed("adopt");
	for (page = 0; filled && page < adopt.bytes / PAGE; page++)
		if (*word(&memory, page, 17) != old_word(page)) {
			printf("failed: page %" PRIu64 " lost its contents\n", page);
			return -1;
		}
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

static int do_test(char **words)
{
	double start = now_us();
	int bad = litmus_run(&memory, words[1], atol(words[2]), atol(words[3]));

	printf("%s: %s %.1f us\n", bad ? "failed" : "ok", words[1], now_us() - start);
	return bad;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Reads pages one after the other, each by the clock. */
static int do_tail(char **words)
{
	static float took[1000];
	volatile uint8_t *base = memory.base + strtoull(words[2], NULL, 0) * PAGE;
	unsigned int nr = atoi(words[1]), i;
	double start = now_us(), now;

	if (!nr || nr > 1000)
		return failed("at most 1000 pages");
	for (i = 0; i < nr; i++) {
		(void)base[i * PAGE];
		now = now_us();
		took[i] = now - start;
		start = now;
	}
	qsort(took, nr, sizeof(took[0]), by_size);
	printf("ok: p50 %.1f p99 %.1f\n", took[nr / 2], took[nr * 99 / 100]);
	return 0;
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

static uint64_t filled_word(uint64_t page, uint64_t seed)
{
	return page * 1000003 + seed;
}

static int do_fill(char **words)
{
	uint64_t seed = strtoull(words[1], NULL, 0), page;
	double start = now_us();

	for (page = 0; page < memory.bytes / PAGE; page++)
		*word(&memory, page, 17) = filled_word(page, seed);
	printf("ok: %.3f us a page\n", (now_us() - start) / page);
	return 0;
}

static int do_verify(char **words)
{
	uint64_t seed = strtoull(words[1], NULL, 0), page;
	double start = now_us();

	for (page = 0; page < memory.bytes / PAGE; page++)
		if (*word(&memory, page, 17) != filled_word(page, seed)) {
			printf("failed: page %" PRIu64 " is %" PRIu64 " instead of %" PRIu64 "\n",
			       page, *word(&memory, page, 17), filled_word(page, seed));
			return -1;
		}
	printf("ok: %.3f us a page\n", (now_us() - start) / page);
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
	printf("ok: mem %u resident %llu metadata %llu failed %u\n", info.mem, info.out_resident,
	       info.out_metadata, info.failed);
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
		{ "time", do_time, 3 }, { "tail", do_tail, 3 }, { "write", do_write, 3 }, { "read", do_read, 2 },
		{ "fill", do_fill, 2 }, { "verify", do_verify, 2 },
		{ "direct", do_direct, 3 }, { "protect", do_protect, 1 }, { "info", do_info, 1 },
		{ "stat", do_stat, 1 }, { "kill", do_kill, 1 },
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
