// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/slice/main.c - dvmm-slice: the process that a VM is on a node that is not
 * its origin. It lends the kernel an address space and threads: one for the
 * VM, one for each vCPU placed or moved here. All work is done in the kernel.
 *
 * It ends with its VM (exit 0), and the VM ends with it. Other ends: slice.h.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "../../lib/dvmm.h"
#include "slice.h"

struct server {
	pthread_t thread;
	int slice;
	int vcpu_id; /* -1: serves the VM */
};

static uint32_t vm_id;
static struct server servers[1 + DVMM_MAX_VCPUS]; /* the VM's, then by vCPU id */

static void start_vcpu(int slice, int vcpu_id);

__attribute__((noreturn, format(printf, 2, 3)))
static void end(enum slice_status status, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "dvmm-slice: VM %u: ", vm_id);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	/* Closing the slice's fd tells the kernel, whatever other threads do. */
	_exit(status);
}

#define die(...) end(SLICE_FAILED, __VA_ARGS__)

static void *make_scratch(void)
{
	/* Populated: the kernel writes here where it should not fault. */
	void *scratch = mmap(NULL, DVMM_SCRATCH_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (scratch == MAP_FAILED)
		die("no memory for a thread: %s", strerror(errno));
	return scratch;
}

static void name_thread(const struct server *server)
{
	char name[16] = "slice";

	if (server->vcpu_id >= 0)
		snprintf(name, sizeof(name), "vcpu %d", server->vcpu_id);
	prctl(PR_SET_NAME, name);
}

static int serve_once(const struct server *server, void *scratch)
{
	if (server->vcpu_id < 0)
		return dvmm_slice_serve(server->slice, scratch);
	return dvmm_vcpu_serve(server->slice, server->vcpu_id, scratch);
}

static void *serve(void *arg)
{
	struct server *server = arg;
	void *scratch = make_scratch();
	int err;

	name_thread(server);
	do {
		err = serve_once(server, scratch);
		if (err > 0)
			start_vcpu(server->slice, err - 1);
	} while (err == -EINTR || err > 0);
	if (err < 0 && server->vcpu_id < 0)
		die("cannot serve: %s", strerror(-err));
	if (err < 0)
		die("cannot serve vCPU %d: %s", server->vcpu_id, strerror(-err));
	munmap(scratch, DVMM_SCRATCH_SIZE);
	return NULL;
}

static void ignore_kick(int sig)
{
	(void)sig;
}

/* The kernel gets a thread out of KVM_RUN by SIGUSR1: it must interrupt, not kill. */
static void accept_kicks(void)
{
	struct sigaction action = { .sa_handler = ignore_kick };

	if (sigaction(SIGUSR1, &action, NULL))
		die("sigaction: %s", strerror(errno));
}

static void start(struct server *server, int slice, int vcpu_id)
{
	int err;

	server->slice = slice;
	server->vcpu_id = vcpu_id;
	err = pthread_create(&server->thread, NULL, serve, server);
	if (err)
		die("cannot start a thread: %s", strerror(err));
}

static void start_vcpu(int slice, int vcpu_id)
{
	if (vcpu_id < 0 || vcpu_id >= DVMM_MAX_VCPUS || servers[1 + vcpu_id].slice)
		die("no thread can be made for vCPU %d", vcpu_id);
	start(&servers[1 + vcpu_id], slice, vcpu_id);
}

static int open_slice(uint32_t *vcpu_ids, uint32_t *nr_vcpus)
{
	int control = dvmm_control_open(0);
	int slice;

	if (control < 0)
		die("cannot open " DVMM_CONTROL_PATH ": %s (modprobe dvmm-vcpu)", strerror(-control));
	slice = dvmm_slice_open(control, vm_id, vcpu_ids, nr_vcpus);
	if (slice == -ENOENT)
		end(SLICE_NOT_WANTED, "no slice of it is wanted here (any more)");
	if (slice == -EIO)
		end(SLICE_NOT_WANTED, "it has ended before its slice was there");
	if (slice == -EBUSY)
		end(SLICE_IS_THERE, "its slice is there already");
	if (slice < 0)
		die("cannot open its slice: %s", strerror(-slice));
	close(control);
	return slice;
}

static uint32_t parse_vm_id(int argc, char **argv)
{
	char *end;
	unsigned long id;

	if (argc != 2)
		goto usage;
	errno = 0;
	id = strtoul(argv[1], &end, 10);
	if (errno || *end || end == argv[1] || id < 1 || id > UINT32_MAX)
		goto usage;
	return id;

usage:
	fprintf(stderr, "usage: dvmm-slice VM_ID    (started by dvmm-agent)\n");
	exit(SLICE_USAGE);
}

int main(int argc, char **argv)
{
	static uint32_t vcpu_ids[DVMM_MAX_VCPUS];
	uint32_t nr_vcpus = DVMM_MAX_VCPUS;
	int slice;

	vm_id = parse_vm_id(argc, argv);
	accept_kicks();
	slice = open_slice(vcpu_ids, &nr_vcpus);
	for (uint32_t i = 0; i < nr_vcpus; i++)
		start_vcpu(slice, vcpu_ids[i]);
	start(&servers[0], slice, -1);
	/* When it has ended, no more threads are started. */
	pthread_join(servers[0].thread, NULL);
	for (uint32_t i = 1; i <= DVMM_MAX_VCPUS; i++)
		if (servers[i].slice)
			pthread_join(servers[i].thread, NULL);
	return SLICE_ENDED;
}
