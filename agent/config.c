// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/config.c - reads the agent's configuration files. In a cluster (agent/cluster) nodes
 * and keys are not theirs.
 *
 *	[agent]
 *	metrics = 127.0.0.1:9471
 *	watchdog = /dev/watchdog0
 *	[node]
 *	id = 1
 *	name = n1
 *	listen = 10.0.0.1:4750
 *	[cluster]
 *	uuid = 6a1c...
 *	key-file = /etc/dvmm/cluster.key
 *	[peer "n2"]
 *	id = 2
 *	addr = 10.0.0.2:4750
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config.h"

#define LINE_MAX_BYTES 1024

struct reader {
	struct config *config;
	const char *file;
	FILE *text;
	FILE *say;
	int line;
	int errors;
	bool cut; /* the line was too long; skip what is left of it */
	bool in_cluster;
	bool node_seen[8], cluster_seen[8], agent_seen[8]; /* keys, in the order of their tables */
	bool peer_id_seen[DVMM_MAX_NODES], peer_addr_seen[DVMM_MAX_NODES];
};

__attribute__((format(printf, 2, 3)))
static int complain(struct reader *reader, const char *format, ...)
{
	va_list args;

	fprintf(reader->say, "%s:%d: error: ", reader->file, reader->line);
	va_start(args, format);
	vfprintf(reader->say, format, args);
	va_end(args);
	fputc('\n', reader->say);
	reader->errors++;
	return -EINVAL;
}

__attribute__((format(printf, 2, 3)))
static void complain_file(struct reader *reader, const char *format, ...)
{
	va_list args;

	fprintf(reader->say, "%s: error: ", reader->file);
	va_start(args, format);
	vfprintf(reader->say, format, args);
	va_end(args);
	fputc('\n', reader->say);
	reader->errors++;
}

static void warn_unknown(struct reader *reader, const char *section, const char *key)
{
	fprintf(reader->say, "%s:%d: warning: unknown key '%s' in [%s]\n", reader->file,
		reader->line, key, section);
}

/* ---- values ---- */

static int read_number(struct reader *reader, const char *value, uint32_t max, uint32_t *ret)
{
	unsigned long number;

	if (!*value || strspn(value, "0123456789") != strlen(value) || strlen(value) > 10)
		return complain(reader, "'%s' is not a number", value);
	number = strtoul(value, NULL, 10);
	if (number > max)
		return complain(reader, "%s is too large, the largest is %u", value, max);
	*ret = number;
	return 0;
}

static int read_id(struct reader *reader, const char *value, struct config_node *node)
{
	if (read_number(reader, value, DVMM_MAX_NODES - 1, &node->id))
		return -EINVAL;
	node->has_id = true;
	return 0;
}

static int read_name(struct reader *reader, const char *value, char name[DVMM_NAME_SIZE])
{
	size_t len = strlen(value);

	if (!len || len >= DVMM_NAME_SIZE)
		return complain(reader, "a name has 1 to %d characters", DVMM_NAME_SIZE - 1);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)value[i]) && !strchr("._-", value[i]))
			return complain(reader,
					"a name has letters, digits, '.', '_' and '-', not '%s'",
					value);
	memcpy(name, value, len + 1);
	return 0;
}

static int read_addr(struct reader *reader, const char *value, struct dvmm_addr *addr)
{
	if (dvmm_addr_parse(value, addr))
		return complain(reader,
				"'%s' is not ADDRESS:PORT, as 10.0.0.1:4750 or [fd00::1]:4750",
				value);
	return 0;
}

static int read_uuid(struct reader *reader, const char *value, uint8_t *uuid, bool *has)
{
	if (dvmm_uuid_parse(value, uuid))
		return complain(reader, "'%s' is not a UUID", value);
	*has = true;
	return 0;
}

static int read_path(struct reader *reader, const char *value, char path[CONFIG_PATH_SIZE])
{
	if (*value != '/' || strlen(value) >= CONFIG_PATH_SIZE)
		return complain(reader, "'%s' is not an absolute path of less than %d bytes", value,
				CONFIG_PATH_SIZE);
	strcpy(path, value);
	return 0;
}

/* ---- keys ---- */

