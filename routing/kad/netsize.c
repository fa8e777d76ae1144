/* An estimate of the network's density: the median of how far the k-th nearest peer was in our
 * own random lookups. Pure; any thread. */
#include "routing/kad/netsize.h"

#include <stdlib.h>
#include <string.h>

void kad_netsize_add(struct kad_netsize *netsize, uint64_t distance)
{
	netsize->samples[netsize->next] = distance;
	netsize->next = (netsize->next + 1) % KAD_NETSIZE_SAMPLES_MAX;
	if (netsize->count < KAD_NETSIZE_SAMPLES_MAX)
		netsize->count++;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint64_t kad_netsize_reach(const struct kad_netsize *netsize)
{
	uint64_t sorted[KAD_NETSIZE_SAMPLES_MAX];

	if (netsize->count < KAD_NETSIZE_SAMPLES_MIN)
		return 0;
	memcpy(sorted, netsize->samples, netsize->count * sizeof(*sorted));
	qsort(sorted, netsize->count, sizeof(*sorted), by_size);
	return sorted[netsize->count / 2];
}

bool kad_netsize_is_dense(uint64_t reach, uint64_t distance)
{
	return distance < reach / 2;
}
