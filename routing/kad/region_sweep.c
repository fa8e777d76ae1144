/* Announces all keys of one region together: learns the peers of the region by a few lookups,
 * then tells each of them all the keys it is near to over one stream. This costs far less than
 * one lookup for each key. Loop thread. */
#include "routing/kad/region_sweep.h"

#include "routing/kad/kad.h"
#include "routing/kad/query.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * start -> walk to the key -> [gap? -> walk into it]* -> pass -> over
 *                                                        ^  |  more keys of the region
 *                                                        +--+
 * pass: for each peer of the region a telling: ADD_PROVIDER... -> GET_PROVIDERS -> answer
 *
 * The question is about the key sent last. Any answer to it shows that the keys before it arrived.
 * An answer without us is counted: that peer takes no more.
 *
 * What one lookup proves: when the k-th nearest to its target shares c bits with it, every peer
 * that shares c + 1 or more was nearer, so all of those are known. The other half of the prefix of
 * c bits is the gap that remains, and the next lookup goes there.
 *
 * Peers that somebody placed around a key are nearer than chance puts any: the region is then as
 * large as netsize.h tells, and all peers of it are told that are as near as k honest ones were.
 */

#define DEFER_BITS 8 /* of a region that is not known: how much of it waits */
#define ROOM_MS 200  /* when the client was full, it is tried again after this */

struct telling;

struct slot {
	struct telling *telling;
	struct kad_call *call;
};

/* One peer is told its keys. */
struct telling {
	struct list node;
	struct kad_region_sweep *sweep;
	size_t peer;   /* in sweep->map */
	size_t at;     /* the next of sweep->keys */
	size_t sent;   /* the key that was sent last */
	unsigned open; /* calls */
	bool confirming;
	struct slot slots[KAD_SWEEP_CALLS_MAX];
};

static void pass(struct kad_region_sweep *sweep);
static void explore(struct kad_region_sweep *sweep);
static void on_soon(void *ctx);

/* ---- ends ---- */

static void telling_free(struct telling *telling)
{
	for (unsigned i = 0; i < KAD_SWEEP_CALLS_MAX; i++)
		kad_client_cancel(telling->slots[i].call);
	list_remove(&telling->node);
	telling->sweep->telling_count--;
	free(telling);
}

static void let_go(struct kad_region_sweep *sweep, struct due_key *key)
{
	key->held = false;
	if (key->gone)
		due_drop(sweep->set, key);
}

/* One whose pass is over: told, or it waits. */
static void region_sweep_settle(struct kad_region_sweep *sweep, struct due_key *key, bool took)
{
	if (key->gone || took) {
		if (!key->gone)
			sweep->told(sweep->ctx, key);
		key->gone = true;
	} else {
		key->waits = true;
		sweep->failed++;
	}
	let_go(sweep, key);
}

static void pass_release(struct kad_region_sweep *sweep)
{
	while (!list_empty(&sweep->tellings))
		telling_free(list_first(&sweep->tellings, struct telling, node));
	for (size_t i = 0; i < sweep->count; i++)
		let_go(sweep, sweep->keys[i]);
	free(sweep->keys);
	free(sweep->last);
	free(sweep->took);
	free(sweep->addrs);
	sweep->keys = NULL;
	sweep->last = NULL;
	sweep->took = NULL;
	sweep->addrs = NULL;
	sweep->count = sweep->addr_count = 0;
}

void kad_region_sweep_stop(struct kad_region_sweep *sweep)
{
	if (!sweep->running)
		return;
	timer_stop(sweep->kad->timers, &sweep->soon);
	kad_walk_stop(&sweep->walk);
	pass_release(sweep);
	kad_region_map_release(&sweep->map);
	buf_release(&sweep->target);
	sweep->running = false;
}

static void over(struct kad_region_sweep *sweep)
{
	size_t failed = sweep->failed;

	kad_region_sweep_stop(sweep);
	sweep->done(sweep->ctx, failed);
}

static void defer(struct kad_region_sweep *sweep, const struct place_region *region)
{
	struct place_region part = region->bits < sweep->bounds.bits ? sweep->bounds : *region;

	sweep->failed += due_defer(sweep->set, &part);
}

/* ---- telling a peer ---- */

