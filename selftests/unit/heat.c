// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/heat.c - dsm/heat.c as a program: which pages are in the list, how hot. */
#include <errno.h>
#include <linux/dvmm.h>
#include <stdlib.h>
#include <string.h>
#include "../../dsm/proto.h"
#include "tap.h"

/* What of the kernel and of dsm/internal.h it uses. */
#define DSM_INTERNAL_H
#define HZ 100
#define GFP_KERNEL 0
#define EXPORT_SYMBOL_GPL(name) _Static_assert(1, #name)
#define kzalloc(bytes, flags) calloc(1, bytes)
#define kfree free
#define sort(base, nr, bytes, compare, swap) qsort(base, nr, bytes, compare)
#define mutex_lock(lock) ((void)(lock))
#define mutex_unlock(lock) ((void)(lock))
#define spin_lock_init(lock) (*(lock) = 0)
#define spin_lock(lock) assert_true(spin_trylock(lock))
#define spin_trylock(lock) (!*(lock) && ++*(lock))
#define spin_unlock(lock) (--*(lock))

typedef int spinlock_t;

static unsigned long jiffies = 1000;

struct dsm_vm {
	int lock;
	u8 self, origin;
	struct heat *heat;
};

struct dsm_mem {
	struct dsm_vm *vm;
	u32 id;
};

struct dsm_page {
	struct proto_node node;
};

struct page_ref {
	struct dsm_mem *mem;
	u64 index;
	struct dsm_page *page;
};

static struct dsm_vm vm = { .self = 1, .origin = 1 };
static struct dsm_mem mem = { .vm = &vm, .id = 3 };

static struct dsm_mem *mem_find(struct dsm_vm *of, u32 id)
{
	return of && id == mem.id ? &mem : NULL;
}

static u8 home_of(const struct dsm_mem *of, u64 index)
{
	return of->vm->self + index % 2;
}

#include "../../dsm/heat.c"

static struct dvmm_mem_page pages[DVMM_MEM_TOP_MAX];

static void take(u64 index, u8 state, u8 by)
{
	struct dsm_page page = { .node.state = state };

	heat_taken(&(struct page_ref){ .mem = &mem, .index = index, .page = &page }, by);
}

static struct page_ref at(u64 index)
{
	return (struct page_ref){ .mem = &mem, .index = index };
}

static int begin_test(void **state)
{
	(void)state;
	heat_free_vm(&vm);
	return heat_init_vm(&vm);
}

static int end_test(void **state)
{
	(void)state;
	heat_free_vm(&vm);
	vm.heat = NULL;
	return 0;
}

static void first_misses_are_no_fight(void **state)
{
	struct page_ref ref = at(7);

	(void)state;
	heat_missed(&ref, PROTO_READ);
	heat_waited(&ref, 5);
	heat_put_off(&ref);
	assert_int_equal(dsm_mem_top(&vm, pages), 0);
}

static void a_fought_page_tells_all(void **state)
{
	struct page_ref ref = at(7);

	(void)state;
	take(7, PROTO_M, 2);
	take(7, PROTO_E, 5);
	take(7, PROTO_S, 2);
	heat_missed(&ref, PROTO_READ);
	heat_missed(&ref, PROTO_WRITE);
	heat_waited(&ref, 300);
	heat_waited(&ref, 500);
	heat_put_off(&ref);
	assert_int_equal(dsm_mem_top(&vm, pages), 1);
	assert_int_equal(pages[0].mem_id, 3);
	assert_int_equal(pages[0].page, 7);
	assert_int_equal(pages[0].home, 2);
	assert_true(pages[0].gpa == DVMM_NO_GPA);
	assert_int_equal(pages[0].nodes, 1 << 1 | 1 << 2 | 1 << 5);
	assert_int_equal(pages[0].takes, 2);
	assert_int_equal(pages[0].invalidations, 1);
	assert_int_equal(pages[0].read_misses, 1);
	assert_int_equal(pages[0].write_misses, 1);
	assert_int_equal(pages[0].put_off, 1);
	assert_int_equal(pages[0].waits, 2);
	assert_int_equal(pages[0].wait_ns, 800);
	assert_int_equal(pages[0].heat, 5);
}

/* Space-saving: whoever makes up more than 1/64 of the stream is never lost. */
static void a_hot_page_outlives_a_stream(void **state)
{
	u64 i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		take(1000 + i, PROTO_M, 2);
		if (i % 32 == 0)
			take(7, PROTO_M, 2);
	}
	assert_int_equal(dsm_mem_top(&vm, pages), DVMM_MEM_TOP_MAX);
	assert_int_equal(pages[0].page, 7);
	assert_int_equal(pages[0].takes, 3125);
	assert_int_equal(pages[0].heat, 3125);
	assert_int_equal(pages[1].heat, 1);
}

static void heat_is_halved_and_forgotten(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 8; i++)
		take(7, PROTO_M, 2);
	jiffies += 10 * HZ;
	take(7, PROTO_M, 4);
	assert_int_equal(dsm_mem_top(&vm, pages), 1);
	assert_int_equal(pages[0].heat, 5);
	assert_int_equal(pages[0].nodes, 1 << 2 | 1 << 4);
	jiffies += 10 * HZ;
	dsm_mem_top(&vm, pages);
	assert_int_equal(pages[0].heat, 2);
	assert_int_equal(pages[0].nodes, 1 << 4);
	assert_int_equal(pages[0].takes, 9);
	jiffies += 25 * HZ;
	assert_int_equal(dsm_mem_top(&vm, pages), 0);
	jiffies += 1000000 * HZ;
	assert_int_equal(dsm_mem_top(&vm, pages), 0);
}

static void who_finds_the_lock_taken_goes_on(void **state)
{
	(void)state;
	take(7, PROTO_M, 2);
	vm.heat->lock = 1;
	take(7, PROTO_M, 2);
	vm.heat->lock = 0;
	dsm_mem_top(&vm, pages);
	assert_int_equal(pages[0].takes, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_misses_are_no_fight, begin_test, end_test),
		cmocka_unit_test_setup_teardown(a_fought_page_tells_all, begin_test, end_test),
		cmocka_unit_test_setup_teardown(a_hot_page_outlives_a_stream, begin_test, end_test),
		cmocka_unit_test_setup_teardown(heat_is_halved_and_forgotten, begin_test, end_test),
		cmocka_unit_test_setup_teardown(who_finds_the_lock_taken_goes_on, begin_test, end_test),
	};

	return run_as_tap(tests);
}
