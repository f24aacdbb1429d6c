// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/store.c - the state folder: a file of it is the old or the new one, and the
 * folder itself is there with all it needs or not at all, whatever happens on the way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "internal.h"

#define FILE_SIZE_MAX (256 * 1024)
#define PART ".part"

static int path_of(const char *dir, const char *name, char ret_path[CLUSTER_PATH_SIZE + 64])
{
	int len = snprintf(ret_path, CLUSTER_PATH_SIZE + 64, "%s/%s", dir, name);

	return len < CLUSTER_PATH_SIZE + 64 ? 0 : -ENAMETOOLONG;
}

static int sync_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t nr = write(fd, text, len);

		if (nr < 0 && errno != EINTR)
			return -errno;
		if (nr > 0) {
			text += nr;
			len -= nr;
		}
	}
	return fsync(fd) ? -errno : 0;
}

/* It may hold a key: nobody else can read it at any time. */
static int write_new(const char *path, const char *text)
{
	int fd, err;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text);
	if (close(fd) && !err)
		err = -errno;
	if (err)
		unlink(path);
	return err;
}

int store_write(const char *dir, const char *name, const char *text)
{
	char path[CLUSTER_PATH_SIZE + 64], part[CLUSTER_PATH_SIZE + 64];
	char part_name[64];
	int err;

	snprintf(part_name, sizeof(part_name), "%s" PART, name);
	err = path_of(dir, name, path) ?: path_of(dir, part_name, part) ?: write_new(part, text);
	if (err)
		return err;
	if (rename(part, path)) {
		err = -errno;
		unlink(part);
		return err;
	}
	return sync_folder(dir);
}

char *store_read(const char *dir, const char *name)
{
	char path[CLUSTER_PATH_SIZE + 64];
	char *text = NULL;
	size_t len;
	FILE *file;

	errno = ENAMETOOLONG;
	file = path_of(dir, name, path) ? NULL : fopen(path, "re");
	if (!file)
		return NULL;
	text = calloc(1, FILE_SIZE_MAX + 1);
	len = text ? fread(text, 1, FILE_SIZE_MAX + 1, file) : 0;
	fclose(file);
	if (len <= FILE_SIZE_MAX)
		return text;
	free(text);
	errno = EFBIG;
	return NULL;
}

bool store_has(const char *dir, const char *name)
{
	char path[CLUSTER_PATH_SIZE + 64];

	return !path_of(dir, name, path) && !access(path, F_OK);
}

/* ---- the folder ---- */

static int new_of(const char *dir, char ret_new[CLUSTER_PATH_SIZE])
{
	int len = snprintf(ret_new, CLUSTER_PATH_SIZE, "%s.new", dir);

	return len < CLUSTER_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

int store_remove(const char *dir)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;

	if (!folder)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	return rmdir(dir) ? -errno : 0;
}

static int make_parents(const char *path)
{
	char folder[CLUSTER_PATH_SIZE], *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	for (slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

int store_begin(const char *dir, char ret_new[CLUSTER_PATH_SIZE])
{
	/* One that is there is of an attempt that was killed. */
	int err = new_of(dir, ret_new) ?: make_parents(ret_new) ?: store_remove(ret_new);

	if (err)
		return err;
	return mkdir(ret_new, 0700) ? -errno : 0;
}

int store_finish(const char *dir)
{
	char new[CLUSTER_PATH_SIZE], *slash;
	int err = new_of(dir, new) ?: sync_folder(new);

	if (err)
		return err;
	if (rename(new, dir))
		return errno == ENOTEMPTY ? -EEXIST : -errno;
	slash = strrchr(new, '/');
	if (slash && slash != new)
		*slash = '\0';
	return sync_folder(new);
}

void store_abort(const char *dir)
{
	char new[CLUSTER_PATH_SIZE];

	if (!new_of(dir, new))
		store_remove(new);
}
