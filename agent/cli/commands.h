/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cli/commands.h - the commands of `dvmm`, as data. */
#ifndef AGENT_CLI_COMMANDS_H
#define AGENT_CLI_COMMANDS_H

#include "table.h"

#define NR_ARGS_MAX 2
#define NR_OPTIONS_MAX 5

/**
 * struct command - dvmm NOUN VERB ARGS
 * @verb: NULL: the noun stands alone
 * @usage: of the arguments
 * @help: a sentence
 * @method: of the agent (rpc.tbl.h); NULL: a program of main.c
 * @params: what the arguments are called in the request
 * @nr_required: of them
 * @columns: of the answer; ends with a key of NULL
 * @nr_keys: so many columns, from the first, name a row; 0: --watch shows no rates
 * @options: of `dvmm` that are parameters of the request too
 */
struct command {
	const char *noun;
	const char *verb;
	const char *usage;
	const char *help;
	const char *method;
	const char *params[NR_ARGS_MAX];
	int nr_required;
	const struct column *columns;
	unsigned int flags;
	int nr_keys;
	const char *options[NR_OPTIONS_MAX];
};
#define COMMAND_ONE 1 /* the answer is one object */
#define COMMAND_FOLLOW 2 /* --follow shows what comes */

/** commands - ends with a noun of NULL */
extern const struct command commands[];

/** command_find() - @verb NULL: there is none; NULL: no such command */
const struct command *command_find(const char *noun, const char *verb);

/** command_takes_verb() - has @noun commands with a verb? */
bool command_takes_verb(const char *noun);

/** commands_help() - a line for each command of @noun (NULL: of all); 0: no such noun */
int commands_help(FILE *out, const char *noun);

#endif
