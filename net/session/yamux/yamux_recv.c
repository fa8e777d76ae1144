/* The receiving half of yamux: frames are taken apart as they come, and data goes to its stream at
 * once, or is kept while that is paused. Loop thread. */
/* Bytes in.
 *
 *	head (12 bytes, may come in pieces) --data, length > 0--> body --all there--> head
 *
 * Every length is checked before a stream is made or a byte delivered; bodies are handed through in
 * the slices they come in. Frames of streams we do not know are read over: they race with our
 * resets. */
#include "net/session/yamux/yamux_private.h"

#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_CHUNK (64 * 1024)

static bool rate_exceeded(struct yamux_rate *rate, uint64_t now_us, uint64_t period_us,
			  unsigned max)
{
	if (now_us - rate->since_us >= period_us) {
		rate->since_us = now_us;
		rate->count = 0;
	}
	return ++rate->count > max;
}

bool yamux_churn(struct yamux *yamux)
{
	yamux->churned |=
		rate_exceeded(&yamux->churn, yamux->now_us, YAMUX_CHURN_US, YAMUX_CHURN_MAX);
	return yamux->churned;
}

/* ---- delivery ---- */

static void recv_keep(struct yamux_stream *stream, struct bytes data)
{
	struct yamux_chunk *tail = stream->kept.tail;

	if (!tail || tail->data.len + data.len > KEPT_CHUNK) {
		tail = xnew(struct yamux_chunk);
		buf_add(&tail->data, data);
		yamux_queue_push(&stream->kept, tail);
	} else {
		buf_add(&tail->data, data);
		stream->kept.len += data.len;
	}
}

static void recv_deliver(struct yamux_stream *stream, struct bytes data)
{
	if (stream->detached)
		return;
	if (stream->paused || stream->kept.len) {
		recv_keep(stream, data);
		return;
	}
	stream->unread -= data.len;
	stream->yamux->events->on_data(stream->ctx, stream, data);
	if (!stream->dead && !stream->paused)
		yamux_window_grant(stream);
}

static void tell_end(struct yamux_stream *stream)
{
	if (stream->paused || stream->end_told || stream->detached || stream->kept.len)
		return;
	stream->end_told = true;
	stream->yamux->events->on_end(stream->ctx, stream);
	if (!stream->dead)
		yamux_finish_if_done(stream);
}

void yamux_deliver_kept(struct yamux_stream *stream)
{
	if (stream->delivering)
		return;
	stream->delivering = true;
	while (stream->kept.len && !stream->paused && !stream->detached && !stream->dead) {
		struct yamux_chunk *chunk = yamux_queue_pop(&stream->kept);

		stream->kept.len -= chunk->data.len;
		stream->unread -= chunk->data.len;
		stream->yamux->events->on_data(stream->ctx, stream, buf_bytes(&chunk->data));
		buf_release(&chunk->data);
		free(chunk);
	}
	stream->delivering = false;
	if (stream->dead || stream->paused || stream->detached)
		return;
	yamux_window_grant(stream);
	if (stream->peer_ended)
		tell_end(stream);
}

static void peer_ended(struct yamux_stream *stream)
{
	stream->peer_ended = true;
	tell_end(stream);
}

/* ---- frames ---- */

/* 0 also when it was refused: then the stream is unknown. */
static int open_remote(struct yamux *yamux, const struct yamux_header *header)
{
	bool odd = header->id & 1;

	if (header->id == 0 || odd == yamux->client || yamux_find(yamux, header->id))
		return -EPROTO;
	if (header->type == YAMUX_DATA && header->length > YAMUX_WINDOW_INITIAL)
		return -EPROTO;
	if (header->flags & YAMUX_RST)
		return yamux_churn(yamux) ? -EPROTO : 0;
	bool refuse = yamux->going_away || yamux->theirs >= YAMUX_STREAMS_MAX;
	struct yamux_stream *stream = refuse ? NULL : yamux_add(yamux, header->id, false);

	if (stream) {
		stream->flags = YAMUX_ACK;
		yamux_queue_control(stream);
		refuse = yamux->events->on_stream(yamux->ctx, stream) != 0;
		if (refuse && !stream->dead)
			yamux_drop(stream);
		else
			refuse = false;
	}
	if (!refuse)
		return 0;
	yamux_queue_reset(yamux, header->id, YAMUX_RESOURCE_LIMIT);
	return yamux_churn(yamux) ? -EPROTO : 0;
}

static int on_reset(struct yamux *yamux, struct yamux_stream *stream)
{
	bool ours = stream->ours;

	yamux_finish(stream, -ECONNRESET);
	return !ours && yamux_churn(yamux) ? -EPROTO : 0;
}

static int on_window(struct yamux *yamux, struct yamux_stream *stream,
		     const struct yamux_header *header)
{
	if (!header->flags && !header->length &&
	    rate_exceeded(&yamux->empty, yamux->now_us, YAMUX_EMPTY_US, YAMUX_EMPTY_MAX))
		return -EPROTO;
	if (!stream)
		return 0;
	if (header->length > UINT32_MAX - stream->send_window)
		return -EPROTO;
	stream->send_window += header->length;
	yamux_check_ready(stream);
	if (header->flags & YAMUX_FIN && !stream->peer_ended)
		peer_ended(stream);
	return 0;
}

