// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/join.c - `dvmm cluster init` and `dvmm cluster join`: make this host a member.
 * No agent is needed here; it reads what is written by them when it starts. The state folder
 * is made beside its place and moved there when all is in it: a failure leaves nothing.
 */
#include <argp.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../cli/client.h"
#include "internal.h"

#define JOIN_WITHIN_MS 25000

struct options {
	const char *state;
	const char *token;
	const char *cluster;
	const char *node;
	const char *address, *api;
	const char *id;
	bool is_join, no_start;
};

struct joining {
	const struct options *options;
	sd_event *loop;
	struct token token;
	struct call *call;
	struct cluster_member self;
	char *key, *ca;
	struct cluster_config config;
	struct cluster_error error;
	gnutls_certificate_credentials_t credentials;
};

static const struct argp_option argp_options[] = {
	{ "name", 'n', "NAME", 0, "Of the cluster (dvmm); join: refuse another one", 0 },
	{ "node", 'N', "NAME", 0, "Of this node (this host's name)", 0 },
	{ "address", 'a', "ADDRESS[:PORT]", 0,
	  "Where links come in, on the RDMA network (port 7471)", 0 },
	{ "api", 'A', "ADDRESS[:PORT]", 0,
	  "Where other agents come in (the same address, port 7472)", 0 },
	{ "id", 'i', "N", 0, "Of this node (the first that is free)", 0 },
	{ "state", 's', "DIR", 0, "Where it is kept (" CLUSTER_STATE ")", 0 },
	{ "no-start", 'S', NULL, 0, "Do not (re)start the agent", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'n':
		options->cluster = arg;
		return 0;
	case 'N':
		options->node = arg;
		return 0;
	case 'a':
		options->address = arg;
		return 0;
	case 'A':
		options->api = arg;
		return 0;
	case 'i':
		options->id = arg;
		return 0;
	case 's':
		options->state = arg;
		return 0;
	case 'S':
		options->no_start = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!options->is_join || options->token)
			argp_error(state, "what is '%s' for?", arg);
		options->token = arg;
		return 0;
	case ARGP_KEY_END:
		if (options->is_join && !options->token)
			argp_error(
				state,
				"a token is needed: dvmm cluster token, on the first node, makes it");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int say(const struct cluster_error *error)
{
	fprintf(stderr, "dvmm: %s\n", error->why);
	return client_status(error->code ? error->code : RPC_FAILED);
}

/* ---- this node ---- */

static int fill_name(const struct options *options, struct cluster_member *self,
		     struct cluster_error *error)
{
	char host[DVMM_NAME_SIZE] = "";

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	if (!cluster_name_is_good(options->node ? options->node : host))
		return cluster_fail(error, RPC_INVALID,
				    "'%.64s' is no name for a node: give another by --node",
				    options->node ? options->node : host);
	strcpy(self->name, options->node ? options->node : host);
	return 0;
}

/* ADDRESS or ADDRESS:PORT; an IPv6 address stands in brackets then. */
static int parse_address(const char *text, uint16_t port, struct dvmm_addr *ret_addr)
{
	char with_port[DVMM_ADDR_TEXT_SIZE + 16];

	if (!dvmm_addr_parse(text, ret_addr))
		return 0;
	snprintf(with_port, sizeof(with_port),
		 strchr(text, ':') && *text != '[' ? "[%s]:%u" : "%s:%u", text, port);
	return dvmm_addr_parse(with_port, ret_addr);
}

/* The only address that this host has, if that is so. */
static bool fill_only_address(struct dvmm_addr *addr)
{
	struct ifaddrs *list = NULL;
	int nr = 0;

	if (getifaddrs(&list))
		return false;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET ||
		    at->ifa_flags & IFF_LOOPBACK)
			continue;
		*addr = (struct dvmm_addr){ .family = AF_INET };
		memcpy(addr->addr, &((struct sockaddr_in *)at->ifa_addr)->sin_addr, 4);
		nr++;
	}
	freeifaddrs(list);
	return nr == 1;
}

