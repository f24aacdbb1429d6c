// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/abi/failnth.c - allocations that fail, by TAP: each system call below is done
 * again and again, and the 1st, 2nd, ... n-th allocation (or copy from and to user space)
 * in it fails, until none is left to fail. A failure is told by a good errno or made good;
 * the same call then works, and the kernel's checkers have nothing to say (the testbed
 * looks for splats and leaks).
 *
 * Needs a kernel with fault injection, and dvmm, dvmm-dsm, dvmm-vcpu loaded and unused.
 * What the ioctls mean is abi.c's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/dvmm.h>
#include <linux/kvm.h>

#define CONTROL "/dev/dvmm/control"
#define FAIL_NTH "/proc/thread-self/fail-nth"
#define DEBUGFS "/sys/kernel/debug/"
#define PAGE 4096
#define MEM_PAGES 8
#define MEM_BYTES (MEM_PAGES * PAGE)
#define MAX_NTH 2000

static int control, nth_fd;
static int nr_tests, nr_failed;
static const char *own_address;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- failing on order ---- */

static void set_knob(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	must(fd >= 0 && write(fd, value, strlen(value)) > 0, path);
	close(fd);
}

/* Without this only atomic allocations fail, and each one is shown. */
static void set_knobs(void)
{
	set_knob(DEBUGFS "failslab/ignore-gfp-wait", "N");
	set_knob(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	set_knob(DEBUGFS "fail_page_alloc/min-order", "0");
	set_knob(DEBUGFS "failslab/verbose", "0");
	set_knob(DEBUGFS "fail_page_alloc/verbose", "0");
	set_knob(DEBUGFS "fail_usercopy/verbose", "0");
}

/* The copy in this very call may be what fails. */
static void arm(int nth)
{
	char text[16];
	int len = sprintf(text, "%d", nth);
	int ok = pwrite(nth_fd, text, len, 0) == len;

	if (!ok && errno == EFAULT)
		ok = pwrite(nth_fd, text, len, 0) == len;
	must(ok, FAIL_NTH);
}

/* Returns whether something failed since arm(); as there, the copy of the answer is no such thing. */
static int disarm(void)
{
	char text[16] = "";
	int injected = 0;

	if (pread(nth_fd, text, sizeof(text) - 1, 0) > 0)
		injected = atoi(text) == 0;
	else
		must(errno == EFAULT, FAIL_NTH);
	arm(0);
	return injected;
}

/* ---- what is done ---- */

/* The objects of one try; each step has those of the steps it needs. */
struct world {
	int vm, device, kvm, link, vcpu, memfd, made;
	uint8_t *mem;
};

static struct dvmm_addr address(const char *ip, unsigned int port)
{
	struct dvmm_addr addr = { .family = AF_INET, .port = port };

	inet_pton(AF_INET, ip, addr.addr);
	return addr;
}

static int control_open(struct world *w)
{
	w->made = open(CONTROL, O_RDWR | O_CLOEXEC);
	return w->made;
}

static int node_set(struct world *w)
{
	struct dvmm_node_set set = {
		.size = sizeof(set), .node_id = 1, .epoch = 1,
		.listen = address(own_address, 7471), .name = "host1",
	};

	(void)w;
	return ioctl(control, DVMM_NODE_SET, &set);
}

static int node_get(struct world *w)
{
	struct dvmm_node_get get = { .size = sizeof(get) };

	(void)w;
	return ioctl(control, DVMM_NODE_GET, &get);
}

static int link_add(struct world *w)
{
	struct dvmm_link_add add = {
		.size = sizeof(add), .node_id = 2, .addr = address("10.77.0.99", 7471), .name = "host2",
	};

	if (ioctl(control, DVMM_LINK_ADD, &add))
		return -1;
	w->link = add.out_fd;
	return 0;
}

static int link_get(struct world *w)
{
	struct dvmm_link_get get = { .size = sizeof(get), .node_id = 2 };

	(void)w;
	return ioctl(control, DVMM_LINK_GET, &get);
}

static int stat_get(struct world *w)
{
	uint64_t values[64];
	struct dvmm_stat_get get = { .size = sizeof(get), .nr = 64, .values = (uintptr_t)values };

	(void)w;
	return ioctl(control, DVMM_STAT_GET, &get);
}

static int vm_create(struct world *w)
{
	static const struct dvmm_vcpu_place places[] = { { 0, 1 }, { 1, 1 } };
	struct dvmm_vm_create create = {
		.size = sizeof(create), .uuid = { 0x11 }, .name = "failnth",
		.nr_places = 2, .places = (uintptr_t)places,
	};

	if (ioctl(control, DVMM_VM_CREATE, &create))
		return -1;
	w->vm = create.out_fd;
	return 0;
}

static int vm_get(struct world *w)
{
	struct dvmm_vm_get get = { .size = sizeof(get) };

	(void)w;
	return ioctl(control, DVMM_VM_GET, &get);
}

static int vm_start(struct world *w)
{
	struct dvmm_vm_start start = { .size = sizeof(start) };

	return ioctl(w->vm, DVMM_VM_START, &start);
}

static int device_open(struct world *w)
{
	w->device = open("/dev/dvmm/vm/11000000-0000-0000-0000-000000000000", O_RDWR | O_CLOEXEC);
	return w->device;
}

static int supported_cpuid(struct world *w)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid;

	cpuid.head.nent = 256;
	return ioctl(w->device, KVM_GET_SUPPORTED_CPUID, &cpuid);
}

