// SPDX-License-Identifier: GPL-2.0-only
/* kmod/queue.c - what one connection sends: slots made beforehand, the order, the
 * peer's credits. Handing a slot to the wire is the transport's.
 *
 * Credits: each side posts receive buffers and tells, in each header, how many
 * it has posted anew. The last credit is kept for a HEARTBEAT, which returns
 * credits: so two sides that both wait for credits cannot wait for ever.
 */
#include <linux/bottom_half.h>
#include <linux/mm.h>
#include "transport.h"
#include "trace.h"

#define FIRST_CREDITS 4 /* for the handshake, before the peer's HELLO says more */
#define MAX_CREDITS 65536
#define SIGNAL_EVERY 16

static const struct {
	u32 bytes;
	u32 count;
} size_classes[NR_SIZE_CLASSES] = {
	{ 512, 2048 },
	{ 4096, 256 },
	{ DVMM_MSG_MAX, 32 },
};

/* ---- lock ---- */

struct tx_hold {
	unsigned long flags;
	bool bh;
};

/* A software transport (soft-RoCE) sends from a softirq. Raised by a thread it
 * would wait for ksoftirqd, which stands in line with busy vCPUs: it runs at
 * once when bottom halves are enabled again, where that is allowed.
 */
static void tx_lock(struct tx *tx, struct tx_hold *hold)
	__acquires(&tx->lock)
{
	hold->bh = !in_interrupt() && !irqs_disabled();
	if (hold->bh)
		local_bh_disable();
	spin_lock_irqsave(&tx->lock, hold->flags);
}

static void tx_unlock(struct tx *tx, struct tx_hold *hold)
	__releases(&tx->lock)
{
	spin_unlock_irqrestore(&tx->lock, hold->flags);
	if (hold->bh)
		local_bh_enable();
}

/* ---- slots ---- */

u32 tx_slot_bytes(u8 size_class)
{
	return size_classes[size_class].bytes;
}

u32 tx_slot_count(u8 size_class)
{
	return size_classes[size_class].count;
}

void tx_init(struct tx *tx)
{
	int i;

	spin_lock_init(&tx->lock);
	for (i = 0; i < NR_SIZE_CLASSES; i++)
		INIT_LIST_HEAD(&tx->free[i]);
	INIT_LIST_HEAD(&tx->waiting);
	INIT_LIST_HEAD(&tx->posted);
	init_waitqueue_head(&tx->idle);
}

void tx_add_slot(struct tx *tx, struct tx_slot *slot)
{
	list_add_tail(&slot->item, &tx->free[slot->size_class]);
}

struct tx_slot *tx_take_slot(struct tx *tx)
{
	struct list_head *lists[] = { &tx->waiting, &tx->posted,
				      &tx->free[0], &tx->free[1], &tx->free[2] };
	struct tx_slot *slot;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		slot = list_first_entry_or_null(lists[i], struct tx_slot, item);
		if (!slot)
			continue;
		list_del(&slot->item);
		if (slot->page)
			put_page(slot->page);
		slot->page = NULL;
		return slot;
	}
	return NULL;
}

void tx_open(struct conn *conn)
{
	struct tx *tx;

	for (tx = conn->tx; tx < conn->tx + NR_CHANNELS; tx++) {
		spin_lock_irq(&tx->lock);
		tx->open = true;
		tx->credits = tx == &conn->tx[CHANNEL_MSG] ? FIRST_CREDITS : 0;
		spin_unlock_irq(&tx->lock);
	}
}

void tx_close(struct conn *conn)
{
	struct tx *tx;

	for (tx = conn->tx; tx < conn->tx + NR_CHANNELS; tx++) {
		spin_lock_irq(&tx->lock);
		tx->open = false;
		spin_unlock_irq(&tx->lock);
	}
}

/* tx->lock held */
static struct tx_slot *slot_get(struct tx *tx, size_t len)
{
	struct tx_slot *slot;
	int i;

	for (i = 0; i < NR_SIZE_CLASSES; i++) {
		if (size_classes[i].bytes < len)
			continue;
		slot = list_first_entry_or_null(&tx->free[i], struct tx_slot, item);
		if (slot) {
			list_del(&slot->item);
			return slot;
		}
	}
	return NULL;
}

