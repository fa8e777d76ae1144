/* Whole streams of Bitswap messages: framing, codec, ledger. */
#include "exchange/bitswap/msg.h"
#include "exchange/bitswap/server.h"
#include "net/wire/frame.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

/* Some blocks are here, by a bit of their name. */
static int size(void *ctx, const struct cid *cid, size_t *out)
{
	(void)ctx;
	*out = cid->bytes[cid->len - 1];
	return *out & 1 ? -ENOENT : 0;
}

static void wake(void *ctx)
{
	(void)ctx;
}

static void on_block(void *ctx, const struct bitswap_prefix *prefix, struct bytes data)
{
	struct cid cid;

	(void)ctx;
	if (bitswap_msg_name(prefix, data, &cid) == 0)
		assert(cid.codec == prefix->codec);
}

static int on_message(void *ctx, struct buf *message)
{
	static const struct bitswap_visitor visitor = { .on_block = on_block };
	struct bitswap_summary summary;

	if (bitswap_msg_check(buf_bytes(message), &summary))
		return -EBADMSG;
	bitswap_msg_walk(buf_bytes(message), &visitor, NULL);
	bitswap_server_message(ctx, buf_bytes(message), &summary);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static const struct bitswap_server_ops ops = { .size = size, .wake = wake };
	struct bitswap_server server;
	struct bitswap_summary summary;
	struct frame_reader reader = { 0 };
	struct bitswap_task task;

	bitswap_msg_check(bytes_of(at, len), &summary);
	bitswap_server_init(&server, 16, &ops, NULL);
	struct bitswap_server_peer *peer = bitswap_server_add(&server, NULL);

	frame_reader_feed(&reader, bytes_of(at, len), BITSWAP_MESSAGE_MAX, on_message, peer);
	assert(peer->wants.count <= 16);
	while (bitswap_server_pop(peer, &task))
		if (task.priority & 1)
			bitswap_server_missed(peer, &task);
	bitswap_server_remove(peer);
	bitswap_server_release(&server);
	frame_reader_release(&reader);
	return 0;
}
