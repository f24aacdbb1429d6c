// SPDX-License-Identifier: GPL-2.0-only
/* dsm/fault.c - faults in mappings of a memory object: of the guest (KVM faults
 * for it), the VMM, its devices, the kernel. What an access needs is act.c's.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sched/coredump.h>
#include <linux/sched/signal.h>

#include "internal.h"

#define COMPLAIN_AFTER_MS 10000
#define BRIEF_ROUND_TRIPS 8
#define BUSY_BLOCK_US 100
#define MAP_AHEAD_PAGES 16 /* as the page cache's fault-around */
/* A block (block.c) is what one entry of a page middle directory maps. */
static_assert(PMD_SIZE == (unsigned long)HOME_EXTENT_PAGES << PAGE_SHIFT);

static uint async_after = BRIEF_ROUND_TRIPS;
module_param(async_after, uint, 0644);
MODULE_PARM_DESC(async_after, "round trips until a vCPU's fault goes on without it (0: at once)");

static bool can_retry(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_ALLOW_RETRY;
}

static bool must_not_wait(const struct vm_fault *vmf)
{
	return can_retry(vmf) && vmf->flags & FAULT_FLAG_RETRY_NOWAIT;
}

/* KVM's worker for a fault that did not wait always faults for write, which
 * would take the page from its readers. It only has to wait: what its fault
 * returns is ignored and the vCPU faults again.
 */
static bool is_read_in_disguise(const struct page_ref *ref,
				const struct vm_fault *vmf)
{
	return current->flags & PF_WQ_WORKER &&
	       vmf->flags & FAULT_FLAG_WRITE &&
	       ref->page->flags & PAGE_F_WISH_READ;
}

static void set_wish(const struct page_ref *ref, const struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_WRITE)
		ref->page->flags &= ~PAGE_F_WISH_READ;
	else
		ref->page->flags |= PAGE_F_WISH_READ;
}

/* The first use of a grant ends a fault that was counted when it began. */
static void count_hit(const struct page_ref *ref)
{
	if (!(ref->page->flags & PAGE_F_COUNTED)) {
		vm_stat(ref->mem->vm, faults);
		vm_stat(ref->mem->vm, faults_local);
	}
	ref->page->flags &= ~PAGE_F_COUNTED;
}

/* Its frame. False: it is in a block that must not be mapped here, or any more. */
static bool lock_frame(const struct page_ref *ref, const struct vm_area_struct *vma)
{
	struct page *frame = ref->page->frame;

	lock_page(frame);
	if (!block_has(ref->page) ||
	    (block_is_whole(ref->page) && !(vma->vm_flags & VM_MIXEDMAP)))
		return true;
	unlock_page(frame);
	return false;
}

/* Locked until it is mapped, so that no taker comes in between. Zero: not now. */
static vm_fault_t give_frame(const struct page_ref *ref, struct vm_fault *vmf)
{
	struct page *frame = ref->page->frame;

	if (!lock_frame(ref, vmf->vma))
		return 0;
	get_page(frame);
	vmf->page = frame;
	act_used(ref, vmf->flags & FAULT_FLAG_WRITE);
	count_hit(ref);
	return VM_FAULT_LOCKED;
}

