/* Multiaddresses: parsing, printing, walking and joining. An address stays in its binary form,
 * which is checked in full once, when it comes in; walking it cannot fail afterwards. Pure; any
 * thread. */
#include "net/wire/multiaddr.h"

#include "net/base/alloc.h"
#include "net/wire/multiaddr_proto.h"
#include "net/wire/varint.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* One component: uv(code) | value, or uv(code) | uv(length) | value. 0, -EBADMSG or -ENOTSUP. */
static int take_part(struct bytes *in, const struct multiaddr_proto **proto,
		     struct multiaddr_part *part)
{
	const uint8_t *start = in->at;
	uint64_t code, len;
	ssize_t used = uvarint_decode(&code, *in);

	if (used <= 0)
		return -EBADMSG;
	*in = bytes_skip(*in, (size_t)used);
	*proto = multiaddr_proto_by_code(code);
	if (!*proto)
		return -ENOTSUP;
	len = (uint64_t)(*proto)->size;
	if ((*proto)->size == MULTIADDR_SIZE_VAR) {
		used = uvarint_decode(&len, *in);
		if (used <= 0 || len == 0)
			return -EBADMSG;
		*in = bytes_skip(*in, (size_t)used);
	}
	if (len > in->len)
		return -EBADMSG;
	part->code = (*proto)->code;
	part->value = bytes_of(in->at, (size_t)len);
	part->whole = bytes_of(start, (size_t)(in->at + len - start));
	*in = bytes_skip(*in, (size_t)len);
	return 0;
}

/* Every component, and that the text of all of them fits. */
static int multiaddr_check(struct bytes in)
{
	const struct multiaddr_proto *proto = NULL;
	struct multiaddr_part part;
	size_t parts = 0, text_len = 0;

	if (in.len == 0 || in.len > MULTIADDR_MAX)
		return -EBADMSG;
	while (in.len > 0) {
		if (proto && proto->is_path)
			return -EBADMSG;
		int err = take_part(&in, &proto, &part);
		if (err < 0)
			return err;
		if (++parts > MULTIADDR_PARTS_MAX)
			return -EBADMSG;
		text_len += 1 + strlen(proto->name);
		if (proto->size == 0)
			continue;
		if (!proto->check(part.value))
			return -EBADMSG;
		text_len += 1 + proto->text_max(part.value.len);
	}
	return text_len < MULTIADDR_TEXT_MAX ? 0 : -EBADMSG;
}

int multiaddr_from_bytes(struct multiaddr *addr, struct bytes in)
{
	int err = multiaddr_check(in);

	if (err < 0)
		return err;
	/* in may be addr's own bytes. */
	memmove(addr->bytes, in.at, in.len);
	addr->len = (uint16_t)in.len;
	return 0;
}

/* ---- text ---- */

/* Up to the next slash, which goes too. */
static struct bytes take_word(struct bytes *text)
{
	const uint8_t *slash = text->len > 0 ? memchr(text->at, '/', text->len) : NULL;
	size_t len = slash ? (size_t)(slash - text->at) : text->len;
	struct bytes word = bytes_of(text->at, len);

	*text = bytes_skip(*text, slash ? len + 1 : len);
	return word;
}

static void add_part(struct buf *out, const struct multiaddr_proto *proto, struct bytes value)
{
	buf_add_uvarint(out, proto->code);
	if (proto->size == MULTIADDR_SIZE_VAR)
		buf_add_uvarint(out, value.len);
	buf_add(out, value);
}

/* One component from the front of text. */
static int parse_part(struct buf *out, struct bytes *text)
{
	const struct multiaddr_proto *proto = multiaddr_proto_by_name(take_word(text));
	struct bytes word = { 0 };
	struct buf value = { 0 };
	int err = 0;

	if (!proto)
		return -ENOTSUP;
	if (proto->size != 0 && text->len == 0)
		return -EBADMSG;
	if (proto->is_path) {
		/* The slash before it is part of it. */
		word = bytes_of(text->at - 1, text->len + 1);
		*text = (struct bytes){ 0 };
	} else if (proto->size != 0) {
		word = take_word(text);
	}
	if (proto->size != 0 && !proto->parse(&value, word))
		err = -EBADMSG;
	if (err == 0)
		add_part(out, proto, buf_bytes(&value));
	buf_release(&value);
	return err;
}

