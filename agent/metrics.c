// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/metrics.c - the counters of this node for Prometheus (text format 0.0.4), by HTTP on
 * an address or a Unix socket. What is counted is in include/dvmm/stat.tbl.h. It reads
 * nothing but the request line, and changes nothing.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "bind.h"
#include "internal.h"

#define NR_STATS_MAX 256
#define NR_CONNECTIONS_MAX 16
#define CONNECTION_MEMORY 16384
#define TIMEOUT_S 10
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
	struct MHD_Daemon *daemon;
	sd_event_source *io, *timer;
	char path[CONFIG_PATH_SIZE]; /* of a Unix socket */
};

/* ---- the page ---- */

/* A link or a VM, and its counters. */
struct object {
	char name[DVMM_NAME_SIZE];
	uint32_t nr;
	uint64_t values[NR_STATS_MAX];
};

struct objects {
	uint32_t kind;
	const char *prefix, *label; /* NULL: the node has none */
	uint32_t nr;
	struct object *list;
};

/* All others only grow. */
static const char *const gauges[] = { "pages_resident" };

static bool is_gauge(const char *name)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
		if (!strcmp(gauges[i], name))
			return true;
	return false;
}

static void put_label(FILE *page, const char *label, const char *value)
{
	fprintf(page, "{%s=\"", label);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', page);
		if (*value == '\n')
			fputs("\\n", page);
		else
			fputc(*value, page);
	}
	fputs("\"}", page);
}

/* fault_wait_ns -> dvmm_vm_fault_wait_seconds_total */
static void format_name(const char *prefix, const struct dvmm_stat_info *info, char *text,
			size_t size)
{
	bool is_time = !strcmp(info->unit, "ns");
	int len = strlen(info->name);

	if (is_time && len > 3 && !strcmp(info->name + len - 3, "_ns"))
		len -= 3;
	snprintf(text, size, "%s_%.*s%s%s", prefix, len, info->name, is_time ? "_seconds" : "",
		 is_gauge(info->name) ? "" : "_total");
}

static void put_counter(FILE *page, const struct objects *objects, uint32_t counter,
			const struct dvmm_stat_info *info)
{
	char name[128];

	format_name(objects->prefix, info, name, sizeof(name));
	fprintf(page, "# HELP %s %s\n# TYPE %s %s\n", name, info->help, name,
		is_gauge(info->name) ? "gauge" : "counter");
	for (uint32_t i = 0; i < objects->nr; i++) {
		const struct object *object = &objects->list[i];

		if (counter >= object->nr)
			continue;
		fputs(name, page);
		if (objects->label)
			put_label(page, objects->label, object->name);
		if (!strcmp(info->unit, "ns"))
			fprintf(page, " %.9f\n", object->values[counter] / 1e9);
		else
			fprintf(page, " %llu\n", (unsigned long long)object->values[counter]);
	}
}

static void put_objects(FILE *page, const struct objects *objects)
{
	const struct dvmm_stat_info *info;

	for (uint32_t i = 0; objects->nr && (info = dvmm_stat_info(objects->kind, i)); i++)
		put_counter(page, objects, i, info);
}

static void add_object(struct agent *agent, struct objects *objects, uint32_t id, const char *name)
{
	struct object *larger = realloc(objects->list, (objects->nr + 1) * sizeof(*larger)),
		      *object;

	if (!larger)
		return;
	objects->list = larger;
	object = &larger[objects->nr];
	object->nr = NR_STATS_MAX;
	snprintf(object->name, sizeof(object->name), "%s", name);
	if (!dvmm_stat_get(agent->control, objects->kind, id, object->values, &object->nr))
		objects->nr++;
}

static void put_node(struct agent *agent, FILE *page)
{
	struct objects objects = { DVMM_STAT_NODE, "dvmm_node", NULL, 0, NULL };

	add_object(agent, &objects, 0, "");
	put_objects(page, &objects);
	free(objects.list);
}

