/* The routing table. The last bucket, which holds all peers nearest to us, is split when it is
 * full; any other full bucket refuses newcomers unless a peer in it has been useless for long.
 * Pure; now is an argument. */
#include "routing/kad/bucket.h"

#include "net/base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void kad_bucket_init(struct kad_buckets *table, const struct peer_id *self, unsigned k)
{
	assert(k > 0 && k <= KAD_K_MAX);
	*table = (struct kad_buckets){ .self = *self, .k = k, .count = 1 };
	table->id = place_of_key(peer_id_bytes(self));
	table->at = xcalloc(PLACE_BITS, sizeof(*table->at));
	table->at[0].peers = xcalloc(k, sizeof(*table->at[0].peers));
}

void kad_bucket_release(struct kad_buckets *table)
{
	for (unsigned i = 0; i < table->count; i++)
		free(table->at[i].peers);
	free(table->at);
	*table = (struct kad_buckets){ 0 };
}

static struct kad_bucket *bucket_of(const struct kad_buckets *table, const struct place *id)
{
	unsigned common = place_common(&table->id, id);

	return &table->at[common < table->count ? common : table->count - 1];
}

static struct kad_bucket_peer *peer_find(const struct kad_buckets *table,
					 const struct peer_id *peer)
{
	struct place id = place_of_key(peer_id_bytes(peer));
	struct kad_bucket *bucket = bucket_of(table, &id);

	for (unsigned i = 0; i < bucket->count; i++)
		if (peer_id_equal(&bucket->peers[i].peer, peer))
			return &bucket->peers[i];
	return NULL;
}

bool kad_bucket_has(const struct kad_buckets *table, const struct peer_id *peer)
{
	return peer_find(table, peer) != NULL;
}

void kad_bucket_useful(struct kad_buckets *table, const struct peer_id *peer, uint64_t now_ms)
{
	struct kad_bucket_peer *entry = peer_find(table, peer);

	if (entry)
		entry->useful_ms = now_ms;
}

bool kad_bucket_remove(struct kad_buckets *table, const struct peer_id *peer)
{
	struct kad_bucket_peer *entry = peer_find(table, peer);

	if (!entry)
		return false;
	struct kad_bucket *bucket = bucket_of(table, &entry->id);

	*entry = bucket->peers[--bucket->count];
	table->peers--;
	return true;
}

/* The last bucket's peers that share more bits move into a new last one. */
static void bucket_split(struct kad_buckets *table)
{
	struct kad_bucket *old = &table->at[table->count - 1], *fresh = &table->at[table->count];
	unsigned kept = 0;

	*fresh = (struct kad_bucket){ .peers = xcalloc(table->k, sizeof(*fresh->peers)),
				      .refreshed_ms = old->refreshed_ms };
	for (unsigned i = 0; i < old->count; i++) {
		if (place_common(&table->id, &old->peers[i].id) >= table->count)
			fresh->peers[fresh->count++] = old->peers[i];
		else
			old->peers[kept++] = old->peers[i];
	}
	old->count = kept;
	table->count++;
}

static unsigned count_group(const struct kad_bucket *bucket, uint32_t group)
{
	unsigned count = 0;

	for (unsigned i = 0; i < bucket->count; i++)
		count += bucket->peers[i].group == group;
	return count;
}

static bool group_is_full(const struct kad_buckets *table, const struct kad_bucket *bucket,
			  uint32_t group)
{
	unsigned count = 0;

	if (group == 0)
		return false;
	for (unsigned i = 0; i < table->count; i++)
		count += count_group(&table->at[i], group);
	return count >= KAD_GROUP_TABLE_MAX || count_group(bucket, group) >= KAD_GROUP_BUCKET_MAX;
}

/* The one least recently useful, when that is long ago. */
static struct kad_bucket_peer *replaceable(struct kad_bucket *bucket, uint64_t now_ms)
{
	struct kad_bucket_peer *oldest = &bucket->peers[0];

	for (unsigned i = 1; i < bucket->count; i++)
		if (bucket->peers[i].useful_ms < oldest->useful_ms)
			oldest = &bucket->peers[i];
	return now_ms > oldest->useful_ms && now_ms - oldest->useful_ms > KAD_USEFUL_MS ? oldest
											: NULL;
}

int kad_bucket_add(struct kad_buckets *table, const struct peer_id *peer, uint32_t group,
		   uint64_t now_ms, struct peer_id *replaced)
{
	struct kad_bucket_peer entry = { .peer = *peer, .group = group, .useful_ms = now_ms };
	struct kad_bucket *bucket;

	if (replaced)
		replaced->len = 0;
	if (peer_id_equal(peer, &table->self))
		return -EINVAL;
	if (kad_bucket_has(table, peer))
		return -EEXIST;
	entry.id = place_of_key(peer_id_bytes(peer));
	bucket = bucket_of(table, &entry.id);
	while (bucket->count == table->k && bucket == &table->at[table->count - 1] &&
	       table->count < PLACE_BITS) {
		bucket_split(table);
		bucket = bucket_of(table, &entry.id);
	}
	if (group_is_full(table, bucket, group))
		return -EAGAIN;
	if (bucket->count == table->k) {
		struct kad_bucket_peer *old = replaceable(bucket, now_ms);

		if (!old)
			return -EAGAIN;
		if (replaced)
			*replaced = old->peer;
		*old = entry;
		return 0;
	}
	bucket->peers[bucket->count++] = entry;
	table->peers++;
	return 0;
}

size_t kad_bucket_closest(const struct kad_buckets *table, const struct place *target,
			  const struct peer_id *except, struct peer_id *out, size_t max)
{
	const struct kad_bucket_peer *best[KAD_K_MAX];
	size_t count = 0;

	assert(max <= KAD_K_MAX);
	for (unsigned b = 0; b < table->count; b++) {
		for (unsigned i = 0; i < table->at[b].count; i++) {
			const struct kad_bucket_peer *peer = &table->at[b].peers[i];
			size_t at = count;

			if (except && peer_id_equal(&peer->peer, except))
				continue;
			while (at > 0 && place_closer(target, &peer->id, &best[at - 1]->id) < 0)
				at--;
			if (at == max)
				continue;
			count += count < max;
			memmove(best + at + 1, best + at, (count - at - 1) * sizeof(*best));
			best[at] = peer;
		}
	}
	for (size_t i = 0; i < count; i++)
		out[i] = best[i]->peer;
	return count;
}

bool kad_bucket_refresh_due(struct kad_buckets *table, uint64_t before_ms, uint64_t now_ms,
			    unsigned *index)
{
	for (unsigned i = 0; i < table->count; i++) {
		if (table->at[i].refreshed_ms >= before_ms)
			continue;
		table->at[i].refreshed_ms = now_ms;
		*index = i;
		return true;
	}
	return false;
}
