/* The swarm as a whole: its life, listening, inbound connections up to their upgrade, handlers of
 * protocols, and names. When it is full, transports are told to hold, so that new connections
 * wait in the kernel. Loop thread. */
#include "net/swarm/swarm.h"

#include "net/base/log.h"
#include "net/swarm/dial.h"
#include "net/transport/tcp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A connection that somebody opened to us, not upgraded yet. */
struct inbound {
	struct list node;
	struct swarm *swarm;
	struct upgrade *upgrade;
	struct multiaddr remote;
	uint64_t since_ms;
};

/* ---- inbound connections ---- */

/* An inbound connection is upgraded, or has failed. A connection to ourselves counts as
 * failed. */
static void inbound_done(void *ctx, int err, struct session *session,
			 const struct peer_id *answered)
{
	struct inbound *inbound = ctx;
	struct swarm *swarm = inbound->swarm;
	struct multiaddr remote = inbound->remote;
	char text[MULTIADDR_TEXT_MAX];

	(void)answered;
	list_remove(&inbound->node);
	swarm->pending_count--;
	free(inbound);
	if (!err && peer_id_equal(&session->peer, &swarm->self))
		err = -EKEYREJECTED; /* ourselves, by one of our own addresses */
	if (!err) {
		swarm_conn_new(swarm, session, true);
		return;
	}
	session_free(session);
	connmgr_ip_leave(swarm->connmgr, &remote);
	log_debug("swarm", "inbound failed addr=%s err=%d", multiaddr_text(&remote, text), err);
	swarm_update_hold(swarm);
}

static void raw_close(struct raw_link raw)
{
	conn_close(raw.conn);
	session_free(raw.session);
}

/* Somebody connected to us. A session is proven already; a byte pipe is upgraded first. */
static void on_accept(void *ctx, struct raw_link raw)
{
	const struct multiaddr *remote = raw.conn ? &raw.conn->remote : raw.session->remote;
	struct swarm *swarm = ctx;
	struct inbound *inbound;

	/* A transport without hold(), or one that had accepted already. */
	if (swarm->closing || swarm->pending_count >= SWARM_PENDING_IN_MAX ||
	    swarm->conn_count + swarm->pending_count >= swarm->config.connections_max ||
	    swarm_is_out_of_sockets(swarm) ||
	    connmgr_ip_enter(swarm->connmgr, remote, swarm_now(swarm)) != 0) {
		raw_close(raw);
		return;
	}
	inbound = xnew(struct inbound);
	inbound->swarm = swarm;
	inbound->remote = *remote;
	inbound->since_ms = swarm_now(swarm);
	list_add_tail(&swarm->pending, &inbound->node);
	swarm->pending_count++;
	if (raw.session) {
		inbound_done(inbound, 0, raw.session, NULL);
		return;
	}
	connmgr_handshake(swarm->connmgr, remote, swarm_now(swarm));
	inbound->upgrade =
		upgrade_start(&swarm->upgrade, raw.conn, false, NULL, inbound_done, inbound);
	swarm_update_hold(swarm);
}

/* Whoever opens connections and says nothing, or little by little, must not keep others out. */
static bool is_slow(const struct inbound *inbound, uint64_t now_ms)
{
	uint64_t age_ms = now_ms - inbound->since_ms;

	return age_ms >= SWARM_PENDING_SLOW_MS ||
	       (age_ms >= SWARM_PENDING_SILENT_MS && upgrade_is_silent(inbound->upgrade));
}

static void on_slow(void *ctx)
{
	struct swarm *swarm = ctx;
	uint64_t now_ms = swarm_now(swarm);

	list_for_each_safe(inbound, &swarm->pending, struct inbound, node)
		if (is_slow(inbound, now_ms)) {
			upgrade_cancel(inbound->upgrade);
			inbound_done(inbound, -ETIMEDOUT, NULL, NULL);
		}
	swarm_update_hold(swarm);
}

/* ---- life ---- */

#define DEFAULT(field, value) config->field = config->field ? config->field : (value)

static void fill_config(struct swarm_config *config, const struct swarm_config *given)
{
	if (given)
		*config = *given;
	DEFAULT(agent, "dagfs");
	DEFAULT(connections_max, 1024);
	/* Of few sockets some are for dialling. */
	if (config->sockets_max && config->connections_max > config->sockets_max)
		config->connections_max = config->sockets_max - config->sockets_max / 8;
	DEFAULT(low_water, 32);
	DEFAULT(high_water, 96);
	DEFAULT(grace_ms, 20000);
	DEFAULT(connect_timeout_ms, 5000);
	DEFAULT(dial_timeout_ms, 15000);
	DEFAULT(keepalive_ms, 30000);
	DEFAULT(stream_window_max, 16u << 20);
	DEFAULT(connection_window_max, 32u << 20);
	DEFAULT(send_buffer_max, 4u << 20);
	config->agent = xstrdup(config->agent);
	/* Copied into swarm->announce. */
	config->announce = config->append_announce = config->no_announce = NULL;
}

