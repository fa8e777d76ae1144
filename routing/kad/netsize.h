/* The distance at which the k-th nearest peer of a key is to be expected; it shows the size of the
 * network.
 *
 * It is the median of the last KAD_NETSIZE_SAMPLES_MAX lookups of random keys, which refresh the
 * table; since we draw those keys, no attacker can have placed peers around them. It reveals keys
 * around which somebody has placed many peers to hide their records (S. Sridhar et al., "Content
 * Censorship in the InterPlanetary File System", NDSS 2024): the k nearest of such a key are closer
 * than chance would put them.
 *
 * Pure; any thread. Distances are the first 64 bits of the XOR (place_distance()). */
#ifndef ROUTING_KAD_NETSIZE_H
#define ROUTING_KAD_NETSIZE_H

#include <stdbool.h>
#include <stdint.h>

#define KAD_NETSIZE_SAMPLES_MAX 32
#define KAD_NETSIZE_SAMPLES_MIN 3

/* Zeroed knows nothing. */
struct kad_netsize {
	uint64_t samples[KAD_NETSIZE_SAMPLES_MAX];
	unsigned count, next;
};

/* Notes the distance of the k-th nearest peer in a lookup of a random key; UINT64_MAX: there were
 * fewer. */
void kad_netsize_add(struct kad_netsize *netsize, uint64_t distance);
/* The expected distance; 0: not known yet. */
uint64_t kad_netsize_reach(const struct kad_netsize *netsize);
/* Whether a k-th nearest at this distance is implausibly near: at less than half of reach. An
 * attacker that stays above that has placed fewer than half of the k, so the other half still keeps
 * the records. By chance it is true for 1 key of 300 (k = 20). False if reach is 0. */
bool kad_netsize_is_dense(uint64_t reach, uint64_t distance);

#endif
