/* Sessions with an application that notes what it is told and does what a test wants inside events.
 */
#ifndef TESTS_NET_YAMUX_SIDES_H
#define TESTS_NET_YAMUX_SIDES_H

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/random.h"
#include "net/session/yamux/yamux_private.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTS 64
#define BATCH (256u * 1024)
#define MS 1000u
#define REFILLS 200

enum act { NOTHING, PAUSE, CLOSE, RESET, FAIL, END, BOUNCE, REFILL };

struct side {
	struct yamux *yamux;
	struct yamux_stream *last; /* the last one the peer opened */
	enum act on_data, on_end, on_stream, on_close, on_drain;
	bool refuse;
	bool check; /* data of each stream is its counted pattern */
	struct buf got;
	size_t bytes;
	unsigned opened, ended, closed, drained;
	int close_err;
	uint64_t rtt_us;
	size_t *refill_at; /* REFILL: write more and send it, there and then */
	struct buf *wire;
};

/* A stream's pattern is its id and how much of it has come; kept in ctx as a heap cell. */
struct flow {
	struct side *side;
	size_t at;
};

static inline struct flow *flow_new(struct side *side)
{
	struct flow *flow = xnew(struct flow);

	flow->side = side;
	return flow;
}

static inline uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 7 + (at >> 9));
}

static inline void write_pattern(struct yamux_stream *stream, size_t *at, size_t len)
{
	struct buf data = { 0 };

	buf_reserve(&data, len);
	for (size_t i = 0; i < len; i++)
		data.at[i] = pattern((*at)++);
	data.len = len;
	yamux_stream_write(stream, &data);
	assert_null(data.at);
}

/* All that may be sent now, at most max bytes a call. */
static inline void drain_to(struct side *side, struct buf *out, size_t max)
{
	struct bytes parts[PARTS];
	size_t count;

	while ((count = yamux_send(side->yamux, parts, PARTS, max)) > 0)
		for (size_t i = 0; i < count; i++)
			buf_add(out, parts[i]);
	assert_false(yamux_wants_send(side->yamux));
}

static inline void refill(struct side *side, struct yamux_stream *stream)
{
	struct bytes parts[PARTS];
	size_t count;

	if (side->drained <= REFILLS)
		write_pattern(stream, side->refill_at, YAMUX_LOW_MARK);
	while ((count = yamux_send(side->yamux, parts, PARTS, BATCH)) > 0)
		for (size_t i = 0; i < count; i++)
			buf_add(side->wire, parts[i]);
}

static inline void act(struct side *side, struct yamux_stream *stream, enum act act)
{
	switch (act) {
	case PAUSE:
		yamux_stream_pause(stream);
		break;
	case BOUNCE:
		yamux_stream_pause(stream);
		yamux_stream_resume(stream);
		break;
	case CLOSE:
		free(yamux_stream_ctx(stream));
		yamux_stream_close(stream);
		break;
	case RESET:
		free(yamux_stream_ctx(stream));
		yamux_stream_reset(stream, 0x1004);
		break;
	case FAIL:
		yamux_fail(side->yamux, -ECANCELED);
		break;
	case REFILL:
		refill(side, stream);
		break;
	case END:
		yamux_stream_end(stream);
		break;
	default:
		break;
	}
}

static inline int on_stream(void *ctx, struct yamux_stream *stream)
{
	struct side *side = ctx;

	side->opened++;
	if (side->refuse)
		return -EAGAIN;
	side->last = stream;
	yamux_stream_set_ctx(stream, flow_new(side));
	act(side, stream, side->on_stream);
	return 0;
}

static inline void on_data(void *ctx, struct yamux_stream *stream, struct bytes data)
{
	struct flow *flow = ctx;
	struct side *side = flow->side;

	assert_true(data.len > 0);
	side->bytes += data.len;
	if (side->check)
		for (size_t i = 0; i < data.len; i++)
			if (data.at[i] != pattern(flow->at++))
				fail_msg("byte %zu differs", flow->at - 1);
	if (!side->check)
		buf_add(&side->got, data);
	act(side, stream, side->on_data);
}

static inline void on_end(void *ctx, struct yamux_stream *stream)
{
	struct flow *flow = ctx;
	struct side *side = flow->side;

	side->ended++;
	act(side, stream, side->on_end);
}

