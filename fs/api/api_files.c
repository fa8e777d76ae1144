/* What the calls of `files` have in common, and files mkdir. */
#include "fs/api/api_files.h"

#include "fs/api/api_runs.h"
#include "fs/api/api_share.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>

/* ---- beginning and end ---- */

const char *files_err_text(int err)
{
	switch (err) {
	case -ENOENT:
		return "file does not exist";
	case -EEXIST:
		return "file already exists";
	case -ENOTDIR:
		return "not a directory";
	case -EISDIR:
		return "is a directory";
	case -ENAMETOOLONG:
		return "file name too long";
	case -EINVAL:
		return "invalid path";
	default:
		return err_text(err);
	}
}

char *files_check_cids(const json_t *args)
{
	const char *hash = api_text(args, "hash");

	if (json_object_get(args, "cid-version") && api_int(args, "cid-version") != 1)
		return xstrdup("--cid-version: CIDs are of version 1 here");
	if (hash && strcmp(hash, "sha2-256"))
		return xstrdup("--hash: the hash is sha2-256 here");
	return NULL;
}

bool files_path(struct api_call *call, const char *word, struct files_path *out)
{
	size_t len = strlen(word);
	const char *why = !len		 ? "paths must not be empty"
			  : *word != '/' ? "paths must start with a leading slash"
			  : dag_path_clean(word, out->text) ? "path is too long"
							    : NULL;

	if (why) {
		api_refuse(call, -EINVAL, "%s", why);
		return false;
	}
	if (!out->text[0])
		strcpy(out->text, "/");
	out->name = strrchr(out->text, '/') + 1;
	out->wants_dir = word[len - 1] == '/';
	return true;
}

bool files_begin(struct files *files, struct api_call *call)
{
	struct api_host *host = call->host;
	int err;

	*files = (struct files){ .call = call };
	err = shares_my(host->shares(host), api_wait(call), &files->share);
	if (err) {
		api_share_fail(call, err, SHARE_MY);
		return false;
	}
	files->tree = share_tree(files->share);
	return true;
}

void files_end(struct files *files, int err, const char *what)
{
	shares_release(files->share);
	if (!err)
		api_end(files->call, 0, NULL);
	else
		api_refuse(files->call, err, "%s%s%s", what ? what : "", what ? ": " : "",
			   files_err_text(err));
}

void files_end_change(struct files *files, int err, const char *what)
{
	if (!err && api_flag(files->call->args, "flush"))
		err = tree_sync(files->tree, api_wait_long(files->call));
	files_end(files, err, what);
}

/* ---- finding ---- */

void files_forget(struct files *files, uint64_t node)
{
	if (node != TREE_ROOT)
		tree_forget(files->tree, node, 1);
}

/* The directory at name in dir, whose reference goes; made if make is set. */
static int files_step(struct files *files, uint64_t *dir, struct bytes name, bool make)
{
	static const struct tree_new how = { .mode = S_IFDIR | 0755 };
	struct wait *wait = api_wait(files->call);
	struct tree_attr attr;
	int err = tree_lookup(files->tree, *dir, name, wait, &attr);

	if (err == -ENOENT && make) {
		err = tree_create(files->tree, *dir, name, &how, wait, &attr);
		if (!err)
			share_changed(files->share, TREE_ENTRY, *dir, name, 0);
	}
	if (err)
		return err;
	if (!S_ISDIR(attr.mode)) {
		tree_forget(files->tree, attr.node, 1);
		return -ENOTDIR;
	}
	files_forget(files, *dir);
	*dir = attr.node;
	return 0;
}

int files_parent(struct files *files, const struct files_path *path, bool make, uint64_t *dir)
{
	const char *at = path->text + 1;
	int err = *path->name ? 0 : -EINVAL;

	*dir = TREE_ROOT;
	while (!err && at < path->name) {
		struct bytes part = bytes_of((const uint8_t *)at, strcspn(at, "/"));

		err = files_step(files, dir, part, make);
		at += part.len + 1;
	}
	if (err)
		files_forget(files, *dir);
	return err;
}

int files_into(struct files *files, struct files_path *path, const char *name)
{
	struct tree_attr attr;
	int err = tree_find(files->tree, path->text, api_wait(files->call), &attr);
	size_t len = strlen(path->text);

	if (!err)
		files_forget(files, attr.node);
	if (err && err != -ENOENT)
		return err;
	if (!path->wants_dir && (err || !S_ISDIR(attr.mode)))
		return 0;
	if (len + 1 + strlen(name) >= sizeof(path->text))
		return -ENAMETOOLONG;
	snprintf(path->text + len, sizeof(path->text) - len, "%s%s", len > 1 ? "/" : "", name);
	path->name = strrchr(path->text, '/') + 1;
	path->wants_dir = false;
	return 0;
}

/* ---- mkdir ---- */

static const struct option_spec mkdir_options[] = {
	{ "parents", 'p', OPTION_FLAG, NULL,
	  "no error if it is there, and make those above it, too", NULL },
	FILES_FLUSH,
	FILES_CIDS,
	{ 0 },
};

static int make_dir(struct files *files, const struct files_path *path)
{
	bool parents = api_flag(files->call->args, "parents");
	const struct tree_new how = { .mode = S_IFDIR | 0755 };
	struct bytes name = bytes_str(path->name);
	struct tree_attr attr;
	uint64_t dir;
	int err;

	if (!*path->name)
		return parents ? 0 : -EEXIST;
	err = files_parent(files, path, parents, &dir);
	if (err)
		return err;
	if (parents) {
		err = files_step(files, &dir, name, true);
	} else {
		err = tree_create(files->tree, dir, name, &how, api_wait(files->call), &attr);
		if (!err) {
			share_changed(files->share, TREE_ENTRY, dir, name, 0);
			files_forget(files, attr.node);
		}
	}
	files_forget(files, dir);
	return err;
}

static void run_mkdir(struct api_call *call)
{
	struct files_path path;
	struct files files;

	if (files_path(call, api_word(call->args, 0), &path) && files_begin(&files, call))
		files_end_change(&files, make_dir(&files, &path), NULL);
}

const struct api_row api_files_mkdir = {
	.command = { "files mkdir", "PATH", 1, 1, "make a directory in my/", NULL, mkdir_options,
		     NULL },
	.flags = API_LONG,
	.check = files_check_cids,
	.run = run_mkdir,
	.run_daemon = daemon_run_job,
};
