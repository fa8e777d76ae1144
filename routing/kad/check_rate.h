/* How many signatures of others' records are checked: a token bucket for all peers together, so
 * that nobody eats the loop with them (an RSA key of 8192 bits takes up to 1 ms, and a worker's
 * queue would have to be bounded just so), and one a peer, so that one does not use up what is
 * there for all. Peers that share one of KAD_CHECK_PEERS places share its tokens: many identities
 * cost no memory.
 *
 * At most KAD_CHECK_BURST at once, then one each KAD_CHECK_MS: 20 a second, 2 % of the loop.
 * Pure: now is an argument (any clock; one that is turned back brings a new burst). */
#ifndef ROUTING_KAD_CHECK_RATE_H
#define ROUTING_KAD_CHECK_RATE_H

#include "net/wire/key.h"

#define KAD_CHECK_BURST 128
#define KAD_CHECK_MS 50 /* one more after so long */
#define KAD_CHECK_PEER_BURST 64
#define KAD_CHECK_PEER_MS 1000
#define KAD_CHECK_PEERS 256

/* Zeroed is full. Each number is the moment at which that bucket is full again. */
struct kad_check_rate {
	uint64_t all_ms;
	uint64_t peer_ms[KAD_CHECK_PEERS];
};

/* One check on behalf of peer (NULL: of nobody in particular). False, and nothing taken: not now.
 */
bool kad_check_rate_take(struct kad_check_rate *rate, const struct peer_id *peer, uint64_t now_ms);

#endif
