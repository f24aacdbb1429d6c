// SPDX-License-Identifier: GPL-2.0-only
/* kmod/node.c - who this host is in its cluster. Told by user space, once. */
#include <crypto/hash.h>
#include <linux/socket.h>
#include "internal.h"
#include "transport.h"

struct identity self_node;

u8 dvmm_node_self(void)
{
	return READ_ONCE(self_node.id);
}
EXPORT_SYMBOL_GPL(dvmm_node_self);

u64 dvmm_node_epoch(void)
{
	return READ_ONCE(self_node.epoch);
}
EXPORT_SYMBOL_GPL(dvmm_node_epoch);

int node_init(struct identity *node)
{
	memset(node, 0, sizeof(*node));
	mutex_init(&node->lock);
	spin_lock_init(&node->links_lock);
	node->id = DVMM_NO_NODE;
	node->wire_version = DVMM_WIRE_VERSION;
	node->stats = dvmm_stats_alloc(DVMM_STAT_NODE, 0);
	return node->stats ? 0 : -ENOMEM;
}

void node_destroy(struct identity *node)
{
	rdma_listen_stop(node);
	if (node->key)
		crypto_free_shash(node->key);
	node->key = NULL;
	dvmm_stats_free(node->stats);
	node->stats = NULL;
}

bool name_is_good(const char *name)
{
	return name[0] && strnlen(name, DVMM_NAME_SIZE) < DVMM_NAME_SIZE;
}

int addr_check(const struct dvmm_addr *addr)
{
	if (addr->reserved || !addr->port)
		return -EINVAL;
	if (addr->family != AF_INET && addr->family != AF_INET6)
		return -EOPNOTSUPP;
	return 0;
}

int node_set_key(struct identity *node, const u8 *key)
{
	struct crypto_shash *tfm = crypto_alloc_shash("hmac(sha256)", 0, 0);
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	err = crypto_shash_setkey(tfm, key, DVMM_KEY_SIZE);
	if (err) {
		crypto_free_shash(tfm);
		return err;
	}
	if (node->key)
		crypto_free_shash(node->key);
	node->key = tfm;
	return 0;
}

static u64 first_epoch(const struct dvmm_node_set *set)
{
	return (u64)set->epoch_high << 32 | set->epoch;
}

static int check_set(const struct dvmm_node_set *set)
{
	if (set->node_id >= DVMM_MAX_NODES || !first_epoch(set) || first_epoch(set) == NO_EPOCH ||
	    set->reserved || !name_is_good(set->name))
		return -EINVAL;
	return addr_check(&set->listen);
}

static void adopt(struct identity *node, const struct dvmm_node_set *set)
{
	memcpy(node->cluster_uuid, set->cluster_uuid, DVMM_UUID_SIZE);
	memcpy(node->uuid, set->node_uuid, DVMM_UUID_SIZE);
	memcpy(node->name, set->name, DVMM_NAME_SIZE);
	node->listen = set->listen;
	node->members = U64_MAX;
	WRITE_ONCE(node->epoch, first_epoch(set));
	WRITE_ONCE(node->id, set->node_id);
}

/* node->lock held */
static int become(struct identity *node, const struct dvmm_node_set *set)
{
	int err;

	if (node->nr_links)
		return -EBUSY;
	/* Nobody may come in while we are neither the old nor the new one. */
	rdma_listen_stop(node);
	WRITE_ONCE(node->id, DVMM_NO_NODE);
	err = node_set_key(node, set->key);
	if (err)
		return err;
	adopt(node, set);
	err = rdma_listen_start(node, &set->listen);
	if (err)
		WRITE_ONCE(node->id, DVMM_NO_NODE);
	return err;
}

long node_ioctl_set(struct file *file, void *arg)
{
	struct dvmm_node_set *set = arg;
	int err = check_set(set);

	if (err)
		return err;
	mutex_lock(&self_node.lock);
	err = become(&self_node, set);
	mutex_unlock(&self_node.lock);
	return err;
}

static void describe(const struct identity *node, struct dvmm_node_get *get)
{
	get->out_node_id = node->id;
	get->out_epoch = lower_32_bits(node->epoch);
	get->out_epoch_high = upper_32_bits(node->epoch);
	get->out_nr_links = node->nr_links;
	get->out_nr_vms = stats_count(DVMM_STAT_VM);
	get->out_listen = node->listen;
	memcpy(get->out_cluster_uuid, node->cluster_uuid, DVMM_UUID_SIZE);
	memcpy(get->out_node_uuid, node->uuid, DVMM_UUID_SIZE);
	memcpy(get->out_name, node->name, DVMM_NAME_SIZE);
	get->out_members = node->members;
}

long node_ioctl_get(struct file *file, void *arg)
{
	struct dvmm_node_get *get = arg;
	int err = 0;

	mutex_lock(&self_node.lock);
	get->out_abi_version = DVMM_ABI_VERSION;
	if (self_node.id == DVMM_NO_NODE)
		err = -ENOTCONN;
	else
		describe(&self_node, get);
	mutex_unlock(&self_node.lock);
	return err;
}