static const struct kad_region_peer *peer_of(const struct telling *telling)
{
	return &telling->sweep->map.peers[telling->peer];
}

/* The next key from at on whose k nearest have the peer among them; count when there is none. */
static size_t next_key(const struct kad_region_sweep *sweep, size_t peer, size_t at)
{
	const struct kad_region_peer *peers = sweep->map.peers;

	while (at < sweep->count &&
	       place_closer(&sweep->keys[at]->id, &peers[peer].id, &peers[sweep->last[at]].id) > 0)
		at++;
	return at;
}

/* Its calls are through, or one failed. */
static void telling_over(struct telling *telling, bool confirmed)
{
	struct kad_region_sweep *sweep = telling->sweep;
	size_t at = next_key(sweep, telling->peer, 0);

	for (; confirmed && at < sweep->count; at = next_key(sweep, telling->peer, at + 1))
		sweep->took[at] = true;
	telling_free(telling);
	timer_start(sweep->kad->timers, &sweep->soon, 0, on_soon, sweep);
}

static void telling_pump(struct telling *telling);

struct search {
	const struct peer_id *peer;
	size_t seen;
	bool found;
};

static int look_for(void *ctx, const struct kad_msg_peer *peer)
{
	struct search *search = ctx;

	search->seen++;
	search->found = peer_id_equal(&peer->id, search->peer);
	return search->found;
}

/* The answer to the question behind the keys. An answer with many providers may have left us out.
 */
static int confirm(const struct telling *telling, struct bytes answer)
{
	struct kad_region_sweep *sweep = telling->sweep;
	struct search search = { .peer = &sweep->kad->table.self };
	struct kad_msg msg;

	if (kad_msg_decode(&msg, answer) || msg.type != KAD_GET_PROVIDERS)
		return -EBADMSG;
	kad_msg_peers(answer, KAD_PROVIDERS, look_for, &search);
	sweep->confirmed++;
	if (!search.found && search.seen < KAD_SWEEP_PROVIDERS_MANY)
		sweep->unkept++;
	return 0;
}

static void on_called(void *ctx, int err, struct bytes answer)
{
	struct slot *slot = ctx;
	struct telling *telling = slot->telling;
	struct kad *kad = telling->sweep->kad;

	slot->call = NULL;
	telling->open--;
	if (!err && telling->confirming)
		err = confirm(telling, answer);
	if (err) {
		kad_peer_failed(kad, &peer_of(telling)->peer, err);
		telling_over(telling, false);
	} else if (telling->confirming) {
		kad_peer_answered(kad, &peer_of(telling)->peer);
		telling_over(telling, true);
	} else {
		telling_pump(telling);
	}
}

/* False: no room for it now. */
static bool call(struct telling *telling, enum kad_type type, const struct due_key *key)
{
	struct kad_region_sweep *sweep = telling->sweep;
	struct kad *kad = sweep->kad;
	struct buf request = { 0 };
	struct slot *slot = telling->slots;

	while (slot->call)
		slot++;
	kad_msg_begin(&request, type, due_key_bytes(key));
	if (type == KAD_ADD_PROVIDER)
		kad_msg_peer(&request, KAD_PROVIDERS, &kad->table.self, sweep->addrs,
			     sweep->addr_count, KAD_NOT_CONNECTED, KAD_OWN_MAX - 4);
	kad_msg_end(&request);
	slot->telling = telling;
	slot->call = kad_client_call(kad->client, &peer_of(telling)->peer, buf_bytes(&request),
				     type == KAD_GET_PROVIDERS, kad_now(kad) + KAD_SEND_MS,
				     on_called, slot);
	buf_release(&request);
	telling->open += slot->call != NULL;
	return slot->call != NULL;
}

/* Fill its slots; behind the last key comes the question. */
static void telling_pump(struct telling *telling)
{
	struct kad_region_sweep *sweep = telling->sweep;
	bool room = true;

	while (room && !telling->confirming && telling->open < KAD_SWEEP_CALLS_MAX) {
		telling->at = next_key(sweep, telling->peer, telling->at);
		if (telling->at < sweep->count) {
			room = call(telling, KAD_ADD_PROVIDER, sweep->keys[telling->at]);
			telling->sent = telling->at;
			telling->at += room;
		} else if (telling->open > 0) {
			return;
		} else {
			room = call(telling, KAD_GET_PROVIDERS, sweep->keys[telling->sent]);
			telling->confirming = room;
		}
	}
	if (!room)
		timer_start(sweep->kad->timers, &sweep->soon, ROOM_MS, on_soon, sweep);
}

