/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/libvirt/preload.h - what dvmm-qemu tells dvmm-kvm.so. Data only. */
#ifndef AGENT_LIBVIRT_PRELOAD_H
#define AGENT_LIBVIRT_PRELOAD_H

#define PRELOAD_FD_VARIABLE "DVMM_KVM_FD" /* environment: number of the device's fd */
#define PRELOAD_LIBRARY "dvmm-kvm.so" /* beside dvmm-qemu, or in PRELOAD_FOLDER */
/* A folder from which AppArmor's abstractions/base lets programs map libraries. */
#define PRELOAD_FOLDER "/usr/lib/x86_64-linux-gnu/dvmm"

#endif
