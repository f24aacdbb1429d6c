// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/abi/abi.c - the ioctls of /dev/dvmm/control, by TAP: what every one of
 * them promises about its argument, then what each says about its own fields.
 * Runs as root on a host where dvmm.ko was just loaded; ioctls of modules that
 * are not loaded are skipped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/dvmm.h>
#include <dvmm/stat.h>

#define DEVICE "/dev/dvmm/control"
#define ROOM 8192

static int control;
static int nr_tests, nr_failed;
static void * volatile nowhere = (void *)8;
static const char *own_address;

static const char *name_of(int error)
{
	return error ? strerrorname_np(error) : "success";
}

static void report(int ok, const char *title, const char *detail)
{
	nr_tests++;
	nr_failed += !ok;
	printf("%sok %d - %s_%s\n", ok ? "" : "not ", nr_tests, title, detail);
	fflush(stdout);
}

static void expect(const char *title, const char *detail, int want, int got)
{
	if (want != got)
		printf("# wanted %s, got %s\n", name_of(want), name_of(got));
	report(want == got, title, detail);
}

/* The errno of an ioctl, 0 for success. */
static int try(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

/* ---- what every ioctl promises ---- */

static struct dvmm_addr address(const char *ip, unsigned int port)
{
	struct dvmm_addr addr = { .family = AF_INET, .port = port };

	inet_pton(AF_INET, ip, addr.addr);
	return addr;
}

static struct dvmm_node_set good_node(void)
{
	return (struct dvmm_node_set) {
		.size = sizeof(struct dvmm_node_set), .node_id = 1, .epoch = 1,
		.listen = address(own_address, 7471), .name = "host1",
	};
}

static struct dvmm_link_add good_link(void)
{
	return (struct dvmm_link_add) {
		.size = sizeof(struct dvmm_link_add), .node_id = 2,
		.addr = address("10.77.0.99", 7471), .name = "host2",
	};
}

static struct dvmm_vm_create good_vm(void)
{
	return (struct dvmm_vm_create) {
		.size = sizeof(struct dvmm_vm_create), .uuid = { 1 }, .name = "vm1",
	};
}

struct ioctl_case {
	const char *name;
	unsigned long cmd;
	size_t bytes; /* of the struct */
	size_t least; /* size that is accepted */
	size_t reserved[2]; /* offsets of 32-bit fields that must be zero */
};

#define END(type, field) (offsetof(struct type, field) + sizeof(((struct type *)0)->field))
#define OFF(type, field) offsetof(struct type, field)

static const struct ioctl_case cases[] = {
	{ "node_set", DVMM_NODE_SET, sizeof(struct dvmm_node_set), END(dvmm_node_set, name),
	  { OFF(dvmm_node_set, listen.reserved), OFF(dvmm_node_set, reserved) } },
	{ "node_get", DVMM_NODE_GET, sizeof(struct dvmm_node_get), END(dvmm_node_get, out_name), {} },
	{ "epoch_set", DVMM_EPOCH_SET, sizeof(struct dvmm_epoch_set), END(dvmm_epoch_set, members), {} },
	{ "link_add", DVMM_LINK_ADD, sizeof(struct dvmm_link_add), END(dvmm_link_add, reserved),
	  { OFF(dvmm_link_add, reserved), OFF(dvmm_link_add, addr.reserved) } },
	{ "link_get", DVMM_LINK_GET, sizeof(struct dvmm_link_get), END(dvmm_link_get, out_reason), {} },
	{ "stat_get", DVMM_STAT_GET, sizeof(struct dvmm_stat_get), END(dvmm_stat_get, values),
	  { OFF(dvmm_stat_get, reserved) } },
	{ "vm_create", DVMM_VM_CREATE, sizeof(struct dvmm_vm_create), END(dvmm_vm_create, out_vm_id),
	  {} },
	{ "vm_get", DVMM_VM_GET, sizeof(struct dvmm_vm_get), END(dvmm_vm_get, out_reason),
	  { OFF(dvmm_vm_get, reserved) } },
	{ "vcpu_get", DVMM_VCPU_GET, sizeof(struct dvmm_vcpu_get), sizeof(struct dvmm_vcpu_get),
	  { OFF(dvmm_vcpu_get, reserved) } },
	{ "mem_get", DVMM_MEM_GET, sizeof(struct dvmm_mem_get), END(dvmm_mem_get, reserved),
	  { OFF(dvmm_mem_get, reserved) } },
	{ "mem_top", DVMM_MEM_TOP, sizeof(struct dvmm_mem_top), sizeof(struct dvmm_mem_top),
	  { OFF(dvmm_mem_top, reserved) } },
	{ "vm_budget", DVMM_VM_BUDGET, sizeof(struct dvmm_vm_budget), sizeof(struct dvmm_vm_budget),
	  { OFF(dvmm_vm_budget, reserved) } },
	{ "vcpu_move", DVMM_VCPU_MOVE, sizeof(struct dvmm_vcpu_move), sizeof(struct dvmm_vcpu_move),
	  {} },
	{ "vm_join", DVMM_VM_JOIN, sizeof(struct dvmm_vm_join), sizeof(struct dvmm_vm_join),
	  { OFF(dvmm_vm_join, reserved) } },
	{ "mem_empty", DVMM_MEM_EMPTY, sizeof(struct dvmm_mem_empty), sizeof(struct dvmm_mem_empty),
	  { OFF(dvmm_mem_empty, reserved) } },
	{ "mem_rehome", DVMM_MEM_REHOME, sizeof(struct dvmm_mem_rehome),
	  sizeof(struct dvmm_mem_rehome), {} },
	{ "slice_open", DVMM_SLICE_OPEN, sizeof(struct dvmm_slice_open), sizeof(struct dvmm_slice_open),
	  { OFF(dvmm_slice_open, reserved) } },
};

/* A good argument with room behind it. */
static void fill(const struct ioctl_case *c, uint8_t *arg)
{
	struct dvmm_node_set node = good_node();
	struct dvmm_link_add link = good_link();
	struct dvmm_link_get link_get = { .node_id = 2 };
	struct dvmm_vm_create vm = good_vm();
	uint32_t size = c->bytes;

	memset(arg, 0, ROOM);
	if (c->cmd == DVMM_NODE_SET)
		memcpy(arg, &node, sizeof(node));
	if (c->cmd == DVMM_LINK_ADD)
		memcpy(arg, &link, sizeof(link));
	if (c->cmd == DVMM_LINK_GET)
		memcpy(arg, &link_get, sizeof(link_get));
	if (c->cmd == DVMM_VM_CREATE)
		memcpy(arg, &vm, sizeof(vm));
	memcpy(arg, &size, sizeof(size));
}

static int try_size(const struct ioctl_case *c, uint32_t size, size_t nonzero_at)
{
	static uint8_t arg[ROOM];

	fill(c, arg);
	memcpy(arg, &size, sizeof(size));
	if (nonzero_at)
		arg[nonzero_at] = 1;
	return try(control, c->cmd, arg);
}

static int try_word(const struct ioctl_case *c, size_t offset, uint32_t word)
{
	static uint8_t arg[ROOM];

	fill(c, arg);
	memcpy(arg + offset, &word, sizeof(word));
	return try(control, c->cmd, arg);
}

/* The lowest bits. */
static uint32_t known_flags(const struct ioctl_case *c)
{
	return c->cmd == DVMM_VM_CREATE ? DVMM_VM_CREATE_GROWS : 0;
}

/* On a page that cannot be written: EFAULT, and no object left behind. */
static int try_readonly(const struct ioctl_case *c)
{
	void *page = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	fill(c, page);
	mprotect(page, ROOM, PROT_READ);
	ret = try(control, c->cmd, page);
	munmap(page, ROOM);
	return ret;
}

static void check_argument(const struct ioctl_case *c)
{
	int null = open("/dev/null", O_RDWR);
	size_t i;

	if (try_size(c, 0, 0) == ENOTTY) {
		printf("ok %d - %s # SKIP its module is not loaded\n", ++nr_tests, c->name);
		close(null);
		return;
	}
	expect(c->name, "size_zero_is_refused", EINVAL, try_size(c, 0, 0));
	expect(c->name, "short_size_is_refused", EINVAL, try_size(c, c->least - 1, 0));
	expect(c->name, "head_alone_is_refused", EINVAL, try_size(c, 8, 0));
	expect(c->name, "longer_with_unknown_fields_is_refused", E2BIG, try_size(c, c->bytes + 8, c->bytes + 3));
	expect(c->name, "longer_than_a_page_is_refused", E2BIG, try_size(c, 4097, 0));
	expect(c->name, "unknown_flag_is_refused", EINVAL, try_word(c, 4, known_flags(c) + 1));
	expect(c->name, "last_flag_is_refused", EINVAL, try_word(c, 4, known_flags(c) | 1U << 31));
	for (i = 0; i < 2; i++)
		if (c->reserved[i])
			expect(c->name, "reserved_field_is_refused", EINVAL, try_word(c, c->reserved[i], 1));
	expect(c->name, "bad_pointer_is_refused", EFAULT, try(control, c->cmd, (void *)8));
	if (_IOC_DIR(c->cmd) & _IOC_READ)
		expect(c->name, "unwritable_argument_is_refused", EFAULT, try_readonly(c));
	expect(c->name, "foreign_fd_is_refused", ENOTTY, try(null, c->cmd, (void *)8));
	close(null);
}

/* ---- nodes ---- */

static int set_node(void (*spoil)(struct dvmm_node_set *))
{
	struct dvmm_node_set set = good_node();

	if (spoil)
		spoil(&set);
	return try(control, DVMM_NODE_SET, &set);
}

static void id_too_big(struct dvmm_node_set *set) { set->node_id = DVMM_MAX_NODES; }
static void no_epoch(struct dvmm_node_set *set) { set->epoch = 0; }
static void last_epoch(struct dvmm_node_set *set) { set->epoch = set->epoch_high = UINT32_MAX; }
static void late_epoch(struct dvmm_node_set *set) { set->epoch = 2; set->epoch_high = 1; }
static void no_name(struct dvmm_node_set *set) { set->name[0] = 0; }
static void endless_name(struct dvmm_node_set *set) { memset(set->name, 'x', sizeof(set->name)); }
static void no_port(struct dvmm_node_set *set) { set->listen.port = 0; }
static void odd_family(struct dvmm_node_set *set) { set->listen.family = 99; }
static void foreign_address(struct dvmm_node_set *set) { set->listen = address("192.0.2.1", 7471); }
static void other_port(struct dvmm_node_set *set) { set->listen.port = 7472; }

static int get_node(struct dvmm_node_get *get)
{
	*get = (struct dvmm_node_get) { .size = sizeof(*get) };
	return try(control, DVMM_NODE_GET, get);
}

static void check_node(void)
{
	struct dvmm_node_get get;
	struct dvmm_link_add link = good_link();

	expect("node_get", "before_node_set", ENOTCONN, get_node(&get));
	expect("link_add", "before_node_set", ENOTCONN, try(control, DVMM_LINK_ADD, &link));
	expect("node_set", "id_out_of_range", EINVAL, set_node(id_too_big));
	expect("node_set", "without_epoch", EINVAL, set_node(no_epoch));
	expect("node_set", "epoch_after_all_others", EINVAL, set_node(last_epoch));
	expect("node_set", "without_name", EINVAL, set_node(no_name));
	expect("node_set", "name_without_end", EINVAL, set_node(endless_name));
	expect("node_set", "without_port", EINVAL, set_node(no_port));
	expect("node_set", "unknown_family", EOPNOTSUPP, set_node(odd_family));
	report(set_node(foreign_address) != 0, "node_set", "address_of_another_host");
	expect("node_get", "after_failed_node_set", ENOTCONN, get_node(&get));
	expect("node_set", "good", 0, set_node(NULL));
	expect("node_get", "good", 0, get_node(&get));
	report(get.out_node_id == 1 && get.out_epoch == 1 && get.out_abi_version == DVMM_ABI_VERSION &&
	       !strcmp(get.out_name, "host1") && get.out_listen.port == 7471, "node_get", "says_what_was_set");
	expect("node_set", "again_without_links", 0, set_node(other_port));
}

/* ---- epochs ---- */

static int set_epoch(uint64_t epoch, uint64_t members)
{
	struct dvmm_epoch_set set = { .size = sizeof(set), .epoch = epoch, .members = members };

	return try(control, DVMM_EPOCH_SET, &set);
}

static void check_epoch(void)
{
	struct dvmm_link_add link = good_link();
	struct dvmm_link_get state = { .size = sizeof(state), .node_id = 2 };
	struct dvmm_node_get get;

	get_node(&get);
	report(get.out_members == UINT64_MAX, "node_get", "all_are_members_at_first");
	expect("epoch_set", "zero", EINVAL, set_epoch(0, 6));
	expect("epoch_set", "after_all_others", EINVAL, set_epoch(UINT64_MAX, 6));
	expect("epoch_set", "without_this_node", EINVAL, set_epoch(3, 4));
	expect("epoch_set", "good", 0, set_epoch(3, 6));
	expect("epoch_set", "again", 0, set_epoch(3, 6));
	expect("epoch_set", "again_with_other_members", ESTALE, set_epoch(3, 2));
	expect("epoch_set", "older", ESTALE, set_epoch(2, 6));
	expect("link_add", "with_epochs", 0, try(control, DVMM_LINK_ADD, &link));
	expect("epoch_set", "with_a_link", 0, set_epoch(4, 2));
	expect("link_get", "of_no_member", 0, try(control, DVMM_LINK_GET, &state));
	report(state.out_state != DVMM_LINK_UP && strstr(state.out_reason, "no member in epoch 4"), "link_get",
	       "says_that_it_is_no_member");
	close(link.out_fd);
	get_node(&get);
	report(get.out_epoch == 4 && get.out_members == 2, "node_get", "says_the_epoch");
	expect("epoch_set", "of_more_than_32_bits", 0, set_epoch(65536ull << 16, 6));
	expect("epoch_set", "of_32_bits_after_one_of_more", ESTALE, set_epoch(65535u << 16, 6));
	get_node(&get);
	report(get.out_epoch == 0 && get.out_epoch_high == 1, "node_get", "says_all_of_a_long_epoch");
	expect("node_set", "with_an_epoch_of_more_than_32_bits", 0, set_node(late_epoch));
	get_node(&get);
	report(get.out_epoch == 2 && get.out_epoch_high == 1, "node_get", "says_what_epoch_was_set");
	expect("node_set", "begins_anew", 0, set_node(NULL));
}

static void check_longer(void)
{
	uint8_t arg[ROOM];

	fill(&cases[1], arg);
	arg[0] = 0;
	arg[1] = 8; /* 2048 bytes, all zero behind the struct */
	expect("node_get", "longer_with_zeros_is_taken", 0, try(control, DVMM_NODE_GET, arg));
}

/* ---- links ---- */

static int add_link(unsigned int id, unsigned int lost_after_ms, int *out_fd)
{
	struct dvmm_link_add add = good_link();
	int ret;

	add.node_id = id;
	add.lost_after_ms = lost_after_ms;
	ret = try(control, DVMM_LINK_ADD, &add);
	if (!ret && out_fd)
		*out_fd = add.out_fd;
	return ret;
}

static int get_link(unsigned int id, struct dvmm_link_get *get)
{
	*get = (struct dvmm_link_get) { .size = sizeof(*get), .node_id = id };
	return try(control, DVMM_LINK_GET, get);
}

static void check_link(void)
{
	struct dvmm_link_get get;
	struct dvmm_node_get node;
	int fd = -1;

	expect("link_get", "unknown_peer", ENOENT, get_link(2, &get));
	expect("link_get", "id_out_of_range", EINVAL, get_link(DVMM_MAX_NODES, &get));
	expect("link_add", "to_oneself", EINVAL, add_link(1, 0, NULL));
	expect("link_add", "id_out_of_range", EINVAL, add_link(DVMM_MAX_NODES, 0, NULL));
	expect("link_add", "lost_too_soon", EINVAL, add_link(2, 1, NULL));
	expect("link_add", "lost_too_late", EINVAL, add_link(2, 100000000, NULL));
	expect("link_add", "good", 0, add_link(2, 0, &fd));
	report(fcntl(fd, F_GETFD) & FD_CLOEXEC, "link_add", "fd_is_closed_on_exec");
	expect("link_add", "twice", EEXIST, add_link(2, 0, NULL));
	expect("link_get", "good", 0, get_link(2, &get));
	report(get.out_state != DVMM_LINK_UP && !strcmp(get.out_name, "host2"), "link_get", "says_what_was_added");
	expect("node_set", "with_a_link", EBUSY, set_node(NULL));
	expect("link_fd", "takes_no_ioctl", ENOTTY, try(fd, DVMM_LINK_GET, &get));
	get_node(&node);
	report(node.out_nr_links == 1, "node_get", "counts_links");
	close(fd);
	expect("link_get", "after_close", ENOENT, get_link(2, &get));
	expect("link_add", "after_close", 0, add_link(2, 0, &fd));
	close(fd);
}

/* ---- budgets ---- */

#define MIB (1ULL << 20)

static int create_vm(const struct dvmm_vm_budget_on *budgets, unsigned int nr, struct dvmm_vm_create *create)
{
	*create = (struct dvmm_vm_create) {
		.size = sizeof(*create), .uuid = { 0xb0 }, .name = "budget", .nr_budgets = nr, .budgets = (uintptr_t)budgets,
	};
	return try(control, DVMM_VM_CREATE, create);
}

static int refused(const struct dvmm_vm_budget_on *budgets, unsigned int nr)
{
	struct dvmm_vm_create create;
	int ret = create_vm(budgets, nr, &create);

	if (!ret)
		close(create.out_fd);
	return ret;
}

static int budget(unsigned int vm_id, uint64_t bytes, struct dvmm_vm_budget *budget)
{
	*budget = (struct dvmm_vm_budget) { .size = sizeof(*budget), .vm_id = vm_id, .bytes = bytes };
	return try(control, DVMM_VM_BUDGET, budget);
}

static void check_new_budgets(void)
{
	struct dvmm_vm_budget_on one = { .node_id = 1, .bytes = 100 * MIB }, two[2] = { one, one };

	expect("vm_create", "budget_twice_for_a_node", EINVAL, refused(two, 2));
	expect("vm_create", "more_budgets_than_nodes", EINVAL, refused(two, DVMM_MAX_NODES + 1));
	expect("vm_create", "bad_budgets_pointer", EFAULT, refused((void *)8, 1));
	one.reserved = 1;
	expect("vm_create", "reserved_of_a_budget", EINVAL, refused(&one, 1));
	one = (struct dvmm_vm_budget_on) { .node_id = 1, .bytes = DVMM_BUDGET_MIN - 1 };
	expect("vm_create", "budget_too_small", EINVAL, refused(&one, 1));
	one = (struct dvmm_vm_budget_on) { .node_id = 2, .bytes = 100 * MIB };
	expect("vm_create", "budget_of_a_node_without_a_part", EINVAL, refused(&one, 1));
	one.node_id = DVMM_MAX_NODES;
	expect("vm_create", "budget_of_an_impossible_node", EINVAL, refused(&one, 1));
}

static void check_budget(void)
{
	struct dvmm_vm_budget_on here = { .node_id = 1, .bytes = 100 * MIB };
	struct dvmm_vm_create vm = {};
	struct dvmm_vm_budget got;

	if (create_vm(NULL, 0, &vm) == ENOTTY) {
		printf("ok %d - budgets # SKIP dvmm-vcpu is not loaded\n", ++nr_tests);
		return;
	}
	close(vm.out_fd);
	check_new_budgets();
	expect("vm_create", "with_a_budget", 0, create_vm(&here, 1, &vm));
	expect("vm_budget", "of_an_unknown_vm", ENOENT, budget(vm.out_vm_id + 1, 0, &got));
	expect("vm_budget", "asked_for", 0, budget(vm.out_vm_id, DVMM_BUDGET_KEEP, &got));
	report(got.out_bytes == 100 * MIB && !got.out_resident, "vm_budget", "is_what_the_vm_was_given");
	expect("vm_budget", "too_small", EINVAL, budget(vm.out_vm_id, DVMM_BUDGET_MIN - 1, &got));
	expect("vm_budget", "changed", 0, budget(vm.out_vm_id, 50 * MIB, &got));
	report(got.out_bytes == 50 * MIB, "vm_budget", "is_changed");
	expect("vm_budget", "none", 0, budget(vm.out_vm_id, DVMM_BUDGET_NONE, &got));
	report(got.out_bytes == DVMM_BUDGET_NONE, "vm_budget", "is_none");
	expect("vm_budget", "default", 0, budget(vm.out_vm_id, DVMM_BUDGET_DEFAULT, &got));
	report(got.out_bytes == DVMM_BUDGET_NONE, "vm_budget", "default_is_none");
	close(vm.out_fd);
	expect("vm_budget", "of_a_vm_that_ended", ENOENT, budget(vm.out_vm_id, 0, &got));
}

/* ---- counters ---- */

static int get_stat(unsigned int kind, unsigned int id, unsigned int nr, uint64_t *values, unsigned int *out_nr)
{
	struct dvmm_stat_get get = {
		.size = sizeof(get), .kind = kind, .id = id, .nr = nr, .values = (uintptr_t)values,
	};
	int ret = try(control, DVMM_STAT_GET, &get);

	*out_nr = get.nr;
	return ret;
}

static void check_stat(void)
{
	uint64_t values[64];
	unsigned int nr = 0;

	expect("stat_get", "unknown_kind", EINVAL, get_stat(99, 0, 64, values, &nr));
	expect("stat_get", "unknown_link", ENOENT, get_stat(DVMM_STAT_LINK, 9, 64, values, &nr));
	expect("stat_get", "good", 0, get_stat(DVMM_STAT_NODE, 0, 64, values, &nr));
	report(nr == DVMM_NR_STAT_NODE, "stat_get", "says_how_many_there_are");
	memset(values, 0xee, sizeof(values));
	expect("stat_get", "little_room", 0, get_stat(DVMM_STAT_NODE, 0, 1, values, &nr));
	report(nr == DVMM_NR_STAT_NODE && values[1] == 0xeeeeeeeeeeeeeeeeULL, "stat_get", "keeps_within_the_room");
	expect("stat_get", "no_room_asks_how_many", 0, get_stat(DVMM_STAT_NODE, 0, 0, NULL, &nr));
	expect("stat_get", "bad_values_pointer", EFAULT, get_stat(DVMM_STAT_NODE, 0, 64, (void *)8, &nr));
}

/* ---- hot pages ---- */

static int get_top(unsigned int vm_id, unsigned int page_bytes, void *pages, unsigned int *out_nr)
{
	struct dvmm_mem_top top = {
		.size = sizeof(top), .vm_id = vm_id, .nr = DVMM_MEM_TOP_MAX,
		.page_bytes = page_bytes, .pages = (uintptr_t)pages,
	};
	int ret = try(control, DVMM_MEM_TOP, &top);

	*out_nr = top.nr;
	return ret;
}

static void check_top(void)
{
	struct dvmm_vm_create vm = { .size = sizeof(vm), .name = "top", .uuid = { 1 } };
	struct dvmm_mem_page pages[DVMM_MEM_TOP_MAX];
	unsigned int nr, bytes = sizeof(pages[0]);

	if (try(control, DVMM_MEM_TOP, NULL) == ENOTTY) {
		printf("ok %d - mem_top # SKIP its module is not loaded\n", ++nr_tests);
		return;
	}
	expect("mem_top", "unknown_vm", ENOENT, get_top(0, bytes, pages, &nr));
	expect("vm_create", "for_mem_top", 0, try(control, DVMM_VM_CREATE, &vm));
	expect("mem_top", "without_bytes_of_a_page", EINVAL, get_top(vm.out_vm_id, 0, pages, &nr));
	expect("mem_top", "short_page", EINVAL, get_top(vm.out_vm_id, bytes - 8, pages, &nr));
	expect("mem_top", "odd_page", EINVAL, get_top(vm.out_vm_id, bytes + 4, pages, &nr));
	expect("mem_top", "page_longer_than_a_page", E2BIG, get_top(vm.out_vm_id, 4104, pages, &nr));
	expect("mem_top", "longer_page_is_taken", 0, get_top(vm.out_vm_id, bytes + 8, pages, &nr));
	expect("mem_top", "of_a_fresh_vm", 0, get_top(vm.out_vm_id, bytes, pages, &nr));
	report(nr == 0, "mem_top", "says_how_many_there_are");
	close(vm.out_fd);
}

/* ---- homes of memory ---- */

static int create_with(struct dvmm_home_range *homes, unsigned int nr)
{
	struct dvmm_vm_create create = good_vm();
	int ret;

	create.nr_homes = nr;
	create.homes = (uintptr_t)homes;
	ret = try(control, DVMM_VM_CREATE, &create);
	if (!ret)
		close(create.out_fd);
	return ret;
}

static int create_spoilt(void (*spoil)(struct dvmm_home_range *homes))
{
	/* The second begins where the first ends. */
	struct dvmm_home_range homes[2] = { { .start = 0, .bytes = 1 << 30, .node_id = 1 },
					    { .start = 1 << 30, .bytes = 4096, .node_id = 1 } };

	if (spoil)
		spoil(homes);
	return create_with(homes, 2);
}

static void range_of_nothing(struct dvmm_home_range *homes) { homes[1].bytes = 0; }
static void odd_start(struct dvmm_home_range *homes) { homes[1].start += 8; }
static void odd_bytes(struct dvmm_home_range *homes) { homes[1].bytes += 8; }
static void endless_range(struct dvmm_home_range *homes) { homes[1].bytes = -4096ULL; }
static void overlap(struct dvmm_home_range *homes) { homes[1].start -= 4096; }
static void home_elsewhere(struct dvmm_home_range *homes) { homes[0].node_id = 2; }
static void no_such_node(struct dvmm_home_range *homes) { homes[0].node_id = 64; }
static void reserved_used(struct dvmm_home_range *homes) { homes[0].reserved = 1; }

static int rehome(unsigned int vm, unsigned int mem, unsigned long long extent, unsigned int node,
		  unsigned int from)
{
	struct dvmm_mem_rehome arg = { .size = sizeof(arg), .vm_id = vm, .mem_id = mem,
				       .extent = extent, .node_id = node, .from_node = from };

	return try(control, DVMM_MEM_REHOME, &arg);
}

static void check_move(unsigned int vm)
{
	struct dvmm_vcpu_move arg = { .size = sizeof(arg), .vm_id = 99, .node_id = 1 };

	expect("vcpu_move", "no_such_vm", ENOENT, try(control, DVMM_VCPU_MOVE, &arg));
	arg.vm_id = vm;
	expect("vcpu_move", "no_such_vcpu", ENOENT, try(control, DVMM_VCPU_MOVE, &arg));
	report(strstr(arg.out_reason, "has not created vCPU 0") != NULL, "vcpu_move", "says_why");
	arg.vcpu_id = 4000000000U;
	expect("vcpu_move", "vcpu_beyond_all", ENOENT, try(control, DVMM_VCPU_MOVE, &arg));
}

static int join(unsigned int vm, unsigned int node, uint64_t bytes, char *reason)
{
	struct dvmm_vm_join arg = { .size = sizeof(arg), .vm_id = vm, .node_id = node, .budget = bytes };
	int ret = try(control, DVMM_VM_JOIN, &arg);

	memcpy(reason, arg.out_reason, sizeof(arg.out_reason));
	return ret;
}

/* Of a VM that has no other node yet, and waits for its VMM. */
static void check_join_of_one(void)
{
	struct dvmm_vm_create create = good_vm();
	char reason[DVMM_REASON_SIZE];

	create.uuid[0] = 0xb1;
	create.flags = DVMM_VM_CREATE_GROWS;
	expect("vm_create", "that_grows", 0, try(control, DVMM_VM_CREATE, &create));
	expect("vm_join", "vm_that_grows_before_it_runs", EBUSY, join(create.out_vm_id, 2, 0, reason));
	close(create.out_fd);
}

/* Of a VM that has a part on node 2 and waits for its VMM. */
static void check_join_of_two(void)
{
	struct dvmm_vcpu_place place = { .vcpu_id = 1, .node_id = 2 };
	struct dvmm_vm_create create = good_vm();
	char reason[DVMM_REASON_SIZE];

	create.uuid[0] = 0xb1;
	create.places = (uintptr_t)&place;
	create.nr_places = 1;
	expect("vm_create", "for_vm_join", 0, try(control, DVMM_VM_CREATE, &create));
	expect("vm_join", "node_of_the_vm", EEXIST, join(create.out_vm_id, 2, 0, reason));
	expect("vm_join", "before_the_vm_runs", EBUSY, join(create.out_vm_id, 3, 0, reason));
	report(strstr(reason, "has not started") != NULL, "vm_join", "says_why");
	close(create.out_fd);
}

static void check_join(unsigned int vm)
{
	char reason[DVMM_REASON_SIZE];

	expect("vm_join", "no_such_vm", ENOENT, join(99, 2, 0, reason));
	expect("vm_join", "no_such_node", EINVAL, join(vm, DVMM_MAX_NODES, 0, reason));
	expect("vm_join", "budget_too_small", EINVAL, join(vm, 2, DVMM_BUDGET_MIN - 1, reason));
	expect("vm_join", "the_origin", EEXIST, join(vm, 1, 0, reason));
	expect("vm_join", "vm_without_other_nodes", ENOTCONN, join(vm, 2, 0, reason));
	report(strstr(reason, "--grow") != NULL, "vm_join", "says_what_to_do");
	check_join_of_one();
	check_join_of_two();
}

static int empty(unsigned int vm, unsigned int node, unsigned int timeout_ms)
{
	struct dvmm_mem_empty arg = { .size = sizeof(arg), .vm_id = vm, .node_id = node,
				      .timeout_ms = timeout_ms };

	return try(control, DVMM_MEM_EMPTY, &arg);
}

static void check_empty(unsigned int vm)
{
	expect("mem_empty", "no_such_vm", ENOENT, empty(99, 2, 0));
	expect("mem_empty", "no_such_node", EINVAL, empty(vm, 64, 0));
	expect("mem_empty", "no_node_of_the_vm", ENOTCONN, empty(vm, 2, 0));
	expect("mem_empty", "the_origin", EBUSY, empty(vm, 1, 0));
	expect("mem_empty", "timeout", EINVAL, empty(vm, 2, 20001));
}

static void check_rehome(void)
{
	struct dvmm_vm_create create = good_vm();
	unsigned int vm;

	expect("mem_rehome", "no_such_vm", ENOENT, rehome(99, 0, 0, 1, DVMM_ANY_NODE));
	if (try(control, DVMM_VM_CREATE, &create))
		return;
	vm = create.out_vm_id;
	expect("mem_rehome", "no_such_node", EINVAL, rehome(vm, 0, 0, 64, DVMM_ANY_NODE));
	expect("mem_rehome", "no_node_of_the_vm", EINVAL, rehome(vm, 0, 0, 2, DVMM_ANY_NODE));
	expect("mem_rehome", "from_no_such_node", EINVAL, rehome(vm, 0, 0, 1, 64));
	expect("mem_rehome", "extent_of_all_objects", EINVAL, rehome(vm, 0, 1, 1, DVMM_ANY_NODE));
	expect("mem_rehome", "no_memory_yet", ENOENT, rehome(vm, 0, 0, 1, DVMM_ANY_NODE));
	check_move(vm);
	check_join(vm);
	check_empty(vm);
	close(create.out_fd);
}

static void check_homes(void)
{
	struct dvmm_home_range many[DVMM_MAX_HOME_RANGES + 1] = { { 0 } };
	unsigned int i;

	if (create_with(NULL, 0) == ENOTTY)
		return;
	for (i = 0; i <= DVMM_MAX_HOME_RANGES; i++)
		many[i] = (struct dvmm_home_range){ .start = i * 4096ULL, .bytes = 4096, .node_id = 1 };
	expect("vm_create", "with_homes", 0, create_spoilt(NULL));
	expect("vm_create", "as_many_homes_as_there_may_be", 0, create_with(many, DVMM_MAX_HOME_RANGES));
	expect("vm_create", "too_many_homes", EINVAL, create_with(many, DVMM_MAX_HOME_RANGES + 1));
	expect("vm_create", "homes_that_are_not_there", EFAULT, create_with((void *)8, 1));
	expect("vm_create", "home_of_nothing", EINVAL, create_spoilt(range_of_nothing));
	expect("vm_create", "home_starts_within_a_page", EINVAL, create_spoilt(odd_start));
	expect("vm_create", "home_ends_within_a_page", EINVAL, create_spoilt(odd_bytes));
	expect("vm_create", "home_without_end", EINVAL, create_spoilt(endless_range));
	expect("vm_create", "homes_overlap", EINVAL, create_spoilt(overlap));
	expect("vm_create", "home_at_no_node_of_the_vm", EINVAL, create_spoilt(home_elsewhere));
	expect("vm_create", "home_at_no_such_node", EINVAL, create_spoilt(no_such_node));
	expect("vm_create", "reserved_field_of_a_home", EINVAL, create_spoilt(reserved_used));
	check_rehome();
}

/* ---- events ---- */

static void check_events(void)
{
	char small[sizeof(struct dvmm_event) - 1];
	struct pollfd fd = { .events = POLLIN };
	struct dvmm_event event;
	ssize_t bytes;

	fd.fd = open(DEVICE, O_RDWR | O_NONBLOCK);
	report(read(fd.fd, small, sizeof(small)) < 0 && errno == EINVAL, "read", "into_too_little_room");
	while ((bytes = read(fd.fd, &event, sizeof(event))) > 0)
		;
	report(bytes < 0 && errno == EAGAIN, "read", "without_events_does_not_block_if_asked");
	report(poll(&fd, 1, 0) == 0, "poll", "without_events");
	report(read(fd.fd, nowhere, sizeof(event)) < 0, "read", "into_nowhere");
	expect("control", "unknown_ioctl", ENOTTY, try(fd.fd, _IO(DVMM_IOC, 0xff), NULL));
	expect("control", "other_direction", ENOTTY, try(fd.fd, _IO(DVMM_IOC, 0x01), NULL));
	close(fd.fd);
}

/* ---- rights ---- */

static int link_add_on_our_fd(void)
{
	struct dvmm_link_add add = good_link();

	return try(control, DVMM_LINK_ADD, &add);
}

static int epoch_set_on_our_fd(void)
{
	return set_epoch(9, 6);
}

static int vm_join_on_our_fd(void)
{
	char reason[DVMM_REASON_SIZE];

	return join(99, 2, 0, reason);
}

static int open_device(void)
{
	return open(DEVICE, O_RDWR) < 0 ? errno : 0;
}

/* The errno that a process without rights gets. */
static int as_nobody(int (*act)(void))
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(255);
		_exit(act());
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static void check_rights(void)
{
	expect("control", "open_by_nobody", EACCES, as_nobody(open_device));
	expect("link_add", "by_nobody_on_a_passed_fd", EPERM, as_nobody(link_add_on_our_fd));
	expect("epoch_set", "by_nobody_on_a_passed_fd", EPERM, as_nobody(epoch_set_on_our_fd));
	if (try(control, DVMM_VM_JOIN, NULL) != ENOTTY)
		expect("vm_join", "by_nobody_on_a_passed_fd", EPERM, as_nobody(vm_join_on_our_fd));
}

int main(int argc, char **argv)
{
	size_t i;

	own_address = argc > 1 ? argv[1] : "10.77.0.1";
	control = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (control < 0) {
		perror(DEVICE);
		return 1;
	}
	expect("epoch_set", "before_node_set", ENOTCONN, set_epoch(1, 2));
	check_node();
	check_epoch();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_argument(&cases[i]);
	check_longer();
	check_link();
	check_budget();
	check_stat();
	check_top();
	check_homes();
	check_events();
	check_rights();
	printf("1..%d\n", nr_tests);
	return nr_failed != 0;
}
