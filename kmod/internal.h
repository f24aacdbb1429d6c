/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/internal.h - what the files of this folder share. */
#ifndef KMOD_INTERNAL_H
#define KMOD_INTERNAL_H

#ifdef pr_fmt
#undef pr_fmt
#endif
#define pr_fmt(fmt) "dvmm: " fmt

#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include "kmod.h"

struct conn;
struct crypto_shash;
struct event_reader;
struct listener;
struct transport;

/* An identity in a cluster. A host has one; tests make more. */
struct identity {
	struct mutex lock; /* serialises DVMM_NODE_SET, DVMM_EPOCH_SET and DVMM_LINK_ADD */
	u8 id; /* DVMM_NO_NODE until it is set */
	u64 epoch; /* lock for writing */
	u64 members; /* lock; bit n = node n */
	u32 wire_version; /* what we say to peers */
	u8 cluster_uuid[DVMM_UUID_SIZE];
	u8 uuid[DVMM_UUID_SIZE];
	struct dvmm_addr listen;
	char name[DVMM_NAME_SIZE];
	struct crypto_shash *key;
	struct listener *listener;
	spinlock_t links_lock;
	struct link __rcu *links[DVMM_MAX_NODES]; /* links_lock */
	u32 nr_links; /* links_lock */
	DECLARE_BITMAP(strangers, DVMM_MAX_NODES); /* refused, and told so */
	struct dvmm_stats *stats;
};

/* Offset of a peer's TSC, known with an error that grows with its age. */
struct clock_sample {
	s64 offset;
	u64 error; /* ticks; 0: not measured */
	u64 at_tsc;
};

/* Later than all others: what a node says that is no member comes from before it is one. */
#define NO_EPOCH U64_MAX

/* What this node keeps of a peer, over all connections to it. */
struct link {
	struct rcu_head rcu;
	refcount_t ref;
	struct identity *self;
	u8 peer;
	u32 lost_after_ms;
	u64 since; /* lock for writing; epoch in which the peer became a member, or NO_EPOCH */
	struct dvmm_addr addr;
	char name[DVMM_NAME_SIZE];
	const struct transport *transport;
	struct dvmm_stats *stats;

	spinlock_t lock; /* any context; order: tx->lock -> conn->lock -> lock */
	enum dvmm_link_state state; /* lock for writing */
	struct conn __rcu *conn; /* lock for writing */
	bool closing; /* lock */
	char reason[DVMM_REASON_SIZE]; /* lock; why it is not up */
	char announced[DVMM_REASON_SIZE]; /* lock; the refusal readers know of */
	struct clock_sample clock; /* lock */
	u64 rtt_ns; /* lock for writing */

	struct delayed_work work; /* the only one to connect and to tear down */
	unsigned long next_try; /* work; jiffies */
	unsigned int backoff_ms; /* work */

	struct xarray requests; /* number -> struct request */
	u32 next_request; /* xa_lock */
};

/* node.c */
extern struct identity self_node;
int node_init(struct identity *node);
void node_destroy(struct identity *node); /* all links are gone */
int node_set_key(struct identity *node, const u8 *key);
long node_ioctl_set(struct file *file, void *arg);
long node_ioctl_get(struct file *file, void *arg);
int addr_check(const struct dvmm_addr *addr);
bool name_is_good(const char *name);
static inline void node_stat_add(u32 nr, s64 amount)
{
	if (self_node.stats)
		dvmm_stat_add(self_node.stats, nr, amount);
}

/* epoch.c */
int epoch_set(struct identity *node, u64 epoch, u64 members);
long epoch_ioctl_set(struct file *file, void *arg);

/* link.c */
struct link *link_create(struct identity *self, u8 peer, const struct dvmm_addr *addr,
			 const char *name, u32 lost_after_ms, const struct transport *transport);
void link_close(struct link *link); /* says goodbye, takes it away; may sleep */
struct link *link_get(struct identity *self, u8 peer); /* or NULL; link_put() */
void link_put(struct link *link);
int link_attach(struct link *link, struct conn *conn); /* -EBUSY: it has one */
void link_kick(struct link *link); /* look at the connection now; any context */
bool link_connects(const struct link *link); /* this side, or does it listen? */
void link_admit(struct link *link, u64 epoch); /* its peer is a member since then; may sleep */
void link_expel(struct link *link, u64 epoch); /* its peer is none any more: it is lost; may sleep */
int link_send(struct link *link, const struct dvmm_msg *msg, u32 req, u32 status);
int link_send_page(struct link *link, u32 imm, struct page *page);
void link_set_clock(struct link *link, const struct clock_sample *sample, u64 rtt_ns);
void link_set_up(struct link *link); /* handshake is done; receive context */
void link_refuse(struct link *link, const char *reason); /* before there was a connection */
void link_set_suspect(struct link *link); /* its peer is silent */
void link_set_heard(struct link *link); /* a suspect peer spoke */
long link_ioctl_add(struct file *file, void *arg);
long link_ioctl_get(struct file *file, void *arg);
int link_init(void);
void link_exit(void);
extern struct workqueue_struct *link_wq;

/* request.c */
int request_send(struct link *link, const struct dvmm_msg *msg, void *reply,
		 size_t reply_len, size_t *out_len, u32 timeout_ms);
void request_answer(struct link *link, const struct dvmm_msg_hdr *hdr,
		    const void *data, size_t len);
void request_fail_all(struct link *link);

/* defer.c */
int defer_init(void);
void defer_exit(void); /* no service is left */
void defer_flush(void); /* what was deferred before is done. May sleep */

/* service.c */
int service_message(struct link *link, const struct dvmm_msg_hdr *hdr,
		    const void *payload, size_t len);
int service_page(struct link *link, u32 imm, struct page **page);
void service_link_up(u8 node);
void service_link_lost(u8 node);

/* auth.c: HMAC over both HELLOs */
int auth_mac(struct identity *self, char role, const struct dvmm_msg_hello *prover,
	     const struct dvmm_msg_hello *verifier, u8 *out_mac);
bool auth_check(struct identity *self, char role, const struct dvmm_msg_hello *prover,
		const struct dvmm_msg_hello *verifier, const u8 *mac);

/* stat.c, event.c, ioctl.c, chardev.c */
u32 stats_count(u32 kind);
long stat_ioctl_get(struct file *file, void *arg);
struct event_reader *event_reader_create(void);
void event_reader_free(struct event_reader *reader);
ssize_t event_read(struct event_reader *reader, char __user *to, size_t room, bool nonblock);
__poll_t event_poll(struct event_reader *reader, struct file *file, poll_table *wait);
const struct dvmm_ioctl *ioctl_find(const struct dvmm_ioctl *table, size_t nr, unsigned int cmd);
int chardev_init(void);
void chardev_exit(void);

#endif
