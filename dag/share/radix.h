/* A directory's manifest in blocks: built, looked into, listed, changed, compared. Each call reads
 * only the nodes that it needs, and writes those that are new (blocks_put()); batches and syncs are
 * the caller's. All that comes from blocks is checked as an encoder's work: -EBADMSG.
 *
 * A root is the CID of a directory's top node; one that is not set is an empty directory. NULL and
 * -errno of blocks_get() and blocks_put() are passed on. Any thread but the loop's, several at
 * once; a build or an iterator belongs to one thread at a time. */
#ifndef DAG_SHARE_RADIX_H
#define DAG_SHARE_RADIX_H

#include "dag/share/manifest.h"
#include "exchange/exchange.h"

#define RADIX_KEPT_MAX 32 /* nodes in memory, those used last */

struct radix;

/* Reads and writes through blocks, borrowed. Never NULL. */
struct radix *radix_new(struct blocks *blocks);
void radix_free(struct radix *radix); /* NULL is ignored */

/* A finished directory. Zero-initialised is an empty one. */
struct radix_root {
	struct cid cid; /* for manifest_dir.link; not set: no entries */
	uint64_t entries, weight;
	struct manifest_span *spans; /* for manifest_dir.spans; owned */
	size_t span_count;
};

void radix_root_release(struct radix_root *root);
/* The link for a commit's "state", which is never null: an empty directory's is an empty leaf,
 * which is stored by this. 0 or blocks_put()'s. */
int radix_state_link(struct radix *radix, const struct cid *root, struct cid *link);

/* ---- reading ---- */

/* What is said of a name; owned by entry, which is not released before. -ENOENT: nothing. */
int radix_lookup(struct radix *radix, const struct cid *root, struct bytes name, struct wait *wait,
		 struct manifest_entry *entry);
/* Number of entries, weight and spans, from the top node alone. root is not released before. */
int radix_tell(struct radix *radix, const struct cid *cid, struct wait *wait,
	       struct radix_root *root);

struct radix_iter;

/* Entries in the order of (murmur3-64(name), name), from the first that is not before (hash, name)
 * on; {0, empty} is the beginning. Copies root and name. Never NULL, reads nothing yet. */
struct radix_iter *radix_iter_new(struct radix *radix, const struct cid *root, uint64_t hash,
				  struct bytes name);
/* 1: *entry is the next, borrowed until the next call; 0: the end; -errno: the same again may be
 * tried. Asks ahead for nodes to come. */
int radix_iter_next(struct radix_iter *iter, struct wait *wait,
		    const struct manifest_entry **entry);
void radix_iter_free(struct radix_iter *iter); /* NULL is ignored */

/* Calls each for every name of which old and new say different things; either is NULL when nothing
 * is said there. Entries are borrowed for the call; non-zero stops and is returned. Nodes that both
 * have are not read. One directory: what is below is the caller's to compare (dir.link). */
typedef int radix_diff_fn(void *ctx, struct bytes name, const struct manifest_entry *before,
			  const struct manifest_entry *after);
int radix_diff(struct radix *radix, const struct cid *before, const struct cid *after,
	       struct wait *wait, radix_diff_fn *each, void *ctx);

/* ---- writing ---- */

/* What becomes of one name. */
struct radix_change {
	struct bytes name;
	const struct manifest_entry *entry; /* of that name; NULL: removed */
};

/* root with changes (in any order, each name once: else -EINVAL), as if it had been built anew.
 * Removing what is not there changes nothing. *out is not released before, and zero after a
 * failure. -EINVAL, -EMSGSIZE as manifest_entry_check(); -EFBIG: more names collide in all 64 bits
 * than fit in a block. Costs a path a change. */
int radix_edit(struct radix *radix, const struct cid *root, const struct radix_change *changes,
	       size_t count, struct wait *wait, struct radix_root *out);

struct radix_build;

/* A directory from its entries, one after the other, ascending. Keeps a leaf and a path in memory.
 */
struct radix_build *radix_build_new(struct radix *radix, struct wait *wait);
/* Copies entry. Errors as radix_edit(); the first sticks. -EINVAL: not behind the last one. */
int radix_build_add(struct radix_build *build, const struct manifest_entry *entry);
/* The root, or the first error. The build may only be freed then. */
int radix_build_finish(struct radix_build *build, struct radix_root *out);
void radix_build_free(struct radix_build *build); /* NULL is ignored */

#endif
