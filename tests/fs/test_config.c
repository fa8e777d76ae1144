#include "fs/config.h"

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
	assert_string_equal(config_str(config, "Routing.Type", ""), "auto");
	assert_true(json_array_size(config_get(config, "Bootstrap")) > 0);
	config_free(config);
	config = config_new("x", "test");
	assert_int_equal(config_check(config, &why), 0);
	assert_int_equal(json_array_size(config_get(config, "Bootstrap")), 0);
	assert_true(config_bool(config, "Routing.LoopbackAddressesOnLanDHT", false));
	assert_int_equal(config_int(config, "Swarm.ConnMgr.LowWater", 0), 32);
	config_free(config);
}

static void saved_and_loaded_again(void **state)
{
	struct scratch *scratch = *state;
	struct config *config = config_new(scratch->file, "test"), *again;
	char *why = NULL;

	assert_int_equal(config_set(config, "Mine.Own.Key", json_string("kept"), &why), 0);
	assert_int_equal(config_save(config), 0);
	assert_int_equal(config_load(scratch->file, &again, &why), 0);
	assert_true(json_equal(config->root, again->root));
	assert_string_equal(config_str(again, "Mine.Own.Key", ""), "kept");
	config_free(again);
	config_free(config);
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

static void refused(struct config *config, const char *key, json_t *value, const char *reason)
{
	char *why = NULL;

	assert_int_equal(config_set(config, key, value, &why), -EINVAL);
	assert_non_null(strstr(why, reason));
	free(why);
}

static void setting_keeps_types(void **state)
{
	struct config *config = config_new("x", "test");
	char *why = NULL;

	(void)state;
	refused(config, "Swarm.ConnMgr.LowWater", json_string("x"), "a whole number");
	refused(config, "Routing.Type", json_integer(1), "a string");
	refused(config, "Discovery.MDNS.Enabled", json_string("true"), "true or false");
	refused(config, "Routing.Type.Deeper", json_true(), "no such place");
	refused(config, "", json_true(), "no such place");
	refused(config, "a..b", json_true(), "no such place");
	assert_int_equal(config_set(config, "Discovery.MDNS.Enabled", json_true(), &why), 0);
	assert_true(config_bool(config, "Discovery.MDNS.Enabled", false));
	assert_null(config_get(config, "Discovery..MDNS"));
	assert_null(config_get(config, "Discovery.MDNS.Enabled.More"));
	config_free(config);
}

static void check_fails(const char *key, json_t *value, const char *reason)
{
	struct config *config = xnew(struct config);
	char *why = NULL;

	config->root = json_object();
	assert_int_equal(config_set(config, key, value, &why), 0);
	assert_int_equal(config_check(config, &why), -EINVAL);
	assert_non_null(strstr(why, key));
	assert_non_null(strstr(why, reason));
	free(why);
	config_free(config);
}

static void wrong_values_are_named(void **state)
{
	(void)state;
	check_fails("AutoNAT.ServiceMode", json_string("maybe"), "one of");
	check_fails("Routing.Type", json_string("dh"), "one of");
	check_fails("Routing.Type", json_string(""), "one of");
	check_fails("Routing.Type", json_string("auto dht"), "one of");
	check_fails("Swarm.DialTimeout", json_string("5x"), "a time");
	check_fails("Swarm.DialTimeout", json_integer(5), "a time");
	check_fails("Datastore.StorageMax", json_string("10XB"), "a size");
	check_fails("Datastore.StorageMax", json_integer(-1), "a size");
	check_fails("Swarm.Bandwidth.Up", json_string("fast"), "a size");
	check_fails("Bitswap.InFlightMax", json_string("much"), "a size");
	check_fails("Swarm.Bandwidth.Down", json_string("10Mbit"), "a size");
	check_fails("Swarm.ConnMgr.HighWater", json_integer(-1), "a whole number");
	check_fails("Swarm.ConnMgr.HighWater", json_integer(1000001), "a whole number");
	check_fails("Discovery.MDNS.Enabled", json_string("yes"), "true or false");
	check_fails("Addresses.Swarm", json_string("/ip4/1.2.3.4/tcp/1"), "multiaddresses");
	check_fails("Bootstrap", json_pack("[s]", "nonsense"), "multiaddresses");
	check_fails("Bootstrap", json_pack("[i]", 1), "multiaddresses");
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
		cmocka_unit_test(setting_keeps_types),
		cmocka_unit_test(wrong_values_are_named),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests_name("fs/config", tests, NULL, NULL);
}
