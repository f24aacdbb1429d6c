// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/slice.c - what this node does for a VM of another origin: it asks for
 * a slice process, and the threads of that process do jobs in the kernel.
 * The jobs themselves are job.c's. KVM accepts only threads of the process that
 * made its VM, so messages are queued to them.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

/* A vCPU has one job at a time, and the one before may not be put away yet. Requests that find
 * no memory are asked again.
 */
#define NR_SPARES 2

struct slice {
	struct server server; /* of the VM's own jobs */
	bool attached; /* vm->lock; the slice's fd holds the VM's first reference */
	bool start_pending; /* vm->lock; the origin waits for the answer to ... */
	u32 start_req; /* ... this request */
	u32 new_vcpu; /* its serving thread; 1 + a vCPU that needs a thread, or 0 */
};

static int add_spare(struct server *server)
{
	struct job *job = kvzalloc(sizeof(*job) + DVMM_MSG_MAX, GFP_KERNEL);

	if (!job)
		return -ENOMEM;
	job->is_spare = true;
	list_add(&job->item, &server->spares);
	return 0;
}

/* @serves: jobs come, by messages. */
int server_init(struct server *server, bool serves)
{
	int i, err = 0;

	spin_lock_init(&server->lock);
	INIT_LIST_HEAD(&server->jobs);
	INIT_LIST_HEAD(&server->spares);
	init_waitqueue_head(&server->wait);
	for (i = 0; serves && !err && i < NR_SPARES; i++)
		err = add_spare(server);
	if (err)
		server_exit(server);
	return err;
}

/* Nothing is being done. */
void server_exit(struct server *server)
{
	struct job *job, *next;

	list_for_each_entry_safe(job, next, &server->spares, item) {
		list_del(&job->item);
		kvfree(job);
	}
}

/* The first of a list of @server, or NULL. */
static struct job *take_first(struct server *server, struct list_head *list)
{
	struct job *job;

	spin_lock(&server->lock);
	job = list_first_entry_or_null(list, struct job, item);
	if (job)
		list_del(&job->item);
	spin_unlock(&server->lock);
	return job;
}

/* ---- memory of jobs: a receive handler must not wait for any ---- */

static struct job *job_new(struct server *server, size_t len)
{
	struct job *job = take_first(server, &server->spares);

	if (job)
		return job;
	job = kmalloc(struct_size(job, payload, len), GFP_NOWAIT | __GFP_NOWARN);
	if (job)
		job->is_spare = false;
	return job;
}

static void job_free(struct server *server, struct job *job)
{
	if (!job || !job->is_spare) {
		kfree(job);
		return;
	}
	spin_lock(&server->lock);
	list_add(&job->item, &server->spares);
	spin_unlock(&server->lock);
}

/* ---- messages ---- */

static struct dvmm_vcpu_place *take_places(const struct dvmm_wire_place *wire, u32 nr)
{
	struct dvmm_vcpu_place *places = kvcalloc(nr, sizeof(*places), GFP_KERNEL);
	u32 i;

	for (i = 0; places && i < nr; i++) {
		places[i].vcpu_id = le32_to_cpu(wire[i].vcpu_id);
		places[i].node_id = le32_to_cpu(wire[i].node_id);
	}
	return places;
}

static struct dsm_past take_past(const struct dvmm_msg_slice_start *start)
{
	return (struct dsm_past){
		.founders = le64_to_cpu(start->founders),
		.gone_founders = le64_to_cpu(start->gone_founders),
		.epoch = le32_to_cpu(start->mem_epoch),
	};
}

