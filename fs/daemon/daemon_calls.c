/* The table of calls, and those that are answered at once. */
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/wire/multibase.h"

#include <stdlib.h>
#include <string.h>

bool daemon_arg_peer(struct control_request *request, const json_t *args, struct peer_id *id)
{
	const char *given = json_string_value(json_object_get(args, "peer"));
	const char *text = given && strncmp(given, "/p2p/", 5) == 0 ? given + 5 : given;
	char *why;

	if (text && peer_id_from_text(id, text) == 0)
		return true;
	why = xasprintf("'%s' is not a peer id", given ? given : "");
	control_done(request, -EINVAL, NULL, why);
	free(why);
	return false;
}

static json_t *addrs_json(const struct multiaddr *addrs, size_t count, const struct peer_id *id)
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
			 addrs_json(info->addrs, info->addr_count, NULL));
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
	json_object_set_new(find->json, "AgentVersion",
			    json_string(log_safe(text, sizeof(text), peer->agent, strlen(peer->agent))));
	json_object_set_new(find->json, "ProtocolVersion",
			    json_string(log_safe(text, sizeof(text), peer->version, strlen(peer->version))));
	json_object_set_new(find->json, "Protocols", protocols);
	return 1;
}

static void id_of_peer(struct daemon *daemon, struct control_request *request, json_t *args)
{
	struct multiaddr *addrs;
	struct peer_id id;
	struct find_peer find = { .id = &id };
	char text[PEER_ID_TEXT_MAX];
	size_t count;

	if (!daemon_arg_peer(request, args, &id))
		return;
	find.json = json_pack("{s:s}", "ID", peer_id_text(&id, text));
	if (!swarm_each_peer(daemon->swarm, take_peer, &find)) {
		json_decref(find.json);
		control_done(request, -ENOENT, NULL, "that peer is not connected");
		return;
	}
	addrs = xcalloc(SWARM_PEER_ADDRS_MAX, sizeof(*addrs));
	count = swarm_peer_addrs(daemon->swarm, &id, addrs, SWARM_PEER_ADDRS_MAX);
	json_object_set_new(find.json, "Addresses", addrs_json(addrs, count, &id));
	free(addrs);
	control_done(request, 0, find.json, NULL);
}

static void call_id(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	char text[PEER_ID_TEXT_MAX];
	json_t *id;

	if (json_object_get(args, "peer")) {
		id_of_peer(daemon, request, args);
		return;
	}
	id = json_pack("{s:s, s:o, s:o, s:s, s:s, s:o}", "ID",
		       peer_id_text(swarm_self(daemon->swarm), text), "PublicKey",
		       key_json(identity_public(daemon->repo->identity)), "Addresses",
		       daemon_addrs(daemon, false, true), "AgentVersion", CLI_AGENT, "ProtocolVersion",
		       SWARM_PROTOCOL_VERSION, "Protocols", own_protocols(daemon));
	control_done(request, 0, id, NULL);
}

/* ---- swarm ---- */

static int item_peer(void *ctx, const struct swarm_peer *peer)
{
	char addr[MULTIADDR_TEXT_MAX], id[PEER_ID_TEXT_MAX], agent[256];
	struct multiaddr bare = peer->addr;
	struct peer_id tail;

	multiaddr_split_peer(&bare, &tail);
	log_safe(agent, sizeof(agent), peer->agent ? peer->agent : "",
		 peer->agent ? strlen(peer->agent) : 0);
	control_item(ctx,
		     json_pack("{s:s, s:s, s:s, s:I, s:i, s:s, s:I, s:I, s:i, s:b, s:s}", "Addr",
			       multiaddr_text(&bare, addr), "Peer", peer_id_text(&peer->id, id),
			       "Direction", peer->outbound ? "outbound" : "inbound", "LatencyUs",
			       (json_int_t)peer->latency_us, "Streams", (int)peer->streams, "Agent",
			       agent, "BytesIn", (json_int_t)peer->bytes_in, "BytesOut",
			       (json_int_t)peer->bytes_out, "Worth", peer->worth, "Protected",
			       (int)peer->is_protected, "Tags", peer->tags));
	return 0;
}

static void call_peers(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;

	(void)args;
	swarm_each_peer(daemon->swarm, item_peer, request);
	control_done(request, 0, NULL, NULL);
}

static void call_addrs(void *ctx, struct control_request *request, json_t *args)
{
	bool listening = json_is_true(json_object_get(args, "listening"));

	control_done(request, 0,
		     daemon_addrs(ctx, listening, json_is_true(json_object_get(args, "id"))), NULL);
}

static void call_disconnect(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct peer_id id;

	if (!daemon_arg_peer(request, args, &id))
		return;
	if (swarm_disconnect(daemon->swarm, &id))
		control_done(request, -ENOTCONN, NULL, "that peer is not connected");
	else
		control_done(request, 0, NULL, NULL);
}

/* ---- bitswap ---- */

