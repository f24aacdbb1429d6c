// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/libvirt/qemu.c - dvmm-qemu: what the domain of a spanning VM names as its
 * <emulator>. Gets the VM that the hook made from the agent and becomes the
 * distribution's QEMU, whose /dev/kvm that VM is. The VM ends with it.
 *
 * Without a domain's UUID on its command line (libvirt asks what it can do) it is QEMU,
 * nothing more.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../cli/client.h"
#include "../install.h"
#include "preload.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define STATUS_CANNOT_RUN 126

static const char *uuid_of(char **argv)
{
	for (; *argv; argv++)
		if (!strcmp(*argv, "-uuid"))
			return argv[1];
	return NULL;
}

static int become_qemu(char **argv)
{
	execv(QEMU, argv);
	fprintf(stderr, "dvmm-qemu: %s: %s\n", QEMU, strerror(errno));
	return STATUS_CANNOT_RUN;
}

static int get_fd(struct client *client, const char *method, const char *uuid, int *ret_fd)
{
	json_t *result;
	int status = client_call(client, method, json_pack("{s:s}", "vm", uuid), &result, ret_fd);

	if (status)
		return status;
	json_decref(result);
	return *ret_fd >= 0 && !fcntl(*ret_fd, F_SETFD, 0) ? STATUS_OK : STATUS_FAILED;
}

/* The device first: what is taken and then not used is lost. */
static int get_vm(const char *uuid, int *ret_device)
{
	const char *socket = getenv("DVMM_VMM_SOCKET");
	struct client *client;
	int owner, status;

	status = client_open(socket ? socket : RPC_VMM_SOCKET, false, &client);
	if (status)
		return status;
	status = get_fd(client, "vm.open", uuid, ret_device);
	/* The owning fd needs no name: QEMU keeps what it was born with. */
	if (!status)
		status = get_fd(client, "vm.take", uuid, &owner);
	client_close(client);
	return status;
}

/* Beside this program where it was built, else where it is installed. */
static void find_library(char ret_path[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", ret_path, PATH_MAX - sizeof(PRELOAD_LIBRARY) - 1);

	while (len > 0 && ret_path[len - 1] != '/')
		len--;
	strcpy(ret_path + (len > 0 ? len : 0), PRELOAD_LIBRARY);
	if (len <= 0 || access(ret_path, R_OK))
		strcpy(ret_path, PATH_PRELOAD_FOLDER "/" PRELOAD_LIBRARY);
}

static int preload(int device)
{
	char path[PATH_MAX], number[16];

	find_library(path);
	if (access(path, R_OK)) {
		fprintf(stderr, "dvmm-qemu: %s: %s\n", path, strerror(errno));
		return STATUS_CANNOT_RUN;
	}
	snprintf(number, sizeof(number), "%d", device);
	return setenv("LD_PRELOAD", path, 1) || setenv(PRELOAD_FD_VARIABLE, number, 1) ?
		       STATUS_CANNOT_RUN :
		       STATUS_OK;
}

int main(int argc, char **argv)
{
	const char *uuid = uuid_of(argv);
	int device, status;

	(void)argc;
	if (!uuid)
		return become_qemu(argv);
	status = get_vm(uuid, &device);
	if (status) {
		fprintf(stderr, "dvmm-qemu: this is the <emulator> of spanning VMs; has this domain a <dvmm:placement>, and is the hook installed (dvmm node check)?\n");
		return status;
	}
	return preload(device) ?: become_qemu(argv);
}
