// SPDX-License-Identifier: GPL-2.0-only
/* kmod/transport/loop.c - the loop transport: two identities of one kernel, a
 * connection between them made of lists, and faults on request. For tests.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "../loop.h"
#include "../transport.h"

#define NR_PAGE_SLOTS 256
#define NR_RECORDED (DVMM_MSG_REPLY + 2) /* what can be replayed: see place_of() */
#define RECORD_BYTES 256

/* What travels: a copy of what was posted. */
struct packet {
	struct list_head item; /* loop_chan->packets */
	unsigned long not_before; /* jiffies */
	struct page *page;
	u32 imm;
	u32 len; /* of a message; 0: dropped */
	u8 bytes[];
};

/* One direction of one channel, at the receiver. */
struct loop_chan {
	struct loop_conn *conn;
	enum channel channel;
	spinlock_t lock; /* any context; inside pair_lock */
	struct list_head packets; /* lock */
	u32 nr; /* lock; in packets */
	struct packet *held; /* lock; goes behind the next one */
	struct delayed_work deliver;
};

struct loop_conn {
	struct conn base;
	struct loop_node *node;
	struct loop_conn *peer; /* pair_lock; NULL when either is closed */
	struct loop_chan in[NR_CHANNELS];
	struct tx_slot *signalled[NR_CHANNELS]; /* the last one to complete */
	struct work_struct complete;
};

struct fault {
	u16 type;
	enum dvmm_loop_action action;
	u32 nr, arg;
};

struct loop_node {
	struct identity identity;
	struct dvmm_loop *loop;
	struct loop_node *other;
	struct link *link;
	u8 peer;
	struct fault fault; /* loop->lock */
	/* loop->lock; the last of each type, on this connection and the one before */
	u8 sent[NR_RECORDED][RECORD_BYTES], before[NR_RECORDED][RECORD_BYTES];
};

struct dvmm_loop {
	spinlock_t lock; /* any context; inside tx->lock */
	struct loop_node node[2];
};

static DEFINE_SPINLOCK(pair_lock); /* any context; inside tx->lock */

static struct loop_conn *to_loop(struct conn *conn)
{
	return container_of(conn, struct loop_conn, base);
}

static struct loop_node *node_of(const struct link *link)
{
	return container_of(link->self, struct loop_node, identity);
}

/* ---- faults ---- */

static u16 place_of(u16 type)
{
	return type == DVMM_MSG_MEM_PROTO ? DVMM_MSG_REPLY + 1 : type;
}

/* loop->lock held */
static void record(struct loop_node *from, u16 type, const struct packet *packet)
{
	if (place_of(type) < NR_RECORDED && packet->len <= RECORD_BYTES)
		memcpy(from->sent[place_of(type)], packet->bytes, packet->len);
}

/* Its credits would be lost with it: they go with the next one. */
static void drop(struct conn *sender, struct packet *packet)
{
	const struct dvmm_msg_hdr *hdr = (const void *)packet->bytes;

	atomic_add(le32_to_cpu(hdr->msg_credits), &sender->owed[CHANNEL_MSG]);
	atomic_add(le32_to_cpu(hdr->page_credits), &sender->owed[CHANNEL_PAGE]);
	packet->len = 0;
}

/* loop->lock held */
static void apply(struct loop_conn *sender, const struct fault *fault, struct packet *packet)
{
	if (fault->action == DVMM_LOOP_DROP)
		drop(&sender->base, packet);
	if (fault->action == DVMM_LOOP_DELAY)
		packet->not_before = jiffies + msecs_to_jiffies(fault->arg);
	if (fault->action == DVMM_LOOP_CORRUPT && fault->arg < packet->len)
		packet->bytes[fault->arg] ^= 0xff;
	if (fault->action == DVMM_LOOP_REPLAY && place_of(fault->type) < NR_RECORDED &&
	    packet->len <= RECORD_BYTES)
		memcpy(packet->bytes, sender->node->before[place_of(fault->type)], packet->len);
}

