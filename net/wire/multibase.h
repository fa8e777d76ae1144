/* Multibase: a prefix character, then the payload in that base (wire/formats section 3). Text
 * longer than MULTIBASE_TEXT_MAX is refused (base58 and base36 are quadratic). Pure; any thread. */
#ifndef NET_WIRE_MULTIBASE_H
#define NET_WIRE_MULTIBASE_H

#include "net/base/bytes.h"

#define MULTIBASE_TEXT_MAX 1024

/* Prefix characters of the bases we write. */
enum multibase {
	BASE16 = 'f',
	BASE32 = 'b',
	BASE36 = 'k',
	BASE58BTC = 'z',
	BASE64 = 'm',
	BASE64URL = 'u',
};

/* Text of data with its prefix, appended to out (no NUL). base is any prefix character of the table
 * in wire/formats section 3. -EINVAL for an unknown base, -EMSGSIZE when over the limit for
 * base36/58. */
int multibase_encode(struct buf *out, char base, struct bytes data);
/* Bytes of text (prefix included), appended to out; *base (may be NULL) is the prefix found.
 * -EBADMSG for a character outside the alphabet, -EINVAL unknown prefix, -EMSGSIZE. */
int multibase_decode(struct buf *out, struct bytes text, char *base);
/* Same without a prefix. Here only the big-number bases (10, 36, 58) are limited, to
 * MULTIBASE_TEXT_MAX - 1 characters: the others are linear, whatever the length. */
int base_encode(struct buf *out, char base, struct bytes data);
int base_decode(struct buf *out, char base, struct bytes text);
/* 'f' from "base16", "base32", "base36", "base58btc"...; 0 when unknown. */
char multibase_by_name(const char *name);

#endif
