// SPDX-License-Identifier: GPL-2.0-only
/* kmod/transport/rdma/cm.c - how two queue pairs to a peer come up and go down, by
 * the RDMA connection manager: first the one for messages, then the one for pages.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/random.h>
#include "internal.h"

#define RESOLVE_MS 2000
/* 4.096 us * 2^18, 8 times: a cut of 8 s is bridged, and found out after it. */
#define ACK_TIMEOUT 18
#define RETRIES 7

void addr_to_sockaddr(const struct dvmm_addr *addr, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = addr->family;
	if (addr->family == AF_INET6) {
		in6->sin6_port = htons(addr->port);
		memcpy(&in6->sin6_addr, addr->addr, 16);
	} else {
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->addr, 4);
	}
}

/* conn->lock held */
static int connect_chan(struct rdma_chan *chan)
{
	const struct link *link = chan->conn->base.link;
	struct rdma_hi hi = {
		.magic = cpu_to_le32(DVMM_WIRE_MAGIC),
		.version = cpu_to_le32(link->self->wire_version),
		.node_id = cpu_to_le32(link->self->id),
		.peer_id = cpu_to_le32(link->peer),
		.channel = cpu_to_le32(chan->channel),
		.nonce = cpu_to_le64(chan->conn->nonce),
	};
	struct rdma_conn_param param = {
		.private_data = &hi,
		.private_data_len = sizeof(hi),
		.retry_count = RETRIES,
		.rnr_retry_count = RETRIES,
	};

	return rdma_chan_prepare(chan) ?:
	       rdma_set_ack_timeout(chan->id, ACK_TIMEOUT) ?:
	       rdma_connect_locked(chan->id, &param);
}

static int on_event(struct rdma_cm_id *id, struct rdma_cm_event *event);

static int resolve_chan(struct rdma_chan *chan)
{
	const struct link *link = chan->conn->base.link;
	struct dvmm_addr from = link->self->listen;
	struct sockaddr_storage src, dst;

	from.port = 0;
	addr_to_sockaddr(&from, &src);
	addr_to_sockaddr(&link->addr, &dst);
	chan->id = rdma_create_id(&init_net, on_event, chan, RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(chan->id)) {
		int err = PTR_ERR(chan->id);

		chan->id = NULL;
		return err;
	}
	return rdma_resolve_addr(chan->id, (struct sockaddr *)&src, (struct sockaddr *)&dst, RESOLVE_MS);
}

int cm_connect(struct link *link)
{
	struct rdma_conn *conn = rdma_conn_create(link);
	int err;

	if (!conn)
		return -ENOMEM;
	get_random_bytes(&conn->nonce, sizeof(conn->nonce));
	mutex_lock(&conn->lock);
	err = link_attach(link, &conn->base);
	if (err) {
		mutex_unlock(&conn->lock);
		rdma_conn_free(&conn->base);
		link_put(link);
		return err;
	}
	err = resolve_chan(&conn->chan[CHANNEL_MSG]);
	mutex_unlock(&conn->lock);
	if (err)
		conn_failed(&conn->base, "cannot resolve its address: error %d", err);
	return 0;
}

/* conn->lock held */
static int on_established(struct rdma_chan *chan)
{
	struct rdma_conn *conn = chan->conn;
	struct rdma_chan *pages = &conn->chan[CHANNEL_PAGE];

	chan->established = true;
	if (chan->channel == CHANNEL_MSG && link_connects(conn->base.link))
		return resolve_chan(pages);
	if (conn->chan[CHANNEL_MSG].established && pages->established)
		conn_established(&conn->base);
	return 0;
}

static void on_rejected(struct rdma_chan *chan, struct rdma_cm_event *event)
{
	struct conn *conn = &chan->conn->base;
	char reason[DVMM_REASON_SIZE];
	const struct rdma_no *no;
	u8 len = 0;

	no = rdma_consumer_reject_data(chan->id, event, &len);
	if (!no || len < sizeof(*no) || le32_to_cpu(no->magic) != DVMM_WIRE_MAGIC) {
		conn_failed(conn, "no answer from a node: %s", rdma_reject_msg(chan->id, event->status));
		return;
	}
	snprintf(reason, sizeof(reason), "refused by n%u: %.*s", conn->link->peer,
		 (int)strnlen(no->reason, sizeof(no->reason) - 24), no->reason);
	if (le32_to_cpu(no->error) == EBUSY)
		conn_failed(conn, "%s", reason);
	else
		conn_refused(conn, reason);
}

/* conn->lock held */
static void handle(struct rdma_chan *chan, struct rdma_cm_event *event)
{
	struct conn *conn = &chan->conn->base;
	int err = 0;

	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		err = rdma_resolve_route(chan->id, RESOLVE_MS);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		err = connect_chan(chan);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		err = on_established(chan);
		break;
	case RDMA_CM_EVENT_REJECTED:
		on_rejected(chan, event);
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		/* What came before it is heard before it: a BYE, a refusal. */
		ib_drain_rq(chan->id->qp);
		conn_failed(conn, "the peer disconnected");
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		conn_failed(conn, "the RDMA device is gone");
		break;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
	case RDMA_CM_EVENT_CONNECT_RESPONSE:
		break;
	default:
		conn_failed(conn, "%s (%d)", rdma_event_msg(event->event), event->status);
	}
	if (err)
		conn_failed(conn, "%s: error %d", rdma_event_msg(event->event), err);
}

