/* pin add, update, rm: changes what is kept. A pin is told when it is on disk with all its blocks.
 * Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/repo.h"
#include "net/base/err.h"
#include "net/base/wait.h"

/* For add and rm: all words, until one fails. What was done before a failure is told. */
static void on_paths(struct api_call *call,
		     bool (*one)(struct api_call *call, struct blocks *blocks, const char *path))
{
	struct blocks *blocks = api_blocks(call, true);
	size_t count = api_word_count(call->args), i = 0;

	while (i < count && one(call, blocks, api_word(call->args, i)))
		i++;
	blocks_free(blocks);
	if (i == count)
		api_end(call, 0, NULL);
}

/* ---- add ---- */

static const struct option_spec add_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "everything below too", "true" },
	{ "name", 'n', OPTION_TEXT, "NAME", "a name to find it by", NULL },
	{ "progress", 0, OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

struct pinning {
	struct api_call *call;
	const char *what;
};

static void on_progress(void *ctx, const struct pin_progress *done)
{
	struct pinning *pinning = ctx;

	if (api_flag(pinning->call->args, "progress"))
		api_progress(pinning->call,
			     &(struct api_progress){ .what = pinning->what,
						     .bytes = done->bytes,
						     .blocks = done->blocks,
						     .total_bytes = done->total_bytes });
}

static enum pin_kind kind_of(const json_t *args)
{
	return api_flag(args, "recursive") ? PIN_RECURSIVE : PIN_DIRECT;
}

static void cannot_pin(struct api_call *call, int err, const char *text)
{
	if (err == -ECANCELED)
		api_refuse(call, err, "pin: %s was unpinned meanwhile", text);
	else
		api_fail(call, err, "pin: cannot pin %s", text);
}

/* False after the end of the call. */
static bool add_one(struct api_call *call, struct blocks *blocks, const char *path)
{
	struct pinning pinning = { call, "pinned" };
	const char *name = api_text(call->args, "name");
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err;

	if (api_find(call, blocks, path, &cid))
		return false;
	api_cid_text(call->args, &cid, text);
	err = pin_add(api_repo(call)->db, blocks, &cid, kind_of(call->args), name ? name : "",
		      api_wait(call), (uint64_t)api_int(call->args, "timeout"), on_progress,
		      &pinning);
	api_progress(call, NULL);
	if (err) {
		cannot_pin(call, err, text);
		return false;
	}
	api_item(call, json_string(text));
	api_announce(call, &cid);
	return true;
}

static void run_add(struct api_call *call)
{
	on_paths(call, add_one);
}

static void add_text(FILE *out, const json_t *args, const json_t *item)
{
	fprintf(out, "pinned %s %s\n", json_string_value(item),
		api_flag(args, "recursive") ? "recursively" : "directly");
}

const struct api_row api_pin_add = {
	.command = { "pin add", "PATH...", 1, -1, "fetch what is missing of a tree, and keep it",
		     "PATH is a CID, a path below one, or a file or directory in a mount. An "
		     "interrupted pin "
		     "goes on where it stopped "
		     "when the command is given again, and by itself while a daemon runs.",
		     add_options, NULL },
	.flags = API_TELLS_ALL,
	.head = "{\"Pins\":[",
	.tail = "]}",
	.text = add_text,
	.run = run_add,
};

/* ---- update ---- */

static const struct option_spec update_options[] = {
	{ "unpin", 0, OPTION_FLAG, NULL, "keep the old one no longer", "true" },
	{ "progress", 0, OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

/* False after the end of the call. */
static bool update(struct api_call *call, struct blocks *blocks, const struct cid *from,
		   const struct cid *to)
{
	struct pinning pinning = { call, "updated" };
	bool unpin = api_flag(call->args, "unpin");
	char from_text[CID_TEXT_MAX], to_text[CID_TEXT_MAX];
	int err;

	api_cid_text(call->args, from, from_text);
	api_cid_text(call->args, to, to_text);
	err = pin_update(api_repo(call)->db, blocks, from, to, unpin, api_wait(call),
			 (uint64_t)api_int(call->args, "timeout"), on_progress, &pinning);
	api_progress(call, NULL);
	if (err == -ENOENT || err == -EEXIST)
		api_refuse(call, err, "'%s' is not pinned recursively", from_text);
	else if (err)
		cannot_pin(call, err, to_text);
	if (err)
		return false;
	api_item(call, json_pack("{s:[s,s]}", "Pins", from_text, to_text));
	api_announce(call, to);
	if (unpin && !cid_equal(from, to))
		api_withdraw(call, from);
	return true;
}

static void run_update(struct api_call *call)
{
	struct blocks *blocks = api_blocks(call, true);
	struct cid from, to;

	if (!api_find(call, blocks, api_word(call->args, 0), &from) &&
	    !api_find(call, blocks, api_word(call->args, 1), &to) &&
	    update(call, blocks, &from, &to))
		api_end(call, 0, NULL);
	blocks_free(blocks);
}

static void update_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *pins = json_object_get(item, "Pins");

	(void)args;
	fprintf(out, "updated %s to %s\n", json_string_value(json_array_get(pins, 0)),
		json_string_value(json_array_get(pins, 1)));
}

const struct api_row api_pin_update = {
	.command = { "pin update", "OLD NEW", 2, 2,
		     "keep NEW in the place of OLD, fetching only what differs",
		     "OLD must be pinned recursively. Its name goes over to NEW, unless NEW has "
		     "one.",
		     update_options, NULL },
	.text = update_text,
	.run = run_update,
};

/* ---- rm ---- */

static const struct option_spec rm_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "recursive pins too; false: direct ones alone",
	  "true" },
	{ 0 },
};

/* False after the end of the call. */
static bool rm_one(struct api_call *call, struct blocks *blocks, const char *path)
{
	struct db *db = api_repo(call)->db;
	char text[CID_TEXT_MAX];
	struct pin left;
	struct cid cid;
	int err;

	if (api_find(call, blocks, path, &cid))
		return false;
	api_cid_text(call->args, &cid, text);
	err = pin_rm(db, &cid, kind_of(call->args));
	if (err == -EEXIST && api_flag(call->args, "recursive"))
		err = pin_rm(db, &cid, PIN_DIRECT);
	if (err == -ENOENT)
		api_refuse(call, err, "%s is not pinned", text);
	else if (err == -EEXIST)
		api_refuse(call, err, "%s is pinned recursively", text);
	else if (err)
		api_fail(call, err, "cannot unpin %s", text);
	if (err)
		return false;
	/* Of one wanted recursively the direct one stays, or the other way round. */
	if (pin_get(db, &cid, &left) == -ENOENT)
		api_withdraw(call, &cid);
	api_item(call, json_string(text));
	return true;
}

static void run_rm(struct api_call *call)
{
	on_paths(call, rm_one);
}

static void rm_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "unpinned %s\n", json_string_value(item));
}

const struct api_row api_pin_rm = {
	.command = { "pin rm", "PATH...", 1, -1, "keep it no longer; `repo gc` makes room", NULL,
		     rm_options, NULL },
	.flags = API_TELLS_ALL,
	.head = "{\"Pins\":[",
	.tail = "]}",
	.text = rm_text,
	.run = run_rm,
};
