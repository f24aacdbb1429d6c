// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/vmms.c - processes that took a VM from the agent: when their VM is dead they are
 * ended, so that who started them (libvirt) sees a machine that crashed, not one that
 * stands still for ever. `dvmm run` does the same for its own. Who took one from an agent
 * before this one is found by the device that it has open.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

/* It gets this long to say what it saw. */
#define PATIENCE_US 2000000
/* `dvmm run` has ended its own by then. */
#define PATIENCE_WITH_OTHERS_US 5000000

struct vmm {
	struct vmm *next;
	struct agent *agent;
	sd_event_source *ended, *timer;
	uint32_t vm_id;
	pid_t pid;
	int pidfd; /* -1: of an agent before this one */
};

static void free_vmm(struct vmm *vmm)
{
	struct vmm **place = &vmm->agent->vmms;

	while (*place != vmm)
		place = &(*place)->next;
	*place = vmm->next;
	sd_event_source_unref(vmm->timer);
	sd_event_source_unref(vmm->ended);
	if (vmm->pidfd >= 0)
		close(vmm->pidfd);
	free(vmm);
}

static int on_ended(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	(void)source;
	(void)fd;
	(void)revents;
	free_vmm(arg);
	return 0;
}

static int on_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vmm *vmm = arg;

	(void)source;
	(void)usec;
	log_notice("VM %u is dead: its VMM, process %d, is ended", vmm->vm_id, vmm->pid);
	pidfd_send_signal(vmm->pidfd, SIGKILL, NULL, 0);
	return 0;
}

static int on_orphan(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vmm *vmm = arg;
	struct dvmm_vm_get vm;
	uint32_t nr = 0;

	(void)source;
	(void)usec;
	if (!dvmm_vm_next(vmm->agent->control, vmm->vm_id, &vm) && vm.vm_id == vmm->vm_id)
		nr = openers_signal(vm.out_uuid, SIGKILL);
	if (nr)
		log_notice("%s is dead: what has its device open is ended", vm.out_name);
	free_vmm(vmm);
	return 0;
}

/* A number that another process has by now: whoever asks can only have his own ended. */
static bool is_of(pid_t pid, uid_t uid)
{
	char path[32];
	struct stat stat_buffer;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return !stat(path, &stat_buffer) && stat_buffer.st_uid == uid;
}

void vmms_add(struct agent *agent, uint32_t vm_id, const struct ucred *peer)
{
	int pidfd = pidfd_open(peer->pid, 0);
	struct vmm *vmm = pidfd >= 0 ? calloc(1, sizeof(*vmm)) : NULL;

	if (!vmm || !is_of(peer->pid, peer->uid) ||
	    sd_event_add_io(agent->loop, &vmm->ended, pidfd, EPOLLIN, on_ended, vmm) < 0) {
		log_warning("VM %u: its VMM, process %d, will not be ended with it", vm_id, peer->pid);
		if (pidfd >= 0)
			close(pidfd);
		free(vmm);
		return;
	}
	vmm->agent = agent;
	vmm->vm_id = vm_id;
	vmm->pid = peer->pid;
	vmm->pidfd = pidfd;
	vmm->next = agent->vmms;
	agent->vmms = vmm;
}

static void add_orphan(struct agent *agent, uint32_t vm_id)
{
	struct vmm *vmm = calloc(1, sizeof(*vmm));

	if (!vmm)
		abort();
	*vmm = (struct vmm){ .next = agent->vmms, .agent = agent, .vm_id = vm_id, .pidfd = -1 };
	agent->vmms = vmm;
}

void vmms_start(struct agent *agent)
{
	struct dvmm_vm_get vm;

	for (uint32_t from = 0; !dvmm_vm_next(agent->control, from, &vm); from = vm.vm_id + 1)
		if (vm.out_origin == agent->config.self.id)
			add_orphan(agent, vm.vm_id);
}

void vmms_end(struct agent *agent, uint32_t vm_id)
{
	for (struct vmm *vmm = agent->vmms; vmm; vmm = vmm->next) {
		bool is_orphan = vmm->pidfd < 0;

		if (vmm->vm_id == vm_id && !vmm->timer)
			sd_event_add_time_relative(agent->loop, &vmm->timer, CLOCK_MONOTONIC,
						   is_orphan ? PATIENCE_WITH_OTHERS_US : PATIENCE_US, 0,
						   is_orphan ? on_orphan : on_impatience, vmm);
	}
}

void vmms_forget(struct agent *agent)
{
	while (agent->vmms)
		free_vmm(agent->vmms);
}
