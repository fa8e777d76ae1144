/* Which of our addresses others are told, and in which order. Pure; any thread. */
#ifndef NET_ANNOUNCE_H
#define NET_ANNOUNCE_H

#include "net/wire/multiaddr.h"

#define ANNOUNCE_LIST_MAX 256 /* addresses of one of the user's lists; more are left out */

/* What the user says. Zero is valid: nothing. */
struct announce {
	struct multiaddr *instead; /* told in place of what is found */
	struct multiaddr *too;	   /* told beside it */
	struct multiaddr *never;   /* not told: whole addresses, or /ip4|ip6/ADDRESS/ipcidr/BITS */
	size_t instead_count, too_count, never_count;
};

/* Copies the lists. A trailing /p2p part with self is cut; with another peer the address is left
 * out. */
void announce_init(struct announce *announce, const struct multiaddr *instead, size_t instead_count,
		   const struct multiaddr *too, size_t too_count, const struct multiaddr *never,
		   size_t never_count, const struct peer_id *self);
void announce_release(struct announce *announce);

/* Puts addresses into an order whose every beginning is of use to everybody: the widest scope
 * first, but scopes, families and listeners take turns, so that many of one kind do not hide the
 * others. */
void announce_order(struct multiaddr *addrs, size_t count);
/* Leaves out loopback addresses, unless there are no others. Returns how many are left. */
size_t announce_without_loopback(struct multiaddr *addrs, size_t count);
/* Leaves out what the user does not want told, and repetitions. Returns how many are left. */
size_t announce_filter(const struct announce *announce, struct multiaddr *addrs, size_t count);

#endif
