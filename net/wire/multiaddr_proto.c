/* The table of multiaddr protocols. Each row knows how to check, print and parse the value of one
 * protocol; multiaddr.c knows only the table. Pure; any thread. */
#include "net/wire/multiaddr_proto.h"

#include "net/base/alloc.h"
#include "net/wire/multiaddr.h"
#include "net/wire/multibase.h"
#include "net/wire/multihash.h"

#include <arpa/inet.h>
#include <string.h>

#define DNS_MAX 255
#define ONION_HOST_LEN 10
#define ONION3_HOST_LEN 35
#define GARLIC64_MIN 386
#define GARLIC32_LEN 32
#define GARLIC32_ENCRYPTED_MIN 35
#define NUMBER_DIGITS_MAX 20

/* ---- numbers ---- */

static bool parse_number(struct bytes text, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	if (text.len == 0 || text.len > NUMBER_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = text.at[i] - '0';

		if (digit > 9 || sum > (max - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}

/* len bytes, big-endian. */
static bool parse_be(struct buf *out, struct bytes text, unsigned len)
{
	uint64_t value;

	if (!parse_number(text, UINT64_MAX >> (64 - 8 * len), &value))
		return false;
	while (len-- > 0)
		buf_add_u8(out, (uint8_t)(value >> (8 * len)));
	return true;
}

static bool number_parse8(struct buf *out, struct bytes text)
{
	return parse_be(out, text, 1);
}

static bool number_parse16(struct buf *out, struct bytes text)
{
	return parse_be(out, text, 2);
}

static bool number_parse64(struct buf *out, struct bytes text)
{
	return parse_be(out, text, 8);
}

static void number_print(struct buf *out, struct bytes value)
{
	unsigned long long sum = 0;

	for (size_t i = 0; i < value.len; i++)
		sum = sum << 8 | value.at[i];
	buf_printf(out, "%llu", sum);
}

static size_t number_text_max(size_t len)
{
	return len * 3;
}

static bool any_check(struct bytes value)
{
	(void)value;
	return true;
}

/* ---- ip ---- */

static bool ip_text(struct bytes text, char out[static INET6_ADDRSTRLEN])
{
	if (text.len >= INET6_ADDRSTRLEN || memchr(text.at, 0, text.len))
		return false;
	memcpy(out, text.at, text.len);
	out[text.len] = 0;
	return true;
}

static bool ip4_parse(struct buf *out, struct bytes text)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t raw[4];

	if (text.len == 0 || !ip_text(text, copy) || inet_pton(AF_INET, copy, raw) != 1)
		return false;
	buf_add(out, bytes_of(raw, sizeof(raw)));
	return true;
}

static void ip4_print(struct buf *out, struct bytes value)
{
	buf_printf(out, "%u.%u.%u.%u", value.at[0], value.at[1], value.at[2], value.at[3]);
}

static size_t ip4_text_max(size_t len)
{
	(void)len;
	return INET_ADDRSTRLEN;
}

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* Dotted quads are taken too, as their mapped address: Go does. */
static bool ip6_parse(struct buf *out, struct bytes text)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t raw[16];

	if (text.len == 0 || !ip_text(text, copy))
		return false;
	if (!memchr(text.at, ':', text.len)) {
		buf_add(out, bytes_of(mapped, sizeof(mapped)));
		return ip4_parse(out, text);
	}
	if (inet_pton(AF_INET6, copy, raw) != 1)
		return false;
	buf_add(out, bytes_of(raw, sizeof(raw)));
	return true;
}

/* RFC 5952. inet_ntop() differs for ::1.2.3.4, which Go prints as ::102:304. */
static void ip6_print(struct buf *out, struct bytes value)
{
	unsigned words[8], best = 8, best_len = 1;

	if (memcmp(value.at, mapped, sizeof(mapped)) == 0) {
		buf_add_str(out, "::ffff:");
		ip4_print(out, bytes_skip(value, sizeof(mapped)));
		return;
	}
	for (unsigned i = 0; i < 8; i++)
		words[i] = (unsigned)value.at[2 * i] << 8 | value.at[2 * i + 1];
	for (unsigned i = 0, len; i < 8; i += len + 1) {
		for (len = 0; i + len < 8 && words[i + len] == 0; len++)
			;
		if (len > best_len) {
			best = i;
			best_len = len;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i == best) {
			buf_add_str(out, "::");
			i += best_len - 1;
			continue;
		}
		buf_printf(out, "%s%x", i > 0 && i != best + best_len ? ":" : "", words[i]);
	}
}

static size_t ip6_text_max(size_t len)
{
	(void)len;
	return INET6_ADDRSTRLEN;
}

/* ---- names and paths ---- */

/* A control character or space would break logs, a NUL the text itself. */
static bool printable(struct bytes value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] <= ' ' || value.at[i] == 0x7f)
			return false;
	return true;
}

