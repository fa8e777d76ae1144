/* add: files, trees and inputs become blocks, with the CIDs that Kubo gives. Durable when it ends.
 * Blocking, on the thread that asks. */
#include "fs/api/api_add.h"

#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEMS_BYTES 65536 /* of lines that wait for their blocks */
#define LINE_BYTES 68	  /* of one, without the name */

/* ---- errors: the call ends with them after the items that were told before ---- */

__attribute__((format(printf, 2, 0))) static int keep_message(struct add *add, const char *fmt,
							      va_list args)
{
	free(add->why);
	if (vasprintf(&add->why, fmt, args) < 0)
		out_of_memory();
	return 0;
}

int add_refuse(struct add *add, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	keep_message(add, fmt, args);
	va_end(args);
	return err;
}

/* text: err's, in the words of the store or of the system. */
static int fail_with(struct add *add, int err, const char *text)
{
	char *what = add->why;

	add->why = xasprintf("%s: %s", what, text);
	free(what);
	return err;
}

int add_fail(struct add *add, int err, const char *fmt, ...)
{
	char why[WAIT_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	keep_message(add, fmt, args);
	va_end(args);
	return fail_with(add, err,
			 add->call->waited ? wait_err_text(add->call->waited, err, why)
					   : err_text(err));
}

/* ---- items ---- */

/* Whoever reads an item may rely on it: none comes out before its block is on disk. While the disk
 * fails they wait: the end tells, or a later attempt. */
static int tell_items(struct add *add)
{
	json_t *item;
	size_t i;
	int err = 0;

	if (!json_array_size(add->items))
		return 0;
	if (!add->config.only_hash)
		err = blocks_sync(add->blocks);
	add->weight_tried = err ? add->weight : 0;
	if (err)
		return err;
	json_array_foreach(add->items, i, item)
		api_item(add->call, json_incref(item));
	json_array_clear(add->items);
	add->weight = 0;
	return 0;
}

static void take_item(struct add *add, const char *name, const struct cid *cid, uint64_t size)
{
	char text[CID_TEXT_MAX];

	if (api_flag(add->args, "silent") || api_flag(add->args, "quieter"))
		return;
	json_array_append_new(add->items,
			      json_pack("{s:o, s:s, s:o}", "Name", json_string_nocheck(name),
					"Hash", api_cid_text(add->call->args, cid, text), "Size",
					json_sprintf("%" PRIu64, size)));
	add->weight += LINE_BYTES + strlen(name);
	if (add->weight - add->weight_tried >= ITEMS_BYTES)
		tell_items(add);
}

static void on_done(void *ctx, const struct import_event *event)
{
	take_item(ctx, event->path, event->cid, event->size);
}

static void on_bytes(void *ctx, uint64_t bytes)
{
	struct add *add = ctx;

	add->progress.bytes += bytes;
	if (add->shows)
		api_progress(add->call, &add->progress);
}

static void add_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *name = api_member(item, "Name");
	struct buf safe = { 0 };

	if (api_flag(args, "quiet") || api_flag(args, "quieter")) {
		fprintf(out, "%s\n", api_member(item, "Hash"));
		return;
	}
	cli_add_safe(&safe, name, strlen(name));
	fprintf(out, "added %s %.*s\n", api_member(item, "Hash"), (int)safe.len,
		safe.at ? (const char *)safe.at : "");
	buf_release(&safe);
}

/* ---- adding ---- */

/* Makes everything durable, then records the pin, then announces the root. */
static int add_keep(struct add *add, const struct cid *root, uint64_t size)
{
	const char *name = api_text(add->args, "pin-name");
	int err;

	if (add->config.only_hash) {
		tell_items(add);
		return 0;
	}
	err = blocks_sync(add->blocks);
	if (err)
		return add_fail(add, err, "cannot write the store");
	if (api_flag(add->args, "pin"))
		err = pin_record(api_repo(add->call)->db, root, PIN_RECURSIVE, name ? name : "", 0,
				 size);
	if (err)
		return add_fail(add, err, "cannot record the pin");
	err = tell_items(add);
	if (err)
		return add_fail(add, err, "cannot write the store");
	api_announce(add->call, root);
	return 0;
}

