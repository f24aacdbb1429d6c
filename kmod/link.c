// SPDX-License-Identifier: GPL-2.0-only
/* kmod/link.c - what this node keeps of each peer: a link, its state, and one
 * connection at a time. What happens on a connection is conn.c's.
 *
 * Only link->work makes and tears down connections, so neither needs a lock.
 */
#include <asm/tsc.h>
#include <linux/delay.h>
#include <linux/slab.h>
#include "transport.h"
#include "trace.h"

#define TICK_MS 100
#define LOST_AFTER_MS 10000
#define LOST_AFTER_MIN_MS 500
#define LOST_AFTER_MAX_MS 600000
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 4000
#define LINGER_MS 500

struct workqueue_struct *link_wq;

/* ---- finding ---- */

struct link *link_get(struct identity *self, u8 peer)
{
	struct link *link = NULL;

	rcu_read_lock();
	if (peer < DVMM_MAX_NODES)
		link = rcu_dereference(self->links[peer]);
	if (link && !refcount_inc_not_zero(&link->ref))
		link = NULL;
	rcu_read_unlock();
	return link;
}

/* May sleep. */
void link_put(struct link *link)
{
	if (!refcount_dec_and_test(&link->ref))
		return;
	dvmm_stats_free(link->stats);
	kfree_rcu(link, rcu);
}

bool link_connects(const struct link *link)
{
	return link->self->id < link->peer;
}

static bool is_member(const struct link *link)
{
	return READ_ONCE(link->since) != NO_EPOCH;
}

static bool state_is_up(enum dvmm_link_state state)
{
	return state == DVMM_LINK_UP || state == DVMM_LINK_SUSPECT;
}

/* ---- states ---- */

/* link->lock held */
static void set_state(struct link *link, enum dvmm_link_state state)
{
	trace_dvmm_link_state(link->peer, link->state, state);
	WRITE_ONCE(link->state, state);
}

static bool move_state(struct link *link, enum dvmm_link_state from, enum dvmm_link_state to)
{
	unsigned long flags;
	bool moved;

	spin_lock_irqsave(&link->lock, flags);
	moved = link->state == from;
	if (moved)
		set_state(link, to);
	spin_unlock_irqrestore(&link->lock, flags);
	return moved;
}

void link_set_up(struct link *link)
{
	spin_lock_irq(&link->lock);
	set_state(link, DVMM_LINK_UP);
	link->reason[0] = 0;
	link->announced[0] = 0;
	link->backoff_ms = 0;
	spin_unlock_irq(&link->lock);
	node_stat_add(DVMM_STAT_NODE_links_accepted, 1);
	service_link_up(link->peer);
	dvmm_event(DVMM_EVENT_LINK_UP, link->peer, 0, "n%u (%s): link is up, round trip %llu us",
		   link->peer, link->name, div_u64(link->rtt_ns, 1000));
}

void link_set_suspect(struct link *link)
{
	if (move_state(link, DVMM_LINK_UP, DVMM_LINK_SUSPECT))
		dvmm_event(DVMM_EVENT_LINK_SUSPECT, link->peer, 0, "n%u (%s) is silent",
			   link->peer, link->name);
}

void link_set_heard(struct link *link)
{
	if (move_state(link, DVMM_LINK_SUSPECT, DVMM_LINK_UP))
		dvmm_event(DVMM_EVENT_LINK_RESUMED, link->peer, 0, "n%u (%s) is heard again",
			   link->peer, link->name);
}

/* A refusal is repeated with each attempt; its event is not. link->lock held */
static bool is_news(struct link *link, const char *reason)
{
	if (!strcmp(link->announced, reason))
		return false;
	strscpy(link->announced, reason, sizeof(link->announced));
	return true;
}

static void announce_refusal(struct link *link, const char *reason, bool news)
{
	node_stat_add(DVMM_STAT_NODE_links_refused, 1);
	if (news)
		dvmm_event(DVMM_EVENT_LINK_REFUSED, link->peer, 0, "n%u (%s): %s",
			   link->peer, link->name, reason);
}