/* @found: what is taken if none was given; family 0: none is known */
static int fill_addresses(const struct options *options, const struct dvmm_addr *found,
			  struct cluster_member *self, struct cluster_error *error)
{
	if (options->address && parse_address(options->address, CLUSTER_LINK_PORT, &self->addr))
		return cluster_fail(error, RPC_INVALID, "'%.64s' is not ADDRESS[:PORT]",
				    options->address);
	if (!options->address) {
		self->addr = *found;
		self->addr.port = CLUSTER_LINK_PORT;
	}
	if (!self->addr.family)
		return cluster_fail(
			error, RPC_INVALID,
			"this host has not just one address: say by --address where links come in");
	self->api = self->addr;
	self->api.port = CLUSTER_API_PORT;
	if (options->api && parse_address(options->api, CLUSTER_API_PORT, &self->api))
		return cluster_fail(error, RPC_INVALID, "'%.64s' is not ADDRESS[:PORT]",
				    options->api);
	if (!memcmp(&self->addr, &self->api, sizeof(self->addr)))
		return cluster_fail(error, RPC_INVALID, "links and agents need two ports");
	return 0;
}

static int fill_id(const struct options *options, uint32_t *ret_id, struct cluster_error *error)
{
	char *end;
	unsigned long id = strtoul(options->id, &end, 10);

	if (!*options->id || *end || id >= DVMM_MAX_NODES)
		return cluster_fail(error, RPC_INVALID, "'%.16s' is no node id: 0 to %d",
				    options->id, DVMM_MAX_NODES - 1);
	*ret_id = id;
	return 0;
}

/* ---- the state folder ---- */

static int check_state(const struct options *options, struct cluster_error *error)
{
	if (strlen(options->state) >= CLUSTER_PATH_SIZE - 16 || *options->state != '/')
		return cluster_fail(error, RPC_INVALID, "%.64s: not an absolute path",
				    options->state);
	if (store_has(options->state, ""))
		return cluster_fail(
			error, RPC_CONFLICT,
			"this host is in a cluster already (%s is there: remove it to start anew)",
			options->state);
	return 0;
}

static int fail_state(const char *dir, int err, struct cluster_error *error)
{
	return cluster_fail(error, err == -EACCES || err == -EPERM ? RPC_DENIED : RPC_FAILED,
			    "%s: %s", dir, strerror(-err));
}

struct file {
	const char *name;
	const char *text; /* NULL: it could not be made */
};

static int write_files(const char *dir, const struct file *files)
{
	int err = 0;

	for (; !err && files->name; files++)
		err = files->text ? store_write(dir, files->name, files->text) : -ENOMEM;
	return err;
}

/* ---- init ---- */

struct founding {
	char *ca_key, *ca, *key, *request, *cert;
	char cluster_key[2 * DVMM_KEY_SIZE + 2];
};

static void free_founding(struct founding *founding)
{
	explicit_bzero(founding->cluster_key, sizeof(founding->cluster_key));
	free(founding->ca_key);
	free(founding->ca);
	free(founding->key);
	free(founding->request);
	free(founding->cert);
}

static int make_cluster_key(char text[2 * DVMM_KEY_SIZE + 2])
{
	uint8_t key[DVMM_KEY_SIZE];
	int err = gnutls_rnd(GNUTLS_RND_KEY, key, sizeof(key));

	for (int i = 0; i < DVMM_KEY_SIZE; i++)
		sprintf(text + 2 * i, "%02x", key[i]);
	strcat(text, "\n");
	explicit_bzero(key, sizeof(key));
	return err;
}

static int found(struct founding *founding, struct cluster_config *config)
{
	struct cluster_member *self = &config->members[0];
	int err = make_cluster_key(founding->cluster_key);

	if (err >= 0)
		err = pki_make_key(&founding->ca_key);
	if (err >= 0)
		err = pki_make_ca(founding->ca_key, config->name, &founding->ca);
	if (err >= 0)
		err = pki_make_key(&founding->key);
	if (err >= 0)
		err = pki_make_request(founding->key, self->name, &founding->request);
	if (err >= 0)
		err = pki_sign(founding->ca_key, founding->ca, founding->request, self->name,
			       &founding->cert);
	return err < 0 ? err : pki_fingerprint(founding->cert, self->cert);
}

