// SPDX-License-Identifier: LGPL-2.1-or-later
/* lib/uuid.c - UUIDs and other bytes as hexadecimal text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include "dvmm.h"

static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

int dvmm_hex_parse(const char *text, uint8_t *ret_bytes, size_t size)
{
	if (strlen(text) != 2 * size || strspn(text, "0123456789abcdefABCDEF") != 2 * size)
		return -EINVAL;
	for (size_t i = 0; i < size; i++)
		ret_bytes[i] = digit_value(text[2 * i]) << 4 | digit_value(text[2 * i + 1]);
	return 0;
}

static int is_dash_place(size_t at)
{
	return at == 8 || at == 13 || at == 18 || at == 23;
}

int dvmm_uuid_parse(const char *text, uint8_t ret_uuid[DVMM_UUID_SIZE])
{
	char digits[2 * DVMM_UUID_SIZE + 1];
	size_t nr = 0;

	if (strlen(text) != DVMM_UUID_TEXT_SIZE - 1)
		return -EINVAL;
	for (size_t at = 0; text[at]; at++) {
		if (is_dash_place(at) != (text[at] == '-'))
			return -EINVAL;
		if (text[at] != '-')
			digits[nr++] = text[at];
	}
	digits[nr] = '\0';
	return dvmm_hex_parse(digits, ret_uuid, DVMM_UUID_SIZE);
}

const char *dvmm_uuid_format(const uint8_t uuid[DVMM_UUID_SIZE], char text[DVMM_UUID_TEXT_SIZE])
{
	char *at = text;

	for (size_t i = 0; i < DVMM_UUID_SIZE; i++) {
		if (is_dash_place(at - text))
			*at++ = '-';
		at += sprintf(at, "%02x", uuid[i]);
	}
	return text;
}

int dvmm_uuid_random(uint8_t ret_uuid[DVMM_UUID_SIZE])
{
	if (getrandom(ret_uuid, DVMM_UUID_SIZE, 0) != DVMM_UUID_SIZE)
		return -errno;
	ret_uuid[6] = (ret_uuid[6] & 0x0f) | 0x40;
	ret_uuid[8] = (ret_uuid[8] & 0x3f) | 0x80;
	return 0;
}