/* Returns true when the next one must overtake it. */
static bool meet_fault(struct loop_conn *sender, struct packet *packet)
{
	u16 type = le16_to_cpu(((struct dvmm_msg_hdr *)packet->bytes)->type);
	struct loop_node *from = sender->node;
	struct fault *fault = &from->fault;
	unsigned long flags;
	bool swap = false;

	spin_lock_irqsave(&from->loop->lock, flags);
	record(from, type, packet);
	if (fault->nr && fault->type == type) {
		fault->nr--;
		apply(sender, fault, packet);
		swap = fault->action == DVMM_LOOP_SWAP;
	}
	spin_unlock_irqrestore(&from->loop->lock, flags);
	return swap;
}

/* ---- sending ---- */

static void packet_free(struct packet *packet)
{
	if (packet && packet->page)
		__free_page(packet->page);
	kfree(packet);
}

static struct packet *packet_make(const struct tx_slot *slot)
{
	u32 len = slot->page ? 0 : slot->len;
	struct packet *packet = kzalloc(struct_size(packet, bytes, len), GFP_ATOMIC);

	if (!packet)
		return NULL;
	packet->not_before = jiffies;
	packet->imm = slot->imm;
	packet->len = len;
	if (len)
		memcpy(packet->bytes, slot->buf, len);
	if (!slot->page)
		return packet;
	packet->page = alloc_page(GFP_ATOMIC);
	if (packet->page) {
		copy_highpage(packet->page, slot->page);
		return packet;
	}
	kfree(packet);
	return NULL;
}

/* chan->lock held */
static void append(struct loop_chan *chan, struct packet *packet)
{
	list_add_tail(&packet->item, &chan->packets);
	chan->nr++;
}

/* A sender that keeps to its credits never finds the buffers used up. */
static int deliver_later(struct loop_chan *chan, struct packet *packet, bool swap)
{
	u32 room = chan->channel == CHANNEL_MSG ? NR_MSG_BUFFERS : NR_PAGE_BUFFERS;
	unsigned long flags;
	int err = 0;

	spin_lock_irqsave(&chan->lock, flags);
	if (WARN_ON_ONCE(chan->nr + !!chan->held >= room)) {
		err = -ENOBUFS;
	} else if (swap && !chan->held) {
		chan->held = packet;
	} else {
		append(chan, packet);
		if (chan->held)
			append(chan, chan->held);
		chan->held = NULL;
		mod_delayed_work(link_wq, &chan->deliver, 0);
	}
	spin_unlock_irqrestore(&chan->lock, flags);
	return err;
}

static int loop_post(struct conn *base, struct tx_slot *slot, bool signal)
{
	struct loop_conn *sender = to_loop(base);
	struct packet *packet = packet_make(slot);
	unsigned long flags;
	bool swap = false;
	int err = -ENOTCONN;

	if (!packet)
		return -ENOMEM;
	if (slot->channel == CHANNEL_MSG)
		swap = meet_fault(sender, packet);
	spin_lock_irqsave(&pair_lock, flags);
	if (sender->peer)
		err = deliver_later(&sender->peer->in[slot->channel], packet, swap);
	spin_unlock_irqrestore(&pair_lock, flags);
	if (err) {
		packet_free(packet);
		return err;
	}
	if (signal) {
		WRITE_ONCE(sender->signalled[slot->channel], slot);
		queue_work(link_wq, &sender->complete);
	}
	return 0;
}

/* A completion is one for all before it, too. */
static void complete_work(struct work_struct *work)
{
	struct loop_conn *conn = container_of(work, struct loop_conn, complete);
	struct tx_slot *slot;
	int i;

	for (i = 0; i < NR_CHANNELS; i++) {
		slot = xchg(&conn->signalled[i], NULL);
		if (slot)
			conn_sent(&conn->base, slot);
	}
}

/* ---- receiving ---- */

