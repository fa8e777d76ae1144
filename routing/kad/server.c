/* Answers the questions of other Kademlia nodes. kad_server_answer() is the whole protocol, bytes
 * in and bytes out; below it are the streams, with their limits. Loop thread. */
#include "routing/kad/server.h"

#include "net/base/wait.h"
#include "net/wire/frame.h"
#include "routing/kad/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define CLOSER_MAX                                                                                 \
	(8u << 10) /* bytes of an answer for closer peers; the providers may have the rest */
#define BODY_MAX (KAD_OWN_MAX - 4)
#define PROVIDERS_MAX 200 /* looked at for one answer */
#define PROVIDER_ADDR_TTL_MS (24ull * 3600 * 1000)
#define NS_PER_MS 1000000
#define NO_CODE 0
/* Answers waiting on one stream: a peer that asked for more in one breath, and reads nothing, is
 * reset. The 64 calls that our own client has open find room. */
#define QUEUE_MAX (64 * KAD_OWN_MAX)

struct kad_server {
	struct kad_server_view view;
	struct timers *timers;
	struct list sessions;
	unsigned count;
};

struct session {
	struct list node;
	struct kad_server *server;
	struct stream *stream;
	struct frame_reader reader;
	struct timer idle;
};

/* ---- answers ---- */

static bool add_peer(const struct kad_server_view *view, struct buf *out, enum kad_field field,
		     const struct peer_id *id, bool addrless, size_t max)
{
	struct multiaddr addrs[KAD_SERVER_ADDRS_MAX];
	const struct peer_id *self = swarm_self(view->swarm);
	bool own = peer_id_equal(id, self);
	size_t count = own ? view->own_addrs(view->ctx, addrs, KAD_SERVER_ADDRS_MAX)
			   : swarm_peer_addrs(view->swarm, id, addrs, KAD_SERVER_ADDRS_MAX);
	bool connected = !own && swarm_is_connected(view->swarm, id);

	count = kad_filter_addrs(view->filter, addrs, count);
	if (count == 0 && !addrless)
		return true;
	return kad_msg_peer(out, field, id, addrs, count,
			    connected ? KAD_CONNECTED : KAD_NOT_CONNECTED, max);
}

static void add_closer(const struct kad_server_view *view, const struct peer_id *from,
		       struct bytes key, struct buf *out)
{
	struct peer_id near[KAD_K_MAX];
	struct place target = place_of_key(key);
	size_t count = kad_bucket_closest(view->table, &target, from, near, view->table->k);

	for (size_t i = 0; i < count; i++)
		if (!bytes_equal(peer_id_bytes(&near[i]), key) &&
		    !add_peer(view, out, KAD_CLOSER, &near[i], false, CLOSER_MAX))
			return;
}

static int answer_find_node(const struct kad_server_view *view, const struct peer_id *from,
			    const struct kad_msg *msg, struct buf *out)
{
	struct peer_id target;

	if (msg->key.len == 0)
		return -EBADMSG;
	kad_msg_begin(out, KAD_FIND_NODE, bytes_of(NULL, 0));
	if (peer_id_from_bytes(&target, msg->key) == 0)
		add_peer(view, out, KAD_CLOSER, &target, false, CLOSER_MAX);
	add_closer(view, from, msg->key, out);
	return 1;
}

static int answer_get_providers(const struct kad_server_view *view, const struct peer_id *from,
				const struct kad_msg *msg, struct buf *out)
{
	struct peer_id *providers;
	size_t count;

	if (msg->key.len == 0 || msg->key.len > KAD_KEY_MAX)
		return -EBADMSG;
	kad_msg_begin(out, KAD_GET_PROVIDERS, msg->key);
	add_closer(view, from, msg->key, out);
	providers = xcalloc(PROVIDERS_MAX, sizeof(*providers));
	count = kad_providers_get(view->providers, msg->key, wallclock_ns() / NS_PER_MS, providers,
				  PROVIDERS_MAX);
	for (size_t i = 0; i < count; i++)
		if (!add_peer(view, out, KAD_PROVIDERS, &providers[i], true, BODY_MAX))
			break;
	free(providers);
	return 1;
}

