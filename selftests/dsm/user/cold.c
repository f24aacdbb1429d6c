// SPDX-License-Identifier: GPL-2.0-only
/* selftests/dsm/user/cold.c - in place of dsm/heat.c: nobody looks at hot pages here. */
#include "../../../dsm/internal.h"

int heat_init_vm(struct dsm_vm *vm)
{
	return 0;
}

void heat_free_vm(struct dsm_vm *vm)
{
}

void heat_taken(const struct page_ref *ref, u8 requester)
{
}

void heat_missed(const struct page_ref *ref, u8 want)
{
}

void heat_put_off(const struct page_ref *ref)
{
}
