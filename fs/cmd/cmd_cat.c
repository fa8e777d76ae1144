/* cat and ls. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VIEW_BYTES (1u << 20)

/* ---- cat ---- */

static const struct option_spec cat_options[] = {
	{ "offset", 'o', OPTION_SIZE, "BYTES", "begin here", "0" },
	{ "length", 'l', OPTION_SIZE, "BYTES", "stop after so many", NULL },
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

/* The view ends before anything is written: a reader that is slow must not hold a snapshot of the
 * store. *write_err: the output failed, not the reading. */
static int copy_out(struct invocation *in, struct file *file, uint64_t offset, uint64_t len,
		    struct progress *progress, int *write_err)
{
	uint8_t *piece = xcalloc(1, VIEW_BYTES);
	int err = 0;

	while (len && !err) {
		ssize_t n = file_read(file, offset, piece, len < VIEW_BYTES ? len : VIEW_BYTES,
				      cli_wait(in));

		if (n <= 0) {
			err = n ? (int)n : -EIO;
			break;
		}
		err = *write_err = cli_write_all(STDOUT_FILENO, bytes_of(piece, (size_t)n));
		offset += (uint64_t)n;
		len -= (uint64_t)n;
		progress_add(progress, (uint64_t)n);
	}
	free(piece);
	return err;
}

/* *offset and *left count across all files given. */
static int cat_one(struct invocation *in, struct blocks *blocks, const char *path, uint64_t *offset,
		   uint64_t *left)
{
	struct progress *progress = NULL;
	struct file *file;
	struct cid cid;
	uint64_t size, len;
	int err, write_err = 0, code = cli_resolve(in, blocks, path, &cid);

	if (code)
		return code;
	err = file_open(blocks, &cid, cli_wait(in), &file);
	if (err == -EISDIR)
		return cli_fail(in, 0, "%s: this dag node is a directory", path);
	if (err)
		return cli_fail(in, err, "cannot read %s", path);
	size = file_size(file);
	if (*offset >= size) {
		*offset -= size;
	} else {
		len = size - *offset < *left ? size - *offset : *left;
		if (cli_flag(in, "progress") && !isatty(STDOUT_FILENO))
			progress = progress_start("read", len);
		err = copy_out(in, file, *offset, len, progress, &write_err);
		progress_end(progress);
		*offset = 0;
		*left -= len;
	}
	file_close(file);
	if (write_err == -EPIPE)
		return EXIT_FAILED; /* nobody reads any more: no reason to talk */
	if (write_err)
		return cli_fail_file(in, write_err, "cannot write the output");
	return err ? cli_fail(in, err, "cannot read %s", path) : EXIT_OK;
}

static int run_cat(struct invocation *in)
{
	uint64_t offset = cli_amount(in, "offset"), left = UINT64_MAX;
	struct blocks *blocks;
	int code = cli_need_repo(in);

	if (code)
		return code;
	if (cli_given(in, "length"))
		left = cli_amount(in, "length");
	for (int i = 0; i < in->argc && !code && left; i++) {
		blocks = cli_blocks(in);
		code = cat_one(in, blocks, in->argv[i], &offset, &left);
		blocks_free(blocks);
	}
	return code;
}

const struct command cmd_cat = {
	"cat", "PATH...", 1, -1, "write files to the output", NULL, cat_options, run_cat,
};

/* ---- ls ---- */

static const struct option_spec ls_options[] = {
	{ "headers", 'v', OPTION_FLAG, NULL, "a line that names the columns", NULL },
	{ "size", 0, OPTION_FLAG, NULL, "show sizes of files", "true" },
	{ "resolve-type", 0, OPTION_FLAG, NULL, "look at each entry's block", "true" },
	{ "stream", 's', OPTION_FLAG, NULL, "print entries as they come (always so)", NULL },
	{ 0 },
};

/* Entries are looked at in this many side by side. */
#define LS_BATCH 256

struct listed {
	struct cid cid;
	char *name;
	size_t name_len;
	uint64_t tsize;
	struct dag_stat stat;
	bool known; /* stat is filled in */
};

struct ls {
	struct invocation *in;
	struct blocks *blocks;
	struct listed batch[LS_BATCH];
	struct cid cids[LS_BATCH];
	size_t count;
	size_t skip;
	int missing; /* first error of an entry */
	json_t *links;
};

static const char *size_text(const struct listed *entry, char out[static 32])
{
	if (!entry->known)
		snprintf(out, 32, "?");
	else if (entry->stat.type == DAG_DIRECTORY)
		snprintf(out, 32, "-");
	else
		snprintf(out, 32, "%" PRIu64, entry->stat.size);
	return out;
}

/* size_width: of the column. */
static void print_entry(struct ls *ls, const struct listed *entry, int size_width)
{
	struct invocation *in = ls->in;
	bool is_dir = entry->known && entry->stat.type == DAG_DIRECTORY;
	char text[CID_TEXT_MAX], size[32];
	struct buf name = { 0 };

	cli_cid(in, &entry->cid, text);
	if (ls->links) {
		uint64_t bytes = entry->known ? entry->stat.size : entry->tsize;

		json_array_append_new(ls->links,
				      json_pack("{s:o, s:s, s:I, s:i}", "Name",
						cli_json_text(entry->name, entry->name_len), "Hash",
						text, "Size", (json_int_t)bytes, "Type",
						entry->known ? (is_dir ? 1 : 2) : 0));
		return;
	}
	cli_add_safe(&name, entry->name, entry->name_len);
	printf("%s ", text);
	if (cli_flag(in, "size"))
		printf("%-*s ", size_width, size_text(entry, size));
	printf("%.*s%s\n", (int)name.len, name.at ? (const char *)name.at : "", is_dir ? "/" : "");
	buf_release(&name);
}

/* What each entry of the batch is, asked for side by side. */
static int look_at_batch(struct ls *ls)
{
	for (size_t i = 0; i < ls->count; i++)
		ls->cids[i] = ls->batch[i].cid;
	exchange_prefetch(ls->blocks, ls->cids, ls->count);
	for (size_t i = 0; i < ls->count; i++) {
		struct listed *entry = &ls->batch[i];
		int err = dag_stat(ls->blocks, &entry->cid, cli_wait(ls->in), &entry->stat);

		if (err == -EINTR)
			return err;
		if (err && !ls->missing)
			ls->missing = err;
		entry->known = !err;
	}
	return 0;
}

/* An entry that cannot be had is listed all the same. Columns line up within a batch. */
static int flush_batch(struct ls *ls)
{
	int err = cli_flag(ls->in, "resolve-type") ? look_at_batch(ls) : 0, width = 0;
	char size[32];

	for (size_t i = 0; i < ls->count; i++) {
		int len = (int)strlen(size_text(&ls->batch[i], size));

		if (len > width)
			width = len;
	}
	for (size_t i = 0; i < ls->count; i++) {
		if (!err)
			print_entry(ls, &ls->batch[i], width);
		free(ls->batch[i].name);
	}
	ls->count = 0;
	return err;
}

static int take_entry(struct ls *ls, const struct dir_entry *entry)
{
	struct listed *listed = &ls->batch[ls->count++];

	listed->cid = entry->cid;
	listed->tsize = entry->tsize;
	listed->known = false;
	listed->name_len = entry->name.len;
	listed->name = xcalloc(1, entry->name.len + 1);
	memcpy(listed->name, entry->name.at, entry->name.len);
	return ls->count == LS_BATCH;
}

static int on_entry(void *ctx, size_t index, const struct dir_entry *entry)
{
	(void)index;
	return take_entry(ctx, entry);
}

/* Those before ls->skip were seen already. */
static int on_left_out(void *ctx, const struct dir_entry *entry, const char *why)
{
	struct ls *ls = ctx;

	(void)why;
	if (ls->skip) {
		ls->skip--;
		return 0;
	}
	return take_entry(ls, entry);
}

/* Batches: entries are never looked at from inside dir_each(), which may hold the directory's lock.
 * What no file system can show comes last. */
static int list_dir(struct ls *ls, struct dir *dir)
{
	size_t from = 0;
	int full, err;

	do {
		full = dir_each(dir, from, cli_wait(ls->in), on_entry, ls);
		from += ls->count;
		err = flush_batch(ls);
	} while (full == 1 && !err);
	for (from = 0; full >= 0 && !err;) {
		ls->skip = from;
		full = dir_each_left_out(dir, cli_wait(ls->in), on_left_out, ls);
		if (!ls->count)
			break;
		from += ls->count;
		err = flush_batch(ls);
	}
	return full < 0 ? full : err;
}

/* A file stands for itself, without a name. */
static int list_file(struct ls *ls, const struct cid *cid)
{
	struct listed entry = { .cid = *cid, .name = "" };
	int err = dag_stat(ls->blocks, cid, cli_wait(ls->in), &entry.stat);

	entry.known = !err;
	if (!err)
		print_entry(ls, &entry, 0);
	return err;
}

static int ls_one(struct ls *ls, const char *path, json_t *objects)
{
	struct invocation *in = ls->in;
	char text[CID_TEXT_MAX];
	struct dir *dir;
	struct cid cid;
	int err, code = cli_resolve(in, ls->blocks, path, &cid);

	if (code)
		return code;
	if (!ls->links && in->argc > 1)
		printf("%s:\n", path);
	if (!ls->links && cli_flag(in, "headers"))
		puts(cli_flag(in, "size") ? "Hash Size Name" : "Hash Name");
	err = dir_open(ls->blocks, &cid, cli_wait(in), &dir);
	if (!err) {
		err = list_dir(ls, dir);
		dir_close(dir);
	} else if (err == -ENOTDIR) {
		err = list_file(ls, &cid);
	}
	if (!ls->links && in->argc > 1)
		putchar('\n');
	if (objects)
		json_array_append_new(objects,
				      json_pack("{s:s, s:O}", "Hash", cli_cid(in, &cid, text),
						"Links", ls->links));
	return err ? cli_fail(in, err, "cannot list %s", path) : EXIT_OK;
}

static int run_ls(struct invocation *in)
{
	struct ls *ls = xnew(struct ls);
	json_t *objects = in->json ? json_array() : NULL;
	struct blocks *blocks;
	int code = cli_need_repo(in);

	ls->in = in;
	for (int i = 0; i < in->argc && !code; i++) {
		blocks = cli_blocks(in);
		ls->blocks = blocks;
		ls->links = objects ? json_array() : NULL;
		code = ls_one(ls, in->argv[i], objects);
		json_decref(ls->links);
		blocks_free(blocks);
	}
	if (!code && objects)
		cli_print_json(json_pack("{s:O}", "Objects", objects));
	json_decref(objects);
	if (!code && ls->missing)
		code = cli_fail(in, ls->missing, "some entries cannot be told (shown as '?')");
	free(ls);
	return code;
}

const struct command cmd_ls = {
	"ls",
	"PATH...",
	1,
	-1,
	"list directories: CID, size, name",
	"An entry whose block cannot be had is shown with the size '?'.",
	ls_options,
	run_ls,
};
