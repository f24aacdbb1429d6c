// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/homes.c - dsm/ as it is, four nodes as four processes that
 * fight over pages while their homes move all the time. No addition may be lost.
 *
 *   homes RUNS [SEED [STYLE]]    prints TAP; STYLE: 1..5, only that one
 *
 * Messages travel by sockets, are late by chance, and pages overtake them. Faults
 * are function calls here (access_page()); who holds the page lock uses the page.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../../dsm/internal.h"

#define NR_NODES 4
#define VM_ID 0x10001
#define EXTENT 512
#define HOT_OF_EXTENT 12
#define NR_HOT (HOT_OF_EXTENT * NR_EXTENTS) /* most; those of the style are used */
#define HOT_OF_GROUP (HOT_OF_EXTENT * NR_NODES)
#define NR_THREADS 4
#define NR_STYLES 5
#define NR_GROUPS 6 /* of extents, used one after the other where blocks are tested */
#define NR_EXTENTS (NR_NODES * NR_GROUPS)
#define GROUP_MS 100
#define APART_MS 60
#define PIN_US 3000
#define MSG_ROOM (DVMM_MSG_MAX + 64)
#define LATE_US 400
#define SLOW_US 6000
#define VERY_LATE_US 20000
#define RTT_NS 5000 /* short turns: pages move much */

enum channel { MESSAGES, PAGES, NR_CHANNELS };

/* What a run is like. */
struct style {
	const char *name;
	bool evicts; /* all nodes put pages away */
	bool only_reads; /* nearly: home gets copies of what others read */
	bool is_short; /* of memory, every now and then */
	bool is_large; /* who touches an extent first gets a block, which is mapped */
};

/* Shared by all processes of a run. */
struct shared {
	int arrived[8]; /* at barriers */
	int stop; /* the load */
	int group; /* of extents, for the load */
	int apart; /* each node keeps to what has its home there */
	long checked, accesses, moves, busy, copies, refused, blocks, splits, mapped, pins;
};

static const struct style *style;
static struct shared *shared;
static int sockets[NR_NODES + 1][NR_NODES + 1][NR_CHANNELS];
static u8 self;
static unsigned int seed;
static struct dsm_vm *vm;
static struct dsm_mem *mem;
static long added[NR_HOT];
static u64 seen[NR_HOT][NR_NODES + 1]; /* under the page lock */

static void die(const char *fmt, ...)
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

static unsigned int chance(void)
{
	static __thread unsigned int state;

	if (!state)
		state = seed * 7919 + self * 104729 + (unsigned int)(uintptr_t)pthread_self() / 4096;
	return rand_r(&state);
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

/* ---- kmod's door ---- */

struct peer {
	bool is_lost;
	int ended; /* channels */
	pthread_mutex_t send_lock[NR_CHANNELS];
};

struct request {
	u32 id;
	bool done;
	int error;
	void *reply;
	size_t room, len;
	struct request *next;
	struct wait_queue_head wait;
};

static struct peer peers[NR_NODES + 1];
static const struct dvmm_service *service;
static pthread_mutex_t requests_lock = PTHREAD_MUTEX_INITIALIZER;
static struct request *requests;
static u32 last_request;

u8 dvmm_node_self(void)
{
	return self;
}

u64 dvmm_link_rtt_ns(u8 node)
{
	(void)node;
	return RTT_NS;
}

int dvmm_link_clock(u8 node, s64 *out_offset, u64 *out_error)
{
	(void)node;
	*out_offset = 0;
	*out_error = 1;
	return 0;
}

void dvmm_link_fail(u8 node, const char *reason)
{
	die("link to node %u failed: %s", node, reason);
}

void dvmm_event(enum dvmm_event_kind kind, u8 node, u32 id, const char *fmt, ...)
{
	(void)kind, (void)node, (void)id, (void)fmt;
}

int dvmm_service_register(const struct dvmm_service *s)
{
	service = s;
	return 0;
}

void dvmm_service_unregister(const struct dvmm_service *s)
{
	(void)s;
	service = NULL;
}

static int send_bytes(u8 node, enum channel channel, const void *bytes, size_t len)
{
	struct peer *peer = &peers[node];

	if (READ_ONCE(peer->is_lost))
		return -ENOTCONN;
	pthread_mutex_lock(&peer->send_lock[channel]);
	/* To one that has just died: nobody knows yet. */
	if (send(sockets[self][node][channel], bytes, len, MSG_NOSIGNAL) < 0 && errno == EMSGSIZE)
		die("too long a message");
	pthread_mutex_unlock(&peer->send_lock[channel]);
	return 0;
}

static int send_msg(u8 node, const struct dvmm_msg *msg, u32 req, u32 status)
{
	u8 bytes[MSG_ROOM];
	struct dvmm_msg_hdr hdr = { .type = msg->type, .vm = msg->vm, .req = req, .status = status };

	memcpy(bytes, &hdr, sizeof(hdr));
	if (msg->len)
		memcpy(bytes + sizeof(hdr), msg->payload, msg->len);
	if (msg->tail_len)
		memcpy(bytes + sizeof(hdr) + msg->len, msg->tail, msg->tail_len);
	return send_bytes(node, MESSAGES, bytes, sizeof(hdr) + msg->len + msg->tail_len);
}

int dvmm_link_send(u8 node, const struct dvmm_msg *msg)
{
	return send_msg(node, msg, 0, 0);
}

int dvmm_link_send_page(u8 node, u32 imm, struct page *page)
{
	u8 bytes[sizeof(imm) + PAGE_SIZE];

	memcpy(bytes, &imm, sizeof(imm));
	memcpy(bytes + sizeof(imm), page->data, PAGE_SIZE);
	return send_bytes(node, PAGES, bytes, sizeof(bytes));
}

int dvmm_link_reply(u8 node, u32 req, int error, const void *data, size_t len)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_REPLY, .tail = data, .tail_len = len };

	return send_msg(node, &msg, req, -error);
}

