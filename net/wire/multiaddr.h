/* Multiaddresses (wire/formats section 6): uv(code) | value, repeated. Kept in binary form; every
 * protocol of the table is parsed and printed. A value type. Pure; any thread. */
#ifndef NET_WIRE_MULTIADDR_H
#define NET_WIRE_MULTIADDR_H

#include "net/wire/key.h"

#include <sys/socket.h>

#define MULTIADDR_MAX 1024 /* binary */
#define MULTIADDR_PARTS_MAX 24
#define MULTIADDR_TEXT_MAX 2048

enum multiaddr_code {
	MA_IP4 = 4,
	MA_TCP = 6,
	MA_DCCP = 33,
	MA_IP6 = 41,
	MA_IP6ZONE = 42,
	MA_IPCIDR = 43,
	MA_DNS = 53,
	MA_DNS4 = 54,
	MA_DNS6 = 55,
	MA_DNSADDR = 56,
	MA_SCTP = 132,
	MA_UDP = 273,
	MA_P2P_WEBRTC_DIRECT = 276,
	MA_WEBRTC_DIRECT = 280,
	MA_WEBRTC = 281,
	MA_P2P_CIRCUIT = 290,
	MA_UDT = 301,
	MA_UTP = 302,
	MA_UNIX = 400,
	MA_P2P = 421,
	MA_HTTPS = 443,
	MA_ONION = 444,
	MA_ONION3 = 445,
	MA_GARLIC64 = 446,
	MA_GARLIC32 = 447,
	MA_TLS = 448,
	MA_SNI = 449,
	MA_NOISE = 454,
	MA_QUIC = 460,
	MA_QUIC_V1 = 461,
	MA_WEBTRANSPORT = 465,
	MA_CERTHASH = 466,
	MA_WS = 477,
	MA_WSS = 478,
	MA_HTTP = 480,
	MA_HTTP_PATH = 481,
	MA_MEMORY = 777,
	MA_PLAINTEXTV2 = 7367777,
};

struct multiaddr {
	uint16_t len;
	uint8_t bytes[MULTIADDR_MAX];
};

/* One component while walking. */
struct multiaddr_part {
	uint32_t code;
	struct bytes value; /* without its length prefix */
	struct bytes whole; /* code, length and value as they stand */
};

static inline struct bytes multiaddr_bytes(const struct multiaddr *addr)
{
	return bytes_of(addr->bytes, addr->len);
}

/* The whole of in, every component checked. -EBADMSG malformed, -ENOTSUP an unknown code. */
int multiaddr_from_bytes(struct multiaddr *addr, struct bytes in);
int multiaddr_from_text(struct multiaddr *addr, const char *text);
const char *multiaddr_text(const struct multiaddr *addr, char out[static MULTIADDR_TEXT_MAX]);
bool multiaddr_equal(const struct multiaddr *a, const struct multiaddr *b);

/* Walk: *at starts at 0; false at the end. */
bool multiaddr_next(const struct multiaddr *addr, size_t *at, struct multiaddr_part *part);
/* First component with this code. */
bool multiaddr_find(const struct multiaddr *addr, uint32_t code, struct multiaddr_part *part);
/* Split a trailing /p2p/ID off: true and *id set when there was one. */
bool multiaddr_split_peer(struct multiaddr *addr, struct peer_id *id);
/* Append a component or a whole address; -EMSGSIZE. */
int multiaddr_add(struct multiaddr *addr, uint32_t code, struct bytes value);
int multiaddr_join(struct multiaddr *addr, const struct multiaddr *tail);
int multiaddr_add_peer(struct multiaddr *addr, const struct peer_id *id);

/* /ip4|ip6/.../tcp/PORT exactly (a trailing /p2p is ignored) to and from a socket address. -ENOTSUP
 * when the address is of another shape. */
int multiaddr_to_sockaddr(const struct multiaddr *addr, struct sockaddr_storage *out);
int multiaddr_from_sockaddr(struct multiaddr *addr, const struct sockaddr *from);

enum multiaddr_scope { SCOPE_NONE, SCOPE_LOOPBACK, SCOPE_PRIVATE, SCOPE_PUBLIC };
/* What an address can reach, by its first ip component (link-local and unroutable count as private,
 * dns names as public except localhost); SCOPE_NONE when it has none of these. */
enum multiaddr_scope multiaddr_scope(const struct multiaddr *addr);
static inline bool multiaddr_is_relayed(const struct multiaddr *addr)
{
	struct multiaddr_part part;

	return multiaddr_find(addr, MA_P2P_CIRCUIT, &part);
}

#endif
