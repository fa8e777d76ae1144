/* Peers that stay: each has a timer and at most one dial. A watch on the swarm tells of connections
 * that come and go; a slow timer looks which other peers stay, and remembers them. Loop thread.
 *
 *	WAITING --timer--> DIALLING --> connected --lost--> WAITING
 *	   ^                  |  given addresses, then known ones, then those that routing finds
 *	   +------ failed ----+  the delay doubles
 */
#include "net/peering/peering_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAG "peering"
#define LEARNT_TTL_MS (60ull * 60 * 1000)

struct peering {
	struct swarm *swarm;
	struct timers *timers;
	struct db *db;
	struct map by_id;
	struct list peers; /* struct kept, oldest first */
	struct swarm_watch watch;
	struct timer look;
	bool started;
};

static uint64_t wall_ms(void)
{
	return wallclock_ns() / 1000000;
}

static const char *name_of(const struct kept *kept, char out[static PEER_ID_TEXT_MAX])
{
	return peer_id_text(&kept->id, out);
}

/* ---- which there are ---- */

static struct kept *kept_find(const struct peering *peering, const struct peer_id *peer)
{
	return map_get(&peering->by_id, peer_id_bytes(peer));
}

static struct kept *kept_new(struct peering *peering, const struct peer_id *peer)
{
	struct kept *kept = xnew(struct kept);

	kept->peering = peering;
	kept->id = *peer;
	kept->delay_ms = PEERING_FIRST_MS;
	list_add_tail(&peering->peers, &kept->node);
	map_set(&peering->by_id, peer_id_bytes(peer), kept);
	return kept;
}

static void kept_rest(struct kept *kept)
{
	timer_stop(kept->peering->timers, &kept->timer);
	swarm_cancel(kept->op);
	kept->op = NULL;
	kept->sought = false;
}

static void kept_free(struct kept *kept)
{
	kept_rest(kept);
	map_remove(&kept->peering->by_id, peer_id_bytes(&kept->id));
	list_remove(&kept->node);
	free(kept->given);
	free(kept->learnt);
	free(kept);
}

static void kept_save(struct kept *kept)
{
	struct buf out = { 0 };
	struct db *db = kept->peering->db;

	if (!db)
		return;
	peering_record_encode(&out, kept);
	if (kept->why & (PEERING_ADDED | PEERING_ASKED))
		db_post(db, PEERING_TABLE, peer_id_bytes(&kept->id), buf_bytes(&out));
	else
		db_post_hint(db, PEERING_TABLE, peer_id_bytes(&kept->id), buf_bytes(&out));
	buf_release(&out);
}

/* It is no longer kept: its record goes too. */
static void kept_forget(struct kept *kept)
{
	struct peering *peering = kept->peering;

	if (kept->why)
		swarm_unprotect(peering->swarm, &kept->id, TAG);
	if (peering->db)
		db_post(peering->db, PEERING_TABLE, peer_id_bytes(&kept->id), (struct bytes){ 0 });
	kept_free(kept);
}

/* Of those for which is_of() holds, the one seen connected longest ago; *count of them. */
static struct kept *oldest(const struct peering *peering, bool (*is_of)(const struct kept *kept),
			   size_t *count)
{
	struct kept *found = NULL;

	*count = 0;
	list_for_each(kept, &peering->peers, struct kept, node) {
		if (!is_of(kept))
			continue;
		(*count)++;
		if (!found || kept->good_ms < found->good_ms)
			found = kept;
	}
	return found;
}

static bool is_firm(const struct kept *kept)
{
	return kept->why & (PEERING_CONFIG | PEERING_ADDED);
}

static bool is_asked(const struct kept *kept)
{
	return kept->why == PEERING_ASKED;
}

static bool is_recent(const struct kept *kept)
{
	return kept->why == 0;
}

/* Forgets the oldest of a kind until at most max are left. */
static void bound(struct peering *peering, bool (*is_of)(const struct kept *kept), size_t max)
{
	size_t count;

	for (;;) {
		struct kept *kept = oldest(peering, is_of, &count);

		if (count <= max)
			return;
		kept_forget(kept);
	}
}

/* ---- dialling ---- */

static void peering_dial(void *ctx);

static void wait_for(struct kept *kept, uint64_t delay_ms)
{
	struct peering *peering = kept->peering;

	timer_start(peering->timers, &kept->timer, delay_ms, peering_dial, kept);
}

/* By chance up to a quarter more or less: peers that lost each other do not meet again and again,
 * and those that lost one hub do not all come at once. */