int dvmm_link_reply_patiently(u8 node, u32 req, int error, const void *data, size_t len)
{
	return dvmm_link_reply(node, req, error, data, len);
}

static void take_out(struct request *request)
{
	struct request **at;

	pthread_mutex_lock(&requests_lock);
	for (at = &requests; *at; at = &(*at)->next)
		if (*at == request) {
			*at = request->next;
			break;
		}
	pthread_mutex_unlock(&requests_lock);
}

static int request_once(u8 node, const struct dvmm_msg *msg, void *reply, size_t reply_len,
			size_t *out_len, u32 timeout_ms)
{
	struct request request = { .reply = reply, .room = reply_len };
	long left;
	int err;

	init_waitqueue_head(&request.wait);
	pthread_mutex_lock(&requests_lock);
	request.id = ++last_request;
	request.next = requests;
	requests = &request;
	pthread_mutex_unlock(&requests_lock);
	err = send_msg(node, msg, request.id, 0);
	left = err ? 0 : wait_event_timeout(request.wait, READ_ONCE(request.done) ||
					    READ_ONCE(peers[node].is_lost), timeout_ms);
	take_out(&request);
	if (err || !left)
		return err ?: -ETIMEDOUT;
	if (out_len)
		*out_len = request.len;
	return request.done ? request.error : -ENOTCONN;
}

int dvmm_link_request(u8 node, const struct dvmm_msg *msg, void *reply, size_t reply_len,
		      size_t *out_len, u32 timeout_ms)
{
	int err;

	while ((err = request_once(node, msg, reply, reply_len, out_len, timeout_ms)) == -ENOBUFS)
		usleep(1000);
	return err;
}

static void answer(const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	struct request *request;

	pthread_mutex_lock(&requests_lock);
	for (request = requests; request && request->id != hdr->req; request = request->next)
		;
	if (request) {
		request->error = len > request->room ? -EMSGSIZE : -(int)hdr->status;
		request->len = len;
		if (len && len <= request->room)
			memcpy(request->reply, payload, len);
		WRITE_ONCE(request->done, true);
	}
	pthread_mutex_unlock(&requests_lock);
}

static int handle_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	int err;

	shim_must_not_wait++;
	err = service->message(from, hdr, payload, len);
	shim_must_not_wait--;
	return err;
}

static void receive_message(u8 from, const u8 *bytes, size_t len)
{
	struct dvmm_msg_hdr hdr;
	u8 payload[MSG_ROOM] __attribute__((aligned(8)));

	memcpy(&hdr, bytes, sizeof(hdr));
	memcpy(payload, bytes + sizeof(hdr), len - sizeof(hdr));
	if (hdr.type == DVMM_MSG_REPLY)
		answer(&hdr, payload, len - sizeof(hdr));
	else if (handle_message(from, &hdr, payload, len - sizeof(hdr)))
		die("a message of node %u was refused", from);
}

