/* Fields of canonical DAG-CBOR, read straight through a cursor and written to a buf: the formats of
 * shares are fixed lists and maps, and need no tree of values. What is not canonical, or of another
 * type, sets the cursor's `bad`, and all later reads yield zero. Private to dag/share. Pure. */
#ifndef DAG_SHARE_FIELDS_H
#define DAG_SHARE_FIELDS_H

#include "net/base/bytes.h"
#include "net/wire/cid.h"

/* ---- reading ---- */

uint64_t field_uint(struct cursor *c);
/* bad above limit. */
uint64_t field_uint_to(struct cursor *c, uint64_t limit);
int64_t field_int(struct cursor *c);
struct bytes field_bytes(struct cursor *c); /* borrowed */
struct bytes field_text(struct cursor *c);  /* UTF-8; borrowed */
/* How many items follow; each needs a byte, so the count is at most what is left of the input. */
size_t field_list(struct cursor *c);
/* bad unless exactly count items follow. */
void field_list_of(struct cursor *c, size_t count);
/* How many pairs follow. */
size_t field_map(struct cursor *c);
/* The next key of a map must be this one. */
void field_key(struct cursor *c, const char *key);
/* Takes a null if one is next. */
bool field_null(struct cursor *c);
void field_link(struct cursor *c, struct cid *cid);
/* A link to a node that we write: CIDv1, dag-cbor, sha2-256. */
void field_node_link(struct cursor *c, struct cid *cid);

/* ---- writing ---- */

void field_put_uint(struct buf *out, uint64_t value);
void field_put_int(struct buf *out, int64_t value);
void field_put_bytes(struct buf *out, struct bytes bytes);
void field_put_text(struct buf *out, struct bytes text);
void field_put_list(struct buf *out, size_t count);
void field_put_map(struct buf *out, size_t count);
void field_put_key(struct buf *out, const char *key);
void field_put_null(struct buf *out);
void field_put_link(struct buf *out, const struct cid *cid); /* null when it is not set */

/* Is it a CID of a node that we write? */
bool field_is_node_cid(const struct cid *cid);
/* The 8 bytes of a pen. */
void field_put_pen(struct buf *out, uint64_t pen);
uint64_t field_pen(struct cursor *c);

#endif