static vm_fault_t error_to_fault(int err)
{
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/* The access comes back, or has to wait. In a mapping that must have no blocks
 * (memfile_mmap()), they are split; a pin is waited for that way.
 */
static vm_fault_t settle_block(const struct page_ref *ref, const struct vm_area_struct *vma)
{
	int err = vma->vm_flags & VM_MIXEDMAP ? block_split(ref->mem, ref->index) :
						block_settle(ref->mem, ref->index);

	if (err == -EBUSY) {
		usleep_range(BUSY_BLOCK_US, 2 * BUSY_BLOCK_US);
		return VM_FAULT_RETRY;
	}
	return err ? error_to_fault(err) : VM_FAULT_NOPAGE;
}

/* VM_FAULT_RETRY: has to wait. */
static vm_fault_t try_fault(struct op *op, struct vm_fault *vmf)
{
	bool disguised;
	int err;

	page_lock(&op->ref);
	disguised = is_read_in_disguise(&op->ref, vmf);
	err = act_access(op, vmf->flags & FAULT_FLAG_WRITE && !disguised ?
				     PROTO_WRITE :
				     PROTO_READ);
	if (err == -EAGAIN && must_not_wait(vmf))
		set_wish(&op->ref, vmf);
	if (!err && disguised)
		op->ref.page->flags &= ~PAGE_F_WISH_READ;
	if (!err && !disguised) {
		vm_fault_t ret = give_frame(&op->ref, vmf);

		page_unlock(&op->ref);
		return ret ?: settle_block(&op->ref, vmf->vma);
	}
	page_unlock(&op->ref);
	return err == -EAGAIN ? VM_FAULT_RETRY : error_to_fault(err);
}

/* ---- pages ahead ---- */

static bool map_if_ready(struct page_ref *ref, struct vm_area_struct *vma, unsigned long at)
{
	bool mapped = false;

	page_lock(ref);
	if (prefetch_is_ready(ref))
		mapped = !vm_insert_page(vma, at, ref->page->frame);
	if (mapped)
		page_used(ref->page, false);
	page_unlock(ref);
	return mapped;
}

/* Under the page lock none can be allocated. */
static bool has_page_table(const struct vm_fault *vmf, unsigned long at)
{
	return !((at ^ vmf->address) & PMD_MASK) && !pmd_none(READ_ONCE(*vmf->pmd));
}

/* What was prefetched and has come is mapped with the page before it: a sequential
 * reader has not one fault for each page. It counts as used. The mark is left out,
 * because its fault is what asks for more. No lock is held here.
 */
static void map_ahead(struct dsm_mem *mem, const struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct page_ref ref;
	int i;

	if (!(vma->vm_flags & VM_MIXEDMAP))
		return;
	for (i = 1; i <= MAP_AHEAD_PAGES; i++) {
		unsigned long at = vmf->address + i * PAGE_SIZE;

		if (at >= vma->vm_end || !has_page_table(vmf, at) ||
		    page_get(mem, vmf->pgoff + i, GFP_KERNEL, &ref) ||
		    !prefetch_is_ready(&ref) || !map_if_ready(&ref, vma, at))
			return;
	}
}

static bool is_in_stream(const struct page_ref *ref, const struct vm_fault *vmf)
{
	return !(vmf->flags & FAULT_FLAG_WRITE) && READ_ONCE(ref->page->flags) & PAGE_F_PREFETCHED;
}

/* ---- waiting ---- */

/* Looked at without the lock: whoever waited asks the rules again. */
static bool is_settled(const struct page_ref *ref)
{
	return (!proto_is_transient(READ_ONCE(ref->page->node.state)) &&
		!loss_is_dealt_with(ref->mem->vm)) || vm_is_dead(ref->mem->vm);
}

static void complain(const struct page_ref *ref)
{
	pr_warn_ratelimited("dvmm-dsm: vm %x: page %llu of memory object %u: no answer for %u ms (state %s, txn %u)\n",
			    ref->mem->vm->id, ref->index, ref->mem->id,
			    COMPLAIN_AFTER_MS,
			    proto_node_state_name(ref->page->node.state),
			    ref->page->node.txn);
}

/* Ends by the answer, a fatal signal, or the death of the VM: dsm_vm_kill(), or
 * the loss of a node it cannot do without. Return: 0 or -ERESTARTSYS
 */
int fault_wait(const struct page_ref *ref)
{
	struct wait_queue_head *wait = page_wait_queue(ref->page);
	u64 start = ktime_get_ns();
	long left;

	do {
		left = wait_event_killable_timeout(*wait, is_settled(ref),
				msecs_to_jiffies(COMPLAIN_AFTER_MS));
		if (!left)
			complain(ref);
	} while (!left);
	vm_stat_add(ref->mem->vm, DVMM_STAT_VM_fault_wait_ns,
		    ktime_get_ns() - start);
	heat_waited(ref, ktime_get_ns() - start);
	return left < 0 ? left : 0;
}

/* The usual answer comes sooner than it takes to go through the fault again, or, when
 * KVM asks not to wait, than its asynchronous way with two thread hand-offs and empty
 * exits. A late one is left to that way, so that the vCPU can take interrupts.
 * True: try again now.
 */
static bool wait_briefly(const struct page_ref *ref, u32 round_trips)
{
	u64 start = ktime_get_ns();
	u64 brief = round_trips * page_rtt_ns(ref);

	wait_event_interruptible_hrtimeout(*page_wait_queue(ref->page),
					   is_settled(ref),
					   ns_to_ktime(brief));
	vm_stat_add(ref->mem->vm, DVMM_STAT_VM_fault_wait_ns,
		    ktime_get_ns() - start);
	heat_waited(ref, ktime_get_ns() - start);
	return is_settled(ref);
}

/* The fault comes back: waits without the mmap_lock. *@out_file holds the mem. */
static vm_fault_t wait_unlocked(struct op *op, struct vm_fault *vmf,
				struct file **out_file)
{
	*out_file = get_file(vmf->vma->vm_file);
	compat_release_fault_lock(vmf);
	fault_wait(&op->ref);
	return VM_FAULT_RETRY;
}

/* Somebody has, so this is no miss that a stream could be made of. A hint. */
static bool is_asked_for(const struct page_ref *ref)
{
	return READ_ONCE(ref->page->flags) & PAGE_F_FORESEEN || !is_settled(ref);
}

static u8 access_of(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE ? PROTO_WRITE : PROTO_READ;
}

/* Waits for what a miss has asked for. Zero: try again now. */
static vm_fault_t wait_for_page(struct op *op, struct vm_fault *vmf, struct file **out_file)
{
	/* Sent back for lack of memory again and again, it must still end. */
	if (fatal_signal_pending(current))
		return VM_FAULT_SIGBUS;
	if (!can_retry(vmf))
		return fault_wait(&op->ref) ? VM_FAULT_SIGBUS : 0;
	if (wait_briefly(&op->ref, must_not_wait(vmf) ? READ_ONCE(async_after) :
							BRIEF_ROUND_TRIPS))
		return 0;
	if (!must_not_wait(vmf))
		return wait_unlocked(op, vmf, out_file);
	vm_stat(op->ref.mem->vm, faults_async);
	return VM_FAULT_RETRY;
}

static vm_fault_t fault_op(struct op *op, struct vm_fault *vmf, struct file **out_file)
{
	bool is_miss = !is_asked_for(&op->ref);
	struct dsm_mem *mem = op->ref.mem;
	vm_fault_t ret;

	do {
		if (is_in_stream(&op->ref, vmf) && is_settled(&op->ref))
			map_ahead(mem, vmf);
		ret = try_fault(op, vmf);
		if (ret == VM_FAULT_OOM && !op->fetch && !fetch_reserve(op))
			ret = try_fault(op, vmf);
		if (ret != VM_FAULT_RETRY)
			return ret;
		regain_all(mem->vm);
		if (is_miss)
			prefetch_after(mem, vmf->pgoff, access_of(vmf));
		is_miss = false;
		fetch_restock();
		ret = wait_for_page(op, vmf, out_file);
	} while (!ret);
	return ret;
}

/* ---- large pages ---- */

/* As do_set_pmd() and transhuge_vma_suitable() look at it. */
static bool can_map_block(const struct vm_area_struct *vma, unsigned long at)
{
	unsigned long start = at & PMD_MASK;

	return !(vma->vm_flags & (VM_MIXEDMAP | VM_NOHUGEPAGE)) &&
	       !test_bit(MMF_DISABLE_THP, &vma->vm_mm->flags) &&
	       IS_ALIGNED((vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff, PTRS_PER_PTE) &&
	       start >= vma->vm_start && start + PMD_SIZE <= vma->vm_end;
}

static bool wants_block(const struct vm_fault *vmf)
{
	return block_is_enabled() && pmd_none(READ_ONCE(*vmf->pmd)) &&
	       can_map_block(vmf->vma, vmf->address);
}

static vm_fault_t fault_in_vm(struct dsm_mem *mem, struct vm_fault *vmf,
			      struct file **out_file)
{
	struct op op = {};
	vm_fault_t ret;

	if (wants_block(vmf))
		block_make(mem, vmf->pgoff);
	if (page_get(mem, vmf->pgoff, GFP_KERNEL, &op.ref))
		return VM_FAULT_OOM;
	if (prefetch_is_mark(&op.ref))
		prefetch_after(mem, vmf->pgoff, access_of(vmf));
	ret = fault_op(&op, vmf, out_file);
	fetch_unreserve(&op);
	return ret;
}

static vm_fault_t mem_fault(struct vm_fault *vmf)
{
	struct dsm_mem *mem = memfile_mem(vmf->vma->vm_file);
	struct dsm_vm *vm = mem->vm;
	struct file *file = NULL;
	vm_fault_t ret;

	if (vmf->pgoff >= mem->nr_pages || !vm_enter(vm))
		return VM_FAULT_SIGBUS;
	evict_wait_for_room(vm);
	ret = fault_in_vm(mem, vmf, &file);
	vm_leave(vm);
	if (file)
		fput(file);
	return ret;
}

/* Not the second half of a fault that .fault has counted. */
static bool was_mapped(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_ORIG_PTE_VALID &&
	       pte_present(vmf->orig_pte);
}

/* A write to a page that is mapped read-only. It may not wait here: when the
 * upgrade needs the wire, the mapping goes and the fault comes back by .fault.
 */
static vm_fault_t try_mkwrite(struct op *op, struct vm_fault *vmf)
{
	struct page *frame = vmf->page;
	int err;

	if (op->ref.page->frame != frame)
		return VM_FAULT_NOPAGE;
	err = act_access(op, PROTO_WRITE);
	if (!err && !lock_frame(&op->ref, vmf->vma))
		return VM_FAULT_NOPAGE;
	if (!err) {
		act_used(&op->ref, true);
		if (was_mapped(vmf))
			count_hit(&op->ref);
		return VM_FAULT_LOCKED;
	}
	/* What it needs memory for is also done by .fault. */
	if (err != -EAGAIN && err != -ENOMEM)
		return error_to_fault(err);
	if (must_not_wait(vmf))
		set_wish(&op->ref, vmf);
	unmap_mapping_pages(op->ref.mem->mapping, op->ref.index, 1, false);
	return VM_FAULT_NOPAGE;
}

static vm_fault_t mem_page_mkwrite(struct vm_fault *vmf)
{
	struct dsm_mem *mem = memfile_mem(vmf->vma->vm_file);
	struct op op = {};
	vm_fault_t ret = VM_FAULT_OOM;

	if (!vm_enter(mem->vm))
		return VM_FAULT_SIGBUS;
	if (!page_get(mem, vmf->pgoff, GFP_KERNEL, &op.ref)) {
		page_lock(&op.ref);
		ret = try_mkwrite(&op, vmf);
		page_unlock(&op.ref);
	}
	vm_leave(mem->vm);
	return ret;
}

const struct vm_operations_struct fault_vm_ops = {
	.fault = mem_fault,
	.page_mkwrite = mem_page_mkwrite,
};
