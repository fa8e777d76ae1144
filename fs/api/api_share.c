/* What calls about shares have in common, and those that make, list and end them. Blocking, on the
 * thread that asks: a thread of the daemon when one runs, for trees are open in one process. */
#include "fs/api/api_share.h"

#include "fs/api/api_ipns.h"
#include "fs/api/api_plant.h"
#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "fs/keystore.h"
#include "fs/share_version.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 512

/* ---- finding and opening ---- */

static const char *shown(const char *text, char out[static SHOWN_MAX])
{
	return cli_safe(out, SHOWN_MAX, text, strlen(text));
}

bool api_share_find(struct api_call *call, const char *text, struct share_record *out)
{
	char safe[SHOWN_MAX];
	int err = shares_find(api_repo(call), text, out);

	if (err == -ENOENT)
		api_refuse(call, err, "there is no share '%s': `dagfs share ls` lists them",
			   shown(text, safe));
	else if (err)
		api_fail(call, err, "cannot read the shares");
	return !err;
}

void api_share_fail(struct api_call *call, int err, const char *name)
{
	if (err == -EBUSY)
		api_refuse(call, err,
			   "another process has share '%s' open: try again when it ended", name);
	else if (err == -ENOKEY)
		api_refuse(
			call, err,
			"the key of share '%s' is not in the keystore: `dagfs key import` brings "
			"it back",
			name);
	else
		api_fail(call, err, "cannot open share '%s'", name);
}

struct share *api_share_open(struct api_call *call, const struct share_record *record)
{
	struct api_host *host = call->host;
	struct share *share;
	int err = shares_open(host->shares(host), record->id, api_wait(call), &share);

	if (!err)
		return share;
	api_share_fail(call, err, record->name);
	return NULL;
}

bool api_share_version(struct api_call *call, const struct share_record *record, const char *text,
		       struct tree_version *out)
{
	char safe[SHOWN_MAX];
	struct db *work;
	int err = repo_work(api_repo(call), false, &work);

	if (!err)
		err = share_version_find(work, record->id, text ? text : "", out);
	if (err == -EINVAL)
		api_refuse(
			call, err,
			"'%s' is no version: a number, -N for N before the newest, or a time like "
			"2026-11-21T10:02",
			shown(text, safe));
	else if (err == -ENOENT && text && *text)
		api_refuse(call, err, "%s has no version '%s': `dagfs log %s` lists them",
			   record->name, shown(text, safe), record->name);
	else if (err == -ENOENT)
		api_refuse(call, err, "%s has no version yet: `dagfs share sync %s` makes one",
			   record->name, record->name);
	else if (err)
		api_fail(call, err, "cannot read the versions of %s", record->name);
	return !err;
}

char *api_share_split(const char *word, char **version, char **path)
{
	char *name = xstrdup(word), *at;

	*version = *path = NULL;
	at = strchr(name, '@');
	if (!at)
		return name;
	*at = 0;
	*version = at + 1;
	at = strchr(at + 1, '/');
	if (at) {
		*at = 0;
		*path = at + 1;
	}
	return name;
}

/* ---- versions as items ---- */

static json_t *cid_json(const json_t *args, const struct cid *cid)
{
	char text[CID_TEXT_MAX];

	return cid_is_set(cid) ? json_string(api_cid_text(args, cid, text)) : json_string("");
}

json_t *api_version_json(const json_t *args, const char *name, const struct tree_version *version)
{
	char time[STAMP_TEXT_MAX];

	return json_pack("{s:s, s:I, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "Name", name,
			 "Version", (json_int_t)version->no, "Time",
			 version->stamp ? stamp_text(version->stamp, time) : "", "Commit",
			 cid_json(args, &version->commit), "Tree", cid_json(args, &version->root),
			 "Added", (json_int_t)version->added, "Changed",
			 (json_int_t)version->changed, "Removed", (json_int_t)version->removed,
			 "NewBytes", (json_int_t)version->new_bytes, "Files",
			 (json_int_t)version->files, "Size", (json_int_t)version->size);
}

void api_version_changes(FILE *out, const json_t *item)
{
	char size[32];

	fprintf(out, "+%lld ~%lld -%lld files, %s new", (long long)api_number(item, "Added"),
		(long long)api_number(item, "Changed"), (long long)api_number(item, "Removed"),
		progress_size((uint64_t)api_number(item, "NewBytes"), size));
}

/* ---- create ---- */

