// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/origin.c - VMs whose VMM runs here: DVMM_VM_CREATE and the fd it
 * gives, DVMM_VM_START, and what DVMM_VM_GET, DVMM_MEM_GET and DVMM_VM_BUDGET tell of
 * all VMs.
 */
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>
#include "internal.h"

#define START_TIMEOUT_MS 10000

static DEFINE_MUTEX(create_lock); /* a UUID is looked for and taken at once */

static u32 new_id(void)
{
	static atomic_t last;

	return dvmm_node_self() << 16 | (atomic_inc_return(&last) & 0xffff);
}

static struct dvmm_vcpu_place *copy_places(const struct dvmm_vm_create *create)
{
	if (create->nr_places > DVMM_MAX_VCPUS)
		return ERR_PTR(-EINVAL);
	if (!create->nr_places)
		return NULL;
	return vmemdup_user(u64_to_user_ptr(create->places),
			    create->nr_places * sizeof(struct dvmm_vcpu_place));
}

static int take_budget(const struct dvmm_vm_budget_on *on, u64 *budget_of)
{
	if (on->node_id >= DVMM_MAX_NODES || on->reserved || on->bytes < DVMM_BUDGET_MIN ||
	    budget_of[on->node_id])
		return -EINVAL;
	budget_of[on->node_id] = on->bytes;
	return 0;
}

/* @budget_of: by node, zeroed */
static int copy_budgets(const struct dvmm_vm_create *create, u64 *budget_of)
{
	struct dvmm_vm_budget_on *list;
	int err = 0;
	u32 i;

	if (create->nr_budgets > DVMM_MAX_NODES)
		return -EINVAL;
	if (!create->nr_budgets)
		return 0;
	list = memdup_user(u64_to_user_ptr(create->budgets),
			   create->nr_budgets * sizeof(*list));
	if (IS_ERR(list))
		return PTR_ERR(list);
	for (i = 0; !err && i < create->nr_budgets; i++)
		err = take_budget(&list[i], budget_of);
	kfree(list);
	return err;
}

/* Of what each node may hold, @vm keeps what its slices will be told. */
static int set_budgets(struct vm *vm, const u64 *budget_of)
{
	u32 node;

	for (node = 0; node < DVMM_MAX_NODES; node++)
		if (budget_of[node] && !(vm->nodes & BIT_ULL(node)))
			return -EINVAL;
	memcpy(vm->budget_of, budget_of, sizeof(vm->budget_of));
	return 0;
}

static int check_create(struct dvmm_vm_create *create)
{
	if (create->home_policy > DVMM_HOME_INTERLEAVE)
		return -EOPNOTSUPP;
	if (strnlen(create->name, DVMM_NAME_SIZE) == DVMM_NAME_SIZE ||
	    !memchr_inv(create->uuid, 0, DVMM_UUID_SIZE))
		return -EINVAL;
	if (dvmm_node_self() == DVMM_NO_NODE)
		return -ENOTCONN;
	return 0;
}

static bool uuid_in_use(const u8 *uuid)
{
	struct vm *vm;
	u32 id = 0;
	bool same = false;

	for (; !same && (vm = vm_find_from(id)); vm_put(vm)) {
		id = vm->id + 1;
		same = vm_is_origin(vm) && !memcmp(vm->uuid, uuid, DVMM_UUID_SIZE);
	}
	return same;
}

static struct vm *new_vm(const struct dvmm_vm_create *create)
{
	struct vm_config config = {
		.id = new_id(),
		.origin = dvmm_node_self(),
		.uuid = create->uuid,
		.name = create->name,
		.grows = create->flags & DVMM_VM_CREATE_GROWS,
		.nr_places = create->nr_places,
	};
	u64 budget_of[DVMM_MAX_NODES] = { 0 };
	struct vm *vm;
	int err;

