/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/dsm/user/shim.h - what dsm/ uses of the kernel and of kmod/, for a
 * program: one process is one node. Threads and plain locks; a page is mapped
 * nowhere, so that whoever holds the page lock may use it. See nodes.c.
 */
#ifndef SHIM_H
#define SHIM_H

#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __s16 s16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned int gfp_t;
typedef unsigned long pgoff_t;

/* ---- words ---- */

#define __init
#define __exit
#define __printf(a, b) __attribute__((format(gnu_printf, a, b)))
#define ____cacheline_aligned_in_smp __attribute__((aligned(64)))
#define EXPORT_SYMBOL_GPL(symbol) struct shim_export
#define module_param(name, type, mode) struct shim_export
#define MODULE_PARM_DESC(name, text) struct shim_export
#define THIS_MODULE NULL
#define fallthrough __attribute__((__fallthrough__))
#define lockdep_assert_held(lock) ((void)(lock))
#define might_sleep() ((void)0)
#define cond_resched() ((void)0)
#define __acquires(lock)
#define __releases(lock)
#define __must_check
#define __user

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_load_acquire(at) __atomic_load_n(at, __ATOMIC_ACQUIRE)
#define smp_store_release(at, value) __atomic_store_n(at, value, __ATOMIC_RELEASE)
#define cmpxchg(at, old, new) ({ \
	__typeof__(*(at)) shim_old = (old); \
	__atomic_compare_exchange_n(at, &shim_old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	shim_old; })
#define abs(n) llabs(n)
#define DIV_ROUND_UP_ULL(a, b) (((u64)(a) + (b) - 1) / (b))
#define time_before(a, b) ((long)((a) - (b)) < 0)
#define U32_MAX 0xffffffffu
#define swap(a, b) do { __typeof__(a) shim_a = (a); (a) = (b); (b) = shim_a; } while (0)

#define min(a, b) ({ __typeof__(a) shim_a = (a); __typeof__(b) shim_b = (b); shim_a < shim_b ? shim_a : shim_b; })
#define max(a, b) ({ __typeof__(a) shim_a = (a); __typeof__(b) shim_b = (b); shim_a > shim_b ? shim_a : shim_b; })
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define clamp_t(type, value, low, high) min_t(type, max_t(type, value, low), high)
#define container_of(at, type, member) ((type *)((char *)(at) - offsetof(type, member)))
#define IS_ERR(at) ((unsigned long)(at) >= (unsigned long)-4095)
#define PTR_ERR(at) ((long)(at))
#define ERR_PTR(err) ((void *)(long)(err))
#define PTR_ERR_OR_ZERO(at) (IS_ERR(at) ? (int)PTR_ERR(at) : 0)
#define WARN_ON_ONCE(what) ({ bool shim_bad = (what); assert(!shim_bad); shim_bad; })
#define BIT_ULL(nr) (1ull << (nr))
#define hweight64(set) ((unsigned int)__builtin_popcountll(set))
#define __ffs64(set) ((u8)__builtin_ctzll(set))

#define cpu_to_le16(x) ((__le16)(u16)(x))
#define cpu_to_le32(x) ((__le32)(u32)(x))
#define cpu_to_le64(x) ((__le64)(u64)(x))
#define le16_to_cpu(x) ((u16)(x))
#define le32_to_cpu(x) ((u32)(x))
#define le64_to_cpu(x) ((u64)(x))

#define pr_err(...) fprintf(stderr, __VA_ARGS__)
#define pr_warn(...) fprintf(stderr, __VA_ARGS__)
#define pr_info(...) fprintf(stderr, __VA_ARGS__)
#define pr_warn_ratelimited(...) fprintf(stderr, __VA_ARGS__)

static inline void *memchr_inv(const void *at, int c, size_t len)
{
	const u8 *byte = at;

	for (; len; len--, byte++)
		if (*byte != c)
			return (void *)byte;
	return NULL;
}

static inline u64 div_u64(u64 a, u32 b) { return a / b; }
static inline u64 div64_u64_rem(u64 a, u64 b, u64 *rem) { *rem = a % b; return a / b; }
#define do_div(a, b) ({ u32 shim_rem = (a) % (b); (a) /= (b); shim_rem; })
static inline u32 hash_ptr(const void *at, unsigned int bits)
{
	return ((u64)(uintptr_t)at * 0x61c8864680b583ebull) >> (64 - bits);
}

/* ---- time: one jiffy is 1 ms, one tick of the TSC 1 ns ---- */