static int make_vm(u8 from, u32 id, u32 req, const struct dvmm_msg_slice_start *start)
{
	struct vm_config config = {
		.id = id,
		.origin = from,
		.uuid = start->uuid,
		.name = (const char *)start->name,
		.homes.policy = le32_to_cpu(start->home_policy),
		.nr_places = le32_to_cpu(start->nr_places),
		.budget = le64_to_cpu(start->budget),
		.past = take_past(start),
	};
	struct vm *vm;
	int err = clock_check_khz(le32_to_cpu(start->tsc_khz));

	if (err)
		return err;
	config.places = take_places((const void *)(start + 1), config.nr_places);
	if (!config.places)
		return -ENOMEM;
	vm = vm_new(&config);
	if (IS_ERR(vm)) {
		kvfree(config.places);
		return PTR_ERR(vm);
	}
	vm->guest_tsc_offset = le64_to_cpu(start->guest_tsc_offset);
	vm->slice = kzalloc(sizeof(*vm->slice), GFP_KERNEL);
	if (!vm->slice || server_init(&vm->slice->server, true)) {
		vm_put(vm);
		return -ENOMEM;
	}
	vm->slice->start_pending = true;
	vm->slice->start_req = req;
	err = vm_publish(vm);
	if (err) {
		vm_put(vm);
		return err;
	}
	dvmm_event(DVMM_EVENT_SLICE_WANTED, dvmm_node_self(), id,
		   "%s: %pUb, wanted by node %u", config.name, config.uuid, from);
	return 0;
}

/* None: the VM starts everywhere. Else its origin is one, and this node joins them. */
static bool past_is_sound(const struct dvmm_msg_slice_start *start, u8 origin)
{
	const struct dsm_past past = take_past(start);

	if (!past.founders)
		return !past.epoch && !past.gone_founders;
	return past.founders & BIT_ULL(origin) && !(past.gone_founders & ~past.founders) &&
	       !(past.gone_founders & BIT_ULL(origin));
}

static bool start_is_sound(u8 from, u32 id, const struct dvmm_msg_slice_start *start,
			   size_t len)
{
	u32 nr;

	if (len < sizeof(*start) || id >> 16 != from)
		return false;
	nr = le32_to_cpu(start->nr_places);
	return nr && nr <= DVMM_MAX_PLACES &&
	       len == sizeof(*start) + nr * sizeof(struct dvmm_wire_place) &&
	       strnlen((const char *)start->name, DVMM_NAME_SIZE) < DVMM_NAME_SIZE &&
	       le32_to_cpu(start->home_policy) <= DVMM_HOME_INTERLEAVE &&
	       past_is_sound(start, from);
}

/* The id is taken: by what is left of this VM, which goes, or by another one? */
static int why_taken(u32 id, const u8 *uuid)
{
	struct vm *vm = vm_find(id);
	int err = vm && memcmp(vm->uuid, uuid, DVMM_UUID_SIZE) ? -EEXIST : -EBUSY;

	if (vm)
		vm_put_later(vm);
	return err;
}

/* The answer comes when a slice process serves: see announce(). */
int slice_start_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload,
			size_t len)
{
	const struct dvmm_msg_slice_start *start = payload;
	u32 req = le32_to_cpu(hdr->req);
	u32 id = le32_to_cpu(hdr->vm);
	int err;

	if (!start_is_sound(from, id, start, len))
		return -EPROTO;
	err = make_vm(from, id, req, start);
	if (err == -EEXIST)
		err = why_taken(id, start->uuid);
	if (err)
		dvmm_link_reply(from, req, err, NULL, 0);
	return 0;
}

static int enqueue(struct vm *vm, struct server *server,
		   const struct dvmm_msg_hdr *hdr, const void *payload, size_t len)
{
	struct job *job = job_new(server, len);
	u32 req = le32_to_cpu(hdr->req);
	bool dead;

	if (!job && req)
		dvmm_link_reply(vm->origin, req, -ENOBUFS, NULL, 0);
	else if (!job)
		vm_die(vm, -ENOMEM, "a slice has no memory");
	if (!job)
		return 0;
	job->type = le16_to_cpu(hdr->type);
	job->req = req;
	job->len = len;
	memcpy(job->payload, payload, len);
	spin_lock(&server->lock);
	dead = vm_is_dead(vm);
	if (!dead)
		list_add_tail(&job->item, &server->jobs);
	spin_unlock(&server->lock);
	if (dead) {
		job_refuse(vm, job, -EIO);
		job_free(server, job);
	} else {
		wake_up(&server->wait);
	}
	return 0;
}

