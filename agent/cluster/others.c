// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/others.c - asks other nodes on behalf of who asks this one. */
#include <stdlib.h>
#include <string.h>
#include "internal.h"

struct question {
	struct call *call;
	struct survey *survey; /* NULL: it is one for itself */
	char node[DVMM_NAME_SIZE];
	cluster_done *done;
	void *arg;
};

/* A question to all. */
struct survey {
	json_t *rows;
	uint32_t nr_waiting;
	cluster_done *done;
	void *arg;
};

static struct question *make_question(struct cluster *cluster, const struct cluster_member *member)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		abort();
	strcpy(question->node, member->name);
	question->call = call_open_member(cluster, member, CALL_WITHIN_MS, question);
	return question;
}

static void free_question(struct question *question)
{
	call_free(question->call);
	free(question);
}

/* ---- one node ---- */

static void on_answer(void *arg, json_t *result, const struct cluster_error *error)
{
	struct question *question = arg;
	struct cluster_error named;

	if (!result)
		cluster_fail(&named, error->code, "node %s: %s", question->node, error->why);
	question->done(question->arg, result, result ? error : &named);
	free_question(question);
}

void cluster_call(struct cluster *cluster, const char *node, const char *method, json_t *params,
		  cluster_done *done, void *arg)
{
	const struct cluster_member *member = cluster_member_find(&cluster->config, node);
	struct cluster_error error = { 0 };
	struct question *question;

	if (!member) {
		json_decref(params);
		cluster_fail(&error, RPC_NOT_FOUND, "%s: no such node in the cluster", node);
		done(arg, NULL, &error);
		return;
	}
	question = make_question(cluster, member);
	question->done = done;
	question->arg = arg;
	call_send(question->call, method, params, on_answer);
}

/* ---- all nodes ---- */

static json_t *row_of(const struct cluster_member *member, const char *state, json_t *version,
		      json_t *quorate)
{
	char addr[DVMM_ADDR_TEXT_SIZE], api[DVMM_ADDR_TEXT_SIZE];

	return json_pack("{s:s, s:i, s:s, s:O, s:o, s:s, s:s, s:s}", "node", member->name, "id",
			 member->id, "state", state, "version", version ? version : json_null(),
			 "quorate", quorate, "address", dvmm_addr_format(&member->addr, addr), "api",
			 dvmm_addr_format(&member->api, api), "reason", "");
}

static void end_survey(struct survey *survey)
{
	struct cluster_error none = { 0 };

	survey->done(survey->arg, survey->rows, &none);
	json_decref(survey->rows);
	free(survey);
}

static json_t *find_row(struct survey *survey, const char *node)
{
	json_t *row;
	size_t i;

	json_array_foreach(survey->rows, i, row)
		if (!strcmp(json_string_value(json_object_get(row, "node")), node))
			return row;
	return NULL;
}

static void on_version(void *arg, json_t *result, const struct cluster_error *error)
{
	struct question *question = arg;
	struct survey *survey = question->survey;
	json_t *row = find_row(survey, question->node);

	json_object_set_new(row, "state", json_string(result ? "up" : "down"));
	if (result) {
		json_object_set(row, "version", json_object_get(result, "version"));
		json_object_set(row, "quorate", json_object_get(result, "quorate") ?: json_null());
	} else {
		json_object_set_new(row, "reason", json_string(error->why));
	}
	free_question(question);
	if (!--survey->nr_waiting)
		end_survey(survey);
}

static void ask(struct cluster *cluster, struct survey *survey, const struct cluster_member *member)
{
	struct question *question = make_question(cluster, member);

	question->survey = survey;
	call_send(question->call, "cluster.version", NULL, on_version);
}

void cluster_status(struct cluster *cluster, cluster_done *done, void *arg)
{
	const struct cluster_config *config = &cluster->config;
	struct survey *survey = calloc(1, sizeof(*survey));
	json_t *version = json_integer(config->version);

	if (!survey)
		abort();
	*survey = (struct survey){ json_array(), config->nr_members, done, arg };
	for (uint32_t i = 0; i < config->nr_members; i++) {
		bool is_self = !strcmp(config->members[i].name, cluster->self_name);

		json_array_append_new(survey->rows,
				      row_of(&config->members[i], is_self ? "self" : "?",
					     is_self ? version : NULL,
					     is_self ? quorum_to_json(cluster) :
						       json_null()));
		if (is_self)
			survey->nr_waiting--;
	}
	json_decref(version);
	if (!survey->nr_waiting) {
		end_survey(survey);
		return;
	}
	for (uint32_t i = 0; i < config->nr_members; i++)
		if (strcmp(config->members[i].name, cluster->self_name))
			ask(cluster, survey, &config->members[i]);
}
