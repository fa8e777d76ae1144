/* repo verify and gc: the store as a whole. */
#include "dag/dag.h"
#include "fs/cli.h"

#include "net/base/err.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- verify ---- */

#define BAD_MAX 65536 /* damaged blocks remembered to be fetched again */

struct verify {
	struct invocation *in;
	struct progress *progress;
	uint64_t blocks, bytes, bad, healed;
	struct buf found; /* multihashes of damaged blocks, each after its length */
};

/* One line of what was found: as Kubo's in JSON. */
__attribute__((format(printf, 3, 4))) static void tell(struct invocation *in, uint64_t blocks,
						       const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (in->json)
		cli_print_json(
			json_pack("{s:s, s:I}", "Msg", text, "Progress", (json_int_t)blocks));
	else
		puts(text);
}

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

	verify->blocks++;
	verify->bytes += data.len;
	progress_set(verify->progress, verify->bytes, verify->blocks);
	if (multihash_decode(&hash, multihash) != (ssize_t)multihash.len ||
	    multihash_verify(&hash, data)) {
		char text[CID_TEXT_MAX];

		if (verify->bad++ < BAD_MAX && multihash.len <= UINT8_MAX) {
			buf_add_u8(&verify->found, (uint8_t)multihash.len);
			buf_add(&verify->found, multihash);
		}
		tell(verify->in, verify->blocks, "block %s was corrupt",
		     hash_cid(verify->in, multihash, text));
	}
	return cli_interrupted() ? -EINTR : 0;
}

/* Fetches a damaged block again and stores it in the place of the other. */
static int heal_one(struct verify *verify, struct blocks *blocks, struct bytes multihash)
{
	struct block *block;
	struct cid cid;
	int err = cid_make(&cid, 1, CODEC_RAW, multihash);

	if (!err)
		err = blocks_get(blocks, &cid, cli_wait(verify->in), &block);
	if (err)
		return err;
	err = cid_verify(&cid, block->data); /* it may come from the store after all */
	if (!err)
		err = blocks_put(blocks, block);
	block_unref(block);
	return err;
}

/* Fetches corrupt blocks again, if there is a daemon with peers. */
static int heal(struct verify *verify)
{
	struct invocation *in = verify->in;
	struct cursor c = cursor_over(buf_bytes(&verify->found));
	struct blocks *blocks;
	int err = 0;

	blocks = cli_blocks(in);
	blocks_batch_begin(blocks);
	while (blocks_fetches(blocks) && cursor_left(&c) && err != -EINTR) {
		struct bytes multihash = cursor_take(&c, cursor_u8(&c));
		char text[CID_TEXT_MAX];

		err = heal_one(verify, blocks, multihash);
		verify->healed += !err;
		if (!err)
			tell(in, verify->blocks, "block %s was fetched again",
			     hash_cid(in, multihash, text));
	}
	if (err != -EINTR)
		err = blocks_sync(blocks);
	blocks_free(blocks);
	return err;
}

/* The pages that lead to blocks, before LMDB follows them. */
static int verify_pages(struct invocation *in)
{
	uint64_t saved;
	int found = store_check(in->repo->store, &saved);

	if (found <= 0)
		return found;
	repo_mind_losses(in->repo);
	tell(in, 0, "%d parts of the store were damaged, %" PRIu64 " blocks were saved from them",
	     found, saved);
	return found;
}

static int add_wanted(void *ctx, const struct pin *pin)
{
	struct buf *wanted = ctx;

	if (pin->state == PIN_WANTED) {
		buf_add_u8(wanted, (uint8_t)cid_bytes(&pin->cid).len);
		buf_add(wanted, cid_bytes(&pin->cid));
	}
	return 0;
}

/* After a loss: fetches what is missing below pins. *missing counts pins that stay incomplete. */
static int complete_pins(struct invocation *in, uint64_t *missing)
{
	struct buf wanted = { 0 };
	struct blocks *blocks;
	int err = pin_each(in->repo->db, add_wanted, &wanted);
	struct cursor c = cursor_over(buf_bytes(&wanted));

	*missing = 0;
	blocks = cli_blocks(in);
	while (!err && cursor_left(&c)) {
		struct cid cid;
		struct pin pin;

		if (cid_from_bytes(&cid, cursor_take(&c, cursor_u8(&c))))
			continue;
		int why = pin_go_on(in->repo->db, blocks, &cid, cli_wait_long(in), in->timeout_ms,
				    &pin);

		*missing += why != 0;
		if (why == -EINTR)
			err = why;
	}
	blocks_free(blocks);
	buf_release(&wanted);
	return err;
}

static void tell_pin(void *ctx, const struct cid *cid)
{
	struct invocation *in = ctx;
	char text[CID_TEXT_MAX];

	if (cid)
		tell(in, 0,
		     "the record of pin %s was damaged: it is kept again with all below it, its "
		     "name is lost",
		     cli_cid(in, cid, text));
	else
		tell(in, 0,
		     "the record of a pin was damaged, and what it pinned cannot be told: pin it "
		     "again");
}

