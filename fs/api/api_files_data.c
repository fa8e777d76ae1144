/* files cp, read. What is copied comes by its CID, and is not read; what is read is read by its CID
 * in the process that asks, since no bytes go over the control socket. */
#include "fs/api/api_files.h"
#include "fs/api/api_plant.h"
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (1u << 20)

/* ---- cp ---- */

static const struct option_spec cp_options[] = {
	{ "parents", 'p', OPTION_FLAG, NULL, "make the directories above it", NULL },
	{ "force", 0, OPTION_FLAG, NULL, "replace what is there", NULL },
	FILES_FLUSH,
	{ 0 },
};

/* What is copied, and to where. */
struct copying {
	struct files files;
	struct api_plant plant;
	const char *from; /* as written */
	struct cid cid;
	bool stored; /* it is of my/ itself: nothing is to be fetched */
	struct files_path to;
	uint64_t dir;
};

static bool is_of_network(const char *path)
{
	return !strncmp(path, "/ipfs/", 6) || !strncmp(path, "/ipns/", 6);
}

/* False after the end of the call. */
static bool find_source(struct copying *copying)
{
	struct api_call *call = copying->files.call;
	struct files_found found;
	struct files_path path;
	char *why = NULL;
	int err;

	if (is_of_network(copying->from)) {
		err = api_path_resolve(call->host, copying->plant.blocks, copying->from,
				       api_wait(call), 0, &copying->cid, &why);
	} else {
		if (!files_path(call, copying->from, &path))
			return false;
		err = files_find(&copying->files, copying->plant.blocks, path.text, &found);
		if (!err)
			err = api_plant_from_state(&copying->plant, &found.version.state,
						   path.text);
		copying->cid = found.cid;
		copying->stored = true;
	}
	if (err)
		api_refuse(call, err, "cp: cannot get node from path %s: %s", copying->from,
			   why ? why : files_err_text(err));
	free(why);
	return !err;
}

