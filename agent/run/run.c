// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/run/run.c - `dvmm run`: makes a spanning VM and starts a program that sees the VM's
 * device as /dev/kvm, in a mount namespace of its own: nothing on the host changes.
 *
 * This process holds the VM: the VM ends when it ends.
 */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../cli/client.h"
#include "budget.h"
#include "place.h"
#include "reason.h"
#include "topology.h"
#include "run.h"

/* A program whose VM is dead gets this long to say so, then as long to end. */
#define PATIENCE_MS 2000

struct run {
	const char *name, *uuid, *home;
	uint32_t timeout_ms;
	bool keep_dead, grows;
	struct places places;
	struct budgets budgets;
	uint64_t numa_bytes; /* 0: the guest sees no NUMA */
	struct topology topology;
	char **program;

	struct client *client;
	struct client *events;
	int vm;
	json_int_t vm_id;
	char vm_name[DVMM_NAME_SIZE];
	char device[sizeof("/dev/dvmm/vm/") + DVMM_UUID_TEXT_SIZE];

	int signals;
	pid_t child;
	int status; /* of the child, as from waitpid(); -1: it runs */
	bool death_said;
	int next_signal; /* for a program that does not end; 0: none */
	long signal_at_ms;
};

/* ---- options ---- */

enum { OPTION_NAME = 1000, OPTION_UUID, OPTION_PLACE, OPTION_MEMORY, OPTION_GROW, OPTION_HOME, OPTION_NUMA, OPTION_BUDGET,
       OPTION_TIMEOUT, OPTION_KEEP_DEAD };

static const struct argp_option argp_options[] = {
	{ "place", OPTION_PLACE, "PLACES", 0,
	  "Which vCPU lives where, as 0=n1,1-3=n2; a vCPU that is not named lives here", 0 },
	{ "memory", OPTION_MEMORY, "NODES", 0,
	  "Nodes that lend their memory only, as n2,n3; the VM may survive their loss", 0 },
	{ "grow", OPTION_GROW, NULL, 0,
	  "Other nodes may join the VM while it runs, though none has a part in it now", 0 },
	{ "name", OPTION_NAME, "NAME", 0, "Of the VM, for people", 0 },
	{ "uuid", OPTION_UUID, "UUID", 0, "Of the VM (random)", 0 },
	{ "home", OPTION_HOME, "POLICY", 0,
	  "Where the directory of its memory is: origin (here) or interleave (all nodes)", 0 },
	{ "budget", OPTION_BUDGET, "BUDGETS", 0,
	  "How much memory of each node it may hold, as n1=200M,n2=none (default: as each node says)", 0 },
	{ "numa", OPTION_NUMA, "SIZE", 0,
	  "Memory of the guest, as 2G, in a NUMA cell for each node, with its home there: adds -smp, "
	  "-m, -object and -numa to the options of PROGRAM, which is QEMU (see dvmm vm topology)", 0 },
	{ "timeout", OPTION_TIMEOUT, "SECONDS", 0, "How long the other nodes may take to join", 0 },
	{ "keep-dead", OPTION_KEEP_DEAD, NULL, 0, "Leave PROGRAM alone when its VM has died", 0 },
	{ 0 },
};

static int take_timeout(struct run *run, const char *arg)
{
	char *end;
	unsigned long seconds = strtoul(arg, &end, 10);

	run->timeout_ms = seconds * 1000;
	return !*arg || *end || seconds < 1 || seconds > 3600 ? -EINVAL : 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct run *run = state->input;
	char why[256];

	switch (key) {
	case OPTION_PLACE:
		if (places_add(&run->places, arg, why, sizeof(why)))
			argp_error(state, "--place: %s", why);
		return 0;
	case OPTION_MEMORY:
		if (places_add_memory(&run->places, arg, why, sizeof(why)))
			argp_error(state, "--memory: %s", why);
		return 0;
	case OPTION_GROW:
		run->grows = true;
		return 0;
	case OPTION_NAME:
		run->name = arg;
		return 0;
	case OPTION_UUID:
		run->uuid = arg;
		return 0;
	case OPTION_HOME:
		run->home = arg;
		return 0;
	case OPTION_BUDGET:
		if (budgets_add(&run->budgets, arg, why, sizeof(why)))
			argp_error(state, "--budget: %s", why);
		return 0;
	case OPTION_NUMA:
		if (topology_parse_size(arg, &run->numa_bytes))
			argp_error(state, "--numa: '%s' is not a size, as 2G", arg);
		return 0;
	case OPTION_TIMEOUT:
		if (take_timeout(run, arg))
			argp_error(state, "--timeout: '%s' is not 1 to 3600 seconds", arg);
		return 0;
	case OPTION_KEEP_DEAD:
		run->keep_dead = true;
		return 0;
	case ARGP_KEY_ARG:
		run->program = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "there is no PROGRAM");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp run_argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "[--] PROGRAM [ARG...]",
	.doc = "Starts PROGRAM, which uses KVM, with a VM that spans nodes as its /dev/kvm.",
};

