// SPDX-License-Identifier: GPL-2.0-only
/* kmod/main.c - loads and unloads dvmm.ko. */
#include <linux/module.h>
#include <linux/dvmm.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm");
