#include "fs/config.h"

#include "fs/config_keys.h"
#include "fs/values.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct scratch {
	char dir[64], file[80];
};

static int setup(void **state)
{
	struct scratch *scratch = xnew(struct scratch);

	snprintf(scratch->dir, sizeof(scratch->dir), "/tmp/dagfs-test-config.XXXXXX");
	if (!mkdtemp(scratch->dir))
		return -1;
	snprintf(scratch->file, sizeof(scratch->file), "%s/config.json", scratch->dir);
	*state = scratch;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *scratch = *state;

	unlink(scratch->file);
	rmdir(scratch->dir);
	free(scratch);
	return 0;
}

static void write_text(const char *file, const char *text)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void profiles_are_valid(void **state)
{
	struct config *config = config_new("x", "default");
	char *why = NULL;

	(void)state;
	assert_int_equal(config_check(config, &why), 0);
	assert_int_equal(config_check_names(config, &why), 0);
	assert_string_equal(config_str(config, "Routing.Type"), "auto");
	assert_true(json_array_size(config_get(config, "Bootstrap")) > 0);
	config_free(config);
	config = config_new("x", "test");
	assert_int_equal(config_check_names(config, &why), 0);
	assert_int_equal(json_array_size(config_get(config, "Bootstrap")), 0);
	assert_true(config_bool(config, "Routing.LoopbackAddressesOnLanDHT"));
	assert_int_equal(config_int(config, "Swarm.ConnMgr.LowWater"), 32);
	config_free(config);
}

static void each_row_of_the_table_is_sound(void **state)
{
	const char *before = "";

	(void)state;
	for (const struct config_key *at = config_keys; at->key; at++) {
		json_t *fallback = json_loads(at->fallback, JSON_DECODE_ANY, NULL);
		json_t *test = at->test ? json_loads(at->test, JSON_DECODE_ANY, NULL) : json_null();
		char must[128];

		if (!fallback || !test || !config_is_right(at, fallback) ||
		    !config_is_right(at, test))
			fail_msg("%s: its default is wrong", at->key);
		assert_true(strlen(at->key) < CONFIG_KEY_MAX);
		assert_true(strcmp(before, at->key) < 0);
		assert_true(strlen(at->meaning) > 0);
		assert_true(strlen(config_type_text(at, must)) > 0);
		assert_true((at->type == CONFIG_CHOICE) == (at->choices != NULL));
		assert_ptr_equal(config_key(at->key), at);
		assert_false(config_is_section(at->key));
		if (at->choices)
			assert_true(at->choices[0] == ' ' &&
				    at->choices[strlen(at->choices) - 1] == ' ');
		json_decref(fallback);
		json_decref(test);
		before = at->key;
	}
}

static void what_the_file_does_not_say_comes_from_the_table(void **state)
{
	struct scratch *scratch = *state;
	struct config *config;
	char *why = NULL;

	write_text(scratch->file,
		   "{\"Swarm\":{\"ConnMgr\":{\"HighWater\":null},\"DialTimeout\":7}}");
	assert_int_equal(config_load(scratch->file, &config, &why), 0);
	assert_int_equal(config_int(config, "Swarm.ConnMgr.HighWater"), 96);
	assert_int_equal(config_duration_ms(config, "Swarm.DialTimeout"),
			 15000); /* of a wrong type */
	assert_int_equal(config_size(config, "Swarm.StreamWindow"), 16 << 20);
	assert_int_equal(json_array_size(config_get(config, "Addresses.Swarm")), 2);
	assert_null(config_str(config, "Import.UnixFSChunker"));
	assert_null(config_value(config, "Swarm.ConnMgr.HighWater"));
	config_free(config);
}

static void saved_and_loaded_again(void **state)
{
	struct scratch *scratch = *state;
	struct config *config = config_new(scratch->file, "test"), *again;
	char *why = NULL;

	assert_int_equal(config_set(config, "Mounts.Timeout", json_string("9s"), &why), 0);
	assert_int_equal(config_save(config), 0);
	assert_int_equal(config_load(scratch->file, &again, &why), 0);
	assert_true(json_equal(config->root, again->root));
	assert_int_equal(config_duration_ms(again, "Mounts.Timeout"), 9000);
	config_free(again);
	config_free(config);
}

