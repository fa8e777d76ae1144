/* block get and put: single blocks. */
#include "fs/cli.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int get_block(struct invocation *in, const char *text, struct block **out)
{
	struct blocks *blocks;
	struct cid cid;
	char name[CID_TEXT_MAX];
	int err, code = cli_need_repo(in);

	if (code)
		return code;
	blocks = cli_blocks(in);
	code = cli_resolve(in, blocks, text, &cid);
	if (!code) {
		err = blocks_get(blocks, &cid, cli_wait(in), out);
		if (err)
			code = cli_fail(in, err, "cannot get %s", cli_cid(in, &cid, name));
	}
	blocks_free(blocks);
	return code;
}

static int run_get(struct invocation *in)
{
	struct block *block;
	int code = get_block(in, in->argv[0], &block);

	if (code)
		return code;
	if (fwrite(block->data.at, 1, block->data.len, stdout) != block->data.len)
		code = cli_fail_file(in, -errno, "cannot write the output");
	block_unref(block);
	return code;
}

const struct command cmd_block_get = {
	"block get", "CID", 1, 1, "write the bytes of a block to the output", NULL, NULL, run_get,
};

/* ---- put ---- */

static const struct option_spec put_options[] = {
	{ "cid-codec", 0, OPTION_TEXT, "NAME", "raw, dag-pb, dag-cbor, dag-json", "raw" },
	{ "mhtype", 0, OPTION_TEXT, "NAME", "hash function", "sha2-256" },
	{ "cid-version", 0, OPTION_INT, "0|1", "0 needs dag-pb and sha2-256", "1" },
	{ "pin", 0, OPTION_FLAG, NULL, "pin it, recursively", "false" },
	{ 0 },
};

/* Makes one block of a file, stores it durably, and pins and announces it if that is wanted. */
static int put_one(struct invocation *in, struct blocks *blocks, const char *path)
{
	uint64_t codec = ipld_codec(cli_text(in, "cid-codec"));
	int64_t hash = hash_by_name(cli_text(in, "mhtype")), version = cli_int(in, "cid-version");
	struct buf data = { 0 };
	struct block *block;
	char text[CID_TEXT_MAX];
	struct cid cid;
	size_t len = 0;
	int err;

	if (codec == 0)
		return cli_usage(in, "unknown codec '%s'", cli_text(in, "cid-codec"));
	if (hash < 0)
		return cli_usage(in, "unknown hash function '%s'", cli_text(in, "mhtype"));
	if (version != 0 && version != 1)
		return cli_usage(in, "--cid-version is not within 0..1");
	if (version == 0 && (codec != CODEC_DAG_PB || hash != HASH_SHA2_256))
		return cli_usage(
			in,
			"CID version 0 has no codec but dag-pb, and no hash function but sha2-256");
	err = cli_read_all(path, BLOCK_CREATE_MAX, &data);
	if (!err)
		err = cid_of_data(&cid, (unsigned)version, codec, (uint64_t)hash, buf_bytes(&data));
	if (!err)
		err = cid_allowed(&cid);
	if (!err) {
		len = data.len;
		block = block_take(&cid, &data);
		err = blocks_put(blocks, block);
		block_unref(block);
	}
	buf_release(&data);
	if (!err)
		err = blocks_sync(blocks);
	if (!err && cli_flag(in, "pin"))
		err = pin_add(in->repo->db, blocks, &cid, PIN_RECURSIVE, "", cli_wait(in),
			      in->timeout_ms, NULL, NULL);
	if (err)
		return cli_fail(in, err, "cannot put %s", path);
	cli_cid(in, &cid, text);
	if (in->json)
		cli_print_json(json_pack("{s:s, s:I}", "Key", text, "Size", (json_int_t)len));
	else
		puts(text);
	cli_announce(in, &cid);
	return EXIT_OK;
}

static int run_put(struct invocation *in)
{
	struct blocks *blocks;
	int code = cli_need_repo(in);

	if (code)
		return code;
	blocks = cli_blocks(in);
	blocks_batch_begin(blocks);
	if (!in->argc)
		code = put_one(in, blocks, "-");
	for (int i = 0; i < in->argc && !code; i++)
		code = put_one(in, blocks, in->argv[i]);
	blocks_free(blocks);
	return code;
}

const struct command cmd_block_put = {
	"block put", "[FILE...]", 0,	   -1, "store a file, or the input, as one block",
	NULL,	     put_options, run_put,
};
