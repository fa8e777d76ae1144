#include "fs/config.h"

#include "net/base/alloc.h"
#include "net/base/bytes.h"
#include "net/base/err.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE_MAX (1u << 20)
#define KEY_PART_MAX 64

/* What a new configuration says. The public network's bootstrap peers are those every IPFS node ships. */
static const char default_json[] =
	"{"
	"\"Addresses\":{\"Swarm\":[\"/ip4/0.0.0.0/tcp/4001\",\"/ip6/::/tcp/4001\"]},"
	"\"Bootstrap\":["
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN\","
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa\","
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb\","
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt\","
	"\"/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8\","
	"\"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ\"],"
	"\"AutoNAT\":{\"ServiceMode\":\"enabled\"},"
	"\"Discovery\":{\"MDNS\":{\"Enabled\":false}},"
	"\"Routing\":{\"Type\":\"auto\",\"LoopbackAddressesOnLanDHT\":false},"
	"\"Reprovider\":{\"Interval\":\"22h\"},"
	"\"Import\":{\"Profile\":\"unixfs-v1-2025\"},"
	"\"Datastore\":{\"StorageMax\":\"0\",\"MapSize\":\"1TiB\"},"
	"\"Mounts\":{\"Timeout\":\"30s\"},"
	"\"Swarm\":{\"ConnMgr\":{\"LowWater\":32,\"HighWater\":96,\"GracePeriod\":\"20s\"},"
	"\"Bandwidth\":{\"Up\":\"0\",\"Down\":\"0\"},\"ConnectionsMax\":1024,\"ConnectTimeout\":\"5s\",\"DialTimeout\":\"15s\","
	"\"KeepAlive\":\"30s\",\"StreamWindow\":\"16MiB\",\"ConnectionWindow\":\"32MiB\","
	"\"SendBuffer\":\"4MiB\"}"
	"}";

static const char test_json[] = "{"
				"\"Addresses\":{\"Swarm\":[\"/ip4/127.0.0.1/tcp/0\"]},"
				"\"Bootstrap\":[],"
				"\"Discovery\":{\"MDNS\":{\"Enabled\":false}},"
				"\"Routing\":{\"Type\":\"dhtserver\",\"LoopbackAddressesOnLanDHT\":true}"
				"}";

struct config *config_new(const char *file, const char *profile)
{
	struct config *config = xnew(struct config);
	json_t *test;

	config->file = xstrdup(file);
	config->root = json_loads(default_json, 0, NULL);
	if (strcmp(profile, "test") == 0) {
		test = json_loads(test_json, 0, NULL);
		json_object_update(config->root, test);
		json_decref(test);
	}
	return config;
}

int config_load(const char *file, struct config **out, char **why)
{
	json_error_t error;
	struct config *config;
	json_t *root;

	if (access(file, R_OK)) {
		int err = -errno;

		*why = xasprintf("cannot read %s: %s", file, err_text(err));
		return err;
	}
	root = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root)) {
		*why = xasprintf("%s, line %d column %d: %s", file, error.line, error.column,
				 root ? "not a JSON object" : error.text);
		json_decref(root);
		return -EBADMSG;
	}
	config = xnew(struct config);
	config->root = root;
	config->file = xstrdup(file);
	*out = config;
	return 0;
}

