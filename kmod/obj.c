// SPDX-License-Identifier: GPL-2.0-only
/* kmod/obj.c - objects that live as long as their file descriptor: an fd is
 * allocated, then installed (seen by the process) or aborted (never was).
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include "internal.h"

int dvmm_fd_alloc(struct dvmm_new_fd *out, const char *name,
		  const struct file_operations *fops, void *priv, int flags)
{
	struct file *file;
	int fd = get_unused_fd_flags(flags | O_CLOEXEC);

	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, priv, flags);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	out->fd = fd;
	out->file = file;
	return 0;
}
EXPORT_SYMBOL_GPL(dvmm_fd_alloc);

void dvmm_fd_install(struct dvmm_new_fd *new_fd)
{
	fd_install(new_fd->fd, new_fd->file);
}
EXPORT_SYMBOL_GPL(dvmm_fd_install);

void dvmm_fd_abort(struct dvmm_new_fd *new_fd)
{
	put_unused_fd(new_fd->fd);
	fput(new_fd->file);
}
EXPORT_SYMBOL_GPL(dvmm_fd_abort);
