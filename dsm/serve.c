// SPDX-License-Identifier: GPL-2.0-only
/* dsm/serve.c - messages and pages to and from other nodes. Checks what comes;
 * what it means is proto.c's.
 */
#include "internal.h"
#include "wire.h"

#define ANNOUNCE_TIMEOUT_MS 10000

/* ---- out ---- */

/* A message that cannot be sent would leave a page in between for ever: its node
 * is lost.
 */
void serve_sent(struct dsm_vm *vm, u8 node, int err)
{
	if (err == -ENOBUFS)
		dvmm_link_fail(node, "too many messages wait");
	else if (err)
		loss_seen(vm, node);
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
		.epoch = cpu_to_le16(mem->vm->epoch),
		.txn = cpu_to_le32(ev->txn),
		.page = cpu_to_le64(index),
	};

	post(mem->vm, node, &payload, can_wait);
}

void serve_send_page(struct dsm_mem *mem, u8 node, const struct proto_event *ev,
		     struct page *frame)
{
	loss_page_sent(mem->vm, node);
	serve_sent(mem->vm, node,
		   dvmm_link_send_page(node, proto_data_to_imm(ev), frame));
}

static u32 pack_runs(const struct dsm_mem *mem, struct dvmm_wire_home_run *runs)
{
	u64 nr_extents = home_nr_extents(mem->nr_pages << PAGE_SHIFT), i;
	u32 nr = 0, length = 0;

	for (i = 0; i < nr_extents; i++) {
		u8 node = home_of(mem, i * HOME_EXTENT_PAGES);

		length++;
		if (i + 1 < nr_extents && home_of(mem, (i + 1) * HOME_EXTENT_PAGES) == node)
			continue;
		if (nr == DVMM_MAX_HOME_RUNS)
			return nr + 1;
		runs[nr++] = (struct dvmm_wire_home_run){
			.nr_extents = cpu_to_le32(length),
			.node = cpu_to_le32(node),
		};
		length = 0;
	}
	return nr;
}

static int announce_to(struct dsm_mem *mem, u8 node, const struct dvmm_wire_home_run *runs,
		       u32 nr_runs)
{
	struct dvmm_msg_mem_add payload = {
		.mem = cpu_to_le32(mem->id),
		.home_policy = cpu_to_le32(mem->home_policy),
		.bytes = cpu_to_le64(mem->nr_pages << PAGE_SHIFT),
		.turn_ticks = cpu_to_le64(mem->vm->turn_ticks),
		.nr_runs = cpu_to_le32(nr_runs),
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_MEM_ADD,
		.vm = mem->vm->id,
		.payload = &payload,
		.len = sizeof(payload),
		.tail = runs,
		.tail_len = nr_runs * sizeof(*runs),
	};

	return dvmm_link_request(node, &msg, NULL, 0, NULL,
				 ANNOUNCE_TIMEOUT_MS);
}

static int announce(struct dsm_mem *mem, const struct dvmm_wire_home_run *runs, u32 nr_runs)
{
	struct dsm_vm *vm = mem->vm;
	u64 others = READ_ONCE(vm->nodes) & ~BIT_ULL(vm->self);
	u8 node;
	int err;

	for (; others; others &= others - 1) {
		node = __ffs64(others);
		err = announce_to(mem, node, runs, nr_runs);
		if (err == -ENOTCONN)
			loss_seen(vm, node);
		if (err == -ENOTCONN && !vm_is_dead(vm))
			continue;
		if (err) {
			pr_err("dvmm-dsm: vm %x: node %u does not take memory object %u: error %d\n",
			       vm->id, node, mem->id, err);
			return err;
		}
	}
	return 0;
}

/* Of a mem whose homes are not those of the policy; or ERR_PTR. */
static struct dvmm_wire_home_run *runs_of(const struct dsm_mem *mem, u32 *out_nr)
{
	struct dvmm_wire_home_run *runs;

	runs = kvmalloc_array(DVMM_MAX_HOME_RUNS, sizeof(*runs), GFP_KERNEL);
	if (!runs)
		return ERR_PTR(-ENOMEM);
	*out_nr = pack_runs(mem, runs);
	if (*out_nr <= DVMM_MAX_HOME_RUNS)
		return runs;
	kvfree(runs);
	return ERR_PTR(-E2BIG);
}

