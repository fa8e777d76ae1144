/* Which of our addresses others are told. A group is what differs by IP address alone: one scope,
 * one family, one listener. Groups take turns, those of the widest scope first. Loop thread. */
#include "net/swarm/announce.h"

#include "net/base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* ---- the user's lists ---- */

/* Copies configured addresses, at most ANNOUNCE_LIST_MAX. Our own /p2p part is cut off; addresses
 * of another peer are left out. */
static size_t copy_list(struct multiaddr **to, const struct multiaddr *from, size_t count,
			const struct peer_id *self)
{
	size_t kept = 0;

	if (count > ANNOUNCE_LIST_MAX)
		count = ANNOUNCE_LIST_MAX;
	if (count == 0)
		return 0;
	*to = xcalloc(count, sizeof(**to));
	for (size_t i = 0; i < count; i++) {
		struct multiaddr addr = from[i];
		struct peer_id named;

		if (multiaddr_split_peer(&addr, &named) && !peer_id_equal(&named, self))
			continue;
		if (addr.len > 0)
			(*to)[kept++] = addr;
	}
	return kept;
}

void announce_init(struct announce *announce, const struct multiaddr *instead, size_t instead_count,
		   const struct multiaddr *too, size_t too_count, const struct multiaddr *never,
		   size_t never_count, const struct peer_id *self)
{
	*announce = (struct announce){ 0 };
	announce->instead_count = copy_list(&announce->instead, instead, instead_count, self);
	announce->too_count = copy_list(&announce->too, too, too_count, self);
	announce->never_count = copy_list(&announce->never, never, never_count, self);
}

void announce_release(struct announce *announce)
{
	free(announce->instead);
	free(announce->too);
	free(announce->never);
	*announce = (struct announce){ 0 };
}

/* ---- order ---- */

struct place {
	unsigned turn, scope;
	size_t at;
};

/* Lower is wider. */
static unsigned scope_rank(const struct multiaddr *addr)
{
	switch (multiaddr_scope(addr)) {
	case SCOPE_PUBLIC:
		return 0;
	case SCOPE_PRIVATE:
		return 1;
	case SCOPE_LOOPBACK:
		return 2;
	case SCOPE_NONE:
		break;
	}
	return 3;
}

/* The family, and what follows the IP address. */
static uint32_t split_ip(const struct multiaddr *addr, struct bytes *tail)
{
	struct multiaddr_part first;
	size_t at = 0;

	*tail = multiaddr_bytes(addr);
	if (!multiaddr_next(addr, &at, &first) || (first.code != MA_IP4 && first.code != MA_IP6))
		return 0;
	*tail = bytes_skip(*tail, at);
	return first.code;
}

static bool same_group(const struct multiaddr *a, const struct multiaddr *b)
{
	struct bytes tail_a, tail_b;

	return split_ip(a, &tail_a) == split_ip(b, &tail_b) && bytes_equal(tail_a, tail_b) &&
	       scope_rank(a) == scope_rank(b);
}

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* The place of address at: as many turns behind as its group has members before it. */
static void find_place(struct place *places, const struct multiaddr *addrs, size_t at)
{
	struct place *own = &places[at];
	size_t i = at;

	*own = (struct place){ .scope = scope_rank(&addrs[at]), .at = at };
	while (i-- > 0)
		if (same_group(&addrs[i], &addrs[at])) {
			own->turn = places[i].turn + 1;
			return;
		}
}

void announce_order(struct multiaddr *addrs, size_t count)
{
	struct multiaddr *before;
	struct place *places;

	if (count < 2)
		return;
	before = xcalloc(count, sizeof(*before));
	places = xcalloc(count, sizeof(*places));
	memcpy(before, addrs, count * sizeof(*before));
	for (size_t i = 0; i < count; i++)
		find_place(places, before, i);
	qsort(places, count, sizeof(*places), by_place);
	for (size_t i = 0; i < count; i++)
		addrs[i] = before[places[i].at];
	free(places);
	free(before);
}

/* ---- leaving out ---- */

size_t announce_without_loopback(struct multiaddr *addrs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		kept += multiaddr_scope(&addrs[i]) != SCOPE_LOOPBACK;
	if (kept == 0 || kept == count)
		return count;
	kept = 0;
	for (size_t i = 0; i < count; i++)
		if (multiaddr_scope(&addrs[i]) != SCOPE_LOOPBACK)
			addrs[kept++] = addrs[i];
	return kept;
}

static bool same_bits(struct bytes a, struct bytes b, size_t bits)
{
	size_t whole = bits / 8, rest = bits % 8;

	if (a.len != b.len || bits > a.len * 8 || memcmp(a.at, b.at, whole) != 0)
		return false;
	return rest == 0 || ((a.at[whole] ^ b.at[whole]) & (0xff << (8 - rest) & 0xff)) == 0;
}

/* rule is a mask that holds the IP address of addr, or addr itself. */
static bool is_meant(const struct multiaddr *rule, const struct multiaddr *addr)
{
	struct multiaddr_part ip, bits, own;
	size_t at = 0, at_addr = 0;

	if (!multiaddr_next(rule, &at, &ip) || !multiaddr_next(rule, &at, &bits) ||
	    bits.code != MA_IPCIDR)
		return multiaddr_equal(rule, addr);
	return bits.value.len == 1 && multiaddr_next(addr, &at_addr, &own) && own.code == ip.code &&
	       same_bits(ip.value, own.value, bits.value.at[0]);
}

size_t announce_filter(const struct announce *announce, struct multiaddr *addrs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		bool told = true;

		for (size_t k = 0; k < announce->never_count && told; k++)
			told = !is_meant(&announce->never[k], &addrs[i]);
		for (size_t k = 0; k < kept && told; k++)
			told = !multiaddr_equal(&addrs[k], &addrs[i]);
		if (!told)
			continue;
		if (kept != i)
			addrs[kept] = addrs[i];
		kept++;
	}
	return kept;
}
