// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/kept.c - VMs that were made before their VMM runs: the agent keeps the fd that
 * owns such a VM until the VMM takes it, so that the VM ends with its VMM and not with
 * the agent. What VMs are is vm.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

struct kept_vm {
	struct kept_vm *next;
	uint32_t id;
	int fd;
};

int kept_add(struct agent *agent, uint32_t vm_id, int fd)
{
	struct kept_vm *kept = malloc(sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	kept->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (kept->fd < 0) {
		free(kept);
		return -errno;
	}
	kept->id = vm_id;
	kept->next = agent->kept_vms;
	agent->kept_vms = kept;
	return 0;
}

static bool is_kept(struct agent *agent, uint32_t vm_id)
{
	struct kept_vm *kept = agent->kept_vms;

	while (kept && kept->id != vm_id)
		kept = kept->next;
	return kept;
}

/* Takes it out; -1: it is not kept. */
static int steal_fd(struct agent *agent, uint32_t vm_id)
{
	struct kept_vm **place = &agent->kept_vms, *kept;
	int fd;

	while (*place && (*place)->id != vm_id)
		place = &(*place)->next;
	kept = *place;
	if (!kept)
		return -1;
	*place = kept->next;
	fd = kept->fd;
	free(kept);
	return fd;
}

void kept_drop(struct agent *agent, uint32_t vm_id)
{
	int fd = steal_fd(agent, vm_id);

	if (fd >= 0)
		close(fd);
}

void kept_drop_all(struct agent *agent)
{
	while (agent->kept_vms)
		close(steal_fd(agent, agent->kept_vms->id));
}

/* ---- methods ---- */

static int find_kept(struct request *request, struct dvmm_vm_get *ret_vm)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	int err = name ? vm_find(request->agent, name, ret_vm) : -ENOENT;

	if (!err && !is_kept(request->agent, ret_vm->vm_id))
		err = -ENOENT;
	if (err)
		request_fail(request, RPC_NOT_FOUND, "%s: no VM of this name waits for its VMM",
			     name ? name : "?");
	return err;
}

json_t *method_vm_open(struct request *request)
{
	char path[sizeof("/dev/dvmm/vm/") + DVMM_UUID_TEXT_SIZE], uuid[DVMM_UUID_TEXT_SIZE];
	struct dvmm_vm_get vm;

	if (find_kept(request, &vm))
		return NULL;
	snprintf(path, sizeof(path), "/dev/dvmm/vm/%s", dvmm_uuid_format(vm.out_uuid, uuid));
	request->fd = open(path, O_RDWR | O_CLOEXEC);
	if (request->fd < 0)
		return request_fail_errno(request, -errno, path);
	return json_pack("{s:s}", "vm", vm.out_name);
}

json_t *method_vm_take(struct request *request)
{
	struct dvmm_vm_get vm;

	if (find_kept(request, &vm))
		return NULL;
	request->fd = steal_fd(request->agent, vm.vm_id);
	vmms_add(request->agent, vm.vm_id, &request->peer);
	return json_pack("{s:s}", "vm", vm.out_name);
}

/* Of what is not kept there is nothing to drop: that is no error. */
json_t *method_vm_drop(struct request *request)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	struct dvmm_vm_get vm;
	int fd = -1;

	if (!name)
		return request_fail(request, RPC_INVALID, "vm.drop needs a VM");
	if (!vm_find(request->agent, name, &vm))
		fd = steal_fd(request->agent, vm.vm_id);
	if (fd >= 0)
		close(fd);
	return json_pack("{s:b}", "dropped", fd >= 0);
}
