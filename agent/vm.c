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

/* ---- whom it needs ---- */

static bool has_vcpus_elsewhere(struct agent *agent, uint32_t vm_id)
{
	struct dvmm_vcpu_get vcpu;

	for (uint32_t from = 0; !dvmm_vcpu_next(agent->control, vm_id, from, &vcpu);
	     from = vcpu.vcpu_id + 1)
		if (vcpu.out_node_id != agent->config.self.id)
			return true;
	return false;
}

static bool has_homes_elsewhere(struct agent *agent, uint32_t vm_id)
{
	struct dvmm_mem_get mem;

	for (uint32_t from = 0; !dvmm_mem_next(agent->control, vm_id, from, &mem); from = mem.mem_id + 1)
		if (mem.out_homed < mem.out_bytes)
			return true;
	return false;
}

bool vm_needs_others(struct agent *agent, const struct dvmm_vm_get *vm)
{
	return vm->out_origin == agent->config.self.id && vm->out_state < DVMM_VM_DEAD &&
	       (has_vcpus_elsewhere(agent, vm->vm_id) || has_homes_elsewhere(agent, vm->vm_id));
}

/* ---- VMs ---- */

/* No bound: null. Kernel modules without budgets: both null. */
static void add_budget(json_t *row, const struct dvmm_vm_budget *budget)
{
	bool bound = budget->out_bytes && budget->out_bytes != DVMM_BUDGET_NONE;

	json_object_set_new(row, "budget_bytes", bound ? json_integer(budget->out_bytes) : json_null());
	json_object_set_new(row, "resident_bytes",
			    budget->size ? json_integer(budget->out_resident) : json_null());
}

static struct dvmm_vm_budget budget_of(struct agent *agent, uint32_t vm_id)
{
	struct dvmm_vm_budget budget = { 0 };

	dvmm_vm_budget(agent->control, vm_id, DVMM_BUDGET_KEEP, &budget);
	return budget;
}

static json_t *vm_row(struct agent *agent, const struct dvmm_vm_get *vm)
{
	struct dvmm_vm_budget budget = budget_of(agent, vm->vm_id);
	char uuid[DVMM_UUID_TEXT_SIZE], number[16];
	json_t *row;

	row = json_pack("{s:s, s:I, s:s, s:s, s:s, s:i, s:i, s:I, s:s}",
			 "vm", vm->out_name,
			 "id", (json_int_t)vm->vm_id,
			 "uuid", dvmm_uuid_format(vm->out_uuid, uuid),
			 "origin", config_node_name(&agent->config, vm->out_origin, number),
			 "state", dvmm_vm_state_word(vm->out_state),
			 "vcpus", vm->out_nr_vcpus,
			 "mems", vm->out_nr_mems,
			 "memory_bytes", (json_int_t)vm->out_mem_bytes,
			 "reason", vm->out_reason);
	add_budget(row, &budget);
	return row;
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

static json_t *mem_row(const struct dvmm_vm_get *vm, const struct dvmm_mem_get *mem,
		       const struct dvmm_vm_budget *budget)
{
	json_t *row = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s}",
				"vm", vm->out_name,
				"mem", (json_int_t)mem->mem_id,
				"bytes", (json_int_t)mem->out_bytes,
				"resident_pages", (json_int_t)mem->out_resident,
				"metadata_bytes", (json_int_t)mem->out_metadata,
				"homed_bytes", (json_int_t)mem->out_homed,
				"home", dvmm_home_policy_word(mem->out_home_policy));

	add_budget(row, budget);
	json_object_set_new(row, "resident_bytes", json_integer(mem->out_resident * 4096));
	return row;
}

static int add_mems(struct collection *collection, const struct dvmm_vm_get *vm)
{
	struct dvmm_vm_budget budget = budget_of(collection->agent, vm->vm_id);
	struct dvmm_mem_get mem;
	uint32_t from = 0;
	int err;

	while (!(err = dvmm_mem_next(collection->agent->control, vm->vm_id, from, &mem))) {
		json_array_append_new(collection->list, mem_row(vm, &mem, &budget));
		from = mem.mem_id + 1;
	}
	return err == -ENOENT ? 0 : err;
}

json_t *method_mem_list(struct request *request)
{
	return collect(request, add_mems);
}

