/* The head of a CBOR item, which all readers and writers of DAG-CBOR begin with. Pure. */
#ifndef DAG_CBOR_HEAD_H
#define DAG_CBOR_HEAD_H

#include "net/wire/cid.h"

#define CBOR_DEPTH_MAX 128

enum cbor_major {
	CBOR_UINT,
	CBOR_NEGATIVE,
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_TAG,
	CBOR_SIMPLE,
};

enum {
	CBOR_TAG_CID = 42,
	CBOR_FALSE = 20,
	CBOR_TRUE = 21,
	CBOR_NULL = 22,
	CBOR_FLOAT16 = 25,
	CBOR_FLOAT32 = 26,
	CBOR_FLOAT64 = 27,
};

struct cbor_head {
	unsigned major, info;
	uint64_t arg;
	bool shortest; /* no shorter head could say arg; floats: always */
};

/* false: too short, reserved or of indefinite length. */
bool cbor_head_read(struct cursor *c, struct cbor_head *head);
/* false, true, null and floats. */
bool cbor_simple_allowed(const struct cbor_head *head);
/* What follows tag 42: a byte string of 00 and the CID. 0 or -EBADMSG. */
int cbor_link_read(struct cursor *c, bool shortest, struct cid *cid);
/* Appends the shortest head that says arg. */
void cbor_head_put(struct buf *out, enum cbor_major major, uint64_t arg);
/* Appends tag 42 and the byte string of a link. */
void cbor_link_put(struct buf *out, struct bytes cid);

#endif
