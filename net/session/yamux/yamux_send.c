/* The sending half of yamux: control frames first, then streams in turns, each within the window
 * that the peer has given it. Loop thread. */
/* Frames out. Order of one yamux_send(): ping answers, our ping, resets, the streams' control
 * frames (SYN, ACK, credit), a go-away, then data, one frame a turn of the ready streams.
 *
 * Parts point into yamux->heads and into the streams' chunks; a chunk that is used up moves to
 * yamux->sent and is freed by the next call. No event runs between the filling of parts and the
 * return: what a stream has to be told waits in yamux->due. */
#include "net/session/yamux/yamux_private.h"

#include "net/base/err.h"

#include <stdlib.h>

#define CONTROL_MAX (YAMUX_FRAMES_MAX * YAMUX_HEADER_LEN) /* bytes when no data goes along */

struct out {
	struct yamux *yamux;
	struct bytes *parts;
	size_t count, parts_max;
	size_t len, max;
	size_t heads;
};

static bool has_room(const struct out *out, size_t parts)
{
	return out->len < out->max && out->parts_max - out->count >= parts &&
	       out->heads < YAMUX_FRAMES_MAX;
}

static void put_part(struct out *out, const uint8_t *at, size_t len)
{
	struct bytes *last = out->count ? &out->parts[out->count - 1] : NULL;

	out->len += len;
	if (last && last->at + last->len == at) /* headers of control frames lie side by side */
		last->len += len;
	else
		out->parts[out->count++] = bytes_of(at, len);
}

static void put_head(struct out *out, enum yamux_type type, uint16_t flags, uint32_t id,
		     uint32_t length)
{
	uint8_t *at = out->yamux->heads[out->heads++];
	struct yamux_header header = { .type = type, .flags = flags, .id = id, .length = length };

	yamux_header_encode(at, &header);
	put_part(out, at, YAMUX_HEADER_LEN);
}

static void put_session_control(struct out *out)
{
	struct yamux *yamux = out->yamux;
	unsigned pongs = 0;
	size_t resets = 0;

	for (; pongs < yamux->pong_count && has_room(out, 1); pongs++)
		put_head(out, YAMUX_PING, YAMUX_ACK, 0, yamux->pongs[pongs]);
	yamux->pong_count -= pongs;
	for (unsigned i = 0; i < yamux->pong_count; i++)
		yamux->pongs[i] = yamux->pongs[i + pongs];
	if (!yamux->pong_count)
		yamux->pongs_lost = 0;
	if (yamux->ping_due && has_room(out, 1)) {
		put_head(out, YAMUX_PING, YAMUX_SYN, 0, yamux->ping_value);
		yamux->ping_due = false;
	}
	for (; resets < yamux->reset_count && has_room(out, 1); resets++)
		put_head(out, YAMUX_WINDOW, YAMUX_RST, yamux->resets[resets].id,
			 yamux->resets[resets].code);
	yamux->reset_count -= resets;
	for (size_t i = 0; i < yamux->reset_count; i++)
		yamux->resets[i] = yamux->resets[i + resets];
}

static void put_stream_control(struct out *out)
{
	struct yamux *yamux = out->yamux;

	while (!list_empty(&yamux->control) && has_room(out, 1)) {
		struct yamux_stream *stream =
			list_first(&yamux->control, struct yamux_stream, control);

		put_head(out, YAMUX_WINDOW, stream->flags, stream->id, stream->delta);
		stream->flags = 0;
		stream->delta = 0;
		list_remove(&stream->control);
	}
}

/* As much of the queue as one frame takes; the bytes' parts follow one part kept free for the
 * header. */
static uint32_t take_data(struct out *out, struct yamux_stream *stream)
{
	struct yamux *yamux = out->yamux;
	size_t room = YAMUX_DATA_MAX < stream->send_window ? YAMUX_DATA_MAX : stream->send_window;
	uint32_t taken = 0;

	while (room && stream->out.len && out->count < out->parts_max) {
		struct yamux_chunk *chunk = stream->out.head;
		size_t len = chunk->data.len - chunk->at;

		if (len > room)
			len = room;
		out->parts[out->count++] = bytes_of(chunk->data.at + chunk->at, len);
		out->len += len;
		chunk->at += len;
		stream->out.len -= len;
		room -= len;
		taken += (uint32_t)len;
		if (chunk->at == chunk->data.len) {
			yamux_queue_pop(&stream->out);
			chunk->next = yamux->sent;
			yamux->sent = chunk;
		}
	}
	return taken;
}

static void note_due(struct yamux_stream *stream)
{
	if (list_empty(&stream->due))
		list_add_tail(&stream->yamux->due, &stream->due);
}

static void end_was_sent(struct yamux_stream *stream)
{
	stream->end_sent = true;
	if (stream->detached) {
		yamux_drop(stream);
	} else if (stream->end_told) {
		stream->close_due = true;
		note_due(stream);
	}
}

