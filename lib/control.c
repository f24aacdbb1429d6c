// SPDX-License-Identifier: LGPL-2.1-or-later
/* lib/control.c - the ioctls of /dev/dvmm/control, one function each. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "dvmm.h"

#define call(fd, cmd, arg) ((arg)->size = sizeof(*(arg)), do_ioctl(fd, cmd, arg))

static int do_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* What comes as a string from outside ends in its field. */
#define end_string(field) ((field)[sizeof(field) - 1] = '\0')

static uint64_t user_pointer(const void *pointer)
{
	return (uintptr_t)pointer;
}

int dvmm_control_open(int flags)
{
	int fd = open(DVMM_CONTROL_PATH, O_RDWR | O_CLOEXEC | flags);

	return fd < 0 ? -errno : fd;
}

int dvmm_node_set(int control, struct dvmm_node_set *set)
{
	return call(control, DVMM_NODE_SET, set);
}

int dvmm_node_get(int control, struct dvmm_node_get *ret_node)
{
	struct dvmm_node_get get = { 0 };
	int err = call(control, DVMM_NODE_GET, &get);

	if (err)
		return err;
	end_string(get.out_name);
	*ret_node = get;
	return 0;
}

int dvmm_epoch_set(int control, uint64_t epoch, uint64_t members)
{
	struct dvmm_epoch_set set = { .epoch = epoch, .members = members };

	return call(control, DVMM_EPOCH_SET, &set);
}

int dvmm_link_add(int control, struct dvmm_link_add *add)
{
	int err = call(control, DVMM_LINK_ADD, add);

	return err ? err : add->out_fd;
}

int dvmm_link_get(int control, uint32_t node_id, struct dvmm_link_get *ret_link)
{
	struct dvmm_link_get get = { .node_id = node_id };
	int err = call(control, DVMM_LINK_GET, &get);

	if (err)
		return err;
	end_string(get.out_name);
	end_string(get.out_reason);
	*ret_link = get;
	return 0;
}

int dvmm_vm_create(int control, struct dvmm_vm_create *create)
{
	int err = call(control, DVMM_VM_CREATE, create);

	return err ? err : create->out_fd;
}

int dvmm_vm_start(int vm, uint32_t timeout_ms, char ret_reason[DVMM_REASON_SIZE])
{
	struct dvmm_vm_start start = { .timeout_ms = timeout_ms };
	int err = call(vm, DVMM_VM_START, &start);

	end_string(start.out_reason);
	memcpy(ret_reason, start.out_reason, DVMM_REASON_SIZE);
	return err;
}

int dvmm_vm_next(int control, uint32_t from, struct dvmm_vm_get *ret_vm)
{
	struct dvmm_vm_get get = { .vm_id = from };
	int err = call(control, DVMM_VM_GET, &get);

	if (err)
		return err;
	end_string(get.out_name);
	end_string(get.out_reason);
	*ret_vm = get;
	return 0;
}

int dvmm_vcpu_next(int control, uint32_t vm_id, uint32_t from, struct dvmm_vcpu_get *ret_vcpu)
{
	struct dvmm_vcpu_get get = { .vm_id = vm_id, .vcpu_id = from };
	int err = call(control, DVMM_VCPU_GET, &get);

	if (!err)
		*ret_vcpu = get;
	return err;
}

int dvmm_vcpu_move(int control, struct dvmm_vcpu_move *move)
{
	int err = call(control, DVMM_VCPU_MOVE, move);

	end_string(move->out_reason);
	return err;
}

int dvmm_vm_join(int control, struct dvmm_vm_join *join)
{
	int err = call(control, DVMM_VM_JOIN, join);

	end_string(join->out_reason);
	return err;
}

int dvmm_mem_empty(int control, uint32_t vm_id, uint32_t node_id, uint64_t *ret_bytes)
{
	struct dvmm_mem_empty empty = { .vm_id = vm_id, .node_id = node_id };
	int err = call(control, DVMM_MEM_EMPTY, &empty);

	if (!err)
		*ret_bytes = empty.out_bytes;
	return err;
}