static void receive_page(u8 from, const u8 *bytes)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u32 imm;

	memcpy(&imm, bytes, sizeof(imm));
	memcpy(page->data, bytes + sizeof(imm), PAGE_SIZE);
	shim_must_not_wait++;
	if (service->page(from, imm, &page))
		die("a page of node %u was refused", from);
	shim_must_not_wait--;
	/* Another page, or this one, is left over for the next to be received into. */
	if (page)
		put_page(page);
}

/* Pages more. */
static void be_late(enum channel channel)
{
	unsigned int dice = chance() % 16;

	if (dice == 1 && channel == PAGES)
		usleep(chance() % VERY_LATE_US);
	else if (dice < 4)
		usleep(chance() % LATE_US);
}

static void *receive(void *arg)
{
	u8 node = (uintptr_t)arg >> 1;
	enum channel channel = (uintptr_t)arg & 1;
	u8 bytes[MSG_ROOM];
	ssize_t len;

	for (;;) {
		len = recv(sockets[self][node][channel], bytes, sizeof(bytes), 0);
		if (len <= 0)
			break;
		be_late(channel);
		if (channel == MESSAGES)
			receive_message(node, bytes, len);
		else
			receive_page(node, bytes);
	}
	return NULL;
}

static void open_links(void)
{
	uintptr_t node, channel;
	pthread_t thread;

	for (node = 1; node <= NR_NODES; node++)
		for (channel = 0; node != self && channel < NR_CHANNELS; channel++) {
			pthread_mutex_init(&peers[node].send_lock[channel], NULL);
			pthread_create(&thread, NULL, receive, (void *)(node << 1 | channel));
		}
}

/* ---- memfile.c and fault.c ---- */

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

static bool is_settled(const struct page_ref *ref)
{
	return !proto_is_transient(READ_ONCE(ref->page->node.state)) || vm_is_dead(ref->mem->vm);
}

int fault_wait(const struct page_ref *ref)
{
	if (!wait_event_timeout(*page_wait_queue(ref->page), is_settled(ref), 30000))
		die("page %llu: no answer (state %s, asked %u, home %u)", ref->index,
		    proto_node_state_name(ref->page->node.state), ref->page->node.asked,
		    home_of(mem, ref->index));
	return 0;
}

/* ---- blocks: what this node has mapped, by extent ---- */

static struct {
	pthread_mutex_t lock; /* as that of the page table; held while it is used */
	struct page *head; /* a reference; NULL: not mapped */
} mapped[NR_EXTENTS];

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
		die("page %llu has a frame of its own, and a block that is mapped", index);
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
		die("no memory");
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
			die("page %d: %llu additions of node %d are there, there were %llu", hot,
			    words[node], node, seen[hot][node]);
		seen[hot][node] = words[node];
	}
}

static void use_check(u64 *words, int hot)
{
	if ((long)words[self] != added[hot])
		die("page %d: %llu of %ld additions are there", hot, words[self], added[hot]);
}

static bool may_evict(const struct page_ref *ref)
{
	u8 state = ref->page->node.state;

	if (!ref->page->frame || state == PROTO_I || proto_is_transient(state) || block_has(ref->page))
		return false;
	return !ref->home || state == PROTO_E ||
	       (state == PROTO_S && ref->home->home.sharers != 1ULL << self);
}

