// SPDX-License-Identifier: GPL-2.0-only
/* selftests/link/linktest.c - traffic on a link, for scenarios: stands where dsm
 * stands. Load it on both nodes; it answers requests and checks what comes.
 *
 *   echo "COMMAND NODE COUNT [BYTES]" > /sys/module/linktest/parameters/run
 *     rtt    requests, one after the other   -> result: min, average, max in ns
 *     flood  messages in order, as fast as they go
 *     irq    the same from hard interrupt
 *     pages  guest pages
 *     wait   one request that the peer answers after COUNT ms
 *   cat /sys/module/linktest/parameters/result    what run said
 *   cat /sys/module/linktest/parameters/seen      what came
 */
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "../kmod/kmod.h"

static char result[256] = "none";
static atomic_t in_order, out_of_order, good_pages, bad_pages, link_ups, link_losses;
static u64 next_seq[DVMM_MAX_NODES]; /* receive context of each link */

#define EVENT_ORDERED 1
#define EVENT_ECHO 2
#define EVENT_LATE 3

/* ---- receiving ---- */

struct late_reply {
	struct delayed_work work;
	u8 to;
	u32 req;
};

static void reply_late(struct work_struct *work)
{
	struct late_reply *late = container_of(work, struct late_reply, work.work);

	dvmm_link_reply(late->to, late->req, 0, NULL, 0);
	kfree(late);
	module_put(THIS_MODULE);
}

static int plan_reply(u8 to, u32 req, u64 ms)
{
	struct late_reply *late = kzalloc(sizeof(*late), GFP_KERNEL);

	if (!late)
		return -ENOMEM;
	__module_get(THIS_MODULE);
	late->to = to;
	late->req = req;
	INIT_DELAYED_WORK(&late->work, reply_late);
	schedule_delayed_work(&late->work, msecs_to_jiffies(ms));
	return 0;
}

static int on_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	const struct dvmm_msg_mem *msg = payload;

	switch (msg->event) {
	case EVENT_ECHO:
		dvmm_link_reply(from, le32_to_cpu(hdr->req), 0, payload, len);
		return 0;
	case EVENT_LATE:
		return plan_reply(from, le32_to_cpu(hdr->req), le64_to_cpu(msg->page));
	case EVENT_ORDERED:
		if (!msg->page) /* a new flood */
			next_seq[from] = 0;
		atomic_inc(le64_to_cpu(msg->page) == next_seq[from]++ ? &in_order : &out_of_order);
		return 0;
	default:
		return -EPROTO;
	}
}

