/* A session fetches related blocks from peers that proved useful for it. For each want it chooses
 * the peer that should deliver soonest, and when none is known it asks all peers and then
 * routing. Loop thread; no sockets here. */
#include "exchange/bitswap/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define STUCK_MAX 64	   /* wants without room passed over before the rest is left for later */
#define WAIT_US 1000000	   /* a block expected sooner than this is asked of any peer */
#define TRIAL_MS 10000	   /* a slow peer is tried again after this */
#define TICKS_MAX 30	   /* the idle tick grows no further */
#define PROBE_MS 500	   /* a session that gets on looks for more sources so soon again ... */
#define PROBE_MAX_MS 60000 /* ... twice as late each time that none came of it */

/* A want, from get to block:
 *
 *   pending --room at a member--> flying --block--> done
 *      ^  \                          |
 *      |   \                         | DONT_HAVE, too late, disconnected, or silence
 *      |    \--no member left--> broadcast (want-have to all)
 *      +-----HAVE, new member, idle tick-----+
 *
 * After silence the want also stays in flight at the silent peer (hedged). */

struct bitswap_session *bitswap_session_new(struct bitswap_client *client)
{
	struct bitswap_session *session = xnew(struct bitswap_session);

	session->client = client;
	session->active_ms = timers_now(client->timers);
	session->rebroadcast_ms = session->active_ms;
	list_add_tail(&client->sessions, &session->node);
	list_init(&session->ready_node);
	list_init(&session->starved_node);
	list_init(&session->gets);
	list_init(&session->pending);
	list_init(&session->members);
	client->session_count++;
	return session;
}

void bitswap_session_free(struct bitswap_session *session)
{
	if (!session)
		return;
	while (!list_empty(&session->gets)) {
		struct bitswap_get *get =
			list_first(&session->gets, struct bitswap_get, session_node);
		bitswap_got_fn *got = get->got;
		void *ctx = get->ctx;

		bitswap_client_cancel(get);
		got(ctx, -ECANCELED, NULL);
	}
	assert(list_empty(&session->pending));
	while (!list_empty(&session->members))
		bitswap_session_leave(
			list_first(&session->members, struct bitswap_member, session_node));
	timer_stop(session->client->timers, &session->idle);
	timer_stop(session->client->timers, &session->steal);
	list_remove(&session->ready_node);
	list_remove(&session->starved_node);
	list_remove(&session->node);
	session->client->session_count--;
	free(session);
}

/* ---- members ---- */

/* The one that has only promised so far, and was silent oftenest; NULL: none. */
static struct bitswap_member *least_member(struct bitswap_session *session)
{
	struct bitswap_member *least = NULL;

	list_for_each(member, &session->members, struct bitswap_member, session_node) {
		if (member->delivered == 0 && member->peer->strikes &&
		    (!least || member->peer->strikes > least->peer->strikes))
			least = member;
	}
	return least;
}

/* A new member may have all that is wanted and not yet on its way. It takes the place of one that
 * does not keep its word, else those who say HAVE to everything would keep all others out. */
struct bitswap_member *bitswap_session_join(struct bitswap_session *session,
					    struct bitswap_client_peer *peer)
{
	struct bitswap_member *member = bitswap_session_member(session, peer);

	if (member)
		return member;
	if (session->member_count >= BITSWAP_MEMBERS_MAX) {
		struct bitswap_member *least = least_member(session);

		if (!least)
			return NULL;
		bitswap_session_leave(least);
	}
	member = xnew(struct bitswap_member);
	member->session = session;
	member->peer = peer;
	list_add_tail(&session->members, &member->session_node);
	list_add_tail(&peer->members, &member->peer_node);
	session->member_count++;
	session->probe_wait_ms = 0;
	list_for_each(get, &session->gets, struct bitswap_get, session_node)
		if (get->want)
			bitswap_want_requeue(get->want);
	bitswap_session_ready(session); /* it may take over what others are slow with */
	return member;
}

/* ---- placing wants ---- */

struct choice {
	struct bitswap_client_peer *peer;
	bool suspect;
	bool has;
	uint64_t eta_us;
	bool someone;	  /* could be asked, if only there were room */
	bool trusted;	  /* and is not suspect */
	uint64_t soon_us; /* when the best of all, with room or without, had brought all that is
			     pending */
};

