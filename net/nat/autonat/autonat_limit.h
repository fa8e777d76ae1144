/* How many requests are served: per minute and at once, in all and of one peer (wire/security,
 * "Protocol messages"). One minute slides. Pure: time is an argument. */
#ifndef NET_AUTONAT_LIMIT_H
#define NET_AUTONAT_LIMIT_H

#include "net/wire/key.h"

#define AUTONAT_PER_MINUTE 60
#define AUTONAT_PER_PEER_MINUTE 12
#define AUTONAT_DATA_PER_MINUTE 12 /* that make us dial where the asker is not */
#define AUTONAT_V1_PER_MINUTE 30
#define AUTONAT_V1_PER_PEER_MINUTE 3
#define AUTONAT_SERVING_MAX 16 /* at once; of one peer: one */

struct autonat_limit_mark {
	uint64_t at_ms;
	struct peer_id peer;
};

/* What was let through in the last minute, oldest first. Zero is empty. */
struct autonat_limit {
	struct autonat_limit_mark marks[AUTONAT_PER_MINUTE];
	size_t count;
};

/* Whether one more of peer may go, at most per_minute of all (<= AUTONAT_PER_MINUTE) and
 * per_peer_minute of peer; then it is counted. peer NULL: nobody's, counted in all alone. */
bool autonat_limit_take(struct autonat_limit *limit, const struct peer_id *peer, size_t per_minute,
			size_t per_peer_minute, uint64_t now_ms);

#endif
