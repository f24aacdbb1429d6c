/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/rpc.tbl.h - methods of the agent's socket.
 * METHOD(function, name, parameters, what the answer is)
 */
METHOD(node_info, "node.info", "", "this node")
METHOD(node_list, "node.list", "", "nodes of the cluster as configured here")
METHOD(link_list, "link.list", "", "links of this node")
METHOD(vm_list, "vm.list", "", "VMs with a part on this node")
METHOD(vm_info, "vm.info", "vm (name, UUID or id)", "one VM")
METHOD(vm_create, "vm.create", "name?, uuid?, places: [{vcpu?, node}], home?", "the VM, and its fd")
METHOD(vcpu_list, "vcpu.list", "vm?", "vCPUs")
METHOD(mem_list, "mem.list", "vm?", "memory objects")
METHOD(stat_list, "stat.list", "object? (node, link or a VM), node? (of the link)", "counters")
METHOD(event_list, "event.list", "vm?", "recent events")
METHOD(event_follow, "event.follow", "", "recent events; later ones follow")
