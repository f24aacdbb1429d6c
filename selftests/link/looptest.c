// SPDX-License-Identifier: GPL-2.0-only
/* selftests/link/looptest.c - the link layer between two nodes of one kernel, with
 * faults in between. Loading it runs the tests and prints KTAP to the log; it
 * stays nowhere: loading "fails" with ECANCELED when all is done.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "../kmod/loop.h"

#define A 0
#define B 1

static struct dvmm_loop *loop;
static int nr_tests, nr_failed;
static atomic_t received[2], out_of_order, pages, wrong_pages, ups, losses;
static u64 next_seq[2]; /* by receiver */

#define EVENT_ORDERED 1
#define EVENT_ECHO 2

/* ---- the service of both nodes: whoever hears node 1 is B ---- */

static int on_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	const struct dvmm_msg_mem *mem = payload;
	int end = from == 1 ? B : A;

	if (mem->event == EVENT_ECHO)
		return dvmm_loop_reply(loop, end, le32_to_cpu(hdr->req), 0, payload, len), 0;
	if (le64_to_cpu(mem->page) != next_seq[end]++)
		atomic_inc(&out_of_order);
	atomic_inc(&received[end]);
	return 0;
}

static int on_page(u8 from, u32 imm, struct page **page)
{
	atomic_inc(&pages);
	if (*(u32 *)page_address(*page) != imm)
		atomic_inc(&wrong_pages);
	if (imm & 1)
		return 0; /* the next one comes into it */
	__free_page(*page);
	*page = NULL;
	return 0;
}

static void on_up(u8 node)
{
	atomic_inc(&ups);
}

static void on_lost(u8 node)
{
	atomic_inc(&losses);
}

static const struct dvmm_service service = {
	.name = "looptest",
	.owner = THIS_MODULE,
	.first_type = 0x100,
	.last_type = 0x1ff,
	.message = on_message,
	.page = on_page,
	.link_up = on_up,
	.link_lost = on_lost,
};

/* ---- tools ---- */

static const struct dvmm_loop_end good[2] = {
	{ .id = 1, .peer = 2, .epoch = 1, .wire_version = 1, .key = 1, .cluster = 1, .lost_after_ms = 10000 },
	{ .id = 2, .peer = 1, .epoch = 1, .wire_version = 1, .key = 1, .cluster = 1, .lost_after_ms = 10000 },
};

/* Ends as soon as it is so; a test waits at most @seconds. */
#define eventually(is_so, seconds) ({					\
	unsigned long until = jiffies + (seconds) * HZ;			\
	while (!(is_so) && time_before(jiffies, until))			\
		usleep_range(2000, 4000);				\
	(is_so);							\
})

static bool both(enum dvmm_link_state state)
{
	return dvmm_loop_state(loop, A) == state && dvmm_loop_state(loop, B) == state;
}

static bool reason_is(int end, const char *part)
{
	char reason[DVMM_REASON_SIZE];

	dvmm_loop_reason(loop, end, reason);
	return strstr(reason, part);
}

static void reset(void)
{
	atomic_set(&received[A], 0);
	atomic_set(&received[B], 0);
	atomic_set(&out_of_order, 0);
	atomic_set(&pages, 0);
	atomic_set(&wrong_pages, 0);
	atomic_set(&ups, 0);
	atomic_set(&losses, 0);
	next_seq[A] = next_seq[B] = 0;
}

static bool start(const struct dvmm_loop_end ends[2])
{
	reset();
	loop = dvmm_loop_create(ends);
	return !IS_ERR(loop);
}

static bool start_up(void)
{
	return start(good) && eventually(both(DVMM_LINK_UP), 10);
}

static void stop(void)
{
	if (!IS_ERR_OR_NULL(loop))
		dvmm_loop_destroy(loop);
	loop = NULL;
}

static int send_ordered(int end, u64 seq)
{
	struct dvmm_msg_mem mem = { .event = EVENT_ORDERED, .page = cpu_to_le64(seq) };
	struct dvmm_msg msg = { .type = DVMM_MSG_MEM_PROTO, .payload = &mem, .len = sizeof(mem) };
	int err;

	while ((err = dvmm_loop_send(loop, end, &msg)) == -ENOBUFS)
		usleep_range(500, 1000);
	return err;
}

