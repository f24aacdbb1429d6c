// SPDX-License-Identifier: GPL-2.0-only
/* kmod/conn.c - one connection to a peer: handshake, clock measurement, received
 * messages, heartbeat. It ends with its first error; making the next one is link.c's.
 *
 * HELLO and PROOF both ways; then each side measures the clock and says that it
 * is ready by a HEARTBEAT. A side is open when it is ready and has heard
 * so, hence no message of a service comes before its link_up().
 */
#include <asm/tsc.h>
#include <linux/random.h>
#include "transport.h"
#include "trace.h"
#include "wire.h"

#define TICK_MS 100
#define HANDSHAKE_TICKS 50
#define SUSPECT_TICKS 5
#define CLOCK_TICKS 10
#define CLOCK_ROUNDS 16
#define GIVE_BACK_MSGS (NR_MSG_BUFFERS / 4)
#define GIVE_BACK_PAGES (NR_PAGE_BUFFERS / 4)

void conn_init(struct conn *conn, struct link *link, const struct transport *transport)
{
	refcount_inc(&link->ref);
	conn->link = link;
	conn->transport = transport;
	tx_init(&conn->tx[CHANNEL_MSG]);
	tx_init(&conn->tx[CHANNEL_PAGE]);
	spin_lock_init(&conn->lock);
	mutex_init(&conn->hello_lock);
	init_completion(&conn->opened);
	conn->last_tick = jiffies;
	conn->clock_left = CLOCK_ROUNDS;
	tx_open(conn);
}

/* ---- the end ---- */

/* Keeps the first reason; link->work does the rest. */
static void end(struct conn *conn, bool refused, bool orderly, const char *reason)
{
	unsigned long flags;

	spin_lock_irqsave(&conn->lock, flags);
	if (!conn->failed) {
		conn->failed = true;
		conn->refused = refused;
		conn->orderly = orderly;
		strscpy(conn->reason, reason, sizeof(conn->reason));
	}
	spin_unlock_irqrestore(&conn->lock, flags);
	complete_all(&conn->opened);
	link_kick(conn->link);
}

void conn_failed(struct conn *conn, const char *fmt, ...)
{
	char reason[DVMM_REASON_SIZE];
	va_list args;

	va_start(args, fmt);
	vscnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	end(conn, false, false, reason);
}

bool conn_has_failed(struct conn *conn)
{
	return READ_ONCE(conn->failed);
}

static void broken(struct conn *conn, const char *what)
{
	dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_protocol_errors);
	conn_failed(conn, "broke the protocol: %s", what);
}

void conn_refused(struct conn *conn, const char *reason)
{
	end(conn, true, false, reason);
}

/* Tells the peer why, and lets that go out before the connection ends. */
static void refuse(struct conn *conn, int error, const char *reason)
{
	struct dvmm_msg_refuse refuse = { .error = cpu_to_le32(error) };
	struct dvmm_msg msg = { DVMM_MSG_REFUSE, 0, &refuse, sizeof(refuse) };

	strscpy((char *)refuse.reason, reason, sizeof(refuse.reason));
	tx_signal_all(conn);
	conn->linger = true;
	tx_send(conn, &msg, 0, 0);
	end(conn, true, false, reason);
}

void conn_bye(struct conn *conn)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_BYE };

	tx_signal_all(conn);
	conn->linger = true;
	tx_send(conn, &msg, 0, 0);
	end(conn, false, true, "closed here");
}

/* ---- handshake ---- */

