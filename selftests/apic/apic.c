// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/apic/apic.c - APIC messages between two KVM VMs that play two nodes:
 * vCPUs 0 and 2 live on node 0, 1 and 3 on node 1. Sends by KVM_SIGNAL_MSI, irqfd
 * and ICR writes; reads IRR, TMR and MP state back from KVM. Prints KTAP. Runs as
 * root in a host of the testbed with apic-bench.ko loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

#define NR 4
#define MEM_BYTES 0x10000
#define CODE 0x1000
#define CODE_X2APIC 0x1100

#define FIXED 0
#define LOWEST (1 << 8)
#define NMI (4 << 8)
#define INIT (5 << 8)
#define SIPI (6 << 8)
#define LOGICAL (1 << 11)
#define ASSERT (1 << 14)
#define LEVEL (1 << 15)
#define SELF (1 << 18)
#define ALL (2 << 18)
#define OTHERS (3 << 18)

struct vm {
	int fd;
	int kvm;
};

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static int bench;
static struct vm vms[2];
static struct vcpu vcpus[NR];
static void *scratch;
static int number, failed;

/* ---- results ---- */

static void result(bool good, const char *title)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++number, title);
	fflush(stdout);
	failed += !good;
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* ---- two VMs ---- */

static void code_write(unsigned char *memory)
{
	/* mov %edx,(%ebx); mov %eax,(%ecx); out %al,$0x10 */
	static const unsigned char xapic[] = { 0x89, 0x13, 0x89, 0x01, 0xe6, 0x10 };
	/* wrmsr; out %al,$0x10 */
	static const unsigned char x2apic[] = { 0x0f, 0x30, 0xe6, 0x10 };

	memcpy(memory + CODE, xapic, sizeof(xapic));
	memcpy(memory + CODE_X2APIC, x2apic, sizeof(x2apic));
}

