/* Judging addresses before they are announced, or dialled for somebody else. Pure; any thread. */
#ifndef NET_AUTONAT_ADDR_H
#define NET_AUTONAT_ADDR_H

#include "net/wire/multiaddr.h"

/* Whether addr may be announced to everybody, and dialled for a peer that is not trusted. It must
 * be /ip4|ip6/.../tcp/PORT (a DNS name could lead anywhere) with a public IP address that does not
 * carry an IPv4 address inside (6to4, Teredo). local (for tests): any IP address will do. */
bool autonat_addr_public(const struct multiaddr *addr, bool local);
/* Both begin with the same IP address. */
bool autonat_addr_same_ip(const struct multiaddr *a, const struct multiaddr *b);
/* Both have the same protocols in the same order. */
bool autonat_addr_same_shape(const struct multiaddr *a, const struct multiaddr *b);
/* *out becomes the IP address of ip with the TCP port of port. -ENOTSUP: one of them lacks it, or
 * their families differ. */
int autonat_addr_join(struct multiaddr *out, const struct multiaddr *ip,
		      const struct multiaddr *port);
/* The network of an address: its /16, or its /32 for IPv6. 0: none. One owner of many addresses
 * counts once. */
uint64_t autonat_addr_group(const struct multiaddr *addr);
/* The same, narrower: the IPv4 address, or the /56 for IPv6. */
uint64_t autonat_addr_observer(const struct multiaddr *addr);

#endif
