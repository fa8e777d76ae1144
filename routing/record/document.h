/* The DAG-CBOR map inside a name record, field by field. Strict: definite lengths, shortest heads,
 * keys that are texts in canonical order (the shorter first, then by bytes) and so never twice,
 * links the only tag, floats of 64 bits and finite, nothing behind the map. Texts are not checked
 * to be UTF-8. Pure; any thread. */
#ifndef ROUTING_RECORD_DOCUMENT_H
#define ROUTING_RECORD_DOCUMENT_H

#include "net/base/bytes.h"

#define DOCUMENT_DEPTH_MAX 16 /* of what is nested below a field */

enum document_kind {
	DOCUMENT_UINT,	   /* number */
	DOCUMENT_NEGATIVE, /* -1 - number */
	DOCUMENT_BYTES,	   /* bytes */
	DOCUMENT_TEXT,	   /* bytes */
	DOCUMENT_OTHER	   /* a list, a map, a link, null, a truth or a float; checked, not told */
};

struct document_value {
	enum document_kind kind;
	uint64_t number;
	struct bytes bytes; /* borrowed from the document */
};

/* Non-zero stops and is returned. */
typedef int document_field_fn(void *ctx, struct bytes key, const struct document_value *value);

/* Visits the fields in their order. -EBADMSG when the bytes are no such map; fields in front of the
 * fault were visited. */
int document_each(struct bytes in, document_field_fn *each, void *ctx);

#endif
