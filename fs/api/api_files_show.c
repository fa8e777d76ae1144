/* files stat, ls, flush, chcid: what shows CIDs, so each first makes a version of what changed. */
#include "fs/api/api_files.h"

#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int files_find(struct files *files, struct blocks *blocks, const char *path,
	       struct files_found *out)
{
	struct wait *wait;
	int err = tree_find(files->tree, path, api_wait(files->call), &out->attr);

	if (err)
		return err;
	files_forget(files, out->attr.node);
	err = tree_commit(files->tree, "", api_wait_long(files->call), &out->version);
	wait = api_wait(files->call);
	if (!err)
		err = dag_resolve(blocks, &out->version.root, path, wait, &out->cid, NULL);
	return err ? err : dag_stat(blocks, &out->cid, wait, &out->stat);
}

/* ---- stat ---- */

#define STAT_FORMAT                                                                                \
	"<hash>\nSize: <size>\nCumulativeSize: <cumulsize>\nChildBlocks: <childs>\nType: <type>\n" \
	"Mode: <mode> (<mode-octal>)\nMtime: <mtime>"

static const struct option_spec stat_options[] = {
	{ "format", 0, OPTION_TEXT, "FORMAT",
	  "<hash> <size> <cumulsize> <type> <childs> <mode> <mode-octal> <mtime> <mtime-secs> "
	  "<mtime-nsecs> stand for what is said",
	  NULL },
	{ "hash", 0, OPTION_FLAG, NULL, "print the CID alone", NULL },
	{ "size", 0, OPTION_FLAG, NULL, "print the cumulative size alone", NULL },
	{ "with-local", 0, OPTION_FLAG, NULL, "how much of it is stored: all", NULL },
	{ 0 },
};

static char *check_stat(const json_t *args)
{
	int given = api_flag(args, "hash") + api_flag(args, "size") +
		    (api_text(args, "format") != NULL);

	return given > 1 ? xstrdup("format was set by multiple options. Only one format option is "
				   "allowed")
			 : NULL;
}

static const char *type_name(enum dag_type type)
{
	return type == DAG_DIRECTORY ? "directory" : type == DAG_SYMLINK ? "symlink" : "file";
}

json_t *files_stat_json(const json_t *args, const struct files_found *found)
{
	char text[CID_TEXT_MAX];

	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:o, s:I, s:I}", "Hash",
			 api_cid_text(args, &found->cid, text), "Size",
			 (json_int_t)found->stat.size, "CumulativeSize",
			 (json_int_t)found->stat.tree_size, "Blocks", (json_int_t)found->stat.links,
			 "Type", type_name(found->stat.type), "Mode",
			 json_sprintf("%04o", found->attr.mode & 07777), "Mtime",
			 (json_int_t)found->attr.mtime.tv_sec, "MtimeNsecs",
			 (json_int_t)found->attr.mtime.tv_nsec);
}

static void run_stat(struct api_call *call)
{
	struct files_found found;
	struct files_path path;
	struct blocks *blocks;
	struct files files;
	json_t *item;
	int err;

	if (!files_path(call, api_word(call->args, 0), &path) || !files_begin(&files, call))
		return;
	blocks = api_blocks(call, true);
	err = files_find(&files, blocks, path.text, &found);
	blocks_free(blocks);
	if (!err) {
		item = files_stat_json(call->args, &found);
		if (api_flag(call->args, "with-local")) {
			json_object_set_new(item, "WithLocality", json_true());
			json_object_set_new(item, "Local", json_true());
			json_object_set_new(item, "SizeLocal",
					    json_integer((json_int_t)found.stat.tree_size));
		}
		api_item(call, item);
	}
	files_end(&files, err, NULL);
}

/* "-rw-r--r--", as Go writes modes. */
static void mode_text(const json_t *item, char out[static 16])
{
	static const char letters[] = "rwxrwxrwx";
	unsigned mode = (unsigned)strtoul(api_member(item, "Mode"), NULL, 8);
	const char *type = api_member(item, "Type");

	out[0] = *type == 'd' ? 'd' : *type == 's' ? 'L' : '-';
	for (int i = 0; i < 9; i++)
		out[1 + i] = mode & (0400u >> i) ? letters[i] : '-';
	out[10] = 0;
}

static void time_text(const json_t *item, char out[static 64])
{
	time_t seconds = (time_t)api_number(item, "Mtime");
	struct tm tm;

	out[0] = 0;
	if (gmtime_r(&seconds, &tm))
		strftime(out, 64,
			 tm.tm_mday < 10 ? "X%d %b %Y, %H:%M:%S UTC" : "%d %b %Y, %H:%M:%S UTC",
			 &tm);
	if (out[0] == 'X') /* a day of one digit */
		memmove(out, out + 2, strlen(out + 2) + 1);
}