static void dial_later(struct kept *kept)
{
	uint64_t delay_ms = kept->delay_ms;
	uint64_t wall = wall_ms();

	if (kept->why == PEERING_ASKED && wall > kept->good_ms + PEERING_ASKED_MS) {
		kept_forget(kept);
		return;
	}
	delay_ms -= delay_ms / 4;
	delay_ms += random_below(swarm_random(kept->peering->swarm), kept->delay_ms / 2 + 1);
	kept->delay_ms *= 2;
	if (kept->delay_ms > PEERING_LONGEST_MS)
		kept->delay_ms = PEERING_LONGEST_MS;
	wait_for(kept, delay_ms);
}

static void on_dialled(void *ctx, int err);

static void dial_with(struct kept *kept, size_t given_count)
{
	struct swarm *swarm = kept->peering->swarm;
	uint64_t deadline_ms = timers_now(kept->peering->timers) + PEERING_DIAL_MS;

	kept->op = swarm_connect(swarm, &kept->id, kept->given, given_count, deadline_ms,
				 on_dialled, kept);
}

static void peering_dial(void *ctx)
{
	struct kept *kept = ctx;
	struct swarm *swarm = kept->peering->swarm;

	if (swarm_is_connected(swarm, &kept->id))
		return;
	for (size_t i = kept->learnt_count; i-- > 0;)
		swarm_add_addr(swarm, &kept->id, &kept->learnt[i], LEARNT_TTL_MS);
	kept->sought = kept->given_count == 0;
	dial_with(kept, kept->given_count);
}

static void on_dialled(void *ctx, int err)
{
	struct kept *kept = ctx;
	char text[PEER_ID_TEXT_MAX];

	kept->op = NULL;
	if (!err || !kept->why)
		return;
	if (!kept->sought) { /* it may have moved */
		kept->sought = true;
		dial_with(kept, 0);
		return;
	}
	kept->attempts++;
	log_debug("peering", "not reached peer=%s attempts=%u err=%s", name_of(kept, text),
		  kept->attempts, err_text(err));
	dial_later(kept);
}

/* ---- what the swarm tells ---- */

static void peering_learn(struct kept *kept)
{
	struct multiaddr *addrs = xcalloc(PEERING_LEARNT_MAX, sizeof(*addrs));
	size_t count = swarm_peer_addrs(kept->peering->swarm, &kept->id, addrs, PEERING_LEARNT_MAX);

	kept->good_ms = wall_ms();
	if (!count) {
		free(addrs);
		return;
	}
	free(kept->learnt);
	kept->learnt = addrs;
	kept->learnt_count = count;
}

static void on_connected(void *ctx, const struct peer_id *peer)
{
	struct peering *peering = ctx;
	struct kept *kept = kept_find(peering, peer);
	char text[PEER_ID_TEXT_MAX];

	if (!kept)
		return;
	timer_stop(peering->timers, &kept->timer);
	kept->up_ms = timers_now(peering->timers);
	kept->attempts = 0;
	if (kept->why)
		log_info("peering", "connected peer=%s", name_of(kept, text));
}

static void peering_look(void *ctx);

static void on_identified(void *ctx, const struct peer_id *peer)
{
	struct peering *peering = ctx;
	struct kept *kept = kept_find(peering, peer);
	uint64_t soon = timers_now(peering->timers) + PEERING_SETTLED_MS + 1000;

	if (kept && kept->why) {
		peering_learn(kept);
		kept_save(kept);
	} else if (!timer_running(&peering->look) || peering->look.at_ms > soon) {
		timer_start_at(peering->timers, &peering->look, soon, peering_look, peering);
	}
}

static void on_disconnected(void *ctx, const struct peer_id *peer)
{
	struct peering *peering = ctx;
	struct kept *kept = kept_find(peering, peer);
	char text[PEER_ID_TEXT_MAX];

	if (!kept || !kept->why || !peering->started)
		return;
	/* One that is given up again and again is asked less often. */
	if (timers_now(peering->timers) - kept->up_ms >= PEERING_STEADY_MS)
		kept->delay_ms = PEERING_FIRST_MS;
	log_info("peering", "lost peer=%s", name_of(kept, text));
	if (!kept->op)
		dial_later(kept);
}

/* ---- peers that stay by themselves ---- */

struct settled {
	struct peer_id id;
	int worth;
};

struct settling {
	struct peering *peering;
	struct settled *at;
	size_t count, cap;
	bool others;
};

