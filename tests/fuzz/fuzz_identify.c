/* The input is a stream of framed identify messages, as it comes from a peer. */
#include "net/identify/identify_msg.h"

#include "net/wire/frame.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static int on_message(void *ctx, struct buf *message)
{
	return identify_msg_merge(ctx, buf_bytes(message));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct frame_reader reader = { 0 };
	struct identify_msg msg = { 0 };
	struct multiaddr from;
	struct peer_id peer = { 0 };

	multiaddr_from_text(&from, len & 1 ? "/ip4/127.0.0.1/tcp/1" : "/ip4/8.8.8.8/tcp/1");
	if (!frame_reader_feed(&reader, bytes_of(at, len), IDENTIFY_MESSAGE_MAX, on_message,
			       &msg)) {
		if (msg.has_key)
			peer_id_of_key(&peer, &msg.key);
		identify_msg_finish(&msg, &peer, &from);
		assert(msg.protocol_count <= IDENTIFY_PROTOCOLS_MAX);
		assert(msg.addr_count <= IDENTIFY_ADDRS_MAX);
		for (size_t i = 0; i < msg.protocol_count; i++)
			assert(strlen(msg.protocols[i]) <= IDENTIFY_PROTOCOL_LEN_MAX);
	}
	frame_reader_release(&reader);
	identify_msg_release(&msg);
	return 0;
}
