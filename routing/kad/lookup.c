/* The state of one iterative lookup: a list of peers sorted by distance, each heard of, being
 * asked, answered or unreachable. The caller sends the questions and reports what became of them.
 * Pure; now is an argument. */
#include "routing/kad/lookup.h"

#include "net/base/alloc.h"

#include <stdlib.h>
#include <string.h>

void kad_lookup_init(struct kad_lookup *lookup, const struct place *target,
		     const struct peer_id *self, unsigned alpha, unsigned beta, unsigned k)
{
	*lookup = (struct kad_lookup){
		.target = *target, .self = *self, .alpha = alpha, .beta = beta, .k = k
	};
}

void kad_lookup_release(struct kad_lookup *lookup)
{
	free(lookup->peers);
	*lookup = (struct kad_lookup){ 0 };
}

/* Where a peer at id is or would be. */
static size_t lookup_place(const struct kad_lookup *lookup, const struct place *id)
{
	size_t low = 0, high = lookup->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (place_closer(&lookup->target, &lookup->peers[mid].id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct kad_lookup_peer *peer_find(const struct kad_lookup *lookup,
					 const struct peer_id *peer)
{
	struct place id = place_of_key(peer_id_bytes(peer));
	size_t at = lookup_place(lookup, &id);

	if (at == lookup->count || !peer_id_equal(&lookup->peers[at].peer, peer))
		return NULL;
	return &lookup->peers[at];
}

/* The farthest that nobody waits for goes. False: everybody was asked. */
static bool forget_farthest(struct kad_lookup *lookup)
{
	for (size_t i = lookup->count; i-- > 0;) {
		if (lookup->peers[i].state != KAD_HEARD)
			continue;
		memmove(&lookup->peers[i], &lookup->peers[i + 1],
			(lookup->count - i - 1) * sizeof(*lookup->peers));
		lookup->count--;
		return true;
	}
	return false;
}

void kad_lookup_seed(struct kad_lookup *lookup, const struct peer_id *peer)
{
	struct kad_lookup_peer entry = { .peer = *peer, .id = place_of_key(peer_id_bytes(peer)) };
	size_t at;

	if (peer_id_equal(peer, &lookup->self) || peer_find(lookup, peer))
		return;
	if (lookup->count == KAD_LOOKUP_PEERS_MAX && !forget_farthest(lookup))
		return;
	if (lookup->count == lookup->cap) {
		lookup->cap = lookup->cap ? lookup->cap * 2 : 64;
		lookup->peers = xrealloc(lookup->peers, lookup->cap * sizeof(*lookup->peers));
	}
	at = lookup_place(lookup, &entry.id);
	memmove(&lookup->peers[at + 1], &lookup->peers[at],
		(lookup->count - at) * sizeof(*lookup->peers));
	lookup->peers[at] = entry;
	lookup->count++;
}

static bool is_slow(const struct kad_lookup_peer *peer, uint64_t now_ms)
{
	return now_ms >= peer->asked_ms && now_ms - peer->asked_ms >= KAD_LOOKUP_SLOW_MS;
}

/* The beta nearest have answered, or there is nobody more to ask or wait for. */
static bool main_is_over(const struct kad_lookup *lookup)
{
	unsigned near = 0;

	for (size_t i = 0; i < lookup->count && near < lookup->beta; i++) {
		if (lookup->peers[i].state == KAD_UNREACHABLE)
			continue;
		if (lookup->peers[i].state != KAD_QUERIED)
			return false;
		near++;
	}
	return true;
}

/* Of the k nearest that are not unreachable: the first that was not asked, or waited for. */
static struct kad_lookup_peer *open_in_reach(const struct kad_lookup *lookup,
					     enum kad_lookup_state state)
{
	unsigned near = 0;

	for (size_t i = 0; i < lookup->count && near < lookup->k; i++) {
		if (lookup->peers[i].state == state)
			return &lookup->peers[i];
		near += lookup->peers[i].state != KAD_UNREACHABLE;
	}
	return NULL;
}

bool kad_lookup_next(struct kad_lookup *lookup, uint64_t now_ms, struct peer_id *peer)
{
	struct kad_lookup_peer *best = NULL;
	unsigned quick = 0, flight = 0;

	if (kad_lookup_done(lookup))
		return false;
	for (size_t i = 0; i < lookup->count; i++) {
		struct kad_lookup_peer *one = &lookup->peers[i];

		if (one->state == KAD_HEARD && !best)
			best = one;
		if (one->state == KAD_WAITING) {
			flight++;
			quick += !is_slow(one, now_ms);
		}
	}
	if (lookup->follow_up)
		best = open_in_reach(lookup, KAD_HEARD);
	else if (quick >= lookup->alpha)
		return false;
	if (!best || flight >= KAD_LOOKUP_FLIGHT_MAX)
		return false;
	best->state = KAD_WAITING;
	best->asked_ms = now_ms;
	*peer = best->peer;
	return true;
}

uint64_t kad_lookup_due_ms(const struct kad_lookup *lookup, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < lookup->count; i++) {
		const struct kad_lookup_peer *peer = &lookup->peers[i];

		if (peer->state == KAD_WAITING && !is_slow(peer, now_ms) &&
		    peer->asked_ms + KAD_LOOKUP_SLOW_MS < due)
			due = peer->asked_ms + KAD_LOOKUP_SLOW_MS;
	}
	return due;
}

static bool group_allows(const struct kad_lookup_news *news, size_t at)
{
	unsigned same = 0;

	for (size_t i = 0; i < at && news[at].group != 0; i++)
		same += news[i].group == news[at].group;
	return same < KAD_LOOKUP_GROUP_MAX;
}

void kad_lookup_answered(struct kad_lookup *lookup, const struct peer_id *peer,
			 const struct kad_lookup_news *news, size_t count)
{
	struct kad_lookup_peer *entry = peer_find(lookup, peer);

	if (!entry || entry->state != KAD_WAITING)
		return;
	entry->state = KAD_QUERIED;
	if (count > KAD_LOOKUP_TAKE_MAX)
		count = KAD_LOOKUP_TAKE_MAX;
	for (size_t i = 0; i < count && !lookup->follow_up; i++)
		if (group_allows(news, i))
			kad_lookup_seed(lookup, &news[i].peer);
}

void kad_lookup_failed(struct kad_lookup *lookup, const struct peer_id *peer)
{
	struct kad_lookup_peer *entry = peer_find(lookup, peer);

	if (entry && entry->state == KAD_WAITING)
		entry->state = KAD_UNREACHABLE;
}

bool kad_lookup_done(struct kad_lookup *lookup)
{
	if (!lookup->follow_up && main_is_over(lookup))
		lookup->follow_up = true;
	return lookup->follow_up && !open_in_reach(lookup, KAD_HEARD) &&
	       !open_in_reach(lookup, KAD_WAITING);
}

size_t kad_lookup_closest(const struct kad_lookup *lookup, struct peer_id *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < lookup->count && count < max; i++)
		if (lookup->peers[i].state != KAD_UNREACHABLE)
			out[count++] = lookup->peers[i].peer;
	return count;
}

uint64_t kad_lookup_reach(const struct kad_lookup *lookup)
{
	unsigned count = 0;

	for (size_t i = 0; i < lookup->count; i++)
		if (lookup->peers[i].state != KAD_UNREACHABLE && ++count == lookup->k)
			return place_distance(&lookup->target, &lookup->peers[i].id);
	return UINT64_MAX;
}

size_t kad_lookup_answerers(const struct kad_lookup *lookup, struct peer_id *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < lookup->count && count < max; i++)
		if (lookup->peers[i].state == KAD_QUERIED)
			out[count++] = lookup->peers[i].peer;
	return count;
}
