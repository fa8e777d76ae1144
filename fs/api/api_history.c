/* log, diff, restore: the versions of a share. The first two read records and blocks alone, in the
 * process that asks; restoring changes the tree, in the daemon when one runs. Blocking. */
#include "fs/api/api_plant.h"
#include "fs/api/api_runs.h"
#include "fs/api/api_share.h"

#include "dag/share.h"
#include "fs/cli_text.h"
#include "fs/repo.h"
#include "fs/share_version.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>

/* ---- log ---- */

static const struct option_spec log_options[] = {
	{ "max-count", 'n', OPTION_INT, "N", "show so many at most; 0: all", "0" },
	{ 0 },
};

static char *check_log(const json_t *args)
{
	return api_int(args, "max-count") < 0 ? xstrdup("--max-count is below 0") : NULL;
}

struct versions {
	struct tree_version *at; /* oldest first */
	size_t count;
};

static int take_version(void *ctx, const struct tree_version *version)
{
	struct versions *versions = ctx;

	versions->at = xrealloc(versions->at, (versions->count + 1) * sizeof(*versions->at));
	versions->at[versions->count++] = *version;
	return 0;
}

/* Who made it, and what he noted, as the commit says. Without the commit: nobody, nothing. */
static void add_commit(json_t *item, struct blocks *blocks, const struct tree_version *version)
{
	struct commit commit = { 0 };
	const struct seen_pen *pen;
	struct block *block = NULL;
	int err = blocks_get_stored(blocks, &version->commit, &block);

	if (!err)
		err = commit_decode(&commit, block->data);
	pen = err ? NULL : seen_find(&commit.seen, version->pen);
	json_object_set_new(item, "Label", json_string(pen ? pen->pen.label : ""));
	json_object_set_new(item, "Note",
			    cli_json_text(commit.note, err ? 0 : strlen(commit.note)));
	commit_release(&commit);
	block_unref(block);
}

static void run_log(struct api_call *call)
{
	json_int_t left = api_int(call->args, "max-count");
	struct versions versions = { 0 };
	struct share_record record;
	struct blocks *blocks;
	struct db *work;
	int err;

	if (!api_share_find(call, api_word(call->args, 0), &record))
		return;
	err = repo_work(api_repo(call), false, &work);
	if (!err)
		err = share_each_version(work, record.id, take_version, &versions);
	blocks = api_blocks(call, false);
	left = left && (size_t)left < versions.count ? left : (json_int_t)versions.count;
	for (size_t i = versions.count; !err && left > 0; left--) {
		json_t *item = api_version_json(call->args, record.name, &versions.at[--i]);

		add_commit(item, blocks, &versions.at[i]);
		api_item(call, item);
	}
	blocks_free(blocks);
	free(versions.at);
	if (err)
		api_fail(call, err, "cannot read the versions of %s", record.name);
	else
		api_end(call, 0, NULL);
}

static void log_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *note = api_member(item, "Note");
	char size[32], safe[4 * COMMIT_NOTE_MAX + 1];

	(void)args;
	fprintf(out, "v%lld  %s  %s  +%lld ~%lld -%lld  %s", (long long)api_number(item, "Version"),
		api_member(item, "Time"), api_member(item, "Label"),
		(long long)api_number(item, "Added"), (long long)api_number(item, "Changed"),
		(long long)api_number(item, "Removed"),
		progress_size((uint64_t)api_number(item, "NewBytes"), size));
	if (*note)
		fprintf(out, "  %s", cli_safe(safe, sizeof(safe), note, strlen(note)));
	putc('\n', out);
}

const struct api_row api_log = {
	.command = { "log", "NAME", 1, 1, "list the versions of a share, the newest first",
		     "After the time and who made it: entries that came, changed and went, and "
		     "bytes "
		     "that are new.\nOf old versions one in 10 minutes, an hour, then a day is "
		     "kept.",
		     log_options, NULL },
	.head = "{\"Versions\":[",
	.tail = "]}",
	.check = check_log,
	.text = log_text,
	.run = run_log,
};

/* ---- diff ---- */

/* A word like NAME@V. False after the end of the call. */
static bool find_version(struct api_call *call, const char *word, struct share_record *record,
			 struct tree_version *version, bool *given)
{
	char *text, *path, *name = api_share_split(word, &text, &path);
	bool found = false;

	*given = text != NULL;
	if (path)
		api_refuse(call, API_USAGE, "diff compares whole versions: NAME@V, without a path");
	else
		found = api_share_find(call, name, record) &&
			api_share_version(call, record, text, version);
	free(name);
	return found;
}

static const char *const kinds[] = {
	[TREE_ADDED] = "added", [TREE_CHANGED] = "changed", [TREE_REMOVED] = "removed"
};