static int keep_founding(const char *state, const struct founding *founding,
			 const struct cluster_config *config)
{
	json_t *json = cluster_config_to_json(config);
	char *text = json_dumps(json, JSON_INDENT(1));
	const struct file files[] = {
		{ FILE_CONFIG, text },
		{ FILE_KEY, founding->cluster_key },
		{ FILE_CA, founding->ca },
		{ FILE_CA_KEY, founding->ca_key },
		{ FILE_CERT, founding->cert },
		{ FILE_CERT_KEY, founding->key },
		{ 0 },
	};
	char new[CLUSTER_PATH_SIZE];
	int err = store_begin(state, new) ?: write_files(new, files) ?: store_finish(state);

	free(text);
	json_decref(json);
	return err;
}

static int fill_first(const struct options *options, struct cluster_config *config,
		      struct cluster_error *error)
{
	struct cluster_member *self = &config->members[0];
	const char *name = options->cluster ? options->cluster : "dvmm";
	struct dvmm_addr only = { 0 };

	if (!cluster_name_is_good(name))
		return cluster_fail(error, RPC_INVALID, "'%.64s' is no name for a cluster", name);
	strcpy(config->name, name);
	config->version = 1;
	config->nr_members = 1;
	self->id = 1;
	if (options->id && fill_id(options, &self->id, error))
		return -EINVAL;
	if (!options->address && !fill_only_address(&only))
		only.family = 0;
	if (dvmm_uuid_random(config->uuid) || dvmm_uuid_random(self->uuid))
		return cluster_fail(error, RPC_FAILED, "no random numbers");
	return fill_name(options, self, error) ?: fill_addresses(options, &only, self, error);
}

/* ---- join ---- */

static int check_host(void *arg, gnutls_session_t tls, struct cluster_error *error)
{
	struct joining *joining = arg;

	joining->ca = pki_check_token(tls, joining->token.ca, error);
	return joining->ca ? 0 : -EACCES;
}

static void stop(struct joining *joining, const struct cluster_error *error)
{
	if (error)
		joining->error = *error;
	sd_event_exit(joining->loop, 0);
}

static void on_joined(void *arg, json_t *result, const struct cluster_error *error)
{
	struct joining *joining = arg;
	struct cluster_error lost = *error;

	if (!result && lost.code && !strcmp(lost.code, RPC_UNREACHABLE))
		cluster_fail(
			&lost, RPC_UNREACHABLE,
			"%s; if dvmm cluster list there lists %s, remove it (dvmm cluster remove %s) and join again",
			error->why, joining->self.name, joining->self.name);
	stop(joining, result ? NULL : &lost);
}

/* What was sent fits what was asked for, and is what this host can use. */
static int check_offer(struct joining *joining, json_t *offer, const char **ret_cert,
		       const char **ret_key)
{
	uint8_t key[DVMM_KEY_SIZE], fingerprint[CLUSTER_FINGERPRINT_SIZE];
	const struct cluster_member *self;
	char digits[2 * DVMM_KEY_SIZE + 1];

	if (cluster_config_parse(json_object_get(offer, "config"), &joining->config,
				 &joining->error) ||
	    (config_has_corosync(&joining->config) && corosync_check(&joining->error)))
		return -EINVAL;
	if (json_unpack(offer, "{s:s, s:s}", "cert", ret_cert, "key", ret_key))
		return cluster_fail(&joining->error, RPC_FAILED,
				    "the answer has no certificate or no key");
	self = cluster_member_find(&joining->config, joining->self.name);
	snprintf(digits, sizeof(digits), "%s", *ret_key);
	if (!self || pki_check_own(joining->ca, *ret_cert, joining->key, self->name) ||
	    pki_fingerprint(*ret_cert, fingerprint) ||
	    memcmp(self->cert, fingerprint, sizeof(fingerprint)) ||
	    dvmm_hex_parse(digits, key, sizeof(key)))
		return cluster_fail(&joining->error, RPC_FAILED,
				    "the answer does not fit this node");
	explicit_bzero(key, sizeof(key));
	explicit_bzero(digits, sizeof(digits));
	joining->self = *self;
	return 0;
}