#define NSEC_PER_USEC 1000L
typedef s64 ktime_t;
static inline u64 ktime_get_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}
#define jiffies ((unsigned long)(ktime_get_ns() / 1000000))
#define msecs_to_jiffies(ms) ((unsigned long)(ms))
#define jiffies_to_msecs(j) ((unsigned int)(j))
#define ns_to_ktime(ns) ((ktime_t)(ns))
#define rdtsc() ktime_get_ns()
static const unsigned int tsc_khz __attribute__((unused)) = 1000000;
static inline void usleep_range(unsigned long low, unsigned long high)
{
	usleep((low + high) / 2);
}

/* ---- counts ---- */

typedef struct { int value; } atomic_t;
typedef struct { long value; } atomic_long_t;
typedef struct { s64 value; } atomic64_t;
typedef atomic_t refcount_t;
#define ATOMIC_INIT(n) { n }
#define ATOMIC_LONG_INIT(n) { n }
#define atomic_read(at) __atomic_load_n(&(at)->value, __ATOMIC_SEQ_CST)
#define atomic_inc(at) ((void)__atomic_add_fetch(&(at)->value, 1, __ATOMIC_SEQ_CST))
#define atomic_dec(at) ((void)__atomic_sub_fetch(&(at)->value, 1, __ATOMIC_SEQ_CST))
#define atomic_inc_return(at) __atomic_add_fetch(&(at)->value, 1, __ATOMIC_SEQ_CST)
#define atomic_dec_and_test(at) (!__atomic_sub_fetch(&(at)->value, 1, __ATOMIC_SEQ_CST))
#define atomic_xchg(at, n) __atomic_exchange_n(&(at)->value, n, __ATOMIC_SEQ_CST)
#define atomic_xchg_acquire(at, n) __atomic_exchange_n(&(at)->value, n, __ATOMIC_ACQUIRE)
#define atomic_set(at, n) __atomic_store_n(&(at)->value, n, __ATOMIC_SEQ_CST)
#define atomic_set_release(at, n) __atomic_store_n(&(at)->value, n, __ATOMIC_RELEASE)
#define atomic_long_read(at) atomic_read(at)
#define atomic_long_set(at, n) __atomic_store_n(&(at)->value, n, __ATOMIC_SEQ_CST)
#define atomic_long_add(n, at) ((void)__atomic_add_fetch(&(at)->value, n, __ATOMIC_SEQ_CST))
#define atomic_long_sub(n, at) atomic_long_add(-(n), at)
#define atomic_long_inc(at) atomic_long_add(1, at)
#define atomic_long_dec(at) atomic_long_add(-1, at)
#define atomic_long_xchg(at, n) atomic_xchg(at, n)
#define atomic64_add(n, at) ((void)__atomic_add_fetch(&(at)->value, n, __ATOMIC_SEQ_CST))
#define atomic64_inc(at) atomic64_add(1, at)
#define refcount_set(at, n) __atomic_store_n(&(at)->value, n, __ATOMIC_SEQ_CST)
#define refcount_dec_and_test(at) atomic_dec_and_test(at)
static inline bool refcount_inc_not_zero(refcount_t *ref)
{
	int old = ref->value;

	while (old && !__atomic_compare_exchange_n(&ref->value, &old, old + 1, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	return old;
}

struct kref { refcount_t count; };
#define kref_init(ref) refcount_set(&(ref)->count, 1)
#define kref_get(ref) atomic_inc(&(ref)->count)
#define kref_put(ref, release) do { \
	struct kref *shim_ref = (ref); \
	if (refcount_dec_and_test(&shim_ref->count)) \
		release(shim_ref); \
} while (0)

/* ---- locks and waiting ---- */

struct mutex { pthread_mutex_t m; };
#define mutex_init(lock) pthread_mutex_init(&(lock)->m, NULL)
#define mutex_destroy(lock) pthread_mutex_destroy(&(lock)->m)
#ifdef SHIM_PAGE_LOCKS /* of page.c: none are taken but those */
#define mutex_lock(lock) (pthread_mutex_lock(&(lock)->m), (void)shim_must_not_wait++)
#define mutex_lock_killable(lock) (mutex_lock(lock), 0)
#define mutex_unlock(lock) (pthread_mutex_unlock(&(lock)->m), (void)shim_must_not_wait--)
extern __thread int shim_must_not_wait;
#else
#define mutex_lock(lock) pthread_mutex_lock(&(lock)->m)
#define mutex_lock_killable(lock) (mutex_lock(lock), 0)
#define mutex_unlock(lock) pthread_mutex_unlock(&(lock)->m)
#endif
typedef struct mutex spinlock_t;
static inline bool mutex_is_locked(struct mutex *lock)
{
	bool free = !pthread_mutex_trylock(&lock->m);

	if (free)
		pthread_mutex_unlock(&lock->m);
	return !free;
}
#define spin_lock_init(lock) mutex_init(lock)
#define spin_lock(lock) mutex_lock(lock)
#define spin_unlock(lock) mutex_unlock(lock)
#define DEFINE_SPINLOCK(name) spinlock_t name = { PTHREAD_MUTEX_INITIALIZER }
#define spin_lock_bh(lock) spin_lock(lock)
#define spin_unlock_bh(lock) spin_unlock(lock)
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
struct rcu_head { int unused; };
#define kfree_rcu(at, member) ((void)(at)) /* whoever found it without a lock may still look */

/* A waiter looks again by itself now and then: a wake-up is only a hint. */
struct wait_queue_head { pthread_mutex_t m; pthread_cond_t c; };
typedef struct wait_queue_head wait_queue_head_t;
#define DECLARE_WAIT_QUEUE_HEAD(name) \
	struct wait_queue_head name = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER }
