/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/libvirt/xml.h - the door of `dvmm vm xml`. */
#ifndef AGENT_LIBVIRT_XML_H
#define AGENT_LIBVIRT_XML_H

#include <argp.h>

/**
 * xml_main() - `dvmm vm xml ...`: write a domain for libvirt
 * @argv: from "xml" on
 *
 * Return: an enum status
 */
int xml_main(int argc, char **argv);
extern const struct argp xml_argp;

#endif
