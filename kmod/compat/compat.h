/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/compat/compat.h - what differs between kernels; included first in every
 * kernel file by Kbuild. No other file knows kernel versions.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <linux/version.h>

/* 6.4, 1aaba11da9aa "driver core: class: remove module * from class_create()" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define compat_class_create(name) class_create(name)
#else
#define compat_class_create(name) class_create(THIS_MODULE, name)
#endif

/* 6.2, ff62b8e6588f "driver core: make struct class.devnode() take a const *" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define COMPAT_DEVNODE_CONST const
#else
#define COMPAT_DEVNODE_CONST
#endif

/* 6.3, 1c71222e5f23 "mm: replace vma->vm_flags direct modifications" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define compat_vm_flags_set(vma, flags) vm_flags_set(vma, flags)
#else
#define compat_vm_flags_set(vma, flags) ((vma)->vm_flags |= (flags))
#endif

/* 6.6, 29a22b9e08d7 "mm: handle userfaults under VMA lock" (release_fault_lock) */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define compat_release_fault_lock(vmf) release_fault_lock(vmf)
#else
#define compat_release_fault_lock(vmf) mmap_read_unlock((vmf)->vma->vm_mm)
#endif

/* 6.8, 3652117f8548 "eventfd: simplify eventfd_signal()" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define compat_eventfd_signal(ctx) eventfd_signal(ctx)
#else
#define compat_eventfd_signal(ctx) ((void)eventfd_signal(ctx, 1))
#endif

/* 6.7, c42d50aefd17 "mm: shrinker: add infrastructure for dynamically allocating shrinker" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define compat_shrinker_alloc(name) shrinker_alloc(0, name)
#define compat_shrinker_register(shrinker, name) (shrinker_register(shrinker), 0)
#define compat_shrinker_free(shrinker) shrinker_free(shrinker)
#define compat_shrinker_unregister(shrinker) shrinker_free(shrinker)
#else
#define compat_shrinker_alloc(name) ((struct shrinker *)kzalloc(sizeof(struct shrinker), GFP_KERNEL))
#define compat_shrinker_register(shrinker, name) register_shrinker(shrinker, name)
#define compat_shrinker_free(shrinker) kfree(shrinker)
#define compat_shrinker_unregister(shrinker) (unregister_shrinker(shrinker), kfree(shrinker))
#endif

/* 6.1: folio_mapcount() is no inline function and not exported */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define compat_page_mapcount(page) folio_mapcount(page_folio(page))
#else
#define compat_page_mapcount(page) page_mapcount(page)
#endif

#endif