int dvmm_mem_rehome(int control, struct dvmm_mem_rehome *rehome)
{
	return call(control, DVMM_MEM_REHOME, rehome);
}

int dvmm_mem_next(int control, uint32_t vm_id, uint32_t from, struct dvmm_mem_get *ret_mem)
{
	struct dvmm_mem_get get = { .vm_id = vm_id, .mem_id = from };
	int err = call(control, DVMM_MEM_GET, &get);

	if (!err)
		*ret_mem = get;
	return err;
}

int dvmm_mem_top(int control, uint32_t vm_id, struct dvmm_mem_page *pages, uint32_t *nr)
{
	struct dvmm_mem_top top = {
		.vm_id = vm_id,
		.nr = *nr,
		.page_bytes = sizeof(*pages),
		.pages = user_pointer(pages),
	};
	int err = call(control, DVMM_MEM_TOP, &top);

	if (err)
		return err;
	/* There may be more than there was room for. */
	if (top.nr < *nr)
		*nr = top.nr;
	return 0;
}

int dvmm_vm_budget(int control, uint32_t vm_id, uint64_t bytes, struct dvmm_vm_budget *ret_budget)
{
	struct dvmm_vm_budget budget = { .vm_id = vm_id, .bytes = bytes };
	int err = call(control, DVMM_VM_BUDGET, &budget);

	if (!err)
		*ret_budget = budget;
	return err;
}

int dvmm_slice_open(int control, uint32_t vm_id, uint32_t *vcpu_ids, uint32_t *nr_vcpus)
{
	struct dvmm_slice_open slice = {
		.vm_id = vm_id,
		.nr_vcpus = *nr_vcpus,
		.vcpu_ids = user_pointer(vcpu_ids),
	};
	int err = call(control, DVMM_SLICE_OPEN, &slice);

	if (err)
		return err;
	*nr_vcpus = slice.nr_vcpus;
	return slice.out_fd;
}

int dvmm_slice_serve(int slice, void *scratch)
{
	struct dvmm_slice_serve serve = { .scratch = user_pointer(scratch) };

	return call(slice, DVMM_SLICE_SERVE, &serve);
}

int dvmm_vcpu_serve(int slice, uint32_t vcpu_id, void *scratch)
{
	struct dvmm_slice_serve serve = { .vcpu_id = vcpu_id, .scratch = user_pointer(scratch) };

	return call(slice, DVMM_VCPU_SERVE, &serve);
}

int dvmm_stat_get(int control, uint32_t kind, uint32_t id, uint64_t *values, uint32_t *nr)
{
	struct dvmm_stat_get get = {
		.kind = kind,
		.id = id,
		.nr = *nr,
		.values = user_pointer(values),
	};
	int err = call(control, DVMM_STAT_GET, &get);

	if (err)
		return err;
	/* The kernel may know more counters than there was room for. */
	if (get.nr < *nr)
		*nr = get.nr;
	return 0;
}

/* A newer kernel's record is longer than ours, an older one's shorter. */
static void show_record(const char *record, size_t size,
			void (*seen)(const struct dvmm_event *event, void *arg), void *arg)
{
	struct dvmm_event event = { 0 };

	memcpy(&event, record, size < sizeof(event) ? size : sizeof(event));
	end_string(event.text);
	seen(&event, arg);
}

int dvmm_event_read(int control, void (*seen)(const struct dvmm_event *event, void *arg),
		    void *arg)
{
	char buffer[32 * sizeof(struct dvmm_event)];
	ssize_t len = read(control, buffer, sizeof(buffer));
	size_t at = 0;
	int nr = 0;

	if (len < 0)
		return -errno;
	while (at + sizeof(uint32_t) <= (size_t)len) {
		uint32_t size;

		memcpy(&size, buffer + at, sizeof(size));
		if (size < sizeof(size) || size > (size_t)len - at)
			return -EPROTO;
		show_record(buffer + at, size, seen, arg);
		at += size;
		nr++;
	}
	return nr;
}
