// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/played_link.c - the links of a process that plays a node: they are
 * sockets, one for messages and one for pages. All is late by chance, and pages overtake
 * messages; the end of a peer is noticed some time later.
 */
#include <sys/socket.h>

#include "played_link.h"
#include "played_node.h"

#define MSG_ROOM (DVMM_MSG_MAX + 64)
#define LATE_US 400
#define VERY_LATE_US 20000
#define NOTICED_US 40000

enum channel { MESSAGES, PAGES, NR_CHANNELS };

struct peer {
	bool is_lost; /* and it is known */
	int ended; /* channels */
	pthread_mutex_t send_lock[NR_CHANNELS];
};

struct request {
	u32 id;
	bool done;
	int error;
	void *reply;
	size_t room, len;
	struct request *next;
	struct wait_queue_head wait;
};

static int nr_nodes;
static int sockets[MOST_NODES + 1][MOST_NODES + 1][NR_CHANNELS];
static struct peer peers[MOST_NODES + 1];
static pthread_mutex_t requests_lock = PTHREAD_MUTEX_INITIALIZER;
static struct request *requests;
static u32 last_request;

static int send_bytes(u8 node, enum channel channel, const void *bytes, size_t len)
{
	struct peer *peer = &peers[node];

	if (READ_ONCE(peer->is_lost))
		return -ENOTCONN;
	pthread_mutex_lock(&peer->send_lock[channel]);
	/* To one that has just died: nobody knows yet. */
	if (send(sockets[self][node][channel], bytes, len, MSG_NOSIGNAL) < 0 && errno == EMSGSIZE)
		node_die("too long a message");
	pthread_mutex_unlock(&peer->send_lock[channel]);
	return 0;
}

static int send_msg(u8 node, const struct dvmm_msg *msg, u32 req, u32 status)
{
	u8 bytes[MSG_ROOM];
	struct dvmm_msg_hdr hdr = { .type = msg->type, .vm = msg->vm, .req = req, .status = status };

	memcpy(bytes, &hdr, sizeof(hdr));
	if (msg->len)
		memcpy(bytes + sizeof(hdr), msg->payload, msg->len);
	if (msg->tail_len)
		memcpy(bytes + sizeof(hdr) + msg->len, msg->tail, msg->tail_len);
	return send_bytes(node, MESSAGES, bytes, sizeof(hdr) + msg->len + msg->tail_len);
}

int dvmm_link_send(u8 node, const struct dvmm_msg *msg)
{
	return send_msg(node, msg, 0, 0);
}

int dvmm_link_send_page(u8 node, u32 imm, struct page *page)
{
	u8 bytes[sizeof(imm) + PAGE_SIZE];

	memcpy(bytes, &imm, sizeof(imm));
	memcpy(bytes + sizeof(imm), page->data, PAGE_SIZE);
	return send_bytes(node, PAGES, bytes, sizeof(bytes));
}

int dvmm_link_reply(u8 node, u32 req, int error, const void *data, size_t len)
{
	struct dvmm_msg msg = { .type = DVMM_MSG_REPLY, .tail = data, .tail_len = len };

	return send_msg(node, &msg, req, -error);
}

static void take_out(struct request *request)
{
	struct request **at;

	pthread_mutex_lock(&requests_lock);
	for (at = &requests; *at; at = &(*at)->next)
		if (*at == request) {
			*at = request->next;
			break;
		}
	pthread_mutex_unlock(&requests_lock);
}

static int request_once(u8 node, const struct dvmm_msg *msg, void *reply, size_t reply_len,
			size_t *out_len, u32 timeout_ms)
{
	struct request request = { .reply = reply, .room = reply_len };
	long left;
	int err;

	init_waitqueue_head(&request.wait);
	pthread_mutex_lock(&requests_lock);
	request.id = ++last_request;
	request.next = requests;
	requests = &request;
	pthread_mutex_unlock(&requests_lock);
	err = send_msg(node, msg, request.id, 0);
	left = err ? 0 : wait_event_timeout(request.wait, READ_ONCE(request.done) ||
					    READ_ONCE(peers[node].is_lost), timeout_ms);
	take_out(&request);
	if (err || !left)
		return err ?: -ETIMEDOUT;
	if (out_len)
		*out_len = request.len;
	return request.done ? request.error : -ENOTCONN;
}

