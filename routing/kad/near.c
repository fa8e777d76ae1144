/* Tags the peers of the table that are nearest to us, so that the swarm keeps them. Looks again
 * when the table has changed, at most once a second. Loop thread. */
#include "routing/kad/near.h"

#include "routing/kad/kad.h"

#include <string.h>

#define LOOK_MS 1000

static bool is_among(const struct peer_id *peer, const struct peer_id *peers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (peer_id_equal(peer, &peers[i]))
			return true;
	return false;
}

/* Those of one list that are not in the other. */
static void tag_rest(struct kad *kad, const struct peer_id *peers, size_t count,
		     const struct peer_id *others, size_t other_count, int worth)
{
	for (size_t i = 0; i < count; i++)
		if (!is_among(&peers[i], others, other_count))
			swarm_tag(kad->swarm, &peers[i], kad->protocol, worth);
}

static void on_look(void *ctx)
{
	struct kad *kad = ctx;
	struct kad_near *near = &kad->near;
	struct peer_id now[KAD_NEAR_TAGGED_MAX];
	size_t count =
		kad_bucket_closest(&kad->table, &kad->table.id, NULL, now, KAD_NEAR_TAGGED_MAX);

	tag_rest(kad, near->peers, near->count, now, count, 0);
	tag_rest(kad, now, count, near->peers, near->count, KAD_NEAR_WORTH);
	memcpy(near->peers, now, count * sizeof(*now));
	near->count = count;
}

void kad_near_changed(struct kad *kad)
{
	if (!timer_running(&kad->near.look))
		timer_start(kad->timers, &kad->near.look, LOOK_MS, on_look, kad);
}

void kad_near_release(struct kad *kad)
{
	timer_stop(kad->timers, &kad->near.look);
	tag_rest(kad, kad->near.peers, kad->near.count, NULL, 0, 0);
	kad->near.count = 0;
}