void init_waitqueue_head(struct wait_queue_head *wait);
void wake_up_all(struct wait_queue_head *wait);
#define wake_up(wait) wake_up_all(wait)
#define wq_has_sleeper(wait) ((void)(wait), true)
void shim_pause(struct wait_queue_head *wait);
#define wait_event_timeout(wait, condition, timeout) ({ \
	long shim_end = (long)jiffies + (long)(timeout), shim_left; \
	bool shim_is; \
	while (!(shim_is = (condition)) && (long)jiffies < shim_end) \
		shim_pause(&(wait)); \
	shim_left = shim_end - (long)jiffies; \
	shim_is ? max(shim_left, 1L) : 0L; })
#define wait_event_killable_timeout(wait, condition, timeout) wait_event_timeout(wait, condition, timeout)

struct completion { bool done; struct wait_queue_head wait; };
void init_completion(struct completion *completion);
void complete(struct completion *completion);
void wait_for_completion(struct completion *completion);
#define wait_for_completion_killable(completion) (wait_for_completion(completion), 0)

/* ---- work ---- */

struct work_struct {
	void (*func)(struct work_struct *work);
	int pending;
};
struct delayed_work { struct work_struct work; };
struct workqueue_struct;
#define WQ_UNBOUND 1
#define WQ_HIGHPRI 2
#define WQ_MEM_RECLAIM 4
#define alloc_workqueue(name, flags, nr) ((struct workqueue_struct *)1)
#define alloc_ordered_workqueue(name, flags) ((struct workqueue_struct *)1) /* whoever asks waits for the answer */
#define destroy_workqueue(wq) ((void)(wq))
#define system_unbound_wq ((struct workqueue_struct *)1)
#define INIT_WORK(work, function) (*(work) = (struct work_struct){ .func = (function) })
#define INIT_DELAYED_WORK(dwork, function) INIT_WORK(&(dwork)->work, function)
#define to_delayed_work(at) container_of(at, struct delayed_work, work)
void shim_queue(struct work_struct *work, unsigned long delay_ms);
#define queue_work(wq, work) shim_queue(work, ((void)(wq), 0))
#define queue_delayed_work(wq, dwork, delay) shim_queue(&(dwork)->work, ((void)(wq), delay))
void cancel_work_sync(struct work_struct *work);
#define cancel_delayed_work_sync(dwork) cancel_work_sync(&(dwork)->work)
void flush_work(struct work_struct *work);

enum hrtimer_restart { HRTIMER_NORESTART };
struct hrtimer { enum hrtimer_restart (*function)(struct hrtimer *timer); };
#define HRTIMER_MODE_REL 0
#define HRTIMER_MODE_REL_SOFT 0
#define hrtimer_is_queued(timer) ((void)(timer), false) /* one more does no harm */
void hrtimer_cancel(struct hrtimer *timer); /* waits until it has run */
#define hrtimer_init(timer, clock, mode) ((void)0)
void hrtimer_start(struct hrtimer *timer, ktime_t in, int mode);

/* ---- memory ---- */

