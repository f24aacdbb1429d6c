/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/rpc.tbl.h - methods of the agent's socket.
 * METHOD(function, name, who may call it, parameters, what the answer is)
 *
 * LOCAL: on RPC_SOCKET; VMMS: also on RPC_VMM_SOCKET; PEERS: also agents of other nodes.
 * NO_KERNEL: without the kernel modules too.
 */
METHOD(node_info, "node.info", LOCAL | PEERS, "", "this node")
METHOD(node_list, "node.list", LOCAL | PEERS | NO_KERNEL, "", "nodes of the cluster as configured here")
METHOD(node_drain, "node.drain", LOCAL, "node", "what has left it, for each VM of this node")
METHOD(node_leave, "node.leave", LOCAL | NO_KERNEL, "", "which cluster it has left; the agent ends")
METHOD(link_list, "link.list", LOCAL | PEERS, "", "links of this node")
METHOD(vm_list, "vm.list", LOCAL | PEERS, "", "VMs with a part on this node")
METHOD(vm_info, "vm.info", LOCAL | PEERS, "vm (name, UUID or id)", "one VM")
METHOD(vm_create, "vm.create", LOCAL,
       "name?, uuid?, places: [{vcpu?, node}], home?, homes?: [{start, bytes, node}], budgets?: [{node, size}], grow?, keep?",
       "the VM, and its fd")
METHOD(vm_open, "vm.open", LOCAL | VMMS, "vm (kept)", "the fd of its device, for a VMM")
METHOD(vm_take, "vm.take", LOCAL | VMMS, "vm (kept)", "the fd that owns it; the agent no longer keeps it")
METHOD(vm_drop, "vm.drop", LOCAL, "vm", "whether it was kept; it ends")
METHOD(vm_join, "vm.join", LOCAL, "vm, node, budget? (as 200M, none, default)", "how long it took until the node had a part in it")
METHOD(vcpu_list, "vcpu.list", LOCAL | PEERS, "vm?", "vCPUs")
METHOD(vcpu_move, "vcpu.move", LOCAL, "vcpu (VM:N), node", "where it came from, what the move took, and whether the node joined the VM first")
METHOD(mem_list, "mem.list", LOCAL | PEERS, "vm?", "memory objects")
METHOD(mem_top, "mem.top", LOCAL | PEERS, "vm", "pages that nodes fight over, hottest first")
METHOD(mem_budget, "mem.budget", LOCAL, "vm, size? (as 200M, none, default)", "budget and resident bytes on this node")
METHOD(mem_rehome, "mem.rehome", LOCAL, "vm, node, mem?, extent? (first or first-last), from?", "what has moved")
METHOD(stat_list, "stat.list", LOCAL | PEERS, "object? (node, link or a VM), node? (of the link)", "counters")
METHOD(event_list, "event.list", LOCAL | PEERS, "vm?", "recent events")
METHOD(event_follow, "event.follow", LOCAL, "", "recent events; later ones follow")
METHOD(cluster_info, "cluster.info", LOCAL | PEERS | NO_KERNEL, "", "the cluster that this node is in")
METHOD(cluster_status, "cluster.status", LOCAL | NO_KERNEL, "", "its nodes: who answers, with which version of the configuration")
METHOD(cluster_settings, "cluster.settings", LOCAL | PEERS | NO_KERNEL, "", "settings of all nodes")
METHOD(cluster_set, "cluster.set", LOCAL | NO_KERNEL, "setting, value (default: as if never set)", "the new version")
METHOD(cluster_token, "cluster.token", LOCAL | NO_KERNEL, "ttl? (seconds; 600)", "a token for one join")
METHOD(cluster_remove, "cluster.remove", LOCAL | NO_KERNEL, "node (one, or more with commas)", "the new version")
METHOD(node_call, "node.call", LOCAL | NO_KERNEL, "node, method, params?", "what the method of that node's agent answers")
