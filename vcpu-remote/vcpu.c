// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/vcpu.c - the vCPUs of a VM as this node knows them.
 * Running them is run.c's, their ioctls are vcpufile.c's and job.c's.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "internal.h"

struct vcpu *vcpu_find(struct vm *vm, u32 id)
{
	return xa_load(&vm->vcpus, id);
}

/* With nodes to go to, now or later, the VMM gets fds of ours, and pages of ours to share. */
static bool is_wrapped(struct vm *vm)
{
	return vm_is_origin(vm) && vm->is_spanning;
}

static struct vcpu *vcpu_new(struct vm *vm, u32 id, u8 node)
{
	struct vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL);

	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->node = node;
	vcpu->tsc_stale = true;
	mutex_init(&vcpu->mutex);
	init_waitqueue_head(&vcpu->wait);
	vcpu->is_between = true;
	mutex_init(&vcpu->setup_lock);
	INIT_LIST_HEAD(&vcpu->setups);
	if (server_init(&vcpu->server, !vm_is_origin(vm)))
		goto free_vcpu;
	if (!is_wrapped(vm))
		return vcpu;
	vcpu->area = vmalloc_user(real_mmap_bytes());
	if (vcpu->area)
		return vcpu;
	server_exit(&vcpu->server);
free_vcpu:
	kfree(vcpu);
	return NULL;
}

static void vcpu_free(struct vcpu *vcpu)
{
	setup_free_all(vcpu);
	server_exit(&vcpu->server);
	kvfree(vcpu->saved);
	vfree(vcpu->area);
	kfree(vcpu);
}

struct vcpu *vcpu_add(struct vm *vm, u32 id, u8 node)
{
	struct vcpu *vcpu = vcpu_find(vm, id);
	struct vcpu *other;

	if (vcpu)
		return vcpu;
	vcpu = vcpu_new(vm, id, node);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	other = xa_cmpxchg(&vm->vcpus, id, NULL, vcpu, GFP_KERNEL);
	if (!other)
		return vcpu;
	vcpu_free(vcpu);
	return xa_is_err(other) ? ERR_PTR(xa_err(other)) : other;
}

/* The VM may have ended meanwhile: then its real files are not kept. */
void vcpu_set_real(struct vcpu *vcpu, struct file *real_file)
{
	struct vm *vm = vcpu->vm;

	mutex_lock(&vm->lock);
	if (vm->kvm_file && !vcpu->real_file)
		swap(vcpu->real_file, real_file);
	vcpu->created = true;
	mutex_unlock(&vm->lock);
	if (real_file)
		fput(real_file);
}

struct file *vcpu_get_real(struct vcpu *vcpu)
{
	struct file *file;

	mutex_lock(&vcpu->vm->lock);
	file = vcpu->real_file;
	if (file)
		get_file(file);
	mutex_unlock(&vcpu->vm->lock);
	return file;
}

unsigned long vcpu_scratch(void)
{
	return vm_mmap(NULL, 0, DVMM_SCRATCH_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

void vcpu_free_scratch(unsigned long scratch)
{
	vm_munmap(scratch, DVMM_SCRATCH_SIZE);
}

int vcpu_announce(struct vcpu *vcpu, struct file *real_file)
{
	unsigned long scratch = vcpu_scratch();
	int err;

	if (IS_ERR_VALUE(scratch))
		return scratch;
	err = irq_vcpu_created(vcpu->vm, real_file, scratch);
	vcpu_free_scratch(scratch);
	if (err)
		vm_unsupported(vcpu->vm, "vCPU %u has no APIC that can be reached: error %d; use kernel-irqchip=split",
			       vcpu->id, -err);
	return err;
}

int vcpu_create_here(struct vcpu *vcpu)
{
	struct file *kvm_file = vm_get_kvm(vcpu->vm);
	struct file *file;
	int err;

	if (!kvm_file)
		return -EIO;
	file = real_create(kvm_file, KVM_CREATE_VCPU, vcpu->id);
	fput(kvm_file);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = vcpu_announce(vcpu, file);
	if (err) {
		fput(file);
		return err;
	}
	vcpu->here = get_file(file);
	vcpu_set_real(vcpu, file);
	return 0;
}

struct kvm_vcpu *vcpu_kvm(struct vcpu *vcpu)
{
	return vcpu->real_file->private_data;
}

struct file *vcpu_get_any_real(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned long id;
	struct file *file;

	xa_for_each(&vm->vcpus, id, vcpu) {
		if (READ_ONCE(vcpu->node) != dvmm_node_self())
			continue;
		file = vcpu_get_real(vcpu);
		if (file)
			return file;
	}
	return NULL;
}

void vcpu_wake_all(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu) {
		wake_up_all(&vcpu->wait);
		wake_up_all(&vcpu->server.wait);
	}
}

void vcpu_free_all(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu)
		vcpu_free(vcpu);
	xa_destroy(&vm->vcpus);
}

/* Never waits for KVM_RUN: these are only read. */
static void get_kvm_counts(struct vcpu *vcpu, struct dvmm_vcpu_get *out)
{
	struct file *file = vcpu_get_real(vcpu);
	struct kvm_vcpu *real;

	if (!file)
		return;
	real = file->private_data;
	out->out_exits = real->stat.exits;
	out->out_halt_exits = real->stat.halt_exits;
	out->out_irq_injections = real->stat.irq_injections;
	out->out_state = mutex_is_locked(&real->mutex) ?
			 DVMM_VCPU_RUNNING : DVMM_VCPU_STOPPED;
	fput(file);
}

static void fill_get(struct vcpu *vcpu, struct dvmm_vcpu_get *out)
{
	out->vcpu_id = vcpu->id;
	out->out_node_id = vcpu->node;
	out->out_is_local = vcpu->node == dvmm_node_self();
	out->out_remote_exits = atomic64_read(&vcpu->remote_exits);
	if (out->out_is_local) {
		get_kvm_counts(vcpu, out);
		return;
	}
	if (READ_ONCE(vcpu->created))
		out->out_state = READ_ONCE(vcpu->run_seq) ==
				 READ_ONCE(vcpu->exit_seq) ?
				 DVMM_VCPU_STOPPED : DVMM_VCPU_RUNNING;
}

long vcpu_get_ioctl(struct file *file, void *arg)
{
	struct dvmm_vcpu_get *get = arg;
	unsigned long id = get->vcpu_id;
	struct vcpu *vcpu;
	struct vm *vm;

	if (get->reserved)
		return -EINVAL;
	vm = vm_find(get->vm_id);
	if (!vm)
		return -ENOENT;
	vcpu = xa_find(&vm->vcpus, &id, ULONG_MAX, XA_PRESENT);
	while (vcpu && !vm_is_origin(vm) && READ_ONCE(vcpu->node) != dvmm_node_self())
		vcpu = xa_find_after(&vm->vcpus, &id, ULONG_MAX, XA_PRESENT);
	if (vcpu)
		fill_get(vcpu, get);
	vm_put(vm);
	return vcpu ? 0 : -ENOENT;
}