/* ---- pages that nodes fight over ---- */

static json_t *nodes_of(struct agent *agent, uint64_t set)
{
	json_t *nodes = json_array();
	char number[16];

	for (uint32_t id = 0; id < DVMM_MAX_NODES; id++)
		if (set >> id & 1)
			json_array_append_new(nodes, json_string(config_node_name(&agent->config, id,
										  number)));
	return nodes;
}

static json_t *page_row(struct agent *agent, const struct dvmm_vm_get *vm,
			const struct dvmm_mem_page *page)
{
	char number[16], name[40], gpa[24];

	snprintf(name, sizeof(name), "%u:%llu", page->mem_id, page->page);
	snprintf(gpa, sizeof(gpa), "0x%llx", page->gpa);
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
			 "vm", vm->out_name,
			 "page", name,
			 "mem", (json_int_t)page->mem_id,
			 "index", (json_int_t)page->page,
			 "gpa", page->gpa == DVMM_NO_GPA ? json_null() : json_string(gpa),
			 "home", config_node_name(&agent->config, page->home, number),
			 "nodes", nodes_of(agent, page->nodes),
			 "heat", (json_int_t)page->heat,
			 "read_misses", (json_int_t)page->read_misses,
			 "write_misses", (json_int_t)page->write_misses,
			 "takes", (json_int_t)page->takes,
			 "invalidations", (json_int_t)page->invalidations,
			 "put_off", (json_int_t)page->put_off,
			 "wait_ns", count_if(page->waits, page->waits ? page->wait_ns / page->waits : 0));
}

static int add_pages(struct collection *collection, const struct dvmm_vm_get *vm)
{
	struct dvmm_mem_page pages[DVMM_MEM_TOP_MAX];
	uint32_t nr = DVMM_MEM_TOP_MAX;
	int err = dvmm_mem_top(collection->agent->control, vm->vm_id, pages, &nr);

	for (uint32_t i = 0; !err && i < nr; i++)
		json_array_append_new(collection->list, page_row(collection->agent, vm, &pages[i]));
	return err;
}

json_t *method_mem_top(struct request *request)
{
	if (!json_is_string(json_object_get(request->params, "vm")))
		return request_fail(request, RPC_INVALID, "mem.top needs a VM");
	return collect(request, add_pages);
}

/* ---- budgets ---- */

static json_t *budget_row(struct request *request, const struct dvmm_vm_get *vm,
			  const struct dvmm_vm_budget *budget)
{
	json_t *row = json_pack("{s:s, s:s}", "vm", vm->out_name,
				"node", request->agent->config.self.name);

	add_budget(row, budget);
	return row;
}

int vm_fill_budget(struct request *request, json_t *size, uint64_t *ret_bytes)
{
	const char *text = json_string_value(size);

	if (text && !dvmm_budget_parse(text, ret_bytes))
		return 0;
	request_fail(request, RPC_INVALID, "%s: a budget is a size of 1M or more, 'none' or 'default'",
		     text ? text : "size");
	return -EINVAL;
}

json_t *method_mem_budget(struct request *request)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	json_t *size = json_object_get(request->params, "size");
	struct dvmm_vm_budget budget;
	uint64_t bytes = DVMM_BUDGET_KEEP;
	struct dvmm_vm_get vm;
	int err;

	if (!name)
		return request_fail(request, RPC_INVALID, "mem.budget needs a VM");
	if (size && vm_fill_budget(request, size, &bytes))
		return NULL;
	if (vm_find(request->agent, name, &vm))
		return request_fail(request, RPC_NOT_FOUND, "%s: no such VM on this node", name);
	err = dvmm_vm_budget(request->agent->control, vm.vm_id, bytes, &budget);
	return err ? request_fail_errno(request, err, name) : budget_row(request, &vm, &budget);
}

/* ---- moving homes ---- */

/* "3" or "3-7" */
static int fill_extents(const char *text, struct dvmm_mem_rehome *rehome)
{
	unsigned long long last;
	char *end;

	rehome->extent = last = strtoull(text, &end, 10);
	if (end != text && *end == '-') {
		text = end + 1;
		last = strtoull(text, &end, 10);
	}
	if (end == text || *end || *text == '-' || last < rehome->extent || last > UINT32_MAX)
		return -EINVAL;
	rehome->nr_extents = last - rehome->extent + 1;
	return 0;
}