static void take_transports(struct swarm *swarm, const struct swarm_config *given)
{
	if (!given || given->transport_count == 0) {
		swarm->transports[swarm->transport_count++] = tcp_new(swarm->loop);
		return;
	}
	assert(given->transport_count <= SWARM_TRANSPORTS_MAX);
	for (size_t i = 0; i < given->transport_count; i++)
		swarm->transports[swarm->transport_count++] = given->transports[i];
}

static void fill_upgrade(struct swarm *swarm, const struct swarm_config *given)
{
	struct upgrade_config *upgrade = &swarm->upgrade;

	upgrade->loop = swarm->loop;
	upgrade->session.stream_window_max = swarm->config.stream_window_max;
	upgrade->session.connection_window_max = swarm->config.connection_window_max;
	upgrade->session.keepalive_ms = swarm->config.keepalive_ms;
	if (!given || given->security_count == 0) {
		upgrade->security_count =
			securities_default(upgrade->securities, swarm->identity, swarm->random);
		return;
	}
	assert(given->security_count <= SECURITIES_MAX);
	for (size_t i = 0; i < given->security_count; i++)
		upgrade->securities[upgrade->security_count++] = given->securities[i];
}

struct swarm *swarm_make(struct loop *loop, struct random *random, const struct identity *identity,
			 struct db *db, const struct swarm_config *config)
{
	struct swarm *swarm = xnew(struct swarm);

	swarm->loop = loop;
	swarm->timers = loop_timers(loop);
	swarm->random = random;
	swarm->identity = identity;
	fill_config(&swarm->config, config);
	peer_id_of_identity(&swarm->self, identity);
	if (config)
		announce_init(&swarm->announce, config->announce, config->announce_count,
			      config->append_announce, config->append_announce_count,
			      config->no_announce, config->no_announce_count, &swarm->self);
	list_init(&swarm->conns);
	list_init(&swarm->pending);
	list_init(&swarm->handlers);
	list_init(&swarm->watches);
	list_init(&swarm->news);
	list_init(&swarm->ops);
	list_init(&swarm->dirty);
	rate_init(&swarm->up, swarm->timers, swarm->config.up_per_second);
	rate_init(&swarm->down, swarm->timers, swarm->config.down_per_second);
	take_transports(swarm, config);
	fill_upgrade(swarm, config);
	swarm->resolver = resolver_new(loop);
	swarm->peerstore = peerstore_new(swarm->timers, db);
	swarm->connmgr = connmgr_new();
	swarm->on_slow = on_slow;
	swarm->on_flush = swarm_flush;
	swarm->ops_connected = swarm_ops_connected;
	swarm->ops_heard = swarm_ops_heard;
	swarm->ops_lost = swarm_ops_lost;
	swarm->dials = dials_new(swarm, swarm_op_dialed);
	return swarm;
}

static void part_closed(void *ctx)
{
	struct swarm *swarm = ctx;

	if (--swarm->closers > 0)
		return;
	/* What was started since then ends too. */
	while (!list_empty(&swarm->ops))
		swarm_op_end(list_first(&swarm->ops, struct swarm_op, node), -ECANCELED);
	swarm->closed(swarm->closed_ctx);
}

/* In a turn of its own: swarm_close() may be called from any callback. */
static void close_all(void *ctx)
{
	struct swarm *swarm = ctx;

	while (!list_empty(&swarm->ops))
		swarm_op_end(list_first(&swarm->ops, struct swarm_op, node), -ECANCELED);
	dials_free(swarm->dials);
	swarm->dials = NULL;
	list_for_each_safe(inbound, &swarm->pending, struct inbound, node) {
		upgrade_cancel(inbound->upgrade);
		free(inbound);
	}
	list_init(&swarm->pending);
	swarm->pending_count = 0;
	timer_stop(swarm->timers, &swarm->slow);
	list_for_each(conn, &swarm->conns, struct swarm_conn, node)
		swarm_conn_fail(conn, -ECANCELED, CODE_NONE);
	while (!list_empty(&swarm->dirty))
		swarm_flush(swarm);
	assert(list_empty(&swarm->conns));
	if (swarm->inner.release)
		swarm->inner.release(swarm->inner.ctx);
	swarm->inner = (struct swarm_inner){ 0 };
	timer_stop(swarm->timers, &swarm->flush);
	timer_stop(swarm->timers, &swarm->check);
	timer_stop(swarm->timers, &swarm->rested);
	rate_release(&swarm->up);
	rate_release(&swarm->down);
	swarm->ended = true;
	/* Transports may be closed before close() returns: the last part to be counted is this
	 * call. */
	swarm->closers = (unsigned)swarm->transport_count + 2;
	for (size_t i = 0; i < swarm->transport_count; i++)
		swarm->transports[i]->ops->close(swarm->transports[i], part_closed, swarm);
	swarm->transport_count = 0;
	resolver_close(swarm->resolver, part_closed, swarm);
	swarm->resolver = NULL;
	part_closed(swarm);
}

