/* One peer as the client sees it: what is to be sent to it, how fast it delivers, how much may be
 * asked of it at once, and when a silent peer counts as late or lost. Loop thread; no sockets
 * here. */
#include "exchange/bitswap/client.h"

#include "exchange/bitswap/msg.h"

#include <stdlib.h>

#define MESSAGE_ENTRIES_MAX 1024 /* what a Kubo ledger takes from one message */
#define BLOCK_SIZE_GUESS (256u << 10)
#define IN_FLIGHT_BYTES (64u << 20) /* asked of a peer that is alone */
#define IN_FLIGHT_SHARED_MS                                                                        \
	800 /* of its delivery and two round trips, when there are others to ask */
#define IN_FLIGHT_FIRST (5u << 18) /* before its rate is known: four of the usual blocks */
#define FLYING_ALONE_MIN 16
#define FLYING_MIN 2
#define RATE_GUESS (8u << 20) /* bytes per second of a peer that nothing has come from */
#define RATE_SAMPLE_MS 100
#define TRICKLE_MS                                                                                 \
	1000 /* of an unfinished sample, beside a round trip: then what came of it says how fast   \
		it is */
#define PATIENCE_FIRST_MS 5000
#define PATIENCE_MIN_MS 1000
#define PATIENCE_MAX_MS 10000
#define PING_PATIENCE_MAX_MS 7000
#define HEDGE_MIN_MS 500    /* of silence: then another is asked as well ... */
#define HEDGE_FIRST_MS 1000 /* ... when we do not know how fast it is */
#define HEDGE_TIMES 4	    /* ... or after this many times its usual time */
#define STALE_MS 10000	    /* it sends, but nothing that was asked of it */
#define SUSPECT_MS 2000	    /* others come first; twice as long each time in a row */
#define STRIKES_MAX 5
#define RESEND_MS 30000
#define FEW_PEERS 16 /* so few may all say that they have it not */

struct bitswap_client_peer *bitswap_outbox_add(struct bitswap_client *client,
					       const struct peer_id *id, void *owner)
{
	struct bitswap_client_peer *peer = xnew(struct bitswap_client_peer);

	peer->client = client;
	peer->id = *id;
	peer->owner = owner;
	peer->haves = true;
	peer->block_size = BLOCK_SIZE_GUESS;
	peer->owed = BITSWAP_UNASKED_MAX;
	list_add_tail(&client->peers, &peer->node);
	list_init(&peer->dirty_node);
	list_init(&peer->asks);
	list_init(&peer->out);
	list_init(&peer->flight);
	list_init(&peer->members);
	client->connected++;
	client->undecided++;
	return peer;
}

/* A peer that comes or goes changes the answer for every want that is not on its way. */
static void requeue_all(struct bitswap_client *client)
{
	list_for_each(session, &client->sessions, struct bitswap_session, node) {
		list_for_each(get, &session->gets, struct bitswap_get, session_node) {
			if (!get->want)
				continue;
			get->want->broadcast = false;
			bitswap_want_requeue(get->want);
		}
	}
}

static void count(struct bitswap_client_peer *peer, int change)
{
	if (peer->ability == BITSWAP_UNDECIDED)
		peer->client->undecided += (unsigned)change;
	else if (peer->ability == BITSWAP_ABLE)
		peer->client->able += (unsigned)change;
}

void bitswap_outbox_able(struct bitswap_client_peer *peer, enum bitswap_ability ability)
{
	if (peer->ability == ability)
		return;
	count(peer, -1);
	peer->ability = ability;
	count(peer, 1);
	requeue_all(peer->client);
	if (ability == BITSWAP_ABLE)
		list_for_each(session, &peer->client->sessions, struct bitswap_session, node)
			bitswap_session_meet(session, peer);
	if (ability != BITSWAP_UNABLE)
		return;
	list_for_each_safe(ask, &peer->asks, struct bitswap_ask, peer_node) {
		struct bitswap_want *want = ask->want;

		bitswap_ask_free(ask, false);
		bitswap_want_requeue(want);
	}
}

