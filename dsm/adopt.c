// SPDX-License-Identifier: GPL-2.0-only
/* dsm/adopt.c - puts memory objects into processes: in place of the VMM's own
 * memory at the origin, anywhere on a slice.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>

#include "internal.h"

/* Old and new copy of so much exist at the same time. */
#define ADOPT_STEP (8UL << 20)

/* A part of the range that one VMA has. */
struct part {
	unsigned long start;
	unsigned long end;
	struct dsm_mem *mem; /* NULL: not ours yet */
	u64 offset; /* of start in mem */
	unsigned long prot;
	struct file *file; /* shared memory: a reference */
	u64 file_offset;
	bool is_anon;
	bool no_blocks; /* the VMM wants no large pages */
};

static const char *why_not(struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_HUGETLB)
		return "hugetlb pages";
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return "device memory";
	if (memfile_mem(vma->vm_file))
		return "memory of another spanning VM";
	if (vma->vm_flags & VM_SHARED &&
	    file_inode(vma->vm_file)->i_sb->s_magic != TMPFS_MAGIC)
		return "a shared mapping of a file";
	return NULL;
}

static unsigned long prot_of(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_READ ? PROT_READ : 0) |
	       (vma->vm_flags & VM_WRITE ? PROT_WRITE : 0) |
	       (vma->vm_flags & VM_EXEC ? PROT_EXEC : 0);
}

static int describe(struct dsm_vm *vm, struct vm_area_struct *vma,
		    struct part *part)
{
	u64 offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + part->start -
		     vma->vm_start;
	struct dsm_mem *mem = memfile_mem(vma->vm_file);
	const char *reason;

	if (mem && mem->vm == vm) {
		part->mem = mem;
		part->offset = offset;
		return 0;
	}
	reason = why_not(vma);
	if (reason) {
		pr_err("dvmm-dsm: vm %x: guest memory at %lx is %s: cannot be shared with other nodes\n",
		       vm->id, part->start, reason);
		return -EOPNOTSUPP;
	}
	part->prot = prot_of(vma);
	part->is_anon = vma_is_anonymous(vma);
	part->no_blocks = vma->vm_flags & VM_NOHUGEPAGE;
	if (vma->vm_flags & VM_SHARED) {
		part->file = get_file(vma->vm_file);
		part->file_offset = offset;
	}
	return 0;
}

static int look(struct dsm_vm *vm, unsigned long start, unsigned long end,
		struct part *out_part)
{
	struct vm_area_struct *vma;
	int err = -EINVAL;

	*out_part = (struct part){ .start = start, .end = end };
	mmap_read_lock(current->mm);
	vma = find_vma(current->mm, start);
	if (vma && vma->vm_start <= start) {
		out_part->end = min(end, vma->vm_end);
		err = describe(vm, vma, out_part);
	}
	mmap_read_unlock(current->mm);
	return err;
}

/* ---- keep the contents ---- */

static bool has_table(unsigned long addr)
{
	pgd_t *pgd = pgd_offset(current->mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd))
		return false;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return false;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud))
		return false;
	return !pmd_none(*pmd_offset(pud, addr));
}

static unsigned long skip_anon(unsigned long addr, unsigned long end)
{
	mmap_read_lock(current->mm);
	while (addr < end && !has_table(addr))
		addr = (addr & PMD_MASK) + PMD_SIZE;
	mmap_read_unlock(current->mm);
	return min(addr, end);
}

/* Reading a hole would fill it. */
static unsigned long skip_shared(const struct part *part, unsigned long addr,
				 unsigned long end)
{
	loff_t from = part->file_offset + (addr - part->start);
	loff_t old = part->file->f_pos;
	loff_t data = vfs_llseek(part->file, from, SEEK_DATA);

	part->file->f_pos = old;
	if (data < 0 || data - from >= end - addr)
		return end;
	return addr + ALIGN_DOWN(data - from, PAGE_SIZE);
}

/* The next address that may have contents. */
static unsigned long skip_empty(const struct part *part, unsigned long addr,
				unsigned long end)
{
	if (part->file)
		return skip_shared(part, addr, end);
	return part->is_anon ? skip_anon(addr, end) : addr;
}

static int try_write(struct op *op, struct page *from)
{
	int err;

	page_lock(&op->ref);
	err = act_access(op, PROTO_WRITE);
	if (!err) {
		copy_highpage(op->ref.page->frame, from);
		page_used(op->ref.page, true);
	}
	page_unlock(&op->ref);
	return err;
}

