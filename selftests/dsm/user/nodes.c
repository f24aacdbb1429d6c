// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/nodes.c - dsm/ as it is, three nodes as three processes that
 * fight over pages; one is killed, the others must agree and go on.
 *
 *   nodes RUNS [SEED [STYLE]]    prints TAP; STYLE: 1..6, only that one
 *
 * Links are played (played_link.c), faults are function calls (access_page()); who holds
 * the page lock uses the page.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "played_link.h"
#include "played_node.h"

#define NR_NODES 3
#define VM_ID 0x10001
#define EXTENT 512
#define HOT_OF_EXTENT 12
#define HOT_OF_GROUP (HOT_OF_EXTENT * NR_NODES)
#define NR_GROUPS 8 /* of extents, used one after the other where blocks are tested */
#define GROUP_MS 20
#define NR_HOT (HOT_OF_GROUP * NR_GROUPS) /* most; those of the style are used */
#define NR_THREADS 4
#define NR_STYLES 6
#define SLOW_US 6000

/* What a run is like. */
struct style {
	const char *name;
	bool only_reads; /* the node that is lost, and not what it is home of: it never
			  * has or sends the only copy */
	bool evicts; /* all nodes put pages away */
	bool twice; /* then the other node but the origin is lost as well */
	bool is_short; /* of memory, every now and then */
	bool is_large; /* each node has touched what has its home there, in blocks */
};

/* Shared by all processes of a run. */
struct shared {
	int arrived[8]; /* at barriers */
	int stop; /* the load */
	u32 epoch[NR_NODES + 1]; /* by node: that it works in */
	int lost[NR_HOT]; /* page: found lost by its home */
	int nr_groups; /* of extents, that the load uses */
	long checked, pages_lost, accesses, refused, blocks, splits, put_off;
};

static const struct style *style;
static struct shared *shared;
static u8 victim;
static struct dsm_vm *vm;
static struct dsm_mem *mem;
static long added[NR_HOT];

bool shim_is_short(void)
{
	return style->is_short && chance() % 2;
}

int shim_reserve(int nr)
{
	return style->is_short ? 2 : nr;
}

static __thread bool fills; /* 512 pages, one after the other */

void shim_dawdle(void)
{
	if (!(chance() % (fills ? 65536 : 64)))
		usleep(chance() % SLOW_US);
}

/* ---- fault.c ---- */

/* No home moves. */
int rehome_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	return -EPROTO;
}

int rehome_tell(struct dsm_mem *m, u64 extent_nr, u8 node)
{
	return -EPROTO;
}

static bool is_settled(const struct page_ref *ref)
{
	return (!proto_is_transient(READ_ONCE(ref->page->node.state)) &&
		!loss_is_dealt_with(ref->mem->vm)) || vm_is_dead(ref->mem->vm);
}

int fault_wait(const struct page_ref *ref)
{
	if (!wait_event_timeout(*page_wait_queue(ref->page), is_settled(ref), 30000))
		node_die("page %llu: no answer (state %s, phase %u)", ref->index,
		    proto_node_state_name(ref->page->node.state), vm->loss.phase);
	return 0;
}

static u64 index_of(int hot)
{
	return hot / HOT_OF_EXTENT * EXTENT + hot % HOT_OF_EXTENT;
}

static int hot_of(u64 index)
{
	int hot = index / EXTENT * HOT_OF_EXTENT + index % EXTENT;

	return index % EXTENT < HOT_OF_EXTENT ? hot : -1;
}

static bool is_lost(u64 index)
{
	return hot_of(index) >= 0 && READ_ONCE(shared->lost[hot_of(index)]);
}

/* act.c calls this instead of loss_found(): the VM is to live, to be looked at. */
void found_lost(const struct page_ref *ref)
{
	if (hot_of(ref->index) >= 0)
		WRITE_ONCE(shared->lost[hot_of(ref->index)], 1);
}