static bool is_filled(const u64 *words, u64 with)
{
	size_t i;

	for (i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		if (words[i] != with)
			return false;
	return true;
}

static int on_page(u8 from, u32 imm, struct page **page)
{
	atomic_inc(is_filled(page_address(*page), imm) ? &good_pages : &bad_pages);
	if (imm & 1)
		return 0; /* the next one comes into it */
	__free_page(*page);
	*page = NULL;
	return 0;
}

static void on_up(u8 node)
{
	next_seq[node] = 0;
	atomic_inc(&link_ups);
}

static void on_lost(u8 node)
{
	atomic_inc(&link_losses);
}

static const struct dvmm_service service = {
	.name = "linktest",
	.owner = THIS_MODULE,
	.first_type = 0x100,
	.last_type = 0x1ff,
	.message = on_message,
	.page = on_page,
	.link_up = on_up,
	.link_lost = on_lost,
};

/* ---- sending ---- */

static u64 sent_seq[DVMM_MAX_NODES];

static int send_ordered(u8 node)
{
	struct dvmm_msg_mem mem = { .event = EVENT_ORDERED, .page = cpu_to_le64(sent_seq[node]) };
	struct dvmm_msg msg = { .type = DVMM_MSG_MEM_PROTO, .payload = &mem, .len = sizeof(mem) };
	int err = dvmm_link_send(node, &msg);

	if (!err)
		sent_seq[node]++;
	return err;
}

static int flood(u8 node, u32 count, u32 bytes)
{
	u64 began = ktime_get_ns();
	u32 full = 0;
	int err;

	sent_seq[node] = 0;
	while (count) {
		err = send_ordered(node);
		if (err && err != -ENOBUFS)
			return err;
		if (!err) {
			count--;
			continue;
		}
		full++;
		usleep_range(500, 1000);
	}
	snprintf(result, sizeof(result), "ns=%llu full=%u", ktime_get_ns() - began, full);
	return 0;
}

struct irq_sender {
	struct irq_work work;
	struct completion done;
	u8 node;
	u32 left;
	int err;
};

static void send_in_irq(struct irq_work *work)
{
	struct irq_sender *sender = container_of(work, struct irq_sender, work);
	u32 burst;

	for (burst = 0; burst < 8 && sender->left; burst++) {
		sender->err = send_ordered(sender->node);
		if (sender->err)
			break;
		sender->left--;
	}
	complete(&sender->done);
}

static int flood_from_irq(u8 node, u32 count, u32 bytes)
{
	struct irq_sender sender = { .node = node, .left = count };

	sent_seq[node] = 0;
	init_irq_work(&sender.work, send_in_irq);
	while (sender.left) {
		init_completion(&sender.done);
		irq_work_queue(&sender.work);
		wait_for_completion(&sender.done);
		irq_work_sync(&sender.work);
		if (sender.err && sender.err != -ENOBUFS)
			return sender.err;
		if (sender.err)
			usleep_range(500, 1000);
	}
	return 0;
}

static struct page *filled_page(u64 with)
{
	struct page *page = alloc_page(GFP_KERNEL);
	size_t i;

	for (i = 0; page && i < PAGE_SIZE / sizeof(with); i++)
		((u64 *)page_address(page))[i] = with;
	return page;
}

static int send_pages(u8 node, u32 count, u32 bytes)
{
	struct page *page;
	int err = 0;
	u32 i;

	for (i = 0; i < count && !err; i++) {
		page = filled_page(i);
		if (!page)
			return -ENOMEM;
		while ((err = dvmm_link_send_page(node, i, page)) == -ENOBUFS)
			usleep_range(500, 1000);
		put_page(page);
	}
	return err;
}

static int round_trips(u8 node, u32 count, u32 bytes)
{
	struct dvmm_msg_mem mem = { .event = EVENT_ECHO };
	u8 *tail = kzalloc(2 * DVMM_MSG_MAX, GFP_KERNEL);
	struct dvmm_msg msg = { DVMM_MSG_MEM_PROTO, 0, &mem, sizeof(mem), tail, bytes };
	u64 best = U64_MAX, worst = 0, sum = 0, began, ns;
	size_t len = 0;
	int err = 0;
	u32 i;

	if (!tail)
		return -ENOMEM;
	for (i = 0; i < count && !err; i++) {
		began = ktime_get_ns();
		err = dvmm_link_request(node, &msg, tail + DVMM_MSG_MAX, DVMM_MSG_MAX, &len, 60000);
		ns = ktime_get_ns() - began;
		if (!err && len != sizeof(mem) + bytes)
			err = -EBADMSG;
		best = min(best, ns);
		worst = max(worst, ns);
		sum += ns;
	}
	snprintf(result, sizeof(result), "min=%llu avg=%llu max=%llu ns", best, div_u64(sum, max(i, 1U)), worst);
	kfree(tail);
	return err;
}

static int wait_long(u8 node, u32 ms, u32 bytes)
{
	struct dvmm_msg_mem mem = { .event = EVENT_LATE, .page = cpu_to_le64(ms) };
	struct dvmm_msg msg = { DVMM_MSG_MEM_PROTO, 0, &mem, sizeof(mem) };

	return dvmm_link_request(node, &msg, NULL, 0, NULL, bytes);
}

static const struct {
	const char *name;
	int (*act)(u8 node, u32 count, u32 bytes);
} commands[] = {
	{ "flood", flood }, { "irq", flood_from_irq }, { "pages", send_pages },
	{ "rtt", round_trips }, { "wait", wait_long },
};

static int run_set(const char *text, const struct kernel_param *kp)
{
	u32 node, count, bytes = 0;
	char name[16];
	size_t i;
	int err;

	if (sscanf(text, "%15s %u %u %u", name, &node, &count, &bytes) < 3 || node >= DVMM_MAX_NODES ||
	    bytes > 60000)
		return -EINVAL;
	/* Parameters are written one at a time; commands wait for each other's scenario. */
	kernel_param_unlock(THIS_MODULE);
	err = -EINVAL;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			err = commands[i].act(node, count, bytes);
	if (err)
		snprintf(result, sizeof(result), "error=%d", err);
	kernel_param_lock(THIS_MODULE);
	return err;
}

static int seen_get(char *out, const struct kernel_param *kp)
{
	return sysfs_emit(out, "in_order=%d out_of_order=%d good_pages=%d bad_pages=%d ups=%d losses=%d\n",
			  atomic_read(&in_order), atomic_read(&out_of_order), atomic_read(&good_pages),
			  atomic_read(&bad_pages), atomic_read(&link_ups), atomic_read(&link_losses));
}

static const struct kernel_param_ops run_ops = { .set = run_set };
static const struct kernel_param_ops seen_ops = { .get = seen_get };
module_param_cb(run, &run_ops, NULL, 0200);
module_param_cb(seen, &seen_ops, NULL, 0400);
module_param_string(result, result, sizeof(result), 0400);

static int __init linktest_init(void)
{
	return dvmm_service_register(&service);
}

static void __exit linktest_exit(void)
{
	dvmm_service_unregister(&service);
}

module_init(linktest_init);
module_exit(linktest_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: traffic on a link, for tests");
