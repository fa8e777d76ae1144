/* What a dial leaves alone: addresses that failed lately (back-off that grows with each failure),
 * and IP addresses that were tried too often within a time, so that nobody can have us flood a
 * third party. Loop thread. */
#include "net/swarm/dial_limit.h"

#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/map.h"

#include <stdlib.h>
#include <string.h>

#define IP4_PREFIX 4 /* bytes */
#define IP6_PREFIX 8

struct backoff {
	uint64_t until_ms;
	unsigned failures;
};

/* Attempts at one IP address since a time. */
struct ip_count {
	uint64_t since_ms;
	unsigned count;
	struct list node; /* of limit->by_age */
	uint8_t prefix[IP6_PREFIX];
	size_t prefix_len;
};

struct dial_limit {
	struct map backoffs; /* peer id | address -> struct backoff */
	struct map ips;	     /* prefix -> struct ip_count */
	struct list by_age;  /* the same, by since_ms */
};

struct dial_limit *dial_limit_new(void)
{
	struct dial_limit *limit = xnew(struct dial_limit);

	list_init(&limit->by_age);
	return limit;
}

/* ---- back-off ---- */

uint64_t dial_backoff_ms(unsigned failures)
{
	uint64_t n = failures > 20 ? 20 : failures;
	uint64_t ms = DIAL_BACKOFF_BASE_MS + DIAL_BACKOFF_STEP_MS * n * n;

	return ms > DIAL_BACKOFF_MAX_MS ? DIAL_BACKOFF_MAX_MS : ms;
}

static struct bytes backoff_key(uint8_t key[static PEER_ID_MAX + MULTIADDR_MAX],
				const struct peer_id *peer, const struct multiaddr *addr)
{
	memcpy(key, peer->bytes, peer->len);
	memcpy(key + peer->len, addr->bytes, addr->len);
	return bytes_of(key, (size_t)peer->len + addr->len);
}

/* Those whose time is over; all of them when that is not enough. */
static void forget_backoffs(struct dial_limit *limit, uint64_t now_ms, bool all)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(&limit->backoffs, &at, &key, &value)) {
		struct backoff *backoff = value;

		/* A finished wait still counts the failures for as long again. */
		if (all || backoff->until_ms + DIAL_BACKOFF_MAX_MS < now_ms) {
			map_remove(&limit->backoffs, key);
			free(backoff);
		}
	}
}

void dial_limit_failed(struct dial_limit *limit, const struct peer_id *peer,
		       const struct multiaddr *addr, uint64_t now_ms)
{
	uint8_t bytes[PEER_ID_MAX + MULTIADDR_MAX];
	struct bytes key = backoff_key(bytes, peer, addr);
	struct backoff *backoff = map_get(&limit->backoffs, key);

	if (!backoff) {
		if (limit->backoffs.count >= DIAL_BACKOFFS_MAX)
			forget_backoffs(limit, now_ms, false);
		if (limit->backoffs.count >= DIAL_BACKOFFS_MAX)
			forget_backoffs(limit, now_ms, true);
		backoff = xnew(struct backoff);
		map_set(&limit->backoffs, key, backoff);
	}
	backoff->until_ms = now_ms + dial_backoff_ms(backoff->failures);
	backoff->failures++;
}

bool dial_limit_backs_off(const struct dial_limit *limit, const struct peer_id *peer,
			  const struct multiaddr *addr, uint64_t now_ms)
{
	uint8_t bytes[PEER_ID_MAX + MULTIADDR_MAX];
	const struct backoff *backoff = map_get(&limit->backoffs, backoff_key(bytes, peer, addr));

	return backoff && now_ms < backoff->until_ms;
}

/* ---- attempts per IP address ---- */

/* Empty: not counted. */
static struct bytes prefix_of(const struct multiaddr *addr, struct multiaddr_part *ip)
{
	if (multiaddr_scope(addr) == SCOPE_LOOPBACK)
		return (struct bytes){ 0 };
	if (multiaddr_find(addr, MA_IP4, ip))
		return bytes_of(ip->value.at, IP4_PREFIX);
	if (multiaddr_find(addr, MA_IP6, ip))
		return bytes_of(ip->value.at, IP6_PREFIX);
	return (struct bytes){ 0 };
}

static struct ip_count *count_of(const struct dial_limit *limit, const struct multiaddr *addr)
{
	struct multiaddr_part ip;
	struct bytes prefix = prefix_of(addr, &ip);

	return prefix.len ? map_get(&limit->ips, prefix) : NULL;
}

static void forget_ip(struct dial_limit *limit, struct ip_count *ip)
{
	list_remove(&ip->node);
	map_remove(&limit->ips, bytes_of(ip->prefix, ip->prefix_len));
	free(ip);
}

bool dial_limit_room(const struct dial_limit *limit, const struct multiaddr *addr, uint64_t now_ms)
{
	const struct ip_count *ip = count_of(limit, addr);

	return !ip || ip->count < DIAL_PER_IP_MAX || now_ms - ip->since_ms >= DIAL_PER_IP_MS;
}

void dial_limit_count(struct dial_limit *limit, const struct multiaddr *addr, uint64_t now_ms)
{
	struct multiaddr_part part;
	struct bytes prefix = prefix_of(addr, &part);
	struct ip_count *ip = prefix.len ? map_get(&limit->ips, prefix) : NULL;

	if (!prefix.len)
		return;
	if (ip && now_ms - ip->since_ms >= DIAL_PER_IP_MS) {
		forget_ip(limit, ip);
		ip = NULL;
	}
	if (!ip) {
		if (limit->ips.count >= DIAL_IPS_MAX)
			forget_ip(limit, list_first(&limit->by_age, struct ip_count, node));
		ip = xnew(struct ip_count);
		ip->since_ms = now_ms;
		memcpy(ip->prefix, prefix.at, prefix.len);
		ip->prefix_len = prefix.len;
		list_add_tail(&limit->by_age, &ip->node);
		map_set(&limit->ips, prefix, ip);
	}
	ip->count++;
}

void dial_limit_reached(struct dial_limit *limit, const struct peer_id *peer,
			const struct multiaddr *addr)
{
	uint8_t bytes[PEER_ID_MAX + MULTIADDR_MAX];
	struct ip_count *ip = count_of(limit, addr);

	free(map_remove(&limit->backoffs, backoff_key(bytes, peer, addr)));
	if (ip && ip->count > 0)
		ip->count--;
}

void dial_limit_free(struct dial_limit *limit)
{
	if (!limit)
		return;
	forget_backoffs(limit, 0, true);
	while (!list_empty(&limit->by_age))
		forget_ip(limit, list_first(&limit->by_age, struct ip_count, node));
	map_release(&limit->backoffs);
	map_release(&limit->ips);
	free(limit);
}