struct claim {
	const struct kad_server_view *view;
	const struct peer_id *from;
	struct bytes key;
	bool good;
};

/* A peer can announce only itself, and only with an address. A record beyond a quota is not kept,
 * but the stream is not reset: the peer did nothing wrong, and would open a new stream for each
 * further record. */
static int take_claim(void *ctx, const struct kad_msg_peer *peer)
{
	struct claim *claim = ctx;
	struct swarm *swarm = claim->view->swarm;

	if (!peer_id_equal(&peer->id, claim->from) || peer->addr_count == 0)
		return 0;
	for (size_t i = peer->addr_count; i-- > 0;) /* the best is told first, and kept longest */
		if (kad_filter_addr(claim->view->filter, &peer->addrs[i]))
			swarm_add_addr(swarm, &peer->id, &peer->addrs[i], PROVIDER_ADDR_TTL_MS);
	kad_providers_add(claim->view->providers, claim->key, &peer->id,
			  wallclock_ns() / NS_PER_MS);
	claim->good = true;
	return 1;
}

static int take_provider(const struct kad_server_view *view, const struct peer_id *from,
			 const struct kad_msg *msg, struct bytes request)
{
	struct claim claim = { .view = view, .from = from, .key = msg->key };

	if (msg->key.len == 0 || msg->key.len > KAD_KEY_MAX)
		return -EBADMSG;
	kad_msg_peers(request, KAD_PROVIDERS, take_claim, &claim);
	return claim.good ? 0 : -EACCES;
}

/* What else is known of the key is kept as if we had been told it, when it is the better one. */
static void take_known(const struct kad_server_view *view, struct bytes key)
{
	struct buf known = { 0 };

	if (view->value_known && view->value_known(view->value_ctx, key, &known))
		(void)kad_values_put(view->values, key, buf_bytes(&known), swarm_self(view->swarm),
				     wallclock_ns());
	buf_release(&known);
}

/* Answers with the record, if there is one, and with closer peers as far as the message has
 * room. */
