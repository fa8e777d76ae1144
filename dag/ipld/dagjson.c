/* Reading: one pass over the text, containers on a stack. What {"/": ...} means is decided when
 * the outer map ends. Pure; any thread. */
#include "dag/ipld/dagjson.h"

#include "net/base/err.h"
#include "net/wire/multibase.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_CHARS_MAX 1100 /* a double has at most 1 074 digits behind its point */

struct parser {
	const uint8_t *at, *end;
	struct ipld *tree;
	unsigned flags;
	struct buf scratch; /* of text with escapes */
	unsigned depth;
	struct {
		size_t index;
		uint32_t count;
		bool map;
	} stack[IPLD_DEPTH_MAX];
};

/* The next character that is no white space, not consumed; 0 at the end. */
static uint8_t dagjson_peek(struct parser *p)
{
	while (p->at < p->end && memchr(" \t\r\n", *p->at, 4))
		p->at++;
	return p->at < p->end ? *p->at : 0;
}

static bool dagjson_expect(struct parser *p, uint8_t c)
{
	if (dagjson_peek(p) != c)
		return false;
	p->at++;
	return true;
}

/* ---- text ---- */

static bool read_hex4(struct parser *p, uint32_t *value)
{
	*value = 0;
	if (p->end - p->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		uint8_t c = *p->at++;

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*value = *value << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

static void add_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_add_u8(out, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		buf_add_u8(out, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_add_u8(out, (uint8_t)(0xe0 | c >> 12));
		} else {
			buf_add_u8(out, (uint8_t)(0xf0 | c >> 18));
			buf_add_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_add_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_add_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
}

/* \uXXXX, or a pair of surrogates; half a pair is no character. */
static bool read_unicode(struct parser *p)
{
	uint32_t c, low;

	if (!read_hex4(p, &c))
		return false;
	if (c >= 0xd800 && c < 0xe000) {
		if (c >= 0xdc00 || p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
			return false;
		p->at += 2;
		if (!read_hex4(p, &low) || low < 0xdc00 || low >= 0xe000)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	add_utf8(&p->scratch, c);
	return true;
}

static bool read_escape(struct parser *p)
{
	static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint8_t c;

	if (p->at == p->end)
		return false;
	c = *p->at++;
	if (c == 'u')
		return read_unicode(p);
	found = c ? strchr(letters, c) : NULL;
	if (!found)
		return false;
	buf_add_u8(&p->scratch, (uint8_t)values[found - letters]);
	return true;
}

/* Borrowed from the text, or from scratch until the next one. */
static bool read_string(struct parser *p, struct bytes *text)
{
	const uint8_t *begin;
	bool escaped = false;

	if (!dagjson_expect(p, '"'))
		return false;
	buf_clear(&p->scratch);
	for (begin = p->at; p->at < p->end && *p->at != '"';) {
		if (*p->at < 0x20)
			return false;
		if (*p->at++ != '\\')
			continue;
		escaped = true;
		buf_add(&p->scratch, bytes_of(begin, (size_t)(p->at - 1 - begin)));
		if (!read_escape(p))
			return false;
		begin = p->at;
	}
	if (p->at == p->end)
		return false;
	*text = bytes_of(begin, (size_t)(p->at - begin));
	p->at++;
	if (escaped) {
		buf_add(&p->scratch, *text);
		*text = buf_bytes(&p->scratch);
	}
	return true;
}

static int put_string(struct parser *p)
{
	struct bytes text;

	return read_string(p, &text) ? ipld_put_text(p->tree, IPLD_TEXT, text) : -EBADMSG;
}

/* ---- numbers and words ---- */

static size_t skip_digits(struct parser *p)
{
	const uint8_t *begin = p->at;

	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
	return (size_t)(p->at - begin);
}

/* The token of a number; *real: it has a point or an exponent. */
static bool scan_number(struct parser *p, bool *real)
{
	size_t digits;
	bool zero;

	*real = false;
	if (p->at < p->end && *p->at == '-')
		p->at++;
	zero = p->at < p->end && *p->at == '0';
	digits = skip_digits(p);
	if (!digits || (zero && digits > 1))
		return false;
	if (p->at < p->end && *p->at == '.') {
		*real = true;
		p->at++;
		if (!skip_digits(p))
			return false;
	}
	if (p->at < p->end && (*p->at | 0x20) == 'e') {
		*real = true;
		p->at++;
		if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
			p->at++;
		if (!skip_digits(p))
			return false;
	}
	return true;
}

static int put_real(struct parser *p, struct bytes token)
{
	struct ipld_node node = { .kind = IPLD_FLOAT };
	char text[NUMBER_CHARS_MAX + 1];

	if (token.len > NUMBER_CHARS_MAX)
		return -EBADMSG;
	memcpy(text, token.at, token.len);
	text[token.len] = '\0';
	node.real = strtod(text, NULL);
	return isfinite(node.real) ? ipld_put(p->tree, node) : -EBADMSG;
}

static int put_integer(struct parser *p, struct bytes token)
{
	struct ipld_node node = { .kind = IPLD_INT };
	bool minus = token.at[0] == '-';
	unsigned __int128 value = 0;

	for (size_t i = minus; i < token.len; i++) {
		value = value * 10 + (token.at[i] - '0');
		if (value > (unsigned __int128)UINT64_MAX + minus)
			return -EBADMSG;
	}
	node.negative = minus && value;
	node.number = (uint64_t)(node.negative ? value - 1 : value);
	return ipld_put(p->tree, node);
}

static int put_number(struct parser *p)
{
	const uint8_t *begin = p->at;
	struct bytes token;
	bool real;

	if (!scan_number(p, &real))
		return -EBADMSG;
	token = bytes_of(begin, (size_t)(p->at - begin));
	return real ? put_real(p, token) : put_integer(p, token);
}

static int put_word(struct parser *p)
{
	static const struct {
		const char *text;
		struct ipld_node node;
	} words[] = {
		{ "null", { .kind = IPLD_NULL } },
		{ "true", { .kind = IPLD_BOOL, .yes = true } },
		{ "false", { .kind = IPLD_BOOL } },
	};
	struct bytes left = bytes_of(p->at, (size_t)(p->end - p->at));

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!bytes_start_with(left, bytes_str(words[i].text)))
			continue;
		p->at += strlen(words[i].text);
		return ipld_put(p->tree, words[i].node);
	}
	return put_number(p);
}

/* ---- containers ---- */

/* The value of "bytes", when that is all a map says. */
static const struct ipld_node *bytes_form(const struct ipld *tree, const struct ipld_node *node)
{
	const struct ipld_node *value = ipld_get(tree, node, bytes_str("bytes"));

	return value && value->kind == IPLD_TEXT ? value : NULL;
}

bool dagjson_reserved(const struct ipld *tree, const struct ipld_node *map)
{
	const struct ipld_node *value = ipld_get(tree, map, bytes_str("/"));

	return value && (value->kind == IPLD_TEXT || bytes_form(tree, value));
}

/* Turns the reserved map at index into the link or the bytes it says. */
static int put_reserved(struct parser *p, size_t index)
{
	const struct ipld_node *map = &p->tree->nodes[index];
	const struct ipld_node *value = ipld_get(p->tree, map, bytes_str("/"));
	struct buf data = { 0 };
	struct cid cid;
	int err = 0;

	if (map->count != 1 || (value->kind == IPLD_MAP && value->count != 1))
		return -EBADMSG;
	if (value->kind == IPLD_TEXT) {
		if (cid_from_text_bytes(&cid, ipld_text(p->tree, value)))
			return -EBADMSG;
		ipld_cut(p->tree, index);
		return ipld_put_text(p->tree, IPLD_LINK, cid_bytes(&cid));
	}
	if (base_decode(&data, BASE64, ipld_text(p->tree, bytes_form(p->tree, value))))
		err = -EBADMSG;
	if (!err) {
		ipld_cut(p->tree, index);
		err = ipld_put_text(p->tree, IPLD_BYTES, buf_bytes(&data));
	}
	buf_release(&data);
	return err;
}

static int end_container(struct parser *p)
{
	size_t index = p->stack[--p->depth].index;
	int err;

	p->at++;
	err = ipld_close(p->tree, index, p->stack[p->depth].count);
	if (err || !p->stack[p->depth].map || (p->flags & DAGJSON_PLAIN))
		return err;
	return dagjson_reserved(p->tree, &p->tree->nodes[index]) ? put_reserved(p, index) : 0;
}

static int begin_container(struct parser *p, bool map)
{
	ssize_t index;

	if (p->depth == IPLD_DEPTH_MAX)
		return -EBADMSG;
	p->at++;
	index = ipld_open(p->tree, map ? IPLD_MAP : IPLD_LIST);
	if (index < 0)
		return (int)index;
	p->stack[p->depth].index = (size_t)index;
	p->stack[p->depth].count = 0;
	p->stack[p->depth++].map = map;
	return 0;
}

/* What stands before the next value of the open container: nothing, a comma, a key. *ended: it has
 * no further one. */
static int before_value(struct parser *p, bool *ended)
{
	bool map = p->stack[p->depth - 1].map, first = p->stack[p->depth - 1].count == 0;
	int err;

	*ended = dagjson_peek(p) == (map ? '}' : ']');
	if (*ended)
		return end_container(p);
	if (!first && !dagjson_expect(p, ','))
		return -EBADMSG;
	p->stack[p->depth - 1].count++;
	if (!map)
		return 0;
	err = put_string(p);
	return err ? err : dagjson_expect(p, ':') ? 0 : -EBADMSG;
}

/* One loop over the text. Containers are on a stack, and a state says what may come next. */
static int dagjson_parse(struct parser *p)
{
	bool ended;
	int err = 0;

	do {
		ended = false;
		if (p->depth)
			err = before_value(p, &ended);
		if (err || ended)
			continue;
		switch (dagjson_peek(p)) {
		case '{':
			err = begin_container(p, true);
			break;
		case '[':
			err = begin_container(p, false);
			break;
		case '"':
			err = put_string(p);
			break;
		default:
			err = put_word(p);
		}
	} while (!err && p->depth);
	return err;
}

int dagjson_decode(struct ipld *tree, struct bytes text, unsigned flags)
{
	struct parser p = { .at = text.at, .tree = tree, .flags = flags };
	int err;

	if (!text.len || !ipld_utf8(text))
		return -EBADMSG;
	p.end = text.at + text.len;
	err = dagjson_parse(&p);
	if (!err && (dagjson_peek(&p) || p.at < p.end))
		err = -EBADMSG;
	buf_release(&p.scratch);
	if (err)
		ipld_release(tree);
	return err;
}
