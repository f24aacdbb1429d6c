// SPDX-License-Identifier: GPL-2.0-only
/* kmod/transport/rdma/main.c - the RDMA transport as the link layer sees it, and
 * the listener of a node.
 */
#include <linux/slab.h>
#include "internal.h"

struct listener {
	struct identity *node;
	struct rdma_cm_id *id; /* NULL when its device is gone; lock */
	struct mutex lock;
};

static int device_gone(struct listener *listener)
{
	pr_warn("the RDMA device we listen on is gone: no peer can connect until the node is set again\n");
	mutex_lock(&listener->lock);
	listener->id = NULL;
	mutex_unlock(&listener->lock);
	return 1; /* the id is destroyed by the caller */
}

static int on_event(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct listener *listener = id->context;

	switch (event->event) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		return cm_request(listener->node, id, event);
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		return device_gone(listener);
	default:
		return 0;
	}
}

int rdma_listen_start(struct identity *node, const struct dvmm_addr *addr)
{
	struct listener *listener = kzalloc(sizeof(*listener), GFP_KERNEL);
	struct sockaddr_storage at;
	int err;

	if (!listener)
		return -ENOMEM;
	listener->node = node;
	mutex_init(&listener->lock);
	addr_to_sockaddr(addr, &at);
	listener->id = rdma_create_id(&init_net, on_event, listener, RDMA_PS_TCP, IB_QPT_RC);
	err = PTR_ERR_OR_ZERO(listener->id);
	if (err)
		goto free_listener;
	err = rdma_bind_addr(listener->id, (struct sockaddr *)&at);
	if (!err)
		err = rdma_listen(listener->id, DVMM_MAX_NODES);
	if (err)
		goto destroy_id;
	node->listener = listener;
	return 0;

destroy_id:
	rdma_destroy_id(listener->id);
free_listener:
	kfree(listener);
	return err;
}

void rdma_listen_stop(struct identity *node)
{
	struct listener *listener = node->listener;
	struct rdma_cm_id *id;

	if (!listener)
		return;
	mutex_lock(&listener->lock);
	id = listener->id;
	listener->id = NULL;
	mutex_unlock(&listener->lock);
	if (id)
		rdma_destroy_id(id);
	node->listener = NULL;
	kfree(listener);
}

const struct transport rdma_transport = {
	.name = "rdma",
	.connect = cm_connect,
	.post = send_post,
	.poll = recv_refill,
	.close = rdma_conn_close,
	.free = rdma_conn_free,
};
