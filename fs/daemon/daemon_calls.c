/* Calls that the daemon answers at once from what it knows; those that wait for the network are in
 * daemon_ops.c, and the table is in fs/api/. Loop thread. */
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/wire/multibase.h"

#include <stdlib.h>
#include <string.h>

json_t *daemon_addrs_json(const struct multiaddr *addrs, size_t count, const struct peer_id *id)
{
	json_t *list = json_array();
	char text[MULTIADDR_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		struct multiaddr addr = addrs[i];

		if (id)
			multiaddr_add_peer(&addr, id);
		json_array_append_new(list, json_string(multiaddr_text(&addr, text)));
	}
	return list;
}

json_t *daemon_peer_json(const struct peer_info *info)
{
	char text[PEER_ID_TEXT_MAX];

	return json_pack("{s:s, s:o}", "ID", peer_id_text(&info->id, text), "Addrs",
			 daemon_addrs_json(info->addrs, info->addr_count, NULL));
}

static json_t *key_json(const struct public_key *key)
{
	struct buf text = { 0 };
	char *base64;
	json_t *json;

	base_encode(&text, 'M', public_key_proto(key));
	base64 = buf_take_text(&text);
	json = json_string(base64);
	free(base64);
	return json;
}

/* ---- id ---- */

static bool serves(const struct router *kad)
{
	struct kad_stats stats = { 0 };

	if (kad)
		kad_stats(kad, &stats);
	return stats.serving;
}

/* What we answer, sorted. */
static json_t *own_protocols(const struct daemon *daemon)
{
	json_t *list = json_pack("[s, s, s, s, s, s]", "/ipfs/bitswap", "/ipfs/bitswap/1.0.0",
				 "/ipfs/bitswap/1.1.0", "/ipfs/bitswap/1.2.0", "/ipfs/id/1.0.0",
				 "/ipfs/id/push/1.0.0");
	struct autonat_stats autonat = { 0 };

	if (serves(daemon->wan))
		json_array_append_new(list, json_string("/ipfs/kad/1.0.0"));
	if (serves(daemon->lan))
		json_array_append_new(list, json_string("/ipfs/lan/kad/1.0.0"));
	json_array_append_new(list, json_string("/ipfs/ping/1.0.0"));
	if (daemon->autonat)
		autonat_stats(daemon->autonat, &autonat);
	if (autonat.serves)
		json_array_append_new(list, json_string("/libp2p/autonat/1.0.0"));
	if (daemon->autonat)
		json_array_append_new(list, json_string("/libp2p/autonat/2/dial-back"));
	if (autonat.serves)
		json_array_append_new(list, json_string("/libp2p/autonat/2/dial-request"));
	return list;
}

struct find_peer {
	const struct peer_id *id;
	json_t *json;
};

/* Remote text may be anything: json_string() refuses what is no UTF-8, and the field stays out. */
static int take_peer(void *ctx, const struct swarm_peer *peer)
{
	struct find_peer *find = ctx;
	struct public_key in_id;
	const struct public_key *key = peer->key;
	json_t *protocols;
	char text[256];

	if (!peer_id_equal(&peer->id, find->id))
		return 0;
	protocols = json_array();
	for (size_t i = 0; i < peer->protocol_count; i++)
		json_array_append_new(protocols, json_string(peer->protocols[i]));
	if (!key && peer_id_key(&peer->id, &in_id) == 0)
		key = &in_id;
	json_object_set_new(find->json, "PublicKey", key ? key_json(key) : json_string(""));
	json_object_set_new(
		find->json, "AgentVersion",
		json_string(log_safe(text, sizeof(text), peer->agent, strlen(peer->agent))));
	json_object_set_new(
		find->json, "ProtocolVersion",
		json_string(log_safe(text, sizeof(text), peer->version, strlen(peer->version))));
	json_object_set_new(find->json, "Protocols", protocols);
	return 1;
}

