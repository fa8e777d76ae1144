/* What all parts of a Kademlia node stand on: its clocks and addresses, the routing table with the
 * copy of it in the db, and whether it serves. Peers enter the table when they answer or identify.
 * Loop thread. */
#include "routing/kad/kad.h"

#include "net/base/log.h"
#include "net/base/wait.h"
#include "net/db/db.h"
#include "net/wire/varint.h"

#include <errno.h>
#include <stdlib.h>

#define OWN_ADDRS_LOOK 256 /* of our own addresses, before the filter */
#define NS_PER_MS 1000000
#define SAVED_PEERS_MAX 2000
#define SAVED_ADDRS_MAX 8
#define SAVED_ADDR_TTL_MS (24ull * 3600 * 1000)
#define ONLINE_MS 5000 /* an answer this young shows that we are not offline */

uint64_t kad_now(const struct kad *kad)
{
	return timers_now(kad->timers);
}

uint64_t kad_wall_ms(void)
{
	return wallclock_ns() / NS_PER_MS;
}

size_t kad_own_addrs(void *ctx, struct multiaddr *addrs, size_t max)
{
	const struct kad *kad = ctx;
	struct multiaddr *all = xcalloc(OWN_ADDRS_LOOK, sizeof(*all));
	size_t count = swarm_listen_addrs(kad->swarm, all, OWN_ADDRS_LOOK);

	count = kad_filter_addrs(&kad->filter, all,
				 count < OWN_ADDRS_LOOK ? count : OWN_ADDRS_LOOK);
	if (count > max)
		count = max;
	for (size_t i = 0; i < count; i++)
		addrs[i] = all[i];
	free(all);
	return count;
}

/* ---- the table, and which peers are in it ---- */

static void save_peer(struct kad *kad, const struct peer_id *peer, const struct multiaddr *addrs,
		      size_t count)
{
	struct buf value = { 0 };

	if (!kad->db)
		return;
	for (size_t i = 0; i < count && i < SAVED_ADDRS_MAX; i++) {
		buf_add_uvarint(&value, addrs[i].len);
		buf_add(&value, multiaddr_bytes(&addrs[i]));
	}
	db_post(kad->db, kad->peers_table, peer_id_bytes(peer), buf_bytes(&value));
	buf_release(&value);
}

static void forget_peer(struct kad *kad, const struct peer_id *peer)
{
	if (kad->db)
		db_post(kad->db, kad->peers_table, peer_id_bytes(peer), bytes_of(NULL, 0));
}

struct nearness {
	const struct peer_id *peer;
	bool near;
};

static int look_near(void *ctx, const struct swarm_peer *peer)
{
	struct nearness *nearness = ctx;

	if (peer_id_equal(&peer->id, nearness->peer) &&
	    multiaddr_scope(&peer->addr) != SCOPE_PUBLIC)
		nearness->near = true;
	return nearness->near;
}

/* A peer of the local network is one that we are connected to without crossing the public net:
 * distant nodes speak the local protocol too. */
static bool belongs(const struct kad *kad, const struct peer_id *peer,
		    const struct multiaddr *addrs, size_t count)
{
	struct nearness nearness = { .peer = peer };

	if (!kad_filter_peer(&kad->filter, addrs, count))
		return false;
	if (!kad->filter.lan)
		return true;
	swarm_each_peer(kad->swarm, look_near, &nearness);
	return nearness.near;
}

static int peer_insert(struct kad *kad, const struct peer_id *peer, const struct multiaddr *addrs,
		       size_t count)
{
	struct peer_id replaced;
	unsigned before = kad->table.peers;
	int err = kad_bucket_add(&kad->table, peer, kad_filter_group(&kad->filter, addrs, count),
				 kad_now(kad), &replaced);

	if (err)
		return err;
	kad_near_changed(kad);
	if (peer_id_is_set(&replaced))
		forget_peer(kad, &replaced);
	if (before == 0)
		kad->on_first_peer(kad);
	return 0;
}

