// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/state.c - the state of a real vCPU: read whole, written whole, switched
 * off. All by KVM's own ioctls, in a thread of the VM's process that lends memory for their
 * arguments. When and between which nodes is move.c's.
 *
 * What nobody can read back, setup.c remembers. The TSC is clock.c's.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include "internal.h"
#include "state.h"

#define MAX_MSRS 512

static long get(const struct real_vcpu *real, unsigned int cmd, void *out, size_t bytes)
{
	long err = real_ioctl(real->file, cmd, real->scratch);

	if (err < 0)
		return err;
	return copy_from_user(out, (void __user *)real->scratch, bytes) ? -EFAULT : 0;
}

/* Zeros follow what is there, up to @bytes. */
static long set(const struct real_vcpu *real, unsigned int cmd, const void *arg, size_t len,
		size_t bytes)
{
	u8 __user *user = (void __user *)real->scratch;

	if (len > bytes || bytes > DVMM_SCRATCH_SIZE)
		return -EPROTO;
	if (copy_to_user(user, arg, len) || clear_user(user + len, bytes - len))
		return -EFAULT;
	return real_ioctl(real->file, cmd, real->scratch);
}

/* ---- MSRs ---- */

/* Asynchronous page faults: switched on where it comes to live, KVM tells the guest that all
 * pages it waits for are there. Those that are not fault again.
 */
static bool is_of_async_pf(u32 index)
{
	return index == MSR_KVM_ASYNC_PF_EN || index == MSR_KVM_ASYNC_PF_INT;
}

/* What a spanning guest does not have (cpuid.c), and the TSC, which clock.c sets. */
static bool is_left_out(u32 index)
{
	if (is_of_async_pf(index))
		return false;
	return index == MSR_IA32_TSC || index == MSR_KVM_WALL_CLOCK ||
	       index == MSR_KVM_SYSTEM_TIME ||
	       (index >= MSR_KVM_WALL_CLOCK_NEW && index <= MSR_KVM_WALL_CLOCK_NEW + 0xff) ||
	       (index >= 0x40000000 && index <= 0x400001ff);
}

static void add_msr(struct kvm_msrs *msrs, u32 index)
{
	u32 i;

	for (i = 0; i < msrs->nmsrs; i++)
		if (msrs->entries[i].index == index)
			return;
	if (msrs->nmsrs < MAX_MSRS)
		msrs->entries[msrs->nmsrs++].index = index;
}

static void add_msrs(struct kvm_msrs *msrs, u32 first, u32 nr)
{
	while (nr--)
		add_msr(msrs, first++);
}