/* The time until this many more blocks would be here, by the rate of the peer. */
static uint64_t eta_us(const struct bitswap_client_peer *peer, unsigned blocks)
{
	return (peer->flying + blocks) * peer->block_size * 1000000 / bitswap_outbox_rate(peer) +
	       peer->ping_ms * 1000;
}

/* alone: there is no other to share with; pending: blocks that the session has not asked for yet.
 */
static void consider(struct choice *best, struct bitswap_want *want,
		     struct bitswap_client_peer *peer, bool alone, unsigned pending)
{
	struct bitswap_ask *ask = bitswap_ask_find(want, peer);

	if (peer->ability == BITSWAP_UNABLE)
		return;
	if (ask &&
	    (ask->flying || ask->answer == BITSWAP_DONT_HAVE || ask->answer == BITSWAP_TOO_LATE))
		return;
	bool suspect = timers_now(want->client->timers) < peer->suspect_until_ms;

	best->someone = true;
	best->trusted |= !suspect;
	if (!suspect) {
		uint64_t soon = eta_us(peer, pending + 1);

		best->soon_us = best->soon_us && best->soon_us < soon ? best->soon_us : soon;
	}
	if (peer->flying >= bitswap_outbox_room(peer, alone))
		return;
	if (!ask && peer->ask_count >= BITSWAP_ASKS_MAX)
		return;
	bool has = ask && ask->answer == BITSWAP_HAVE;
	uint64_t eta = eta_us(peer, 1);
	int better = best->peer ? best->suspect - suspect : 1;

	if (!better)
		better = has - best->has;
	if (!better)
		better = (eta < best->eta_us) - (eta > best->eta_us);
	if (better > 0 || (better == 0 && random_below(want->client->random, 2) == 0))
		*best = (struct choice){
			peer, suspect, has, eta, true, best->trusted, best->soon_us
		};
}

/* Sends a want-have to all peers that have not answered DONT_HAVE. */
static void broadcast(struct bitswap_want *want)
{
	struct bitswap_client *client = want->client;

	want->broadcast = true;
	list_for_each(peer, &client->peers, struct bitswap_client_peer, node) {
		if (peer->ability != BITSWAP_ABLE)
			continue;
		struct bitswap_ask *ask = bitswap_ask_find(want, peer);

		if (ask && (ask->flying || ask->answer == BITSWAP_DONT_HAVE))
			continue;
		if (!ask)
			ask = bitswap_ask_new(want, peer);
		if (!ask)
			continue;
		bitswap_ask_answer(ask, BITSWAP_NO_ANSWER);
		ask->block = false;
		bitswap_ask_send(ask, false);
	}
}

/* Whether all peers that can be asked have answered DONT_HAVE. */
static bool all_refused(const struct bitswap_want *want)
{
	return want->refused >= want->client->able + want->client->undecided;
}

/* Counted once for all that is placed in a row. */
static bool may_broadcast(struct bitswap_session *session)
{
	if (session->broadcasts < 0) {
		session->broadcasts = 0;
		list_for_each(get, &session->gets, struct bitswap_get, session_node)
			session->broadcasts += get->want && get->want->broadcast;
	}
	return session->broadcasts < BITSWAP_BROADCAST_MAX;
}

/* The want ends at the end of the run, because its waiters may call back into this code. */
static void give_up(struct bitswap_want *want, int err)
{
	bitswap_want_unqueue(want);
	want->err = err;
	list_add_tail(&want->client->unreachable, &want->node);
}

/* No peer at all: routing is asked at once, for each want. When it knows of none, or there is no
 * routing, the idle tick asks again, until the deadline, because a provider may still come. */
static void place_alone(struct bitswap_want *want)
{
	struct bitswap_client *client = want->client;

	if (!want->searched && client->ops->search(client->ctx, &want->cid) == -EAGAIN)
		return; /* stays pending: bitswap_client_searched() comes back to it */
	bitswap_want_unqueue(want);
}

/* The budget is full: the session waits for its turn. */
static int starve(struct bitswap_session *session)
{
	if (list_empty(&session->starved_node))
		list_add_tail(&session->client->starved, &session->starved_node);
	return -EAGAIN;
}