/* The first that is due; else when it will be. */
static struct packet *take(struct loop_chan *chan, unsigned long *out_wait)
{
	struct packet *packet;

	spin_lock_irq(&chan->lock);
	packet = list_first_entry_or_null(&chan->packets, struct packet, item);
	*out_wait = 0;
	if (packet && time_before(jiffies, packet->not_before)) {
		*out_wait = packet->not_before - jiffies;
		packet = NULL;
	}
	if (packet) {
		list_del(&packet->item);
		chan->nr--;
	}
	spin_unlock_irq(&chan->lock);
	return packet;
}

static void receive(struct loop_chan *chan, struct packet *packet)
{
	struct conn *conn = &chan->conn->base;

	if (packet->page)
		packet->page = conn_received_page(conn, packet->imm, packet->page);
	if (packet->len)
		conn_received(conn, packet->bytes, packet->len);
	packet_free(packet);
	conn_reposted(conn, chan->channel);
}

static unsigned long receive_all_due(struct loop_chan *chan)
{
	struct packet *packet;
	unsigned long wait;

	while ((packet = take(chan, &wait)))
		receive(chan, packet);
	return wait;
}

static void deliver_work(struct work_struct *work)
{
	struct loop_chan *chan = container_of(work, struct loop_chan, deliver.work);
	unsigned long wait = receive_all_due(chan);

	if (wait)
		queue_delayed_work(link_wq, &chan->deliver, wait);
}

/* ---- connections ---- */

static int add_slot(struct conn *conn, enum channel channel, u8 size_class)
{
	struct tx_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL);

	if (!slot)
		return -ENOMEM;
	slot->conn = conn;
	slot->channel = channel;
	slot->size_class = size_class;
	if (channel == CHANNEL_MSG) {
		slot->buf = kmalloc(tx_slot_bytes(size_class), GFP_KERNEL);
		if (!slot->buf) {
			kfree(slot);
			return -ENOMEM;
		}
	}
	tx_add_slot(&conn->tx[channel], slot);
	return 0;
}

static int add_slots(struct conn *conn)
{
	int err = 0;
	u32 i;
	u8 class;

	for (class = 0; class < NR_SIZE_CLASSES; class++)
		for (i = 0; i < tx_slot_count(class) && !err; i++)
			err = add_slot(conn, CHANNEL_MSG, class);
	for (i = 0; i < NR_PAGE_SLOTS && !err; i++)
		err = add_slot(conn, CHANNEL_PAGE, 0);
	return err;
}

static void free_slots(struct conn *conn)
{
	struct tx_slot *slot;
	int i;

	for (i = 0; i < NR_CHANNELS; i++) {
		while ((slot = tx_take_slot(&conn->tx[i]))) {
			kfree(slot->buf);
			kfree(slot);
		}
	}
}

static void loop_free(struct conn *conn)
{
	kfree(to_loop(conn));
}

static const struct transport loop_transport;

static struct loop_conn *loop_conn_create(struct link *link)
{
	struct loop_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	int i;

	if (!conn)
		return NULL;
	conn->node = node_of(link);
	INIT_WORK(&conn->complete, complete_work);
	for (i = 0; i < NR_CHANNELS; i++) {
		conn->in[i].conn = conn;
		conn->in[i].channel = i;
		spin_lock_init(&conn->in[i].lock);
		INIT_LIST_HEAD(&conn->in[i].packets);
		INIT_DELAYED_WORK(&conn->in[i].deliver, deliver_work);
	}
	conn_init(&conn->base, link, &loop_transport);
	if (!add_slots(&conn->base))
		return conn;
	free_slots(&conn->base);
	link_put(link);
	kfree(conn);
	return NULL;
}

/* Never attached, or not to be: nobody knows it. */
static void loop_conn_discard(struct loop_conn *conn)
{
	struct link *link = conn->base.link;

	free_slots(&conn->base);
	kfree(conn);
	link_put(link);
}