static bool name_check(struct bytes value)
{
	return value.len > 0 && value.len <= DNS_MAX && !memchr(value.at, '/', value.len) &&
	       printable(value);
}

static bool raw_parse(struct buf *out, struct bytes text)
{
	buf_add(out, text);
	return text.len > 0;
}

static void raw_print(struct buf *out, struct bytes value)
{
	buf_add(out, value);
}

static size_t raw_text_max(size_t len)
{
	return len;
}

static bool unix_check(struct bytes value)
{
	return value.len >= 2 && value.at[0] == '/' && value.at[value.len - 1] != '/' &&
	       printable(value);
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool http_path_check(struct bytes value)
{
	return value.len > 0;
}

static bool http_path_parse(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] != '%') {
			buf_add_u8(out, text.at[i]);
			continue;
		}
		if (text.len - i < 3 || hex_value(text.at[i + 1]) < 0 ||
		    hex_value(text.at[i + 2]) < 0)
			return false;
		buf_add_u8(out,
			   (uint8_t)(hex_value(text.at[i + 1]) << 4 | hex_value(text.at[i + 2])));
		i += 2;
	}
	return text.len > 0;
}

/* Escapes what Go's url.PathEscape does. */
static void http_path_print(struct buf *out, struct bytes value)
{
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.at[i], lower = c | 0x20;
		bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
			     (c > 0 && strchr("-_.~$&+=:@", c));

		if (plain)
			buf_add_u8(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static size_t http_path_text_max(size_t len)
{
	return 3 * len;
}

/* ---- hashes ---- */

static bool p2p_check(struct bytes value)
{
	struct peer_id id;

	return peer_id_from_bytes(&id, value) == 0;
}

static bool p2p_parse(struct buf *out, struct bytes text)
{
	char copy[MULTIBASE_TEXT_MAX + 1];
	struct peer_id id;

	if (text.len == 0 || text.len > MULTIBASE_TEXT_MAX || memchr(text.at, 0, text.len))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = 0;
	if (peer_id_from_text(&id, copy) < 0)
		return false;
	buf_add(out, peer_id_bytes(&id));
	return true;
}

static void p2p_print(struct buf *out, struct bytes value)
{
	base_encode(out, BASE58BTC, value);
}

static size_t encoded_text_max(size_t len)
{
	return 2 * len;
}

static bool certhash_check(struct bytes value)
{
	struct multihash hash;
	ssize_t used = multihash_decode(&hash, value);

	return used > 0 && (size_t)used == value.len;
}

static bool certhash_parse(struct buf *out, struct bytes text)
{
	return multibase_decode(out, text, NULL) == 0;
}

static void certhash_print(struct buf *out, struct bytes value)
{
	multibase_encode(out, BASE64URL, value);
}

/* ---- onion and garlic ---- */

static bool onion_check(struct bytes value)
{
	/* Port 0 is none. */
	return value.at[value.len - 2] != 0 || value.at[value.len - 1] != 0;
}

static bool parse_onion(struct buf *out, struct bytes text, size_t host_len)
{
	const uint8_t *colon = text.len > 0 ? memchr(text.at, ':', text.len) : NULL;
	size_t before = out->len;

	if (!colon)
		return false;
	if (base_decode(out, BASE32, bytes_of(text.at, (size_t)(colon - text.at))) < 0)
		return false;
	return out->len - before == host_len &&
	       number_parse16(out, bytes_skip(text, (size_t)(colon + 1 - text.at)));
}

static bool onion_parse(struct buf *out, struct bytes text)
{
	return parse_onion(out, text, ONION_HOST_LEN);
}

static bool onion3_parse(struct buf *out, struct bytes text)
{
	return parse_onion(out, text, ONION3_HOST_LEN);
}

static void onion_print(struct buf *out, struct bytes value)
{
	size_t host_len = value.len - 2;

	base_encode(out, BASE32, bytes_of(value.at, host_len));
	buf_add_u8(out, ':');
	number_print(out, bytes_skip(value, host_len));
}

static size_t onion_text_max(size_t len)
{
	return 2 * len + 6;
}

/* I2P's base64 is the URL one, padded, with '~' for '_'. */
static bool garlic64_parse(struct buf *out, struct bytes text)
{
	struct buf url = { 0 };
	bool good = text.len <= MULTIADDR_TEXT_MAX;

	for (size_t i = 0; good && i < text.len; i++) {
		good = text.at[i] != '_';
		buf_add_u8(&url, text.at[i] == '~' ? '_' : text.at[i]);
	}
	good = good && base_decode(out, 'U', buf_bytes(&url)) == 0;
	buf_release(&url);
	return good;
}

static void garlic64_print(struct buf *out, struct bytes value)
{
	size_t before = out->len;

	base_encode(out, 'U', value);
	for (size_t i = before; i < out->len; i++)
		if (out->at[i] == '_')
			out->at[i] = '~';
}

static bool garlic64_check(struct bytes value)
{
	return value.len >= GARLIC64_MIN;
}

static bool garlic32_parse(struct buf *out, struct bytes text)
{
	return base_decode(out, BASE32, text) == 0;
}

static void garlic32_print(struct buf *out, struct bytes value)
{
	base_encode(out, BASE32, value);
}

static bool garlic32_check(struct bytes value)
{
	return value.len == GARLIC32_LEN || value.len >= GARLIC32_ENCRYPTED_MIN;
}

/* ---- the table ---- */

/* clang-format off */
#define FLAG(code, name) { code, 0, name, false, NULL, NULL, NULL, NULL }
#define NUMBER(code, name, len, parse) \
	{ code, len, name, false, any_check, number_print, number_text_max, parse }
#define NAME(code, name) \
	{ code, VAR, name, false, name_check, raw_print, raw_text_max, raw_parse }
#define VAR MULTIADDR_SIZE_VAR

static const struct multiaddr_proto protos[] = {
	{ MA_IP4, 4, "ip4", false, any_check, ip4_print, ip4_text_max, ip4_parse },
	NUMBER(MA_TCP, "tcp", 2, number_parse16),
	NUMBER(MA_DCCP, "dccp", 2, number_parse16),
	{ MA_IP6, 16, "ip6", false, any_check, ip6_print, ip6_text_max, ip6_parse },
	NAME(MA_IP6ZONE, "ip6zone"),
	NUMBER(MA_IPCIDR, "ipcidr", 1, number_parse8),
	NAME(MA_DNS, "dns"),
	NAME(MA_DNS4, "dns4"),
	NAME(MA_DNS6, "dns6"),
	NAME(MA_DNSADDR, "dnsaddr"),
	NUMBER(MA_SCTP, "sctp", 2, number_parse16),
	NUMBER(MA_UDP, "udp", 2, number_parse16),
	FLAG(MA_P2P_WEBRTC_DIRECT, "p2p-webrtc-direct"),
	FLAG(MA_WEBRTC_DIRECT, "webrtc-direct"),
	FLAG(MA_WEBRTC, "webrtc"),
	FLAG(MA_P2P_CIRCUIT, "p2p-circuit"),
	FLAG(MA_UDT, "udt"),
	FLAG(MA_UTP, "utp"),
	{ MA_UNIX, VAR, "unix", true, unix_check, raw_print, raw_text_max, raw_parse },
	{ MA_P2P, VAR, "p2p", false, p2p_check, p2p_print, encoded_text_max, p2p_parse },
	FLAG(MA_HTTPS, "https"),
	{ MA_ONION, ONION_HOST_LEN + 2, "onion", false, onion_check, onion_print, onion_text_max,
	  onion_parse },
	{ MA_ONION3, ONION3_HOST_LEN + 2, "onion3", false, onion_check, onion_print,
	  onion_text_max, onion3_parse },
	{ MA_GARLIC64, VAR, "garlic64", false, garlic64_check, garlic64_print, encoded_text_max,
	  garlic64_parse },
	{ MA_GARLIC32, VAR, "garlic32", false, garlic32_check, garlic32_print, encoded_text_max,
	  garlic32_parse },
	FLAG(MA_TLS, "tls"),
	NAME(MA_SNI, "sni"),
	FLAG(MA_NOISE, "noise"),
	FLAG(MA_QUIC, "quic"),
	FLAG(MA_QUIC_V1, "quic-v1"),
	FLAG(MA_WEBTRANSPORT, "webtransport"),
	{ MA_CERTHASH, VAR, "certhash", false, certhash_check, certhash_print, encoded_text_max,
	  certhash_parse },
	FLAG(MA_WS, "ws"),
	FLAG(MA_WSS, "wss"),
	FLAG(MA_HTTP, "http"),
	{ MA_HTTP_PATH, VAR, "http-path", false, http_path_check, http_path_print,
	  http_path_text_max, http_path_parse },
	NUMBER(MA_MEMORY, "memory", 8, number_parse64),
	FLAG(MA_PLAINTEXTV2, "plaintextv2"),
};
/* clang-format on */

const struct multiaddr_proto *multiaddr_proto_by_code(uint64_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (protos[i].code == code)
			return &protos[i];
	return NULL;
}

const struct multiaddr_proto *multiaddr_proto_by_name(struct bytes name)
{
	if (bytes_equal(name, bytes_str("ipfs")))
		name = bytes_str("p2p");
	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (bytes_equal(name, bytes_str(protos[i].name)))
			return &protos[i];
	return NULL;
}