struct key {
	const char *name;
	int (*read)(struct reader *reader, const char *value);
};

static int node_id(struct reader *reader, const char *value)
{
	return read_id(reader, value, &reader->config->self);
}

static int node_name(struct reader *reader, const char *value)
{
	return read_name(reader, value, reader->config->self.name);
}

static int node_uuid(struct reader *reader, const char *value)
{
	return read_uuid(reader, value, reader->config->node_uuid, &reader->config->has_node_uuid);
}

static int node_listen(struct reader *reader, const char *value)
{
	return read_addr(reader, value, &reader->config->self.addr);
}

static int node_slice_program(struct reader *reader, const char *value)
{
	return read_path(reader, value, reader->config->slice_program);
}

static int cluster_uuid(struct reader *reader, const char *value)
{
	return read_uuid(reader, value, reader->config->cluster_uuid,
			 &reader->config->has_cluster_uuid);
}

static int cluster_key_file(struct reader *reader, const char *value)
{
	return read_path(reader, value, reader->config->key_file);
}

static int cluster_epoch(struct reader *reader, const char *value)
{
	if (read_number(reader, value, UINT32_MAX, &reader->config->epoch))
		return -EINVAL;
	return reader->config->epoch ? 0 : complain(reader, "epoch 0 is not a membership");
}

/* ":9471" is that port of the node's own address. */
static int agent_metrics(struct reader *reader, const char *value)
{
	char with_host[64];
	struct dvmm_addr addr;

	if (*value == '/')
		return read_path(reader, value, reader->config->metrics);
	snprintf(with_host, sizeof(with_host), "%s%s", *value == ':' ? "127.0.0.1" : "", value);
	if (strlen(value) >= sizeof(with_host) - 16 || dvmm_addr_parse(with_host, &addr))
		return complain(reader, "'%s' is not ADDRESS:PORT, :PORT or an absolute path",
				value);
	strcpy(reader->config->metrics, value);
	return 0;
}

static int agent_watchdog(struct reader *reader, const char *value)
{
	*reader->config->watchdog = '\0';
	return *value ? read_path(reader, value, reader->config->watchdog) : 0;
}

static const struct key agent_keys[] = {
	{ "metrics", agent_metrics },
	{ "watchdog", agent_watchdog },
	{ 0 },
};

static const struct key node_keys[] = {
	{ "id", node_id },
	{ "name", node_name },
	{ "uuid", node_uuid },
	{ "listen", node_listen },
	{ "slice-program", node_slice_program },
	{ 0 },
};

static const struct key cluster_keys[] = {
	{ "uuid", cluster_uuid },
	{ "key-file", cluster_key_file },
	{ "epoch", cluster_epoch },
	{ 0 },
};

static bool is_of_cluster(struct reader *reader, const char *section, const char *name)
{
	if (!reader->in_cluster || !strcmp(section, "agent") || !strcmp(name, "slice-program"))
		return false;
	fprintf(reader->say,
		"%s:%d: warning: '%s' in [%s] is not used: this node is in a cluster (dvmm cluster)\n",
		reader->file, reader->line, name, section);
	return true;
}

/* In one file. What a later file says counts. */
static bool is_second(struct reader *reader, bool *seen, const char *name)
{
	bool is_second = *seen;

	*seen = true;
	if (is_second)
		complain(reader, "'%s' is given twice", name);
	return is_second;
}

static int read_key(struct reader *reader, const struct key *keys, bool *seen,
		    const char *section, const char *name, const char *value)
{
	for (int i = 0; keys[i].name; i++) {
		if (strcmp(keys[i].name, name))
			continue;
		if (is_of_cluster(reader, section, name))
			return 0;
		return is_second(reader, &seen[i], name) ? -EINVAL : keys[i].read(reader, value);
	}
	warn_unknown(reader, section, name);
	return 0;
}

static struct config_node *peer_named(struct reader *reader, const char *name)
{
	struct config *config = reader->config;
	struct config_node *peer;

	for (uint32_t i = 0; i < config->nr_peers; i++)
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	if (config->nr_peers == DVMM_MAX_NODES - 1) {
		complain(reader, "more than %d peers", DVMM_MAX_NODES - 1);
		return NULL;
	}
	peer = &config->peers[config->nr_peers];
	if (read_name(reader, name, peer->name))
		return NULL;
	config->nr_peers++;
	return peer;
}

