/* SPDX-License-Identifier: GPL-2.0-only */
/* vcpu-remote/internal.h - what the files of this folder share. */
#ifndef VCPU_REMOTE_INTERNAL_H
#define VCPU_REMOTE_INTERNAL_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include "../kmod/kmod.h"
#include "../dsm/dsm.h"
#include "wire.h"

struct kvm;
struct kvm_vcpu;
struct kvm_cpuid2;
struct kvm_msrs;
struct slice;
struct job;
struct irq_route;
struct move;
struct late;
struct real_vcpu;
struct records;

/* Replies of a slice: it may have to wait for memory of other nodes. */
#define REQUEST_TIMEOUT_MS 60000

#define DVMM_MAX_PLACES (DVMM_MAX_VCPUS + DVMM_MAX_NODES) /* of SLICE_START */

/* A thread of a slice that does jobs in the kernel. */
struct server {
	spinlock_t lock;
	struct list_head jobs; /* lock; of struct job */
	struct list_head spares; /* lock; for jobs of any size, that memory need not be there at once */
	struct task_struct *task; /* lock; who serves now, or NULL */
	wait_queue_head_t wait;
};

/* A vCPU of a VM on this node: lives as long as its struct vm.
 * At the origin there is one for each vCPU, on a slice for those placed there.
 */
struct vcpu {
	struct vm *vm;
	u32 id;
	u8 node; /* where it is live; origin: changed by who has ->mutex */
	struct file *real_file; /* vm->lock; the real vCPU, if it is or was live here */

	/* slice: who runs it; origin: the VMM's thread, while it runs it here */
	struct server server;
	u32 kick_seq; /* server.lock; slice: the run that shall end */
	u32 running_seq; /* server.lock; slice: the run in KVM, or 0 */

	struct records *saved; /* server thread; the state it had when it left, until that is done */
	atomic64_t fences; /* bit n: node n knows that it has left */

	/* The rest is used at the origin, for a vCPU that may live elsewhere. */
	struct mutex mutex; /* one ioctl at a time; order: before vm->lock */
	struct file *here; /* mutex; as real_file, as long as the VMM has the vCPU open */
	bool is_between; /* mutex; KVM has nothing to finish of the last run */
	struct move *move; /* server.lock; the VMM's thread shall do this */
	struct move *leaving; /* mutex; done, but for what comes late */

	/* setup.c; order: mutex -> setup_lock, held over requests */
	struct mutex setup_lock;
	struct list_head setups; /* setup_lock */
	u64 ready_nodes; /* setup_lock; they know all of them */
	u64 made_nodes; /* vm->moves or mutex; they have a real vCPU for it */
	void *area; /* what the VMM maps: kvm_run and the pages after it */
	u32 pio_in; /* mutex; bytes the VMM owes for the last port input */
	bool tsc_stale; /* mutex; the guest TSC must be set before the next run */
	bool sigset_active; /* mutex */
	sigset_t sigset; /* mutex */
	bool created;
	wait_queue_head_t wait; /* for exit_seq */
	u32 run_seq; /* mutex; last run asked for */
	u32 exit_seq; /* last run that came back; released after the area is written */
	int run_ret;
	atomic64_t remote_exits;
};

/* One VM on this node: at the origin it hangs on the fd of DVMM_VM_CREATE and on
 * the VMM's files, on a slice on the fd of DVMM_SLICE_OPEN.
 */
struct vm {
	struct kref ref;
	struct work_struct free_work;
	u32 id; /* origin << 16 | number */
	u8 origin;
	u64 nodes; /* lock for writing; bit n = node n has a part */
	u64 lost_nodes; /* lock for writing; had a part, and the VM goes on without */
	u64 expected_nodes; /* lock for writing; join, or have tried to */
	bool is_spanning; /* began with other nodes, or they may join */
	u8 uuid[DVMM_UUID_SIZE];
	char name[DVMM_NAME_SIZE];
	struct dsm_homes homes; /* origin: homes.range is kvmalloc'ed */
	u32 nr_places;
	struct dvmm_vcpu_place *places;
	u64 budget_of[DVMM_MAX_NODES]; /* origin: what each slice starts with */
	u8 *node_of; /* by vCPU id */
	u32 minor; /* origin: of its device node */