static size_t fixed_bytes(u16 type)
{
	switch (type) {
#define MSG(name, number, service, bytes, help) case number: return bytes;
#include <dvmm/msg.tbl.h>
#undef MSG
	}
	return SIZE_MAX;
}

static int vcpu_message(struct vm *vm, const struct dvmm_msg_hdr *hdr, u32 vcpu_id,
			const void *payload, size_t len)
{
	struct vcpu *vcpu = vcpu_find(vm, vcpu_id);
	const struct dvmm_msg_vcpu *kick = payload;

	/* Also of one that has left, or is still to come. */
	if (!vcpu)
		return -EPROTO;
	switch (le16_to_cpu(hdr->type)) {
	case DVMM_MSG_VCPU_KICK:
		run_kick(vcpu, le32_to_cpu(kick->run_seq));
		return 0;
	case DVMM_MSG_VCPU_RUN:
		if (!wire_run_is_sound(payload, len))
			return -EPROTO;
		break;
	case DVMM_MSG_VCPU_LOAD:
		if (!wire_state_is_sound(payload, len))
			return -EPROTO;
		break;
	}
	return enqueue(vm, &vcpu->server, hdr, payload, len);
}

int slice_message(struct vm *vm, u8 from, const struct dvmm_msg_hdr *hdr,
		  const void *payload, size_t len)
{
	const struct dvmm_msg_ioctl *ioctl = payload;
	const struct dvmm_msg_vcpu *about = payload;
	u16 type = le16_to_cpu(hdr->type);

	if (from != vm->origin || !vm->slice || len < fixed_bytes(type))
		return -EPROTO;
	switch (type) {
	case DVMM_MSG_SLICE_EMPTY:
		if (!wire_empty_is_sound(payload, len))
			return -EPROTO;
		fallthrough;
	case DVMM_MSG_VM_IOCTL:
	case DVMM_MSG_MEMSLOT:
	case DVMM_MSG_VCPU_CREATE:
		return enqueue(vm, &vm->slice->server, hdr, payload, len);
	case DVMM_MSG_VCPU_IOCTL:
		return vcpu_message(vm, hdr, le32_to_cpu(ioctl->vcpu_id), payload, len);
	case DVMM_MSG_VCPU_MOVED:
		return move_message(vm, payload, len);
	case DVMM_MSG_VCPU_RUN:
	case DVMM_MSG_VCPU_KICK:
	case DVMM_MSG_VCPU_SAVE:
	case DVMM_MSG_VCPU_LOAD:
	case DVMM_MSG_VCPU_LEFT:
		/* All start with the vCPU's id. */
		return vcpu_message(vm, hdr, le32_to_cpu(about->vcpu_id), payload, len);
	default:
		return -EPROTO;
	}
}

/* By the thread that serves the VM: it goes and has a thread made. */
struct vcpu *slice_add_vcpu(struct vm *vm, u32 id)
{
	struct vcpu *vcpu;

	if (id >= DVMM_MAX_VCPUS)
		return ERR_PTR(-EPROTO);
	vcpu = vcpu_add(vm, id, vm_node_of(vm, id));
	if (!IS_ERR(vcpu))
		vm->slice->new_vcpu = id + 1;
	return vcpu;
}

/* ---- serving threads ---- */

static long take_new_vcpu(struct vm *vm)
{
	long ret = vm->slice->new_vcpu;

	vm->slice->new_vcpu = 0;
	return ret;
}

static int begin_serving(struct server *server)
{
	int err = 0;

	spin_lock(&server->lock);
	if (server->task)
		err = -EBUSY;
	else
		server->task = get_task_struct(current);
	spin_unlock(&server->lock);
	return err;
}

static void end_serving(struct server *server)
{
	spin_lock(&server->lock);
	server->task = NULL;
	spin_unlock(&server->lock);
	put_task_struct(current);
}