	if (uuid_in_use(create->uuid))
		return ERR_PTR(-EEXIST);
	err = copy_budgets(create, budget_of);
	if (err)
		return ERR_PTR(err);
	config.budget = budget_of[config.origin];
	config.places = copy_places(create);
	if (IS_ERR(config.places))
		return ERR_CAST(config.places);
	err = homes_copy(&config.homes, create);
	if (err)
		goto free_places;
	vm = vm_new(&config);
	err = PTR_ERR_OR_ZERO(vm);
	if (err)
		goto free_homes;
	vm->guest_tsc_offset = -(s64)rdtsc();
	err = set_budgets(vm, budget_of);
	if (!err)
		return vm;
	vm_put(vm);
	return ERR_PTR(err);

free_homes:
	homes_free(&config.homes);
free_places:
	kvfree(config.places);
	return ERR_PTR(err);
}

static int vm_fd_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;

	vm_stop(vm, "its owner closed it");
	kvmdev_remove(vm);
	vm_put(vm);
	return 0;
}

static void add_place(struct dvmm_wire_place *places, u32 *nr, u32 vcpu_id, u32 node)
{
	places[*nr].vcpu_id = cpu_to_le32(vcpu_id);
	places[*nr].node_id = cpu_to_le32(node);
	(*nr)++;
}

/* All nodes, and where the vCPUs are that are not here; room for DVMM_MAX_PLACES. */
static u32 pack_places(struct vm *vm, u64 nodes, struct dvmm_wire_place *places)
{
	u32 nr = 0, id;

	for (; nodes; nodes &= nodes - 1)
		add_place(places, &nr, DVMM_NO_VCPU, __ffs64(nodes));
	for (id = 0; id < DVMM_MAX_VCPUS; id++)
		if (vm_node_of(vm, id) != vm->origin)
			add_place(places, &nr, id, vm_node_of(vm, id));
	return nr;
}

long origin_request_slice(struct vm *vm, u8 node, u32 timeout_ms, const struct dsm_past *past)
{
	struct dvmm_wire_place *places = kvmalloc_array(DVMM_MAX_PLACES, sizeof(*places), GFP_KERNEL);
	struct dvmm_msg_slice_start start = {
		.guest_tsc_offset = cpu_to_le64(vm->guest_tsc_offset),
		.home_policy = cpu_to_le32(vm->homes.policy),
		.tsc_khz = cpu_to_le32(tsc_khz),
		.mem_epoch = cpu_to_le32(past->epoch),
		.budget = cpu_to_le64(vm->budget_of[node]),
		.founders = cpu_to_le64(past->founders),
		.gone_founders = cpu_to_le64(past->gone_founders),
	};
	struct dvmm_msg msg = {
		.type = DVMM_MSG_SLICE_START,
		.vm = vm->id,
		.payload = &start,
		.len = sizeof(start),
		.tail = places,
	};
	long err;
	u32 nr;

	if (!places)
		return -ENOMEM;
	memcpy(start.uuid, vm->uuid, sizeof(start.uuid));
	memcpy(start.name, vm->name, sizeof(start.name));
	nr = pack_places(vm, READ_ONCE(vm->nodes) | BIT_ULL(node), places);
	start.nr_places = cpu_to_le32(nr);
	msg.tail_len = nr * sizeof(*places);
	err = dvmm_link_request(node, &msg, NULL, 0, NULL, timeout_ms);
	kvfree(places);
	return err;
}

static u32 ms_until(ktime_t deadline)
{
	s64 left = ktime_ms_delta(deadline, ktime_get());

	return left > 0 ? left : 1;
}

const char *origin_slice_error(long err)
{
	switch (err) {
	case -ENOTCONN:
		return "there is no link to it";
	case -ETIMEDOUT:
		return "it did not answer in time; does its agent run?";
	case -EOPNOTSUPP:
		return "dvmm-vcpu is not loaded there";
	case -ENOMEM:
		return "it has no memory";
	case -EBUSY:
		return "its former slice of the VM is not gone yet";
	case -EEXIST:
		return "it has another VM of that id";
	default:
		return "it refused";
	}
}

