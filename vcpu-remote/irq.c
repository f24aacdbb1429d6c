// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/irq.c - APIC messages between the nodes of a VM: which nodes a
 * message concerns, the way to them, and in from them. How KVM is heard and
 * injected into is apic_probe.c.
 *
 * A message goes to the nodes as it is and the KVM there finds the vCPUs: only it
 * knows their logical ids. Nothing is taken away from the local KVM: a vCPU that
 * lives elsewhere does not exist here, and KVM drops what is for it.
 *
 * When a vCPU moves, each node sends a fence to where it was: what it sends there after that
 * is not for this vCPU. A message that meets it no more is sent on; see move.c.
 *
 * An irqfd whose MSI KVM cannot deliver at once (a broadcast) tries again from a
 * workqueue, and the message is sent twice: for an edge interrupt that is the same
 * as a spurious one.
 */
#include <linux/irq_work.h>
#include <linux/kvm_host.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <asm/apic.h>
#include "internal.h"
#include "apic_probe.h"
#include "state.h"
#define CREATE_TRACE_POINTS
#include "trace.h"

#define XAPIC_BROADCAST 0xff
#define X2APIC_BROADCAST 0xffffffff
#define NR_ITEMS 1024 /* a power of 2; bounds what one VM-exit storm may leave behind */

struct irq_item {
	u64 nodes;
	bool is_fence;
	union {
		struct dvmm_msg_apic msg;
		struct dvmm_msg_vcpu fence;
	};
};

struct irq_route {
	struct apic_tap tap;
	struct vm *vm; /* outlives the route */
	u64 peers; /* lock for writing; all nodes with vCPUs of the VM but this */
	struct irq_work work;
	struct work_struct lost; /* a message was: the guest would hang */
	raw_spinlock_t lock; /* innermost */
	u32 nr_moves; /* lock; what was routed before the last one is routed anew */
	unsigned int head; /* lock; next to write */
	unsigned int tail; /* lock; next to send */
	bool sending; /* lock; one CPU sends, so that order is kept */
	struct irq_item items[NR_ITEMS]; /* lock */
};

/* ---- which nodes ---- */

static u64 node_bit(const struct irq_route *route, u32 vcpu_id)
{
	u8 node = vm_node_of(route->vm, vcpu_id);

	return node < 64 ? BIT_ULL(node) & READ_ONCE(route->peers) : 0;
}

static bool is_lowest_priority(const struct kvm_lapic_irq *irq)
{
	return irq->delivery_mode == APIC_DM_LOWEST || irq->msi_redir_hint;
}

/* As KVM reads it: an MSI's 0xff is everybody, also in x2APIC mode. */
static bool is_broadcast(const struct kvm *kvm, const struct kvm_lapic_irq *irq,
			 bool ipi, bool x2apic)
{
	if (irq->dest_id == X2APIC_BROADCAST)
		return true;
	if (irq->dest_id != XAPIC_BROADCAST)
		return false;
	return !x2apic || (!ipi && !kvm->arch.x2apic_broadcast_quirk_disabled);
}

/* The logical id of an x2APIC is made of its id: cluster and bit. That of an xAPIC
 * is what the guest wrote there; it may be on any node.
 */
static u64 nodes_of_logical(const struct irq_route *route, u32 dest, bool x2apic)
{
	unsigned long bits = dest & 0xffff;
	u64 nodes = 0;
	int bit;

	if (!x2apic)
		return READ_ONCE(route->peers);
	for_each_set_bit(bit, &bits, 16)
		nodes |= node_bit(route, (dest >> 16) * 16 + bit);
	return nodes;
}

/* One of the destinations gets it. If one is here, KVM has chosen it; else it is
 * the first, as a fixed message. xAPIC: as in the flat model.
 */
