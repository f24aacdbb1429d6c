// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/vmfile.c - the VM fd a VMM gets: each ioctl is done by the real VM of
 * this node, by those of all nodes, or refused by name.
 * Memory is memslot.c's.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "internal.h"

/* One call: @real is the VM of this node, with a reference. */
struct call {
	struct vm *vm;
	struct file *real;
	unsigned int cmd;
	unsigned long arg;
	const char *name;
	const char *why_not;
};

static long here_only(const struct call *call)
{
	return real_ioctl(call->real, call->cmd, call->arg);
}

/* slots_lock held: a node that joins meanwhile hears of it, too. */
static long do_everywhere(const struct call *call, struct shipped *shipped)
{
	long ret = here_only(call);
	int err;

	if (ret < 0)
		return ret;
	err = setup_note_vm(call->vm, shipped->cmd, shipped->arg, shipped->in, shipped->in_len);
	if (!err)
		err = ship_vm_ioctl_all(call->vm, call->name, shipped);
	return err ?: ret;
}

static long everywhere(const struct call *call, struct shipped *shipped)
{
	long ret;

	if (mutex_lock_killable(&call->vm->slots_lock))
		return -EINTR;
	ret = do_everywhere(call, shipped);
	mutex_unlock(&call->vm->slots_lock);
	return ret;
}

static long everywhere_scalar(const struct call *call)
{
	struct shipped shipped = { .cmd = call->cmd, .arg = call->arg };

	return everywhere(call, &shipped);
}

static long everywhere_pointer(const struct call *call)
{
	u8 bytes[256];
	struct shipped shipped = {
		.cmd = call->cmd,
		.in = bytes,
		.in_len = _IOC_SIZE(call->cmd),
	};

	if (copy_from_user(bytes, (void __user *)call->arg, shipped.in_len))
		return -EFAULT;
	return everywhere(call, &shipped);
}

static long enable_cap(const struct call *call)
{
	struct kvm_enable_cap cap;
	long ret;

	if (copy_from_user(&cap, (void __user *)call->arg, sizeof(cap)))
		return -EFAULT;
	if (!extension_may_enable(cap.cap)) {
		vm_unsupported(call->vm, "KVM capability %u cannot be enabled in a spanning VM",
			       cap.cap);
		return -EINVAL;
	}
	ret = everywhere_pointer(call);
	if (!ret && cap.cap == KVM_CAP_SPLIT_IRQCHIP)
		call->vm->nr_ioapic_pins = cap.args[0];
	return ret;
}

/* Routes of MSIs are used here only; the IOAPIC's tell a node which EOIs to report. */
static struct kvm_irq_routing *ioapic_routes(const struct call *call)
{
	struct kvm_irq_routing __user *user = (void __user *)call->arg;
	struct kvm_irq_routing *routes;
	u32 i, nr, nr_kept = 0;

	if (get_user(nr, &user->nr))
		return ERR_PTR(-EFAULT);
	if (nr > KVM_MAX_IRQ_ROUTES)
		return ERR_PTR(-EINVAL);
	routes = vmemdup_user(user, struct_size(routes, entries, nr));
	if (IS_ERR(routes))
		return routes;
	for (i = 0; i < nr; i++)
		if (routes->entries[i].gsi < call->vm->nr_ioapic_pins)
			routes->entries[nr_kept++] = routes->entries[i];
	routes->nr = nr_kept;
	return routes;
}

static bool slices_have(struct vm *vm, const struct kvm_irq_routing *routes)
{
	const struct kvm_irq_routing *old = vm->routes;

	return old && old->nr == routes->nr &&
	       !memcmp(old, routes, struct_size(routes, entries, routes->nr));
}

static long ship_routes(const struct call *call)
{
	struct kvm_irq_routing *routes = ioapic_routes(call);
	struct shipped shipped = { .cmd = call->cmd, .in = routes };
	struct vm *vm = call->vm;
	long err = 0;

	if (IS_ERR(routes))
		return PTR_ERR(routes);
	if (slices_have(vm, routes))
		goto free_routes;
	shipped.in_len = struct_size(routes, entries, routes->nr);
	err = ship_vm_ioctl_all(vm, call->name, &shipped);
	if (!err)
		swap(vm->routes, *(void **)&routes);
free_routes:
	kvfree(routes);
	return err;
}