static void id_of_peer(struct api_call *call, const struct peer_id *id)
{
	struct daemon *daemon = call->host;
	struct find_peer find = { .id = id };
	struct multiaddr *addrs;
	char text[PEER_ID_TEXT_MAX];
	size_t count;

	find.json = json_pack("{s:s}", "ID", peer_id_text(id, text));
	if (!swarm_each_peer(daemon->swarm, take_peer, &find)) {
		json_decref(find.json);
		api_end(call, -ENOENT, "that peer is not connected");
		return;
	}
	addrs = xcalloc(SWARM_PEER_ADDRS_MAX, sizeof(*addrs));
	count = swarm_peer_addrs(daemon->swarm, id, addrs, SWARM_PEER_ADDRS_MAX);
	json_object_set_new(find.json, "Addresses", daemon_addrs_json(addrs, count, id));
	free(addrs);
	api_item(call, find.json);
	api_end(call, 0, NULL);
}

void daemon_run_id(struct api_call *call)
{
	struct daemon *daemon = call->host;
	const struct peer_id *self = swarm_self(daemon->swarm);
	struct peer_id id = api_word_count(call->args) ? api_peer(call->args, 0) : *self;
	char text[PEER_ID_TEXT_MAX];

	if (!peer_id_equal(&id, self)) {
		id_of_peer(call, &id);
		return;
	}
	api_item(call, json_pack("{s:s, s:o, s:o, s:s, s:s, s:o}", "ID", peer_id_text(self, text),
				 "PublicKey", key_json(identity_public(daemon->repo->identity)),
				 "Addresses", daemon_addrs(daemon, false, true), "AgentVersion",
				 CLI_AGENT, "ProtocolVersion", SWARM_PROTOCOL_VERSION, "Protocols",
				 own_protocols(daemon)));
	api_end(call, 0, NULL);
}

/* ---- swarm ---- */

/* Kubo's names, and ours for what it does not tell. */
static int item_peer(void *ctx, const struct swarm_peer *peer)
{
	char addr[MULTIADDR_TEXT_MAX], id[PEER_ID_TEXT_MAX], agent[256];
	struct multiaddr bare = peer->addr;
	struct peer_id tail;

	multiaddr_split_peer(&bare, &tail);
	peer_id_text(&peer->id, id);
	log_safe(agent, sizeof(agent), peer->agent ? peer->agent : "",
		 peer->agent ? strlen(peer->agent) : 0);
	api_item(ctx, json_pack("{s:s, s:s, s:i, s:I, s:I, s:i, s:b, s:s, s:o, s:i, s:{s:s, s:s}}",
				"Addr", multiaddr_text(&bare, addr), "Peer", id, "Direction",
				peer->outbound ? 2 : 1, "BytesIn", (json_int_t)peer->bytes_in,
				"BytesOut", (json_int_t)peer->bytes_out, "Worth", peer->worth,
				"Protected", (int)peer->is_protected, "Tags", peer->tags, "Latency",
				peer->latency_us
					? json_sprintf("%.2fms", (double)peer->latency_us / 1000)
					: json_string("n/a"),
				"StreamCount", (int)peer->streams, "Identify", "ID", id,
				"AgentVersion", agent));
	return 0;
}

void daemon_run_peers(struct api_call *call)
{
	struct daemon *daemon = call->host;

	swarm_each_peer(daemon->swarm, item_peer, call);
	api_end(call, 0, NULL);
}

/* Without a word Kubo's form for all peers it knows, which has this node alone. */
void daemon_run_addrs(struct api_call *call)
{
	const struct daemon *daemon = call->host;
	const char *word = api_word(call->args, 0);
	bool with_id = json_object_get(call->args, "id") ? api_flag(call->args, "id") : !word;
	json_t *addrs = daemon_addrs(daemon, word && strcmp(word, "listen") == 0, with_id);
	char self[PEER_ID_TEXT_MAX];

	if (word)
		api_item(call, json_pack("{s:o}", "Strings", addrs));
	else
		api_item(call, json_pack("{s:{s:o}}", "Addrs",
					 peer_id_text(swarm_self(daemon->swarm), self), addrs));
	api_end(call, 0, NULL);
}

/* ---- bitswap ---- */

