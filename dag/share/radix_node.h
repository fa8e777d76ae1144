/* One node of a manifest: decoded strictly, and encoded. Private to dag/share. Nodes are immutable
 * and counted; any thread. */
#ifndef DAG_SHARE_RADIX_NODE_H
#define DAG_SHARE_RADIX_NODE_H

#include "dag/share/manifest_codec.h"
#include "dag/share/radix.h"
#include "net/base/list.h"

#include <stdatomic.h>

#define RADIX_FANOUT 16
#define RADIX_SUM_MAX (UINT64_C(1) << 48) /* entries, and weight, of a directory */

/* An entry within a leaf's block. */
struct radix_item {
	uint64_t hash;
	struct bytes name;
	struct bytes data;
};

struct radix_node {
	atomic_uint refs;
	struct block *block;
	struct list kept; /* radix.c */
	bool leaf;
	uint64_t pens[MANIFEST_PENS_MAX];
	size_t pen_count;
	struct radix_root sum;	  /* what a parent says of this node */
	struct radix_item *items; /* of a leaf, ascending; sum.entries */
	struct radix_root *rows;  /* of a branch: RADIX_FANOUT; no cid: nothing there */
};

/* Everything that can be judged without the parent. Takes a reference of its own to block. */
int radix_node_decode(struct block *block, struct radix_node **out);
struct radix_node *radix_node_ref(struct radix_node *node);
void radix_node_unref(struct radix_node *node); /* NULL is ignored */
/* May the node stand at depth, among hashes that begin as low does, being what row says (NULL: not
 * told, at the top)? */
bool radix_node_fits(const struct radix_node *node, unsigned depth, uint64_t low,
		     const struct radix_root *row);
/* Entry i of a leaf; borrows from node and scratch. */
void radix_node_entry(const struct radix_node *node, size_t i, struct manifest_scratch *scratch,
		      struct manifest_entry *entry);

/* The bytes of a leaf or branch, appended to out, and what it is but for its cid. -EMSGSIZE: more
 * than MANIFEST_PENS_MAX pens. sum is zero before, and after a failure. */
int radix_leaf_encode(struct manifest_entry *const *entries, size_t count, struct buf *out,
		      struct radix_root *sum);
int radix_branch_encode(const struct radix_root rows[static RADIX_FANOUT], struct buf *out,
			struct radix_root *sum);

/* The bits of the hash that choose below a branch at depth. */
static inline unsigned radix_nibble(uint64_t hash, unsigned depth)
{
	return (unsigned)(hash >> (60 - 4 * depth)) & (RADIX_FANOUT - 1);
}

/* The greatest hash that begins with the depth first nibbles of low. */
static inline uint64_t radix_high(uint64_t low, unsigned depth)
{
	return depth < MANIFEST_LEVELS ? low | UINT64_MAX >> (4 * depth) : low;
}

void radix_root_copy(struct radix_root *to, const struct radix_root *from);

#endif