static void evict_page(u64 index)
{
	struct op op = {};

	if (page_get(mem, index, GFP_KERNEL, &op.ref))
		die("no memory");
	page_lock(&op.ref);
	if (may_evict(&op.ref))
		act_evict(&op);
	else if (block_has(op.ref.page) && !(chance() % 8))
		block_split_later(&op.ref);
	page_unlock(&op.ref);
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
			evict_page(index_of(hot));
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

static void meet(int barrier, int nr)
{
	u64 end = ktime_get_ns() + 40000000000ull;

	__atomic_add_fetch(&shared->arrived[barrier], 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(shared->arrived[barrier]) < nr) {
		if (ktime_get_ns() > end)
			die("nobody comes to %d", barrier);
		usleep(500);
	}
}

static void failed(void *priv, int error, const char *reason)
{
	(void)priv, (void)error;
	die("the VM failed: %s", reason);
}

static const struct dsm_vm_ops ops = { .failed = failed };

static void make_vm(struct dvmm_stats *stats)
{
	struct mem_config config = { .home_policy = DVMM_HOME_INTERLEAVE,
				     .bytes = NR_EXTENTS * EXTENT * PAGE_SIZE };
	int err = page_init() ?: home_init() ?: take_init() ?: evict_init() ?: block_init() ?:
		  rehome_init() ?: serve_init();
	int i;

	for (i = 0; i < NR_EXTENTS; i++)
		pthread_mutex_init(&mapped[i].lock, NULL);

	if (err)
		die("init: %d", err);
	open_links();
	vm = dsm_vm_create(VM_ID, (2 << NR_NODES) - 2, 1, stats, &ops, NULL);
	meet(0, NR_NODES);
	if (self == 1) {
		mutex_lock(&vm->lock);
		err = mem_create(vm, &config, &mem);
		mutex_unlock(&vm->lock);
		if (err)
			die("mem_create: %d", err);
	}
	meet(1, NR_NODES);
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
			.node_id = 1 + chance() % NR_NODES,
			.from_node = DVMM_ANY_NODE,
		};

		if (READ_ONCE(shared->apart)) {
			usleep(1000);
			continue;
		}
		err = dsm_rehome(vm, &rehome);
		if (err && err != -EBUSY)
			die("rehome: %d", err);
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
		die("%ld pages, %ld homed; counted %ld, %ld", nr, homed,
		    atomic_long_read(&vm->evict.nr_resident), atomic_long_read(&vm->evict.nr_homed));
}

static void check_all(void)
{
	int hot;

	for (hot = 0; hot < (READ_ONCE(shared->group) + 1) * HOT_OF_GROUP; hot++) {
		if (!access_page(index_of(hot), chance() % 2 ? PROTO_READ : PROTO_WRITE, use_check, hot))
			die("the VM is dead");
		__atomic_add_fetch(&shared->checked, 1, __ATOMIC_SEQ_CST);
	}
}

static void node(void)
{
	static u64 stats_room[sizeof(struct dvmm_stats) / 8 + DVMM_NR_STAT_VM + 8];
	pthread_t thread[NR_THREADS + 1];
	int i, nr = NR_THREADS;

	make_vm((struct dvmm_stats *)stats_room);
	meet(2, NR_NODES);
	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, load, NULL);
	if (self == 1)
		pthread_create(&thread[nr++], NULL, roam, NULL);
	for (i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	meet(3, NR_NODES);
	check_all();
	meet(4, NR_NODES);
	/* What is read last is granted before all is quiet. */
	usleep(50000);
	meet(5, NR_NODES);
	check_homed();
	meet(6, NR_NODES);
	__atomic_add_fetch(&shared->refused, atomic_read(&vm->stats->value[DVMM_STAT_VM_requests_refused]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->copies, atomic_read(&vm->stats->value[DVMM_STAT_VM_pulls_copies]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->blocks, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->splits, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages_split]),
			   __ATOMIC_SEQ_CST);
	dsm_vm_destroy(vm);
	meet(7, NR_NODES);
	_exit(0);
}

/* ---- a run ---- */

static void make_sockets(void)
{
	int a, b, channel, pair[2], room = 4 << 20;

	for (a = 1; a <= NR_NODES; a++)
		for (b = a + 1; b <= NR_NODES; b++)
			for (channel = 0; channel < NR_CHANNELS; channel++) {
				if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
					die("socketpair");
				setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
				setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
				sockets[a][b][channel] = pair[0];
				sockets[b][a][channel] = pair[1];
			}
}

static void close_sockets(int but_of)
{
	int a, b, channel;

	for (a = 1; a <= NR_NODES; a++)
		for (b = 1; b <= NR_NODES; b++)
			for (channel = 0; a != b && a != but_of && channel < NR_CHANNELS; channel++)
				close(sockets[a][b][channel]);
}

static pid_t start_node(int n)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	self = n;
	close_sockets(n);
	node();
	_exit(1);
}

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
	make_sockets();
	for (n = 1; n <= NR_NODES; n++)
		pid[n] = start_node(n);
	close_sockets(0);
	for (n = 0; READ_ONCE(shared->arrived[2]) < NR_NODES && n < 20000; n++)
		usleep(500);
	if (style->is_large)
		use_groups();
	else
		usleep(500000 + chance() % 500000);
	WRITE_ONCE(shared->stop, 1);
	for (n = 1; n <= NR_NODES; n++) {
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
