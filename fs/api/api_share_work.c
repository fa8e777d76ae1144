/* share sync, status, set, rm: what concerns trees that are open. Blocking, on the thread that
 * asks: a thread of the daemon when one runs. */
#include "fs/api/api_share.h"

#include "fs/api/api_ipns.h"
#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "fs/keystore.h"
#include "fs/values.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <stdlib.h>
#include <string.h>

/* ---- sync ---- */

struct telling {
	json_int_t peers;
};

static void take_told(void *ctx, const json_t *item)
{
	struct telling *telling = ctx;

	telling->peers = api_number(item, "Told");
}

/* Tells the network of the newest version. 0, or -errno with why nobody took it. */
static int tell_others(struct api_call *call, const struct share_record *record, json_int_t *peers,
		       char **why)
{
	struct api_host *host = call->host;
	char text[PEER_ID_TEXT_MAX];
	struct telling telling = { 0 };
	int err = -ENOLINK;

	if (host->ask)
		err = host->ask(host, "name-tell",
				json_pack("{s:[s]}", "arg", peer_id_text(&record->key, text)),
				api_wait(call), take_told, &telling, why);
	*peers = telling.peers;
	return err;
}

static const char *untold_text(int err, const char *why)
{
	switch (err) {
	case 0:
		return "";
	case -ENOLINK:
		return "no daemon runs";
	case -EHOSTUNREACH:
		return "there is no peer";
	default:
		return why ? why : err_text(err);
	}
}

static void run_sync(struct api_call *call)
{
	struct share_record record;
	struct tree_version before, version;
	struct share *share;
	json_int_t peers = 0;
	char *why = NULL;
	json_t *item;
	int err, told = 0;

	if (!api_share_find(call, api_word(call->args, 0), &record))
		return;
	share = api_share_open(call, &record);
	if (!share)
		return;
	shares_newest(api_repo(call), record.id, &before);
	err = tree_commit(share_tree(share), "", api_wait_long(call), &version);
	shares_release(share);
	if (err) {
		api_fail(call, err, "cannot commit %s", record.name);
		return;
	}
	if (record.publish)
		told = tell_others(call, &record, &peers, &why);
	item = api_version_json(call->args, record.name, &version);
	json_object_set_new(item, "Changes", json_boolean(version.no != before.no));
	json_object_set_new(item, "Publish", json_boolean(record.publish));
	json_object_set_new(item, "Published", json_boolean(record.publish && !told));
	json_object_set_new(item, "Told", json_integer(peers));
	json_object_set_new(item, "Reason", json_string(untold_text(told, why)));
	api_item(call, item);
	free(why);
	api_end(call, told == -EINTR ? told : 0, NULL);
}

static void sync_text(FILE *out, const json_t *args, const json_t *item)
{
	long long told = (long long)api_number(item, "Told");

	(void)args;
	fprintf(out, "%s v%lld %s tree %s ", api_member(item, "Name"),
		(long long)api_number(item, "Version"), api_member(item, "Commit"),
		api_member(item, "Tree"));
	if (json_is_true(json_object_get(item, "Changes")))
		api_version_changes(out, item);
	else
		fputs("unchanged", out);
	if (json_is_true(json_object_get(item, "Published")))
		fprintf(out, ", told to %lld peer%s, published\n", told, told == 1 ? "" : "s");
	else if (json_is_true(json_object_get(item, "Publish")))
		fprintf(out, ", told to nobody yet (%s)\n", api_member(item, "Reason"));
	else
		fputs(", not published\n", out);
}

const struct api_row api_share_sync = {
	.command = { "share sync", "NAME", 1, 1, "make a version of what changed, and tell others",
		     "It is on disk when this returns. Whom nobody could be told of it yet is told "
		     "by the daemon, as\nsoon as there is a peer.",
		     NULL, NULL },
	.flags = API_LONG,
	.text = sync_text,
	.run = run_sync,
	.run_daemon = daemon_run_job,
};

/* ---- status ---- */

/* When others took the record of the newest version: "yes", "not yet", "off". */
static const char *published(struct api_call *call, const struct share_record *record)
{
	struct name_own own = { 0 };
	bool told;

	if (!record->publish)
		return "off";
	if (name_own_get(api_repo(call)->db, &record->key, &own))
		return "not yet";
	told = own.told_ms != 0;
	name_own_release(&own);
	return told ? "yes" : "not yet";
}