static int fill_rehome(struct request *request, struct dvmm_mem_rehome *rehome)
{
	const char *mem = json_string_value(json_object_get(request->params, "mem"));
	const char *extent = json_string_value(json_object_get(request->params, "extent"));
	const struct config_node *node = node_of_request(request, "node");

	if (!node)
		return -EINVAL;
	rehome->node_id = node->id;
	rehome->from_node = DVMM_ANY_NODE;
	rehome->mem_id = mem ? number_of(mem) : 0;
	if ((mem && !rehome->mem_id) || (extent && !mem) ||
	    (extent && fill_extents(extent, rehome))) {
		request_fail(request, RPC_INVALID,
			     "mem is a number of mem.list, extent of it FIRST or FIRST-LAST");
		return -EINVAL;
	}
	if (!json_object_get(request->params, "from"))
		return 0;
	node = node_of_request(request, "from");
	if (node)
		rehome->from_node = node->id;
	return node ? 0 : -EINVAL;
}

struct rehome {
	int control;
	char vm[DVMM_NAME_SIZE];
	struct dvmm_mem_rehome call;
};

static int do_rehome(void *arg)
{
	struct rehome *rehome = arg;

	return dvmm_mem_rehome(rehome->control, &rehome->call);
}

static json_t *answer_rehome(struct request *request, void *arg, int err)
{
	const struct rehome *rehome = arg;

	if (err == -EOPNOTSUPP)
		return request_fail(request, RPC_CONFLICT,
				    "%s: homes are moved at its origin, which is another node",
				    rehome->vm);
	if (err)
		return request_fail_errno(request, err, rehome->vm);
	return json_pack("{s:s, s:I}", "vm", rehome->vm, "moved_extents",
			 (json_int_t)rehome->call.out_moved);
}

/* Some milliseconds for each extent: not in the loop. */
json_t *method_mem_rehome(struct request *request)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	struct rehome rehome = { .control = request->agent->control };
	struct dvmm_vm_get vm;

	if (!name || vm_find(request->agent, name, &vm))
		return request_fail(request, RPC_NOT_FOUND, "%s: no such VM on this node",
				    name ? name : "?");
	if (fill_rehome(request, &rehome.call))
		return NULL;
	rehome.call.vm_id = vm.vm_id;
	snprintf(rehome.vm, sizeof(rehome.vm), "%s", vm.out_name);
	return request_later(request, do_rehome, answer_rehome, &rehome, sizeof(rehome));
}

/* ---- making ---- */

static int find_node(struct request *request, const char *name, uint32_t *ret_id)
{
	const struct config_node *node = config_node_by_name(&request->agent->config, name);

	if (!node) {
		request_fail(request, RPC_NOT_FOUND, "%s: no such node in this node's configuration", name);
		return -ENOENT;
	}
	*ret_id = node->id;
	return 0;
}

static int fill_range(struct request *request, json_t *item, struct dvmm_home_range *ret_range)
{
	json_int_t start, bytes;
	const char *name;
	uint32_t node;

	if (json_unpack(item, "{s:I, s:I, s:s}", "start", &start, "bytes", &bytes, "node", &name) ||
	    start < 0 || bytes <= 0) {
		request_fail(request, RPC_INVALID,
			     "a home is {\"start\": N, \"bytes\": N, \"node\": NAME}");
		return -EINVAL;
	}
	if (find_node(request, name, &node))
		return -ENOENT;
	*ret_range = (struct dvmm_home_range){ .start = start, .bytes = bytes, .node_id = node };
	return 0;
}

static int fill_ranges(struct request *request, struct dvmm_home_range *ranges, uint32_t *ret_nr)
{
	json_t *list = json_object_get(request->params, "homes"), *item;
	size_t i;

	if (json_array_size(list) > DVMM_MAX_HOME_RANGES) {
		request_fail(request, RPC_INVALID, "more than %d homes", DVMM_MAX_HOME_RANGES);
		return -EINVAL;
	}
	json_array_foreach(list, i, item) {
		int err = fill_range(request, item, &ranges[i]);

		if (err)
			return err;
	}
	*ret_nr = json_array_size(list);
	return 0;
}