/* Through the rules as any write: the home may be another node. */
static int write_page(struct dsm_mem *mem, u64 index, struct page *from)
{
	struct op op = {};
	int err = page_get(mem, index, GFP_KERNEL, &op.ref);

	while (!err) {
		err = try_write(&op, from);
		if (err == -ENOMEM && !op.fetch)
			err = fetch_reserve(&op);
		else if (err == -EAGAIN)
			err = fault_wait(&op.ref);
		else
			break;
	}
	fetch_unreserve(&op);
	return err;
}

static int keep_page(const struct part *part, unsigned long addr)
{
	u64 offset = part->offset + (addr - part->start);
	struct page *frame;
	long got = get_user_pages_unlocked(addr, 1, &frame, FOLL_FORCE);
	int err = 0;

	/* Nothing there: behind the end of a file. Any other error is one. */
	if (got == -EFAULT)
		return 0;
	if (got != 1)
		return got < 0 ? got : -EFAULT;
	if (!frame_is_zero(frame))
		err = write_page(part->mem, offset >> PAGE_SHIFT, frame);
	put_page(frame);
	return err;
}

static int keep_contents(const struct part *part, unsigned long start,
			 unsigned long end)
{
	unsigned long addr = skip_empty(part, start, end);
	int err = 0;

	while (addr < end && !err) {
		err = keep_page(part, addr);
		cond_resched();
		addr = skip_empty(part, addr + PAGE_SIZE, end);
	}
	return err;
}

/* ---- map ---- */

static bool is_homed_here(const struct dsm_mem *mem, u64 offset)
{
	return home_of(mem, offset >> PAGE_SHIFT) == mem->vm->self;
}

/* What has its home here can have large pages, and only that: mappings of its own. */
static u64 next_piece(const struct dsm_mem *mem, u64 offset, u64 end)
{
	u64 extent = (u64)HOME_EXTENT_PAGES << PAGE_SHIFT, at = offset;

	if (!mem->homes || !block_is_enabled())
		return end;
	do {
		at = ALIGN_DOWN(at, extent) + extent;
	} while (at < end && is_homed_here(mem, at) == is_homed_here(mem, offset));
	return min(at, end);
}

static int map_at(struct dsm_mem *mem, unsigned long addr, u64 bytes,
		  unsigned long prot, u64 offset)
{
	u64 end = offset + bytes, next;
	unsigned long ret;

	for (; offset < end; addr += next - offset, offset = next) {
		next = next_piece(mem, offset, end);
		ret = vm_mmap(mem->file, addr, next - offset, prot, MAP_SHARED | MAP_FIXED, offset);
		if (IS_ERR_VALUE(ret))
			return (int)ret;
	}
	return 0;
}

static int replace(const struct part *part)
{
	unsigned long start, end;
	int err = 0;

	for (start = part->start; start < part->end && !err; start = end) {
		end = min(start + ADOPT_STEP, part->end);
		err = keep_contents(part, start, end);
		if (!err)
			err = map_at(part->mem, start, end - start, part->prot,
				     part->offset + (start - part->start));
	}
	/* One mapping instead of one for each step: a process may not have many. */
	if (!err && part->end - part->start > ADOPT_STEP)
		err = map_at(part->mem, part->start, part->end - part->start, part->prot,
			     part->offset);
	return err;
}

static int make_mem(struct dsm_vm *vm, struct part *part, u64 gpa,
		    const struct dsm_homes *homes)
{
	struct mem_config config = {
		.home_policy = homes->policy,
		.bytes = part->end - part->start,
	};

	if (homes->nr) {
		config.homes = home_table_alloc(config.bytes);
		if (!config.homes)
			return -ENOMEM;
		home_table_by_ranges(vm, config.homes, config.bytes, gpa, homes);
	}
	return mem_create(vm, &config, &part->mem);
}

static int adopt_part(struct dsm_vm *vm, struct part *part, u64 gpa,
		      const struct dsm_homes *homes)
{
	int err;

	if (part->mem)
		return 0;
	err = make_mem(vm, part, gpa, homes);
	if (!err) {
		part->mem->no_blocks = part->no_blocks;
		err = replace(part);
	}
	if (part->file)
		fput(part->file);
	return err;
}

static int add_segment(const struct part *part, struct dsm_segment *segments,
		       u32 *nr)
{
	struct dsm_segment *last = *nr ? &segments[*nr - 1] : NULL;

	/* One object in several mappings: see map_at(). */
	if (last && last->mem == part->mem->id && last->offset + last->bytes == part->offset) {
		last->bytes += part->end - part->start;
		return 0;
	}
	if (*nr == DSM_MAX_SEGMENTS)
		return -E2BIG;
	segments[(*nr)++] = (struct dsm_segment){
		.mem = part->mem->id,
		.home_policy = part->mem->home_policy,
		.mem_bytes = part->mem->nr_pages << PAGE_SHIFT,
		.offset = part->offset,
		.bytes = part->end - part->start,
	};
	return 0;
}

