// SPDX-License-Identifier: GPL-2.0-only
/* vcpu-remote/main.c - loads and unloads dvmm-vcpu.ko. */
#include <linux/module.h>
#include <linux/dvmm.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dvmm");