static int add_settled(void *ctx, const struct swarm_peer *peer)
{
	struct settling *settling = ctx;
	uint64_t now = timers_now(settling->peering->timers);

	if (!peer->identified || now - peer->since_ms < PEERING_SETTLED_MS) {
		settling->others = true;
		return 0;
	}
	if (settling->count == settling->cap) {
		settling->cap = settling->cap ? settling->cap * 2 : 16;
		settling->at = xrealloc(settling->at, settling->cap * sizeof(*settling->at));
	}
	settling->at[settling->count++] = (struct settled){ peer->id, peer->worth };
	return 0;
}

static int most_worth_first(const void *a, const void *b)
{
	const struct settled *x = a, *y = b;

	return x->worth < y->worth ? 1 : x->worth > y->worth ? -1 : 0;
}

static void peering_remember(struct peering *peering, const struct peer_id *peer)
{
	struct kept *kept = kept_find(peering, peer);
	struct multiaddr addr;

	if (!kept && !swarm_peer_addrs(peering->swarm, peer, &addr, 1))
		return; /* nothing to dial it at */
	if (!kept)
		kept = kept_new(peering, peer);
	peering_learn(kept);
	kept_save(kept);
}

/* Those of the most worth are remembered when there are too many. */
static void peering_look(void *ctx)
{
	struct peering *peering = ctx;
	struct settling settling = { .peering = peering };

	swarm_each_peer(peering->swarm, add_settled, &settling);
	if (settling.count)
		qsort(settling.at, settling.count, sizeof(*settling.at), most_worth_first);
	for (size_t i = 0; i < settling.count && i < PEERING_RECENT_MAX; i++)
		peering_remember(peering, &settling.at[i].id);
	bound(peering, is_recent, PEERING_RECENT_MAX);
	if (settling.others)
		timer_start(peering->timers, &peering->look, PEERING_SETTLED_MS, peering_look,
			    peering);
	else if (settling.count)
		timer_start(peering->timers, &peering->look, PEERING_LOOK_MS, peering_look,
			    peering);
	free(settling.at);
}

/* ---- adding and removing ---- */

static size_t add_given(struct multiaddr *out, size_t count, const struct multiaddr *addrs,
			size_t more)
{
	for (size_t i = 0; i < more && count < PEERING_GIVEN_MAX; i++) {
		bool had = false;

		for (size_t k = 0; k < count && !had; k++)
			had = multiaddr_equal(&out[k], &addrs[i]);
		if (!had)
			out[count++] = addrs[i];
	}
	return count;
}

static void set_given(struct kept *kept, const struct multiaddr *addrs, size_t count, bool keep)
{
	struct multiaddr *out = xcalloc(PEERING_GIVEN_MAX, sizeof(*out));
	size_t now = add_given(out, 0, addrs, count);

	if (keep)
		now = add_given(out, now, kept->given, kept->given_count);
	free(kept->given);
	kept->given = now ? xrealloc(out, now * sizeof(*out)) : NULL;
	if (!now)
		free(out);
	kept->given_count = now;
}

int peering_add(struct peering *peering, const struct peer_id *peer, const struct multiaddr *addrs,
		size_t count, unsigned why)
{
	struct kept *kept = kept_find(peering, peer);
	size_t firm;

	if (peer_id_equal(peer, swarm_self(peering->swarm)))
		return -EINVAL;
	oldest(peering, is_firm, &firm);
	if (why != PEERING_ASKED && !(kept && is_firm(kept)) && firm >= PEERING_PEERS_MAX)
		return -EAGAIN;
	if (!kept)
		kept = kept_new(peering, peer);
	set_given(kept, addrs, count, why == PEERING_ASKED);
	if (!kept->why)
		swarm_protect(peering->swarm, peer, TAG);
	kept->why |= why;
	if (why == PEERING_ASKED)
		kept->good_ms = wall_ms();
	if (kept->why & ~(unsigned)PEERING_CONFIG)
		kept_save(kept);
	bound(peering, is_asked, PEERING_ASKED_MAX);
	if (peering->started && !swarm_is_connected(peering->swarm, peer)) {
		kept_rest(kept);
		kept->delay_ms = PEERING_FIRST_MS;
		wait_for(kept, 0);
	}
	return 0;
}

bool peering_remove(struct peering *peering, const struct peer_id *peer, unsigned why)
{
	struct kept *kept = kept_find(peering, peer);
	bool was;

	if (!kept)
		return false;
	was = kept->why & why;
	if (!(kept->why & ~why)) {
		kept_forget(kept);
		return was;
	}
	kept->why &= ~why;
	kept_save(kept);
	return was;
}

