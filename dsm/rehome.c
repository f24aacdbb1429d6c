// SPDX-License-Identifier: GPL-2.0-only
/* dsm/rehome.c - an extent gets another home while the VM runs.
 *
 * The origin leads, one extent at a time, each step a request that is answered:
 * the old home freezes (what is under way there ends, what comes waits) and hands its
 * directory entries over; the new home takes them, frozen too, and holds itself for
 * home; all other nodes learn who is home; then the old home, which sends away who
 * waits there; then the new home, which begins to serve. So there is no moment at
 * which two nodes serve a page, or at which a forward comes from a node that its
 * receiver does not hold for home. Why that is enough is proven in selftests/proto.
 *
 * Homes do not move while the loss of a node is dealt with, and a node that is lost
 * while one moves ends the VM (loss.c).
 *
 * Until the new home has the entries a failure leaves home where it was. Later it
 * stops the VM: who knows what is not known here.
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "internal.h"
#include "wire.h"

/* What is under way on a page, and a pin on it, may take so long. */
#define QUIET_TIMEOUT_MS 4000
#define REQUEST_TIMEOUT_MS 10000

static struct workqueue_struct *rehome_wq;

struct entries {
	u32 nr;
	struct dvmm_wire_home item[HOME_EXTENT_PAGES];
};

/* ---- the pages of an extent ---- */

struct extent {
	struct dsm_mem *mem;
	u64 nr; /* in the mem, of HOME_EXTENT_PAGES each */
};

static u64 first_page(const struct extent *extent)
{
	return extent->nr * HOME_EXTENT_PAGES;
}

static u64 end_page(const struct extent *extent)
{
	return first_page(extent) + HOME_EXTENT_PAGES;
}

static struct dsm_vm *vm_of(const struct extent *extent)
{
	return extent->mem->vm;
}

static u8 home_now(const struct extent *extent)
{
	return home_of(extent->mem, first_page(extent));
}

static bool is_here(const struct extent *extent)
{
	return home_now(extent) == vm_of(extent)->self;
}

/* Nobody frees directory entries meanwhile: only a message of the origin, which
 * sends them one after the other, makes an extent come or go.
 */
#define for_each_homed(extent, index, ref)                                       \
	for ((index) = first_page(extent);                                       \
	     page_next_homed((extent)->mem, &(index), (ref)) &&                  \
	     (index) < end_page(extent);                                         \
	     (index)++)

/* Frames count for home or not. */
static void recount(const struct extent *extent)
{
	struct page_ref ref;
	u64 index = first_page(extent);

	for (; page_next_resident(extent->mem, &index, GFP_KERNEL, &ref) && index < end_page(extent);
	     index++) {
		page_lock(&ref);
		page_count_homed(&ref);
		page_unlock(&ref);
	}
}

/* ---- the old home gives its entries away ---- */

static void pack(const struct page_ref *ref, struct entries *out)
{
	const struct proto_home *home = &ref->home->home;

	if (home->state == PROTO_UNCACHED)
		return;
	out->item[out->nr++] = (struct dvmm_wire_home){
		.page = cpu_to_le16(ref->index % HOME_EXTENT_PAGES),
		.state = home->state,
		.owner = home->owner,
		.sharers = cpu_to_le64(home->sharers),
	};
}

static bool is_frozen(const struct extent *extent)
{
	return home_site(extent->mem, first_page(extent)).frozen;
}

/* Frozen, a page that is not busy stays so. */
static int wait_until_quiet(const struct extent *extent)
{
	long left = msecs_to_jiffies(QUIET_TIMEOUT_MS);
	struct dsm_vm *vm = vm_of(extent);
	struct page_ref ref;
	u64 index;

	for_each_homed(extent, index, &ref) {
		left = wait_event_timeout(vm->home_quiet,
					  !READ_ONCE(ref.home->home.busy) ||
					  !is_frozen(extent) || vm_is_dead(vm), left);
		if (!left)
			return -EBUSY;
		if (vm_is_dead(vm))
			return -EIO;
	}
	return is_frozen(extent) ? 0 : -ECANCELED;
}

/* One at a time: one that stalled for so long that the origin gave it up may still look
 * at entries, which go when their extent is frozen again and moves.
 */