static int fill_place(struct request *request, json_t *place, struct dvmm_vcpu_place *ret_place)
{
	json_t *vcpu = json_object_get(place, "vcpu");
	const char *name = json_string_value(json_object_get(place, "node"));

	if ((vcpu && !json_is_integer(vcpu)) || json_integer_value(vcpu) < 0 ||
	    json_integer_value(vcpu) >= DVMM_MAX_VCPUS || !name) {
		request_fail(request, RPC_INVALID,
			     "a place is {\"vcpu\": 0..%d, \"node\": NAME}, without \"vcpu\" for memory only",
			     DVMM_MAX_VCPUS - 1);
		return -EINVAL;
	}
	ret_place->vcpu_id = vcpu ? json_integer_value(vcpu) : DVMM_NO_VCPU;
	return find_node(request, name, &ret_place->node_id);
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

static int fill_budget(struct request *request, json_t *budget, struct dvmm_vm_budget_on *ret_on)
{
	const char *name = json_string_value(json_object_get(budget, "node"));
	uint64_t bytes;

	if (!name) {
		request_fail(request, RPC_INVALID, "a budget is {\"node\": NAME, \"size\": SIZE}");
		return -EINVAL;
	}
	if (vm_fill_budget(request, json_object_get(budget, "size"), &bytes))
		return -EINVAL;
	ret_on->bytes = bytes;
	return find_node(request, name, &ret_on->node_id);
}

static int fill_budgets(struct request *request, struct dvmm_vm_budget_on *list, uint32_t *ret_nr)
{
	json_t *budgets = json_object_get(request->params, "budgets"), *budget;
	size_t i;

	if (json_array_size(budgets) > DVMM_MAX_NODES) {
		request_fail(request, RPC_INVALID, "more than %d budgets", DVMM_MAX_NODES);
		return -EINVAL;
	}
	json_array_foreach(budgets, i, budget) {
		int err = fill_budget(request, budget, &list[i]);

		if (err)
			return err;
	}
	*ret_nr = json_array_size(budgets);
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

static uint32_t flags_of(struct request *request)
{
	return json_is_true(json_object_get(request->params, "grow")) ? DVMM_VM_CREATE_GROWS : 0;
}

static bool spans(struct agent *agent, const struct dvmm_vm_create *create,
		  const struct dvmm_vcpu_place *places)
{
	for (uint32_t i = 0; i < create->nr_places; i++)
		if (places[i].node_id != agent->config.self.id)
			return true;
	return false;
}

json_t *method_vm_create(struct request *request)
{
	struct dvmm_vcpu_place places[DVMM_MAX_VCPUS];
	struct dvmm_vm_budget_on budgets[DVMM_MAX_NODES] = { 0 };
	struct dvmm_home_range homes[DVMM_MAX_HOME_RANGES];
	struct dvmm_vm_create create = {
		.flags = flags_of(request),
		.places = (uintptr_t)places,
		.budgets = (uintptr_t)budgets,
		.homes = (uintptr_t)homes,
	};
	char uuid[DVMM_UUID_TEXT_SIZE];
	int fd;

	if (fill_uuid(request, create.uuid) || fill_name(request, create.uuid, create.name) ||
	    fill_home(request, &create.home_policy) ||
	    fill_places(request, places, &create.nr_places) ||
	    fill_budgets(request, budgets, &create.nr_budgets) ||
	    fill_ranges(request, homes, &create.nr_homes))
		return NULL;
	if (spans(request->agent, &create, places) && !members_may_span(request, create.name))
		return NULL;
	fd = dvmm_vm_create(request->agent->control, &create);
	if (fd < 0)
		return request_fail_errno(request, fd, create.name);
	if (json_is_true(json_object_get(request->params, "keep")) &&
	    kept_add(request->agent, create.out_vm_id, fd)) {
		close(fd);
		return request_fail(request, RPC_FAILED, "%s: cannot keep it: out of memory or files",
				    create.name);
	}
	request->fd = fd;
	return json_pack("{s:s, s:I, s:s}", "vm", create.name, "id", (json_int_t)create.out_vm_id,
			 "uuid", dvmm_uuid_format(create.uuid, uuid));
}