/* [peer "n2"]: the name is between the quotes. */
static int read_peer(struct reader *reader, const char *section, const char *key, const char *value)
{
	char name[LINE_MAX_BYTES];
	struct config_node *peer;
	uint32_t at;
	int end = 0;

	if (sscanf(section, "peer \"%[^\"]\"%n", name, &end) != 1 || !end || section[end])
		return complain(reader, "[%s] should be [peer \"NAME\"]", section);
	peer = peer_named(reader, name);
	if (!peer)
		return -EINVAL;
	at = peer - reader->config->peers;
	if (!strcmp(key, "id"))
		return is_second(reader, &reader->peer_id_seen[at], key) ?
			       -EINVAL :
			       read_id(reader, value, peer);
	if (!strcmp(key, "addr"))
		return is_second(reader, &reader->peer_addr_seen[at], key) ?
			       -EINVAL :
			       read_addr(reader, value, &peer->addr);
	warn_unknown(reader, section, key);
	return 0;
}

static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *reader = arg;

	if (!strcmp(section, "node"))
		read_key(reader, node_keys, reader->node_seen, section, name, value);
	else if (!strcmp(section, "cluster"))
		read_key(reader, cluster_keys, reader->cluster_seen, section, name, value);
	else if (!strcmp(section, "agent"))
		read_key(reader, agent_keys, reader->agent_seen, section, name, value);
	else if (!strncmp(section, "peer", 4) && is_of_cluster(reader, section, name))
		return 1;
	else if (!strncmp(section, "peer", 4))
		read_peer(reader, section, name, value);
	else
		warn_unknown(reader, section, name);
	return 1;
}

/* libinih does not tell line numbers to its handler: count them here. */
static char *next_line(char *buffer, int size, void *arg)
{
	struct reader *reader = arg;
	bool is_rest = reader->cut;
	size_t len;

	if (!fgets(buffer, size, reader->text))
		return NULL;
	len = strlen(buffer);
	reader->cut = len == (size_t)size - 1 && buffer[len - 1] != '\n';
	if (!is_rest) {
		reader->line++;
		if (reader->cut)
			complain(reader, "the line is too long");
	}
	/* What is left of a long line would look like a line of its own. */
	if (is_rest || reader->cut)
		strcpy(buffer, "\n");
	return buffer;
}

/* ---- the whole ---- */

static void check_peer(struct reader *reader, const struct config_node *peer)
{
	const struct config *config = reader->config;

	if (!peer->has_id)
		complain_file(reader, "[peer \"%s\"] has no id", peer->name);
	if (!peer->addr.port)
		complain_file(reader, "[peer \"%s\"] has no addr", peer->name);
	if (!strcmp(peer->name, config->self.name))
		complain_file(reader, "[peer \"%s\"] has the name of this node", peer->name);
	if (peer->has_id && peer->id == config->self.id)
		complain_file(reader, "[peer \"%s\"] has the id of this node", peer->name);
	for (const struct config_node *other = config->peers; other < peer; other++)
		if (peer->has_id && other->has_id && other->id == peer->id)
			complain_file(reader, "[peer \"%s\"] has the id of peer \"%s\"", peer->name,
				      other->name);
}

static void check_whole(struct reader *reader)
{
	const struct config *config = reader->config;

	if (!config->self.has_id)
		complain_file(reader, "[node] has no id");
	if (!*config->self.name)
		complain_file(reader, "[node] has no name");
	if (!config->self.addr.port)
		complain_file(reader, "[node] has no listen");
	if (!config->has_cluster_uuid)
		complain_file(reader, "[cluster] has no uuid");
	if (!*config->key_file)
		complain_file(reader, "[cluster] has no key-file");
	for (uint32_t i = 0; i < config->nr_peers; i++)
		check_peer(reader, &config->peers[i]);
}

static void begin_file(struct reader *reader, FILE *text, const char *file)
{
	*reader = (struct reader){ .config = reader->config,
				   .in_cluster = reader->in_cluster,
				   .say = reader->say,
				   .errors = reader->errors,
				   .text = text,
				   .file = file };
}

