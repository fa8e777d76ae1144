/* pin ls: what is pinned, directly, recursively or below a recursive pin. Only records and stored
 * blocks are read. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <string.h>

static const struct option_spec pin_ls_options[] = {
	{ "type", 't', OPTION_TEXT, "KIND", "direct, recursive, indirect or all", "all" },
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs", NULL },
	{ "names", 'n', OPTION_FLAG, NULL, "names of pins too", NULL },
	{ "stream", 's', OPTION_FLAG, NULL, "with --enc=json, one line a pin", NULL },
	{ 0 },
};

static char *check_pin_ls(const json_t *args)
{
	static const char *const types[] = { "all", "direct", "recursive", "indirect" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(api_text(args, "type"), types[i]) == 0)
			return NULL;
	return xstrdup("--type must be all, direct, recursive or indirect");
}

static int same_hash(void *ctx, const struct cid *cid)
{
	return bytes_equal(cid_hash_bytes(ctx), cid_hash_bytes(cid)) ? 1 : 0;
}

static void pin_item(struct api_call *call, const struct cid *cid, const char *type,
		     const char *name)
{
	char text[CID_TEXT_MAX];

	api_item(call, json_pack("{s:s, s:s, s:o}", "Cid", api_cid_text(call->args, cid, text),
				 "Type", type, "Name", json_string_nocheck(name)));
}

static const char *type_of(const struct pin *pin)
{
	return pin->kind == PIN_RECURSIVE && !pin->direct ? "recursive" : "direct";
}

/* Others are not acknowledged: `pin add` was interrupted. */
static bool is_pinned(const struct pin *pin)
{
	return pin->state == PIN_DONE || pin->direct;
}

static bool wanted_type(const struct api_call *call, const char *type)
{
	const char *want = api_text(call->args, "type");

	return strcmp(want, "all") == 0 || strcmp(want, type) == 0;
}

static int list_pin(void *ctx, const struct pin *pin)
{
	struct api_call *call = ctx;

	if (is_pinned(pin) && wanted_type(call, type_of(pin)))
		pin_item(call, &pin->cid, type_of(pin), pin->name);
	return wait_check(call->waited);
}

static int list_indirect(void *ctx, const struct cid *cid)
{
	struct api_call *call = ctx;

	pin_item(call, cid, "indirect", "");
	return wait_check(call->waited);
}

static void list_all(struct api_call *call, struct blocks *blocks)
{
	struct wait *wait = api_wait_long(call);
	struct db *db = api_repo(call)->db;
	int err = pin_each(db, list_pin, call);

	if (!err && wanted_type(call, "indirect"))
		err = pin_each_indirect(db, blocks, wait, list_indirect, call);
	if (err)
		api_fail(call, err, "cannot list the pins");
	else
		api_end(call, 0, NULL);
}

/* The pin of one CID that was asked for; false after the end of the call. */
static bool list_given(struct api_call *call, struct blocks *blocks, const char *path)
{
	struct db *db = api_repo(call)->db;
	char text[CID_TEXT_MAX];
	struct pin pin;
	struct cid cid;

	if (api_find(call, blocks, path, &cid))
		return false;
	if (pin_get(db, &cid, &pin) == 0 && is_pinned(&pin) && wanted_type(call, type_of(&pin))) {
		pin_item(call, &cid, type_of(&pin), pin.name);
		return true;
	}
	if (wanted_type(call, "indirect") &&
	    pin_each_indirect(db, blocks, api_wait_long(call), same_hash, &cid) == 1) {
		pin_item(call, &cid, "indirect", "");
		return true;
	}
	api_refuse(call, -ENOENT, "path '%s' is not pinned", api_cid_text(call->args, &cid, text));
	return false;
}

static void run_pin_ls(struct api_call *call)
{
	size_t count = api_word_count(call->args), i = 0;
	struct blocks *blocks;

	blocks = api_blocks(call, false);
	while (i < count && list_given(call, blocks, api_word(call->args, i)))
		i++;
	if (!count)
		list_all(call, blocks);
	else if (i == count)
		api_end(call, 0, NULL);
	blocks_free(blocks);
}

static void pin_ls_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *cid = api_member(item, "Cid"), *type = api_member(item, "Type"),
		   *name = api_member(item, "Name");
	char safe[4 * PIN_NAME_MAX + 8];

	if (api_flag(args, "quiet"))
		fprintf(out, "%s\n", cid);
	else if (api_flag(args, "names") && *name)
		fprintf(out, "%s %s %s\n", cid, type,
			cli_safe(safe, sizeof(safe), name, strlen(name)));
	else
		fprintf(out, "%s %s\n", cid, type);
}

const struct api_row api_pin_ls = {
	.command = { "pin ls", "[PATH...]", 0, -1, "show what is pinned", NULL, pin_ls_options,
		     NULL },
	.check = check_pin_ls,
	.head = "{\"Keys\":{",
	.tail = "}}",
	.key = "Cid",
	.text = pin_ls_text,
	.run = run_pin_ls,
};
