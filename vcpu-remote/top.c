// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/top.c - DVMM_MEM_TOP: the pages that nodes fight over, with the address
 * that the guest knows them by. Which they are is dsm's.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

#define PAGE_BYTES_MIN sizeof(struct dvmm_mem_page) /* as it was at first */

static int copy_out(void __user *to, size_t room, const struct dvmm_mem_page *page)
{
	size_t known = min(room, sizeof(*page));

	if (copy_to_user(to, page, known) || clear_user(to + known, room - known))
		return -EFAULT;
	return 0;
}

static int copy_top(struct vm *vm, const struct dvmm_mem_top *top, struct dvmm_mem_page *pages,
		    u32 nr)
{
	void __user *to = u64_to_user_ptr(top->pages);
	int err = 0;
	u32 i;

	for (i = 0; !err && i < min(top->nr, nr); i++) {
		memslot_find(vm, pages[i].mem_id, pages[i].page << PAGE_SHIFT, &pages[i].gpa);
		err = copy_out(to + i * top->page_bytes, top->page_bytes, &pages[i]);
	}
	return err;
}

static int vm_top(struct vm *vm, struct dvmm_mem_top *top)
{
	struct dvmm_mem_page *pages;
	int err;
	u32 nr;

	pages = kcalloc(DVMM_MEM_TOP_MAX, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	nr = dsm_mem_top(vm->dsm, pages);
	err = copy_top(vm, top, pages, nr);
	if (!err)
		top->nr = nr;
	kfree(pages);
	return err;
}

long mem_top_ioctl(struct file *file, void *arg)
{
	struct dvmm_mem_top *top = arg;
	struct vm *vm;
	int err;

	if (top->reserved || top->page_bytes < PAGE_BYTES_MIN || top->page_bytes % 8)
		return -EINVAL;
	if (top->page_bytes > PAGE_SIZE)
		return -E2BIG;
	vm = vm_find(top->vm_id);
	if (!vm)
		return -ENOENT;
	err = vm_top(vm, top);
	vm_put(vm);
	return err;
}
