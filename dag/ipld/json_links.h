/* The links of a DAG-JSON block (wire/dag section 6), without building a tree. Pure; any thread. */
#ifndef DAG_JSON_LINKS_H
#define DAG_JSON_LINKS_H

#include "net/wire/cid.h"

#define JSON_DEPTH_MAX 128

/* Calls each for every {"/": "<cid>"}, in order; non-zero from it stops and is returned. -EBADMSG:
 * not one JSON value, a link with further keys or a bad CID, nesting over JSON_DEPTH_MAX. Numbers
 * are not judged. Allocates nothing. */
int json_links(struct bytes block, int (*each)(void *ctx, const struct cid *cid), void *ctx);

#endif