void link_refuse(struct link *link, const char *reason)
{
	bool news = false;

	spin_lock_irq(&link->lock);
	if (!state_is_up(link->state)) {
		news = is_news(link, reason);
		strscpy(link->reason, reason, sizeof(link->reason));
	}
	spin_unlock_irq(&link->lock);
	announce_refusal(link, reason, news);
}

/* The state after a connection that is no more. */
static void announce_end(struct link *link, const struct conn *conn, bool was_up)
{
	bool lost = was_up && !conn->orderly;
	bool news;

	spin_lock_irq(&link->lock);
	if (was_up || link->state != DVMM_LINK_LOST)
		set_state(link, lost ? DVMM_LINK_LOST : DVMM_LINK_DOWN);
	if (is_member(link))
		memcpy(link->reason, conn->reason, sizeof(link->reason));
	news = conn->refused && is_news(link, conn->reason);
	spin_unlock_irq(&link->lock);

	if (conn->refused)
		announce_refusal(link, conn->reason, news);
	else if (lost)
		dvmm_event(DVMM_EVENT_LINK_LOST, link->peer, 0, "n%u (%s) is lost: %s",
			   link->peer, link->name, conn->reason);
	else if (was_up)
		dvmm_event(DVMM_EVENT_LINK_DOWN, link->peer, 0, "n%u (%s): link is down, %s",
			   link->peer, link->name, conn->reason);
}

/* ---- membership ---- */

void link_admit(struct link *link, u64 epoch)
{
	spin_lock_irq(&link->lock);
	WRITE_ONCE(link->since, epoch);
	spin_unlock_irq(&link->lock);
	link_kick(link);
}

void link_expel(struct link *link, u64 epoch)
{
	struct conn *conn;

	rcu_read_lock();
	spin_lock_irq(&link->lock);
	/* Before we look: a connection that is attached later sees it at its HELLO. */
	WRITE_ONCE(link->since, NO_EPOCH);
	conn = rcu_dereference(link->conn);
	snprintf(link->reason, sizeof(link->reason), "n%u is no member in epoch %llu", link->peer,
		 epoch);
	spin_unlock_irq(&link->lock);
	if (conn)
		conn_failed(conn, "n%u is no member in epoch %llu", link->peer, epoch);
	rcu_read_unlock();
}

/* ---- connections ---- */

int link_attach(struct link *link, struct conn *conn)
{
	int err = 0;

	spin_lock_irq(&link->lock);
	if (link->closing)
		err = -ENOTCONN;
	else if (rcu_access_pointer(link->conn))
		err = -EBUSY;
	else
		rcu_assign_pointer(link->conn, conn);
	if (!err && link->state == DVMM_LINK_DOWN)
		set_state(link, DVMM_LINK_CONNECTING);
	spin_unlock_irq(&link->lock);
	return err;
}

void link_kick(struct link *link)
{
	unsigned long flags;

	spin_lock_irqsave(&link->lock, flags);
	if (!link->closing)
		mod_delayed_work(link_wq, &link->work, 0);
	spin_unlock_irqrestore(&link->lock, flags);
}

