/* multiformats unsigned varint (wire format 1 of multihash, CID, multiaddr, message framing):
 * minimal, at most 9 bytes, value < 2^63. Protobuf varints are another reader: see pb.h. Pure; any
 * thread. */
#ifndef NET_WIRE_VARINT_H
#define NET_WIRE_VARINT_H

#include "net/base/bytes.h"

#define UVARINT_MAX_LEN 9

/* Bytes used; 0 when in ends too early; -EBADMSG when non-minimal or over 9 bytes. */
ssize_t uvarint_decode(uint64_t *value, struct bytes in);
/* Bytes written (1..9). value < 2^63. */
size_t uvarint_encode(uint8_t out[static UVARINT_MAX_LEN], uint64_t value);
size_t uvarint_len(uint64_t value);
void buf_add_uvarint(struct buf *buf, uint64_t value);

/* One message of a length-prefixed stream: uv(len) | message.
 * Bytes used with *message borrowed from in; 0 when more is needed; -EBADMSG for a bad varint,
 * -EMSGSIZE when len > max (known as soon as the length is there). */
ssize_t frame_decode(struct bytes *message, struct bytes in, size_t max);

#endif