void peering_each(const struct peering *peering,
		  void (*each)(void *ctx, const struct peering_peer *peer), void *ctx)
{
	uint64_t now = timers_now(peering->timers);

	list_for_each_safe(kept, &peering->peers, struct kept, node) {
		struct peering_peer peer = {
			.id = kept->id,
			.addrs = kept->given,
			.addr_count = kept->given_count,
			.why = kept->why,
			.connected = swarm_is_connected(peering->swarm, &kept->id),
			.attempts = kept->attempts,
		};

		if (timer_running(&kept->timer) && kept->timer.at_ms > now)
			peer.next_ms = kept->timer.at_ms - now;
		if (kept->why)
			each(ctx, &peer);
	}
}

/* ---- start and end ---- */

static int peering_load(void *ctx, struct bytes key, struct bytes value)
{
	struct peering *peering = ctx;
	struct peer_id id;
	struct kept *kept;

	if (peer_id_from_bytes(&id, key) != 0 || peer_id_equal(&id, swarm_self(peering->swarm))) {
		db_post(peering->db, PEERING_TABLE, key, (struct bytes){ 0 });
		return 0;
	}
	kept = kept_new(peering, &id);
	if (peering_record_decode(kept, value) != 0) {
		kept->why = 0;
		kept_forget(kept);
	} else if (kept->why) {
		swarm_protect(peering->swarm, &id, TAG);
	}
	return 0;
}

static void load_all(struct peering *peering)
{
	struct db_txn *txn;
	int err = db_begin(peering->db, false, &txn);

	if (!err) {
		err = db_each(txn, PEERING_TABLE, (struct bytes){ 0 }, (struct bytes){ 0 },
			      peering_load, peering);
		db_abort(txn);
	}
	if (err && err != -ENOENT)
		log_warn("peering", "not all kept peers were read err=%s", err_text(err));
	bound(peering, is_firm, PEERING_PEERS_MAX);
	bound(peering, is_asked, PEERING_ASKED_MAX);
	bound(peering, is_recent, PEERING_RECENT_MAX);
}

struct peering *peering_new(struct swarm *swarm, struct db *db)
{
	struct peering *peering = xnew(struct peering);

	peering->swarm = swarm;
	peering->timers = loop_timers(swarm_loop(swarm));
	peering->db = db;
	list_init(&peering->peers);
	if (db)
		load_all(peering);
	peering->watch = (struct swarm_watch){ .on_connected = on_connected,
					       .on_identified = on_identified,
					       .on_disconnected = on_disconnected,
					       .ctx = peering };
	swarm_watch(swarm, &peering->watch);
	return peering;
}

static int youngest_first(const void *a, const void *b)
{
	const struct kept *x = *(struct kept *const *)a, *y = *(struct kept *const *)b;

	return x->good_ms < y->good_ms ? 1 : x->good_ms > y->good_ms ? -1 : 0;
}

/* Once, and as addresses that others told. */
static void try_recent(void *ctx)
{
	struct kept *kept = ctx;
	struct peering *peering = kept->peering;

	if (!kept->why && !swarm_is_connected(peering->swarm, &kept->id))
		kept->op = swarm_connect_heard(
			peering->swarm, &kept->id, kept->learnt, kept->learnt_count,
			timers_now(peering->timers) + PEERING_DIAL_MS, on_dialled, kept);
}

void peering_start(struct peering *peering)
{
	struct kept *recent[PEERING_RECENT_MAX];
	size_t count = 0;
	uint64_t delay_ms = 0;

	peering->started = true;
	list_for_each_safe(kept, &peering->peers, struct kept, node) {
		if (kept->why == PEERING_ASKED && wall_ms() > kept->good_ms + PEERING_ASKED_MS)
			kept_forget(kept);
		else if (kept->why && !swarm_is_connected(peering->swarm, &kept->id))
			wait_for(kept, delay_ms++ * 10);
		else if (!kept->why && kept->learnt_count && count < PEERING_RECENT_MAX)
			recent[count++] = kept;
	}
	qsort(recent, count, sizeof(recent[0]), youngest_first);
	for (size_t i = 0; i < count && i < PEERING_START_MAX; i++)
		timer_start(peering->timers, &recent[i]->timer, 100 + i * 100, try_recent,
			    recent[i]);
}

void peering_free(struct peering *peering)
{
	if (!peering)
		return;
	swarm_unwatch(peering->swarm, &peering->watch);
	timer_stop(peering->timers, &peering->look);
	while (!list_empty(&peering->peers))
		kept_free(list_first(&peering->peers, struct kept, node));
	map_release(&peering->by_id);
	free(peering);
}