static void vm_open(struct vm *vm, void *memory)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_userspace_memory_region slot = {
		.memory_size = MEM_BYTES, .userspace_addr = (unsigned long)memory,
	};

	vm->kvm = open("/dev/kvm", O_RDWR);
	must(vm->kvm >= 0, "/dev/kvm");
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	must(vm->fd >= 0, "KVM_CREATE_VM");
	must(!ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	must(!ioctl(vm->fd, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
	must(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot), "memslot");
}

static void vcpu_set_cpuid(struct vm *vm, struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));

	cpuid->nent = 256;
	must(!ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(!ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void vcpu_open(int id)
{
	struct vm *vm = &vms[id % 2];
	struct vcpu *vcpu = &vcpus[id];
	struct bench_vcpu created = {
		.node = id % 2, .scratch = (unsigned long)scratch,
	};

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	must(vcpu->fd >= 0, "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
			 PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	must(vcpu->run != MAP_FAILED, "mmap");
	vcpu_set_cpuid(vm, vcpu);
	created.vcpu_fd = vcpu->fd;
	must(!ioctl(bench, BENCH_VCPU_CREATED, &created), "irq_vcpu_created");
}

static void open_all(void)
{
	struct bench_join join = { .node_of = { 0, 1, 0, 1 } };
	unsigned char *memory = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	scratch = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(memory != MAP_FAILED && scratch != MAP_FAILED, "mmap");
	code_write(memory);
	memset(join.node_of + NR, 0xff, sizeof(join.node_of) - NR);
	for (int node = 0; node < 2; node++) {
		vm_open(&vms[node], memory);
		join.vm_fd[node] = vms[node].fd;
	}
	must(!ioctl(bench, BENCH_JOIN, &join), "BENCH_JOIN");
	for (int id = 0; id < NR; id++)
		vcpu_open(id);
}

/* ---- APIC registers ---- */

static unsigned int *reg(struct kvm_lapic_state *lapic, int offset)
{
	return (unsigned int *)(lapic->regs + offset);
}

static void lapic_get(int id, struct kvm_lapic_state *lapic)
{
	must(!ioctl(vcpus[id].fd, KVM_GET_LAPIC, lapic), "KVM_GET_LAPIC");
}

static void lapic_set(int id, struct kvm_lapic_state *lapic)
{
	must(!ioctl(vcpus[id].fd, KVM_SET_LAPIC, lapic), "KVM_SET_LAPIC");
}

static bool has_vector(int id, int base, int vector)
{
	struct kvm_lapic_state lapic;

	lapic_get(id, &lapic);
	return *reg(&lapic, base + vector / 32 * 0x10) >> vector % 32 & 1;
}

/* Enabled, flat logical id 1 << id, nothing pending. */
static void apics_reset(void)
{
	for (int id = 0; id < NR; id++) {
		struct kvm_lapic_state lapic;

		lapic_get(id, &lapic);
		*reg(&lapic, 0xf0) = 0x1ff;
		*reg(&lapic, 0xe0) = 0xffffffff;
		*reg(&lapic, 0xd0) = 1u << (24 + id);
		memset(reg(&lapic, 0x100), 0, 0x180);
		lapic_set(id, &lapic);
	}
}

static void apics_set_x2apic(void)
{
	for (int id = 0; id < NR; id++) {
		struct kvm_sregs sregs;

		must(!ioctl(vcpus[id].fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
		sregs.apic_base |= 0xc00;
		must(!ioctl(vcpus[id].fd, KVM_SET_SREGS, &sregs), "x2APIC mode");
	}
}

/* Which vCPUs have @vector pending; bit n = vCPU n. */
static int pending(int vector)
{
	int mask = 0;

	for (int id = 0; id < NR; id++)
		mask |= has_vector(id, 0x200, vector) << id;
	return mask;
}

/* ---- sending ---- */

static int msi(int node, unsigned int dest, unsigned int data)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | dest << 12 | (data & LOGICAL ? 4 : 0),
		.data = (data & ~LOGICAL) | ASSERT,
	};

	return ioctl(vms[node].fd, KVM_SIGNAL_MSI, &msi);
}

static void flat_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .selector = 8, .type = 3, .present = 1,
		.db = 1, .s = 1, .g = 1,
	};

	sregs->cr0 |= 1;
	sregs->ds = sregs->es = sregs->ss = sregs->fs = sregs->gs = flat;
	flat.type = 11;
	sregs->cs = flat;
}

static void run_code(int id, struct kvm_regs *regs)
{
	struct vcpu *vcpu = &vcpus[id];
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	must(!ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE");
	must(!ioctl(vcpu->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	flat_mode(&sregs);
	must(!ioctl(vcpu->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	regs->rflags = 2;
	must(!ioctl(vcpu->fd, KVM_SET_REGS, regs), "KVM_SET_REGS");
	must(!ioctl(vcpu->fd, KVM_RUN, 0), "KVM_RUN");
	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		note("vCPU %d: exit %u", id, vcpu->run->exit_reason);
}

static void icr_xapic(int id, unsigned int dest, unsigned int low)
{
	struct kvm_regs regs = {
		.rip = CODE, .rbx = 0xfee00310, .rcx = 0xfee00300,
		.rdx = dest << 24, .rax = low,
	};

	run_code(id, &regs);
}

static void icr_x2apic(int id, unsigned int dest, unsigned int low)
{
	struct kvm_regs regs = {
		.rip = CODE_X2APIC, .rcx = 0x830, .rdx = dest, .rax = low,
	};

	run_code(id, &regs);
}

/* ---- tests ---- */

static struct bench_stats stats(int node)
{
	struct bench_stats stats = { .node = node };

	must(!ioctl(bench, BENCH_STATS, &stats), "BENCH_STATS");
	return stats;
}

static bool comes_to(int vector, int mask)
{
	int now = pending(vector);

	if (now != mask)
		note("vector %#x pending at %#x, not %#x", vector, now, mask);
	return now == mask;
}

static bool sends(int node, unsigned long long before, unsigned int nr)
{
	unsigned long long sent = stats(node).sent - before;

	if (sent != nr)
		note("%llu messages sent, not %u", sent, nr);
	return sent == nr;
}

static bool starts(int id)
{
	struct kvm_mp_state state;
	struct kvm_sregs sregs;

	msi(0, id, INIT | LEVEL);
	msi(0, id, SIPI | 0x9a);
	must(!ioctl(vcpus[id].fd, KVM_GET_MP_STATE, &state), "KVM_GET_MP_STATE");
	must(!ioctl(vcpus[id].fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	if (state.mp_state == KVM_MP_STATE_RUNNABLE && sregs.cs.selector == 0x9a00)
		return true;
	note("MP state %u, cs %x", state.mp_state, sregs.cs.selector);
	return false;
}

static void test_start(void)
{
	bool good = true;

	result(starts(1), "init_and_sipi_start_a_vcpu_of_the_other_node");
	for (int i = 0; good && i < 1000; i++)
		good = starts(1 + i % 2 * 2);
	result(good, "sipi_follows_its_init_1000_times");
}

static void test_msi(void)
{
	unsigned long long sent;

	apics_reset();
	sent = stats(0).sent;
	msi(0, 1, 0x31);
	result(comes_to(0x31, 1 << 1) && sends(0, sent, 1), "msi_to_the_other_node");
	msi(0, 2, 0x32);
	result(comes_to(0x32, 1 << 2) && sends(0, sent, 1), "msi_stays_here");
	msi(0, 9, 0x33);
	result(comes_to(0x33, 0) && sends(0, sent, 1), "msi_to_no_vcpu");
	msi(0, 3, 0x34 | LEVEL);
	result(comes_to(0x34, 1 << 3) && has_vector(3, 0x180, 0x34), "level_msi_marks_tmr");
	msi(0, 0xff, 0x35);
	result(comes_to(0x35, 0xf), "msi_to_all");
	sent = stats(1).sent;
	msi(1, 0, 0x36);
	result(comes_to(0x36, 1 << 0) && sends(1, sent, 1), "msi_the_other_way");
}

static void test_logical(void)
{
	int one;

	apics_reset();
	msi(0, 0xa, 0x41 | LOGICAL);
	result(comes_to(0x41, 0xa), "logical_flat_to_the_other_node");
	msi(0, 0x6, 0x42 | LOGICAL);
	result(comes_to(0x42, 0x6), "logical_flat_to_both_nodes");
	msi(0, 0xa, 0x43 | LOGICAL | LOWEST);
	one = pending(0x43);
	result(one == 1 << 1 || one == 1 << 3, "lowest_priority_on_the_other_node_comes_once");
	msi(0, 0xf, 0x44 | LOGICAL | LOWEST);
	one = pending(0x44);
	result(one && !(one & (one - 1)), "lowest_priority_on_both_nodes_comes_once");
	msi(0, 0xff, 0x45 | LOGICAL | LOWEST);
	one = pending(0x45);
	result(one && !(one & (one - 1)), "lowest_priority_to_all_comes_once");
}

static void test_nmi(void)
{
	struct kvm_vcpu_events events;

	msi(0, 1, NMI);
	must(!ioctl(vcpus[1].fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	result(events.nmi.pending, "nmi_to_the_other_node");
}

static void test_icr(void)
{
	unsigned long long sent;

	apics_reset();
	icr_xapic(0, 3, 0x51 | ASSERT);
	result(comes_to(0x51, 1 << 3), "xapic_ipi_to_the_other_node");
	icr_xapic(0, 0, 0x52 | ASSERT | OTHERS);
	result(comes_to(0x52, 0xe), "xapic_ipi_to_all_but_self");
	icr_xapic(0, 0, 0x53 | ASSERT | ALL);
	result(comes_to(0x53, 0xf), "xapic_ipi_to_all");
	sent = stats(0).sent;
	icr_xapic(0, 0, 0x54 | ASSERT | SELF);
	result(comes_to(0x54, 1 << 0) && sends(0, sent, 0), "xapic_ipi_to_self_stays_here");
	icr_xapic(0, 0xc, 0x55 | ASSERT | LOGICAL);
	result(comes_to(0x55, 0xc), "xapic_ipi_by_logical_id");
	icr_xapic(0, 0xff, 0x56 | ASSERT);
	result(comes_to(0x56, 0xf), "xapic_ipi_to_broadcast_id");
}

static void test_x2apic(void)
{
	unsigned long long sent;

	apics_set_x2apic();
	sent = stats(0).sent;
	icr_x2apic(0, 3, 0x61);
	result(comes_to(0x61, 1 << 3) && sends(0, sent, 1), "x2apic_ipi_to_the_other_node");
	icr_x2apic(0, 2, 0x62);
	result(comes_to(0x62, 1 << 2) && sends(0, sent, 1), "x2apic_ipi_stays_here");
	icr_x2apic(0, 0x5, 0x63 | LOGICAL);
	result(comes_to(0x63, 0x5) && sends(0, sent, 1), "x2apic_logical_ipi_stays_here");
	icr_x2apic(0, 0xa, 0x64 | LOGICAL);
	result(comes_to(0x64, 0xa) && sends(0, sent, 2), "x2apic_logical_ipi_to_the_other_node");
	icr_x2apic(0, 0xffffffff, 0x65);
	result(comes_to(0x65, 0xf), "x2apic_ipi_to_broadcast_id");
	icr_x2apic(0, 0, 0x66 | OTHERS);
	result(comes_to(0x66, 0xe), "x2apic_ipi_to_all_but_self");
	msi(0, 0xff, 0x67);
	result(comes_to(0x67, 0xf), "x2apic_msi_to_all");
	msi(0, 1, 0x68);
	result(comes_to(0x68, 1 << 1), "x2apic_msi_to_the_other_node");
}

static void route_msi(int gsi, unsigned int dest, unsigned int data)
{
	struct kvm_irq_routing *routing = calloc(1, sizeof(*routing) + sizeof(routing->entries[0]));

	routing->nr = 1;
	routing->entries[0].gsi = gsi;
	routing->entries[0].type = KVM_IRQ_ROUTING_MSI;
	routing->entries[0].u.msi.address_lo = 0xfee00000 | dest << 12;
	routing->entries[0].u.msi.data = data;
	must(!ioctl(vms[0].fd, KVM_SET_GSI_ROUTING, routing), "KVM_SET_GSI_ROUTING");
	free(routing);
}

static void wait_sent(unsigned long long before)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 5000 && stats(0).sent == before; i++)
		nanosleep(&pause, NULL);
}

static void test_irqfd(void)
{
	struct kvm_irqfd irqfd = { .gsi = 30, .fd = eventfd(0, 0) };
	unsigned long long sent = stats(0).sent;

	route_msi(30, 3, 0x71);
	must(!ioctl(vms[0].fd, KVM_IRQFD, &irqfd), "KVM_IRQFD");
	must(!eventfd_write(irqfd.fd, 1), "eventfd");
	wait_sent(sent);
	result(comes_to(0x71, 1 << 3) && sends(0, sent, 1), "irqfd_to_the_other_node_once");
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	must(!ioctl(vms[0].fd, KVM_IRQFD, &irqfd), "KVM_IRQFD off");
}

static bool refused(struct bench_message message)
{
	message.node = 1;
	return ioctl(bench, BENCH_MESSAGE, &message) < 0 && errno == EPROTO;
}

static void test_wire(void)
{
	struct bench_message good = { .node = 1, .dest = 1, .vector = 0x81, .flags = 1 };

	result(!ioctl(bench, BENCH_MESSAGE, &good) && comes_to(0x81, 1 << 1), "good_message_is_taken");
	result(refused((struct bench_message){ .from = 7 }), "stranger_is_refused");
	result(refused((struct bench_message){ .from = 200 }), "no_node_is_refused");
	result(refused((struct bench_message){ .vector = 0x100 }), "vector_is_checked");
	result(refused((struct bench_message){ .delivery_mode = 0x800 }), "mode_is_checked");
	result(refused((struct bench_message){ .delivery_mode = 0x10000 }), "upper_mode_is_checked");
	result(refused((struct bench_message){ .dest_mode = 1 }), "dest_mode_is_checked");
	result(refused((struct bench_message){ .dest_mode = 0x10800 }), "upper_dest_mode_is_checked");
	result(refused((struct bench_message){ .shorthand = SELF }), "shorthand_is_checked");
	result(refused((struct bench_message){ .flags = 4 }), "flags_are_checked");
}

static long long offset_of(int id)
{
	struct bench_vcpu get = { .vcpu_fd = vcpus[id].fd };

	must(!ioctl(bench, BENCH_GET_OFFSET, &get), "clock_read_offset");
	return get.offset;
}

static void offset_set(int id, long long offset)
{
	struct bench_vcpu set = {
		.vcpu_fd = vcpus[id].fd, .scratch = (unsigned long)scratch, .offset = offset,
	};

	must(!ioctl(bench, BENCH_SET_OFFSET, &set), "clock_set_offset");
}

static void tsc_write(int id, unsigned long long value)
{
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));

	msrs->nmsrs = 1;
	msrs->entries[0].index = 0x10;
	msrs->entries[0].data = value;
	must(ioctl(vcpus[id].fd, KVM_SET_MSRS, msrs) == 1, "KVM_SET_MSRS");
	free(msrs);
}

static void test_clock(void)
{
	long long offset = offset_of(0);

	result(offset_of(2) == offset, "vcpus_of_a_node_have_one_offset");
	result(offset_of(1) != offset, "two_vms_have_two_offsets");
	offset_set(1, offset);
	offset_set(3, offset);
	result(offset_of(1) == offset && offset_of(3) == offset, "offset_can_be_set");
	tsc_write(1, 0);
	result(offset_of(1) == offset, "offset_stays_when_the_vmm_resets_the_tsc");
}

static void test_part(void)
{
	apics_reset();
	must(!ioctl(bench, BENCH_PART), "BENCH_PART");
	msi(0, 1, 0x91);
	result(comes_to(0x91, 0), "nothing_is_sent_after_the_end");
}

int main(void)
{
	bench = open("/dev/apic-bench", O_RDWR);
	must(bench >= 0, "/dev/apic-bench");
	printf("TAP version 13\n");
	open_all();
	test_start();
	test_msi();
	test_logical();
	test_nmi();
	test_icr();
	test_clock();
	test_x2apic();
	test_irqfd();
	test_wire();
	for (int node = 0; node < 2; node++) {
		struct bench_stats s = stats(node);

		note("node %d: captured %llu sent %llu received %llu dropped %llu", node,
		     s.captured, s.sent, s.received, s.dropped);
	}
	test_part();
	printf("1..%d\n", number);
	return failed ? 1 : 0;
}