/* The end goes in a frame of its own, as go-yamux sends it: js-yamux reads the flag before the
 * data, and drops the data of a stream that has ended. */
static void put_data(struct out *out, struct yamux_stream *stream)
{
	size_t head_at = out->count++;
	uint8_t *head = out->yamux->heads[out->heads++];
	uint32_t taken = take_data(out, stream);
	bool ends = stream->end_wanted && !stream->out.len && !taken;
	struct yamux_header header = { .type = taken ? YAMUX_DATA : YAMUX_WINDOW,
				       .flags = ends ? YAMUX_FIN : 0,
				       .id = stream->id,
				       .length = taken };

	yamux_header_encode(head, &header);
	out->parts[head_at] = bytes_of(head, YAMUX_HEADER_LEN);
	out->len += YAMUX_HEADER_LEN;
	stream->send_window -= taken;
	if (stream->above && stream->out.len < YAMUX_LOW_MARK) {
		stream->above = false;
		if (!stream->detached) {
			stream->drain_due = true;
			note_due(stream);
		}
	}
	if (ends)
		end_was_sent(stream);
}

void yamux_check_ready(struct yamux_stream *stream)
{
	bool data = stream->out.len && stream->send_window;
	bool end = !stream->out.len && stream->end_wanted && !stream->end_sent;

	if (stream->dead)
		return;
	if (!data && !end)
		list_remove(&stream->ready);
	else if (list_empty(&stream->ready))
		list_add_tail(&stream->yamux->ready, &stream->ready);
}

size_t yamux_send(struct yamux *yamux, struct bytes *parts, size_t parts_max, size_t max)
{
	struct out out = { .yamux = yamux, .parts = parts, .parts_max = parts_max };

	out.max = max ? max : CONTROL_MAX;

	yamux_enter(yamux);
	yamux_free_sent(yamux);
	yamux_run_due(yamux);
	yamux_free_sent(yamux); /* of a yamux_send() inside an event */
	if (!yamux->err) {
		put_session_control(&out);
		put_stream_control(&out);
	}
	if (yamux->go_away_due && !yamux->failed && has_room(&out, 1)) {
		put_head(&out, YAMUX_GO_AWAY, 0, 0, yamux->go_away_code);
		yamux->go_away_due = false;
	}
	if (!yamux->err && max) {
		while (!list_empty(&yamux->ready) && has_room(&out, 2)) {
			struct yamux_stream *stream =
				list_first(&yamux->ready, struct yamux_stream, ready);

			list_remove(&stream->ready);
			put_data(&out, stream);
			yamux_check_ready(stream);
		}
	}
	yamux_leave(yamux);
	return out.count;
}

bool yamux_wants_send(const struct yamux *yamux)
{
	if (yamux->failed)
		return false;
	if (yamux->go_away_due || !list_empty(&yamux->due))
		return true;
	if (yamux->err)
		return false;
	return yamux->pong_count || yamux->ping_due || yamux->reset_count ||
	       !list_empty(&yamux->control) || !list_empty(&yamux->ready);
}

bool yamux_data_ready(const struct yamux *yamux)
{
	return !yamux->failed && !yamux->err && !list_empty(&yamux->ready);
}

void yamux_queue_control(struct yamux_stream *stream)
{
	if (list_empty(&stream->control))
		list_add_tail(&stream->yamux->control, &stream->control);
}

void yamux_queue_reset(struct yamux *yamux, uint32_t id, uint32_t code)
{
	if (yamux->reset_count == YAMUX_RESETS_MAX) {
		yamux->err = yamux->err ? yamux->err : -EPROTO; /* a peer that never reads */
		return;
	}
	if (yamux->reset_count == yamux->reset_cap) {
		yamux->reset_cap = yamux->reset_cap ? 2 * yamux->reset_cap : 16;
		yamux->resets = xrealloc(yamux->resets, yamux->reset_cap * sizeof *yamux->resets);
	}
	yamux->resets[yamux->reset_count++] = (struct yamux_reset){ .id = id, .code = code };
}

void yamux_run_due(struct yamux *yamux)
{
	if (yamux->running_due) /* called from one of these events: the outer loop goes on */
		return;
	yamux->running_due = true;
	while (!list_empty(&yamux->due)) {
		struct yamux_stream *stream = list_first(&yamux->due, struct yamux_stream, due);

		list_remove(&stream->due);
		if (stream->drain_due) {
			stream->drain_due = false;
			if (!stream->detached)
				yamux->events->on_drain(stream->ctx, stream);
		}
		if (stream->close_due && !stream->dead)
			yamux_finish(stream, 0);
	}
	yamux->running_due = false;
}

void yamux_free_sent(struct yamux *yamux)
{
	while (yamux->sent) {
		struct yamux_chunk *chunk = yamux->sent;

		yamux->sent = chunk->next;
		buf_release(&chunk->data);
		free(chunk);
	}
}