int vmfile_tell_routes(struct vm *vm, u8 node)
{
	const struct kvm_irq_routing *routes = vm->routes;
	struct shipped shipped = { .cmd = KVM_SET_GSI_ROUTING, .in = routes };

	lockdep_assert_held(&vm->slots_lock);
	if (!routes)
		return 0;
	shipped.in_len = struct_size(routes, entries, routes->nr);
	return ship_vm_ioctl(vm, node, &shipped);
}

static long set_routes(const struct call *call)
{
	long err;

	if (mutex_lock_killable(&call->vm->slots_lock))
		return -EINTR;
	err = here_only(call) ?: ship_routes(call);
	mutex_unlock(&call->vm->slots_lock);
	return err;
}

static long set_memory(const struct call *call)
{
	return memslot_set(call->vm, call->real, (void __user *)call->arg);
}

static long get_dirty_log(const struct call *call)
{
	return memslot_get_dirty_log(call->vm, call->real, (void __user *)call->arg);
}

static long set_ioeventfd(const struct call *call)
{
	return ioeventfd_set(call->vm, call->real, (void __user *)call->arg);
}

static long check_extension(const struct call *call)
{
	return extension_check(call->real, call->arg);
}

/* A VM without other nodes for ever: nothing of ours is in the way of its KVM_RUN. */
static long create_bare(const struct call *call, struct vcpu *vcpu)
{
	long fd = here_only(call);
	struct file *real;
	int err;

	if (fd < 0)
		return fd;
	real = fget(fd);
	if (!real)
		return -EBADF;
	err = vcpu_announce(vcpu, real);
	if (err) {
		fput(real);
		close_fd(fd);
		return err;
	}
	vcpu_set_real(vcpu, real);
	return fd;
}

static long create_vcpu(const struct call *call)
{
	struct vm *vm = call->vm;
	struct vcpu *vcpu;

	if (call->arg >= DVMM_MAX_VCPUS)
		return -EINVAL;
	vcpu = vcpu_add(vm, call->arg, vm_node_of(vm, call->arg));
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	if (READ_ONCE(vcpu->created))
		return -EEXIST;
	return vcpu->area ? vcpufile_create(vcpu) : create_bare(call, vcpu);
}

/* What KVM says to what it does not know, and QEMU goes on. */
static long refuse_quietly(const struct call *call)
{
	return -ENOTTY;
}

static long no_device(const struct call *call)
{
	return -ENODEV;
}

static long refuse(const struct call *call)
{
	vm_unsupported(call->vm, "%s: %s", call->name, call->why_not);
	return -EOPNOTSUPP;
}

#define SPLIT "a spanning VM needs the split irqchip: -machine kernel-irqchip=split"
#define ONE(cmd, handler) { cmd, #cmd, handler, NULL }
#define NO(cmd, why) { cmd, #cmd, refuse, why }

static const struct {
	unsigned int cmd;
	const char *name;
	long (*handler)(const struct call *call);
	const char *why_not;
} handlers[] = {
	ONE(KVM_CHECK_EXTENSION, check_extension),
	ONE(KVM_CREATE_VCPU, create_vcpu),
	ONE(KVM_SET_USER_MEMORY_REGION, set_memory),
	ONE(KVM_GET_DIRTY_LOG, get_dirty_log),
	ONE(KVM_SET_GSI_ROUTING, set_routes),
	ONE(KVM_SIGNAL_MSI, here_only),
	ONE(KVM_IRQ_LINE, here_only), /* QEMU's IOAPIC; a route makes it an MSI */
	ONE(KVM_IRQ_LINE_STATUS, here_only),
	ONE(KVM_IRQFD, here_only),
	ONE(KVM_IOEVENTFD, set_ioeventfd),
	ONE(KVM_ENABLE_CAP, enable_cap),
	ONE(KVM_SET_TSS_ADDR, everywhere_scalar),
	ONE(KVM_SET_IDENTITY_MAP_ADDR, everywhere_pointer),
	ONE(KVM_SET_BOOT_CPU_ID, everywhere_scalar),
	ONE(KVM_SET_TSC_KHZ, everywhere_scalar),
	ONE(KVM_GET_TSC_KHZ, here_only),
	ONE(KVM_SET_CLOCK, here_only),
	ONE(KVM_GET_CLOCK, here_only),
	ONE(KVM_GET_NR_MMU_PAGES, here_only),
	ONE(KVM_HAS_DEVICE_ATTR, refuse_quietly),
	ONE(KVM_GET_STATS_FD, refuse_quietly),
	ONE(KVM_MEMORY_ENCRYPT_OP, refuse_quietly),
	ONE(KVM_CREATE_DEVICE, no_device), /* QEMU tries vfio's */
	NO(KVM_CREATE_IRQCHIP, SPLIT),
	NO(KVM_GET_IRQCHIP, SPLIT),
	NO(KVM_SET_IRQCHIP, SPLIT),
	NO(KVM_CREATE_PIT, SPLIT),
	NO(KVM_CREATE_PIT2, SPLIT),
	NO(KVM_REGISTER_COALESCED_MMIO, "coalesced MMIO does not cross nodes"),
	NO(KVM_UNREGISTER_COALESCED_MMIO, "coalesced MMIO does not cross nodes"),
	NO(KVM_X86_SET_MSR_FILTER, "MSR exits do not cross nodes"),
	NO(KVM_CLEAR_DIRTY_LOG, "only KVM_GET_DIRTY_LOG crosses nodes"),
};