static void make_hello(struct conn *conn)
{
	struct identity *self = conn->link->self;
	struct dvmm_msg_hello *hello = &conn->hello;

	*hello = (struct dvmm_msg_hello) {
		.magic = cpu_to_le32(DVMM_WIRE_MAGIC),
		.version = cpu_to_le32(self->wire_version),
		.node_id = cpu_to_le32(self->id),
		.peer_id = cpu_to_le32(conn->link->peer),
		.msg_credits = cpu_to_le32(NR_MSG_BUFFERS),
		.page_credits = cpu_to_le32(NR_PAGE_BUFFERS),
	};
	memcpy(hello->cluster_uuid, self->cluster_uuid, DVMM_UUID_SIZE);
	memcpy(hello->node_uuid, self->uuid, DVMM_UUID_SIZE);
	get_random_bytes(hello->nonce, sizeof(hello->nonce));
}

/* By whoever comes first: the transport, or the peer's HELLO. */
void conn_established(struct conn *conn)
{
	struct dvmm_msg msg = { DVMM_MSG_HELLO, 0, &conn->hello, sizeof(conn->hello) };

	mutex_lock(&conn->hello_lock);
	if (!conn->hello_sent) {
		make_hello(conn);
		tx_send(conn, &msg, 0, 0);
		conn->hello_sent = true;
	}
	mutex_unlock(&conn->hello_lock);
}

static void send_proof(struct conn *conn)
{
	struct dvmm_msg_proof proof;
	struct dvmm_msg msg = { DVMM_MSG_PROOF, 0, &proof, sizeof(proof) };
	char role = link_connects(conn->link) ? 'C' : 'L';

	if (auth_mac(conn->link->self, role, &conn->hello, &conn->peer_hello, proof.mac))
		conn_failed(conn, "cannot compute a proof");
	else
		tx_send(conn, &msg, 0, 0);
}

static bool is_stale(const struct conn *conn, const struct dvmm_msg_hdr *hdr, u64 *out_since)
{
	*out_since = READ_ONCE(conn->link->since);
	if (!wire_is_stale(hdr, *out_since))
		return false;
	dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_stale_epoch);
	return true;
}

static bool epoch_is_old(const struct conn *conn, const struct dvmm_msg_hdr *hdr,
			 char *reason, size_t room)
{
	const struct link *link = conn->link;
	u64 since;

	if (!is_stale(conn, hdr, &since))
		return false;
	if (since == NO_EPOCH)
		snprintf(reason, room, "n%u is no member in epoch %llu", link->peer,
			 READ_ONCE(link->self->epoch));
	else
		snprintf(reason, room, "n%u is in epoch %llu, and a member since %llu", link->peer,
			 le64_to_cpu(hdr->epoch), since);
	return true;
}

/* Neutral words: both sides show them. Returns 0 or why not. */
static int judge_hello(const struct conn *conn, const struct dvmm_msg_hello *hello,
		       char *reason, size_t room)
{
	const struct link *link = conn->link;
	const struct identity *self = link->self;

	if (le32_to_cpu(hello->magic) != DVMM_WIRE_MAGIC)
		return snprintf(reason, room, "not a dvmm node"), EPROTO;
	if (le32_to_cpu(hello->version) != self->wire_version)
		return snprintf(reason, room, "wire versions differ: n%u has %u, n%u has %u",
				link->peer, le32_to_cpu(hello->version),
				self->id, self->wire_version), EPROTONOSUPPORT;
	if (memcmp(hello->cluster_uuid, self->cluster_uuid, DVMM_UUID_SIZE))
		return snprintf(reason, room, "cluster ids differ"), EACCES;
	if (le32_to_cpu(hello->node_id) != link->peer || le32_to_cpu(hello->peer_id) != self->id)
		return snprintf(reason, room, "node ids differ: n%u spoke to n%u, not n%u to n%u",
				le32_to_cpu(hello->node_id), le32_to_cpu(hello->peer_id),
				link->peer, self->id), EACCES;
	return 0;
}

