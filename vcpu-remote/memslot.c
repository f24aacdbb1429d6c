// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/memslot.c - memslots: one KVM_SET_USER_MEMORY_REGION of the VMM is
 * done on all nodes. The memory behind them is dsm's.
 *
 * Slices have a slot before the origin and lose it before the origin: no vCPU is
 * told of memory that another one does not have yet.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

static void free_slot(struct slot *slot)
{
	if (slot)
		kfree_rcu(slot, rcu);
}

static int keep_slot(struct vm *vm, const struct kvm_userspace_memory_region *region,
		     const struct dsm_segment *segments, u32 nr)
{
	struct slot *slot, *old;

	slot = kzalloc(struct_size(slot, segments, nr), GFP_KERNEL);
	if (!slot)
		return -ENOMEM;
	slot->gpa = region->guest_phys_addr;
	slot->bytes = region->memory_size;
	slot->hva = region->userspace_addr;
	slot->flags = region->flags;
	slot->nr_segments = nr;
	memcpy(slot->segments, segments, nr * sizeof(*segments));
	old = xa_store(&vm->slots, region->slot, slot, GFP_KERNEL);
	if (xa_is_err(old)) {
		kfree(slot);
		return -ENOMEM;
	}
	free_slot(old);
	return 0;
}

static void forget_slot(struct vm *vm, u32 id)
{
	free_slot(xa_erase(&vm->slots, id));
}

static bool find_in_slot(const struct slot *slot, u32 mem, u64 offset, u64 *out_gpa)
{
	u64 gpa = READ_ONCE(slot->gpa);
	u32 i;

	for (i = 0; i < slot->nr_segments; i++) {
		const struct dsm_segment *segment = &slot->segments[i];

		if (segment->mem == mem && offset >= segment->offset &&
		    offset - segment->offset < segment->bytes) {
			*out_gpa = gpa + offset - segment->offset;
			return true;
		}
		gpa += segment->bytes;
	}
	return false;
}

bool memslot_find(struct vm *vm, u32 mem, u64 offset, u64 *out_gpa)
{
	bool found = false;
	struct slot *slot;
	unsigned long id;

	rcu_read_lock();
	xa_for_each(&vm->slots, id, slot) {
		found = find_in_slot(slot, mem, offset, out_gpa);
		if (found)
			break;
	}
	rcu_read_unlock();
	return found;
}

/* ---- origin ---- */

static int adopt_and_ship(struct vm *vm, const struct kvm_userspace_memory_region *region,
			  struct dsm_segment *segments, u32 *out_nr)
{
	int err;

	/* Memory that nobody will share stays as the VMM made it. */
	if (!vm->is_spanning)
		return 0;
	err = dsm_adopt(vm->dsm, region->userspace_addr, region->memory_size,
			region->guest_phys_addr, &vm->homes, segments, out_nr);
	if (!err)
		return ship_memslot_all(vm, region, segments, *out_nr);
	vm_unsupported(vm, "memory slot %#x of %llu bytes cannot be shared: error %d",
		       region->slot, region->memory_size, -err);
	return err;
}

static long set_real(struct vm *vm, struct file *real,
		     const struct kvm_userspace_memory_region *region,
		     const struct dsm_segment *segments, u32 nr, void __user *user)
{
	long err = real_ioctl(real, KVM_SET_USER_MEMORY_REGION, (unsigned long)user);

	if (err) {
		if (vm_next_node(vm, -1) < DVMM_MAX_NODES)
			vm_die(vm, err, "a memslot failed at the origin");
		return err;
	}
	if (!region->memory_size) {
		forget_slot(vm, region->slot);
		return 0;
	}
	return keep_slot(vm, region, segments, nr);
}

static long add_slot(struct vm *vm, struct file *real,
		     const struct kvm_userspace_memory_region *region, void __user *user)
{
	struct dsm_segment *segments;
	u32 nr = 0;
	long err;

	segments = kcalloc(DSM_MAX_SEGMENTS, sizeof(*segments), GFP_KERNEL);
	if (!segments)
		return -ENOMEM;
	err = adopt_and_ship(vm, region, segments, &nr);
	if (!err)
		err = set_real(vm, real, region, segments, nr, user);
	kfree(segments);
	return err;
}

