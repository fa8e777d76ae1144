/* yamux sessions and streams: their life and the calls of the door. Events run in the middle of
 * calls, so a stream that ends during one is only marked and is freed when the outermost call
 * returns. Loop thread; no input or output here. */
#include "net/session/yamux.h"

#include "net/base/err.h"
#include "net/session/yamux/yamux_private.h"

#include <assert.h>
#include <stdlib.h>

#define STREAM_WINDOW_DEFAULT (16u << 20)
#define CONNECTION_WINDOW_DEFAULT (32u << 20)
#define KEEPALIVE_MS_DEFAULT 30000
#define PING_TIMEOUT_MS_DEFAULT 10000
#define ID_LAST (UINT32_MAX - 2) /* then the session must be replaced */

/* ---- queues ---- */

void yamux_queue_push(struct yamux_queue *queue, struct yamux_chunk *chunk)
{
	chunk->next = NULL;
	if (queue->tail)
		queue->tail->next = chunk;
	else
		queue->head = chunk;
	queue->tail = chunk;
	queue->len += chunk->data.len - chunk->at;
}

/* The front chunk leaves; len is the caller's to correct. */
struct yamux_chunk *yamux_queue_pop(struct yamux_queue *queue)
{
	struct yamux_chunk *chunk = queue->head;

	queue->head = chunk->next;
	if (!queue->head)
		queue->tail = NULL;
	return chunk;
}

void yamux_queue_release(struct yamux_queue *queue)
{
	while (queue->head) {
		struct yamux_chunk *chunk = yamux_queue_pop(queue);

		buf_release(&chunk->data);
		free(chunk);
	}
	queue->len = 0;
}

/* ---- the books ---- */

void yamux_enter(struct yamux *yamux)
{
	yamux->depth++;
}

void yamux_leave(struct yamux *yamux)
{
	if (--yamux->depth)
		return;
	list_for_each_safe(stream, &yamux->dead, struct yamux_stream, node)
		free(stream);
	list_init(&yamux->dead);
}

static struct bytes id_key(const uint32_t *id)
{
	return bytes_of(id, sizeof *id);
}

struct yamux_stream *yamux_find(const struct yamux *yamux, uint32_t id)
{
	return map_get(&yamux->map, id_key(&id));
}

struct yamux_stream *yamux_add(struct yamux *yamux, uint32_t id, bool ours)
{
	struct yamux_stream *stream = xnew(struct yamux_stream);

	*stream = (struct yamux_stream){ .yamux = yamux,
					 .id = id,
					 .ours = ours,
					 .send_window = YAMUX_WINDOW_INITIAL,
					 .window_max = YAMUX_WINDOW_INITIAL,
					 .window = YAMUX_WINDOW_INITIAL,
					 .granted_us = yamux->now_us };
	list_init(&stream->control);
	list_init(&stream->ready);
	list_init(&stream->due);
	list_init(&stream->linger);
	list_add_tail(&yamux->streams, &stream->node);
	map_set(&yamux->map, id_key(&id), stream);
	if (ours) {
		yamux->ours++;
		yamux->unacked++;
	} else {
		yamux->theirs++;
	}
	return stream;
}

void yamux_drop(struct yamux_stream *stream)
{
	struct yamux *yamux = stream->yamux;

	assert(!stream->dead && yamux->depth);
	stream->dead = true;
	map_remove(&yamux->map, id_key(&stream->id));
	list_remove(&stream->control);
	list_remove(&stream->ready);
	list_remove(&stream->due);
	list_remove(&stream->linger);
	list_remove(&stream->node);
	list_add_tail(&yamux->dead, &stream->node);
	if (yamux->body == stream)
		yamux->body = NULL;
	if (stream->ours) {
		yamux->ours--;
		yamux->unacked -= !stream->acked;
	} else {
		yamux->theirs--;
	}
	yamux_window_release(stream);
	yamux_queue_release(&stream->out);
	yamux_queue_release(&stream->kept);
}

void yamux_finish(struct yamux_stream *stream, int err)
{
	bool tell = !stream->detached;

	yamux_drop(stream);
	if (tell)
		stream->yamux->events->on_close(stream->ctx, stream, err);
}