static int answer_get_value(const struct kad_server_view *view, const struct peer_id *from,
			    const struct kad_msg *msg, struct buf *out)
{
	const struct kad_value *value;
	char text[40];

	if (msg->key.len == 0 || msg->key.len > ROUTING_KEY_MAX)
		return -EBADMSG;
	kad_msg_begin(out, KAD_GET_VALUE, msg->key);
	take_known(view, msg->key);
	value = kad_values_get(view->values, msg->key, wallclock_ns());
	if (value) {
		time_t told = (time_t)(value->told_ms / 1000);
		struct tm tm;
		struct kad_record record = { .key = msg->key, .value = buf_bytes(&value->value) };

		gmtime_r(&told, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		record.received = bytes_str(text);
		kad_msg_record(out, &record);
	}
	/* A record of 10 KiB leaves room for a few peers only. */
	struct buf closer = { 0 };

	add_closer(view, from, msg->key, &closer);
	if (out->len + closer.len <= BODY_MAX - 2)
		buf_add(out, buf_bytes(&closer));
	buf_release(&closer);
	return 1;
}

static int answer_put_value(const struct kad_server_view *view, const struct peer_id *from,
			    const struct kad_msg *msg, struct buf *out)
{
	int err;

	if (!msg->has_record || msg->key.len == 0 || !bytes_equal(msg->key, msg->record.key))
		return -EBADMSG;
	err = kad_values_put(view->values, msg->key, msg->record.value, from, wallclock_ns());
	if (err)
		return err;
	if (view->value_told)
		view->value_told(view->value_ctx, msg->key, msg->record.value);
	kad_msg_begin(out, KAD_PUT_VALUE, msg->key);
	kad_msg_record(out, &(struct kad_record){ .key = msg->key, .value = msg->record.value });
	return 1;
}

int kad_server_answer(const struct kad_server_view *view, const struct peer_id *from,
		      struct bytes request, struct buf *out)
{
	struct kad_msg msg;
	int err = kad_msg_decode(&msg, request);

	if (err)
		return err;
	switch (msg.type) {
	case KAD_FIND_NODE:
		err = answer_find_node(view, from, &msg, out);
		break;
	case KAD_GET_PROVIDERS:
		err = answer_get_providers(view, from, &msg, out);
		break;
	case KAD_ADD_PROVIDER:
		err = take_provider(view, from, &msg, request);
		break;
	case KAD_GET_VALUE:
		err = answer_get_value(view, from, &msg, out);
		break;
	case KAD_PUT_VALUE:
		err = answer_put_value(view, from, &msg, out);
		break;
	case KAD_PING:
		kad_msg_begin(out, KAD_PING, bytes_of(NULL, 0));
		err = 1;
		break;
	default:
		return -EPROTO;
	}
	if (err == 1)
		kad_msg_end(out);
	return err;
}

/* ---- streams ---- */

static void session_free(struct session *session)
{
	timer_stop(session->server->timers, &session->idle);
	list_remove(&session->node);
	session->server->count--;
	frame_reader_release(&session->reader);
	free(session);
}

static void session_reset(struct session *session)
{
	stream_reset(session->stream, NO_CODE);
	session_free(session);
}

static void on_idle(void *ctx)
{
	session_reset(ctx);
}

static void await_next(struct session *session)
{
	timer_start(session->server->timers, &session->idle, KAD_SERVER_IDLE_MS, on_idle, session);
}

static int on_message(void *ctx, struct buf *message)
{
	struct session *session = ctx;
	struct buf out = { 0 }, framed = { 0 };

	if (stream_queued(session->stream) > QUEUE_MAX)
		return -EAGAIN;
	int err = kad_server_answer(&session->server->view, stream_peer(session->stream),
				    buf_bytes(message), &out);

	if (err == 1) {
		frame_add(&framed, buf_bytes(&out));
		stream_write_buf(session->stream, &framed);
		err = 0;
	}
	buf_release(&out);
	buf_release(&framed);
	return err;
}

static void on_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct session *session = ctx;

	await_next(session);
	if (frame_reader_feed(&session->reader, data, KAD_REQUEST_MAX, on_message, session)) {
		session_reset(session);
		return;
	}
	if (stream_queued(stream) > STREAM_LOW_MARK)
		stream_pause(stream);
}

static void on_drain(void *ctx, struct stream *stream)
{
	(void)ctx;
	stream_resume(stream);
}

static void on_end(void *ctx, struct stream *stream)
{
	stream_close(stream);
	session_free(ctx);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	session_free(ctx);
}

static const struct stream_events events = {
	.on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_close = on_close
};

static void on_stream(void *ctx, struct stream *stream)
{
	struct kad_server *server = ctx;
	struct session *session;

	if (server->count >= KAD_SERVER_STREAMS_MAX) {
		stream_reset(stream, NO_CODE);
		return;
	}
	session = xnew(struct session);
	session->server = server;
	session->stream = stream;
	list_add_tail(&server->sessions, &session->node);
	server->count++;
	await_next(session);
	stream_accept(stream, &events, session);
}

struct kad_server *kad_server_new(const struct kad_server_view *view, int *err)
{
	struct kad_server *server = xnew(struct kad_server);

	server->view = *view;
	server->timers = loop_timers(swarm_loop(view->swarm));
	list_init(&server->sessions);
	*err = swarm_handle(view->swarm, view->protocol, KAD_SERVER_PEER_STREAMS_MAX, on_stream,
			    server);
	if (*err) {
		free(server);
		return NULL;
	}
	return server;
}

void kad_server_free(struct kad_server *server)
{
	if (!server)
		return;
	swarm_unhandle(server->view.swarm, server->view.protocol);
	while (!list_empty(&server->sessions))
		session_reset(list_first(&server->sessions, struct session, node));
	free(server);
}
