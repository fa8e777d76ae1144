/* dag get and put: blocks as values, converted between codecs through one tree. Blocking, on the
 * thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <string.h>

#define INPUT_MAX (8u << 20) /* DAG-JSON is longer than the block it makes */
#define SHOWN_MAX 512

/* ---- get ---- */

static const struct option_spec get_options[] = {
	{ "output-codec", 0, OPTION_TEXT, "NAME", "dag-json, dag-cbor, dag-pb, raw, json, cbor",
	  "dag-json" },
	{ 0 },
};

static char *check_get(const json_t *args)
{
	const char *codec = api_text(args, "output-codec");

	return ipld_codec(codec) ? NULL : xasprintf("unknown codec '%s'", codec);
}

/* A path that may end within a block: the block, and what is left of the path to walk in it, in
 * parsed. 0; -errno after the end of the call. */
static int resolve_node(struct api_call *call, struct blocks *blocks, const char *path,
			struct dag_path *parsed, struct cid *cid, const char **inner)
{
	const char *why = "not a path";
	char safe[SHOWN_MAX], *fixed;
	int err = api_unname(call, path, &fixed);

	if (err)
		return err;
	cli_safe(safe, sizeof(safe), path, strlen(path));
	err = dag_path_parse(fixed, parsed, &why);
	free(fixed);
	if (err) {
		api_refuse(call, -EINVAL, "'%s': %s", safe, why);
		return err;
	}
	err = dag_resolve_node(blocks, &parsed->root, parsed->rest, api_wait(call), cid, inner,
			       NULL);
	if (err == -ENOENT || err == -ENOTDIR)
		api_refuse(call, err, "no link named so: '%s'", safe);
	else if (err)
		api_fail(call, err, "cannot resolve '%s'", safe);
	return err;
}

/* The node that names lead to within a tree; they were walked before. */
static const struct ipld_node *node_at(const struct ipld *tree, const char *path)
{
	const struct ipld_node *node = tree->nodes;

	for (;;) {
		const char *name = path + strspn(path, "/");
		size_t len = strcspn(name, "/");

		if (!len || ipld_step(tree, node, bytes_of(name, len), &node))
			return node;
		path = name + len;
	}
}

static int encode_block(const struct block *block, const char *inner, uint64_t codec,
			struct buf *out)
{
	struct ipld tree = { 0 };
	int err;

	/* As it is stored: nothing to read or to judge. */
	if (!*inner && (codec == block->cid.codec || codec == CODEC_RAW)) {
		buf_add(out, block->data);
		return 0;
	}
	err = ipld_decode(&tree, block->cid.codec, block->data);
	if (!err)
		err = ipld_encode(&tree, node_at(&tree, inner), codec, out);
	ipld_release(&tree);
	return err;
}

static void run_get(struct api_call *call)
{
	const char *codec = api_text(call->args, "output-codec"), *inner;
	struct blocks *blocks = api_blocks(call, true);
	struct block *block = NULL;
	struct buf out = { 0 };
	struct dag_path parsed;
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err;

	if (resolve_node(call, blocks, api_word(call->args, 0), &parsed, &cid, &inner)) {
		blocks_free(blocks);
		return;
	}
	api_cid_text(call->args, &cid, text);
	err = blocks_get(blocks, &cid, api_wait(call), &block);
	blocks_free(blocks);
	if (err) {
		api_fail(call, err, "cannot get %s", text);
		return;
	}
	err = encode_block(block, inner, ipld_codec(codec), &out);
	block_unref(block);
	if (err == -EINVAL)
		api_refuse(call, err, "%s cannot say what is in %s", codec, text);
	else if (err)
		api_fail(call, err, "cannot read %s", text);
	else
		api_end(call, api_bytes(call, buf_bytes(&out)), NULL);
	buf_release(&out);
}

const struct api_row api_dag_get = {
	.command = { "dag get", "PATH", 1, 1,
		     "show the value that a block, or a part of one, holds",
		     "The path goes through maps, lists and links: CID/a/0/b. Nothing is added "
		     "behind the "
		     "value.",
		     get_options, NULL },
	.flags = API_BYTES,
	.check = check_get,
	.run = run_get,
};

/* ---- put ---- */

static const struct option_spec put_options[] = {
	{ "input-codec", 0, OPTION_TEXT, "NAME", "what the input is", "dag-json" },
	{ "store-codec", 0, OPTION_TEXT, "NAME", "what the block shall be", "dag-cbor" },
	{ "hash", 0, OPTION_TEXT, "NAME", "hash function", "sha2-256" },
	{ "pin", 0, OPTION_FLAG, NULL, "pin it, recursively", "false" },
	{ 0 },
};