static int add_partner(void *ctx, const struct exchange_ledger *ledger)
{
	char text[PEER_ID_TEXT_MAX];

	json_array_append_new(ctx, json_string(peer_id_text(&ledger->peer, text)));
	return 0;
}

/* A CID in Kubo's form. */
static json_t *link_json(const struct api_call *call, const struct cid *cid)
{
	char text[CID_TEXT_MAX];

	return json_pack("{s:s}", "/", api_cid_text(call->args, cid, text));
}

static json_t *exchange_json(const struct daemon *daemon)
{
	struct exchange_stats s;

	exchange_stats(daemon->exchange, &s);
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"BlocksReceived", (json_int_t)s.blocks_received, "DataReceived",
		(json_int_t)s.bytes_received, "DupBlksReceived", (json_int_t)s.duplicate_blocks,
		"DupDataReceived", (json_int_t)s.duplicate_bytes, "UnwantedBlocks",
		(json_int_t)s.unwanted_blocks, "BlocksSent", (json_int_t)s.blocks_sent, "DataSent",
		(json_int_t)s.bytes_sent, "MessagesReceived", (json_int_t)s.messages_received,
		"MessagesSent", (json_int_t)s.messages_sent, "Wants", (json_int_t)s.wants,
		"Sessions", (json_int_t)s.sessions, "Peers", (json_int_t)s.peers,
		"ProviderSearches", (json_int_t)s.provider_searches, "InFlight",
		(json_int_t)s.in_flight, "InFlightPeak", (json_int_t)s.in_flight_peak);
}

struct wants {
	struct api_call *call;
	json_t *list;
};

static int add_want(void *ctx, const struct cid *cid)
{
	struct wants *wants = ctx;

	json_array_append_new(wants->list, link_json(wants->call, cid));
	return 0;
}

void daemon_run_bitswap_stat(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct wants wants = { call, json_array() };
	json_t *stat = exchange_json(daemon), *partners = json_array();

	exchange_each_peer(daemon->exchange, add_partner, partners);
	exchange_each_want(daemon->exchange, NULL, add_want, &wants);
	json_object_set_new(stat, "Wantlist", wants.list);
	json_object_set_new(stat, "Peers", partners);
	json_object_del(stat, "Wants");
	api_item(call, stat);
	api_end(call, 0, NULL);
}

static int item_want(void *ctx, const struct cid *cid)
{
	api_item(ctx, link_json(ctx, cid));
	return 0;
}

void daemon_run_wantlist(struct api_call *call)
{
	struct daemon *daemon = call->host;
	const char *peer = api_text(call->args, "peer");
	struct peer_id id;

	if (peer && peer_id_from_text(&id, api_peer_text(peer))) {
		api_refuse(call, -EINVAL, "'%s' is not a peer's id", peer);
		return;
	}
	exchange_each_want(daemon->exchange, peer ? &id : NULL, item_want, call);
	api_end(call, 0, NULL);
}

void daemon_run_ledger(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct exchange_ledger ledger = { 0 };
	struct peer_id id = api_peer(call->args, 0);

	exchange_ledger(daemon->exchange, &id, &ledger); /* a stranger's is empty */
	api_item(call,
		 json_pack("{s:I, s:I, s:I, s:s, s:f}", "Sent", (json_int_t)ledger.bytes_sent,
			   "Recv", (json_int_t)ledger.bytes_received, "Exchanged",
			   (json_int_t)ledger.exchanged, "Peer", api_word(call->args, 0), "Value",
			   (double)ledger.bytes_sent / ((double)ledger.bytes_received + 1)));
	api_end(call, 0, NULL);
}

/* ---- the rest ---- */