static void put_token(FILE *out, const json_t *item, const char *token, size_t len)
{
	char text[64];

	static const struct {
		const char *token, *member;
		bool is_text;
	} members[] = {
		{ "<hash>", "Hash", true },
		{ "<size>", "Size", false },
		{ "<cumulsize>", "CumulativeSize", false },
		{ "<childs>", "Blocks", false },
		{ "<type>", "Type", true },
		{ "<mode-octal>", "Mode", true },
		{ "<mtime-secs>", "Mtime", false },
		{ "<mtime-nsecs>", "MtimeNsecs", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (strlen(members[i].token) != len || strncmp(members[i].token, token, len))
			continue;
		if (members[i].is_text)
			fputs(api_member(item, members[i].member), out);
		else
			fprintf(out, "%lld", (long long)api_number(item, members[i].member));
		return;
	}
	if (len == strlen("<mode>") && !strncmp(token, "<mode>", len)) {
		mode_text(item, text);
		fputs(text, out);
	} else if (len == strlen("<mtime>") && !strncmp(token, "<mtime>", len)) {
		time_text(item, text);
		fputs(text, out);
	} else {
		fprintf(out, "%.*s", (int)len, token);
	}
}

static void stat_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *format = api_text(args, "format"), *end;
	char size[32];

	format = api_flag(args, "hash")	  ? "<hash>"
		 : api_flag(args, "size") ? "<cumulsize>"
		 : format		  ? format
					  : STAT_FORMAT;
	for (; *format; format = end) {
		size_t len = strcspn(format + 1, "<>") + 1;

		if (*format == '<' && format[len] == '>')
			len++;
		end = format + len;
		put_token(out, item, format, len);
	}
	putc('\n', out);
	if (json_object_get(item, "WithLocality"))
		fprintf(out, "Local: %s of %s (100.00%%)\n",
			progress_size((uint64_t)api_number(item, "SizeLocal"), size),
			progress_size((uint64_t)api_number(item, "CumulativeSize"), size));
}

const struct api_row api_files_stat = {
	.command = { "files stat", "PATH", 1, 1, "show what something in my/ is, and its CID", NULL,
		     stat_options, NULL },
	.flags = API_LONG,
	.check = check_stat,
	.text = stat_text,
	.run = run_stat,
	.run_daemon = daemon_run_job,
};

/* ---- ls ---- */

static const struct option_spec ls_options[] = {
	{ "long", 'l', OPTION_FLAG, NULL, "the CID and the size, too", NULL },
	{ "U", 'U', OPTION_FLAG, NULL, "in the order of the directory", NULL },
	{ 0 },
};

struct listing {
	struct files *files;
	json_t *entries; /* with "Name" alone at first */
};

/* Kubo's numbers: 0 a file, 1 a directory. */
static json_t *entry_json(const char *name, size_t len, int type, json_int_t size, const char *hash)
{
	return json_pack("{s:o, s:i, s:I, s:s}", "Name", json_stringn_nocheck(name, len), "Type",
			 type, "Size", size, "Hash", hash);
}

static int take_entry(void *ctx, const struct tree_item *item)
{
	struct listing *listing = ctx;

	json_array_append_new(listing->entries,
			      entry_json((const char *)item->name.at, item->name.len, 0, 0, ""));
	return 0;
}

/* What the version has at path, filled into entry. */
static int look_at(struct listing *listing, struct blocks *blocks, const struct cid *root,
		   const char *path, json_t *entry)
{
	struct api_call *call = listing->files->call;
	char text[CID_TEXT_MAX];
	struct dag_stat stat;
	struct cid cid;
	int err = dag_resolve(blocks, root, path, api_wait(call), &cid, NULL);

	if (!err)
		err = dag_stat(blocks, &cid, api_wait(call), &stat);
	if (err)
		return err;
	json_object_set_new(entry, "Type", json_integer(stat.type == DAG_DIRECTORY));
	json_object_set_new(entry, "Size", json_integer((json_int_t)stat.size));
	json_object_set_new(entry, "Hash", json_string(api_cid_text(call->args, &cid, text)));
	return 0;
}

static int add_details(struct listing *listing, const char *path, bool is_dir)
{
	struct files *files = listing->files;
	struct blocks *blocks = api_blocks(files->call, true);
	struct tree_version version;
	json_t *entry;
	size_t i;
	int err = tree_commit(files->tree, "", api_wait_long(files->call), &version);

	json_array_foreach(listing->entries, i, entry) {
		char *whole = is_dir ? xasprintf("%s/%s", path, api_member(entry, "Name"))
				     : xstrdup(path);

		if (!err)
			err = look_at(listing, blocks, &version.root, whole, entry);
		if (err == -ENOENT) /* it went meanwhile */
			err = 0;
		free(whole);
	}
	blocks_free(blocks);
	return err;
}

