/* What the values of known keys must be. */
#include "fs/config.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multiaddr.h"

#include <string.h>

enum check { CHECK_SIZE, CHECK_DURATION, CHECK_COUNT, CHECK_BOOL, CHECK_CHOICE, CHECK_ADDRS };

static const struct known {
	const char *key;
	enum check check;
	const char *choices; /* CHECK_CHOICE: " a b c " */
} known[] = {
	{ "Addresses.Swarm", CHECK_ADDRS, NULL },
	{ "AutoNAT.ServiceMode", CHECK_CHOICE, " enabled disabled " },
	{ "Bootstrap", CHECK_ADDRS, NULL },
	{ "Discovery.MDNS.Enabled", CHECK_BOOL, NULL },
	{ "Routing.Type", CHECK_CHOICE, " auto dht dhtclient dhtserver none " },
	{ "Routing.LoopbackAddressesOnLanDHT", CHECK_BOOL, NULL },
	{ "Reprovider.Interval", CHECK_DURATION, NULL },
	{ "Import.Profile", CHECK_CHOICE, " unixfs-v1-2025 unixfs-v0-2015 " },
	{ "Datastore.StorageMax", CHECK_SIZE, NULL },
	{ "Datastore.MapSize", CHECK_SIZE, NULL },
	{ "Mounts.Timeout", CHECK_DURATION, NULL },
	{ "Bitswap.ProviderDelay", CHECK_DURATION, NULL },
	{ "Bitswap.Rebroadcast", CHECK_DURATION, NULL },
	{ "Bitswap.MessageMax", CHECK_SIZE, NULL },
	{ "Bitswap.OutstandingMax", CHECK_SIZE, NULL },
	{ "Bitswap.InFlightMax", CHECK_SIZE, NULL },
	{ "Bitswap.WantsPerPeerMax", CHECK_COUNT, NULL },
	{ "Swarm.Bandwidth.Up", CHECK_SIZE, NULL },
	{ "Swarm.Bandwidth.Down", CHECK_SIZE, NULL },
	{ "Swarm.ConnMgr.LowWater", CHECK_COUNT, NULL },
	{ "Swarm.ConnMgr.HighWater", CHECK_COUNT, NULL },
	{ "Swarm.ConnMgr.GracePeriod", CHECK_DURATION, NULL },
	{ "Swarm.ConnectionsMax", CHECK_COUNT, NULL },
	{ "Swarm.ConnectTimeout", CHECK_DURATION, NULL },
	{ "Swarm.DialTimeout", CHECK_DURATION, NULL },
	{ "Swarm.KeepAlive", CHECK_DURATION, NULL },
	{ "Swarm.StreamWindow", CHECK_SIZE, NULL },
	{ "Swarm.ConnectionWindow", CHECK_SIZE, NULL },
	{ "Swarm.SendBuffer", CHECK_SIZE, NULL },
};

static bool all_addrs(const json_t *list)
{
	struct multiaddr addr;
	const char *text;
	json_t *item;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, item)
	{
		text = json_string_value(item);
		if (!text || multiaddr_from_text(&addr, text))
			return false;
	}
	return true;
}

static bool is_choice(const struct known *at, const json_t *value)
{
	const char *text = json_string_value(value), *found;
	size_t len = text ? strlen(text) : 0;

	if (!len || strchr(text, ' '))
		return false;
	found = at->choices;
	while ((found = strstr(found, text))) {
		if (found[-1] == ' ' && found[len] == ' ')
			return true;
		found += len;
	}
	return false;
}

/* NULL, or what the value must be. */
static const char *wrong(const struct config *config, const struct known *at, const json_t *value)
{
	bool ok = true;

	switch (at->check) {
	case CHECK_SIZE:
		config_size(config, at->key, 0, &ok);
		return ok ? NULL : "a size like \"10GB\" or \"512MiB\"";
	case CHECK_DURATION:
		config_duration_ms(config, at->key, 0, &ok);
		return ok ? NULL : "a time like \"30s\" or \"1h30m\"";
	case CHECK_COUNT:
		ok = json_is_integer(value) && json_integer_value(value) >= 0 &&
		     json_integer_value(value) <= 1000000;
		return ok ? NULL : "a whole number from 0 to 1000000";
	case CHECK_BOOL:
		return json_is_boolean(value) ? NULL : "true or false";
	case CHECK_CHOICE:
		return is_choice(at, value) ? NULL : at->choices;
	case CHECK_ADDRS:
		return all_addrs(value) ? NULL : "a list of multiaddresses";
	}
	return NULL;
}

int config_check(const struct config *config, char **why)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const json_t *value = config_get(config, known[i].key);
		const char *must = value ? wrong(config, &known[i], value) : NULL;

		if (!must)
			continue;
		if (known[i].check == CHECK_CHOICE)
			*why = xasprintf("%s must be one of:%s", known[i].key, must);
		else
			*why = xasprintf("%s must be %s", known[i].key, must);
		return -EINVAL;
	}
	return 0;
}
