/* Receive windows. A stream's peer may have window_max bytes under way: on the wire, or kept by
 * us while the stream is paused. Credit goes back when half of that has been delivered; a stream
 * that uses it up in less than four round trips is held back by us, so its window doubles, within
 * the stream's and the session's limit. Loop thread. */
#include "net/session/yamux/yamux_private.h"

#include <stdlib.h>

/* Below this, loopback would be tuned by the scheduler's jitter. */
#define RTT_MIN_US 1000
#define FAST_ROUNDS 4

static void window_grow(struct yamux_stream *stream)
{
	struct yamux *yamux = stream->yamux;
	uint64_t rtt_us = yamux->rtt_us;
	size_t more = stream->window_max;

	if (rtt_us == 0)
		return;
	if (rtt_us < RTT_MIN_US)
		rtt_us = RTT_MIN_US;
	if (yamux->now_us - stream->granted_us >= FAST_ROUNDS * rtt_us)
		return;
	if (more > yamux->config.stream_window_max - stream->window_max)
		more = yamux->config.stream_window_max - stream->window_max;
	if (more > yamux->config.connection_window_max - yamux->granted)
		more = yamux->config.connection_window_max - yamux->granted;
	stream->window_max += more;
	yamux->granted += more;
}

void yamux_window_grant(struct yamux_stream *stream)
{
	size_t used = stream->window_max - stream->window - stream->unread;

	if (stream->peer_ended || stream->detached || stream->yamux->err)
		return;
	if (used < stream->window_max / 2)
		return;
	window_grow(stream);
	used = stream->window_max - stream->window - stream->unread;
	stream->granted_us = stream->yamux->now_us;
	stream->window += used;
	stream->delta += (uint32_t)used;
	yamux_queue_control(stream);
}

void yamux_window_release(struct yamux_stream *stream)
{
	stream->yamux->granted -= stream->window_max - YAMUX_WINDOW_INITIAL;
}
