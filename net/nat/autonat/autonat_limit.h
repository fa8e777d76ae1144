/* Limits on requests that we serve: per minute and at once, in all and for each peer
 * (wire/security, "Protocol messages"). The minute slides. Pure: time is an argument. */
#ifndef NET_AUTONAT_LIMIT_H
#define NET_AUTONAT_LIMIT_H

#include "net/wire/key.h"

#define AUTONAT_PER_MINUTE 60
#define AUTONAT_PER_PEER_MINUTE 12
#define AUTONAT_DATA_PER_MINUTE 12 /* dials to addresses that are not the asker's */
#define AUTONAT_V1_PER_MINUTE 30
#define AUTONAT_V1_PER_PEER_MINUTE 3
#define AUTONAT_SERVING_MAX 16 /* at once, and one for each peer */

struct autonat_limit_mark {
	uint64_t at_ms;
	struct peer_id peer;
};

/* The requests allowed in the last minute, oldest first. Zero is empty. */
struct autonat_limit {
	struct autonat_limit_mark marks[AUTONAT_PER_MINUTE];
	size_t count;
};

/* True, and counts it, if one more request of peer is allowed: at most per_minute in all (<=
 * AUTONAT_PER_MINUTE) and per_peer_minute of peer. If peer is NULL, only the limit for all
 * holds. */
bool autonat_limit_take(struct autonat_limit *limit, const struct peer_id *peer, size_t per_minute,
			size_t per_peer_minute, uint64_t now_ms);

#endif
