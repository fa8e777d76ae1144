/* Judges addresses: whether an address is public, whether two share an IP address or a shape, and
 * which network an address counts for. Each looks at the IP address that comes first. Pure; any
 * thread. */
#include "net/wire/multiaddr_scope.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* The IP address that addr begins with. */
static bool ip_of(const struct multiaddr *addr, struct multiaddr_part *ip)
{
	size_t at = 0;

	return multiaddr_next(addr, &at, ip) && (ip->code == MA_IP4 || ip->code == MA_IP6);
}

/* 2002::/16 and 2001::/32: the packet ends at the IPv4 address inside. */
static bool carries_ip4(const struct multiaddr_part *ip)
{
	static const uint8_t sixto4[] = { 0x20, 0x02 }, teredo[] = { 0x20, 0x01, 0, 0 };

	return ip->code == MA_IP6 && (memcmp(ip->value.at, sixto4, sizeof(sixto4)) == 0 ||
				      memcmp(ip->value.at, teredo, sizeof(teredo)) == 0);
}

bool multiaddr_is_public(const struct multiaddr *addr, bool local)
{
	struct sockaddr_storage to;
	struct multiaddr_part ip, port;

	if (multiaddr_to_sockaddr(addr, &to) != 0 || !ip_of(addr, &ip) ||
	    !multiaddr_find(addr, MA_TCP, &port) || (!port.value.at[0] && !port.value.at[1]))
		return false;
	return local || (multiaddr_scope(addr) == SCOPE_PUBLIC && !carries_ip4(&ip));
}

bool multiaddr_same_ip(const struct multiaddr *a, const struct multiaddr *b)
{
	struct multiaddr_part one, other;

	return ip_of(a, &one) && ip_of(b, &other) && bytes_equal(one.whole, other.whole);
}

bool multiaddr_same_shape(const struct multiaddr *a, const struct multiaddr *b)
{
	struct multiaddr_part one, other;
	size_t at_a = 0, at_b = 0;

	for (;;) {
		bool more_a = multiaddr_next(a, &at_a, &one),
		     more_b = multiaddr_next(b, &at_b, &other);

		if (!more_a || !more_b)
			return more_a == more_b;
		if (one.code != other.code)
			return false;
	}
}

int multiaddr_ip_with_port(struct multiaddr *out, const struct multiaddr *ip,
			   const struct multiaddr *port)
{
	struct multiaddr_part to, from, tcp;
	size_t at = 0;

	if (!ip_of(ip, &to) || !multiaddr_next(port, &at, &from) || from.code != to.code ||
	    !multiaddr_next(port, &at, &tcp) || tcp.code != MA_TCP)
		return -ENOTSUP;
	*out = (struct multiaddr){ 0 };
	multiaddr_add(out, to.code, to.value);
	return multiaddr_add(out, MA_TCP, tcp.value);
}

/* The first so many bytes behind a mark of the family. */
static uint64_t prefix(const struct multiaddr *addr, size_t len4, size_t len6)
{
	struct multiaddr_part ip;
	uint64_t value;

	if (!ip_of(addr, &ip))
		return 0;
	value = ip.code == MA_IP4 ? 4 : 6;
	for (size_t i = 0; i < (ip.code == MA_IP4 ? len4 : len6); i++)
		value = value << 8 | ip.value.at[i];
	return value;
}

uint64_t multiaddr_ip_group(const struct multiaddr *addr)
{
	return prefix(addr, 2, 4);
}

uint64_t multiaddr_ip_site(const struct multiaddr *addr)
{
	return prefix(addr, 4, 7);
}