static inline void on_drain(void *ctx, struct yamux_stream *stream)
{
	struct flow *flow = ctx;
	struct side *side = flow->side;

	side->drained++;
	act(side, stream, side->on_drain);
}

static inline void on_close(void *ctx, struct yamux_stream *stream, int err)
{
	struct flow *flow = ctx;
	struct side *side = flow->side;

	(void)stream;
	side->closed++;
	side->close_err = err;
	free(flow);
	if (side->on_close == FAIL)
		yamux_fail(side->yamux, -EIO);
}

static inline void on_rtt(void *ctx, uint64_t rtt_us)
{
	((struct side *)ctx)->rtt_us = rtt_us;
}

static const struct yamux_events side_events = { on_stream, on_data,  on_end,
						 on_drain,  on_close, on_rtt };

static inline void side_init(struct side *side, bool client, const struct yamux_config *config)
{
	static const struct yamux_config defaults;

	*side = (struct side){ 0 };
	side->yamux = yamux_new(client, config ? config : &defaults, &side_events, side, 0);
}

static inline void side_release(struct side *side)
{
	yamux_fail(side->yamux, -ECANCELED);
	yamux_free(side->yamux);
	buf_release(&side->got);
}

static inline struct yamux_stream *open_stream(struct side *side)
{
	struct flow *flow = flow_new(side);
	struct yamux_stream *stream = yamux_open(side->yamux, flow);

	if (!stream)
		free(flow);
	return stream;
}

static inline void discard_output(struct side *side)
{
	struct buf out = { 0 };

	drain_to(side, &out, BATCH);
	buf_release(&out);
}

static inline void output_is(struct side *side, const char *hex)
{
	struct buf out = { 0 }, want = { 0 };

	drain_to(side, &out, BATCH);
	hex_decode(&want, hex);
	assert_bytes_equal(buf_bytes(&out), buf_bytes(&want));
	buf_release(&out);
	buf_release(&want);
}

static inline bool move(struct side *from, struct side *to, uint64_t now_us, struct random *random)
{
	struct buf wire = { 0 };
	bool any;

	drain_to(from, &wire, random ? 1 + random_below(random, BATCH) : BATCH);
	any = wire.len > 0;
	for (struct bytes left = buf_bytes(&wire); left.len;) {
		size_t len = random ? 1 + random_below(random, 90000) : left.len;

		if (random && random_below(random, 4) == 0)
			len = 1 + random_below(random, 20);
		if (len > left.len)
			len = left.len;
		assert_int_equal(yamux_recv(to->yamux, bytes_of(left.at, len), now_us), 0);
		left = bytes_skip(left, len);
	}
	buf_release(&wire);
	return any;
}

static inline void settle(struct side *a, struct side *b, uint64_t *now_us, struct random *random)
{
	bool any = true;

	while (any) {
		*now_us += 200;
		any = move(a, b, *now_us, random);
		any |= move(b, a, *now_us, random);
	}
}

static inline int feed_at(struct side *side, const char *hex, uint64_t now_us)
{
	struct buf in = { 0 };

	hex_decode(&in, hex);
	int err = yamux_recv(side->yamux, buf_bytes(&in), now_us);

	buf_release(&in);
	return err;
}

static inline int feed(struct side *side, const char *hex)
{
	return feed_at(side, hex, 0);
}

static inline int feed_frame(struct side *side, uint8_t type, uint16_t flags, uint32_t id,
			     uint32_t length, size_t body, uint64_t now_us)
{
	struct yamux_header header = { .type = type, .flags = flags, .id = id, .length = length };
	struct buf in = { 0 };

	buf_reserve(&in, YAMUX_HEADER_LEN + body);
	yamux_header_encode(in.at, &header);
	memset(in.at + YAMUX_HEADER_LEN, 'x', body);
	in.len = YAMUX_HEADER_LEN + body;
	int err = yamux_recv(side->yamux, buf_bytes(&in), now_us);

	buf_release(&in);
	return err;
}

#define GO_AWAY_PROTOCOL "00 03 0000 00000000 00000001"
#define FIRST_PING "00 02 0001 00000000 00000001"

static inline void server(struct side *side)
{
	side_init(side, false, NULL);
	output_is(side, FIRST_PING);
}

#endif
