/* Questions to Kademlia peers. Each peer has one channel with a stream and a queue of calls,
 * which are sent one after the other. A stream that died while it lay idle is replaced once per
 * call. Loop thread. */
#include "routing/kad/client.h"

#include "net/base/alloc.h"
#include "net/base/map.h"
#include "net/wire/frame.h"
#include "routing/kad/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * call -> on_soon -> [open -> on_opened] -> send -> on_answer -> end_call -> the next
 * The stream may close, the read time out or the call's deadline come at any point.
 */

#define NO_CODE 0

struct channel {
	struct kad_client *client;
	struct peer_id peer;
	struct list calls; /* the first is the one being asked when asking */
	unsigned call_count;
	struct swarm_op *op; /* opening */
	struct stream *stream;
	struct frame_reader reader;
	struct buf answer;
	bool asking;   /* the first call's message is sent, its answer is due */
	bool answered; /* answer holds it */
	bool orphan;   /* the caller of what was asked is gone: its answer is awaited and dropped */
	bool used;     /* the stream has carried an answer: it may have died since */
	struct timer soon, read, idle;
};

struct kad_call {
	struct list node;
	struct channel *channel;
	struct buf message; /* framed */
	bool wants_answer;
	bool retried;
	struct timer deadline;
	uint64_t deadline_ms;
	kad_call_fn *done;
	void *ctx;
};

struct kad_client {
	struct swarm *swarm;
	struct timers *timers;
	char protocol[SWARM_PROTOCOL_MAX];
	struct map channels;
	unsigned call_count;
	struct kad_client_stats stats;
};

static void channel_pump(struct channel *channel);

/* ---- ends ---- */

static void call_release(struct kad_call *call)
{
	struct channel *channel = call->channel;

	timer_stop(channel->client->timers, &call->deadline);
	list_remove(&call->node);
	channel->call_count--;
	channel->client->call_count--;
	buf_release(&call->message);
	free(call);
}

static void end_call(struct kad_call *call, int err, struct bytes answer)
{
	kad_call_fn *done = call->done;
	void *ctx = call->ctx;

	call->channel->client->stats.failed += err != 0;
	call_release(call);
	done(ctx, err, answer);
}

/* The stream is gone or no good: forget it. */
static void drop_stream(struct channel *channel)
{
	timer_stop(channel->client->timers, &channel->read);
	if (channel->stream)
		stream_reset(channel->stream, NO_CODE);
	channel->stream = NULL;
	channel->asking = channel->answered = channel->orphan = channel->used = false;
	buf_clear(&channel->answer);
	frame_reader_release(&channel->reader);
}

static void channel_free(struct channel *channel)
{
	struct timers *timers = channel->client->timers;

	while (!list_empty(&channel->calls))
		call_release(list_first(&channel->calls, struct kad_call, node));
	timer_stop(timers, &channel->soon);
	timer_stop(timers, &channel->idle);
	swarm_cancel(channel->op);
	if (channel->stream && !channel->asking) {
		stream_close(channel->stream);
		channel->stream = NULL;
	}
	drop_stream(channel);
	buf_release(&channel->answer);
	map_remove(&channel->client->channels, peer_id_bytes(&channel->peer));
	free(channel);
}

static void on_idle(void *ctx)
{
	channel_free(ctx);
}

static void on_soon(void *ctx)
{
	channel_pump(ctx);
}

static void pump_soon(struct channel *channel)
{
	timer_start(channel->client->timers, &channel->soon, 0, on_soon, channel);
}

/* What is being asked (and all that waits, when the peer cannot be reached) fails. */
static void fail_calls(struct channel *channel, int err, bool all)
{
	struct list failed;

	list_init(&failed);
	do {
		if (list_empty(&channel->calls))
			break;
		struct kad_call *call = list_first(&channel->calls, struct kad_call, node);

		list_remove(&call->node);
		list_add_tail(&failed, &call->node);
	} while (all);
	pump_soon(channel);
	while (!list_empty(&failed))
		end_call(list_first(&failed, struct kad_call, node), err, bytes_of(NULL, 0));
}

