/* A directory of a base, of either kind: the manifest of a state (dag-cbor), or plain UnixFS. Both
 * tell the same: entries, in the order of (murmur3-64(name), name). Of plain directories, an entry
 * says what the child's own block says; files that tell no mode have SHOWN_FILE_MODE. Private to
 * dag/tree. Without locks; errors of reading. */
#ifndef DAG_TREE_BASE_READ_H
#define DAG_TREE_BASE_READ_H

#include "dag/share/radix.h"

struct base_reader {
	struct blocks *blocks; /* borrowed, both */
	struct radix *radix;
};

/* -ENOENT. said is released by its user. */
int base_lookup(const struct base_reader *reader, const struct cid *dir, struct bytes name,
		struct wait *wait, struct manifest_entry *said);

struct base_iter;

/* From the first entry that is not before (hash, name). Never NULL. */
struct base_iter *base_iter_new(const struct base_reader *reader, const struct cid *dir,
				uint64_t hash, struct bytes name);
/* As radix_iter_next(). */
int base_iter_next(struct base_iter *iter, struct wait *wait, const struct manifest_entry **said);
void base_iter_free(struct base_iter *iter); /* NULL is ignored */

/* Calls each for every name that two directories (either may be not set: empty) say different
 * things of. Non-zero stops and is returned. */
int base_diff(const struct base_reader *reader, const struct cid *before, const struct cid *after,
	      struct wait *wait, int (*each)(void *ctx, struct bytes name), void *ctx);

#endif
