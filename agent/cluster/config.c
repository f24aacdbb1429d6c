// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/config.c - the configuration of a cluster: as JSON and back, what may be in
 * it, and the changes that there are. Pure: no files, no connections.
 */
#include <ctype.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

#define LOST_AFTER_MIN_MS 1000
#define LOST_AFTER_MAX_MS 600000
#define FENCE_AFTER_MAX_MS 600000

/* ---- settings ---- */

static bool is_number(const char *value, int min, int max)
{
	return *value && strspn(value, "0123456789") == strlen(value) && strlen(value) < 7 &&
	       atoi(value) >= min && atoi(value) <= max;
}

static bool is_lost_after(const char *value)
{
	return is_number(value, LOST_AFTER_MIN_MS, LOST_AFTER_MAX_MS);
}

static bool is_fence_after(const char *value)
{
	return is_number(value, 0, FENCE_AFTER_MAX_MS);
}

static bool is_membership(const char *value)
{
	return !strcmp(value, "static") || !strcmp(value, "corosync");
}

/* ":9471" is that port of each node's own address. */
static bool is_metrics(const char *value)
{
	char with_host[CLUSTER_VALUE_SIZE + 16];
	struct dvmm_addr addr;

	snprintf(with_host, sizeof(with_host), "127.0.0.1%s", value);
	return *value == '/' || !dvmm_addr_parse(*value == ':' ? with_host : value, &addr);
}

static const struct {
	const char *name;
	bool (*is_good)(const char *value);
	const char *wanted;
	const char *help;
} settings[NR_CLUSTER_SETTINGS] = {
	[CLUSTER_LOST_AFTER_MS] = { "lost-after-ms", is_lost_after, "1000 to 600000",
				    "Silence of a link, in ms, after which its node is lost (10000); for links made from then on" },
	[CLUSTER_METRICS] = { "metrics", is_metrics, "ADDRESS:PORT, :PORT or an absolute path",
			      "Where agents answer Prometheus: ADDRESS:PORT, :PORT of each node's own address, or a socket (nowhere)" },
	[CLUSTER_MEMBERSHIP] = { "membership", is_membership, "static or corosync",
				 "Who says which nodes are there: people (static), or corosync, by quorum" },
	[CLUSTER_FENCE_AFTER_MS] = { "fence-after-ms", is_fence_after, "0 to 600000",
				     "Time without quorum, in ms, after which a node ends its spanning VMs (5000)" },
};

const char *cluster_setting_name(enum cluster_setting setting)
{
	return settings[setting].name;
}

const char *cluster_setting_help(enum cluster_setting setting)
{
	return settings[setting].help;
}

static int find_setting(const char *name)
{
	for (int i = 0; i < NR_CLUSTER_SETTINGS; i++)
		if (!strcmp(settings[i].name, name))
			return i;
	return -ENOENT;
}

static bool is_text(const char *value)
{
	while (*value > ' ' && *value < 0x7f)
		value++;
	return !*value;
}

int cluster_change_setting(struct cluster_config *config, const char *name, const char *value,
			   struct cluster_error *error)
{
	int setting = find_setting(name);

	if (setting < 0)
		return cluster_fail(error, RPC_NOT_FOUND,
				    "%s: no such setting (dvmm cluster settings)", name);
	if (!strcmp(value, "default"))
		value = "";
	if (strlen(value) >= CLUSTER_VALUE_SIZE || !is_text(value) ||
	    (*value && !settings[setting].is_good(value)))
		return cluster_fail(error, RPC_INVALID, "%s: '%.60s' is not %s", name, value,
				    settings[setting].wanted);
	strcpy(config->settings[setting], value);
	return 0;
}

/* ---- members ---- */