/* tx->lock held */
static void slot_release(struct tx *tx, struct tx_slot *slot)
{
	if (slot->page)
		put_page(slot->page);
	slot->page = NULL;
	list_add(&slot->item, &tx->free[slot->size_class]);
}

/* tx->lock held. A slot without completion is free when a later one has completed. */
static bool needs_signal(struct tx *tx, const struct tx_slot *slot)
{
	if (slot->channel == CHANNEL_MSG && !slot->size_class && !tx->signal_all &&
	    ++tx->nr_unsignalled < SIGNAL_EVERY)
		return false;
	tx->nr_unsignalled = 0;
	return true;
}

static void stamp_credits(struct conn *conn, struct dvmm_msg_hdr *hdr)
{
	hdr->msg_credits = cpu_to_le32(atomic_xchg(&conn->owed[CHANNEL_MSG], 0));
	hdr->page_credits = cpu_to_le32(atomic_xchg(&conn->owed[CHANNEL_PAGE], 0));
}

/* tx->lock held */
static void post(struct conn *conn, struct tx *tx, struct tx_slot *slot)
{
	int err;

	if (slot->channel == CHANNEL_MSG)
		stamp_credits(conn, slot->buf);
	tx->credits--;
	tx->nr_posted++;
	list_add_tail(&slot->item, &tx->posted);
	err = conn->transport->post(conn, slot, needs_signal(tx, slot));
	if (!err)
		return;
	tx->nr_posted--;
	list_del(&slot->item);
	slot_release(tx, slot);
	conn_failed(conn, "cannot send: error %d", err);
}

/* tx->lock held */
static void pump(struct conn *conn, struct tx *tx)
{
	u32 reserve = tx == &conn->tx[CHANNEL_MSG] ? 1 : 0;
	struct tx_slot *slot;

	while (tx->open && tx->credits > reserve && tx->nr_posted < NR_POSTED) {
		slot = list_first_entry_or_null(&tx->waiting, struct tx_slot, item);
		if (!slot)
			return;
		list_del(&slot->item);
		post(conn, tx, slot);
	}
}

/* tx->lock held */
static void enqueue(struct conn *conn, struct tx *tx, struct tx_slot *slot)
{
	list_add_tail(&slot->item, &tx->waiting);
	pump(conn, tx);
	if (!list_empty(&tx->waiting))
		dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_tx_waits);
}

static size_t msg_bytes(const struct dvmm_msg *msg)
{
	return sizeof(struct dvmm_msg_hdr) + msg->len + msg->tail_len;
}

static void fill(struct tx_slot *slot, const struct conn *conn, const struct dvmm_msg *msg,
		 u32 req, u32 status)
{
	struct dvmm_msg_hdr *hdr = slot->buf;
	u8 *to = slot->buf + sizeof(*hdr);

	slot->len = msg_bytes(msg);
	*hdr = (struct dvmm_msg_hdr) {
		.len = cpu_to_le32(slot->len),
		.type = cpu_to_le16(msg->type),
		.epoch = cpu_to_le32(READ_ONCE(conn->link->self->epoch)),
		.vm = cpu_to_le32(msg->vm),
		.req = cpu_to_le32(req),
		.status = cpu_to_le32(status),
	};
	if (msg->len)
		memcpy(to, msg->payload, msg->len);
	if (msg->tail_len)
		memcpy(to + msg->len, msg->tail, msg->tail_len);
}

static void count_sent(struct conn *conn, const struct dvmm_msg *msg)
{
	struct dvmm_stats *stats = conn->link->stats;

	atomic_inc(&conn->tx_count);
	dvmm_stat_inc(stats, DVMM_STAT_LINK_tx_messages);
	dvmm_stat_add(stats, DVMM_STAT_LINK_tx_bytes, msg_bytes(msg));
	trace_dvmm_msg_tx(conn->link->peer, msg->type, msg->vm, msg_bytes(msg));
}

int tx_send(struct conn *conn, const struct dvmm_msg *msg, u32 req, u32 status)
{
	struct tx *tx = &conn->tx[CHANNEL_MSG];
	struct tx_slot *slot = NULL;
	struct tx_hold hold;
	bool open;

	if (msg->len > DVMM_MSG_MAX || msg->tail_len > DVMM_MSG_MAX ||
	    msg_bytes(msg) > DVMM_MSG_MAX)
		return -EMSGSIZE;
	tx_lock(tx, &hold);
	open = tx->open;
	if (open)
		slot = slot_get(tx, msg_bytes(msg));
	if (slot) {
		fill(slot, conn, msg, req, status);
		enqueue(conn, tx, slot);
		count_sent(conn, msg);
	}
	tx_unlock(tx, &hold);
	return slot ? 0 : open ? -ENOBUFS : -ENOTCONN;
}