/* ---- the VM ---- */

__attribute__((format(printf, 3, 4)))
static int fail(struct run *run, int status, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "dvmm: %s: ", *run->vm_name ? run->vm_name : run->program[0]);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

static json_t *places_to_json(const struct places *places)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < places->nr; i++) {
		json_t *place = json_pack("{s:s}", "node", places->list[i].node);

		if (places->list[i].vcpu != DVMM_NO_VCPU)
			json_object_set_new(place, "vcpu", json_integer(places->list[i].vcpu));
		json_array_append_new(list, place);
	}
	return list;
}

static json_t *budgets_to_json(const struct budgets *budgets)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < budgets->nr; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "node", budgets->list[i].node,
						      "size", budgets->list[i].size));
	return list;
}

/* The guest sees what the homes follow. */
static int add_topology(struct run *run)
{
	enum topology_machine machine;
	size_t nr = 0, nr_more = 0;
	char why[256], **more, **all;

	if (!run->numa_bytes)
		return STATUS_OK;
	if (topology_machine_of(run->program, &machine))
		return fail(run, STATUS_USAGE, "--numa is for QEMU's machines q35 and pc");
	if (topology_make(&run->topology, machine, &run->places, run->numa_bytes, why, sizeof(why)))
		return fail(run, STATUS_USAGE, "--numa: %s", why);
	more = topology_qemu_args(&run->topology);
	while (run->program[nr])
		nr++;
	while (more[nr_more])
		nr_more++;
	all = calloc(nr + nr_more + 1, sizeof(*all));
	if (!all)
		abort();
	memcpy(all, run->program, nr * sizeof(*all));
	memcpy(all + nr, more, nr_more * sizeof(*all));
	free(more);
	run->program = all;
	return STATUS_OK;
}

static int create_vm(struct run *run)
{
	json_t *params = json_pack("{s:s*, s:s*, s:s*, s:b, s:o, s:o, s:o}", "name", run->name, "uuid", run->uuid,
				   "home", run->home, "grow", run->grows, "places", places_to_json(&run->places),
				   "budgets", budgets_to_json(&run->budgets),
				   "homes", topology_homes(&run->topology));
	const char *name, *uuid;
	json_t *vm;
	int status = client_call(run->client, "vm.create", params, &vm, &run->vm);

	if (status)
		return status;
	if (run->vm < 0 ||
	    json_unpack(vm, "{s:s, s:I, s:s}", "vm", &name, "id", &run->vm_id, "uuid", &uuid)) {
		json_decref(vm);
		return fail(run, STATUS_FAILED, "the agent made no VM");
	}
	snprintf(run->vm_name, sizeof(run->vm_name), "%s", name);
	snprintf(run->device, sizeof(run->device), "/dev/dvmm/vm/%.36s", uuid);
	json_decref(vm);
	return STATUS_OK;
}

/* Returns whether the VM is dead, and then why. */
static bool is_dead(struct run *run, char ret_reason[DVMM_REASON_SIZE])
{
	const char *state, *reason;
	bool dead = false;
	char id[24];
	json_t *vm;

	snprintf(id, sizeof(id), "%" JSON_INTEGER_FORMAT, run->vm_id);
	if (client_call(run->client, "vm.info", json_pack("{s:s}", "vm", id), &vm, NULL))
		return false;
	if (!json_unpack(vm, "{s:s, s:s}", "state", &state, "reason", &reason) &&
	    !strcmp(state, "dead")) {
		snprintf(ret_reason, DVMM_REASON_SIZE, "%s", reason);
		dead = true;
	}
	json_decref(vm);
	return dead;
}

static int start_vm(struct run *run)
{
	char reason[DVMM_REASON_SIZE + DVMM_NAME_SIZE];
	int err = dvmm_vm_start(run->vm, run->timeout_ms, reason);

	if (!err)
		return STATUS_OK;
	/* What died of its start also says why. */
	if (!*reason)
		is_dead(run, reason);
	reason_name_node(run->client, reason, sizeof(reason));
	return fail(run, STATUS_FAILED, "cannot start: %s", *reason ? reason : strerror(-err));
}

static int follow_events(struct run *run)
{
	json_t *past;
	int status = client_call(run->events, "event.follow", NULL, &past, NULL);

	if (!status)
		json_decref(past);
	return status;
}

/* ---- the program ---- */

static int put_device_over_kvm(const struct run *run)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return mount(run->device, "/dev/kvm", NULL, MS_BIND, NULL) ? -errno : 0;
}