static void schedule_retry(struct link *link)
{
	link->backoff_ms = clamp(link->backoff_ms * 2, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
	link->next_try = jiffies + msecs_to_jiffies(link->backoff_ms);
}

/* Second half of the end of a connection; the first is conn_failed(). */
static void drop(struct link *link, struct conn *conn)
{
	bool was_up;

	if (conn->linger)
		tx_wait_idle(conn, LINGER_MS);
	tx_close(conn);
	request_fail_all(link);
	conn->transport->close(conn);

	/* No upcall any more: the state does not change under us. */
	was_up = state_is_up(link->state);
	announce_end(link, conn, was_up);
	request_fail_all(link);
	if (was_up)
		service_link_lost(link->peer);
	schedule_retry(link);

	spin_lock_irq(&link->lock);
	RCU_INIT_POINTER(link->conn, NULL);
	spin_unlock_irq(&link->lock);
	synchronize_rcu();
	conn->transport->free(conn);
	link_put(link);
}

static struct conn *current_conn(struct link *link)
{
	return rcu_dereference_protected(link->conn, true);
}

static void link_work(struct work_struct *work)
{
	struct link *link = container_of(work, struct link, work.work);
	struct conn *conn = current_conn(link);

	if (conn && !conn_has_failed(conn))
		conn_tick(conn);
	if (conn && conn_has_failed(conn))
		drop(link, conn);
	if (!current_conn(link) && link_connects(link) && is_member(link) &&
	    time_after_eq(jiffies, link->next_try) && link->transport->connect(link))
		schedule_retry(link);
	spin_lock_irq(&link->lock);
	if (!link->closing)
		queue_delayed_work(link_wq, &link->work, msecs_to_jiffies(TICK_MS));
	spin_unlock_irq(&link->lock);
}

/* ---- life ---- */

static int publish(struct link *link)
{
	struct identity *self = link->self;
	int err = 0;

	spin_lock(&self->links_lock);
	if (rcu_access_pointer(self->links[link->peer]))
		err = -EEXIST;
	else
		rcu_assign_pointer(self->links[link->peer], link);
	if (!err)
		self->nr_links++;
	clear_bit(link->peer, self->strangers);
	spin_unlock(&self->links_lock);
	return err;
}

static void unpublish(struct link *link)
{
	struct identity *self = link->self;

	spin_lock(&self->links_lock);
	RCU_INIT_POINTER(self->links[link->peer], NULL);
	self->nr_links--;
	spin_unlock(&self->links_lock);
}

struct link *link_create(struct identity *self, u8 peer, const struct dvmm_addr *addr,
			 const char *name, u32 lost_after_ms, const struct transport *transport)
{
	struct link *link = kzalloc(sizeof(*link), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!link)
		return ERR_PTR(err);
	refcount_set(&link->ref, 1);
	link->self = self;
	link->peer = peer;
	link->addr = *addr;
	link->lost_after_ms = lost_after_ms;
	link->since = self->members & BIT_ULL(peer) ? self->epoch : NO_EPOCH;
	link->transport = transport;
	strscpy(link->name, name, sizeof(link->name));
	spin_lock_init(&link->lock);
	INIT_DELAYED_WORK(&link->work, link_work);
	xa_init_flags(&link->requests, XA_FLAGS_ALLOC1);
	link->next_try = jiffies;
	link->stats = dvmm_stats_alloc(DVMM_STAT_LINK, peer);
	if (!link->stats)
		goto free_link;
	err = publish(link);
	if (err)
		goto free_stats;
	link_kick(link);
	return link;

free_stats:
	dvmm_stats_free(link->stats);
free_link:
	kfree(link);
	return ERR_PTR(err);
}

void link_close(struct link *link)
{
	struct conn *conn;

	spin_lock_irq(&link->lock);
	link->closing = true;
	spin_unlock_irq(&link->lock);
	cancel_delayed_work_sync(&link->work);
	conn = current_conn(link);
	if (conn) {
		if (state_is_up(link->state))
			conn_bye(conn);
		drop(link, conn);
	}
	unpublish(link);
	/* Senders and requests that found it are through then. */
	synchronize_rcu();
	request_fail_all(link);
	link_put(link);
}

/* ---- the door ---- */

int link_send(struct link *link, const struct dvmm_msg *msg, u32 req, u32 status)
{
	int err = -ENOTCONN;
	struct conn *conn;

	rcu_read_lock();
	conn = rcu_dereference(link->conn);
	if (conn && state_is_up(READ_ONCE(link->state)))
		err = tx_send(conn, msg, req, status);
	rcu_read_unlock();
	return err;
}

int link_send_page(struct link *link, u32 imm, struct page *page)
{
	int err = -ENOTCONN;
	struct conn *conn;

	rcu_read_lock();
	conn = rcu_dereference(link->conn);
	if (conn && state_is_up(READ_ONCE(link->state)))
		err = tx_send_page(conn, imm, page);
	rcu_read_unlock();
	return err;
}

/* For those that may not sleep; rcu_read_lock() held. */
static struct link *link_peek(u8 node)
{
	return node < DVMM_MAX_NODES ? rcu_dereference(self_node.links[node]) : NULL;
}

int dvmm_link_send(u8 node, const struct dvmm_msg *msg)
{
	int err = -ENOTCONN;
	struct link *link;

	rcu_read_lock();
	link = link_peek(node);
	if (link)
		err = link_send(link, msg, 0, 0);
	rcu_read_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_link_send);

int dvmm_link_send_page(u8 node, u32 imm, struct page *page)
{
	int err = -ENOTCONN;
	struct link *link;

	rcu_read_lock();
	link = link_peek(node);
	if (link)
		err = link_send_page(link, imm, page);
	rcu_read_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_link_send_page);

int dvmm_link_request(u8 node, const struct dvmm_msg *msg, void *reply,
		      size_t reply_len, size_t *out_len, u32 timeout_ms)
{
	struct link *link = link_get(&self_node, node);
	int err;

	if (!link)
		return -ENOTCONN;
	err = request_send(link, msg, reply, reply_len, out_len, timeout_ms);
	link_put(link);
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_link_request);

int dvmm_link_reply(u8 node, u32 req, int error, const void *data, size_t len)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_REPLY, .payload = data, .len = len };
	int err = -ENOTCONN;
	struct link *link;

	rcu_read_lock();
	link = link_peek(node);
	if (link)
		err = link_send(link, &msg, req, -error);
	rcu_read_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_link_reply);

