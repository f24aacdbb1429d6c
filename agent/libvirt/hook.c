// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/libvirt/hook.c - dvmm-hook: libvirt runs it when a domain starts and ends, with
 * the domain's XML on stdin. Makes the spanning VM that the XML asks for; dvmm-qemu takes
 * it. It talks to the agent alone, never to libvirt, which waits for it.
 *
 * A domain without a placement is none of its business: it says nothing and succeeds.
 * What it says on stderr is what `virsh start` shows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../cli/client.h"
#include "../run/reason.h"
#include "domain.h"

#define XML_MAX (16 * 1024 * 1024)
/* An earlier VM of the domain may still be ending. */
#define GONE_WITHIN_MS 10000

static struct domain domain;

__attribute__((format(printf, 1, 2)))
static int fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "dvmm: %s: ", domain.name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return STATUS_FAILED;
}

static char *read_stdin(size_t *ret_len)
{
	size_t room = 65536, len = 0;
	char *text = NULL;
	ssize_t nr;

	do {
		room *= 2;
		text = realloc(text, room);
		if (!text)
			abort();
		while (len < room && (nr = read(STDIN_FILENO, text + len, room - len)) > 0)
			len += nr;
	} while (len == room && room < XML_MAX);
	*ret_len = len;
	return text;
}

/* ---- calls of the agent ---- */

static bool has_vm(json_t *vms)
{
	json_t *vm;
	size_t i;

	json_array_foreach(vms, i, vm) {
		const char *uuid = json_string_value(json_object_get(vm, "uuid"));

		if (uuid && !strcmp(uuid, domain.uuid))
			return true;
	}
	return false;
}

static int wait_until_gone(struct client *client)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000000 };
	bool is_there = true;

	for (int ms = 0; is_there && ms < GONE_WITHIN_MS; ms += 50) {
		json_t *vms;
		int status = client_call(client, "vm.list", NULL, &vms, NULL);

		if (status)
			return status;
		is_there = has_vm(vms);
		json_decref(vms);
		if (is_there)
			nanosleep(&pause, NULL);
	}
	return is_there ? fail("its last VM has not ended yet") : STATUS_OK;
}

static int drop_vm(struct client *client)
{
	json_t *result;
	int status = client_call(client, "vm.drop", json_pack("{s:s}", "vm", domain.uuid), &result, NULL);

	if (!status)
		json_decref(result);
	return status;
}

static bool has_vcpu_on(const char *node)
{
	for (uint32_t i = 0; i < domain.places.nr; i++)
		if (!strcmp(domain.places.list[i].node, node))
			return true;
	return false;
}

/* A node may also have memory only. */
static json_t *places_to_json(void)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < domain.nr_dimms; i++)
		if (!has_vcpu_on(domain.dimms[i].node))
			json_array_append_new(list, json_pack("{s:s}", "node", domain.dimms[i].node));

	for (uint32_t i = 0; i < domain.places.nr; i++)
		json_array_append_new(list, json_pack("{s:i, s:s}", "vcpu", domain.places.list[i].vcpu,
						      "node", domain.places.list[i].node));
	return list;
}

static json_t *homes_to_json(void)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < domain.nr_dimms; i++)
		json_array_append_new(list, json_pack("{s:I, s:I, s:s}",
						      "start", (json_int_t)domain.dimms[i].start,
						      "bytes", (json_int_t)domain.dimms[i].bytes,
						      "node", domain.dimms[i].node));
	return list;
}

static int create_vm(struct client *client, int *ret_vm)
{
	/* libvirt's names may be longer than ours; the UUID is what counts. */
	const char *name = strlen(domain.name) < DVMM_NAME_SIZE ? domain.name : NULL;
	json_t *params = json_pack("{s:s*, s:s, s:s*, s:b, s:b, s:o, s:o}", "name", name, "uuid", domain.uuid,
				   "home", *domain.home ? domain.home : NULL, "grow", domain.grows,
				   "keep", true, "places", places_to_json(), "homes", homes_to_json());
	json_t *vm;
	int status = client_call(client, "vm.create", params, &vm, ret_vm);

	if (!status)
		json_decref(vm);
	return status ?: *ret_vm < 0 ? fail("the agent made no VM") : STATUS_OK;
}

/* ---- starting ---- */

static int start_vm(struct client *client, int vm)
{
	char reason[DVMM_REASON_SIZE + DVMM_NAME_SIZE] = "";
	int err = dvmm_vm_start(vm, domain.timeout_ms, reason);

	if (!err)
		return STATUS_OK;
	reason_name_node(client, reason, sizeof(reason));
	return fail("cannot start: %s", *reason ? reason : strerror(-err));
}

static int prepare(struct client *client)
{
	int vm = -1;
	/* A start that failed half way may have left one. */
	int status = drop_vm(client) ?: wait_until_gone(client) ?: create_vm(client, &vm);

	if (!status && start_vm(client, vm)) {
		drop_vm(client);
		status = STATUS_FAILED;
	}
	if (vm >= 0)
		close(vm);
	return status;
}

/* The VM has ended with QEMU; one that QEMU never took is here still. */
static int release(struct client *client)
{
	return drop_vm(client);
}

static int refuse_migration(struct client *client)
{
	(void)client;
	return fail("libvirt cannot migrate a spanning VM");
}

static const struct {
	const char *operation;
	int (*act)(struct client *client);
} operations[] = {
	{ "prepare", prepare },
	{ "release", release },
	{ "migrate", refuse_migration },
};

static int act(int (*action)(struct client *client))
{
	const char *socket = getenv("DVMM_SOCKET");
	char why[512];
	struct client *client;
	size_t len;
	char *xml = read_stdin(&len);
	int ret = domain_parse(xml, len, &domain, why, sizeof(why)), status;

	free(xml);
	if (ret <= 0)
		return ret ? fail("%s", why) : STATUS_OK;
	status = client_open(socket ? socket : RPC_SOCKET, false, &client);
	if (status)
		return status;
	status = action(client);
	client_close(client);
	return status;
}

/* Arguments: DOMAIN OPERATION SUB-OPERATION EXTRA. */
int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "dvmm-hook: libvirt runs it (/etc/libvirt/hooks/qemu.d), people do not\n");
		return STATUS_USAGE;
	}
	snprintf(domain.name, sizeof(domain.name), "%s", argv[1]);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(operations[i].operation, argv[2]))
			return act(operations[i].act);
	return STATUS_OK;
}