static void on_hello(struct conn *conn, const struct dvmm_msg_hdr *hdr)
{
	const struct dvmm_msg_hello *hello = (const void *)(hdr + 1);
	char reason[DVMM_REASON_SIZE];
	int error = judge_hello(conn, hello, reason, sizeof(reason));

	if (!error && epoch_is_old(conn, hdr, reason, sizeof(reason)))
		error = ESTALE;
	if (error) {
		refuse(conn, error, reason);
		return;
	}
	conn_established(conn);
	conn->peer_hello = *hello;
	if (!tx_first_credits(conn, le32_to_cpu(hello->msg_credits),
			      le32_to_cpu(hello->page_credits))) {
		broken(conn, "credits make no sense");
		return;
	}
	WRITE_ONCE(conn->phase, CONN_PROOF);
	send_proof(conn);
}

static void send_clock(struct conn *conn)
{
	struct dvmm_msg_clock clock = {};
	struct dvmm_msg msg = { DVMM_MSG_CLOCK, 0, &clock, sizeof(clock) };
	u64 now = rdtsc_ordered();

	WRITE_ONCE(conn->clock_sent, now);
	clock.sent_tsc = cpu_to_le64(now);
	tx_send(conn, &msg, 0, 0);
}

static void on_proof(struct conn *conn, const struct dvmm_msg_proof *proof)
{
	char role = link_connects(conn->link) ? 'L' : 'C';

	if (!auth_check(conn->link->self, role, &conn->peer_hello, &conn->hello, proof->mac)) {
		refuse(conn, EKEYREJECTED, "wrong cluster key");
		return;
	}
	WRITE_ONCE(conn->phase, CONN_CLOCK);
	send_clock(conn);
}

static void refusal_text(const struct conn *conn, const struct dvmm_msg_refuse *refuse, char *out)
{
	snprintf(out, DVMM_REASON_SIZE, "refused by n%u: %.*s", conn->link->peer,
		 (int)(sizeof(refuse->reason) - 24), refuse->reason);
}

static void on_refuse(struct conn *conn, const struct dvmm_msg_refuse *refuse)
{
	char reason[DVMM_REASON_SIZE];

	refusal_text(conn, refuse, reason);
	conn_refused(conn, reason);
}

static void open_if_ready(struct conn *conn)
{
	if (conn->phase != CONN_CLOCK || !conn->peer_ready || conn->clock_left)
		return;
	WRITE_ONCE(conn->phase, CONN_OPEN);
	link_set_up(conn->link);
	complete_all(&conn->opened);
}

static void on_heartbeat(struct conn *conn)
{
	conn->peer_ready = true;
	open_if_ready(conn);
}

/* ---- clock ---- */

static void answer_clock(struct conn *conn, const struct dvmm_msg_clock *request)
{
	struct dvmm_msg_clock clock = *request;
	struct dvmm_msg msg = { DVMM_MSG_CLOCK, 0, &clock, sizeof(clock) };
	u64 now = rdtsc_ordered();

	clock.received_tsc = cpu_to_le64(now);
	clock.replied_tsc = cpu_to_le64(rdtsc_ordered());
	tx_send(conn, &msg, 0, 0);
}

/* The peer stamped somewhere between our sending and our receiving: take the
 * middle, and half the round trip as the error.
 */
static void take_sample(struct conn *conn, const struct dvmm_msg_clock *clock, u64 sent, u64 now)
{
	u64 received = le64_to_cpu(clock->received_tsc);
	u64 replied = le64_to_cpu(clock->replied_tsc);
	u64 away = min(replied - received, now - sent);
	u64 ticks = max_t(u64, now - sent - away, 1);
	struct clock_sample sample = {
		/* Halved apart: the sum may not fit. */
		.offset = (s64)(received - sent) / 2 + (s64)(replied - now) / 2,
		.error = ticks / 2 + 1,
		.at_tsc = now,
	};

	link_set_clock(conn->link, &sample, div_u64(ticks * 1000000, tsc_khz) ?: 1);
}

