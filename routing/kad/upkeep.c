/* What a node does by itself: dialling bootstrap peers, refreshing the routing table, telling its
 * own values again, dropping what has expired. Each has a timer. Loop thread. */
#include "routing/kad/upkeep.h"

#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/wait.h"
#include "routing/kad/kad.h"
#include "routing/kad/query.h"

#include <stdlib.h>
#include <string.h>

#define DIAL_TIMEOUT_MS 15000
#define BACKOFF_MIN_MS 5000
#define REFRESH_WALK_MS 30000
#define FIRST_LOOK_MS 100 /* a few more peers may come in at once */
#define SWEEP_MS (3600ull * 1000)
#define TELL_MS 60000 /* one value, to all that keep it */
#define NEXT_VALUE_MS 1000
#define KEY_TRIES_MAX 4096
#define MULTIHASH_LEN 34

/* ---- bootstrap ---- */

static void boot(void *ctx);

static void boot_after(struct kad *kad, uint64_t delay_ms)
{
	timer_start(kad->timers, &kad->upkeep.dial, delay_ms, boot, kad);
}

static void on_dialed(void *ctx, int err)
{
	struct kad_upkeep_dial *dial = ctx;

	struct kad_upkeep *up = &dial->kad->upkeep;

	dial->op = NULL;
	/* What a good one brings shows with identify; until then nothing is to be dialled again. */
	if (!err) {
		up->backoff_ms = 0;
		boot_after(dial->kad, KAD_BOOTSTRAP_MS);
		return;
	}
	log_info("kad", "bootstrap dial failed err=%s", err_text(err));
	if (dial->kad->table.peers > 0)
		return;
	up->backoff_ms = up->backoff_ms ? up->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (up->backoff_ms > KAD_BOOTSTRAP_MS)
		up->backoff_ms = KAD_BOOTSTRAP_MS;
	boot_after(dial->kad, up->backoff_ms);
}

/* All addresses of one peer of the list in one dial. */
static void dial_peer(struct kad *kad, struct kad_upkeep_dial *dial, const struct peer_id *peer)
{
	struct kad_upkeep *up = &kad->upkeep;
	struct multiaddr *addrs = xcalloc(up->count, sizeof(*addrs));
	size_t count = 0;

	for (size_t i = 0; i < up->count; i++)
		if (peer_id_equal(&up->peers[i], peer))
			addrs[count++] = up->addrs[i];
	dial->kad = kad;
	dial->op = swarm_connect(kad->swarm, peer, addrs, count, kad_now(kad) + DIAL_TIMEOUT_MS,
				 on_dialed, dial);
	free(addrs);
}

/* Dials some peers of the bootstrap list, from a random one on, while the table has few peers. */
static void boot(void *ctx)
{
	struct kad *kad = ctx;
	struct kad_upkeep *up = &kad->upkeep;
	struct peer_id other = { 0 };
	size_t from, dials = 0;

	boot_after(kad, KAD_BOOTSTRAP_MS);
	if (kad->table.peers >= KAD_BOOTSTRAP_ENOUGH)
		return;
	from = (size_t)random_below(kad->random, up->count);
	for (size_t i = 0; i < up->count && dials < KAD_BOOTSTRAP_DIALS_MAX; i++) {
		const struct peer_id *peer = &up->peers[(from + i) % up->count];

		while (dials < KAD_BOOTSTRAP_DIALS_MAX && up->dials[dials].op)
			dials++;
		if (dials == KAD_BOOTSTRAP_DIALS_MAX || peer_id_equal(peer, &other) ||
		    peer_id_equal(peer, &kad->table.self) || swarm_is_connected(kad->swarm, peer))
			continue;
		other = *peer;
		dial_peer(kad, &up->dials[dials++], peer);
	}
}

/* ---- refresh ---- */

static void refresh_next(struct kad *kad);

static void on_refreshed(void *ctx, int err)
{
	struct kad *kad = ctx;
	struct kad_upkeep *up = &kad->upkeep;

	if (err) {
		up->refresh_failures++;
	} else {
		if (up->drawn)
			kad_netsize_add(&kad->netsize, kad_lookup_reach(&up->walk.lookup));
		up->refreshes++;
		up->refreshed = true;
		up->refreshed_ms = kad_now(kad);
	}
	kad_walk_stop(&up->walk);
	refresh_next(kad);
}

static void refresh_walk(struct kad *kad, struct bytes key)
{
	kad_walk_start(&kad->upkeep.walk, kad, KAD_FIND_NODE, key, kad_now(kad) + REFRESH_WALK_MS,
		       NULL, on_refreshed, kad);
}

/* A key that lies in the bucket, or as near as few tries find: the hash cannot be turned around. */
static void key_in_bucket(struct kad *kad, unsigned bucket, uint8_t out[static MULTIHASH_LEN])
{
	uint8_t one[MULTIHASH_LEN] = { 0x12, 0x20 };
	unsigned best = 0;

	for (unsigned i = 0; i < KEY_TRIES_MAX; i++) {
		struct place id;
		unsigned common;

		random_fill(kad->random, one + 2, sizeof(one) - 2);
		id = place_of_key(bytes_of(one, sizeof(one)));
		common = place_common(&kad->table.id, &id);
		if (i == 0 || (common > best && common <= bucket)) {
			best = common;
			memcpy(out, one, sizeof(one));
		}
		if (best == bucket)
			return;
	}
}