	/* Origin: one change of slots or routes at a time; held over requests.
	 * Order: slots_lock -> lock.
	 */
	struct mutex slots_lock;
	struct xarray slots; /* slots_lock; slot -> struct slot */
	void *routes; /* slots_lock; routes the slices have, see vmfile.c */
	struct list_head setups; /* slots_lock; see setup.c */
	u32 nr_routes; /* slots_lock */
	u32 nr_ioapic_pins; /* slots_lock; of the split irqchip */

	atomic_t moves; /* origin: 1: a vCPU moves, a node joins or is emptied; see move_begin() */
	struct mutex drain_lock; /* slice: innermost but for vm->irq's */
	u64 budget_before; /* drain_lock; of this node, before drain.c took it; else 0 */
	struct kvm_msrs *msrs; /* state.c: those of a vCPU here; one at a time moves */

	struct mutex ioeventfds_lock; /* innermost */
	struct list_head ioeventfds; /* ioeventfds_lock; origin: see ioeventfd.c */

	struct mutex lock; /* never held over a wait; order: vm->lock -> nothing of dsm */
	u32 state; /* lock; enum dvmm_vm_state; DEAD and STOPPED are final */
	char reason[DVMM_REASON_SIZE]; /* lock */

	struct file *kvm_file; /* lock; the real VM of this node */
	struct kvm *kvm; /* of kvm_file */
	struct mm_struct *mm; /* of the VMM or slice; kept by kvm_file, only compared */
	struct xarray vcpus; /* vcpu_id -> struct vcpu, live here or remote */
	struct dvmm_stats *stats;
	struct dsm_vm *dsm;
	s64 guest_tsc_offset; /* guest TSC minus TSC of the origin */
	struct irq_route __rcu *irq; /* irq.c */
	struct slice *slice; /* slice.c; NULL at the origin */
};

/* A memslot: at the origin the VMM's, on a slice the slice's. Replaced, not changed,
 * but for gpa, so that memslot_find() may look at any time.
 */
struct slot {
	struct rcu_head rcu;
	u64 gpa;
	u64 bytes;
	unsigned long hva;
	u32 flags;
	u32 nr_segments;
	struct dsm_segment segments[];
};

static inline bool vm_is_origin(const struct vm *vm)
{
	return vm->origin == dvmm_node_self();
}

/* Dead or stopped. */
static inline bool vm_is_dead(const struct vm *vm)
{
	return READ_ONCE(vm->state) >= DVMM_VM_DEAD;
}

/* vm.c */
struct vm_config {
	u32 id;
	u8 origin;
	const u8 *uuid;
	const char *name;
	bool grows; /* nodes may join also if it begins with none but the origin */
	struct dsm_homes homes; /* range: as places */
	u32 nr_places;
	struct dvmm_vcpu_place *places; /* kvmalloc'ed; the VM takes it over on success */
	u64 budget; /* of this node */
	struct dsm_past past; /* .founders: 0, or this node joins while the VM runs */
};

/* homes.c */
int homes_copy(struct dsm_homes *out, const struct dvmm_vm_create *create); /* -EINVAL */
bool homes_are_of(const struct dsm_homes *homes, u64 nodes); /* a set of nodes */
void homes_free(struct dsm_homes *homes);
long mem_rehome_ioctl(struct file *file, void *arg);

