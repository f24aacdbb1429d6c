// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/token.c - tokens as text: dvmm1/ADDRESS:PORT/CA/SECRET, the last two as
 * hexadecimal digits. Pure. Which of them are good is known to tokens.c.
 */
#include <errno.h>
#include <string.h>
#include "internal.h"

#define PREFIX "dvmm1/"

static char *format_hex(const uint8_t *bytes, size_t size, char *text)
{
	for (size_t i = 0; i < size; i++)
		text += sprintf(text, "%02x", bytes[i]);
	return text;
}

const char *token_format(const struct token *token, char text[TOKEN_TEXT_SIZE])
{
	char addr[DVMM_ADDR_TEXT_SIZE];
	char *at = text + sprintf(text, PREFIX "%s/", dvmm_addr_format(&token->api, addr));

	at = format_hex(token->ca, sizeof(token->ca), at);
	*at++ = '/';
	format_hex(token->secret, sizeof(token->secret), at);
	return text;
}

int token_parse(const char *text, struct token *ret_token)
{
	char copy[TOKEN_TEXT_SIZE], *ca, *secret;
	struct token token = { 0 };

	if (strlen(text) >= sizeof(copy) || strncmp(text, PREFIX, strlen(PREFIX)))
		return -EINVAL;
	strcpy(copy, text + strlen(PREFIX));
	ca = strchr(copy, '/');
	secret = ca ? strchr(ca + 1, '/') : NULL;
	if (!secret)
		return -EINVAL;
	*ca++ = '\0';
	*secret++ = '\0';
	if (dvmm_addr_parse(copy, &token.api) || dvmm_hex_parse(ca, token.ca, sizeof(token.ca)) ||
	    dvmm_hex_parse(secret, token.secret, sizeof(token.secret)))
		return -EINVAL;
	*ret_token = token;
	return 0;
}
