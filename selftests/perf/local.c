// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * local.c - a VMM of one vCPU whose /dev/kvm may be the host's own or a spanning VM's that
 * lives on this host alone: what does being able to span cost who does not?
 *
 *	local EXITS PAGES	prints, in ns: "pio NS" for an exit to the VMM, "cpuid NS" for one
 *				that KVM finishes, "touch NS" for a page's first touch
 *
 * Its guest runs 32-bit code without paging. No huge pages, which both could have.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CODE		0x1000
#define DATA		0x100000
#define PAGE		4096UL
#define PORT_NEXT	0x11

/* %ebp counts rounds. */
asm(".pushsection .rodata\n"
    ".code32\n"
    ".globl guest_code, guest_pio, guest_cpuid, guest_touch, guest_end\n"
    "guest_code:\n"
    "guest_pio:\n"
    "1:	out	%al, $0x12\n"
    "	dec	%ebp\n"
    "	jnz	1b\n"
    "	out	%al, $0x11\n"
    "guest_cpuid:\n"
    "	out	%al, $0x11\n"
    "2:	xor	%eax, %eax\n"
    "	cpuid\n"
    "	dec	%ebp\n"
    "	jnz	2b\n"
    "	out	%al, $0x11\n"
    "guest_touch:\n"
    "	out	%al, $0x11\n"
    "3:	movb	$1, (%edi)\n"
    "	add	$4096, %edi\n"
    "	dec	%ebp\n"
    "	jnz	3b\n"
    "	out	%al, $0x11\n"
    "guest_end:\n"
    ".code64\n"
    ".popsection\n");

extern const char guest_code[], guest_pio[], guest_cpuid[], guest_touch[], guest_end[];

static int kvm, vm, vcpu;
static struct kvm_run *run;

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "local: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double ns_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void vm_open(uint64_t bytes)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_userspace_memory_region slot = { .memory_size = bytes };
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED, "mmap");
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memcpy(memory + CODE, guest_code, guest_end - guest_code);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	must(kvm >= 0, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	must(vm >= 0, "KVM_CREATE_VM");
	slot.userspace_addr = (uintptr_t)memory;
	must(!ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	must(!ioctl(vm, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
	must(!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
}

static void vcpu_set_cpuid(void)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));

	cpuid->nent = 256;
	must(!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(!ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

/* Flat segments, protected mode, no paging. */
static void vcpu_set_mode(void)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	must(!ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.ds = sregs.es = sregs.ss = flat;
	flat.selector = 8;
	flat.type = 11;
	sregs.cs = flat;
	sregs.cr0 |= 1;
	must(!ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

static void vcpu_open(void)
{
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	must(vcpu >= 0, "KVM_CREATE_VCPU");
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run != MAP_FAILED, "mmap of the vCPU");
	vcpu_set_cpuid();
	vcpu_set_mode();
}

static void vcpu_send_to(const char *label, uint64_t rounds)
{
	struct kvm_regs regs = {
		.rip = CODE + (label - guest_code), .rbp = rounds, .rdi = DATA, .rflags = 2,
	};

	must(!ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void vcpu_run_to_next(void)
{
	do {
		must(!ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO) {
			fprintf(stderr, "local: exit %u\n", run->exit_reason);
			exit(1);
		}
	} while (run->io.port != PORT_NEXT);
}

static void take(const char *name, const char *label, uint64_t rounds)
{
	double began;

	vcpu_send_to(label, rounds);
	if (label != guest_pio)
		vcpu_run_to_next();
	began = ns_now();
	vcpu_run_to_next();
	printf("%s %.0f\n", name, (ns_now() - began) / rounds);
}

int main(int argc, char **argv)
{
	long exits = argc > 2 ? atol(argv[1]) : 2000, pages = argc > 2 ? atol(argv[2]) : 4000;

	must(exits > 0 && pages > 0, "EXITS PAGES");
	alarm(120);
	vm_open(DATA + pages * PAGE);
	vcpu_open();
	take("pio", guest_pio, exits);
	take("cpuid", guest_cpuid, exits);
	take("touch", guest_touch, pages);
	return 0;
}
