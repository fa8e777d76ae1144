/* DAG-JSON (codec 0x0129), as trees (wire/dag section 6). Pure; any thread. */
#ifndef DAG_DAGJSON_H
#define DAG_DAGJSON_H

#include "dag/ipld/ipld.h"

enum dagjson_flags {
	DAGJSON_PLAIN =
		1, /* plain JSON: {"/": ...} means nothing, links and bytes cannot be said */
};

/* One JSON value in UTF-8; white space around tokens and any order of keys are accepted. Integers
 * -2^64...2^64-1 exactly, a number with point or exponent is a float. {"/": "<cid>"} is a link,
 * {"/": {"bytes": "<base64>"}} bytes; either with further keys is refused. Keys are unique;
 * containers nest at most IPLD_DEPTH_MAX deep. -EBADMSG; -EMSGSIZE over the tree's limits. The tree
 * is empty before, and after a failure. */
int dagjson_decode(struct ipld *tree, struct bytes text, unsigned flags);
/* Canonical text of node and what is below, appended to out: no white space, keys sorted by bytes,
 * floats with a point or exponent. -EINVAL: text that is no UTF-8, a map that would read as a link
 * or bytes, or what plain JSON cannot say. */
int dagjson_encode(const struct ipld *tree, const struct ipld_node *node, unsigned flags,
		   struct buf *out);
/* Whether a map says (or, spoiled by further keys, pretends to say) a link or bytes. */
bool dagjson_reserved(const struct ipld *tree, const struct ipld_node *map);

#endif
