// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/main.c - `dvmm`: takes the command line apart, asks the agent, shows. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../cluster/cluster.h"
#include "../install.h"
#include "../libvirt/xml.h"
#include "../run/run.h"
#include "../run/topology.h"
#include "../setup/setup.h"
#include "client.h"
#include "commands.h"
#include "complete.h"
#include "rates.h"

struct options {
	const char *socket;
	struct how how;
	double watch_s; /* 0: show once */
	size_t nr_rows; /* to show at most; 0: all */
	const char *on; /* the node to ask; NULL: this one */
	bool follow;
	bool help, version;
	const char *words[2 + NR_ARGS_MAX]; /* noun, verb and arguments */
	int nr_words;
	const char *named[NR_OPTIONS_MAX]; /* as option_names */
	const struct program *program; /* NULL: it is another command */
	int program_at; /* index in argv of its last word */
};

/* Commands with options of their own; their arguments are not looked at here. */
struct program {
	const char *noun, *verb;
	int (*run)(const struct options *options, int argc, char **argv);
	const struct argp *argp; /* NULL: it has no options */
};

static int do_run(const struct options *options, int argc, char **argv)
{
	return run_main(options->socket, argc, argv);
}

static int do_vm_xml(const struct options *options, int argc, char **argv)
{
	(void)options;
	return xml_main(argc, argv);
}

static int do_vm_topology(const struct options *options, int argc, char **argv)
{
	(void)options;
	return topology_main(argc, argv);
}

static int do_node_setup(const struct options *options, int argc, char **argv)
{
	(void)options;
	return setup_main(argc, argv);
}

static int do_node_check(const struct options *options, int argc, char **argv)
{
	return check_main(options->socket, &options->how, argc, argv);
}

static int do_cluster_init(const struct options *options, int argc, char **argv)
{
	(void)options;
	return cluster_init_main(argc, argv);
}

static int do_cluster_join(const struct options *options, int argc, char **argv)
{
	(void)options;
	return cluster_join_main(argc, argv);
}

static int do_complete(const struct options *options, int argc, char **argv);

static const struct program programs[] = {
	{ "run", NULL, do_run, &run_argp },
	{ "vm", "xml", do_vm_xml, &xml_argp },
	{ "vm", "topology", do_vm_topology, &topology_argp },
	{ "node", "setup", do_node_setup, &setup_argp },
	{ "node", "check", do_node_check, NULL },
	{ "cluster", "init", do_cluster_init, &cluster_init_argp },
	{ "cluster", "join", do_cluster_join, &cluster_join_argp },
	{ "complete", NULL, do_complete, NULL }, /* for shells: commands.c has what is for people */
};

static const char *const option_names[NR_OPTIONS_MAX] = { "mem", "extent", "from", "ttl", "budget" };

enum { OPTION_NAMED = 1000 };

static const struct argp_option argp_options[] = {
	{ "output", 'o', "FORMAT", 0, "table, wide, json, csv or name", 0 },
	{ "no-headings", 'H', NULL, 0, "Leave out the headings", 0 },
	{ "rows", 'n', "N", 0, "Only the first N rows", 0 },
	{ "watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL, "Show again every second (or SECONDS)", 0 },
	{ "follow", 'f', NULL, 0, "event list: go on with what happens", 0 },
	{ "mem", OPTION_NAMED, "ID", 0, "mem rehome: this memory object alone", 0 },
	{ "extent", OPTION_NAMED + 1, "N[-M]", 0, "mem rehome: these extents (2 MiB) of it", 0 },
	{ "from", OPTION_NAMED + 2, "NODE", 0, "mem rehome: what has its home there", 0 },
	{ "ttl", OPTION_NAMED + 3, "SECONDS", 0, "cluster token: how long it is good (600)", 0 },
	{ "budget", OPTION_NAMED + 4, "BYTES", 0, "vm join: memory of NODE that the VM may hold, as 200M, none, default", 0 },
	{ "on", 'O', "NODE", 0, "Ask the agent of that node of the cluster", 0 },
	{ "socket", 's', "PATH", 0, "Of the agent (" RPC_SOCKET ")", 0 },
	{ "help", 'h', NULL, 0, "This, or the help of the noun before it", 0 },
	{ "version", 'V', NULL, 0, "Which version this is", 0 },
	{ 0 },
};

static int take_watch(struct options *options, const char *arg)
{
	char *end;

	options->watch_s = 1;
	if (!arg)
		return 0;
	options->watch_s = strtod(arg, &end);
	return *end || options->watch_s < 0.1 || options->watch_s > 86400 ? EINVAL : 0;
}

static int take_nr_rows(struct options *options, const char *arg)
{
	char *end;

	options->nr_rows = strtoul(arg, &end, 10);
	return *end || *arg == '-' || !options->nr_rows ? EINVAL : 0;
}

static const struct program *find_program(const char *noun, const char *verb)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const struct program *program = &programs[i];

		if (!strcmp(noun, program->noun) && !verb == !program->verb &&
		    (!verb || !strcmp(verb, program->verb)))
			return program;
	}
	return NULL;
}

