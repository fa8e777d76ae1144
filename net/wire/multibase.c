/* Text encodings of binary data. Bases of 2^n are shifted through bit by bit; bases 10, 36 and 58
 * need arithmetic on the whole number, which is quadratic, so that their input is limited. Pure;
 * any thread. */
#include "net/wire/multibase.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <string.h>

/* Payload of the longest text. */
#define DIGITS_MAX (MULTIBASE_TEXT_MAX - 1)

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX_LOWER DIGITS "abcdef"
#define HEX_UPPER DIGITS "ABCDEF"
#define B32_LOWER LOWER "234567"
#define B32_UPPER UPPER "234567"
#define B32HEX_LOWER DIGITS "abcdefghijklmnopqrstuv"
#define B32HEX_UPPER DIGITS "ABCDEFGHIJKLMNOPQRSTUV"
#define B32Z "ybndrfg8ejkmcpqxot1uwisza345h769"
#define B58BTC "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#define B58FLICKR "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
#define B64 UPPER LOWER DIGITS "+/"
#define B64URL UPPER LOWER DIGITS "-_"

struct base {
	char prefix;
	uint8_t bits;  /* of a character; 0: the payload is one big number */
	uint8_t group; /* characters that '=' fills up to; 0: no padding */
	bool any_case;
	const char *name;
	const char *alphabet;
};

/* clang-format off */
static const struct base bases[] = {
	{ '0', 1, 0, false, "base2", "01" },
	{ '7', 3, 0, false, "base8", "01234567" },
	{ '9', 0, 0, false, "base10", DIGITS },
	{ 'f', 4, 0, true, "base16", HEX_LOWER },
	{ 'F', 4, 0, true, "base16upper", HEX_UPPER },
	{ 'b', 5, 0, true, "base32", B32_LOWER },
	{ 'B', 5, 0, true, "base32upper", B32_UPPER },
	{ 'c', 5, 8, true, "base32pad", B32_LOWER },
	{ 'C', 5, 8, true, "base32padupper", B32_UPPER },
	{ 'v', 5, 0, true, "base32hex", B32HEX_LOWER },
	{ 'V', 5, 0, true, "base32hexupper", B32HEX_UPPER },
	{ 't', 5, 8, true, "base32hexpad", B32HEX_LOWER },
	{ 'T', 5, 8, true, "base32hexpadupper", B32HEX_UPPER },
	{ 'h', 5, 0, false, "base32z", B32Z },
	{ 'k', 0, 0, true, "base36", DIGITS LOWER },
	{ 'K', 0, 0, true, "base36upper", DIGITS UPPER },
	{ 'z', 0, 0, false, "base58btc", B58BTC },
	{ 'Z', 0, 0, false, "base58flickr", B58FLICKR },
	{ 'm', 6, 0, false, "base64", B64 },
	{ 'M', 6, 4, false, "base64pad", B64 },
	{ 'u', 6, 0, false, "base64url", B64URL },
	{ 'U', 6, 4, false, "base64urlpad", B64URL },
};
/* clang-format on */

static const struct base *base_find(char prefix)
{
	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		if (bases[i].prefix == prefix)
			return &bases[i];
	return NULL;
}

/* What each byte means in this base, -1 when it means nothing. */
struct meaning {
	int8_t of[256];
};

static void meaning_init(struct meaning *meaning, const struct base *base)
{
	memset(meaning->of, -1, sizeof(meaning->of));
	for (int i = 0; base->alphabet[i]; i++) {
		uint8_t c = (uint8_t)base->alphabet[i];
		bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		meaning->of[c] = (int8_t)i;
		if (base->any_case && letter)
			meaning->of[c ^ 0x20] = (int8_t)i;
	}
}

static void encode_bits(struct buf *out, const struct base *base, struct bytes data)
{
	size_t count = (data.len * 8 + base->bits - 1) / base->bits;
	size_t padded = base->group ? (count + base->group - 1) / base->group * base->group : count;
	uint8_t *to = buf_reserve(out, padded);
	uint32_t held = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < data.len; i++) {
		held = held << 8 | data.at[i];
		for (bits += 8; bits >= base->bits; bits -= base->bits)
			*to++ = (uint8_t)base->alphabet[held >> (bits - base->bits) &
							((1u << base->bits) - 1)];
	}
	if (bits > 0)
		*to++ = (uint8_t)base
				->alphabet[held << (base->bits - bits) & ((1u << base->bits) - 1)];
	if (padded > count)
		memset(to, '=', padded - count);
	out->len += padded;
}

/* The text without its padding, which must be exactly what the length asks for. */
static int strip_padding(const struct base *base, struct bytes *text)
{
	size_t count = text->len, padded;

	if (base->group == 0)
		return 0;
	while (count > 0 && text->at[count - 1] == '=')
		count--;
	padded = (count + base->group - 1u) / base->group * base->group;
	if (padded != text->len)
		return -EBADMSG;
	text->len = count;
	return 0;
}

