/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/internal.h - what the files of the agent share. */
#ifndef AGENT_INTERNAL_H
#define AGENT_INTERNAL_H

#include <jansson.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include "config.h"
#include "log.h"
#include "rpc.h"

#define NR_EVENTS_KEPT 1000

struct agent {
	struct config config;
	sd_event *loop;
	int control; /* /dev/dvmm/control */
	int link_fds[DVMM_MAX_NODES]; /* by node id; -1: none. Each keeps its link */
	struct events *events;
	struct slices *slices;
	struct server *server;
	struct server *vmm_server;
	struct kept_vm *kept_vms;
	struct vmm *vmms;
	struct later *laters;
};

/* kmod.c: the node and its links in the kernel. Failures are logged. */
int kmod_open(struct agent *agent);
int kmod_set_node(struct agent *agent, const uint8_t key[DVMM_KEY_SIZE]);
int kmod_add_links(struct agent *agent);
void kmod_close(struct agent *agent);

/* events.c: kernel events, the last NR_EVENTS_KEPT of them. */
int events_start(struct agent *agent);
void events_stop(struct agent *agent);
json_t *events_to_json(struct agent *agent, uint32_t vm_id); /* 0 = all */

/* slices.c: processes of VMs of other nodes. */
int slices_init(struct agent *agent);
void slices_start_one(struct agent *agent, uint32_t vm_id);
void slices_forget(struct agent *agent); /* they go on without the agent */

/* server.c: the sockets: RPC_SOCKET and, beside it, RPC_VMM_SOCKET. */
int server_start(struct agent *agent, const char *path);
void server_stop(struct agent *agent);
void server_broadcast(struct agent *agent, json_t *event); /* to all followers */

struct client;
struct request;
struct later;
/**
 * client_answer() - send the answer that was to come later; its next request is read then
 * @result: a reference, which it takes, or NULL after request_fail()
 */
void client_answer(struct client *client, struct request *request, json_t *result);

/**
 * struct request - a call of a method
 * @params: an object
 * @peer: who asks
 * @fd: set by the method: goes to the caller with the answer and is then closed
 * @follow: set by the method: this client wants events from now on
 * @later: set by request_later(): the answer comes later
 * @code, @message: set by request_fail()
 */
struct request {
	struct agent *agent;
	json_t *params;
	struct ucred peer;
	int fd;
	bool follow;
	struct later *later;
	const char *code;
	char message[512];
};

/** request_fail() - fill in an error; returns NULL for the method to return */
__attribute__((format(printf, 3, 4)))
json_t *request_fail(struct request *request, const char *code, const char *format, ...);
/** request_fail_errno() - the same for a negative errno: "@what: why" */
json_t *request_fail_errno(struct request *request, int err, const char *what);

/* later.c: what would keep the loop waiting */
/**
 * request_later() - make a call that takes long in a thread of its own
 * @work: there, with its own copy of the @size bytes at @arg; what it returns is @answer's @err
 * @answer: then, in the loop, as a method; not called when the caller has gone
 *
 * Return: NULL, for the method to return; it may have failed as after request_fail()
 */
json_t *request_later(struct request *request, int (*work)(void *arg),
		      json_t *(*answer)(struct request *request, void *arg, int err),
		      const void *arg, size_t size);
void later_set_client(struct later *later, struct client *client); /* NULL: has gone */
void later_stop(struct agent *agent); /* waits for all of them */

/* Methods return a new reference, or NULL after request_fail() or request_later(). */
#define METHOD(function, name, params, result) json_t *method_##function(struct request *request);
#include "rpc.tbl.h"
#undef METHOD

/* kept.c: VMs that wait for their VMM. */
/** kept_add() - keep a copy of @fd, which owns the VM, until vm.take or vm.drop */
int kept_add(struct agent *agent, uint32_t vm_id, int fd);
void kept_drop_all(struct agent *agent); /* they end */

/* vmms.c: processes that took a VM of kept.c. */
/** vmms_add() - @peer is the VMM from now on; that it cannot be watched is only logged */
void vmms_add(struct agent *agent, uint32_t vm_id, const struct ucred *peer);
/** vmms_end() - the VM is dead: end its VMM, if it took the VM from this agent */
void vmms_end(struct agent *agent, uint32_t vm_id);
void vmms_forget(struct agent *agent); /* they go on without the agent */

/* vm.c */
/** vm_find() - a VM of this node by name, UUID or id. -ENOENT or other -errno */
int vm_find(struct agent *agent, const char *name, struct dvmm_vm_get *ret_vm);

#endif