static bool send_many(int end, u64 first, u32 count)
{
	while (count--)
		if (send_ordered(end, first++))
			return false;
	return true;
}

static int ask(int end, u32 timeout_ms)
{
	struct dvmm_msg_mem mem = { .event = EVENT_ECHO };
	struct dvmm_msg msg = { .type = DVMM_MSG_MEM_PROTO, .payload = &mem, .len = sizeof(mem) };
	size_t len = 0;
	int err = dvmm_loop_request(loop, end, &msg, &mem, sizeof(mem), &len, timeout_ms);

	return err ?: len == sizeof(mem) ? 0 : -EBADMSG;
}

static bool came(int end, int count)
{
	return eventually(atomic_read(&received[end]) == count, 20) && !atomic_read(&out_of_order);
}

/* ---- the tests: each starts a fresh pair ---- */

static bool link_comes_up_and_is_told(void)
{
	return start_up() && eventually(atomic_read(&ups) == 2, 5) && ask(A, 5000) == 0 && ask(B, 5000) == 0;
}

static bool messages_both_ways_never_block_each_other(void)
{
	u32 i;

	if (!start_up())
		return false;
	for (i = 0; i < 5000; i++)
		if (send_ordered(A, i) || send_ordered(B, i))
			return false;
	return came(A, 5000) && came(B, 5000);
}

static bool delayed_message_keeps_the_order(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_DELAY, 3, 200);
	return send_many(A, 0, 500) && came(B, 500);
}

static bool overtaking_is_seen_by_the_service(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_SWAP, 1, 0);
	return send_many(A, 0, 10) && eventually(atomic_read(&received[B]) == 10, 10) &&
	       atomic_read(&out_of_order) > 0;
}

static bool dropped_messages_keep_their_credits(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_DROP, 500, 0);
	return send_many(A, 0, 500) && send_many(A, 0, 300) && came(B, 300) && both(DVMM_LINK_UP);
}

static bool lost_reply_ends_by_deadline(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, B, DVMM_MSG_REPLY, DVMM_LOOP_DROP, 1, 0);
	return ask(A, 300) == -ETIMEDOUT && ask(A, 5000) == 0 &&
	       dvmm_loop_stat(loop, A, DVMM_STAT_LINK_request_timeouts) == 1;
}

static bool late_reply_hits_nobody(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, B, DVMM_MSG_REPLY, DVMM_LOOP_DELAY, 1, 500);
	return ask(A, 100) == -ETIMEDOUT && ask(A, 5000) == 0 && both(DVMM_LINK_UP);
}

static bool silence_makes_suspect_and_a_word_resumes(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, B, DVMM_MSG_HEARTBEAT, DVMM_LOOP_DELAY, 1000, 1500);
	if (!eventually(dvmm_loop_state(loop, A) == DVMM_LINK_SUSPECT, 10))
		return false;
	dvmm_loop_fault(loop, B, 0, DVMM_LOOP_DROP, 0, 0);
	return eventually(both(DVMM_LINK_UP), 10) && !atomic_read(&losses);
}

static int ask_in_thread(void *out)
{
	*(int *)out = ask(A, 30000);
	return 0;
}

static bool broken_connection_ends_requests_and_comes_back(void)
{
	struct task_struct *thread;
	int ret = 1;

	if (!start_up())
		return false;
	dvmm_loop_fault(loop, B, DVMM_MSG_REPLY, DVMM_LOOP_DROP, 1, 0);
	thread = kthread_run(ask_in_thread, &ret, "looptest");
	if (IS_ERR(thread))
		return false;
	get_task_struct(thread);
	eventually(dvmm_loop_stat(loop, A, DVMM_STAT_LINK_requests) == 1, 5);
	dvmm_loop_break(loop);
	eventually(READ_ONCE(ret) != 1, 10);
	put_task_struct(thread);
	return ret == -ENOTCONN && eventually(atomic_read(&losses) == 2, 10) &&
	       eventually(atomic_read(&ups) == 4, 10) && eventually(both(DVMM_LINK_UP), 10) && ask(A, 5000) == 0;
}

static bool old_messages_never_come_on_a_new_connection(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_DELAY, 1, 60000);
	if (!send_many(A, 0, 500))
		return false;
	dvmm_loop_break(loop);
	return eventually(atomic_read(&ups) == 4, 10) && eventually(both(DVMM_LINK_UP), 10) &&
	       send_many(A, 0, 10) && came(B, 10);
}