static const struct option_spec create_options[] = {
	{ "from", 0, OPTION_TEXT, "PATH", "begin with the content of a directory in the network",
	  NULL },
	{ "label", 0, OPTION_TEXT, "LABEL",
	  "who writes here, as the log tells: 1 to 12 of a-z and 0-9; else the login name", NULL },
	{ "publish", 0, OPTION_FLAG, NULL, "tell the network of its versions", "true" },
	{ 0 },
};

static bool is_text_of(const char *text, const char *allowed)
{
	return *text && !text[strspn(text, allowed)];
}

static char *check_create(const json_t *args)
{
	static const char names[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *name = api_word(args, 0), *label = api_text(args, "label");
	struct peer_id id;
	struct cid cid;

	if (strlen(name) > SHARE_NAME_MAX || !is_text_of(name, names) || !strcmp(name, ".") ||
	    !strcmp(name, "..") || *name == '-')
		return xasprintf("a share's name is 1 to %d letters, digits, '.', '_' and '-'",
				 SHARE_NAME_MAX);
	if (!strcmp(name, SHARE_MY) || !strcmp(name, "self"))
		return xasprintf("'%s' is not free as a name", name);
	if (!cid_from_text(&cid, name) || !peer_id_from_text(&id, name))
		return xstrdup("that name is a CID: take one that is none");
	if (label && (strlen(label) > SHARE_LABEL_MAX ||
		      !is_text_of(label, "abcdefghijklmnopqrstuvwxyz0123456789")))
		return xasprintf("--label is 1 to %d of a-z and 0-9", SHARE_LABEL_MAX);
	return NULL;
}

/* False after the end of the call. */
static bool api_share_make(struct api_call *call, struct share_record *record)
{
	int err = shares_make(api_repo(call), record);

	if (err == -EEXIST)
		api_refuse(call, err, "there is a share named %s already", record->name);
	else if (err == -EKEYREJECTED)
		api_refuse(
			call, err,
			"there is a key named %s already: take another name, or `dagfs key rename "
			"%s` first",
			record->name, record->name);
	else if (err == -EMFILE)
		api_refuse(call, err, "there are %d shares already, which is the most", SHARES_MAX);
	else if (err)
		api_fail(call, err, "cannot make share %s", record->name);
	return !err;
}

/* Content of from becomes that of the share; its blocks are kept by the first version, and until
 * then by a pin. */
static int share_fill(struct api_call *call, struct share *share, const struct cid *from)
{
	struct api_plant plant = { .call = call, .share = share };
	struct tree_version version;
	int err;

	plant.blocks = api_blocks(call, true);
	err = api_plant_hold(&plant, from, "share create --from");
	if (!err)
		err = api_plant_below(&plant, TREE_ROOT, from);
	if (!err)
		err = tree_commit(share_tree(share), "created", api_wait_long(call), &version);
	api_plant_release(&plant);
	blocks_free(plant.blocks);
	return err;
}

/* The content to begin with is found before anything is made. False after the end of the call. */
static bool find_from(struct api_call *call, struct cid *from)
{
	const char *path = api_text(call->args, "from");
	struct blocks *blocks;
	struct dag_stat stat;
	int err, found;

	if (!path)
		return true;
	blocks = api_blocks(call, true);
	found = api_resolve(call, blocks, path, from);
	err = found ? 0 : dag_stat(blocks, from, api_wait(call), &stat);
	blocks_free(blocks);
	if (!found && !err && stat.type != DAG_DIRECTORY)
		err = -ENOTDIR;
	if (err == -ENOTDIR)
		api_refuse(call, err, "%s is no directory", path);
	else if (err)
		api_fail(call, err, "cannot read %s", path);
	return !found && !err;
}

static void undo(struct api_call *call, const struct share_record *record)
{
	struct api_host *host = call->host;
	struct db *work;

	shares_shut(host->shares(host), record->id);
	if (repo_work(host->repo, false, &work) == 0 && share_remove(work, record->id) == 0)
		keystore_rm(host->repo_path, record->name);
}

static void run_create(struct api_call *call)
{
	const char *name = api_word(call->args, 0), *label = api_text(call->args, "label");
	struct share_record record = { .publish = api_flag(call->args, "publish") };
	struct cid from = { 0 };
	char key[API_IPNS_TEXT_MAX];
	struct tree_version version;
	struct share *share;
	int err = 0;

	snprintf(record.name, sizeof(record.name), "%s", name);
	snprintf(record.label, sizeof(record.label), "%s", label ? label : "");
	if (!find_from(call, &from) || !api_share_make(call, &record))
		return;
	share = api_share_open(call, &record);
	if (!share)
		return;
	if (cid_is_set(&from))
		err = share_fill(call, share, &from);
	if (!err)
		err = tree_commit(share_tree(share), "created", api_wait_long(call), &version);
	shares_release(share);
	if (err) {
		undo(call, &record);
		api_fail(call, err, "cannot make the first version of %s", record.name);
		return;
	}
	api_item(call, json_pack("{s:s, s:s, s:s}", "Name", record.name, "Id",
				 api_ipns_text(&record.key, key), "Label", record.label));
	api_end(call, 0, NULL);
}

static void create_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "created %s /ipns/%s\n", api_member(item, "Name"), api_member(item, "Id"));
}

