/* The asker's side of AutoNAT v2 as a state machine. A server's claim that it reached us counts
 * only with the nonce that arrived on another connection, at the address in question. Pure. */
#include "net/nat/autonat/autonat_probe.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void autonat_probe_start(struct autonat_probe *probe, uint64_t nonce, struct buf *out)
{
	assert(probe->count > 0 && probe->count <= AUTONAT_ASK_MAX);
	probe->nonce = nonce;
	autonat_msg_put_request(out, probe->addrs, probe->count, nonce);
}

/* The server cannot be trusted with which address it dialled: the connection must fit. Where a
 * translator stands between, only its kind is known. */
static bool probe_fits(const struct autonat_probe *probe)
{
	const struct multiaddr *addr = &probe->addrs[probe->index];

	return probe->bound[probe->index] ? multiaddr_equal(&probe->local, addr)
					  : multiaddr_same_shape(&probe->local, addr);
}

static void probe_settle(struct autonat_probe *probe)
{
	if (probe->state == PROBE_NONCE && probe->dialed)
		probe->state = probe_fits(probe) ? PROBE_GOOD : PROBE_NOTHING;
}

/* What the server says of its dial. A success still needs the nonce, and a failure is not
 * believed if the nonce has come. */
static int on_response(struct autonat_probe *probe, const struct autonat_msg *msg)
{
	if (msg->status == AUTONAT_E_REFUSED) {
		probe->state = PROBE_REFUSED;
		return 0;
	}
	if (msg->status != AUTONAT_OK) {
		probe->state = PROBE_NOTHING;
		return 0;
	}
	if (msg->index >= probe->count)
		return -EPROTO;
	probe->index = msg->index;
	switch (msg->dial_status) {
	case AUTONAT_DIAL_OK:
		probe->state = PROBE_NONCE;
		probe_settle(probe);
		return 0;
	case AUTONAT_DIAL_BACK_FAILED:
		/* It connected and could not tell; a nonce that came all the same proves it. */
		probe->state = probe->dialed ? PROBE_NONCE : PROBE_NOTHING;
		probe_settle(probe);
		return 0;
	case AUTONAT_DIAL_FAILED:
		/* With the nonce here that is no truth to build on. */
		probe->state = probe->dialed ? PROBE_NOTHING : PROBE_BAD;
		return 0;
	default:
		return -EPROTO;
	}
}

struct feed {
	struct autonat_probe *probe;
	struct buf *out;
};

static int on_message(void *ctx, struct buf *message)
{
	struct feed *feed = ctx;
	struct autonat_probe *probe = feed->probe;
	struct autonat_msg msg;
	int err = autonat_msg_decode(&msg, buf_bytes(message));

	if (err)
		return err;
	if (probe->state != PROBE_OPEN)
		return -EPROTO;
	if (msg.kind == AUTONAT_RESPONSE)
		return on_response(probe, &msg);
	/* Data is sent once, and not more than a handshake costs the side that is dialled. */
	if (msg.kind != AUTONAT_WANT_DATA || probe->data_sent || msg.index >= probe->count ||
	    msg.want > AUTONAT_DATA_MAX)
		return -EPROTO;
	probe->data_sent = true;
	autonat_msg_put_data(feed->out, (size_t)msg.want);
	return 0;
}

int autonat_probe_feed(struct autonat_probe *probe, struct bytes in, struct buf *out)
{
	struct feed feed = { .probe = probe, .out = out };
	int err = frame_reader_feed(&probe->reader, in, AUTONAT_MESSAGE_MAX, on_message, &feed);

	if (err)
		probe->state = PROBE_NOTHING;
	return err;
}

bool autonat_probe_dialed(struct autonat_probe *probe, uint64_t nonce,
			  const struct multiaddr *local)
{
	if (nonce != probe->nonce || probe->dialed)
		return false;
	probe->dialed = true;
	probe->local = *local;
	probe_settle(probe);
	return true;
}

void autonat_probe_release(struct autonat_probe *probe)
{
	frame_reader_release(&probe->reader);
}
