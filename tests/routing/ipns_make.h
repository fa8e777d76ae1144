/* Makes name records, good ones and others. */
#ifndef TESTS_ROUTING_IPNS_MAKE_H
#define TESTS_ROUTING_IPNS_MAKE_H

#include "net/wire/key.h"
#include "net/wire/pb.h"
#include "routing/record/ipns.h"

#include <string.h>

#define IPNS_MAKE_VALUE "/ipfs/bafkqaaa"
#define IPNS_MAKE_EOL "2100-01-01T00:00:00Z"

/* Zero fields: a good V2 record of sequence 0. */
struct ipns_make {
	const char *value, *eol;
	uint64_t sequence, ttl, type;
	bool ttl_negative; /* -1 - ttl */
	bool first;	   /* with the fields of the first signature */
	size_t padding;	   /* bytes of a field "_": that make it larger */
	unsigned without;  /* this field of the document, from 1, is left out */
};

static inline void cbor_put(struct buf *out, unsigned major, uint64_t number)
{
	unsigned info = number < 24	      ? (unsigned)number
			: number < 1u << 8    ? 24
			: number < 1u << 16   ? 25
			: number < 1ull << 32 ? 26
					      : 27;

	buf_add_u8(out, (uint8_t)(major << 5 | info));
	for (unsigned bytes = info < 24 ? 0 : 1u << (info - 24); bytes-- > 0;)
		buf_add_u8(out, (uint8_t)(number >> 8 * bytes));
}

static inline void cbor_put_bytes(struct buf *out, unsigned major, struct bytes bytes)
{
	cbor_put(out, major, bytes.len);
	buf_add(out, bytes);
}

static inline void ipns_make_document(struct buf *out, const struct ipns_make *make)
{
	struct buf padding = { 0 };
	const char *const names[] = { "_", "TTL", "Value", "Sequence", "Validity", "ValidityType" };

	cbor_put(out, 5, 5 + (make->padding > 0) - (make->without > 0));
	for (unsigned i = 0; i < 6; i++) {
		if (i == 0 ? make->padding == 0 : i == make->without)
			continue;
		cbor_put_bytes(out, 3, bytes_str(names[i]));
		if (i == 0) {
			memset(buf_reserve(&padding, make->padding), 7, make->padding);
			padding.len = make->padding;
			cbor_put_bytes(out, 2, buf_bytes(&padding));
		} else if (i == 2 || i == 4) {
			cbor_put_bytes(out, 2, bytes_str(i == 2 ? make->value : make->eol));
		} else {
			cbor_put(out, i == 1 && make->ttl_negative,
				 i == 1	  ? make->ttl
				 : i == 3 ? make->sequence
					  : make->type);
		}
	}
	buf_release(&padding);
}

static inline void ipns_sign(struct buf *out, const struct identity *identity,
			     struct bytes document)
{
	struct buf message = { 0 };
	uint8_t signature[64];

	buf_add_str(&message, "ipns-signature:");
	buf_add(&message, document);
	identity_sign(identity, buf_bytes(&message), signature);
	pb_put_bytes(out, 8, bytes_of(signature, sizeof(signature)));
	pb_put_bytes(out, 9, document);
	buf_release(&message);
}

/* Adds the record of the key from this seed's first byte. */
static inline void ipns_make(struct buf *out, uint8_t seed, struct ipns_make make)
{
	const uint8_t bytes[32] = { seed };
	struct identity *identity = identity_from_seed(bytes);
	struct buf document = { 0 };

	make.value = make.value ? make.value : IPNS_MAKE_VALUE;
	make.eol = make.eol ? make.eol : IPNS_MAKE_EOL;
	if (make.first) {
		pb_put_str(out, 1, make.value);
		pb_put_str(out, 2, "old signature");
		pb_put_u64(out, 3, make.type);
		pb_put_str(out, 4, make.eol);
		pb_put_u64(out, 5, make.sequence);
		pb_put_u64(out, 6, make.ttl);
	}
	ipns_make_document(&document, &make);
	ipns_sign(out, identity, buf_bytes(&document));
	buf_release(&document);
	identity_free(identity);
}

/* The routing key of that name, appended. */
static inline struct bytes ipns_key(struct buf *out, uint8_t seed)
{
	const uint8_t bytes[32] = { seed };
	struct identity *identity = identity_from_seed(bytes);
	struct peer_id id;

	peer_id_of_identity(&id, identity);
	identity_free(identity);
	buf_clear(out);
	buf_add_str(out, IPNS_PREFIX);
	buf_add(out, peer_id_bytes(&id));
	return buf_bytes(out);
}

#endif