/* vm.c */
struct vm *vm_new(const struct vm_config *config); /* one reference; not to be found yet */
int vm_publish(struct vm *vm); /* vm_find() finds it now. -EEXIST */
struct vm *vm_find(u32 id); /* takes a reference, or NULL; any sleepable context */
struct vm *vm_find_from(u32 id); /* the one with the smallest id >= @id */
struct vm *vm_get(struct vm *vm);
void vm_put(struct vm *vm); /* may wait for who is in the VM's memory, and these for peers */
void vm_put_later(struct vm *vm); /* any sleepable context, also of messages */
bool vm_is_known(u32 id); /* or was, a moment ago */
void vm_queue_work(struct work_struct *work); /* it is done before the module goes */
int vm_init(void);
void vm_exit(void); /* no VM is to be found any more */
u32 vm_count(void);
/* other nodes of @vm in turn, start with -1; DVMM_MAX_NODES: no more */
int vm_next_node(const struct vm *vm, int after);
u64 vm_vcpu_nodes(const struct vm *vm); /* the origin, and where vCPUs live; any context */
u8 vm_node_of(const struct vm *vm, u32 vcpu_id); /* where it is live; any context */
int vm_set_state(struct vm *vm, u32 from, u32 to); /* -EBUSY, -EIO: dead */
bool vm_has_state(struct vm *vm, u32 state);
/* all nodes learn it; any sleepable context */
void vm_die(struct vm *vm, int error, const char *reason);
void vm_stop(struct vm *vm, const char *reason); /* the same, but as asked */
/* both; @tell: the other nodes do not know yet */
void vm_end(struct vm *vm, int error, const char *reason, bool tell);
/* for an ioctl that explains itself: @err, with the reason in @args->out_reason */
#define excuse(args, err, ...) vm_say_why((args)->out_reason, err, __VA_ARGS__)
#define WHY_IT_CANNOT_GROW "the VM was started without other nodes; one that shall grow is started with --grow (libvirt: grow='yes')"
__printf(3, 4) long vm_say_why(char reason[DVMM_REASON_SIZE], long err, const char *fmt, ...);
int vm_set_kvm(struct vm *vm, struct file *kvm_file); /* takes the file over */
struct file *vm_get_kvm(struct vm *vm); /* the real VM with a reference, or NULL */
void vm_release_kvm(struct vm *vm); /* drops the real files; by a thread of their process */
void vm_lost_node(u8 node);
void vm_expect_node(struct vm *vm, u8 node); /* any sleepable context, like the next */
int vm_add_node(struct vm *vm, u8 node); /* as dsm_vm_add_node() */
/* for one node that joins and whose slice is not wanted any more */
void vm_stop_at(struct vm *vm, u8 node, int error, const char *reason);
__printf(2, 3) void vm_unsupported(struct vm *vm, const char *fmt, ...); /* event and log */

/* origin.c: VMs whose VMM runs here */
extern const struct dvmm_ioctl origin_ioctls[];
extern const size_t nr_origin_ioctls;
/* waits until it serves; @past: zero, or it joins */
long origin_request_slice(struct vm *vm, u8 node, u32 timeout_ms, const struct dsm_past *past);
const char *origin_slice_error(long err); /* of that, for people */

/* vcpu.c */
struct vcpu *vcpu_find(struct vm *vm, u32 id);
/* the one that exists, or a new one, or ERR_PTR */
struct vcpu *vcpu_add(struct vm *vm, u32 id, u8 node);
void vcpu_set_real(struct vcpu *vcpu, struct file *real_file); /* takes the file over */
struct file *vcpu_get_real(struct vcpu *vcpu); /* with a reference, or NULL */
/* origin, the VMM's threads: make the real one here, known to KVM's APIC map; all of it goes
 * into ->here and ->real_file
 */
int vcpu_create_here(struct vcpu *vcpu);
int vcpu_announce(struct vcpu *vcpu, struct file *real_file);
unsigned long vcpu_scratch(void); /* DVMM_SCRATCH_SIZE bytes of the caller's process, or -errno */
void vcpu_free_scratch(unsigned long scratch);
struct kvm_vcpu *vcpu_kvm(struct vcpu *vcpu); /* for a caller that holds the real file */
struct file *vcpu_get_any_real(struct vm *vm); /* of the live vCPU with the smallest id */
void vcpu_free_all(struct vm *vm);
void vcpu_wake_all(struct vm *vm);
long vcpu_get_ioctl(struct file *file, void *arg);