void swarm_close(struct swarm *swarm, void (*done)(void *ctx), void *ctx)
{
	assert(!swarm->closing);
	swarm->closing = true;
	swarm->closed = done;
	swarm->closed_ctx = ctx;
	timer_start(swarm->timers, &swarm->close_timer, 0, close_all, swarm);
}

void swarm_free(struct swarm *swarm)
{
	assert(swarm->ended && swarm->closers == 0);
	list_for_each_safe(handler, &swarm->handlers, struct handler, node) {
		free(handler->protocol);
		free(handler);
	}
	for (size_t i = 0; i < swarm->upgrade.security_count; i++)
		security_free(swarm->upgrade.securities[i]);
	map_release(&swarm->peers);
	peerstore_free(swarm->peerstore);
	connmgr_free(swarm->connmgr);
	free(swarm->external);
	announce_release(&swarm->announce);
	free((char *)swarm->config.agent);
	free(swarm);
}

const struct peer_id *swarm_self(const struct swarm *swarm)
{
	return &swarm->self;
}

struct loop *swarm_loop(struct swarm *swarm)
{
	return swarm->loop;
}

struct random *swarm_random(struct swarm *swarm)
{
	return swarm->random;
}

/* ---- our addresses ---- */

/* Our addresses or protocols have changed: peers are told. */
static void swarm_changed(struct swarm *swarm)
{
	if (swarm->inner.changed)
		swarm->inner.changed(swarm->inner.ctx);
}

int swarm_listen(struct swarm *swarm, const struct multiaddr *addr)
{
	int err = -ENOTSUP;

	if (swarm->closing)
		return -ECANCELED;
	for (size_t i = 0; i < swarm->transport_count && err == -ENOTSUP; i++) {
		struct transport *transport = swarm->transports[i];

		err = transport->ops->listen(transport, addr, on_accept, swarm);
	}
	if (!err)
		swarm_changed(swarm);
	return err;
}

enum swarm_reach swarm_reach(const struct swarm *swarm)
{
	return swarm->reach;
}

static bool is_external(const struct swarm *swarm, const struct multiaddr *addrs, size_t count)
{
	if (count != swarm->external_count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!multiaddr_equal(&addrs[i], &swarm->external[i]))
			return false;
	return true;
}

void swarm_set_reach(struct swarm *swarm, enum swarm_reach reach, const struct multiaddr *external,
		     size_t count)
{
	assert(count <= SWARM_EXTERNAL_MAX);
	if (!is_external(swarm, external, count)) {
		free(swarm->external);
		swarm->external = xcalloc(SWARM_EXTERNAL_MAX, sizeof(*external));
		for (size_t i = 0; i < count; i++)
			swarm->external[i] = external[i];
		swarm->external_count = count;
		swarm_changed(swarm);
	}
	if (reach == swarm->reach)
		return;
	swarm->reach = reach;
	swarm_tell(swarm, NEWS_REACH, &swarm->self);
}

/* ---- handlers ---- */

int swarm_handle(struct swarm *swarm, const char *protocol, unsigned streams_per_peer_max,
		 swarm_handler_fn *fn, void *ctx)
{
	struct handler *handler;

	if (strlen(protocol) > SWARM_PROTOCOL_MAX)
		return -EMSGSIZE;
	if (swarm_handler(swarm, bytes_str(protocol)))
		return -EEXIST;
	if (swarm->handler_count == SWARM_HANDLERS_MAX)
		return -EAGAIN;
	handler = xnew(struct handler);
	handler->protocol = xstrdup(protocol);
	handler->streams_per_peer_max = streams_per_peer_max;
	handler->fn = fn;
	handler->ctx = ctx;
	list_add_tail(&swarm->handlers, &handler->node);
	swarm->handler_count++;
	swarm_changed(swarm);
	return 0;
}

void swarm_unhandle(struct swarm *swarm, const char *protocol)
{
	struct handler *handler = swarm_handler(swarm, bytes_str(protocol));

	if (!handler)
		return;
	list_remove(&handler->node);
	swarm->handler_count--;
	free(handler->protocol);
	free(handler);
	swarm_changed(swarm);
}

/* ---- where peers are ---- */

size_t swarm_peer_addrs(const struct swarm *swarm, const struct peer_id *peer,
			struct multiaddr *addrs, size_t max)
{
	return peerstore_addrs(swarm->peerstore, peer, addrs, max);
}

void swarm_set_finder(struct swarm *swarm, swarm_find_fn *find, void *ctx)
{
	swarm->find = find;
	swarm->find_ctx = ctx;
}

void swarm_found(struct swarm *swarm, const struct peer_id *peer, int err,
		 const struct peer_info *info)
{
	if (swarm->dials)
		dial_found(swarm->dials, peer, err, info);
}

struct net_lookup *net_lookup_txt(struct swarm *swarm, const char *name, uint64_t deadline_ms,
				  net_txt_fn *done, void *ctx)
{
	return resolver_txt(swarm->resolver, name, deadline_ms, done, ctx);
}
