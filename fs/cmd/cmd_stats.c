/* bitswap, stats and log level: how the daemon is. */
#include "fs/cli.h"

#include <string.h>

static json_int_t number(const json_t *value, const char *name)
{
	return json_integer_value(json_object_get(value, name));
}

/* ---- bitswap ---- */

static const struct option_spec stat_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "partners by name", NULL },
	{ "human", 'H', OPTION_FLAG, NULL, "sizes for people", NULL },
	{ 0 },
};

static int collect(void *ctx, json_t *value)
{
	return json_array_append(ctx, value);
}

static void print_count(const json_t *stat, const char *label, const char *name)
{
	printf("\t%s: %" JSON_INTEGER_FORMAT "\n", label, number(stat, name));
}

static void print_bytes(struct invocation *in, const json_t *stat, const char *label,
			const char *name)
{
	char text[32];

	if (cli_flag(in, "human"))
		printf("\t%s: %s\n", label, progress_size((uint64_t)number(stat, name), text));
	else
		print_count(stat, label, name);
}

static void print_stat(struct invocation *in, const json_t *stat, const json_t *partners)
{
	const json_t *partner;
	size_t i;

	puts("bitswap status");
	print_count(stat, "blocks received", "BlocksReceived");
	print_count(stat, "blocks sent", "BlocksSent");
	print_bytes(in, stat, "data received", "DataReceived");
	print_bytes(in, stat, "data sent", "DataSent");
	print_count(stat, "dup blocks received", "DupBlksReceived");
	print_bytes(in, stat, "dup data received", "DupDataReceived");
	print_count(stat, "unwanted blocks received", "UnwantedBlocks");
	printf("\twantlist [%zu keys]\n", json_array_size(json_object_get(stat, "Wantlist")));
	printf("\tpartners [%zu]\n", json_array_size(partners));
	if (cli_flag(in, "verbose"))
		json_array_foreach(partners, i, partner)
			printf("\t\t%s\n", json_string_value(partner));
}

/* A CID as the user wants to see it, in Kubo's form; takes nothing. NULL when it is none. */
static json_t *cid_link(struct invocation *in, const json_t *value)
{
	const char *text = json_string_value(value);
	char out[CID_TEXT_MAX];
	struct cid cid;

	if (!text || cid_from_text(&cid, text))
		return NULL;
	return json_pack("{s:s}", "/", cli_cid(in, &cid, out));
}

struct links {
	struct invocation *in;
	json_t *list;
};

static int collect_link(void *ctx, json_t *value)
{
	struct links *links = ctx;
	json_t *link = cid_link(links->in, value);

	return link ? json_array_append_new(links->list, link) : 0;
}

static int run_stat(struct invocation *in)
{
	struct links wants = { in, NULL };
	json_t *partners, *stat = NULL;
	int code = cli_need_daemon(in);

	if (code)
		return code;
	partners = json_array();
	wants.list = json_array();
	code = cli_call(in, "bitswap.stat", NULL, collect, partners, &stat);
	if (!code)
		code = cli_call(in, "bitswap.wantlist", NULL, collect_link, &wants, NULL);
	if (!code) {
		json_object_set(stat, "Wantlist", wants.list);
		json_object_set(stat, "Peers", partners);
		json_object_del(stat, "Wants");
	}
	if (!code && in->json)
		cli_print_json(json_incref(stat));
	else if (!code)
		print_stat(in, stat, partners);
	json_decref(stat);
	json_decref(partners);
	json_decref(wants.list);
	return code;
}

const struct command cmd_bitswap_stat = {
	"bitswap stat", "", 0, 0, "count blocks and bytes exchanged", NULL, stat_options, run_stat,
};

static const struct option_spec wantlist_options[] = {
	{ "peer", 'p', OPTION_TEXT, "PEER", "what that peer wants from us", NULL },
	{ 0 },
};

static int print_want(void *ctx, json_t *value)
{
	json_t *link = cid_link(ctx, value);

	if (link)
		puts(json_string_value(json_object_get(link, "/")));
	json_decref(link);
	return 0;
}

