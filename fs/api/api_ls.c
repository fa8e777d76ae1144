/* ls: what directories hold. Entries come in batches, each an item that goes on with the one
 * before. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec ls_options[] = {
	{ "headers", 'v', OPTION_FLAG, NULL, "a line that names the columns", NULL },
	{ "size", 0, OPTION_FLAG, NULL, "show sizes of files", "true" },
	{ "resolve-type", 0, OPTION_FLAG, NULL, "look at each entry's block", "true" },
	{ "stream", 's', OPTION_FLAG, NULL, "print entries as they come (always so)", NULL },
	{ 0 },
};

/* Entries are looked at in this many side by side. */
#define LS_BATCH 256

/* Kubo's numbers of types in links. */
enum { TYPE_UNKNOWN = 0, TYPE_DIRECTORY = 1, TYPE_FILE = 2 };

struct listed {
	struct cid cid;
	char *name;
	size_t name_len;
	uint64_t tsize;
	struct dag_stat stat;
	bool known; /* stat is filled in */
};

struct ls {
	struct api_call *call;
	struct blocks *blocks;
	struct listed batch[LS_BATCH];
	struct cid cids[LS_BATCH];
	size_t count;
	size_t skip;
	int missing; /* first error of an entry */
};

/* ---- items as text ---- */

static bool is_type(const json_t *link, json_int_t type)
{
	return api_number(link, "Type") == type;
}

static const char *size_text(const json_t *link, char out[static 32])
{
	if (is_type(link, TYPE_UNKNOWN))
		snprintf(out, 32, "?");
	else if (is_type(link, TYPE_DIRECTORY))
		snprintf(out, 32, "-");
	else
		snprintf(out, 32, "%" PRIu64, (uint64_t)api_number(link, "Size"));
	return out;
}

/* size_width: of the column. */
static void print_link(FILE *out, const json_t *link, bool sizes, int size_width)
{
	const json_t *name = json_object_get(link, "Name");
	struct buf safe = { 0 };
	char size[32];

	cli_add_safe(&safe, json_string_value(name), json_string_length(name));
	fprintf(out, "%s ", api_member(link, "Hash"));
	if (sizes)
		fprintf(out, "%-*s ", size_width, size_text(link, size));
	fprintf(out, "%.*s%s\n", (int)safe.len, safe.at ? (const char *)safe.at : "",
		is_type(link, TYPE_DIRECTORY) ? "/" : "");
	buf_release(&safe);
}

/* Columns line up within an item. */
static void ls_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *links = json_object_get(item, "Links"), *link;
	bool many = api_word_count(args) > 1, sizes = api_flag(args, "size");
	int width = 0;
	char size[32];
	size_t i;

	if (many && json_object_get(item, "Hash"))
		fprintf(out, "%s:\n", api_member(item, "_Path"));
	if (api_flag(args, "headers") && json_object_get(item, "Hash"))
		fprintf(out, sizes ? "Hash Size Name\n" : "Hash Name\n");
	json_array_foreach(links, i, link) {
		int len = (int)strlen(size_text(link, size));

		width = len > width ? len : width;
	}
	json_array_foreach(links, i, link)
		print_link(out, link, sizes, width);
	if (many && json_object_get(item, "_End"))
		fputc('\n', out);
}

/* ---- items ---- */

/* By hand: json_pack() takes longer than all else that is done for an entry. */
static json_t *link_of(const struct ls *ls, const struct listed *entry)
{
	bool is_dir = entry->known && entry->stat.type == DAG_DIRECTORY;
	uint64_t bytes = entry->known ? entry->stat.size : entry->tsize;
	int type = !entry->known ? TYPE_UNKNOWN : is_dir ? TYPE_DIRECTORY : TYPE_FILE;
	char text[CID_TEXT_MAX];
	json_t *link = json_object();

	api_cid_text(ls->call->args, &entry->cid, text);
	json_object_set_new_nocheck(link, "Name",
				    json_stringn_nocheck(entry->name, entry->name_len));
	json_object_set_new_nocheck(link, "Hash", json_string_nocheck(text));
	json_object_set_new_nocheck(link, "Size", json_integer((json_int_t)bytes));
	json_object_set_new_nocheck(link, "Type", json_integer(type));
	return link;
}

