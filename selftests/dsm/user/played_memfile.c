// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/played_memfile.c - in place of dsm/memfile.c: the file of a memory object
 * is nothing but its reference, since nobody maps it.
 */
#include "../../../dsm/internal.h"

struct file *memfile_create(struct dsm_mem *m)
{
	struct file *file = calloc(1, sizeof(*file));

	file->private_data = m;
	file->f_mapping = calloc(1, sizeof(*file->f_mapping));
	mem_get(m);
	return file;
}

void fput(struct file *file)
{
	struct dsm_mem *m = file->private_data;

	page_free_frames(m);
	mem_put(m);
	free(file->f_mapping);
	free(file);
}
