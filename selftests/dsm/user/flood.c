// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/flood.c - dsm/ as it is, beside a node that takes its time: how much
 * does it send before it is answered? The link's queue is not longer than that, see "How
 * much is under way" in dsm/README.md. Prints TAP.
 *
 * Node 1 is this program, node 2 is played by the tests.
 */
#include "played_link.h"
#include "played_node.h"

#define VM_ID 0x10001
#define PEER 2
#define NR_EXTENTS 16 /* homes in turn: even ones here, odd ones at the peer */
#define NR_PAGES 2816 /* for a test: more than the queue of a link has ever had */
#define WAIT_MS 10000
#define FLOOD_MS 1500
#define MAX_HEARD (1 << 16)

u8 self = 1;
static struct dsm_vm *vm;
static struct dsm_mem *mem;
static u64 stats_room[sizeof(struct dvmm_stats) / 8 + DVMM_NR_STAT_VM + 8];

void node_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	exit(1);
}

/* ---- what the peer has heard ---- */

static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dvmm_msg_mem heard[MAX_HEARD];
static long nr_heard; /* and those that it has looked at: */
static long nr_seen;
static long nr_of[256]; /* heard, by event */
static long nr_pages_heard;

static void hear(const struct dvmm_msg_mem *msg, size_t nr)
{
	pthread_mutex_lock(&heard_lock);
	while (nr--) {
		if (nr_heard == MAX_HEARD)
			node_die("the peer hears no end");
		nr_of[msg->event]++;
		heard[nr_heard++] = *msg++;
	}
	pthread_mutex_unlock(&heard_lock);
}

static bool next_heard(struct dvmm_msg_mem *out_msg)
{
	bool is_there;

	pthread_mutex_lock(&heard_lock);
	is_there = nr_seen < nr_heard;
	if (is_there)
		*out_msg = heard[nr_seen++];
	pthread_mutex_unlock(&heard_lock);
	return is_there;
}

static long count(u8 event)
{
	return READ_ONCE(nr_of[event]);
}

static long nr_puts(void)
{
	return count(PROTO_PUTS) + count(PROTO_PUTM) + count(PROTO_PUTE);
}

/* ---- the link ---- */

int dvmm_link_send(u8 node, const struct dvmm_msg *msg)
{
	hear(msg->payload, msg->len / sizeof(struct dvmm_msg_mem));
	return 0;
}

int dvmm_link_send_page(u8 node, u32 imm, struct page *page)
{
	__atomic_add_fetch(&nr_pages_heard, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* The peer agrees to all. */
int dvmm_link_request(u8 node, const struct dvmm_msg *msg, void *reply, size_t reply_len,
		      size_t *out_len, u32 timeout_ms)
{
	return 0;
}

int dvmm_link_reply(u8 node, u32 req, int error, const void *data, size_t len)
{
	return 0;
}

/* ---- fault.c, rehome.c, and where threads may be slow ---- */

int fault_wait(const struct page_ref *ref)
{
	return -EINTR;
}

int rehome_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	return -EPROTO;
}

void found_lost(const struct page_ref *ref)
{
	node_die("page %llu is lost", ref->index);
}

void shim_dawdle(void)
{
}

/* ---- what the peer says ---- */

static void say(const struct dvmm_msg_mem *msg)
{
	struct dvmm_msg_hdr hdr = { .type = DVMM_MSG_MEM_PROTO, .vm = VM_ID };

	shim_must_not_wait++;
	if (played_service->message(PEER, &hdr, msg, sizeof(*msg)))
		node_die("%s for page %llu was refused", proto_event_name(msg->event), msg->page);
	shim_must_not_wait--;
}

static void say_of(u64 page, u8 event, u32 txn)
{
	struct dvmm_msg_mem msg = { .mem = mem->id, .event = event, .txn = txn, .page = page };

	say(&msg);
}

static void send_page(u8 grant, u32 txn)
{
	struct proto_event ev = { .event = PROTO_DATA, .grant = grant, .txn = txn };
	struct page *page = alloc_page(GFP_KERNEL);

	shim_must_not_wait++;
	if (played_service->page(PEER, proto_data_to_imm(&ev), &page))
		node_die("a page was refused");
	shim_must_not_wait--;
	if (page)
		put_page(page);
}

/* As home: nobody else has any page. Of what is put away it fetches the last copy. */
static void answer_as_home(const struct dvmm_msg_mem *to)
{
	struct dvmm_msg_mem msg = { .mem = to->mem, .page = to->page, .txn = to->txn };

	switch (to->event) {
	case PROTO_GETS:
	case PROTO_GETM:
		msg.event = PROTO_GRANT;
		msg.grant = to->event == PROTO_GETS ? PROTO_GRANT_E : PROTO_GRANT_M;
		msg.flags = PROTO_F_ZERO;
		say(&msg);
		return;
	case PROTO_PUTM:
		msg.event = PROTO_PUT_ACK;
		msg.flags = PROTO_F_KEEP;
		say(&msg);
		msg = (struct dvmm_msg_mem){ .mem = to->mem, .page = to->page, .event = PROTO_FWD_GETM,
					     .requester = PEER, .txn = 1 };
		say(&msg);
		return;
	case PROTO_PUTE:
		msg.event = PROTO_PUT_ACK;
		say(&msg);
		return;
	}
}

static void answer_all(void (*answer)(const struct dvmm_msg_mem *to))
{
	struct dvmm_msg_mem msg;

	while (next_heard(&msg))
		answer(&msg);
}

#define eventually(is_so) ({						\
	unsigned long until = jiffies + WAIT_MS;			\
	while (!(is_so) && time_before(jiffies, until))			\
		usleep(1000);						\
	(is_so);							\
})