/* The first failure ends the VM: slices that have started end with it. */
static long start_vm(struct vm *vm, struct dvmm_vm_start *start)
{
	const struct dsm_past none = { 0 };
	ktime_t deadline = ktime_add_ms(ktime_get(), start->timeout_ms ?:
							     START_TIMEOUT_MS);
	long err = 0;
	int node;

	for (node = vm_next_node(vm, -1); !err && node < DVMM_MAX_NODES;
	     node = vm_next_node(vm, node)) {
		err = origin_request_slice(vm, node, ms_until(deadline), &none);
		if (err)
			snprintf(start->out_reason, sizeof(start->out_reason),
				 "no slice on node %d: %s (error %ld)", node,
				 origin_slice_error(err), -err);
	}
	if (err)
		vm_die(vm, err, start->out_reason);
	return err;
}

static long vm_start_ioctl(struct file *file, void *arg)
{
	struct vm *vm = file->private_data;
	struct dvmm_vm_start *start = arg;
	long err;

	if (start->flags)
		return -EOPNOTSUPP;
	if (start->reserved)
		return -EINVAL;
	if (!vm_has_state(vm, DVMM_VM_DEFINED))
		return vm_is_dead(vm) ? -EIO : -EBUSY;
	memset(start->out_reason, 0, sizeof(start->out_reason));
	err = start_vm(vm, start);
	return err ?: vm_set_state(vm, DVMM_VM_DEFINED, DVMM_VM_READY);
}

static const struct dvmm_ioctl vm_fd_ioctls[] = {
	{ DVMM_VM_START, 16, DVMM_IOCTL_EXPLAINS, "DVMM_VM_START", vm_start_ioctl },
};

static long vm_fd_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dvmm_ioctl_dispatch(vm_fd_ioctls, ARRAY_SIZE(vm_fd_ioctls), file,
				   cmd, arg);
}

static const struct file_operations vm_fd_fops = {
	.owner = THIS_MODULE,
	.release = vm_fd_release,
	.unlocked_ioctl = vm_fd_ioctl,
	.llseek = noop_llseek,
};

static long create_vm(struct dvmm_vm_create *create)
{
	struct dvmm_new_fd new_fd;
	struct vm *vm;
	int err;

	vm = new_vm(create);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	err = vm_publish(vm);
	if (err)
		goto put_vm;
	err = kvmdev_add(vm);
	if (err)
		goto put_vm;
	err = dvmm_fd_alloc(&new_fd, "dvmm-vm", &vm_fd_fops, vm, O_CLOEXEC);
	if (err)
		goto remove_dev;
	create->out_fd = new_fd.fd;
	create->out_vm_id = vm->id;
	dvmm_event(DVMM_EVENT_VM_CREATED, dvmm_node_self(), vm->id,
		   "%s: /dev/dvmm/vm/%pUb", vm->name, vm->uuid);
	dvmm_fd_install(&new_fd);
	return 0;

remove_dev:
	kvmdev_remove(vm);
put_vm:
	vm_put(vm);
	return err;
}

static long vm_create_ioctl(struct file *file, void *arg)
{
	long err = check_create(arg);

	if (err)
		return err;
	mutex_lock(&create_lock);
	err = create_vm(arg);
	mutex_unlock(&create_lock);
	return err;
}

static u32 count_created(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned long id;
	u32 nr = 0;

	xa_for_each(&vm->vcpus, id, vcpu)
		nr += READ_ONCE(vcpu->created);
	return nr;
}

static void count_memory(struct vm *vm, struct dvmm_vm_get *get)
{
	struct dvmm_mem_get mem = { .vm_id = vm->id };

	for (; !dsm_mem_get_info(vm->dsm, &mem); mem.mem_id++) {
		get->out_nr_mems++;
		get->out_mem_bytes += mem.out_bytes;
	}
}

