/* name publish, name resolve. Records are made here, where the keys are; the daemon tells the
 * network of them. Blocking, on the thread that asks. */
#include "fs/api/api_ipns.h"
#include "fs/api/api_names.h"
#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "fs/keystore.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <stdlib.h>
#include <string.h>

#define IPNS "/ipns/"
#define ASK_MS                                                                                     \
	10000 /* the longest search for what others have of our name, before it is published */
#define SHOWN_MAX 512

/* ---- publish ---- */

static const struct option_spec publish_options[] = {
	{ "key", 'k', OPTION_TEXT, "KEY", "its name, or its id as `key list -l` shows it",
	  KEY_SELF },
	{ "resolve", 0, OPTION_FLAG, NULL, "look first whether the path leads somewhere", "true" },
	{ "lifetime", 't', OPTION_DURATION, "TIME",
	  "how long the record is good; else Ipns.RecordLifetime", NULL },
	{ "ttl", 0, OPTION_DURATION, "TIME", "how long others may remember it without asking again",
	  "5m" },
	{ "quieter", 'Q', OPTION_FLAG, NULL, "print the name alone", NULL },
	{ "v1compat", 0, OPTION_FLAG, NULL, "with what readers of the first signature want",
	  "true" },
	{ "allow-offline", 0, OPTION_FLAG, NULL,
	  "also when nobody can be told: that is done when a daemon has a peer", NULL },
	{ "sequence", 0, OPTION_INT, "N", "of the record; above the last one's", NULL },
	API_IPNS_BASE,
	{ 0 },
};

static char *check_publish(const json_t *args)
{
	json_t *lifetime = json_object_get(args, "lifetime");

	if (lifetime && json_integer_value(lifetime) == 0)
		return xstrdup("--lifetime is 0: the record would be good for nobody");
	if (api_int(args, "sequence") < 0)
		return xstrdup("--sequence is below 0");
	return api_ipns_base_check(args);
}

/* One publishing, on its way. */
struct publishing {
	struct api_call *call;
	struct api_host *host;
	struct private_key *key;
	struct peer_id name;
	char *value;
	bool offline;	  /* nobody can be told */
	struct buf known; /* the best record that others have of the name */
};

/* What is published: a path that others understand, too. NULL after the end of the call. */
static char *value_of(struct api_call *call, const char *path)
{
	char text[API_IPNS_TEXT_MAX], clean[DAG_PATH_MAX + 8], safe[SHOWN_MAX];
	const char *why = "path is too long", *rest;
	struct dag_path parsed;
	struct peer_id name;
	char *first, *out;
	int err;

	if (!api_is_name(path)) {
		if (dag_path_parse(path, &parsed, &why) == 0)
			return xstrdup(parsed.text);
		api_refuse(call, -EINVAL, "invalid path \"%s\": %s",
			   cli_safe(safe, sizeof(safe), path, strlen(path)), why);
		return NULL;
	}
	err = dag_path_clean(path + strlen(IPNS), clean); /* ipns:// is as long, but for a slash */
	if (err || !clean[0]) {
		api_refuse(call, -EINVAL, err ? "path is too long" : "path has no name");
		return NULL;
	}
	rest = clean + 1 + strcspn(clean + 1, "/");
	first = xasprintf("%.*s", (int)(rest - clean - 1), clean + 1);
	err = api_ipns_find(call->host, first, &name);
	out = xasprintf(IPNS "%s%s", err ? first : api_ipns_text(&name, text), rest);
	free(first);
	return out;
}

/* False after the end of the call. */
static bool leads_somewhere(struct publishing *publishing)
{
	struct api_call *call = publishing->call;
	struct blocks *blocks = api_blocks(call, true);
	struct block *block = NULL;
	struct cid cid;
	int err = api_resolve(call, blocks, publishing->value, &cid), missing = 0;

	if (!err) {
		missing = blocks_get(blocks, &cid, api_wait(call), &block);
		block_unref(block);
	}
	blocks_free(blocks);
	if (missing)
		api_fail(call, missing, "cannot read %s", publishing->value);
	return !err && !missing;
}

