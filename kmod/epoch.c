// SPDX-License-Identifier: GPL-2.0-only
/* kmod/epoch.c - the membership, as agreed outside of the kernel: its number, and who is in it.
 * What that means for a link is link.c's, for what comes on it conn.c's.
 */
#include "internal.h"

/* node->lock held */
static void tell_link(struct identity *node, u8 peer, u64 before)
{
	bool was_member = before & BIT_ULL(peer);
	bool is_member = node->members & BIT_ULL(peer);
	struct link *link;

	if (was_member == is_member)
		return;
	link = link_get(node, peer);
	if (!link)
		return;
	if (is_member)
		link_admit(link, node->epoch);
	else
		link_expel(link, node->epoch);
	link_put(link);
}

/* node->lock held */
static int check(const struct identity *node, u64 epoch, u64 members)
{
	if (!epoch || epoch == NO_EPOCH)
		return -EINVAL;
	if (node->id == DVMM_NO_NODE)
		return -ENOTCONN;
	if (!(members & BIT_ULL(node->id)))
		return -EINVAL;
	if (epoch < node->epoch || (epoch == node->epoch && members != node->members))
		return -ESTALE;
	return 0;
}

int epoch_set(struct identity *node, u64 epoch, u64 members)
{
	u64 before;
	u8 peer;
	int err;

	mutex_lock(&node->lock);
	err = check(node, epoch, members);
	if (!err) {
		before = node->members;
		node->members = members;
		WRITE_ONCE(node->epoch, epoch);
		for (peer = 0; peer < DVMM_MAX_NODES; peer++)
			tell_link(node, peer, before);
	}
	mutex_unlock(&node->lock);
	return err;
}

long epoch_ioctl_set(struct file *file, void *arg)
{
	const struct dvmm_epoch_set *set = arg;

	return epoch_set(&self_node, set->epoch, set->members);
}
