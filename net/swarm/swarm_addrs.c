/* The swarm's own addresses: found at its listeners, told by the user, proven by AutoNAT. Loop
 * thread. */
#include "net/swarm/swarm.h"

#include <stdlib.h>
#include <string.h>

/* All that the listeners are bound to, up to SWARM_FOUND_ADDRS_MAX, in order. The caller frees
 * them. */
static struct multiaddr *find_bound(const struct swarm *swarm, size_t *count)
{
	struct multiaddr *addrs;
	size_t cap = 0, found = 0;

	for (size_t i = 0; i < swarm->transport_count; i++)
		cap += swarm->transports[i]->ops->listen_addrs(swarm->transports[i], NULL, 0);
	if (cap > SWARM_FOUND_ADDRS_MAX)
		cap = SWARM_FOUND_ADDRS_MAX;
	addrs = xcalloc(cap + 1, sizeof(*addrs));
	for (size_t i = 0; i < swarm->transport_count && found < cap; i++) {
		found += swarm->transports[i]->ops->listen_addrs(swarm->transports[i],
								 addrs + found, cap - found);
		if (found > cap) /* an interface came meanwhile */
			found = cap;
	}
	announce_order(addrs, found);
	*count = found;
	return addrs;
}

static size_t addrs_give(struct multiaddr *all, size_t count, struct multiaddr *addrs, size_t max)
{
	if (max > 0)
		memcpy(addrs, all, (count < max ? count : max) * sizeof(*all));
	free(all);
	return count;
}

size_t swarm_interface_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max)
{
	struct multiaddr *all;
	size_t count;

	if (swarm->ended)
		return 0;
	all = find_bound(swarm, &count);
	return addrs_give(all, count, addrs, max);
}

static size_t addrs_add(struct multiaddr *to, size_t at, const struct multiaddr *from, size_t count)
{
	if (count > 0)
		memcpy(to + at, from, count * sizeof(*to));
	return at + count;
}

/* What the user says comes first, then what is proven, then what is found. */
static size_t own_addrs(const struct swarm *swarm, size_t external, struct multiaddr *addrs,
			size_t max)
{
	const struct announce *announce = &swarm->announce;
	struct multiaddr *bound, *all;
	size_t found, count = 0;

	if (swarm->ended)
		return 0;
	bound = find_bound(swarm, &found);
	if (!swarm->config.announce_loopback)
		found = announce_without_loopback(bound, found);
	if (announce->instead_count > 0)
		found = external = 0;
	all = xcalloc(announce->instead_count + announce->too_count + external + found + 1,
		      sizeof(*all));
	count = addrs_add(all, count, announce->instead, announce->instead_count);
	count = addrs_add(all, count, announce->too, announce->too_count);
	count = addrs_add(all, count, swarm->external, external);
	count = addrs_add(all, count, bound, found);
	free(bound);
	count = announce_filter(announce, all, count);
	return addrs_give(all, count, addrs, max);
}

size_t swarm_bound_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max)
{
	return own_addrs(swarm, 0, addrs, max);
}

size_t swarm_listen_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max)
{
	return own_addrs(swarm, swarm->external_count, addrs, max);
}