static int keep_offer(struct joining *joining, const char *cert, const char *key)
{
	json_t *json = cluster_config_to_json(&joining->config);
	char *text = json_dumps(json, JSON_INDENT(1));
	const struct file files[] = {
		{ FILE_CONFIG, text }, { FILE_KEY, key },	      { FILE_CA, joining->ca },
		{ FILE_CERT, cert },   { FILE_CERT_KEY, joining->key }, { 0 },
	};
	char new[CLUSTER_PATH_SIZE];
	int err = store_begin(joining->options->state, new) ?: write_files(new, files);

	free(text);
	json_decref(json);
	return err;
}

static void on_offer(void *arg, json_t *offer, const struct cluster_error *error)
{
	struct joining *joining = arg;
	const char *cert, *key;
	int err;

	if (!offer) {
		stop(joining, error);
		return;
	}
	if (check_offer(joining, offer, &cert, &key)) {
		stop(joining, NULL);
		return;
	}
	err = keep_offer(joining, cert, key);
	if (err) {
		fail_state(joining->options->state, err, &joining->error);
		stop(joining, NULL);
		return;
	}
	call_send(joining->call, "cluster.joined", NULL, on_joined);
}

static json_t *make_request(struct joining *joining)
{
	char addr[DVMM_ADDR_TEXT_SIZE], api[DVMM_ADDR_TEXT_SIZE], uuid[DVMM_UUID_TEXT_SIZE];
	char secret[2 * TOKEN_SECRET_SIZE + 1];
	const struct options *options = joining->options;
	char *request = NULL;
	json_t *params;

	for (int i = 0; i < TOKEN_SECRET_SIZE; i++)
		sprintf(secret + 2 * i, "%02x", joining->token.secret[i]);
	if (pki_make_key(&joining->key) ||
	    pki_make_request(joining->key, joining->self.name, &request))
		return NULL;
	params = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "secret", secret, "node",
			   joining->self.name, "uuid", dvmm_uuid_format(joining->self.uuid, uuid),
			   "addr", dvmm_addr_format(&joining->self.addr, addr), "api",
			   dvmm_addr_format(&joining->self.api, api), "request", request);
	if (options->id)
		json_object_set_new(params, "id", json_integer(joining->self.id));
	if (options->cluster)
		json_object_set_new(params, "cluster", json_string(options->cluster));
	free(request);
	return params;
}

/* The address by which this host reaches the other one is one that the other can reach. */
static int fill_joiner(struct joining *joining)
{
	const struct options *options = joining->options;
	struct cluster_error *error = &joining->error;
	struct dvmm_addr local;

	call_local_addr(joining->call, &local);
	if (options->id && fill_id(options, &joining->self.id, error))
		return -EINVAL;
	if (dvmm_uuid_random(joining->self.uuid))
		return cluster_fail(error, RPC_FAILED, "no random numbers");
	return fill_name(options, &joining->self, error) ?:
		       fill_addresses(options, &local, &joining->self, error);
}

static void run_join(struct joining *joining)
{
	json_t *params;

	joining->call = call_open(joining->loop, &joining->token.api, joining->credentials,
				  JOIN_WITHIN_MS, check_host, joining);
	if (fill_joiner(joining))
		return;
	params = make_request(joining);
	if (!params) {
		cluster_fail(&joining->error, RPC_FAILED, "cannot make a key");
		return;
	}
	call_send(joining->call, "cluster.join", params, on_offer);
	if (sd_event_loop(joining->loop) < 0)
		cluster_fail(&joining->error, RPC_FAILED, "the event loop failed");
}

