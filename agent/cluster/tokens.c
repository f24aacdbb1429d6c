// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/tokens.c - the tokens that this node has made. Only hashes of them are kept,
 * for a while after they are used or expired too, so that a second use can be told from a
 * wrong token.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

#define NR_TOKENS_MAX 64
#define HASH_SIZE 32
#define KEPT_S (24 * 3600)

struct entry {
	uint8_t hash[HASH_SIZE];
	time_t expires;
	char used_by[DVMM_NAME_SIZE]; /* "": nobody yet */
};

struct tokens {
	char dir[CLUSTER_PATH_SIZE];
	uint32_t nr;
	struct entry entries[NR_TOKENS_MAX];
};

/* ---- the file ---- */

static json_t *entry_to_json(const struct entry *entry)
{
	char hash[2 * HASH_SIZE + 1];

	for (int i = 0; i < HASH_SIZE; i++)
		sprintf(hash + 2 * i, "%02x", entry->hash[i]);
	return json_pack("{s:s, s:I, s:s}", "hash", hash, "expires", (json_int_t)entry->expires,
			 "used_by", entry->used_by);
}

static int save(const struct tokens *tokens)
{
	json_t *list = json_array();
	char *text;
	int err;

	for (uint32_t i = 0; i < tokens->nr; i++)
		json_array_append_new(list, entry_to_json(&tokens->entries[i]));
	text = json_dumps(list, JSON_INDENT(1));
	json_decref(list);
	if (!text)
		return -ENOMEM;
	err = store_write(tokens->dir, FILE_TOKENS, text);
	free(text);
	return err;
}

static int parse_entry(json_t *json, struct entry *entry)
{
	const char *hash, *used_by;
	json_int_t expires;

	if (json_unpack(json, "{s:s, s:I, s:s}", "hash", &hash, "expires", &expires, "used_by",
			&used_by) ||
	    dvmm_hex_parse(hash, entry->hash, HASH_SIZE) ||
	    strlen(used_by) >= sizeof(entry->used_by))
		return -EINVAL;
	entry->expires = expires;
	strcpy(entry->used_by, used_by);
	return 0;
}

/* Without them no token is good: that is the safe side. */
int tokens_load(const char *dir, struct tokens **ret_tokens)
{
	struct tokens *tokens = calloc(1, sizeof(*tokens));
	char *text = store_read(dir, FILE_TOKENS);
	json_t *list, *item;
	size_t i;

	if (!tokens) {
		free(text);
		return -ENOMEM;
	}
	snprintf(tokens->dir, sizeof(tokens->dir), "%s", dir);
	list = text ? json_loads(text, 0, NULL) : NULL;
	json_array_foreach(list, i, item)
		if (tokens->nr < NR_TOKENS_MAX && !parse_entry(item, &tokens->entries[tokens->nr]))
			tokens->nr++;
	json_decref(list);
	free(text);
	*ret_tokens = tokens;
	return 0;
}

void tokens_free(struct tokens *tokens)
{
	free(tokens);
}

/* ---- entries ---- */

static void hash_secret(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t hash[HASH_SIZE])
{
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, TOKEN_SECRET_SIZE, hash))
		abort();
}

static struct entry *find(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE])
{
	uint8_t hash[HASH_SIZE];

	hash_secret(secret, hash);
	for (uint32_t i = 0; i < tokens->nr; i++)
		if (!gnutls_memcmp(tokens->entries[i].hash, hash, HASH_SIZE))
			return &tokens->entries[i];
	return NULL;
}

static void forget_old(struct tokens *tokens)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < tokens->nr; i++)
		if (tokens->entries[i].expires + KEPT_S > time(NULL))
			tokens->entries[nr++] = tokens->entries[i];
	tokens->nr = nr;
}

/* When there are too many, the first one that cannot be used any more makes room. */
static int make_room(struct tokens *tokens)
{
	uint32_t i = 0;

	forget_old(tokens);
	if (tokens->nr < NR_TOKENS_MAX)
		return 0;
	while (i < tokens->nr && !*tokens->entries[i].used_by &&
	       tokens->entries[i].expires > time(NULL))
		i++;
	if (i == tokens->nr)
		return -ENOSPC;
	tokens->nr--;
	memmove(&tokens->entries[i], &tokens->entries[i + 1],
		(tokens->nr - i) * sizeof(tokens->entries[0]));
	return 0;
}

int tokens_add(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE], uint32_t ttl_s)
{
	struct entry entry = { .expires = time(NULL) + ttl_s };
	int err = make_room(tokens);

	if (err)
		return err;
	hash_secret(secret, entry.hash);
	tokens->entries[tokens->nr++] = entry;
	err = save(tokens);
	if (err)
		tokens->nr--;
	return err;
}

int tokens_check(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE],
		 struct cluster_error *error)
{
	const struct entry *entry = find(tokens, secret);

	if (!entry)
		return cluster_fail(error, RPC_DENIED, "wrong token: this node has not made it");
	if (*entry->used_by)
		return cluster_fail(
			error, RPC_DENIED,
			"this token was used already, by node %s: make another (dvmm cluster token)",
			entry->used_by);
	if (entry->expires <= time(NULL))
		return cluster_fail(error, RPC_DENIED,
				    "this token has expired: make another (dvmm cluster token)");
	return 0;
}

int tokens_use(struct tokens *tokens, const uint8_t secret[TOKEN_SECRET_SIZE], const char *node)
{
	struct entry *entry = find(tokens, secret);
	struct entry before;
	int err;

	if (!entry)
		return -ENOENT;
	before = *entry;
	snprintf(entry->used_by, sizeof(entry->used_by), "%s", node ? node : "");
	err = save(tokens);
	if (err)
		*entry = before;
	return err;
}