static int diff_item(void *ctx, const struct tree_diff_item *item)
{
	struct api_call *call = ctx;

	api_item(call,
		 json_pack("{s:s, s:o, s:s, s:I, s:I}", "Type", kinds[item->what], "Path",
			   json_string_nocheck(item->path), "Kind",
			   S_ISDIR(item->type)	 ? "directory"
			   : S_ISLNK(item->type) ? "symlink"
						 : "file",
			   "Before", (json_int_t)item->before, "After", (json_int_t)item->after));
	return 0;
}

/* Which two: NAME@V with the newest, or both that are given; NAME alone: the newest with the one
 * before it. False after the end of the call. */
static bool history_choose(struct api_call *call, struct tree_version *before,
			   struct tree_version *after)
{
	const char *second = api_word(call->args, 1);
	struct share_record record, other;
	bool given;

	if (!find_version(call, api_word(call->args, 0), &record, before, &given))
		return false;
	if (second)
		return find_version(call, second, &other, after, &given);
	if (given)
		return api_share_version(call, &record, NULL, after);
	*after = *before;
	*before = (struct tree_version){ 0 };
	return after->no <= 1 || api_share_version(call, &record, "-1", before);
}

static void run_diff(struct api_call *call)
{
	struct tree_version before, after;
	struct blocks *blocks;
	int err;

	if (!history_choose(call, &before, &after))
		return;
	blocks = api_blocks(call, true);
	err = tree_diff(blocks, &before.state, &after.state, api_wait(call), diff_item, call);
	blocks_free(blocks);
	if (err)
		api_fail(call, err, "cannot compare the versions");
	else
		api_end(call, 0, NULL);
}

static void diff_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *path = json_object_get(item, "Path");
	const char *type = api_member(item, "Type");
	struct buf safe = { 0 };

	(void)args;
	cli_add_safe(&safe, json_string_value(path), json_string_length(path));
	fprintf(out, "%c %.*s%s\n",
		*type == 'a'   ? '+'
		: *type == 'c' ? '~'
			       : '-',
		(int)safe.len, (const char *)safe.at,
		strcmp(api_member(item, "Kind"), "directory") ? "" : "/");
	buf_release(&safe);
}

const struct api_row api_diff = {
	.command = { "diff", "NAME[@V] [NAME@V]", 1, 2, "show what differs between two versions",
		     "With NAME@V what changed since that version, with NAME what the newest "
		     "changed: "
		     "+ came, ~ changed,\n- went. V is a number, -N for N before the newest, or a "
		     "time.",
		     NULL, NULL },
	.flags = API_STREAMS,
	.head = "{\"Differences\":[",
	.tail = "]}",
	.text = diff_text,
	.run = run_diff,
};

/* ---- restore ---- */

static const struct option_spec restore_options[] = {
	{ "to", 0, OPTION_TEXT, "DIR", "a directory of the share to put it into; else its own",
	  NULL },
	{ 0 },
};

static char *check_restore(const json_t *args)
{
	return strchr(api_word(args, 0), '@') ? NULL
					      : xstrdup("of which version? NAME@V/PATH tells it");
}

/* The directory path, made with those above it: node has a reference more. */
static int make_dirs(struct api_call *call, struct share *share, const char *path, uint64_t *node)
{
	static const struct tree_new how = { .mode = S_IFDIR | 0755 };
	struct tree *tree = share_tree(share);
	uint64_t dir = TREE_ROOT;
	int err = 0;

	while (!err && *path) {
		struct bytes name = bytes_of((const uint8_t *)path, strcspn(path, "/"));
		struct tree_attr attr;

		path += name.len + strspn(path + name.len, "/");
		err = tree_lookup(tree, dir, name, api_wait(call), &attr);
		if (err == -ENOENT) {
			err = tree_create(tree, dir, name, &how, api_wait(call), &attr);
			if (!err)
				share_changed(share, TREE_ENTRY, dir, name, 0);
		}
		if (!err && !S_ISDIR(attr.mode)) {
			tree_forget(tree, attr.node, 1);
			err = -ENOTDIR;
		}
		if (!err && dir != TREE_ROOT)
			tree_forget(tree, dir, 1);
		if (!err)
			dir = attr.node;
	}
	if (err && dir != TREE_ROOT)
		tree_forget(tree, dir, 1);
	*node = dir;
	return err;
}

/* What is to be restored, on its way. */
struct restoring {
	struct api_call *call;
	struct share *share;
	struct tree_version version;
	char *path;	  /* within the version, cleaned, without slashes at its ends; "": all */
	char *dir;	  /* within the share; "": its top */
	const char *name; /* the last part of path */
	struct api_plant plant;
};

