/* pin add, update, rm: changes what is kept. A pin is told when it is on disk with all its blocks.
 * Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/api/api_names.h"
#include "fs/followed_pins.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <stdlib.h>
#include <string.h>

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
	{ "follow", 0, OPTION_FLAG, NULL,
	  "PATH is /ipns/NAME: what that leads to is kept, later too", "false" },
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

/* ---- pins that follow names ---- */

/* The name of a key, alone. */
static int name_of(const char *path, struct peer_id *name)
{
	if (strncmp(path, "ipns://", 7) == 0)
		path += 7;
	else if (strncmp(path, "/ipns/", 6) == 0)
		path += 6;
	return peer_id_from_text(name, path);
}

/* What the best record of the name wants pinned. 0; 1 after the end of the call. */
static int find_target(struct api_call *call, struct blocks *blocks, const char *path,
		       const struct peer_id *name, struct cid *out)
{
	struct buf bytes = { 0 };
	struct name_record record;
	char *why = NULL, *target = NULL;
	int ended = 0,
	    err = api_name_record(call->host, name, false, NULL, api_wait(call), &bytes, &why);

	if (!err)
		err = name_record_check(&record, name, buf_bytes(&bytes), wallclock_ns());
	if (!err)
		err = followed_pin_target(&record, out, &target);
	if (!err && target) {
		ended = api_resolve(call, blocks, target, out) ? 1 : 0;
	} else if (err) {
		api_fail(call, err, "pin: no record of %s is found", path);
		ended = 1;
	}
	free(target);
	free(why);
	buf_release(&bytes);
	return ended;
}

/* False after the end of the call. */
static bool follow_one(struct api_call *call, struct blocks *blocks, const char *path)
{
	struct pinning pinning = { call, "pinned" };
	const char *name = api_text(call->args, "name");
	struct db *db = api_repo(call)->db;
	struct followed_pin pin = { 0 };
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err;

	if (name_of(path, &pin.name)) {
		api_refuse(call, -EINVAL,
			   "pin: %s cannot be followed: only /ipns/ and the name of a "
			   "key can",
			   path);
		return false;
	}
	if (find_target(call, blocks, path, &pin.name, &cid))
		return false;
	api_cid_text(call->args, &cid, text);
	err = pin_add(db, blocks, &cid, PIN_RECURSIVE, name ? name : path, api_wait(call),
		      (uint64_t)api_int(call->args, "timeout"), on_progress, &pinning);
	api_progress(call, NULL);
	pin.cid = cid;
	if (!err)
		err = followed_pin_put(db, &pin);
	if (err == -EMFILE)
		api_refuse(call, err, "pin: %u names are followed already", FOLLOWED_PINS_MAX);
	else if (err)
		cannot_pin(call, err, text);
	if (err)
		return false;
	api_item(call, json_string(text));
	api_announce(call, &cid);
	return true;
}

static char *check_add(const json_t *args)
{
	return api_flag(args, "follow") && !api_flag(args, "recursive")
		       ? xstrdup("--follow pins recursively")
		       : NULL;
}

static void run_add(struct api_call *call)
{
	on_paths(call, api_flag(call->args, "follow") ? follow_one : add_one);
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
		     "when the command is given again, and by itself while a daemon runs.\n"
		     "With --follow the pin moves when the name leads elsewhere, while a daemon "
		     "runs, until it is removed;\n"
		     "of a share all of a version is kept, so that others can read and follow it "
		     "from here.",
		     add_options, NULL },
	.check = check_add,
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
	err = followed_pins_forget(db, &cid);
	if (err) {
		api_fail(call, err, "%s is unpinned, but a name goes on to be followed", text);
		return false;
	}
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