static void on_clock_reply(struct conn *conn, const struct dvmm_msg_clock *clock)
{
	struct dvmm_msg ready = { .type = DVMM_MSG_HEARTBEAT };
	u64 now = rdtsc_ordered();
	u64 sent = READ_ONCE(conn->clock_sent);

	if (!sent || le64_to_cpu(clock->sent_tsc) != sent) {
		broken(conn, "clock reply to no request");
		return;
	}
	take_sample(conn, clock, sent, now);
	WRITE_ONCE(conn->clock_sent, 0);
	if (conn->phase != CONN_CLOCK)
		return;
	if (--conn->clock_left) {
		send_clock(conn);
		return;
	}
	tx_send(conn, &ready, 0, 0);
	open_if_ready(conn);
}

static void on_clock(struct conn *conn, const struct dvmm_msg_clock *clock)
{
	if (clock->received_tsc)
		on_clock_reply(conn, clock);
	else
		answer_clock(conn, clock);
}

/* ---- receiving ---- */

static void on_service(struct conn *conn, const struct dvmm_msg_hdr *hdr, size_t len)
{
	u64 since;

	if (is_stale(conn, hdr, &since))
		return;
	if (le16_to_cpu(hdr->type) == DVMM_MSG_REPLY)
		request_answer(conn->link, hdr, hdr + 1, len);
	else if (service_message(conn->link, hdr, hdr + 1, len))
		broken(conn, "a service refused its message");
}

/* What may come in which phase. */
static bool is_expected(const struct conn *conn, u16 type)
{
	switch (type) {
	case DVMM_MSG_HELLO:
		return conn->phase == CONN_HELLO;
	case DVMM_MSG_PROOF:
		return conn->phase == CONN_PROOF;
	case DVMM_MSG_REFUSE:
		return conn->phase != CONN_OPEN;
	case DVMM_MSG_HEARTBEAT:
	case DVMM_MSG_CLOCK:
	case DVMM_MSG_BYE:
		return conn->phase >= CONN_CLOCK;
	default:
		return conn->phase == CONN_OPEN;
	}
}

static void dispatch(struct conn *conn, const struct dvmm_msg_hdr *hdr, size_t len)
{
	const void *payload = hdr + 1;

	switch (le16_to_cpu(hdr->type)) {
	case DVMM_MSG_HELLO:
		on_hello(conn, hdr);
		break;
	case DVMM_MSG_PROOF:
		on_proof(conn, payload);
		break;
	case DVMM_MSG_REFUSE:
		on_refuse(conn, payload);
		break;
	case DVMM_MSG_HEARTBEAT:
		on_heartbeat(conn);
		break;
	case DVMM_MSG_CLOCK:
		on_clock(conn, payload);
		break;
	case DVMM_MSG_BYE:
		end(conn, false, true, "closed by the peer");
		break;
	default:
		on_service(conn, hdr, len);
	}
}

static void count_received(struct conn *conn, const struct dvmm_msg_hdr *hdr, size_t len)
{
	struct dvmm_stats *stats = conn->link->stats;

	dvmm_stat_inc(stats, DVMM_STAT_LINK_rx_messages);
	dvmm_stat_add(stats, DVMM_STAT_LINK_rx_bytes, len);
	trace_dvmm_msg_rx(conn->link->peer, le16_to_cpu(hdr->type), le32_to_cpu(hdr->vm), len);
}

static void heard(struct conn *conn)
{
	atomic_inc(&conn->rx_count);
	if (READ_ONCE(conn->link->state) == DVMM_LINK_SUSPECT)
		link_set_heard(conn->link);
}

/* The news that the peer has disconnected may overtake why it did. */
static void last_words(struct conn *conn, const struct dvmm_msg_hdr *hdr)
{
	const struct dvmm_msg_refuse *refuse = (const void *)(hdr + 1);
	u16 type = le16_to_cpu(hdr->type);

	if (!is_expected(conn, type))
		return;
	spin_lock_irq(&conn->lock);
	if (type == DVMM_MSG_BYE)
		conn->orderly = true;
	if (type == DVMM_MSG_REFUSE && !conn->refused) {
		refusal_text(conn, refuse, conn->reason);
		conn->refused = true;
	}
	spin_unlock_irq(&conn->lock);
}