static void free_packets(struct loop_chan *chan)
{
	struct packet *packet, *next;

	list_for_each_entry_safe(packet, next, &chan->packets, item)
		packet_free(packet);
	packet_free(chan->held);
}

/* What has arrived is still heard, as with a drained queue pair; what is delayed is not. */
static void loop_close(struct conn *base)
{
	struct loop_conn *conn = to_loop(base);
	int i;

	spin_lock_irq(&pair_lock);
	if (conn->peer) {
		conn_failed(&conn->peer->base, "the peer disconnected");
		conn->peer->peer = NULL;
	}
	conn->peer = NULL;
	spin_unlock_irq(&pair_lock);
	for (i = 0; i < NR_CHANNELS; i++) {
		cancel_delayed_work_sync(&conn->in[i].deliver);
		receive_all_due(&conn->in[i]);
		free_packets(&conn->in[i]);
	}
	cancel_work_sync(&conn->complete);
	free_slots(base);
}

static void start_recording(struct loop_node *node)
{
	spin_lock_irq(&node->loop->lock);
	memcpy(node->before, node->sent, sizeof(node->before));
	spin_unlock_irq(&node->loop->lock);
}

static void pair(struct loop_conn *a, struct loop_conn *b)
{
	spin_lock_irq(&pair_lock);
	a->peer = b;
	b->peer = a;
	spin_unlock_irq(&pair_lock);
	start_recording(a->node);
	start_recording(b->node);
}

/* Nobody else takes @a away meanwhile: its link's work is what runs here. */
static int join(struct loop_conn *a, struct loop_conn *b)
{
	int err = link_attach(a->base.link, &a->base);

	if (err) {
		loop_conn_discard(a);
		loop_conn_discard(b);
		return err;
	}
	pair(a, b);
	err = link_attach(b->base.link, &b->base);
	if (err) {
		loop_close(&b->base);
		loop_conn_discard(b);
		return 0; /* closing @b has failed @a */
	}
	conn_established(&b->base);
	conn_established(&a->base);
	return 0;
}

/* At the end with the lower id. */
static int loop_connect(struct link *link)
{
	struct loop_node *other = node_of(link)->other;
	struct link *there = link_get(&other->identity, other->peer);
	struct loop_conn *a, *b = NULL;
	int err = -ENOMEM;

	if (!there)
		return -ENOTCONN;
	a = loop_conn_create(link);
	if (a)
		b = loop_conn_create(there);
	if (a && b)
		err = join(a, b);
	else if (a)
		loop_conn_discard(a);
	link_put(there);
	return err;
}

static const struct transport loop_transport = {
	.name = "loop",
	.connect = loop_connect,
	.post = loop_post,
	.close = loop_close,
	.free = loop_free,
};

/* ---- for tests ---- */

static int make_node(struct loop_node *node, struct dvmm_loop *loop, const struct dvmm_loop_end *end)
{
	u8 key[DVMM_KEY_SIZE];
	int err = node_init(&node->identity);

	if (err)
		return err;
	node->loop = loop;
	node->peer = end->peer;
	node->identity.id = end->id;
	node->identity.epoch = end->epoch;
	node->identity.members = U64_MAX;
	node->identity.wire_version = end->wire_version;
	memset(node->identity.cluster_uuid, end->cluster, DVMM_UUID_SIZE);
	memset(key, end->key, sizeof(key));
	return node_set_key(&node->identity, key);
}

static int make_link(struct loop_node *node, const struct dvmm_loop_end *end)
{
	struct dvmm_addr nowhere = {};
	struct link *link = link_create(&node->identity, end->peer, &nowhere, "loop",
					end->lost_after_ms, &loop_transport);

	if (IS_ERR(link))
		return PTR_ERR(link);
	node->link = link;
	return 0;
}

struct dvmm_loop *dvmm_loop_create(const struct dvmm_loop_end ends[2])
{
	struct dvmm_loop *loop = kzalloc(sizeof(*loop), GFP_KERNEL);
	int err = 0;
	int i;

