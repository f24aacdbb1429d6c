// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/homes.c - dsm/ as it is, four nodes as four processes that
 * fight over pages while their homes move all the time, also when one of them joins late, or
 * one that was alone. No addition may be lost.
 *
 *   homes RUNS [SEED [STYLE]]    prints TAP; STYLE: 1..7, only that one
 *
 * Links are played (played_link.c), faults are function calls (access_page()); who holds
 * the page lock uses the page.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "played_link.h"
#include "played_node.h"

#define NR_NODES 4 /* most; those of the style are used */
#define VM_ID 0x10001
#define EXTENT 512
#define HOT_OF_EXTENT 12
#define NR_HOT (HOT_OF_EXTENT * NR_EXTENTS) /* most; those of the style are used */
#define HOT_OF_GROUP (HOT_OF_EXTENT * NR_NODES)
#define NR_THREADS 4
#define NR_STYLES 7
#define LATE nr_nodes() /* who joins, if somebody does */
#define NR_GROUPS 6 /* of extents, used one after the other where blocks are tested */
#define NR_EXTENTS (NR_NODES * NR_GROUPS) /* that are used */
#define MAX_EXTENTS (NR_EXTENTS + DVMM_MAX_HOME_RUNS)
#define GROUP_MS 100
#define APART_MS 60
#define PIN_US 3000
#define SLOW_US 6000
#define TURN_US 1000 /* turn.c: 200 times what played_door.c says */

/* What a run is like. */
struct style {
	const char *name;
	bool evicts; /* all nodes put pages away */
	bool only_reads; /* nearly: home gets copies of what others read */
	bool is_short; /* of memory, every now and then */
	bool is_large; /* who touches an extent first gets a block, which is mapped */
	bool joins; /* one node, when the others are at it */
	bool grows; /* of two nodes, so that only the origin is at it before */
};

/* What the origin has said, as the layer above dsm/ does by messages. */
enum join_step { JOIN_NOT, JOIN_EXPECT, JOIN_COME, JOIN_ADD, JOIN_DONE, NR_JOIN_STEPS };

/* Shared by all processes of a run. */
struct shared {
	int arrived[8]; /* at barriers */
	int stop; /* the load */
	int group; /* of extents, for the load */
	int apart; /* each node keeps to what has its home there */
	int join_step; /* enum join_step */
	int followed[NR_JOIN_STEPS]; /* nodes that have */
	struct dsm_past past;
	long added[NR_NODES + 1][NR_HOT]; /* by node, at the end of the load */
	long checked, accesses, moves, busy, copies, refused, blocks, splits, mapped, pins;
};

static const struct style *style;
static struct shared *shared;
static struct dsm_vm *vm;
static struct dsm_mem *mem;
static long added[NR_HOT];
static u64 seen[NR_HOT][NR_NODES + 1]; /* under the page lock */

static int nr_nodes(void)
{
	return style->grows ? 2 : NR_NODES;
}

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
	if (!(chance() % (fills ? 4096 : 64)))
		usleep(chance() % SLOW_US);
}

/* ---- fault.c ---- */

static bool is_settled(const struct page_ref *ref)
{
	return !proto_is_transient(READ_ONCE(ref->page->node.state)) || vm_is_dead(ref->mem->vm);
}

int fault_wait(const struct page_ref *ref)
{
	if (!wait_event_timeout(*page_wait_queue(ref->page), is_settled(ref), 30000))
		node_die("page %llu: no answer (state %s, asked %u, home %u)", ref->index,
		    proto_node_state_name(ref->page->node.state), ref->page->node.asked,
		    home_of(mem, ref->index));
	return 0;
}

/* ---- blocks: what this node has mapped, by extent ---- */

static struct {
	pthread_mutex_t lock; /* as that of the page table; held while it is used */
	struct page *head; /* a reference; NULL: not mapped */
} mapped[MAX_EXTENTS];

/* Also of a part. */
void shim_unmap(pgoff_t index, pgoff_t nr)
{
	pgoff_t i;

	for (i = index / EXTENT; i <= (index + nr - 1) / EXTENT; i++) {
		pthread_mutex_lock(&mapped[i].lock);
		if (mapped[i].head)
			put_page(mapped[i].head);
		mapped[i].head = NULL;
		pthread_mutex_unlock(&mapped[i].lock);
	}
}

