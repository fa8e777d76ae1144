/* Which addresses and peers belong to the wide and to the local network, by the scope of their
 * addresses. Pure; any thread. */
#include "routing/kad/filter.h"

bool kad_filter_addr(const struct kad_filter *filter, const struct multiaddr *addr)
{
	enum multiaddr_scope scope = multiaddr_scope(addr);

	if (!filter->lan)
		return scope == SCOPE_PUBLIC;
	return scope != SCOPE_LOOPBACK || filter->keep_loopback;
}

bool kad_filter_peer(const struct kad_filter *filter, const struct multiaddr *addrs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (kad_filter_addr(filter, &addrs[i]) &&
		    (filter->lan || !multiaddr_is_relayed(&addrs[i])))
			return true;
	return false;
}

size_t kad_filter_addrs(const struct kad_filter *filter, struct multiaddr *addrs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!kad_filter_addr(filter, &addrs[i]))
			continue;
		if (kept != i)
			addrs[kept] = addrs[i];
		kept++;
	}
	return kept;
}

uint32_t kad_filter_group(const struct kad_filter *filter, const struct multiaddr *addrs,
			  size_t count)
{
	struct multiaddr_part part;

	for (size_t i = 0; i < count; i++) {
		if (!kad_filter_addr(filter, &addrs[i]) ||
		    multiaddr_scope(&addrs[i]) != SCOPE_PUBLIC || multiaddr_is_relayed(&addrs[i]))
			continue;
		if (multiaddr_find(&addrs[i], MA_IP4, &part))
			return 1u << 16 | (uint32_t)part.value.at[0] << 8 | part.value.at[1];
	}
	return 0;
}
