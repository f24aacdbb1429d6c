// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * exits.c - what leaving the guest costs: a VMM of two vCPUs and a page of code, for
 * `dvmm run --place 0=n1,1=n2 -- exits`. Its guest uses no paging and shares nothing
 * that is written, so no coherence is in the figures. Times are the VMM's.
 *
 *	exits [ROUNDS]		prints "pio V NS" for the exits of vCPU V, and "ipi NS"
 *				for an interrupt to vCPU 1 that answers with one
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NR		2
#define MEM_BYTES	0x10000
#define CODE		0x1000		/* real mode: segment 0 */
#define STACK(id)	(0x4000 + 0x1000 * (id) + 0xff0)

/* Ports the guest uses to say where it is. */
#define PORT_READY	0x10
#define PORT_DONE	0x11
#define PORT_NOTHING	0x12

/* Real-mode code; %ebp counts rounds. ICR, EOI and SPIV are x2APIC's MSRs. */
asm(".pushsection .rodata\n"
    ".code16\n"
    ".globl guest_code, guest_exits, guest_asks, guest_answers, guest_got, guest_get, guest_end\n"
    "guest_code:\n"
    "guest_exits:\n"
    "1:	out	%al, $0x12\n"
    "	dec	%ebp\n"
    "	jnz	1b\n"
    "	out	%al, $0x11\n"
    "guest_asks:\n"
    "	call	enable\n"
    "	out	%al, $0x10\n"
    "2:	mov	$0x830, %ecx\n"
    "	mov	$1, %edx\n"		/* to vCPU 1 */
    "	mov	$0x41, %eax\n"
    "	wrmsr\n"
    "	sti\n"
    "	hlt\n"
    "after_hlt:\n"
    "	cli\n"
    "	dec	%ebp\n"
    "	jnz	2b\n"
    "	out	%al, $0x11\n"
    "guest_answers:\n"
    "	call	enable\n"
    "	out	%al, $0x10\n"
    "3:	sti\n"
    "	hlt\n"
    "	jmp	3b\n"
    "guest_get:\n"			/* vector 0x41, on vCPU 1 */
    "	call	eoi\n"
    "	mov	$0x830, %ecx\n"
    "	xor	%edx, %edx\n"
    "	mov	$0x40, %eax\n"
    "	wrmsr\n"
    "	iret\n"
    /* Emulated SVM loses the shadow of sti when an exit comes before the hlt: never go back to it. */
    "guest_got:\n"			/* vector 0x40, on vCPU 0 */
    "	call	eoi\n"
    "	mov	%sp, %bx\n"
    "	movw	$(after_hlt - guest_code + 0x1000), (%bx)\n"
    "	iret\n"
    "enable:\n"
    "	cli\n"
    "	mov	$0x80f, %ecx\n"
    "	xor	%edx, %edx\n"
    "	mov	$0x1ff, %eax\n"
    "	wrmsr\n"
    "	ret\n"
    "eoi:	mov	$0x80b, %ecx\n"
    "	xor	%edx, %edx\n"
    "	xor	%eax, %eax\n"
    "	wrmsr\n"
    "	ret\n"
    "guest_end:\n"
    ".code64\n"
    ".popsection\n");

extern const char guest_code[], guest_exits[], guest_asks[], guest_answers[];
extern const char guest_got[], guest_get[], guest_end[];

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static struct vcpu vcpus[NR];

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "exits: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double ns_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static uint16_t guest_address(const char *label)
{
	return CODE + (label - guest_code);
}

static void memory_fill(unsigned char *memory)
{
	uint16_t *ivt = (uint16_t *)memory;

	memcpy(memory + CODE, guest_code, guest_end - guest_code);
	ivt[2 * 0x40] = guest_address(guest_got);
	ivt[2 * 0x41] = guest_address(guest_get);
}

static int vm_open(int kvm)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_userspace_memory_region slot = { .memory_size = MEM_BYTES };
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	void *memory;

	must(vm >= 0, "KVM_CREATE_VM");
	memory = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(memory != MAP_FAILED, "mmap");
	memory_fill(memory);
	slot.userspace_addr = (uintptr_t)memory;
	must(!ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	must(!ioctl(vm, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
	must(!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	return vm;
}

static void vcpu_set_cpuid(int kvm, int fd)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));

	cpuid->nent = 256;
	must(!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(!ioctl(fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void vcpu_open(int kvm, int vm, int id)
{
	struct vcpu *vcpu = &vcpus[id];

	vcpu->fd = ioctl(vm, KVM_CREATE_VCPU, id);
	must(vcpu->fd >= 0, "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu->fd, 0);
	must(vcpu->run != MAP_FAILED, "mmap of a vCPU");
	vcpu_set_cpuid(kvm, vcpu->fd);
}

/* To go on at a label, @rounds times. */
static void vcpu_send_to(int id, const char *label, uint64_t rounds)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = {
		.rip = guest_address(label), .rsp = STACK(id), .rbp = rounds, .rflags = 2,
	};
	struct kvm_sregs sregs;

	must(!ioctl(vcpus[id].fd, KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE");
	must(!ioctl(vcpus[id].fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	sregs.apic_base |= 0xc00;
	must(!ioctl(vcpus[id].fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(!ioctl(vcpus[id].fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Until the guest writes to @port. */
static void vcpu_run_to(int id, int port)
{
	struct kvm_run *run = vcpus[id].run;

	do {
		must(!ioctl(vcpus[id].fd, KVM_RUN, 0), "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO) {
			fprintf(stderr, "exits: vCPU %d: exit %u\n", id, run->exit_reason);
			exit(1);
		}
	} while (run->io.port != port);
}

static double exits_take(int id, int rounds)
{
	double began;

	vcpu_send_to(id, guest_exits, rounds + 1);
	vcpu_run_to(id, PORT_NOTHING);
	began = ns_now();
	vcpu_run_to(id, PORT_DONE);
	return (ns_now() - began) / rounds;
}

static void *answer(void *unused)
{
	(void)unused;
	vcpu_run_to(1, PORT_DONE);	/* which it never does */
	return NULL;
}

static double interrupts_take(int rounds)
{
	pthread_t thread;
	double began;

	vcpu_send_to(0, guest_asks, rounds);
	vcpu_send_to(1, guest_answers, 1);
	vcpu_run_to(0, PORT_READY);
	vcpu_run_to(1, PORT_READY);
	must(!pthread_create(&thread, NULL, answer, NULL), "pthread_create");
	began = ns_now();
	vcpu_run_to(0, PORT_DONE);
	return (ns_now() - began) / rounds;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 200;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm;

	setlinebuf(stdout);
	must(kvm >= 0, "/dev/kvm");
	must(rounds > 0, "ROUNDS");
	vm = vm_open(kvm);
	for (int id = 0; id < NR; id++)
		vcpu_open(kvm, vm, id);
	alarm(120);
	for (int id = 0; id < NR; id++)
		printf("pio %d %.0f\n", id, exits_take(id, rounds));
	printf("ipi %.0f\n", interrupts_take(rounds));
	fflush(stdout);
	_exit(0);	/* vCPU 1 waits for an interrupt for ever */
}
