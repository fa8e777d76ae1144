/* How far from a key its k-th nearest peer is to be expected: the size of the network, told as a
 * distance.
 *
 * Measured by the lookups of keys that we draw ourselves to refresh the table, so that nobody can
 * have placed peers around them; the median of the last KAD_NETSIZE_SAMPLES_MAX counts. With it
 * shows a key around which somebody has placed many peers to hide its records (S. Sridhar et al.,
 * "Content Censorship in the InterPlanetary File System", NDSS 2024): its k nearest are closer
 * together than chance puts them.
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

/* A lookup of a random key found its k-th nearest so far away; UINT64_MAX: there were fewer. */
void kad_netsize_add(struct kad_netsize *netsize, uint64_t distance);
/* The expected distance; 0: not known yet. */
uint64_t kad_netsize_reach(const struct kad_netsize *netsize);
/* A k-th nearest this near is implausible: less than half of reach. Whoever stays above that has
 * placed fewer than half of the k, so the other half still keeps its records; by chance it happens
 * to 1 key of 300 (k = 20). False when reach is 0. */
bool kad_netsize_is_dense(uint64_t reach, uint64_t distance);

#endif