const struct api_row api_share_create = {
	.command = { "share create", "NAME", 1, 1, "make a directory that others can follow",
		     "NAME is what it is called here; what others know is the name that is "
		     "printed. "
		     "`dagfs mount NAME DIR`\nshows it, and what is written there becomes a "
		     "version "
		     "when it was quiet for 2 s, or by `share sync`.\nWithout --publish=false the "
		     "network is told of each version. Its key is kept as `dagfs key` NAME.",
		     create_options, NULL },
	.flags = API_LONG,
	.check = check_create,
	.text = create_text,
	.run = run_create,
	.run_daemon = daemon_run_job,
};

/* ---- ls, info ---- */

static json_t *record_json(struct api_call *call, const struct share_record *record)
{
	struct tree_version newest;
	char key[API_IPNS_TEXT_MAX];
	json_t *item;

	shares_newest(api_repo(call), record->id, &newest);
	item = api_version_json(call->args, record->name, &newest);
	json_object_set_new(item, "Id", json_string(api_ipns_text(&record->key, key)));
	json_object_set_new(item, "Label", json_string(record->label));
	json_object_set_new(item, "Publish", json_boolean(record->publish));
	json_object_set_new(item, "Writable", json_boolean(record->owner));
	return item;
}

static int list_one(void *ctx, const struct share_record *record)
{
	struct api_call *call = ctx;

	api_item(call, record_json(call, record));
	return 0;
}

static void run_ls(struct api_call *call)
{
	struct db *work;
	int err = repo_work(api_repo(call), false, &work);

	if (!err)
		err = share_each(work, list_one, call);
	if (err && err != -ENOENT)
		api_fail(call, err, "cannot read the shares");
	else
		api_end(call, 0, NULL);
}

static void ls_text(FILE *out, const json_t *args, const json_t *item)
{
	char size[32];

	(void)args;
	fprintf(out, "%s /ipns/%s v%lld, %lld files, %s\n", api_member(item, "Name"),
		api_member(item, "Id"), (long long)api_number(item, "Version"),
		(long long)api_number(item, "Files"),
		progress_size((uint64_t)api_number(item, "Size"), size));
}

const struct api_row api_share_ls = {
	.command = { "share ls", "", 0, 0, "list the shares", NULL, NULL, NULL },
	.head = "{\"Shares\":[",
	.tail = "]}",
	.text = ls_text,
	.run = run_ls,
};

static void run_info(struct api_call *call)
{
	struct share_record record;

	if (!api_share_find(call, api_word(call->args, 0), &record))
		return;
	api_item(call, record_json(call, &record));
	api_end(call, 0, NULL);
}

static void info_text(FILE *out, const json_t *args, const json_t *item)
{
	char size[32];

	(void)args;
	fprintf(out, "Name:    %s\nId:      /ipns/%s\nLabel:   %s\nPublish: %s\n",
		api_member(item, "Name"), api_member(item, "Id"), api_member(item, "Label"),
		json_is_true(json_object_get(item, "Publish")) ? "on" : "off");
	if (!api_number(item, "Version")) {
		fputs("Version: none yet\n", out);
		return;
	}
	fprintf(out, "Version: %lld of %s\nCommit:  %s\nTree:    %s\nContent: %lld files, %s\n",
		(long long)api_number(item, "Version"), api_member(item, "Time"),
		api_member(item, "Commit"), api_member(item, "Tree"),
		(long long)api_number(item, "Files"),
		progress_size((uint64_t)api_number(item, "Size"), size));
}

const struct api_row api_share_info = {
	.command = { "share info", "NAME", 1, 1, "show what a share is, and its newest version",
		     NULL, NULL, NULL },
	.text = info_text,
	.run = run_info,
};
