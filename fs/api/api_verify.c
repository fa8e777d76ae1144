/* repo verify: the store as a whole, from the small records inward to every block, with repair.
 * What cannot be repaired decides the error. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/repo.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <stdarg.h>

#define BAD_MAX 65536 /* damaged blocks remembered to be fetched again */

struct verify {
	struct api_call *call;
	uint64_t blocks, bytes, bad, healed;
	struct buf found; /* multihashes of damaged blocks, each after its length */
};

/* One line of what was found: as Kubo's in JSON. */
__attribute__((format(printf, 3, 4))) static void tell(struct api_call *call, uint64_t blocks,
						       const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	api_item(call, json_pack("{s:o, s:I}", "Msg", json_vsprintf(fmt, args), "Progress",
				 (json_int_t)blocks));
	va_end(args);
}

static int verify_block(void *ctx, struct bytes multihash, struct bytes data)
{
	struct verify *verify = ctx;
	struct multihash hash;

	verify->blocks++;
	verify->bytes += data.len;
	api_progress(verify->call, &(struct api_progress){ .what = "verified",
							   .bytes = verify->bytes,
							   .blocks = verify->blocks });
	if (multihash_decode(&hash, multihash) != (ssize_t)multihash.len ||
	    multihash_verify(&hash, data)) {
		char text[CID_TEXT_MAX];

		if (verify->bad++ < BAD_MAX && multihash.len <= UINT8_MAX) {
			buf_add_u8(&verify->found, (uint8_t)multihash.len);
			buf_add(&verify->found, multihash);
		}
		tell(verify->call, verify->blocks, "block %s was corrupt",
		     api_hash_text(verify->call->args, multihash, text));
	}
	return wait_check(verify->call->waited);
}

/* Fetches a damaged block again and stores it in the place of the other. */
static int heal_one(struct verify *verify, struct blocks *blocks, struct bytes multihash)
{
	struct block *block;
	struct cid cid;
	int err = cid_make(&cid, 1, CODEC_RAW, multihash);

	if (!err)
		err = blocks_get(blocks, &cid, api_wait(verify->call), &block);
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
	struct api_call *call = verify->call;
	struct cursor c = cursor_over(buf_bytes(&verify->found));
	struct blocks *blocks;
	int err = 0;

	blocks = api_blocks(call, true);
	blocks_batch_begin(blocks);
	while (blocks_fetches(blocks) && cursor_left(&c) && err != -EINTR) {
		struct bytes multihash = cursor_take(&c, cursor_u8(&c));
		char text[CID_TEXT_MAX];

		err = heal_one(verify, blocks, multihash);
		verify->healed += !err;
		if (!err)
			tell(call, verify->blocks, "block %s was fetched again",
			     api_hash_text(call->args, multihash, text));
	}
	if (err != -EINTR)
		err = blocks_sync(blocks);
	blocks_free(blocks);
	return err;
}