bool cluster_name_is_good(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= DVMM_NAME_SIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

const struct cluster_member *cluster_member_find(const struct cluster_config *config,
						 const char *name)
{
	for (uint32_t i = 0; i < config->nr_members; i++)
		if (!strcmp(config->members[i].name, name))
			return &config->members[i];
	return NULL;
}

static bool same_addr(const struct dvmm_addr *a, const struct dvmm_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static int check_clash(const struct cluster_member *member, const struct cluster_member *other,
		       struct cluster_error *error)
{
	char addr[DVMM_ADDR_TEXT_SIZE];

	if (!strcmp(member->name, other->name))
		return cluster_fail(error, RPC_CONFLICT, "%s: the cluster has a node of this name",
				    member->name);
	if (member->id == other->id)
		return cluster_fail(error, RPC_CONFLICT, "%s: id %u is node %s's", member->name,
				    member->id, other->name);
	if (!memcmp(member->uuid, other->uuid, DVMM_UUID_SIZE))
		return cluster_fail(error, RPC_CONFLICT, "%s: its UUID is node %s's", member->name,
				    other->name);
	if (same_addr(&member->addr, &other->addr))
		return cluster_fail(error, RPC_CONFLICT, "%s: address %s is node %s's",
				    member->name, dvmm_addr_format(&member->addr, addr),
				    other->name);
	if (same_addr(&member->api, &other->api))
		return cluster_fail(error, RPC_CONFLICT, "%s: address %s is node %s's",
				    member->name, dvmm_addr_format(&member->api, addr),
				    other->name);
	return 0;
}

int cluster_add(struct cluster_config *config, const struct cluster_member *member,
		struct cluster_error *error)
{
	if (config->nr_members == DVMM_MAX_NODES)
		return cluster_fail(error, RPC_CONFLICT,
				    "the cluster has %d nodes already, the most there can be",
				    DVMM_MAX_NODES);
	for (uint32_t i = 0; i < config->nr_members; i++)
		if (check_clash(member, &config->members[i], error))
			return -EINVAL;
	config->members[config->nr_members++] = *member;
	return 0;
}

int cluster_drop(struct cluster_config *config, const char *name, struct cluster_error *error)
{
	const struct cluster_member *member = cluster_member_find(config, name);
	uint32_t at = member - config->members;

	if (!member)
		return cluster_fail(error, RPC_NOT_FOUND, "%s: no such node in the cluster", name);
	config->nr_members--;
	memmove(&config->members[at], &config->members[at + 1],
		(config->nr_members - at) * sizeof(config->members[0]));
	memset(&config->members[config->nr_members], 0, sizeof(config->members[0]));
	return 0;
}

uint32_t cluster_free_id(const struct cluster_config *config)
{
	uint64_t used = 1; /* 0 looks like none */
	uint32_t id = 0;

	for (uint32_t i = 0; i < config->nr_members; i++)
		used |= 1ull << config->members[i].id;
	while (id < DVMM_MAX_NODES && used >> id & 1)
		id++;
	return id;
}

/* ---- to JSON ---- */

static void format_hex(const uint8_t *bytes, size_t size, char *ret_text)
{
	for (size_t i = 0; i < size; i++)
		sprintf(ret_text + 2 * i, "%02x", bytes[i]);
}

static json_t *member_to_json(const struct cluster_member *member)
{
	char addr[DVMM_ADDR_TEXT_SIZE], api[DVMM_ADDR_TEXT_SIZE], uuid[DVMM_UUID_TEXT_SIZE];
	char cert[2 * CLUSTER_FINGERPRINT_SIZE + 1];

	format_hex(member->cert, sizeof(member->cert), cert);
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "name", member->name, "id", member->id,
			 "uuid", dvmm_uuid_format(member->uuid, uuid),
			 "addr", dvmm_addr_format(&member->addr, addr),
			 "api", dvmm_addr_format(&member->api, api), "cert", cert);
}

json_t *cluster_config_to_json(const struct cluster_config *config)
{
	json_t *members = json_array(), *values = json_object();
	char uuid[DVMM_UUID_TEXT_SIZE];

	for (uint32_t i = 0; i < config->nr_members; i++)
		json_array_append_new(members, member_to_json(&config->members[i]));
	for (int i = 0; i < NR_CLUSTER_SETTINGS; i++)
		if (*config->settings[i])
			json_object_set_new(values, settings[i].name,
					    json_string(config->settings[i]));
	return json_pack("{s:s, s:s, s:I, s:o, s:o}", "name", config->name, "uuid",
			 dvmm_uuid_format(config->uuid, uuid), "version",
			 (json_int_t)config->version, "settings", values, "members", members);
}

void cluster_digest(const struct cluster_config *config,
		    char ret_text[2 * CLUSTER_FINGERPRINT_SIZE + 1])
{
	uint8_t digest[CLUSTER_FINGERPRINT_SIZE] = { 0 };
	json_t *json = cluster_config_to_json(config);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	if (text)
		gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), digest);
	format_hex(digest, sizeof(digest), ret_text);
	free(text);
	json_decref(json);
}

