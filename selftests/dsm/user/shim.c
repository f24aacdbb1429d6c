// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/shim.c - the parts of shim.h that are no macros. */
#include "shim.h"

/* ---- waiting ---- */

void init_waitqueue_head(struct wait_queue_head *wait)
{
	pthread_mutex_init(&wait->m, NULL);
	pthread_cond_init(&wait->c, NULL);
}

void wake_up_all(struct wait_queue_head *wait)
{
	pthread_mutex_lock(&wait->m);
	pthread_cond_broadcast(&wait->c);
	pthread_mutex_unlock(&wait->m);
}

void shim_pause(struct wait_queue_head *wait)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&wait->m);
	pthread_cond_timedwait(&wait->c, &wait->m, &until);
	pthread_mutex_unlock(&wait->m);
}

void init_completion(struct completion *completion)
{
	completion->done = false;
	init_waitqueue_head(&completion->wait);
}

void complete(struct completion *completion)
{
	WRITE_ONCE(completion->done, true);
	wake_up_all(&completion->wait);
}

void wait_for_completion(struct completion *completion)
{
	while (!READ_ONCE(completion->done))
		shim_pause(&completion->wait);
}

/* ---- work: a thread each time; one of an item at a time ---- */

#define MAX_RUNNING 4096

static pthread_mutex_t running_lock = PTHREAD_MUTEX_INITIALIZER;
static struct work_struct *running[MAX_RUNNING];
static size_t nr_running;

static bool is_running(const struct work_struct *work)
{
	size_t i;

	for (i = 0; i < nr_running; i++)
		if (running[i] == work)
			return true;
	return false;
}

static void begin_running(struct work_struct *work)
{
	pthread_mutex_lock(&running_lock);
	while (is_running(work)) {
		pthread_mutex_unlock(&running_lock);
		usleep(200);
		pthread_mutex_lock(&running_lock);
	}
	assert(nr_running < MAX_RUNNING);
	running[nr_running++] = work;
	__atomic_store_n(&work->pending, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&running_lock);
}

/* The item may be gone: only its address is used. */
static void end_running(struct work_struct *work)
{
	size_t i;

	pthread_mutex_lock(&running_lock);
	for (i = 0; running[i] != work; i++)
		;
	running[i] = running[--nr_running];
	pthread_mutex_unlock(&running_lock);
}

/* Of timers by their address: one may free itself, and its memory. */
static int *armed_of(const struct hrtimer *timer)
{
	static int armed[1009];

	return &armed[(uintptr_t)timer / 16 % 1009];
}

struct start {
	struct work_struct *work;
	unsigned long delay_us;
	struct hrtimer *timer;
};

static void *work_thread(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	usleep(start.delay_us);
	if (start.timer) {
		start.timer->function(start.timer);
		__atomic_fetch_sub(armed_of(start.timer), 1, __ATOMIC_SEQ_CST);
		return NULL;
	}
	begin_running(start.work);
	start.work->func(start.work);
	end_running(start.work);
	return NULL;
}

static void start_thread(struct start like)
{
	struct start *start = malloc(sizeof(*start));
	pthread_t thread;
	int err;

	*start = like;
	err = pthread_create(&thread, NULL, work_thread, start);
	assert(!err);
	pthread_detach(thread);
}

void shim_queue(struct work_struct *work, unsigned long delay_ms)
{
	if (!__atomic_exchange_n(&work->pending, 1, __ATOMIC_SEQ_CST))
		start_thread((struct start){ .work = work, .delay_us = delay_ms * 1000 });
}

void hrtimer_start(struct hrtimer *timer, ktime_t in, int mode)
{
	(void)mode;
	__atomic_fetch_add(armed_of(timer), 1, __ATOMIC_SEQ_CST);
	start_thread((struct start){ .timer = timer, .delay_us = in / 1000 });
}

void hrtimer_cancel(struct hrtimer *timer)
{
	while (__atomic_load_n(armed_of(timer), __ATOMIC_SEQ_CST))
		usleep(200);
}

void flush_work(struct work_struct *work)
{
	bool busy;

	do {
		usleep(200);
		pthread_mutex_lock(&running_lock);
		busy = __atomic_load_n(&work->pending, __ATOMIC_SEQ_CST) || is_running(work);
		pthread_mutex_unlock(&running_lock);
	} while (busy);
}

void cancel_work_sync(struct work_struct *work)
{
	flush_work(work);
}

/* ---- memory ---- */

__thread int shim_must_not_wait;

/* A program that is to run out of memory has one of its own. */
__attribute__((weak)) bool shim_is_short(void)
{
	return false;
}

__attribute__((weak)) int shim_reserve(int nr)
{
	return nr;
}

bool shim_has_memory(gfp_t gfp)
{
	/* Both: what is said to be too rare to matter, and must not fail. */
	assert(!shim_must_not_wait || gfp & (GFP_NOWAIT | __GFP_NOFAIL));
	return gfp & (GFP_KERNEL | __GFP_NOFAIL) || !shim_is_short();
}

mempool_t *mempool_create_slab_pool(int nr, struct kmem_cache *cache)
{
	mempool_t *pool = calloc(1, sizeof(*pool));

	pool->size = cache->size;
	pool->left = shim_reserve(nr);
	pthread_mutex_init(&pool->m, NULL);
	return pool;
}