static int run_wantlist(struct invocation *in)
{
	const char *peer = cli_text(in, "peer");
	struct links wants = { in, NULL };
	json_t *args;
	int code = cli_need_daemon(in);

	if (code)
		return code;
	args = peer ? json_pack("{s:s}", "peer", peer) : NULL;
	if (!in->json)
		return cli_call(in, "bitswap.wantlist", args, print_want, in, NULL);
	wants.list = json_array();
	code = cli_call(in, "bitswap.wantlist", args, collect_link, &wants, NULL);
	if (!code)
		cli_print_json(json_pack("{s:O}", "Keys", wants.list));
	json_decref(wants.list);
	return code;
}

const struct command cmd_bitswap_wantlist = {
	"bitswap wantlist", "",		  0, 0, "list the blocks that are waited for", NULL,
	wantlist_options,   run_wantlist,
};

static int run_ledger(struct invocation *in)
{
	json_t *ledger;
	double ratio;
	int code = cli_need_daemon(in);

	if (!code)
		code = cli_call(in, "bitswap.ledger", json_pack("{s:s}", "peer", in->argv[0]), NULL,
				NULL, &ledger);
	if (code)
		return code;
	ratio = (double)number(ledger, "Sent") / ((double)number(ledger, "Recv") + 1);
	json_object_set_new(ledger, "Peer", json_string(in->argv[0]));
	json_object_set_new(ledger, "Value", json_real(ratio));
	if (in->json)
		cli_print_json(json_incref(ledger));
	else
		printf("Ledger for %s\nDebt ratio:\t%f\nExchanges:\t%" JSON_INTEGER_FORMAT
		       "\nBytes sent:\t%" JSON_INTEGER_FORMAT
		       "\nBytes received:\t%" JSON_INTEGER_FORMAT "\n",
		       in->argv[0], ratio,
		       number(ledger, "Exchanged"), number(ledger, "Sent"), number(ledger, "Recv"));
	json_decref(ledger);
	return EXIT_OK;
}

const struct command cmd_bitswap_ledger = {
	"bitswap ledger", "PEER", 1, 1, "show what was exchanged with a peer", NULL, NULL,
	run_ledger,
};

/* ---- stats, log ---- */

static void print_group(const char *name, json_t *group)
{
	const char *key;
	json_t *value;

	if (!json_is_object(group))
		return;
	printf("%s\n", name);
	json_object_foreach(group, key, value)
	{
		if (json_is_string(value))
			printf("\t%s: %s\n", key, json_string_value(value));
		else if (json_is_boolean(value))
			printf("\t%s: %s\n", key, json_is_true(value) ? "yes" : "no");
		else
			printf("\t%s: %" JSON_INTEGER_FORMAT "\n", key,
			       json_integer_value(value));
	}
}

static int run_stats(struct invocation *in)
{
	const char *name;
	json_t *stats, *group;
	int code = cli_need_daemon(in);

	if (!code)
		code = cli_call(in, "stats", NULL, NULL, NULL, &stats);
	if (code)
		return code;
	if (in->json)
		cli_print_json(json_incref(stats));
	else
		json_object_foreach(stats, name, group) print_group(name, group);
	json_decref(stats);
	return EXIT_OK;
}

const struct command cmd_stats = {
	"stats", "", 0, 0, "show counters of all parts of the daemon", NULL, NULL, run_stats,
};

static int run_log_level(struct invocation *in)
{
	const char *level = in->argv[1];
	int code;

	if (strcmp(level, "error") && strcmp(level, "warn") && strcmp(level, "info") && strcmp(level, "debug"))
		return cli_usage(in, "the level must be error, warn, info or debug");
	code = cli_need_daemon(in);
	if (!code)
		code = cli_call(in, "log.level",
				json_pack("{s:s, s:s}", "area", in->argv[0], "level", in->argv[1]),
				NULL, NULL, NULL);
	if (!code)
		cli_tell(in, "Message", "Changed log level of '%s' to '%s'", in->argv[0], in->argv[1]);
	return code;
}

const struct command cmd_log_level = {
	"log level",
	"AREA LEVEL",
	2,
	2,
	"set what the daemon logs: all warn, swarm debug...",
	"Areas: all, daemon, control, swarm, bitswap, kad, store... Levels: error, warn, info, "
	"debug.",
	NULL,
	run_log_level,
};