static void refresh_next(struct kad *kad)
{
	uint8_t key[MULTIHASH_LEN];
	unsigned bucket;

	if (!kad_bucket_refresh_due(&kad->table, kad->upkeep.round_ms, kad_now(kad) + 1, &bucket))
		return;
	key_in_bucket(kad, bucket, key);
	kad->upkeep.drawn = true;
	refresh_walk(kad, bytes_of(key, sizeof(key)));
}

/* A round: ourselves first, then bucket after bucket. */
static void refresh(void *ctx)
{
	struct kad *kad = ctx;

	timer_start(kad->timers, &kad->upkeep.refresh, kad->config.refresh_ms, refresh, kad);
	/* After a long time offline the table is empty; the saved peers may be reachable again. */
	if (kad->table.peers == 0)
		kad_load_peers(kad);
	if (kad->table.peers == 0 || kad->upkeep.walk.running)
		return;
	kad->upkeep.round_ms = kad_now(kad) + 1;
	kad->upkeep.drawn = false;
	refresh_walk(kad, peer_id_bytes(&kad->table.self));
}

void kad_upkeep_first_peer(struct kad *kad)
{
	timer_start(kad->timers, &kad->upkeep.refresh, FIRST_LOOK_MS, refresh, kad);
}

/* ---- our values ---- */

static void tell_again(void *ctx)
{
	kad_upkeep_tell_again(ctx);
}

static void on_told(void *ctx, int err, unsigned count)
{
	struct kad *kad = ctx;

	(void)err; /* peers that were not reached are tried again in KAD_VALUE_RETRY_MS */
	(void)count;
	kad->upkeep.telling = NULL;
	timer_start(kad->timers, &kad->upkeep.again, NEXT_VALUE_MS, tell_again, kad);
}

void kad_upkeep_tell_again(struct kad *kad)
{
	struct kad_upkeep *up = &kad->upkeep;
	const struct kad_value *value = NULL;
	struct buf key = { 0 };

	timer_start(kad->timers, &up->again, KAD_VALUE_RETRY_MS, tell_again, kad);
	if (up->telling || kad->table.peers == 0)
		return;
	/* An expired value is dropped here, and is not due any more. */
	while (!value && kad_values_due(&kad->values, wallclock_ns(), &key)) {
		value = kad_values_get(&kad->values, buf_bytes(&key), wallclock_ns());
		if (!value)
			buf_clear(&key);
	}
	if (value)
		up->telling =
			kad_query_put_value(&kad->router, buf_bytes(&key), buf_bytes(&value->value),
					    kad_now(kad) + TELL_MS, on_told, kad);
	buf_release(&key);
}

/* ---- start and end ---- */

static void sweep(void *ctx)
{
	struct kad *kad = ctx;

	kad_providers_sweep(&kad->providers, kad_wall_ms());
	kad_values_sweep(&kad->values, wallclock_ns());
	timer_start(kad->timers, &kad->upkeep.sweep, SWEEP_MS, sweep, kad);
}

static void take_list(struct kad_upkeep *up, const struct multiaddr *addrs, size_t count)
{
	if (count > KAD_BOOTSTRAP_MAX)
		count = KAD_BOOTSTRAP_MAX;
	up->addrs = xcalloc(count + 1, sizeof(*up->addrs));
	up->peers = xcalloc(count + 1, sizeof(*up->peers));
	for (size_t i = 0; i < count; i++) {
		up->addrs[up->count] = addrs[i];
		if (multiaddr_split_peer(&up->addrs[up->count], &up->peers[up->count]))
			up->count++;
	}
}

void kad_upkeep_start(struct kad *kad)
{
	struct kad_upkeep *up = &kad->upkeep;

	take_list(up, kad->config.bootstrap, kad->config.bootstrap_count);
	kad->config.bootstrap = NULL;
	if (up->count > 0)
		timer_start(kad->timers, &up->dial, 0, boot, kad);
	if (!timer_running(&up->refresh))
		timer_start(kad->timers, &up->refresh, kad->config.refresh_ms, refresh, kad);
	timer_start(kad->timers, &up->sweep, SWEEP_MS, sweep, kad);
	timer_start(kad->timers, &up->again, KAD_VALUE_RETRY_MS, tell_again, kad);
}

void kad_upkeep_stop(struct kad *kad)
{
	struct kad_upkeep *up = &kad->upkeep;

	timer_stop(kad->timers, &up->dial);
	timer_stop(kad->timers, &up->refresh);
	timer_stop(kad->timers, &up->sweep);
	timer_stop(kad->timers, &up->again);
	routing_cancel(up->telling);
	for (size_t i = 0; i < KAD_BOOTSTRAP_DIALS_MAX; i++)
		swarm_cancel(up->dials[i].op);
	kad_walk_stop(&up->walk);
	free(up->addrs);
	free(up->peers);
}
