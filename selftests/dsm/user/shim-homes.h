/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/dsm/user/shim-homes.h - what dsm/rehome.c and home.c use beside shim.h. */
#ifndef SHIM_HOMES_H
#define SHIM_HOMES_H

#include "shim.h"

#ifndef static_assert
#define static_assert _Static_assert
#endif
#ifndef DIV_ROUND_UP_ULL
#define DIV_ROUND_UP_ULL(a, b) (((a) + (b) - 1) / (b))
#endif
#ifndef kvmalloc
#define kvmalloc(size, gfp) malloc(size)
#define kvmalloc_array(nr, size, gfp) malloc((nr) * (size))
#endif
#ifndef atomic_long_sub
#define atomic_long_sub(n, at) atomic_long_add(-(long)(n), at)
#endif
#ifndef xa_for_each_range
#define xa_for_each_range(xa, at, entry, start, last) \
	for (at = (start); ((entry) = shim_xa_find(xa, &at, last)); at++)
#endif
#ifndef wait_for_completion_killable
#define wait_for_completion_killable(completion) (wait_for_completion(completion), 0)
#endif

#endif
