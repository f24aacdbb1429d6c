// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/corosync.c - the stock corosync of this host, with a configuration and a key
 * of its own in the folder `corosync` beside the cluster's: what /etc/corosync has is not
 * touched. It is a service of systemd (dvmm-corosync), without systemd a process, and goes
 * on when the agent ends. What it says is heard by quorum.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>
#include "../log.h"
#include "internal.h"

#define UNIT "dvmm-corosync.service"
#define FILE_COROSYNC "corosync.conf"
#define FILE_AUTHKEY "authkey"
#define KEY_SIZE 128 /* bytes, in hexadecimal: it wants 128 to 4096 characters */

#define LOST_AFTER_DEFAULT_MS 10000
#define TOKEN_MIN_MS 500
/* One that does not come up is started less and less often. */
#define START_AGAIN_MIN_US 2000000
#define START_AGAIN_MAX_US 60000000
#define STOP_WITHIN_MS 5000

struct corosync {
	struct cluster *cluster;
	char dir[CLUSTER_PATH_SIZE];
	uint64_t next_start_us, start_again_us;
	pid_t pid; /* without systemd; 0: it does not run, or an earlier agent started it */
	sd_event_source *daemon, *tool;
	bool reload_again;
};

/* ---- its files ---- */

const char *corosync_name(const struct cluster_config *config, char text[COROSYNC_NAME_SIZE])
{
	char uuid[DVMM_UUID_TEXT_SIZE];

	snprintf(text, COROSYNC_NAME_SIZE, "dvmm-%s", dvmm_uuid_format(config->uuid, uuid));
	return text;
}

static void put_node(FILE *out, const struct cluster_member *member)
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(member->addr.family, member->addr.addr, host, sizeof(host));
	fprintf(out, "\tnode {\n\t\tring0_addr: %s\n\t\tname: %s\n\t\tnodeid: %u\n\t}\n", host,
		member->name, corosync_id(member->id));
}

/* A node is missed before its links are lost, and when the rest has agreed on that: after some
 * two of these.
 */
static int token_ms(const struct cluster_config *config)
{
	int lost_after_ms = atoi(config->settings[CLUSTER_LOST_AFTER_MS]) ?: LOST_AFTER_DEFAULT_MS;
	int token_ms = lost_after_ms / 4;

	return token_ms < TOKEN_MIN_MS ? TOKEN_MIN_MS : token_ms;
}

static void put_config(FILE *out, const struct corosync *corosync)
{
	const struct cluster_config *config = &corosync->cluster->config;
	char name[COROSYNC_NAME_SIZE];

	fputs("# Written by dvmm-agent: changes are lost.\n", out);
	fprintf(out,
		"totem {\n\tversion: 2\n\tcluster_name: %s\n\ttransport: knet\n"
		"\tcrypto_cipher: aes256\n\tcrypto_hash: sha256\n\tkeyfile: %s/" FILE_AUTHKEY "\n"
		"\ttoken: %d\n\ttoken_coefficient: 0\n}\n",
		corosync_name(config, name), corosync->dir, token_ms(config));
	fputs("nodelist {\n", out);
	for (uint32_t i = 0; i < config->nr_members; i++)
		put_node(out, &config->members[i]);
	fprintf(out, "}\nquorum {\n\tprovider: corosync_votequorum\n}\nsystem {\n\tstate_dir: %s\n}\n",
		corosync->dir);
	fprintf(out, "logging {\n\tto_logfile: no\n\tto_syslog: yes\n\tto_stderr: %s\n}\n",
		sd_booted() > 0 ? "no" : "yes");
}

static int write_config(struct corosync *corosync, bool *ret_is_new)
{
	char *text = NULL, *old;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err = 0;

	if (!out)
		return -ENOMEM;
	put_config(out, corosync);
	if (fclose(out))
		return -ENOMEM;
	old = store_read(corosync->dir, FILE_COROSYNC);
	*ret_is_new = !old || strcmp(old, text);
	if (*ret_is_new)
		err = store_write(corosync->dir, FILE_COROSYNC, text);
	free(old);
	free(text);
	return err;
}

/* Who has the key of links has this one. */
static int write_key(struct corosync *corosync)
{
	static const gnutls_datum_t purpose = { (void *)"dvmm corosync", 13 };
	uint8_t link_key[DVMM_KEY_SIZE], key[KEY_SIZE];
	const gnutls_datum_t secret = { link_key, sizeof(link_key) };
	char text[2 * KEY_SIZE + 1];
	int err = cluster_load_key(corosync->cluster, link_key);

	if (!err && gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &secret, &purpose, key, sizeof(key)))
		err = -EIO;
	for (int i = 0; !err && i < KEY_SIZE; i++)
		sprintf(text + 2 * i, "%02x", key[i]);
	if (!err)
		err = store_write(corosync->dir, FILE_AUTHKEY, text);
	explicit_bzero(link_key, sizeof(link_key));
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return err;
}

static struct corosync *get(struct cluster *cluster)
{
	struct corosync *corosync = cluster->corosync;
	const char *slash = strrchr(cluster->dir, '/');

	if (corosync)
		return corosync;
	corosync = calloc(1, sizeof(*corosync));
	if (!corosync)
		abort();
	corosync->cluster = cluster;
	corosync->start_again_us = START_AGAIN_MIN_US;
	snprintf(corosync->dir, sizeof(corosync->dir), "%.*s/corosync",
		 slash ? (int)(slash - cluster->dir) : 1, slash ? cluster->dir : ".");
	cluster->corosync = corosync;
	return corosync;
}