/* A file may hold anything: written by hand, or by a version that asked less. */
static void keys_that_nothing_reads_are_named(void **state)
{
	static const char *const texts[][2] = {
		{ "{\"get\":\"Routing.Type\"}", "configuration: get" },
		{ "{\"Swarm\":{\"DialTimout\":\"5s\"}}",
		  "Swarm.DialTimout: did you mean Swarm.DialTimeout?" },
		{ "{\"Swarm\":{\"Deep\":{\"Key\":1}}}", "configuration: Swarm.Deep" },
		{ "{\"Routing.Type\":\"none\"}", "\"Routing.Type\": sections are objects" },
		{ "{\"Swarm\":{\"\":1}}", "configuration: Swarm." },
	};
	struct scratch *scratch = *state;
	struct config *config;
	char *why = NULL;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		write_text(scratch->file, texts[i][0]);
		assert_int_equal(config_load(scratch->file, &config, &why), 0);
		assert_int_equal(config_check(config, &why), 0);
		assert_int_equal(config_check_names(config, &why), -EINVAL);
		if (!strstr(why, texts[i][1]))
			fail_msg("%s told '%s'", texts[i][0], why);
		free(why);
		config_free(config);
	}
}

static void bad_files_are_told(void **state)
{
	struct scratch *scratch = *state;
	struct config *config;
	char *why = NULL;

	assert_int_equal(config_load(scratch->file, &config, &why), -ENOENT);
	free(why);
	write_text(scratch->file, "{\n  \"a\": 1,\n  oops\n}\n");
	assert_int_equal(config_load(scratch->file, &config, &why), -EBADMSG);
	assert_non_null(strstr(why, "line 3"));
	free(why);
	write_text(scratch->file, "[1]");
	assert_int_equal(config_load(scratch->file, &config, &why), -EBADMSG);
	assert_non_null(strstr(why, "not a JSON object"));
	free(why);
	write_text(scratch->file, "{\"a\":1,\"a\":2}");
	assert_int_equal(config_load(scratch->file, &config, &why), -EBADMSG);
	free(why);
}

static void refused(const char *key, json_t *value, const char *reason)
{
	struct config *config = config_new("x", "test");
	json_t *before = json_deep_copy(config->root);
	char *why = NULL;

	assert_int_equal(config_set(config, key, value, &why), -EINVAL);
	if (!strstr(why, reason))
		fail_msg("%s told '%s', not '%s'", key, why, reason);
	assert_true(json_equal(config->root, before));
	json_decref(before);
	free(why);
	config_free(config);
}

static void unknown_keys_are_refused_with_the_nearest(void **state)
{
	(void)state;
	refused("get", json_true(), "configuration: get: `dagfs config --help`");
	refused("replace", json_true(), "configuration: replace");
	refused("", json_true(), "no such key");
	refused("..", json_true(), "no such key");
	refused("Swarm..ConnMgr", json_true(), "no such key");
	refused("Routing.Type.Deeper", json_true(), "no such key");
	refused("routing.type", json_true(), "did you mean Routing.Type?");
	refused("StorageMax", json_true(), "did you mean Datastore.StorageMax?");
	refused("Datastore.StorageMaxx", json_true(), "did you mean Datastore.StorageMax?");
	refused("Datastore.Storage", json_true(), "did you mean Datastore.StorageMax?");
	refused("Swarm.HighWater", json_true(), "did you mean Swarm.ConnMgr.HighWater?");
	refused("Identity.PeerID", json_true(), "`dagfs config --help`");
	refused("a\033[31m", json_true(), "\\x1b[31m");
}

static void sections_are_set_whole_and_checked_below(void **state)
{
	struct config *config = config_new("x", "test");
	char *why = NULL;

	(void)state;
	refused("Swarm", json_pack("{s:i}", "Nothing", 1), "configuration: Swarm.Nothing");
	refused("Swarm", json_pack("{s:{s:s}}", "ConnMgr", "LowWater", "x"), "a whole number");
	refused("Swarm", json_string("x"), "an object");
	assert_int_equal(
		config_set(config, "Swarm", json_pack("{s:{s:i}}", "ConnMgr", "LowWater", 5), &why),
		0);
	assert_int_equal(config_int(config, "Swarm.ConnMgr.LowWater"), 5);
	assert_int_equal(config_int(config, "Swarm.ConnectionsMax"), 1024);
	assert_int_equal(config_unset(config, "Swarm.ConnMgr.LowWater"), 0);
	assert_int_equal(config_int(config, "Swarm.ConnMgr.LowWater"), 32);
	assert_int_equal(config_unset(config, "Swarm.ConnMgr.LowWater"), -ENOENT);
	assert_int_equal(config_unset(config, "Nothing.There"), -ENOENT);
	config_free(config);
}

static void keys_that_are_not_built_take_their_default_alone(void **state)
{
	struct config *config = config_new("x", "test");
	char *why = NULL;

	(void)state;
	refused("Discovery.MDNS.Enabled", json_true(), "is not built into this dagfs");
	refused("Discovery.MDNS.Enabled", json_string("yes"), "true or false");
	assert_int_equal(config_set(config, "Discovery.MDNS.Enabled", json_false(), &why), 0);
	assert_int_equal(config_set(config, "Discovery.MDNS.Enabled", json_null(), &why), 0);
	config_free(config);
}