static void choose_one(struct kvm_lapic_irq *irq, bool x2apic)
{
	u32 bits = irq->dest_id & (x2apic ? 0xffff : 0xff);
	u32 cluster = x2apic ? irq->dest_id & 0xffff0000 : 0;

	irq->dest_id = cluster | (bits & -bits);
	irq->delivery_mode = APIC_DM_FIXED;
	irq->msi_redir_hint = false;
}

static u64 nodes_of_lowest(const struct irq_route *route,
			   struct kvm_lapic_irq *irq, bool x2apic)
{
	if (apic_matches(route->tap.kvm, irq))
		return 0;
	choose_one(irq, x2apic);
	return nodes_of_logical(route, irq->dest_id, x2apic);
}

static u64 nodes_of_all(const struct irq_route *route, struct kvm_lapic_irq *irq)
{
	irq->shorthand = APIC_DEST_ALLINC;
	if (is_lowest_priority(irq))
		irq->delivery_mode = APIC_DM_FIXED;
	return READ_ONCE(route->peers);
}

/* Other nodes with destinations of @irq, which becomes what they are to be told. */
static u64 nodes_concerned(const struct irq_route *route,
			   struct kvm_lapic_irq *irq, bool ipi)
{
	struct kvm *kvm = route->tap.kvm;
	bool logical = irq->dest_mode != APIC_DEST_PHYSICAL;
	bool x2apic;

	if (irq->shorthand == APIC_DEST_SELF)
		return 0;
	if (irq->shorthand)
		return nodes_of_all(route, irq);
	x2apic = apic_is_x2apic(kvm);
	if (logical && is_lowest_priority(irq))
		return nodes_of_lowest(route, irq, x2apic);
	if (is_broadcast(kvm, irq, ipi, x2apic))
		return nodes_of_all(route, irq);
	if (logical)
		return nodes_of_logical(route, irq->dest_id, x2apic);
	return node_bit(route, irq->dest_id);
}

/* ---- out ---- */

static void msg_from_irq(struct dvmm_msg_apic *msg,
			 const struct kvm_lapic_irq *irq)
{
	u32 flags = (irq->level ? DVMM_APIC_F_LEVEL : 0) |
		    (irq->trig_mode ? DVMM_APIC_F_TRIG : 0);

	msg->dest = cpu_to_le32(irq->dest_id);
	msg->vector = cpu_to_le32(irq->vector);
	msg->delivery_mode = cpu_to_le32(irq->delivery_mode);
	msg->dest_mode = cpu_to_le32(irq->dest_mode);
	msg->shorthand = cpu_to_le32(irq->shorthand);
	msg->flags = cpu_to_le32(flags);
}

/* route->lock is held */
static int push_locked(struct irq_route *route, const struct irq_item *item)
{
	if (route->head - route->tail >= NR_ITEMS)
		return -ENOBUFS;
	route->items[route->head++ % NR_ITEMS] = *item;
	return 0;
}

/* -ESTALE: a vCPU has moved since @nr_moves was read: a fence has gone where this would go */
static int item_push(struct irq_route *route, const struct irq_item *item, u32 nr_moves)
{
	unsigned long flags;
	int err = -ESTALE;

	raw_spin_lock_irqsave(&route->lock, flags);
	if (route->nr_moves == nr_moves)
		err = push_locked(route, item);
	raw_spin_unlock_irqrestore(&route->lock, flags);
	return err;
}

/* One sender at a time: true from the first call means to call until false. */
static bool item_pop(struct irq_route *route, struct irq_item *item, bool first)
{
	unsigned long flags;
	bool got;

	raw_spin_lock_irqsave(&route->lock, flags);
	got = route->head != route->tail && !(first && route->sending);
	if (got)
		*item = route->items[route->tail++ % NR_ITEMS];
	if (got || !first)
		route->sending = got;
	raw_spin_unlock_irqrestore(&route->lock, flags);
	return got;
}

