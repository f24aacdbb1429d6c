// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/setup/setup.c - `dvmm node setup`: writes the files and runs the commands that make
 * a host ready, or takes it all back. Nothing is written that it does not say.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../cli/client.h"
#include "files.h"
#include "setup.h"

struct setup {
	const char *root;
	bool dry_run, undo;
	bool changed;
};

static const struct argp_option argp_options[] = {
	{ "dry-run", 'n', NULL, 0, "Only say what would be done", 0 },
	{ "undo", 'u', NULL, 0, "Take away what setup has written", 0 },
	{ "root", 'r', "DIR", 0, "The system is in DIR, not running: write its files only", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct setup *setup = state->input;

	switch (key) {
	case 'n':
		setup->dry_run = true;
		return 0;
	case 'u':
		setup->undo = true;
		return 0;
	case 'r':
		setup->root = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s' for?", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp setup_argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "Makes this host ready for spanning VMs, also those that libvirt starts.",
};

/* ---- files ---- */

static bool has_to_change(const struct setup *setup, enum file_state state)
{
	if (setup->undo)
		return state == FILE_THERE || state == FILE_DIFFERS;
	return state != FILE_THERE && state != FILE_NOT_NEEDED;
}

static const char *verb_for(const struct setup *setup, const struct setup_file *file)
{
	if (setup->undo)
		return file->in_others ? "take ours from" : "remove";
	return file->in_others ? "add to" : "write";
}

static int do_file(struct setup *setup, const struct setup_file *file)
{
	enum file_state state = file_state(file, setup->root);
	int err = 0;

	if (!has_to_change(setup, state))
		return STATUS_OK;
	printf("%s%s %s%s: %s\n", setup->dry_run ? "would " : "", verb_for(setup, file), setup->root,
	       file->path, file->why);
	setup->changed = true;
	if (setup->dry_run)
		return STATUS_OK;
	err = setup->undo ? file_remove(file, setup->root) : file_write(file, setup->root);
	if (!err)
		return STATUS_OK;
	fprintf(stderr, "dvmm: %s%s: %s\n", setup->root, file->path,
		err == -EEXIST ? "it is not ours: move it away" : strerror(-err));
	return STATUS_FAILED;
}

static int do_files(struct setup *setup)
{
	int status = STATUS_OK;

	for (const struct setup_file *file = setup_files; file->path; file++)
		status = do_file(setup, file) ?: status;
	return status;
}

/* ---- commands ---- */

static const struct {
	const char *argv[6];
	bool for_undo; /* too */
	const char *only_with[2], *only_without;
	const char *why;
} commands[] = {
	{ { "udevadm", "control", "--reload" }, true, { "/run/udev/control" }, NULL,
	  "the rule holds from now on" },
	{ { "modprobe", "-a", "crc32_generic", "dvmm-vcpu" }, false, { NULL }, "/sys/module/dvmm_vcpu",
	  "the modules are there now" },
	/* libvirt looks for hooks only when it starts. */
	{ { "systemctl", "try-restart", "libvirtd" }, true, { "/run/systemd/system", "/run/libvirt" }, NULL,
	  "libvirt sees the hook; its VMs go on" },
};

static int run(const char *const *argv)
{
	pid_t child = fork();
	int status;

	if (!child) {
		execvp(argv[0], (char *const *)argv);
		fprintf(stderr, "dvmm: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || status) {
		fprintf(stderr, "dvmm: %s failed\n", argv[0]);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

static int do_command(const struct setup *setup, size_t i)
{
	printf("%srun", setup->dry_run ? "would " : "");
	for (const char *const *word = commands[i].argv; *word; word++)
		printf(" %s", *word);
	printf(": %s\n", commands[i].why);
	fflush(stdout);
	return setup->dry_run ? STATUS_OK : run(commands[i].argv);
}

static bool is_missing(const char *path)
{
	return path && access(path, F_OK);
}

/* A module that is missing is said by modprobe, and does not undo the rest. */
static int do_commands(const struct setup *setup)
{
	int status = STATUS_OK;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (setup->undo && !commands[i].for_undo)
			continue;
		if (is_missing(commands[i].only_with[0]) || is_missing(commands[i].only_with[1]))
			continue;
		if (commands[i].only_without && !is_missing(commands[i].only_without))
			continue;
		status = do_command(setup, i) ?: status;
	}
	return status;
}

int setup_main(int argc, char **argv)
{
	struct setup setup = { .root = "" };
	char name[] = "dvmm node setup";
	int status;

	argv[0] = name;
	argp_parse(&setup_argp, argc, argv, 0, NULL, &setup);
	status = do_files(&setup);
	if (!setup.changed)
		printf("all files are %s\n", setup.undo ? "gone" : "there");
	if (!*setup.root && (setup.changed || !setup.undo))
		status = do_commands(&setup) ?: status;
	if (!status && !setup.undo && !setup.dry_run)
		printf("done; dvmm node check says what else is missing\n");
	return status;
}