static int list_path(struct listing *listing, const struct files_path *path)
{
	struct files *files = listing->files;
	struct tree_attr attr;
	int err = tree_find(files->tree, path->text, api_wait(files->call), &attr);

	if (err)
		return err;
	if (S_ISDIR(attr.mode))
		err = tree_list(files->tree, attr.node, 0, false, api_wait(files->call), take_entry,
				listing);
	else
		json_array_append_new(listing->entries,
				      entry_json(path->name, strlen(path->name), 0, 0, ""));
	files_forget(files, attr.node);
	if (!err && api_flag(files->call->args, "long"))
		err = add_details(listing, path->text, S_ISDIR(attr.mode));
	return err;
}

static void run_ls(struct api_call *call)
{
	const char *word = api_word(call->args, 0);
	struct listing listing;
	struct files_path path;
	struct files files;
	int err;

	if (!files_path(call, word ? word : "/", &path) || !files_begin(&files, call))
		return;
	listing = (struct listing){ .files = &files, .entries = json_array() };
	err = list_path(&listing, &path);
	if (!err)
		api_item(call, json_pack("{s:O}", "Entries", listing.entries));
	json_decref(listing.entries);
	files_end(&files, err, NULL);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(api_member(*(json_t *const *)a, "Name"),
		      api_member(*(json_t *const *)b, "Name"));
}

static void ls_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *entries = json_object_get(item, "Entries");
	size_t count = json_array_size(entries);
	json_t **sorted = xcalloc(count + 1, sizeof(*sorted));

	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(entries, i);
	if (!api_flag(args, "U"))
		qsort(sorted, count, sizeof(*sorted), by_name);
	for (size_t i = 0; i < count; i++) {
		const char *name = api_member(sorted[i], "Name");
		char safe[4 * TREE_NAME_MAX + 1];

		cli_safe(safe, sizeof(safe), name, strlen(name));
		if (api_flag(args, "long"))
			fprintf(out, "%s%s\t%s\t%lld\n", safe,
				api_number(sorted[i], "Type") ? "/" : "",
				api_member(sorted[i], "Hash"),
				(long long)api_number(sorted[i], "Size"));
		else
			fprintf(out, "%s\n", safe);
	}
	free(sorted);
}

const struct api_row api_files_ls = {
	.command = { "files ls", "[PATH]", 0, 1, "list a directory of my/", NULL, ls_options,
		     NULL },
	.flags = API_LONG,
	.text = ls_text,
	.run = run_ls,
	.run_daemon = daemon_run_job,
};

/* ---- flush, chcid ---- */

static void run_flush(struct api_call *call)
{
	const char *word = api_word(call->args, 0);
	char text[CID_TEXT_MAX];
	struct files_found found;
	struct files_path path;
	struct blocks *blocks;
	struct files files;
	int err;

	if (!files_path(call, word ? word : "/", &path) || !files_begin(&files, call))
		return;
	blocks = api_blocks(call, true);
	err = files_find(&files, blocks, path.text, &found);
	blocks_free(blocks);
	if (!err)
		api_item(call,
			 json_pack("{s:s}", "Cid", api_cid_text(call->args, &found.cid, text)));
	files_end(&files, err, NULL);
}

static void flush_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "{\"Cid\":\"%s\"}\n", api_member(item, "Cid"));
}

const struct api_row api_files_flush = {
	.command = { "files flush", "[PATH]", 0, 1, "make a version of my/, and tell the CID", NULL,
		     NULL, NULL },
	.flags = API_LONG,
	.text = flush_text,
	.run = run_flush,
	.run_daemon = daemon_run_job,
};

static const struct option_spec chcid_options[] = { FILES_FLUSH, FILES_CIDS, { 0 } };

static void run_chcid(struct api_call *call)
{
	const char *word = api_word(call->args, 0);
	struct tree_attr attr;
	struct files_path path;
	struct files files;
	int err;

	if (!files_path(call, word ? word : "/", &path) || !files_begin(&files, call))
		return;
	err = tree_find(files.tree, path.text, api_wait(call), &attr);
	if (!err)
		files_forget(&files, attr.node);
	files_end(&files, err, NULL);
}

const struct api_row api_files_chcid = {
	.command = { "files chcid", "[PATH]", 0, 1,
		     "change the kind of CIDs, of which there is one", NULL, chcid_options, NULL },
	.flags = API_LONG,
	.check = files_check_cids,
	.run = run_chcid,
	.run_daemon = daemon_run_job,
};
