/* SPDX-License-Identifier: GPL-2.0-only */
/* include/dvmm/event.tbl.h - events of read() on the control fd.
 * EVENT(name, number, command line word, what it means)
 */
EVENT(LINK_UP, 1, "link-up", "A link to a node is up")
EVENT(LINK_REFUSED, 2, "link-refused", "A peer or we refused a link; the text says why")
EVENT(LINK_SUSPECT, 3, "link-suspect", "A peer is silent")
EVENT(LINK_RESUMED, 4, "link-resumed", "A silent peer is heard again")
EVENT(LINK_LOST, 5, "link-lost", "A peer is lost")
EVENT(LINK_DOWN, 6, "link-down", "A link was closed as asked")
EVENT(VM_CREATED, 16, "vm-created", "A VM got its device node")
EVENT(VM_STARTED, 17, "vm-started", "A VMM has opened the VM")
EVENT(VM_STOPPED, 18, "vm-stopped", "A VM ended as asked")
EVENT(VM_DEAD, 19, "vm-dead", "A VM cannot go on; the text says why")
EVENT(VM_UNSUPPORTED, 20, "vm-unsupported", "The VMM asked for what a spanning VM cannot do")
EVENT(VM_NODE_LOST, 21, "vm-node-lost", "A VM goes on without a node that lent it memory")
EVENT(SLICE_WANTED, 32, "slice-wanted", "Another node wants a slice process here")
EVENT(SLICE_UP, 33, "slice-up", "A slice serves")
EVENT(SLICE_LOST, 34, "slice-lost", "A slice process ended while its VM ran")