/* real.c: the host's own KVM */
int real_init(const char *path);
void real_exit(void);
struct file *real_open(void);
long real_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
/* KVM_CREATE_*: the file instead of the fd */
struct file *real_create(struct file *file, unsigned int cmd, unsigned long arg);
void real_kill(struct kvm *kvm); /* KVM_RUN and ioctls fail with EIO from now on */
/* @task, which does KVM_RUN of it or is about to, comes back with EINTR */
void real_interrupt(struct kvm_vcpu *vcpu, struct task_struct *task);
size_t real_mmap_bytes(void);

/* kvmdev.c: /dev/dvmm/vm/<uuid> */
int kvmdev_init(void);
void kvmdev_exit(void);
int kvmdev_add(struct vm *vm);
void kvmdev_remove(struct vm *vm);

/* vmfile.c: the VM fd a VMM gets */
int vmfile_create(struct vm *vm, struct file *real_dev, unsigned long type);
int vmfile_tell_routes(struct vm *vm, u8 node); /* to one that joins. slots_lock */

/* extension.c: which of KVM's capabilities a spanning VM has */
long extension_check(struct file *real, unsigned long cap); /* real: device or VM */
bool extension_may_enable(unsigned long cap); /* by KVM_ENABLE_CAP on the VM */

/* memslot.c: guest memory of the VMM, here and on all slices; callers are the VMM's threads */
long memslot_set(struct vm *vm, struct file *real, void __user *user);
long memslot_get_dirty_log(struct vm *vm, struct file *real, void __user *user);
int memslot_set_here(struct vm *vm, struct job *job, unsigned long scratch); /* slice: MEMSLOT */
/* the guest has this page of a memory object there */
bool memslot_find(struct vm *vm, u32 mem, u64 offset, u64 *out_gpa);

/* top.c: DVMM_MEM_TOP */
long mem_top_ioctl(struct file *file, void *arg);

/* origin: the slots it has, to a node that joins. slots_lock */
int memslot_tell(struct vm *vm, u8 node);

/* ioeventfd.c: doorbells of vCPUs that live elsewhere */
long ioeventfd_set(struct vm *vm, struct file *real, void __user *user);
bool ioeventfd_answers(struct vcpu *vcpu); /* the exit in its area; then it may run on */
void ioeventfd_free_all(struct vm *vm);

/* vcpufile.c: the vCPU fd a VMM gets when the VM has other nodes, or may get some */
int vcpufile_create(struct vcpu *vcpu);

/* setup.c: what the VMM set up on a vCPU and nobody can read back; origin */
bool setup_is_one(unsigned int cmd);
int setup_note(struct vcpu *vcpu, unsigned int cmd, u64 arg, const void *bytes, size_t len);
/* tell @node, unless it knows; @real: here, with scratch memory of the VMM's */
int setup_replay(struct vcpu *vcpu, u8 node, struct file *real, unsigned long scratch);
void setup_free_all(struct vcpu *vcpu);
void setup_forget_node(struct vm *vm, u8 node); /* it joins, perhaps again. move_begin() */
/* The same for VM ioctls. slots_lock */
int setup_note_vm(struct vm *vm, unsigned int cmd, u64 arg, const void *bytes, size_t len);
int setup_tell_vm(struct vm *vm, u8 node);
void setup_free_vm(struct vm *vm);

/* join.c: a node gets a part in a VM that runs */
long vm_join_ioctl(struct file *file, void *arg);
int join_message(struct vm *vm, u8 from, const struct dvmm_msg_hdr *hdr, const void *payload,
		 size_t len); /* may sleep */

/* drain.c: a node shall hold no memory of a VM */
long mem_empty_ioctl(struct file *file, void *arg);
int drain_here(struct vm *vm, u32 timeout_ms, u64 *out_resident); /* slice: SLICE_EMPTY */
void drain_undo(struct vm *vm); /* slice: a vCPU comes here, after all */

