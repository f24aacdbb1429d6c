// SPDX-License-Identifier: GPL-2.0-only
/* kmod/service.c - who handles which messages. A module above registers a range
 * of message types; received messages find their way here from conn.c.
 */
#include <linux/mm.h>
#include <linux/rwsem.h>
#include "internal.h"

#define MAX_SERVICES 8

/* Read-held around each handler: unregistering waits for them. */
static DECLARE_RWSEM(services_sem);
static const struct dvmm_service *services[MAX_SERVICES]; /* services_sem */

static bool overlap(const struct dvmm_service *a, const struct dvmm_service *b)
{
	return (a->first_type <= b->last_type && b->first_type <= a->last_type) ||
	       (a->page && b->page);
}

static int add(const struct dvmm_service *service)
{
	int i, at = -1;

	for (i = 0; i < MAX_SERVICES; i++) {
		if (!services[i])
			at = i;
		else if (overlap(services[i], service))
			return -EBUSY;
	}
	if (at < 0)
		return -EBUSY;
	services[at] = service;
	return 0;
}

int dvmm_service_register(const struct dvmm_service *service)
{
	int err;

	if (service->first_type <= DVMM_MSG_REPLY || service->first_type > service->last_type)
		return -EINVAL;
	down_write(&services_sem);
	err = add(service);
	up_write(&services_sem);
	return err;
}
EXPORT_SYMBOL_GPL(dvmm_service_register);

void dvmm_service_unregister(const struct dvmm_service *service)
{
	int i;

	down_write(&services_sem);
	for (i = 0; i < MAX_SERVICES; i++)
		if (services[i] == service)
			services[i] = NULL;
	up_write(&services_sem);
	defer_flush();
}
EXPORT_SYMBOL_GPL(dvmm_service_unregister);

static const struct dvmm_service *find(u16 type)
{
	int i;

	for (i = 0; i < MAX_SERVICES; i++)
		if (services[i] && type >= services[i]->first_type && type <= services[i]->last_type)
			return services[i];
	return NULL;
}

/* The peer has a module that we have not: its requests get an answer, the rest is dropped. */
static int nobody_home(struct link *link, const struct dvmm_msg_hdr *hdr)
{
	struct dvmm_msg reply = { .type = DVMM_MSG_REPLY, .vm = le32_to_cpu(hdr->vm) };

	if (hdr->req)
		link_send(link, &reply, le32_to_cpu(hdr->req), EOPNOTSUPP);
	return 0;
}

int service_message(struct link *link, const struct dvmm_msg_hdr *hdr,
		    const void *payload, size_t len)
{
	const struct dvmm_service *service;
	int ret;

	down_read(&services_sem);
	service = find(le16_to_cpu(hdr->type));
	if (service)
		ret = service->message(link->peer, hdr, payload, len);
	else
		ret = nobody_home(link, hdr);
	up_read(&services_sem);
	return ret;
}

int service_page(struct link *link, u32 imm, struct page **page)
{
	int ret = -EPROTO;
	int i;

	down_read(&services_sem);
	for (i = 0; i < MAX_SERVICES; i++)
		if (services[i] && services[i]->page)
			ret = services[i]->page(link->peer, imm, page);
	up_read(&services_sem);
	return ret;
}

void service_link_up(u8 node)
{
	int i;

	down_read(&services_sem);
	for (i = 0; i < MAX_SERVICES; i++)
		if (services[i] && services[i]->link_up)
			services[i]->link_up(node);
	up_read(&services_sem);
}

void service_link_lost(u8 node)
{
	int i;

	defer_flush();
	down_read(&services_sem);
	for (i = 0; i < MAX_SERVICES; i++)
		if (services[i] && services[i]->link_lost)
			services[i]->link_lost(node);
	up_read(&services_sem);
}
