/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/kmod.h - the door of dvmm.ko: this node, links to other nodes, objects on
 * file descriptors, counters and events. The layers above include this and
 * nothing else of kmod/.
 */
#ifndef KMOD_H
#define KMOD_H

#include <linux/atomic.h>
#include <linux/file.h>
#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/dvmm.h>
#include <dvmm/event.h>
#include <dvmm/stat.h>
#include <dvmm/wire.h>

/* ---- this node (node.c) ---- */

/** dvmm_node_self() - id of this node, or DVMM_NO_NODE before DVMM_NODE_SET. Any context. */
u8 dvmm_node_self(void);

/** dvmm_node_epoch() - the membership this node acts in. Any context. */
u64 dvmm_node_epoch(void);

/* ---- links (link.c) ---- */

/**
 * struct dvmm_service - who handles a range of message types
 * @message: a message of types first_type..last_type has come; @payload is
 *	after the header, header length and epoch are checked, nothing else. Process
 *	context, one call at a time per link, in the order sent; may take short
 *	sleeping locks, must not wait for a peer, a fault, user space or memory. A
 *	request (hdr->req) that there is no memory for is answered with -ENOBUFS.
 *	Buffer is the caller's. Returns 0, or -EPROTO (any error): the peer broke a
 *	rule and the link is closed as lost.
 * @deferred: as @message, for what it has given to dvmm_defer(); may wait for memory
 * @page: a guest page has come with @imm. Context as @message, but not ordered
 *	against it. The service takes *@page and leaves there what is received into
 *	next: a page of its own that nobody else uses, the same one, or NULL (one is
 *	allocated). On an error the link is closed. Only one service has this.
 * @link_up: the link to @node is up (again). Before the first message. Context as
 *	@message: must not wait for the peer
 * @link_lost: @node is lost: nothing comes from it any more and nothing sent to
 *	it arrives. Process context, may sleep. After the last message.
 */
struct dvmm_service {
	const char *name;
	struct module *owner;
	u16 first_type;
	u16 last_type;
	int (*message)(u8 from, const struct dvmm_msg_hdr *hdr,
		       const void *payload, size_t len);
	int (*deferred)(u8 from, const struct dvmm_msg_hdr *hdr,
			const void *payload, size_t len);
	int (*page)(u8 from, u32 imm, struct page **page);
	void (*link_up)(u8 node);
	void (*link_lost)(u8 node);
};

/** dvmm_service_register() - take messages from now on. May sleep. -EBUSY: range taken */
int dvmm_service_register(const struct dvmm_service *service);
/** dvmm_service_unregister() - returns when no handler of @service runs any more. May sleep. */
void dvmm_service_unregister(const struct dvmm_service *service);

/**
 * dvmm_defer() - have a message handled by service->deferred(), in a worker, one after the
 * other for all services
 *
 * For ->message, which must not wait. The message is copied; if there is no memory for
 * that, a request is answered with -ENOBUFS.
 *
 * Return: 0; -ENOMEM: it has no reply, and is not handled.
 */
int dvmm_defer(const struct dvmm_service *service, u8 from, const struct dvmm_msg_hdr *hdr,
	       const void *payload, size_t len);

/**
 * struct dvmm_msg - a message to send
 * @type: DVMM_MSG_*
 * @vm: VM id or 0
 * @payload, @len: fixed part, copied before the call returns
 * @tail, @tail_len: rest, or NULL; copied too
 */
struct dvmm_msg {
	u16 type;
	u32 vm;
	const void *payload;
	size_t len;
	const void *tail;
	size_t tail_len;
};

/**
 * dvmm_link_send() - send a message that has no reply
 * @node: the peer, not ourselves
 *
 * Any context, also hard interrupt. Order to one peer is kept, over all callers.
 * Waits in a preallocated queue when the peer has no buffer free, and if that is full, in
 * memory that is allocated at once.
 *
 * Return: 0: sent or queued. -ENOTCONN: no link or lost. -EMSGSIZE. -ENOBUFS: the
 * queue is full and there is no memory, or more than some ten thousand messages wait.
 */
int dvmm_link_send(u8 node, const struct dvmm_msg *msg);

/**
 * dvmm_link_send_page() - send 4096 bytes into a fresh page of the peer
 * @page: read until the peer has it; a reference is held that long
 *
 * Any context but hard interrupt. Not ordered against messages.
 * Return: as dvmm_link_send()
 */
int dvmm_link_send_page(u8 node, u32 imm, struct page *page);

/**
 * dvmm_link_request() - send a message and wait for its reply
 * @reply, @reply_len: buffer for the reply's bytes
 * @out_len: bytes the reply had; may be NULL
 * @timeout_ms: deadline; 0 = none (ends by reply, loss or a fatal signal)
 *
 * May sleep; killable. A reply that comes too late is dropped. A peer that has no memory
 * for the request replies -ENOBUFS, and is asked again until the deadline.
 * Return: 0, -status of the reply, -ETIMEDOUT, -ENOTCONN (also when the peer is lost
 * meanwhile), -EINTR (fatal signal), -EMSGSIZE (reply larger than the buffer).
 */
