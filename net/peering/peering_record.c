/* The record of a peer in table "peering" (key: peer id). What the configuration says is not in it.
 *   uv  why: PEERING_ADDED, PEERING_ASKED, or 0: connected lately
 *   uv  ms since 1970 when it was last seen connected, 0 never
 *   per address:  uv 1 given by the user, 0 learnt | uv length | address
 * Pure. */
#include "net/peering/peering_private.h"

#include "net/base/alloc.h"
#include "net/wire/varint.h"

#include <errno.h>

static void encode_addrs(struct buf *out, const struct multiaddr *addrs, size_t count, bool given)
{
	for (size_t i = 0; i < count; i++) {
		buf_add_uvarint(out, given);
		buf_add_uvarint(out, addrs[i].len);
		buf_add(out, multiaddr_bytes(&addrs[i]));
	}
}

void peering_record_encode(struct buf *out, const struct kept *kept)
{
	buf_add_uvarint(out, kept->why & ~(unsigned)PEERING_CONFIG);
	buf_add_uvarint(out, kept->good_ms);
	encode_addrs(out, kept->given, kept->given_count, true);
	encode_addrs(out, kept->learnt, kept->learnt_count, false);
}

static int decode_addr(struct kept *kept, struct cursor *c)
{
	uint64_t given = cursor_uvarint(c), len = cursor_uvarint(c);
	struct bytes bytes = cursor_take(c, len > MULTIADDR_MAX ? SIZE_MAX : (size_t)len);
	struct multiaddr **list = given ? &kept->given : &kept->learnt;
	size_t *count = given ? &kept->given_count : &kept->learnt_count;

	if (c->bad || given > 1 || *count == (given ? PEERING_GIVEN_MAX : PEERING_LEARNT_MAX))
		return -EBADMSG;
	*list = xrealloc(*list, (*count + 1) * sizeof(**list));
	if (multiaddr_from_bytes(&(*list)[*count], bytes) != 0)
		return -EBADMSG;
	(*count)++;
	return 0;
}

int peering_record_decode(struct kept *kept, struct bytes value)
{
	struct cursor c = cursor_over(value);
	uint64_t why = cursor_uvarint(&c);
	int err = 0;

	kept->good_ms = cursor_uvarint(&c);
	if (c.bad || why > (PEERING_ADDED | PEERING_ASKED) || (why & PEERING_CONFIG))
		return -EBADMSG;
	kept->why = (unsigned)why;
	while (!err && cursor_left(&c) > 0)
		err = decode_addr(kept, &c);
	return err;
}
