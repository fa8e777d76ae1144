/* block get, put, stat, rm: single blocks. rm is a collection of the blocks named. Blocking, on the
 * thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>

/* The block that the word names, one reference; NULL after the end of the call. */
static struct block *get_block(struct api_call *call)
{
	struct blocks *blocks = api_blocks(call, true);
	struct block *block = NULL;
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err;

	if (!api_resolve(call, blocks, api_word(call->args, 0), &cid)) {
		err = blocks_get(blocks, &cid, api_wait(call), &block);
		if (err)
			api_fail(call, err, "cannot get %s", api_cid_text(call->args, &cid, text));
	}
	blocks_free(blocks);
	return block;
}

/* ---- get ---- */

static void run_block_get(struct api_call *call)
{
	struct block *block = get_block(call);
	int err;

	if (!block)
		return;
	err = api_bytes(call, block->data);
	block_unref(block);
	api_end(call, err, NULL);
}

const struct api_row api_block_get = {
	.command = { "block get", "CID", 1, 1, "write the bytes of a block to the output", NULL,
		     NULL, NULL },
	.flags = API_BYTES,
	.run = run_block_get,
};

/* ---- put ---- */

static const struct option_spec block_put_options[] = {
	{ "cid-codec", 0, OPTION_TEXT, "NAME", "raw, dag-pb, dag-cbor, dag-json", "raw" },
	{ "mhtype", 0, OPTION_TEXT, "NAME", "hash function", "sha2-256" },
	{ "cid-version", 0, OPTION_INT, "0|1", "0 needs dag-pb and sha2-256", "1" },
	{ "pin", 0, OPTION_FLAG, NULL, "pin it, recursively", "false" },
	{ 0 },
};

static char *check_block_put(const json_t *args)
{
	uint64_t codec = ipld_codec(api_text(args, "cid-codec"));
	int64_t hash = hash_by_name(api_text(args, "mhtype"));
	json_int_t version = api_int(args, "cid-version");

	if (codec == 0)
		return xasprintf("unknown codec '%s'", api_text(args, "cid-codec"));
	if (hash < 0)
		return xasprintf("unknown hash function '%s'", api_text(args, "mhtype"));
	if (version != 0 && version != 1)
		return xstrdup("--cid-version is not within 0..1");
	if (version == 0 && (codec != CODEC_DAG_PB || hash != HASH_SHA2_256))
		return xstrdup(
			"CID version 0 has no codec but dag-pb, and no hash function but sha2-256");
	return NULL;
}

/* Makes one block of an input, stores it durably, and pins it if that is wanted. */
static int put_input(struct api_call *call, struct blocks *blocks, const struct api_input *input,
		     struct cid *cid, size_t *len)
{
	unsigned version = (unsigned)api_int(call->args, "cid-version");
	uint64_t codec = ipld_codec(api_text(call->args, "cid-codec"));
	uint64_t hash = (uint64_t)hash_by_name(api_text(call->args, "mhtype"));
	struct buf data = { 0 };
	struct block *block;
	int err = api_input_read(call, input, BLOCK_CREATE_MAX, &data);

	if (!err)
		err = cid_of_data(cid, version, codec, hash, buf_bytes(&data));
	if (!err)
		err = cid_allowed(cid);
	if (!err) {
		*len = data.len;
		block = block_take(cid, &data);
		err = blocks_put(blocks, block);
		block_unref(block);
	}
	buf_release(&data);
	if (!err)
		err = blocks_sync(blocks);
	if (!err && api_flag(call->args, "pin"))
		err = pin_add(api_repo(call)->db, blocks, cid, PIN_RECURSIVE, "", api_wait(call),
			      (uint64_t)api_int(call->args, "timeout"), NULL, NULL);
	return err;
}

/* False after the end of the call. */
static bool put_next(struct api_call *call, struct blocks *blocks, size_t at)
{
	char text[CID_TEXT_MAX];
	struct api_input input;
	struct cid cid;
	size_t len = 0;
	int err = api_input(call, at, &input);

	if (err == -ENODATA) {
		api_end(call, 0, NULL);
		return false;
	}
	if (!err)
		err = put_input(call, blocks, &input, &cid, &len);
	if (err) {
		api_fail(call, err, "cannot put %s", input.name);
	} else {
		api_item(call, json_pack("{s:s, s:I}", "Key", api_cid_text(call->args, &cid, text),
					 "Size", (json_int_t)len));
		api_announce(call, &cid);
	}
	api_input_close(&input);
	return !err;
}

static void run_block_put(struct api_call *call)
{
	struct blocks *blocks = api_blocks(call, true);
	size_t at = 0;

	blocks_batch_begin(blocks);
	while (put_next(call, blocks, at))
		at++;
	blocks_free(blocks);
}

static void block_put_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", api_member(item, "Key"));
}

const struct api_row api_block_put = {
	.command = { "block put", "[FILE...]", 0, -1, "store a file, or the input, as one block",
		     NULL, block_put_options, NULL },
	.check = check_block_put,
	.text = block_put_text,
	.run = run_block_put,
};

/* ---- stat ---- */

static void run_block_stat(struct api_call *call)
{
	struct block *block = get_block(call);
	char text[CID_TEXT_MAX];

	if (!block)
		return;
	api_item(call, json_pack("{s:s, s:I}", "Key", api_cid_text(call->args, &block->cid, text),
				 "Size", (json_int_t)block->data.len));
	block_unref(block);
	api_end(call, 0, NULL);
}

static void block_stat_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "Key: %s\nSize: %" JSON_INTEGER_FORMAT "\n", api_member(item, "Key"),
		api_number(item, "Size"));
}

