// SPDX-License-Identifier: GPL-2.0-only
/* dsm/main.c - loads and unloads dvmm-dsm.ko. */
#include <linux/module.h>

#include "bug.h"
#include "internal.h"

static int __init dsm_init(void)
{
	int err;

	err = page_init();
	if (err)
		return err;
	err = home_init();
	if (err)
		goto exit_page;
	err = take_init();
	if (err)
		goto exit_home;
	err = evict_init();
	if (err)
		goto exit_take;
	err = block_init();
	if (err)
		goto exit_evict;
	err = rehome_init();
	if (err)
		goto exit_block;
	err = memfile_init();
	if (err)
		goto exit_rehome;
	err = serve_init();
	if (err)
		goto exit_memfile;
	bug_warn();
	return 0;

exit_memfile:
	memfile_exit();
exit_rehome:
	rehome_exit();
exit_block:
	block_exit();
exit_evict:
	evict_exit();
exit_take:
	take_exit();
exit_home:
	home_exit();
exit_page:
	page_exit();
	return err;
}

static void __exit dsm_exit(void)
{
	serve_exit();
	mem_exit();
	memfile_exit();
	rehome_exit();
	block_exit();
	evict_exit();
	take_exit();
	fetch_exit();
	rcu_barrier();
	home_exit();
	page_exit();
}

module_init(dsm_init);
module_exit(dsm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: coherent memory of VMs that span hosts");
