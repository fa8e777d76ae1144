/* Which addresses and peers belong into a Kademlia network: the wide one takes what the whole world
 * can reach, the local one what is near. Pure; any thread. */
#ifndef ROUTING_KAD_FILTER_H
#define ROUTING_KAD_FILTER_H

#include "net/wire/multiaddr.h"

struct kad_filter {
	bool lan;
	bool keep_loopback; /* of lan */
};

/* Whether an address belongs into the network: public ones into the wide one; all but loopback into
 * the local one, and loopback too if it is kept. */
bool kad_filter_addr(const struct kad_filter *filter, const struct multiaddr *addr);
/* Whether a peer with these addresses belongs into the network: one of them passes, and in the wide
 * network it is not relayed. */
bool kad_filter_peer(const struct kad_filter *filter, const struct multiaddr *addrs, size_t count);
/* Moves the addresses that pass to the front, in their order; returns how many. */
size_t kad_filter_addrs(const struct kad_filter *filter, struct multiaddr *addrs, size_t count);
/* Which part of the net a peer is in, for diversity: the /16 of its first public IPv4 address that
 * passes, 0 when it has none (then no limit counts it). */
uint32_t kad_filter_group(const struct kad_filter *filter, const struct multiaddr *addrs,
			  size_t count);

#endif
