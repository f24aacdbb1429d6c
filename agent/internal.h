/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/internal.h - what the files of the agent share. */
#ifndef AGENT_INTERNAL_H
#define AGENT_INTERNAL_H

#include <jansson.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include "cluster/cluster.h"
#include "config.h"
#include "log.h"
#include "rpc.h"
#include "target.h"

#define NR_EVENTS_KEPT 1000

struct agent {
	struct config config;
	sd_event *loop;
	int control; /* /dev/dvmm/control; -1: without the kernel modules, see kmod_start() */
	sd_event_source *kernel_timer;
	int link_fds[DVMM_MAX_NODES]; /* by node id; -1: none. Each keeps its link */
	struct events *events;
	struct slices *slices;
	struct server *server;
	struct server *vmm_server;
	struct kept_vm *kept_vms;
	struct vmm *vmms;
	struct later *laters;
	struct fence *fence; /* NULL: VMs may go on */
	struct epoch *epoch; /* NULL: nobody is waited for */
	struct watchdog *watchdog; /* NULL: none is configured */
	struct cluster_quorum quorum_said; /* by the last event about it */
	struct cluster *cluster; /* NULL: the nodes are those of the configuration file */
	struct metrics *metrics;
	char local_metrics[CONFIG_PATH_SIZE]; /* what the files say, if the cluster does not */
};

/* kmod.c: the node and its links in the kernel. Failures are logged. */
/**
 * kmod_start() - make this host a node
 *
 * A node of a cluster goes on without the kernel modules, and looks for them now and then.
 */
int kmod_start(struct agent *agent);
int kmod_add_link(struct agent *agent, const struct config_node *peer);
void kmod_drop_link(struct agent *agent, uint32_t node_id);
void kmod_close(struct agent *agent);

/* links.c: fds of links that systemd keeps while the agent restarts. */
void links_take_stored(struct agent *agent, bool is_same_node); /* what fits the configuration, into link_fds */
void links_store(uint32_t node_id, int fd);
void links_drop(struct agent *agent, uint32_t node_id, int fd); /* waits until it has ended */

/* events.c: kernel events, the last NR_EVENTS_KEPT of them. */
int events_start(struct agent *agent);
void events_stop(struct agent *agent);
json_t *events_to_json(struct agent *agent, uint32_t vm_id); /* 0 = all */
/** events_add() - one of the agent's own */
void events_add(struct agent *agent, uint32_t kind, uint32_t vm_id, const char *text);

/* slices.c: processes of VMs of other nodes. */
int slices_init(struct agent *agent);
void slices_start_one(struct agent *agent, uint32_t vm_id);
void slices_forget(struct agent *agent); /* they go on without the agent */

/* server.c: the sockets: RPC_SOCKET and, beside it, RPC_VMM_SOCKET. */
int server_start(struct agent *agent, const char *path);
void server_stop(struct agent *agent);
void server_broadcast(struct agent *agent, json_t *event); /* to all followers */

/**
 * struct request - a call of a method
 * @params: an object
 * @peer: who asks
 * @fd: set by the method: goes to the caller with the answer and is then closed
 * @follow: set by the method: this client wants events from now on
 * @client: for request_defer(); NULL: it cannot wait
 * @is_deferred: by request_defer()
 * @code, @message: set by request_fail()
 */
struct request {
	struct agent *agent;
	json_t *params;
	struct ucred peer;
	int fd;
	bool follow;
	struct client *client;
	bool is_deferred;
	const char *code;
	char message[512];
};

/** request_fail() - fill in an error; returns NULL for the method to return */
__attribute__((format(printf, 3, 4)))
json_t *request_fail(struct request *request, const char *code, const char *format, ...);
/** request_fail_errno() - the same for a negative errno: "@what: why" */
json_t *request_fail_errno(struct request *request, int err, const char *what);

/**
 * request_defer() - the answer comes later, by one of the next two; the method returns NULL
 *
 * Requests of the same client wait for it.
 */
struct deferred *request_defer(struct request *request);
/** deferred_answer() - @result: taken over; NULL after request_fail(@request) */
void deferred_answer(struct deferred *deferred, struct request *request, json_t *result);
/** deferred_done() - the same as a cluster_done */
void deferred_done(void *deferred, json_t *result, const struct cluster_error *error);
/** deferred_is_wanted() - is the caller still there? */
bool deferred_is_wanted(const struct deferred *deferred);
/** request_of_peer() - the agent of another node calls a method; a cluster_ops.call */
json_t *request_of_peer(void *agent, const char *method, json_t *params,
			struct cluster_error *error);

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
/** later_start() - the same for a request that is deferred already, which it answers in any case */
void later_start(struct agent *agent, struct deferred *deferred, int (*work)(void *arg),
		 json_t *(*answer)(struct request *request, void *arg, int err),
		 const void *arg, size_t size);
void later_stop(struct agent *agent); /* waits for all of them */

/* Methods return a new reference, or NULL after request_fail(), request_defer() or request_later().
 */
#define METHOD(function, name, access, params, result)                                             \
	json_t *method_##function(struct request *request);
#include "rpc.tbl.h"
#undef METHOD

/* kept.c: VMs that wait for their VMM. */
/** kept_add() - keep a copy of @fd, which owns the VM, until vm.take or vm.drop */
int kept_add(struct agent *agent, uint32_t vm_id, int fd);
void kept_drop(struct agent *agent, uint32_t vm_id); /* if it is kept: it ends */
void kept_drop_all(struct agent *agent); /* they end */

