/* id, swarm, ping and routing: what these calls take, and their items as text. The daemon answers
 * them on its loop (fs/daemon/daemon_ops.c). */
#include "fs/api/api_runs.h"

#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/wire/multibase.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_lines(FILE *out, const json_t *list, const char *indent)
{
	const json_t *line;
	size_t i;

	json_array_foreach(list, i, line)
		fprintf(out, "%s%s\n", indent, json_string_value(line));
}

static void line_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", json_string_value(item));
}

/* ---- id ---- */

static const struct option_spec id_options[] = {
	{ "format", 'f', OPTION_TEXT, "TEXT",
	  "<id> <aver> <pver> <pubkey> <addrs> <protocols>, \\n and \\t", NULL },
	{ 0 },
};

/* What can be told without a daemon: of this node alone. */
static void run_id(struct api_call *call)
{
	const struct identity *identity = api_repo(call)->identity;
	char id_text[PEER_ID_TEXT_MAX], *key;
	struct buf text = { 0 };
	struct peer_id id, asked;

	peer_id_of_identity(&id, identity);
	asked = api_word_count(call->args) ? api_peer(call->args, 0) : id;
	if (!peer_id_equal(&asked, &id)) {
		api_end(call, -ENOLINK, NULL);
		return;
	}
	base_encode(&text, 'M', public_key_proto(identity_public(identity)));
	key = buf_take_text(&text);
	api_item(call,
		 json_pack("{s:s, s:s, s:[], s:s, s:s, s:[]}", "ID", peer_id_text(&id, id_text),
			   "PublicKey", key, "Addresses", "AgentVersion", CLI_AGENT,
			   "ProtocolVersion", SWARM_PROTOCOL_VERSION, "Protocols"));
	free(key);
	api_end(call, 0, NULL);
}

static void print_member(FILE *out, const json_t *item, const char *name)
{
	const json_t *value = json_object_get(item, name), *one;
	size_t i;

	if (json_is_string(value))
		fputs(json_string_value(value), out);
	json_array_foreach(value, i, one)
		fprintf(out, "%s%s", i ? "\n" : "", json_string_value(one));
}

/* `id --format`: marks such as <id> are replaced, \n and \t become what they stand for. */
static void print_format(FILE *out, const json_t *item, const char *format)
{
	static const struct {
		const char *mark, *member;
	} marks[] = {
		{ "<id>", "ID" },
		{ "<aver>", "AgentVersion" },
		{ "<pver>", "ProtocolVersion" },
		{ "<pubkey>", "PublicKey" },
		{ "<addrs>", "Addresses" },
		{ "<protocols>", "Protocols" },
	};

	while (*format) {
		size_t i = 0;

		while (i < ARRAY_LEN(marks) &&
		       strncmp(format, marks[i].mark, strlen(marks[i].mark)))
			i++;
		if (i < ARRAY_LEN(marks)) {
			print_member(out, item, marks[i].member);
			format += strlen(marks[i].mark);
		} else if (format[0] == '\\' && (format[1] == 'n' || format[1] == 't')) {
			putc(format[1] == 'n' ? '\n' : '\t', out);
			format += 2;
		} else {
			putc(*format++, out);
		}
	}
}

static void id_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *format = api_text(args, "format");

	if (format) {
		print_format(out, item, format);
		return;
	}
	json_dumpf(item, out, JSON_INDENT(8) | JSON_PRESERVE_ORDER);
	putc('\n', out);
}

const struct api_row api_id = {
	.command = { "id", "[PEER]", 0, 1, "show the identity of this node, or of a connected peer",
		     NULL, id_options, NULL },
	.words = API_PEERS,
	.text_option = "format",
	.text = id_text,
	.run = run_id,
	.run_daemon = daemon_run_id,
};

/* ---- swarm ---- */

const struct api_row api_swarm_connect = {
	.command = { "swarm connect", "ADDRESS...", 1, -1,
		     "connect to peers: /ip4/A.B.C.D/tcp/PORT/p2p/ID", NULL, NULL, NULL },
	.flags = API_TELLS_ALL,
	.head = "{\"Strings\":[",
	.tail = "]}",
	.text = line_text,
	.run_daemon = daemon_run_connect,
};

const struct api_row api_swarm_disconnect = {
	.command = { "swarm disconnect", "PEER...", 1, -1, "end all connections to peers", NULL,
		     NULL, NULL },
	.words = API_PEERS,
	.flags = API_TELLS_ALL,
	.head = "{\"Strings\":[",
	.tail = "]}",
	.text = line_text,
	.run_daemon = daemon_run_disconnect,
};

static const struct option_spec peers_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "latency, streams, bytes, worth and agent too", NULL },
	{ "latency", 0, OPTION_FLAG, NULL, "latency too", NULL },
	{ "direction", 0, OPTION_FLAG, NULL, "who connected to whom too", NULL },
	{ 0 },
};