int tx_send_first(struct conn *conn, const struct dvmm_msg *msg)
{
	struct tx *tx = &conn->tx[CHANNEL_MSG];
	struct tx_slot *slot = NULL;
	struct tx_hold hold;

	tx_lock(tx, &hold);
	if (tx->open && tx->credits && tx->nr_posted < NR_POSTED)
		slot = slot_get(tx, msg_bytes(msg));
	if (slot) {
		fill(slot, conn, msg, 0, 0);
		post(conn, tx, slot);
		count_sent(conn, msg);
	}
	tx_unlock(tx, &hold);
	return slot ? 0 : -ENOBUFS;
}

int tx_send_page(struct conn *conn, u32 imm, struct page *page)
{
	struct tx *tx = &conn->tx[CHANNEL_PAGE];
	struct tx_slot *slot = NULL;
	struct tx_hold hold;
	bool open;

	tx_lock(tx, &hold);
	open = tx->open;
	if (open)
		slot = slot_get(tx, 0);
	if (slot) {
		get_page(page);
		slot->page = page;
		slot->imm = imm;
		slot->len = PAGE_SIZE;
		enqueue(conn, tx, slot);
		atomic_inc(&conn->tx_count);
		dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_tx_pages);
		trace_dvmm_page_tx(conn->link->peer, imm);
	}
	tx_unlock(tx, &hold);
	return slot ? 0 : open ? -ENOBUFS : -ENOTCONN;
}

/* Returns false when the peer gives more than makes sense. */
bool tx_add_credits(struct conn *conn, enum channel channel, u32 nr)
{
	struct tx *tx = &conn->tx[channel];
	struct tx_hold hold;
	bool ok;

	if (!nr)
		return true;
	tx_lock(tx, &hold);
	ok = nr <= MAX_CREDITS && tx->credits + nr <= MAX_CREDITS;
	if (ok) {
		tx->credits += nr;
		pump(conn, tx);
	}
	tx_unlock(tx, &hold);
	return ok;
}

/* What the peer's HELLO says, without what the handshake was allowed before. */
bool tx_first_credits(struct conn *conn, u32 msgs, u32 pages)
{
	return msgs > FIRST_CREDITS && tx_add_credits(conn, CHANNEL_MSG, msgs - FIRST_CREDITS) &&
	       tx_add_credits(conn, CHANNEL_PAGE, pages);
}

void conn_sent(struct conn *conn, struct tx_slot *slot)
{
	struct tx *tx = &conn->tx[slot->channel];
	struct tx_slot *done;
	struct tx_hold hold;

	tx_lock(tx, &hold);
	do {
		done = list_first_entry_or_null(&tx->posted, struct tx_slot, item);
		if (WARN_ON_ONCE(!done))
			break;
		list_del(&done->item);
		tx->nr_posted--;
		slot_release(tx, done);
	} while (done != slot);
	pump(conn, tx);
	tx_unlock(tx, &hold);
	/* A waiter that comes now looks at the lists first, under the lock. */
	if (waitqueue_active(&tx->idle))
		wake_up(&tx->idle);
}

static bool is_idle(struct tx *tx)
{
	bool idle;

	spin_lock_irq(&tx->lock);
	idle = list_empty(&tx->waiting) && list_empty(&tx->posted);
	spin_unlock_irq(&tx->lock);
	return idle;
}

/* From now on each send asks for a completion, so that tx_wait_idle() ends. */
void tx_signal_all(struct conn *conn)
{
	struct tx *tx = &conn->tx[CHANNEL_MSG];
	struct tx_hold hold;

	tx_lock(tx, &hold);
	tx->signal_all = true;
	tx_unlock(tx, &hold);
}

void tx_wait_idle(struct conn *conn, u32 timeout_ms)
{
	struct tx *tx = &conn->tx[CHANNEL_MSG];

	wait_event_timeout(tx->idle, is_idle(tx), msecs_to_jiffies(timeout_ms));
}