static long serve_jobs(struct vm *vm, struct vcpu *vcpu, struct server *server,
		       unsigned long scratch)
{
	struct job *job;

	for (;;) {
		/* A kick's signal must not end the run after the one it was for. */
		if (signal_pending(current))
			return -EINTR;
		job = take_first(server, &server->jobs);
		if (!job && vm_is_dead(vm))
			return 0;
		if (job)
			job_do(vm, vcpu, job, scratch);
		else
			wait_event_interruptible(server->wait,
						 vm_is_dead(vm) ||
						 !list_empty_careful(&server->jobs));
		job_free(server, job);
		if (!vcpu && vm->slice->new_vcpu)
			return take_new_vcpu(vm);
	}
}

static long serve(struct vm *vm, struct vcpu *vcpu, struct server *server,
		  const struct dvmm_slice_serve *args)
{
	long ret;

	if (!PAGE_ALIGNED(args->scratch) ||
	    !access_ok((void __user *)args->scratch, DVMM_SCRATCH_SIZE))
		return -EINVAL;
	if (vm->mm != current->mm)
		return -EIO;
	ret = begin_serving(server);
	if (ret)
		return ret;
	ret = serve_jobs(vm, vcpu, server, args->scratch);
	end_serving(server);
	return ret;
}

static bool take_start(struct vm *vm)
{
	bool pending;

	mutex_lock(&vm->lock);
	pending = vm->slice->start_pending;
	vm->slice->start_pending = false;
	mutex_unlock(&vm->lock);
	return pending;
}

static void announce(struct vm *vm)
{
	if (!take_start(vm))
		return;
	vm_set_state(vm, DVMM_VM_DEFINED, DVMM_VM_RUNNING);
	dvmm_event(DVMM_EVENT_SLICE_UP, dvmm_node_self(), vm->id, "%s: %s[%d]",
		   vm->name, current->comm, task_tgid_nr(current));
	dvmm_link_reply(vm->origin, vm->slice->start_req, 0, NULL, 0);
}

static long slice_serve_ioctl(struct file *file, void *arg)
{
	struct vm *vm = file->private_data;
	const struct dvmm_slice_serve *args = arg;

	if (args->flags)
		return -EOPNOTSUPP;
	if (args->reserved || args->vcpu_id)
		return -EINVAL;
	announce(vm);
	return serve(vm, NULL, &vm->slice->server, args);
}

static long vcpu_serve_ioctl(struct file *file, void *arg)
{
	struct vm *vm = file->private_data;
	const struct dvmm_slice_serve *args = arg;
	struct vcpu *vcpu;

	if (args->flags)
		return -EOPNOTSUPP;
	if (args->reserved)
		return -EINVAL;
	vcpu = vcpu_find(vm, args->vcpu_id);
	return vcpu ? serve(vm, vcpu, &vcpu->server, args) : -ENOENT;
}

/* ---- the slice's fd ---- */

static const struct dvmm_ioctl slice_fd_ioctls[] = {
	{ DVMM_SLICE_SERVE, sizeof(struct dvmm_slice_serve), 0, "DVMM_SLICE_SERVE",
	  slice_serve_ioctl },
	{ DVMM_VCPU_SERVE, sizeof(struct dvmm_slice_serve), 0, "DVMM_VCPU_SERVE",
	  vcpu_serve_ioctl },
};

static long slice_fd_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dvmm_ioctl_dispatch(slice_fd_ioctls, ARRAY_SIZE(slice_fd_ioctls), file,
				   cmd, arg);
}

static int slice_fd_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;
	char reason[64];

	if (!vm_is_dead(vm)) {
		snprintf(reason, sizeof(reason), "the slice process on node %u ended",
			 dvmm_node_self());
		dvmm_event(DVMM_EVENT_SLICE_LOST, dvmm_node_self(), vm->id, "%s",
			   vm->name);
		vm_die(vm, -EIO, reason);
	}
	vm_release_kvm(vm);
	vm_put(vm);
	return 0;
}

static const struct file_operations slice_fd_fops = {
	.owner = THIS_MODULE,
	.release = slice_fd_release,
	.unlocked_ioctl = slice_fd_ioctl,
	.llseek = noop_llseek,
};

