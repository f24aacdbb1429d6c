// SPDX-License-Identifier: GPL-2.0-only
/* dsm/serve.c - messages and pages to and from other nodes. Checks what comes;
 * what it means is proto.c's.
 */
#include "internal.h"

#define ANNOUNCE_TIMEOUT_MS 10000

/* ---- out ---- */

/* A message that cannot be sent would leave a page in between for ever. */
void serve_sent(struct dsm_vm *vm, u8 node, int err)
{
	if (err == -ENOBUFS)
		dvmm_link_fail(node, "too many messages wait");
	else if (err)
		vm_fail(vm, err, "no link to node %u", node);
}

void serve_send(struct dsm_mem *mem, u64 index, u8 node, const struct proto_event *ev,
		bool can_wait)
{
	struct dvmm_msg_mem payload = {
		.mem = cpu_to_le32(mem->id),
		.event = ev->event,
		.requester = ev->requester,
		.grant = ev->grant,
		.acks = ev->acks,
		.flags = ev->flags,
		.txn = cpu_to_le32(ev->txn),
		.page = cpu_to_le64(index),
	};

	post(mem->vm, node, &payload, can_wait);
}

void serve_send_page(struct dsm_mem *mem, u8 node, const struct proto_event *ev,
		     struct page *frame)
{
	serve_sent(mem->vm, node,
		   dvmm_link_send_page(node, proto_data_to_imm(ev), frame));
}

static int announce_to(struct dsm_mem *mem, u8 node)
{
	struct dvmm_msg_mem_add payload = {
		.mem = cpu_to_le32(mem->id),
		.home_policy = cpu_to_le32(mem->home_policy),
		.bytes = cpu_to_le64(mem->nr_pages << PAGE_SHIFT),
		.turn_ticks = cpu_to_le64(mem->vm->turn_ticks),
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_MEM_ADD,
		.vm = mem->vm->id,
		.payload = &payload,
		.len = sizeof(payload),
	};

	return dvmm_link_request(node, &msg, NULL, 0, NULL,
				 ANNOUNCE_TIMEOUT_MS);
}

int serve_announce(struct dsm_mem *mem)
{
	struct dsm_vm *vm = mem->vm;
	int i, err;

	for (i = 0; i < vm->nr_nodes; i++) {
		if (vm->node[i] == vm->self)
			continue;
		err = announce_to(mem, vm->node[i]);
		if (err) {
			pr_err("dvmm-dsm: vm %x: node %u does not take memory object %u: error %d\n",
			       vm->id, vm->node[i], mem->id, err);
			return err;
		}
	}
	return 0;
}

/* ---- in ---- */

static int handle(struct op *op, const struct proto_event *ev)
{
	int err;

	page_lock(&op->ref);
	if (vm_is_dead(op->ref.mem->vm))
		err = 0;
	else if (proto_is_take(ev->event) && op->ref.page->flags & PAGE_F_TAKE)
		err = -EPROTO;
	else
		err = act_event(op, ev);
	page_unlock(&op->ref);
	if (err)
		pr_err("dvmm-dsm: vm %x: node %u broke a rule: %s for page %llu of memory object %u\n",
		       op->ref.mem->vm->id, ev->from,
		       proto_event_name(ev->event), op->ref.index,
		       op->ref.mem->id);
	return err;
}

static int vm_proto(struct dsm_vm *vm, u8 from,
		    const struct dvmm_msg_mem *payload, bool can_wait)
{
	struct dsm_mem *mem = mem_find(vm, le32_to_cpu(payload->mem));
	u64 index = le64_to_cpu(payload->page);
	struct op op = { .can_wait = can_wait };
	struct proto_event ev = {
		.event = payload->event,
		.from = from,
		.requester = payload->requester,
		.grant = payload->grant,
		.acks = payload->acks,
		.flags = payload->flags,
		.txn = le32_to_cpu(payload->txn),
	};

	if (!vm_has_node(vm, from) || !mem || index >= mem->nr_pages)
		return -EPROTO;
	if (proto_class_of(ev.event) == PROTO_CLASS_LOCAL ||
	    ev.event == PROTO_DATA)
		return -EPROTO;
	if (proto_is_take(ev.event) && !vm_has_node(vm, ev.requester))
		return -EPROTO;
	if (page_get(mem, index, &op.ref)) {
		vm_fail(vm, -ENOMEM, "no memory for a page record");
		return 0;
	}
	return handle(&op, &ev);
}