/* vmms.c: processes that took a VM of kept.c. */
/** vmms_add() - @peer is the VMM from now on; that it cannot be watched is only logged */
void vmms_add(struct agent *agent, uint32_t vm_id, const struct ucred *peer);
/** vmms_start() - VMs that are there already have VMMs too */
void vmms_start(struct agent *agent);
/** vmms_end() - the VM is dead: end its VMM, whichever agent it took the VM from */
void vmms_end(struct agent *agent, uint32_t vm_id);
void vmms_forget(struct agent *agent); /* they go on without the agent */

/* fence.c: VMs of a node that is in no quorum end. */
/** fence_start() - VMs of this node that need others end, after the cluster's time */
void fence_start(struct agent *agent);
/** fence_stop() - those that are left go on */
void fence_stop(struct agent *agent);

/** fence_time_us() - after which a node that has lost quorum has no such VM any more */
uint64_t fence_time_us(const struct agent *agent);
/** fence_end_us() - when that is, of CLOCK_MONOTONIC; 0: quorum was not lost */
uint64_t fence_end_us(const struct agent *agent);

/* watchdog.c: resets the host when the agent does not end VMs. See feed.h. */
int watchdog_start(struct agent *agent);
/** watchdog_look() - something has changed: it is looked at next */
void watchdog_look(struct agent *agent);
/** watchdog_knew_us() - when this node was last known to be in quorum; 0: not known */
uint64_t watchdog_knew_us(const struct agent *agent);
/** watchdog_add_to() - its state, and what is wrong with it, to an answer */
void watchdog_add_to(const struct agent *agent, json_t *answer);
/** watchdog_timeout_s() - of the one that runs; 0: none does */
uint32_t watchdog_timeout_s(const struct agent *agent);
void watchdog_stop(struct agent *agent);

/* epoch.c: the membership, as the kernel has it. */
/* The others wait so much longer than fence_time_us(): for the kernel to end what was killed, and as
 * quorum is not lost on both sides at the same time.
 */
#define EPOCH_SLACK_US 2000000
/** epoch_number() - the one to begin with */
uint64_t epoch_number(const struct agent *agent);
/** epoch_in_kernel() - the one it acts in, as DVMM_NODE_GET has it */
uint64_t epoch_in_kernel(const struct dvmm_node_get *get);
/** epoch_update() - something has changed: the kernel is told, at once or when it is time */
void epoch_update(struct agent *agent);
void epoch_stop(struct agent *agent);

/* host.c: what this host has. */
uint32_t host_cpus(void);
uint64_t host_memory(void); /* bytes; so is the next, of what programs may still take */
uint64_t host_free_memory(void);

/* room.c: which node has room for vCPUs and memory. */
uint32_t room_vcpus_here(struct agent *agent); /* of spanning VMs that live on this node */
typedef void room_done(void *arg, const struct room *room);
/** room_ask() - also what this node's VMs with a part on @node hold, everywhere. Calls @done once */
void room_ask(struct agent *agent, uint32_t node, room_done *done, void *arg);

/* openers.c: processes that have the device of a VM open. */
/** openers_signal() - returns how many there are */
uint32_t openers_signal(const uint8_t vm_uuid[DVMM_UUID_SIZE], int signal);

/* members.c: this node as one of a cluster. */
/** members_open() - -ENOENT: in none. Errors are said on stderr */
int members_open(struct agent *agent, const char *state);
int members_start(struct agent *agent);
/** members_describe() - who is in quorum with this node, or why nobody is */
const char *members_describe(struct agent *agent, char *text, size_t size);
/** members_have_quorum() - also when nobody asks for it */
bool members_have_quorum(struct agent *agent);
/** members_may_span() - may @vm come to need other nodes? Not without quorum: request_fail() */
bool members_may_span(struct request *request, const char *vm);

/* metrics.c: counters for Prometheus, by HTTP. */
/** metrics_start() - at agent->config.metrics, if that is not empty; instead of where it was */
int metrics_start(struct agent *agent);
/** metrics_check() - could it be there? 0 or -errno */
int metrics_check(struct agent *agent, const char *where);
void metrics_stop(struct agent *agent);

/* node.c */
/** node_of_request() - the node that parameter @param names; NULL: request_fail() */
const struct config_node *node_of_request(struct request *request, const char *param);

/* join.c: a node gets a part in a VM that runs. */
/** join_vm() - in a thread: it waits, and asks again for some seconds; 0 or as dvmm_vm_join() */
int join_vm(struct agent *agent, struct dvmm_vm_join *join, uint64_t *ret_took_ns);
/** join_code() - of an error of it, or of dvmm_vcpu_move() */
const char *join_code(int err);

/* vm.c */
/** vm_find() - a VM of this node by name, UUID or id. -ENOENT or other -errno */
int vm_find(struct agent *agent, const char *name, struct dvmm_vm_get *ret_vm);
/** vm_fill_budget() - "200M", "none" or "default"; -EINVAL: request_fail() */
int vm_fill_budget(struct request *request, json_t *size, uint64_t *ret_bytes);
/** vm_needs_others() - one of this node: has it vCPUs, or homes of memory, elsewhere? */
bool vm_needs_others(struct agent *agent, const struct dvmm_vm_get *vm);

#endif
