/* A session under a peer that says anything. First byte: role, cut, and what our side does with its
 * streams. What goes out is checked to be well-formed frames within the windows' sizes. */
#include "net/session/yamux/yamux_private.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

struct side {
	struct yamux *yamux;
	unsigned habit, calls;
};

static void write_some(struct yamux_stream *stream, size_t len)
{
	struct buf data = { 0 };

	buf_reserve(&data, len);
	for (size_t i = 0; i < len; i++)
		data.at[i] = (uint8_t)i;
	data.len = len;
	yamux_stream_write(stream, &data);
}

static void act(struct side *side, struct yamux_stream *stream)
{
	switch ((side->habit + side->calls++) % 9) {
	case 0:
		yamux_stream_pause(stream);
		break;
	case 1:
		yamux_stream_resume(stream);
		break;
	case 2:
		yamux_stream_end(stream);
		break;
	case 3:
		if (side->habit & 1)
			yamux_stream_close(stream);
		break;
	case 4:
		if (side->habit & 2)
			yamux_stream_reset(stream, 7);
		break;
	case 5:
		write_some(stream, 70000);
		break;
	case 6:
		yamux_open(side->yamux, side);
		break;
	default:
		break;
	}
}

static int on_stream(void *ctx, struct yamux_stream *stream)
{
	struct side *side = ctx;

	yamux_stream_set_ctx(stream, side);
	if (side->habit & 4)
		act(side, stream);
	return side->habit & 8 && side->calls++ % 3 == 0;
}

static void on_data(void *ctx, struct yamux_stream *stream, struct bytes data)
{
	assert(data.len && yamux_stream_ctx(stream) == ctx);
	act(ctx, stream);
}

static void on_event(void *ctx, struct yamux_stream *stream)
{
	act(ctx, stream);
}

static void on_close(void *ctx, struct yamux_stream *stream, int err)
{
	(void)ctx;
	(void)stream;
	(void)err;
}

static void on_rtt(void *ctx, uint64_t rtt_us)
{
	(void)ctx;
	assert(rtt_us);
}

static const struct yamux_events events = {
	on_stream, on_data, on_event, on_event, on_close, on_rtt
};

static void check_output(struct yamux *yamux)
{
	struct bytes parts[32];
	size_t count;

	while ((count = yamux_send(yamux, parts, 32, 100000)) > 0) {
		struct buf out = { 0 };
		struct yamux_header header;

		for (size_t i = 0; i < count; i++)
			buf_add(&out, parts[i]);
		for (struct bytes left = buf_bytes(&out); left.len;) {
			assert(yamux_header_decode(&header, left) == YAMUX_HEADER_LEN);
			left = bytes_skip(left, YAMUX_HEADER_LEN);
			if (header.type != YAMUX_DATA)
				continue;
			assert(header.length <= YAMUX_DATA_MAX && header.length <= left.len);
			left = bytes_skip(left, header.length);
		}
		buf_release(&out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	const struct yamux_config config = { 0 };
	struct side side = { 0 };
	uint64_t now_us = 1000;
	int err = 0;

	if (len < 2)
		return 0;
	side.habit = at[1];
	side.yamux = yamux_new(at[0] & 1, &config, &events, &side, 1);
	if (at[0] & 2)
		yamux_open(side.yamux, &side);
	for (struct bytes in = bytes_of(at + 2, len - 2); in.len && !err; now_us += 500) {
		size_t step = (at[0] >> 3) * 5u + 1;

		if (step > in.len)
			step = in.len;
		err = yamux_recv(side.yamux, bytes_of(in.at, step), now_us);
		in = bytes_skip(in, step);
		if (at[0] & 4)
			check_output(side.yamux);
	}
	check_output(side.yamux);
	yamux_tick(side.yamux, now_us / 1000 + 70000);
	check_output(side.yamux);
	if (side.habit & 16)
		yamux_fail(side.yamux, -1);
	yamux_free(side.yamux);
	return 0;
}
