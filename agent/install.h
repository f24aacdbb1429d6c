/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/install.h - the version, and where `make install` puts what libvirt and QEMU run by
 * its path. The Makefile says it; what is here is for programs built without it (tests).
 */
#ifndef AGENT_INSTALL_H
#define AGENT_INSTALL_H

#ifndef DVMM_VERSION
#define DVMM_VERSION "0"
#define DVMM_BINDIR "/usr/bin"
#define DVMM_SBINDIR "/usr/sbin"
#define DVMM_LIBDIR "/usr/lib/x86_64-linux-gnu"
#endif

#define PATH_EMULATOR DVMM_BINDIR "/dvmm-qemu"
#define PATH_HOOK DVMM_SBINDIR "/dvmm-hook"
#define PATH_PRELOAD_FOLDER DVMM_LIBDIR "/dvmm"

#endif