/* False after the end of the call. */
static bool status_one(struct api_call *call, const struct share_record *record)
{
	struct share *share = api_share_open(call, record);
	struct tree_status status;
	json_t *item;

	if (!share)
		return false;
	tree_status(share_tree(share), &status);
	shares_release(share);
	item = api_version_json(call->args, record->name, &status.base);
	json_object_set_new(item, "Uncommitted", json_integer((json_int_t)status.dirty));
	json_object_set_new(item, "NotDurable", json_integer((json_int_t)status.uncut));
	json_object_set_new(item, "PendingBytes", json_integer((json_int_t)status.dirty_bytes));
	json_object_set_new(item, "Published", json_string(published(call, record)));
	json_object_set_new(item, "Error", json_string(status.error ? err_text(status.error) : ""));
	api_item(call, item);
	return true;
}

struct all_records {
	struct share_record at[SHARES_MAX];
	size_t count;
};

static int take_record(void *ctx, const struct share_record *record)
{
	struct all_records *all = ctx;

	if (all->count == SHARES_MAX)
		return 1;
	all->at[all->count++] = *record;
	return 0;
}

static void run_status(struct api_call *call)
{
	struct all_records *all = xnew(struct all_records);
	const char *name = api_word(call->args, 0);
	size_t i = 0;
	struct db *work;
	int err = 0;

	if (name) {
		if (!api_share_find(call, name, &all->at[all->count++]))
			goto out;
	} else {
		err = repo_work(api_repo(call), false, &work);
		err = err ? err : share_each(work, take_record, all);
		err = err == -ENOENT ? 0 : err;
	}
	/* A record that is damaged hides no other. */
	while (i < all->count && status_one(call, &all->at[i]))
		i++;
	if (i == all->count && err < 0)
		api_fail(call, err, "cannot read the shares");
	else if (i == all->count)
		api_end(call, 0, NULL);
out:
	free(all);
}

static void status_text(FILE *out, const json_t *args, const json_t *item)
{
	long long dirty = (long long)api_number(item, "Uncommitted"),
		  uncut = (long long)api_number(item, "NotDurable");
	const char *error = api_member(item, "Error"), *told = api_member(item, "Published");

	(void)args;
	fprintf(out, "%s v%lld: ", api_member(item, "Name"),
		(long long)api_number(item, "Version"));
	if (dirty)
		fprintf(out, "%lld changed entr%s in no version", dirty, dirty == 1 ? "y" : "ies");
	else
		fputs("nothing changed", out);
	if (uncut)
		fprintf(out, ", %lld not on disk yet", uncut);
	fprintf(out, "; %s\n",
		!strcmp(told, "yes")   ? "published"
		: !strcmp(told, "off") ? "not published"
				       : "not published yet");
	if (*error)
		fprintf(out, "  the last attempt to keep it failed: %s\n", error);
}

const struct api_row api_share_status = {
	.command = { "share status", "[NAME]", 0, 1,
		     "show what is not on disk, in no version, or not published yet", NULL, NULL,
		     NULL },
	.flags = API_LONG,
	.head = "{\"Shares\":[",
	.tail = "]}",
	.text = status_text,
	.run = run_status,
	.run_daemon = daemon_run_job,
};

/* ---- set ---- */

struct settings {
	bool publish, publish_given;
	uint64_t quiet_ms; /* 0: the default */
	bool quiet_given;
};

static bool names_setting(const char *assignment, const char *name, const char **value)
{
	size_t len = strlen(name);

	*value = assignment + len + 1;
	return !strncmp(assignment, name, len) && assignment[len] == '=';
}

/* NULL, or what is wrong: malloc'd. */
static char *share_work_apply(struct settings *settings, const char *assignment)
{
	const char *value;

	if (names_setting(assignment, "publish", &value)) {
		settings->publish_given = true;
		settings->publish = !strcmp(value, "on");
		return settings->publish || !strcmp(value, "off")
			       ? NULL
			       : xstrdup("publish is 'on' or 'off'");
	}
	if (names_setting(assignment, "quiet", &value)) {
		settings->quiet_given = true;
		if (parse_duration_ms(value, &settings->quiet_ms) || !settings->quiet_ms ||
		    settings->quiet_ms > TREE_COMMIT_MS)
			return xstrdup("quiet is a time like 2s, 5m at most");
		return NULL;
	}
	return xstrdup("what can be set is publish=on, publish=off and quiet=TIME");
}

