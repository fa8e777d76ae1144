/* Checks a configuration against the table of keys: whether the keys are known, and whether their
 * values can be used. Pure. */
#include "fs/config.h"

#include "fs/cli.h"
#include "fs/config_keys.h"
#include "fs/values.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8 /* of sections that are looked through */

static bool all_addrs(const json_t *list)
{
	struct multiaddr addr;
	const char *text;
	json_t *item;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, item) {
		text = json_string_value(item);
		if (!text || multiaddr_from_text(&addr, text))
			return false;
	}
	return true;
}

/* As Kubo has them: "Addrs" may be missing, and each may end with /p2p/ and that ID. */
static bool all_peers(const json_t *list)
{
	json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > PEERING_PEERS_MAX)
		return false;
	json_array_foreach(list, i, item) {
		const char *text = json_string_value(json_object_get(item, "ID"));
		const json_t *addrs = json_object_get(item, "Addrs");
		size_t known = 1 + (addrs != NULL);
		struct peer_id id;

		if (!text || peer_id_from_text(&id, text) || json_object_size(item) != known ||
		    (addrs && !json_is_null(addrs) && !all_addrs(addrs)))
			return false;
	}
	return true;
}

/* "1.2.3.4", "1.2.3.4:53", "::1" or "[::1]:53". */
static bool is_server(const char *text, size_t len)
{
	char host[INET6_ADDRSTRLEN + 8], *colon;
	struct in6_addr addr;
	uint64_t port = 53;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	if (inet_pton(AF_INET6, host, &addr) == 1)
		return true;
	colon = strrchr(host, ':');
	if (colon) {
		for (const char *c = colon + 1; *c; c++)
			if (*c < '0' || *c > '9')
				return false;
		port = strlen(colon + 1) <= 5 ? strtoul(colon + 1, NULL, 10) : 0;
		*colon = 0;
	}
	if (port < 1 || port > 65535)
		return false;
	len = strlen(host);
	if (colon && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = 0;
		return inet_pton(AF_INET6, host + 1, &addr) == 1;
	}
	return inet_pton(AF_INET, host, &addr) == 1;
}

static bool all_resolvers(const json_t *value)
{
	const char *domain, *text;
	json_t *item;

	if (!json_is_object(value))
		return false;
	json_object_foreach((json_t *)value, domain, item) {
		text = json_string_value(item);
		if (!text || !*domain || domain[strlen(domain) - 1] != '.' ||
		    (strcmp(domain, ".") && !net_is_domain(domain)))
			return false;
		for (; strcmp(text, "auto"); text++) {
			size_t len = strcspn(text, ",");

			if (!is_server(text, len))
				return false;
			text += len;
			if (!*text)
				break;
		}
	}
	return true;
}

static bool is_choice(const struct config_key *key, const json_t *value)
{
	const char *text = json_string_value(value), *found;
	size_t len = text ? strlen(text) : 0;

	if (!len || strchr(text, ' '))
		return false;
	found = key->choices;
	while ((found = strstr(found, text))) {
		if (found[-1] == ' ' && found[len] == ' ')
			return true;
		found += len;
	}
	return false;
}

static bool is_right(const struct config_key *key, const json_t *value)
{
	const char *text = json_string_value(value);
	uint64_t amount;

	switch (key->type) {
	case CONFIG_BOOL:
		return json_is_boolean(value);
	case CONFIG_COUNT:
		return json_is_integer(value) && json_integer_value(value) >= 0 &&
		       json_integer_value(value) <= (key->most ? key->most : CONFIG_COUNT_MOST);
	case CONFIG_SIZE:
		if (json_is_integer(value))
			return json_integer_value(value) >= 0;
		return text && parse_size(text, &amount) == 0;
	case CONFIG_DURATION:
		return text && parse_duration_ms(text, &amount) == 0;
	case CONFIG_CHOICE:
		return is_choice(key, value);
	case CONFIG_TEXT:
		return text != NULL;
	case CONFIG_PRIORITY:
		return json_is_false(value) ||
		       (json_is_integer(value) && json_integer_value(value) > 0 &&
			json_integer_value(value) <= CONFIG_COUNT_MOST);
	case CONFIG_ADDRS:
		return all_addrs(value);
	case CONFIG_PEERS:
		return all_peers(value);
	case CONFIG_RESOLVERS:
		return all_resolvers(value);
	}
	return false;
}

bool config_is_right(const struct config_key *key, const json_t *value)
{
	if (json_is_null(value))
		return true;
	if (key->unbuilt && (json_is_true(value) || json_array_size(value)))
		return false;
	return is_right(key, value);
}

char *config_unknown(const char *key)
{
	const char *nearest = config_nearest(key);
	char safe[4 * CONFIG_KEY_MAX];

	cli_safe(safe, sizeof(safe), key, strlen(key));
	if (nearest)
		return xasprintf("no such key in the configuration: %s: did you mean %s?", safe,
				 nearest);
	return xasprintf("no such key in the configuration: %s: `dagfs config --help` lists them",
			 safe);
}

/* Key is one of the table. */
static int check_known(const struct config_key *key, const json_t *value, char **why)
{
	char must[128];

	if (config_is_right(key, value))
		return 0;
	if (key->unbuilt && is_right(key, value))
		*why = xasprintf("%s: %s is not built into this dagfs yet: leave it %s", key->key,
				 key->unbuilt, key->fallback);
	else
		*why = xasprintf("%s must be %s", key->key, config_type_text(key, must));
	return -EINVAL;
}

/* names: unknown keys count too. */
static int check_at(const char *at, const json_t *value, bool names, unsigned depth, char **why)
{
	const struct config_key *known = config_key(at);
	const char *name;
	json_t *item;
	int err = 0;

	if (known)
		return check_known(known, value, why);
	if (*at && !config_is_section(at)) {
		if (names)
			*why = config_unknown(at);
		return names ? -EINVAL : 0;
	}
	if (json_is_null(value))
		return 0;
	if (!json_is_object(value)) {
		*why = xasprintf("%s must be an object with keys of its own", at);
		return -EINVAL;
	}
	json_object_foreach((json_t *)value, name, item) {
		char *below = xasprintf("%s%s%s", at, *at ? "." : "", name);

		/* A dot within a name leads nowhere: no key is found there. */
		if (!err && names && strchr(name, '.')) {
			*why = xasprintf("no such key in the configuration: \"%s\": sections are "
					 "objects within each other",
					 name);
			err = -EINVAL;
		}
		if (!err && depth < DEPTH_MAX)
			err = check_at(below, item, names, depth + 1, why);
		free(below);
	}
	return err;
}

int config_check_value(const char *key, const json_t *value, char **why)
{
	if (!*key) {
		*why = config_unknown(key);
		return -EINVAL;
	}
	return check_at(key, value, true, 0, why);
}

int config_check(const struct config *config, char **why)
{
	return check_at("", config->root, false, 0, why);
}

int config_check_names(const struct config *config, char **why)
{
	return check_at("", config->root, true, 0, why);
}