static long dispatch(struct call *call)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].cmd != call->cmd)
			continue;
		call->name = handlers[i].name;
		call->why_not = handlers[i].why_not;
		return handlers[i].handler(call);
	}
	vm_unsupported(call->vm, "VM ioctl %#x is not supported by a spanning VM",
		       call->cmd);
	return -ENOTTY;
}

static long vmfile_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct call call = { .vm = file->private_data, .cmd = cmd, .arg = arg };
	long ret;

	if (vm_is_dead(call.vm) || call.vm->mm != current->mm)
		return -EIO;
	call.real = vm_get_kvm(call.vm);
	if (!call.real)
		return -EIO;
	ret = dispatch(&call);
	fput(call.real);
	return ret;
}

static int vmfile_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;

	vm_stop(vm, "the VMM has ended");
	vm_release_kvm(vm);
	vm_put(vm);
	return 0;
}

static const struct file_operations vmfile_fops = {
	.owner = THIS_MODULE,
	.release = vmfile_release,
	.unlocked_ioctl = vmfile_ioctl,
	.llseek = noop_llseek,
};

/* From here on the file's release ends the VM. */
static int install(struct vm *vm)
{
	struct dvmm_new_fd new_fd;
	int err;

	vm_get(vm);
	err = dvmm_fd_alloc(&new_fd, "kvm-vm", &vmfile_fops, vm, O_RDWR | O_CLOEXEC);
	if (err) {
		vm_put(vm);
		return err;
	}
	dvmm_event(DVMM_EVENT_VM_STARTED, dvmm_node_self(), vm->id, "%s: %s[%d]",
		   vm->name, current->comm, task_tgid_nr(current));
	dvmm_fd_install(&new_fd);
	return new_fd.fd;
}

static int claim(struct vm *vm)
{
	int err = vm_set_state(vm, DVMM_VM_READY, DVMM_VM_RUNNING);

	/* Nobody to wait for when all vCPUs are here. */
	if (err == -EBUSY && vm_next_node(vm, -1) == DVMM_MAX_NODES)
		err = vm_set_state(vm, DVMM_VM_DEFINED, DVMM_VM_RUNNING);
	if (err == -EBUSY && vm_has_state(vm, DVMM_VM_DEFINED))
		vm_unsupported(vm, "KVM_CREATE_VM before DVMM_VM_START");
	return err;
}

int vmfile_create(struct vm *vm, struct file *real_dev, unsigned long type)
{
	struct file *kvm_file;
	int fd;

	if (type)
		return -EINVAL;
	fd = claim(vm);
	if (fd)
		return fd;
	kvm_file = real_create(real_dev, KVM_CREATE_VM, type);
	if (IS_ERR(kvm_file)) {
		vm_set_state(vm, DVMM_VM_RUNNING, DVMM_VM_READY);
		return PTR_ERR(kvm_file);
	}
	fd = vm_set_kvm(vm, kvm_file);
	if (!fd)
		fd = irq_vm_start(vm);
	if (!fd)
		fd = install(vm);
	if (fd < 0) {
		vm_die(vm, fd, "the VM cannot be created");
		vm_release_kvm(vm);
	}
	return fd;
}
