/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/transport.h - between the link layer and what carries it (RDMA, loop).
 *
 * A connection has two channels, messages and pages; each delivers in order or
 * breaks the connection. The link layer (conn.c, queue.c) does handshake,
 * credits, heartbeat and queues; a transport moves slots and gives received
 * buffers up.
 */
#ifndef KMOD_TRANSPORT_H
#define KMOD_TRANSPORT_H

#include "internal.h"

enum channel { CHANNEL_MSG, CHANNEL_PAGE, NR_CHANNELS };

/* Receive buffers each side posts before it says HELLO. */
#define NR_MSG_BUFFERS 64
#define NR_PAGE_BUFFERS 128
/* At most so many sends are handed to the transport and not completed. */
#define NR_POSTED 128

/* One message or page on its way out. Preallocated for what is usual: see queue.c. */
struct tx_slot {
	struct list_head item; /* tx->lock: free, waiting or posted list */
	struct conn *conn;
	u8 channel;
	u8 size_class; /* messages */
	u32 len;
	void *buf; /* messages */
	struct page *page; /* pages; referenced */
	u32 imm; /* pages */
};

#define NR_SIZE_CLASSES 3

struct tx {
	spinlock_t lock; /* any context */
	bool open; /* lock */
	bool signal_all; /* lock */
	u32 credits; /* lock; free receive buffers of the peer */
	u32 nr_posted; /* lock */
	u32 nr_unsignalled; /* lock; since the last that asked for a completion */
	struct list_head free[NR_SIZE_CLASSES]; /* lock */
	struct list_head waiting; /* lock; in order */
	struct list_head posted; /* lock; in order */
	struct list_head late; /* lock; in order, behind those that wait: found no slot */
	u32 nr_late; /* lock */
	wait_queue_head_t idle; /* nothing waits or is posted */
};

enum conn_phase {
	CONN_HELLO, /* waits for the peer's HELLO */
	CONN_PROOF, /* waits for its PROOF */
	CONN_CLOCK, /* proven; measures the clock; waits for the peer's READY */
	CONN_OPEN,
};

/* One connection; it ends with its first error. */
struct conn {
	struct link *link; /* referenced */
	const struct transport *transport;
	struct tx tx[NR_CHANNELS];
	atomic_t owed[NR_CHANNELS]; /* credits to give back */
	atomic_t rx_count; /* messages and pages; read by the tick */
	atomic_t tx_count;

	/* Handshake; receive context of the message channel. */
	enum conn_phase phase;
	bool peer_ready;
	int clock_left; /* round trips to do */
	u64 clock_sent; /* TSC of the one under way, or 0 */
	struct mutex hello_lock;
	struct dvmm_msg_hello hello; /* ours; hello_lock; set once */
	bool hello_sent; /* hello_lock */
	struct dvmm_msg_hello peer_hello;
	struct completion opened; /* or failed */

	spinlock_t lock; /* any context; inside tx->lock */
	bool failed; /* lock */
	bool refused; /* lock; by either side */
	bool orderly; /* lock; by BYE */
	bool linger; /* lock; let what is queued go out first */
	char reason[DVMM_REASON_SIZE]; /* lock; of the first failure */

	/* Tick; link->work. */
	unsigned long last_tick; /* jiffies */
	int last_rx, last_tx;
	u32 silent_ticks, open_ticks, handshake_ticks;
};

/**
 * struct transport - what carries connections
 * @connect: start one for @link, in process context; it is attached to the link
 *	and ends by conn_established() or conn_failed()
 * @post: send; tx->lock is held, any context. @signal: call conn_sent() when
 *	this and all before it have left. An error breaks the connection
 * @poll: from the tick, process context: repair what could not be done at once
 * @close: no upcall any more when it returns; may sleep; frees all but @conn
 * @free: free @conn
 */
struct transport {
	const char *name;
	int (*connect)(struct link *link);
	int (*post)(struct conn *conn, struct tx_slot *slot, bool signal);
	void (*poll)(struct conn *conn);
	void (*close)(struct conn *conn);
	void (*free)(struct conn *conn);
};

/* conn.c: called by transports */
void conn_init(struct conn *conn, struct link *link, const struct transport *transport);
void conn_established(struct conn *conn); /* both channels can send; process context */
__printf(2, 3)
void conn_failed(struct conn *conn, const char *fmt, ...); /* any context */
void conn_received(struct conn *conn, const void *buf, size_t len); /* process context, one at a time */
/* Process context, one at a time. Returns the page to receive into next, or NULL. */
struct page *conn_received_page(struct conn *conn, u32 imm, struct page *page);
void conn_reposted(struct conn *conn, enum channel channel); /* a receive buffer is free again */

/* conn.c: called by link.c */
void conn_tick(struct conn *conn);
void conn_bye(struct conn *conn);
void conn_refused(struct conn *conn, const char *reason);
bool conn_has_failed(struct conn *conn);

/* queue.c */
void tx_init(struct tx *tx);
void tx_add_slot(struct tx *tx, struct tx_slot *slot); /* before it opens */
struct tx_slot *tx_take_slot(struct tx *tx); /* after it closed; NULL: none left */
u32 tx_slot_bytes(u8 size_class);
u32 tx_slot_count(u8 size_class);
void tx_open(struct conn *conn);
void tx_close(struct conn *conn);
void tx_signal_all(struct conn *conn);
void tx_wait_idle(struct conn *conn, u32 timeout_ms);
int tx_send(struct conn *conn, const struct dvmm_msg *msg, u32 req, u32 status);
int tx_send_first(struct conn *conn, const struct dvmm_msg *msg); /* before all that waits, by the last credit */
int tx_send_page(struct conn *conn, u32 imm, struct page *page);
bool tx_add_credits(struct conn *conn, enum channel channel, u32 nr);
bool tx_first_credits(struct conn *conn, u32 msgs, u32 pages);
void conn_sent(struct conn *conn, struct tx_slot *slot); /* called by transports; any context */

/* transport/rdma/main.c */
extern const struct transport rdma_transport;
int rdma_listen_start(struct identity *node, const struct dvmm_addr *addr);
void rdma_listen_stop(struct identity *node);

#endif
