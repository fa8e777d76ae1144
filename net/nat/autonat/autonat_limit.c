/* A sliding minute of served requests: the times and peers of those let through, oldest first.
 * Pure; time is an argument. */
#include "net/nat/autonat/autonat_limit.h"

#include <assert.h>
#include <string.h>

#define MINUTE_MS 60000

static void forget_old(struct autonat_limit *limit, uint64_t now_ms)
{
	size_t old = 0;

	while (old < limit->count && now_ms - limit->marks[old].at_ms >= MINUTE_MS)
		old++;
	limit->count -= old;
	memmove(limit->marks, limit->marks + old, limit->count * sizeof(limit->marks[0]));
}

bool autonat_limit_take(struct autonat_limit *limit, const struct peer_id *peer, size_t per_minute,
			size_t per_peer_minute, uint64_t now_ms)
{
	struct autonat_limit_mark *mark;
	size_t same = 0;

	assert(per_minute <= AUTONAT_PER_MINUTE);
	forget_old(limit, now_ms);
	for (size_t i = 0; peer && i < limit->count; i++)
		same += peer_id_equal(&limit->marks[i].peer, peer);
	if (limit->count >= per_minute || (peer && same >= per_peer_minute))
		return false;
	mark = &limit->marks[limit->count++];
	*mark = (struct autonat_limit_mark){ .at_ms = now_ms };
	if (peer)
		mark->peer = *peer;
	return true;
}