void bitswap_outbox_remove(struct bitswap_client_peer *peer)
{
	struct bitswap_client *client = peer->client;

	while (!list_empty(&peer->members))
		bitswap_session_leave(list_first(&peer->members, struct bitswap_member, peer_node));
	while (!list_empty(&peer->asks)) {
		struct bitswap_ask *ask = list_first(&peer->asks, struct bitswap_ask, peer_node);
		struct bitswap_want *want = ask->want;

		bitswap_ask_left(ask);
		bitswap_ask_free(ask, false);
		bitswap_want_requeue(want);
	}
	count(peer, -1);
	client->connected--;
	timer_stop(client->timers, &peer->patience);
	list_remove(&peer->node);
	list_remove(&peer->dirty_node);
	map_release(&peer->cancels);
	free(peer);
	if (client->connected == 0)
		requeue_all(client);
}

void bitswap_outbox_dirty(struct bitswap_client_peer *peer)
{
	if (peer->dirty)
		return;
	peer->dirty = true;
	list_remove(&peer->dirty_node);
	list_add_tail(&peer->client->dirty, &peer->dirty_node);
	peer->client->ops->wake(peer->client->ctx);
}

void bitswap_outbox_resend(struct bitswap_client_peer *peer)
{
	list_for_each(ask, &peer->asks, struct bitswap_ask, peer_node) {
		if (!ask->sent)
			continue;
		ask->sent = false;
		list_remove(&ask->out_node);
		list_add_tail(&peer->out, &ask->out_node);
	}
	map_release(&peer->cancels);
	bitswap_outbox_dirty(peer);
}

bool bitswap_outbox_compose(struct bitswap_client_peer *peer, struct buf *out)
{
	uint64_t now_ms = timers_now(peer->client->timers);
	bool few = peer->client->able <= FEW_PEERS;
	struct buf entries = { 0 };
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&peer->cancels, &at, &key, &value)) {
		struct bitswap_entry entry = { .cancel = true };

		if (cid_from_bytes(&entry.cid, key) == 0)
			bitswap_msg_add_entry(&entries, &entry);
	}
	map_release(&peer->cancels);
	for (unsigned n = 0; n < MESSAGE_ENTRIES_MAX && !list_empty(&peer->out); n++) {
		struct bitswap_ask *ask = list_first(&peer->out, struct bitswap_ask, out_node);
		bool have = !ask->block && peer->haves;
		struct bitswap_entry entry = { .cid = ask->want->cid,
					       .priority = ask->want->priority,
					       .have = have,
					       .send_dont_have = peer->haves && (!have || few) };

		bitswap_msg_add_entry(&entries, &entry);
		list_remove(&ask->out_node);
		bitswap_ask_sent(ask, now_ms);
		peer->owed += peer->owed < BITSWAP_OWED_MAX;
	}
	bool any = entries.len > 0;

	if (any)
		bitswap_msg_add_wantlist(out, buf_bytes(&entries), false);
	buf_release(&entries);
	return any;
}

/* Each want sent may bring one block, at once or late. */
bool bitswap_outbox_expects(struct bitswap_client_peer *peer)
{
	if (peer->owed == 0)
		return false;
	peer->owed--;
	return true;
}

/* ---- what a peer is worth ---- */

void bitswap_outbox_progress(struct bitswap_client_peer *peer, size_t bytes)
{
	peer->progress_ms = timers_now(peer->client->timers);
	peer->came += bytes;
}

/* What came from the start of the sample to its last block. */
static void end_sample(struct bitswap_client_peer *peer)
{
	uint64_t took_ms = peer->window_last_ms - peer->window_ms;

	if (took_ms == 0 || peer->window_bytes == 0)
		return;
	uint64_t rate = peer->window_bytes * 1000 / took_ms + 1;

	peer->rate = peer->rate ? (peer->rate * 3 + rate) / 4 : rate;
	peer->rate_ms = peer->window_last_ms;
	peer->window_ms = peer->window_last_ms;
	peer->window_came = peer->window_last_came;
	peer->window_bytes = 0;
}