/* What was saved from damaged pages, at this opening or at one before. */
static int verify_record_pages(struct invocation *in, struct db_salvage *salvage)
{
	int err = repo_check_pages(in->repo);

	*salvage = (struct db_salvage){ .sure = true };
	if (err || !repo_salvaged(in->repo, salvage))
		return err;
	tell(in, 0, "the file of the records was damaged: %" PRIu64 " records were saved",
	     salvage->saved);
	if (repo_salvage_lost(salvage))
		tell(in, 0,
		     "which records were lost cannot be known; pins may be among them: look at "
		     "`dagfs pin ls`, and pin again "
		     "what is missing, before `dagfs repo gc`");
	if (!salvage->sure)
		tell(in, 0, "records that were removed before may be back");
	return repo_salvage_told(in->repo, salvage);
}

static int verify_records(struct invocation *in, struct repo_damage *damage,
			  struct db_salvage *salvage)
{
	int err = verify_record_pages(in, salvage);

	if (err)
		return cli_fail(in, err, "cannot look at the pages of the records");
	err = repo_check_records(in->repo, damage, tell_pin, in);

	if (err)
		return cli_fail(in, err, "cannot look at the records");
	if (damage->others)
		tell(in, 0,
		     "%" PRIu64
		     " other records were damaged, they are made anew when they are needed",
		     damage->others);
	return EXIT_OK;
}

/* Verifies from the outside in: records, pages, every block, then whether pins are complete.
 * Repairs what it can, and fails with the worst that remains. */
static int run_verify(struct invocation *in)
{
	struct verify verify = { .in = in };
	struct repo_damage damage;
	struct db_salvage salvage;
	uint64_t missing = 0;
	int err, found, code = cli_need_repo(in);

	if (!code)
		code = verify_records(in, &damage, &salvage);
	if (code)
		return code;
	found = verify_pages(in);
	if (found < 0)
		return cli_fail(in, found, "cannot look at the pages of the store");
	verify.progress = progress_start("verified", 0);
	err = store_each(in->repo->store, verify_block, &verify);
	progress_end(verify.progress);
	if (!err && verify.bad)
		err = heal(&verify);
	buf_release(&verify.found);
	if (!err && (damage.pins || repo_has_losses(in->repo))) {
		err = complete_pins(in, &missing);
		if (!err && !missing)
			repo_healed(in->repo);
	}
	if (err)
		return cli_fail(in, err, "verification stopped after %" PRIu64 " blocks",
				verify.blocks);
	if (verify.bad > verify.healed)
		return cli_fail(in, 0, "verify complete, %" PRIu64 " blocks were corrupt",
				verify.bad - verify.healed);
	if (missing)
		return cli_fail(in, 0,
				"verify complete, %" PRIu64
				" pins miss blocks: a daemon with peers fetches them",
				missing);
	if (damage.lost)
		return cli_fail(in, 0, "verify complete, %" PRIu64 " pins were lost", damage.lost);
	if (salvage.lost)
		return cli_fail(in, 0, "verify complete, %" PRIu64 " records were lost",
				salvage.lost);
	if (!salvage.sure)
		return cli_fail(in, 0, "verify complete, records may have been lost");
	tell(in, verify.blocks, "verify complete, all %s.",
	     verify.bad ? "corrupt blocks were fetched again" : "blocks validated");
	return EXIT_OK;
}

const struct command cmd_repo_verify = {
	"repo verify",
	"",
	0,
	0,
	"hash every stored block again",
	"Records of pins and all else that is small are looked at first. Damaged files of records "
	"and damaged parts of the store are set\n"
	"aside, and what is whole is saved from them. With a daemon and\n"
	"without --offline damaged and lost blocks are fetched again.",
	NULL,
	run_verify,
};

/* ---- gc ---- */

static const struct option_spec gc_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

static void on_gone(void *ctx, struct bytes multihash, size_t len)
{
	struct invocation *in = ctx;
	char text[CID_TEXT_MAX];
	const char *cid = hash_cid(in, multihash, text);

	(void)len;
	if (in->json && !cli_flag(in, "silent"))
		cli_print_json(json_pack("{s:{s:s}}", "Key", "/", cid));
	else if (!cli_flag(in, "silent"))
		printf("%s%s\n", cli_flag(in, "quiet") ? "" : "removed ", cid);
}

static int run_gc(struct invocation *in)
{
	struct db_salvage salvage;
	uint64_t removed, freed;
	int err, code = cli_need_repo(in);

	if (code)
		return code;
	if (repo_salvaged(in->repo, &salvage) && repo_salvage_lost(&salvage))
		return cli_fail(in, 0,
				"pins may have been lost: `dagfs repo verify` tells more, then "
				"look at `dagfs pin ls`");
	int turn = cli_gc_turn(in);

	if (turn < 0)
		return EXIT_FAILED;
	const struct sweep_source pins = sweep_pins(in->repo->db);

	err = dag_sweep(in->repo->store, &pins, 1, cli_wait_long(in), on_gone, in, &removed,
			&freed);
	if (err)
		code = cli_fail(in, err, "collection stopped");
	close(turn);
	return code;
}

const struct command cmd_repo_gc = {
	"repo gc",
	"",
	0,
	0,
	"remove blocks that no pin keeps",
	"Nothing waits for it but another one: what an `add`, `pin add` or import that is running "
	"has stored stays.\n"
	"Open files and mounts go on; what they miss afterwards is fetched again.",
	gc_options,
	run_gc,
};