static long set_slot(struct vm *vm, struct file *real, void __user *user)
{
	struct kvm_userspace_memory_region region;
	long err;

	if (copy_from_user(&region, user, sizeof(region)))
		return -EFAULT;
	if (region.memory_size)
		return add_slot(vm, real, &region, user);
	if (!xa_load(&vm->slots, region.slot))
		return -EINVAL;
	err = ship_memslot_all(vm, &region, NULL, 0);
	return err ?: set_real(vm, real, &region, NULL, 0, user);
}

static int tell_slot(struct vm *vm, u8 node, u32 id, const struct slot *slot)
{
	const struct kvm_userspace_memory_region region = {
		.slot = id,
		.flags = slot->flags,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->bytes,
	};

	return ship_memslot(vm, node, &region, slot->segments, slot->nr_segments);
}

int memslot_tell(struct vm *vm, u8 node)
{
	struct slot *slot;
	unsigned long id;
	int err;

	lockdep_assert_held(&vm->slots_lock);
	xa_for_each(&vm->slots, id, slot) {
		err = tell_slot(vm, node, id, slot);
		if (err)
			return err;
	}
	return 0;
}

long memslot_set(struct vm *vm, struct file *real, void __user *user)
{
	long err;

	if (mutex_lock_killable(&vm->slots_lock))
		return -EINTR;
	err = set_slot(vm, real, user);
	mutex_unlock(&vm->slots_lock);
	return err;
}

static int or_into(void __user *user, const unsigned long *bitmap, size_t bytes)
{
	unsigned long __user *at = user;
	unsigned long old;
	size_t i;

	for (i = 0; i < bytes / sizeof(*bitmap); i++) {
		if (!bitmap[i])
			continue;
		if (get_user(old, &at[i]) || put_user(old | bitmap[i], &at[i]))
			return -EFAULT;
	}
	return 0;
}

static int merge_dirty_log(struct vm *vm, u8 node, const struct kvm_dirty_log *log,
			   void *bitmap, size_t bytes)
{
	struct shipped shipped = {
		.cmd = KVM_GET_DIRTY_LOG,
		.arg = log->slot,
		.out = bitmap,
		.out_len = bytes,
	};
	int err = ship_vm_ioctl(vm, node, &shipped);

	if (err)
		return err;
	if (shipped.out_len != bytes)
		return -EPROTO;
	return or_into(log->dirty_bitmap, bitmap, bytes);
}

static size_t bitmap_bytes(const struct slot *slot)
{
	return ALIGN(slot->bytes >> PAGE_SHIFT, BITS_PER_LONG) / 8;
}

static long merge_dirty_logs(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct slot *slot = xa_load(&vm->slots, log->slot);
	size_t bytes;
	void *bitmap;
	int node, err = 0;

	if (!slot)
		return -ENOENT;
	bytes = bitmap_bytes(slot);
	if (bytes > DVMM_MSG_MAX / 2) {
		vm_unsupported(vm, "the dirty log of slot %#x is too large for a spanning VM",
			       log->slot);
		return -E2BIG;
	}
	bitmap = kzalloc(bytes, GFP_KERNEL);
	if (!bitmap)
		return -ENOMEM;
	for (node = vm_next_node(vm, -1); !err && node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node))
		err = merge_dirty_log(vm, node, log, bitmap, bytes);
	kfree(bitmap);
	return err;
}

long memslot_get_dirty_log(struct vm *vm, struct file *real, void __user *user)
{
	struct kvm_dirty_log log;
	long err;

	if (copy_from_user(&log, user, sizeof(log)))
		return -EFAULT;
	if (mutex_lock_killable(&vm->slots_lock))
		return -EINTR;
	err = real_ioctl(real, KVM_GET_DIRTY_LOG, (unsigned long)user);
	if (!err && vm_next_node(vm, -1) < DVMM_MAX_NODES)
		err = merge_dirty_logs(vm, &log);
	mutex_unlock(&vm->slots_lock);
	return err;
}

/* ---- slice: one thread does all of this, so slots needs no lock ---- */

