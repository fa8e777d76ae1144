/* Write transactions in the newest generation of a class, made when there is none and when the last
 * is full. Any thread. */
#include "exchange/store/store_lmdb.h"

#include <errno.h>

#define ROLLS_MAX 16 /* generations that others close before we give up */

int lmdb_write_begin_in(struct gen *gen, struct gen *source, MDB_txn **txn, bool *closed)
{
	if (source)
		gen_map_hold(source);
	int err = gen_write_begin(gen, txn);

	if (!err) {
		int rc = gen_is_closed(gen, *txn, closed);

		if (!rc && !*closed)
			return 0;
		gen_write_drop(gen, *txn);
		err = gen_err(rc);
	}
	if (source)
		gen_map_release(source);
	return err;
}

int lmdb_write_begin(struct store_lmdb *lmdb, enum gen_class class, struct gen *source,
		     struct gen **out, MDB_txn **txn)
{
	for (unsigned i = 0; i < ROLLS_MAX; i++) {
		struct gens *gens;
		bool closed = true;
		int err = store_dir_gens(lmdb, &gens);

		if (err)
			return err;
		struct gen *gen = gens_newest(gens, class);

		if (gen && gen_used(gen) < store_dir_limit(lmdb, gens, class))
			err = lmdb_write_begin_in(gen, source, txn, &closed);
		if (!err && closed)
			err = store_dir_roll(lmdb, class, gen);
		else if (!err)
			*out = gen_ref(gen);
		gens_unref(gens);
		if (err || !closed)
			return err;
	}
	return -EAGAIN;
}

int lmdb_delete_in(struct gen *gen, MDB_txn *txn, struct bytes multihash)
{
	MDB_val key = val_of(multihash), record;
	uint64_t bytes;
	int rc = mdb_get(txn, gen->blocks, &key, &record);

	if (rc)
		return rc;
	uint64_t len = gen_data_len(&record);

	rc = mdb_del(txn, gen->blocks, &key, NULL);
	if (!rc)
		rc = gen_meta_get(gen, txn, "bytes", &bytes);
	if (!rc && len)
		rc = gen_meta_put(gen, txn, "bytes", bytes > len ? bytes - len : 0);
	return rc;
}