/* As lock_frame() of fault.c. False: not now. */
static bool use_frame(struct page_ref *ref, u8 want, void (*use)(u64 *words, int nr), int nr)
{
	struct page *frame = ref->page->frame;
	bool usable;

	lock_page(frame);
	usable = !block_has(ref->page) || block_is_whole(ref->page);
	if (usable) {
		page_used(ref->page, want == PROTO_WRITE);
		use((u64 *)frame->data, nr);
	}
	unlock_page(frame);
	return usable;
}

/* Does @use with the page while nobody else can. False: the VM is dead, or the page lost. */
static bool access_page(u64 index, u8 want, void (*use)(u64 *words, int nr), int nr)
{
	struct op op = {};
	int err;

	if (page_get(mem, index, GFP_KERNEL, &op.ref))
		node_die("no memory");
	evict_wait_for_room(vm);
	while (!is_lost(index)) {
		page_lock(&op.ref);
		err = act_access(&op, want);
		if (!err && !use_frame(&op.ref, want, use, nr))
			err = -EBUSY;
		page_unlock(&op.ref);
		if (err == -EBUSY) {
			if (block_settle(mem, index))
				fault_wait(&op.ref);
			continue;
		}
		if (!err) {
			fetch_unreserve(&op);
			return true;
		}
		if (err == -ENOMEM && !fetch_reserve(&op))
			continue;
		fetch_unreserve(&op);
		if (err != -EAGAIN)
			return false;
		regain_all(vm);
		fault_wait(&op.ref);
	}
	return false;
}

/* ---- the load ---- */

static void use_add(u64 *words, int hot)
{
	words[self]++;
	added[hot]++; /* under the page lock */
}

static void use_read(u64 *words, int hot)
{
	(void)words, (void)hot;
}

static void use_check(u64 *words, int hot)
{
	if ((long)words[self] != added[hot])
		node_die("page %d: %llu of %ld additions are there", hot, words[self], added[hot]);
}

