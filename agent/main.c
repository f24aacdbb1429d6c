// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/main.c - dvmm-agent: one per node. Makes the host a node by its configuration,
 * keeps the links, starts slices, answers on a Unix socket.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include "install.h"
#include "internal.h"

static struct {
	const char *config;
	const char *socket;
	const char *state;
	bool check_only;
} options = { CONFIG_FILE, RPC_SOCKET, CLUSTER_STATE, false };

static const struct argp_option argp_options[] = {
	{ "config", 'c', "FILE", 0, "Configuration (" CONFIG_FILE ")", 0 },
	{ "socket", 's', "PATH", 0, "Where the dvmm command finds it (" RPC_SOCKET ")", 0 },
	{ "state", 'S', "DIR", 0, "What dvmm cluster init or join have made (" CLUSTER_STATE ")", 0 },
	{ "check-config", 'C', NULL, 0, "Only read the configuration and say what is wrong in it", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'c':
		options.config = arg;
		return 0;
	case 's':
		options.socket = arg;
		return 0;
	case 'S':
		options.state = arg;
		return 0;
	case 'C':
		options.check_only = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there is no argument '%s'", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "Makes this host a node of a dvmm cluster. Runs in the foreground.",
};

/* The cluster first: it decides what the files need to say. */
static int load_config(struct agent *agent)
{
	int err = members_open(agent, options.state);
	uint8_t key[DVMM_KEY_SIZE];

	if (err && err != -ENOENT)
		return err;
	err = config_load(options.config, agent->cluster, stderr, &agent->config);
	if (err == -ENOENT)
		fprintf(stderr, "dvmm-agent: this host is no node yet: dvmm cluster init or dvmm cluster join make it one\n");
	if (err || agent->cluster)
		return err;
	err = config_load_key(&agent->config, stderr, key);
	explicit_bzero(key, sizeof(key));
	return err;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct agent *agent = arg;

	(void)source;
	log_notice("ending (%s)", strsignal(info->ssi_signo));
	return sd_event_exit(agent->loop, 0);
}

/* SIGCHLD is blocked for the event loop's sake: it watches the slices. */
static int take_signals(struct agent *agent)
{
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	err = sd_event_add_signal(agent->loop, NULL, SIGTERM, on_signal, agent);
	return err < 0 ? err : sd_event_add_signal(agent->loop, NULL, SIGINT, on_signal, agent);
}

static int start(struct agent *agent)
{
	int err = take_signals(agent);

	if (err >= 0)
		err = slices_init(agent);
	/* The socket first: a second agent must fail before it touches the kernel. */
	if (err >= 0)
		err = server_start(agent, options.socket);
	if (err >= 0)
		err = members_start(agent);
	if (err >= 0)
		err = kmod_start(agent);
	if (err >= 0)
		err = watchdog_start(agent);
	if (err >= 0)
		err = metrics_start(agent);
	/* systemd ends an agent that hangs; a blocking call of the kernel takes less. */
	if (err >= 0)
		err = sd_event_set_watchdog(agent->loop, true);
	return err;
}

static void stop(struct agent *agent)
{
	metrics_stop(agent);
	watchdog_stop(agent);
	fence_stop(agent);
	epoch_stop(agent);
	cluster_close(agent->cluster);
	server_stop(agent);
	later_stop(agent);
	kept_drop_all(agent);
	vmms_forget(agent);
	slices_forget(agent);
	events_stop(agent);
	kmod_close(agent);
	sd_event_unref(agent->loop);
}

static int serve(struct agent *agent)
{
	if (agent->control >= 0)
		log_notice("node %s (%u) is ready", agent->config.self.name, agent->config.self.id);
	sd_notify(0, "READY=1");
	return sd_event_loop(agent->loop);
}

int main(int argc, char **argv)
{
	static struct agent agent = { .control = -1 };
	int err;

	argp_err_exit_status = 2;
	argp_program_version = "dvmm-agent " DVMM_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	memset(agent.link_fds, -1, sizeof(agent.link_fds));
	err = sd_event_default(&agent.loop);
	if (err >= 0)
		err = load_config(&agent);
	if (!err && !options.check_only) {
		log_set_node(agent.config.self.name);
		err = start(&agent);
		if (err >= 0)
			err = serve(&agent);
	}
	stop(&agent);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
