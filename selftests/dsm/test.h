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
	__u32 range_node; /* home of this range; 0 bytes: none */
	__u64 range_start;
	__u64 range_bytes;
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
	__u64 out_homed;
};

struct dsm_test_rehome {
	__u32 mem;
	__u32 node;
	__u32 from;
	__u32 reserved;
	__u64 extent;
	__u64 nr_extents;
	__u64 out_moved;
};

struct dsm_test_top {
	__u64 pages; /* of struct dvmm_mem_page */
	__u32 nr; /* room, then how many there are */
	__u32 reserved;
};

#define DSM_TEST_VM _IOW(0xDF, 0, struct dsm_test_vm)
#define DSM_TEST_ADOPT _IOWR(0xDF, 1, struct dsm_test_adopt)
#define DSM_TEST_MAP _IOWR(0xDF, 2, struct dsm_test_map)
#define DSM_TEST_INFO _IOWR(0xDF, 3, struct dsm_test_info)
#define DSM_TEST_KILL _IO(0xDF, 4)
#define DSM_TEST_TOP _IOWR(0xDF, 5, struct dsm_test_top)
#define DSM_TEST_REHOME _IOWR(0xDF, 6, struct dsm_test_rehome)

#endif
