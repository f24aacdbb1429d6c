// SPDX-License-Identifier: GPL-2.0-only
/* dsm/regain.c - contended pages that this node has lost and will want back.
 *
 * A vCPU that lost part of its working set would miss its pages one after the
 * other, a round trip each. The first miss asks for all of them at once. What
 * comes back and is lost again unused is not asked for a second time.
 */
#include "internal.h"

void regain_init(struct regain *regain)
{
	spin_lock_init(&regain->lock);
}

/* The page lock is held. A full list forgets what it would have to add. */
void regain_note(const struct page_ref *ref)
{
	struct regain *regain = &ref->mem->vm->regain;

	spin_lock(&regain->lock);
	if (regain->nr < REGAIN_MAX)
		regain->lost[regain->nr++] = (struct regain_page){
			.mem = ref->mem->id,
			.index = ref->index,
		};
	spin_unlock(&regain->lock);
}

static u32 take_all(struct regain *regain, struct regain_page *lost)
{
	u32 nr;

	spin_lock(&regain->lock);
	nr = regain->nr;
	memcpy(lost, regain->lost, nr * sizeof(*lost));
	regain->nr = 0;
	spin_unlock(&regain->lock);
	return nr;
}

static void request(struct op *op)
{
	u8 state;

	page_lock(&op->ref);
	state = op->ref.page->node.state;
	if (!proto_can_write(state) && !proto_is_transient(state)) {
		op->ref.page->flags |= PAGE_F_REGAINED;
		act_access(op, PROTO_WRITE);
	}
	page_unlock(&op->ref);
}

/* The caller is in the vm and is about to wait; holds no page lock. */
void regain_all(struct dsm_vm *vm)
{
	struct regain_page lost[REGAIN_MAX];
	u32 i, nr;

	if (!READ_ONCE(vm->regain.nr))
		return;
	nr = take_all(&vm->regain, lost);
	for (i = 0; i < nr; i++) {
		struct dsm_mem *mem = mem_find(vm, lost[i].mem);
		struct op op = { .can_wait = true };

		if (mem && fetch_may_foresee(vm) &&
		    !page_get(mem, lost[i].index, GFP_KERNEL, &op.ref))
			request(&op);
	}
	post_flush(vm);
}
