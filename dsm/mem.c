// SPDX-License-Identifier: GPL-2.0-only
/* dsm/mem.c - a memory object: made on all nodes, found by id, freed. Its pages
 * are page.c's, its file memfile.c's.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "internal.h"

#define UNLOAD_TIMEOUT_MS 30000

static atomic_t nr_mems = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(last_mem_wait);

static struct dsm_mem *mem_alloc(struct dsm_vm *vm, const struct mem_config *config)
{
	struct dsm_mem *mem = kzalloc(sizeof(*mem), GFP_KERNEL);

	if (!mem)
		return NULL;
	kref_init(&mem->ref);
	vm_get(vm);
	mem->vm = vm;
	mem->id = config->id;
	mem->home_policy = config->home_policy;
	mem->homes = config->homes;
	mem->nr_pages = config->bytes >> PAGE_SHIFT;
	xa_init(&mem->chunks);
	atomic_long_set(&mem->metadata_bytes,
			sizeof(*mem) + (mem->homes ? home_nr_extents(config->bytes) : 0));
	atomic_inc(&nr_mems);
	return mem;
}

static void mem_free(struct kref *ref)
{
	struct dsm_mem *mem = container_of(ref, struct dsm_mem, ref);

	page_free_all(mem);
	home_table_free(mem);
	vm_put(mem->vm);
	kfree(mem);
	if (atomic_dec_and_test(&nr_mems))
		wake_up(&last_mem_wait);
}

void mem_get(struct dsm_mem *mem)
{
	kref_get(&mem->ref);
}

void mem_put(struct dsm_mem *mem)
{
	kref_put(&mem->ref, mem_free);
}

void mem_zap_all(struct dsm_mem *mem)
{
	unmap_mapping_pages(mem->mapping, 0, mem->nr_pages, false);
}

struct dsm_mem *mem_find(struct dsm_vm *vm, u32 id)
{
	return xa_load(&vm->mems, id);
}

struct dsm_mem *mem_next(struct dsm_vm *vm, u32 *id)
{
	unsigned long at = *id;
	struct dsm_mem *mem;

	xa_lock(&vm->mems);
	mem = xa_find(&vm->mems, &at, U32_MAX, XA_PRESENT);
	if (mem)
		mem_get(mem);
	xa_unlock(&vm->mems);
	*id = at + 1;
	return mem;
}

static bool is_valid(u32 id, u32 home_policy, u64 bytes)
{
	return id && bytes && bytes <= MEM_MAX_BYTES && PAGE_ALIGNED(bytes) &&
	       (home_policy == DVMM_HOME_ORIGIN ||
		home_policy == DVMM_HOME_INTERLEAVE);
}

bool mem_is_equal(const struct dsm_mem *mem, u32 home_policy, u64 bytes)
{
	return mem->home_policy == home_policy &&
	       mem->nr_pages == bytes >> PAGE_SHIFT;
}

struct dsm_mem *mem_add(struct dsm_vm *vm, const struct mem_config *config)
{
	struct dsm_mem *mem;
	int err;

	lockdep_assert_held(&vm->lock);
	err = -EINVAL;
	if (!is_valid(config->id, config->home_policy, config->bytes))
		goto free_homes;
	err = -EEXIST;
	if (mem_find(vm, config->id))
		goto free_homes;
	err = -ENOMEM;
	mem = mem_alloc(vm, config);
	if (!mem)
		goto free_homes;
	mem->file = memfile_create(mem);
	if (IS_ERR(mem->file)) {
		err = PTR_ERR(mem->file);
		goto put_mem;
	}
	mem->mapping = mem->file->f_mapping;
	err = xa_insert(&vm->mems, mem->id, mem, GFP_KERNEL);
	if (err)
		goto put_file;
	return mem;

put_file:
	fput(mem->file);
put_mem:
	mem_put(mem);
	return ERR_PTR(err);

free_homes:
	kvfree(config->homes);
	return ERR_PTR(err);
}

static void mem_remove(struct dsm_mem *mem)
{
	xa_erase(&mem->vm->mems, mem->id);
	fput(mem->file);
	mem_put(mem);
}

int mem_create(struct dsm_vm *vm, struct mem_config *config, struct dsm_mem **out_mem)
{
	struct dsm_mem *mem;
	int err;

	turn_decide(vm, 0);
	config->id = vm->last_mem + 1;
	mem = mem_add(vm, config);
	if (IS_ERR(mem))
		return PTR_ERR(mem);
	/* Never used again, also after an error: some nodes may know it. */
	vm->last_mem++;
	err = serve_announce(mem);
	if (err) {
		mem_remove(mem);
		return err;
	}
	*out_mem = mem;
	return 0;
}

int dsm_mem_get_info(struct dsm_vm *vm, struct dvmm_mem_get *out)
{
	unsigned long id = out->mem_id;
	struct dsm_mem *mem;
	int err = -ENOENT;

	mutex_lock(&vm->lock);
	mem = xa_find(&vm->mems, &id, U32_MAX, XA_PRESENT);
	if (mem) {
		out->mem_id = mem->id;
		out->out_bytes = mem->nr_pages << PAGE_SHIFT;
		out->out_resident = atomic_long_read(&mem->nr_resident);
		out->out_metadata = atomic_long_read(&mem->metadata_bytes);
		out->out_home_policy = mem->home_policy;
		out->out_homed = home_nr_here(mem) * HOME_EXTENT_PAGES << PAGE_SHIFT;
		err = 0;
	}
	mutex_unlock(&vm->lock);
	return err;
}
EXPORT_SYMBOL_GPL(dsm_mem_get_info);

/* Files are put asynchronously: the last of them may still be on its way. */
void mem_exit(void)
{
	if (!wait_event_timeout(last_mem_wait, !atomic_read(&nr_mems),
				msecs_to_jiffies(UNLOAD_TIMEOUT_MS)))
		pr_err("dvmm-dsm: %d memory objects are leaked\n",
		       atomic_read(&nr_mems));
}
