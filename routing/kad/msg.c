/* The codec of Kademlia messages. Decoding checks the whole message once and copies nothing; the
 * peers in it are visited later, straight from its bytes. Pure; any thread. */
#include "routing/kad/msg.h"

#include "net/base/alloc.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <stdlib.h>

/* Message  1 type  2 key  3 Record  8 Peer closer, repeated  9 Peer provider, repeated  10 level
 * Peer     1 id    2 address, repeated (binary multiaddr)    3 connection
 * Record   1 key   2 value  5 received
 *
 * Type 0 (PUT_VALUE) and connection 0 are not written; level is always 1, and ignored when read. */

#define LEVEL 1
#define LEVEL_LEN 2

/* ---- reading ---- */

static int decode_record(struct kad_record *record, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	*record = (struct kad_record){ 0 };
	while (pb_next(&r, &f)) {
		if (f.number == 1)
			record->key = pb_bytes(&f);
		else if (f.number == 2)
			record->value = pb_bytes(&f);
		else if (f.number == 5)
			record->received = pb_bytes(&f);
	}
	return r.bad ? -EBADMSG : 0;
}

static bool is_peer(struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number == 1 || f.number == 2)
			pb_bytes(&f);
		else if (f.number == 3)
			pb_u64(&f);
	}
	return !r.bad;
}

/* Checks one field of a message and notes what is needed of it; peers are only counted. */
static int decode_field(struct kad_msg *msg, struct pb_field *f)
{
	struct bytes bytes;

	switch (f->number) {
	case 1:
		msg->type = pb_u64(f);
		return 0;
	case 2:
		msg->key = pb_bytes(f);
		return 0;
	case 3:
		msg->has_record = true;
		return decode_record(&msg->record, pb_bytes(f));
	case KAD_CLOSER:
	case KAD_PROVIDERS:
		bytes = pb_bytes(f);
		if (!is_peer(bytes))
			return -EBADMSG;
		if (f->number == KAD_CLOSER)
			msg->closer++;
		else
			msg->providers++;
		return msg->closer + msg->providers > KAD_PEERS_MAX ? -EMSGSIZE : 0;
	}
	return 0;
}

int kad_msg_decode(struct kad_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	*msg = (struct kad_msg){ 0 };
	while (pb_next(&r, &f)) {
		int err = decode_field(msg, &f);

		if (err)
			return err;
	}
	return r.bad ? -EBADMSG : 0;
}

static void take_addr(struct kad_msg_peer *peer, struct bytes in)
{
	struct multiaddr *addr = &peer->addrs[peer->addr_count];
	struct peer_id id;

	if (peer->addr_count == KAD_PEER_ADDRS_MAX || multiaddr_from_bytes(addr, in) ||
	    addr->len == 0)
		return;
	if (multiaddr_split_peer(addr, &id) && !peer_id_equal(&id, &peer->id))
		return;
	for (size_t i = 0; i < peer->addr_count; i++)
		if (multiaddr_equal(&peer->addrs[i], addr))
			return;
	peer->addr_count += addr->len > 0;
}

/* The id may come after the addresses, so it is looked for first. */
static bool decode_peer(struct kad_msg_peer *peer, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	size_t used = 0;

	peer->id.len = 0;
	peer->connection = KAD_NOT_CONNECTED;
	peer->addr_count = 0;
	while (pb_next(&r, &f)) {
		if (f.number == 1 && peer_id_from_bytes(&peer->id, pb_bytes(&f)))
			return false;
		if (f.number == 3)
			peer->connection = (enum kad_connection)(pb_u64(&f) & 3);
	}
	if (!peer_id_is_set(&peer->id))
		return false;
	r = pb_over(in);
	while (pb_next(&r, &f)) {
		used += f.type == PB_BYTES ? f.bytes.len : 0;
		if (used > KAD_PEER_BYTES_MAX)
			break;
		if (f.number == 2)
			take_addr(peer, pb_bytes(&f));
	}
	return true;
}

void kad_msg_peers(struct bytes in, enum kad_field field,
		   int (*each)(void *ctx, const struct kad_msg_peer *peer), void *ctx)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	struct kad_msg_peer *peer = xnew(struct kad_msg_peer);

	while (pb_next(&r, &f))
		if (f.number == (uint32_t)field && decode_peer(peer, pb_bytes(&f)) &&
		    each(ctx, peer))
			break;
	free(peer);
}

/* ---- writing ---- */

void kad_msg_begin(struct buf *out, enum kad_type type, struct bytes key)
{
	if (type != KAD_PUT_VALUE)
		pb_put_u64(out, 1, type);
	if (key.len > 0)
		pb_put_bytes(out, 2, key);
}

void kad_msg_record(struct buf *out, const struct kad_record *record)
{
	size_t len = pb_len_bytes(1, record->key.len) + pb_len_bytes(2, record->value.len);

	if (record->received.len > 0)
		len += pb_len_bytes(5, record->received.len);
	pb_put_head(out, 3, len);
	pb_put_bytes(out, 1, record->key);
	pb_put_bytes(out, 2, record->value);
	if (record->received.len > 0)
		pb_put_bytes(out, 5, record->received);
}

bool kad_msg_peer(struct buf *out, enum kad_field field, const struct peer_id *id,
		  const struct multiaddr *addrs, size_t count, enum kad_connection connection,
		  size_t max)
{
	size_t len = pb_len_bytes(1, id->len), fit = 0;

	if (connection != KAD_NOT_CONNECTED)
		len += pb_len_u64(3, connection);
	while (fit < count && len + pb_len_bytes(2, addrs[fit].len) <= KAD_PEER_BYTES_MAX)
		len += pb_len_bytes(2, addrs[fit++].len);
	if (out->len + pb_len_bytes(field, len) + LEVEL_LEN > max)
		return false;
	pb_put_head(out, field, len);
	pb_put_bytes(out, 1, peer_id_bytes(id));
	for (size_t i = 0; i < fit; i++)
		pb_put_bytes(out, 2, multiaddr_bytes(&addrs[i]));
	if (connection != KAD_NOT_CONNECTED)
		pb_put_u64(out, 3, connection);
	return true;
}

void kad_msg_end(struct buf *out)
{
	pb_put_u64(out, 10, LEVEL);
}
