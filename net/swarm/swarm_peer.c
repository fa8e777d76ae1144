/* The peers we are connected to: their connections, what identify told of them, and the news that
 * watches get. News is queued and told one after the other, because a watch may cause more of it.
 * Loop thread. */
#include "net/swarm/swarm.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A second connection to a peer is closed after this time without streams. */
#define DUPLICATE_IDLE_MS 30000

struct news {
	struct list node;
	enum swarm_news what;
	struct peer_id peer;
};

/* ---- the table ---- */

struct peer *swarm_peer_get(const struct swarm *swarm, const struct peer_id *id)
{
	return map_get(&swarm->peers, peer_id_bytes(id));
}

struct peer *swarm_peer_join(struct swarm *swarm, struct swarm_conn *conn, bool *first)
{
	struct peer *peer = swarm_peer_get(swarm, &conn->session->peer);

	*first = !peer;
	if (!peer) {
		peer = xnew(struct peer);
		peer->id = conn->session->peer;
		peer->swarm = swarm;
		list_init(&peer->conns);
		map_set(&swarm->peers, peer_id_bytes(&peer->id), peer);
	}
	list_add_tail(&peer->conns, &conn->peer_node);
	return peer;
}

static void free_strings(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

bool swarm_peer_leave(struct swarm_conn *conn)
{
	struct peer *peer = conn->peer;

	list_remove(&conn->peer_node);
	if (!list_empty(&peer->conns)) {
		conn->peer = NULL;
		return false;
	}
	map_remove(&peer->swarm->peers, peer_id_bytes(&peer->id));
	free_strings(peer->protocols, peer->protocol_count);
	free(peer->agent);
	free(peer->version);
	free(peer->key);
	free(peer);
	conn->peer = NULL;
	return true;
}

/* The connection that the peer with the smaller id dialled: both sides then prefer the same one,
 * and the other falls idle. */
static bool is_preferred(const struct swarm_conn *conn)
{
	const struct swarm *swarm = conn->swarm;
	bool we_are_smaller =
		bytes_cmp(peer_id_bytes(&swarm->self), peer_id_bytes(&conn->session->peer)) < 0;

	return conn->session->outbound == we_are_smaller;
}

struct swarm_conn *swarm_peer_conn(const struct peer *peer)
{
	struct swarm_conn *best = NULL;

	if (!peer)
		return NULL;
	list_for_each(conn, &peer->conns, struct swarm_conn, peer_node)
		if (!conn->fail && (!best || (is_preferred(conn) && !is_preferred(best))))
			best = conn;
	return best;
}

bool swarm_peer_speaks(const struct peer *peer, const char *protocol)
{
	if (!peer || !peer->identified)
		return false;
	for (size_t i = 0; i < peer->protocol_count; i++)
		if (strcmp(peer->protocols[i], protocol) == 0)
			return true;
	return false;
}

void swarm_peer_identified(struct peer *peer, char *agent, char *version, char **protocols,
			   size_t count)
{
	free_strings(peer->protocols, peer->protocol_count);
	free(peer->agent);
	free(peer->version);
	peer->agent = agent;
	peer->version = version;
	peer->protocols = protocols;
	peer->protocol_count = count;
	peer->identified = true;
	swarm_tell(peer->swarm, NEWS_IDENTIFIED, &peer->id);
}

/* ---- watches ---- */

void swarm_watch(struct swarm *swarm, struct swarm_watch *watch)
{
	list_add_tail(&swarm->watches, &watch->node);
}

void swarm_unwatch(struct swarm *swarm, struct swarm_watch *watch)
{
	(void)swarm;
	list_remove(&watch->node);
}

static void tell_one(struct swarm_watch *watch, enum swarm_news news, const struct peer_id *peer)
{
	void (*fn)(void *ctx, const struct peer_id *peer) = NULL;

	switch (news) {
	case NEWS_CONNECTED:
		fn = watch->on_connected;
		break;
	case NEWS_IDENTIFIED:
		fn = watch->on_identified;
		break;
	case NEWS_DISCONNECTED:
		fn = watch->on_disconnected;
		break;
	case NEWS_REACH:
		fn = watch->on_reach;
		break;
	}
	if (fn)
		fn(watch->ctx, peer);
}

/* Watchers may come and go while they are told: each moves behind `end` before its call. */
static void tell_all(struct swarm *swarm, const struct news *news)
{
	struct list end;

	list_add_tail(&swarm->watches, &end);
	while (swarm->watches.next != &end) {
		struct list *node = swarm->watches.next;

		list_remove(node);
		list_add_tail(&swarm->watches, node);
		tell_one(container_of(node, struct swarm_watch, node), news->what, &news->peer);
	}
	list_remove(&end);
}

/* What a watcher causes while it is told comes after what it was told: one queue, drained by the
 * outermost. */
void swarm_tell(struct swarm *swarm, enum swarm_news what, const struct peer_id *peer)
{
	struct news *news = xnew(struct news);

	news->what = what;
	news->peer = *peer;
	list_add_tail(&swarm->news, &news->node);
	if (swarm->telling)
		return;
	swarm->telling = true;
	while (!list_empty(&swarm->news)) {
		news = list_first(&swarm->news, struct news, node);
		list_remove(&news->node);
		tell_all(swarm, news);
		free(news);
	}
	swarm->telling = false;
}

/* ---- what the door tells ---- */

bool swarm_is_connected(const struct swarm *swarm, const struct peer_id *peer)
{
	return swarm_peer_conn(swarm_peer_get(swarm, peer)) != NULL;
}

bool swarm_peer_supports(const struct swarm *swarm, const struct peer_id *peer,
			 const char *protocol)
{
	return swarm_peer_speaks(swarm_peer_get(swarm, peer), protocol);
}

uint64_t swarm_latency_ms(const struct swarm *swarm, const struct peer_id *id)
{
	const struct peer *peer = swarm_peer_get(swarm, id);

	/* Rounded up: 0 means unknown. */
	return peer ? (peer->latency_us + 999) / 1000 : 0;
}

void swarm_protect(struct swarm *swarm, const struct peer_id *peer, const char *tag)
{
	if (connmgr_protect(swarm->connmgr, peer, tag) != 0)
		log_warn("swarm", "too many protected peers tag=%s", tag);
}

void swarm_unprotect(struct swarm *swarm, const struct peer_id *peer, const char *tag)
{
	connmgr_unprotect(swarm->connmgr, peer, tag);
}

void swarm_tag(struct swarm *swarm, const struct peer_id *peer, const char *tag, int worth)
{
	if (connmgr_tag(swarm->connmgr, peer, tag, worth) != 0)
		log_debug("swarm", "too many tagged peers tag=%s", tag);
}

int swarm_disconnect(struct swarm *swarm, const struct peer_id *id)
{
	struct peer *peer = swarm_peer_get(swarm, id);

	if (!peer)
		return -ENOENT;
	list_for_each(conn, &peer->conns, struct swarm_conn, peer_node)
		swarm_conn_fail(conn, -ECANCELED, CODE_NONE);
	return 0;
}

int swarm_each_peer(const struct swarm *swarm,
		    int (*each)(void *ctx, const struct swarm_peer *peer), void *ctx)
{
	list_for_each_safe(conn, &swarm->conns, struct swarm_conn, node) {
		if (conn->fail)
			continue;
		const struct peer *peer = conn->peer;
		char tags[SWARM_TAGS_TEXT_MAX];
		struct swarm_peer shown = {
			.id = peer->id,
			.addr = *conn->session->remote,
			.outbound = conn->session->outbound,
			.identified = peer->identified,
			.latency_us = conn->latency_us,
			.since_ms = conn->since_ms,
			.bytes_in = conn->session->bytes_in,
			.bytes_out = conn->session->bytes_out,
			.streams = conn->session->ops->stream_count(conn->session),
			.agent = peer->agent ? peer->agent : "",
			.version = peer->version ? peer->version : "",
			.protocols = (const char *const *)peer->protocols,
			.protocol_count = peer->protocol_count,
			.key = peer->key,
			.worth = connmgr_worth(swarm->connmgr, &peer->id),
			.is_protected = connmgr_protected(swarm->connmgr, &peer->id),
			.tags = connmgr_tags_text(swarm->connmgr, &peer->id, tags),
		};
		int stop = each(ctx, &shown);

		if (stop)
			return stop;
	}
	return 0;
}

/* ---- trimming ---- */

/* Of two connections to one peer, we close the one that we dialled and that both sides avoid. */
static bool is_spare(const struct swarm_conn *conn, uint64_t now)
{
	const struct swarm_conn *best = swarm_peer_conn(conn->peer);

	return best && best != conn && conn->session->outbound && !is_preferred(conn) &&
	       is_preferred(best) && list_empty(&conn->streams) &&
	       conn->session->ops->stream_count(conn->session) == 0 &&
	       now - conn->since_ms >= DUPLICATE_IDLE_MS;
}

/* Closes what the connection manager gives up when there are more connections than high water. */
static void trim(struct swarm *swarm)
{
	struct connmgr_item *items = xcalloc(swarm->conn_count, sizeof(*items));
	const struct swarm_config *config = &swarm->config;
	size_t count = 0;

	list_for_each(conn, &swarm->conns, struct swarm_conn, node)
		if (!conn->fail)
			items[count++] = (struct connmgr_item){
				.peer = &conn->peer->id,
				.since_ms = conn->since_ms,
				.streams = conn->session->ops->stream_count(conn->session),
				.outbound = conn->session->outbound,
				.conn = conn,
			};
	size_t victims = connmgr_trim(swarm->connmgr, items, count, config->low_water,
				      config->high_water, config->grace_ms, swarm_now(swarm));

	for (size_t i = 0; i < victims; i++)
		swarm_conn_fail(items[i].conn, -EPIPE, CODE_CONN_COLLECTED);
	if (victims > 0)
		log_info("swarm", "trimmed connections=%zu of=%zu", victims, count);
	free(items);
}

void swarm_check(void *ctx)
{
	struct swarm *swarm = ctx;
	uint64_t now = swarm_now(swarm);

	list_for_each(conn, &swarm->conns, struct swarm_conn, node)
		if (!conn->fail && is_spare(conn, now))
			swarm_conn_fail(conn, -EPIPE, CODE_CONN_SUPPLANTED);
	if (swarm->conn_count > swarm->config.high_water)
		trim(swarm);
	swarm_check_soon(swarm);
}

/* Nothing to trim and no peer connected twice: nothing to check, an idle node sleeps. */
void swarm_check_soon(struct swarm *swarm)
{
	bool needed = swarm->conn_count > swarm->config.high_water ||
		      swarm->conn_count > swarm->peers.count;

	uint64_t delay_ms = swarm->config.grace_ms;

	/* Nothing is trimmed before its grace is over, so a short one is looked at sooner. */
	if (delay_ms > SWARM_CHECK_MS)
		delay_ms = SWARM_CHECK_MS;
	else if (delay_ms < SWARM_CHECK_MIN_MS)
		delay_ms = SWARM_CHECK_MIN_MS;
	if (needed && !timer_running(&swarm->check))
		timer_start(swarm->timers, &swarm->check, delay_ms, swarm_check, swarm);
}