/* ---- from JSON ---- */

static int parse_member(json_t *json, struct cluster_member *ret_member,
			struct cluster_error *error)
{
	const char *name, *uuid, *addr, *api, *cert;
	int id;

	if (json_unpack(json, "{s:s, s:i, s:s, s:s, s:s, s:s}", "name", &name, "id", &id, "uuid",
			&uuid, "addr", &addr, "api", &api, "cert", &cert))
		return cluster_fail(error, RPC_INVALID,
				    "a member is {name, id, uuid, addr, api, cert}");
	if (!cluster_name_is_good(name) || id < 0 || id >= DVMM_MAX_NODES ||
	    dvmm_uuid_parse(uuid, ret_member->uuid) || dvmm_addr_parse(addr, &ret_member->addr) ||
	    dvmm_addr_parse(api, &ret_member->api) ||
	    dvmm_hex_parse(cert, ret_member->cert, sizeof(ret_member->cert)))
		return cluster_fail(error, RPC_INVALID,
				    "member '%.64s' has a bad name, id, uuid, addr, api or cert",
				    name);
	strcpy(ret_member->name, name);
	ret_member->id = id;
	return 0;
}

static int parse_members(json_t *list, struct cluster_config *config, struct cluster_error *error)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		struct cluster_member member = { 0 };
		int err = parse_member(item, &member, error) ?: cluster_add(config, &member, error);

		if (err)
			return err;
	}
	return config->nr_members ?
		       0 :
		       cluster_fail(error, RPC_INVALID, "a cluster has a member at least");
}

/* A setting of a newer agent is refused: this node could not do what all agree on. */
static int parse_settings(json_t *values, struct cluster_config *config,
			  struct cluster_error *error)
{
	const char *name;
	json_t *value;

	json_object_foreach(values, name, value) {
		if (!json_is_string(value))
			return cluster_fail(error, RPC_INVALID, "setting '%.64s' is not a string",
					    name);
		if (cluster_change_setting(config, name, json_string_value(value), error))
			return -EINVAL;
	}
	return 0;
}

int cluster_config_parse(json_t *json, struct cluster_config *ret_config,
			 struct cluster_error *error)
{
	struct cluster_config config = { 0 };
	json_t *members, *values;
	const char *name, *uuid;
	json_int_t version;

	if (json_unpack(json, "{s:s, s:s, s:I, s:o, s:o}", "name", &name, "uuid", &uuid, "version",
			&version, "settings", &values, "members", &members) ||
	    !json_is_object(values) || !json_is_array(members))
		return cluster_fail(error, RPC_INVALID,
				    "a configuration is {name, uuid, version, settings, members}");
	if (!cluster_name_is_good(name) || dvmm_uuid_parse(uuid, config.uuid) || version < 1 ||
	    version > UINT32_MAX)
		return cluster_fail(error, RPC_INVALID,
				    "the configuration has a bad name, uuid or version");
	strcpy(config.name, name);
	config.version = version;
	if (parse_settings(values, &config, error) || parse_members(members, &config, error))
		return -EINVAL;
	*ret_config = config;
	return 0;
}