/* The folio lock is held. */
static void map_block(u64 index, struct page *frame)
{
	pthread_mutex_lock(&mapped[index / EXTENT].lock);
	if (!mapped[index / EXTENT].head) {
		get_page(frame);
		mapped[index / EXTENT].head = compound_head(frame);
	}
	pthread_mutex_unlock(&mapped[index / EXTENT].lock);
}

/* The page has left its block, or never had one: the kernel must not map that again. */
static void must_not_be_mapped(u64 index)
{
	pthread_mutex_lock(&mapped[index / EXTENT].lock);
	if (mapped[index / EXTENT].head)
		node_die("page %llu has a frame of its own, and a block that is mapped", index);
	pthread_mutex_unlock(&mapped[index / EXTENT].lock);
}

static u64 index_of(int hot)
{
	return hot / HOT_OF_EXTENT * EXTENT + hot % HOT_OF_EXTENT;
}

/* As lock_frame() and give_frame() of fault.c. False: not now. */
static bool use_frame(struct page_ref *ref, u8 want, void (*use)(u64 *words, int nr), int nr)
{
	struct page *frame = ref->page->frame;

	if (!block_has(ref->page)) {
		must_not_be_mapped(ref->index);
	} else {
		lock_page(frame);
		if (!block_is_whole(ref->page)) {
			unlock_page(frame);
			return false;
		}
		map_block(ref->index, frame);
	}
	page_used(ref->page, want == PROTO_WRITE);
	use((u64 *)frame->data, nr);
	if (block_has(ref->page))
		unlock_page(frame);
	return true;
}

/* Does @use with the page while nobody else can. False: the VM is dead. */
static bool access_page(u64 index, u8 want, void (*use)(u64 *words, int nr), int nr)
{
	struct op op = {};
	int err;

	if (page_get(mem, index, GFP_KERNEL, &op.ref))
		node_die("no memory");
	evict_wait_for_room(vm);
	if (style->is_large) {
		fills = true;
		block_make(mem, index);
		fills = false;
	}
	for (;;) {
		page_lock(&op.ref);
		err = act_access(&op, want);
		if (!err && !use_frame(&op.ref, want, use, nr))
			err = -EBUSY;
		page_unlock(&op.ref);
		if (err == -EBUSY && !block_settle(mem, index))
			continue;
		if (err == -ENOMEM && !fetch_reserve(&op))
			continue;
		fetch_unreserve(&op);
		if (!err)
			return true;
		if (err != -EAGAIN)
			return false;
		regain_all(vm);
		fault_wait(&op.ref);
	}
}

/* ---- the load ---- */

static void use_add(u64 *words, int hot)
{
	__atomic_add_fetch(&words[self], 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&added[hot], 1, __ATOMIC_SEQ_CST);
}

