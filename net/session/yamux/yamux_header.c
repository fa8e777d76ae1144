/* The 12-byte header of yamux frames. Pure; any thread. */
/* offset len
 *   0     1   version, 0
 *   1     1   type: 0 data, 1 window update, 2 ping, 3 go away
 *   2     2   flags: SYN 1, ACK 2, FIN 4, RST 8; others are ignored
 *   4     4   stream id, odd from the dialler; 0 is the session
 *   8     4   length: data bytes that follow; window delta (with RST: a code); ping value; reason
 * All integers big-endian. */
#include "net/session/yamux/yamux_private.h"

#include "net/base/err.h"

#include <assert.h>

ssize_t yamux_header_decode(struct yamux_header *header, struct bytes in)
{
	struct cursor c = cursor_over(in);

	if (in.len < YAMUX_HEADER_LEN)
		return 0;
	uint8_t version = cursor_u8(&c);

	header->type = cursor_u8(&c);
	header->flags = cursor_be16(&c);
	header->id = cursor_be32(&c);
	header->length = cursor_be32(&c);
	assert(!c.bad);
	if (version != 0 || header->type > YAMUX_GO_AWAY)
		return -EBADMSG;
	return YAMUX_HEADER_LEN;
}

static void put_be32(uint8_t *out, uint32_t value)
{
	out[0] = (uint8_t)(value >> 24);
	out[1] = (uint8_t)(value >> 16);
	out[2] = (uint8_t)(value >> 8);
	out[3] = (uint8_t)value;
}

void yamux_header_encode(uint8_t out[static YAMUX_HEADER_LEN], const struct yamux_header *header)
{
	out[0] = 0;
	out[1] = header->type;
	out[2] = (uint8_t)(header->flags >> 8);
	out[3] = (uint8_t)header->flags;
	put_be32(out + 4, header->id);
	put_be32(out + 8, header->length);
}