static void peer_text(FILE *out, const json_t *args, const json_t *peer)
{
	bool verbose = api_flag(args, "verbose");
	const char *tags = api_member(peer, "Tags");

	fprintf(out, "%s/p2p/%s", api_member(peer, "Addr"), api_member(peer, "Peer"));
	if (verbose || api_flag(args, "latency"))
		fprintf(out, " %s", api_member(peer, "Latency"));
	if (verbose || api_flag(args, "direction"))
		fprintf(out, " %s", api_number(peer, "Direction") == 2 ? "outbound" : "inbound");
	if (verbose)
		fprintf(out,
			" streams=%" JSON_INTEGER_FORMAT " in=%" JSON_INTEGER_FORMAT
			" out=%" JSON_INTEGER_FORMAT " worth=%" JSON_INTEGER_FORMAT "%s%s%s%s %s",
			api_number(peer, "StreamCount"), api_number(peer, "BytesIn"),
			api_number(peer, "BytesOut"), api_number(peer, "Worth"),
			tags[0] ? " (" : "", tags, tags[0] ? ")" : "",
			json_is_true(json_object_get(peer, "Protected")) ? " protected" : "",
			api_member(json_object_get(peer, "Identify"), "AgentVersion"));
	putc('\n', out);
}

const struct api_row api_swarm_peers = {
	.command = { "swarm peers", "", 0, 0, "list connected peers", NULL, peers_options, NULL },
	.head = "{\"Peers\":[",
	.tail = "]}",
	.text = peer_text,
	.run_daemon = daemon_run_peers,
};

static const struct option_spec addrs_options[] = {
	{ "id", 0, OPTION_FLAG, NULL, "with /p2p/ID at the end [true without a word]", NULL },
	{ 0 },
};

static char *check_addrs(const json_t *args)
{
	const char *word = api_word(args, 0);

	return word && strcmp(word, "local") && strcmp(word, "listen")
		       ? xstrdup("only local and listen are known")
		       : NULL;
}

/* {"Strings": [...]}, or {"Addrs": {"ID": [...]}}. */
static void addrs_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *id;
	json_t *list;

	(void)args;
	print_lines(out, json_object_get(item, "Strings"), "");
	json_object_foreach(json_object_get(item, "Addrs"), id, list)
		print_lines(out, list, "");
}

const struct api_row api_swarm_addrs = {
	.command = { "swarm addrs", "[local|listen]", 0, 1, "list the addresses of this node", NULL,
		     addrs_options, NULL },
	.check = check_addrs,
	.text = addrs_text,
	.run_daemon = daemon_run_addrs,
};

/* ---- ping ---- */

static const struct option_spec ping_options[] = {
	{ "count", 'n', OPTION_INT, "N", "how often", "10" },
	{ 0 },
};

static char *check_ping(const json_t *args)
{
	return api_int(args, "count") < 1 ? xstrdup("--count must be 1 or more") : NULL;
}

/* An answer has a time and no text, with Kubo. */
static void ping_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	if (api_number(item, "Time"))
		fprintf(out, "Pong received: time=%.2f ms\n",
			(double)api_number(item, "Time") / 1e6);
	else
		fprintf(out, "%s\n", api_member(item, "Text"));
}

const struct api_row api_ping = {
	.command = { "ping", "PEER", 1, 1, "measure the way to a peer", NULL, ping_options, NULL },
	.words = API_PEERS,
	.flags = API_STREAMS,
	.check = check_ping,
	.text = ping_text,
	.run_daemon = daemon_run_ping,
};

/* ---- routing ---- */

static const struct option_spec findprovs_options[] = {
	{ "num-providers", 'n', OPTION_INT, "N", "stop after so many; 0: all", "20" },
	{ "verbose", 'v', OPTION_FLAG, NULL, "addresses too", NULL },
	{ 0 },
};

static char *check_findprovs(const json_t *args)
{
	return api_int(args, "num-providers") < 0 ? xstrdup("--num-providers must be 0 or more")
						  : NULL;
}

/* Items of searches are Kubo's events; ours have one peer each. */
static const json_t *found_peer(const json_t *event)
{
	return json_array_get(json_object_get(event, "Responses"), 0);
}

static void provider_text(FILE *out, const json_t *args, const json_t *event)
{
	fprintf(out, "%s\n", api_member(found_peer(event), "ID"));
	if (api_flag(args, "verbose"))
		print_lines(out, json_object_get(found_peer(event), "Addrs"), "\t");
}

const struct api_row api_routing_findprovs = {
	.command = { "routing findprovs", "CID", 1, 1, "find peers that have a block", NULL,
		     findprovs_options, NULL },
	.words = API_CIDS,
	.flags = API_STREAMS,
	.check = check_findprovs,
	.text = provider_text,
	.run_daemon = daemon_run_findprovs,
};

static void found_text(FILE *out, const json_t *args, const json_t *event)
{
	(void)args;
	print_lines(out, json_object_get(found_peer(event), "Addrs"), "");
}

const struct api_row api_routing_findpeer = {
	.command = { "routing findpeer", "PEER", 1, 1, "find the addresses of a peer", NULL, NULL,
		     NULL },
	.words = API_PEERS,
	.flags = API_STREAMS,
	.text = found_text,
	.run_daemon = daemon_run_findpeer,
};

const struct api_row api_routing_provide = {
	.command = { "routing provide", "CID...", 1, -1, "announce now that this node has blocks",
		     NULL, NULL, NULL },
	.words = API_CIDS,
	.run_daemon = daemon_run_provide,
};