uint64_t bitswap_outbox_rate(const struct bitswap_client_peer *peer)
{
	uint64_t rate = peer->rate ? peer->rate : RATE_GUESS;
	uint64_t now_ms = timers_now(peer->client->timers);
	uint64_t from_ms = peer->window_ms + peer->ping_ms, came = peer->came - peer->window_came;

	/* That nothing comes at all is silence, which is judged below. */
	if (!peer->flying || !came || peer->client->paused || now_ms < from_ms + TRICKLE_MS)
		return rate;
	came = came * 1000 / (now_ms - from_ms) + 1;
	return came < rate ? came : rate;
}

void bitswap_outbox_settle(struct bitswap_client_peer *peer)
{
	uint64_t rate = bitswap_outbox_rate(peer);

	/* Of whole blocks a sample is made. */
	if (peer->window_bytes || rate >= (peer->rate ? peer->rate : RATE_GUESS))
		return;
	peer->rate = rate;
	peer->rate_ms = timers_now(peer->client->timers);
}

void bitswap_outbox_delivered(struct bitswap_client_peer *peer, size_t len, uint64_t sent_ms)
{
	uint64_t now_ms = timers_now(peer->client->timers);

	/* A message's blocks come all at once: the sample ends before the next lot, never inside
	 * one. What comes unasked, as the answer to a want-have may, says nothing. */
	if (peer->flying && now_ms > peer->window_last_ms &&
	    peer->window_last_ms >= peer->window_ms + RATE_SAMPLE_MS)
		end_sample(peer);
	peer->progress_ms = peer->delivered_ms = now_ms;
	peer->strikes = 0;
	peer->suspect_until_ms = 0;
	peer->block_size = (peer->block_size * 7 + len) / 8 + 1;
	if (sent_ms) {
		uint64_t sample = now_ms - sent_ms + 1;

		peer->latency_ms = peer->latency_ms ? (peer->latency_ms + sample) / 2 : sample;
	}
	if (!peer->flying)
		return;
	peer->window_bytes += len;
	peer->window_last_ms = now_ms;
	peer->window_last_came = peer->came;
}

void bitswap_outbox_flight(struct bitswap_client_peer *peer)
{
	end_sample(peer);
	peer->window_bytes = 0;
	peer->window_ms = peer->window_last_ms = timers_now(peer->client->timers);
	peer->window_came = peer->window_last_came = peer->came;
}

unsigned bitswap_outbox_room(const struct bitswap_client_peer *peer, bool alone)
{
	uint64_t bytes = IN_FLIGHT_BYTES, least = alone ? FLYING_ALONE_MIN : FLYING_MIN;

	if (peer->strikes)
		return 1; /* on trial */
	if (!alone)
		bytes = bitswap_outbox_rate(peer) * (IN_FLIGHT_SHARED_MS + 2 * peer->ping_ms) /
			1000;
	if (!alone && !peer->rate && bytes > IN_FLIGHT_FIRST)
		bytes = IN_FLIGHT_FIRST;
	uint64_t room = bytes / (peer->block_size + 1);

	if (room < least)
		return (unsigned)least;
	return room < BITSWAP_FLYING_MAX ? (unsigned)room : BITSWAP_FLYING_MAX;
}

/* ---- no answer is an answer ---- */

static uint64_t patience_ms(const struct bitswap_client_peer *peer)
{
	uint64_t ms = PATIENCE_FIRST_MS;

	if (peer->latency_ms) {
		ms = 2 * peer->latency_ms;
	} else if (peer->ping_ms) {
		ms = 3 * peer->ping_ms + 2000;
		ms = ms < PING_PATIENCE_MAX_MS ? ms : PING_PATIENCE_MAX_MS;
	}
	if (ms < PATIENCE_MIN_MS)
		return PATIENCE_MIN_MS;
	return ms < PATIENCE_MAX_MS ? ms : PATIENCE_MAX_MS;
}

/* When a want counts as lost. A peer that sends anything is at work, and this want may be behind
 * others. */