static int freeze_begin(const struct extent *extent)
{
	struct dsm_vm *vm = vm_of(extent);
	int err;

	if (atomic_xchg_acquire(&vm->freezes, 1))
		return -EBUSY;
	err = !is_here(extent) || is_frozen(extent) ? -ESTALE :
	      home_set(extent->mem, extent->nr, vm->self, true);
	if (err)
		atomic_set_release(&vm->freezes, 0);
	return err;
}

/* Home is frozen, so there is no new one. What has a pin is tried again. */
static int split_block(const struct extent *extent)
{
	unsigned long end = jiffies + msecs_to_jiffies(QUIET_TIMEOUT_MS);
	int err;

	for (;;) {
		err = block_split(extent->mem, first_page(extent));
		if (err != -EBUSY || !time_before(jiffies, end) || vm_is_dead(vm_of(extent)))
			return err;
		usleep_range(1000, 2000);
	}
}

static int collect(const struct extent *extent, struct entries *out)
{
	struct page_ref ref;
	u64 index;
	int err;

	page_synchronize();
	err = split_block(extent) ?: wait_until_quiet(extent);
	if (err)
		return err;
	out->nr = 0;
	for_each_homed(extent, index, &ref) {
		page_lock(&ref);
		pack(&ref, out);
		page_unlock(&ref);
	}
	return 0;
}

static int freeze_end(const struct extent *extent, struct entries *out)
{
	int err = collect(extent, out);

	atomic_set_release(&vm_of(extent)->freezes, 0);
	return err;
}

/* ---- any node learns who is home ---- */

/* Who waits at what was or is home now, is sent away or served. */
static void wake_waiting(const struct extent *extent)
{
	struct op op = {};
	struct dsm_home *home;
	u64 index;
	int err = 0;

	for_each_homed(extent, index, &op.ref) {
		home = op.ref.home;
		page_lock(&op.ref);
		if (home->waiting && !vm_is_dead(vm_of(extent)))
			err = act_waiting(&op, home);
		page_unlock(&op.ref);
		if (err)
			vm_fail(vm_of(extent), err, "memory object %u page %llu: rules broken here",
				extent->mem->id, index);
	}
}

static int learn(const struct extent *extent, u8 node)
{
	bool was_here = is_here(extent);
	int err = home_set(extent->mem, extent->nr, node, false);

	if (err || (!was_here && node != vm_of(extent)->self))
		return err;
	page_synchronize();
	recount(extent);
	wake_waiting(extent);
	if (node != vm_of(extent)->self)
		page_free_homes(extent->mem, first_page(extent), HOME_EXTENT_PAGES);
	return 0;
}

/* ---- the new home gets them ---- */

/* The last extent of an object may be shorter. */
static u64 nr_pages(const struct extent *extent)
{
	return min_t(u64, HOME_EXTENT_PAGES, extent->mem->nr_pages - first_page(extent));
}

static int install_one(const struct extent *extent, const struct dvmm_wire_home *item)
{
	struct page_ref ref;
	int err = page_get(extent->mem, first_page(extent) + le16_to_cpu(item->page), GFP_KERNEL, &ref);

	if (err)
		return err;
	page_lock(&ref);
	ref.home->home = (struct proto_home){
		.state = item->state,
		.owner = item->owner,
		.sharers = le64_to_cpu(item->sharers),
	};
	page_unlock(&ref);
	return 0;
}

static int install(const struct extent *extent, const struct entries *entries)
{
	u8 old = home_now(extent);
	int err;
	u32 i;

	if (is_here(extent))
		return -ESTALE;
	if (!wire_entries_are_sound(entries->item, entries->nr, nr_pages(extent),
				    vm_of(extent)->nodes))
		return -EINVAL;
	err = home_set(extent->mem, extent->nr, vm_of(extent)->self, true);
	if (err)
		return err;
	page_synchronize();
	for (i = 0; i < entries->nr && !err; i++)
		err = install_one(extent, &entries->item[i]);
	if (err)
		learn(extent, old);
	else
		vm_stat(vm_of(extent), homes_come);
	return err;
}

/* ---- messages ---- */

