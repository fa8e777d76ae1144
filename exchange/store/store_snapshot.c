/* A snapshot of an LMDB store: one read transaction for each generation, begun when the generation
 * is first looked into; and the checks of what a record holds. Any thread. */
#include "exchange/store/store_dir.h"

#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/wire/multibase.h"

#include <errno.h>
#include <sys/mman.h>
#include <xxhash.h>

#define READ_AHEAD_MIN (64u << 10) /* blocks from here on are asked of the disk at once */

static bool is_current(const struct store_lmdb *lmdb, const struct snapshot *snapshot)
{
	return snapshot->gens->version == atomic_load(&lmdb->shared->list);
}

int snapshot_begin(struct store_lmdb *lmdb, struct snapshot **out)
{
	struct snapshot *snapshot = snapshot_take_idle(lmdb);
	struct gens *gens;

	if (snapshot && is_current(lmdb, snapshot)) {
		*out = snapshot;
		return 0;
	}
	if (snapshot)
		snapshot_free(snapshot);
	int err = store_dir_gens(lmdb, &gens);

	if (err)
		return err;
	snapshot = xcalloc(1, sizeof *snapshot + gens->count * sizeof *snapshot->parts);
	snapshot->gens = gens;
	*out = snapshot;
	return 0;
}

void snapshot_end(struct store_lmdb *lmdb, struct snapshot *snapshot)
{
	uint64_t version = snapshot->gens->version;

	for (size_t i = 0; i < snapshot->gens->count; i++)
		if (snapshot->parts[i].open) {
			snapshot->parts[i].open = false;
			gen_read_stop(snapshot->gens->at[i], snapshot->parts[i].txn);
		}
	if (!is_current(lmdb, snapshot)) {
		snapshot_free(snapshot);
		return;
	}
	snapshot_give_idle(lmdb, snapshot);
	/* It holds its generations open: nobody else may look here for long. */
	if (version != atomic_load(&lmdb->shared->list))
		snapshot_drop_idle(lmdb);
}

int snapshot_open_part(struct snapshot *snapshot, size_t i)
{
	struct snapshot_part *part = &snapshot->parts[i];

	if (part->open)
		return 0;
	int err = gen_read_start(snapshot->gens->at[i], &part->txn);

	part->open = !err;
	return err;
}

int snapshot_find(struct snapshot *snapshot, size_t i, struct bytes multihash, struct bytes *record)
{
	MDB_val key = val_of(multihash), val;
	int err = snapshot_open_part(snapshot, i);

	if (err)
		return err;
	int rc = mdb_get(snapshot->parts[i].txn, snapshot->gens->at[i]->blocks, &key, &val);

	if (rc == MDB_NOTFOUND)
		return -ENOENT;
	if (!rc)
		*record = bytes_of_val(&val);
	return gen_err(rc);
}

static void log_corrupt(struct bytes multihash)
{
	struct buf text = { 0 };

	if (!base_encode(&text, BASE58BTC, multihash))
		log_error("store", "corrupt block multihash=%.*s", (int)text.len,
			  (const char *)text.at);
	buf_release(&text);
}

int lmdb_open_record(struct store_lmdb *lmdb, const struct gen *gen, struct bytes multihash,
		     struct bytes record, struct bytes *data)
{
	struct cursor c = cursor_over(record);
	uint64_t sum = cursor_le64(&c);

	*data = cursor_take(&c, cursor_left(&c));
	uint64_t place = (uintptr_t)data->at ^ (uint64_t)gen->number << 48;
	uint64_t tag = XXH3_64bits_withSeed(multihash.at, multihash.len, place) | 1;
	_Atomic uint64_t *slot = &lmdb->checked[(tag >> 1) % CHECKED_SLOTS];

	if (atomic_load_explicit(slot, memory_order_relaxed) == tag)
		return 0;
	if (data->len >= READ_AHEAD_MIN) {
		uintptr_t before = (uintptr_t)data->at % 4096;

		madvise((void *)(data->at - before), data->len + before, MADV_WILLNEED);
	}
	if (c.bad || XXH3_64bits(data->at, data->len) != sum) {
		log_corrupt(multihash);
		return -EIO;
	}
	atomic_store_explicit(slot, tag, memory_order_relaxed);
	return 0;
}