/* The pages that lead to blocks, before LMDB follows them. */
static int verify_pages(struct api_call *call)
{
	uint64_t saved;
	int found = store_check(api_repo(call)->store, &saved);

	if (found <= 0)
		return found;
	repo_mind_losses(api_repo(call));
	tell(call, 0, "%d parts of the store were damaged, %" PRIu64 " blocks were saved from them",
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
static int complete_pins(struct api_call *call, uint64_t *missing)
{
	struct buf wanted = { 0 };
	struct blocks *blocks;
	int err = pin_each(api_repo(call)->db, add_wanted, &wanted);
	struct cursor c = cursor_over(buf_bytes(&wanted));

	blocks = api_blocks(call, true);
	while (!err && cursor_left(&c)) {
		struct cid cid;
		struct pin pin;

		if (cid_from_bytes(&cid, cursor_take(&c, cursor_u8(&c))))
			continue;
		int why = pin_go_on(api_repo(call)->db, blocks, &cid, api_wait_long(call),
				    (uint64_t)api_int(call->args, "timeout"), &pin);

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
	struct api_call *call = ctx;
	char text[CID_TEXT_MAX];

	if (cid)
		tell(call, 0,
		     "the record of pin %s was damaged: it is kept again with all below it, its "
		     "name is lost",
		     api_cid_text(call->args, cid, text));
	else
		tell(call, 0,
		     "the record of a pin was damaged, and what it pinned cannot be told: pin it "
		     "again");
}

/* What was saved from damaged pages, at this opening or at one before. */
static int verify_record_pages(struct api_call *call, struct db_salvage *salvage)
{
	int err = repo_check_pages(api_repo(call));

	*salvage = (struct db_salvage){ .sure = true };
	if (err || !repo_salvaged(api_repo(call), salvage))
		return err;
	tell(call, 0, "the file of the records was damaged: %" PRIu64 " records were saved",
	     salvage->saved);
	if (repo_salvage_lost(salvage))
		tell(call, 0,
		     "which records were lost cannot be known; pins may be among them: look at "
		     "`dagfs pin ls`, and pin again "
		     "what is missing, before `dagfs repo gc`");
	if (!salvage->sure)
		tell(call, 0, "records that were removed before may be back");
	return repo_salvage_told(api_repo(call), salvage);
}

/* 0; -errno after the end of the call. */
static int verify_records(struct api_call *call, struct repo_damage *damage,
			  struct db_salvage *salvage)
{
	int err = verify_record_pages(call, salvage);

	if (err) {
		api_fail(call, err, "cannot look at the pages of the records");
		return err;
	}
	err = repo_check_records(api_repo(call), damage, tell_pin, call);
	if (err) {
		api_fail(call, err, "cannot look at the records");
		return err;
	}
	if (damage->others)
		tell(call, 0,
		     "%" PRIu64
		     " other records were damaged, they are made anew when they are needed",
		     damage->others);
	return 0;
}

/* ---- shares ---- */

static int count_damaged(void *ctx, struct db_txn *txn, const char *table, struct bytes key)
{
	(void)txn;
	(void)table;
	(void)key;
	++*(uint64_t *)ctx;
	return 0;
}

/* Records of shares: what of them is damaged is gone. *lost counts those, and what a damaged file
 * lost; where that cannot be known it is at least 1. */
static int verify_shares(struct api_call *call, uint64_t *lost)
{
	struct db_salvage salvage;
	uint64_t removed;
	struct db *work;
	int err = repo_check_work_pages(api_repo(call));

	*lost = 0;
	if (!err)
		err = repo_work(api_repo(call), false, &work);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (db_salvaged(work, &salvage)) {
		tell(call, 0, "the file of the shares was damaged: %" PRIu64 " records were saved",
		     salvage.saved);
		*lost = salvage.sure ? salvage.lost : salvage.lost + 1;
		err = db_salvage_told(work);
	}
	if (!err)
		err = db_check(work, count_damaged, lost, &removed);
	if (!err && *lost)
		tell(call, 0,
		     "changes that were in no version may be gone from shares: look at them, and "
		     "`dagfs restore` what is missing, before `dagfs repo gc`");
	return err == -EROFS ? 0 : err;
}

/* What was looked at last: whether pins are whole after a loss. */
static int verify_pins(struct api_call *call, const struct repo_damage *damage, uint64_t *missing)
{
	int err;

	*missing = 0;
	if (!damage->pins && !repo_has_losses(api_repo(call)))
		return 0;
	err = complete_pins(call, missing);
	if (!err && !*missing)
		repo_healed(api_repo(call));
	return err;
}

/* The end of a call that went through: with the worst that remains. */
static void end_verify(const struct verify *verify, uint64_t missing,
		       const struct repo_damage *damage, const struct db_salvage *salvage,
		       uint64_t of_shares)
{
	struct api_call *call = verify->call;

	if (verify->bad > verify->healed) {
		api_refuse(call, -EIO, "verify complete, %" PRIu64 " blocks were corrupt",
			   verify->bad - verify->healed);
	} else if (missing) {
		api_refuse(call, -EIO,
			   "verify complete, %" PRIu64
			   " pins miss blocks: a daemon with peers fetches them",
			   missing);
	} else if (damage->lost) {
		api_refuse(call, -EIO, "verify complete, %" PRIu64 " pins were lost", damage->lost);
	} else if (salvage->lost) {
		api_refuse(call, -EIO, "verify complete, %" PRIu64 " records were lost",
			   salvage->lost);
	} else if (!salvage->sure) {
		api_refuse(call, -EIO, "verify complete, records may have been lost");
	} else if (of_shares) {
		api_refuse(call, -EIO, "verify complete, records of shares were lost");
	} else {
		tell(call, verify->blocks, "verify complete, all %s.",
		     verify->bad ? "corrupt blocks were fetched again" : "blocks validated");
		api_end(call, 0, NULL);
	}
}

/* Verifies from the outside in: records, pages, every block, then whether pins are complete.
 * Repairs what it can, and fails with the worst that remains. */
static void run_verify(struct api_call *call)
{
	struct verify verify = { .call = call };
	struct repo_damage damage;
	struct db_salvage salvage;
	uint64_t missing = 0, of_shares;
	int err;

	api_wait_long(call);
	if (verify_records(call, &damage, &salvage))
		return;
	err = verify_shares(call, &of_shares);
	if (err == -EBUSY) {
		api_refuse(call, err,
			   "the records of shares are damaged, and another process has them open: "
			   "end it first (is it a daemon?)");
		return;
	}
	if (err) {
		api_fail(call, err, "cannot look at the records of shares");
		return;
	}
	err = verify_pages(call);
	if (err < 0) {
		api_fail(call, err, "cannot look at the pages of the store");
		return;
	}
	err = store_each(api_repo(call)->store, verify_block, &verify);
	api_progress(call, NULL);
	if (!err && verify.bad)
		err = heal(&verify);
	buf_release(&verify.found);
	if (!err)
		err = verify_pins(call, &damage, &missing);
	if (err)
		api_fail(call, err, "verification stopped after %" PRIu64 " blocks", verify.blocks);
	else
		end_verify(&verify, missing, &damage, &salvage, of_shares);
}

static void verify_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", api_member(item, "Msg"));
}

const struct api_row api_repo_verify = {
	.command = { "repo verify", "", 0, 0, "hash every stored block again",
		     "Records of pins and all else that is small are looked at first. Damaged "
		     "files of records "
		     "and damaged parts of the store are set\n"
		     "aside, and what is whole is saved from them. With a daemon and\n"
		     "without --offline damaged and lost blocks are fetched again.",
		     NULL, NULL },
	.text = verify_text,
	.run = run_verify,
};