static void telling_start(struct kad_region_sweep *sweep, size_t peer)
{
	struct telling *telling;

	if (next_key(sweep, peer, 0) == sweep->count)
		return;
	telling = xnew(struct telling);
	telling->sweep = sweep;
	telling->peer = peer;
	list_add_tail(&sweep->tellings, &telling->node);
	sweep->telling_count++;
	telling_pump(telling);
}

/* ---- a pass ---- */

/* What was confirmed is done, the rest waits. */
static void pass_over(struct kad_region_sweep *sweep)
{
	size_t told = 0, count = sweep->count;

	sweep->count = 0;
	for (size_t i = 0; i < count; i++) {
		region_sweep_settle(sweep, sweep->keys[i], sweep->took[i]);
		told += sweep->took[i];
	}
	pass_release(sweep);
	if (told == 0)
		defer(sweep, &sweep->inside);
	if (kad_now(sweep->kad) - sweep->known_ms < KAD_SWEEP_FRESH_MS)
		pass(sweep);
	else
		over(sweep);
}

static void on_soon(void *ctx)
{
	struct kad_region_sweep *sweep = ctx;

	list_for_each_safe(telling, &sweep->tellings, struct telling, node)
		telling_pump(telling);
	while (sweep->telling_count < KAD_SWEEP_PEERS_MAX && sweep->next < sweep->map.count)
		telling_start(sweep, sweep->next++);
	if (sweep->telling_count == 0)
		pass_over(sweep);
}

/* Takes the keys of the region that are due and tells them to its peers. For each key the last
 * peer to be told is computed first. */
static void pass(struct kad_region_sweep *sweep)
{
	struct kad *kad = sweep->kad;
	uint64_t reach = kad_netsize_reach(&kad->netsize);

	sweep->keys = xcalloc(KAD_SWEEP_PASS_MAX, sizeof(*sweep->keys));
	sweep->count = due_take(sweep->set, &sweep->inside, sweep->keys, KAD_SWEEP_PASS_MAX);
	if (sweep->count == 0) {
		over(sweep);
		return;
	}
	sweep->last = xcalloc(sweep->count, sizeof(*sweep->last));
	sweep->took = xcalloc(sweep->count, sizeof(*sweep->took));
	sweep->addrs = xcalloc(KAD_OWN_ADDRS_MAX, sizeof(*sweep->addrs));
	sweep->addr_count = kad_own_addrs(kad, sweep->addrs, KAD_OWN_ADDRS_MAX);
	for (size_t i = 0; i < sweep->count; i++) {
		sweep->keys[i]->held = true;
		sweep->last[i] = (uint16_t)kad_region_map_last(&sweep->map, &sweep->keys[i]->id,
							       kad->config.k, reach);
	}
	sweep->next = 0;
	timer_start(kad->timers, &sweep->soon, 0, on_soon, sweep);
}

/* ---- looking around ---- */

/* What the walk found, into the map; returns how many bits a peer must share with the target to be
 * known for certain (0: all peers are known), or -errno. */
static int take_walk(struct kad_region_sweep *sweep, int err)
{
	struct kad_lookup *lookup = &sweep->walk.lookup;
	struct place_region known = { .id = lookup->target };
	struct peer_id near[KAD_K_MAX];
	unsigned k = sweep->kad->config.k;
	size_t count = kad_lookup_closest(lookup, near, k);

	for (size_t i = 0; i < count; i++)
		kad_region_map_add(&sweep->map, &near[i]);
	if (count == k) {
		struct place far = place_of_key(peer_id_bytes(&near[k - 1]));

		known.bits = place_common(&known.id, &far) + 1;
		if (known.bits > PLACE_BITS)
			known.bits = PLACE_BITS;
	} else if (err || count == 0) {
		return err ? err : -EHOSTUNREACH;
	}
	kad_region_map_cover(&sweep->map, &known);
	return (int)known.bits;
}

