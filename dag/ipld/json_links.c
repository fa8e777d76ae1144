/* One pass over the text. A frame is an open object or array; it is a link while its first key is
 * "/" and the value a string. Pure; any thread. */
#include "dag/ipld/json_links.h"

#include "net/base/err.h"

#include <string.h>

struct scan {
	const uint8_t *at, *end;
	unsigned depth;
	struct {
		bool object;
		bool slash; /* the key in force is "/", and it is the first */
	} stack[JSON_DEPTH_MAX];
	int (*each)(void *ctx, const struct cid *cid);
	void *ctx;
};

/* The next character that is no white space, not consumed; 0 at the end. */
static uint8_t json_links_peek(struct scan *s)
{
	while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
		s->at++;
	return s->at < s->end ? *s->at : 0;
}

static bool json_links_expect(struct scan *s, uint8_t c)
{
	if (json_links_peek(s) != c)
		return false;
	s->at++;
	return true;
}

/* What stands between the quotes, escapes as they are. */
static bool read_string(struct scan *s, struct bytes *text)
{
	if (!json_links_expect(s, '"'))
		return false;
	const uint8_t *begin = s->at;

	while (s->at < s->end && *s->at != '"') {
		if (*s->at < 0x20)
			return false;
		if (*s->at == '\\' && ++s->at == s->end)
			return false;
		s->at++;
	}
	if (s->at == s->end)
		return false;
	*text = bytes_of(begin, (size_t)(s->at - begin));
	s->at++;
	return true;
}

/* "/" however it is escaped: no link may hide. */
static bool is_slash(struct bytes key)
{
	static const char *forms[] = { "/", "\\/", "\\u002f", "\\u002F" };

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (bytes_equal(key, bytes_str(forms[i])))
			return true;
	return false;
}

static int read_key(struct scan *s, bool first)
{
	struct bytes key;

	if (!read_string(s, &key) || !json_links_expect(s, ':'))
		return -EBADMSG;
	s->stack[s->depth - 1].slash = first && is_slash(key);
	return 0;
}

/* A string; inside {"/": it is a link, and nothing may follow it. */
static int read_text(struct scan *s)
{
	struct bytes text;
	struct cid cid;

	if (!read_string(s, &text))
		return -EBADMSG;
	if (!s->depth || !s->stack[s->depth - 1].slash)
		return 0;
	if (cid_from_text_bytes(&cid, text) || json_links_peek(s) != '}')
		return -EBADMSG;
	return s->each(s->ctx, &cid);
}

static int read_word(struct scan *s)
{
	static const char *words[] = { "true", "false", "null" };
	struct bytes left = bytes_of(s->at, (size_t)(s->end - s->at));
	const uint8_t *begin = s->at;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (bytes_start_with(left, bytes_str(words[i]))) {
			s->at += strlen(words[i]);
			return 0;
		}
	}
	while (s->at < s->end && *s->at && strchr("+-.0123456789eE", *s->at))
		s->at++;
	return s->at > begin ? 0 : -EBADMSG;
}

/* Reads a value. *whole: it is complete; false: a container was opened and its first value comes
 * next. */
static int read_value(struct scan *s, bool *whole)
{
	uint8_t c = json_links_peek(s);

	*whole = true;
	if (c == '"')
		return read_text(s);
	if (c != '{' && c != '[')
		return read_word(s);
	if (s->depth == JSON_DEPTH_MAX)
		return -EBADMSG;
	s->at++;
	if (json_links_peek(s) == (c == '{' ? '}' : ']')) {
		s->at++;
		return 0;
	}
	*whole = false;
	s->stack[s->depth].object = c == '{';
	s->stack[s->depth++].slash = false;
	return c == '{' ? read_key(s, true) : 0;
}

/* After a value: closes what ends here; leaves off where the next value begins, or at depth 0. */
static int after_value(struct scan *s)
{
	while (s->depth) {
		bool object = s->stack[s->depth - 1].object;

		if (json_links_expect(s, ','))
			return object ? read_key(s, false) : 0;
		if (!json_links_expect(s, object ? '}' : ']'))
			return -EBADMSG;
		s->depth--;
	}
	return 0;
}

int json_links(struct bytes block, int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct scan s = { .each = each, .ctx = ctx };
	int err;

	if (!block.len)
		return -EBADMSG;
	s.at = block.at;
	s.end = block.at + block.len;
	do {
		bool whole;

		err = read_value(&s, &whole);
		if (!err && whole)
			err = after_value(&s);
	} while (!err && s.depth);
	if (err)
		return err;
	return json_links_peek(&s) || s.at < s.end ? -EBADMSG : 0;
}
