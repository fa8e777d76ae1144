/* The links of a DAG-CBOR block (wire/dag section 6), without building a tree. Pure; any thread. */
#ifndef DAG_CBOR_LINKS_H
#define DAG_CBOR_LINKS_H

#include "dag/ipld/cbor_head.h"

/* Calls each for every link, in order; non-zero from it stops and is returned. -EBADMSG: not one
 * whole item, indefinite lengths, tags other than 42, keys that are no text, nesting over
 * CBOR_DEPTH_MAX. Order of keys and shortest integers are not checked, as Go's decoder does not.
 * Allocates nothing. */
int cbor_links(struct bytes block, int (*each)(void *ctx, const struct cid *cid), void *ctx);

#endif