/* move.c: a vCPU goes to another node while the VM runs */
long vcpu_move_ioctl(struct file *file, void *arg);
bool move_is_asked(struct vcpu *vcpu);
int move_begin(struct vm *vm); /* origin: -EBUSY: a vCPU of it moves, a node joins or is emptied */
void move_end(struct vm *vm); /* any context */
void move_now(struct vcpu *vcpu); /* the VMM's thread: if it is asked; vcpu->is_between */
void move_leave(struct vcpu *vcpu); /* the VMM's thread: after the first run elsewhere has begun */
int move_saved(const struct real_vcpu *real, struct vcpu *vcpu); /* slice: VCPU_SAVE */
int move_loaded(const struct real_vcpu *real, struct vcpu *vcpu,
		const struct dvmm_msg_state *state); /* slice: VCPU_LOAD */
int move_left(const struct real_vcpu *real, struct vcpu *vcpu, u32 *out_late); /* VCPU_LEFT */
int move_message(struct vm *vm, const struct dvmm_msg_moved *moved, size_t len); /* VCPU_MOVED */
int move_fence(struct vm *vm, u8 from, const struct dvmm_msg_vcpu *fence, size_t len);

/* ioctl_table.c: which ioctls of KVM cross nodes, and how large their arguments are */
struct kvm_ioctl {
	unsigned int cmd;
	const char *name;
	u8 shape; /* enum ioctl_shape */
};
enum ioctl_shape {
	SHAPE_FIXED, /* _IOC_SIZE and _IOC_DIR tell */
	SHAPE_SCALAR, /* the argument is a number, or none */
	SHAPE_MSRS,
	SHAPE_CPUID,
	SHAPE_XSAVE, /* 4096 bytes or KVM_CAP_XSAVE2 */
	SHAPE_ROUTES,
	SHAPE_DIRTY_LOG,
	SHAPE_SIGMASK, /* stays at the origin */
};
const struct kvm_ioctl *ioctl_of_vcpu(unsigned int cmd);
const struct kvm_ioctl *ioctl_of_slice_vm(unsigned int cmd); /* what a slice's VM accepts */
/* of the argument, given its first bytes */
long ioctl_arg_bytes(const struct kvm_ioctl *ioctl, struct vm *vm, const void *head,
		     size_t head_len);
size_t ioctl_head_bytes(const struct kvm_ioctl *ioctl); /* how many first bytes that needs */

/* ship.c: requests of the origin to slices; wait for the reply, killable */
struct shipped {
	unsigned int cmd;
	u64 arg; /* a scalar argument */
	const void *in;
	size_t in_len;
	void *out; /* for the reply's bytes, or NULL */
	size_t out_len; /* room, then what came */
	long ret;
};
int ship_vcpu_ioctl(struct vcpu *vcpu, struct shipped *shipped);
int ship_vcpu_ioctl_to(struct vcpu *vcpu, u8 node, struct shipped *shipped);
int ship_vm_ioctl(struct vm *vm, u8 node, struct shipped *shipped);
/* an error has killed the VM */
int ship_vm_ioctl_all(struct vm *vm, const char *name, struct shipped *shipped);
int ship_vcpu_create(struct vcpu *vcpu, u8 node);
/* a request with a reply of any kind; no answer of a node of the VM in time kills it */
int ship_request(struct vm *vm, u8 node, const struct dvmm_msg *msg, void *reply,
		 size_t reply_len, size_t *out_len);
int ship_memslot(struct vm *vm, u8 node, const struct kvm_userspace_memory_region *region,
		 const struct dsm_segment *segments, u32 nr);
int ship_memslot_all(struct vm *vm, const struct kvm_userspace_memory_region *region,
		     const struct dsm_segment *segments, u32 nr);

/* slice.c: what this node does for VMs of other origins */
extern const struct dvmm_ioctl slice_ioctls[];
extern const size_t nr_slice_ioctls;
int slice_start_message(u8 from, const struct dvmm_msg_hdr *hdr, const void *payload, size_t len);
int slice_message(struct vm *vm, u8 from, const struct dvmm_msg_hdr *hdr, const void *payload,
		  size_t len);
void slice_ended(struct vm *vm, int error); /* by vm_end() */
void slice_free(struct vm *vm);
int server_init(struct server *server, bool serves); /* -ENOMEM */
void server_exit(struct server *server);
struct vcpu *slice_add_vcpu(struct vm *vm, u32 id); /* one that comes from elsewhere; or ERR_PTR */