/* Of all that can be asked: members of the sessions that wait for it. */
static struct choice session_choose(struct bitswap_want *want)
{
	struct bitswap_session *last = NULL;
	struct choice best = { 0 };

	list_for_each(get, &want->gets, struct bitswap_get, want_node) {
		if (get->session == last)
			continue;
		last = get->session;
		list_for_each(member, &last->members, struct bitswap_member, session_node)
			consider(&best, want, member->peer, last->member_count == 1,
				 last->pending_count);
	}
	/* A peer that has it may be asked even if there is no place for it among the members. */
	if (last && last->member_count >= BITSWAP_MEMBERS_MAX)
		list_for_each(ask, &want->asks, struct bitswap_ask, want_node)
			if (ask->answer == BITSWAP_HAVE)
				consider(&best, want, ask->peer, false, last->pending_count);
	return best;
}

/* Others, that have no room just now, would have brought all there is to fetch before this one
 * brought its block. It is tried with one now and then: it may have become faster. */
static bool better_wait(const struct bitswap_client *client, const struct choice *best)
{
	const struct bitswap_client_peer *peer = best->peer;

	if (best->eta_us < WAIT_US || !best->soon_us || best->eta_us / 2 < best->soon_us)
		return false;
	return peer->flying || timers_now(client->timers) < peer->rate_ms + TRIAL_MS;
}

/* 0 placed (or left to the idle tick), -EAGAIN when members have no room, or the budget. */
static int session_place(struct bitswap_session *session, struct bitswap_want *want)
{
	struct bitswap_client *client = session->client;

	if (want->err) {
		give_up(want, want->err);
		return 0;
	}
	if (session->member_count == 0 && client->able == 1 && client->undecided == 0)
		list_for_each(peer, &client->peers, struct bitswap_client_peer, node)
			if (peer->ability ==
			    BITSWAP_ABLE) /* no one to choose from: skip the HAVE */
				bitswap_session_join(session, peer);
	struct choice best = session_choose(want);

	if (best.peer && !(best.suspect && best.trusted) &&
	    !better_wait(client, &best)) { /* else wait for room */
		if (!bitswap_budget_may_ask(client->config.budget, best.peer->block_size))
			return starve(session);
		struct bitswap_ask *ask = bitswap_ask_find(want, best.peer);

		bitswap_want_unqueue(want);
		want->broadcast = false;
		bitswap_ask_send(ask ? ask : bitswap_ask_new(want, best.peer), true);
		return 0;
	}
	if (best.someone)
		return -EAGAIN;
	if (client->connected == 0) {
		place_alone(want);
		return 0;
	}
	bitswap_want_unqueue(want);
	if (all_refused(want)) {
		if (!session->searched && client->ops->search(client->ctx, &want->cid) == 0)
			session->searched = true;
		return 0;
	}
	if (!want->broadcast && may_broadcast(session)) {
		broadcast(want);
		session->broadcasts++;
	}
	return 0;
}

/* The peer that answered first is a member and delivers. Others may have the tree as well, but the
 * first block came before they could answer. Now and then one want of the session is sent to them
 * as want-have. */
static void session_probe(struct bitswap_session *session)
{
	struct bitswap_client *client = session->client;
	uint64_t now_ms = timers_now(client->timers);

	if (session->member_count == 0 || session->member_count >= client->able ||
	    list_empty(&session->gets) || now_ms < session->probe_ms)
		return;
	/* The youngest want: it is still awaited when they answer. */
	struct bitswap_want *want =
		container_of(session->gets.prev, struct bitswap_get, session_node)->want;

	if (!want || want->err)
		return;
	session->probe_wait_ms = session->probe_wait_ms ? session->probe_wait_ms * 2 : PROBE_MS;
	if (session->probe_wait_ms > PROBE_MAX_MS)
		session->probe_wait_ms = PROBE_MAX_MS;
	session->probe_ms = now_ms + session->probe_wait_ms;
	list_for_each(peer, &client->peers, struct bitswap_client_peer, node) {
		if (peer->ability != BITSWAP_ABLE || bitswap_ask_find(want, peer) ||
		    bitswap_session_member(session, peer))
			continue;
		struct bitswap_ask *ask = bitswap_ask_new(want, peer);

		if (ask)
			bitswap_ask_send(ask, false);
	}
}

