/* The table of multiaddr protocols: how each value is checked, printed and parsed. Private to
 * net/wire. Pure; any thread. */
#ifndef NET_WIRE_MULTIADDR_PROTO_H
#define NET_WIRE_MULTIADDR_PROTO_H

#include "net/base/bytes.h"

#define MULTIADDR_SIZE_VAR (-1)

struct multiaddr_proto {
	uint32_t code;
	int size; /* of the value: bytes, or MULTIADDR_SIZE_VAR behind a length */
	const char *name;
	/* The value in text takes the rest of the address; nothing may follow it. */
	bool is_path;
	/* NULL for each when size is 0. */
	bool (*check)(struct bytes value);
	/* Appends the text of a checked value; at most text_max(value length) bytes. */
	void (*print)(struct buf *out, struct bytes value);
	size_t (*text_max)(size_t len);
	/* Appends the value of text; false when it is none. The result is checked afterwards. */
	bool (*parse)(struct buf *out, struct bytes text);
};

/* NULL when unknown. */
const struct multiaddr_proto *multiaddr_proto_by_code(uint64_t code);
/* Knows the alias "ipfs". NULL when unknown. */
const struct multiaddr_proto *multiaddr_proto_by_name(struct bytes name);

#endif
