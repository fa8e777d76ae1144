/* What collections must leave: the versions of all shares, and blocks that records of uncommitted
 * changes name. One snapshot of the db, so that a commit is seen before or after, never between. */
#include "dag/tree/tree_private.h"

struct rooting {
	sweep_root_fn *root;
	void *sweep;
	struct db_txn *txn;
};

static int roots_tell(const struct rooting *rooting, const struct cid *cid, bool recursive)
{
	return cid_is_set(cid) ? rooting->root(rooting->sweep, cid, recursive) : 0;
}

static int version_root(void *ctx, const struct tree_version *version)
{
	return roots_tell(ctx, &version->commit, true);
}

/* A commit links to the tree and the state, which are told all the same: its block may be missing.
 */
static int share_root(void *ctx, const struct share_record *share)
{
	const struct rooting *rooting = ctx;
	int err = roots_tell(rooting, &share->commit, true);

	if (!err)
		err = roots_tell(rooting, &share->state, true);
	if (!err)
		err = roots_tell(rooting, &share->root, true);
	return err ? err : version_each(rooting->txn, share->id, version_root, ctx);
}

/* The base of a changed file: of a version that is kept no more, or brought in by tree_graft(). */
static int node_root(void *ctx, struct bytes key, struct bytes value)
{
	struct node_said *said = xnew(struct node_said);
	int err = node_said_decode(said, value);

	(void)key;
	if (!err)
		err = roots_tell(ctx, &said->base, true);
	free(said);
	return err == -EIO ? 0 : err;
}

static int leaf_root(void *ctx, struct bytes key, struct bytes value)
{
	struct cid cid;
	int err = leaf_row_cid(value, &cid);

	(void)key;
	return err ? 0 : roots_tell(ctx, &cid, false);
}

/* What a process wrote that was killed as it committed is seen only when the next writer has taken
 * over its lock. */
static int see_all_commits(struct db *work)
{
	struct db_txn *txn;
	int err = db_begin(work, true, &txn);

	if (!err)
		db_abort(txn);
	return err;
}

static int each_root(void *ctx, sweep_root_fn *root, void *sweep)
{
	struct rooting rooting = { .root = root, .sweep = sweep };
	int err = see_all_commits(ctx);

	if (!err)
		err = db_begin(ctx, false, &rooting.txn);
	if (err)
		return err;
	err = share_records_each(rooting.txn, share_root, &rooting);
	if (!err)
		err = db_each(rooting.txn, "nodes", bytes_of(NULL, 0), bytes_of(NULL, 0), node_root,
			      &rooting);
	if (!err)
		err = db_each(rooting.txn, "leaves", bytes_of(NULL, 0), bytes_of(NULL, 0),
			      leaf_root, &rooting);
	db_abort(rooting.txn);
	return err;
}

struct sweep_source sweep_shares(struct db *work)
{
	return (struct sweep_source){ .each = each_root, .ctx = work };
}