/* Sessions that get on may not look for others for a minute: one that comes now may be much faster.
 */
void bitswap_session_meet(struct bitswap_session *session, struct bitswap_client_peer *peer)
{
	if (session->member_count == 0 || list_empty(&session->gets) ||
	    bitswap_session_member(session, peer))
		return;
	struct bitswap_want *want =
		container_of(session->gets.prev, struct bitswap_get, session_node)->want;

	if (!want || want->err || bitswap_ask_find(want, peer))
		return;
	struct bitswap_ask *ask = bitswap_ask_new(want, peer);

	if (ask)
		bitswap_ask_send(ask, false);
}

void bitswap_session_place(struct bitswap_session *session)
{
	unsigned stuck = 0;

	session->broadcasts = -1;
	session_probe(session);
	list_for_each_safe(want, &session->pending, struct bitswap_want, node) {
		if (session_place(session, want) == -EAGAIN && ++stuck >= STUCK_MAX)
			break;
	}
	if (bitswap_session_may_steal(session))
		bitswap_session_steal(session);
}

/* ---- silence ---- */

static uint64_t last_progress(const struct bitswap_session *session)
{
	uint64_t at = session->active_ms;

	list_for_each(member, &session->members, struct bitswap_member, session_node)
		if (member->peer->flying && member->peer->progress_ms > at)
			at = member->peer->progress_ms;
	return at;
}

static uint64_t idle_delay(const struct bitswap_session *session)
{
	return session->client->config.idle_ms * (1 + session->ticks);
}

/* Ask everybody again for what is not on its way; those asked go to the end of the queue, so that
 * the next tick begins with others. Returns one want worth a search. */
static struct bitswap_want *rebroadcast(struct bitswap_session *session)
{
	struct bitswap_want *first = NULL;
	struct list asked;
	unsigned count = 0;

	list_init(&asked);
	list_for_each(get, &session->gets, struct bitswap_get, session_node)
		if (get->want)
			get->want->broadcast = false;
	list_for_each_safe(get, &session->gets, struct bitswap_get, session_node) {
		struct bitswap_want *want = get->want;

		if (!want || want->flying || want->home || want->broadcast)
			continue;
		if (count++ == BITSWAP_BROADCAST_MAX)
			break;
		first = first ? first : want;
		broadcast(want);
		list_remove(&get->session_node);
		list_add_tail(&asked, &get->session_node);
	}
	while (!list_empty(&asked)) {
		struct list *node = asked.next;

		list_remove(node);
		list_add_tail(&session->gets, node);
	}
	return first;
}

static void search_one(struct bitswap_session *session, struct bitswap_want *want)
{
	struct bitswap_client *client = session->client;

	if (!want && !list_empty(&session->gets))
		want = list_first(&session->gets, struct bitswap_get, session_node)->want;
	if (want && client->ops->search(client->ctx, &want->cid) == 0)
		session->searched = true;
}

/* The idle tick: after a silence all peers are asked again and one want is searched for by
 * routing. */
static void on_idle(void *ctx)
{
	struct bitswap_session *session = ctx;
	struct bitswap_client *client = session->client;
	uint64_t now_ms = timers_now(client->timers);
	bool due = now_ms - session->rebroadcast_ms >= client->config.rebroadcast_ms;

	if (list_empty(&session->gets))
		return;
	bool silent = now_ms - last_progress(session) >= idle_delay(session);

	if (silent || due) {
		struct bitswap_want *want = rebroadcast(session);

		if (want || silent)
			search_one(session, want);
		if (silent && session->ticks < TICKS_MAX)
			session->ticks++;
		if (silent)
			session->active_ms = now_ms;
		session->rebroadcast_ms = now_ms;
	}
	bitswap_session_watch(session);
}

void bitswap_session_watch(struct bitswap_session *session)
{
	struct bitswap_client *client = session->client;

	if (!timer_running(&session->idle))
		timer_start_at(client->timers, &session->idle,
			       last_progress(session) + idle_delay(session), on_idle, session);
}
