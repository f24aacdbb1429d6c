// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/nodes.c - dsm/ as it is, three nodes as three processes that
 * fight over pages; one is killed, the others must agree and go on.
 *
 *   nodes RUNS [SEED [STYLE]]    prints TAP; STYLE: 1..6, only that one
 *
 * Messages travel by sockets, are late by chance, and pages overtake them. Faults
 * are function calls here (access_page()); who holds the page lock uses the page.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../../dsm/internal.h"

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
#define LATE_US 400
#define SLOW_US 6000
#define VERY_LATE_US 20000
#define RTT_NS 5000 /* short turns: pages move much */

enum channel { MESSAGES, PAGES, NR_CHANNELS };

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
	long checked, pages_lost, accesses, refused, blocks, splits;
};

static const struct style *style;
static struct shared *shared;
static int sockets[NR_NODES + 1][NR_NODES + 1][NR_CHANNELS];
static u8 self;
static u8 victim;
static unsigned int seed;
static struct dsm_vm *vm;
static struct dsm_mem *mem;
static long added[NR_HOT];

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
	if (!(chance() % (fills ? 65536 : 64)))
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
	u8 bytes[8192];
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
	struct dvmm_msg msg = { .type = DVMM_MSG_REPLY };

	(void)data, (void)len;
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
	struct request request = {};
	long left;
	int err;

	(void)reply, (void)reply_len, (void)out_len;
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

static void answer(const struct dvmm_msg_hdr *hdr)
{
	struct request *request;

	pthread_mutex_lock(&requests_lock);
	for (request = requests; request && request->id != hdr->req; request = request->next)
		;
	if (request) {
		request->error = -(int)hdr->status;
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
	u8 payload[8192] __attribute__((aligned(8)));

	memcpy(&hdr, bytes, sizeof(hdr));
	memcpy(payload, bytes + sizeof(hdr), len - sizeof(hdr));
	if (hdr.type == DVMM_MSG_REPLY)
		answer(&hdr);
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

/* Noticed some time later, and not by all at once. */
static void peer_ended(u8 node)
{
	if (__atomic_add_fetch(&peers[node].ended, 1, __ATOMIC_SEQ_CST) < NR_CHANNELS)
		return;
	usleep(chance() % 40000);
	WRITE_ONCE(peers[node].is_lost, true);
	service->link_lost(node);
}

/* Pages more: the steps of a loss must not overtake them. */
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
	u8 bytes[8192];
	ssize_t len;

	for (;;) {
		len = recv(sockets[self][node][channel], bytes, sizeof(bytes), 0);
		if (!len)
			break;
		if (len < 0) /* what had come before its end is still there */
			continue;
		be_late(channel);
		if (channel == MESSAGES)
			receive_message(node, bytes, len);
		else
			receive_page(node, bytes);
	}
	peer_ended(node);
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

/* No home moves. */
int rehome_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
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
		die("page %llu: no answer (state %s, phase %u)", ref->index,
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
		die("no memory");
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
	page_unlock(&op.ref);
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
			evict_page(index_of(hot));
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
	struct mem_config config = {
		.home_policy = DVMM_HOME_INTERLEAVE,
		.bytes = NR_GROUPS * NR_NODES * EXTENT * PAGE_SIZE,
	};
	int err = page_init() ?: home_init() ?: take_init() ?: evict_init() ?: block_init() ?: serve_init();

	if (err)
		die("init: %d", err);
	open_links();
	vm = dsm_vm_create(VM_ID, 0xe, 1, stats, &ops, NULL);
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
			die("no memory");
		page_lock(&ref);
		if (ref.home && ref.home->home.state == PROTO_LOST) {
			shared->lost[hot] = 1;
			__atomic_add_fetch(&shared->pages_lost, 1, __ATOMIC_SEQ_CST);
		}
		else if (ref.home && shared->lost[hot])
			die("page %d was said to be lost, but its home knows of holders", hot);
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
			die("the VM is dead");
		__atomic_add_fetch(&shared->checked, 1, __ATOMIC_SEQ_CST);
	}
}

static void node(void)
{
	int nr_lost = style->twice ? 2 : 1, nr_left = NR_NODES - nr_lost;
	static u64 stats_room[sizeof(struct dvmm_stats) / 8 + DVMM_NR_STAT_VM + 8];
	pthread_t thread[NR_THREADS];
	int i;

	make_vm((struct dvmm_stats *)stats_room);
	if (style->only_reads && self == 1) /* what nobody has touched would be lost with its home */
		for (i = 0; i < HOT_OF_GROUP; i++)
			access_page(index_of(i), PROTO_WRITE, use_add, i);
	if (style->is_large)
		make_blocks();
	meet(2, NR_NODES);
	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, load, NULL);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	/* Before the first is out of the load the survivors have agreed. */
	for (i = 0; (int)READ_ONCE(vm->epoch) != nr_lost || loss_is_dealt_with(vm); i++) {
		if (i > 30000)
			die("no agreement: epoch %u phase %u", vm->epoch, vm->loss.phase);
		usleep(1000);
	}
	meet(3, nr_left);
	mark_lost();
	meet(4, nr_left);
	if (style->only_reads && shared->pages_lost)
		die("%ld pages are lost", shared->pages_lost);
	check_all();
	__atomic_add_fetch(&shared->refused, atomic_read(&vm->stats->value[DVMM_STAT_VM_requests_refused]),
			   __ATOMIC_SEQ_CST);
	meet(5, nr_left);
	__atomic_add_fetch(&shared->blocks, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages]),
			   __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->splits, atomic_read(&vm->stats->value[DVMM_STAT_VM_large_pages_split]),
			   __ATOMIC_SEQ_CST);
	dsm_vm_destroy(vm);
	meet(6, nr_left);
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
	make_sockets();
	for (n = 1; n <= NR_NODES; n++)
		pid[n] = start_node(n);
	close_sockets(0);
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
	long lost = 0, checked = 0, accesses = 0, refused = 0, blocks = 0, splits = 0;

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
	}
	printf("# %s: %ld accesses, %ld pages checked, %ld lost, %ld requests sent back\n", like->name,
	       accesses, checked, lost, refused);
	if (like->is_large)
		printf("# %ld blocks, %ld split\n", blocks, splits);
	if (like->is_large && (!blocks || !splits))
		return false;
	return checked && (like->only_reads || lost) && !refused == !like->is_short;
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
