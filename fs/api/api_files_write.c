/* files write. The input is imported by the process that asks, which has it, and then becomes
 * content of the tree where that is open: as a whole by its CID, or byte by byte. */
#include "fs/api/api_files.h"
#include "fs/api/api_runs.h"

#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)

/* ---- what is written becomes content of the tree ---- */

/* Content that is stored, and where it goes. */
struct putting {
	struct files *files;
	struct files_path path;
	struct cid root;
	uint64_t offset;
	bool create, parents, truncate;
};

static int copy_into(struct putting *putting, struct file *from, struct tree_file *to)
{
	struct api_call *call = putting->files->call;
	uint8_t *piece = xcalloc(1, PIECE_BYTES);
	uint64_t at = 0, size = file_size(from);
	int err = 0;

	while (at < size && !err) {
		ssize_t n = file_read(from, at, piece, PIECE_BYTES, api_wait(call));

		if (n <= 0)
			err = n ? (int)n : -EIO;
		else
			err = tree_file_write(to, putting->offset + at, false,
					      bytes_of(piece, (size_t)n), api_wait_long(call));
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return err;
}

static int write_into(struct putting *putting, struct file *from, uint64_t node)
{
	struct files *files = putting->files;
	struct tree_file *to;
	int err = tree_file_open(files->tree, node, true, putting->truncate, api_wait(files->call),
				 &to);

	if (err)
		return err;
	err = copy_into(putting, from, to);
	tree_file_close(to);
	share_changed(files->share, TREE_CONTENT, 0, bytes_of(NULL, 0), node);
	return err;
}

/* The whole content by its CID. */
static int graft(struct putting *putting, struct file *from, uint64_t dir, mode_t mode)
{
	struct files *files = putting->files;
	struct bytes name = bytes_str(putting->path.name);
	struct tree_graft graft = { .root = putting->root, .size = file_size(from), .mode = mode };
	struct tree_attr attr;
	int err;

	clock_gettime(CLOCK_REALTIME, &graft.mtime);
	err = tree_graft(files->tree, dir, name, &graft, api_wait(files->call), &attr);
	if (err)
		return err;
	files_forget(files, attr.node);
	share_changed(files->share, TREE_ENTRY, dir, name, 0);
	return 0;
}

static int put_file(struct putting *putting, struct file *from, uint64_t dir)
{
	struct files *files = putting->files;
	struct bytes name = bytes_str(putting->path.name);
	const struct tree_new how = { .mode = S_IFREG | 0644 };
	struct wait *wait = api_wait(files->call);
	struct tree_attr attr;
	int err = tree_lookup(files->tree, dir, name, wait, &attr);

	if (err == -ENOENT && putting->create) {
		if (!putting->offset)
			return graft(putting, from, dir, 0644);
		err = tree_create(files->tree, dir, name, &how, wait, &attr);
		if (!err)
			share_changed(files->share, TREE_ENTRY, dir, name, 0);
	}
	if (err)
		return err;
	if (!S_ISREG(attr.mode))
		err = -EISDIR;
	else if (putting->truncate && !putting->offset)
		err = graft(putting, from, dir, attr.mode & 07777);
	else
		err = write_into(putting, from, attr.node);
	files_forget(files, attr.node);
	return err;
}

static int files_write_put(struct putting *putting)
{
	struct files *files = putting->files;
	struct blocks *blocks = api_blocks(files->call, false);
	struct file *from = NULL;
	uint64_t dir;
	int err = file_open(blocks, &putting->root, api_wait(files->call), &from);

	if (!err)
		err = files_parent(files, &putting->path, putting->parents, &dir);
	if (!err) {
		err = put_file(putting, from, dir);
		files_forget(files, dir);
	}
	/* The caller holds the content until then. */
	if (!err)
		err = tree_sync(files->tree, api_wait_long(files->call));
	if (from)
		file_close(from);
	blocks_free(blocks);
	return err;
}

/* Ends the call. */
static void put_at(struct api_call *call, const struct cid *root)
{
	struct putting putting = {
		.root = *root,
		.offset = (uint64_t)api_int(call->args, "offset"),
		.create = api_flag(call->args, "create"),
		.parents = api_flag(call->args, "parents"),
		.truncate = api_flag(call->args, "truncate"),
	};
	struct files files;
	int err;

	if (!files_path(call, api_word(call->args, 0), &putting.path) || !files_begin(&files, call))
		return;
	putting.files = &files;
	err = files_write_put(&putting);
	shares_release(files.share);
	if (err == -EISDIR)
		api_refuse(call, err, "%s was not a file", putting.path.text);
	else if (err)
		api_refuse(call, err, "%s", files_err_text(err));
	else
		api_end(call, 0, NULL);
}

#define PUT_OPTIONS                                                                                \
	{ "offset", 'o', OPTION_INT, "BYTES", "begin there", "0" },                                \
		{ "create", 'e', OPTION_FLAG, NULL, "make the file if it is missing", NULL },      \
		{ "parents", 'p', OPTION_FLAG, NULL, "make the directories above it", NULL },      \
	{                                                                                          \
		"truncate", 't', OPTION_FLAG, NULL, "nothing of what was there stays", NULL        \
	}

static const struct option_spec put_options[] = {
	{ "root", 0, OPTION_TEXT, "CID", "the content, which is stored, and held by who asks",
	  NULL },
	PUT_OPTIONS,
	{ 0 },
};

static char *check_put(const json_t *args)
{
	const char *root = api_text(args, "root");
	struct cid cid;

	if (!root || cid_from_text(&cid, root) || cid_allowed(&cid))
		return xstrdup("there is no content");
	return api_int(args, "offset") < 0 ? xstrdup("cannot have negative write offset") : NULL;
}

static void run_put(struct api_call *call)
{
	struct cid root;

	if (!cid_from_text(&root, api_text(call->args, "root")))
		put_at(call, &root);
}

const struct api_row api_files_put = {
	.command = { .name = "files-put",
		     .args = "PATH",
		     .args_min = 1,
		     .args_max = 1,
		     .summary = "content that is stored becomes a file's",
		     .options = put_options },
	.flags = API_LONG,
	.check = check_put,
	.run = run_put,
	.run_daemon = daemon_run_job,
};

/* ---- write ---- */

static const struct option_spec write_options[] = {
	PUT_OPTIONS,
	{ "count", 'n', OPTION_INT, "BYTES", "take so many of the input", NULL },
	{ "raw-leaves", 0, OPTION_FLAG, NULL, "leaves are raw here always", "true" },
	FILES_FLUSH,
	FILES_CIDS,
	{ 0 },
};

static char *check_write(const json_t *args)
{
	if (api_int(args, "offset") < 0)
		return xstrdup("cannot have negative write offset");
	if (json_object_get(args, "count") && api_int(args, "count") < 0)
		return xstrdup("cannot have negative byte count");
	if (!api_flag(args, "raw-leaves"))
		return xstrdup("--raw-leaves: leaves are raw here");
	return files_check_cids(args);
}

/* The first left bytes of from in a file without a name. A descriptor, or -errno. */
static int first_bytes(struct api_call *call, int from, uint64_t left)
{
	char *name = repo_file(api_repo(call)->path, "input.XXXXXX");
	uint8_t *piece = xcalloc(1, PIECE_BYTES);
	int fd = mkostemp(name, O_CLOEXEC), err = fd < 0 ? -errno : 0;

	if (!err)
		unlink(name);
	while (!err && left) {
		ssize_t n = wait_read(api_wait_long(call), from, piece,
				      left < PIECE_BYTES ? left : PIECE_BYTES);

		if (n > 0 && write(fd, piece, (size_t)n) != n)
			n = -errno;
		if (n <= 0) {
			err = (int)n;
			break;
		}
		left -= (uint64_t)n;
	}
	if (!err && lseek(fd, 0, SEEK_SET))
		err = -errno;
	if (err && fd >= 0)
		close(fd);
	free(piece);
	free(name);
	return err ? err : fd;
}

/* The input as stored content, within the batch of blocks. */
static int import_input(struct api_call *call, struct blocks *blocks, struct cid *root)
{
	json_t *count = json_object_get(call->args, "count");
	struct import_config config;
	struct api_input input;
	uint64_t tree_size;
	int err = api_input(call, 1, &input), fd = input.fd;

	if (err)
		return err;
	err = import_profile(&config, "unixfs-v1-2025");
	if (!err && count) {
		fd = first_bytes(call, input.fd, (uint64_t)json_integer_value(count));
		err = fd < 0 ? fd : 0;
	}
	if (!err)
		err = import_fd(blocks, fd, &config, api_wait_long(call), root, &tree_size);
	if (!err)
		err = blocks_sync(blocks);
	if (fd != input.fd && fd >= 0)
		close(fd);
	api_input_close(&input);
	return err;
}

/* Where the tree is open. Ends the call. */
static void hand_over(struct api_call *call, const struct cid *root)
{
	static const char *const passed[] = { "offset", "create", "parents", "truncate" };
	struct api_host *host = call->host;
	char text[CID_TEXT_MAX], *why = NULL;
	json_t *args =
		json_pack("{s:[o], s:s}", "arg", json_string_nocheck(api_word(call->args, 0)),
			  "root", cid_text(root, text));
	int err = -ENOLINK;

	for (size_t i = 0; i < ARRAY_LEN(passed); i++)
		if (json_object_get(call->args, passed[i]))
			json_object_set(args, passed[i], json_object_get(call->args, passed[i]));
	if (host->ask)
		err = host->ask(host, "files-put", args, api_wait_long(call), NULL, NULL, &why);
	else
		json_decref(args);
	if (err == -ENOLINK)
		put_at(call, root);
	else
		api_end(call, err, why);
	free(why);
}

static void run_write(struct api_call *call)
{
	struct files_path path;
	struct blocks *blocks;
	struct cid root;
	int err;

	if (!files_path(call, api_word(call->args, 0), &path))
		return;
	blocks = api_blocks(call, false);
	blocks_batch_begin(blocks);
	err = import_input(call, blocks, &root);
	if (err)
		api_fail_file(call, err, "cannot read the input");
	else
		hand_over(call, &root);
	blocks_batch_end(blocks);
	blocks_free(blocks);
}

const struct api_row api_files_write = {
	.command = { "files write", "PATH [DATA]", 1, 2, "write into a file of my/",
		     "DATA is a file, or - or nothing for the standard input.", write_options,
		     NULL },
	.check = check_write,
	.run = run_write,
};
