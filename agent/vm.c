// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/vm.c - VMs with a part on this node: what they are, their vCPUs and memory, and
 * new ones. A VM lives as long as the fd that vm.create hands to its caller.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* Goes over all VMs; @row may stop it by returning non-zero. Returns that, 0 or -errno. */
static int for_each_vm(struct agent *agent, int (*row)(const struct dvmm_vm_get *vm, void *arg),
		       void *arg)
{
	struct dvmm_vm_get vm;
	uint32_t from = 0;
	int err;

	do {
		err = dvmm_vm_next(agent->control, from, &vm);
		if (err)
			return err == -ENOENT ? 0 : err;
		err = row(&vm, arg);
		from = vm.vm_id + 1;
	} while (!err && from);
	return err;
}

/* ---- finding ---- */

struct wanted {
	const char *name;
	uint8_t uuid[DVMM_UUID_SIZE];
	bool is_uuid;
	uint32_t id; /* 0: not a number */
	struct dvmm_vm_get *found;
};

static int compare(const struct dvmm_vm_get *vm, void *arg)
{
	struct wanted *wanted = arg;
	bool is_it = !strcmp(vm->out_name, wanted->name) || vm->vm_id == wanted->id ||
		     (wanted->is_uuid && !memcmp(vm->out_uuid, wanted->uuid, DVMM_UUID_SIZE));

	if (is_it)
		*wanted->found = *vm;
	return is_it;
}

static uint32_t number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return *end || number > UINT32_MAX ? 0 : number;
}

int vm_find(struct agent *agent, const char *name, struct dvmm_vm_get *ret_vm)
{
	struct wanted wanted = { .name = name, .id = number_of(name), .found = ret_vm };
	int ret;

	wanted.is_uuid = !dvmm_uuid_parse(name, wanted.uuid);
	ret = for_each_vm(agent, compare, &wanted);
	return ret > 0 ? 0 : ret ?: -ENOENT;
}

/* ---- VMs ---- */

static json_t *vm_row(struct agent *agent, const struct dvmm_vm_get *vm)
{
	char uuid[DVMM_UUID_TEXT_SIZE], number[16];

	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:i, s:i, s:I, s:s}",
			 "vm", vm->out_name,
			 "id", (json_int_t)vm->vm_id,
			 "uuid", dvmm_uuid_format(vm->out_uuid, uuid),
			 "origin", config_node_name(&agent->config, vm->out_origin, number),
			 "state", dvmm_vm_state_word(vm->out_state),
			 "vcpus", vm->out_nr_vcpus,
			 "mems", vm->out_nr_mems,
			 "memory_bytes", (json_int_t)vm->out_mem_bytes,
			 "reason", vm->out_reason);
}

/* What the lists below collect, and from which VMs. */
struct collection {
	struct agent *agent;
	json_t *list;
	int (*of_vm)(struct collection *collection, const struct dvmm_vm_get *vm);
};

static int collect_vm(const struct dvmm_vm_get *vm, void *arg)
{
	struct collection *collection = arg;

	return collection->of_vm(collection, vm);
}

/* Of the VM that the request names, or of all. */
static json_t *collect(struct request *request,
		       int (*of_vm)(struct collection *collection, const struct dvmm_vm_get *vm))
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	struct collection collection = { request->agent, json_array(), of_vm };
	struct dvmm_vm_get vm;
	int err;

	if (name) {
		err = vm_find(request->agent, name, &vm);
		if (!err)
			err = of_vm(&collection, &vm);
	} else {
		err = for_each_vm(request->agent, collect_vm, &collection);
	}
	if (!err)
		return collection.list;
	json_decref(collection.list);
	if (err == -ENOENT)
		return request_fail(request, RPC_NOT_FOUND, "%s: no such VM on this node", name);
	return request_fail_errno(request, err, name ? name : "VMs");
}

static int add_vm(struct collection *collection, const struct dvmm_vm_get *vm)
{
	return json_array_append_new(collection->list, vm_row(collection->agent, vm));
}

json_t *method_vm_list(struct request *request)
{
	return collect(request, add_vm);
}

json_t *method_vm_info(struct request *request)
{
	json_t *list, *vm;

	if (!json_is_string(json_object_get(request->params, "vm")))
		return request_fail(request, RPC_INVALID, "vm.info needs a VM");
	list = collect(request, add_vm);
	vm = json_incref(json_array_get(list, 0));
	json_decref(list);
	return vm;
}

/* ---- vCPUs and memory ---- */

static json_t *count_if(bool known, uint64_t count)
{
	return known ? json_integer(count) : json_null();
}

/* The counters are those of this node; a vCPU that lives elsewhere counts there. */
static json_t *vcpu_row(struct agent *agent, const struct dvmm_vm_get *vm,
			const struct dvmm_vcpu_get *vcpu)
{
	char number[16];

	return json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o}",
			 "vm", vm->out_name,
			 "vcpu", (json_int_t)vcpu->vcpu_id,
			 "node", config_node_name(&agent->config, vcpu->out_node_id, number),
			 "state", dvmm_vcpu_state_word(vcpu->out_state),
			 "exits", count_if(vcpu->out_is_local, vcpu->out_exits),
			 "remote_exits", count_if(vcpu->out_is_local || vcpu->out_remote_exits,
						  vcpu->out_remote_exits),
			 "halts", count_if(vcpu->out_is_local, vcpu->out_halt_exits),
			 "irqs", count_if(vcpu->out_is_local, vcpu->out_irq_injections));
}

