/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/setup/setup.h - the door of `dvmm node setup` and `dvmm node check`: what a host
 * needs to be a node whose spanning VMs libvirt can start.
 */
#ifndef AGENT_SETUP_SETUP_H
#define AGENT_SETUP_SETUP_H

#include <argp.h>
#include "../cli/table.h"

/**
 * setup_main() - `dvmm node setup [--dry-run] [--undo] [--root DIR]`
 * @argv: from "setup" on
 *
 * Return: an enum status
 */
int setup_main(int argc, char **argv);
extern const struct argp setup_argp;

/**
 * check_main() - `dvmm node check`
 * @socket: of the agent
 * @argv: from "check" on
 *
 * Return: 0, or STATUS_FAILED when something is missing
 */
int check_main(const char *socket, const struct how *how, int argc, char **argv);

#endif
