/* What AutoNAT wants to know of addresses. Pure; any thread. */
#ifndef NET_AUTONAT_ADDR_H
#define NET_AUTONAT_ADDR_H

#include "net/wire/multiaddr.h"

/* Whether the whole world may be told of it, and we may dial it for somebody whom we do not trust:
 * /ip4|ip6/tcp alone (a name could lead anywhere), a port, and a public address which does not carry
 * an IPv4 one inside (6to4, Teredo). local (tests): any address does. */
bool autonat_addr_public(const struct multiaddr *addr, bool local);
/* Both begin with the same IP address. */
bool autonat_addr_same_ip(const struct multiaddr *a, const struct multiaddr *b);
/* Both have the same protocols in the same order. */
bool autonat_addr_same_shape(const struct multiaddr *a, const struct multiaddr *b);
/* ip's IP address with port's TCP port. -ENOTSUP when one lacks it, or their families differ. */
int autonat_addr_join(struct multiaddr *out, const struct multiaddr *ip,
		      const struct multiaddr *port);
/* The network that a peer is in, so that one owner is heard once: its /16, of IPv6 its /32. 0: none. */
uint64_t autonat_addr_group(const struct multiaddr *addr);
/* The same, narrower: its address, of IPv6 its /56. */
uint64_t autonat_addr_observer(const struct multiaddr *addr);

#endif
