/* Writing: the text Kubo writes, but floats keep their point (Go drops it, and with it the kind).
 * Pure; any thread. */
#include "dag/ipld/dagjson.h"
#include "net/base/err.h"
#include "net/wire/multibase.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOUBLE_DIGITS_MAX 17
#define PLAIN_EXPONENT_MIN                                                                         \
	(-6) /* below, and above the next, an exponent is written, as in JavaScript */
#define PLAIN_EXPONENT_MAX 20

/* Three bytes of UTF-8: U+2028 and U+2029, which JavaScript takes for line ends. */
static bool is_line_end(const uint8_t *at, size_t left)
{
	return left >= 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9);
}

static int put_text(struct buf *out, struct bytes text)
{
	static const char letters[] = "nrt", values[] = "\n\r\t";

	if (!ipld_utf8(text))
		return -EINVAL;
	buf_add_u8(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];
		const char *found = c ? strchr(values, c) : NULL;

		if (found) {
			buf_add_u8(out, '\\');
			buf_add_u8(out, (uint8_t)letters[found - values]);
		} else if (c < 0x20) {
			buf_printf(out, "\\u%04x", c);
		} else if (is_line_end(text.at + i, text.len - i)) {
			buf_printf(out, "\\u20%02x", text.at[i + 2] - 0x80);
			i += 2;
		} else {
			if (c == '"' || c == '\\')
				buf_add_u8(out, '\\');
			buf_add_u8(out, c);
		}
	}
	buf_add_u8(out, '"');
	return 0;
}

/* The fewest digits that read back the same: sign, digits without their point, exponent of the
 * first one. */
static void shortest(double value, char digits[static 32], int *exponent)
{
	char text[40], *e;

	for (int precision = 1; precision <= DOUBLE_DIGITS_MAX; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision - 1, value);
		if (strtod(text, NULL) == value)
			break;
	}
	e = strchr(text, 'e');
	*exponent = atoi(e + 1);
	*e = '\0';
	for (const char *at = text; *at; at++)
		if (*at != '.')
			*digits++ = *at;
	*digits = '\0';
}

/* A float in the shortest text that reads back as the same number, always with a point or
 * exponent. */
static void put_float(struct buf *out, double value)
{
	char digits[32];
	int exponent, len;

	if (signbit(value))
		buf_add_u8(out, '-');
	shortest(fabs(value), digits, &exponent);
	len = (int)strlen(digits);
	if (exponent < PLAIN_EXPONENT_MIN || exponent > PLAIN_EXPONENT_MAX) {
		buf_printf(out, "%c%s%s", digits[0], len > 1 ? "." : "", digits + 1);
		buf_printf(out, "e%+d", exponent);
	} else if (exponent < 0) {
		buf_add_str(out, "0.");
		for (int i = -1; i > exponent; i--)
			buf_add_u8(out, '0');
		buf_add_str(out, digits);
	} else {
		for (int i = 0; i < len || i <= exponent; i++) {
			buf_add_u8(out, i < len ? (uint8_t)digits[i] : '0');
			if (i == exponent)
				buf_add_u8(out, '.');
		}
		if (len <= exponent + 1)
			buf_add_u8(out, '0');
	}
}

static void put_int(struct buf *out, const struct ipld_node *node)
{
	if (!node->negative)
		buf_printf(out, "%llu", (unsigned long long)node->number);
	else if (node->number == UINT64_MAX)
		buf_add_str(out, "-18446744073709551616");
	else
		buf_printf(out, "-%llu", (unsigned long long)node->number + 1);
}

static int put_link(struct buf *out, const struct ipld *tree, const struct ipld_node *node)
{
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err = ipld_link(tree, node, &cid);

	if (!err)
		buf_printf(out, "{\"/\":\"%s\"}", cid_text(&cid, text));
	return err;
}

static int put_bytes(struct buf *out, struct bytes data)
{
	int err;

	buf_add_str(out, "{\"/\":{\"bytes\":\"");
	err = base_encode(out, BASE64, data);
	buf_add_str(out, "\"}}");
	return err;
}

static int put_scalar(struct buf *out, const struct ipld *tree, const struct ipld_node *node,
		      unsigned flags)
{
	bool plain = flags & DAGJSON_PLAIN;

	switch ((enum ipld_kind)node->kind) {
	case IPLD_NULL:
		buf_add_str(out, "null");
		return 0;
	case IPLD_BOOL:
		buf_add_str(out, node->yes ? "true" : "false");
		return 0;
	case IPLD_INT:
		put_int(out, node);
		return 0;
	case IPLD_FLOAT:
		put_float(out, node->real);
		return 0;
	case IPLD_TEXT:
		return put_text(out, ipld_text(tree, node));
	case IPLD_BYTES:
		return plain ? -EINVAL : put_bytes(out, ipld_text(tree, node));
	case IPLD_LINK:
		return plain ? -EINVAL : put_link(out, tree, node);
	default:
		return -EINVAL;
	}
}

int dagjson_encode(const struct ipld *tree, const struct ipld_node *node, unsigned flags,
		   struct buf *out)
{
	struct ipld_walk walk = { .tree = tree, .root = node, .order = bytes_cmp };
	struct ipld_event event;
	int err = 0;

	while (!err && ipld_next(&walk, &event)) {
		bool map = event.node->kind == IPLD_MAP, list = event.node->kind == IPLD_LIST;

		if (event.close) {
			buf_add_u8(out, map ? '}' : ']');
			continue;
		}
		if (event.value)
			buf_add_u8(out, ':');
		else if (!event.first)
			buf_add_u8(out, ',');
		if (map && !(flags & DAGJSON_PLAIN) && dagjson_reserved(tree, event.node))
			err = -EINVAL;
		else if (map || list)
			buf_add_u8(out, map ? '{' : '[');
		else
			err = put_scalar(out, tree, event.node, flags);
	}
	ipld_walk_release(&walk);
	return err;
}
