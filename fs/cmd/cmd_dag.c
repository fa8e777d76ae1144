/* dag get, put, stat: blocks as values, and what trees weigh. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/map.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (8u << 20) /* DAG-JSON is longer than the block it makes */
#define COLUMN_CID_MIN 46    /* a CIDv0 */

/* ---- get ---- */

static const struct option_spec get_options[] = {
	{ "output-codec", 0, OPTION_TEXT, "NAME", "dag-json, dag-cbor, dag-pb, raw, json, cbor",
	  "dag-json" },
	{ 0 },
};

/* A path that may end within a block: the block, and what is left of the path to walk in it, in
 * parsed. 0 or an exit code. */
static int resolve_node(struct invocation *in, struct blocks *blocks, const char *path,
			struct dag_path *parsed, struct cid *cid, const char **inner)
{
	const char *why = "not a path";
	char safe[512];
	int err;

	cli_safe(safe, sizeof(safe), path, strlen(path));
	if (dag_path_parse(path, parsed, &why))
		return cli_fail(in, 0, "'%s': %s", safe, why);
	err = dag_resolve_node(blocks, &parsed->root, parsed->rest, cli_wait(in), cid, inner, NULL);
	if (err == -ENOENT || err == -ENOTDIR)
		return cli_fail(in, 0, "no link named so: '%s'", safe);
	return err ? cli_fail(in, err, "cannot resolve '%s'", safe) : 0;
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

static int write_out(struct invocation *in, struct bytes data)
{
	if (fwrite(data.at, 1, data.len, stdout) != data.len || fflush(stdout))
		return cli_fail_file(in, -errno, "cannot write the output");
	return EXIT_OK;
}

static int run_get(struct invocation *in)
{
	uint64_t codec = ipld_codec(cli_text(in, "output-codec"));
	struct blocks *blocks;
	struct block *block = NULL;
	struct buf out = { 0 };
	struct dag_path parsed;
	char text[CID_TEXT_MAX];
	const char *inner;
	struct cid cid;
	int err, code;

	if (!codec)
		return cli_usage(in, "unknown codec '%s'", cli_text(in, "output-codec"));
	code = cli_need_repo(in);
	if (code)
		return code;
	blocks = cli_blocks(in);
	code = resolve_node(in, blocks, in->argv[0], &parsed, &cid, &inner);
	if (!code) {
		cli_cid(in, &cid, text);
		err = blocks_get(blocks, &cid, cli_wait(in), &block);
		if (err)
			code = cli_fail(in, err, "cannot get %s", text);
	}
	if (!code) {
		err = encode_block(block, inner, codec, &out);
		if (err == -EINVAL)
			code = cli_fail(in, 0, "%s cannot say what is in %s",
					cli_text(in, "output-codec"), text);
		else if (err)
			code = cli_fail(in, err, "cannot read %s", text);
	}
	if (!code)
		code = write_out(in, buf_bytes(&out));
	block_unref(block);
	buf_release(&out);
	blocks_free(blocks);
	return code;
}

const struct command cmd_dag_get = {
	"dag get",
	"PATH",
	1,
	1,
	"show the value that a block, or a part of one, holds",
	"The path goes through maps, lists and links: CID/a/0/b. Nothing is added behind the "
	"value.",
	get_options,
	run_get,
};

/* ---- put ---- */

static const struct option_spec put_options[] = {
	{ "input-codec", 0, OPTION_TEXT, "NAME", "what the input is", "dag-json" },
	{ "store-codec", 0, OPTION_TEXT, "NAME", "what the block shall be", "dag-cbor" },
	{ "hash", 0, OPTION_TEXT, "NAME", "hash function", "sha2-256" },
	{ "pin", 0, OPTION_FLAG, NULL, "pin it, recursively", "false" },
	{ 0 },
};

struct put {
	struct invocation *in;
	struct blocks *blocks;
	uint64_t input, store;
	int64_t hash;
};

/* The block that the input describes. 0 or an exit code. */
static int make_block(struct put *put, const char *path, struct block **out)
{
	struct invocation *in = put->in;
	struct buf input = { 0 }, data = { 0 };
	struct ipld tree = { 0 };
	struct cid cid;
	int err = cli_read_all(path, INPUT_MAX, &input), code = EXIT_OK;

	if (err) {
		code = cli_fail(in, err, "cannot read %s", path);
	} else if ((err = ipld_decode_strict(&tree, put->input, buf_bytes(&input)))) {
		code = cli_fail(in, err, "%s is no %s", path, cli_text(in, "input-codec"));
	} else if ((err = ipld_encode(&tree, tree.nodes, put->store, &data))) {
		code = cli_fail(in, 0, "%s cannot say what is in %s", cli_text(in, "store-codec"),
				path);
	} else if (data.len > BLOCK_CREATE_MAX) {
		code = cli_fail(in, 0, "%s makes a block of %zu bytes; %u are the most", path,
				data.len, BLOCK_CREATE_MAX);
	} else {
		err = cid_of_data(&cid, 1, put->store, (uint64_t)put->hash, buf_bytes(&data));
		if (!err)
			err = cid_allowed(&cid);
		if (err)
			code = cli_fail(in, err, "cannot name %s", path);
		else
			*out = block_take(&cid, &data);
	}
	ipld_release(&tree);
	buf_release(&input);
	buf_release(&data);
	return code;
}

static int put_one(struct put *put, const char *path)
{
	struct invocation *in = put->in;
	struct block *block = NULL;
	char text[CID_TEXT_MAX];
	int err, code = make_block(put, path, &block);

	if (code)
		return code;
	cli_cid(in, &block->cid, text);
	err = blocks_put(put->blocks, block);
	if (!err)
		err = blocks_sync(put->blocks);
	if (!err && cli_flag(in, "pin"))
		err = pin_add(in->repo->db, put->blocks, &block->cid, PIN_RECURSIVE, "",
			      cli_wait(in), in->timeout_ms, NULL, NULL);
	if (err) {
		code = cli_fail(in, err, "cannot put %s", path);
	} else {
		if (in->json)
			cli_print_json(json_pack("{s:{s:s}}", "Cid", "/", text));
		else
			puts(text);
		cli_announce(in, &block->cid);
	}
	block_unref(block);
	return code;
}

static int run_put(struct invocation *in)
{
	struct put put = { .in = in };
	int code;

	put.input = ipld_codec(cli_text(in, "input-codec"));
	put.store = ipld_codec(cli_text(in, "store-codec"));
	put.hash = hash_by_name(cli_text(in, "hash"));
	if (!put.input || !put.store)
		return cli_usage(in, "unknown codec '%s'",
				 cli_text(in, put.input ? "store-codec" : "input-codec"));
	if (put.hash < 0)
		return cli_usage(in, "unknown hash function '%s'", cli_text(in, "hash"));
	code = cli_need_repo(in);
	if (code)
		return code;
	put.blocks = cli_blocks(in);
	blocks_batch_begin(put.blocks);
	if (!in->argc)
		code = put_one(&put, "-");
	for (int i = 0; i < in->argc && !code; i++)
		code = put_one(&put, in->argv[i]);
	blocks_free(put.blocks);
	return code;
}

const struct command cmd_dag_put = {
	"dag put", "[FILE...]", 0,	 -1, "store a value, told in DAG-JSON, as a block",
	NULL,	   put_options, run_put,
};

/* ---- stat ---- */

static const struct option_spec stat_options[] = {
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

struct root_stat {
	struct cid cid;
	uint64_t blocks, bytes;
};

struct dag_stats {
	struct invocation *in;
	struct progress *progress;
	struct root_stat *roots;
	struct root_stat *at; /* being counted */
	struct map seen;      /* multihashes; of several roots only */
	uint64_t unique_blocks, unique_bytes;
};

static int count_block(void *ctx, const struct block *block, unsigned depth)
{
	struct dag_stats *stats = ctx;

	(void)depth;
	stats->at->blocks++;
	stats->at->bytes += block->data.len;
	progress_set(stats->progress, stats->at->bytes, stats->at->blocks);
	if (stats->in->argc > 1 &&
	    map_set(&stats->seen, cid_hash_bytes(&block->cid), stats) != NULL)
		return 0;
	stats->unique_blocks++;
	stats->unique_bytes += block->data.len;
	return 0;
}

static void print_text(const struct dag_stats *stats, uint64_t shared, double ratio)
{
	struct invocation *in = stats->in;
	char text[CID_TEXT_MAX], total_size[32], shared_size[32];
	int width = COLUMN_CID_MIN;

	for (int i = 0; i < in->argc; i++) {
		int len = (int)strlen(cli_cid(in, &stats->roots[i].cid, text));

		width = len > width ? len : width;
	}
	printf("%-*s\t%-15s\t%s\n", width, "CID", "Blocks", "Size");
	for (int i = 0; i < in->argc; i++)
		printf("%-*s\t%-15" PRIu64 "\t%" PRIu64 "\n", width,
		       cli_cid(in, &stats->roots[i].cid, text), stats->roots[i].blocks,
		       stats->roots[i].bytes);
	printf("\nSummary\nTotal Size: %" PRIu64 " (%s)\nUnique Blocks: %" PRIu64 "\n",
	       stats->unique_bytes, progress_size(stats->unique_bytes, total_size),
	       stats->unique_blocks);
	printf("Shared Size: %" PRIu64 " (%s)\nRatio: %f\n", shared,
	       progress_size(shared, shared_size), ratio);
}

static void print_json(const struct dag_stats *stats, uint64_t shared, double ratio)
{
	json_t *list = json_array();
	char text[CID_TEXT_MAX];

	for (int i = 0; i < stats->in->argc; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I}", "Cid",
						cli_cid(stats->in, &stats->roots[i].cid, text),
						"Size", (json_int_t)stats->roots[i].bytes,
						"NumBlocks", (json_int_t)stats->roots[i].blocks));
	cli_print_json(json_pack("{s:I, s:I, s:I, s:f, s:o}", "UniqueBlocks",
				 (json_int_t)stats->unique_blocks, "TotalSize",
				 (json_int_t)stats->unique_bytes, "SharedSize", (json_int_t)shared,
				 "Ratio", ratio, "DagStats", list));
}

