/* dag export and import: whole trees as CAR archives. An import is one batch: its roots are pinned
 * after the last archive, when all blocks are durable. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <string.h>

/* ---- export ---- */

static const struct option_spec export_options[] = {
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ "scope", 0, OPTION_TEXT, "WHAT",
	  "block, entity (a file, or a directory without what is in it), all", "all" },
	{ 0 },
};

static int scope_of(const char *name)
{
	static const char *const names[] = {
		[CAR_BLOCK] = "block",
		[CAR_ENTITY] = "entity",
		[CAR_ALL] = "all",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	return -ENOENT;
}

static char *check_export(const json_t *args)
{
	return scope_of(api_text(args, "scope")) < 0
		       ? xstrdup("--scope must be block, entity or all")
		       : NULL;
}

struct exporting {
	struct api_call *call;
	struct api_progress progress;
};

static int write_part(void *ctx, struct bytes head, struct bytes data)
{
	struct exporting *exporting = ctx;
	int err = api_bytes(exporting->call, head);

	if (!err && data.len)
		err = api_bytes(exporting->call, data);
	exporting->progress.bytes += head.len + data.len;
	if (!err && api_flag(exporting->call->args, "progress"))
		api_progress(exporting->call, &exporting->progress);
	return err;
}

static void run_export(struct api_call *call)
{
	struct exporting exporting = { .call = call, .progress.what = "exported" };
	enum car_scope scope = (enum car_scope)scope_of(api_text(call->args, "scope"));
	struct blocks *blocks = api_blocks(call, true);
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err;

	if (!api_resolve(call, blocks, api_word(call->args, 0), &cid)) {
		err = car_export(blocks, &cid, scope, api_wait(call),
				 (uint64_t)api_int(call->args, "timeout"), write_part, &exporting);
		api_progress(call, NULL);
		if (err)
			api_fail(call, err, "cannot export all of %s",
				 api_cid_text(call->args, &cid, text));
		else
			api_end(call, 0, NULL);
	}
	blocks_free(blocks);
}

const struct api_row api_dag_export = {
	.command = { "dag export", "PATH", 1, 1,
		     "write a whole tree to the output, as a CARv1 archive",
		     "Blocks stand depth first, each once. The archive is whole only when the exit "
		     "code is 0.",
		     export_options, NULL },
	.flags = API_BYTES,
	.check = check_export,
	.run = run_export,
};

/* ---- import ---- */

static const struct option_spec import_options[] = {
	{ "pin-roots", 0, OPTION_FLAG, NULL, "pin the roots that the archives name", "true" },
	{ "stats", 0, OPTION_FLAG, NULL, "tell how much was imported", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

struct importing {
	struct api_call *call;
	struct blocks *blocks;
	struct api_progress progress;
	uint64_t before; /* bytes of the archives before this one */
	struct car_import done;
};

static int on_bytes(void *ctx, uint64_t bytes)
{
	struct importing *importing = ctx;

	importing->progress.bytes = importing->before + bytes;
	api_progress(importing->call, &importing->progress);
	return wait_check(importing->call->waited) == -EINTR ? -EINTR : 0;
}

static void tell_bad_archive(struct importing *importing, int err, const char *name)
{
	const struct car_import *done = &importing->done;
	char text[CID_TEXT_MAX] = "";

	if (cid_is_set(&done->bad))
		api_cid_text(importing->call->args, &done->bad, text);
	if (done->why)
		api_refuse(importing->call, err, "%s: %s, at byte %" PRIu64 "%s%s", name, done->why,
			   done->offset, *text ? ", block " : "", text);
	else
		api_fail(importing->call, err, "cannot import %s", name);
}

/* 0; -ENODATA: there are no more archives; -errno after the end of the call. */
static int import_next(struct importing *importing, size_t at)
{
	struct api_call *call = importing->call;
	struct api_input input;
	int err = api_input(call, at, &input);

	if (err == -ENODATA)
		return err;
	if (err) {
		api_fail_file(call, err, "cannot open %s", input.name);
		return err;
	}
	importing->before = importing->progress.bytes;
	err = car_import(importing->blocks, input.fd, api_wait_long(call), on_bytes, importing,
			 &importing->done);
	if (err) {
		err = err == -ENODATA ? -EIO : err;
		tell_bad_archive(importing, err, input.name);
	}
	api_input_close(&input);
	return err;
}

/* Only what the archives, or earlier work, brought: a missing block is told and not fetched, as
 * Kubo does. */
static int pin_root(struct api_call *call, struct blocks *stored, const struct cid *root)
{
	char text[CID_TEXT_MAX];
	int err = pin_add(api_repo(call)->db, stored, root, PIN_RECURSIVE, "", api_wait_long(call),
			  0, NULL, NULL);

	if (!api_flag(call->args, "silent"))
		api_item(call, json_pack("{s:{s:{s:s}, s:s}}", "Root", "Cid", "/",
					 api_cid_text(call->args, root, text), "PinErrorMsg",
					 err ? err_text(err) : ""));
	if (!err)
		api_announce(call, root);
	return err;
}

/* A root that cannot be pinned does not stop the others: the last error of all. */
static int pin_roots(struct importing *importing)
{
	struct api_call *call = importing->call;
	const struct car_import *done = &importing->done;
	struct blocks *stored = api_blocks(call, false);
	int failed = 0, err;

	for (size_t i = 0; i < done->root_count && failed != -EINTR; i++) {
		err = pin_root(call, stored, &done->roots[i]);
		failed = err ? err : failed;
	}
	blocks_free(stored);
	return failed;
}

/* After the last archive: makes the blocks durable, then pins the roots. */
static void finish_import(struct importing *importing)
{
	struct api_call *call = importing->call;
	const struct car_import *done = &importing->done;
	int err = blocks_sync(importing->blocks);

	if (err) {
		api_fail(call, err, "cannot write the store");
		return;
	}
	if (api_flag(call->args, "pin-roots"))
		err = pin_roots(importing);
	if (api_flag(call->args, "stats"))
		api_item(call, json_pack("{s:{s:I, s:I}}", "Stats", "BlockCount",
					 (json_int_t)done->blocks, "BlockBytesCount",
					 (json_int_t)done->bytes));
	if (err)
		api_fail(call, err, "at least one root failed to pin");
	else
		api_end(call, 0, NULL);
}

static void run_import(struct api_call *call)
{
	struct importing importing = { .call = call, .progress.what = "imported" };
	size_t at = 0;
	int err;

	importing.blocks = api_blocks(call, true);
	blocks_batch_begin(importing.blocks);
	do
		err = import_next(&importing, at++);
	while (!err);
	api_progress(call, NULL);
	if (err == -ENODATA)
		finish_import(&importing);
	car_import_release(&importing.done);
	blocks_free(importing.blocks);
}

static void import_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *root = json_object_get(item, "Root"), *stats = json_object_get(item, "Stats");
	const char *failed = api_member(root, "PinErrorMsg");

	(void)args;
	if (root)
		fprintf(out, "Pinned root\t%s\t%s%s\n",
			api_member(json_object_get(root, "Cid"), "/"),
			*failed ? "FAILED: " : "success", failed);
	if (stats)
		fprintf(out, "Imported %" PRIu64 " blocks (%" PRIu64 " bytes)\n",
			(uint64_t)api_number(stats, "BlockCount"),
			(uint64_t)api_number(stats, "BlockBytesCount"));
}

const struct api_row api_dag_import = {
	.command = { "dag import", "[FILE...]", 0, -1,
		     "store the blocks of CAR archives, and pin their roots",
		     "CARv1 and CARv2, of any size, from files or the input (-). Every block is "
		     "hashed. Roots "
		     "are\n"
		     "pinned when all archives were read, so that a tree may be spread over "
		     "several.",
		     import_options, NULL },
	.text = import_text,
	.run = run_import,
};