static bool flood(int end, u32 count)
{
	struct dvmm_msg_mem mem = { .event = EVENT_ORDERED };
	struct dvmm_msg msg = { .type = DVMM_MSG_MEM_PROTO, .payload = &mem, .len = sizeof(mem) };
	u32 i;

	for (i = 0; i < count; i++) {
		mem.page = cpu_to_le64(i);
		if (dvmm_loop_send(loop, end, &msg))
			return false;
	}
	return true;
}

/* Both sides have no slot and no credit left: it must still go on, in order. */
static bool messages_beyond_the_slots_wait(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_DELAY, 1, 300);
	dvmm_loop_fault(loop, B, DVMM_MSG_MEM_PROTO, DVMM_LOOP_DELAY, 1, 300);
	return flood(A, 10000) && flood(B, 10000) && came(B, 10000) && came(A, 10000) &&
	       dvmm_loop_stat(loop, A, DVMM_STAT_LINK_tx_late) &&
	       dvmm_loop_stat(loop, B, DVMM_STAT_LINK_tx_late) && both(DVMM_LINK_UP) &&
	       !atomic_read(&losses);
}

/* What waited goes with its connection, and there is an end to it. */
static bool queue_has_an_end(void)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_DELAY, 1, 60000);
	if (!flood(A, 10000) || flood(A, 30000))
		return false;
	dvmm_loop_break(loop);
	return eventually(atomic_read(&ups) == 4, 10) && eventually(both(DVMM_LINK_UP), 10) &&
	       send_many(A, 0, 500) && came(B, 500);
}

static bool pages_beyond_the_slots_wait(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	int err = 0;
	u32 i;

	if (!page || !start_up())
		return false;
	for (i = 0; i < 1000 && !err; i++)
		err = dvmm_loop_send_page(loop, A, 0, page);
	put_page(page);
	return !err && eventually(atomic_read(&pages) == 1000, 20) && !atomic_read(&wrong_pages);
}

static bool pages_arrive_whole_beyond_the_credits(void)
{
	struct page *page;
	u32 i;
	int err;

	if (!start_up())
		return false;
	for (i = 0; i < 1000; i++) {
		page = alloc_page(GFP_KERNEL);
		if (!page)
			return false;
		*(u32 *)page_address(page) = i;
		while ((err = dvmm_loop_send_page(loop, A, i, page)) == -ENOBUFS)
			usleep_range(500, 1000);
		put_page(page);
		if (err)
			return false;
	}
	return eventually(atomic_read(&pages) == 1000, 20) && !atomic_read(&wrong_pages);
}

/* ---- epochs; @node is nobody's, that of A, that of B, or both ---- */

#define NODE(end) BIT_ULL((end) + 1)
#define BOTH (NODE(A) | NODE(B))

static bool wrong_epochs_are_refused(void)
{
	return start_up() && dvmm_loop_epoch(loop, A, 5, BOTH) == 0 &&
	       dvmm_loop_epoch(loop, A, 5, BOTH) == 0 &&
	       dvmm_loop_epoch(loop, A, 4, BOTH) == -ESTALE &&
	       dvmm_loop_epoch(loop, A, 5, NODE(A)) == -ESTALE &&
	       dvmm_loop_epoch(loop, A, 6, NODE(B)) == -EINVAL &&
	       dvmm_loop_epoch(loop, A, 0, BOTH) == -EINVAL &&
	       dvmm_loop_epoch(loop, A, U64_MAX, BOTH) == -EINVAL && ask(A, 5000) == 0;
}

static u64 nr_stale(int end)
{
	return dvmm_loop_stat(loop, end, DVMM_STAT_LINK_stale_epoch);
}

/* Members hear of a new epoch one after the other. */
static bool members_of_different_epochs_go_on(void)
{
	if (!start_up() || dvmm_loop_epoch(loop, A, 2, BOTH))
		return false;
	return send_many(A, 0, 100) && send_many(B, 0, 100) && came(A, 100) && came(B, 100) &&
	       ask(A, 5000) == 0 && ask(B, 5000) == 0 && dvmm_loop_epoch(loop, B, 2, BOTH) == 0 &&
	       ask(A, 5000) == 0 && !nr_stale(A) && !nr_stale(B) && !atomic_read(&losses);
}