static void read_file(struct reader *reader, FILE *text, const char *file)
{
	int bad_line;

	begin_file(reader, text, file);
	ini_allow_multiline = 0;
	ini_max_line = LINE_MAX_BYTES;
	ini_use_stack = 0;
	bad_line = ini_parse_stream(next_line, reader, on_key, reader);
	if (bad_line > 0) {
		reader->line = bad_line;
		complain(reader, "this is neither [SECTION] nor KEY = VALUE");
	} else if (bad_line < 0) {
		complain_file(reader, "cannot be read");
	}
}

static int finish(struct reader *reader, const char *file, struct config *ret_config)
{
	reader->file = file;
	if (!reader->errors && !reader->in_cluster)
		check_whole(reader);
	if (reader->errors)
		return -EINVAL;
	*ret_config = *reader->config;
	return 0;
}

int config_read(FILE *text, const char *file, FILE *say, struct config *ret_config)
{
	struct config config = { .epoch = 1 };
	struct reader reader = { .config = &config, .say = say };

	read_file(&reader, text, file);
	return finish(&reader, file, ret_config);
}

/* ---- files ---- */

static int read_named(struct reader *reader, const char *file)
{
	FILE *text = fopen(file, "re");
	int err;

	if (!text) {
		err = -errno;
		fprintf(reader->say, "%s: error: %s\n", file, strerror(errno));
		return err;
	}
	read_file(reader, text, file);
	fclose(text);
	return 0;
}

static int is_conf(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return *entry->d_name != '.' && dot && !strcmp(dot, ".conf");
}

static int read_folder(struct reader *reader, const char *folder)
{
	struct dirent **entries;
	int nr = scandir(folder, &entries, is_conf, alphasort), err = 0;
	char path[PATH_MAX + 256];

	if (nr < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		err = err ?: read_named(reader, path);
		free(entries[i]);
	}
	free(entries);
	return err;
}

int config_load(const char *file, bool in_cluster, FILE *say, struct config *ret_config)
{
	struct config config = { .epoch = 1 };
	struct reader reader = { .config = &config, .say = say, .in_cluster = in_cluster };
	char folder[PATH_MAX];
	int err = 0;

	snprintf(folder, sizeof(folder), "%s.d", file);
	if (!in_cluster || !access(file, F_OK))
		err = read_named(&reader, file);
	err = err ?: read_folder(&reader, folder);
	return err ?: finish(&reader, file, ret_config);
}

static void warn_if_readable(const char *file, FILE *text, FILE *say)
{
	struct stat stat;

	if (!fstat(fileno(text), &stat) && (stat.st_mode & 077))
		fprintf(say, "%s: warning: others than its owner can use it (chmod 600)\n", file);
}

int config_load_key(const struct config *config, FILE *say, uint8_t ret_key[DVMM_KEY_SIZE])
{
	char line[2 * DVMM_KEY_SIZE + 3] = "";
	FILE *text = fopen(config->key_file, "re");
	int err;

	if (!text) {
		err = -errno;
		fprintf(say, "%s: error: %s\n", config->key_file, strerror(errno));
		return err;
	}
	warn_if_readable(config->key_file, text, say);
	if (!fgets(line, sizeof(line), text))
		*line = '\0';
	fclose(text);
	line[strcspn(line, "\r\n")] = '\0';
	err = dvmm_hex_parse(line, ret_key, DVMM_KEY_SIZE);
	if (err)
		fprintf(say, "%s: error: the cluster key is %d hexadecimal digits on one line\n",
			config->key_file, 2 * DVMM_KEY_SIZE);
	explicit_bzero(line, sizeof(line));
	return err;
}

const struct config_node *config_node_by_name(const struct config *config, const char *name)
{
	if (!strcmp(config->self.name, name))
		return &config->self;
	for (uint32_t i = 0; i < config->nr_peers; i++)
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	return NULL;
}

const char *config_node_name(const struct config *config, uint32_t id, char buffer[16])
{
	if (config->self.id == id)
		return config->self.name;
	for (uint32_t i = 0; i < config->nr_peers; i++)
		if (config->peers[i].id == id)
			return config->peers[i].name;
	snprintf(buffer, 16, "%u", id);
	return buffer;
}