int dvmm_link_request(u8 node, const struct dvmm_msg *msg, void *reply,
		      size_t reply_len, size_t *out_len, u32 timeout_ms);

/**
 * dvmm_link_reply() - answer a request
 * @node, @req: from the request's sender and header
 * @error: 0 or negative errno
 *
 * Any context. Return: as dvmm_link_send(); to be ignored by most.
 */
int dvmm_link_reply(u8 node, u32 req, int error, const void *data, size_t len);

/** dvmm_link_reply_patiently() - the same; may sleep, and waits a second for a full queue */
int dvmm_link_reply_patiently(u8 node, u32 req, int error, const void *data, size_t len);

/** dvmm_link_is_up() - UP or SUSPECT: messages are taken. Any context. */
bool dvmm_link_is_up(u8 node);
/** dvmm_link_rtt_ns() - smallest message round trip seen, at least 1. Any context. */
u64 dvmm_link_rtt_ns(u8 node);
/** dvmm_link_clock() - peer's TSC minus ours and the bound of its error. -ENOTCONN */
int dvmm_link_clock(u8 node, s64 *out_offset, u64 *out_error);
/** dvmm_link_fail() - the peer broke a rule of @reason: close as lost. Any context. */
void dvmm_link_fail(u8 node, const char *reason);

/* ---- ioctls and objects on file descriptors (chardev.c, obj.c) ---- */

/**
 * struct dvmm_ioctl - one entry of a dispatch table
 * @cmd: number with the size of the current struct
 * @min_size: smallest size field accepted
 * @flags: DVMM_IOCTL_*
 * @handler: @arg is the struct, in kernel memory, complete, size checked; what it
 *	writes there is copied back when the cmd has _IOC_READ
 * @arg_flags: what its flags field may have; others are refused
 */
struct dvmm_ioctl {
	unsigned int cmd;
	u32 min_size;
	u32 flags;
	const char *name;
	long (*handler)(struct file *file, void *arg);
	u32 arg_flags;
};
#define DVMM_IOCTL_ADMIN 1 /* needs CAP_SYS_ADMIN */
#define DVMM_IOCTL_EXPLAINS 2 /* out fields are copied back after a failure too */

/** dvmm_ioctl_dispatch() - the one way an ioctl of ours is taken apart. May sleep. -ENOTTY */
long dvmm_ioctl_dispatch(const struct dvmm_ioctl *table, size_t nr,
			 struct file *file, unsigned int cmd, unsigned long arg);

/**
 * dvmm_control_register() - serve more ioctls on /dev/dvmm/control
 * While a table is registered its module is pinned by each open control fd's call only.
 * May sleep. -EEXIST: a cmd is taken.
 */
int dvmm_control_register(const struct dvmm_ioctl *table, size_t nr, struct module *owner);
void dvmm_control_unregister(const struct dvmm_ioctl *table);

/** dvmm_class - device class "dvmm": nodes are made as "dvmm!vm!<uuid>" */
extern struct class *dvmm_class;

/**
 * struct dvmm_new_fd - an fd in the making: allocated, then installed or aborted
 * Allocate with dvmm_fd_alloc(), then dvmm_fd_install() when the object is complete
 * and the number is copied out, or dvmm_fd_abort().
 */
struct dvmm_new_fd {
	int fd;
	struct file *file;
};
int dvmm_fd_alloc(struct dvmm_new_fd *out, const char *name,
		  const struct file_operations *fops, void *priv, int flags);
void dvmm_fd_install(struct dvmm_new_fd *new_fd);
void dvmm_fd_abort(struct dvmm_new_fd *new_fd); /* the file's release is called */

/* ---- counters (stat.c) ---- */

/**
 * struct dvmm_stats - the counters of one object
 * @value: by enum dvmm_stat_node, _link or _vm
 */
struct dvmm_stats {
	u32 kind;
	u32 id;
	u32 nr;
	struct list_head list_item;
	atomic64_t value[];
};

/** dvmm_stats_alloc() - counters of kind DVMM_STAT_*, readable by DVMM_STAT_GET until freed */
struct dvmm_stats *dvmm_stats_alloc(u32 kind, u32 id);
void dvmm_stats_free(struct dvmm_stats *stats);

static inline void dvmm_stat_add(struct dvmm_stats *stats, u32 nr, s64 amount)
{
	atomic64_add(amount, &stats->value[nr]);
}

static inline void dvmm_stat_inc(struct dvmm_stats *stats, u32 nr)
{
	atomic64_inc(&stats->value[nr]);
}

/* ---- events (event.c) ---- */

/** dvmm_event() - tell all readers of control fds, and the log when @kind is bad news. Any context. */
__printf(4, 5)
void dvmm_event(enum dvmm_event_kind kind, u8 node, u32 vm, const char *fmt, ...);

#endif
