/* Members of a session that are nearly done take over wants from the one that would finish last.
 * How much a member is asked for is measured by what it delivered before. At first nothing was: the
 * one that answered first may be the slowest, and may have been asked for megabytes while it was
 * alone. While a member is behind, a timer looks again, because the slowest may land nothing for
 * minutes. Loop thread. */
#include "exchange/bitswap/client.h"

#define EVERY_MS 100   /* how often a session looks */
#define AGAIN_MS 250   /* how often it looks by a timer while a member is behind */
#define BEHIND_MS 1500 /* a member with less to do than this is not behind (see pace.c) */
#define GAIN_MS 200    /* less is not worth a cancel, which may come too late */
#define SILENT_MS 300  /* and two round trips: a member silent for longer gets no more */
#define LOOK_MAX 64    /* wants looked at for one to take over */

/* Until all that it was asked for is here. */
static uint64_t left_ms(const struct bitswap_client_peer *peer)
{
	return peer->flying * peer->block_size * 1000 / bitswap_outbox_rate(peer) + peer->ping_ms;
}

static bool delivers(const struct bitswap_client_peer *peer, uint64_t now_ms)
{
	return peer->ability == BITSWAP_ABLE && !peer->strikes &&
	       (!peer->flying || now_ms < peer->progress_ms + SILENT_MS + 2 * peer->ping_ms);
}

static bool waits_for(const struct bitswap_session *session, const struct bitswap_want *want)
{
	list_for_each(get, &want->gets, struct bitswap_get, want_node)
		if (get->session == session)
			return true;
	return false;
}

static bool may_bring(struct bitswap_client_peer *peer, struct bitswap_want *want)
{
	struct bitswap_ask *ask = bitswap_ask_find(want, peer);

	if (!ask)
		return peer->ask_count < BITSWAP_ASKS_MAX;
	return !ask->flying && ask->answer != BITSWAP_DONT_HAVE && ask->answer != BITSWAP_TOO_LATE;
}

/* The youngest that the other may bring: it is the last to come, and the least likely to be on its
 * way. */
static struct bitswap_ask *youngest(const struct bitswap_session *session,
				    struct bitswap_client_peer *from,
				    struct bitswap_client_peer *to)
{
	struct list *node = from->flight.prev;

	for (unsigned i = 0; i < LOOK_MAX && node != &from->flight; i++, node = node->prev) {
		struct bitswap_ask *ask = container_of(node, struct bitswap_ask, flight_node);

		if (!ask->hedged && waits_for(session, ask->want) && may_bring(to, ask->want))
			return ask;
	}
	return NULL;
}

static void take_over(struct bitswap_session *session, struct bitswap_client_peer *from,
		      struct bitswap_client_peer *to)
{
	while (to->flying < bitswap_outbox_room(to, false) && left_ms(from) > BEHIND_MS &&
	       left_ms(to) + GAIN_MS < left_ms(from) / 2) {
		struct bitswap_ask *ask = youngest(session, from, to), *other;

		if (!ask)
			return;
		struct bitswap_want *want = ask->want;

		bitswap_ask_free(ask, true);
		other = bitswap_ask_find(want, to);
		bitswap_ask_send(other ? other : bitswap_ask_new(want, to), true);
	}
}

static void on_again(void *ctx)
{
	bitswap_session_ready(ctx);
}

void bitswap_session_steal(struct bitswap_session *session)
{
	uint64_t now_ms = timers_now(session->client->timers);
	struct bitswap_client_peer *slowest = NULL;

	session->steal_ms = now_ms + EVERY_MS;
	list_for_each(member, &session->members, struct bitswap_member, session_node) {
		if (!slowest || left_ms(member->peer) > left_ms(slowest))
			slowest = member->peer;
	}
	list_for_each(member, &session->members, struct bitswap_member, session_node) {
		struct bitswap_client_peer *peer = member->peer;

		if (peer != slowest && delivers(peer, now_ms))
			take_over(session, slowest, peer);
	}
	if (slowest && slowest->flying && left_ms(slowest) > BEHIND_MS &&
	    !timer_running(&session->steal))
		timer_start(session->client->timers, &session->steal, AGAIN_MS, on_again, session);
}