/* A VM that is not here has just ended: its late messages are no error. What
 * follows from a batch is sent as one.
 */
static int proto_message(u8 from, const struct dvmm_msg_hdr *hdr,
			 const struct dvmm_msg_mem *msg, size_t nr)
{
	bool is_batch = nr > 1;
	struct dsm_vm *vm;
	int err = 0;

	vm = vm_find(le32_to_cpu(hdr->vm));
	if (!vm)
		return 0;
	while (nr-- && !err)
		err = vm_proto(vm, from, msg++, is_batch);
	if (is_batch)
		post_flush(vm);
	vm_leave(vm);
	return err;
}

static int vm_mem_add(struct dsm_vm *vm, u8 from,
		      const struct dvmm_msg_mem_add *payload)
{
	struct dsm_mem *mem;

	if (from != vm->origin)
		return -EPERM;
	if (turn_set(vm, le64_to_cpu(payload->turn_ticks)))
		return -EINVAL;
	mutex_lock(&vm->lock);
	mem = mem_add(vm, le32_to_cpu(payload->mem),
		      le32_to_cpu(payload->home_policy),
		      le64_to_cpu(payload->bytes));
	mutex_unlock(&vm->lock);
	return PTR_ERR_OR_ZERO(mem);
}

static int mem_add_message(u8 from, const struct dvmm_msg_hdr *hdr,
			   const void *payload, size_t len)
{
	struct dsm_vm *vm;
	int err = -ENOENT;

	if (len != sizeof(struct dvmm_msg_mem_add))
		return -EPROTO;
	vm = vm_find(le32_to_cpu(hdr->vm));
	if (vm) {
		err = vm_mem_add(vm, from, payload);
		vm_leave(vm);
	}
	dvmm_link_reply(from, le32_to_cpu(hdr->req), err, NULL, 0);
	return 0;
}

static int serve_message(u8 from, const struct dvmm_msg_hdr *hdr,
			 const void *payload, size_t len)
{
	switch (le16_to_cpu(hdr->type)) {
	case DVMM_MSG_MEM_PROTO:
		if (len != sizeof(struct dvmm_msg_mem))
			return -EPROTO;
		return proto_message(from, hdr, payload, 1);
	case DVMM_MSG_MEM_BATCH: /* its length was checked */
		return proto_message(from, hdr, payload, len / sizeof(struct dvmm_msg_mem));
	case DVMM_MSG_MEM_ADD:
		return mem_add_message(from, hdr, payload, len);
	default:
		return -EPROTO;
	}
}

static int mem_page(struct dsm_mem *mem, u64 index,
		    const struct proto_event *ev, struct page **frame)
{
	struct op op = {};
	int err;

	if (!vm_has_node(mem->vm, ev->from))
		return -EPROTO;
	if (page_get(mem, index, &op.ref)) {
		vm_fail(mem->vm, -ENOMEM, "no memory for a page record");
		return 0;
	}
	op.frame = *frame;
	err = handle(&op, ev);
	*frame = op.frame;
	return err;
}

static int find_and_fill(const struct proto_event *ev, struct page **frame)
{
	struct dsm_mem *mem;
	u64 index;
	int err = 0;

	/* Unknown: the VM has ended while its page was on the way. */
	if (!fetch_find(ev->txn, &mem, &index))
		return 0;
	if (vm_enter(mem->vm)) {
		err = mem_page(mem, index, ev, frame);
		vm_leave(mem->vm);
	}
	mem_put(mem);
	return err;
}

static int serve_page(u8 from, u32 imm, struct page **page)
{
	struct proto_event ev;

	proto_data_from_imm(&ev, from, imm);
	return find_and_fill(&ev, page);
}

static void serve_link_lost(u8 node)
{
	vm_node_lost(node);
}

static const struct dvmm_service service = {
	.name = "dsm",
	.owner = THIS_MODULE,
	.first_type = 0x100,
	.last_type = 0x1ff,
	.message = serve_message,
	.page = serve_page,
	.link_lost = serve_link_lost,
};

int serve_init(void)
{
	return dvmm_service_register(&service);
}

void serve_exit(void)
{
	dvmm_service_unregister(&service);
}
