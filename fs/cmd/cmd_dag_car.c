/* dag export, import: whole trees as CAR archives. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define EXPORT_BUFFER (1u << 20)

/* ---- export ---- */

static const struct option_spec export_options[] = {
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ "scope", 0, OPTION_TEXT, "WHAT",
	  "block, entity (a file, or a directory without what is in it), all", "all" },
	{ 0 },
};

struct exporting {
	struct progress *progress;
	int write_errno; /* why the output could not be written */
};

static int write_part(void *ctx, struct bytes head, struct bytes data)
{
	struct exporting *exporting = ctx;

	if (fwrite(head.at, 1, head.len, stdout) != head.len ||
	    (data.len && fwrite(data.at, 1, data.len, stdout) != data.len)) {
		exporting->write_errno = errno ? errno : EIO;
		return -EIO;
	}
	progress_add(exporting->progress, head.len + data.len);
	return 0;
}

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

static int export_to_stdout(struct invocation *in, struct blocks *blocks, const struct cid *cid,
			    enum car_scope scope)
{
	struct exporting exporting = { 0 };
	char text[CID_TEXT_MAX];
	int err;

	if (cli_flag(in, "progress"))
		exporting.progress = progress_start("exported", 0);
	setvbuf(stdout, NULL, _IOFBF, EXPORT_BUFFER);
	err = car_export(blocks, cid, scope, cli_wait(in), in->timeout_ms, write_part, &exporting);
	if (!err && fflush(stdout))
		exporting.write_errno = errno;
	progress_end(exporting.progress);
	if (exporting.write_errno)
		return cli_fail_file(in, -exporting.write_errno, "cannot write the output");
	return err ? cli_fail(in, err, "cannot export all of %s", cli_cid(in, cid, text)) : EXIT_OK;
}

static int run_export(struct invocation *in)
{
	int code, scope = scope_of(cli_text(in, "scope"));
	struct blocks *blocks;
	struct cid cid;

	if (scope < 0)
		return cli_usage(in, "--scope must be block, entity or all");
	code = cli_need_repo(in);
	if (code)
		return code;
	blocks = cli_blocks(in);
	code = cli_resolve(in, blocks, in->argv[0], &cid);
	if (!code)
		code = export_to_stdout(in, blocks, &cid, (enum car_scope)scope);
	blocks_free(blocks);
	return code;
}

const struct command cmd_dag_export = {
	"dag export",
	"PATH",
	1,
	1,
	"write a whole tree to the output, as a CARv1 archive",
	"Blocks stand depth first, each once. The archive is whole only when the exit code is 0.",
	export_options,
	run_export,
};

/* ---- import ---- */

static const struct option_spec import_options[] = {
	{ "pin-roots", 0, OPTION_FLAG, NULL, "pin the roots that the archives name", "true" },
	{ "stats", 0, OPTION_FLAG, NULL, "tell how much was imported", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

struct archive_import {
	struct invocation *in;
	struct blocks *blocks;
	struct progress *progress;
	uint64_t shown; /* bytes of this archive */
	struct car_import done;
};

static int on_bytes(void *ctx, uint64_t bytes)
{
	struct archive_import *ai = ctx;

	progress_add(ai->progress, bytes - ai->shown);
	ai->shown = bytes;
	return cli_interrupted() ? -EINTR : 0;
}

static int tell_bad_archive(struct archive_import *ai, int err, const char *path)
{
	const struct car_import *done = &ai->done;
	char text[CID_TEXT_MAX] = "";

	if (cid_is_set(&done->bad))
		cli_cid(ai->in, &done->bad, text);
	if (done->why)
		return cli_fail(ai->in, 0, "%s: %s, at byte %" PRIu64 "%s%s", path, done->why,
				done->offset, *text ? ", block " : "", text);
	return cli_fail(ai->in, err, "cannot import %s", path);
}

static int import_one(struct archive_import *ai, const char *path)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, err;

	if (fd < 0)
		return cli_fail_file(ai->in, -errno, "cannot open %s", path);
	ai->shown = 0;
	err = car_import(ai->blocks, fd, cli_wait_long(ai->in), on_bytes, ai, &ai->done);
	if (fd > STDIN_FILENO)
		close(fd);
	if (!err)
		return EXIT_OK;
	progress_end(ai->progress);
	ai->progress = NULL;
	return tell_bad_archive(ai, err, path);
}

/* Only what the archives, or earlier work, brought: a missing block is told and not fetched, as
 * Kubo does. */
static int pin_root(struct archive_import *ai, struct blocks *stored, const struct cid *root)
{
	struct invocation *in = ai->in;
	char text[CID_TEXT_MAX];
	int err = pin_add(in->repo->db, stored, root, PIN_RECURSIVE, "", cli_wait_long(in), 0, NULL,
			  NULL);

	cli_cid(in, root, text);
	if (!cli_flag(in, "silent") && in->json)
		cli_print_json(json_pack("{s:{s:{s:s}, s:s}}", "Root", "Cid", "/", text,
					 "PinErrorMsg", err ? err_text(err) : ""));
	else if (!cli_flag(in, "silent") && err)
		printf("Pinned root\t%s\tFAILED: %s\n", text, err_text(err));
	else if (!cli_flag(in, "silent"))
		printf("Pinned root\t%s\tsuccess\n", text);
	if (!err)
		cli_announce(in, root);
	return err;
}

/* After the last archive: makes the blocks durable, then pins the roots. A root that cannot be
 * pinned does not stop the others. */
static int finish_import(struct archive_import *ai)
{
	struct invocation *in = ai->in;
	struct car_import *done = &ai->done;
	struct blocks *stored;
	int failed = 0, err = blocks_sync(ai->blocks);

	if (err)
		return cli_fail(in, err, "cannot write the store");
	stored = blocks_new(in->repo->store, NULL);
	for (size_t i = 0; i < done->root_count && cli_flag(in, "pin-roots"); i++) {
		err = pin_root(ai, stored, &done->roots[i]);
		if (err)
			failed = err;
		if (err == -EINTR)
			break;
	}
	blocks_free(stored);
	if (cli_flag(in, "stats") && in->json)
		cli_print_json(json_pack("{s:{s:I, s:I}}", "Stats", "BlockCount",
					 (json_int_t)done->blocks, "BlockBytesCount",
					 (json_int_t)done->bytes));
	else if (cli_flag(in, "stats"))
		printf("Imported %" PRIu64 " blocks (%" PRIu64 " bytes)\n", done->blocks,
		       done->bytes);
	return failed ? cli_fail(in, failed, "at least one root failed to pin") : EXIT_OK;
}

static int run_import(struct invocation *in)
{
	struct archive_import ai = { .in = in };
	int code = cli_need_repo(in);

	if (code)
		return code;
	ai.blocks = cli_blocks(in);
	blocks_batch_begin(ai.blocks);
	ai.progress = progress_start("imported", 0);
	if (!in->argc)
		code = import_one(&ai, "-");
	for (int i = 0; i < in->argc && !code; i++)
		code = import_one(&ai, in->argv[i]);
	progress_end(ai.progress);
	if (!code)
		code = finish_import(&ai);
	car_import_release(&ai.done);
	blocks_free(ai.blocks);
	return code;
}

const struct command cmd_dag_import = {
	"dag import",
	"[FILE...]",
	0,
	-1,
	"store the blocks of CAR archives, and pin their roots",
	"CARv1 and CARv2, of any size, from files or the input (-). Every block is hashed. Roots "
	"are\n"
	"pinned when all archives were read, so that a tree may be spread over several.",
	import_options,
	run_import,
};
