// SPDX-License-Identifier: GPL-2.0-only
/* kmod/transport/rdma/recv.c - receive buffers: posted, filled, given up, posted
 * anew. A received page goes to the service for good and another one is posted.
 */
#include <linux/slab.h>
#include "internal.h"

static struct ib_device *device_of(const struct rdma_rx *rx)
{
	return rx->chan->conn->pd->device;
}

static int post(struct rdma_rx *rx)
{
	struct ib_sge sge = {
		.addr = rx->dma,
		.length = rx->buf ? DVMM_MSG_MAX : PAGE_SIZE,
		.lkey = rx->chan->conn->pd->local_dma_lkey,
	};
	struct ib_recv_wr wr = { .wr_cqe = &rx->cqe, .sg_list = &sge, .num_sge = 1 };

	return ib_post_recv(rx->chan->id->qp, &wr, NULL);
}

static void repost(struct rdma_rx *rx)
{
	struct conn *conn = &rx->chan->conn->base;
	int err = post(rx);

	if (err)
		conn_failed(conn, "cannot post a receive buffer: error %d", err);
	else
		conn_reposted(conn, rx->chan->channel);
}

/* True: @wc is a received message or page. */
static bool is_good(struct rdma_rx *rx, const struct ib_wc *wc)
{
	if (wc->status == IB_WC_SUCCESS)
		return true;
	if (wc->status != IB_WC_WR_FLUSH_ERR)
		conn_failed(&rx->chan->conn->base, "cannot receive: %s", ib_wc_status_msg(wc->status));
	return false;
}

static void on_message(struct ib_cq *cq, struct ib_wc *wc)
{
	struct rdma_rx *rx = container_of(wc->wr_cqe, struct rdma_rx, cqe);

	if (!is_good(rx, wc))
		return;
	ib_dma_sync_single_for_cpu(device_of(rx), rx->dma, wc->byte_len, DMA_FROM_DEVICE);
	conn_received(&rx->chan->conn->base, rx->buf, wc->byte_len);
	ib_dma_sync_single_for_device(device_of(rx), rx->dma, wc->byte_len, DMA_FROM_DEVICE);
	repost(rx);
}

/* ---- pages ---- */

static struct page *take_spare(struct rdma_conn *conn)
{
	struct page *page = NULL;

	spin_lock(&conn->pages_lock);
	if (conn->nr_spare)
		page = conn->spare[--conn->nr_spare];
	spin_unlock(&conn->pages_lock);
	return page;
}

static bool put_spare(struct rdma_conn *conn, struct page *page)
{
	bool room;

	spin_lock(&conn->pages_lock);
	room = conn->nr_spare < NR_SPARE_PAGES;
	if (room)
		conn->spare[conn->nr_spare++] = page;
	spin_unlock(&conn->pages_lock);
	return room;
}

/* While what has come is handled and in the tick: on a host that is short of memory,
 * waiting for a page would keep the link silent for so long that it is lost.
 */
#define GFP_REFILL (GFP_NOWAIT | __GFP_NOWARN)

/* @page: to be used, or NULL. Returns -ENOMEM when rx stays without a page. */
static int give_page(struct rdma_rx *rx, struct page *page, gfp_t gfp)
{
	if (!page)
		page = alloc_page(gfp);
	if (!page)
		page = take_spare(rx->chan->conn);
	if (!page)
		return -ENOMEM;
	rx->dma = ib_dma_map_page(device_of(rx), page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	if (ib_dma_mapping_error(device_of(rx), rx->dma)) {
		__free_page(page);
		return -ENOMEM;
	}
	rx->page = page;
	return 0;
}

static void refill(struct rdma_rx *rx, struct page *page)
{
	struct rdma_conn *conn = rx->chan->conn;

	if (!give_page(rx, page, GFP_REFILL)) {
		repost(rx);
		return;
	}
	/* The tick tries again. The peer has one credit less until then. */
	spin_lock(&conn->pages_lock);
	list_add_tail(&rx->item, &conn->bare);
	spin_unlock(&conn->pages_lock);
}

static struct page *take_page(struct rdma_rx *rx)
{
	struct page *page = rx->page;

	ib_dma_unmap_page(device_of(rx), rx->dma, PAGE_SIZE, DMA_FROM_DEVICE);
	rx->page = NULL;
	return page;
}

static void on_page(struct ib_cq *cq, struct ib_wc *wc)
{
	struct rdma_rx *rx = container_of(wc->wr_cqe, struct rdma_rx, cqe);
	struct conn *conn = &rx->chan->conn->base;
	struct page *page;

	if (!is_good(rx, wc))
		return;
	page = take_page(rx);
	if (wc->byte_len != PAGE_SIZE || !(wc->wc_flags & IB_WC_WITH_IMM)) {
		conn_failed(conn, "broke the protocol: %u bytes on the page channel", wc->byte_len);
		__free_page(page);
		return;
	}
	refill(rx, conn_received_page(conn, be32_to_cpu(wc->ex.imm_data), page));
}

void recv_refill(struct conn *base)
{
	struct rdma_conn *conn = to_rdma(base);
	struct rdma_rx *rx, *next;
	struct page *page;
	LIST_HEAD(bare);

	while (READ_ONCE(conn->nr_spare) < NR_SPARE_PAGES) {
		page = alloc_page(GFP_REFILL);
		if (!page)
			break;
		if (!put_spare(conn, page))
			__free_page(page);
	}
	spin_lock(&conn->pages_lock);
	list_splice_init(&conn->bare, &bare);
	spin_unlock(&conn->pages_lock);
	list_for_each_entry_safe(rx, next, &bare, item)
		refill(rx, NULL);
}

/* ---- make and unmake ---- */

static int make_message_buffer(struct rdma_rx *rx)
{
	rx->cqe.done = on_message;
	rx->buf = kmalloc(DVMM_MSG_MAX, GFP_KERNEL);
	if (!rx->buf)
		return -ENOMEM;
	rx->dma = ib_dma_map_single(device_of(rx), rx->buf, DVMM_MSG_MAX, DMA_FROM_DEVICE);
	if (!ib_dma_mapping_error(device_of(rx), rx->dma))
		return 0;
	kfree(rx->buf);
	rx->buf = NULL;
	return -ENOMEM;
}

static int make_page_buffer(struct rdma_rx *rx)
{
	rx->cqe.done = on_page;
	return give_page(rx, NULL, GFP_KERNEL);
}

int recv_buffers_create(struct rdma_chan *chan)
{
	int err = 0;
	u32 i;

	chan->rx = kvcalloc(chan->nr_rx, sizeof(*chan->rx), GFP_KERNEL);
	if (!chan->rx)
		return -ENOMEM;
	for (i = 0; i < chan->nr_rx && !err; i++) {
		struct rdma_rx *rx = &chan->rx[i];

		rx->chan = chan;
		err = chan->channel == CHANNEL_MSG ? make_message_buffer(rx) : make_page_buffer(rx);
		if (!err)
			err = post(rx);
	}
	return err;
}

static void destroy(struct rdma_rx *rx)
{
	if (rx->buf) {
		ib_dma_unmap_single(device_of(rx), rx->dma, DVMM_MSG_MAX, DMA_FROM_DEVICE);
		kfree(rx->buf);
	}
	if (rx->page)
		__free_page(take_page(rx));
}

void recv_buffers_destroy(struct rdma_chan *chan)
{
	u32 i;

	if (!chan->rx)
		return;
	for (i = 0; i < chan->nr_rx; i++)
		destroy(&chan->rx[i]);
	kvfree(chan->rx);
}