static int add_vcpus(struct collection *collection, const struct dvmm_vm_get *vm)
{
	struct agent *agent = collection->agent;
	struct dvmm_vcpu_get vcpu;
	uint32_t from = 0;
	int err;

	while (!(err = dvmm_vcpu_next(agent->control, vm->vm_id, from, &vcpu))) {
		json_array_append_new(collection->list, vcpu_row(agent, vm, &vcpu));
		from = vcpu.vcpu_id + 1;
	}
	return err == -ENOENT ? 0 : err;
}

json_t *method_vcpu_list(struct request *request)
{
	return collect(request, add_vcpus);
}

static json_t *mem_row(const struct dvmm_vm_get *vm, const struct dvmm_mem_get *mem)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}",
			 "vm", vm->out_name,
			 "mem", (json_int_t)mem->mem_id,
			 "bytes", (json_int_t)mem->out_bytes,
			 "resident_pages", (json_int_t)mem->out_resident,
			 "metadata_bytes", (json_int_t)mem->out_metadata,
			 "home", dvmm_home_policy_word(mem->out_home_policy));
}

static int add_mems(struct collection *collection, const struct dvmm_vm_get *vm)
{
	struct dvmm_mem_get mem;
	uint32_t from = 0;
	int err;

	while (!(err = dvmm_mem_next(collection->agent->control, vm->vm_id, from, &mem))) {
		json_array_append_new(collection->list, mem_row(vm, &mem));
		from = mem.mem_id + 1;
	}
	return err == -ENOENT ? 0 : err;
}

json_t *method_mem_list(struct request *request)
{
	return collect(request, add_mems);
}

/* ---- making ---- */

static int fill_place(struct request *request, json_t *place, struct dvmm_vcpu_place *ret_place)
{
	json_t *vcpu = json_object_get(place, "vcpu");
	const char *name = json_string_value(json_object_get(place, "node"));
	const struct config_node *node;

	if ((vcpu && !json_is_integer(vcpu)) || json_integer_value(vcpu) < 0 ||
	    json_integer_value(vcpu) >= DVMM_MAX_VCPUS || !name) {
		request_fail(request, RPC_INVALID,
			     "a place is {\"vcpu\": 0..%d, \"node\": NAME}, without \"vcpu\" for memory only",
			     DVMM_MAX_VCPUS - 1);
		return -EINVAL;
	}
	node = config_node_by_name(&request->agent->config, name);
	if (!node) {
		request_fail(request, RPC_NOT_FOUND, "%s: no such node in this node's configuration", name);
		return -ENOENT;
	}
	ret_place->vcpu_id = vcpu ? json_integer_value(vcpu) : DVMM_NO_VCPU;
	ret_place->node_id = node->id;
	return 0;
}

static int fill_places(struct request *request, struct dvmm_vcpu_place *places, uint32_t *ret_nr)
{
	json_t *list = json_object_get(request->params, "places"), *place;
	size_t i;

	if (json_array_size(list) > DVMM_MAX_VCPUS) {
		request_fail(request, RPC_INVALID, "more than %d places", DVMM_MAX_VCPUS);
		return -EINVAL;
	}
	json_array_foreach(list, i, place) {
		int err = fill_place(request, place, &places[i]);

		if (err)
			return err;
	}
	*ret_nr = json_array_size(list);
	return 0;
}

static int fill_uuid(struct request *request, uint8_t uuid[DVMM_UUID_SIZE])
{
	const char *text = json_string_value(json_object_get(request->params, "uuid"));
	int err;

	if (!text)
		err = dvmm_uuid_random(uuid);
	else
		err = dvmm_uuid_parse(text, uuid);
	if (err)
		request_fail(request, RPC_INVALID, "%s: not a UUID", text ? text : "random");
	return err;
}

static int fill_name(struct request *request, const uint8_t uuid[DVMM_UUID_SIZE],
		     char name[DVMM_NAME_SIZE])
{
	const char *text = json_string_value(json_object_get(request->params, "name"));
	char uuid_text[DVMM_UUID_TEXT_SIZE];
	struct dvmm_vm_get other;

	if (!text) {
		snprintf(name, DVMM_NAME_SIZE, "vm-%.8s", dvmm_uuid_format(uuid, uuid_text));
		return 0;
	}
	if (!*text || strlen(text) >= DVMM_NAME_SIZE) {
		request_fail(request, RPC_INVALID, "a VM's name has 1 to %d bytes", DVMM_NAME_SIZE - 1);
		return -EINVAL;
	}
	if (!vm_find(request->agent, text, &other)) {
		request_fail(request, RPC_CONFLICT, "%s: there is a VM of this name", text);
		return -EEXIST;
	}
	strcpy(name, text);
	return 0;
}

static int fill_home(struct request *request, uint32_t *ret_policy)
{
	const char *word = json_string_value(json_object_get(request->params, "home"));
	int err = word ? dvmm_home_policy_parse(word, ret_policy) : 0;

	if (err)
		request_fail(request, RPC_INVALID, "%s: home is 'origin' or 'interleave'", word);
	return err;
}

json_t *method_vm_create(struct request *request)
{
	struct dvmm_vcpu_place places[DVMM_MAX_VCPUS];
	struct dvmm_vm_create create = { .places = (uintptr_t)places };
	char uuid[DVMM_UUID_TEXT_SIZE];
	int fd;

	if (fill_uuid(request, create.uuid) || fill_name(request, create.uuid, create.name) ||
	    fill_home(request, &create.home_policy) ||
	    fill_places(request, places, &create.nr_places))
		return NULL;
	fd = dvmm_vm_create(request->agent->control, &create);
	if (fd < 0)
		return request_fail_errno(request, fd, create.name);
	request->fd = fd;
	return json_pack("{s:s, s:I, s:s}", "vm", create.name, "id", (json_int_t)create.out_vm_id,
			 "uuid", dvmm_uuid_format(create.uuid, uuid));
}
