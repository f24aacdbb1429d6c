// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/unit/config.c - the agent's configuration file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../../agent/config.h"
#include "tap.h"

#define NODE "[node]\nid = 1\nname = n1\nlisten = 10.77.0.1:4750\n"
#define CLUSTER "[cluster]\nuuid = 6a1c2f0e-58c5-4a0e-9b1a-2f6f3c1d7e55\nkey-file = /etc/dvmm/key\n"
#define PEER "[peer \"n2\"]\nid = 2\naddr = 10.77.0.2:4750\n"
#define GOOD NODE CLUSTER PEER

static struct config config;
static char *said;

static int read_text(const char *text)
{
	FILE *in = fmemopen((void *)text, strlen(text), "r");
	size_t size;
	FILE *say;
	int err;

	free(said);
	say = open_memstream(&said, &size);
	err = config_read(in, "a.conf", say, &config);
	fclose(say);
	fclose(in);
	return err;
}

static void good_file_says_all(void **state)
{
	(void)state;
	assert_int_equal(read_text(GOOD), 0);
	assert_string_equal(said, "");
	assert_int_equal(config.self.id, 1);
	assert_string_equal(config.self.name, "n1");
	assert_int_equal(config.self.addr.port, 4750);
	assert_int_equal(config.epoch, 1);
	assert_int_equal(config.nr_peers, 1);
	assert_string_equal(config.peers[0].name, "n2");
	assert_int_equal(config.peers[0].id, 2);
	assert_false(config.has_node_uuid);
	assert_string_equal(config.key_file, "/etc/dvmm/key");
}

static void watchdog_is_a_device_or_none(void **state)
{
	(void)state;
	assert_int_equal(read_text(GOOD "[agent]\nwatchdog = /dev/watchdog0\n"), 0);
	assert_string_equal(config.watchdog, "/dev/watchdog0");
	assert_int_equal(read_text(GOOD "[agent]\nwatchdog =\n"), 0);
	assert_string_equal(config.watchdog, "");
	assert_string_equal(said, "");
}

static void unknown_key_is_a_warning_with_file_and_line(void **state)
{
	(void)state;
	assert_int_equal(read_text(NODE "colour = red\n" CLUSTER PEER "weight = 3\n[gui]\nx = 1\n"), 0);
	assert_non_null(strstr(said, "a.conf:5: warning: unknown key 'colour' in [node]"));
	assert_non_null(strstr(said, "a.conf:12: warning: unknown key 'weight' in [peer \"n2\"]"));
	assert_non_null(strstr(said, "a.conf:14: warning: unknown key 'x' in [gui]"));
}

static void error_names_the_line(const char *text, const char *message)
{
	assert_int_equal(read_text(text), -EINVAL);
	if (!strstr(said, message))
		fail_msg("said: %s\nnot: %s", said, message);
}

static void bad_values_are_errors(void **state)
{
	(void)state;
	error_names_the_line("[node]\nid = 64\n", "a.conf:2: error: 64 is too large");
	error_names_the_line("[node]\nid = -1\n", "a.conf:2: error: '-1' is not a number");
	error_names_the_line("[node]\nid =\n", "a.conf:2: error: '' is not a number");
	error_names_the_line("[node]\nname = a b\n", "a.conf:2: error: a name has letters");
	error_names_the_line("[node]\nname =\n", "a.conf:2: error: a name has 1 to");
	error_names_the_line("[node]\nlisten = here\n", "a.conf:2: error: 'here' is not ADDRESS:PORT");
	error_names_the_line("[node]\nuuid = 12\n", "a.conf:2: error: '12' is not a UUID");
	error_names_the_line("[cluster]\nepoch = 0\n", "a.conf:2: error: epoch 0");
	error_names_the_line("[cluster]\nkey-file = key\n", "a.conf:2: error: 'key' is not an absolute");
	error_names_the_line("[agent]\nwatchdog = watchdog0\n", "a.conf:2: error: 'watchdog0' is not an absolute");
	error_names_the_line("[agent]\nwatchdog = /a\nwatchdog = /b\n", "a.conf:3: error: 'watchdog' is given twice");
	error_names_the_line("[peer n2]\nid = 1\n", "a.conf:2: error: [peer n2] should be");
	error_names_the_line("[peer \"n 2\"]\nid = 1\n", "a.conf:2: error: a name has letters");
	error_names_the_line("[peer \"n2\" x]\nid = 1\n", "should be [peer \"NAME\"]");
}

static void errors_are_all_said(void **state)
{
	(void)state;
	assert_int_equal(read_text("[node]\nid = x\nname = a b\n"), -EINVAL);
	assert_non_null(strstr(said, "a.conf:2:"));
	assert_non_null(strstr(said, "a.conf:3:"));
}

static void given_twice_is_an_error(void **state)
{
	(void)state;
	error_names_the_line(NODE "id = 1\n", "a.conf:5: error: 'id' is given twice");
	error_names_the_line(GOOD "id = 2\n", "a.conf:11: error: 'id' is given twice");
	error_names_the_line(GOOD "addr = 10.0.0.1:1\n", "a.conf:11: error: 'addr' is given twice");
}