int dvmm_link_reply_patiently(u8 node, u32 req, int error, const void *data, size_t len)
{
	int tries, err;

	for (tries = 0; tries < 1000; tries++) {
		err = dvmm_link_reply(node, req, error, data, len);
		if (err != -ENOBUFS)
			break;
		usleep_range(1000, 2000);
	}
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_link_reply_patiently);

bool dvmm_link_is_up(u8 node)
{
	struct link *link;
	bool up;

	rcu_read_lock();
	link = link_peek(node);
	up = link && state_is_up(READ_ONCE(link->state));
	rcu_read_unlock();
	return up;
}
EXPORT_SYMBOL_GPL(dvmm_link_is_up);

u64 dvmm_link_rtt_ns(u8 node)
{
	struct link *link;
	u64 rtt_ns = 0;

	rcu_read_lock();
	link = link_peek(node);
	if (link)
		rtt_ns = READ_ONCE(link->rtt_ns);
	rcu_read_unlock();
	return rtt_ns ?: 1;
}
EXPORT_SYMBOL_GPL(dvmm_link_rtt_ns);

void dvmm_link_fail(u8 node, const char *reason)
{
	struct conn *conn = NULL;
	struct link *link;

	rcu_read_lock();
	link = link_peek(node);
	if (link)
		conn = rcu_dereference(link->conn);
	if (conn)
		conn_failed(conn, "%s", reason);
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(dvmm_link_fail);

/* ---- clock ---- */

/* Two crystals drift apart: about 15 ppm is allowed for. */
static u64 aged_error(const struct clock_sample *sample, u64 now)
{
	return sample->error + ((now - sample->at_tsc) >> 16);
}

void link_set_clock(struct link *link, const struct clock_sample *sample, u64 rtt_ns)
{
	spin_lock_irq(&link->lock);
	if (!link->clock.error || sample->error <= aged_error(&link->clock, sample->at_tsc))
		link->clock = *sample;
	if (!link->rtt_ns || rtt_ns < link->rtt_ns)
		WRITE_ONCE(link->rtt_ns, rtt_ns);
	spin_unlock_irq(&link->lock);
}

static int get_clock(struct link *link, s64 *out_offset, u64 *out_error)
{
	unsigned long flags;
	int err = -ENOTCONN;

	spin_lock_irqsave(&link->lock, flags);
	if (link->clock.error && state_is_up(link->state)) {
		*out_offset = link->clock.offset;
		*out_error = aged_error(&link->clock, rdtsc_ordered());
		err = 0;
	}
	spin_unlock_irqrestore(&link->lock, flags);
	return err;
}

int dvmm_link_clock(u8 node, s64 *out_offset, u64 *out_error)
{
	int err = -ENOTCONN;
	struct link *link;

	rcu_read_lock();
	link = link_peek(node);
	if (link)
		err = get_clock(link, out_offset, out_error);
	rcu_read_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_link_clock);

/* ---- ioctls ---- */

static int link_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		link_close(file->private_data);
	return 0;
}