static int finish_one(struct add *add, const char *name, const struct cid *cid, uint64_t size)
{
	add->last = *cid;
	if (!add->wrapper)
		return add_keep(add, cid, size);
	if (dir_builder_add(add->wrapper, bytes_str(name), cid, size))
		return add_refuse(add, -EINVAL, "'%s' cannot be a name in a directory", name);
	return 0;
}

static int tell_failed(struct add *add, int err, const char *path)
{
	char safe[1024];

	cli_safe(safe, sizeof(safe), path, strlen(path));
	if (err == -ESTALE)
		return add_refuse(add, err, "cannot add %s: changed while being read", safe);
	if (err == -E2BIG)
		return add_refuse(add, err,
				  "cannot add %s: more than %d directories within each other", safe,
				  IMPORT_DEPTH_MAX);
	return add_fail(add, err, "cannot add %s", safe);
}

/* What comes out of fd until its end; name NULL: it is called as its CID. */
static int add_stream(struct add *add, int fd, const char *path, const char *name)
{
	char text[CID_TEXT_MAX];
	struct cid cid;
	uint64_t size;
	int err = import_fd(add->blocks, fd, &add->config, api_wait(add->call), &cid, &size);

	if (err)
		return tell_failed(add, err, path);
	take_item(add, name ? name : api_cid_text(add->call->args, &cid, text), &cid, size);
	return finish_one(add, name ? name : cid_text(&cid, text), &cid, size);
}

/* An input of the face. 0; -ENODATA: there is none there; -errno. */
static int add_input(struct add *add, size_t at)
{
	const char *name = api_text(add->args, "stdin-name");
	struct api_input input;
	int err = api_input(add->call, at, &input);

	if (err == -ENODATA)
		return err;
	if (err)
		return tell_failed(add, err, input.name);
	err = add_stream(add, input.fd, "the input", name ? name : input.file_name);
	api_input_close(&input);
	return err == -ENODATA ? -EIO : err;
}

/* A pipe with a name, when it is named on the command line, as Kubo does. Without waiting here:
 * import_fd() waits, interruptibly. */
static int add_fifo(struct add *add, const char *path, const char *name)
{
	int err, fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0) {
		err = -errno;
		add_refuse(add, err, "cannot add %s", path);
		return fail_with(add, err, err_file_text(err));
	}
	err = add_stream(add, fd, path, name);
	close(fd);
	return err;
}

/* Adds one path under a name, with progress if it is wanted, and tells what came of it. */
static int add_named(struct add *add, const char *path, const char *name)
{
	char *failed = NULL;
	struct stat st;
	struct cid cid;
	uint64_t size;
	int err;

	if (add->config.follow_symlinks ? stat(path, &st) : lstat(path, &st))
		return add_fail(add, -errno, "%s", path);
	if (S_ISDIR(st.st_mode) && !api_flag(add->args, "recursive"))
		return add_refuse(add, -EISDIR,
				  "'%s' is a directory, use the '-r' flag to specify directories",
				  path);
	/* A large tree is not walked twice to add up its sizes: one file only. */
	add->progress = (struct api_progress){
		.what = "added",
		.total_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0,
	};
	add->shows = api_flag(add->args, "progress") && !api_flag(add->args, "silent");
	err = import_path(add->blocks, path, name, &add->config, api_wait(add->call), &cid, &size,
			  &failed);
	add->shows = false;
	api_progress(add->call, NULL);
	if (err)
		err = tell_failed(add, err, failed ? failed : path);
	else
		err = finish_one(add, name, &cid, size);
	free(failed);
	return err;
}

/* Also one that no path leads to, as those of a shell's <(...). */
static bool is_fifo(const struct add *add, const char *path)
{
	bool follow = api_flag(add->args, "dereference-args") || add->config.follow_symlinks;
	struct stat st;

	return (follow ? stat(path, &st) : lstat(path, &st)) == 0 && S_ISFIFO(st.st_mode);
}