static void take_word(struct options *options, char *word, struct argp_state *state)
{
	if (options->nr_words == 2 + NR_ARGS_MAX)
		argp_error(state, "what is '%s' for?", word);
	options->words[options->nr_words++] = word;
	if (options->nr_words <= 2)
		options->program = find_program(options->words[0], options->words[1]);
	if (options->program) {
		options->program_at = state->next - 1;
		state->next = state->argc;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'o':
		if (format_parse(arg, &options->how.format))
			argp_error(state, "'%s' is not a format: table, wide, json, csv, name", arg);
		return 0;
	case 'H':
		options->how.headings = false;
		return 0;
	case 'n':
		if (take_nr_rows(options, arg))
			argp_error(state, "'%s' is not a number of rows", arg);
		return 0;
	case 'w':
		if (take_watch(options, arg))
			argp_error(state, "'%s' is not a time in seconds, 0.1 to 86400", arg);
		return 0;
	case 'f':
		options->follow = true;
		return 0;
	case 's':
		options->socket = arg;
		return 0;
	case 'O':
		options->on = arg;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	case 'V':
		options->version = true;
		return 0;
	case OPTION_NAMED ... OPTION_NAMED + NR_OPTIONS_MAX - 1:
		options->named[key - OPTION_NAMED] = arg;
		return 0;
	case ARGP_KEY_ARG:
		take_word(options, arg, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "NOUN [VERB] [ARG...]",
};

static int show_help(FILE *out, const char *noun)
{
	fprintf(out, "Usage: dvmm [OPTION...] NOUN [VERB] [ARG...]\n\n");
	if (!commands_help(out, noun)) {
		fprintf(stderr, "dvmm: there is no noun '%s' (dvmm --help)\n", noun);
		return STATUS_USAGE;
	}
	fprintf(out, "\nOptions:\n");
	argp_help(&argp, out, ARGP_HELP_LONG, "dvmm");
	fprintf(out, "\nExit status: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 denied,\n"
		     "6 agent or node unreachable.\n");
	return STATUS_OK;
}

/* ---- completion ---- */

static bool takes_option(const struct command *command, const char *name)
{
	for (int i = 0; i < NR_OPTIONS_MAX && command->options[i]; i++)
		if (!strcmp(command->options[i], name))
			return true;
	return false;
}

static bool is_option_for(const struct argp_option *option, const char *noun, const char *verb)
{
	const struct command *command = noun ? command_find(noun, verb) : NULL;

	return option->key < OPTION_NAMED || (command && takes_option(command, option->name));
}

static const struct argp_option *options_of_program(const char *noun, const char *verb)
{
	static const struct argp_option none[] = { { 0 } };
	const struct program *program = find_program(noun, verb);

	if (!program)
		return NULL;
	return program->argp ? program->argp->options : none;
}

static int do_complete(const struct options *options, int argc, char **argv)
{
	const struct complete_source source = {
		.socket = options->socket,
		.options = argp_options,
		.is_for = is_option_for,
		.options_of = options_of_program,
	};

	complete_words(&source, argc - 1, argv + 1);
	return STATUS_OK;
}

/* ---- showing ---- */

static const struct command *find_command(const struct options *options, int *ret_first_arg)
{
	const char *noun = options->words[0];
	bool takes_verb = command_takes_verb(noun);
	/* A noun alone lists. */
	const char *verb = options->nr_words > 1 ? options->words[1] : "list";
	const struct command *command = command_find(noun, takes_verb ? verb : NULL);

	*ret_first_arg = takes_verb ? 2 : 1;
	if (!command && takes_verb)
		fprintf(stderr, "dvmm: '%s' has no verb '%s' (dvmm %s --help)\n", noun, verb, noun);
	else if (!command)
		fprintf(stderr, "dvmm: there is no noun '%s' (dvmm --help)\n", noun);
	return command;
}

static int add_named(const struct command *command, const struct options *options, json_t *params)
{
	for (int i = 0; i < NR_OPTIONS_MAX; i++) {
		if (!options->named[i])
			continue;
		if (!takes_option(command, option_names[i])) {
			fprintf(stderr, "dvmm: what is --%s for?\n", option_names[i]);
			return -EINVAL;
		}
		json_object_set_new(params, option_names[i], json_string(options->named[i]));
	}
	return 0;
}

static json_t *make_params(const struct command *command, const struct options *options, int first)
{
	int nr = options->nr_words > first ? options->nr_words - first : 0;
	json_t *params = json_object();

	for (int i = 0; i < nr; i++) {
		if (i == NR_ARGS_MAX || !command->params[i]) {
			fprintf(stderr, "dvmm: what is '%s' for?\n", options->words[first + i]);
			goto wrong;
		}
		json_object_set_new(params, command->params[i], json_string(options->words[first + i]));
	}
	if (add_named(command, options, params))
		goto wrong;
	if (nr >= command->nr_required)
		return params;
	fprintf(stderr, "dvmm: usage: dvmm %s %s %s\n", command->noun, command->verb, command->usage);
wrong:
	json_decref(params);
	return NULL;
}

static void show(const struct command *command, json_t *result, const struct how *how)
{
	if (command->flags & COMMAND_ONE)
		table_print_one(stdout, command->columns, result, how);
	else
		table_print(stdout, command->columns, result, how);
	fflush(stdout);
}

static void cut(json_t *result, const struct options *options)
{
	while (options->nr_rows && json_array_size(result) > options->nr_rows)
		json_array_remove(result, json_array_size(result) - 1);
}

/* @params is taken over. */
static int ask(struct client *client, const struct command *command, json_t *params,
	       const struct options *options, json_t **ret_result)
{
	if (!options->on)
		return client_call(client, command->method, params, ret_result, NULL);
	return client_call(client, "node.call", json_pack("{s:s, s:s, s:o}", "node", options->on, "method",
							  command->method, "params", params), ret_result, NULL);
}

static int show_once(struct client *client, const struct command *command, json_t *params,
		     const struct options *options)
{
	json_t *result;
	int status = ask(client, command, params, options, &result);

	if (status)
		return status;
	cut(result, options);
	show(command, result, &options->how);
	json_decref(result);
	return STATUS_OK;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* A terminal is redrawn; elsewhere rows follow rows, under one heading. */
static void show_again(const struct command *command, json_t *result, struct how *how)
{
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	show(command, result, how);
	if (!isatty(STDOUT_FILENO))
		how->headings = false;
}

static int watch(struct client *client, const struct command *command, json_t *params,
		 const struct options *options)
{
	struct how how = options->how;
	json_t *earlier = NULL, *result;
	double before = 0, now;
	int status;

	how.is_stream = !isatty(STDOUT_FILENO);
	while (!(status = ask(client, command, json_incref(params), options, &result))) {
		now = now_s();
		if (command->nr_keys)
			rates_add(command->columns, command->nr_keys, result, earlier, now - before);
		json_decref(earlier);
		earlier = json_deep_copy(result);
		before = now;
		cut(result, options);
		show_again(command, result, &how);
		json_decref(result);
		if (ferror(stdout))
			break;
		usleep(options->watch_s * 1e6);
	}
	json_decref(earlier);
	json_decref(params);
	return status;
}

static void show_event(const struct command *command, json_t *event, const struct how *how)
{
	struct how one = *how;
	json_t *rows;

	one.headings = false;
	if (how->format == FORMAT_JSON) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		rows = json_pack("[O]", event);
		table_print(stdout, command->columns, rows, &one);
		json_decref(rows);
	}
	fflush(stdout);
}

/* JSON: one object a line, so that a reader can follow too. */
static int follow(struct client *client, const struct command *command, const struct options *options)
{
	json_t *past, *event;
	size_t i;
	int status = client_call(client, "event.follow", NULL, &past, NULL);

	if (status)
		return status;
	if (options->how.format == FORMAT_JSON)
		json_array_foreach(past, i, event)
			show_event(command, event, &options->how);
	else
		show(command, past, &options->how);
	json_decref(past);
	while (!ferror(stdout) && (event = client_next_event(client, true))) {
		show_event(command, event, &options->how);
		json_decref(event);
	}
	fprintf(stderr, "dvmm: the agent has ended\n");
	return STATUS_UNREACHABLE;
}

static int do_command(const struct options *options)
{
	int first_arg;
	const struct command *command = find_command(options, &first_arg);
	json_t *params = command ? make_params(command, options, first_arg) : NULL;
	struct client *client;
	int status;

	if (!params)
		return STATUS_USAGE;
	status = client_open(options->socket, options->how.format == FORMAT_JSON, &client);
	if (status) {
		json_decref(params);
		return status;
	}
	if ((command->flags & COMMAND_FOLLOW) && (options->follow || options->watch_s)) {
		json_decref(params);
		status = follow(client, command, options);
	} else if (options->watch_s) {
		status = watch(client, command, params, options);
	} else {
		status = show_once(client, command, params, options);
	}
	client_close(client);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {
		.socket = RPC_SOCKET,
		.how.headings = true,
		.how.colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
	};

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &options);
	if (options.program)
		return options.program->run(&options, argc - options.program_at,
					    argv + options.program_at);
	if (options.version)
		return printf("dvmm " DVMM_VERSION "\n") < 0 ? STATUS_FAILED : STATUS_OK;
	if (options.help)
		return show_help(stdout, options.words[0]);
	if (!options.nr_words) {
		show_help(stderr, NULL);
		return STATUS_USAGE;
	}
	return do_command(&options);
}