/* What each entry of the batch is, asked for side by side. */
static int look_at_batch(struct ls *ls)
{
	for (size_t i = 0; i < ls->count; i++)
		ls->cids[i] = ls->batch[i].cid;
	exchange_prefetch(ls->blocks, ls->cids, ls->count);
	for (size_t i = 0; i < ls->count; i++) {
		struct listed *entry = &ls->batch[i];
		int err = dag_stat(ls->blocks, &entry->cid, api_wait(ls->call), &entry->stat);

		if (err == -EINTR)
			return err;
		if (err && !ls->missing)
			ls->missing = err;
		entry->known = !err;
	}
	return 0;
}

/* An entry that cannot be had is listed all the same. */
static int flush_batch(struct ls *ls)
{
	int err = wait_check(api_wait(ls->call)); /* what is stored is read without waiting */
	json_t *links = json_array();

	if (!err && api_flag(ls->call->args, "resolve-type"))
		err = look_at_batch(ls);
	for (size_t i = 0; i < ls->count; i++) {
		if (!err)
			json_array_append_new(links, link_of(ls, &ls->batch[i]));
		free(ls->batch[i].name);
	}
	if (json_array_size(links))
		api_item(ls->call, json_pack("{s:O}", "Links", links));
	json_decref(links);
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
		full = dir_each(dir, from, api_wait(ls->call), on_entry, ls);
		from += ls->count;
		err = flush_batch(ls);
	} while (full == 1 && !err);
	for (from = 0; full >= 0 && !err;) {
		ls->skip = from;
		full = dir_each_left_out(dir, api_wait(ls->call), on_left_out, ls);
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
	int err = dag_stat(ls->blocks, cid, api_wait(ls->call), &entry.stat);

	entry.known = !err;
	if (!err)
		api_item(ls->call, json_pack("{s:[o]}", "Links", link_of(ls, &entry)));
	return err;
}

/* False after the end of the call. */
static bool ls_one(struct ls *ls, const char *path)
{
	struct api_call *call = ls->call;
	char text[CID_TEXT_MAX];
	struct dir *dir;
	struct cid cid;
	int err;

	if (api_resolve(call, ls->blocks, path, &cid))
		return false;
	api_item(call, json_pack("{s:s, s:[], s:o}", "Hash", api_cid_text(call->args, &cid, text),
				 "Links", "_Path", json_string_nocheck(path)));
	err = dir_open(ls->blocks, &cid, api_wait(call), &dir);
	if (!err) {
		err = list_dir(ls, dir);
		dir_close(dir);
	} else if (err == -ENOTDIR) {
		err = list_file(ls, &cid);
	}
	api_item(call, json_pack("{s:[], s:b}", "Links", "_End", 1));
	if (err)
		api_fail(call, err, "cannot list %s", path);
	return !err;
}

static void run_ls(struct api_call *call)
{
	struct ls *ls = xnew(struct ls);
	size_t count = api_word_count(call->args);
	bool going = true;

	ls->call = call;
	for (size_t i = 0; i < count && going; i++) {
		ls->blocks = api_blocks(call, true);
		going = ls_one(ls, api_word(call->args, i));
		blocks_free(ls->blocks);
	}
	call->complete = going;
	if (going && ls->missing)
		api_fail(call, ls->missing, "some entries cannot be told (shown as '?')");
	else if (going)
		api_end(call, 0, NULL);
	free(ls);
}

const struct api_row api_ls = {
	.command = { "ls", "PATH...", 1, -1, "list directories: CID, size, name",
		     "An entry whose block cannot be had is shown with the size '?'.", ls_options,
		     NULL },
	.flags = API_WHOLE,
	.head = "{\"Objects\":[",
	.tail = "]}",
	.grows = "Links",
	.text = ls_text,
	.run = run_ls,
};
