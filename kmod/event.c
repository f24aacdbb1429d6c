// SPDX-License-Identifier: GPL-2.0-only
/* kmod/event.c - events: a ring of the last ones, and the readers of the control fds.
 * Which kinds there are is in dvmm/event.tbl.h.
 */
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include "internal.h"

#define NR_KEPT 256

static DEFINE_SPINLOCK(ring_lock);
static struct dvmm_event ring[NR_KEPT]; /* ring_lock */
static u64 next_seq; /* ring_lock for writing */
static DECLARE_WAIT_QUEUE_HEAD(readers);

/* What one open control fd has read. */
struct event_reader {
	struct mutex lock;
	u64 seq; /* lock; the next to read */
};

static bool is_bad_news(enum dvmm_event_kind kind)
{
	switch (kind) {
	case DVMM_EVENT_LINK_REFUSED:
	case DVMM_EVENT_LINK_SUSPECT:
	case DVMM_EVENT_LINK_LOST:
	case DVMM_EVENT_VM_DEAD:
	case DVMM_EVENT_VM_UNSUPPORTED:
	case DVMM_EVENT_SLICE_LOST:
		return true;
	default:
		return false;
	}
}

static void ring_add(struct dvmm_event *event)
{
	unsigned long flags;

	spin_lock_irqsave(&ring_lock, flags);
	event->seq = next_seq;
	ring[next_seq % NR_KEPT] = *event;
	WRITE_ONCE(next_seq, next_seq + 1);
	spin_unlock_irqrestore(&ring_lock, flags);
	wake_up_interruptible(&readers);
}

void dvmm_event(enum dvmm_event_kind kind, u8 node, u32 vm, const char *fmt, ...)
{
	struct dvmm_event event = {
		.size = sizeof(event),
		.kind = kind,
		.time_ns = ktime_get_real_ns(),
		.node_id = node,
		.vm_id = vm,
	};
	va_list args;

	va_start(args, fmt);
	vscnprintf(event.text, sizeof(event.text), fmt, args);
	va_end(args);
	ring_add(&event);
	if (is_bad_news(kind))
		pr_warn("%s\n", event.text);
	else
		pr_info("%s\n", event.text);
}
EXPORT_SYMBOL_GPL(dvmm_event);

struct event_reader *event_reader_create(void)
{
	struct event_reader *reader = kzalloc(sizeof(*reader), GFP_KERNEL);
	u64 next = READ_ONCE(next_seq);

	if (!reader)
		return NULL;
	mutex_init(&reader->lock);
	reader->seq = next > NR_KEPT ? next - NR_KEPT : 0;
	return reader;
}

void event_reader_free(struct event_reader *reader)
{
	kfree(reader);
}

/* Takes the next event the ring still has. */
static bool ring_take(struct event_reader *reader, struct dvmm_event *out)
{
	u64 oldest;
	bool found;

	spin_lock_irq(&ring_lock);
	oldest = next_seq > NR_KEPT ? next_seq - NR_KEPT : 0;
	if (reader->seq < oldest) {
		node_stat_add(DVMM_STAT_NODE_events_dropped, oldest - reader->seq);
		reader->seq = oldest;
	}
	found = reader->seq < next_seq;
	if (found)
		*out = ring[reader->seq % NR_KEPT];
	spin_unlock_irq(&ring_lock);
	return found;
}

static ssize_t copy_events(struct event_reader *reader, char __user *to, size_t room)
{
	struct dvmm_event event;
	ssize_t done = 0;

	while (room - done >= sizeof(event) && ring_take(reader, &event)) {
		if (copy_to_user(to + done, &event, sizeof(event)))
			return done ? done : -EFAULT;
		reader->seq++;
		done += sizeof(event);
	}
	return done;
}

static bool has_event(struct event_reader *reader)
{
	return READ_ONCE(reader->seq) < READ_ONCE(next_seq);
}

ssize_t event_read(struct event_reader *reader, char __user *to, size_t room, bool nonblock)
{
	ssize_t done;

	if (room < sizeof(struct dvmm_event))
		return -EINVAL;
	for (;;) {
		mutex_lock(&reader->lock);
		done = copy_events(reader, to, room);
		mutex_unlock(&reader->lock);
		if (done)
			return done;
		if (nonblock)
			return -EAGAIN;
		if (wait_event_interruptible(readers, has_event(reader)))
			return -ERESTARTSYS;
	}
}

__poll_t event_poll(struct event_reader *reader, struct file *file, poll_table *wait)
{
	poll_wait(file, &readers, wait);
	return has_event(reader) ? EPOLLIN | EPOLLRDNORM : 0;
}