/* path and dir as the share's own. False after the end of the call. */
static bool read_paths(struct restoring *restoring, const char *path)
{
	const char *to = api_text(restoring->call->args, "to");
	char clean[DAG_PATH_MAX + 8], *slash;

	if (dag_path_clean(path ? path : "", clean)) {
		api_refuse(restoring->call, -ENAMETOOLONG, "the path is too long");
		return false;
	}
	restoring->path = xstrdup(clean + strspn(clean, "/"));
	slash = strrchr(restoring->path, '/');
	restoring->name = slash ? slash + 1 : restoring->path;
	if (to && dag_path_clean(to, clean)) {
		api_refuse(restoring->call, -ENAMETOOLONG, "--to is too long");
		return false;
	}
	restoring->dir =
		to	? xstrdup(clean + strspn(clean, "/"))
		: slash ? xasprintf("%.*s", (int)(slash - restoring->path), restoring->path)
			: xstrdup("");
	return true;
}

static int plant_it(struct restoring *restoring)
{
	struct api_plant *plant = &restoring->plant;
	struct wait *wait = api_wait(restoring->call);
	struct cid cid;
	uint64_t dir;
	int err = dag_resolve(plant->blocks, &restoring->version.root, restoring->path, wait, &cid,
			      NULL);

	if (!err)
		err = api_plant_from_state(plant, &restoring->version.state, restoring->path);
	if (!err)
		err = make_dirs(restoring->call, restoring->share, restoring->dir, &dir);
	if (err)
		return err;
	err = *restoring->path ? api_plant(plant, dir, bytes_str(restoring->name), &cid)
			       : api_plant_below(plant, dir, &cid);
	if (dir != TREE_ROOT)
		tree_forget(share_tree(restoring->share), dir, 1);
	return err;
}

static void tell_restored(struct restoring *restoring, int err)
{
	struct api_call *call = restoring->call;
	char safe[DAG_PATH_MAX * 4 + 1];
	const char *path = restoring->path;
	long long no = (long long)restoring->version.no;

	cli_safe(safe, sizeof(safe), *path ? path : "/", *path ? strlen(path) : 1);
	if (err == -ENOENT) {
		api_refuse(call, err, "v%lld has no %s", no, safe);
		return;
	}
	if (err == -EISDIR) {
		api_refuse(
			call, err,
			"a directory stands where a file of %s is to be: move it away, or restore "
			"elsewhere by --to",
			safe);
		return;
	}
	if (err) {
		api_fail(call, err, "cannot restore %s of v%lld", safe, no);
		return;
	}
	api_item(call, json_pack("{s:o, s:I, s:I}", "Path", json_string_nocheck(path), "Version",
				 (json_int_t)no, "Files", (json_int_t)restoring->plant.files));
	api_end(call, 0, NULL);
}

static void history_restore(struct restoring *restoring)
{
	struct api_call *call = restoring->call;
	struct tree_version version;
	char *note = xasprintf("restored from v%llu", (unsigned long long)restoring->version.no);
	int err;

	restoring->plant = (struct api_plant){ .call = call, .share = restoring->share };
	restoring->plant.blocks = api_blocks(call, true);
	err = plant_it(restoring);
	if (!err)
		err = tree_commit(share_tree(restoring->share), note, api_wait_long(call),
				  &version);
	api_plant_release(&restoring->plant);
	blocks_free(restoring->plant.blocks);
	free(note);
	tell_restored(restoring, err);
}

static void run_restore(struct api_call *call)
{
	char *text, *path, *name = api_share_split(api_word(call->args, 0), &text, &path);
	struct restoring restoring = { .call = call };
	struct share_record record;

	if (api_share_find(call, name, &record) &&
	    api_share_version(call, &record, text, &restoring.version) &&
	    read_paths(&restoring, path) && (restoring.share = api_share_open(call, &record))) {
		struct share *share = restoring.share;

		history_restore(&restoring);
		shares_release(share);
	}
	free(restoring.path);
	free(restoring.dir);
	free(name);
}

static void restore_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *path = api_member(item, "Path");
	long long files = (long long)api_number(item, "Files");
	char safe[DAG_PATH_MAX * 4 + 1];

	(void)args;
	fprintf(out, "restored %s from v%lld",
		*path ? cli_safe(safe, sizeof(safe), path, strlen(path)) : "everything",
		(long long)api_number(item, "Version"));
	if (files != 1)
		fprintf(out, ", %lld files", files);
	putc('\n', out);
}

const struct api_row api_restore = {
	.command = { "restore", "NAME@V[/PATH]", 1, 1, "bring back what a version of a share had",
		     "A file comes back as it was; of a directory everything that was in it, and "
		     "what "
		     "came since stays. V is\na number, -N for N before the newest, or a time. It "
		     "is a "
		     "change like others, and makes a version.",
		     restore_options, NULL },
	.flags = API_LONG,
	.check = check_restore,
	.text = restore_text,
	.run = run_restore,
	.run_daemon = daemon_run_job,
};
