/* Token buckets for signature checks. Each bucket is kept as one number, the moment at which it
 * is full again, so that there is nothing to refill. Pure; now is an argument. */
#include "routing/kad/check_rate.h"

#include "routing/place.h"

/* When the bucket is full again after one more; 0: there is none left. */
static uint64_t after_one(uint64_t full_ms, uint64_t now_ms, unsigned burst, unsigned each_ms)
{
	uint64_t empty_ms = now_ms + (uint64_t)burst * each_ms;

	if (full_ms < now_ms || full_ms > empty_ms) /* the latter: the clock was turned back */
		full_ms = now_ms;
	full_ms += each_ms;
	return full_ms <= empty_ms ? full_ms : 0;
}

bool kad_check_rate_take(struct kad_check_rate *rate, const struct peer_id *peer, uint64_t now_ms)
{
	uint64_t all = after_one(rate->all_ms, now_ms, KAD_CHECK_BURST, KAD_CHECK_MS);

	if (all == 0)
		return false;
	if (peer) {
		uint64_t *own = &rate->peer_ms[place_of_key(peer_id_bytes(peer)).bytes[0]];
		uint64_t one = after_one(*own, now_ms, KAD_CHECK_PEER_BURST, KAD_CHECK_PEER_MS);

		if (one == 0)
			return false;
		*own = one;
	}
	rate->all_ms = all;
	return true;
}
