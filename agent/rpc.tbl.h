/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/rpc.tbl.h - methods of the agent's socket.
 * METHOD(function, name, parameters, what the answer is)
 */
METHOD(node_info, "node.info", "", "this node")
METHOD(node_list, "node.list", "", "nodes of the cluster as configured here")
METHOD(node_drain, "node.drain", "node", "what has left it, for each VM of this node")
METHOD(link_list, "link.list", "", "links of this node")
METHOD(vm_list, "vm.list", "", "VMs with a part on this node")
METHOD(vm_info, "vm.info", "vm (name, UUID or id)", "one VM")
METHOD(vm_create, "vm.create",
       "name?, uuid?, places: [{vcpu?, node}], home?, homes?: [{start, bytes, node}], budgets?: [{node, size}], keep?",
       "the VM, and its fd")
METHOD(vm_open, "vm.open", "vm (kept)", "the fd of its device, for a VMM")
METHOD(vm_take, "vm.take", "vm (kept)", "the fd that owns it; the agent no longer keeps it")
METHOD(vm_drop, "vm.drop", "vm", "whether it was kept; it ends")
METHOD(vcpu_list, "vcpu.list", "vm?", "vCPUs")
METHOD(vcpu_move, "vcpu.move", "vcpu (VM:N), node", "where it came from, and what the move took")
METHOD(mem_list, "mem.list", "vm?", "memory objects")
METHOD(mem_top, "mem.top", "vm", "pages that nodes fight over, hottest first")
METHOD(mem_budget, "mem.budget", "vm, size? (as 200M, none, default)", "budget and resident bytes on this node")
METHOD(mem_rehome, "mem.rehome", "vm, node, mem?, extent? (first or first-last), from?", "what has moved")
METHOD(stat_list, "stat.list", "object? (node, link or a VM), node? (of the link)", "counters")
METHOD(event_list, "event.list", "vm?", "recent events")
METHOD(event_follow, "event.follow", "", "recent events; later ones follow")