static void put_link_states(struct agent *agent, FILE *page)
{
	const struct config *config = &agent->config;

	fputs("# HELP dvmm_link_up Whether the link to a peer is up\n# TYPE dvmm_link_up gauge\n",
	      page);
	for (uint32_t i = 0; i < config->nr_peers; i++) {
		struct dvmm_link_get link = { 0 };

		dvmm_link_get(agent->control, config->peers[i].id, &link);
		fputs("dvmm_link_up", page);
		put_label(page, "peer", config->peers[i].name);
		fprintf(page, " %d\n", link.out_state == DVMM_LINK_UP);
	}
}

static void put_links(struct agent *agent, FILE *page)
{
	struct objects objects = { DVMM_STAT_LINK, "dvmm_link", "peer", 0, NULL };
	const struct config *config = &agent->config;

	for (uint32_t i = 0; i < config->nr_peers; i++)
		add_object(agent, &objects, config->peers[i].id, config->peers[i].name);
	if (config->nr_peers)
		put_link_states(agent, page);
	put_objects(page, &objects);
	free(objects.list);
}

static void put_vms(struct agent *agent, FILE *page)
{
	struct objects objects = { DVMM_STAT_VM, "dvmm_vm", "vm", 0, NULL };
	struct dvmm_vm_get vm;
	uint32_t from = 0;

	while (!dvmm_vm_next(agent->control, from, &vm)) {
		add_object(agent, &objects, vm.vm_id, vm.out_name);
		from = vm.vm_id + 1;
	}
	put_objects(page, &objects);
	free(objects.list);
}

static void put_gauge(FILE *page, const char *name, const char *help, uint64_t value)
{
	fprintf(page, "# HELP %s %s\n# TYPE %s gauge\n%s %llu\n", name, help, name, name,
		(unsigned long long)value);
}

static void put_quorum(const struct cluster_quorum *now, FILE *page)
{
	if (!now->is_asked)
		return;
	put_gauge(page, "dvmm_cluster_quorate", "Whether this node is in quorum", now->is_there);
	put_gauge(page, "dvmm_cluster_quorum_nodes", "Nodes that corosync sees, with this one",
		  __builtin_popcountll(now->nodes));
	put_gauge(page, "dvmm_cluster_ring_seq", "Second part of the epoch", now->ring_seq);
}

static void put_epoch(struct agent *agent, FILE *page)
{
	struct dvmm_node_get get;

	if (!dvmm_node_get(agent->control, &get))
		put_gauge(page, "dvmm_node_epoch", "The membership that the kernel acts in",
			  epoch_in_kernel(&get));
}

static char *make_page(struct agent *agent, size_t *ret_size)
{
	bool is_loaded = agent->control >= 0;
	char *text = NULL;
	FILE *page = open_memstream(&text, ret_size);

	if (!page)
		return NULL;
	put_gauge(page, "dvmm_kernel_modules_loaded", "Whether the kernel modules are there",
		  is_loaded);
	put_gauge(page, "dvmm_cluster_nodes", "Nodes of the cluster, with this one",
		  agent->config.nr_peers + 1);
	if (agent->cluster)
		put_gauge(page, "dvmm_cluster_config_version",
			  "Version of the cluster's configuration",
			  cluster_config(agent->cluster)->version);
	if (agent->cluster)
		put_quorum(cluster_quorum(agent->cluster), page);
	if (*agent->config.watchdog)
		put_gauge(page, "dvmm_watchdog_timeout_seconds",
			  "Of the watchdog that runs; 0: none does", watchdog_timeout_s(agent));
	if (is_loaded) {
		put_epoch(agent, page);
		put_node(agent, page);
		put_links(agent, page);
		put_vms(agent, page);
	}
	return fclose(page) ? NULL : text;
}

