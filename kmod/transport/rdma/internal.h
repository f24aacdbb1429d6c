/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/transport/rdma/internal.h - what the files of the RDMA transport share.
 *
 * A connection is two RC queue pairs with a completion queue each: messages and
 * pages. No memory is ever opened to the peer: sends and receives only.
 */
#ifndef KMOD_RDMA_INTERNAL_H
#define KMOD_RDMA_INTERNAL_H

#include <rdma/ib_verbs.h>
#include <rdma/ib_cm.h>
#include <rdma/rdma_cm.h>
#include "../../transport.h"

#define NR_PAGE_SLOTS 1024
#define NR_SPARE_PAGES 32

struct rdma_slot {
	struct tx_slot base;
	struct ib_cqe cqe;
	u64 dma; /* messages: as long as the slot; pages: while posted */
};

struct rdma_rx {
	struct ib_cqe cqe;
	struct rdma_chan *chan;
	void *buf; /* messages */
	struct page *page; /* pages */
	u64 dma;
	struct list_head item; /* rdma_conn->bare: has no page */
};

struct rdma_chan {
	struct rdma_conn *conn;
	enum channel channel;
	struct rdma_cm_id *id;
	struct ib_cq *cq;
	struct rdma_rx *rx;
	u32 nr_rx;
	bool established; /* conn->lock */
};

struct rdma_conn {
	struct conn base;
	refcount_t ref; /* the link's, and accept_second() for a moment */
	struct rdma_chan chan[NR_CHANNELS];
	struct ib_pd *pd;
	u64 nonce; /* says which two queue pairs belong together */
	struct mutex lock; /* handlers of the connection manager against close */
	bool closing; /* lock */

	spinlock_t pages_lock;
	struct page *spare[NR_SPARE_PAGES]; /* pages_lock */
	u32 nr_spare; /* pages_lock */
	struct list_head bare; /* pages_lock */
};

static inline struct rdma_conn *to_rdma(struct conn *conn)
{
	return container_of(conn, struct rdma_conn, base);
}

/* In the private data of a connection request. */
struct rdma_hi {
	__le32 magic;
	__le32 version;
	__le32 node_id;
	__le32 peer_id;
	__le32 channel;
	__le32 reserved;
	__le64 nonce;
};
static_assert(sizeof(struct rdma_hi) <= 56);

/* In the private data of a rejection. */
struct rdma_no {
	__le32 magic;
	__le32 error;
	char reason[DVMM_REASON_SIZE];
};
static_assert(sizeof(struct rdma_no) <= 148);

/* cm.c */
int cm_connect(struct link *link);
int cm_request(struct identity *node, struct rdma_cm_id *id, const struct rdma_cm_event *event);
void addr_to_sockaddr(const struct dvmm_addr *addr, struct sockaddr_storage *out);

/* conn.c */
struct rdma_conn *rdma_conn_create(struct link *link);
int rdma_chan_prepare(struct rdma_chan *chan); /* queue pair and buffers; id has a device */
void rdma_conn_close(struct conn *conn);
void rdma_conn_put(struct rdma_conn *conn);
void rdma_conn_free(struct conn *conn); /* gives up the link's reference */

/* send.c */
int send_slots_create(struct rdma_chan *chan);
void send_slots_destroy(struct rdma_chan *chan);
int send_post(struct conn *conn, struct tx_slot *slot, bool signal);

/* recv.c */
int recv_buffers_create(struct rdma_chan *chan);
void recv_buffers_destroy(struct rdma_chan *chan);
void recv_refill(struct conn *conn);

#endif
