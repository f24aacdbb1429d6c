// SPDX-License-Identifier: GPL-2.0-only
/* kmod/queue.c - what one connection sends: slots made beforehand, the order, the
 * peer's credits. Handing a slot to the wire is the transport's.
 *
 * Credits: each side posts receive buffers and tells, in each header, how many
 * it has posted anew. The last credit is kept for a HEARTBEAT, which returns
 * credits: so two sides that both wait for credits cannot wait for ever.
 *
 * There are slots for what one VM may have under way between two nodes (dsm/README.md,
 * "How much is under way"). Several VMs, or forwards for many nodes, may need more: what
 * finds no slot is copied into memory that is allocated at once, and gets a slot in its turn.
 */
#include <linux/bottom_half.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "transport.h"
#include "trace.h"

#define FIRST_CREDITS 4 /* for the handshake, before the peer's HELLO says more */
#define MAX_CREDITS 65536
#define SIGNAL_EVERY 16
/* A third node may cause 256 + T forwards at once: this is for more than sixty of them. */
#define MAX_LATE 32768

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

/* ---- what found no slot ---- */

/* A message, or page and imm. */
struct tx_late {
	struct list_head item; /* tx->late */
	struct page *page; /* referenced */
	u32 imm;
	u32 len; /* of a message */
	u8 bytes[] __aligned(8);
};

/* tx->lock held. Any context. NULL: no memory, or too many */
static struct tx_late *late_add(struct conn *conn, struct tx *tx, size_t len)
{
	struct tx_late *late = NULL;

	if (tx->nr_late < MAX_LATE)
		late = kmalloc(struct_size(late, bytes, len), GFP_ATOMIC | __GFP_NOWARN);
	if (!late)
		return NULL;
	late->page = NULL;
	late->len = len;
	list_add_tail(&late->item, &tx->late);
	tx->nr_late++;
	dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_tx_late);
	return late;
}

static void late_del(struct tx *tx, struct tx_late *late)
{
	list_del(&late->item);
	tx->nr_late--;
	kfree(late);
}

static void drop_late(struct tx *tx)
{
	struct tx_late *late, *next;

	list_for_each_entry_safe(late, next, &tx->late, item) {
		if (late->page)
			put_page(late->page);
		late_del(tx, late);
	}
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
	INIT_LIST_HEAD(&tx->late);
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

	drop_late(tx);
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

/* tx->lock held. The last small one is kept for a HEARTBEAT, as the last credit is. */
static struct tx_slot *slot_get(struct tx *tx, size_t len, bool for_heartbeat)
{
	struct tx_slot *slot;
	int i;

	for (i = 0; i < NR_SIZE_CLASSES; i++) {
		if (size_classes[i].bytes < len ||
		    (!i && !for_heartbeat && list_is_singular(&tx->free[i])))
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

/* tx->lock held. Nobody overtakes what found none. */
static struct tx_slot *slot_for_new(struct tx *tx, size_t len)
{
	return list_empty(&tx->late) ? slot_get(tx, len, false) : NULL;
}

/* tx->lock held; slots are free again */
static void place_late(struct tx *tx)
{
	struct tx_late *late, *next;
	struct tx_slot *slot;

	list_for_each_entry_safe(late, next, &tx->late, item) {
		slot = slot_get(tx, late->len, false);
		if (!slot)
			return;
		slot->page = late->page;
		slot->imm = late->imm;
		slot->len = late->page ? PAGE_SIZE : late->len;
		if (late->len)
			memcpy(slot->buf, late->bytes, late->len);
		list_add_tail(&slot->item, &tx->waiting);
		late_del(tx, late);
	}
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

static void fill(void *buf, const struct conn *conn, const struct dvmm_msg *msg,
		 u32 req, u32 status)
{
	struct dvmm_msg_hdr *hdr = buf;
	u8 *to = buf + sizeof(*hdr);

	*hdr = (struct dvmm_msg_hdr) {
		.len = cpu_to_le32(msg_bytes(msg)),
		.type = cpu_to_le16(msg->type),
		.epoch = cpu_to_le64(READ_ONCE(conn->link->self->epoch)),
		.vm = cpu_to_le32(msg->vm),
		.req = cpu_to_le32(req),
		.status = cpu_to_le16(status),
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

/* tx->lock held */
static int send_or_keep(struct conn *conn, struct tx *tx, const struct dvmm_msg *msg,
			u32 req, u32 status)
{
	struct tx_slot *slot = slot_for_new(tx, msg_bytes(msg));
	struct tx_late *late = slot ? NULL : late_add(conn, tx, msg_bytes(msg));

	if (!slot && !late)
		return -ENOBUFS;
	fill(slot ? slot->buf : late->bytes, conn, msg, req, status);
	if (slot) {
		slot->len = msg_bytes(msg);
		enqueue(conn, tx, slot);
	}
	count_sent(conn, msg);
	return 0;
}

int tx_send(struct conn *conn, const struct dvmm_msg *msg, u32 req, u32 status)
{
	struct tx *tx = &conn->tx[CHANNEL_MSG];
	struct tx_hold hold;
	int err;

	if (msg->len > DVMM_MSG_MAX || msg->tail_len > DVMM_MSG_MAX ||
	    msg_bytes(msg) > DVMM_MSG_MAX)
		return -EMSGSIZE;
	tx_lock(tx, &hold);
	err = tx->open ? send_or_keep(conn, tx, msg, req, status) : -ENOTCONN;
	tx_unlock(tx, &hold);
	return err;
}

int tx_send_first(struct conn *conn, const struct dvmm_msg *msg)
{
	struct tx *tx = &conn->tx[CHANNEL_MSG];
	struct tx_slot *slot = NULL;
	struct tx_hold hold;

	tx_lock(tx, &hold);
	if (tx->open && tx->credits && tx->nr_posted < NR_POSTED)
		slot = slot_get(tx, msg_bytes(msg), true);
	if (slot) {
		fill(slot->buf, conn, msg, 0, 0);
		slot->len = msg_bytes(msg);
		tx->nr_unsignalled = SIGNAL_EVERY; /* its slot is free soon */
		post(conn, tx, slot);
		count_sent(conn, msg);
	}
	tx_unlock(tx, &hold);
	return slot ? 0 : -ENOBUFS;
}

/* tx->lock held */
static int send_or_keep_page(struct conn *conn, struct tx *tx, u32 imm, struct page *page)
{
	struct tx_slot *slot = slot_for_new(tx, 0);
	struct tx_late *late = slot ? NULL : late_add(conn, tx, 0);

	if (!slot && !late)
		return -ENOBUFS;
	get_page(page);
	if (slot) {
		slot->page = page;
		slot->imm = imm;
		slot->len = PAGE_SIZE;
		enqueue(conn, tx, slot);
	} else {
		late->page = page;
		late->imm = imm;
	}
	atomic_inc(&conn->tx_count);
	dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_tx_pages);
	trace_dvmm_page_tx(conn->link->peer, imm);
	return 0;
}

int tx_send_page(struct conn *conn, u32 imm, struct page *page)
{
	struct tx *tx = &conn->tx[CHANNEL_PAGE];
	struct tx_hold hold;
	int err;

	tx_lock(tx, &hold);
	err = tx->open ? send_or_keep_page(conn, tx, imm, page) : -ENOTCONN;
	tx_unlock(tx, &hold);
	return err;
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
	place_late(tx);
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
	idle = list_empty(&tx->late) && list_empty(&tx->waiting) && list_empty(&tx->posted);
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
