/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/cli/complete.h - `dvmm complete`: what a shell may offer as the next word. */
#ifndef AGENT_CLI_COMPLETE_H
#define AGENT_CLI_COMPLETE_H

#include <argp.h>
#include <stdbool.h>

/**
 * struct complete_source - what main.c knows of the command line
 * @options: of `dvmm`
 * @is_for: is this option one of @noun @verb (NULL: none yet)?
 * @options_of: of a command that takes options of its own only; NULL: it is none
 */
struct complete_source {
	const char *socket;
	const struct argp_option *options;
	bool (*is_for)(const struct argp_option *option, const char *noun, const char *verb);
	const struct argp_option *(*options_of)(const char *noun, const char *verb);
};

/**
 * complete_words() - print the words that may stand where the last word begins, a line each
 * @words: of the command line, after "dvmm"; bash makes a word of each "="
 *
 * Prints nothing where it does not know: a file, perhaps.
 */
void complete_words(const struct complete_source *source, int nr, char **words);

#endif