static long vm_get_ioctl(struct file *file, void *arg)
{
	struct dvmm_vm_get *get = arg;
	struct vm *vm;

	if (get->reserved)
		return -EINVAL;
	vm = vm_find_from(get->vm_id);
	if (!vm)
		return -ENOENT;
	get->vm_id = vm->id;
	get->out_origin = vm->origin;
	get->out_nr_vcpus = count_created(vm);
	get->out_nr_mems = 0;
	get->out_mem_bytes = 0;
	count_memory(vm, get);
	memcpy(get->out_uuid, vm->uuid, sizeof(get->out_uuid));
	memcpy(get->out_name, vm->name, sizeof(get->out_name));
	mutex_lock(&vm->lock);
	get->out_state = vm->state;
	get->out_nodes = vm->nodes;
	memcpy(get->out_reason, vm->reason, sizeof(get->out_reason));
	mutex_unlock(&vm->lock);
	vm_put(vm);
	return 0;
}

static long mem_get_ioctl(struct file *file, void *arg)
{
	struct dvmm_mem_get *get = arg;
	struct vm *vm;
	int err;

	if (get->reserved)
		return -EINVAL;
	vm = vm_find(get->vm_id);
	if (!vm)
		return -ENOENT;
	err = dsm_mem_get_info(vm->dsm, get);
	vm_put(vm);
	return err;
}

static long vm_budget_ioctl(struct file *file, void *arg)
{
	struct dvmm_vm_budget *budget = arg;
	struct vm *vm;
	int err;

	if (budget->reserved)
		return -EINVAL;
	vm = vm_find(budget->vm_id);
	if (!vm)
		return -ENOENT;
	err = dsm_vm_set_budget(vm->dsm, budget->bytes);
	if (!err)
		dsm_vm_get_budget(vm->dsm, &budget->out_bytes, &budget->out_resident);
	vm_put(vm);
	return err;
}

const struct dvmm_ioctl origin_ioctls[] = {
	{ DVMM_VM_CREATE, offsetofend(struct dvmm_vm_create, out_vm_id), DVMM_IOCTL_ADMIN,
	  "DVMM_VM_CREATE", vm_create_ioctl, DVMM_VM_CREATE_GROWS },
	{ DVMM_VM_GET, offsetof(struct dvmm_vm_get, out_nodes), 0, "DVMM_VM_GET", vm_get_ioctl },
	{ DVMM_VCPU_GET, sizeof(struct dvmm_vcpu_get), 0, "DVMM_VCPU_GET", vcpu_get_ioctl },
	{ DVMM_VCPU_MOVE, sizeof(struct dvmm_vcpu_move), DVMM_IOCTL_ADMIN | DVMM_IOCTL_EXPLAINS,
	  "DVMM_VCPU_MOVE", vcpu_move_ioctl },
	{ DVMM_MEM_EMPTY, sizeof(struct dvmm_mem_empty), DVMM_IOCTL_ADMIN, "DVMM_MEM_EMPTY",
	  mem_empty_ioctl },
	{ DVMM_MEM_GET, offsetof(struct dvmm_mem_get, out_homed), 0, "DVMM_MEM_GET",
	  mem_get_ioctl },
	{ DVMM_MEM_REHOME, sizeof(struct dvmm_mem_rehome), DVMM_IOCTL_ADMIN | DVMM_IOCTL_EXPLAINS,
	  "DVMM_MEM_REHOME", mem_rehome_ioctl },
	{ DVMM_MEM_TOP, sizeof(struct dvmm_mem_top), 0, "DVMM_MEM_TOP", mem_top_ioctl },
	{ DVMM_VM_JOIN, sizeof(struct dvmm_vm_join), DVMM_IOCTL_ADMIN | DVMM_IOCTL_EXPLAINS,
	  "DVMM_VM_JOIN", vm_join_ioctl },
	{ DVMM_VM_BUDGET, sizeof(struct dvmm_vm_budget), DVMM_IOCTL_ADMIN,
	  "DVMM_VM_BUDGET", vm_budget_ioctl },
};
const size_t nr_origin_ioctls = ARRAY_SIZE(origin_ioctls);