static json_t *kad_json(const struct router *kad, const struct announcer *announcer)
{
	struct announcer_stats a;
	struct kad_stats s;

	if (!kad)
		return json_null();
	kad_stats(kad, &s);
	announcer_stats(announcer, &a);
	/* Without a refresh yet its age is left out. */
	return json_pack(
		"{s:s, s:b, s:i, s:i, s:i, s:o*, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:I, s:I, s:I, s:I}",
		"Mode", s.serving ? "server" : "client", "AutoMode", (int)s.automatic, "TablePeers",
		(int)s.table_peers, "Buckets", (int)s.buckets, "BucketsFilled",
		(int)s.buckets_filled, "LastRefreshSeconds",
		s.refresh_age_ms == UINT64_MAX
			? NULL
			: json_integer((json_int_t)(s.refresh_age_ms / 1000)),
		"Refreshes", (json_int_t)s.refreshes, "RefreshFailures",
		(json_int_t)s.refresh_failures, "Queries", (json_int_t)s.queries, "QueryFailures",
		(json_int_t)s.query_failures, "Values", (json_int_t)s.values, "ValueBytes",
		(json_int_t)s.value_bytes, "ProviderKeys", (json_int_t)s.provider_keys,
		"ProviderRecords", (json_int_t)s.provider_records, "ProvidersRefused",
		(json_int_t)s.providers_refused, "ProvidersDisplaced",
		(json_int_t)s.providers_displaced, "Provided", (json_int_t)a.announced,
		"ProvidePending", (json_int_t)a.pending, "ProvideConfirmed",
		(json_int_t)a.confirmed, "ProvideUnkept", (json_int_t)a.unkept, "MessagesSent",
		(json_int_t)s.messages_sent, "MessagesReceived", (json_int_t)s.messages_received);
}

static json_t *autonat_json(const struct daemon *daemon)
{
	static const char *const names[] = {
		[REACH_UNKNOWN] = "unknown", [REACH_PRIVATE] = "private", [REACH_PUBLIC] = "public"
	};
	struct autonat_stats s;

	if (!daemon->autonat)
		return json_null();
	autonat_stats(daemon->autonat, &s);
	return json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I}", "Reachability",
			 names[swarm_reach(daemon->swarm)], "Addresses", (int)s.addrs, "Servers",
			 (int)s.servers, "Asked", (json_int_t)s.asked, "Confirmed",
			 (json_int_t)s.confirmed, "Served", (json_int_t)s.served, "Refused",
			 (json_int_t)s.refused);
}

struct totals {
	unsigned peers;
	uint64_t in, out;
};

static int add_peer(void *ctx, const struct swarm_peer *peer)
{
	struct totals *totals = ctx;

	totals->peers++;
	totals->in += peer->bytes_in;
	totals->out += peer->bytes_out;
	return 0;
}

void daemon_run_stats(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct totals totals = { 0 };

	swarm_each_peer(daemon->swarm, add_peer, &totals);
	api_item(call, json_pack("{s:{s:i, s:I, s:I}, s:o, s:o, s:o, s:o}", "Swarm", "Connections",
				 (int)totals.peers, "BytesIn", (json_int_t)totals.in, "BytesOut",
				 (json_int_t)totals.out, "AutoNAT", autonat_json(daemon), "Bitswap",
				 exchange_json(daemon), "WAN",
				 kad_json(daemon->wan, daemon->wan_announcer), "LAN",
				 kad_json(daemon->lan, daemon->lan_announcer)));
	api_end(call, 0, NULL);
}

void daemon_run_log_level(struct api_call *call)
{
	const char *area = api_word(call->args, 0), *level = api_word(call->args, 1);
	int err = log_set_level(area, level);

	if (!err)
		api_item(call,
			 json_pack("{s:o}", "Message",
				   json_sprintf("Changed log level of '%s' to '%s'", area, level)));
	api_end(call, err, NULL);
}

void daemon_run_provide_changed(struct api_call *call)
{
	daemon_provide_changed(call->host);
	api_end(call, 0, NULL);
}

void daemon_run_shutdown(struct api_call *call)
{
	struct daemon *daemon = call->host;

	api_end(call, 0, NULL);
	daemon_stop(daemon);
}

/* `mount` gave up on a daemon that it started: nothing else may want it. */
void daemon_run_shutdown_idle(struct api_call *call)
{
	struct daemon *daemon = call->host;

	api_end(call, 0, NULL);
	if (daemon->options->with_mounts && list_empty(&daemon->mounts))
		daemon_stop(daemon);
}
