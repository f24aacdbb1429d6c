// SPDX-License-Identifier: GPL-2.0-only
/* selftests/debug/planted.c - one bug of each kind that the debug kernel's checkers
 * are there for, by the parameter bug=. planted.py looks that each is seen.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *bug = "";
module_param(bug, charp, 0);
MODULE_PARM_DESC(bug, "what goes wrong");

static DEFINE_MUTEX(lock_a);
static DEFINE_MUTEX(lock_b);
static DEFINE_SPINLOCK(spin);
static u8 table[8];
static void *kept;

static void leak(void)
{
	kept = kmalloc(64, GFP_KERNEL);
	kept = NULL;
}

static void use_after_free(void)
{
	u8 *freed = kmalloc(64, GFP_KERNEL);

	kfree(freed);
	if (freed && READ_ONCE(freed[8]))
		pr_info("planted: it was not zero\n");
}

static void lock_order(void)
{
	mutex_lock(&lock_a);
	mutex_lock(&lock_b);
	mutex_unlock(&lock_b);
	mutex_unlock(&lock_a);
	mutex_lock(&lock_b);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
	mutex_unlock(&lock_b);
}

static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	msleep(1);
	spin_unlock(&spin);
}

static void out_of_bounds(void)
{
	WRITE_ONCE(table[8 + strlen(bug) % 2], 1);
}

static const struct {
	const char *name;
	void (*plant)(void);
} bugs[] = {
	{ "leak", leak },
	{ "use_after_free", use_after_free },
	{ "lock_order", lock_order },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "out_of_bounds", out_of_bounds },
};

static int __init planted_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++)
		if (!strcmp(bugs[i].name, bug))
			bugs[i].plant();
	return 0;
}
module_init(planted_init);

static void __exit planted_exit(void)
{
}
module_exit(planted_exit);

MODULE_DESCRIPTION("Bugs that the checkers of a debug kernel must see");
MODULE_LICENSE("GPL");
