/* The server's side of AutoNAT v2 as a state machine, and the choice of addresses for v1. An
 * address that is not the asker's own costs the asker data first, so that having us dial a victim
 * gains nothing. Pure. */
#include "net/nat/autonat/autonat_serve.h"

#include <errno.h>

static void serve_answer(struct autonat_serve *serve, enum autonat_status status,
			 enum autonat_dial dial_status, struct buf *out)
{
	autonat_msg_put_response(out, status, serve->index, dial_status);
	serve->state = SERVE_ANSWERED;
}

/* The address, without the asker's id behind it; somebody else's id: no. */
static bool read_addr(struct multiaddr *addr, struct bytes bytes, const struct peer_id *peer,
		      bool local)
{
	struct peer_id named;

	if (multiaddr_from_bytes(addr, bytes) != 0)
		return false;
	while (multiaddr_split_peer(addr, &named))
		if (!peer_id_equal(&named, peer))
			return false;
	return multiaddr_is_public(addr, local);
}

/* Whether the dial goes to the asker, and so costs no data. */
static bool is_his(const struct autonat_serve *serve)
{
	return !multiaddr_is_relayed(&serve->from) && multiaddr_same_ip(&serve->addr, &serve->from);
}

/* Chooses the first address that may be dialled. If it is not the asker's own, data is wanted
 * first, within a limit for all askers together. */
static void on_request(struct autonat_serve *serve, const struct autonat_msg *msg, uint64_t now_ms,
		       struct buf *out)
{
	size_t i = 0;

	while (i < msg->addr_count &&
	       !read_addr(&serve->addr, msg->addrs[i], &serve->peer, serve->local))
		i++;
	if (i == msg->addr_count) {
		serve_answer(serve, AUTONAT_E_REFUSED, AUTONAT_DIAL_UNUSED, out);
		return;
	}
	serve->nonce = msg->nonce;
	if (is_his(serve)) {
		serve->index = (uint32_t)i;
		serve->state = SERVE_DIAL;
		return;
	}
	if (!autonat_limit_take(serve->data_limit, NULL, AUTONAT_DATA_PER_MINUTE, 0, now_ms)) {
		serve_answer(serve, AUTONAT_E_REJECTED, AUTONAT_DIAL_UNUSED, out);
		return;
	}
	serve->index = (uint32_t)i;
	serve->data_left = AUTONAT_DATA_MIN +
			   (size_t)random_below(serve->random, AUTONAT_DATA_MAX - AUTONAT_DATA_MIN);
	serve->wait_ms = random_below(serve->random, AUTONAT_DIAL_WAIT_MS + 1);
	serve->state = SERVE_DATA;
	autonat_msg_put_want_data(out, serve->index, serve->data_left);
}

static int on_data(struct autonat_serve *serve, const struct autonat_msg *msg)
{
	if (msg->data_len >= serve->data_left) {
		serve->data_left = 0;
		serve->state = SERVE_DIAL;
		return 0;
	}
	serve->data_left -= msg->data_len;
	return msg->data_len < AUTONAT_PIECE_MIN ? -EPROTO : 0;
}

struct feed {
	struct autonat_serve *serve;
	struct buf *out;
	uint64_t now_ms;
};

static int on_message(void *ctx, struct buf *message)
{
	struct feed *feed = ctx;
	struct autonat_msg msg;
	int err = autonat_msg_decode(&msg, buf_bytes(message));

	if (err)
		return err;
	if (feed->serve->state == SERVE_REQUEST && msg.kind == AUTONAT_REQUEST) {
		on_request(feed->serve, &msg, feed->now_ms, feed->out);
		return 0;
	}
	if (feed->serve->state == SERVE_DATA && msg.kind == AUTONAT_DATA)
		return on_data(feed->serve, &msg);
	return -EPROTO;
}

int autonat_serve_feed(struct autonat_serve *serve, struct bytes in, uint64_t now_ms,
		       struct buf *out)
{
	struct feed feed = { .serve = serve, .out = out, .now_ms = now_ms };

	return frame_reader_feed(&serve->reader, in, AUTONAT_MESSAGE_MAX, on_message, &feed);
}

void autonat_serve_dialed(struct autonat_serve *serve, enum autonat_dial status, struct buf *out)
{
	serve_answer(serve, AUTONAT_OK, status, out);
}

void autonat_serve_refuse(struct autonat_serve *serve, struct buf *out)
{
	serve->index = 0;
	serve_answer(serve, AUTONAT_E_REFUSED, AUTONAT_DIAL_UNUSED, out);
}

void autonat_serve_release(struct autonat_serve *serve)
{
	frame_reader_release(&serve->reader);
}

size_t autonat_serve_v1_addrs(const struct autonat_v1_msg *msg, const struct multiaddr *from,
			      bool local, struct multiaddr addrs[static AUTONAT_V1_ADDRS_MAX])
{
	size_t count = 0;

	if (multiaddr_is_relayed(from))
		return 0;
	for (size_t i = 0; i < msg->addr_count; i++) {
		struct multiaddr named, *addr = &addrs[count];
		bool known = false;

		if (multiaddr_from_bytes(&named, msg->addrs[i]) != 0 ||
		    multiaddr_ip_with_port(addr, from, &named) != 0 ||
		    !multiaddr_is_public(addr, local))
			continue;
		for (size_t k = 0; k < count; k++)
			known = known || multiaddr_equal(&addrs[k], addr);
		count += !known;
	}
	return count;
}
