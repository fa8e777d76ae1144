/* The table of configuration keys: name, type, default and help of each. Help, the man page, the
 * checks and the code that asks for a value read this one table. Any thread. */
#include "fs/config_keys.h"

#include "fs/values.h"
#include "net/base/bytes.h"

#include <ctype.h>
#include <string.h>

#define NEAREST_EDITS_MAX 3

/* The peers that every node of the public network begins with. */
#define PUBLIC_BOOTSTRAP                                                                           \
	"[\"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN\","    \
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa\","     \
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb\","     \
	"\"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt\","     \
	"\"/dnsaddr/va1.bootstrap.libp2p.io/p2p/"                                                  \
	"12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8\","                                  \
	"\"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ\"]"

const struct config_key config_keys[] = {
	{ .key = "Addresses.Announce",
	  .type = CONFIG_ADDRS,
	  .fallback = "[]",
	  .meaning = "addresses that peers are told in place of those found; empty: those found" },
	{ .key = "Addresses.AppendAnnounce",
	  .type = CONFIG_ADDRS,
	  .fallback = "[]",
	  .meaning = "addresses that peers are told beside those found" },
	{ .key = "Addresses.NoAnnounce",
	  .type = CONFIG_ADDRS,
	  .fallback = "[]",
	  .meaning = "addresses, and networks like /ip4/10.0.0.0/ipcidr/8, that peers are never "
		     "told" },
	{ .key = "Addresses.Swarm",
	  .type = CONFIG_ADDRS,
	  .written = true,
	  .fallback = "[\"/ip4/0.0.0.0/tcp/4001\",\"/ip6/::/tcp/4001\"]",
	  .test = "[\"/ip4/127.0.0.1/tcp/0\"]",
	  .meaning = "where the daemon listens for peers; port 0: the system chooses one; empty: "
		     "nowhere" },
	{ .key = "AutoNAT.ServiceMode",
	  .type = CONFIG_CHOICE,
	  .fallback = "\"enabled\"",
	  .written = true,
	  .choices = " enabled disabled ",
	  .meaning = "whether other peers are told if they can be reached" },
	{ .key = "Bitswap.InFlightMax",
	  .type = CONFIG_SIZE,
	  .fallback = "\"256MiB\"",
	  .unit = "bytes",
	  .meaning = "blocks on their way, to the disk and from peers, at most so many" },
	{ .key = "Bitswap.MessageMax",
	  .type = CONFIG_SIZE,
	  .fallback = "\"1MiB\"",
	  .unit = "bytes",
	  .meaning = "blocks in one message to a peer" },
	{ .key = "Bitswap.OutstandingMax",
	  .type = CONFIG_SIZE,
	  .fallback = "\"4MiB\"",
	  .unit = "bytes",
	  .meaning = "blocks that wait to be sent to one peer" },
	{ .key = "Bitswap.ProviderDelay",
	  .type = CONFIG_DURATION,
	  .fallback = "\"1s\"",
	  .meaning = "silence of connected peers before routing is asked who has a block" },
	{ .key = "Bitswap.Rebroadcast",
	  .type = CONFIG_DURATION,
	  .fallback = "\"1m\"",
	  .meaning = "after so long what is still wanted is told to all peers again" },
	{ .key = "Bitswap.WantsPerPeerMax",
	  .type = CONFIG_COUNT,
	  .fallback = "1024",
	  .unit = "blocks",
	  .meaning = "what one peer may want of this node at once" },
	{ .key = "Bootstrap",
	  .type = CONFIG_ADDRS,
	  .fallback = PUBLIC_BOOTSTRAP,
	  .written = true,
	  .test = "[]",
	  .meaning = "peers through which the network is entered; empty, with Routing.Type auto: "
		     "the local network only" },
	{ .key = "DNS.Resolvers",
	  .type = CONFIG_RESOLVERS,
	  .fallback = "{}",
	  .meaning = "servers for DNSLink, by domain: the longest that fits; \".\" is all others. "
		     "\"auto\", and what fits none: the system's" },
	{ .key = "Datastore.MapSize",
	  .type = CONFIG_SIZE,
	  .fallback = "\"1TiB\"",
	  .unit = "bytes",
	  .written = true,
	  .meaning = "address space for one file of the block store; it can grow no larger; 0: "
		     "chosen by StorageMax" },
	{ .key = "Datastore.StorageMax",
	  .type = CONFIG_SIZE,
	  .fallback = "\"0\"",
	  .unit = "bytes",
	  .written = true,
	  .meaning = "disk space for blocks that were fetched and not pinned; the oldest go; 0: no "
		     "limit" },
	{ .key = "Discovery.MDNS.Enabled",
	  .type = CONFIG_BOOL,
	  .fallback = "false",
	  .written = true,
	  .meaning = "find peers on the local network",
	  .unbuilt = "finding peers by mDNS" },
	{ .key = "Import.CidVersion",
	  .type = CONFIG_COUNT,
	  .fallback = "null",
	  .most = 1,
	  .meaning = "`add --cid-version`; 1 implies raw leaves; null: the profile's" },
	{ .key = "Import.HashFunction",
	  .type = CONFIG_TEXT,
	  .fallback = "null",
	  .meaning = "`add --hash`; null: sha2-256" },
	{ .key = "Import.Profile",
	  .type = CONFIG_CHOICE,
	  .fallback = "\"unixfs-v1-2025\"",
	  .written = true,
	  .choices = " unixfs-v1-2025 unixfs-v0-2015 ",
	  .meaning =
		  "how `add` makes blocks, where neither its options nor other Import keys say it; "
		  "`add --profile` sets all of them aside" },
	{ .key = "Import.UnixFSChunker",
	  .type = CONFIG_TEXT,
	  .fallback = "null",
	  .meaning = "`add --chunker`: size-N, rabin-MIN-AVG-MAX, buzhash; null: the profile's" },
	{ .key = "Import.UnixFSDAGLayout",
	  .type = CONFIG_CHOICE,
	  .fallback = "null",
	  .choices = " balanced trickle ",
	  .meaning = "the shape of files' trees, `add --trickle`; null: balanced" },
	{ .key = "Import.UnixFSDirectoryMaxLinks",
	  .type = CONFIG_COUNT,
	  .fallback = "null",
	  .unit = "entries",
	  .meaning = "`add --max-directory-links`: a directory with more becomes a HAMT; 0: by "
		     "size alone; null: 0" },
	{ .key = "Import.UnixFSFileMaxLinks",
	  .type = CONFIG_COUNT,
	  .fallback = "null",
	  .unit = "links",
	  .meaning = "`add --max-file-links`: of a file's node; null: the profile's" },
	{ .key = "Import.UnixFSHAMTDirectoryMaxFanout",
	  .type = CONFIG_COUNT,
	  .fallback = "null",
	  .unit = "links",
	  .meaning = "`add --max-hamt-fanout`: of a HAMT's node; null: 256" },
	{ .key = "Import.UnixFSHAMTDirectorySizeEstimation",
	  .type = CONFIG_CHOICE,
	  .fallback = "null",
	  .choices = " links block ",
	  .meaning =
		  "`add --hamt-estimate`: how a directory's size is judged; null: the profile's" },
	{ .key = "Import.UnixFSHAMTDirectorySizeThreshold",
	  .type = CONFIG_SIZE,
	  .fallback = "null",
	  .unit = "bytes",
	  .meaning = "`add --hamt-threshold`: a larger directory becomes a HAMT; 0: every one; "
		     "null: 256KiB" },
	{ .key = "Import.UnixFSRawLeaves",
	  .type = CONFIG_BOOL,
	  .fallback = "null",
	  .meaning = "`add --raw-leaves`; null: by the version of CIDs" },
	{ .key = "Ipns.MaxCacheTTL",
	  .type = CONFIG_DURATION,
	  .fallback = "null",
	  .meaning = "the longest that a resolved name is believed; 0: not at all; null: as its "
		     "record says" },
	{ .key = "Ipns.RecordLifetime",
	  .type = CONFIG_DURATION,
	  .fallback = "\"48h\"",
	  .meaning = "how long the records of published names are good, unless `name publish "
		     "--lifetime` says" },
	{ .key = "Ipns.RepublishPeriod",
	  .type = CONFIG_DURATION,
	  .fallback = "\"4h\"",
	  .meaning = "after so long own names are told to the network again, in new records" },
	{ .key = "Ipns.ResolveCacheSize",
	  .type = CONFIG_COUNT,
	  .fallback = "128",
	  .most = 65536,
	  .unit = "names",
	  .meaning = "resolved names that are remembered; 0: 128" },
	{ .key = "Mounts.Timeout",
	  .type = CONFIG_DURATION,
	  .fallback = "\"30s\"",
	  .written = true,
	  .meaning = "how long readers of a mount wait for a missing block, where `mount` is not "
		     "told; 0: without end" },
	{ .key = "Peering.Peers",
	  .type = CONFIG_PEERS,
	  .fallback = "[]",
	  .meaning =
		  "peers that the daemon stays connected to: dialled at its start and after each "
		  "loss, for ever, and never trimmed" },
	{ .key = "Reprovider.Interval",
	  .type = CONFIG_DURATION,
	  .fallback = "\"22h\"",
	  .written = true,
	  .meaning = "after so long it is announced again what this node has; 0: 22h" },
	{ .key = "Routing.LoopbackAddressesOnLanDHT",
	  .type = CONFIG_BOOL,
	  .fallback = "false",
	  .written = true,
	  .test = "true",
	  .meaning = "peers at loopback addresses are taken into the local routing table, and told "
		     "ours" },
	{ .key = "Routing.Type",
	  .type = CONFIG_CHOICE,
	  .fallback = "\"auto\"",
	  .written = true,
	  .test = "\"dhtserver\"",
	  .choices = " auto dht dhtclient dhtserver none ",
	  .meaning = "the node's part in the DHT: auto and dht serve it once others can reach this "
		     "node" },
	{ .key = "Swarm.Bandwidth.Down",
	  .type = CONFIG_SIZE,
	  .fallback = "\"0\"",
	  .unit = "bytes a second",
	  .written = true,
	  .meaning = "read from all peers together, at most; 0: no limit" },
	{ .key = "Swarm.Bandwidth.Up",
	  .type = CONFIG_SIZE,
	  .fallback = "\"0\"",
	  .unit = "bytes a second",
	  .written = true,
	  .meaning = "written to all peers together, at most; 0: no limit" },
	{ .key = "Swarm.ConnMgr.GracePeriod",
	  .type = CONFIG_DURATION,
	  .fallback = "\"20s\"",
	  .written = true,
	  .meaning = "younger connections are not closed because there are many; 0: 20s" },
	{ .key = "Swarm.ConnMgr.HighWater",
	  .type = CONFIG_COUNT,
	  .fallback = "96",
	  .unit = "connections",
	  .written = true,
	  .meaning = "when there are more, some are closed; 0: 96" },
	{ .key = "Swarm.ConnMgr.LowWater",
	  .type = CONFIG_COUNT,
	  .fallback = "32",
	  .unit = "connections",
	  .written = true,
	  .meaning = "so many stay then; 0: 32" },
	{ .key = "Swarm.ConnectTimeout",
	  .type = CONFIG_DURATION,
	  .fallback = "\"5s\"",
	  .written = true,
	  .meaning = "longest wait for a TCP connection; 0: 5s" },
	{ .key = "Swarm.ConnectionWindow",
	  .type = CONFIG_SIZE,
	  .fallback = "\"32MiB\"",
	  .unit = "bytes",
	  .written = true,
	  .meaning = "received and not yet read, of all streams of a connection; 0: 32MiB" },
	{ .key = "Swarm.ConnectionsMax",
	  .type = CONFIG_COUNT,
	  .fallback = "1024",
	  .unit = "connections",
	  .written = true,
	  .meaning = "no more are made or taken; 0: 1024" },
	{ .key = "Swarm.DialTimeout",
	  .type = CONFIG_DURATION,
	  .fallback = "\"15s\"",
	  .written = true,
	  .meaning = "longest wait for a peer, with all handshakes; 0: 15s" },
	{ .key = "Swarm.KeepAlive",
	  .type = CONFIG_DURATION,
	  .fallback = "\"30s\"",
	  .written = true,
	  .meaning = "a connection that is silent for so long is asked whether it lives; 0: 30s" },
	{ .key = "Swarm.SendBuffer",
	  .type = CONFIG_SIZE,
	  .fallback = "\"4MiB\"",
	  .unit = "bytes",
	  .written = true,
	  .meaning = "waiting to be sent on one connection; 0: 4MiB" },
	{ .key = "Swarm.StreamWindow",
	  .type = CONFIG_SIZE,
	  .fallback = "\"16MiB\"",
	  .unit = "bytes",
	  .written = true,
	  .meaning = "received and not yet read, of one stream; 0: 16MiB" },
	{ .key = "Swarm.Transports.Security.Noise",
	  .type = CONFIG_PRIORITY,
	  .fallback = "100",
	  .meaning = "whether, and how soon, Noise is offered to secure a connection" },
	{ .key = "Swarm.Transports.Security.TLS",
	  .type = CONFIG_PRIORITY,
	  .fallback = "200",
	  .meaning = "whether, and how soon, TLS 1.3 is offered to secure a connection" },
	{ 0 },
};

