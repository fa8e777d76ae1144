/* swarm, ping and routing: what the daemon's network is asked. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *member(const json_t *value, const char *name)
{
	const char *text = json_string_value(json_object_get(value, name));

	return text ? text : "";
}

static json_int_t number(const json_t *value, const char *name)
{
	return json_integer_value(json_object_get(value, name));
}

static json_t *timed(struct invocation *in, const char *name, const char *text)
{
	return json_pack("{s:s, s:I}", name, text, "timeout_ms", (json_int_t)in->timeout_ms);
}

static void print_lines(const json_t *list, const char *indent)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) printf("%s%s\n", indent, json_string_value(item));
}

/* ---- swarm ---- */

static int keep_tried(void *ctx, json_t *tried)
{
	return json_array_append(ctx, tried);
}

/* What was tried, below the error. */
static void print_tried(const json_t *list)
{
	char addr[MULTIADDR_TEXT_MAX], why[256];
	const json_t *tried;
	size_t i;

	json_array_foreach(list, i, tried)
	{
		const char *at = member(tried, "Addr"), *text = member(tried, "Error");

		fprintf(stderr, "  * [%s] %s\n", cli_safe(addr, sizeof(addr), at, strlen(at)),
			cli_safe(why, sizeof(why), text, strlen(text)));
	}
}

/* The peer of an address, as it may be shown. */
static const char *peer_of(const char *addr, char out[static 256])
{
	const char *id = strrchr(addr, '/');

	id = id ? id + 1 : addr;
	return cli_safe(out, 256, id, strlen(id));
}

/* What was done, one line each; with --enc=json all of it at the end, as Kubo does. */
static void note(struct invocation *in, json_t *done, const char *what, const char *id)
{
	if (in->json)
		json_array_append_new(done, json_sprintf("%s %s success", what, id));
	else
		printf("%s %s success\n", what, id);
}

/* Takes done. */
static void print_notes(struct invocation *in, json_t *done)
{
	if (in->json && json_array_size(done))
		cli_print_json(json_pack("{s:O}", "Strings", done));
	json_decref(done);
}

static int connect_all(struct invocation *in, json_t *done)
{
	int failed = EXIT_OK;

	for (int i = 0; i < in->argc; i++) {
		const char *addr = in->argv[i], *id;
		char *why = NULL, safe[512], shown[256];
		json_t *tried = json_array();
		int err = control_call(in->control, "swarm.connect", timed(in, "addr", addr),
				       cli_wait_call(in), keep_tried, tried, NULL, &why);

		id = peer_of(addr, shown);
		if (!err)
			note(in, done, "connect", id);
		else if (why)
			failed = cli_fail(in, 0, "connect %s failure: %s", id,
					  cli_safe(safe, sizeof(safe), why, strlen(why)));
		else
			failed = cli_fail(in, err, "connect %s failure", id);
		print_tried(tried);
		json_decref(tried);
		free(why);
		if (err == -EINTR)
			return EXIT_INTERRUPTED;
	}
	return failed;
}

static int run_connect(struct invocation *in)
{
	json_t *done;
	int code = cli_need_daemon(in);

	if (code)
		return code;
	done = json_array();
	code = connect_all(in, done);
	print_notes(in, done);
	return code;
}

const struct command cmd_swarm_connect = {
	"swarm connect",
	"ADDRESS...",
	1,
	-1,
	"connect to peers: /ip4/A.B.C.D/tcp/PORT/p2p/ID",
	NULL,
	NULL,
	run_connect,
};

static int run_disconnect(struct invocation *in)
{
	char id[256];
	json_t *done = json_array();
	int code = cli_need_daemon(in);

	for (int i = 0; i < in->argc && !code; i++) {
		peer_of(in->argv[i], id);
		code = cli_call(in, "swarm.disconnect", json_pack("{s:s}", "peer", id), NULL, NULL,
				NULL);
		if (!code)
			note(in, done, "disconnect", id);
	}
	print_notes(in, done);
	return code;
}

const struct command cmd_swarm_disconnect = {
	"swarm disconnect", "PEER...", 1, -1, "end all connections to peers", NULL, NULL,
	run_disconnect,
};

static const struct option_spec peers_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "latency, streams, bytes, worth and agent too", NULL },
	{ "latency", 0, OPTION_FLAG, NULL, "latency too", NULL },
	{ "direction", 0, OPTION_FLAG, NULL, "who connected to whom too", NULL },
	{ 0 },
};

