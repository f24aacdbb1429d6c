// SPDX-License-Identifier: GPL-2.0-only
/* kmod/main.c - loads and unloads dvmm.ko. */
#include <linux/module.h>
#include "internal.h"

static unsigned int wire_version = DVMM_WIRE_VERSION;
module_param(wire_version, uint, 0400);
MODULE_PARM_DESC(wire_version, "what to tell peers, to test that they refuse another one");

static int __init dvmm_init(void)
{
	int err;

	err = defer_init();
	if (err)
		return err;
	err = node_init(&self_node);
	if (err)
		goto exit_defer;
	self_node.wire_version = wire_version;
	err = link_init();
	if (err)
		goto destroy_node;
	err = chardev_init();
	if (err)
		goto exit_links;
	return 0;

exit_links:
	link_exit();
destroy_node:
	node_destroy(&self_node);
exit_defer:
	defer_exit();
	return err;
}

/* No link is left: each pins the module by its fd. */
static void __exit dvmm_exit(void)
{
	chardev_exit();
	node_destroy(&self_node);
	link_exit();
	defer_exit();
}

module_init(dvmm_init);
module_exit(dvmm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm: nodes, links between them, and /dev/dvmm/control");
