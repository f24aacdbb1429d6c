// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/fuzz/request.c - any line as what a host sends to an agent before anybody knows
 * who it is, or as what a member sends: it is refused with a reason, or what comes of it makes
 * sense. The first byte says as what it is taken.
 */
#include <stdlib.h>
#include <string.h>
#include "../../agent/cluster/internal.h"

static void check_error(const struct cluster_error *error)
{
	if (!error->code || !*error->why)
		abort();
}

static void check_member(const struct cluster_member *member)
{
	if (!cluster_name_is_good(member->name) || member->id >= DVMM_MAX_NODES ||
	    !member->addr.port || !member->api.port)
		abort();
}

static void take_join(const char *text, size_t len)
{
	static struct join_request request;
	struct cluster_error error = { 0 };
	const char *method;
	json_t *json, *params;

	if (request_parse(text, len, &json, &method, &params, &error)) {
		check_error(&error);
		return;
	}
	if (join_request_parse(params, &request, &error))
		check_error(&error);
	else
		check_member(&request.member);
	json_decref(json);
}

/* What is taken is what all would have: it is the same after it went over the wire again. */
static void check_config(const struct cluster_config *config)
{
	static struct cluster_config again;
	struct cluster_error error = { 0 };
	json_t *json = cluster_config_to_json(config);

	if (!config->nr_members || !config->version || cluster_config_parse(json, &again, &error) ||
	    memcmp(config, &again, sizeof(again)))
		abort();
	for (uint32_t i = 0; i < config->nr_members; i++)
		check_member(&config->members[i]);
	json_decref(json);
}

static void take_config(const char *text, size_t len)
{
	static struct cluster_config config;
	struct cluster_error error = { 0 };
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	memset(&config, 0xff, sizeof(config));
	if (cluster_config_parse(json, &config, &error))
		check_error(&error);
	else
		check_config(&config);
	json_decref(json);
}

static void take_token(const char *text, size_t len)
{
	char copy[2 * TOKEN_TEXT_SIZE] = "", again[TOKEN_TEXT_SIZE];
	struct token token, same;

	memcpy(copy, text, len < sizeof(copy) ? len : sizeof(copy) - 1);
	if (token_parse(copy, &token))
		return;
	if (token_parse(token_format(&token, again), &same) || memcmp(&token, &same, sizeof(same)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (!size)
		return 0;
	if (*data == 'c')
		take_config(text, size - 1);
	else if (*data == 't')
		take_token(text, size - 1);
	else
		take_join(text, size - 1);
	return 0;
}