/* KVM does not list them. */
static void add_unlisted(struct kvm_msrs *msrs, u32 nr_mce_banks)
{
	add_msrs(msrs, MSR_MTRRfix64K_00000, 1);
	add_msrs(msrs, MSR_MTRRfix16K_80000, 2);
	add_msrs(msrs, MSR_MTRRfix4K_C0000, 8);
	add_msrs(msrs, MTRRphysBase_MSR(0), 16);
	add_msrs(msrs, MSR_MTRRdefType, 1);
	add_msrs(msrs, MSR_IA32_MC0_CTL, nr_mce_banks * 4);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static bool get_msr(const struct real_vcpu *real, u32 index, u64 *out_data)
{
	struct one_msr one = { .head.nmsrs = 1, .entry.index = index };

	if (set(real, KVM_GET_MSRS, &one, sizeof(one), sizeof(one)) != 1 ||
	    copy_from_user(&one, (void __user *)real->scratch, sizeof(one)))
		return false;
	*out_data = one.entry.data;
	return true;
}

static long ask_list(const struct real_vcpu *real)
{
	struct kvm_msr_list __user *user = (void __user *)real->scratch;
	struct file *dev = real_open();
	long err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = put_user(MAX_MSRS, &user->nmsrs);
	if (!err)
		err = real_ioctl(dev, KVM_GET_MSR_INDEX_LIST, real->scratch);
	fput(dev);
	return err;
}

static long get_list(const struct real_vcpu *real, struct kvm_msrs *msrs)
{
	struct kvm_msr_list __user *user = (void __user *)real->scratch;
	u64 mcg_cap = 0;
	u32 nr, index, i;
	long err = ask_list(real);

	if (!err)
		err = get_user(nr, &user->nmsrs);
	for (i = 0; !err && i < nr; i++) {
		err = get_user(index, &user->indices[i]);
		if (!err && !is_left_out(index))
			add_msr(msrs, index);
	}
	if (!err && get_msr(real, MSR_IA32_MCG_CAP, &mcg_cap))
		add_unlisted(msrs, mcg_cap & MCG_BANKCNT_MASK);
	return err;
}

static void remove_msr(struct kvm_msrs *msrs, u32 at)
{
	msrs->nmsrs--;
	memmove(&msrs->entries[at], &msrs->entries[at + 1],
		(msrs->nmsrs - at) * sizeof(msrs->entries[0]));
}

/* KVM reads up to the first that this vCPU does not have. */
static long read_msrs(const struct real_vcpu *real, struct kvm_msrs *msrs)
{
	void __user *user = (void __user *)real->scratch;
	size_t bytes;
	long nr;

	for (;;) {
		bytes = struct_size(msrs, entries, msrs->nmsrs);
		nr = set(real, KVM_GET_MSRS, msrs, bytes, bytes);
		if (nr < 0)
			return nr;
		if (nr >= msrs->nmsrs)
			return copy_from_user(msrs, user, bytes) ? -EFAULT : 0;
		remove_msr(msrs, nr);
	}
}

/* Which there are takes long to find out; all vCPUs of a VM have the same. */
static long list_msrs(const struct real_vcpu *real, struct kvm_msrs *msrs)
{
	struct vm *vm = real->vm;
	long err;

	if (vm->msrs) {
		memcpy(msrs, vm->msrs, struct_size(msrs, entries, vm->msrs->nmsrs));
		return 0;
	}
	err = get_list(real, msrs);
	if (!err)
		err = read_msrs(real, msrs);
	if (!err)
		vm->msrs = kmemdup(msrs, struct_size(msrs, entries, msrs->nmsrs), GFP_KERNEL);
	return err;
}

static long save_msrs(const struct real_vcpu *real, struct records *records)
{
	struct kvm_msrs *msrs = kvzalloc(struct_size(msrs, entries, MAX_MSRS), GFP_KERNEL);
	long err;

	if (!msrs)
		return -ENOMEM;
	err = list_msrs(real, msrs);
	if (!err)
		err = read_msrs(real, msrs);
	if (!err)
		err = records_add(records, KVM_SET_MSRS, msrs,
				  struct_size(msrs, entries, msrs->nmsrs));
	kvfree(msrs);
	return err;
}

static bool has_msr(const struct real_vcpu *real, const struct kvm_msr_entry *entry)
{
	u64 data;

	return get_msr(real, entry->index, &data) && data == entry->data;
}

/* KVM writes up to the first it refuses; that is no harm if it has the value already. */
static long write_msrs(const struct real_vcpu *real, struct kvm_msrs *msrs)
{
	size_t bytes;
	long nr;

	for (;;) {
		bytes = struct_size(msrs, entries, msrs->nmsrs);
		nr = set(real, KVM_SET_MSRS, msrs, bytes, bytes);
		if (nr < 0)
			return nr;
		if (nr >= msrs->nmsrs)
			return 0;
		if (!has_msr(real, &msrs->entries[nr])) {
			vm_unsupported(real->vm, "MSR %#x cannot be %#llx on this node",
				       msrs->entries[nr].index, msrs->entries[nr].data);
			return -EOPNOTSUPP;
		}
		remove_msr(msrs, nr);
	}
}

static long load_msrs(const struct real_vcpu *real, const struct record *record)
{
	struct kvm_msrs *msrs = kvzalloc(struct_size(msrs, entries, MAX_MSRS), GFP_KERNEL);
	long err = -EPROTO;

	if (!msrs)
		return -ENOMEM;
	if (record->len <= struct_size(msrs, entries, MAX_MSRS)) {
		memcpy(msrs, record->arg, record->len);
		if (msrs->nmsrs <= MAX_MSRS)
			err = write_msrs(real, msrs);
	}
	kvfree(msrs);
	return err;
}

/* ---- the rest ---- */

struct piece {
	unsigned int get;
	unsigned int set;
};

/* GET_MP_STATE first: it takes INIT and SIPI in, which change all others. */
static const struct piece pieces[] = {
	{ KVM_GET_MP_STATE, KVM_SET_MP_STATE },
	{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS },
	{ KVM_GET_REGS, KVM_SET_REGS },
	{ KVM_GET_SREGS2, KVM_SET_SREGS2 },
	{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS },
	{ KVM_GET_XCRS, KVM_SET_XCRS },
	{ KVM_GET_XSAVE2, KVM_SET_XSAVE },
	{ KVM_GET_LAPIC, KVM_SET_LAPIC },
};

/* SREGS2 has the mode of the LAPIC, that has the mode of the TSC deadline; REGS forget a
 * pending exception, which VCPU_EVENTS brings.
 */
static const unsigned int load_order[] = {
	KVM_SET_SREGS2,	 KVM_SET_REGS,	KVM_SET_LAPIC,	KVM_SET_MSRS,
	KVM_SET_XCRS,	 KVM_SET_XSAVE,	KVM_SET_DEBUGREGS,
	KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE,
};

static long bytes_of(const struct real_vcpu *real, unsigned int cmd)
{
	return ioctl_arg_bytes(ioctl_of_vcpu(cmd), real->vm, NULL, 0);
}

static long save_piece(const struct real_vcpu *real, const struct piece *piece, u8 *buffer,
		       struct records *records)
{
	long bytes = bytes_of(real, piece->get);
	long err;

	if (bytes < 0)
		return bytes;
	if (bytes > DVMM_MSG_MAX)
		return -E2BIG;
	err = get(real, piece->get, buffer, bytes);
	return err ?: records_add(records, piece->set, buffer, bytes);
}

int state_save(const struct real_vcpu *real, struct records *records)
{
	u8 *buffer = kvmalloc(DVMM_MSG_MAX, GFP_KERNEL);
	long err = 0;
	u32 i;

	if (!buffer)
		return -ENOMEM;
	for (i = 0; !err && i < ARRAY_SIZE(pieces); i++)
		err = save_piece(real, &pieces[i], buffer, records);
	kvfree(buffer);
	return err ?: save_msrs(real, records);
}

static long load_piece(const struct real_vcpu *real, const struct record *record)
{
	long bytes;

	if (record->cmd == KVM_SET_MSRS)
		return load_msrs(real, record);
	bytes = bytes_of(real, record->cmd);
	return bytes < 0 ? bytes : set(real, record->cmd, record->arg, record->len, bytes);
}

int state_load(const struct real_vcpu *real, const u8 *start, u32 bytes)
{
	struct record record;
	long err = 0;
	u32 i;

	for (i = 0; !err && i < ARRAY_SIZE(load_order); i++) {
		err = records_find(start, bytes, load_order[i], &record);
		if (!err)
			err = load_piece(real, &record);
		if (err)
			vm_unsupported(real->vm, "this node does not take the state of a vCPU: error %ld of %s",
				       -err, ioctl_of_vcpu(load_order[i])->name);
	}
	return err < 0 ? err : 0;
}

/* ---- a vCPU that has left ---- */

static u32 *lapic_reg(struct kvm_lapic_state *lapic, u32 offset)
{
	return (u32 *)&lapic->regs[offset];
}

static void clear_bits(struct kvm_lapic_state *lapic, u32 offset)
{
	u32 i;

	for (i = 0; i < 8; i++)
		*lapic_reg(lapic, offset + i * 0x10) = 0;
}

/* Its timer would go on for ever. */
static long stop_lapic(const struct real_vcpu *real)
{
	struct kvm_lapic_state *lapic = kmalloc(sizeof(*lapic), GFP_KERNEL);
	long err;

	if (!lapic)
		return -ENOMEM;
	err = get(real, KVM_GET_LAPIC, lapic, sizeof(*lapic));
	if (!err) {
		*lapic_reg(lapic, APIC_LVTT) = APIC_LVT_MASKED;
		*lapic_reg(lapic, APIC_TMICT) = 0;
		*lapic_reg(lapic, APIC_TMCCT) = 0;
		clear_bits(lapic, APIC_IRR);
		clear_bits(lapic, APIC_ISR);
		err = set(real, KVM_SET_LAPIC, lapic, sizeof(*lapic), sizeof(*lapic));
	}
	kfree(lapic);
	return err;
}

static int set_msr(const struct real_vcpu *real, u32 index, u64 data)
{
	const struct one_msr one = {
		.head.nmsrs = 1,
		.entry = { .index = index, .data = data },
	};
	long err = set(real, KVM_SET_MSRS, &one, sizeof(one), sizeof(one));

	return err == 1 ? 0 : err < 0 ? err : -EIO;
}

/* A page that KVM has waited for since makes a vCPU runnable, also one that waits for its SIPI
 * when it comes back: so it shall wait for none. (-EIO: the VMM has not given it the MSR.)
 */
int state_switch_off(const struct real_vcpu *real)
{
	long err = set_msr(real, MSR_KVM_ASYNC_PF_EN, 0);

	if (!err || err == -EIO)
		err = stop_lapic(real);
	return err ?: set_msr(real, MSR_IA32_APICBASE, APIC_DEFAULT_PHYS_BASE);
}

static int saved(const struct records *records, unsigned int cmd, void *out, size_t bytes)
{
	struct record record;
	int err = records_find(records->start, records->bytes, cmd, &record);

	memset(out, 0, bytes);
	if (!err)
		memcpy(out, record.arg, min_t(size_t, record.len, bytes));
	return err;
}

/* An INIT has reset it, a SIPI has set CS:RIP; nothing else changes what does not run. */
static int compare_mode(const struct real_vcpu *real, const struct records *was,
			struct late *out)
{
	struct kvm_mp_state state, old_state;
	struct kvm_sregs2 sregs, old_sregs;
	struct kvm_regs regs, old_regs;
	bool waits, waited, elsewhere;
	long err = get(real, KVM_GET_MP_STATE, &state, sizeof(state)) ?:
		   get(real, KVM_GET_REGS, &regs, sizeof(regs)) ?:
		   get(real, KVM_GET_SREGS2, &sregs, sizeof(sregs));

	if (!err)
		err = saved(was, KVM_SET_MP_STATE, &old_state, sizeof(old_state)) ?:
		      saved(was, KVM_SET_REGS, &old_regs, sizeof(old_regs)) ?:
		      saved(was, KVM_SET_SREGS2, &old_sregs, sizeof(old_sregs));
	if (err)
		return err;
	waits = state.mp_state == KVM_MP_STATE_INIT_RECEIVED;
	waited = old_state.mp_state == KVM_MP_STATE_INIT_RECEIVED;
	elsewhere = regs.rip != old_regs.rip || sregs.cs.selector != old_sregs.cs.selector;
	out->init = (waits && !waited) || (!waits && !waited && elsewhere);
	out->sipi = !waits && elsewhere;
	out->sipi_vector = sregs.cs.selector >> 8;
	return 0;
}

static int compare_events(const struct real_vcpu *real, const struct records *was,
			  struct late *out)
{
	struct kvm_vcpu_events events, old;
	int err = get(real, KVM_GET_VCPU_EVENTS, &events, sizeof(events)) ?:
		  saved(was, KVM_SET_VCPU_EVENTS, &old, sizeof(old));

	out->nmi = !err && events.nmi.pending > old.nmi.pending;
	return err;
}

/* Also those it had then: one may have come again after the vCPU took it elsewhere. */
static int read_vectors(const struct real_vcpu *real, struct late *out)
{
	struct kvm_lapic_state *lapic = kmalloc(sizeof(*lapic), GFP_KERNEL);
	long err;
	u32 i;

	if (!lapic)
		return -ENOMEM;
	err = get(real, KVM_GET_LAPIC, lapic, sizeof(*lapic));
	for (i = 0; !err && i < 8; i++) {
		out->pending[i] = *lapic_reg(lapic, APIC_IRR + i * 0x10);
		out->level[i] = *lapic_reg(lapic, APIC_TMR + i * 0x10);
	}
	kfree(lapic);
	return err;
}

int state_late(const struct real_vcpu *real, const struct records *was, struct late *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = compare_mode(real, was, out);
	if (!err)
		err = compare_events(real, was, out);
	return err ?: read_vectors(real, out);
}
