// SPDX-License-Identifier: GPL-2.0-only
/* dsm/main.c - loads and unloads dvmm-dsm.ko. */
#include <linux/module.h>
#include <linux/dvmm.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm");