/* The last part of a path as it was written. */
static char *base_name(const char *path)
{
	size_t end = strlen(path), begin;

	while (end && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/';)
		begin--;
	return xasprintf("%.*s", (int)(end - begin), path + begin);
}

/* Nothing stands in the way. */
static int make_way(struct copying *copying)
{
	struct files *files = &copying->files;
	struct bytes name = bytes_str(copying->to.name);
	struct tree_attr attr;
	int err = tree_lookup(files->tree, copying->dir, name, api_wait(files->call), &attr);

	if (err)
		return err == -ENOENT ? 0 : err;
	files_forget(files, attr.node);
	if (!api_flag(files->call->args, "force"))
		return -EEXIST;
	return files_remove(files, copying->dir, name);
}

/* Content that is kept by nothing yet is held until it is the tree's. */
static int plant_kept(struct copying *copying)
{
	struct api_call *call = copying->files.call;
	int err = copying->stored ? 0 : api_plant_hold(&copying->plant, &copying->cid, "files cp");

	if (!err)
		err = api_plant(&copying->plant, copying->dir, bytes_str(copying->to.name),
				&copying->cid);
	if (!err && (!copying->stored || api_flag(call->args, "flush")))
		err = tree_sync(copying->files.tree, api_wait_long(call));
	return err;
}

static int put_copy(struct copying *copying)
{
	struct files *files = &copying->files;
	char *name = base_name(copying->from);
	int err = files_into(files, &copying->to, name);

	free(name);
	if (!err)
		err = files_parent(files, &copying->to, api_flag(files->call->args, "parents"),
				   &copying->dir);
	if (err)
		return err;
	err = make_way(copying);
	if (!err)
		err = plant_kept(copying);
	files_forget(files, copying->dir);
	return err;
}

static void run_cp(struct api_call *call)
{
	struct copying copying = { .from = api_word(call->args, 0) };
	int err;

	if (!files_path(call, api_word(call->args, 1), &copying.to) ||
	    !files_begin(&copying.files, call))
		return;
	copying.plant = (struct api_plant){ .call = call,
					    .share = copying.files.share,
					    .blocks = api_blocks(call, true) };
	if (find_source(&copying)) {
		err = put_copy(&copying);
		api_plant_release(&copying.plant);
		if (err)
			api_refuse(call, err, "cp: cannot put node in path %s: %s", copying.to.text,
				   err == -EEXIST ? "directory already has entry by that name"
						  : files_err_text(err));
		else
			api_end(call, 0, NULL);
	}
	api_plant_release(&copying.plant);
	blocks_free(copying.plant.blocks);
	shares_release(copying.files.share);
}

const struct api_row api_files_cp = {
	.command = { "files cp", "SOURCE DEST", 2, 2, "copy something into my/",
		     "SOURCE is a path of my/, or one that begins with /ipfs/ or /ipns/: then all "
		     "of "
		     "it is fetched.",
		     cp_options, NULL },
	.flags = API_LONG,
	.run = run_cp,
	.run_daemon = daemon_run_job,
};

/* ---- read ---- */

static const struct option_spec read_options[] = {
	{ "offset", 'o', OPTION_INT, "BYTES", "begin here", "0" },
	{ "count", 'n', OPTION_INT, "BYTES", "stop after so many", NULL },
	{ 0 },
};

static char *check_read(const json_t *args)
{
	if (api_int(args, "offset") < 0)
		return xstrdup("cannot specify negative offset");
	if (json_object_get(args, "count") && api_int(args, "count") < 0)
		return xstrdup("cannot specify negative 'count'");
	return NULL;
}

/* A file to be read, as its stat tells. */
struct reading {
	struct cid cid;
	bool is_file;
};

static void take_stat(void *ctx, const json_t *item)
{
	struct reading *reading = ctx;

	reading->is_file = !strcmp(api_member(item, "Type"), "file") &&
			   !cid_from_text(&reading->cid, api_member(item, "Hash"));
}

/* Where the tree is open. False after the end of the call. */
static bool find_file(struct api_call *call, const struct files_path *path, struct reading *out)
{
	struct api_host *host = call->host;
	struct files_found found;
	struct blocks *blocks;
	struct files files;
	char *why = NULL;
	int err = -ENOLINK;

	if (host->ask)
		err = host->ask(host, "files stat", json_pack("{s:[s]}", "arg", path->text),
				api_wait_long(call), take_stat, out, &why);
	if (err == -ENOLINK) {
		if (!files_begin(&files, call))
			return false;
		blocks = api_blocks(call, true);
		err = files_find(&files, blocks, path->text, &found);
		blocks_free(blocks);
		shares_release(files.share);
		*out = (struct reading){ .cid = found.cid,
					 .is_file = !err && found.stat.type == DAG_FILE };
	}
	if (err)
		api_refuse(call, err, "%s", why ? why : files_err_text(err));
	else if (!out->is_file)
		api_refuse(call, -EISDIR, "%s was not a file", path->text);
	free(why);
	return !err && out->is_file;
}

static int read_out(struct api_call *call, struct file *file, uint64_t at, uint64_t left)
{
	uint8_t *piece = xcalloc(1, PIECE_BYTES);
	int err = 0;

	while (left && !err) {
		ssize_t n = file_read(file, at, piece, left < PIECE_BYTES ? left : PIECE_BYTES,
				      api_wait(call));

		if (n <= 0) {
			err = n ? (int)n : -EIO;
			break;
		}
		err = api_bytes(call, bytes_of(piece, (size_t)n));
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	free(piece);
	return err;
}

static void read_file(struct api_call *call, struct file *file)
{
	uint64_t offset = (uint64_t)api_int(call->args, "offset"), size = file_size(file),
		 left = size - offset;
	json_t *count = json_object_get(call->args, "count");
	int err;

	if (offset > size) {
		api_refuse(call, -EINVAL, "offset was past end of file (%" PRIu64 " > %" PRIu64 ")",
			   offset, size);
		return;
	}
	if (count && (uint64_t)json_integer_value(count) < left)
		left = (uint64_t)json_integer_value(count);
	err = read_out(call, file, offset, left);
	if (err)
		api_fail(call, err, "cannot read it");
	else
		api_end(call, 0, NULL);
}

static void run_read(struct api_call *call)
{
	struct reading reading = { 0 };
	struct files_path path;
	struct blocks *blocks;
	struct file *file;
	int err;

	if (!files_path(call, api_word(call->args, 0), &path) || !find_file(call, &path, &reading))
		return;
	blocks = api_blocks(call, true);
	err = file_open(blocks, &reading.cid, api_wait(call), &file);
	if (err) {
		api_fail(call, err, "cannot read %s", path.text);
	} else {
		read_file(call, file);
		file_close(file);
	}
	blocks_free(blocks);
}

const struct api_row api_files_read = {
	.command = { "files read", "PATH", 1, 1, "write a file of my/ to the output", NULL,
		     read_options, NULL },
	.flags = API_BYTES | API_STREAMS,
	.check = check_read,
	.run = run_read,
};