static void vm_lost_message(struct work_struct *work)
{
	struct irq_route *route = container_of(work, struct irq_route, lost);

	vm_die(route->vm, -ENOBUFS, "an interrupt for another node was lost: too many wait");
}

/* A lost link ends the VM by itself. */
static void count_dropped(struct irq_route *route, u64 nodes)
{
	int node = __ffs64(nodes);

	dvmm_stat_inc(route->vm->stats, DVMM_STAT_VM_apic_dropped);
	if (dvmm_link_is_up(node))
		schedule_work(&route->lost);
}

static void item_send(struct irq_route *route, const struct irq_item *item)
{
	struct vm *vm = route->vm;
	struct dvmm_msg msg = {
		.type = item->is_fence ? DVMM_MSG_VCPU_FENCE : DVMM_MSG_APIC,
		.vm = vm->id,
		.payload = &item->msg,
		.len = item->is_fence ? sizeof(item->fence) : sizeof(item->msg),
	};
	unsigned long nodes = item->nodes;
	int node;

	for_each_set_bit(node, &nodes, 64) {
		if (dvmm_link_send(node, &msg))
			count_dropped(route, BIT_ULL(node));
		else if (!item->is_fence)
			dvmm_stat_inc(vm->stats, DVMM_STAT_VM_apic_sent);
	}
}

static void send_items(struct irq_work *work)
{
	struct irq_route *route = container_of(work, struct irq_route, work);
	struct irq_item item;
	bool first = true;

	while (item_pop(route, &item, first)) {
		item_send(route, &item);
		first = false;
	}
}

static int route_irq(struct irq_route *route, const struct kvm_lapic_irq *heard, bool ipi)
{
	/* Pairs with irq_vcpu_moved(): an older map comes with an older number. */
	u32 nr_moves = smp_load_acquire(&route->nr_moves);
	struct kvm_lapic_irq irq = *heard;
	struct irq_item item = { .nodes = nodes_concerned(route, &irq, ipi) };
	int err;

	if (!item.nodes)
		return 0;
	msg_from_irq(&item.msg, &irq);
	err = item_push(route, &item, nr_moves);
	if (err == -ENOBUFS)
		count_dropped(route, item.nodes);
	if (!err) {
		trace_dvmm_apic_captured(route->vm->id, item.nodes, &item.msg);
		irq_work_queue(&route->work);
	}
	return err;
}

static void irq_capture(struct apic_tap *tap, const struct kvm_lapic_irq *heard,
			bool ipi)
{
	struct irq_route *route = container_of(tap, struct irq_route, tap);

	dvmm_stat_inc(route->vm->stats, DVMM_STAT_VM_apic_captured);
	while (route_irq(route, heard, ipi) == -ESTALE)
		cpu_relax();
}

/* ---- in ---- */

static bool msg_is_good(const struct kvm_lapic_irq *irq, u32 mode, u32 dest_mode,
			u32 flags)
{
	return irq->vector <= 0xff && !(mode & ~APIC_MODE_MASK) &&
	       (dest_mode == APIC_DEST_PHYSICAL ||
		dest_mode == APIC_DEST_LOGICAL) &&
	       (!irq->shorthand || irq->shorthand == APIC_DEST_ALLINC) &&
	       !(flags & ~(DVMM_APIC_F_LEVEL | DVMM_APIC_F_TRIG));
}

static bool irq_from_msg(struct kvm_lapic_irq *irq,
			 const struct dvmm_msg_apic *msg)
{
	u32 mode = le32_to_cpu(msg->delivery_mode);
	u32 dest_mode = le32_to_cpu(msg->dest_mode);
	u32 flags = le32_to_cpu(msg->flags);

	*irq = (struct kvm_lapic_irq){
		.vector = le32_to_cpu(msg->vector),
		.delivery_mode = mode,
		.dest_mode = dest_mode,
		.level = flags & DVMM_APIC_F_LEVEL,
		.trig_mode = flags & DVMM_APIC_F_TRIG ? 1 : 0,
		.shorthand = le32_to_cpu(msg->shorthand),
		.dest_id = le32_to_cpu(msg->dest),
	};
	return msg_is_good(irq, mode, dest_mode, flags);
}

