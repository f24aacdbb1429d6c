/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/run/run.h - the door of `dvmm run`. */
#ifndef AGENT_RUN_RUN_H
#define AGENT_RUN_RUN_H

#include <argp.h>

/**
 * run_main() - `dvmm run ...`
 * @socket: of the agent
 * @argv: from "run" on
 *
 * Return: the exit status: of the program that was run, 128 + N when signal N ended
 * it, or an enum status
 */
int run_main(const char *socket, int argc, char **argv);
extern const struct argp run_argp;

#endif