static int on_event(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct rdma_chan *chan = id->context;
	struct rdma_conn *conn = chan->conn;

	mutex_lock(&conn->lock);
	if (!conn->closing)
		handle(chan, event);
	mutex_unlock(&conn->lock);
	return 0;
}

/* ---- the listening side ---- */

static int reject(struct rdma_cm_id *id, int error, const char *reason)
{
	struct rdma_no no = {
		.magic = cpu_to_le32(DVMM_WIRE_MAGIC),
		.error = cpu_to_le32(error),
	};

	strscpy(no.reason, reason, sizeof(no.reason));
	rdma_reject(id, &no, sizeof(no), IB_CM_REJ_CONSUMER_DEFINED);
	return -error; /* the id is destroyed by the caller */
}

/* conn->lock held. The id is the connection's from here on, also on failure. */
static int accept(struct rdma_chan *chan, struct rdma_cm_id *id)
{
	struct rdma_conn_param param = { .rnr_retry_count = RETRIES };

	chan->id = id;
	/* It has those of the listener, whose context is another struct. */
	id->context = chan;
	id->event_handler = on_event;
	return rdma_chan_prepare(chan) ?: rdma_set_ack_timeout(id, ACK_TIMEOUT) ?:
	       rdma_accept(id, &param);
}

/* The first queue pair makes the connection. */
static int accept_first(struct link *link, struct rdma_cm_id *id, const struct rdma_hi *hi)
{
	struct rdma_conn *conn = rdma_conn_create(link);
	int err;

	if (!conn)
		return reject(id, EBUSY, "out of memory");
	conn->nonce = le64_to_cpu(hi->nonce);
	mutex_lock(&conn->lock);
	err = link_attach(link, &conn->base);
	if (err) {
		mutex_unlock(&conn->lock);
		rdma_conn_free(&conn->base);
		link_put(link);
		return reject(id, EBUSY, "another connection is there");
	}
	err = accept(&conn->chan[CHANNEL_MSG], id);
	mutex_unlock(&conn->lock);
	if (err)
		conn_failed(&conn->base, "cannot accept: error %d", err);
	return 0;
}

static int accept_second(struct link *link, struct rdma_cm_id *id, const struct rdma_hi *hi)
{
	struct rdma_conn *conn;
	int err = -ENOTCONN;

	spin_lock_irq(&link->lock);
	conn = rcu_access_pointer(link->conn) ? to_rdma(rcu_dereference_protected(link->conn, 1)) : NULL;
	if (conn && !refcount_inc_not_zero(&conn->ref))
		conn = NULL;
	spin_unlock_irq(&link->lock);
	if (!conn)
		return reject(id, EBUSY, "no such connection");
	mutex_lock(&conn->lock);
	if (!conn->closing && conn->nonce == le64_to_cpu(hi->nonce) && !conn->chan[CHANNEL_PAGE].id) {
		err = accept(&conn->chan[CHANNEL_PAGE], id);
		if (err)
			conn_failed(&conn->base, "cannot accept: error %d", err);
		err = 0;
	}
	mutex_unlock(&conn->lock);
	rdma_conn_put(conn);
	return err ? reject(id, EBUSY, "no such connection") : 0;
}

/* Once for each claimed number, so that strangers cannot flood the readers. */
static int reject_stranger(struct identity *node, struct rdma_cm_id *id, u32 claimed)
{
	char reason[DVMM_REASON_SIZE];

	snprintf(reason, sizeof(reason), "n%u is not a configured peer of n%u", claimed, node->id);
	node_stat_add(DVMM_STAT_NODE_links_refused, 1);
	if (claimed < DVMM_MAX_NODES && !test_and_set_bit(claimed, node->strangers))
		dvmm_event(DVMM_EVENT_LINK_REFUSED, claimed, 0, "%s", reason);
	return reject(id, EACCES, reason);
}

static int reject_version(struct link *link, struct rdma_cm_id *id, u32 version)
{
	char reason[DVMM_REASON_SIZE];

	snprintf(reason, sizeof(reason), "wire versions differ: n%u has %u, n%u has %u",
		 link->peer, version, link->self->id, link->self->wire_version);
	link_refuse(link, reason);
	return reject(id, EPROTONOSUPPORT, reason);
}

static int request_for_link(struct link *link, struct rdma_cm_id *id, const struct rdma_hi *hi)
{
	if (le32_to_cpu(hi->version) != link->self->wire_version)
		return reject_version(link, id, le32_to_cpu(hi->version));
	if (link_connects(link))
		return reject(id, EACCES, "the node with the lower id connects");
	return le32_to_cpu(hi->channel) == CHANNEL_MSG ? accept_first(link, id, hi) :
							 accept_second(link, id, hi);
}

int cm_request(struct identity *node, struct rdma_cm_id *id, const struct rdma_cm_event *event)
{
	const struct rdma_hi *hi = event->param.conn.private_data;
	struct link *link;
	u32 claimed;
	int err;

	if (!hi || event->param.conn.private_data_len < sizeof(*hi) ||
	    le32_to_cpu(hi->magic) != DVMM_WIRE_MAGIC)
		return reject(id, EPROTO, "not a dvmm node");
	claimed = le32_to_cpu(hi->node_id);
	link = claimed < DVMM_MAX_NODES ? link_get(node, claimed) : NULL;
	if (!link)
		return reject_stranger(node, id, claimed);
	err = request_for_link(link, id, hi);
	link_put(link);
	return err;
}