static int add_path(struct add *add, const struct add_word *word)
{
	const char *path = word->path;
	char *real = NULL, *name;
	int err;

	if (strcmp(path, "-") == 0)
		return add_input(add, word->at);
	name = add_name(path);
	if (!name)
		return access(path, F_OK)
			       ? add_fail(add, -errno, "cannot tell a name for '%s'", path)
			       : add_refuse(add, -EINVAL, "cannot tell a name for '%s'", path);
	if (api_flag(add->args, "dereference-args"))
		real = realpath(path, NULL);
	err = is_fifo(add, path) ? add_fifo(add, path, name)
				 : add_named(add, real ? real : path, name);
	free(real);
	free(name);
	return err;
}

static int wrap(struct add *add)
{
	const struct import_config *config = &add->config;
	struct cid cid;
	uint64_t size;
	int err = dir_builder_finish(add->wrapper, config->mode, config->has_mtime, config->mtime,
				     config->mtime_nanos, &cid, &size);

	if (err)
		return add_fail(add, err, "cannot make the directory around it");
	take_item(add, "", &cid, size);
	add->last = cid;
	return add_keep(add, &cid, size);
}

/* Without a word: all inputs that the face has. */
static int add_inputs(struct add *add)
{
	size_t at = 0;
	int err;

	do
		err = add_input(add, at++);
	while (!err);
	return err == -ENODATA ? 0 : err;
}

static int add_all(struct add *add)
{
	int err = 0;

	if (api_flag(add->args, "wrap-with-directory")) {
		add->wrapper = dir_builder_new(add->blocks, &add->config);
		err = add_names_check(add);
	}
	if (!add->word_count && !err)
		err = add_inputs(add);
	for (size_t i = 0; i < add->word_count && !err; i++)
		err = add_path(add, &add->words[i]);
	if (!err && add->wrapper)
		err = wrap(add);
	dir_builder_free(add->wrapper);
	return err;
}

static void take_words(struct add *add)
{
	add->word_count = api_word_count(add->args);
	add->words = xcalloc(add->word_count, sizeof(*add->words));
	for (size_t i = 0; i < add->word_count; i++)
		add->words[i] = (struct add_word){ api_word(add->args, i), i };
}

static int configure(struct add *add)
{
	const struct api_host *host = add->call->host;
	int err = add_configure(add);

	add->config.on_done = on_done;
	add->config.on_bytes = on_bytes;
	add->config.ctx = add;
	if (!err && !host->own_files && (add->word_count || add->ignore))
		err = add_refuse(add, -EACCES, "files of this machine cannot be named here");
	return err;
}

static void run_add(struct api_call *call)
{
	struct add add = { .call = call, .args = json_copy(call->args), .items = json_array() };
	char text[CID_TEXT_MAX];
	int err;

	take_words(&add);
	err = configure(&add);
	if (!err) {
		add.blocks = api_blocks(call, true);
		blocks_batch_begin(add.blocks);
		err = add_all(&add);
		tell_items(&add); /* what was stored before an error */
		blocks_free(add.blocks);
	}
	if (!err && api_flag(add.args, "quieter") && !api_flag(add.args, "silent"))
		api_item(call,
			 json_pack("{s:s}", "Hash", api_cid_text(call->args, &add.last, text)));
	api_end(call, err, add.why);
	free(add.why);
	free(add.words);
	json_decref(add.items);
	json_decref(add.args);
	ignore_free(add.ignore);
}

const struct api_row api_add = {
	.command = { "add", "[PATH...]", 0, -1, "store files and directories, and pin them",
		     "Without PATH, or for \"-\", the input is added; a named pipe is read to its "
		     "end. When it "
		     "returns\n"
		     "everything is on disk.\n"
		     "Rules of --ignore are those of .gitignore, seen from each PATH: \"name\" "
		     "anywhere, "
		     "\"dir/\" a\n"
		     "directory, \"/a\" and \"a/b\" from PATH, \"**\" any directories, \"!\" takes "
		     "back; of "
		     "several the\n"
		     "last that fits decides, those of the file first. PATH itself is never left "
		     "out.\n"
		     "A file added before with the same options, and with the same path, device, "
		     "inode, size "
		     "and\n"
		     "times, is not read again while its blocks are stored; --cache=false reads "
		     "it.\n"
		     "A mode or time, said or preserved, turns raw leaves off.",
		     add_options, NULL },
	.text_option = "quieter",
	.text = add_text,
	.run = run_add,
};