static long set_region(struct vm *vm, const struct kvm_userspace_memory_region *region,
		       unsigned long scratch)
{
	if (copy_to_user((void __user *)scratch, region, sizeof(*region)))
		return -EFAULT;
	return real_ioctl(vm->kvm_file, KVM_SET_USER_MEMORY_REGION, scratch);
}

static long delete_here(struct vm *vm, struct kvm_userspace_memory_region *region,
			struct slot *slot, unsigned long scratch)
{
	unsigned long hva = slot->hva;
	u64 bytes = slot->bytes;
	long err;

	region->memory_size = 0;
	err = set_region(vm, region, scratch);
	if (err)
		return err;
	forget_slot(vm, region->slot);
	vm_munmap(hva, bytes);
	return 0;
}

static struct dsm_segment *take_segments(const struct dvmm_wire_segment *wire, u32 nr)
{
	struct dsm_segment *segments = kcalloc(nr, sizeof(*segments), GFP_KERNEL);
	u32 i;

	for (i = 0; segments && i < nr; i++) {
		segments[i].mem = le32_to_cpu(wire[i].mem);
		segments[i].home_policy = le32_to_cpu(wire[i].home_policy);
		segments[i].mem_bytes = le64_to_cpu(wire[i].mem_bytes);
		segments[i].offset = le64_to_cpu(wire[i].offset);
		segments[i].bytes = le64_to_cpu(wire[i].bytes);
	}
	return segments;
}

static long map_here(struct vm *vm, const struct dsm_segment *segments, u32 nr,
		     u64 expected, unsigned long *out_hva)
{
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		bytes += segments[i].bytes;
	return bytes == expected ? dsm_map(vm->dsm, segments, nr, out_hva) : -EINVAL;
}

static long add_segments(struct vm *vm, struct kvm_userspace_memory_region *region,
			 const struct dsm_segment *segments, u32 nr, unsigned long scratch)
{
	unsigned long hva;
	long err = map_here(vm, segments, nr, region->memory_size, &hva);

	if (err)
		return err;
	region->userspace_addr = hva;
	err = set_region(vm, region, scratch);
	if (!err)
		err = keep_slot(vm, region, segments, nr);
	if (err)
		vm_munmap(hva, region->memory_size);
	return err;
}

static long add_here(struct vm *vm, struct kvm_userspace_memory_region *region,
		     const struct dvmm_wire_segment *wire, u32 nr, unsigned long scratch)
{
	struct dsm_segment *segments = take_segments(wire, nr);
	long err;

	if (!segments)
		return -ENOMEM;
	err = add_segments(vm, region, segments, nr, scratch);
	kfree(segments);
	return err;
}

/* Other flags or another place in the guest: the same memory. */
static long change_here(struct vm *vm, struct kvm_userspace_memory_region *region,
			struct slot *slot, unsigned long scratch)
{
	long err;

	if (slot->bytes != region->memory_size)
		return -EINVAL;
	region->userspace_addr = slot->hva;
	err = set_region(vm, region, scratch);
	if (!err)
		WRITE_ONCE(slot->gpa, region->guest_phys_addr);
	return err;
}

int memslot_set_here(struct vm *vm, struct job *job, unsigned long scratch)
{
	const struct dvmm_msg_memslot *msg = (void *)job->payload;
	u32 nr = le32_to_cpu(msg->nr_segments);
	struct kvm_userspace_memory_region region = {
		.slot = le32_to_cpu(msg->slot),
		.flags = le32_to_cpu(msg->flags),
		.guest_phys_addr = le64_to_cpu(msg->guest_phys_addr),
		.memory_size = le64_to_cpu(msg->memory_size),
	};
	struct slot *slot = xa_load(&vm->slots, region.slot);

	if (nr > DSM_MAX_SEGMENTS ||
	    job->len != sizeof(*msg) + nr * sizeof(struct dvmm_wire_segment))
		return -EPROTO;
	if (!nr)
		return slot ? delete_here(vm, &region, slot, scratch) : -EINVAL;
	if (slot)
		return change_here(vm, &region, slot, scratch);
	return add_here(vm, &region, (const void *)(msg + 1), nr, scratch);
}