void yamux_finish_if_done(struct yamux_stream *stream)
{
	if (stream->end_sent && stream->end_told)
		yamux_finish(stream, 0);
}

/* ---- sessions ---- */

struct yamux *yamux_new(bool client, const struct yamux_config *config,
			const struct yamux_events *events, void *session_ctx, uint64_t now_ms)
{
	struct yamux *yamux = xnew(struct yamux);
	struct yamux_config *c = &yamux->config;

	*c = *config;
	if (!c->stream_window_max)
		c->stream_window_max = STREAM_WINDOW_DEFAULT;
	if (c->stream_window_max < YAMUX_WINDOW_INITIAL)
		c->stream_window_max = YAMUX_WINDOW_INITIAL; /* the protocol grants this much */
	if (c->stream_window_max > UINT32_MAX / 2)
		c->stream_window_max = UINT32_MAX / 2;
	if (!c->connection_window_max)
		c->connection_window_max = CONNECTION_WINDOW_DEFAULT;
	if (!c->keepalive_ms)
		c->keepalive_ms = KEEPALIVE_MS_DEFAULT;
	if (!c->ping_timeout_ms)
		c->ping_timeout_ms = PING_TIMEOUT_MS_DEFAULT;
	yamux->client = client;
	yamux->next_id = client ? 1 : 2;
	yamux->events = events;
	yamux->ctx = session_ctx;
	yamux->now_us = now_ms * 1000;
	yamux->heard_ms = now_ms;
	list_init(&yamux->streams);
	list_init(&yamux->dead);
	list_init(&yamux->control);
	list_init(&yamux->ready);
	list_init(&yamux->due);
	list_init(&yamux->lingering);
	yamux_ping(yamux, yamux->now_us); /* windows are tuned by the round trip */
	return yamux;
}

void yamux_fail(struct yamux *yamux, int err)
{
	yamux_enter(yamux);
	yamux->failed = true;
	if (!yamux->err)
		yamux->err = err ? err : -ECONNRESET;
	while (!list_empty(&yamux->streams))
		yamux_finish(list_first(&yamux->streams, struct yamux_stream, node), err);
	yamux_leave(yamux);
}

void yamux_free(struct yamux *yamux)
{
	if (!yamux)
		return;
	assert(yamux->depth == 0);
	yamux_enter(yamux);
	while (!list_empty(&yamux->streams))
		yamux_drop(list_first(&yamux->streams, struct yamux_stream, node));
	yamux_leave(yamux);
	yamux_free_sent(yamux);
	map_release(&yamux->map);
	free(yamux->resets);
	free(yamux);
}

void yamux_go_away(struct yamux *yamux, uint32_t code)
{
	if (yamux->going_away || yamux->err)
		return;
	yamux->going_away = true;
	yamux->go_away_due = true;
	yamux->go_away_code = code;
}

void yamux_ping(struct yamux *yamux, uint64_t now_us)
{
	if (yamux->ping_open && yamux->ping_due)
		yamux->ping_us = now_us; /* not sent yet: it starts now */
	if (yamux->ping_open || yamux->err)
		return;
	yamux->ping_open = true;
	yamux->ping_due = true;
	yamux->ping_value++;
	yamux->ping_us = now_us;
	yamux->pinged_ms = now_us / 1000;
}