#define GFP_KERNEL 1 /* may wait */
#define GFP_NOWAIT 2
#define __GFP_NOWARN 4
#define __GFP_NOFAIL 8
#define __GFP_HARDWALL 0
#define __GFP_HIGHMEM 0
#define __GFP_ZERO 0
#define __GFP_NOMEMALLOC 0
#define __GFP_RECLAIM GFP_KERNEL
#define GFP_HIGHUSER (GFP_KERNEL | GFP_NOWAIT)
#define IS_ENABLED(option) 1
/* False: there is none. What must not wait for memory here is a mistake that ends the program. */
bool shim_has_memory(gfp_t gfp);
bool shim_is_short(void); /* of memory, now: the program's */
int shim_reserve(int nr); /* elements that a pool shall keep: the program's */
extern __thread int shim_must_not_wait; /* receives, or holds page locks */
#define SHIM_ALLOC(gfp, how) (shim_has_memory(gfp) ? (how) : NULL)
#define kmalloc(size, gfp) SHIM_ALLOC(gfp, malloc(size))
#define kzalloc(size, gfp) SHIM_ALLOC(gfp, calloc(1, size))
#define kvzalloc(size, gfp) SHIM_ALLOC(gfp, calloc(1, size))
#define kcalloc(nr, size, gfp) SHIM_ALLOC(gfp, calloc(nr, size))
#define kvmalloc(size, gfp) SHIM_ALLOC(gfp, malloc(size))
#define kvmalloc_array(nr, size, gfp) SHIM_ALLOC(gfp, malloc((nr) * (size)))
#define kvcalloc(nr, size, gfp) SHIM_ALLOC(gfp, aligned_zero((nr) * (size)))
#define struct_size(at, member, nr) (sizeof(*(at)) + sizeof((at)->member[0]) * (nr))
#define __aligned(n) __attribute__((aligned(n)))
#define kfree(at) free(at)
#define kvfree(at) free(at)
static inline void *aligned_zero(size_t bytes)
{
	void *at = aligned_alloc(64, (bytes + 63) / 64 * 64);

	return at ? memset(at, 0, bytes) : NULL;
}
struct kmem_cache { size_t size; };
struct kmem_cache *shim_cache(size_t size);
#define kmem_cache_create(name, size, align, flags, ctor) shim_cache(size)
#define KMEM_CACHE(type, flags) shim_cache(sizeof(struct type))
#define kmem_cache_destroy(cache) free(cache)
#define kmem_cache_zalloc(cache, gfp) SHIM_ALLOC(gfp, calloc(1, (cache)->size))
#define kmem_cache_free(cache, at) ((void)(cache), free(at))

/* Elements beyond the reserve only when there is memory. */
typedef struct { size_t size; int left; pthread_mutex_t m; } mempool_t;
mempool_t *mempool_create_slab_pool(int nr, struct kmem_cache *cache);
#define mempool_destroy(pool) free(pool)
void *mempool_alloc(mempool_t *pool, gfp_t gfp);
void mempool_free(void *at, mempool_t *pool);

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define PAGE_ALIGNED(n) (!((n) & (PAGE_SIZE - 1)))
struct address_space { int unused; };
struct page {
	int count; /* of the head, as the lock */
	struct mutex lock;
	struct address_space *mapping;
	pgoff_t index;
	unsigned long private;
	struct page *head; /* NULL: a page of its own */
	u8 *data;
};
#define compound_head(page) ((page)->head ?: (page))
#define PageCompound(page) (!!(page)->head)
#define page_private(page) ((page)->private)
#define set_page_private(page, value) ((void)((page)->private = (value)))
struct folio { struct page page; };
struct folio *folio_alloc(gfp_t gfp, unsigned int order);
#define folio_page(folio, nr) (&(folio)->page + (nr))
#define kmap_local_page(page) ((void *)(page)->data)
#define kunmap_local(data) ((void)(data))
#define copy_highpage(to, from) memcpy((to)->data, (from)->data, PAGE_SIZE)
struct page *alloc_page(gfp_t gfp);
void put_page(struct page *page);
#define get_page(page) ((void)__atomic_add_fetch(&compound_head(page)->count, 1, __ATOMIC_SEQ_CST))
#define page_count(page) __atomic_load_n(&compound_head(page)->count, __ATOMIC_SEQ_CST)
#define page_mapcount(page) 0
#define compat_page_mapcount(page) 0
#define page_mapped(page) false
#define clear_highpage(page) memset((page)->data, 0, PAGE_SIZE)
#define ClearPageDirty(page) ((void)(page))
#define lock_page(page) pthread_mutex_lock(&compound_head(page)->lock.m)
#define trylock_page(page) (!pthread_mutex_trylock(&compound_head(page)->lock.m))
#define unlock_page(page) pthread_mutex_unlock(&compound_head(page)->lock.m)
#define page_ref_freeze(page, nr) (page_count(page) == (nr))
#define page_ref_unfreeze(page, nr) ((void)(page))
void shim_unmap(pgoff_t index, pgoff_t nr); /* the program's, if it maps pages */
#define unmap_mapping_pages(mapping, index, nr, even) shim_unmap(index, ((void)(mapping), nr))
#define page_folio(page) (page)
#define folio_mkclean(folio) ((void)(folio))

