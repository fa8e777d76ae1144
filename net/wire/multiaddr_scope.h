/* Judging addresses before they are announced, or dialled for somebody else. Pure; any thread. */
#ifndef NET_WIRE_MULTIADDR_SCOPE_H
#define NET_WIRE_MULTIADDR_SCOPE_H

#include "net/wire/multiaddr.h"

/* Whether addr may be announced to everybody, and dialled for a peer that is not trusted. It must
 * be /ip4|ip6/.../tcp/PORT (a DNS name could lead anywhere) with a public IP address that does not
 * carry an IPv4 address inside (6to4, Teredo). local (for tests): any IP address will do. */
bool multiaddr_is_public(const struct multiaddr *addr, bool local);
/* Both begin with the same IP address. */
bool multiaddr_same_ip(const struct multiaddr *a, const struct multiaddr *b);
/* Both have the same protocols in the same order. */
bool multiaddr_same_shape(const struct multiaddr *a, const struct multiaddr *b);
/* *out becomes the IP address of ip with the TCP port of port. -ENOTSUP: one of them lacks it, or
 * their families differ. */
int multiaddr_ip_with_port(struct multiaddr *out, const struct multiaddr *ip,
			   const struct multiaddr *port);
/* The network of an address: its /16, or its /32 for IPv6. 0: it begins with no IP address. So
 * one owner of many addresses counts once. */
uint64_t multiaddr_ip_group(const struct multiaddr *addr);
/* The site of an address: the IPv4 address, or its /56 for IPv6. 0: as above. */
uint64_t multiaddr_ip_site(const struct multiaddr *addr);

#endif