static int kvm_create(struct world *w)
{
	w->kvm = ioctl(w->device, KVM_CREATE_VM, 0);
	return w->kvm;
}

static int split_irqchip(struct world *w)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	return ioctl(w->kvm, KVM_ENABLE_CAP, &cap);
}

static int vcpu_create(struct world *w)
{
	w->vcpu = ioctl(w->kvm, KVM_CREATE_VCPU, 0);
	return w->vcpu;
}

static int set_memory(struct world *w)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = MEM_BYTES, .userspace_addr = (uintptr_t)w->mem,
	};

	return ioctl(w->kvm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int touch_memory(struct world *w)
{
	return madvise(w->mem, MEM_BYTES, MADV_POPULATE_WRITE);
}

/* ---- what a step needs, and what is left of it ---- */

static uint8_t byte_of(int page)
{
	return 1 + page % 200;
}

static void anon_memory(struct world *w)
{
	int i;

	w->mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(w->mem != MAP_FAILED, "mmap");
	for (i = 0; i < MEM_PAGES; i++)
		w->mem[i * PAGE] = byte_of(i);
}

/* The contents are there, the page tables are not. */
static void shared_memory(struct world *w)
{
	uint8_t byte;
	int i;

	w->memfd = memfd_create("failnth", MFD_CLOEXEC);
	must(w->memfd >= 0 && !ftruncate(w->memfd, MEM_BYTES), "memfd");
	for (i = 0; i < MEM_PAGES; i++) {
		byte = byte_of(i);
		must(pwrite(w->memfd, &byte, 1, (off_t)i * PAGE) == 1, "memfd");
	}
	w->mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->memfd, 0);
	must(w->mem != MAP_FAILED, "mmap");
}

static int has_contents(const struct world *w)
{
	int i;

	for (i = 0; i < MEM_PAGES; i++) {
		if (w->mem[i * PAGE] == byte_of(i))
			continue;
		printf("# page %d has %#x instead of %#x\n", i, w->mem[i * PAGE], byte_of(i));
		return 0;
	}
	return 1;
}

static void need_link(struct world *w)
{
	must(!link_add(w), "DVMM_LINK_ADD");
}

static void need_vm(struct world *w)
{
	must(!vm_create(w), "DVMM_VM_CREATE");
}

static void need_device(struct world *w)
{
	need_vm(w);
	must(!vm_start(w), "DVMM_VM_START");
	must(device_open(w) >= 0, "the VM's device");
}