static uint64_t lost_at(const struct bitswap_client_peer *peer, const struct bitswap_ask *ask)
{
	uint64_t from = ask->sent_ms > peer->progress_ms ? ask->sent_ms : peer->progress_ms;

	return from + patience_ms(peer);
}

static uint64_t hedge_ms(const struct bitswap_client_peer *peer)
{
	uint64_t patience = patience_ms(peer), ms = HEDGE_FIRST_MS;

	if (peer->latency_ms || peer->ping_ms)
		ms = HEDGE_TIMES * (peer->latency_ms ? peer->latency_ms : peer->ping_ms);
	if (ms < HEDGE_MIN_MS)
		ms = HEDGE_MIN_MS;
	return ms < patience ? ms : patience;
}

/* When to ask another peer as well, because this one is silent or sends other things. */
static uint64_t hedge_at(const struct bitswap_client_peer *peer, const struct bitswap_ask *ask)
{
	uint64_t moved = ask->sent_ms > peer->progress_ms ? ask->sent_ms : peer->progress_ms;
	uint64_t useful = ask->sent_ms > peer->delivered_ms ? ask->sent_ms : peer->delivered_ms;
	uint64_t slow = HEDGE_TIMES * peer->latency_ms;

	moved += hedge_ms(peer);
	useful += slow > STALE_MS ? slow : STALE_MS;
	return moved < useful ? moved : useful;
}

/* When on_patience() has to look at the ask. */
static uint64_t event_at(const struct bitswap_client_peer *peer, const struct bitswap_ask *ask)
{
	uint64_t lost = lost_at(peer, ask), hedge = hedge_at(peer, ask);

	return ask->hedged || peer->client->able < 2 || lost < hedge ? lost : hedge;
}

static void hedge(struct bitswap_client_peer *peer, struct bitswap_ask *ask, uint64_t now_ms)
{
	if (now_ms >= peer->suspect_until_ms) {
		peer->suspect_until_ms = now_ms + (SUSPECT_MS << peer->strikes);
		if (peer->strikes < STRIKES_MAX)
			peer->strikes++;
	}
	bitswap_ask_hedge(ask);
}

static void arm_at(struct bitswap_client_peer *peer, uint64_t at_ms);

/* Goes through what is in flight at the peer: gives up what is lost, asks another peer for what
 * is late, and repeats what is old. */
static void on_patience(void *ctx)
{
	struct bitswap_client_peer *peer = ctx;
	uint64_t now_ms = timers_now(peer->client->timers), next_ms = TIMER_NEVER;

	if (peer->client->paused)
		peer->progress_ms = peer->delivered_ms = now_ms;
	list_for_each_safe(ask, &peer->flight, struct bitswap_ask, flight_node) {
		struct bitswap_want *want = ask->want;

		if (now_ms >= lost_at(peer, ask)) {
			bitswap_ask_answer(ask, BITSWAP_TOO_LATE);
			bitswap_ask_land(ask);
			want->broadcast = false;
			bitswap_want_requeue(want);
			continue;
		}
		if (now_ms >= event_at(peer, ask))
			hedge(peer, ask, now_ms);
		else if (now_ms - ask->sent_ms >= RESEND_MS)
			bitswap_ask_send(ask, true);
		if (event_at(peer, ask) < next_ms)
			next_ms = event_at(peer, ask);
	}
	if (next_ms != TIMER_NEVER)
		arm_at(peer, next_ms);
}

static void arm_at(struct bitswap_client_peer *peer, uint64_t at_ms)
{
	if (!timer_running(&peer->patience) || peer->patience.at_ms > at_ms)
		timer_start_at(peer->client->timers, &peer->patience, at_ms, on_patience, peer);
}

void bitswap_outbox_arm(struct bitswap_client_peer *peer)
{
	if (!list_empty(&peer->flight)) /* the youngest: the others have been seen to */
		arm_at(peer, event_at(peer, container_of(peer->flight.prev, struct bitswap_ask,
							 flight_node)));
}