static void print_stats(const struct dag_stats *stats)
{
	uint64_t all = 0;
	double ratio;

	for (int i = 0; i < stats->in->argc; i++)
		all += stats->roots[i].bytes;
	ratio = stats->unique_bytes ? (double)all / (double)stats->unique_bytes : 1;
	if (stats->in->json)
		print_json(stats, all - stats->unique_bytes, ratio);
	else
		print_text(stats, all - stats->unique_bytes, ratio);
}

static int stat_one(struct dag_stats *stats, struct blocks *blocks, const char *path)
{
	struct dag_walk_config config = { .skip_seen = true };
	struct invocation *in = stats->in;
	int err, code = cli_resolve(in, blocks, path, &stats->at->cid);

	if (code)
		return code;
	if (cli_flag(in, "progress"))
		stats->progress = progress_start("counted", 0);
	err = dag_walk(blocks, &stats->at->cid, &config, cli_wait(in), in->timeout_ms, count_block,
		       NULL, stats);
	progress_end(stats->progress);
	stats->progress = NULL;
	return err ? cli_fail(in, err, "cannot read all of '%s'", path) : EXIT_OK;
}

static int run_stat(struct invocation *in)
{
	struct dag_stats stats = { .in = in };
	struct blocks *blocks;
	int code = cli_need_repo(in);

	if (code)
		return code;
	blocks = cli_blocks(in);
	stats.roots = xcalloc((size_t)in->argc, sizeof(*stats.roots));
	for (int i = 0; i < in->argc && !code; i++) {
		stats.at = &stats.roots[i];
		code = stat_one(&stats, blocks, in->argv[i]);
	}
	if (!code)
		print_stats(&stats);
	free(stats.roots);
	map_release(&stats.seen);
	blocks_free(blocks);
	return code;
}

const struct command cmd_dag_stat = {
	"dag stat",
	"PATH...",
	1,
	-1,
	"count blocks and bytes of whole trees, each block once",
	NULL,
	stat_options,
	run_stat,
};