int multiaddr_from_text(struct multiaddr *addr, const char *text)
{
	struct bytes left = bytes_str(text);
	struct buf out = { 0 };
	int err = 0;

	if (left.len >= MULTIADDR_TEXT_MAX || left.len == 0 || left.at[0] != '/')
		return -EBADMSG;
	while (left.len > 0 && left.at[left.len - 1] == '/')
		left.len--;
	if (left.len > 0)
		left = bytes_skip(left, 1);
	while (left.len > 0 && err == 0)
		err = parse_part(&out, &left);
	if (err == 0)
		err = multiaddr_from_bytes(addr, buf_bytes(&out));
	buf_release(&out);
	return err;
}

const char *multiaddr_text(const struct multiaddr *addr, char out[static MULTIADDR_TEXT_MAX])
{
	struct buf text = { 0 };
	struct multiaddr_part part;
	size_t at = 0;

	while (multiaddr_next(addr, &at, &part)) {
		const struct multiaddr_proto *proto = multiaddr_proto_by_code(part.code);

		buf_add_u8(&text, '/');
		buf_add_str(&text, proto->name);
		if (proto->size == 0)
			continue;
		if (!proto->is_path)
			buf_add_u8(&text, '/');
		proto->print(&text, part.value);
	}
	assert(text.len < MULTIADDR_TEXT_MAX);
	if (text.len > 0)
		memcpy(out, text.at, text.len);
	out[text.len] = 0;
	buf_release(&text);
	return out;
}

/* ---- walking and joining ---- */

bool multiaddr_equal(const struct multiaddr *a, const struct multiaddr *b)
{
	return bytes_equal(multiaddr_bytes(a), multiaddr_bytes(b));
}

bool multiaddr_next(const struct multiaddr *addr, size_t *at, struct multiaddr_part *part)
{
	const struct multiaddr_proto *proto;
	struct bytes left = bytes_skip(multiaddr_bytes(addr), *at);

	if (left.len == 0 || take_part(&left, &proto, part) < 0)
		return false;
	*at += part->whole.len;
	return true;
}

bool multiaddr_find(const struct multiaddr *addr, uint32_t code, struct multiaddr_part *part)
{
	size_t at = 0;

	while (multiaddr_next(addr, &at, part))
		if (part->code == code)
			return true;
	return false;
}

bool multiaddr_split_peer(struct multiaddr *addr, struct peer_id *id)
{
	struct multiaddr_part part, last = { 0 };
	size_t at = 0;

	while (multiaddr_next(addr, &at, &part))
		last = part;
	if (last.code != MA_P2P || peer_id_from_bytes(id, last.value) < 0)
		return false;
	addr->len = (uint16_t)(addr->len - last.whole.len);
	return true;
}

static int multiaddr_append(struct multiaddr *addr, struct bytes tail)
{
	uint8_t joined[MULTIADDR_MAX];
	size_t len = addr->len + tail.len;
	int err;

	if (len > MULTIADDR_MAX)
		return -EMSGSIZE;
	if (tail.len == 0)
		return 0;
	if (addr->len > 0)
		memcpy(joined, addr->bytes, addr->len);
	memcpy(joined + addr->len, tail.at, tail.len);
	err = multiaddr_check(bytes_of(joined, len));
	if (err < 0)
		return err;
	memcpy(addr->bytes, joined, len);
	addr->len = (uint16_t)len;
	return 0;
}

int multiaddr_add(struct multiaddr *addr, uint32_t code, struct bytes value)
{
	const struct multiaddr_proto *proto = multiaddr_proto_by_code(code);
	struct buf part = { 0 };
	int err;

	if (!proto)
		return -ENOTSUP;
	if (proto->size == MULTIADDR_SIZE_VAR ? value.len == 0 : value.len != (size_t)proto->size)
		return -EBADMSG;
	if (value.len > MULTIADDR_MAX)
		return -EMSGSIZE;
	add_part(&part, proto, value);
	err = multiaddr_append(addr, buf_bytes(&part));
	buf_release(&part);
	return err;
}

int multiaddr_join(struct multiaddr *addr, const struct multiaddr *tail)
{
	return multiaddr_append(addr, multiaddr_bytes(tail));
}

int multiaddr_add_peer(struct multiaddr *addr, const struct peer_id *id)
{
	return multiaddr_add(addr, MA_P2P, peer_id_bytes(id));
}