int dvmm_link_request(u8 node, const struct dvmm_msg *msg, void *reply, size_t reply_len,
		      size_t *out_len, u32 timeout_ms)
{
	int err;

	while ((err = request_once(node, msg, reply, reply_len, out_len, timeout_ms)) == -ENOBUFS)
		usleep(1000);
	return err;
}

static void answer(const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	struct request *request;

	pthread_mutex_lock(&requests_lock);
	for (request = requests; request && request->id != hdr->req; request = request->next)
		;
	if (request) {
		request->error = len > request->room ? -EMSGSIZE : -(int)hdr->status;
		request->len = len;
		if (len && len <= request->room)
			memcpy(request->reply, payload, len);
		WRITE_ONCE(request->done, true);
	}
	pthread_mutex_unlock(&requests_lock);
}

static int handle_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	int err;

	shim_must_not_wait++;
	err = played_service->message(from, hdr, payload, len);
	shim_must_not_wait--;
	return err;
}

static void receive_message(u8 from, const u8 *bytes, size_t len)
{
	struct dvmm_msg_hdr hdr;
	u8 payload[MSG_ROOM] __attribute__((aligned(8)));

	memcpy(&hdr, bytes, sizeof(hdr));
	memcpy(payload, bytes + sizeof(hdr), len - sizeof(hdr));
	if (hdr.type == DVMM_MSG_REPLY)
		answer(&hdr, payload, len - sizeof(hdr));
	else if (handle_message(from, &hdr, payload, len - sizeof(hdr)))
		node_die("a message of node %u was refused", from);
}

static void receive_page(u8 from, const u8 *bytes)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u32 imm;

	memcpy(&imm, bytes, sizeof(imm));
	memcpy(page->data, bytes + sizeof(imm), PAGE_SIZE);
	shim_must_not_wait++;
	if (played_service->page(from, imm, &page))
		node_die("a page of node %u was refused", from);
	shim_must_not_wait--;
	/* Another page, or this one, is left over for the next to be received into. */
	if (page)
		put_page(page);
}

/* By none at once. */
static void peer_ended(u8 node)
{
	if (__atomic_add_fetch(&peers[node].ended, 1, __ATOMIC_SEQ_CST) < NR_CHANNELS)
		return;
	usleep(chance() % NOTICED_US);
	WRITE_ONCE(peers[node].is_lost, true);
	played_service->link_lost(node);
}

/* Pages more: the steps of a loss must not overtake them. */
static void be_late(enum channel channel)
{
	unsigned int dice = chance() % 16;

	if (dice == 1 && channel == PAGES)
		usleep(chance() % VERY_LATE_US);
	else if (dice < 4)
		usleep(chance() % LATE_US);
}

static void *receive(void *arg)
{
	u8 node = (uintptr_t)arg >> 1;
	enum channel channel = (uintptr_t)arg & 1;
	u8 bytes[MSG_ROOM];
	ssize_t len;

	for (;;) {
		len = recv(sockets[self][node][channel], bytes, sizeof(bytes), 0);
		if (!len)
			break;
		if (len < 0) /* what had come before its end is still there */
			continue;
		be_late(channel);
		if (channel == MESSAGES)
			receive_message(node, bytes, len);
		else
			receive_page(node, bytes);
	}
	peer_ended(node);
	return NULL;
}

void played_links_open(void)
{
	uintptr_t node, channel;
	pthread_t thread;

	for (node = 1; node <= nr_nodes; node++)
		for (channel = 0; node != self && channel < NR_CHANNELS; channel++) {
			pthread_mutex_init(&peers[node].send_lock[channel], NULL);
			pthread_create(&thread, NULL, receive, (void *)(node << 1 | channel));
		}
}

void played_links_make(int nr)
{
	int a, b, channel, pair[2], room = 4 << 20;

	nr_nodes = nr;
	for (a = 1; a <= nr_nodes; a++)
		for (b = a + 1; b <= nr_nodes; b++)
			for (channel = 0; channel < NR_CHANNELS; channel++) {
				if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
					node_die("socketpair");
				setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
				setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
				sockets[a][b][channel] = pair[0];
				sockets[b][a][channel] = pair[1];
			}
}

void played_links_keep_of(int n)
{
	int a, b, channel;

	for (a = 1; a <= nr_nodes; a++)
		for (b = 1; b <= nr_nodes; b++)
			for (channel = 0; a != b && a != n && channel < NR_CHANNELS; channel++)
				close(sockets[a][b][channel]);
}
