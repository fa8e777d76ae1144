/* Are pins whole? Trees share much, so what was found is remembered: what is below a pin that is
 * whole is walked once, and what is below a broken one hashed once. The calling thread. */
#include "dag/pin.h"

#include "dag/pin_walk.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

#define KNOWN_MAX ((size_t)1 << 23) /* blocks remembered in a set; others are looked at again */

struct pin_verifier {
	struct blocks *blocks;
	struct wait *wait;
	struct pin_seen whole;	/* and so is all below them */
	struct pin_seen intact; /* below broken pins; but for those that are: */
	struct pin_seen broken;
};

struct verifying {
	struct pin_verifier *verifier;
	int (*bad)(void *ctx, const struct cid *cid, int err);
	void *ctx;
	bool found_bad;
};

struct pin_verifier *pin_verifier_new(struct blocks *blocks, struct wait *wait)
{
	struct pin_verifier *verifier = xnew(struct pin_verifier);

	verifier->blocks = blocks;
	verifier->wait = wait;
	return verifier;
}

void pin_verifier_free(struct pin_verifier *verifier)
{
	if (!verifier)
		return;
	pin_seen_release(&verifier->whole);
	pin_seen_release(&verifier->intact);
	pin_seen_release(&verifier->broken);
	free(verifier);
}

static int look_at(void *ctx, const struct cid *cid, int err)
{
	struct verifying *verifying = ctx;

	if (!err)
		return 0;
	verifying->found_bad = true;
	pin_seen_add(&verifying->verifier->broken, cid);
	return verifying->bad(verifying->ctx, cid, err);
}

static bool is_whole(void *ctx, const struct cid *cid)
{
	const struct verifying *verifying = ctx;

	return pin_seen_has(&verifying->verifier->whole, cid);
}

static bool is_intact(void *ctx, const struct cid *cid)
{
	const struct verifying *verifying = ctx;

	return pin_seen_has(&verifying->verifier->intact, cid) &&
	       !pin_seen_has(&verifying->verifier->broken, cid);
}

static void verify_remember(struct pin_seen *known, const struct pin_seen *seen)
{
	if (known->blocks.count + seen->blocks.count <= KNOWN_MAX)
		pin_seen_merge(known, seen);
}

static int verify_tree(struct pin_verifier *verifier, const struct pin *pin,
		       struct verifying *verifying)
{
	static const struct pin_walk_config config = {
		.verify = true,
		.left_out = is_whole,
		.intact = is_intact,
	};
	struct pin_seen seen = { 0 };
	int err = pin_walk(verifier->blocks, &pin->cid, &config, &seen, verifier->wait, look_at,
			   verifying);

	if (!err)
		verify_remember(verifying->found_bad ? &verifier->intact : &verifier->whole, &seen);
	pin_seen_release(&seen);
	return err;
}

static int verify_block(struct pin_verifier *verifier, const struct pin *pin,
			struct verifying *verifying)
{
	struct block *block;
	int err = blocks_get_stored(verifier->blocks, &pin->cid, &block);

	if (!err) {
		err = cid_verify(&pin->cid, block->data) ? -EIO : 0;
		block_unref(block);
	}
	if (!err)
		return 0;
	return verifying->bad(verifying->ctx, &pin->cid, err == -ENOENT ? -ENOENT : -EIO);
}

int pin_verifier_check(struct pin_verifier *verifier, const struct pin *pin,
		       int (*bad)(void *ctx, const struct cid *cid, int err), void *ctx)
{
	struct verifying verifying = { .verifier = verifier, .bad = bad, .ctx = ctx };

	return pin->kind == PIN_RECURSIVE ? verify_tree(verifier, pin, &verifying)
					  : verify_block(verifier, pin, &verifying);
}

int pin_verify(struct db *db, struct blocks *blocks, const struct pin *pin, struct wait *wait,
	       int (*bad)(void *ctx, const struct cid *cid, int err), void *ctx)
{
	struct pin_verifier *verifier = pin_verifier_new(blocks, wait);
	int err = pin_verifier_check(verifier, pin, bad, ctx);

	(void)db;
	pin_verifier_free(verifier);
	return err;
}
