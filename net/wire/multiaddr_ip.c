/* Multiaddresses of IP: to and from socket addresses, and what an address can reach (loopback,
 * private, public). Pure; any thread. */
#include "net/base/alloc.h"
#include "net/wire/multiaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

int multiaddr_to_sockaddr(const struct multiaddr *addr, struct sockaddr_storage *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct multiaddr_part ip, tcp, rest;
	size_t at = 0;
	in_port_t port;

	if (!multiaddr_next(addr, &at, &ip) || !multiaddr_next(addr, &at, &tcp) ||
	    tcp.code != MA_TCP || (ip.code != MA_IP4 && ip.code != MA_IP6))
		return -ENOTSUP;
	if (multiaddr_next(addr, &at, &rest) &&
	    (rest.code != MA_P2P || multiaddr_next(addr, &at, &rest)))
		return -ENOTSUP;
	memset(out, 0, sizeof(*out));
	memcpy(&port, tcp.value.at, sizeof(port));
	if (ip.code == MA_IP4) {
		in4->sin_family = AF_INET;
		in4->sin_port = port;
		memcpy(&in4->sin_addr, ip.value.at, ip.value.len);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port;
		memcpy(&in6->sin6_addr, ip.value.at, ip.value.len);
	}
	return 0;
}

int multiaddr_from_sockaddr(struct multiaddr *addr, const struct sockaddr *from)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	struct bytes ip;
	const in_port_t *port;

	if (from->sa_family == AF_INET) {
		ip = bytes_of(&in4->sin_addr, sizeof(in4->sin_addr));
		port = &in4->sin_port;
	} else if (from->sa_family == AF_INET6) {
		ip = bytes_of(&in6->sin6_addr, sizeof(in6->sin6_addr));
		port = &in6->sin6_port;
		/* What a dual-stack socket says of an IPv4 peer. */
		if (memcmp(ip.at, mapped, sizeof(mapped)) == 0)
			ip = bytes_skip(ip, sizeof(mapped));
	} else {
		return -ENOTSUP;
	}
	*addr = (struct multiaddr){ 0 };
	multiaddr_add(addr, ip.len == sizeof(struct in_addr) ? MA_IP4 : MA_IP6, ip);
	return multiaddr_add(addr, MA_TCP, bytes_of(port, sizeof(*port)));
}

struct range {
	uint8_t prefix[4];
	uint8_t bits;
};

static bool in_range(const uint8_t *ip, const struct range *range)
{
	for (unsigned bit = 0; bit < range->bits; bit++)
		if ((ip[bit / 8] ^ range->prefix[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

/* Private and unroutable ones, as go-multiaddr has them. */
static enum multiaddr_scope scope4(const uint8_t *ip)
{
	static const struct range local[] = {
		{ { 0 }, 8 },
		{ { 10 }, 8 },
		{ { 100, 64 }, 10 },
		{ { 169, 254 }, 16 },
		{ { 172, 16 }, 12 },
		{ { 192, 0, 0 }, 26 },
		{ { 192, 0, 2 }, 24 },
		{ { 192, 88, 99 }, 24 },
		{ { 192, 168 }, 16 },
		{ { 198, 18 }, 15 },
		{ { 198, 51, 100 }, 24 },
		{ { 203, 0, 113 }, 24 },
		{ { 224 }, 4 },
		{ { 240 }, 4 },
	};

	if (ip[0] == 127)
		return SCOPE_LOOPBACK;
	for (size_t i = 0; i < ARRAY_LEN(local); i++)
		if (in_range(ip, &local[i]))
			return SCOPE_PRIVATE;
	return SCOPE_PUBLIC;
}

/* Only 2000::/3 is handed out; of it, 2001:db8::/32 is for documents. An address that carries an
 * IPv4 one (mapped, or NAT64's 64:ff9b::/96) reaches what that one reaches. */
static enum multiaddr_scope scope6(const uint8_t *ip)
{
	static const uint8_t loopback[16] = { [15] = 1 };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const struct range global = { { 0x20 }, 3 };
	static const struct range documents = { { 0x20, 0x01, 0x0d, 0xb8 }, 32 };

	if (memcmp(ip, loopback, sizeof(loopback)) == 0)
		return SCOPE_LOOPBACK;
	if (memcmp(ip, mapped, sizeof(mapped)) == 0 || memcmp(ip, nat64, sizeof(nat64)) == 0)
		return scope4(ip + 12);
	return in_range(ip, &global) && !in_range(ip, &documents) ? SCOPE_PUBLIC : SCOPE_PRIVATE;
}

static enum multiaddr_scope scope_of_name(struct bytes name)
{
	static const char local[] = ".localhost";
	size_t len = sizeof(local) - 1;

	if (name.len > 0 && name.at[name.len - 1] == '.')
		name.len--;
	if (name.len == len - 1 && strncasecmp((const char *)name.at, local + 1, name.len) == 0)
		return SCOPE_LOOPBACK;
	if (name.len > len && strncasecmp((const char *)name.at + name.len - len, local, len) == 0)
		return SCOPE_LOOPBACK;
	return SCOPE_PUBLIC;
}

enum multiaddr_scope multiaddr_scope(const struct multiaddr *addr)
{
	struct multiaddr_part part;
	size_t at = 0;

	while (multiaddr_next(addr, &at, &part)) {
		switch (part.code) {
		case MA_IP4:
			return scope4(part.value.at);
		case MA_IP6:
			return scope6(part.value.at);
		case MA_DNS:
		case MA_DNS4:
		case MA_DNS6:
		case MA_DNSADDR:
			return scope_of_name(part.value);
		}
	}
	return SCOPE_NONE;
}
