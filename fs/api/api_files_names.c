/* files rm, mv, touch, chmod: names and attributes. What is removed with all below it is emptied
 * directory by directory, which wait in a list. */
#include "fs/api/api_files.h"

#include "fs/api/api_runs.h"
#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256 /* of a directory that is emptied, at a time */

/* ---- rm ---- */

/* A directory that is emptied, and then removed from the one above it. */
struct emptied {
	struct list node;
	uint64_t dir, parent;
	char name[TREE_NAME_MAX + 1];
};

struct some_names {
	char at[NAMES_MAX][TREE_NAME_MAX + 1];
	size_t count;
};

static int take_name(void *ctx, const struct tree_item *item)
{
	struct some_names *names = ctx;
	char *name = names->at[names->count];

	memcpy(name, item->name.at, item->name.len);
	name[item->name.len] = 0;
	return ++names->count == NAMES_MAX;
}

static int unlink_one(struct files *files, uint64_t dir, struct bytes name, bool dir_wanted)
{
	int err = tree_unlink(files->tree, dir, name, dir_wanted, api_wait(files->call));

	if (!err)
		share_changed(files->share, TREE_ENTRY, dir, name, 0);
	return err;
}

/* Removes what is no directory; a directory comes to the front of the list. */
static int take_away(struct files *files, struct list *list, uint64_t dir, const char *name)
{
	struct tree_attr attr;
	struct emptied *emptied;
	int err = tree_lookup(files->tree, dir, bytes_str(name), api_wait(files->call), &attr);

	if (err)
		return err;
	if (!S_ISDIR(attr.mode)) {
		err = unlink_one(files, dir, bytes_str(name), false);
		files_forget(files, attr.node);
		return err;
	}
	emptied = xnew(struct emptied);
	emptied->dir = attr.node;
	emptied->parent = dir;
	snprintf(emptied->name, sizeof(emptied->name), "%s", name);
	list_add_head(list, &emptied->node);
	return 0;
}

/* The directory at the front: some of its entries go, or, when it has none, itself. */
static int empty_some(struct files *files, struct list *list, struct some_names *names)
{
	struct emptied *emptied = list_first(list, struct emptied, node);
	int err;

	names->count = 0;
	err = tree_list(files->tree, emptied->dir, 0, false, api_wait(files->call), take_name,
			names);
	for (size_t i = 0; err >= 0 && i < names->count; i++) {
		err = take_away(files, list, emptied->dir, names->at[i]);
		err = err == -ENOENT ? 0 : err;
	}
	if (err < 0 || names->count)
		return err < 0 ? err : 0;
	err = unlink_one(files, emptied->parent, bytes_str(emptied->name), true);
	list_remove(&emptied->node);
	files_forget(files, emptied->dir);
	free(emptied);
	return err;
}

int files_remove(struct files *files, uint64_t dir, struct bytes name)
{
	struct some_names *names = xnew(struct some_names);
	char *text = xasprintf("%.*s", (int)name.len, (const char *)name.at);
	struct list list;
	int err;

	list_init(&list);
	err = take_away(files, &list, dir, text);
	while (!err && !list_empty(&list))
		err = empty_some(files, &list, names);
	while (!list_empty(&list)) {
		struct emptied *emptied = list_first(&list, struct emptied, node);

		list_remove(&emptied->node);
		files_forget(files, emptied->dir);
		free(emptied);
	}
	free(text);
	free(names);
	return err;
}

static const struct option_spec rm_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "directories, with all below them", NULL },
	{ "force", 0, OPTION_FLAG, NULL, "what is not there is no error; implies -r", NULL },
	FILES_FLUSH,
	{ 0 },
};

/* NULL, or why it stays. */
static const char *remove_one(struct files *files, const struct files_path *path)
{
	bool force = api_flag(files->call->args, "force"),
	     deep = force || api_flag(files->call->args, "recursive");
	struct bytes name = bytes_str(path->name);
	uint64_t dir;
	int err = files_parent(files, path, false, &dir);

	if (err == -EINVAL)
		return "cannot delete root";
	if (!err) {
		err = deep ? files_remove(files, dir, name) : unlink_one(files, dir, name, false);
		files_forget(files, dir);
	}
	if (err == -ENOENT && force)
		err = 0;
	if (err == -EISDIR)
		return "path is a directory, use -r to remove directories";
	return err ? files_err_text(err) : NULL;
}

/* What stays is told as an item, as Kubo does. */
static void run_rm(struct api_call *call)
{
	bool failed = false;
	struct files files;
	int err = 0;

	if (!files_begin(&files, call))
		return;
	for (size_t i = 0; i < api_word_count(call->args); i++) {
		const char *word = api_word(call->args, i), *why;
		struct files_path path = { .text = "" };

		if (*word != '/')
			why = "paths must start with a leading slash";
		else
			why = files_path(call, word, &path) ? remove_one(&files, &path) : NULL;
		if (!path.text[0] && *word == '/') { /* too long: the call was ended */
			shares_release(files.share);
			return;
		}
		if (why)
			api_item(call, *word == '/' ? json_sprintf("%s: %s", path.text, why)
						    : json_sprintf("%s is not a valid path: %s",
								   word, why));
		failed |= why != NULL;
	}
	if (api_flag(call->args, "flush"))
		err = tree_sync(files.tree, api_wait_long(call));
	shares_release(files.share);
	if (err)
		api_fail(call, err, "what was removed is not on disk");
	else if (failed)
		api_refuse(call, -EREMOTE, "can't remove some files");
	else
		api_end(call, 0, NULL);
}

