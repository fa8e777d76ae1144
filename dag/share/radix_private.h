/* What the files of radix share: nodes by their CIDs, walks, and the making of directories from
 * entries and whole subtrees. Private to dag/share. */
#ifndef DAG_SHARE_RADIX_PRIVATE_H
#define DAG_SHARE_RADIX_PRIVATE_H

#include "dag/share/radix_node.h"

/* One reference to the node of row at depth, checked against it. known: row tells more than the
 * cid. */
int radix_node_get(struct radix *radix, const struct radix_root *row, bool known, unsigned depth,
		   uint64_t low, struct wait *wait, struct radix_node **out);
/* Names and stores a node; takes data's memory in any case. -EFBIG. */
int radix_node_put(struct radix *radix, struct buf *data, struct cid *cid);
struct blocks *radix_blocks(struct radix *radix);

/* ---- walks: over the entries of a directory in order, opening subtrees only when told to ---- */

struct radix_frame {
	struct radix_node *node;
	size_t next; /* entry or row that the walk is at */
	uint64_t low;
};

struct radix_walk {
	struct radix *radix;
	struct radix_root root; /* its cid alone */
	struct radix_frame stack[MANIFEST_LEVELS + 1];
	unsigned depth; /* frames; the row at hand is a child of the last */
	bool begun;	/* the root was opened or passed */
	struct manifest_scratch scratch;
	struct manifest_entry entry;
};

/* What a walk is at. */
struct radix_at {
	enum { RADIX_END, RADIX_ROW, RADIX_ENTRY } kind;
	uint64_t low, high;	      /* hashes below; of an entry both are its own */
	unsigned depth;		      /* of a row */
	const struct radix_root *row; /* borrowed until the walk moves */
	struct bytes name;	      /* of an entry; borrowed likewise */
};

/* At the root, as a row that is not opened; at the end when root is not set. */
void radix_walk_init(struct radix_walk *walk, struct radix *radix, const struct cid *root);
void radix_walk_release(struct radix_walk *walk);
void radix_walk_at(const struct radix_walk *walk, struct radix_at *at);
/* Into the row at hand. On failure nothing changed. */
int radix_walk_open(struct radix_walk *walk, struct wait *wait);
/* Past the entry or the whole row at hand. */
void radix_walk_next(struct radix_walk *walk);
/* The entry at hand, borrowed until the next call. */
const struct manifest_entry *radix_walk_entry(struct radix_walk *walk);
/* To the first entry not before (hash, name), to a row wholly behind it, or to the end; opens what
 * may hold it. */
int radix_walk_seek(struct radix_walk *walk, uint64_t hash, struct bytes name, struct wait *wait);
/* Asks for the rows to come of the branch that was opened last. */
void radix_walk_ahead(const struct radix_walk *walk);
/* The same, of two walks that were opened at one place: only rows that differ. */
void radix_walks_ahead(const struct radix_walk *a, const struct radix_walk *b);

/* ---- making ---- */

/* A whole subtree as it stands: the row that a walk is at. */
int radix_build_add_row(struct radix_build *build, const struct radix_at *at);

#endif