static struct dvmm_msg_home payload_of(const struct extent *extent, u8 node, u32 nr)
{
	return (struct dvmm_msg_home){
		.mem = cpu_to_le32(extent->mem->id),
		.node = cpu_to_le32(node),
		.extent = cpu_to_le64(extent->nr),
		.nr_entries = cpu_to_le32(nr),
	};
}

static int request(const struct extent *extent, u8 to, u16 type, u8 home,
		   const struct entries *in, struct entries *out)
{
	struct dvmm_msg_home payload = payload_of(extent, home, in ? in->nr : 0);
	struct dvmm_msg msg = {
		.type = type,
		.vm = vm_of(extent)->id,
		.payload = &payload,
		.len = sizeof(payload),
		.tail = in ? in->item : NULL,
		.tail_len = in ? in->nr * sizeof(in->item[0]) : 0,
	};
	size_t len = 0;
	int err = dvmm_link_request(to, &msg, out ? out->item : NULL,
				    out ? sizeof(out->item) : 0, &len, REQUEST_TIMEOUT_MS);

	if (!err && out)
		out->nr = len / sizeof(out->item[0]);
	if (!err && (len % sizeof(struct dvmm_wire_home) || (len && !out)))
		err = -EPROTO;
	return err;
}

/* A freeze that waits is not for the thread that receives. */
struct freeze {
	struct work_struct work;
	struct extent extent; /* a reference of the mem; in its vm */
	u8 from;
	u32 req;
	struct entries entries;
};

static void freeze_work(struct work_struct *work)
{
	struct freeze *freeze = container_of(work, struct freeze, work);
	struct dsm_vm *vm = vm_of(&freeze->extent);
	int err = freeze_end(&freeze->extent, &freeze->entries);

	dvmm_link_reply_patiently(freeze->from, freeze->req, err, freeze->entries.item,
			err ? 0 : freeze->entries.nr * sizeof(freeze->entries.item[0]));
	vm_get(vm);
	mem_put(freeze->extent.mem);
	vm_leave(vm);
	vm_put(vm);
	kvfree(freeze);
}

/* Zero: the reply comes later. */
static int freeze_for(const struct extent *extent, u8 from, u32 req)
{
	struct freeze *freeze = kvzalloc(sizeof(*freeze), GFP_KERNEL);
	int err = -ENOMEM;

	if (!freeze)
		return err;
	if (!vm_enter(vm_of(extent))) {
		err = -EIO;
		goto free;
	}
	err = freeze_begin(extent);
	if (err)
		goto leave;
	INIT_WORK(&freeze->work, freeze_work);
	mem_get(extent->mem);
	freeze->extent = *extent;
	freeze->from = from;
	freeze->req = req;
	queue_work(rehome_wq, &freeze->work);
	return 0;

leave:
	vm_leave(vm_of(extent));
free:
	kvfree(freeze);
	return err;
}

static int install_from(const struct extent *extent, const void *tail, u32 nr)
{
	struct entries *entries = kvmalloc(sizeof(*entries), GFP_KERNEL);
	int err;

	if (!entries)
		return -ENOMEM;
	entries->nr = nr;
	memcpy(entries->item, tail, nr * sizeof(entries->item[0]));
	err = install(extent, entries);
	kvfree(entries);
	return err;
}

static int in_vm(struct dsm_vm *vm, u8 from, const struct dvmm_msg_hdr *hdr,
		 const struct dvmm_msg_home *payload, bool *out_is_late)
{
	struct extent extent = {
		.mem = mem_find(vm, le32_to_cpu(payload->mem)),
		.nr = le64_to_cpu(payload->extent),
	};
	u32 node = le32_to_cpu(payload->node), nr = le32_to_cpu(payload->nr_entries);
	int err;

	if (from != vm->origin)
		return -EPERM;
	if (!extent.mem || !vm_has_node(vm, min_t(u32, node, DVMM_MAX_NODES)) ||
	    extent.nr >= home_nr_extents(extent.mem->nr_pages << PAGE_SHIFT))
		return -EINVAL;
	if (le16_to_cpu(hdr->type) == DVMM_MSG_MEM_HOME)
		return learn(&extent, node);
	if (node != vm->self)
		return -EINVAL;
	if (le16_to_cpu(hdr->type) == DVMM_MSG_MEM_FREEZE) {
		err = freeze_for(&extent, from, le32_to_cpu(hdr->req));
		*out_is_late = !err;
		return err;
	}
	return install_from(&extent, payload + 1, nr);
}