/* The stream failed under what was asked: once more on a new one when it was an old stream. */
static void stream_failed(struct channel *channel, int err)
{
	bool asking = channel->asking && !channel->orphan, used = channel->used;

	drop_stream(channel);
	if (!asking || list_empty(&channel->calls)) {
		pump_soon(channel);
		return;
	}
	struct kad_call *call = list_first(&channel->calls, struct kad_call, node);

	if (used && !call->retried && err != -ETIMEDOUT) {
		call->retried = true;
		pump_soon(channel);
	} else {
		fail_calls(channel, err, false);
	}
}

/* ---- the stream ---- */

static int on_message(void *ctx, struct buf *message)
{
	struct channel *channel = ctx;

	if (!channel->asking || channel->answered)
		return -EPROTO; /* nobody asked */
	channel->answered = true;
	buf_clear(&channel->answer);
	buf_add(&channel->answer, buf_bytes(message));
	return 0;
}

static void take_answer(struct channel *channel)
{
	bool orphan = channel->orphan;
	struct buf answer = channel->answer;

	timer_stop(channel->client->timers, &channel->read);
	channel->answer = (struct buf){ 0 };
	channel->asking = channel->answered = channel->orphan = false;
	channel->used = true;
	channel->client->stats.received++;
	pump_soon(channel);
	if (!orphan)
		end_call(list_first(&channel->calls, struct kad_call, node), 0, buf_bytes(&answer));
	buf_release(&answer);
}

static void on_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct channel *channel = ctx;
	int err;

	(void)stream;
	err = frame_reader_feed(&channel->reader, data, KAD_RESPONSE_MAX, on_message, channel);
	if (err)
		stream_failed(channel, err);
	else if (channel->answered)
		take_answer(channel);
}

static void on_end(void *ctx, struct stream *stream)
{
	(void)stream;
	stream_failed(ctx, -ECONNRESET);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	struct channel *channel = ctx;

	(void)stream;
	channel->stream = NULL;
	stream_failed(channel, err ? err : -ECONNRESET);
}

/* Messages that want no answer wait while the peer does not take those before them. */
static void on_drain(void *ctx, struct stream *stream)
{
	(void)stream;
	pump_soon(ctx);
}

static const struct stream_events events = {
	.on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_close = on_close
};

static void on_read_timeout(void *ctx)
{
	stream_failed(ctx, -ETIMEDOUT);
}

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct channel *channel = ctx;

	(void)protocol;
	channel->op = NULL;
	if (err) {
		fail_calls(channel, err, true);
		return;
	}
	channel->stream = stream;
	stream_accept(stream, &events, channel);
	channel_pump(channel);
}

/* ---- going on ---- */

static void send_first(struct channel *channel)
{
	struct kad_call *call = list_first(&channel->calls, struct kad_call, node);

	channel->client->stats.sent++;
	stream_write(channel->stream, buf_bytes(&call->message));
	if (call->wants_answer) {
		channel->asking = true;
		timer_start(channel->client->timers, &channel->read, KAD_CLIENT_READ_MS,
			    on_read_timeout, channel);
		return;
	}
	pump_soon(channel);
	end_call(call, 0, bytes_of(NULL, 0));
}

/* Sends the first waiting call, opens the stream it needs, or lets an idle channel end. */
static void channel_pump(struct channel *channel)
{
	struct kad_client *client = channel->client;
	const char *const protocols[] = { client->protocol };

	if (channel->op || channel->asking)
		return;
	if (list_empty(&channel->calls)) {
		timer_start(client->timers, &channel->idle,
			    channel->stream ? KAD_CLIENT_IDLE_MS : 0, on_idle, channel);
		return;
	}
	timer_stop(client->timers, &channel->idle);
	if (channel->stream) {
		if (stream_queued(channel->stream) <= STREAM_LOW_MARK)
			send_first(channel);
		return;
	}
	struct kad_call *call = list_first(&channel->calls, struct kad_call, node);

	channel->op = swarm_open_stream(client->swarm, &channel->peer, protocols, 1,
					call->deadline_ms, on_opened, channel);
	if (!channel->op)
		fail_calls(channel, -EAGAIN, true);
}