/* The header of a data frame: checks its length against the window, and notes whose body follows.
 * Without a stream the body is skipped. */
static int on_data(struct yamux *yamux, struct yamux_stream *stream,
		   const struct yamux_header *header)
{
	if (!header->flags && !header->length &&
	    rate_exceeded(&yamux->empty, yamux->now_us, YAMUX_EMPTY_US, YAMUX_EMPTY_MAX))
		return -EPROTO;
	if (!stream) {
		if (header->length > yamux->config.stream_window_max)
			return -EPROTO;
		yamux->body_left = header->length;
		yamux->body = NULL;
		return 0;
	}
	if (header->length > stream->window || (header->length && stream->peer_ended))
		return -EPROTO;
	stream->window -= header->length;
	stream->unread += header->length;
	bool ends = header->flags & YAMUX_FIN && !stream->peer_ended;

	if (!header->length) {
		if (ends)
			peer_ended(stream);
		return 0;
	}
	yamux->body_left = header->length;
	yamux->body_ends = ends;
	yamux->body = stream;
	return 0;
}

/* A frame with a stream id: opens the stream on SYN, then applies the other flags and the frame. */
static int on_stream_frame(struct yamux *yamux, const struct yamux_header *header)
{
	if (header->flags & YAMUX_SYN) {
		int err = open_remote(yamux, header);

		if (err || yamux->err)
			return err ? err : yamux->err;
	}
	struct yamux_stream *stream = yamux_find(yamux, header->id);

	if (stream && header->flags & YAMUX_ACK && stream->ours && !stream->acked) {
		stream->acked = true;
		yamux->unacked--;
	}
	if (header->flags & YAMUX_RST) { /* its length is a code or a body to skip, never credit */
		int err = stream ? on_reset(yamux, stream) : 0;

		return err || header->type == YAMUX_WINDOW ? err : on_data(yamux, NULL, header);
	}
	return header->type == YAMUX_DATA ? on_data(yamux, stream, header)
					  : on_window(yamux, stream, header);
}

static int on_ping(struct yamux *yamux, const struct yamux_header *header)
{
	if (header->flags & YAMUX_SYN) {
		for (unsigned i = 0; i < yamux->pong_count; i++)
			if (yamux->pongs[i] == header->length)
				return 0; /* one answer serves both */
		if (yamux->pong_count == YAMUX_PONGS_MAX)
			return ++yamux->pongs_lost >= YAMUX_PONGS_LOST_MAX ? -EPROTO : 0;
		yamux->pongs[yamux->pong_count++] = header->length;
		return 0;
	}
	if (!(header->flags & YAMUX_ACK) || !yamux->ping_open || yamux->ping_due ||
	    header->length != yamux->ping_value)
		return 0;
	yamux->ping_open = false;
	yamux->rtt_us = yamux->now_us > yamux->ping_us ? yamux->now_us - yamux->ping_us : 1;
	yamux->events->on_rtt(yamux->ctx, yamux->rtt_us);
	return 0;
}

/* Gathers a header that may come in pieces, and acts on it. */
static int take_head(struct yamux *yamux, struct bytes *in)
{
	size_t len = YAMUX_HEADER_LEN - yamux->head_len;
	struct yamux_header header;

	if (len > in->len)
		len = in->len;
	memcpy(yamux->head + yamux->head_len, in->at, len);
	yamux->head_len += len;
	*in = bytes_skip(*in, len);
	ssize_t used = yamux_header_decode(&header, bytes_of(yamux->head, yamux->head_len));

	if (used <= 0)
		return (int)used;
	yamux->head_len = 0;
	switch (header.type) {
	case YAMUX_PING:
		return on_ping(yamux, &header);
	case YAMUX_GO_AWAY:
		return -ECONNRESET;
	default:
		return on_stream_frame(yamux, &header);
	}
}

static void take_body(struct yamux *yamux, struct bytes *in)
{
	size_t len = yamux->body_left < in->len ? yamux->body_left : in->len;
	struct bytes data = bytes_of(in->at, len);

	*in = bytes_skip(*in, len);
	yamux->body_left -= (uint32_t)len;
	if (yamux->body)
		recv_deliver(yamux->body, data);
	if (!yamux->body_left && yamux->body && yamux->body_ends)
		peer_ended(yamux->body);
	if (!yamux->body_left)
		yamux->body = NULL;
}

int yamux_recv(struct yamux *yamux, struct bytes in, uint64_t now_us)
{
	int err = yamux->err;

	if (err)
		return err;
	assert(yamux->depth == 0);
	yamux->now_us = now_us;
	yamux->heard_ms = now_us / 1000;
	yamux_enter(yamux);
	while (in.len && !err) {
		if (yamux->body_left)
			take_body(yamux, &in);
		else
			err = take_head(yamux, &in);
		if (!err)
			err = yamux->err; /* an event ended the session */
		if (!err && yamux->churned)
			err = -EPROTO;
	}
	if (err && !yamux->err) {
		yamux->err = err;
		if (err != -ECONNRESET) {
			yamux->go_away_code = YAMUX_PROTOCOL_ERROR;
			yamux->go_away_due = true;
		}
	}
	yamux_leave(yamux);
	return err;
}
