/* DAG-CBOR (codec 0x71), as trees (wire/dag section 6). Pure; any thread. */
#ifndef DAG_CBOR_H
#define DAG_CBOR_H

#include "dag/ipld/ipld.h"

enum cbor_flags {
	CBOR_STRICT = 1, /* only what cbor_encode() would write: shortest heads, sorted keys, 64-bit
			    floats, UTF-8 */
	CBOR_NO_LINKS = 2, /* plain CBOR: no tags at all */
};

/* Exactly one item. Tag 42 only, definite lengths, keys are unique texts, floats finite; containers
 * nest at most IPLD_DEPTH_MAX deep. Without CBOR_STRICT the order of keys, the length of integers
 * and short floats are not judged, as Go's decoder does. -EBADMSG; -EMSGSIZE over the tree's
 * limits. The tree is empty before, and after a failure. */
int cbor_decode(struct ipld *tree, struct bytes block, unsigned flags);
/* Canonical bytes of node and what is below, appended to out. -EINVAL: a link where CBOR_NO_LINKS
 * forbids it. */
int cbor_encode(const struct ipld *tree, const struct ipld_node *node, unsigned flags,
		struct buf *out);
/* Order of keys: the shorter first, then by bytes. */
int cbor_key_order(struct bytes a, struct bytes b);

#endif