static int attach(struct vm *vm)
{
	int err = 0;

	mutex_lock(&vm->lock);
	if (vm_is_dead(vm))
		err = -EIO;
	else if (vm->slice->attached)
		err = -EBUSY;
	else
		vm->slice->attached = true;
	mutex_unlock(&vm->lock);
	return err;
}

static int create_real_vm(struct vm *vm)
{
	struct file *dev = real_open();
	struct file *kvm_file;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	kvm_file = real_create(dev, KVM_CREATE_VM, 0);
	fput(dev);
	if (IS_ERR(kvm_file))
		return PTR_ERR(kvm_file);
	err = vm_set_kvm(vm, kvm_file);
	return err ?: irq_vm_start(vm);
}

static int copy_vcpu_ids(struct vm *vm, struct dvmm_slice_open *open)
{
	u32 __user *user = u64_to_user_ptr(open->vcpu_ids);
	u32 nr = 0, room = open->nr_vcpus;
	struct vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu) {
		if (nr < room && put_user((u32)id, &user[nr]))
			return -EFAULT;
		nr++;
	}
	open->nr_vcpus = nr;
	return nr > room ? -ENOSPC : 0;
}

/* From here on the file's release ends the slice; it has the first reference. */
static long open_attached(struct vm *vm, struct dvmm_slice_open *open)
{
	struct dvmm_new_fd new_fd;
	int err = dvmm_fd_alloc(&new_fd, "dvmm-slice", &slice_fd_fops, vm, O_CLOEXEC);

	if (err) {
		vm_die(vm, err, "a slice process got no file");
		vm_put(vm);
		return err;
	}
	err = create_real_vm(vm);
	if (!err)
		err = copy_vcpu_ids(vm, open);
	if (err) {
		dvmm_fd_abort(&new_fd);
		return err;
	}
	open->out_fd = new_fd.fd;
	dvmm_fd_install(&new_fd);
	return 0;
}

static long slice_open_ioctl(struct file *file, void *arg)
{
	struct dvmm_slice_open *open = arg;
	struct vm *vm;
	long err;

	if (open->flags)
		return -EOPNOTSUPP;
	if (open->reserved)
		return -EINVAL;
	vm = vm_find(open->vm_id);
	if (!vm)
		return -ENOENT;
	err = vm->slice ? attach(vm) : -ENOENT;
	if (!err)
		err = open_attached(vm, open);
	vm_put(vm);
	return err;
}

const struct dvmm_ioctl slice_ioctls[] = {
	{ DVMM_SLICE_OPEN, sizeof(struct dvmm_slice_open), DVMM_IOCTL_ADMIN,
	  "DVMM_SLICE_OPEN", slice_open_ioctl },
};
const size_t nr_slice_ioctls = ARRAY_SIZE(slice_ioctls);

/* ---- the end ---- */

static void refuse_jobs(struct vm *vm, struct server *server)
{
	struct job *job;

	while ((job = take_first(server, &server->jobs))) {
		job_refuse(vm, job, -EIO);
		job_free(server, job);
	}
}

void slice_ended(struct vm *vm, int error)
{
	struct vcpu *vcpu;
	unsigned long id;
	bool attached;

	if (!vm->slice)
		return;
	if (take_start(vm))
		dvmm_link_reply(vm->origin, vm->slice->start_req, error ?: -ECANCELED,
				NULL, 0);
	refuse_jobs(vm, &vm->slice->server);
	xa_for_each(&vm->vcpus, id, vcpu)
		refuse_jobs(vm, &vcpu->server);
	wake_up_all(&vm->slice->server.wait);
	mutex_lock(&vm->lock);
	attached = vm->slice->attached;
	mutex_unlock(&vm->lock);
	/* Nobody came for it: the reference made by make_vm(). */
	if (!attached)
		vm_put(vm);
}

void slice_free(struct vm *vm)
{
	if (vm->slice)
		server_exit(&vm->slice->server);
	kfree(vm->slice);
}
