// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/setup/files.c - the files a node needs beside its packages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../libvirt/preload.h"
#include "../install.h"
#include "files.h"

#define HEADER "# Written by `dvmm node setup`; `dvmm node setup --undo` removes it.\n"
#define BEGIN "# dvmm: begin (dvmm node setup)\n"
#define END "# dvmm: end\n"
#define FILE_SIZE_MAX (1024 * 1024)

const struct setup_file setup_files[] = {
	{
		.path = "/etc/modules-load.d/dvmm.conf",
		.text = HEADER "# rdma_rxe does not load before crc32 is there.\ncrc32_generic\ndvmm-vcpu\n",
		.mode = 0644,
		.why = "modules are loaded at boot",
	},
	{
		.path = "/etc/udev/rules.d/60-dvmm.rules",
		.text = HEADER "SUBSYSTEM==\"dvmm\", KERNEL==\"dvmm/vm/*\", GROUP=\"kvm\", MODE=\"0660\"\n",
		.mode = 0644,
		.why = "devices of spanning VMs belong to group kvm, as /dev/kvm",
	},
	{
		.path = "/etc/libvirt/hooks/qemu.d/50-dvmm",
		/* Programs of /usr/sbin are what libvirtd may run under AppArmor. No domain could
		 * start any more if the hook failed because dvmm is gone.
		 */
		.text = "#!/bin/sh\n" HEADER "[ ! -x " PATH_HOOK " ] || exec " PATH_HOOK " \"$@\"\n",
		.mode = 0755,
		.only_with = "/etc/libvirt",
		.why = "libvirt tells dvmm that a domain starts or ends",
	},
	{
		/* QEMU has a /dev of its own: the device that it is given has no path there. */
		.path = "/etc/apparmor.d/local/abstractions/libvirt-qemu",
		.text = PATH_EMULATOR " rmix,\n"
			PATH_PRELOAD_FOLDER "/" PRELOAD_LIBRARY " mr,\n"
			"/run/dvmm/vmm.sock rw,\n"
			"/{,dev/}dvmm/vm/* rw,\n",
		.in_others = true,
		.only_with = "/etc/apparmor.d/abstractions/libvirt-qemu",
		.why = "AppArmor lets libvirt's QEMU be a spanning VM",
	},
	{ 0 },
};

static void path_of(const char *path, const char *root, char ret_path[PATH_MAX])
{
	snprintf(ret_path, PATH_MAX, "%s%s", root, path);
}

static bool is_there(const char *path, const char *root)
{
	char full[PATH_MAX];

	path_of(path, root, full);
	return !access(full, F_OK);
}

/* A new string; NULL and errno on failure. */
static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = file ? calloc(1, FILE_SIZE_MAX + 1) : NULL;
	size_t len;

	if (!file)
		return NULL;
	if (!text)
		abort();
	len = fread(text, 1, FILE_SIZE_MAX + 1, file);
	fclose(file);
	if (len <= FILE_SIZE_MAX && !memchr(text, '\0', len))
		return text;
	free(text);
	errno = EFBIG;
	return NULL;
}

/* A whole new file or the old one, also when the power fails. */
static int replace_file(const char *path, const char *text, mode_t mode)
{
	char part[PATH_MAX + 8];
	FILE *file;
	int err;

	snprintf(part, sizeof(part), "%s.dvmm", path);
	file = fopen(part, "we");
	if (!file)
		return -errno;
	err = fputs(text, file) < 0 || fflush(file) || fsync(fileno(file)) ? -errno : 0;
	if (!err && fchmod(fileno(file), mode))
		err = -errno;
	if (fclose(file) && !err)
		err = -errno;
	if (!err && rename(part, path))
		err = -errno;
	if (err)
		unlink(part);
	return err;
}

static int make_folders(const char *path)
{
	char folder[PATH_MAX], *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	for (slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/* ---- lines in files of others ---- */

/* Where our block begins and ends in @text; NULL: there is none. */
static const char *find_block(const char *text, const char **ret_end)
{
	const char *begin = strstr(text, BEGIN);
	const char *end = begin ? strstr(begin, END) : NULL;

	if (!end)
		return NULL;
	*ret_end = end + strlen(END);
	return begin;
}

static enum file_state block_state(const struct setup_file *file, const char *text)
{
	const char *end, *begin = find_block(text, &end);
	size_t begin_len = strlen(BEGIN), len = strlen(file->text);

	if (!begin)
		return FILE_MISSING;
	return (size_t)(end - begin) == begin_len + len + strlen(END) &&
			       !strncmp(begin + begin_len, file->text, len) ?
		       FILE_THERE :
		       FILE_DIFFERS;
}

/* @block may be "": then it is only taken out. */
static int change_block(const char *path, const char *block)
{
	struct stat stat_buffer = { .st_mode = 0644 };
	char *old = read_file(path), *text;
	const char *end, *begin;
	int err;

	if (!old && errno != ENOENT)
		return -errno;
	if (!old)
		old = strdup("");
	stat(path, &stat_buffer);
	begin = find_block(old, &end);
	if (!begin)
		begin = end = old + strlen(old);
	if (asprintf(&text, "%.*s%s%s%s", (int)(begin - old), old,
		     *block && begin > old && begin[-1] != '\n' ? "\n" : "", block, end) < 0)
		abort();
	err = strcmp(text, old) ? replace_file(path, text, stat_buffer.st_mode & 07777) : 0;
	free(text);
	free(old);
	return err;
}

/* ---- files ---- */

enum file_state file_state(const struct setup_file *file, const char *root)
{
	enum file_state state;
	char path[PATH_MAX];
	char *text;

	if (file->only_with && !is_there(file->only_with, root))
		return FILE_NOT_NEEDED;
	path_of(file->path, root, path);
	text = read_file(path);
	if (!text)
		return errno == ENOENT ? FILE_MISSING : FILE_FOREIGN;
	if (file->in_others)
		state = block_state(file, text);
	else if (!strcmp(text, file->text))
		state = FILE_THERE;
	else
		state = strstr(text, HEADER) ? FILE_DIFFERS : FILE_FOREIGN;
	free(text);
	return state;
}

int file_write(const struct setup_file *file, const char *root)
{
	char path[PATH_MAX], *block;
	int err;

	if (file_state(file, root) == FILE_FOREIGN)
		return -EEXIST;
	path_of(file->path, root, path);
	err = make_folders(path);
	if (err)
		return err;
	if (!file->in_others)
		return replace_file(path, file->text, file->mode);
	if (asprintf(&block, "%s%s%s", BEGIN, file->text, END) < 0)
		abort();
	err = change_block(path, block);
	free(block);
	return err;
}

int file_remove(const struct setup_file *file, const char *root)
{
	enum file_state state = file_state(file, root);
	char path[PATH_MAX];

	if (state != FILE_THERE && state != FILE_DIFFERS)
		return 0;
	path_of(file->path, root, path);
	if (file->in_others)
		return change_block(path, "");
	return unlink(path) ? -errno : 0;
}