void corosync_write(struct cluster *cluster)
{
	struct corosync *corosync = get(cluster);
	bool is_new = false;
	int err = mkdir(corosync->dir, 0700) && errno != EEXIST ? -errno : 0;

	if (!err)
		err = write_key(corosync) ?: write_config(corosync, &is_new);
	if (err)
		log_error("%s: %s", corosync->dir, strerror(-err));
	else if (is_new)
		corosync_reload(cluster);
}

/* ---- programs ---- */

static pid_t spawn(const char *const argv[])
{
	sigset_t none;
	pid_t pid = fork();

	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* It outlives the agent and what is typed at the agent's terminal. */
	setsid();
	unsetenv("NOTIFY_SOCKET");
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

/* Bounded, and seldom: for the end. */
static int run(const char *const argv[])
{
	pid_t pid = spawn(argv);
	int status = -1, pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return -1;
	if (poll(&end, 1, STOP_WITHIN_MS) == 1)
		waitpid(pid, &status, 0);
	else
		log_warning("%s takes more than %d ms", argv[0], STOP_WITHIN_MS);
	close(pidfd);
	return status;
}

static int on_tool_end(sd_event_source *source, const siginfo_t *info, void *arg)
{
	struct corosync *corosync = arg;

	(void)source;
	(void)info;
	corosync->tool = sd_event_source_unref(corosync->tool);
	if (corosync->reload_again) {
		corosync->reload_again = false;
		corosync_reload(corosync->cluster);
	}
	return 0;
}

static void start_tool(struct corosync *corosync, const char *const argv[])
{
	pid_t pid = spawn(argv);

	if (pid < 0 || sd_event_add_child(corosync->cluster->loop, &corosync->tool, pid, WEXITED,
					  on_tool_end, corosync) < 0)
		log_error("cannot run %s: %s", argv[0], strerror(errno));
}

/* It fails when corosync does not run yet: that reads the new configuration anyway. */
void corosync_reload(struct cluster *cluster)
{
	static const char *const reload[] = { COROSYNC_TOOL, "-R", NULL };
	struct corosync *corosync = get(cluster);

	corosync->start_again_us = START_AGAIN_MIN_US;
	if (corosync->tool)
		corosync->reload_again = true;
	else
		start_tool(corosync, reload);
}

/* ---- the daemon ---- */

static int on_daemon_end(sd_event_source *source, const siginfo_t *info, void *arg)
{
	struct corosync *corosync = arg;

	(void)source;
	log_warning("corosync has ended (%s %d)", info->si_code == CLD_EXITED ? "status" : "signal",
		    info->si_status);
	corosync->daemon = sd_event_source_unref(corosync->daemon);
	corosync->pid = 0;
	return 0;
}

static void start_daemon(struct corosync *corosync)
{
	char config[CLUSTER_PATH_SIZE + 16];
	const char *const argv[] = { COROSYNC_PROGRAM, "-f", "-c", config, NULL };

	snprintf(config, sizeof(config), "%s/" FILE_COROSYNC, corosync->dir);
	corosync->pid = spawn(argv);
	if (corosync->pid < 0 ||
	    sd_event_add_child(corosync->cluster->loop, &corosync->daemon, corosync->pid, WEXITED,
			       on_daemon_end, corosync) < 0)
		log_error("cannot start corosync: %s", strerror(errno));
	else
		log_notice("corosync starts (process %d)", corosync->pid);
}

void corosync_start(struct cluster *cluster)
{
	static const char *const start[] = { "systemctl", "--no-block", "start", UNIT, NULL };
	struct corosync *corosync = get(cluster);
	uint64_t now_us;

	sd_event_now(cluster->loop, CLOCK_MONOTONIC, &now_us);
	if (corosync->daemon || corosync->tool || now_us < corosync->next_start_us)
		return;
	corosync->next_start_us = now_us + corosync->start_again_us;
	if (corosync->start_again_us < START_AGAIN_MAX_US)
		corosync->start_again_us *= 2;
	if (sd_booted() > 0)
		start_tool(corosync, start);
	else
		start_daemon(corosync);
}

/* One that does not answer yet cannot be asked. */
static void end_child(struct corosync *corosync)
{
	struct timespec pause = { .tv_nsec = 20 * 1000000 };

	sd_event_source_disable_unref(corosync->daemon);
	corosync->daemon = NULL;
	kill(corosync->pid, SIGTERM);
	for (int ms = 0; ms < STOP_WITHIN_MS; ms += 20) {
		if (waitpid(corosync->pid, NULL, WNOHANG))
			return;
		nanosleep(&pause, NULL);
	}
	kill(corosync->pid, SIGKILL);
	waitpid(corosync->pid, NULL, 0);
}

void corosync_stop(struct cluster *cluster)
{
	static const char *const stop_unit[] = { "systemctl", "stop", UNIT, NULL };
	static const char *const stop[] = { COROSYNC_TOOL, "-H", "--force", NULL };
	struct corosync *corosync = get(cluster);

	if (!store_has(corosync->dir, FILE_COROSYNC))
		return;
	run(sd_booted() > 0 ? stop_unit : stop);
	if (corosync->daemon)
		end_child(corosync);
	store_remove(corosync->dir);
	corosync_forget(cluster);
}

void corosync_forget(struct cluster *cluster)
{
	struct corosync *corosync = cluster->corosync;

	if (!corosync)
		return;
	sd_event_source_disable_unref(corosync->daemon);
	sd_event_source_disable_unref(corosync->tool);
	free(corosync);
	cluster->corosync = NULL;
}