static int print_peer(void *ctx, json_t *peer)
{
	struct invocation *in = ctx;
	bool verbose = cli_flag(in, "verbose");
	json_int_t us = number(peer, "LatencyUs");
	const char *tags = member(peer, "Tags");

	printf("%s/p2p/%s", member(peer, "Addr"), member(peer, "Peer"));
	if (verbose || cli_flag(in, "latency")) {
		if (us)
			printf(" %.2fms", (double)us / 1000);
		else
			printf(" n/a");
	}
	if (verbose || cli_flag(in, "direction"))
		printf(" %s", member(peer, "Direction"));
	if (verbose)
		printf(" streams=%" JSON_INTEGER_FORMAT " in=%" JSON_INTEGER_FORMAT
		       " out=%" JSON_INTEGER_FORMAT " worth=%" JSON_INTEGER_FORMAT "%s%s%s%s %s",
		       number(peer, "Streams"), number(peer, "BytesIn"), number(peer, "BytesOut"),
		       number(peer, "Worth"), tags[0] ? " (" : "", tags, tags[0] ? ")" : "",
		       json_is_true(json_object_get(peer, "Protected")) ? " protected" : "",
		       member(peer, "Agent"));
	putchar('\n');
	return 0;
}

/* Kubo's names, and ours for what it does not tell. */
static int collect_peer(void *ctx, json_t *peer)
{
	json_int_t us = number(peer, "LatencyUs");
	bool outbound = strcmp(member(peer, "Direction"), "outbound") == 0;

	json_object_set_new(peer, "Latency", us ? json_sprintf("%.2fms", (double)us / 1000) : json_string("n/a"));
	json_object_del(peer, "LatencyUs");
	json_object_set_new(peer, "Direction", json_integer(outbound ? 2 : 1));
	json_object_set(peer, "StreamCount", json_object_get(peer, "Streams"));
	json_object_del(peer, "Streams"); /* a list with Kubo */
	json_object_set_new(peer, "Identify", json_pack("{s:s, s:s}", "ID", member(peer, "Peer"), "AgentVersion",
							member(peer, "Agent")));
	json_object_del(peer, "Agent");
	return json_array_append(ctx, peer);
}

static int run_peers(struct invocation *in)
{
	json_t *peers;
	int code = cli_need_daemon(in);

	if (code || !in->json)
		return code ? code : cli_call(in, "swarm.peers", NULL, print_peer, in, NULL);
	peers = json_array();
	code = cli_call(in, "swarm.peers", NULL, collect_peer, peers, NULL);
	if (!code)
		cli_print_json(json_pack("{s:O}", "Peers", peers));
	json_decref(peers);
	return code;
}

const struct command cmd_swarm_peers = {
	"swarm peers", "", 0, 0, "list connected peers", NULL, peers_options, run_peers,
};

static const struct option_spec addrs_options[] = {
	{ "id", 0, OPTION_FLAG, NULL, "with /p2p/ID at the end [true without a word]", NULL },
	{ 0 },
};

static int run_addrs(struct invocation *in)
{
	bool id = cli_given(in, "id") ? cli_flag(in, "id") : in->argc == 0;
	json_t *addrs, *own = NULL;
	int code;

	if (in->argc && strcmp(in->argv[0], "local") && strcmp(in->argv[0], "listen"))
		return cli_usage(in, "only local and listen are known");
	code = cli_need_daemon(in);
	if (!code && in->json && !in->argc)
		code = cli_call(in, "id", NULL, NULL, NULL, &own);
	if (!code)
		code = cli_call(in, "swarm.addrs",
				json_pack("{s:b, s:b}", "id", (int)id, "listening",
					  in->argc && strcmp(in->argv[0], "listen") == 0),
				NULL, NULL, &addrs);
	if (code) {
		json_decref(own);
		return code;
	}
	if (!in->json)
		print_lines(addrs, "");
	else if (in->argc)
		cli_print_json(json_pack("{s:O}", "Strings", addrs));
	else
		cli_print_json(json_pack("{s:{s:O}}", "Addrs", member(own, "ID"), addrs));
	json_decref(own);
	json_decref(addrs);
	return EXIT_OK;
}

const struct command cmd_swarm_addrs = {
	"swarm addrs", "[local|listen]", 0,	    1, "list the addresses of this node",
	NULL,	       addrs_options,	 run_addrs,
};

/* ---- ping ---- */

static const struct option_spec ping_options[] = {
	{ "count", 'n', OPTION_INT, "N", "how often", "10" },
	{ 0 },
};

/* A second between pings; false when interrupted. */
static bool pause_second(struct invocation *in)
{
	wait_start(&in->wait, 1000);
	if (cli_interrupted())
		return false;
	while (wait_sleep(&in->wait) == 0)
		;
	return !cli_interrupted();
}

/* One line, or Kubo's object. */
static void tell_ping(struct invocation *in, json_int_t us, const char *text)
{
	if (in->json)
		cli_print_json(json_pack("{s:b, s:I, s:s}", "Success", 1, "Time", us * 1000, "Text", us ? "" : text));
	else
		puts(text);
}