/* ---- node 1 ---- */

static u64 page_at(int home, int nr)
{
	return (2 * (nr / HOME_EXTENT_PAGES) + home - 1) * HOME_EXTENT_PAGES + nr % HOME_EXTENT_PAGES;
}

static void start(void)
{
	struct mem_config config = {
		.home_policy = DVMM_HOME_INTERLEAVE,
		.bytes = NR_EXTENTS * HOME_EXTENT_PAGES * PAGE_SIZE,
	};

	memset(nr_of, 0, sizeof(nr_of));
	memset(stats_room, 0, sizeof(stats_room));
	nr_heard = nr_seen = nr_pages_heard = 0;
	vm = dsm_vm_create(VM_ID, 1 << 1 | 1 << PEER, 1, (struct dvmm_stats *)stats_room,
			   &(struct dsm_vm_ops){}, NULL);
	mutex_lock(&vm->lock);
	if (IS_ERR(vm) || mem_create(vm, &config, &mem))
		node_die("the VM cannot be made");
	mutex_unlock(&vm->lock);
}

static void write_page(u64 index)
{
	struct op op = {};
	int err;

	do {
		if (page_get(mem, index, GFP_KERNEL, &op.ref))
			node_die("no memory");
		page_lock(&op.ref);
		err = act_access(&op, PROTO_WRITE);
		if (!err)
			page_used(op.ref.page, true);
		page_unlock(&op.ref);
		answer_all(answer_as_home);
	} while (err == -EAGAIN);
	if (err)
		node_die("page %llu: error %d", index, err);
}

/* ---- the tests ---- */

static bool puts_wait_for_a_slow_home(void)
{
	int nr;

	for (nr = 0; nr < NR_PAGES; nr++)
		write_page(page_at(PEER, nr));
	dsm_vm_set_budget(vm, DVMM_BUDGET_MIN);
	usleep(FLOOD_MS * 1000);
	printf("# %ld Puts of %d pages before an answer\n", nr_puts(), NR_PAGES);
	if (!nr_puts() || nr_puts() > PUTS_MAX)
		return false;
	return eventually((answer_all(answer_as_home),
			   atomic_long_read(&vm->evict.nr_resident) <= DVMM_BUDGET_MIN >> PAGE_SHIFT));
}

/* The peer puts away whatever it has got, and sends it when it is asked for. */
static long nr_asked, nr_kept;
static bool sends;

static void answer_as_owner(const struct dvmm_msg_mem *to)
{
	if (to->event == PROTO_PUT_ACK)
		nr_kept++;
	if (to->event == PROTO_FWD_GETM)
		nr_asked++;
	if (to->event == PROTO_FWD_GETM && sends)
		send_page(PROTO_GRANT_M, to->txn);
}

static bool pulls_wait_for_a_slow_owner(void)
{
	int nr;

	nr_asked = nr_kept = 0;
	sends = false;
	for (nr = 0; nr < NR_PAGES; nr++) {
		say_of(page_at(1, nr), PROTO_GETM, nr + 1);
		say_of(page_at(1, nr), PROTO_DONE, nr + 1);
	}
	for (nr = 0; nr < NR_PAGES; nr++)
		say_of(page_at(1, nr), PROTO_PUTM, FETCH_PUT_TXN);
	answer_all(answer_as_owner);
	printf("# %ld pages asked for of %ld that are put away\n", nr_asked, nr_kept);
	if (!nr_asked || nr_asked > FORESEEN_MAX || nr_kept != NR_PAGES)
		return false;
	sends = true;
	for (nr = 0; nr < nr_heard; nr++)
		if (heard[nr].event == PROTO_FWD_GETM)
			send_page(PROTO_GRANT_M, heard[nr].txn);
	/* Those that it had to keep are put away again. */
	for (nr = nr_asked; nr < NR_PAGES; nr++) {
		say_of(page_at(1, nr), PROTO_PUTM, FETCH_PUT_TXN);
		answer_all(answer_as_owner);
	}
	printf("# %ld pages came\n", atomic_long_read(&vm->evict.nr_resident));
	return atomic_long_read(&vm->evict.nr_resident) == NR_PAGES;
}

static bool streams_wait_for_a_slow_home(void)
{
	long nr_asked_for;
	u64 at;

	for (at = 0; at < NR_PAGES; at += 4)
		prefetch_after(mem, page_at(PEER, at), PROTO_READ);
	nr_asked_for = count(PROTO_GETS);
	printf("# %ld pages prefetched before an answer\n", nr_asked_for);
	if (!nr_asked_for || nr_asked_for > FORESEEN_MAX)
		return false;
	answer_all(answer_as_home);
	for (at = 0; at < NR_PAGES; at += 4)
		prefetch_after(mem, page_at(PEER, at), PROTO_READ);
	return count(PROTO_GETS) > nr_asked_for;
}

int main(void)
{
	static const struct {
		const char *name;
		bool (*test)(void);
	} tests[] = {
		{ "puts_wait_for_a_slow_home", puts_wait_for_a_slow_home },
		{ "pulls_wait_for_a_slow_owner", pulls_wait_for_a_slow_owner },
		{ "streams_wait_for_a_slow_home", streams_wait_for_a_slow_home },
	};
	size_t i, nr = sizeof(tests) / sizeof(tests[0]);
	int bad = 0;

	setbuf(stdout, NULL);
	if (page_init() ?: home_init() ?: take_init() ?: evict_init() ?: block_init() ?: serve_init())
		node_die("init");
	for (i = 0; i < nr; i++) {
		bool good;

		start();
		good = tests[i].test();
		dsm_vm_destroy(vm);
		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1, tests[i].name);
		bad += !good;
	}
	printf("1..%zu\n", nr);
	return !!bad;
}
