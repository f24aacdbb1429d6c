// SPDX-License-Identifier: GPL-2.0-only
/* kmod/transport/rdma/conn.c - what a connection owns: protection domain, queue
 * pairs, completion queues, buffers. Make and unmake.
 */
#include <linux/slab.h>
#include "internal.h"

struct rdma_conn *rdma_conn_create(struct link *link)
{
	struct rdma_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	int i;

	if (!conn)
		return NULL;
	refcount_set(&conn->ref, 1);
	mutex_init(&conn->lock);
	spin_lock_init(&conn->pages_lock);
	INIT_LIST_HEAD(&conn->bare);
	for (i = 0; i < NR_CHANNELS; i++) {
		conn->chan[i].conn = conn;
		conn->chan[i].channel = i;
	}
	conn_init(&conn->base, link, &rdma_transport);
	return conn;
}

void rdma_conn_put(struct rdma_conn *conn)
{
	if (refcount_dec_and_test(&conn->ref))
		kfree(conn);
}

void rdma_conn_free(struct conn *conn)
{
	rdma_conn_put(to_rdma(conn));
}

static int make_pd(struct rdma_chan *chan)
{
	struct rdma_conn *conn = chan->conn;

	if (conn->pd)
		return conn->pd->device == chan->id->device ? 0 : -EXDEV;
	conn->pd = ib_alloc_pd(chan->id->device, 0);
	if (!IS_ERR(conn->pd))
		return 0;
	conn->pd = NULL;
	return -ENODEV;
}

static int make_cq(struct rdma_chan *chan)
{
	struct ib_device *device = chan->id->device;
	/* Two more for draining. */
	int nr = NR_POSTED + chan->nr_rx + 2;
	int vector = chan->conn->base.link->peer % device->num_comp_vectors;

	chan->cq = ib_alloc_cq(device, chan, nr, vector, IB_POLL_WORKQUEUE);
	if (!IS_ERR(chan->cq))
		return 0;
	chan->cq = NULL;
	return -ENOMEM;
}

static int make_qp(struct rdma_chan *chan)
{
	struct ib_qp_init_attr attr = {
		.send_cq = chan->cq,
		.recv_cq = chan->cq,
		.cap = {
			.max_send_wr = NR_POSTED + 1,
			.max_recv_wr = chan->nr_rx + 1,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.sq_sig_type = IB_SIGNAL_REQ_WR,
		.qp_type = IB_QPT_RC,
	};

	return rdma_create_qp(chan->id, chan->conn->pd, &attr);
}

int rdma_chan_prepare(struct rdma_chan *chan)
{
	chan->nr_rx = chan->channel == CHANNEL_MSG ? NR_MSG_BUFFERS : NR_PAGE_BUFFERS;
	/* What is made is unmade by close, also after a failure. */
	return make_pd(chan) ?: make_cq(chan) ?: make_qp(chan) ?:
	       send_slots_create(chan) ?: recv_buffers_create(chan);
}

static void close_chan(struct rdma_chan *chan)
{
	if (!chan->id)
		return;
	if (chan->id->qp) {
		rdma_disconnect(chan->id);
		ib_drain_qp(chan->id->qp);
		rdma_destroy_qp(chan->id);
	}
	if (chan->cq)
		ib_free_cq(chan->cq);
	rdma_destroy_id(chan->id);
	if (chan->conn->pd) {
		recv_buffers_destroy(chan);
		send_slots_destroy(chan);
	}
}

void rdma_conn_close(struct conn *base)
{
	struct rdma_conn *conn = to_rdma(base);

	mutex_lock(&conn->lock);
	conn->closing = true;
	mutex_unlock(&conn->lock);
	close_chan(&conn->chan[CHANNEL_MSG]);
	close_chan(&conn->chan[CHANNEL_PAGE]);
	if (conn->pd)
		ib_dealloc_pd(conn->pd);
	while (conn->nr_spare)
		__free_page(conn->spare[--conn->nr_spare]);
}
