/* One iterative lookup: which peer to ask next, and when it is over, as in Go (wire/routing section
 * 1).
 *
 * Up to alpha questions are in flight, always to the nearest peer not asked yet. It is over when
 * the beta nearest reachable peers have answered, or none is left to ask. Then a follow-up asks
 * those of the k nearest that were not asked yet, but takes no new peers from their answers. Pure
 * and deterministic: now is an argument, and a question open for KAD_LOOKUP_SLOW_MS no longer
 * counts against alpha. */
#ifndef ROUTING_KAD_LOOKUP_H
#define ROUTING_KAD_LOOKUP_H

#include "net/wire/key.h"
#include "routing/place.h"

#define KAD_LOOKUP_PEERS_MAX                                                                       \
	1024		       /* remembered; beyond, the farthest not asked yet is forgotten      \
				*/
#define KAD_LOOKUP_TAKE_MAX 40 /* peers taken of one answer */
#define KAD_LOOKUP_GROUP_MAX 3 /* of one /16 in one answer */
#define KAD_LOOKUP_SLOW_MS 3000
#define KAD_LOOKUP_FLIGHT_MAX 64 /* questions in flight, the slow ones included */

enum kad_lookup_state { KAD_HEARD, KAD_WAITING, KAD_QUERIED, KAD_UNREACHABLE };

struct kad_lookup_peer {
	struct peer_id peer;
	struct place id;
	enum kad_lookup_state state;
	uint64_t asked_ms;
};

/* Zeroed, then kad_lookup_init(). peers are sorted, nearest first. */
struct kad_lookup {
	struct place target;
	struct peer_id self;
	unsigned alpha, beta, k;
	bool follow_up;
	struct kad_lookup_peer *peers;
	size_t count, cap;
};

/* What an answer names. group: kad_filter_group(). */
struct kad_lookup_news {
	struct peer_id peer;
	uint32_t group;
};

void kad_lookup_init(struct kad_lookup *lookup, const struct place *target,
		     const struct peer_id *self, unsigned alpha, unsigned beta, unsigned k);
void kad_lookup_release(struct kad_lookup *lookup);
/* A peer to start from. */
void kad_lookup_seed(struct kad_lookup *lookup, const struct peer_id *peer);
/* The peer to ask now; it counts as asked. False: there is none now. */
bool kad_lookup_next(struct kad_lookup *lookup, uint64_t now_ms, struct peer_id *peer);
/* When kad_lookup_next() may have a peer again without any answer; UINT64_MAX: never. */
uint64_t kad_lookup_due_ms(const struct kad_lookup *lookup, uint64_t now_ms);
/* The peer answered with these peers. Those over the limit, and ourselves, are left out. */
void kad_lookup_answered(struct kad_lookup *lookup, const struct peer_id *peer,
			 const struct kad_lookup_news *news, size_t count);
void kad_lookup_failed(struct kad_lookup *lookup, const struct peer_id *peer);
/* Whether it is over, with the follow-up. */
bool kad_lookup_done(struct kad_lookup *lookup);
/* The nearest that are not unreachable, nearest first, whatever their state; returns how many. */
size_t kad_lookup_closest(const struct kad_lookup *lookup, struct peer_id *out, size_t max);
/* How far the k-th nearest of those is (place_distance()); UINT64_MAX: there are fewer. */
uint64_t kad_lookup_reach(const struct kad_lookup *lookup);
/* The nearest that answered. */
size_t kad_lookup_answerers(const struct kad_lookup *lookup, struct peer_id *out, size_t max);

#endif