/* An element is allocated with a word before it: does it count? */
static void *pool_element(mempool_t *pool, long counts)
{
	long *at = malloc(16 + pool->size);

	*at = counts;
	return (char *)at + 16;
}

void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	bool got = shim_has_memory(gfp);
	void *at = got ? pool_element(pool, 0) : NULL;

	pthread_mutex_lock(&pool->m);
	if (!at && pool->left) {
		pool->left--;
		at = pool_element(pool, 1);
	}
	pthread_mutex_unlock(&pool->m);
	return at;
}

void mempool_free(void *element, mempool_t *pool)
{
	long *at = (long *)((char *)element - 16);

	pthread_mutex_lock(&pool->m);
	pool->left += *at;
	pthread_mutex_unlock(&pool->m);
	free(at);
}

struct kmem_cache *shim_cache(size_t size)
{
	struct kmem_cache *cache = malloc(sizeof(*cache));

	cache->size = size;
	return cache;
}

struct page *alloc_page(gfp_t gfp)
{
	struct page *page = kzalloc(sizeof(*page), gfp);

	if (!page)
		return NULL;
	page->count = 1;
	mutex_init(&page->lock);
	page->data = malloc(PAGE_SIZE);
	memset(page->data, 0x5a, PAGE_SIZE);
	return page;
}

struct folio *folio_alloc(gfp_t gfp, unsigned int order)
{
	struct page *page = kcalloc(1 << order, sizeof(*page), gfp);
	u8 *data;
	int i;

	if (!page)
		return NULL;
	page->count = 1;
	mutex_init(&page->lock);
	data = calloc(1 << order, PAGE_SIZE);
	for (i = 0; i < 1 << order; i++) {
		page[i].head = page;
		page[i].data = data + i * PAGE_SIZE;
	}
	return (struct folio *)page;
}

void put_page(struct page *page)
{
	page = compound_head(page);
	if (__atomic_sub_fetch(&page->count, 1, __ATOMIC_SEQ_CST))
		return;
	assert(!page->mapping || !page->head);
	free(page->data);
	free(page);
}

__attribute__((weak)) void shim_unmap(pgoff_t index, pgoff_t nr)
{
	(void)index, (void)nr;
}

/* ---- xarray ---- */

void xa_init(struct xarray *xa)
{
	*xa = (struct xarray)SHIM_XARRAY;
}

void xa_destroy(struct xarray *xa)
{
	free(xa->slot);
	xa->slot = NULL;
	xa->nr = xa->room = 0;
}

/* The first slot of @index or behind it. */
static size_t position(const struct xarray *xa, unsigned long index)
{
	size_t low = 0, high = xa->nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (xa->slot[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void put_at(struct xarray *xa, size_t at, unsigned long index, void *entry)
{
	if (xa->nr == xa->room) {
		xa->room = xa->room ? xa->room * 2 : 16;
		xa->slot = realloc(xa->slot, xa->room * sizeof(*xa->slot));
	}
	memmove(&xa->slot[at + 1], &xa->slot[at], (xa->nr - at) * sizeof(*xa->slot));
	xa->slot[at] = (struct xa_slot){ index, entry };
	xa->nr++;
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	void *entry = NULL;
	size_t at;

	xa_lock(xa);
	at = position(xa, index);
	if (at < xa->nr && xa->slot[at].index == index)
		entry = xa->slot[at].entry;
	xa_unlock(xa);
	return entry;
}

void *xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *entry, gfp_t gfp)
{
	void *is;

	if (!shim_has_memory(gfp))
		return ERR_PTR(-ENOMEM);
	assert(!old && entry);
	xa_lock(xa);
	is = xa_load(xa, index);
	if (!is)
		put_at(xa, position(xa, index), index, entry);
	xa_unlock(xa);
	return is;
}

int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	return xa_cmpxchg(xa, index, NULL, entry, gfp) ? -EBUSY : 0;
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	void *entry;
	size_t at;

	xa_lock(xa);
	entry = xa_load(xa, index);
	if (entry) {
		at = position(xa, index);
		memmove(&xa->slot[at], &xa->slot[at + 1], (--xa->nr - at) * sizeof(*xa->slot));
	}
	xa_unlock(xa);
	return entry;
}

int xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, u32 *next, gfp_t gfp)
{
	if (!shim_has_memory(gfp))
		return -ENOMEM;
	xa_lock(xa);
	do {
		if (++*next < limit.min || *next > limit.max)
			*next = limit.min;
	} while (xa_load(xa, *next));
	*id = *next;
	put_at(xa, position(xa, *id), *id, entry);
	xa_unlock(xa);
	return 0;
}

void *shim_xa_find(struct xarray *xa, unsigned long *index, unsigned long last)
{
	void *entry = NULL;
	size_t at;

	xa_lock(xa);
	at = position(xa, *index);
	if (at < xa->nr && xa->slot[at].index <= last) {
		entry = xa->slot[at].entry;
		*index = xa->slot[at].index;
	}
	xa_unlock(xa);
	return entry;
}
