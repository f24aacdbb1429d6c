// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/libvirt/preload.c - dvmm-kvm.so: in a VMM that dvmm-qemu starts, opening
 * /dev/kvm gives the device of its spanning VM, which came as a file descriptor.
 *
 * QEMU 7.2 can be told no other path, and libvirt runs it without the privilege to mount,
 * in a /dev and under a device cgroup that know only what libvirt put there. A file that is
 * open already needs none of these to change.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "preload.h"

static int device = -1;

/* What the VMM starts itself is no VMM. The VM's owning fd stays open as long as it lives. */
__attribute__((constructor))
static void take_device(void)
{
	const char *text = getenv(PRELOAD_FD_VARIABLE);

	device = text ? atoi(text) : -1;
	if (device >= 0)
		fcntl(device, F_SETFD, FD_CLOEXEC);
	unsetenv(PRELOAD_FD_VARIABLE);
	unsetenv("LD_PRELOAD");
}

static int is_device(const char *path)
{
	return device >= 0 && path && !strcmp(path, "/dev/kvm");
}

static int open_device(int flags)
{
	return fcntl(device, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
}

/* The mode is there only when the flags say so. */
#define MODE(flags) ({ \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | __O_TMPFILE)) { \
		va_list args; \
		va_start(args, flags); \
		mode = va_arg(args, mode_t); \
		va_end(args); \
	} \
	mode; })

#define NEXT(name) ({ \
	static __typeof__(&name) next; \
	if (!next) \
		next = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
	next; })

/* glibc's headers declare these with attributes that a definition need not repeat. */
#define OPEN(name) \
	__attribute__((visibility("default"))) int name(const char *path, int flags, ...) \
	{ \
		if (is_device(path)) \
			return open_device(flags); \
		return NEXT(name)(path, flags, MODE(flags)); \
	}
#define OPENAT(name) \
	__attribute__((visibility("default"))) int name(int folder, const char *path, int flags, ...) \
	{ \
		if (is_device(path)) \
			return open_device(flags); \
		return NEXT(name)(folder, path, flags, MODE(flags)); \
	}
/* What open() becomes when it is compiled with _FORTIFY_SOURCE. */
#define OPEN_CHECKED(name) \
	int name(const char *path, int flags); \
	__attribute__((visibility("default"))) int name(const char *path, int flags) \
	{ \
		return is_device(path) ? open_device(flags) : NEXT(name)(path, flags); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_CHECKED(__open_2)
OPEN_CHECKED(__open64_2)