static void rm_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	json_dumpf(item, out, JSON_ENCODE_ANY);
	putc('\n', out);
}

const struct api_row api_files_rm = {
	.command = { "files rm", "PATH...", 1, -1, "remove files and directories of my/", NULL,
		     rm_options, NULL },
	.flags = API_LONG,
	.text = rm_text,
	.run = run_rm,
	.run_daemon = daemon_run_job,
};

/* ---- mv ---- */

static const struct option_spec mv_options[] = { FILES_FLUSH, { 0 } };

static int files_names_move(struct files *files, struct files_path *from, struct files_path *to)
{
	uint64_t dir, other;
	int err = files_into(files, to, from->name);

	if (!err)
		err = files_parent(files, from, false, &dir);
	if (err)
		return err;
	err = files_parent(files, to, false, &other);
	if (!err) {
		err = tree_rename(files->tree, dir, bytes_str(from->name), other,
				  bytes_str(to->name), 0, api_wait(files->call));
		if (!err) {
			share_changed(files->share, TREE_ENTRY, dir, bytes_str(from->name), 0);
			share_changed(files->share, TREE_ENTRY, other, bytes_str(to->name), 0);
		}
		files_forget(files, other);
	}
	files_forget(files, dir);
	return err;
}

static void run_mv(struct api_call *call)
{
	struct files_path from, to;
	struct files files;

	if (files_path(call, api_word(call->args, 0), &from) &&
	    files_path(call, api_word(call->args, 1), &to) && files_begin(&files, call))
		files_end_change(&files, files_names_move(&files, &from, &to),
				 strncmp(to.text, from.text, strlen(from.text))
					 ? NULL
					 : "a directory cannot be moved into itself");
}

const struct api_row api_files_mv = {
	.command = { "files mv", "SOURCE DEST", 2, 2, "move a file or directory within my/",
		     "Into DEST if that is a directory, else in its place.", mv_options, NULL },
	.flags = API_LONG,
	.run = run_mv,
	.run_daemon = daemon_run_job,
};

/* ---- touch, chmod ---- */

static const struct option_spec touch_options[] = {
	{ "mtime", 'm', OPTION_INT, "SECONDS", "since 1970; without it now", NULL },
	{ "mtime-nsecs", 'n', OPTION_INT, "N", "nanoseconds beside them", "0" },
	FILES_FLUSH,
	{ 0 },
};

static char *check_touch(const json_t *args)
{
	json_int_t nanos = api_int(args, "mtime-nsecs");

	return nanos >= 0 && nanos < 1000000000 ? NULL
						: xstrdup("--mtime-nsecs is not in 0..999999999");
}

static int set_attributes(struct files *files, const char *path, const struct tree_set *set)
{
	struct tree_attr attr;
	int err = tree_find(files->tree, path, api_wait(files->call), &attr);
	uint64_t node = attr.node;

	if (err)
		return err;
	err = tree_set(files->tree, node, set, api_wait(files->call), &attr);
	if (!err)
		share_changed(files->share, TREE_ATTR, 0, bytes_of(NULL, 0), node);
	files_forget(files, node);
	return err;
}

static void run_touch(struct api_call *call)
{
	bool given = json_object_get(call->args, "mtime") != NULL;
	struct tree_set set = { .what = given ? TREE_SET_MTIME : TREE_SET_MTIME_NOW,
				.mtime = { api_int(call->args, "mtime"),
					   api_int(call->args, "mtime-nsecs") } };
	struct files_path path;
	struct files files;

	if (files_path(call, api_word(call->args, 0), &path) && files_begin(&files, call))
		files_end_change(&files, set_attributes(&files, path.text, &set), NULL);
}

const struct api_row api_files_touch = {
	.command = { "files touch", "PATH", 1, 1, "set the time of something in my/", NULL,
		     touch_options, NULL },
	.flags = API_LONG,
	.check = check_touch,
	.run = run_touch,
	.run_daemon = daemon_run_job,
};

static const struct option_spec chmod_options[] = { FILES_FLUSH, { 0 } };

static void run_chmod(struct api_call *call)
{
	const char *word = api_word(call->args, 0);
	struct tree_set set = { .what = TREE_SET_MODE };
	struct files_path path;
	struct files files;

	if (!*word || word[strspn(word, "01234567")] || strlen(word) > 5) {
		api_refuse(call, -EINVAL, "the mode is octal digits, like 644");
		return;
	}
	set.mode = (mode_t)strtoul(word, NULL, 8) & 07777;
	if (files_path(call, api_word(call->args, 1), &path) && files_begin(&files, call))
		files_end_change(&files, set_attributes(&files, path.text, &set), NULL);
}

const struct api_row api_files_chmod = {
	.command = { "files chmod", "MODE PATH", 2, 2, "set the permissions of something in my/",
		     NULL, chmod_options, NULL },
	.flags = API_LONG,
	.run = run_chmod,
	.run_daemon = daemon_run_job,
};