static int finish_join(struct joining *joining)
{
	int err = joining->error.code ? -EINVAL : store_finish(joining->options->state);

	if (err && !joining->error.code)
		fail_state(joining->options->state, err, &joining->error);
	if (err && !store_has(joining->options->state, ""))
		store_abort(joining->options->state);
	return err;
}

static void free_joining(struct joining *joining)
{
	call_free(joining->call);
	gnutls_certificate_free_credentials(joining->credentials);
	sd_event_unref(joining->loop);
	if (joining->key)
		explicit_bzero(joining->key, strlen(joining->key));
	free(joining->key);
	free(joining->ca);
}

/* ---- the programs ---- */

/* The agent reads it when it starts; under systemd that can be now. */
static int start_agent(const struct options *options)
{
	int status = 0;
	pid_t child;

	if (options->no_start || access("/run/systemd/system", F_OK)) {
		printf("next: (re)start dvmm-agent on this node\n");
		return STATUS_OK;
	}
	printf("run systemctl enable dvmm-agent; systemctl restart dvmm-agent\n");
	fflush(stdout);
	child = fork();
	if (!child) {
		execlp("sh", "sh", "-c",
		       "systemctl enable dvmm-agent && systemctl restart dvmm-agent", (char *)NULL);
		_exit(127);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && !status)
		return STATUS_OK;
	fprintf(stderr, "dvmm: the agent does not start: see journalctl -u dvmm-agent\n");
	return STATUS_FAILED;
}

const struct argp cluster_init_argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "Makes this host the first node of a new cluster.",
};

const struct argp cluster_join_argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "TOKEN",
	.doc = "Makes this host a node of the cluster whose `dvmm cluster token` made TOKEN.",
};

static void take_options(struct options *options, bool is_join, int argc, char **argv)
{
	static char name_init[] = "dvmm cluster init", name_join[] = "dvmm cluster join";

	*options = (struct options){ .state = CLUSTER_STATE, .is_join = is_join };
	argv[0] = is_join ? name_join : name_init;
	argp_parse(is_join ? &cluster_join_argp : &cluster_init_argp, argc, argv, 0, NULL, options);
}

int cluster_init_main(int argc, char **argv)
{
	struct founding founding = { 0 };
	struct cluster_config config = { 0 };
	struct cluster_error error = { 0 };
	struct options options;
	int err;

	take_options(&options, false, argc, argv);
	if (check_state(&options, &error) || fill_first(&options, &config, &error))
		return say(&error);
	if (found(&founding, &config) < 0) {
		cluster_fail(&error, RPC_FAILED, "cannot make keys and certificates");
	} else {
		err = keep_founding(options.state, &founding, &config);
		if (err) {
			fail_state(options.state, err, &error);
			store_abort(options.state);
		}
	}
	free_founding(&founding);
	if (error.code)
		return say(&error);
	printf("this host is node %s (%u) of the new cluster %s\n", config.members[0].name,
	       config.members[0].id, config.name);
	return start_agent(&options);
}

int cluster_join_main(int argc, char **argv)
{
	struct joining joining = { 0 };
	struct options options;

	take_options(&options, true, argc, argv);
	joining.options = &options;
	if (token_parse(options.token, &joining.token)) {
		cluster_fail(&joining.error, RPC_INVALID,
			     "this is no token: it is one line of dvmm cluster token");
		return say(&joining.error);
	}
	if (check_state(&options, &joining.error))
		return say(&joining.error);
	if (sd_event_new(&joining.loop) < 0 ||
	    gnutls_certificate_allocate_credentials(&joining.credentials) < 0)
		return STATUS_FAILED;
	run_join(&joining);
	if (finish_join(&joining)) {
		free_joining(&joining);
		return say(&joining.error);
	}
	printf("this host is node %s (%u) of cluster %s\n", joining.self.name, joining.self.id,
	       joining.config.name);
	free_joining(&joining);
	return start_agent(&options);
}
