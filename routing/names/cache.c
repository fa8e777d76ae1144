/* Records of others, remembered for as long as they say. When there is no room, the one that was
 * used least recently goes. Loop thread. */
#include "routing/names/names_private.h"

#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <stdlib.h>

struct names_cached {
	struct buf record;
	uint64_t until_ms; /* loop clock */
	uint64_t used;
};

static void cached_free(struct names_cached *cached)
{
	if (!cached)
		return;
	buf_release(&cached->record);
	free(cached);
}

const struct buf *names_cache_get(struct names *names, const struct peer_id *name)
{
	struct names_cached *cached = map_get(&names->cache, peer_id_bytes(name));

	if (!cached)
		return NULL;
	if (names_now(names) >= cached->until_ms) {
		map_remove(&names->cache, peer_id_bytes(name));
		cached_free(cached);
		return NULL;
	}
	cached->used = ++names->cache_uses;
	return &cached->record;
}

static void make_room(struct names *names)
{
	struct names_cached *oldest = NULL;
	struct bytes key, old = { 0 };
	void *value;
	size_t at = 0;

	while (map_next(&names->cache, &at, &key, &value)) {
		struct names_cached *cached = value;

		if (oldest && cached->used >= oldest->used)
			continue;
		oldest = cached;
		old = key;
	}
	if (!oldest)
		return;
	map_remove(&names->cache, old);
	cached_free(oldest);
}

void names_cache_put(struct names *names, const struct peer_id *name,
		     const struct name_record *record)
{
	uint64_t now_ns = wallclock_ns(), ms = record->ttl_ns / NAMES_NS_PER_MS, left_ms;
	struct names_cached *cached;

	left_ms = record->eol_ns > now_ns ? (record->eol_ns - now_ns) / NAMES_NS_PER_MS : 0;
	if (ms > left_ms)
		ms = left_ms;
	if (ms > names->config.cache_ms_max)
		ms = names->config.cache_ms_max;
	cached = map_get(&names->cache, peer_id_bytes(name));
	if (cached && names_now(names) < cached->until_ms &&
	    name_record_compare(buf_bytes(&cached->record), record->bytes) > 0)
		return;
	cached_free(map_remove(&names->cache, peer_id_bytes(name)));
	if (ms == 0)
		return;
	if (names->cache.count >= names->config.cache_max)
		make_room(names);
	cached = xnew(struct names_cached);
	buf_add(&cached->record, record->bytes);
	cached->until_ms = names_now(names) + ms;
	cached->used = ++names->cache_uses;
	map_set(&names->cache, peer_id_bytes(name), cached);
}

void names_cache_release(struct names *names)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&names->cache, &at, &key, &value))
		cached_free(value);
	map_release(&names->cache);
}