static void missing_keys_are_errors(void **state)
{
	(void)state;
	error_names_the_line(CLUSTER PEER, "[node] has no id");
	error_names_the_line(CLUSTER PEER, "[node] has no name");
	error_names_the_line(CLUSTER PEER, "[node] has no listen");
	error_names_the_line(NODE, "[cluster] has no uuid");
	error_names_the_line(NODE, "[cluster] has no key-file");
	error_names_the_line(NODE CLUSTER "[peer \"n2\"]\nid = 2\n", "[peer \"n2\"] has no addr");
	error_names_the_line(NODE CLUSTER "[peer \"n2\"]\naddr = 1.2.3.4:5\n", "[peer \"n2\"] has no id");
}

static void names_and_ids_are_unique(void **state)
{
	(void)state;
	error_names_the_line(NODE CLUSTER "[peer \"n1\"]\nid = 2\naddr = 1.2.3.4:5\n",
			     "has the name of this node");
	error_names_the_line(NODE CLUSTER "[peer \"n2\"]\nid = 1\naddr = 1.2.3.4:5\n",
			     "has the id of this node");
	error_names_the_line(GOOD "[peer \"n3\"]\nid = 2\naddr = 1.2.3.4:5\n",
			     "[peer \"n3\"] has the id of peer \"n2\"");
}

static void not_ini_is_an_error_with_a_line(void **state)
{
	(void)state;
	error_names_the_line(NODE "hello\n" CLUSTER, "a.conf:5: error: this is neither");
}

static void long_line_is_an_error_and_only_one(void **state)
{
	char text[8192];
	size_t len;

	(void)state;
	len = sprintf(text, NODE CLUSTER "x = ");
	memset(text + len, 'y', 5000);
	sprintf(text + len + 5000, "\n" PEER "colour = red\n");
	assert_int_equal(read_text(text), -EINVAL);
	assert_non_null(strstr(said, "a.conf:8: error: the line is too long\n"));
	assert_non_null(strstr(said, "a.conf:12: warning: unknown key"));
	assert_null(strstr(strstr(said, "error") + 1, "error"));
}

static void failure_leaves_the_result_alone(void **state)
{
	(void)state;
	assert_int_equal(read_text(GOOD), 0);
	assert_int_equal(read_text("[node]\nid = 9\n"), -EINVAL);
	assert_int_equal(config.self.id, 1);
}

static void nodes_are_found_by_name_and_id(void **state)
{
	char number[16];

	(void)state;
	assert_int_equal(read_text(GOOD), 0);
	assert_ptr_equal(config_node_by_name(&config, "n1"), &config.self);
	assert_ptr_equal(config_node_by_name(&config, "n2"), &config.peers[0]);
	assert_null(config_node_by_name(&config, "n3"));
	assert_string_equal(config_node_name(&config, 2, number), "n2");
	assert_string_equal(config_node_name(&config, 5, number), "5");
}

/* ---- the key ---- */

static int load_key(const char *text, mode_t mode, uint8_t key[DVMM_KEY_SIZE])
{
	char path[] = "/tmp/dvmm-key-XXXXXX";
	int fd = mkstemp(path), err;
	size_t size;
	FILE *say;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fchmod(fd, mode);
	close(fd);
	strcpy(config.key_file, path);
	free(said);
	say = open_memstream(&said, &size);
	err = config_load_key(&config, say, key);
	fclose(say);
	unlink(path);
	return err;
}

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void key_is_64_digits(void **state)
{
	uint8_t key[DVMM_KEY_SIZE];

	(void)state;
	assert_int_equal(load_key(KEY "\n", 0600, key), 0);
	assert_string_equal(said, "");
	assert_int_equal(key[31], 0xff);
	assert_int_equal(load_key(KEY, 0600, key), 0);
	assert_int_equal(load_key(KEY "0\n", 0600, key), -EINVAL);
	assert_int_equal(load_key("1234\n", 0600, key), -EINVAL);
	assert_int_equal(load_key("", 0600, key), -EINVAL);
	assert_null(strstr(said, "1234"));
}

static void readable_key_is_a_warning(void **state)
{
	uint8_t key[DVMM_KEY_SIZE];

	(void)state;
	assert_int_equal(load_key(KEY "\n", 0644, key), 0);
	assert_non_null(strstr(said, "warning: others than its owner can use it"));
}

static int free_said(void **state)
{
	(void)state;
	free(said);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_file_says_all),
		cmocka_unit_test(watchdog_is_a_device_or_none),
		cmocka_unit_test(unknown_key_is_a_warning_with_file_and_line),
		cmocka_unit_test(bad_values_are_errors),
		cmocka_unit_test(errors_are_all_said),
		cmocka_unit_test(given_twice_is_an_error),
		cmocka_unit_test(missing_keys_are_errors),
		cmocka_unit_test(names_and_ids_are_unique),
		cmocka_unit_test(not_ini_is_an_error_with_a_line),
		cmocka_unit_test(long_line_is_an_error_and_only_one),
		cmocka_unit_test(failure_leaves_the_result_alone),
		cmocka_unit_test(nodes_are_found_by_name_and_id),
		cmocka_unit_test(key_is_64_digits),
		cmocka_unit_test(readable_key_is_a_warning),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, free_said);
}