/* As a CPU does: dsm/ does not hear of it. */
static void add_by_mapping(int hot)
{
	u64 index = index_of(hot);
	struct page *head;

	pthread_mutex_lock(&mapped[index / EXTENT].lock);
	head = mapped[index / EXTENT].head;
	if (head) {
		use_add((u64 *)head[index % EXTENT].data, hot);
		__atomic_add_fetch(&shared->mapped, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&mapped[index / EXTENT].lock);
}

/* As a device does. */
static void add_by_pin(int hot)
{
	u64 index = index_of(hot);
	struct page *head;

	pthread_mutex_lock(&mapped[index / EXTENT].lock);
	head = mapped[index / EXTENT].head;
	if (head)
		get_page(head);
	pthread_mutex_unlock(&mapped[index / EXTENT].lock);
	if (!head)
		return;
	usleep(chance() % PIN_US);
	use_add((u64 *)head[index % EXTENT].data, hot);
	put_page(head);
	__atomic_add_fetch(&shared->pins, 1, __ATOMIC_SEQ_CST);
}

/* Additions of others that were seen stay. */
static void use_read(u64 *words, int hot)
{
	int node;

	for (node = 1; node <= NR_NODES; node++) {
		if (words[node] < seen[hot][node])
			node_die("page %d: %llu additions of node %d are there, there were %llu", hot,
			    words[node], node, seen[hot][node]);
		seen[hot][node] = words[node];
	}
}

static void use_check(u64 *words, int hot)
{
	int node;

	for (node = 1; node <= NR_NODES; node++)
		if ((long)words[node] != shared->added[node][hot])
			node_die("page %d: %llu of %ld additions of node %d are there", hot,
				 words[node], shared->added[node][hot], node);
}

static void *load(void *arg)
{
	long nr = 0;
	int hot;

	(void)arg;
	while (!READ_ONCE(shared->stop)) {
		hot = chance() % HOT_OF_GROUP + READ_ONCE(shared->group) * HOT_OF_GROUP;
		if (READ_ONCE(shared->apart) && home_of(mem, index_of(hot)) != self)
			continue;
		if (style->is_large && !(chance() % 64))
			add_by_pin(hot);
		else if (style->is_large && chance() % 4)
			add_by_mapping(hot);
		else if (style->evicts && !(chance() % 8))
			node_evict(mem, index_of(hot));
		else if (chance() % (style->only_reads ? 32 : 2))
			access_page(index_of(hot), PROTO_READ, use_read, hot);
		else
			access_page(index_of(hot), PROTO_WRITE, use_add, hot);
		if (vm_is_dead(vm))
			break;
		nr++;
	}
	__atomic_add_fetch(&shared->accesses, nr, __ATOMIC_SEQ_CST);
	return NULL;
}

/* ---- one node ---- */

static void failed(void *priv, int error, const char *reason)
{
	(void)priv, (void)error;
	node_die("the VM failed: %s", reason);
}

static const struct dsm_vm_ops ops = { .failed = failed };

/* ---- one joins ---- */

static int nr_at_first(void)
{
	return nr_nodes() - style->joins;
}

static bool has_joined(void)
{
	return !style->joins || READ_ONCE(shared->join_step) == JOIN_DONE;
}

/* Where one joins: before that, never, or all the time. What a move tells it would hide what
 * it was told wrongly when it joined.
 */
static bool may_roam(void)
{
	if (!style->joins || seed % 3 == 2)
		return true;
	return seed % 3 == 0 && !has_joined();
}

static void must(int err, const char *what)
{
	if (err)
		node_die("%s: %d", what, err);
}

static void until(int *counter, int value)
{
	u64 end = ktime_get_ns() + 30000000000ull;

	while (READ_ONCE(*counter) < value) {
		if (ktime_get_ns() > end)
			node_die("no step of the join: %d of %d", *counter, value);
		usleep(200);
	}
}

static void say(enum join_step step, int nr_followers)
{
	WRITE_ONCE(shared->join_step, step);
	until(&shared->followed[step], nr_followers);
}

static void has_followed(enum join_step step)
{
	__atomic_add_fetch(&shared->followed[step], 1, __ATOMIC_SEQ_CST);
}

/* Every other join is to an object whose homes do not fit one message; those of one node do. */
static int nr_extents(void)
{
	return style->joins && !style->grows && seed % 2 ? MAX_EXTENTS : NR_EXTENTS;
}

/* The home of the last one is known by its own message only. */
static void move_last_home(void)
{
	struct dvmm_mem_rehome rehome = {
		.mem_id = 1, .extent = MAX_EXTENTS - 1, .nr_extents = 1, .node_id = 2, .from_node = DVMM_ANY_NODE,
	};

	must(dsm_rehome(vm, &rehome), "rehome");
	if (rehome.out_moved != 1)
		node_die("the last home did not move");
	if (serve_announce_to(mem, LATE) != -E2BIG)
		node_die("all homes fit one message");
}

/* The origin leads. */
static void *lead(void *arg)
{
	(void)arg;
	usleep(50000 + chance() % 200000);
	must(dsm_vm_expect_node(vm, LATE), "expect");
	say(JOIN_EXPECT, nr_nodes() - 2);
	dsm_vm_get_past(vm, &shared->past);
	say(JOIN_COME, 1);
	if (nr_extents() == MAX_EXTENTS)
		move_last_home();
	must(dsm_vm_keep_homes(vm), "keep homes");
	must(dsm_vm_teach_node(vm, LATE), "teach");
	usleep(chance() % 50000); /* a home that moved now would be gone when it is added */
	must(dsm_vm_settle_nodes(vm, shared->past.epoch), "settle");
	say(JOIN_ADD, nr_nodes() - 2);
	must(dsm_vm_add_node(vm, LATE), "add");
	dsm_vm_let_homes_go(vm);
	say(JOIN_DONE, 0);
	return NULL;
}

static void *follow(void *arg)
{
	(void)arg;
	until(&shared->join_step, JOIN_EXPECT);
	must(dsm_vm_expect_node(vm, LATE), "expect");
	has_followed(JOIN_EXPECT);
	until(&shared->join_step, JOIN_ADD);
	must(dsm_vm_add_node(vm, LATE), "add");
	has_followed(JOIN_ADD);
	return NULL;
}

static void come_late(struct dvmm_stats *stats)
{
	until(&shared->join_step, JOIN_COME);
	vm = dsm_vm_create(VM_ID, (2 << nr_nodes()) - 2, 1, stats, &ops, NULL);
	dsm_vm_comes_late(vm, &shared->past);
	has_followed(JOIN_COME);
	until(&shared->join_step, JOIN_DONE);
	mem = mem_find(vm, 1);
	/* The played links are all as long. */
	if (turn_us(vm) != TURN_US)
		node_die("turns of %u us", turn_us(vm));
	if (nr_extents() == MAX_EXTENTS && home_of(mem, (MAX_EXTENTS - 1) * EXTENT) != 2)
		node_die("node %u is home of the last page", home_of(mem, (MAX_EXTENTS - 1) * EXTENT));
}

/* ---- all of it ---- */

static void make_vm(struct dvmm_stats *stats)
{
	struct mem_config config = { .home_policy = DVMM_HOME_INTERLEAVE,
				     .bytes = (u64)nr_extents() * EXTENT * PAGE_SIZE };
	int err = page_init() ?: home_init() ?: take_init() ?: evict_init() ?: block_init() ?:
		  rehome_init() ?: serve_init();
	int i;

	for (i = 0; i < MAX_EXTENTS; i++)
		pthread_mutex_init(&mapped[i].lock, NULL);

	if (err)
		node_die("init: %d", err);
	played_links_open();
	node_meet(&shared->arrived[0], nr_nodes());
	if (style->joins && self == LATE) {
		come_late(stats);
		return;
	}
	vm = dsm_vm_create(VM_ID, (2 << nr_at_first()) - 2, 1, stats, &ops, NULL);
	node_meet(&shared->arrived[1], nr_at_first());
	if (self == 1) {
		mutex_lock(&vm->lock);
		err = mem_create(vm, &config, &mem);
		mutex_unlock(&vm->lock);
		if (err)
			node_die("mem_create: %d", err);
	}
	node_meet(&shared->arrived[2], nr_at_first());
	mem = mem_find(vm, 1);
}

/* The origin: homes go round until the load stops. */
static void *roam(void *arg)
{
	int err;

	(void)arg;
	while (!READ_ONCE(shared->stop)) {
		struct dvmm_mem_rehome rehome = {
			.mem_id = 1,
			.extent = chance() % NR_NODES + READ_ONCE(shared->group) * NR_NODES,
			.nr_extents = 1,
			.node_id = 1 + chance() % (has_joined() ? nr_nodes() : nr_at_first()),
			.from_node = DVMM_ANY_NODE,
		};

		if (READ_ONCE(shared->apart) || !may_roam()) {
			usleep(1000);
			continue;
		}
		err = dsm_rehome(vm, &rehome);
		if (err && err != -EBUSY)
			node_die("rehome: %d", err);
		shared->busy += !!err;
		shared->moves += rehome.out_moved;
	}
	return NULL;
}

/* All is quiet: is what evict.c goes by true? */
static void check_homed(void)
{
	struct page_ref ref;
	long nr = 0, homed = 0;
	u64 index = 0;

	for (; page_next_resident(mem, &index, GFP_KERNEL, &ref); index++) {
		nr++;
		homed += home_of(mem, index) == self;
	}
	if (nr != atomic_long_read(&vm->evict.nr_resident) ||
	    homed != atomic_long_read(&vm->evict.nr_homed))
		node_die("%ld pages, %ld homed; counted %ld, %ld", nr, homed,
		    atomic_long_read(&vm->evict.nr_resident), atomic_long_read(&vm->evict.nr_homed));
}

static void check_all(void)
{
	int hot;

	for (hot = 0; hot < (READ_ONCE(shared->group) + 1) * HOT_OF_GROUP; hot++) {
		if (!access_page(index_of(hot), chance() % 2 ? PROTO_READ : PROTO_WRITE, use_check, hot))
			node_die("the VM is dead");
		__atomic_add_fetch(&shared->checked, 1, __ATOMIC_SEQ_CST);
	}
}

static void node(void)
{
	static u64 stats_room[sizeof(struct dvmm_stats) / 8 + DVMM_NR_STAT_VM + 8];
	pthread_t thread[NR_THREADS + 2];
	int i, nr = NR_THREADS;

	make_vm((struct dvmm_stats *)stats_room);
	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, load, NULL);
	if (self == 1)
		pthread_create(&thread[nr++], NULL, roam, NULL);
	if (style->joins && self != LATE)
		pthread_create(&thread[nr++], NULL, self == 1 ? lead : follow, NULL);
	for (i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	memcpy(shared->added[self], added, sizeof(added));
	node_meet(&shared->arrived[3], nr_nodes());
	check_all();
	node_meet(&shared->arrived[4], nr_nodes());
	/* What is read last is granted before all is quiet. */
	usleep(50000);
	node_meet(&shared->arrived[5], nr_nodes());
	check_homed();
	node_meet(&shared->arrived[6], nr_nodes());
	__atomic_add_fetch(&shared->refused, atomic_read(&vm->stats->value[DVMM_STAT_VM_requests_refused]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->copies, atomic_read(&vm->stats->value[DVMM_STAT_VM_pulls_copies]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->blocks, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->splits, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages_split]),
			   __ATOMIC_SEQ_CST);
	dsm_vm_destroy(vm);
	node_meet(&shared->arrived[7], nr_nodes());
	_exit(0);
}

/* ---- a run ---- */

/* Of every other group nodes touch the same pages at once: blocks are begun in vain. */
static void use_groups(void)
{
	int group;

	for (group = 0; group < NR_GROUPS; group++) {
		WRITE_ONCE(shared->apart, group % 2);
		WRITE_ONCE(shared->group, group);
		usleep(APART_MS * 1000);
		WRITE_ONCE(shared->apart, 0);
		usleep(GROUP_MS * 1000);
	}
}

static bool run(void)
{
	pid_t pid[NR_NODES + 1];
	bool good = true;
	int n, status;

	fflush(stdout);
	memset(shared, 0, sizeof(*shared));
	played_links_make(nr_nodes());
	for (n = 1; n <= nr_nodes(); n++)
		pid[n] = node_start(n, node);
	played_links_keep_of(0);
	for (n = 0; READ_ONCE(shared->arrived[2]) < nr_at_first() && n < 20000; n++)
		usleep(500);
	for (n = 0; !has_joined() && n < 20000; n++)
		usleep(500);
	if (style->is_large)
		use_groups();
	else
		usleep(500000 + chance() % 500000);
	WRITE_ONCE(shared->stop, 1);
	for (n = 1; n <= nr_nodes(); n++) {
		waitpid(pid[n], &status, 0);
		if (status) {
			printf("# node %d ended with %x\n", n, status);
			good = false;
		}
	}
	return good;
}

static bool runs(const struct style *like, int nr, unsigned int first)
{
	long checked = 0, accesses = 0, moves = 0, busy = 0, copies = 0, refused = 0;
	long blocks = 0, splits = 0, by_mapping = 0, pins = 0;

	style = like;
	for (seed = first; seed < first + nr; seed++) {
		if (!run()) {
			printf("# %s: seed %u\n", like->name, seed);
			return false;
		}
		checked += shared->checked;
		accesses += shared->accesses;
		moves += shared->moves;
		busy += shared->busy;
		copies += shared->copies;
		refused += shared->refused;
		blocks += shared->blocks;
		splits += shared->splits;
		by_mapping += shared->mapped;
		pins += shared->pins;
	}
	printf("# %s: %ld accesses, %ld pages checked, %ld moves of homes, %ld put off, %ld copies pulled by homes, %ld requests sent back\n",
	       like->name, accesses, checked, moves, busy, copies, refused);
	if (like->is_large)
		printf("# %ld blocks, %ld split; %ld additions by mapping, %ld by a pin\n", blocks,
		       splits, by_mapping, pins);
	if (like->is_large && (!blocks || !splits || !by_mapping || !pins))
		return false;
	return checked && moves && (copies || !like->only_reads) && !refused == !like->is_short;
}

int main(int argc, char **argv)
{
	static const struct style styles[NR_STYLES] = {
		{ "homes move while all nodes write", .evicts = false },
		{ "homes move while all nodes write and put pages away", .evicts = true },
		{ "homes move while nearly all read", .only_reads = true },
		{ "homes move while all are short of memory", .evicts = true, .is_short = true },
		{ "blocks are split while all nodes write", .evicts = true, .is_large = true },
		{ "a node joins while homes move and all nodes write", .evicts = true, .joins = true },
		{ "a node joins one that was alone", .evicts = true, .joins = true, .grows = true },
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