/* 0 whatever came of it, or -EINTR. */
static int take_known(struct publishing *publishing)
{
	const struct api_name_want want = { .no_cache = true, .search_ms = ASK_MS };
	char *why = NULL;
	int err = api_name_record(publishing->host, &publishing->name, false, &want,
				  api_wait(publishing->call), &publishing->known, &why);

	free(why);
	publishing->offline = err == -ENOLINK || err == -ENOTSUP;
	return err == -EINTR ? err : 0;
}

static int name_make(struct publishing *publishing)
{
	const json_t *args = publishing->call->args;
	struct repo *repo = publishing->host->repo;
	struct name_new new = {
		.value = bytes_str(publishing->value),
		.ttl_ms = (uint64_t)api_int(args, "ttl"),
		.lifetime_ms = json_object_get(args, "lifetime")
				       ? (uint64_t)api_int(args, "lifetime")
				       : config_duration_ms(repo->config, "Ipns.RecordLifetime"),
		.sequence_given = json_object_get(args, "sequence") != NULL,
		.sequence = (uint64_t)api_int(args, "sequence"),
		.without_v1 = !api_flag(args, "v1compat"),
		.known = buf_bytes(&publishing->known),
	};

	return name_own_make(repo->db, publishing->key, &new, wallclock_ns(), NULL);
}

/* It is stored; now others are told. 0 or -errno. */
static int name_tell(struct publishing *publishing, char **why)
{
	char text[PEER_ID_TEXT_MAX];
	struct api_host *host = publishing->host;

	if (!host->ask)
		return -ENOLINK;
	return host->ask(host, "name-tell",
			 json_pack("{s:[s]}", "arg", peer_id_text(&publishing->name, text)),
			 api_wait(publishing->call), NULL, NULL, why);
}

static void name_publish(struct publishing *publishing)
{
	struct api_call *call = publishing->call;
	bool allow = api_flag(call->args, "allow-offline");
	char *why = NULL;
	int err;

	err = take_known(publishing);
	if (err) {
		api_end(call, err, NULL);
		return;
	}
	if (publishing->offline && !allow) {
		api_refuse(call, -ENETDOWN,
			   "can't publish while offline: pass `--allow-offline` to override");
		return;
	}
	err = name_make(publishing);
	if (err == -ERANGE) {
		api_refuse(call, err, "the sequence must be above that of the last record");
		return;
	}
	if (err) {
		api_fail(call, err, "cannot make the record");
		return;
	}
	err = name_tell(publishing, &why);
	if (err && err != -EINTR && allow)
		err = 0;
	if (!err)
		api_item(call,
			 json_pack("{s:o, s:o}", "Name", api_ipns_id(call->args, &publishing->name),
				   "Value", json_string_nocheck(publishing->value)));
	if (err)
		api_refuse(call, err,
			   "published here, but nobody else was told (%s): that is done as soon as "
			   "there is a peer that takes it; --allow-offline makes this no error",
			   why ? why : err_text(err));
	else
		api_end(call, 0, NULL);
	free(why);
}

static void run_publish(struct api_call *call)
{
	struct publishing publishing = { .call = call, .host = call->host };
	int err = api_ipns_key(call->host, api_text(call->args, "key"), &publishing.key);

	if (err == -ENOENT)
		api_refuse(call, err, "no key by the given name was found");
	else if (err)
		api_fail(call, err, "cannot read the key");
	if (err)
		return;
	peer_id_of_key(&publishing.name, private_key_public(publishing.key));
	publishing.value = value_of(call, api_word(call->args, 0));
	if (publishing.value && (!api_flag(call->args, "resolve") || leads_somewhere(&publishing)))
		name_publish(&publishing);
	free(publishing.value);
	buf_release(&publishing.known);
	private_key_free(publishing.key);
}

static void publish_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *value = api_member(item, "Value");
	char safe[DAG_PATH_MAX * 4 + 64];

	if (api_flag(args, "quieter"))
		fprintf(out, "%s\n", api_member(item, "Name"));
	else
		fprintf(out, "Published to %s: %s\n", api_member(item, "Name"),
			cli_safe(safe, sizeof(safe), value, strlen(value)));
}

