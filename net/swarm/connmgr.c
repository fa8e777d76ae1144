/* The connection manager: which connections to give up when there are too many, how many one
 * network may open, and how fast handshakes may come. It only counts and sorts; the swarm acts.
 * Loop thread. */
#include "net/swarm/connmgr.h"

#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/map.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NET_PREFIX_MAX 7 /* bytes */

struct mark {
	char *name;
	int worth;
	bool protects;
};

struct marked {
	struct mark marks[CONNMGR_TAGS_MAX];
	size_t count;
};

/* Connections from one network, and how many new ones it may still open. */
struct net_count {
	unsigned open;
	unsigned taken;	  /* of the burst */
	uint64_t at_ms;	  /* up to when refills are counted */
	struct list idle; /* of mgr->idle while nothing is open */
	uint8_t prefix[NET_PREFIX_MAX];
	size_t prefix_len;
};

struct connmgr {
	struct map peers;	/* peer id -> struct marked */
	struct map nets;	/* prefix -> struct net_count */
	struct list idle;	/* those with nothing open, longest so first */
	uint64_t handshakes_ms; /* when all that were begun are paid for */
};

struct connmgr *connmgr_new(void)
{
	struct connmgr *mgr = xnew(struct connmgr);

	list_init(&mgr->idle);
	return mgr;
}

static void free_values(struct map *map)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(map, &at, &key, &value))
		free(value);
	map_release(map);
}

void connmgr_free(struct connmgr *mgr)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	if (!mgr)
		return;
	while (map_next(&mgr->peers, &at, &key, &value)) {
		struct marked *marked = value;

		for (size_t i = 0; i < marked->count; i++)
			free(marked->marks[i].name);
	}
	free_values(&mgr->peers);
	free_values(&mgr->nets);
	free(mgr);
}

/* ---- tags and protection ---- */

static struct mark *find_mark(struct marked *marked, const char *name, bool protects)
{
	for (size_t i = 0; i < marked->count; i++)
		if (marked->marks[i].protects == protects &&
		    strcmp(marked->marks[i].name, name) == 0)
			return &marked->marks[i];
	return NULL;
}

/* Sets a tag or a protection of a peer, within the limits on peers and on tags. */
static int set_mark(struct connmgr *mgr, const struct peer_id *peer, const char *name, int worth,
		    bool protects)
{
	struct marked *marked = map_get(&mgr->peers, peer_id_bytes(peer));
	struct mark *mark = marked ? find_mark(marked, name, protects) : NULL;

	if (!mark) {
		if (!marked && mgr->peers.count >= CONNMGR_PEERS_MAX)
			return -EAGAIN;
		if (marked && marked->count == CONNMGR_TAGS_MAX)
			return -EAGAIN;
		if (!marked) {
			marked = xnew(struct marked);
			map_set(&mgr->peers, peer_id_bytes(peer), marked);
		}
		mark = &marked->marks[marked->count++];
		mark->name = xstrdup(name);
		mark->protects = protects;
	}
	mark->worth = worth;
	return 0;
}

static void clear_mark(struct connmgr *mgr, const struct peer_id *peer, const char *name,
		       bool protects)
{
	struct marked *marked = map_get(&mgr->peers, peer_id_bytes(peer));
	struct mark *mark = marked ? find_mark(marked, name, protects) : NULL;

	if (!mark)
		return;
	free(mark->name);
	*mark = marked->marks[--marked->count];
	if (marked->count == 0)
		free(map_remove(&mgr->peers, peer_id_bytes(peer)));
}

int connmgr_protect(struct connmgr *mgr, const struct peer_id *peer, const char *tag)
{
	return set_mark(mgr, peer, tag, 0, true);
}

void connmgr_unprotect(struct connmgr *mgr, const struct peer_id *peer, const char *tag)
{
	clear_mark(mgr, peer, tag, true);
}

int connmgr_tag(struct connmgr *mgr, const struct peer_id *peer, const char *tag, int worth)
{
	if (worth != 0)
		return set_mark(mgr, peer, tag, worth, false);
	clear_mark(mgr, peer, tag, false);
	return 0;
}