static const struct file_operations link_fops = {
	.owner = THIS_MODULE,
	.release = link_release,
};

static int check_add(const struct dvmm_link_add *add)
{
	if (add->reserved || add->node_id >= DVMM_MAX_NODES || !name_is_good(add->name))
		return -EINVAL;
	if (add->lost_after_ms && (add->lost_after_ms < LOST_AFTER_MIN_MS ||
				   add->lost_after_ms > LOST_AFTER_MAX_MS))
		return -EINVAL;
	return addr_check(&add->addr);
}

/* self_node.lock held */
static struct link *create(const struct dvmm_link_add *add)
{
	if (self_node.id == DVMM_NO_NODE)
		return ERR_PTR(-ENOTCONN);
	if (self_node.id == add->node_id)
		return ERR_PTR(-EINVAL);
	return link_create(&self_node, add->node_id, &add->addr, add->name,
			   add->lost_after_ms ?: LOST_AFTER_MS, &rdma_transport);
}

long link_ioctl_add(struct file *file, void *arg)
{
	struct dvmm_link_add *add = arg;
	struct dvmm_new_fd new_fd;
	struct link *link;
	int err = check_add(add);

	if (err)
		return err;
	err = dvmm_fd_alloc(&new_fd, "[dvmm-link]", &link_fops, NULL, O_RDWR);
	if (err)
		return err;
	mutex_lock(&self_node.lock);
	link = create(add);
	mutex_unlock(&self_node.lock);
	if (IS_ERR(link)) {
		dvmm_fd_abort(&new_fd);
		return PTR_ERR(link);
	}
	new_fd.file->private_data = link;
	add->out_fd = new_fd.fd;
	dvmm_fd_install(&new_fd);
	return 0;
}

static void describe(struct link *link, struct dvmm_link_get *get)
{
	get_clock(link, &get->out_clock_offset, &get->out_clock_error);
	spin_lock_irq(&link->lock);
	get->out_state = link->state;
	get->out_rtt_ns = link->rtt_ns;
	get->out_addr = link->addr;
	memcpy(get->out_name, link->name, sizeof(get->out_name));
	memcpy(get->out_reason, link->reason, sizeof(get->out_reason));
	spin_unlock_irq(&link->lock);
}

long link_ioctl_get(struct file *file, void *arg)
{
	struct dvmm_link_get *get = arg;
	struct link *link;

	if (get->node_id >= DVMM_MAX_NODES)
		return -EINVAL;
	link = link_get(&self_node, get->node_id);
	if (!link)
		return -ENOENT;
	describe(link, get);
	link_put(link);
	return 0;
}

int link_init(void)
{
	link_wq = alloc_workqueue("dvmm_link", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return link_wq ? 0 : -ENOMEM;
}

void link_exit(void)
{
	/* kfree_rcu() of the last links needs nothing of this module. */
	destroy_workqueue(link_wq);
}
