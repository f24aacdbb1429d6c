// SPDX-License-Identifier: GPL-2.0-only
/* dsm/memfile.c - the file behind the mappings of a memory object.
 *
 * On a filesystem of its own, so that each object has its own address_space
 * (files of anon_inode share one) and reverse mapping finds all mappings of a
 * page. The frames are not in the page cache of that address_space; it only
 * names them.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>

#include "internal.h"

#define MEMFILE_MAGIC 0x44564d4d

static struct vfsmount *memfile_mount;

static const struct address_space_operations memfile_aops = {
	.dirty_folio = noop_dirty_folio,
};

/* All of it has its home here: so it can have blocks, and few pages will be prefetched. */
static bool may_have_blocks(const struct dsm_mem *mem, struct vm_area_struct *vma)
{
	u64 end = vma->vm_pgoff + vma_pages(vma);
	u64 index = vma->vm_pgoff;

	for (; index < end; index = (index / HOME_EXTENT_PAGES + 1) * HOME_EXTENT_PAGES)
		if (home_of(mem, index) != mem->vm->self)
			return false;
	return block_is_enabled() && !mem->no_blocks;
}

static int memfile_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct dsm_mem *mem = file->private_data;
	u64 nr = vma_pages(vma);

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff > mem->nr_pages ||
	    nr > mem->nr_pages - vma->vm_pgoff)
		return -EINVAL;
	compat_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	/* For vm_insert_page(); all pages are ordinary ones. But then the kernel takes a
	 * huge entry for a special one, and would not give back its reference.
	 */
	if (!may_have_blocks(mem, vma))
		compat_vm_flags_set(vma, VM_MIXEDMAP);
	vma->vm_ops = &fault_vm_ops;
	return 0;
}

static const struct file_operations memfile_fops = {
	.owner = THIS_MODULE,
	.mmap = memfile_mmap,
};

static void memfile_evict_inode(struct inode *inode)
{
	struct dsm_mem *mem = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!mem)
		return;
	page_free_frames(mem);
	mem_put(mem);
}

static const struct super_operations memfile_super_ops = {
	.evict_inode = memfile_evict_inode,
};

static int memfile_init_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, MEMFILE_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &memfile_super_ops;
	return 0;
}

/* No .owner: kern_mount() would pin this module for ever. */
static struct file_system_type memfile_fs = {
	.name = "dvmm-mem",
	.init_fs_context = memfile_init_context,
	.kill_sb = kill_anon_super,
};

static struct inode *memfile_inode(struct dsm_mem *mem)
{
	struct inode *inode = alloc_anon_inode(memfile_mount->mnt_sb);

	if (IS_ERR(inode))
		return inode;
	inode->i_mapping->a_ops = &memfile_aops;
	mapping_set_unevictable(inode->i_mapping);
	inode->i_size = mem->nr_pages << PAGE_SHIFT;
	mem_get(mem);
	inode->i_private = mem;
	return inode;
}

struct file *memfile_create(struct dsm_mem *mem)
{
	struct inode *inode = memfile_inode(mem);
	struct file *file;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	/* The last fput drops a module reference that nobody else takes. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, memfile_mount, "dvmm-mem", O_RDWR,
				 &memfile_fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		return file;
	}
	file->private_data = mem;
	return file;
}

struct dsm_mem *memfile_mem(struct file *file)
{
	return file && file->f_op == &memfile_fops ? file->private_data : NULL;
}

int memfile_init(void)
{
	memfile_mount = kern_mount(&memfile_fs);
	return PTR_ERR_OR_ZERO(memfile_mount);
}

void memfile_exit(void)
{
	kern_unmount(memfile_mount);
}
