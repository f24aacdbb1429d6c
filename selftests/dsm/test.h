/* SPDX-License-Identifier: GPL-2.0-only */
/* selftests/dsm/test.h - ioctls of /dev/dvmm-dsm-test. */
#ifndef DSM_TEST_H
#define DSM_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct dsm_test_vm {
	__u32 vm_id;
	__u32 origin;
	__u64 nodes;
	__u64 needed; /* of them: the VM fails with their loss */
};

struct dsm_test_adopt {
	__u64 hva;
	__u64 bytes;
	__u32 home_policy;
	__u32 out_mem; /* of the first segment */
	__u32 out_nr;
	__u32 reserved;
};

struct dsm_test_map {
	__u32 mem;
	__u32 home_policy;
	__u64 mem_bytes;
	__u64 offset;
	__u64 bytes;
	__u64 out_hva;
};

struct dsm_test_info {
	__u32 mem;
	__u32 failed; /* errno of ops->failed, or 0 */
	__u64 out_resident;
	__u64 out_metadata;
};

#define DSM_TEST_VM _IOW(0xDF, 0, struct dsm_test_vm)
#define DSM_TEST_ADOPT _IOWR(0xDF, 1, struct dsm_test_adopt)
#define DSM_TEST_MAP _IOWR(0xDF, 2, struct dsm_test_map)
#define DSM_TEST_INFO _IOWR(0xDF, 3, struct dsm_test_info)
#define DSM_TEST_KILL _IO(0xDF, 4)

#endif
