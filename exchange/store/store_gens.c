/* A list of generations, as one moment had it, and the idle snapshots of such lists: they are kept
 * for the next reader, because renewing a transaction takes no lock. Any thread. */
#include "exchange/store/store_lmdb.h"

#include <stdlib.h>

void gens_free(struct gens *gens)
{
	for (size_t i = 0; i < gens->count; i++)
		gen_unref(gens->at[i]);
	free(gens);
}

void gens_unref(struct gens *gens)
{
	if (gens && atomic_fetch_sub(&gens->refs, 1) == 1)
		gens_free(gens);
}

struct gen *gens_newest(const struct gens *gens, enum gen_class class)
{
	if (class == GEN_KEPT)
		return gens->kept ? gens->at[0] : NULL;
	return gens->count > gens->kept ? gens->at[gens->kept] : NULL;
}

uint64_t gens_used(const struct gens *gens, enum gen_class class)
{
	uint64_t used = 0;

	for (size_t i = 0; i < gens->count; i++)
		if (gens->at[i]->class == class)
			used += gen_used(gens->at[i]);
	return used;
}

void snapshot_free(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->gens->count; i++)
		mdb_txn_abort(snapshot->parts[i].txn);
	gens_unref(snapshot->gens);
	free(snapshot);
}

/* Where this thread begins to look among the idle snapshots: threads seldom meet. */
static size_t idle_start(void)
{
	return (size_t)(((uint64_t)pthread_self() * 0x9e3779b97f4a7c15u) >> 58) % IDLE_READS;
}

struct snapshot *snapshot_take_idle(struct store_lmdb *lmdb)
{
	size_t start = idle_start();

	for (size_t i = 0; i < IDLE_READS; i++) {
		_Atomic(struct snapshot *) *slot = &lmdb->idle[(start + i) % IDLE_READS];
		struct snapshot *snapshot = NULL;

		if (atomic_load_explicit(slot, memory_order_relaxed))
			snapshot = atomic_exchange_explicit(slot, NULL, memory_order_acquire);
		if (snapshot)
			return snapshot;
	}
	return NULL;
}

void snapshot_give_idle(struct store_lmdb *lmdb, struct snapshot *snapshot)
{
	size_t start = idle_start();

	for (size_t i = 0; i < IDLE_READS; i++) {
		struct snapshot *none = NULL;

		if (atomic_compare_exchange_strong(&lmdb->idle[(start + i) % IDLE_READS], &none,
						   snapshot))
			return;
	}
	snapshot_free(snapshot);
}

void snapshot_drop_idle(struct store_lmdb *lmdb)
{
	for (size_t i = 0; i < IDLE_READS; i++) {
		struct snapshot *snapshot = atomic_exchange(&lmdb->idle[i], NULL);

		if (snapshot)
			snapshot_free(snapshot);
	}
}
