// SPDX-License-Identifier: GPL-2.0-only
/* kmod/transport/rdma/send.c - slots, mapped beforehand, and how they are posted. */
#include <linux/slab.h>
#include "internal.h"

static struct rdma_slot *to_rdma_slot(struct tx_slot *slot)
{
	return container_of(slot, struct rdma_slot, base);
}

static struct ib_device *device_of(struct conn *conn)
{
	return to_rdma(conn)->pd->device;
}

static void on_sent(struct ib_cq *cq, struct ib_wc *wc)
{
	struct rdma_slot *slot = container_of(wc->wr_cqe, struct rdma_slot, cqe);
	struct conn *conn = slot->base.conn;

	if (wc->status != IB_WC_SUCCESS && wc->status != IB_WC_WR_FLUSH_ERR)
		conn_failed(conn, "cannot send: %s", ib_wc_status_msg(wc->status));
	if (slot->base.page)
		ib_dma_unmap_page(device_of(conn), slot->dma, PAGE_SIZE, DMA_TO_DEVICE);
	conn_sent(conn, &slot->base);
}

static int map_page(struct rdma_slot *slot)
{
	struct ib_device *device = device_of(slot->base.conn);

	slot->dma = ib_dma_map_page(device, slot->base.page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	return ib_dma_mapping_error(device, slot->dma) ? -EIO : 0;
}

int send_post(struct conn *conn, struct tx_slot *base, bool signal)
{
	struct rdma_chan *chan = &to_rdma(conn)->chan[base->channel];
	struct rdma_slot *slot = to_rdma_slot(base);
	struct ib_sge sge = { .length = base->len, .lkey = to_rdma(conn)->pd->local_dma_lkey };
	struct ib_send_wr wr = {
		.wr_cqe = &slot->cqe,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IB_WR_SEND,
		.send_flags = signal ? IB_SEND_SIGNALED : 0,
	};
	int err;

	if (base->page) {
		err = map_page(slot);
		if (err)
			return err;
		wr.opcode = IB_WR_SEND_WITH_IMM;
		wr.ex.imm_data = cpu_to_be32(base->imm);
	} else {
		ib_dma_sync_single_for_device(device_of(conn), slot->dma, base->len, DMA_TO_DEVICE);
	}
	sge.addr = slot->dma;
	err = ib_post_send(chan->id->qp, &wr, NULL);
	if (err && base->page)
		ib_dma_unmap_page(device_of(conn), slot->dma, PAGE_SIZE, DMA_TO_DEVICE);
	return err;
}

static int add_slot(struct rdma_chan *chan, u8 size_class, u32 bytes)
{
	struct conn *conn = &chan->conn->base;
	struct rdma_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL);

	if (!slot)
		return -ENOMEM;
	slot->base.conn = conn;
	slot->base.channel = chan->channel;
	slot->base.size_class = size_class;
	slot->cqe.done = on_sent;
	if (bytes) {
		slot->base.buf = kmalloc(bytes, GFP_KERNEL);
		if (!slot->base.buf)
			goto free_slot;
		slot->dma = ib_dma_map_single(device_of(conn), slot->base.buf, bytes, DMA_TO_DEVICE);
		if (ib_dma_mapping_error(device_of(conn), slot->dma))
			goto free_buf;
	}
	tx_add_slot(&conn->tx[chan->channel], &slot->base);
	return 0;

free_buf:
	kfree(slot->base.buf);
free_slot:
	kfree(slot);
	return -ENOMEM;
}

static int add_slots(struct rdma_chan *chan, u8 size_class, u32 bytes, u32 count)
{
	int err = 0;

	while (count-- && !err)
		err = add_slot(chan, size_class, bytes);
	return err;
}

int send_slots_create(struct rdma_chan *chan)
{
	int err = 0;
	u8 class;

	if (chan->channel == CHANNEL_PAGE)
		return add_slots(chan, 0, 0, NR_PAGE_SLOTS);
	for (class = 0; class < NR_SIZE_CLASSES && !err; class++)
		err = add_slots(chan, class, tx_slot_bytes(class), tx_slot_count(class));
	return err;
}

void send_slots_destroy(struct rdma_chan *chan)
{
	struct conn *conn = &chan->conn->base;
	struct tx_slot *base;

	while ((base = tx_take_slot(&conn->tx[chan->channel]))) {
		struct rdma_slot *slot = to_rdma_slot(base);

		if (base->buf)
			ib_dma_unmap_single(device_of(conn), slot->dma,
					    tx_slot_bytes(base->size_class), DMA_TO_DEVICE);
		kfree(base->buf);
		kfree(slot);
	}
}