static int inject(struct vm *vm, const struct kvm_lapic_irq *irq)
{
	struct irq_route *route;
	int err = -ENXIO;

	rcu_read_lock();
	route = rcu_dereference(vm->irq);
	if (route)
		err = apic_inject(route->tap.kvm, irq);
	rcu_read_unlock();
	return err;
}

/* The sender did not know yet that the vCPU has moved away from here. */
static bool send_on(struct vm *vm, u8 from, const struct kvm_lapic_irq *irq,
		    const struct dvmm_msg_apic *apic)
{
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_APIC,
		.vm = vm->id,
		.payload = apic,
		.len = sizeof(*apic),
	};
	u8 node = vm_node_of(vm, irq->dest_id);

	if (irq->shorthand || irq->dest_mode != APIC_DEST_PHYSICAL ||
	    irq->dest_id >= DVMM_MAX_VCPUS || !vcpu_find(vm, irq->dest_id) ||
	    node == dvmm_node_self() || node == from)
		return false;
	if (dvmm_link_send(node, &msg))
		return false;
	dvmm_stat_inc(vm->stats, DVMM_STAT_VM_apic_sent_on);
	return true;
}

int irq_receive(struct vm *vm, u8 from, const struct dvmm_msg_apic *msg)
{
	struct kvm_lapic_irq irq;

	if (from >= 64 || !(vm->nodes & BIT_ULL(from)) || !irq_from_msg(&irq, msg))
		return -EPROTO;
	if (send_on(vm, from, &irq, msg))
		return 0;
	trace_dvmm_apic_received(vm->id, BIT_ULL(from), msg);
	dvmm_stat_inc(vm->stats, DVMM_STAT_VM_apic_received);
	/* Normal before the first vCPU is there and when the VM ends. */
	if (inject(vm, &irq))
		dvmm_stat_inc(vm->stats, DVMM_STAT_VM_apic_dropped);
	return 0;
}

/* ---- moves ---- */

static void reroute(struct irq_route *route, u32 vcpu_id, u8 from, u8 to)
{
	struct vm *vm = route->vm;
	const struct irq_item fence = {
		.nodes = BIT_ULL(from),
		.is_fence = true,
		.fence.vcpu_id = cpu_to_le32(vcpu_id),
	};
	unsigned long flags;
	int err = 0;

	raw_spin_lock_irqsave(&route->lock, flags);
	WRITE_ONCE(vm->node_of[vcpu_id], to);
	WRITE_ONCE(route->peers, vm_vcpu_nodes(vm) & ~BIT_ULL(dvmm_node_self()));
	if (from != dvmm_node_self())
		err = push_locked(route, &fence);
	/* Pairs with route_irq(). */
	smp_store_release(&route->nr_moves, route->nr_moves + 1);
	raw_spin_unlock_irqrestore(&route->lock, flags);
	if (err)
		count_dropped(route, fence.nodes);
	irq_work_queue(&route->work);
}

void irq_vcpu_moved(struct vm *vm, u32 vcpu_id, u8 from, u8 to)
{
	struct irq_route *route;

	trace_dvmm_vcpu_moved(vm->id, vcpu_id, from, to);
	rcu_read_lock();
	route = rcu_dereference(vm->irq);
	if (route)
		reroute(route, vcpu_id, from, to);
	else
		WRITE_ONCE(vm->node_of[vcpu_id], to);
	rcu_read_unlock();
}

/* KVM delivers with interrupts off, or as a reader of one of the two. */
void irq_settle(struct vm *vm)
{
	synchronize_rcu_expedited();
	synchronize_srcu_expedited(&vm->kvm->srcu);
	synchronize_srcu_expedited(&vm->kvm->irq_srcu);
}