/* B expels A, which does not know it. */
static bool expel(void)
{
	return start_up() && send_many(A, 0, 10) && came(B, 10) &&
	       dvmm_loop_epoch(loop, B, 2, NODE(B)) == 0 && eventually(atomic_read(&losses) == 2, 10);
}

static bool expelled_node_is_lost_and_refused(void)
{
	return expel() && eventually(reason_is(A, "n1 is no member in epoch 2"), 10) &&
	       reason_is(B, "n1 is no member in epoch 2") && nr_stale(B) && atomic_read(&ups) == 2;
}

static bool returned(void)
{
	return expel() && dvmm_loop_epoch(loop, B, 3, BOTH) == 0 &&
	       eventually(reason_is(A, "n1 is in epoch 1, and a member since 3"), 10) &&
	       atomic_read(&ups) == 2 && dvmm_loop_epoch(loop, A, 3, BOTH) == 0 &&
	       eventually(atomic_read(&ups) == 4, 15) && eventually(both(DVMM_LINK_UP), 10);
}

static bool node_returns_with_a_new_epoch(void)
{
	return returned() && send_many(A, 10, 10) && came(B, 20) && ask(B, 5000) == 0;
}

/* As after the 65535th change of a configuration, which an agent shifts by 16. */
static bool epoch_of_more_than_32_bits_is_later(void)
{
	const u64 last = 65535ULL << 16, next = 65536ULL << 16;

	return start_up() && dvmm_loop_epoch(loop, A, last, BOTH) == 0 &&
	       dvmm_loop_epoch(loop, B, last, BOTH) == 0 && ask(A, 5000) == 0 &&
	       dvmm_loop_epoch(loop, B, next, NODE(B)) == 0 &&
	       eventually(atomic_read(&losses) == 2, 10) &&
	       dvmm_loop_epoch(loop, B, last, BOTH) == -ESTALE &&
	       dvmm_loop_epoch(loop, B, next + 1, BOTH) == 0 &&
	       eventually(reason_is(A, "n1 is in epoch 4294901760, and a member since 4294967297"), 10) &&
	       dvmm_loop_epoch(loop, A, next + 1, BOTH) == 0 &&
	       eventually(atomic_read(&ups) == 4, 15) && ask(B, 5000) == 0;
}

/* What A sent before it was expelled comes again when it is back: B counts it, no more. */
static bool old_epoch_is_dropped_and_counted(void)
{
	u64 before;

	if (!returned())
		return false;
	before = nr_stale(B);
	dvmm_loop_fault(loop, A, DVMM_MSG_MEM_PROTO, DVMM_LOOP_REPLAY, 1, 0);
	return send_ordered(A, 10) == 0 && eventually(nr_stale(B) == before + 1, 5) &&
	       atomic_read(&received[B]) == 10 && send_many(A, 10, 10) && came(B, 20) &&
	       both(DVMM_LINK_UP);
}

static bool refused(const struct dvmm_loop_end ends[2], const char *reason)
{
	return start(ends) && eventually(reason_is(A, reason) && reason_is(B, reason), 10) &&
	       !atomic_read(&ups) && dvmm_loop_state(loop, A) != DVMM_LINK_UP;
}

static bool wrong_key_is_refused(void)
{
	struct dvmm_loop_end ends[2] = { good[A], good[B] };

	ends[B].key = 2;
	return refused(ends, "wrong cluster key");
}

static bool other_cluster_is_refused(void)
{
	struct dvmm_loop_end ends[2] = { good[A], good[B] };

	ends[B].cluster = 2;
	return refused(ends, "cluster ids differ");
}

static bool other_version_is_refused(void)
{
	struct dvmm_loop_end ends[2] = { good[A], good[B] };

	ends[B].wire_version = 2;
	return refused(ends, "wire versions differ");
}

static bool other_node_is_refused(void)
{
	struct dvmm_loop_end ends[2] = { good[A], good[B] };

	ends[A].peer = 3;
	return refused(ends, "node ids differ");
}