static bool peer_leave(struct kad *kad, const struct peer_id *peer)
{
	if (!kad_bucket_remove(&kad->table, peer))
		return false;
	kad_near_changed(kad);
	return true;
}

void kad_peer_answered(struct kad *kad, const struct peer_id *peer)
{
	struct multiaddr addrs[KAD_SERVER_ADDRS_MAX];
	size_t count;

	kad->answered_ms = kad_now(kad);
	if (kad_bucket_has(&kad->table, peer)) {
		kad_bucket_useful(&kad->table, peer, kad_now(kad));
		return;
	}
	count = swarm_peer_addrs(kad->swarm, peer, addrs, KAD_SERVER_ADDRS_MAX);
	count = kad_filter_addrs(&kad->filter, addrs, count);
	if (belongs(kad, peer, addrs, count) && peer_insert(kad, peer, addrs, count) == 0)
		save_peer(kad, peer, addrs, count);
}

void kad_peer_failed(struct kad *kad, const struct peer_id *peer, int err)
{
	uint64_t now = kad_now(kad);

	if (err == -EAGAIN || err == -ECANCELED || !peer_leave(kad, peer))
		return;
	if (kad->answered_ms > 0 && now - kad->answered_ms < ONLINE_MS)
		forget_peer(kad, peer);
}

void kad_peer_unfit(struct kad *kad, const struct peer_id *peer)
{
	if (peer_leave(kad, peer))
		forget_peer(kad, peer);
}

/* ---- over restarts ---- */

struct loading {
	struct kad *kad;
	unsigned left;
};

/* One saved peer, back into the table. What does not fit or does not parse is deleted from the
 * db. */
static int load_peer(void *ctx, struct bytes key, struct bytes value)
{
	struct loading *loading = ctx;
	struct kad *kad = loading->kad;
	struct multiaddr addrs[SAVED_ADDRS_MAX];
	struct cursor c = cursor_over(value);
	struct peer_id peer;
	size_t count = 0;

	if (peer_id_from_bytes(&peer, key) == 0)
		while (count < SAVED_ADDRS_MAX && cursor_left(&c) > 0) {
			size_t len = cursor_uvarint(&c);
			struct bytes addr = cursor_take(&c, len);

			if (c.bad || multiaddr_from_bytes(&addrs[count], addr))
				break;
			count++;
		}
	count = kad_filter_addrs(&kad->filter, addrs, count);
	int err = kad_filter_peer(&kad->filter, addrs, count)
			  ? peer_insert(kad, &peer, addrs, count)
			  : -EBADMSG;

	if (err == -EEXIST)
		return 0;
	if (err) {
		db_post(kad->db, kad->peers_table, key, bytes_of(NULL, 0));
		return 0;
	}
	for (size_t i = count; i-- > 0;)
		swarm_add_addr(kad->swarm, &peer, &addrs[i], SAVED_ADDR_TTL_MS);
	return --loading->left == 0;
}

void kad_load_peers(struct kad *kad)
{
	struct loading loading = { .kad = kad, .left = SAVED_PEERS_MAX };
	struct db_txn *txn;

	if (!kad->db || db_begin(kad->db, false, &txn))
		return;
	db_each(txn, kad->peers_table, bytes_of(NULL, 0), bytes_of(NULL, 0), load_peer, &loading);
	db_abort(txn);
}

/* ---- the server ---- */

void kad_serve(struct kad *kad, bool serve)
{
	int err;

	if (serve == (kad->server != NULL))
		return;
	if (serve) {
		kad->server = kad_server_new(&kad->view, &err);
		if (!kad->server) {
			log_error("kad", "no server protocol=%s err=%d", kad->protocol, err);
			return;
		}
	} else {
		kad_server_free(kad->server);
		kad->server = NULL;
	}
	log_info("kad", "mode protocol=%s server=%d", kad->protocol, serve);
}
