/* bitswap, stats and log level: what these calls take, and their items as text. The daemon answers
 * them on its loop (fs/daemon/daemon_calls.c). */
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "net/base/alloc.h"

#include <string.h>

/* ---- bitswap ---- */

static const struct option_spec stat_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "partners by name", NULL },
	{ "human", 'H', OPTION_FLAG, NULL, "sizes for people", NULL },
	{ 0 },
};

static void print_count(FILE *out, const json_t *stat, const char *label, const char *name)
{
	fprintf(out, "\t%s: %" JSON_INTEGER_FORMAT "\n", label, api_number(stat, name));
}

static void print_bytes(FILE *out, const json_t *args, const json_t *stat, const char *label,
			const char *name)
{
	char text[32];

	if (api_flag(args, "human"))
		fprintf(out, "\t%s: %s\n", label,
			progress_size((uint64_t)api_number(stat, name), text));
	else
		print_count(out, stat, label, name);
}

static void bitswap_text(FILE *out, const json_t *args, const json_t *stat)
{
	const json_t *partners = json_object_get(stat, "Peers"), *partner;
	size_t i;

	fputs("bitswap status\n", out);
	print_count(out, stat, "blocks received", "BlocksReceived");
	print_count(out, stat, "blocks sent", "BlocksSent");
	print_bytes(out, args, stat, "data received", "DataReceived");
	print_bytes(out, args, stat, "data sent", "DataSent");
	print_count(out, stat, "dup blocks received", "DupBlksReceived");
	print_bytes(out, args, stat, "dup data received", "DupDataReceived");
	print_count(out, stat, "unwanted blocks received", "UnwantedBlocks");
	fprintf(out, "\twantlist [%zu keys]\n", json_array_size(json_object_get(stat, "Wantlist")));
	fprintf(out, "\tpartners [%zu]\n", json_array_size(partners));
	if (api_flag(args, "verbose"))
		json_array_foreach(partners, i, partner)
			fprintf(out, "\t\t%s\n", json_string_value(partner));
}

const struct api_row api_bitswap_stat = {
	.command = { "bitswap stat", "", 0, 0, "count blocks and bytes exchanged", NULL,
		     stat_options, NULL },
	.text = bitswap_text,
	.run_daemon = daemon_run_bitswap_stat,
};

static const struct option_spec wantlist_options[] = {
	{ "peer", 'p', OPTION_TEXT, "PEER", "what that peer wants from us", NULL },
	{ 0 },
};

static void want_text(FILE *out, const json_t *args, const json_t *link)
{
	(void)args;
	fprintf(out, "%s\n", json_string_value(json_object_get(link, "/")));
}

const struct api_row api_bitswap_wantlist = {
	.command = { "bitswap wantlist", "", 0, 0, "list the blocks that are waited for", NULL,
		     wantlist_options, NULL },
	.head = "{\"Keys\":[",
	.tail = "]}",
	.text = want_text,
	.run_daemon = daemon_run_wantlist,
};

static void ledger_text(FILE *out, const json_t *args, const json_t *ledger)
{
	(void)args;
	fprintf(out,
		"Ledger for %s\nDebt ratio:\t%f\nExchanges:\t%" JSON_INTEGER_FORMAT
		"\nBytes sent:\t%" JSON_INTEGER_FORMAT "\nBytes received:\t%" JSON_INTEGER_FORMAT
		"\n",
		json_string_value(json_object_get(ledger, "Peer")),
		json_real_value(json_object_get(ledger, "Value")), api_number(ledger, "Exchanged"),
		api_number(ledger, "Sent"), api_number(ledger, "Recv"));
}

const struct api_row api_bitswap_ledger = {
	.command = { "bitswap ledger", "PEER", 1, 1, "show what was exchanged with a peer", NULL,
		     NULL, NULL },
	.words = API_PEERS,
	.text = ledger_text,
	.run_daemon = daemon_run_ledger,
};

/* ---- stats, log ---- */

static void print_group(FILE *out, const char *name, json_t *group)
{
	const char *key;
	json_t *value;

	if (!json_is_object(group))
		return;
	fprintf(out, "%s\n", name);
	json_object_foreach(group, key, value) {
		if (json_is_string(value))
			fprintf(out, "\t%s: %s\n", key, json_string_value(value));
		else if (json_is_boolean(value))
			fprintf(out, "\t%s: %s\n", key, json_is_true(value) ? "yes" : "no");
		else
			fprintf(out, "\t%s: %" JSON_INTEGER_FORMAT "\n", key,
				json_integer_value(value));
	}
}

static void stats_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *name;
	json_t *group;

	(void)args;
	json_object_foreach((json_t *)item, name, group)
		print_group(out, name, group);
}

const struct api_row api_stats = {
	.command = { "stats", "", 0, 0, "show counters of all parts of the daemon", NULL, NULL,
		     NULL },
	.text = stats_text,
	.run_daemon = daemon_run_stats,
};

static char *check_level(const json_t *args)
{
	const char *level = api_word(args, 1);

	if (level && strcmp(level, "error") && strcmp(level, "warn") && strcmp(level, "info") &&
	    strcmp(level, "debug"))
		return xstrdup("the level must be error, warn, info or debug");
	return NULL;
}

static void message_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", json_string_value(json_object_get(item, "Message")));
}

const struct api_row api_log_level = {
	.command = { "log level", "AREA LEVEL", 2, 2,
		     "set what the daemon logs: all warn, swarm debug...",
		     "Areas: all, daemon, control, swarm, bitswap, kad, store... Levels: error, "
		     "warn, info, "
		     "debug.",
		     NULL, NULL },
	.check = check_level,
	.text = message_text,
	.run_daemon = daemon_run_log_level,
};