__attribute__((noreturn))
static void exec_program(struct run *run, const sigset_t *mask)
{
	int err;

	/* Without this process the VM is dead, and the program of no use. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	err = put_device_over_kvm(run);
	if (err) {
		fail(run, 0, "cannot put %s over /dev/kvm: %s", run->device, strerror(-err));
		_exit(126);
	}
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(run->program[0], run->program);
	err = errno;
	fail(run, 0, "%s: %s", run->program[0], strerror(err));
	_exit(err == ENOENT ? 127 : 126);
}

static int start_program(struct run *run)
{
	static const int passed_on[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	sigset_t signals, mask;

	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&signals, passed_on[i]);
	sigprocmask(SIG_BLOCK, &signals, &mask);
	run->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	run->child = fork();
	if (!run->child)
		exec_program(run, &mask);
	if (run->child < 0)
		return fail(run, STATUS_FAILED, "fork: %s", strerror(errno));
	return STATUS_OK;
}

/* ---- supervision ---- */

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_signal(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			waitpid(run->child, &run->status, WNOHANG);
		else if (info.ssi_code <= 0)
			kill(run->child, info.ssi_signo);
		/* else: typed at the terminal, so the program has it already */
	}
}

/* Events begin with the VM's name, which is said anyway. */
static const char *without_name(const struct run *run, const char *text)
{
	size_t len = strlen(run->vm_name);

	return !strncmp(text, run->vm_name, len) && !strncmp(text + len, ": ", 2) ? text + len + 2 :
										    text;
}

static void on_death(struct run *run, const char *reason)
{
	if (run->death_said)
		return;
	run->death_said = true;
	fail(run, 0, "the VM is dead: %s",
	     *reason ? without_name(run, reason) : "no reason was given");
	if (run->keep_dead)
		return;
	run->next_signal = SIGTERM;
	run->signal_at_ms = now_ms() + PATIENCE_MS;
}

static void on_events(struct run *run)
{
	const char *kind, *text;
	json_int_t vm;
	json_t *event;

	while ((event = client_next_event(run->events, false))) {
		if (!json_unpack(event, "{s:s, s:I, s:s}", "event", &kind, "vm", &vm, "text", &text) &&
		    vm == run->vm_id && (!strcmp(kind, "vm-dead") || !strcmp(kind, "vm-fenced")))
			on_death(run, text);
		json_decref(event);
	}
}

static int wait_ms(const struct run *run)
{
	long rest = run->signal_at_ms - now_ms();

	if (!run->next_signal)
		return -1;
	return rest > 0 ? rest : 0;
}

static void press_if_due(struct run *run)
{
	if (!run->next_signal || now_ms() < run->signal_at_ms)
		return;
	kill(run->child, run->next_signal);
	run->next_signal = run->next_signal == SIGTERM ? SIGKILL : 0;
	run->signal_at_ms = now_ms() + PATIENCE_MS;
}

static void supervise(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = run->signals, .events = POLLIN },
		{ .fd = client_fd(run->events), .events = POLLIN },
	};

	run->status = -1;
	while (run->status < 0) {
		poll(fds, 2, wait_ms(run));
		if (fds[0].revents)
			on_signal(run);
		if (fds[1].revents)
			on_events(run);
		/* Without the agent there is no news; the VM goes on. */
		if (!client_is_open(run->events))
			fds[1].fd = -1;
		press_if_due(run);
	}
}

/* The program may have ended before the news of its VM's death came here. */
static void ask_for_death(struct run *run)
{
	char reason[DVMM_REASON_SIZE];

	on_events(run);
	if (!run->death_said && client_is_open(run->events) && is_dead(run, reason))
		on_death(run, reason);
}

static int exit_status(const struct run *run)
{
	int status = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 128 + WTERMSIG(run->status);

	return !status && run->death_said ? STATUS_FAILED : status;
}

static int run_program(struct run *run)
{
	int status = start_program(run);

	if (status)
		return status;
	supervise(run);
	ask_for_death(run);
	return exit_status(run);
}

static int check_kvm(struct run *run)
{
	struct stat stat_buffer;

	if (!stat("/dev/kvm", &stat_buffer))
		return STATUS_OK;
	return fail(run, STATUS_FAILED, "/dev/kvm: %s (is KVM loaded on this host?)", strerror(errno));
}

static int run_vm(struct run *run, const char *socket)
{
	int status = check_kvm(run);

	if (!status)
		status = client_open(socket, false, &run->client);
	if (!status)
		status = client_open(socket, false, &run->events);
	if (!status)
		status = create_vm(run);
	if (!status)
		status = start_vm(run);
	if (!status)
		status = follow_events(run);
	if (!status)
		status = run_program(run);
	return status;
}

int run_main(const char *socket, int argc, char **argv)
{
	static struct run run = { .vm = -1, .signals = -1 };
	char name[] = "dvmm run";
	int status;

	argv[0] = name;
	argp_parse(&run_argp, argc, argv, ARGP_IN_ORDER, NULL, &run);
	status = add_topology(&run);
	if (!status)
		status = run_vm(&run, socket);
	client_close(run.client);
	client_close(run.events);
	if (run.signals >= 0)
		close(run.signals);
	if (run.vm >= 0)
		close(run.vm);
	return status;
}
