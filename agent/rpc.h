/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/rpc.h - how a program talks to the agent of its node. Data only.
 *
 * A stream socket; each line is a JSON object. A request names a method, the
 * answer has a result or an error:
 *
 *	{"method": "vm.list", "params": {}}
 *	{"result": [{"name": "web1", ...}]}
 *	{"error": {"code": "not-found", "message": "web1: no such VM"}}
 *
 * Answers come in the order of the requests. vm.create's answer carries the VM's
 * fd (SCM_RIGHTS, with the line's first byte). With keep the agent has the VM too, until a VMM
 * takes it (vm.take) or it is dropped. After event.follow, lines {"event": {...}} come
 * between answers. Numbers are in base units.
 *
 * RPC_VMM_SOCKET is for VMMs, which group kvm may start: vm.open and vm.take only.
 *
 * Agents of other nodes speak the same over TLS (agent/cluster); no fds and no events there.
 *
 * The methods are in rpc.tbl.h.
 */
#ifndef AGENT_RPC_H
#define AGENT_RPC_H

#define RPC_SOCKET "/run/dvmm/agent.sock"
#define RPC_VMM_SOCKET "/run/dvmm/vmm.sock" /* beside the other one */
#define RPC_LINE_MAX 65536 /* bytes of a request */

/* Codes of errors; the CLI has an exit status for each. */
#define RPC_FAILED "failed"
#define RPC_INVALID "invalid"
#define RPC_NOT_FOUND "not-found"
#define RPC_CONFLICT "conflict"
#define RPC_DENIED "denied"
#define RPC_UNREACHABLE "unreachable"

#endif