static char *check_put(const json_t *args)
{
	const char *input = api_text(args, "input-codec"), *store = api_text(args, "store-codec");

	if (!ipld_codec(input) || !ipld_codec(store))
		return xasprintf("unknown codec '%s'", ipld_codec(input) ? store : input);
	if (hash_by_name(api_text(args, "hash")) < 0)
		return xasprintf("unknown hash function '%s'", api_text(args, "hash"));
	return NULL;
}

/* The block that the value makes, one reference; NULL after the end of the call. */
static struct block *block_of(struct api_call *call, const struct ipld *tree, const char *name)
{
	const char *codec = api_text(call->args, "store-codec");
	uint64_t hash = (uint64_t)hash_by_name(api_text(call->args, "hash"));
	struct block *block = NULL;
	struct buf data = { 0 };
	struct cid cid;
	int err = ipld_encode(tree, tree->nodes, ipld_codec(codec), &data);

	if (err) {
		api_refuse(call, err, "%s cannot say what is in %s", codec, name);
	} else if (data.len > BLOCK_CREATE_MAX) {
		api_refuse(call, -EMSGSIZE, "%s makes a block of %zu bytes; %u are the most", name,
			   data.len, BLOCK_CREATE_MAX);
	} else {
		err = cid_of_data(&cid, 1, ipld_codec(codec), hash, buf_bytes(&data));
		if (!err)
			err = cid_allowed(&cid);
		if (err)
			api_fail(call, err, "cannot name %s", name);
		else
			block = block_take(&cid, &data);
	}
	buf_release(&data);
	return block;
}

/* The block that an input describes, one reference; NULL after the end of the call. */
static struct block *make_block(struct api_call *call, const struct api_input *input)
{
	const char *codec = api_text(call->args, "input-codec");
	struct block *block = NULL;
	struct buf text = { 0 };
	struct ipld tree = { 0 };
	int err = api_input_read(call, input, INPUT_MAX, &text);

	if (err)
		api_fail(call, err, "cannot read %s", input->name);
	else if ((err = ipld_decode_strict(&tree, ipld_codec(codec), buf_bytes(&text))))
		api_fail(call, err, "%s is no %s", input->name, codec);
	else
		block = block_of(call, &tree, input->name);
	ipld_release(&tree);
	buf_release(&text);
	return block;
}

/* Stored durably, and pinned if that is wanted. */
static int store_block(struct api_call *call, struct blocks *blocks, struct block *block)
{
	int err = blocks_put(blocks, block);

	if (!err)
		err = blocks_sync(blocks);
	if (!err && api_flag(call->args, "pin"))
		err = pin_add(api_repo(call)->db, blocks, &block->cid, PIN_RECURSIVE, "",
			      api_wait(call), (uint64_t)api_int(call->args, "timeout"), NULL, NULL);
	return err;
}

/* False after the end of the call. */
static bool put_input(struct api_call *call, struct blocks *blocks, const struct api_input *input)
{
	struct block *block = make_block(call, input);
	char text[CID_TEXT_MAX];
	int err;

	if (!block)
		return false;
	err = store_block(call, blocks, block);
	if (err) {
		api_fail(call, err, "cannot put %s", input->name);
	} else {
		api_item(call, json_pack("{s:{s:s}}", "Cid", "/",
					 api_cid_text(call->args, &block->cid, text)));
		api_announce(call, &block->cid);
	}
	block_unref(block);
	return !err;
}

static void run_put(struct api_call *call)
{
	struct blocks *blocks = api_blocks(call, true);
	bool going = true;

	blocks_batch_begin(blocks);
	for (size_t at = 0; going; at++) {
		struct api_input input;
		int err = api_input(call, at, &input);

		if (err == -ENODATA)
			break;
		if (err)
			api_fail(call, err, "cannot read %s", input.name);
		going = !err && put_input(call, blocks, &input);
		api_input_close(&input);
	}
	blocks_free(blocks);
	if (going)
		api_end(call, 0, NULL);
}

static void put_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", api_member(json_object_get(item, "Cid"), "/"));
}

const struct api_row api_dag_put = {
	.command = { "dag put", "[FILE...]", 0, -1, "store a value, told in DAG-JSON, as a block",
		     NULL, put_options, NULL },
	.check = check_put,
	.text = put_text,
	.run = run_put,
};
