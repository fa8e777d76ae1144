/* The input is a stream of framed Kademlia messages, as it comes from a peer. */
#include "routing/kad/msg.h"

#include "net/wire/frame.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static int on_peer(void *ctx, const struct kad_msg_peer *peer)
{
	struct buf *out = ctx;

	assert(peer_id_is_set(&peer->id) && peer->addr_count <= KAD_PEER_ADDRS_MAX);
	assert(kad_msg_peer(out, KAD_CLOSER, &peer->id, peer->addrs, peer->addr_count,
			    peer->connection, SIZE_MAX));
	return 0;
}

static int on_message(void *ctx, struct buf *message)
{
	struct bytes in = buf_bytes(message);
	struct kad_msg msg, again;
	struct buf out = { 0 };

	(void)ctx;
	if (kad_msg_decode(&msg, in) == 0) {
		kad_msg_begin(&out, (enum kad_type)(msg.type & 7), msg.key);
		if (msg.has_record)
			kad_msg_record(&out, &msg.record);
		kad_msg_peers(in, KAD_CLOSER, on_peer, &out);
		kad_msg_peers(in, KAD_PROVIDERS, on_peer, &out);
		kad_msg_end(&out);
		assert(kad_msg_decode(&again, buf_bytes(&out)) == 0);
		assert(bytes_equal(again.key, msg.key) && again.has_record == msg.has_record);
	}
	buf_release(&out);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct frame_reader reader = { 0 };

	frame_reader_feed(&reader, bytes_of(at, len), KAD_REQUEST_MAX, on_message, NULL);
	frame_reader_release(&reader);
	return 0;
}