int rehome_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	struct dsm_vm *vm;
	bool is_late = false;
	int err = -ENOENT;

	if (!wire_home_is_sound(le16_to_cpu(hdr->type), payload, len))
		return -EPROTO;
	vm = vm_find(le32_to_cpu(hdr->vm));
	if (vm) {
		err = in_vm(vm, from, hdr, payload, &is_late);
		vm_leave(vm);
	}
	if (!is_late)
		dvmm_link_reply(from, le32_to_cpu(hdr->req), err, NULL, 0);
	return 0;
}

/* ---- the origin leads ---- */

static int freeze_at(const struct extent *extent, u8 node, struct entries *entries)
{
	int err;

	if (node != vm_of(extent)->self)
		return request(extent, node, DVMM_MSG_MEM_FREEZE, node, NULL, entries);
	err = freeze_begin(extent);
	return err ?: freeze_end(extent, entries);
}

static int install_at(const struct extent *extent, u8 node, const struct entries *entries)
{
	if (node != vm_of(extent)->self)
		return request(extent, node, DVMM_MSG_MEM_INSTALL, node, entries, NULL);
	return install(extent, entries);
}

static int learn_at(const struct extent *extent, u8 node, u8 home)
{
	int err;

	if (node == vm_of(extent)->self)
		err = learn(extent, home);
	else
		err = request(extent, node, DVMM_MSG_MEM_HOME, home, NULL, NULL);
	if (err)
		vm_fail(vm_of(extent), err,
			"node %u was not told the home of extent %llu of memory object %u",
			node, extent->nr, extent->mem->id);
	return err;
}

static int tell_all(const struct extent *extent, u8 from, u8 to)
{
	u64 others = READ_ONCE(vm_of(extent)->nodes) & ~(BIT_ULL(from) | BIT_ULL(to));
	int err = 0;

	for (; others && !err; others &= others - 1)
		err = learn_at(extent, __ffs64(others), to);
	err = err ?: learn_at(extent, from, to);
	return err ?: learn_at(extent, to, to);
}

int rehome_tell(struct dsm_mem *mem, u64 extent_nr, u8 node)
{
	const struct extent extent = { .mem = mem, .nr = extent_nr };

	return request(&extent, node, DVMM_MSG_MEM_HOME, home_now(&extent), NULL, NULL);
}

/* Without an answer of the new home nobody knows what it has. */
static bool is_answer(int err)
{
	return err != -ETIMEDOUT && err != -ENOTCONN && err != -EINTR && err != -EPROTO;
}

/* As if nothing had been: also for a freeze that comes after its time. */
static int thaw(const struct extent *extent, u8 from, int err)
{
	learn_at(extent, from, from);
	return err;
}

static int move_extent(const struct extent *extent, u8 to, struct entries *entries)
{
	u8 from = home_now(extent);
	int err;

	if (from == to)
		return 0;
	/* What is not in the directory there is lost, and would be zero at another home. */
	if (home_is_orphan(extent->mem, first_page(extent)))
		return -EOPNOTSUPP;
	err = freeze_at(extent, from, entries);
	if (err)
		return thaw(extent, from, err);
	err = install_at(extent, to, entries);
	if (!err)
		return tell_all(extent, from, to);
	if (is_answer(err))
		return thaw(extent, from, err);
	vm_fail(vm_of(extent), err, "node %u did not answer while extent %llu of memory object %u moved there",
		to, extent->nr, extent->mem->id);
	return err;
}

/* What an ioctl waits for; a signal ends its wait, not the move. */
struct move {
	struct kref ref;
	struct work_struct work;
	struct completion done;
	struct extent extent; /* a reference of the mem; in its vm until done */
	u8 to;
	int err;
	struct entries entries;
};

static void move_free(struct kref *ref)
{
	kvfree(container_of(ref, struct move, ref));
}