static int write_all(int fd, const char *at, size_t len)
{
	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int config_save(const struct config *config)
{
	char *text = json_dumps(config->root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	char *temp = xasprintf("%s.new.%d", config->file, (int)getpid());
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : 0;

	if (!err)
		err = write_all(fd, text, strlen(text));
	if (!err)
		err = write_all(fd, "\n", 1);
	if (!err && fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (!err && rename(temp, config->file))
		err = -errno;
	if (err)
		unlink(temp);
	free(temp);
	free(text);
	return err;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	json_decref(config->root);
	free(config->file);
	free(config);
}

/* The next part of a dotted key in part; what follows it, NULL after the last, *bad when it does not fit. */
static const char *key_part(const char *key, char part[KEY_PART_MAX], bool *bad)
{
	size_t len = strcspn(key, ".");

	*bad = len == 0 || len >= KEY_PART_MAX;
	if (*bad)
		return NULL;
	memcpy(part, key, len);
	part[len] = 0;
	return key[len] ? key + len + 1 : NULL;
}

json_t *config_get(const struct config *config, const char *key)
{
	json_t *at = config->root;
	char part[KEY_PART_MAX];
	bool bad;

	while (key && at) {
		key = key_part(key, part, &bad);
		if (bad)
			return NULL;
		at = json_object_get(at, part);
	}
	return at;
}

const char *config_str(const struct config *config, const char *key, const char *fallback)
{
	const char *text = json_string_value(config_get(config, key));

	return text ? text : fallback;
}

int64_t config_int(const struct config *config, const char *key, int64_t fallback)
{
	json_t *value = config_get(config, key);

	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool config_bool(const struct config *config, const char *key, bool fallback)
{
	json_t *value = config_get(config, key);

	return json_is_boolean(value) ? json_boolean_value(value) : fallback;
}

uint64_t config_size(const struct config *config, const char *key, uint64_t fallback, bool *ok)
{
	json_t *value = config_get(config, key);
	uint64_t bytes = fallback;

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		return (uint64_t)json_integer_value(value);
	if (value && (!json_is_string(value) || parse_size(json_string_value(value), &bytes)))
		*ok = false;
	return bytes;
}

uint64_t config_duration_ms(const struct config *config, const char *key, uint64_t fallback,
			    bool *ok)
{
	json_t *value = config_get(config, key);
	uint64_t ms = fallback;

	if (value && (!json_is_string(value) || parse_duration_ms(json_string_value(value), &ms)))
		*ok = false;
	return ms;
}

int config_set(struct config *config, const char *key, json_t *value, char **why)
{
	json_t *before = config_get(config, key);
	json_t *at = config->root;
	char part[KEY_PART_MAX];
	bool bad;

	if (before && json_typeof(before) != json_typeof(value) &&
	    !(json_is_boolean(before) && json_is_boolean(value))) {
		static const char *const names[] = { "an object", "an array", "a string", "a whole number",
						     "a number", "true or false", "true or false", "null" };

		*why = xasprintf("%s must be %s", key, names[json_typeof(before)]);
		json_decref(value);
		return -EINVAL;
	}
	for (;;) {
		const char *rest = key_part(key, part, &bad);

		if (bad || !json_is_object(at)) {
			*why = xasprintf("no such place in the configuration: %s", key);
			json_decref(value);
			return -EINVAL;
		}
		if (!rest)
			break;
		if (!json_object_get(at, part))
			json_object_set_new(at, part, json_object());
		at = json_object_get(at, part);
		key = rest;
	}
	json_object_set_new(at, part, value);
	return 0;
}

/* Digits of text as a number; *rest points behind them. */
static int parse_number(const char *text, uint64_t *value, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return errno ? -ERANGE : 0;
}

int parse_size(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "kB", 1000 },
		{ "KB", 1000 },
		{ "MB", 1000000 },
		{ "GB", 1000000000 },
		{ "TB", 1000000000000 },
		{ "KiB", 1ull << 10 },
		{ "MiB", 1ull << 20 },
		{ "GiB", 1ull << 30 },
		{ "TiB", 1ull << 40 },
	};
	uint64_t value;
	int err = parse_number(text, &value, &text);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(text, units[i].name) == 0)
			return __builtin_mul_overflow(value, units[i].factor, bytes) ? -ERANGE : 0;
	return -EINVAL;
}

/* One unit of a duration at *text, which moves behind it; 0 when there is none. */
static uint64_t duration_unit(const char **text)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*text, units[i].name, len) == 0) {
			*text += len;
			return units[i].ms;
		}
	}
	return 0;
}

int parse_duration_ms(const char *text, uint64_t *ms)
{
	uint64_t total = 0;

	do {
		uint64_t value, part, unit;
		int err = parse_number(text, &value, &text);

		if (err)
			return err;
		unit = *text ? duration_unit(&text) : 1000;
		if (!unit)
			return -EINVAL;
		if (__builtin_mul_overflow(value, unit, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return -ERANGE;
	} while (*text);
	*ms = total;
	return 0;
}
