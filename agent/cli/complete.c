// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cli/complete.c - the next word of a command line: from the commands' table, the
 * options of argp, and the agent for names of VMs and nodes. A shell asks it, so that no
 * list of commands is anywhere else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../lib/dvmm.h"
#include "client.h"
#include "commands.h"
#include "complete.h"

#define WITHIN_S 2 /* someone waits at the keyboard */

struct line {
	const struct complete_source *source;
	const char *socket;
	const char *word; /* to complete */
	const char *noun, *verb;
	int nr_args; /* of the command, before the word */
	const struct argp_option *pending; /* the word is its argument */
	bool is_value; /* the word follows a "=" */
};

static void offer(const struct line *line, const char *candidate)
{
	if (!strncmp(candidate, line->word, strlen(line->word)))
		puts(candidate);
}

/* ---- names that the agent knows ---- */

/* Who is asked for words does not want to hear of failures. */
static struct client *open_quietly(const char *socket)
{
	struct client *client;

	if (!freopen("/dev/null", "w", stderr))
		return NULL;
	alarm(WITHIN_S);
	return client_open(socket, false, &client) ? NULL : client;
}

static void offer_rows(const struct line *line, const char *method, const char *key)
{
	struct client *client = open_quietly(line->socket);
	json_t *rows, *row;
	size_t i;

	if (!client)
		return;
	if (!client_call(client, method, NULL, &rows, NULL)) {
		json_array_foreach(rows, i, row) {
			const char *name = json_string_value(json_object_get(row, key));

			if (name)
				offer(line, name);
		}
		json_decref(rows);
	}
	client_close(client);
}

/* ---- arguments ---- */

static const struct argp_option *options_of(const struct line *line)
{
	const struct argp_option *own = line->noun ? line->source->options_of(line->noun, line->verb) :
						     NULL;

	return own ?: line->source->options;
}

static void offer_formats(const struct line *line)
{
	for (unsigned int i = 0; format_word(i); i++)
		offer(line, format_word(i));
}

static void offer_policies(const struct line *line)
{
	for (uint32_t i = 0; strcmp(dvmm_home_policy_word(i), "?"); i++)
		offer(line, dvmm_home_policy_word(i));
}

/* What an argument is called in the usage or the request says what it is. */
static void offer_argument(const struct line *line, const char *name)
{
	if (!strcmp(name, "vm") || !strcmp(name, "VM")) {
		offer_rows(line, "vm.list", "vm");
	} else if (!strcmp(name, "node") || !strcmp(name, "NODE") || !strcmp(name, "NODES")) {
		offer_rows(line, "node.list", "node");
	} else if (!strcmp(name, "object")) {
		offer(line, "node");
		offer(line, "link");
		offer_rows(line, "vm.list", "vm");
	} else if (!strcmp(name, "size") || !strcmp(name, "BYTES")) {
		offer(line, "none");
		offer(line, "default");
	} else if (!strcmp(name, "POLICY")) {
		offer_policies(line);
	} else if (!strcmp(name, "FORMAT") && options_of(line) == line->source->options) {
		offer_formats(line);
	}
}

/* ---- options ---- */

static bool is_named(const struct argp_option *option, const char *word)
{
	if (!strncmp(word, "--", 2))
		return !strcmp(word + 2, option->name);
	return *word == '-' && word[1] && !word[2] && option->key == word[1];
}

static const struct argp_option *find_option(const struct line *line, const char *word)
{
	for (const struct argp_option *option = options_of(line); option->name; option++)
		if (is_named(option, word))
			return option;
	return NULL;
}

static void offer_options(const struct line *line)
{
	const struct argp_option *options = options_of(line);
	char word[64];

	for (const struct argp_option *option = options; option->name; option++) {
		if (options == line->source->options &&
		    !line->source->is_for(option, line->noun, line->verb))
			continue;
		snprintf(word, sizeof(word), "--%s", option->name);
		offer(line, word);
	}
	offer(line, "--help");
}

/* ---- nouns and verbs ---- */

/* A noun's commands follow each other. */
static void offer_nouns(const struct line *line)
{
	const char *last = "";

	for (const struct command *command = commands; command->noun; command++) {
		if (strcmp(command->noun, last))
			offer(line, command->noun);
		last = command->noun;
	}
}

static void offer_verbs(const struct line *line)
{
	for (const struct command *command = commands; command->noun; command++)
		if (!strcmp(command->noun, line->noun) && command->verb)
			offer(line, command->verb);
}

static void offer_positional(const struct line *line)
{
	const struct command *command;

	if (!line->noun) {
		offer_nouns(line);
		return;
	}
	if (command_takes_verb(line->noun) && !line->verb) {
		offer_verbs(line);
		return;
	}
	command = command_find(line->noun, line->verb);
	if (command && line->nr_args < NR_ARGS_MAX && command->params[line->nr_args])
		offer_argument(line, command->params[line->nr_args]);
}

/* ---- the line so far ---- */

static void take_positional(struct line *line, const char *word)
{
	if (!line->noun)
		line->noun = word;
	else if (!line->verb && command_takes_verb(line->noun))
		line->verb = word;
	else
		line->nr_args++;
}

static void take_word(struct line *line, const char *word)
{
	if (line->pending) {
		if (line->pending->key == 's' && options_of(line) == line->source->options)
			line->socket = word;
		line->pending = NULL;
		return;
	}
	if (*word != '-') {
		take_positional(line, word);
		return;
	}
	line->pending = find_option(line, word);
	/* What may be left out comes only after a "=". */
	if (line->pending && (!line->pending->arg || line->pending->flags & OPTION_ARG_OPTIONAL))
		line->pending = NULL;
}

/* "--place 0=n1": what follows a "=" belongs to the word before it. */
static void read_line(struct line *line, int nr, char **words)
{
	for (int i = 0; i < nr - 1; i++) {
		if (!strcmp(words[i], "="))
			line->is_value = true;
		else if (!line->is_value || line->pending)
			take_word(line, words[i]);
		if (strcmp(words[i], "="))
			line->is_value = false;
	}
	line->word = nr ? words[nr - 1] : "";
	if (!strcmp(line->word, "=")) {
		line->is_value = true;
		line->word = "";
	}
}

void complete_words(const struct complete_source *source, int nr, char **words)
{
	struct line line = { .source = source, .socket = source->socket };

	read_line(&line, nr, words);
	if (line.pending)
		offer_argument(&line, line.pending->arg);
	else if (line.is_value)
		offer_argument(&line, "node");
	else if (*line.word == '-')
		offer_options(&line);
	else
		offer_positional(&line);
}
