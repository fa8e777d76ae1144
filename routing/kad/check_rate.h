/* Limits how many signatures of others' records are checked. A token bucket for all peers together
 * keeps the checks from filling the loop's time (an RSA key of 8192 bits takes up to 1 ms). A
 * bucket for each peer keeps one peer from using up all. Peers are mapped to KAD_CHECK_PEERS places
 * and share the tokens of their place, so many identities cost no memory.
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

/* Zeroed is full. Each number is the time at which that bucket is full again. */
struct kad_check_rate {
	uint64_t all_ms;
	uint64_t peer_ms[KAD_CHECK_PEERS];
};

/* Takes a token for one check for peer (NULL: for no peer). False: there is none, and nothing was
 * taken. */
bool kad_check_rate_take(struct kad_check_rate *rate, const struct peer_id *peer, uint64_t now_ms);

#endif