const struct api_row api_name_publish = {
	.command = { "name publish", "PATH", 1, 1, "let a name lead to a path",
		     "The record is signed with the key, kept, and told to the network; the daemon "
		     "tells it again in\ntime. Others then read /ipns/NAME.",
		     publish_options, NULL },
	.check = check_publish,
	.text = publish_text,
	.run = run_publish,
};

/* ---- resolve ---- */

static const struct option_spec resolve_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "until it is no name; false: one step", "true" },
	{ "nocache", 'n', OPTION_FLAG, NULL, "remembered records do not count", NULL },
	API_NAME_SEARCH_OPTIONS,
	{ "stream", 's', OPTION_FLAG, NULL, "print each better path as it is found", NULL },
	{ 0 },
};

struct api_name_want api_name_want_of(const json_t *args)
{
	json_int_t records = api_int(args, "dht-record-count");

	return (struct api_name_want){ .no_cache = api_flag(args, "nocache"),
				       .records = records ? records : -1,
				       .search_ms = (uint64_t)api_int(args, "dht-timeout") };
}

char *api_name_search_check(const json_t *args)
{
	json_int_t records = api_int(args, "dht-record-count");

	return records >= 0 && records <= INT32_MAX ? NULL
						    : xstrdup("--dht-record-count: no such number");
}

/* A search whose better paths are told as they come. */
struct streaming {
	struct api_call *call;
	const char *rest; /* of the path that was asked for, behind the name */
	char *last;	  /* the path that was told last */
};

static void path_item(struct streaming *streaming, const char *path)
{
	if (streaming->last && strcmp(streaming->last, path) == 0)
		return;
	free(streaming->last);
	streaming->last = xstrdup(path);
	api_item(streaming->call, json_pack("{s:o}", "Path", json_string_nocheck(path)));
}

static void on_found(void *ctx, const char *path)
{
	struct streaming *streaming = ctx;
	char *whole;

	if (api_is_name(path) && api_flag(streaming->call->args, "recursive"))
		return; /* told when it is resolved */
	whole = xasprintf("%s%s", path, streaming->rest);
	path_item(streaming, whole);
	free(whole);
}

static void run_resolve(struct api_call *call)
{
	struct api_host *host = call->host;
	const char *word = api_word(call->args, 0);
	bool recursive = api_flag(call->args, "recursive");
	char self[PEER_ID_TEXT_MAX], *path, *out, *why = NULL;
	struct api_name_want want = api_name_want_of(call->args);
	struct streaming streaming = { .call = call };
	struct peer_id id;
	int err;

	peer_id_of_identity(&id, host->repo->identity);
	word = word ? word : peer_id_text(&id, self);
	path = api_is_name(word) ? xstrdup(word) : xasprintf(IPNS "%s", word);
	streaming.rest = path + strlen(IPNS) + strcspn(path + strlen(IPNS), "/");
	if (api_flag(call->args, "stream") && strncmp(path, IPNS, strlen(IPNS)) == 0) {
		want.found = on_found;
		want.ctx = &streaming;
	}
	err = api_name_resolve(host, path, recursive ? API_NAME_STEPS_MAX : 1, &want,
			       api_wait(call), &out, NULL, &why);
	if (!err)
		path_item(&streaming, out);
	free(streaming.last);
	free(path);
	free(out);
	api_end(call, err, why);
	free(why);
}

static void resolve_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", api_member(item, "Path"));
}

const struct api_row api_name_resolve_row = {
	.command = { "name resolve", "[NAME]", 0, 1, "tell where a name leads",
		     "NAME is a key's id, the name of an own key, or a domain; without it this "
		     "node's own. Without a\ndaemon only own names and followed ones are known.",
		     resolve_options, NULL },
	.flags = API_STREAMS,
	.check = api_name_search_check,
	.text = resolve_text,
	.run = run_resolve,
};