bool connmgr_protected(const struct connmgr *mgr, const struct peer_id *peer)
{
	const struct marked *marked = map_get(&mgr->peers, peer_id_bytes(peer));

	for (size_t i = 0; marked && i < marked->count; i++)
		if (marked->marks[i].protects)
			return true;
	return false;
}

int connmgr_worth(const struct connmgr *mgr, const struct peer_id *peer)
{
	const struct marked *marked = map_get(&mgr->peers, peer_id_bytes(peer));
	long long sum = 0;

	for (size_t i = 0; marked && i < marked->count; i++)
		sum += marked->marks[i].worth;
	return sum > INT_MAX ? INT_MAX : sum < INT_MIN ? INT_MIN : (int)sum;
}

const char *connmgr_tags_text(const struct connmgr *mgr, const struct peer_id *peer,
			      char out[static SWARM_TAGS_TEXT_MAX])
{
	const struct marked *marked = map_get(&mgr->peers, peer_id_bytes(peer));
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; marked && i < marked->count; i++) {
		const struct mark *mark = &marked->marks[i];

		if (mark->protects)
			continue;
		int n = snprintf(out + len, SWARM_TAGS_TEXT_MAX - len, "%s%s=%d", len ? " " : "",
				 mark->name, mark->worth);

		if (n < 0 || (size_t)n >= SWARM_TAGS_TEXT_MAX - len) {
			out[len] = '\0';
			break;
		}
		len += (size_t)n;
	}
	return out;
}

/* ---- trimming ---- */

static int by_worth(const void *a, const void *b)
{
	const struct connmgr_item *x = a, *y = b;

	if (x->worth != y->worth)
		return x->worth < y->worth ? -1 : 1;
	if (x->streams != y->streams)
		return x->streams < y->streams ? -1 : 1;
	if (x->outbound != y->outbound)
		return x->outbound ? 1 : -1;
	if (x->since_ms != y->since_ms)
		return x->since_ms > y->since_ms ? -1 : 1;
	return 0;
}

size_t connmgr_trim(const struct connmgr *mgr, struct connmgr_item *items, size_t count, size_t low,
		    size_t high, uint64_t grace_ms, uint64_t now_ms)
{
	size_t movable = 0;

	if (count <= high)
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct connmgr_item item = items[i];

		if (now_ms - item.since_ms < grace_ms || connmgr_protected(mgr, item.peer))
			continue;
		item.worth = connmgr_worth(mgr, item.peer);
		items[i] = items[movable];
		items[movable++] = item;
	}
	qsort(items, movable, sizeof(*items), by_worth);
	/* Those that stay anyhow do not count: otherwise a crowd of newcomers, or many protected
	 * ones, would have all others trimmed, and among them peers at work. */
	return movable > low ? movable - low : 0;
}

/* ---- limits per network ---- */

struct net_limit {
	size_t prefix; /* bytes */
	unsigned open_max;
	unsigned burst; /* 0: no rate limit */
	uint64_t refill_ms;
};

static const struct net_limit ip4_limits[] = {
	{ 4, CONNMGR_PER_IP4, CONNMGR_BURST_IP4, CONNMGR_REFILL_IP4_MS },
};

static const struct net_limit ip6_limits[] = {
	{ 7, CONNMGR_PER_IP6_56, 0, 0 },
	{ 6, CONNMGR_PER_IP6_48, CONNMGR_BURST_IP6, CONNMGR_REFILL_IP6_MS },
};

/* The limits for addr and its ip; 0 when none apply. */
static size_t limits_for(const struct multiaddr *addr, const struct net_limit **limits,
			 struct bytes *ip)
{
	struct multiaddr_part part;

	if (multiaddr_scope(addr) == SCOPE_LOOPBACK)
		return 0;
	if (multiaddr_find(addr, MA_IP4, &part)) {
		*limits = ip4_limits;
		*ip = part.value;
		return ARRAY_LEN(ip4_limits);
	}
	if (multiaddr_find(addr, MA_IP6, &part)) {
		*limits = ip6_limits;
		*ip = part.value;
		return ARRAY_LEN(ip6_limits);
	}
	return 0;
}

