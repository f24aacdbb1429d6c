// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/log.c - lines on stderr, or to journald with what they are about as fields. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include "log.h"

#define NR_FIELDS_MAX 8
#define FIELD_SIZE 1100

static char node_name[128];

void log_set_node(const char *name)
{
	snprintf(node_name, sizeof(node_name), "%s", name);
}

/* Is stderr what systemd connected to the journal, or has somebody redirected it? */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat stat;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &stat) && stat.st_dev == device && stat.st_ino == inode;
}

struct fields {
	int nr;
	struct iovec list[NR_FIELDS_MAX];
	char text[NR_FIELDS_MAX][FIELD_SIZE];
};

__attribute__((format(printf, 2, 3)))
static void add_field(struct fields *fields, const char *format, ...)
{
	char *text = fields->text[fields->nr];
	va_list args;

	va_start(args, format);
	vsnprintf(text, FIELD_SIZE, format, args);
	va_end(args);
	fields->list[fields->nr++] = (struct iovec){ text, strlen(text) };
}

static void send_to_journal(int level, const struct log_about *about, const char *text)
{
	struct fields fields = { 0 };

	add_field(&fields, "MESSAGE=%s", text);
	add_field(&fields, "PRIORITY=%d", level);
	add_field(&fields, "SYSLOG_IDENTIFIER=dvmm-agent");
	if (*node_name)
		add_field(&fields, "DVMM_NODE=%s", node_name);
	if (about && about->event)
		add_field(&fields, "DVMM_EVENT=%s", about->event);
	if (about && about->peer)
		add_field(&fields, "DVMM_PEER=%s", about->peer);
	if (about && about->vm_id)
		add_field(&fields, "DVMM_VM_ID=%u", about->vm_id);
	if (about && about->vm)
		add_field(&fields, "DVMM_VM=%s", about->vm);
	sd_journal_sendv(fields.list, fields.nr);
}

void log_with(int level, const struct log_about *about, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_journal())
		send_to_journal(level, about, text);
	else
		fprintf(stderr, "dvmm-agent: %s\n", text);
}