static int run_ping(struct invocation *in)
{
	int64_t count = cli_int(in, "count"), done = 0;
	char id[256], text[512];
	double total_ms = 0;
	int code;

	if (count < 1)
		return cli_usage(in, "--count must be 1 or more");
	code = cli_need_daemon(in);
	if (code)
		return code;
	peer_of(in->argv[0], id);
	snprintf(text, sizeof(text), "PING %s.", id);
	tell_ping(in, 0, text);
	for (int64_t i = 0; i < count && !code; i++) {
		json_t *pong;
		double ms;

		fflush(stdout);
		if (i && !pause_second(in)) {
			code = EXIT_INTERRUPTED;
			break;
		}
		code = cli_call(in, "ping", timed(in, "peer", id), NULL, NULL, &pong);
		if (code)
			break;
		ms = (double)number(pong, "rtt_us") / 1000;
		snprintf(text, sizeof(text), "Pong received: time=%.2f ms", ms);
		tell_ping(in, number(pong, "rtt_us") ? number(pong, "rtt_us") : 1, text);
		total_ms += ms;
		done++;
		json_decref(pong);
	}
	if (done) {
		snprintf(text, sizeof(text), "Average latency: %.2fms", total_ms / (double)done);
		tell_ping(in, 0, text);
	}
	return code;
}

const struct command cmd_ping = {
	"ping", "PEER", 1, 1, "measure the way to a peer", NULL, ping_options, run_ping,
};

/* ---- routing ---- */

static const struct option_spec findprovs_options[] = {
	{ "num-providers", 'n', OPTION_INT, "N", "stop after so many; 0: all", "20" },
	{ "verbose", 'v', OPTION_FLAG, NULL, "addresses too", NULL },
	{ 0 },
};

/* Kubo's numbers of what a search tells. */
enum { EVENT_FINAL_PEER = 2, EVENT_PROVIDER = 4 };

static void print_event(int type, json_t *peer)
{
	cli_print_json(json_pack("{s:s, s:s, s:[O], s:i}", "Extra", "", "ID", "", "Responses", peer, "Type", type));
	fflush(stdout);
}

static int print_provider(void *ctx, json_t *peer)
{
	struct invocation *in = ctx;

	if (in->json) {
		print_event(EVENT_PROVIDER, peer);
		return 0;
	}
	puts(member(peer, "ID"));
	if (cli_flag(in, "verbose"))
		print_lines(json_object_get(peer, "Addrs"), "\t");
	fflush(stdout);
	return 0;
}

/* The CID of an argument in the canonical text that the daemon gets. */
static int cid_arg_text(struct invocation *in, const char *arg, char text[static CID_TEXT_MAX])
{
	struct cid cid;
	int code = cli_cid_arg(in, arg, &cid);

	if (!code)
		cid_text(&cid, text);
	return code;
}

static int run_findprovs(struct invocation *in)
{
	char text[CID_TEXT_MAX];
	json_t *args;
	int code;

	if (cli_int(in, "num-providers") < 0)
		return cli_usage(in, "--num-providers must be 0 or more");
	code = cid_arg_text(in, in->argv[0], text);
	if (!code)
		code = cli_need_daemon(in);
	if (code)
		return code;
	args = timed(in, "cid", text);
	json_object_set_new(args, "max", json_integer(cli_int(in, "num-providers")));
	return cli_call(in, "routing.findprovs", args, print_provider, in, NULL);
}

const struct command cmd_routing_findprovs = {
	"routing findprovs", "CID",	    1, 1, "find peers that have a block", NULL,
	findprovs_options,   run_findprovs,
};

static int run_findpeer(struct invocation *in)
{
	json_t *peer;
	int code = cli_need_daemon(in);

	if (!code)
		code = cli_call(in, "routing.findpeer", timed(in, "peer", in->argv[0]), NULL, NULL,
				&peer);
	if (code)
		return code;
	if (in->json)
		print_event(EVENT_FINAL_PEER, peer);
	else
		print_lines(json_object_get(peer, "Addrs"), "");
	json_decref(peer);
	return EXIT_OK;
}

const struct command cmd_routing_findpeer = {
	"routing findpeer", "PEER", 1, 1, "find the addresses of a peer", NULL, NULL, run_findpeer,
};

static int run_provide(struct invocation *in)
{
	char text[CID_TEXT_MAX];
	int code = cli_need_daemon(in);

	for (int i = 0; i < in->argc && !code; i++) {
		code = cid_arg_text(in, in->argv[i], text);
		if (!code)
			code = cli_call(in, "routing.provide", timed(in, "cid", text), NULL, NULL,
					NULL);
	}
	return code;
}

const struct command cmd_routing_provide = {
	"routing provide", "CID...", 1, -1, "announce now that this node has blocks", NULL, NULL,
	run_provide,
};