static void refill(struct net_count *net, const struct net_limit *limit, uint64_t now_ms)
{
	uint64_t earned = limit->refill_ms ? (now_ms - net->at_ms) / limit->refill_ms : 0;

	if (earned == 0)
		return;
	net->taken = net->taken > earned ? net->taken - (unsigned)earned : 0;
	net->at_ms = net->taken == 0 ? now_ms : net->at_ms + earned * limit->refill_ms;
}

/* The counter of a network, taken off the idle list until net_settle(). NULL: all counters have
 * connections. The counter that is idle for longest makes room, so that the owner of many networks
 * cannot shut out others. */
static struct net_count *net_of(struct connmgr *mgr, struct bytes prefix, uint64_t now_ms)
{
	struct net_count *net = map_get(&mgr->nets, prefix);

	if (net) {
		list_remove(&net->idle);
		return net;
	}
	if (mgr->nets.count >= CONNMGR_IPS_MAX) {
		if (list_empty(&mgr->idle))
			return NULL;
		struct net_count *old = list_first(&mgr->idle, struct net_count, idle);

		list_remove(&old->idle);
		map_remove(&mgr->nets, bytes_of(old->prefix, old->prefix_len));
		free(old);
	}
	net = xnew(struct net_count);
	net->at_ms = now_ms;
	list_init(&net->idle);
	memcpy(net->prefix, prefix.at, prefix.len);
	net->prefix_len = prefix.len;
	map_set(&mgr->nets, prefix, net);
	return net;
}

static void net_settle(struct connmgr *mgr, struct net_count *net)
{
	if (net->open == 0)
		list_add_tail(&mgr->idle, &net->idle);
}

static bool has_room(struct net_count *net, const struct net_limit *limit, uint64_t now_ms)
{
	refill(net, limit, now_ms);
	return net->open < limit->open_max && (!limit->burst || net->taken < limit->burst);
}

int connmgr_ip_enter(struct connmgr *mgr, const struct multiaddr *addr, uint64_t now_ms)
{
	const struct net_limit *limits;
	struct bytes ip;
	size_t count = limits_for(addr, &limits, &ip);
	struct net_count *nets[2];
	size_t had = 0;
	bool room = true;

	while (room && had < count) {
		const struct net_limit *limit = &limits[had];

		nets[had] = net_of(mgr, bytes_of(ip.at, limit->prefix), now_ms);
		room = nets[had] && has_room(nets[had], limit, now_ms);
		had += nets[had] != NULL;
	}
	for (size_t i = 0; i < had; i++) {
		nets[i]->open += room;
		nets[i]->taken += room;
		net_settle(mgr, nets[i]);
	}
	return room ? 0 : -EAGAIN;
}

void connmgr_ip_leave(struct connmgr *mgr, const struct multiaddr *addr)
{
	const struct net_limit *limits;
	struct bytes ip;
	size_t count = limits_for(addr, &limits, &ip);

	for (size_t i = 0; i < count; i++) {
		struct net_count *net = map_get(&mgr->nets, bytes_of(ip.at, limits[i].prefix));

		if (net && net->open > 0 && --net->open == 0)
			net_settle(mgr, net);
	}
}

/* ---- handshakes of all networks ---- */

void connmgr_handshake(struct connmgr *mgr, const struct multiaddr *addr, uint64_t now_ms)
{
	bool local = multiaddr_scope(addr) == SCOPE_LOOPBACK;

	if (mgr->handshakes_ms < now_ms)
		mgr->handshakes_ms = now_ms;
	mgr->handshakes_ms += local ? CONNMGR_HANDSHAKE_LOCAL_MS : CONNMGR_HANDSHAKE_MS;
}

uint64_t connmgr_handshake_wait_ms(const struct connmgr *mgr, uint64_t now_ms)
{
	uint64_t most = now_ms + (uint64_t)(CONNMGR_HANDSHAKES - 1) * CONNMGR_HANDSHAKE_MS;

	return mgr->handshakes_ms > most ? mgr->handshakes_ms - most : 0;
}