const struct api_row api_block_stat = {
	.command = { "block stat", "CID", 1, 1, "show the size of a block", NULL, NULL, NULL },
	.text = block_stat_text,
	.run = run_block_stat,
};

/* ---- rm ---- */

static const struct option_spec block_rm_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "blocks that are not there are no error", NULL },
	{ "quiet", 'q', OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

/* The blocks that were named, and what became of them. */
struct removing {
	struct api_call *call;
	struct cid *cids;
	bool *stored, *gone;
	size_t count;
};

static void on_gone(void *ctx, struct bytes multihash, size_t len)
{
	struct removing *removing = ctx;

	(void)len;
	for (size_t i = 0; i < removing->count; i++)
		if (bytes_equal(cid_hash_bytes(&removing->cids[i]), multihash))
			removing->gone[i] = true;
}

struct keeper {
	const struct cid *cid;
	const char *why;
};

static int pin_keeps(void *ctx, const struct pin *pin)
{
	struct keeper *keeper = ctx;

	/* Blocks are stored by their hashes, whatever else a CID says. */
	if (!bytes_equal(cid_hash_bytes(keeper->cid), cid_hash_bytes(&pin->cid)))
		return 0;
	keeper->why = pin->kind == PIN_RECURSIVE ? "pinned: recursive" : "pinned: direct";
	return 1;
}

static int same_hash(void *ctx, const struct cid *cid)
{
	const struct keeper *keeper = ctx;

	return bytes_equal(cid_hash_bytes(keeper->cid), cid_hash_bytes(cid)) ? 1 : 0;
}

/* Why a block stayed. */
static const char *kept_by(struct api_call *call, struct blocks *blocks, const struct cid *cid)
{
	struct keeper keeper = { .cid = cid };
	struct db *db = api_repo(call)->db;

	if (pin_each(db, pin_keeps, &keeper) == 1)
		return keeper.why;
	if (pin_each_indirect(db, blocks, api_wait_long(call), same_hash, &keeper) == 1)
		return "pinned: indirect";
	return "needed by a share, or by what is being stored";
}

/* Tells what became of a block. False: it is still there, or never was and is an error. */
static bool tell_removed(const struct removing *removing, struct blocks *blocks, size_t i)
{
	struct api_call *call = removing->call;
	const struct cid *cid = &removing->cids[i];
	char text[CID_TEXT_MAX];
	const char *why = NULL;

	if (!removing->stored[i] && !removing->gone[i]) {
		if (api_flag(call->args, "force"))
			return true;
		why = err_text(-ENOENT);
	} else if (!removing->gone[i]) {
		why = kept_by(call, blocks, cid);
	}
	api_cid_text(call->args, cid, text);
	if (why) {
		api_item(call, json_pack("{s:s, s:s}", "Hash", text, "Error", why));
		api_trouble(call, NULL, "cannot remove %s: %s", text, why);
	} else if (!api_flag(call->args, "quiet")) {
		api_item(call, json_pack("{s:s}", "Hash", text));
	}
	return !why;
}

/* All words that are CIDs. False: some are not, which was told. */
static bool take_words(struct removing *removing)
{
	struct api_call *call = removing->call;
	size_t count = api_word_count(call->args);
	char text[CID_TEXT_MAX];
	bool all = true;

	removing->cids = xcalloc(count + 1, sizeof(*removing->cids));
	for (size_t i = 0; i < count; i++) {
		const char *word = api_word(call->args, i);

		if (cid_from_text(&removing->cids[removing->count],
				  strncmp(word, "/ipfs/", 6) ? word : word + 6)) {
			api_trouble(call, NULL, "'%s' is not a CID",
				    cli_safe(text, sizeof(text), word, strlen(word)));
			all = false;
			continue;
		}
		removing->count++;
	}
	return all;
}

/* As a collection of these blocks alone: whoever pins or stores one meanwhile keeps it. */
static void run_block_rm(struct api_call *call)
{
	struct removing removing = { .call = call };
	struct sweep_source sources[REPO_SOURCES_MAX];
	bool all = take_words(&removing);
	struct blocks *blocks = api_blocks(call, false);
	struct store *store = api_repo(call)->store;
	size_t count;
	int err = repo_sweep_sources(api_repo(call), sources, &count);

	removing.stored = xcalloc(removing.count + 1, sizeof(bool));
	removing.gone = xcalloc(removing.count + 1, sizeof(bool));
	for (size_t i = 0; i < removing.count; i++)
		removing.stored[i] = store_has(store, cid_hash_bytes(&removing.cids[i]));
	if (!err)
		err = dag_sweep_only(store, sources, count, removing.cids, removing.count,
				     api_wait_long(call), on_gone, &removing);
	for (size_t i = 0; !err && i < removing.count; i++)
		all &= tell_removed(&removing, blocks, i);
	blocks_free(blocks);
	free(removing.cids);
	free(removing.stored);
	free(removing.gone);
	if (err)
		api_fail(call, err, "cannot tell which blocks are kept, so none was removed");
	else
		api_end(call, all ? 0 : API_SOME_FAILED, "not all blocks could be removed");
}

/* What failed is told as a trouble. */
static void block_rm_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	if (!json_object_get(item, "Error"))
		fprintf(out, "removed %s\n", api_member(item, "Hash"));
}

const struct api_row api_block_rm = {
	.command = { "block rm", "CID...", 1, -1, "remove blocks that no pin and no share keeps",
		     NULL, block_rm_options, NULL },
	.text = block_rm_text,
	.run = run_block_rm,
};