bool yamux_ping_sent(const struct yamux *yamux)
{
	return yamux->ping_open && !yamux->ping_due;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t ping_deadline(const struct yamux *yamux)
{
	return later(yamux->heard_ms, yamux->pinged_ms) +
	       (yamux->ping_open ? yamux->config.ping_timeout_ms : yamux->config.keepalive_ms);
}

uint64_t yamux_deadline(const struct yamux *yamux)
{
	uint64_t deadline = ping_deadline(yamux);

	if (yamux->err)
		return UINT64_MAX;
	if (!list_empty(&yamux->lingering)) {
		uint64_t linger =
			list_first(&yamux->lingering, struct yamux_stream, linger)->linger_ms;

		deadline = linger < deadline ? linger : deadline;
	}
	return deadline;
}

int yamux_tick(struct yamux *yamux, uint64_t now_ms)
{
	if (yamux->err)
		return yamux->err;
	if (now_ms * 1000 > yamux->now_us)
		yamux->now_us = now_ms * 1000;
	yamux_enter(yamux);
	yamux_run_due(yamux);
	while (!list_empty(&yamux->lingering)) {
		struct yamux_stream *stream =
			list_first(&yamux->lingering, struct yamux_stream, linger);

		if (stream->linger_ms > now_ms)
			break;
		yamux_queue_reset(yamux, stream->id, YAMUX_NORMAL);
		yamux_drop(stream);
	}
	yamux_leave(yamux);
	if (yamux->err)
		return yamux->err;
	if (now_ms < ping_deadline(yamux))
		return 0;
	if (yamux->ping_open)
		return -ETIMEDOUT;
	yamux_ping(yamux, now_ms * 1000);
	return 0;
}

unsigned yamux_stream_count(const struct yamux *yamux)
{
	return yamux->ours + yamux->theirs;
}

/* ---- streams ---- */

struct yamux_stream *yamux_open(struct yamux *yamux, void *stream_ctx)
{
	if (yamux->err || yamux->going_away || yamux->ours >= YAMUX_STREAMS_MAX ||
	    yamux->unacked >= YAMUX_UNACKED_MAX || yamux->next_id > ID_LAST)
		return NULL;
	struct yamux_stream *stream = yamux_add(yamux, yamux->next_id, true);

	yamux->next_id += 2;
	stream->ctx = stream_ctx;
	stream->flags = YAMUX_SYN;
	yamux_queue_control(stream);
	return stream;
}

void yamux_stream_set_ctx(struct yamux_stream *stream, void *stream_ctx)
{
	stream->ctx = stream_ctx;
}

void *yamux_stream_ctx(const struct yamux_stream *stream)
{
	return stream->ctx;
}

void *yamux_stream_session_ctx(const struct yamux_stream *stream)
{
	return stream->yamux->ctx;
}

void yamux_stream_write(struct yamux_stream *stream, struct buf *data)
{
	if (!data->len || stream->dead || stream->end_wanted) {
		buf_release(data);
		return;
	}
	struct yamux_chunk *chunk = xnew(struct yamux_chunk);

	chunk->data = *data;
	*data = (struct buf){ 0 };
	yamux_queue_push(&stream->out, chunk);
	if (stream->out.len >= YAMUX_LOW_MARK)
		stream->above = true;
	yamux_check_ready(stream);
}

size_t yamux_stream_queued(const struct yamux_stream *stream)
{
	return stream->out.len;
}

void yamux_stream_pause(struct yamux_stream *stream)
{
	stream->paused = true;
}

void yamux_stream_resume(struct yamux_stream *stream)
{
	struct yamux *yamux = stream->yamux;

	stream->paused = false;
	if (stream->dead)
		return;
	yamux_enter(yamux);
	yamux_deliver_kept(stream);
	yamux_leave(yamux);
}

void yamux_stream_end(struct yamux_stream *stream)
{
	stream->end_wanted = true;
	yamux_check_ready(stream);
}

void yamux_stream_close(struct yamux_stream *stream)
{
	struct yamux *yamux = stream->yamux;

	if (stream->dead || stream->detached)
		return;
	yamux_enter(yamux);
	stream->detached = true;
	stream->end_wanted = true;
	yamux_queue_release(&stream->kept);
	if (stream->end_sent) {
		yamux_drop(stream);
	} else {
		stream->linger_ms = yamux->now_us / 1000 + YAMUX_LINGER_MS;
		list_add_tail(&yamux->lingering, &stream->linger);
		yamux_check_ready(stream);
	}
	yamux_leave(yamux);
}

void yamux_stream_reset(struct yamux_stream *stream, uint32_t code)
{
	struct yamux *yamux = stream->yamux;

	if (stream->dead || stream->detached)
		return;
	yamux_enter(yamux);
	/* What we reset the peer has had us set up for nothing; what comes next of it ends the
	 * session. */
	if (!stream->ours)
		yamux_churn(yamux);
	if (!(stream->flags & YAMUX_SYN)) /* else the peer has never heard of it */
		yamux_queue_reset(yamux, stream->id, code);
	yamux_drop(stream);
	yamux_leave(yamux);
}