void conn_received(struct conn *conn, const void *buf, size_t len)
{
	const struct dvmm_msg_hdr *hdr = buf;
	const char *wrong = wire_check(buf, len);
	u64 since;

	if (conn_has_failed(conn)) {
		if (!wrong && !is_stale(conn, hdr, &since))
			last_words(conn, hdr);
		return;
	}
	if (wrong) {
		broken(conn, wrong);
		return;
	}
	count_received(conn, hdr, len);
	heard(conn);
	if (!is_expected(conn, le16_to_cpu(hdr->type))) {
		broken(conn, "a message out of turn");
		return;
	}
	if (!tx_add_credits(conn, CHANNEL_MSG, le32_to_cpu(hdr->msg_credits)) ||
	    !tx_add_credits(conn, CHANNEL_PAGE, le32_to_cpu(hdr->page_credits))) {
		broken(conn, "too many credits");
		return;
	}
	dispatch(conn, hdr, len - sizeof(*hdr));
}

struct page *conn_received_page(struct conn *conn, u32 imm, struct page *page)
{
	/* The peer may open first, and pages are not ordered against its READY. */
	if (!wait_for_completion_timeout(&conn->opened, HANDSHAKE_TICKS * TICK_MS * HZ / 1000) ||
	    conn_has_failed(conn))
		return page;
	heard(conn);
	dvmm_stat_inc(conn->link->stats, DVMM_STAT_LINK_rx_pages);
	trace_dvmm_page_rx(conn->link->peer, imm);
	if (service_page(conn->link, imm, &page))
		broken(conn, "a page that nobody takes");
	return page;
}

void conn_reposted(struct conn *conn, enum channel channel)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_HEARTBEAT };
	int threshold = channel == CHANNEL_MSG ? GIVE_BACK_MSGS : GIVE_BACK_PAGES;

	if (atomic_inc_return(&conn->owed[channel]) >= threshold &&
	    READ_ONCE(conn->phase) == CONN_OPEN)
		tx_send_first(conn, &msg);
}

/* ---- tick ---- */

/* Silence is counted in ticks that ran, so that our own stall is not the peer's. */
static void watch_peer(struct conn *conn)
{
	struct link *link = conn->link;
	int rx = atomic_read(&conn->rx_count);

	if (rx != conn->last_rx) {
		conn->last_rx = rx;
		conn->silent_ticks = 0;
		return;
	}
	conn->silent_ticks++;
	if (conn->silent_ticks == SUSPECT_TICKS)
		link_set_suspect(link);
	if (conn->silent_ticks * TICK_MS >= link->lost_after_ms)
		conn_failed(conn, "silent for %u ms", conn->silent_ticks * TICK_MS);
}

static void speak(struct conn *conn)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_HEARTBEAT };
	int tx = atomic_read(&conn->tx_count);

	if (++conn->open_ticks % CLOCK_TICKS == 0 && !READ_ONCE(conn->clock_sent))
		send_clock(conn);
	else if (tx == conn->last_tx)
		tx_send_first(conn, &msg);
	conn->last_tx = atomic_read(&conn->tx_count);
}

void conn_tick(struct conn *conn)
{
	if (time_before(jiffies, conn->last_tick + msecs_to_jiffies(TICK_MS) - 1))
		return;
	conn->last_tick = jiffies;
	if (READ_ONCE(conn->phase) == CONN_OPEN) {
		speak(conn);
		watch_peer(conn);
	} else if (++conn->handshake_ticks >= HANDSHAKE_TICKS) {
		conn_failed(conn, "no answer in %u ms", HANDSHAKE_TICKS * TICK_MS);
	}
	if (conn->transport->poll)
		conn->transport->poll(conn);
}