const struct config_key *config_key(const char *key)
{
	for (const struct config_key *at = config_keys; at->key; at++)
		if (strcmp(at->key, key) == 0)
			return at;
	return NULL;
}

bool config_is_section(const char *key)
{
	size_t len = strlen(key);

	for (const struct config_key *at = config_keys; len && at->key; at++)
		if (strncmp(at->key, key, len) == 0 && at->key[len] == '.')
			return true;
	return false;
}

static void lower(char out[static CONFIG_KEY_MAX], const char *text)
{
	size_t i = 0;

	for (; text[i] && i + 1 < CONFIG_KEY_MAX; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[i] = 0;
}

/* The last part of a key. */
static const char *tail(const char *key)
{
	const char *dot = strrchr(key, '.');

	return dot ? dot + 1 : key;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits between what was written and a key. The last part of a key alone counts too; so does a
 * beginning, as one edit, and the right last part somewhere below the right section, as one more.
 */
static unsigned distance(const char *given, const char *key)
{
	char mine[CONFIG_KEY_MAX], its[CONFIG_KEY_MAX];
	unsigned edits;

	lower(mine, given);
	lower(its, key);
	edits = least(word_distance(mine, its, NEAREST_EDITS_MAX),
		      word_distance(mine, tail(its), NEAREST_EDITS_MAX));
	if (strncmp(its, mine, strlen(mine)) == 0)
		edits = least(edits, 1);
	if (strncmp(its, mine, strcspn(mine, ".") + 1) == 0)
		edits = least(edits, 1 + word_distance(tail(mine), tail(its), NEAREST_EDITS_MAX));
	return edits;
}

const char *config_nearest(const char *key)
{
	const char *best = NULL;
	unsigned edits = least((unsigned)strlen(key) / 3, NEAREST_EDITS_MAX);

	if (strlen(key) >= CONFIG_KEY_MAX)
		return NULL;
	for (const struct config_key *at = config_keys; at->key; at++) {
		unsigned its = distance(key, at->key);

		if (its < edits + !best) {
			best = at->key;
			edits = its;
		}
	}
	return best;
}

const char *config_type_text(const struct config_key *key, char out[static 128])
{
	char choices[100];

	switch (key->type) {
	case CONFIG_BOOL:
		return "true or false";
	case CONFIG_COUNT:
		snprintf(out, 128, "a whole number from 0 to %u",
			 key->most ? key->most : CONFIG_COUNT_MOST);
		return out;
	case CONFIG_SIZE:
		return "a size like \"10GB\" or \"512MiB\"";
	case CONFIG_DURATION:
		return "a time like \"30s\" or \"1h30m\"";
	case CONFIG_CHOICE:
		snprintf(choices, sizeof(choices), "%s", key->choices);
		choices[strlen(choices) - 1] = 0;
		snprintf(out, 128, "one of:%s", choices);
		return out;
	case CONFIG_TEXT:
		return "text";
	case CONFIG_ADDRS:
		return "a list of multiaddresses";
	case CONFIG_PEERS:
		return "a list of peers: [{\"ID\": \"12D3...\", \"Addrs\": [\"/ip4/...\"]}], at "
		       "most 256";
	case CONFIG_RESOLVERS:
		return "domains with a dot at the end, each with servers as \"IP:PORT,...\" or "
		       "\"auto\" (DNS over HTTPS is not built in)";
	case CONFIG_PRIORITY:
		return "a whole number from 1 on (the least is preferred), or false";
	}
	return "";
}