static int adopt_range(struct dsm_vm *vm, unsigned long start, unsigned long end, u64 gpa,
		       const struct dsm_homes *homes, struct dsm_segment *segments, u32 *nr)
{
	unsigned long hva = start;
	struct part part;
	int err;

	for (; start < end; start = part.end) {
		err = look(vm, start, end, &part);
		if (!err)
			err = adopt_part(vm, &part, gpa + (start - hva), homes);
		if (!err)
			err = add_segment(&part, segments, nr);
		if (err)
			return err;
	}
	return 0;
}

int dsm_adopt(struct dsm_vm *vm, unsigned long hva, u64 bytes, u64 gpa,
	      const struct dsm_homes *homes, struct dsm_segment *segments, u32 *out_nr)
{
	int err;

	if (vm->self != vm->origin || !PAGE_ALIGNED(hva) ||
	    !PAGE_ALIGNED(bytes) || !bytes || hva + bytes <= hva || gpa + bytes < gpa)
		return -EINVAL;
	if (!vm_enter(vm))
		return -EIO;
	*out_nr = 0;
	mutex_lock(&vm->lock);
	err = adopt_range(vm, hva, hva + bytes, gpa, homes, segments, out_nr);
	mutex_unlock(&vm->lock);
	vm_leave(vm);
	return err;
}
EXPORT_SYMBOL_GPL(dsm_adopt);

/* ---- slices ---- */

static int total_bytes(const struct dsm_segment *segments, u32 nr,
		       u64 *out_bytes)
{
	u32 i;

	*out_bytes = 0;
	for (i = 0; i < nr; i++) {
		if (!segments[i].bytes || !PAGE_ALIGNED(segments[i].bytes) ||
		    !PAGE_ALIGNED(segments[i].offset) ||
		    segments[i].offset > segments[i].mem_bytes ||
		    segments[i].bytes >
			    segments[i].mem_bytes - segments[i].offset)
			return -EINVAL;
		*out_bytes += segments[i].bytes;
	}
	return *out_bytes ? 0 : -EINVAL;
}

static int map_segment(struct dsm_vm *vm, const struct dsm_segment *segment,
		       unsigned long addr)
{
	struct dsm_mem *mem;

	mutex_lock(&vm->lock);
	mem = mem_find(vm, segment->mem);
	mutex_unlock(&vm->lock);
	if (!mem || !mem_is_equal(mem, segment->home_policy, segment->mem_bytes))
		return -EINVAL;
	return map_at(mem, addr, segment->bytes, PROT_READ | PROT_WRITE,
		      segment->offset);
}

static int map_all(struct dsm_vm *vm, const struct dsm_segment *segments,
		   u32 nr, unsigned long addr)
{
	u32 i;
	int err;

	for (i = 0; i < nr; i++) {
		err = map_segment(vm, &segments[i], addr);
		if (err)
			return err;
		addr += segments[i].bytes;
	}
	return 0;
}

/* Address space that is aligned as the object is, for large pages. */
static unsigned long reserve(u64 bytes, u64 offset)
{
	unsigned long addr = vm_mmap(NULL, 0, bytes + PMD_SIZE, PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0);
	unsigned long skip;

	if (IS_ERR_VALUE(addr))
		return addr;
	skip = (offset - addr) & ~PMD_MASK;
	if (skip)
		vm_munmap(addr, skip);
	vm_munmap(addr + skip + bytes, PMD_SIZE - skip);
	return addr + skip;
}

int dsm_map(struct dsm_vm *vm, const struct dsm_segment *segments, u32 nr,
	    unsigned long *out_hva)
{
	unsigned long addr;
	u64 bytes;
	int err = total_bytes(segments, nr, &bytes);

	if (err)
		return err;
	if (!vm_enter(vm))
		return -EIO;
	/* One piece of address space, then the segments over it. */
	addr = reserve(bytes, segments[0].offset);
	err = IS_ERR_VALUE(addr) ? (int)addr : map_all(vm, segments, nr, addr);
	vm_leave(vm);
	if (err && !IS_ERR_VALUE(addr))
		vm_munmap(addr, bytes);
	if (!err)
		*out_hva = addr;
	return err;
}
EXPORT_SYMBOL_GPL(dsm_map);
