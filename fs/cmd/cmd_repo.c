/* repo stat, verify and gc: the store as a whole. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- stat ---- */

static const struct option_spec stat_options[] = {
	{ "size-only", 's', OPTION_FLAG, NULL, "only RepoSize and StorageMax", NULL },
	{ "human", 'H', OPTION_FLAG, NULL, "sizes for people", NULL },
	{ 0 },
};

static void print_size(struct invocation *in, const char *name, uint64_t bytes)
{
	char text[32];

	if (cli_flag(in, "human"))
		printf("%-11s %s\n", name, progress_size(bytes, text));
	else
		printf("%-11s %" PRIu64 "\n", name, bytes);
}

static int run_stat(struct invocation *in)
{
	struct store_stat stat;
	int err, code = cli_need_repo(in);

	if (code)
		return code;
	err = store_stat(in->repo->store, &stat);
	if (err)
		return cli_fail(in, err, "cannot look into the store");
	if (in->json) {
		cli_print_json(json_pack("{s:I, s:I, s:I, s:s, s:o}", "RepoSize",
					 (json_int_t)stat.disk_bytes, "StorageMax",
					 (json_int_t)stat.quota_bytes, "NumObjects",
					 (json_int_t)stat.blocks, "RepoPath", in->repo_path,
					 "Version", json_sprintf("dagfs-repo@%u", stat.version)));
		return EXIT_OK;
	}
	if (!cli_flag(in, "size-only"))
		printf("%-11s %" PRIu64 "\n", "NumObjects:", stat.blocks);
	print_size(in, "RepoSize:", stat.disk_bytes);
	print_size(in, "StorageMax:", stat.quota_bytes);
	if (!cli_flag(in, "size-only"))
		printf("%-11s %s\n%-11s dagfs-repo@%u\n", "RepoPath:", in->repo_path,
		       "Version:", stat.version);
	return EXIT_OK;
}

const struct command cmd_repo_stat = {
	"repo stat",  "",	0, 0, "how much is stored", "StorageMax 0: no limit.",
	stat_options, run_stat,
};

/* ---- verify ---- */

struct verify {
	struct invocation *in;
	struct progress *progress;
	uint64_t blocks, bad;
};

/* Blocks are keyed by multihash: shown as the raw CID of it. */
static const char *hash_cid(struct invocation *in, struct bytes multihash,
			    char out[static CID_TEXT_MAX])
{
	struct cid cid;

	if (cid_make(&cid, 1, CODEC_RAW, multihash))
		return "?";
	return cli_cid(in, &cid, out);
}

static int verify_block(void *ctx, struct bytes multihash, struct bytes data)
{
	struct verify *verify = ctx;
	struct multihash hash;
	char text[CID_TEXT_MAX];

	verify->blocks++;
	progress_add(verify->progress, data.len);
	if (multihash_decode(&hash, multihash) != (ssize_t)multihash.len ||
	    multihash_verify(&hash, data)) {
		printf("block %s was corrupt\n", hash_cid(verify->in, multihash, text));
		verify->bad++;
	}
	return cli_interrupted() ? -EINTR : 0;
}

static int run_verify(struct invocation *in)
{
	struct verify verify = { .in = in };
	int err, code = cli_need_repo(in);

	if (code)
		return code;
	verify.progress = progress_start("verified", 0);
	err = store_each(in->repo->store, verify_block, &verify);
	progress_end(verify.progress);
	if (err)
		return cli_fail(in, err, "verification stopped after %" PRIu64 " blocks",
				verify.blocks);
	if (verify.bad)
		return cli_fail(in, 0, "verify complete, %" PRIu64 " blocks were corrupt",
				verify.bad);
	puts("verify complete, all blocks validated.");
	return EXIT_OK;
}

const struct command cmd_repo_verify = {
	"repo verify", "", 0, 0, "hash every stored block again", NULL, NULL, run_verify,
};

/* ---- gc ---- */

static const struct option_spec gc_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

/* Marks what pins reach, with the stack of what is still to be looked at. */
struct mark {
	struct invocation *in;
	struct map kept; /* multihash -> present */
	struct cid *stack;
	size_t count, cap;
};

/* Seen blocks are remembered with their codec: the same bytes have links as dag-pb and none as raw.
 */
static bool seen_before(struct mark *mark, const struct cid *cid)
{
	struct bytes hash = cid_hash_bytes(cid);
	uint8_t key[9 + CID_MAX] = { 0xff };

	memcpy(key + 1, &cid->codec, 8);
	memcpy(key + 9, hash.at, hash.len);
	return map_set(&mark->kept, bytes_of(key, 9 + hash.len), mark) != NULL;
}

static int push(void *ctx, const struct cid *cid)
{
	struct mark *mark = ctx;

	if (cid_is_identity(cid))
		return 0;
	map_set(&mark->kept, cid_hash_bytes(cid), mark);
	if (cid->codec == CODEC_RAW || seen_before(mark, cid))
		return 0;
	if (mark->count == mark->cap) {
		mark->cap = mark->cap ? mark->cap * 2 : 256;
		mark->stack = xrealloc(mark->stack, mark->cap * sizeof(*mark->stack));
	}
	mark->stack[mark->count++] = *cid;
	return 0;
}

/* What is not stored (a pin still on its way) has nothing below it to keep. */
static int mark_all(struct mark *mark)
{
	while (mark->count) {
		struct cid cid = mark->stack[--mark->count];
		struct block *block;
		int err;

		if (cli_interrupted())
			return -EINTR;
		err = store_get(mark->in->repo->store, &cid, &block);
		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		err = dag_links(block->data, cid.codec, push, mark);
		block_unref(block);
		if (err && err != -EBADMSG)
			return err;
	}
	return 0;
}

static int mark_pin(void *ctx, const struct pin *pin)
{
	struct mark *mark = ctx;

	if (pin->kind == PIN_DIRECT) {
		map_set(&mark->kept, cid_hash_bytes(&pin->cid), mark);
		return 0;
	}
	push(mark, &pin->cid);
	return 0;
}

static bool keep_block(void *ctx, struct bytes multihash)
{
	struct mark *mark = ctx;
	char text[CID_TEXT_MAX];

	if (cli_interrupted() || map_get(&mark->kept, multihash))
		return true;
	if (!cli_flag(mark->in, "silent"))
		printf("%s%s\n", cli_flag(mark->in, "quiet") ? "" : "removed ",
		       hash_cid(mark->in, multihash, text));
	return false;
}

static int run_gc(struct invocation *in)
{
	struct mark mark = { .in = in };
	uint64_t removed, freed;
	int lock, err, code = cli_need_repo(in);

	if (code)
		return code;
	lock = cli_gc_lock(in, true);
	if (lock < 0)
		return EXIT_FAILED;
	err = pin_each(in->repo->db, mark_pin, &mark);
	if (!err)
		err = mark_all(&mark);
	if (!err)
		err = store_sweep(in->repo->store, keep_block, &mark, &removed, &freed);
	if (!err && cli_interrupted())
		err = -EINTR;
	if (err)
		code = cli_fail(in, err, "collection stopped");
	map_release(&mark.kept);
	free(mark.stack);
	close(lock);
	return code;
}

const struct command cmd_repo_gc = {
	"repo gc",
	"",
	0,
	0,
	"remove blocks that no pin keeps",
	"Waits for `add` and `pin add` that are running. Open files and mounts go on; what they "
	"miss\n"
	"afterwards is fetched again.",
	gc_options,
	run_gc,
};