static u32 send_one(struct vm *vm, u32 vcpu_id, u32 mode, u32 vector, bool level)
{
	const struct dvmm_msg_apic apic = {
		.dest = cpu_to_le32(vcpu_id),
		.vector = cpu_to_le32(vector),
		.delivery_mode = cpu_to_le32(mode),
		.dest_mode = cpu_to_le32(APIC_DEST_PHYSICAL),
		.flags = cpu_to_le32(DVMM_APIC_F_LEVEL | (level ? DVMM_APIC_F_TRIG : 0)),
	};
	const struct dvmm_msg msg = {
		.type = DVMM_MSG_APIC,
		.vm = vm->id,
		.payload = &apic,
		.len = sizeof(apic),
	};
	int err = dvmm_link_send(vm_node_of(vm, vcpu_id), &msg);

	if (err)
		vm_die(vm, err, "a late interrupt cannot be sent to where its vCPU moved");
	else
		dvmm_stat_inc(vm->stats, DVMM_STAT_VM_apic_sent_on);
	return 1;
}

u32 irq_send_late(struct vm *vm, u32 vcpu_id, const struct late *late)
{
	u32 nr = 0;
	u32 i;

	if (late->init)
		nr += send_one(vm, vcpu_id, APIC_DM_INIT, 0, false);
	if (late->sipi)
		nr += send_one(vm, vcpu_id, APIC_DM_STARTUP, late->sipi_vector, false);
	if (late->nmi)
		nr += send_one(vm, vcpu_id, APIC_DM_NMI, 0, false);
	for (i = 0; i < 256; i++)
		if (late->pending[i / 32] & BIT(i % 32))
			nr += send_one(vm, vcpu_id, APIC_DM_FIXED, i,
				       late->level[i / 32] & BIT(i % 32));
	return nr;
}

/* ---- life ---- */

int irq_vm_start(struct vm *vm)
{
	struct irq_route *route = kvzalloc(sizeof(*route), GFP_KERNEL_ACCOUNT);
	int err;

	if (!route)
		return -ENOMEM;
	route->vm = vm;
	route->peers = vm_vcpu_nodes(vm) & ~BIT_ULL(dvmm_node_self());
	route->tap.kvm = vm->kvm;
	route->tap.hear = irq_capture;
	init_irq_work(&route->work, send_items);
	INIT_WORK(&route->lost, vm_lost_message);
	raw_spin_lock_init(&route->lock);
	err = apic_tap_add(&route->tap);
	if (err) {
		kvfree(route);
		return err;
	}
	rcu_assign_pointer(vm->irq, route);
	return 0;
}

void irq_vm_stop(struct vm *vm)
{
	struct irq_route *route = rcu_dereference_protected(vm->irq, true);

	if (!route)
		return;
	RCU_INIT_POINTER(vm->irq, NULL);
	apic_tap_remove(&route->tap); /* waits for RCU: no inject() runs any more */
	irq_work_sync(&route->work);
	cancel_work_sync(&route->lost);
	kvfree(route);
}

/* Ask KVM for what it does not show: whether it delivers by the function that is
 * probed. To de-assert INIT does nothing to any APIC.
 */
static int probe_check(struct vm *vm)
{
	const struct kvm_lapic_irq nothing = {
		.delivery_mode = APIC_DM_INIT,
		.trig_mode = 1,
	};

	return inject(vm, &nothing);
}

int irq_vcpu_created(struct vm *vm, struct file *vcpu_file,
		     unsigned long scratch)
{
	long err = vcpu_file->f_op->unlocked_ioctl(vcpu_file, KVM_GET_LAPIC,
						   scratch);

	if (!err)
		err = vcpu_file->f_op->unlocked_ioctl(vcpu_file, KVM_SET_LAPIC,
						      scratch);
	return err ? err : probe_check(vm);
}