static char *check_set(const json_t *args)
{
	struct settings settings;
	const char *word;
	char *why = NULL;

	for (size_t i = 1; !why && (word = api_word(args, i)); i++)
		why = share_work_apply(&settings, word);
	return why;
}

/* The newest version is told at once. */
static int publish_now(struct api_call *call, const struct share_record *record)
{
	struct share *share = NULL;
	struct api_host *host = call->host;
	struct tree_version newest;
	int err = shares_newest(api_repo(call), record->id, &newest);

	if (err || !newest.no)
		return err;
	err = shares_open(host->shares(host), record->id, api_wait(call), &share);
	if (!err)
		err = share_publish(share, &newest);
	shares_release(share);
	return err;
}

/* 0 or -errno. */
static int share_work_change(struct api_call *call, struct share_record *record,
			     const struct settings *settings)
{
	bool before = record->publish;
	struct db *work;
	int err = repo_work(api_repo(call), false, &work);

	if (!err && settings->quiet_given)
		err = shares_quiet_set(work, record->id, settings->quiet_ms);
	if (err || !settings->publish_given)
		return err;
	record->publish = settings->publish;
	err = share_set(work, record);
	return !err && record->publish && !before ? publish_now(call, record) : err;
}

static void run_set(struct api_call *call)
{
	struct settings settings = { 0 };
	struct api_host *host = call->host;
	struct share_record record;
	const char *word;
	int err;

	if (!api_share_find(call, api_word(call->args, 0), &record))
		return;
	for (size_t i = 1; (word = api_word(call->args, i)); i++)
		free(share_work_apply(&settings, word));
	err = share_work_change(call, &record, &settings);
	if (!err && settings.quiet_given) /* it holds from its next opening on */
		shares_shut(host->shares(host), record.id);
	if (err)
		api_fail(call, err, "cannot change the settings of %s", record.name);
	else
		api_end(call, 0, NULL);
}

const struct api_row api_share_set = {
	.command = { "share set", "NAME SETTING=VALUE...", 2, -1, "change how a share is kept",
		     "publish=off keeps silent about its versions from now on, publish=on tells "
		     "the "
		     "network of the newest.",
		     NULL, NULL },
	.flags = API_LONG,
	.check = check_set,
	.run = run_set,
	.run_daemon = daemon_run_job,
};

/* ---- rm ---- */

static const struct option_spec rm_options[] = {
	{ "key", 0, OPTION_FLAG, NULL, "remove its key too: nobody can go on with the name", NULL },
	{ 0 },
};

static void run_rm(struct api_call *call)
{
	struct api_host *host = call->host;
	struct share_record record;
	char key[API_IPNS_TEXT_MAX];
	struct db *work;
	int err;

	if (!api_share_find(call, api_word(call->args, 0), &record))
		return;
	err = shares_shut(host->shares(host), record.id);
	if (err == -EBUSY) {
		api_refuse(call, err, "%s is in use: unmount it first", record.name);
		return;
	}
	err = repo_work(host->repo, false, &work);
	if (!err)
		err = share_remove(work, record.id);
	if (!err && cid_is_set(&record.root))
		api_withdraw(call, &record.root);
	if (!err)
		err = shares_quiet_set(work, record.id, 0);
	if (!err && api_flag(call->args, "key"))
		err = keystore_rm(host->repo_path, record.name);
	if (err) {
		api_fail(call, err, "cannot remove share %s", record.name);
		return;
	}
	api_item(call, json_pack("{s:s, s:s, s:b}", "Name", record.name, "Id",
				 api_ipns_text(&record.key, key), "KeyRemoved",
				 (int)api_flag(call->args, "key")));
	api_end(call, 0, NULL);
}

static void rm_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *name = api_member(item, "Name");

	(void)args;
	if (json_is_true(json_object_get(item, "KeyRemoved")))
		fprintf(out, "removed %s\n", name);
	else
		fprintf(out,
			"removed %s; its key stays, and what its name tells: `dagfs key rm %s` "
			"ends "
			"both\n",
			name, name);
}

const struct api_row api_share_rm = {
	.command = { "share rm", "NAME", 1, 1, "end a share here",
		     "Its content, its versions and what is in no version are not kept any longer: "
		     "`repo gc` removes them.\nCopies of others stay.",
		     rm_options, NULL },
	.flags = API_LONG,
	.text = rm_text,
	.run = run_rm,
	.run_daemon = daemon_run_job,
};