static void need_kvm(struct world *w)
{
	need_device(w);
	must(kvm_create(w) >= 0, "KVM_CREATE_VM");
}

static void need_irqchip(struct world *w)
{
	need_kvm(w);
	must(!split_irqchip(w), "KVM_CAP_SPLIT_IRQCHIP");
}

static void need_anon(struct world *w)
{
	need_kvm(w);
	anon_memory(w);
}

static void need_shared(struct world *w)
{
	need_kvm(w);
	shared_memory(w);
}

static void need_adopted(struct world *w)
{
	need_kvm(w);
	w->mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(w->mem != MAP_FAILED && !set_memory(w), "KVM_SET_USER_MEMORY_REGION");
}

static void end(struct world *w)
{
	int *fds[] = { &w->vcpu, &w->kvm, &w->device, &w->vm, &w->link, &w->memfd, &w->made };
	size_t i;

	if (w->mem)
		munmap(w->mem, MEM_BYTES);
	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
}

struct step {
	const char *name;
	void (*need)(struct world *w);
	int (*act)(struct world *w);
};

static const struct step steps[] = {
	{ "control_open", NULL, control_open },
	{ "node_set", NULL, node_set },
	{ "node_get", NULL, node_get },
	{ "link_add", NULL, link_add },
	{ "link_get", need_link, link_get },
	{ "stat_get", NULL, stat_get },
	{ "vm_create", NULL, vm_create },
	{ "vm_get", need_vm, vm_get },
	{ "vm_start", need_vm, vm_start },
	{ "device_open", need_device, device_open },
	{ "supported_cpuid", need_device, supported_cpuid },
	{ "kvm_create", need_device, kvm_create },
	{ "split_irqchip", need_kvm, split_irqchip },
	{ "vcpu_create", need_irqchip, vcpu_create },
	{ "adopt_anonymous", need_anon, set_memory },
	{ "adopt_shared", need_shared, set_memory },
	{ "touch", need_adopted, touch_memory },
};

/* ---- sweeping ---- */

/* EIO: the VM died of it, and says so. */
static int is_good(int error)
{
	return error == ENOMEM || error == EFAULT || error == EIO;
}

/* One try with the nth failing: 1 = something failed, 0 = nothing was left to, -1 = wrong. */
static int try_nth(const struct step *step, int nth)
{
	struct world w = { -1, -1, -1, -1, -1, -1, -1, NULL };
	int ret, error, injected, verdict;

	if (step->need)
		step->need(&w);
	arm(nth);
	ret = step->act(&w);
	error = ret < 0 ? errno : 0;
	injected = disarm();
	verdict = injected;
	if (error && !(injected && is_good(error))) {
		printf("# %s with failure %d: %s\n", step->name, nth, strerror(error));
		verdict = -1;
	}
	/* After an error its memory may be gone, as after any MAP_FIXED that fails. */
	if (!error && step->act == set_memory && !has_contents(&w))
		verdict = -1;
	end(&w);
	return verdict;
}

static void sweep(const struct step *step)
{
	int nth = 0, verdict = 1;

	while (verdict > 0 && nth < MAX_NTH)
		verdict = try_nth(step, ++nth);
	nr_tests++;
	printf("# %s: %d failures\n", step->name, nth - 1);
	/* A call in which nothing ever failed shows nothing. */
	if (verdict || nth == 1) {
		nr_failed++;
		printf("not ");
	}
	printf("ok %d - %s_survives_each_failure\n", nr_tests, step->name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct world none = {};
	size_t i;

	own_address = argc > 1 ? argv[1] : "10.77.0.1";
	nth_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (nth_fd < 0) {
		printf("1..0 # SKIP this kernel has no fault injection\n");
		return 0;
	}
	set_knobs();
	control = open(CONTROL, O_RDWR | O_CLOEXEC);
	must(control >= 0, CONTROL);
	must(!node_set(&none), "DVMM_NODE_SET");
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		sweep(&steps[i]);
	printf("1..%d\n", nr_tests);
	return nr_failed != 0;
}
