// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/slices.c - starts dvmm-slice for VMs of other nodes, and says how it ended. */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "internal.h"
#include "slice/slice.h"

struct slice {
	struct slice *next;
	struct agent *agent;
	sd_event_source *source;
	uint32_t vm_id;
	pid_t pid;
};

struct slices {
	struct slice *first;
	char program[4096];
};

static int find_program(struct agent *agent, char program[4096])
{
	char self[4096 - sizeof("/dvmm-slice")];
	ssize_t len;

	if (*agent->config.slice_program) {
		strcpy(program, agent->config.slice_program);
		return 0;
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0)
		return -errno;
	self[len] = '\0';
	strcpy(program, dirname(self));
	strcat(program, "/dvmm-slice");
	return 0;
}

int slices_init(struct agent *agent)
{
	int err;

	agent->slices = calloc(1, sizeof(*agent->slices));
	if (!agent->slices)
		return -ENOMEM;
	err = find_program(agent, agent->slices->program);
	if (!err && access(agent->slices->program, X_OK))
		log_warning("%s: %s: VMs of other nodes cannot come here", agent->slices->program,
			    strerror(errno));
	return err;
}

static struct slice **place_of(struct slices *slices, uint32_t vm_id)
{
	struct slice **place = &slices->first;

	while (*place && (*place)->vm_id != vm_id)
		place = &(*place)->next;
	return place;
}

static void remove_slice(struct slice *slice)
{
	*place_of(slice->agent->slices, slice->vm_id) = slice->next;
	sd_event_source_unref(slice->source);
	free(slice);
}

static void say_exit(uint32_t vm_id, int status)
{
	switch (status) {
	case SLICE_ENDED:
		log_notice("slice of VM %u has ended with its VM", vm_id);
		return;
	case SLICE_NOT_WANTED:
		log_notice("slice of VM %u is not wanted any more", vm_id);
		return;
	case SLICE_IS_THERE:
		log_notice("slice of VM %u is there already", vm_id);
		return;
	default:
		log_error("slice of VM %u failed (status %d)", vm_id, status);
	}
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *arg)
{
	struct slice *slice = arg;

	(void)source;
	if (info->si_code == CLD_EXITED)
		say_exit(slice->vm_id, info->si_status);
	else
		log_error("slice of VM %u was killed by signal %d (%s)", slice->vm_id,
			  info->si_status, strsignal(info->si_status));
	remove_slice(slice);
	return 0;
}

__attribute__((noreturn))
static void exec_slice(const char *program, uint32_t vm_id)
{
	char id[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* It outlives the agent and what is typed at the agent's terminal. */
	setsid();
	snprintf(id, sizeof(id), "%u", vm_id);
	execl(program, program, id, (char *)NULL);
	log_error("%s: %s", program, strerror(errno));
	_exit(127);
}

static int watch(struct slice *slice)
{
	return sd_event_add_child(slice->agent->loop, &slice->source, slice->pid, WEXITED, on_end,
				  slice);
}

void slices_start_one(struct agent *agent, uint32_t vm_id)
{
	struct slice **place = place_of(agent->slices, vm_id);
	struct slice *slice;

	if (*place)
		return;
	slice = calloc(1, sizeof(*slice));
	if (!slice) {
		log_error("slice of VM %u: no memory", vm_id);
		return;
	}
	slice->agent = agent;
	slice->vm_id = vm_id;
	slice->pid = fork();
	if (!slice->pid)
		exec_slice(agent->slices->program, vm_id);
	if (slice->pid < 0 || watch(slice) < 0) {
		log_error("slice of VM %u: cannot start: %s", vm_id, strerror(errno));
		free(slice);
		return;
	}
	*place = slice;
	log_notice("slice of VM %u starts (process %d)", vm_id, slice->pid);
}

void slices_forget(struct agent *agent)
{
	if (!agent->slices)
		return;
	while (agent->slices->first)
		remove_slice(agent->slices->first);
	free(agent->slices);
	agent->slices = NULL;
}