static void *load(void *arg)
{
	bool reads = style->only_reads && self == victim;
	long nr = 0;
	int hot;

	(void)arg;
	while (!READ_ONCE(shared->stop)) {
		hot = chance() % (HOT_OF_GROUP * READ_ONCE(shared->nr_groups));
		if (reads && hot / HOT_OF_EXTENT == self - 1)
			continue;
		if (style->evicts && !(chance() % 8))
			node_evict(mem, index_of(hot));
		else if (reads || chance() % 2)
			access_page(index_of(hot), PROTO_READ, use_read, hot);
		else
			access_page(index_of(hot), PROTO_WRITE, use_add, hot);
		if (vm_is_dead(vm))
			break;
		if (!loss_is_dealt_with(vm))
			WRITE_ONCE(shared->epoch[self], vm->epoch);
		nr++;
	}
	__atomic_add_fetch(&shared->accesses, nr, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A node that is there already joins; while a loss is dealt with it is put off, and nobody waits for that. */
static void *add_node(void *arg)
{
	u64 begun;
	int err;

	(void)arg;
	for (; !READ_ONCE(shared->stop); usleep(50)) {
		if (!loss_is_near(vm))
			continue;
		begun = ktime_get_ns();
		err = dsm_vm_add_node(vm, self);
		if (err && err != -EAGAIN)
			node_die("no node is added: %d", err);
		if (ktime_get_ns() - begun > 5000000000ull)
			node_die("who adds a node waited for the end of a loss");
		__atomic_add_fetch(&shared->put_off, err == -EAGAIN, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* ---- one node ---- */

static void failed(void *priv, int error, const char *reason)
{
	(void)priv, (void)error;
	node_die("the VM failed: %s", reason);
}

static const struct dsm_vm_ops ops = { .failed = failed };

static void make_vm(struct dvmm_stats *stats)
{
	struct mem_config config = {
		.home_policy = DVMM_HOME_INTERLEAVE,
		.bytes = NR_GROUPS * NR_NODES * EXTENT * PAGE_SIZE,
	};
	int err = page_init() ?: home_init() ?: take_init() ?: evict_init() ?: block_init() ?: serve_init();

	if (err)
		node_die("init: %d", err);
	played_links_open();
	vm = dsm_vm_create(VM_ID, 0xe, 1, stats, &ops, NULL);
	node_meet(&shared->arrived[0], NR_NODES);
	if (self == 1) {
		mutex_lock(&vm->lock);
		err = mem_create(vm, &config, &mem);
		mutex_unlock(&vm->lock);
		if (err)
			node_die("mem_create: %d", err);
	}
	node_meet(&shared->arrived[1], NR_NODES);
	mem = mem_find(vm, 1);
}

/* One write of each is told to the rules. */
static void make_blocks(void)
{
	int extent;

	for (extent = self - 1; extent < NR_GROUPS * NR_NODES; extent += NR_NODES) {
		fills = true;
		block_make(mem, extent * EXTENT);
		fills = false;
		access_page(extent * EXTENT, PROTO_WRITE, use_add, extent * HOT_OF_EXTENT);
	}
}

static void mark_lost(void)
{
	struct page_ref ref;
	int hot;

	for (hot = 0; hot < HOT_OF_GROUP * shared->nr_groups; hot++) {
		if (page_get(mem, index_of(hot), GFP_KERNEL, &ref))
			node_die("no memory");
		page_lock(&ref);
		if (ref.home && ref.home->home.state == PROTO_LOST) {
			shared->lost[hot] = 1;
			__atomic_add_fetch(&shared->pages_lost, 1, __ATOMIC_SEQ_CST);
		}
		else if (ref.home && shared->lost[hot])
			node_die("page %d was said to be lost, but its home knows of holders", hot);
		page_unlock(&ref);
	}
}

static void check_all(void)
{
	int hot;

	for (hot = 0; hot < HOT_OF_GROUP * shared->nr_groups; hot++) {
		if (shared->lost[hot])
			continue;
		if (!access_page(index_of(hot), chance() % 2 ? PROTO_READ : PROTO_WRITE, use_check, hot))
			node_die("the VM is dead");
		__atomic_add_fetch(&shared->checked, 1, __ATOMIC_SEQ_CST);
	}
}

static void node(void)
{
	int nr_lost = style->twice ? 2 : 1, nr_left = NR_NODES - nr_lost;
	static u64 stats_room[sizeof(struct dvmm_stats) / 8 + DVMM_NR_STAT_VM + 8];
	pthread_t thread[NR_THREADS + 1];
	int i;

	make_vm((struct dvmm_stats *)stats_room);
	if (style->only_reads && self == 1) /* what nobody has touched would be lost with its home */
		for (i = 0; i < HOT_OF_GROUP; i++)
			access_page(index_of(i), PROTO_WRITE, use_add, i);
	if (style->is_large)
		make_blocks();
	node_meet(&shared->arrived[2], NR_NODES);
	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, load, NULL);
	pthread_create(&thread[i], NULL, add_node, NULL);
	for (i = 0; i <= NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	/* Before the first is out of the load the survivors have agreed. */
	for (i = 0; (int)READ_ONCE(vm->epoch) != nr_lost || loss_is_dealt_with(vm); i++) {
		if (i > 30000)
			node_die("no agreement: epoch %u phase %u", vm->epoch, vm->loss.phase);
		usleep(1000);
	}
	node_meet(&shared->arrived[3], nr_left);
	mark_lost();
	node_meet(&shared->arrived[4], nr_left);
	if (style->only_reads && shared->pages_lost)
		node_die("%ld pages are lost", shared->pages_lost);
	check_all();
	__atomic_add_fetch(&shared->refused, atomic_read(&vm->stats->value[DVMM_STAT_VM_requests_refused]),
			   __ATOMIC_SEQ_CST);
	node_meet(&shared->arrived[5], nr_left);
	__atomic_add_fetch(&shared->blocks, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->splits, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages_split]),
			   __ATOMIC_SEQ_CST);
	dsm_vm_destroy(vm);
	node_meet(&shared->arrived[6], nr_left);
	_exit(0);
}

/* ---- a run ---- */

/* The load reaches blocks that nobody else has touched before, in and after the loss. */
static void *add_groups(void *arg)
{
	(void)arg;
	while (READ_ONCE(shared->nr_groups) < NR_GROUPS && !READ_ONCE(shared->stop)) {
		usleep(GROUP_MS * 1000);
		__atomic_add_fetch(&shared->nr_groups, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static bool run(void)
{
	pid_t pid[NR_NODES + 1];
	bool good = true;
	int n, status, other = 0;
	pthread_t groups;

	fflush(stdout);
	memset(shared, 0, sizeof(*shared));
	shared->nr_groups = 1;
	/* Home asks the sharer of the lowest number to send the page. */
	victim = style->only_reads ? NR_NODES : 2 + seed % 2;
	played_links_make(NR_NODES);
	for (n = 1; n <= NR_NODES; n++)
		pid[n] = node_start(n, node);
	played_links_keep_of(0);
	for (n = 0; READ_ONCE(shared->arrived[2]) < NR_NODES && n < 20000; n++)
		usleep(500);
	if (style->is_large)
		pthread_create(&groups, NULL, add_groups, NULL);
	usleep(20000 + chance() % 100000);
	kill(pid[victim], SIGKILL);
	if (style->twice) {
		other = NR_NODES + 2 - victim;
		for (n = 0; (!READ_ONCE(shared->epoch[1]) || !READ_ONCE(shared->epoch[other])) && n < 40000; n++)
			usleep(500);
		kill(pid[other], SIGKILL);
	}
	usleep(100000 + chance() % 100000);
	WRITE_ONCE(shared->stop, 1);
	if (style->is_large)
		pthread_join(groups, NULL);
	for (n = 1; n <= NR_NODES; n++) {
		waitpid(pid[n], &status, 0);
		if (n != victim && n != other && status) {
			printf("# node %d ended with %x\n", n, status);
			good = false;
		}
	}
	return good;
}

static bool runs(const struct style *like, int nr, unsigned int first)
{
	long lost = 0, checked = 0, accesses = 0, refused = 0, blocks = 0, splits = 0, put_off = 0;

	style = like;
	for (seed = first; seed < first + nr; seed++) {
		if (!run()) {
			printf("# %s: seed %u\n", like->name, seed);
			return false;
		}
		lost += shared->pages_lost;
		checked += shared->checked;
		accesses += shared->accesses;
		refused += shared->refused;
		blocks += shared->blocks;
		splits += shared->splits;
		put_off += shared->put_off;
	}
	printf("# %s: %ld accesses, %ld pages checked, %ld lost, %ld requests sent back, %ld times no node was added\n",
	       like->name, accesses, checked, lost, refused, put_off);
	if (like->is_large)
		printf("# %ld blocks, %ld split\n", blocks, splits);
	if (like->is_large && (!blocks || !splits))
		return false;
	return checked && put_off && (like->only_reads || lost) && !refused == !like->is_short;
}

int main(int argc, char **argv)
{
	static const struct style styles[NR_STYLES] = {
		{ "a node that reads is lost", .only_reads = true },
		{ "a node that writes is lost", .only_reads = false },
		{ "a node is lost while all put pages away", .evicts = true },
		{ "one node is lost after the other", .twice = true },
		{ "a node is lost while all are short of memory", .evicts = true, .is_short = true },
		{ "a node is lost while blocks are split", .is_large = true },
	};
	int nr = argc > 1 ? atoi(argv[1]) : 5, i, bad = 0;
	unsigned int first = argc > 2 ? atoi(argv[2]) : 1;
	int only = argc > 3 ? atoi(argv[3]) : 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < NR_STYLES; i++) {
		bool good;

		if (only && i + 1 != only)
			continue;
		good = runs(&styles[i], nr, first);
		printf("%sok %d - %s\n", good ? "" : "not ", i + 1, styles[i].name);
		bad += !good;
	}
	printf("1..%d\n", NR_STYLES);
	return !!bad;
}
