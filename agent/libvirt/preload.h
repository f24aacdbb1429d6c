/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/libvirt/preload.h - what dvmm-qemu tells dvmm-kvm.so. Data only. */
#ifndef AGENT_LIBVIRT_PRELOAD_H
#define AGENT_LIBVIRT_PRELOAD_H

#define PRELOAD_FD_VARIABLE "DVMM_KVM_FD" /* environment: number of the device's fd */
/* Beside dvmm-qemu, or in PATH_PRELOAD_FOLDER, from which AppArmor's abstractions/base lets
 * programs map libraries.
 */
#define PRELOAD_LIBRARY "dvmm-kvm.so"

#endif