/* ---- calls ---- */

static void on_deadline(void *ctx)
{
	struct kad_call *call = ctx;
	struct channel *channel = call->channel;

	if (channel->asking && !channel->orphan && channel->calls.next == &call->node)
		channel->orphan = true;
	end_call(call, -ETIMEDOUT, bytes_of(NULL, 0));
}

/* Room for one more peer: the one whose stream is idle goes. */
static bool make_room(struct kad_client *client)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	if (client->channels.count < KAD_CLIENT_PEERS_MAX)
		return true;
	while (map_next(&client->channels, &at, &key, &value)) {
		struct channel *channel = value;

		if (channel->op || channel->asking || !list_empty(&channel->calls) ||
		    timer_running(&channel->soon))
			continue; /* soon runs, too, while a callback of this channel is under way
				   */
		channel_free(channel);
		return true;
	}
	return false;
}

static struct channel *channel_of(struct kad_client *client, const struct peer_id *peer)
{
	struct channel *channel = map_get(&client->channels, peer_id_bytes(peer));

	if (channel || !make_room(client))
		return channel;
	channel = xnew(struct channel);
	channel->client = client;
	channel->peer = *peer;
	list_init(&channel->calls);
	map_set(&client->channels, peer_id_bytes(peer), channel);
	return channel;
}

struct kad_call *kad_client_call(struct kad_client *client, const struct peer_id *peer,
				 struct bytes message, bool answered, uint64_t deadline_ms,
				 kad_call_fn *done, void *ctx)
{
	struct channel *channel;
	struct kad_call *call;

	if (client->call_count >= KAD_CLIENT_CALLS_MAX)
		return NULL;
	channel = channel_of(client, peer);
	if (!channel || channel->call_count >= KAD_CLIENT_PEER_CALLS_MAX)
		return NULL;
	call = xnew(struct kad_call);
	call->channel = channel;
	frame_add(&call->message, message);
	call->wants_answer = answered;
	call->deadline_ms = deadline_ms;
	call->done = done;
	call->ctx = ctx;
	list_add_tail(&channel->calls, &call->node);
	channel->call_count++;
	client->call_count++;
	timer_stop(client->timers, &channel->idle);
	timer_start_at(client->timers, &call->deadline, deadline_ms, on_deadline, call);
	pump_soon(channel);
	return call;
}

void kad_client_cancel(struct kad_call *call)
{
	if (!call)
		return;
	struct channel *channel = call->channel;

	if (channel->asking && !channel->orphan && channel->calls.next == &call->node)
		channel->orphan = true;
	call_release(call);
	/* A dial that nobody waits for any more may still be of use; it ends by itself. */
}

bool kad_client_is_opening(const struct kad_client *client, const struct peer_id *peer)
{
	const struct channel *channel = map_get(&client->channels, peer_id_bytes(peer));

	return channel && channel->op;
}

/* ---- start and end ---- */

struct kad_client *kad_client_new(struct swarm *swarm, const char *protocol)
{
	struct kad_client *client = xnew(struct kad_client);

	client->swarm = swarm;
	client->timers = loop_timers(swarm_loop(swarm));
	strncpy(client->protocol, protocol, sizeof(client->protocol) - 1);
	return client;
}

void kad_client_free(struct kad_client *client)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	if (!client)
		return;
	while (map_next(&client->channels, &at, &key, &value))
		channel_free(value);
	map_release(&client->channels);
	free(client);
}

struct kad_client_stats kad_client_stats(const struct kad_client *client)
{
	return client->stats;
}