static int item_partner(void *ctx, const struct exchange_ledger *ledger)
{
	char text[PEER_ID_TEXT_MAX];

	control_item(ctx, json_string(peer_id_text(&ledger->peer, text)));
	return 0;
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

static void call_bitswap_stat(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;

	(void)args;
	exchange_each_peer(daemon->exchange, item_partner, request);
	control_done(request, 0, exchange_json(daemon), NULL);
}

static int item_want(void *ctx, const struct cid *cid)
{
	char text[CID_TEXT_MAX];

	control_item(ctx, json_string(cid_text(cid, text)));
	return 0;
}

static void call_wantlist(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct peer_id id;
	bool of_peer = json_object_get(args, "peer") != NULL;

	if (of_peer && !daemon_arg_peer(request, args, &id))
		return;
	exchange_each_want(daemon->exchange, of_peer ? &id : NULL, item_want, request);
	control_done(request, 0, NULL, NULL);
}

static void call_ledger(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct exchange_ledger ledger = { 0 };
	struct peer_id id;

	if (!daemon_arg_peer(request, args, &id))
		return;
	exchange_ledger(daemon->exchange, &id, &ledger); /* a stranger's is empty */
	control_done(request, 0,
		     json_pack("{s:I, s:I, s:I}", "Sent", (json_int_t)ledger.bytes_sent, "Recv",
			       (json_int_t)ledger.bytes_received, "Exchanged",
			       (json_int_t)ledger.exchanged),
		     NULL);
}

/* ---- the rest ---- */

static json_t *kad_json(const struct router *kad)
{
	struct kad_stats s;

	if (!kad)
		return json_null();
	kad_stats(kad, &s);
	/* Without a refresh yet its age is left out. */
	return json_pack(
		"{s:s, s:b, s:i, s:i, s:i, s:o*, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:I, s:I, s:I, s:I}",
		"Mode", s.serving ? "server" : "client", "AutoMode", (int)s.automatic, "TablePeers",
		(int)s.table_peers, "Buckets", (int)s.buckets, "BucketsFilled",
		(int)s.buckets_filled, "LastRefreshSeconds",
		s.refresh_age_ms == UINT64_MAX ? NULL
					       : json_integer((json_int_t)(s.refresh_age_ms / 1000)),
		"Refreshes", (json_int_t)s.refreshes, "RefreshFailures",
		(json_int_t)s.refresh_failures, "Queries", (json_int_t)s.queries, "QueryFailures",
		(json_int_t)s.query_failures, "Values", (json_int_t)s.values, "ValueBytes",
		(json_int_t)s.value_bytes, "ProviderKeys", (json_int_t)s.provider_keys,
		"ProviderRecords", (json_int_t)s.provider_records, "ProvidersRefused",
		(json_int_t)s.providers_refused, "ProvidersDisplaced",
		(json_int_t)s.providers_displaced, "Provided", (json_int_t)s.provided,
		"ProvidePending", (json_int_t)s.provide_pending, "ProvideConfirmed",
		(json_int_t)s.provide_confirmed, "ProvideUnkept", (json_int_t)s.provide_unkept,
		"MessagesSent", (json_int_t)s.messages_sent, "MessagesReceived",
		(json_int_t)s.messages_received);
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

static void call_stats(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct totals totals = { 0 };

	(void)args;
	swarm_each_peer(daemon->swarm, add_peer, &totals);
	control_done(request, 0,
		     json_pack("{s:{s:i, s:I, s:I}, s:o, s:o, s:o, s:o}", "Swarm", "Connections",
			       (int)totals.peers, "BytesIn", (json_int_t)totals.in, "BytesOut",
			       (json_int_t)totals.out, "AutoNAT", autonat_json(daemon), "Bitswap",
			       exchange_json(daemon), "WAN", kad_json(daemon->wan), "LAN",
			       kad_json(daemon->lan)),
		     NULL);
}

static void call_log_level(void *ctx, struct control_request *request, json_t *args)
{
	const char *area = json_string_value(json_object_get(args, "area"));
	const char *level = json_string_value(json_object_get(args, "level"));
	int err = area && level ? log_set_level(area, level) : -EINVAL;

	(void)ctx;
	control_done(request, err, NULL,
		     err == -ENOENT ? "the level must be error, warn, info or debug" : NULL);
}

static void call_provide_changed(void *ctx, struct control_request *request, json_t *args)
{
	(void)args;
	daemon_provide_changed(ctx);
	control_done(request, 0, NULL, NULL);
}

static void call_shutdown(void *ctx, struct control_request *request, json_t *args)
{
	(void)args;
	control_done(request, 0, NULL, NULL);
	daemon_stop(ctx);
}

/* `mount` gave up on a daemon that it started: nothing else may want it. */
static void call_shutdown_idle(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;

	(void)args;
	control_done(request, 0, NULL, NULL);
	if (daemon->options->with_mounts && list_empty(&daemon->mounts))
		daemon_stop(daemon);
}

const struct control_command daemon_commands[] = {
	{ "id", call_id },
	{ "swarm.connect", daemon_call_connect },
	{ "swarm.disconnect", call_disconnect },
	{ "swarm.peers", call_peers },
	{ "swarm.addrs", call_addrs },
	{ "ping", daemon_call_ping },
	{ "routing.findprovs", daemon_call_findprovs },
	{ "routing.findpeer", daemon_call_findpeer },
	{ "routing.provide", daemon_call_provide },
	{ "bitswap.stat", call_bitswap_stat },
	{ "bitswap.wantlist", call_wantlist },
	{ "bitswap.ledger", call_ledger },
	{ "stats", call_stats },
	{ "log.level", call_log_level },
	{ "provide-changed", call_provide_changed },
	{ "mount", daemon_call_mount },
	{ "umount", daemon_call_umount },
	{ "mount-wait", daemon_call_mount_wait },
	{ "mounts", daemon_call_mounts },
	{ "shutdown", call_shutdown },
	{ "shutdown-idle", call_shutdown_idle },
	{ 0 },
};
