// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/events.c - reads the kernel's events: keeps them, tells the followers, and
 * does what some of them ask for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include "internal.h"

#define NO_SEQ UINT64_MAX

struct events {
	sd_event_source *source;
	uint64_t started_ns; /* older events are history: seen by an earlier agent */
	uint32_t first, nr;
	struct dvmm_event ring[NR_EVENTS_KEPT];
};

static void keep(struct events *events, const struct dvmm_event *event)
{
	uint32_t at = (events->first + events->nr) % NR_EVENTS_KEPT;

	events->ring[at] = *event;
	if (events->nr < NR_EVENTS_KEPT)
		events->nr++;
	else
		events->first = (events->first + 1) % NR_EVENTS_KEPT;
}

static json_t *event_to_json(struct agent *agent, const struct dvmm_event *event)
{
	char number[16];
	json_t *vm = event->vm_id ? json_integer(event->vm_id) : json_null();
	json_t *seq = event->seq == NO_SEQ ? json_null() : json_integer(event->seq);

	return json_pack("{s:o, s:I, s:s, s:s, s:o, s:s}",
			 "seq", seq,
			 "time_ns", (json_int_t)event->time_ns,
			 "event", dvmm_event_word(event->kind),
			 "node", config_node_name(&agent->config, event->node_id, number),
			 "vm", vm,
			 "text", event->text);
}

json_t *events_to_json(struct agent *agent, uint32_t vm_id)
{
	struct events *events = agent->events;
	json_t *list = json_array();

	for (uint32_t i = 0; i < events->nr; i++) {
		const struct dvmm_event *event = &events->ring[(events->first + i) % NR_EVENTS_KEPT];

		if (!vm_id || event->vm_id == vm_id)
			json_array_append_new(list, event_to_json(agent, event));
	}
	return list;
}

static bool vm_is_here(struct agent *agent, uint32_t vm_id)
{
	struct dvmm_vm_get vm;

	return !dvmm_vm_next(agent->control, vm_id, &vm) && vm.vm_id == vm_id &&
	       vm.out_state < DVMM_VM_DEAD;
}

static int level_of(uint32_t kind)
{
	switch (kind) {
	case DVMM_EVENT_LINK_REFUSED:
	case DVMM_EVENT_LINK_SUSPECT:
	case DVMM_EVENT_LINK_DOWN:
	case DVMM_EVENT_VM_UNSUPPORTED:
		return LOG_WARNING;
	case DVMM_EVENT_LINK_LOST:
	case DVMM_EVENT_VM_DEAD:
	case DVMM_EVENT_SLICE_LOST:
	case DVMM_EVENT_QUORUM_LOST:
	case DVMM_EVENT_VM_FENCED:
		return LOG_ERR;
	case DVMM_EVENT_QUORUM:
		return LOG_NOTICE;
	default:
		return LOG_INFO;
	}
}

/* In the journal it is found by node and VM. */
static void log_event(struct agent *agent, const struct dvmm_event *event)
{
	bool is_other = event->node_id != agent->config.self.id;
	struct dvmm_vm_get vm;
	char number[16];
	struct log_about about = {
		.event = dvmm_event_word(event->kind),
		.peer = is_other ? config_node_name(&agent->config, event->node_id, number) : NULL,
		.vm_id = event->vm_id,
	};

	if (event->vm_id && agent->control >= 0 &&
	    !dvmm_vm_next(agent->control, event->vm_id, &vm) && vm.vm_id == event->vm_id)
		about.vm = vm.out_name;
	log_with(level_of(event->kind), &about, "%s: %s", about.event, event->text);
}

/* Of an old wish only the VM can tell whether it still stands. */
static void act_on(struct agent *agent, const struct dvmm_event *event, bool is_history)
{
	if (event->kind == DVMM_EVENT_SLICE_WANTED && (!is_history || vm_is_here(agent, event->vm_id)))
		slices_start_one(agent, event->vm_id);
	if (event->kind == DVMM_EVENT_VM_DEAD)
		vmms_end(agent, event->vm_id);
}

static void publish(struct agent *agent, const struct dvmm_event *event, bool is_history)
{
	json_t *json = event_to_json(agent, event);

	if (agent->events)
		keep(agent->events, event);
	if (!is_history)
		log_event(agent, event);
	server_broadcast(agent, json);
	json_decref(json);
}

static void on_event(const struct dvmm_event *event, void *arg)
{
	struct agent *agent = arg;
	bool is_history = event->time_ns < agent->events->started_ns;

	publish(agent, event, is_history);
	act_on(agent, event, is_history);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct agent *agent = arg;
	int nr = dvmm_event_read(fd, on_event, agent);

	(void)source;
	(void)revents;
	if (nr >= 0 || nr == -EAGAIN || nr == -EINTR)
		return 0;
	log_error("cannot read events: %s", strerror(-nr));
	return sd_event_exit(agent->loop, nr);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void events_add(struct agent *agent, uint32_t kind, uint32_t vm_id, const char *text)
{
	struct dvmm_event event = {
		.kind = kind,
		.seq = NO_SEQ,
		.time_ns = now_ns(),
		.node_id = agent->config.self.id,
		.vm_id = vm_id,
	};

	snprintf(event.text, sizeof(event.text), "%s", text);
	publish(agent, &event, false);
}

int events_start(struct agent *agent)
{
	agent->events = calloc(1, sizeof(*agent->events));
	if (!agent->events)
		return -ENOMEM;
	agent->events->started_ns = now_ns();
	return sd_event_add_io(agent->loop, &agent->events->source, agent->control, EPOLLIN,
			       on_readable, agent);
}

void events_stop(struct agent *agent)
{
	if (!agent->events)
		return;
	sd_event_source_unref(agent->events->source);
	free(agent->events);
	agent->events = NULL;
}

json_t *method_event_list(struct request *request)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	struct dvmm_vm_get vm = { 0 };

	/* A VM that is gone still has events; it is known by its id only. */
	if (name && vm_find(request->agent, name, &vm)) {
		char *end;

		vm.vm_id = strtoul(name, &end, 10);
		if (*end || !vm.vm_id)
			return request_fail(request, RPC_NOT_FOUND, "%s: no such VM", name);
	}
	return events_to_json(request->agent, vm.vm_id);
}

json_t *method_event_follow(struct request *request)
{
	request->follow = true;
	return events_to_json(request->agent, 0);
}