/* ---- HTTP ---- */

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned int status,
				 const char *type, char *text, size_t size,
				 enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(size, text, mode);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *data_size, void **state)
{
	static char nothing[] = "/metrics is all there is\n", not_so[] = "only GET\n";
	char *text;
	size_t size;

	(void)version;
	(void)data;
	(void)data_size;
	(void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", not_so,
				 strlen(not_so), MHD_RESPMEM_PERSISTENT);
	if (strcmp(url, "/metrics"))
		return send_text(connection, MHD_HTTP_NOT_FOUND, "text/plain", nothing,
				 strlen(nothing), MHD_RESPMEM_PERSISTENT);
	text = make_page(arg, &size);
	if (!text)
		return MHD_NO;
	return send_text(connection, MHD_HTTP_OK, CONTENT_TYPE, text, size, MHD_RESPMEM_MUST_FREE);
}

/* ---- the loop ---- */

static void run(struct metrics *metrics)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(metrics->daemon);
	if (MHD_get_timeout(metrics->daemon, &timeout_ms) != MHD_YES) {
		sd_event_source_set_enabled(metrics->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(metrics->timer, timeout_ms * 1000);
	sd_event_source_set_enabled(metrics->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	(void)source;
	(void)fd;
	(void)revents;
	run(arg);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	run(arg);
	return 0;
}

/* ---- where ---- */

static int bind_path(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat stat_buffer;
	int fd, err;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	/* Nothing but a socket, left by an agent that was killed, is taken away. */
	if (!lstat(path, &stat_buffer) && S_ISSOCK(stat_buffer.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* ":9471" is that port of the node's own address. Returns a bound socket or -errno. */
static int bind_where(struct agent *agent, const char *where)
{
	struct dvmm_addr addr = agent->config.self.addr, port;
	char with_host[64];

	if (*where == '/')
		return bind_path(where);
	snprintf(with_host, sizeof(with_host), "127.0.0.1%s", where);
	if (*where != ':')
		return dvmm_addr_parse(where, &addr) ? -EINVAL : bind_addr(&addr);
	if (dvmm_addr_parse(with_host, &port))
		return -EINVAL;
	addr.port = port.port;
	return bind_addr(&addr);
}

int metrics_check(struct agent *agent, const char *where)
{
	int fd = bind_where(agent, where);

	if (fd < 0)
		return fd;
	close(fd);
	if (*where == '/')
		unlink(where);
	return 0;
}

/* ---- life ---- */

static int start_daemon(struct agent *agent, struct metrics *metrics, int fd)
{
	const union MHD_DaemonInfo *info;
	int err;

	/* It owns @fd from now on. */
	metrics->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, agent, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)NR_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)TIMEOUT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	if (!metrics->daemon) {
		close(fd);
		return -EIO;
	}
	info = MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	err = sd_event_add_io(agent->loop, &metrics->io, info->epoll_fd, EPOLLIN, on_io, metrics);
	if (err >= 0)
		err = sd_event_add_time_relative(agent->loop, &metrics->timer, CLOCK_MONOTONIC, 0,
						 0, on_timer, metrics);
	return err < 0 ? err : 0;
}

int metrics_start(struct agent *agent)
{
	const char *where = agent->config.metrics;
	int fd, err;

	metrics_stop(agent);
	if (!*where)
		return 0;
	fd = bind_where(agent, where);
	if (fd < 0 || listen(fd, NR_CONNECTIONS_MAX)) {
		err = fd < 0 ? fd : -errno;
		log_error("metrics at %s: %s", where, strerror(-err));
		if (fd >= 0)
			close(fd);
		return err;
	}
	agent->metrics = calloc(1, sizeof(*agent->metrics));
	if (!agent->metrics)
		abort();
	if (*where == '/')
		strcpy(agent->metrics->path, where);
	err = start_daemon(agent, agent->metrics, fd);
	if (err)
		metrics_stop(agent);
	return err;
}

void metrics_stop(struct agent *agent)
{
	struct metrics *metrics = agent->metrics;

	if (!metrics)
		return;
	agent->metrics = NULL;
	sd_event_source_disable_unref(metrics->timer);
	sd_event_source_disable_unref(metrics->io);
	if (metrics->daemon)
		MHD_stop_daemon(metrics->daemon);
	if (*metrics->path)
		unlink(metrics->path);
	free(metrics);
}
