/* How fast a peer delivers, how much may be asked of it at once, and for how long it is waited for
 * before it counts as late or lost. Loop thread. */
#include "exchange/bitswap/client.h"

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
uint64_t bitswap_pace_lost_at(const struct bitswap_client_peer *peer, const struct bitswap_ask *ask)
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
uint64_t bitswap_pace_event_at(const struct bitswap_client_peer *peer,
			       const struct bitswap_ask *ask)
{
	uint64_t lost = bitswap_pace_lost_at(peer, ask), hedge = hedge_at(peer, ask);

	return ask->hedged || peer->client->able < 2 || lost < hedge ? lost : hedge;
}

void bitswap_pace_arm_at(struct bitswap_client_peer *peer, uint64_t at_ms)
{
	if (!timer_running(&peer->patience) || peer->patience.at_ms > at_ms)
		timer_start_at(peer->client->timers, &peer->patience, at_ms, peer->on_patience,
			       peer);
}

void bitswap_outbox_arm(struct bitswap_client_peer *peer)
{
	if (!list_empty(&peer->flight)) /* the youngest: the others have been seen to */
		bitswap_pace_arm_at(
			peer,
			bitswap_pace_event_at(peer, container_of(peer->flight.prev,
								 struct bitswap_ask, flight_node)));
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