/* To @node, or to all. */
static int announce_homes(struct dsm_mem *mem, u8 node)
{
	struct dvmm_wire_home_run *runs;
	u32 nr_runs;
	int err;

	runs = runs_of(mem, &nr_runs);
	if (IS_ERR(runs))
		return PTR_ERR(runs);
	err = node == DVMM_NO_NODE ? announce(mem, runs, nr_runs) :
				     announce_to(mem, node, runs, nr_runs);
	kvfree(runs);
	return err;
}

int serve_announce(struct dsm_mem *mem)
{
	return mem->homes ? announce_homes(mem, DVMM_NO_NODE) : announce(mem, NULL, 0);
}

int serve_announce_bare(struct dsm_mem *mem, u8 node)
{
	return announce_to(mem, node, NULL, 0);
}

int serve_announce_to(struct dsm_mem *mem, u8 node)
{
	return mem->homes ? announce_homes(mem, node) : serve_announce_bare(mem, node);
}

/* ---- in ---- */

static int handle(struct op *op, const struct proto_event *ev, u32 epoch)
{
	int err;

	page_lock(&op->ref);
	if (vm_is_dead(op->ref.mem->vm) ||
	    loss_refuses(op->ref.mem->vm, ev, epoch))
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

/* There is no memory for a record of the page: whoever asks for it does so again. All
 * other events are of pages that have one. Nobody settles a loss meanwhile: for that
 * the next message of this peer would have to be handled.
 */
static int without_record(struct dsm_mem *mem, u64 index, const struct proto_event *ev, u32 epoch,
			  bool can_wait)
{
	struct proto_site site = { .self = mem->vm->self };
	struct proto_actions acts;

	if (vm_is_dead(mem->vm) || loss_refuses(mem->vm, ev, epoch))
		return 0;
	if (proto_home_refuse(&site, ev, &acts))
		return -EPROTO;
	vm_stat(mem->vm, requests_refused);
	serve_send(mem, index, ev->from, &acts.act[0].msg, can_wait);
	return 0;
}

/* What is known and no request must not be lost; it needs memory only if home has come here
 * at this moment.
 */
static gfp_t gfp_of(struct dsm_mem *mem, u64 index, u8 event)
{
	if (proto_class_of(event) == PROTO_CLASS_REQUEST || !page_is_known(mem, index))
		return GFP_AT_ONCE;
	return GFP_KERNEL | __GFP_NOFAIL;
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

	if (!mem || index >= mem->nr_pages)
		return -EPROTO;
	if (proto_class_of(ev.event) == PROTO_CLASS_LOCAL ||
	    ev.event == PROTO_DATA)
		return -EPROTO;
	if (proto_is_take(ev.event) && !vm_had_node(vm, ev.requester))
		return -EPROTO;
	if (page_get(mem, index, gfp_of(mem, index, ev.event), &op.ref))
		return without_record(mem, index, &ev, le16_to_cpu(payload->epoch), can_wait);
	return handle(&op, &ev, le16_to_cpu(payload->epoch));
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
	err = vm_had_node(vm, from) ? 0 : -EPROTO;
	while (nr-- && !err)
		err = vm_proto(vm, from, msg++, is_batch);
	if (is_batch)
		post_flush(vm);
	vm_leave(vm);
	return err;
}

static int take_runs(const struct dsm_vm *vm, struct mem_config *config,
		     const struct dvmm_wire_home_run *runs, u32 nr)
{
	if (!nr)
		return 0;
	if (!config->bytes || config->bytes > MEM_MAX_BYTES)
		return -EINVAL;
	config->homes = home_table_alloc(config->bytes);
	if (!config->homes)
		return -ENOMEM;
	if (wire_runs_to_table(config->homes, home_nr_extents(config->bytes), runs, nr, vm->nodes))
		return 0;
	kvfree(config->homes);
	return -EINVAL;
}

static int loss_message(u8 from, const struct dvmm_msg_hdr *hdr,
			const void *payload, size_t len)
{
	struct dsm_vm *vm;
	int err;

	if (len != sizeof(struct dvmm_msg_mem_loss))
		return -EPROTO;
	vm = vm_find(le32_to_cpu(hdr->vm));
	if (!vm)
		return 0;
	err = loss_told(vm, from, payload);
	vm_leave(vm);
	return err;
}

static bool held_is_sound(const struct dvmm_msg_mem_held *held, size_t len)
{
	return len >= sizeof(*held) && !held->reserved &&
	       len - sizeof(*held) == (u64)le32_to_cpu(held->nr) * sizeof(__le64);
}

static int held_message(u8 from, const struct dvmm_msg_hdr *hdr,
			const void *payload, size_t len)
{
	struct dsm_vm *vm;
	int err = -ENOENT;

	if (!held_is_sound(payload, len))
		return -EPROTO;
	vm = vm_find(le32_to_cpu(hdr->vm));
	if (vm) {
		err = loss_held(vm, from, payload);
		vm_leave(vm);
	}
	dvmm_link_reply(from, le32_to_cpu(hdr->req), err, NULL, 0);
	return err == -EPROTO ? err : 0;
}

static int vm_mem_add(struct dsm_vm *vm, u8 from,
		      const struct dvmm_msg_mem_add *payload)
{
	struct mem_config config = {
		.id = le32_to_cpu(payload->mem),
		.home_policy = le32_to_cpu(payload->home_policy),
		.bytes = le64_to_cpu(payload->bytes),
	};
	struct dsm_mem *mem;
	int err;

	if (from != vm->origin)
		return -EPERM;
	if (turn_set(vm, le64_to_cpu(payload->turn_ticks)))
		return -EINVAL;
	err = take_runs(vm, &config, (const void *)(payload + 1), le32_to_cpu(payload->nr_runs));
	if (err)
		return err;
	mutex_lock(&vm->lock);
	mem = mem_add(vm, &config);
	mutex_unlock(&vm->lock);
	return PTR_ERR_OR_ZERO(mem);
}

static int mem_add_message(u8 from, const struct dvmm_msg_hdr *hdr,
			   const void *payload, size_t len)
{
	struct dsm_vm *vm;
	int err = -ENOENT;

	if (!wire_mem_add_is_sound(payload, len))
		return -EPROTO;
	vm = vm_find(le32_to_cpu(hdr->vm));
	if (vm) {
		err = vm_mem_add(vm, from, payload);
		vm_leave(vm);
	}
	dvmm_link_reply(from, le32_to_cpu(hdr->req), err, NULL, 0);
	return 0;
}

/* Requests: they may wait for memory. */
static int serve_deferred(u8 from, const struct dvmm_msg_hdr *hdr,
			  const void *payload, size_t len)
{
	switch (le16_to_cpu(hdr->type)) {
	case DVMM_MSG_MEM_ADD:
		return mem_add_message(from, hdr, payload, len);
	case DVMM_MSG_MEM_FREEZE:
	case DVMM_MSG_MEM_INSTALL:
	case DVMM_MSG_MEM_HOME:
		return rehome_message(from, hdr, payload, len);
	case DVMM_MSG_MEM_HELD:
		return held_message(from, hdr, payload, len);
	default:
		return -EPROTO;
	}
}

static const struct dvmm_service service;

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
	case DVMM_MSG_MEM_LOSS:
		return loss_message(from, hdr, payload, len);
	default:
		return hdr->req ? dvmm_defer(&service, from, hdr, payload, len) : -EPROTO;
	}
}

static int mem_page(struct dsm_mem *mem, u64 index,
		    const struct proto_event *ev, struct page **frame)
{
	struct op op = {};
	int err;

	if (!vm_had_node(mem->vm, ev->from))
		return -EPROTO;
	if (page_get(mem, index, gfp_of(mem, index, ev->event), &op.ref))
		return -EPROTO; /* its request has made the record */
	op.frame = *frame;
	/* Its request tells the epoch: none outlives the one it began in. */
	err = handle(&op, ev, mem->vm->epoch);
	*frame = op.frame;
	loss_page_came(mem->vm, ev->from);
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
	loss_of_link(node);
}

static const struct dvmm_service service = {
	.name = "dsm",
	.owner = THIS_MODULE,
	.first_type = 0x100,
	.last_type = 0x1ff,
	.message = serve_message,
	.deferred = serve_deferred,
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
