/* dag stat: how many blocks and bytes trees have, each alone and, when there are several, without
 * what they share. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/map.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_CID_MIN 46 /* a CIDv0 */

static const struct option_spec stat_options[] = {
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

struct root_stat {
	struct cid cid;
	uint64_t blocks, bytes;
};

struct dag_stats {
	struct api_call *call;
	struct root_stat *roots;
	size_t count;
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
	if (api_flag(stats->call->args, "progress"))
		api_progress(stats->call, &(struct api_progress){ .what = "counted",
								  .bytes = stats->at->bytes,
								  .blocks = stats->at->blocks });
	if (stats->count > 1 && map_set(&stats->seen, cid_hash_bytes(&block->cid), stats) != NULL)
		return 0;
	stats->unique_blocks++;
	stats->unique_bytes += block->data.len;
	return 0;
}

/* False after the end of the call. */
static bool stat_one(struct dag_stats *stats, struct blocks *blocks, const char *path)
{
	struct dag_walk_config config = { .skip_seen = true };
	struct api_call *call = stats->call;
	int err;

	if (api_resolve(call, blocks, path, &stats->at->cid))
		return false;
	err = dag_walk(blocks, &stats->at->cid, &config, api_wait(call),
		       (uint64_t)api_int(call->args, "timeout"), count_block, NULL, stats);
	api_progress(call, NULL);
	if (err)
		api_fail(call, err, "cannot read all of '%s'", path);
	return !err;
}

static json_t *item_of(const struct dag_stats *stats)
{
	json_t *list = json_array();
	char text[CID_TEXT_MAX];
	uint64_t all = 0;

	for (size_t i = 0; i < stats->count; i++) {
		const struct root_stat *root = &stats->roots[i];

		all += root->bytes;
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I}", "Cid",
						api_cid_text(stats->call->args, &root->cid, text),
						"Size", (json_int_t)root->bytes, "NumBlocks",
						(json_int_t)root->blocks));
	}
	return json_pack("{s:I, s:I, s:I, s:f, s:o}", "UniqueBlocks",
			 (json_int_t)stats->unique_blocks, "TotalSize",
			 (json_int_t)stats->unique_bytes, "SharedSize",
			 (json_int_t)(all - stats->unique_bytes), "Ratio",
			 stats->unique_bytes ? (double)all / (double)stats->unique_bytes : 1,
			 "DagStats", list);
}

static void run_stat(struct api_call *call)
{
	struct dag_stats stats = { .call = call, .count = api_word_count(call->args) };
	struct blocks *blocks = api_blocks(call, true);
	bool going = true;

	stats.roots = xcalloc(stats.count, sizeof(*stats.roots));
	for (size_t i = 0; i < stats.count && going; i++) {
		stats.at = &stats.roots[i];
		going = stat_one(&stats, blocks, api_word(call->args, i));
	}
	if (going) {
		api_item(call, item_of(&stats));
		api_end(call, 0, NULL);
	}
	free(stats.roots);
	map_release(&stats.seen);
	blocks_free(blocks);
}

static void stat_text(FILE *out, const json_t *args, const json_t *item)
{
	uint64_t total = (uint64_t)api_number(item, "TotalSize");
	uint64_t shared = (uint64_t)api_number(item, "SharedSize");
	const json_t *list = json_object_get(item, "DagStats"), *root;
	char total_size[32], shared_size[32];
	int width = COLUMN_CID_MIN;
	size_t i;

	(void)args;
	json_array_foreach(list, i, root) {
		int len = (int)strlen(api_member(root, "Cid"));

		width = len > width ? len : width;
	}
	fprintf(out, "%-*s\t%-15s\t%s\n", width, "CID", "Blocks", "Size");
	json_array_foreach(list, i, root)
		fprintf(out, "%-*s\t%-15" PRIu64 "\t%" PRIu64 "\n", width, api_member(root, "Cid"),
			(uint64_t)api_number(root, "NumBlocks"),
			(uint64_t)api_number(root, "Size"));
	fprintf(out, "\nSummary\nTotal Size: %" PRIu64 " (%s)\nUnique Blocks: %" PRIu64 "\n", total,
		progress_size(total, total_size), (uint64_t)api_number(item, "UniqueBlocks"));
	fprintf(out, "Shared Size: %" PRIu64 " (%s)\nRatio: %f\n", shared,
		progress_size(shared, shared_size),
		json_real_value(json_object_get(item, "Ratio")));
}

const struct api_row api_dag_stat = {
	.command = { "dag stat", "PATH...", 1, -1,
		     "count blocks and bytes of whole trees, each block once", NULL, stat_options,
		     NULL },
	.text = stat_text,
	.run = run_stat,
};
