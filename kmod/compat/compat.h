/* SPDX-License-Identifier: GPL-2.0-only */
/* kmod/compat/compat.h - what differs between kernels; included first in every
 * kernel file by Kbuild. No other file knows kernel versions.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <linux/version.h>

#endif