/* job.c: does what the origin asked, in a thread of the slice */
struct job {
	struct list_head item;
	bool is_spare; /* of its server */
	u16 type;
	u32 req;
	size_t len;
	u8 payload[];
};
void job_do(struct vm *vm, struct vcpu *vcpu, struct job *job, unsigned long scratch);
void job_refuse(struct vm *vm, const struct job *job, int error);

/* run.c: KVM_RUN of a vCPU that lives elsewhere */
long run_vcpu(struct vcpu *vcpu); /* origin: the VMM's thread; vcpu->mutex held */
void run_stop(struct vcpu *vcpu); /* origin: move_is_asked(): get it out of the guest */
int run_read_tsc(struct vm *vm, s64 *out_offset); /* origin: guest TSC - TSC of this node */
int run_exited(struct vcpu *vcpu, const void *payload, size_t len); /* origin: VCPU_EXIT has come */
/* slice */
void run_here(struct vcpu *vcpu, struct file *real_file, const struct dvmm_msg_run *msg,
	      unsigned long scratch);
void run_kick(struct vcpu *vcpu, u32 run_seq); /* slice: VCPU_KICK has come */

/* exit.c: struct kvm_run between nodes */
u32 exit_data_bytes(const struct kvm_run *run); /* of port I/O */
void exit_count(struct vcpu *vcpu, const struct kvm_run *run);
void exit_to_area(struct vcpu *vcpu, const struct kvm_run *run, const void *data, u32 data_len);

/* apic_probe.c: sees each APIC message of the host's KVM; calls irq_capture() */
int apic_probe_init(void);
void apic_probe_exit(void);

/* irq.c: APIC messages between the nodes of a VM */
/* vm->kvm, ->nodes, ->stats are set; no vCPU yet; capture from now on. -EOPNOTSUPP: hardware
 * delivers past KVM
 */
int irq_vm_start(struct vm *vm);
/* before vm->kvm_file is put; no capture and no injection any more when it returns; may be
 * called twice
 */
void irq_vm_stop(struct vm *vm);
int irq_receive(struct vm *vm, u8 from, const struct dvmm_msg_apic *msg); /* message context */
/* From now on interrupts for the vCPU go to @to. @from hears of it in a VCPU_FENCE, after
 * all that have gone there; any context
 */
void irq_vcpu_moved(struct vm *vm, u32 vcpu_id, u8 from, u8 to);
/* All that this node's KVM was delivering when the vCPU moved has arrived. May sleep */
void irq_settle(struct vm *vm);
/* To the node where the vCPU lives; how many */
u32 irq_send_late(struct vm *vm, u32 vcpu_id, const struct late *late);
/* A real vCPU of a slice is complete: make it known to KVM's APIC map, else INIT
 * and SIPI for it are lost. Caller is a thread of the VM's process; scratch is a
 * page of its user memory. -EIO: KVM delivers past the probe.
 */
int irq_vcpu_created(struct vm *vm, struct file *vcpu_file, unsigned long scratch);

/* cpuid.c: what a spanning VM offers */
/* in place; KVM_GET_SUPPORTED_CPUID and SET_CPUID2 */
void cpuid_limit(struct kvm_cpuid2 *cpuid, u32 nent);

/* clock.c: one guest TSC on all nodes */
/* guest TSC - host TSC of a real vCPU; does not wait for KVM_RUN */
int clock_read_offset(struct file *vcpu_file, s64 *out_offset);
/* caller is a thread of the VM's process; scratch is its user memory */
int clock_set_offset(struct file *vcpu_file, unsigned long scratch, s64 offset);
/* tsc_khz of the origin (slice_start): -EOPNOTSUPP: not the frequency of this node */
int clock_check_khz(u32 origin_khz);
/* guest TSC - TSC of this node, from the origin's offset and the link's clock */
int clock_slice_offset(struct vm *vm, s64 *out_offset);

#endif