struct file { struct address_space *f_mapping; void *private_data; };
void fput(struct file *file);

struct shrink_control { unsigned long nr_to_scan, nr_scanned; };
#define SHRINK_STOP (~0UL)
struct shrinker {
	unsigned long (*count_objects)(struct shrinker *s, struct shrink_control *sc);
	unsigned long (*scan_objects)(struct shrinker *s, struct shrink_control *sc);
	int seeks;
};
#define DEFAULT_SEEKS 2
#define SHRINK_EMPTY 0
#define compat_shrinker_alloc(name) ((struct shrinker *)calloc(1, sizeof(struct shrinker)))
#define compat_shrinker_register(shrinker, name) 0
#define compat_shrinker_free(shrinker) free(shrinker)
#define compat_shrinker_unregister(shrinker) free(shrinker)

/* ---- xarray: a sorted list ---- */

struct xa_slot { unsigned long index; void *entry; };
struct xarray { pthread_mutex_t m; struct xa_slot *slot; size_t nr, room; };
struct xa_limit { u32 max, min; };
#define XA_LIMIT(low, high) ((struct xa_limit){ .min = (low), .max = (high) })
#define XA_PRESENT 0
#define SHIM_XARRAY { .m = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP }
#define DEFINE_XARRAY(name) struct xarray name = SHIM_XARRAY
#define DEFINE_XARRAY_ALLOC1(name) struct xarray name = SHIM_XARRAY
#define xa_lock(xa) pthread_mutex_lock(&(xa)->m)
#define xa_unlock(xa) pthread_mutex_unlock(&(xa)->m)
#define xa_is_err(entry) IS_ERR(entry)
void xa_init(struct xarray *xa);
void xa_destroy(struct xarray *xa);
void *xa_load(struct xarray *xa, unsigned long index);
void *xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *entry, gfp_t gfp);
int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *xa_erase(struct xarray *xa, unsigned long index);
#define __xa_erase(xa, index) xa_erase(xa, index)
int xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, u32 *next, gfp_t gfp);
void *shim_xa_find(struct xarray *xa, unsigned long *index, unsigned long last);
#define xa_find(xa, index, last, filter) shim_xa_find(xa, index, last)
#define xa_for_each_start(xa, at, entry, start) \
	for (at = (start); ((entry) = shim_xa_find(xa, &at, ~0UL)); at++)
#define xa_for_each_range(xa, at, entry, first, last) \
	for (at = (first); ((entry) = shim_xa_find(xa, &at, last)); at++)
#define xa_for_each(xa, at, entry) xa_for_each_start(xa, at, entry, 0)

/* ---- tracepoints: where a thread may be slow, with the page lock held ---- */

void shim_dawdle(void);

#define TP_PROTO(...) __VA_ARGS__
#define TP_ARGS(...)
#define DECLARE_EVENT_CLASS(...) struct shim_export
#define DEFINE_EVENT(class, name, proto, args) \
	static inline __attribute__((unused)) void trace_##name(proto) { shim_dawdle(); } \
	struct shim_export

/* ---- lists ---- */

struct list_head { struct list_head *next, *prev; };
#define INIT_LIST_HEAD(head) ((head)->next = (head)->prev = (head))
#define list_empty(head) (READ_ONCE((head)->next) == (head))
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : container_of((head)->next, type, member))
#define list_for_each(at, head) for ((at) = (head)->next; (at) != (head); (at) = (at)->next)
static inline void list_add_tail(struct list_head *item, struct list_head *head)
{
	item->next = head;
	item->prev = head->prev;
	head->prev->next = item;
	head->prev = item;
}
static inline void list_del_init(struct list_head *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	INIT_LIST_HEAD(item);
}

/* ---- others that headers of dsm/ and kmod/ mention ---- */

struct class;
struct module;
struct file_operations;
struct vm_operations_struct { int unused; };

#endif