/* After a break the next handshake is spoiled, the one after it succeeds. */
static bool spoiled(int end, u16 type, enum dvmm_loop_action action, u32 arg, const char *reason)
{
	if (!start_up())
		return false;
	dvmm_loop_fault(loop, end, type, action, 1, arg);
	dvmm_loop_break(loop);
	return eventually(reason_is(A, reason) || reason_is(B, reason), 15) &&
	       eventually(atomic_read(&ups) == 4, 15);
}

static bool lost_proof_ends_the_handshake(void)
{
	return spoiled(A, DVMM_MSG_PROOF, DVMM_LOOP_DROP, 0, "broke the protocol: a message out of turn");
}

static bool stuck_handshake_ends_by_deadline(void)
{
	return spoiled(A, DVMM_MSG_CLOCK, DVMM_LOOP_DROP, 0, "no answer in 5000 ms");
}

static bool changed_proof_is_refused(void)
{
	return spoiled(B, DVMM_MSG_PROOF, DVMM_LOOP_CORRUPT, 40, "wrong cluster key");
}

static bool replayed_proof_is_refused(void)
{
	return spoiled(B, DVMM_MSG_PROOF, DVMM_LOOP_REPLAY, 0, "wrong cluster key");
}

static bool changed_challenge_is_refused(void)
{
	/* A byte of the nonce: what was proven is not what was asked. */
	return spoiled(A, DVMM_MSG_HELLO, DVMM_LOOP_CORRUPT, 32 + 60, "wrong cluster key");
}

static bool unknown_message_ends_the_connection(void)
{
	/* The low byte of its type. */
	return spoiled(A, DVMM_MSG_HELLO, DVMM_LOOP_CORRUPT, 4, "broke the protocol");
}

static bool wrong_length_ends_the_connection(void)
{
	return spoiled(B, DVMM_MSG_PROOF, DVMM_LOOP_CORRUPT, 0, "broke the protocol: length is wrong");
}

static bool goodbye_is_no_loss(void)
{
	if (!start_up())
		return false;
	stop();
	return true;
}

#define TEST(name) { #name, name }
static const struct {
	const char *name;
	bool (*run)(void);
} tests[] = {
	TEST(link_comes_up_and_is_told),
	TEST(messages_both_ways_never_block_each_other),
	TEST(delayed_message_keeps_the_order),
	TEST(overtaking_is_seen_by_the_service),
	TEST(dropped_messages_keep_their_credits),
	TEST(lost_reply_ends_by_deadline),
	TEST(late_reply_hits_nobody),
	TEST(silence_makes_suspect_and_a_word_resumes),
	TEST(broken_connection_ends_requests_and_comes_back),
	TEST(old_messages_never_come_on_a_new_connection),
	TEST(messages_beyond_the_slots_wait),
	TEST(queue_has_an_end),
	TEST(pages_beyond_the_slots_wait),
	TEST(pages_arrive_whole_beyond_the_credits),
	TEST(wrong_epochs_are_refused),
	TEST(members_of_different_epochs_go_on),
	TEST(expelled_node_is_lost_and_refused),
	TEST(node_returns_with_a_new_epoch),
	TEST(epoch_of_more_than_32_bits_is_later),
	TEST(old_epoch_is_dropped_and_counted),
	TEST(wrong_key_is_refused),
	TEST(other_cluster_is_refused),
	TEST(other_version_is_refused),
	TEST(other_node_is_refused),
	TEST(lost_proof_ends_the_handshake),
	TEST(stuck_handshake_ends_by_deadline),
	TEST(changed_proof_is_refused),
	TEST(replayed_proof_is_refused),
	TEST(changed_challenge_is_refused),
	TEST(unknown_message_ends_the_connection),
	TEST(wrong_length_ends_the_connection),
	TEST(goodbye_is_no_loss),
};

static void run(size_t i)
{
	bool ok = tests[i].run();

	stop();
	nr_tests++;
	nr_failed += !ok;
	pr_info("looptest: %sok %d - %s\n", ok ? "" : "not ", nr_tests, tests[i].name);
}

static int __init looptest_init(void)
{
	size_t i;
	int err = dvmm_service_register(&service);

	if (err)
		return err;
	pr_info("looptest: 1..%zu\n", ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		run(i);
	dvmm_service_unregister(&service);
	pr_info("looptest: # %d failed\n", nr_failed);
	return -ECANCELED;
}

module_init(looptest_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: tests of the link layer");