static void wrong_values_are_named(void **state)
{
	(void)state;
	refused("AutoNAT.ServiceMode", json_string("maybe"), "one of");
	refused("Routing.Type", json_integer(1), "one of");
	refused("Routing.Type", json_string("dh"), "one of");
	refused("Routing.Type", json_string(""), "one of");
	refused("Routing.Type", json_string("auto dht"), "one of");
	refused("Swarm.DialTimeout", json_string("5x"), "a time");
	refused("Swarm.DialTimeout", json_integer(5), "a time");
	refused("Datastore.StorageMax", json_string("10XB"), "a size");
	refused("Datastore.StorageMax", json_integer(-1), "a size");
	refused("Swarm.Bandwidth.Up", json_string("fast"), "a size");
	refused("Bitswap.InFlightMax", json_string("much"), "a size");
	refused("Swarm.Bandwidth.Down", json_string("10Mbit"), "a size");
	refused("Swarm.ConnMgr.HighWater", json_integer(-1), "a whole number");
	refused("Swarm.ConnMgr.HighWater", json_integer(1000001), "a whole number");
	refused("Import.CidVersion", json_integer(2), "from 0 to 1");
	refused("Import.UnixFSChunker", json_integer(2), "text");
	refused("Addresses.Swarm", json_string("/ip4/1.2.3.4/tcp/1"), "multiaddresses");
	refused("Bootstrap", json_pack("[s]", "nonsense"), "multiaddresses");
	refused("Bootstrap", json_pack("[i]", 1), "multiaddresses");
}

static void dns_servers_are_told_by_address(void **state)
{
	static const char *const good[] = {
		"auto", "127.0.0.1", "127.0.0.1:1",	  "1.2.3.4:65535",
		"::1",	"[::1]:53",  "::1,127.0.0.1:5353"
	};
	static const char *const bad[] = { "",
					   "127.0.0.1:",
					   "127.0.0.1:0",
					   "1.2.3.4:65536",
					   "1.2.3",
					   "[::1]",
					   "[::1:53",
					   "::1]:53",
					   "127.0.0.1,",
					   "dns.example",
					   ",",
					   "1.2.3.4:+5",
					   "[1.2.3.4]:5",
					   "https://dns.example/dns-query" };
	struct config *config = config_new("x", "test");
	char *why = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(config_set(config, "DNS.Resolvers",
					    json_pack("{s:s}", "eth.", good[i]), &why),
				 0);
	config_free(config);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused("DNS.Resolvers", json_pack("{s:s}", ".", bad[i]), "DNS over HTTPS");
	refused("DNS.Resolvers", json_pack("{s:s}", "eth", "::1"), "a dot at the end");
	refused("DNS.Resolvers", json_pack("{s:s}", "a..", "::1"), "a dot at the end");
	refused("DNS.Resolvers", json_pack("{s:i}", ".", 1), "IP:PORT");
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "17B", 17 },
		{ "1kB", 1000 },
		{ "10GB", 10000000000 },
		{ "512MiB", 512ull << 20 },
		{ "1TiB", 1ull << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = { "",
					   "x",
					   "-1",
					   "1.5GB",
					   "1 GB",
					   "1XB",
					   "18446744073709551616",
					   "18446744073709551615kB" };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(parse_size(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(parse_size(bad[i], &bytes) < 0);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = { { "0", 0 },       { "30", 30000 },	     { "500ms", 500 },	  { "30s", 30000 },
		     { "2m", 120000 }, { "1h30m", 5400000 }, { "1h1ms", 3600001 } };
	static const char *const bad[] = { "",
					   "s",
					   "-1s",
					   "1d",
					   "1s ",
					   "1.5s",
					   "99999999999999999999s",
					   "18446744073709551615h" };
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(parse_duration_ms(good[i].text, &ms), 0);
		assert_true(ms == good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(parse_duration_ms(bad[i], &ms) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profiles_are_valid),
		cmocka_unit_test_setup_teardown(saved_and_loaded_again, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_files_are_told, setup, teardown),
		cmocka_unit_test(each_row_of_the_table_is_sound),
		cmocka_unit_test_setup_teardown(what_the_file_does_not_say_comes_from_the_table,
						setup, teardown),
		cmocka_unit_test_setup_teardown(keys_that_nothing_reads_are_named, setup, teardown),
		cmocka_unit_test(unknown_keys_are_refused_with_the_nearest),
		cmocka_unit_test(sections_are_set_whole_and_checked_below),
		cmocka_unit_test(keys_that_are_not_built_take_their_default_alone),
		cmocka_unit_test(wrong_values_are_named),
		cmocka_unit_test(dns_servers_are_told_by_address),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests_name("fs/config", tests, NULL, NULL);
}