	if (!loop)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&loop->lock);
	for (i = 0; i < 2; i++) {
		loop->node[i].other = &loop->node[!i];
		err = err ?: make_node(&loop->node[i], loop, &ends[i]);
	}
	for (i = 0; i < 2; i++)
		err = err ?: make_link(&loop->node[i], &ends[i]);
	if (!err)
		return loop;
	dvmm_loop_destroy(loop);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(dvmm_loop_create);

void dvmm_loop_destroy(struct dvmm_loop *loop)
{
	int i;

	for (i = 0; i < 2; i++)
		if (loop->node[i].link)
			link_close(loop->node[i].link);
	/* Whoever looked a link up has given it back. */
	synchronize_rcu();
	for (i = 0; i < 2; i++)
		node_destroy(&loop->node[i].identity);
	kfree(loop);
}
EXPORT_SYMBOL_GPL(dvmm_loop_destroy);

void dvmm_loop_fault(struct dvmm_loop *loop, int from, u16 type,
		     enum dvmm_loop_action action, u32 nr, u32 arg)
{
	spin_lock_irq(&loop->lock);
	loop->node[from].fault = (struct fault) { type, action, nr, arg };
	spin_unlock_irq(&loop->lock);
}
EXPORT_SYMBOL_GPL(dvmm_loop_fault);

int dvmm_loop_epoch(struct dvmm_loop *loop, int end, u64 epoch, u64 members)
{
	return epoch_set(&loop->node[end].identity, epoch, members);
}
EXPORT_SYMBOL_GPL(dvmm_loop_epoch);

void dvmm_loop_break(struct dvmm_loop *loop)
{
	struct conn *conn;

	rcu_read_lock();
	conn = rcu_dereference(loop->node[0].link->conn);
	if (conn)
		conn_failed(conn, "broken by the test");
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(dvmm_loop_break);

int dvmm_loop_send(struct dvmm_loop *loop, int end, const struct dvmm_msg *msg)
{
	return link_send(loop->node[end].link, msg, 0, 0);
}
EXPORT_SYMBOL_GPL(dvmm_loop_send);

int dvmm_loop_send_page(struct dvmm_loop *loop, int end, u32 imm, struct page *page)
{
	return link_send_page(loop->node[end].link, imm, page);
}
EXPORT_SYMBOL_GPL(dvmm_loop_send_page);

int dvmm_loop_request(struct dvmm_loop *loop, int end, const struct dvmm_msg *msg, void *reply,
		      size_t reply_len, size_t *out_len, u32 timeout_ms)
{
	return request_send(loop->node[end].link, msg, reply, reply_len, out_len, timeout_ms);
}
EXPORT_SYMBOL_GPL(dvmm_loop_request);

int dvmm_loop_reply(struct dvmm_loop *loop, int end, u32 req, int error, const void *data, size_t len)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_REPLY, .payload = data, .len = len };

	return link_send(loop->node[end].link, &msg, req, -error);
}
EXPORT_SYMBOL_GPL(dvmm_loop_reply);

enum dvmm_link_state dvmm_loop_state(struct dvmm_loop *loop, int end)
{
	return READ_ONCE(loop->node[end].link->state);
}
EXPORT_SYMBOL_GPL(dvmm_loop_state);

void dvmm_loop_reason(struct dvmm_loop *loop, int end, char *out)
{
	struct link *link = loop->node[end].link;

	spin_lock_irq(&link->lock);
	memcpy(out, link->reason, DVMM_REASON_SIZE);
	spin_unlock_irq(&link->lock);
}
EXPORT_SYMBOL_GPL(dvmm_loop_reason);

u64 dvmm_loop_stat(struct dvmm_loop *loop, int end, enum dvmm_stat_link nr)
{
	return atomic64_read(&loop->node[end].link->stats->value[nr]);
}
EXPORT_SYMBOL_GPL(dvmm_loop_stat);