/* Text to bytes in a base of 2^n. Padding must be exact, and no character may be superfluous. */
static int decode_bits(struct buf *out, const struct base *base, struct bytes text)
{
	struct meaning meaning;
	uint32_t held = 0;
	unsigned bits = 0;
	uint8_t *to;

	if (strip_padding(base, &text) < 0)
		return -EBADMSG;
	/* A last character without a single bit of the payload. Stray bits in a needed one are
	 * tolerated, as every other implementation does. */
	if (text.len * base->bits % 8 >= base->bits)
		return -EBADMSG;
	meaning_init(&meaning, base);
	to = buf_reserve(out, text.len * base->bits / 8);
	for (size_t i = 0; i < text.len; i++) {
		int value = meaning.of[text.at[i]];

		if (value < 0)
			return -EBADMSG;
		held = held << base->bits | (uint32_t)value;
		bits += base->bits;
		if (bits >= 8) {
			bits -= 8;
			*to++ = (uint8_t)(held >> bits);
		}
	}
	out->len += text.len * base->bits / 8;
	return 0;
}

/* Big numbers are kept least digit first. Each leading zero byte is one leading zero digit. */
static int encode_number(struct buf *out, const struct base *base, struct bytes data)
{
	uint8_t digits[DIGITS_MAX];
	unsigned radix = (unsigned)strlen(base->alphabet);
	size_t count = 0, zeros = 0;

	if (data.len > DIGITS_MAX)
		return -EMSGSIZE;
	while (zeros < data.len && data.at[zeros] == 0)
		zeros++;
	for (size_t i = zeros; i < data.len; i++) {
		uint32_t carry = data.at[i];

		for (size_t k = 0; k < count; k++) {
			carry += (uint32_t)digits[k] << 8;
			digits[k] = (uint8_t)(carry % radix);
			carry /= radix;
		}
		for (; carry > 0; carry /= radix) {
			if (count == DIGITS_MAX)
				return -EMSGSIZE;
			digits[count++] = (uint8_t)(carry % radix);
		}
	}
	if (zeros + count > DIGITS_MAX)
		return -EMSGSIZE;

	uint8_t *to = buf_reserve(out, zeros + count);

	for (size_t i = 0; i < zeros; i++)
		*to++ = (uint8_t)base->alphabet[0];
	for (size_t i = count; i > 0; i--)
		*to++ = (uint8_t)base->alphabet[digits[i - 1]];
	out->len += zeros + count;
	return 0;
}

/* Text to bytes in base 10, 36 or 58, by arithmetic on the whole number. Leading zero digits are
 * leading zero bytes. */
static int decode_number(struct buf *out, const struct base *base, struct bytes text)
{
	uint8_t number[DIGITS_MAX];
	unsigned radix = (unsigned)strlen(base->alphabet);
	struct meaning meaning;
	size_t count = 0, zeros = 0;

	if (text.len > DIGITS_MAX)
		return -EMSGSIZE;
	meaning_init(&meaning, base);
	while (zeros < text.len && meaning.of[text.at[zeros]] == 0)
		zeros++;
	for (size_t i = zeros; i < text.len; i++) {
		int value = meaning.of[text.at[i]];

		if (value < 0)
			return -EBADMSG;
		uint32_t carry = (uint32_t)value;
		for (size_t k = 0; k < count; k++) {
			carry += number[k] * radix;
			number[k] = (uint8_t)carry;
			carry >>= 8;
		}
		/* A character is less than a byte: the number is never longer than the text. */
		if (carry > 0)
			number[count++] = (uint8_t)carry;
	}

	uint8_t *to = buf_reserve(out, zeros + count);

	if (zeros > 0)
		memset(to, 0, zeros);
	for (size_t i = 0; i < count; i++)
		to[zeros + i] = number[count - 1 - i];
	out->len += zeros + count;
	return 0;
}

int base_encode(struct buf *out, char prefix, struct bytes data)
{
	const struct base *base = base_find(prefix);

	if (!base)
		return -EINVAL;
	if (base->bits == 0)
		return encode_number(out, base, data);
	encode_bits(out, base, data);
	return 0;
}

int base_decode(struct buf *out, char prefix, struct bytes text)
{
	const struct base *base = base_find(prefix);

	if (!base)
		return -EINVAL;
	return base->bits == 0 ? decode_number(out, base, text) : decode_bits(out, base, text);
}

int multibase_encode(struct buf *out, char base, struct bytes data)
{
	size_t before = out->len;
	int err;

	buf_add_u8(out, (uint8_t)base);
	err = base_encode(out, base, data);
	if (err < 0)
		out->len = before;
	return err;
}

int multibase_decode(struct buf *out, struct bytes text, char *base)
{
	if (text.len > MULTIBASE_TEXT_MAX)
		return -EMSGSIZE;
	if (text.len == 0)
		return -EBADMSG;
	if (base)
		*base = (char)text.at[0];
	return base_decode(out, (char)text.at[0], bytes_skip(text, 1));
}

char multibase_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		if (strcmp(bases[i].name, name) == 0)
			return bases[i].prefix;
	return 0;
}