static void walk_to(struct kad_region_sweep *sweep, struct bytes key, kad_walk_done_fn *done)
{
	struct kad *kad = sweep->kad;

	buf_clear(&sweep->target);
	buf_add(&sweep->target, key);
	sweep->walks++;
	kad_walk_start(&sweep->walk, kad, KAD_FIND_NODE, buf_bytes(&sweep->target),
		       kad_now(kad) + KAD_SWEEP_WALK_MS, NULL, done, sweep);
	/* Not only the nearest matter here: all k are asked while there is still to be learned. */
	sweep->walk.lookup.beta = kad->config.k;
	for (size_t i = 0; i < sweep->map.count; i++)
		kad_lookup_seed(&sweep->walk.lookup, &sweep->map.peers[i].peer);
}

/* The first lookup has ended, and shows how large the region is that it proves. If several keys
 * are due there, the rest of the region is explored. */
static void on_first(void *ctx, int err)
{
	struct kad_region_sweep *sweep = ctx;
	struct place_region around = { .id = sweep->walk.lookup.target };
	uint64_t reach = kad_netsize_reach(&sweep->kad->netsize);
	bool dense = kad_netsize_is_dense(reach, kad_lookup_reach(&sweep->walk.lookup));
	int bits = take_walk(sweep, err);

	kad_walk_stop(&sweep->walk);
	if (bits < 0) {
		around.bits = sweep->map.count > 0 ? DEFER_BITS : 0;
		defer(sweep, &around);
		over(sweep);
		return;
	}
	around.bits = bits > 0 ? (unsigned)bits - 1 : 0;
	if (dense)
		around = place_region_around(&around.id, reach);
	sweep->region = around;
	sweep->inside = around.bits > sweep->bounds.bits ? around : sweep->bounds;
	if (dense || due_take(sweep->set, &sweep->inside, NULL, 2) > 1) {
		explore(sweep);
		return;
	}
	around.bits = PLACE_BITS;
	sweep->inside = around;
	sweep->known_ms = kad_now(sweep->kad);
	pass(sweep);
}

static void on_explored(void *ctx, int err)
{
	struct kad_region_sweep *sweep = ctx;

	if (take_walk(sweep, err) < 0)
		kad_region_map_cover(&sweep->map, &sweep->gap); /* nobody that we could reach */
	kad_walk_stop(&sweep->walk);
	explore(sweep);
}

/* A key that lies in the gap, ours or any. */
static bool region_sweep_draw(struct kad_region_sweep *sweep, struct buf *out)
{
	struct place zero = { 0 };
	struct due_key *own = due_next(sweep->set, &sweep->gap, &zero);
	uint8_t one[PLACE_DRAWN_LEN];

	if (own)
		buf_add(out, due_key_bytes(own));
	else if (place_region_draw(&sweep->gap, sweep->kad->random, one))
		buf_add(out, bytes_of(one, sizeof(one)));
	return out->len > 0;
}

static void explore(struct kad_region_sweep *sweep)
{
	struct buf key = { 0 };

	if (sweep->walks < KAD_SWEEP_WALKS_MAX &&
	    kad_region_map_gap(&sweep->map, &sweep->region, &sweep->gap) &&
	    region_sweep_draw(sweep, &key)) {
		walk_to(sweep, buf_bytes(&key), on_explored);
		buf_release(&key);
		return;
	}
	sweep->known_ms = kad_now(sweep->kad);
	pass(sweep);
}

/* ---- start ---- */

void kad_region_sweep_init(struct kad_region_sweep *sweep, struct kad *kad, struct due_set *set,
			   const struct place_region *bounds, kad_sweep_told_fn *told,
			   kad_sweep_done_fn *done, void *ctx)
{
	*sweep = (struct kad_region_sweep){
		.kad = kad, .set = set, .bounds = *bounds, .told = told, .done = done, .ctx = ctx
	};
	list_init(&sweep->tellings);
}

void kad_region_sweep_start(struct kad_region_sweep *sweep, const struct due_key *key)
{
	assert(!sweep->running && place_region_has(&sweep->bounds, &key->id));
	sweep->running = true;
	sweep->walks = 0;
	sweep->failed = 0;
	sweep->confirmed = sweep->unkept = 0;
	walk_to(sweep, due_key_bytes(key), on_first);
}