static void move_work(struct work_struct *work)
{
	struct move *move = container_of(work, struct move, work);
	struct dsm_vm *vm = vm_of(&move->extent);

	mutex_lock(&vm->rehome_lock);
	WRITE_ONCE(vm->nodes_differ, true);
	move->err = loss_is_near(vm) ? -EBUSY :
				       move_extent(&move->extent, move->to, &move->entries);
	WRITE_ONCE(vm->nodes_differ, false);
	mutex_unlock(&vm->rehome_lock);
	vm_get(vm);
	mem_put(move->extent.mem);
	vm_leave(vm);
	vm_put(vm);
	complete(&move->done);
	kref_put(&move->ref, move_free);
}

/* The caller is in the vm and has the mem. */
static int move_and_wait(const struct extent *extent, u8 to)
{
	struct move *move = kvzalloc(sizeof(*move), GFP_KERNEL);
	int err;

	if (!move)
		return -ENOMEM;
	if (!vm_enter(vm_of(extent))) {
		kvfree(move);
		return -EIO;
	}
	kref_init(&move->ref);
	kref_get(&move->ref);
	INIT_WORK(&move->work, move_work);
	init_completion(&move->done);
	mem_get(extent->mem);
	move->extent = *extent;
	move->to = to;
	queue_work(rehome_wq, &move->work);
	err = wait_for_completion_killable(&move->done);
	err = err ? -EINTR : move->err;
	kref_put(&move->ref, move_free);
	return vm_is_dead(vm_of(extent)) ? -EIO : err;
}

static bool is_wanted(const struct extent *extent, const struct dvmm_mem_rehome *arg)
{
	u8 home = home_now(extent);

	if (arg->from_node != DVMM_ANY_NODE && home != arg->from_node)
		return false;
	return home != arg->node_id;
}

static int rehome_mem(struct dsm_mem *mem, struct dvmm_mem_rehome *arg)
{
	u64 nr = home_nr_extents(mem->nr_pages << PAGE_SHIFT);
	u64 end = arg->nr_extents ? arg->extent + arg->nr_extents : nr;
	struct extent extent = { .mem = mem, .nr = arg->extent };
	int err = 0;

	if (end > nr || arg->extent >= end)
		return -EINVAL;
	for (; extent.nr < end && !err; extent.nr++) {
		if (!is_wanted(&extent, arg))
			continue;
		err = move_and_wait(&extent, arg->node_id);
		arg->out_moved += !err;
	}
	return err;
}

static struct dsm_mem *get_from(struct dsm_vm *vm, unsigned long id)
{
	struct dsm_mem *mem;

	mutex_lock(&vm->lock);
	mem = xa_find(&vm->mems, &id, U32_MAX, XA_PRESENT);
	if (mem)
		mem_get(mem);
	mutex_unlock(&vm->lock);
	return mem;
}

static int rehome(struct dsm_vm *vm, struct dvmm_mem_rehome *arg)
{
	struct dsm_mem *mem = get_from(vm, arg->mem_id);
	int err = -ENOENT;
	u32 id;

	if (arg->mem_id && mem && mem->id != arg->mem_id)
		goto put;
	while (mem) {
		err = rehome_mem(mem, arg);
		if (err || arg->mem_id)
			break;
		id = mem->id;
		mem_put(mem);
		mem = get_from(vm, id + 1);
	}
put:
	if (mem)
		mem_put(mem);
	return err;
}

int dsm_rehome(struct dsm_vm *vm, struct dvmm_mem_rehome *arg)
{
	int err;

	arg->out_moved = 0;
	if (vm->self != vm->origin)
		return -EOPNOTSUPP;
	if (!vm_has_node(vm, min_t(u32, arg->node_id, DVMM_MAX_NODES)) ||
	    arg->extent + arg->nr_extents < arg->extent ||
	    (!arg->mem_id && (arg->extent || arg->nr_extents)))
		return -EINVAL;
	if (!vm_enter(vm))
		return -EIO;
	vm_get(vm);
	err = rehome(vm, arg);
	vm_leave(vm);
	vm_put(vm);
	return err;
}
EXPORT_SYMBOL_GPL(dsm_rehome);

int rehome_init(void)
{
	rehome_wq = alloc_workqueue("dvmm_rehome", WQ_UNBOUND, 0);
	return rehome_wq ? 0 : -ENOMEM;
}

/* After mem_exit(): each work holds a mem. */
void rehome_exit(void)
{
	destroy_workqueue(rehome_wq);
}
