/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/setup/files.h - the configuration of a host that is ours: data, and its state. */
#ifndef AGENT_SETUP_FILES_H
#define AGENT_SETUP_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/**
 * struct setup_file - a file of ours, or some lines of ours in a file of others
 * @text: ends with a newline
 * @mode: of a file of ours
 * @in_others: lines, between markers
 * @only_with: without this file it is not needed; NULL: always
 * @why: for people
 */
struct setup_file {
	const char *path;
	const char *text;
	mode_t mode;
	bool in_others;
	const char *only_with;
	const char *why;
};

/** setup_files - ends with a path of NULL */
extern const struct setup_file setup_files[];

enum file_state {
	FILE_NOT_NEEDED,
	FILE_MISSING,
	FILE_DIFFERS, /* ours, but older */
	FILE_FOREIGN, /* somebody else's */
	FILE_THERE,
};

/* @root is put before paths: "" for this system. */
enum file_state file_state(const struct setup_file *file, const char *root);
/** file_write() - make it as it should be. -errno, -EEXIST: FILE_FOREIGN */
int file_write(const struct setup_file *file, const char *root);
/** file_remove() - take ours away. -errno */
int file_remove(const struct setup_file *file, const char *root);

#endif
