/* The protobuf wire format, read without copying: one field after the other, with no schema and
 * no recursion. The first bad byte stops the reader for good, and callers check once. Pure; any
 * thread. */
#include "net/wire/pb.h"

#include <errno.h>

#define PB_VARINT_MAX_LEN 10
#define PB_FIELD_MAX ((UINT32_C(1) << 29) - 1)

/* Adding an offset to a null pointer is undefined, so an empty message reads from here. */
static const uint8_t nothing[1];

ssize_t pb_varint_decode(uint64_t *value, struct bytes in)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < PB_VARINT_MAX_LEN; i++) {
		if (i == in.len)
			return 0;
		uint8_t byte = in.at[i];
		/* Only one of 64 bits is left for the tenth byte. */
		if (i == PB_VARINT_MAX_LEN - 1 && byte > 1)
			return -EBADMSG;
		sum |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		*value = sum;
		return (ssize_t)(i + 1);
	}
	return -EBADMSG;
}

static size_t left(const struct pb_reader *r)
{
	return (size_t)(r->c.end - r->c.at);
}

static uint64_t read_varint(struct pb_reader *r)
{
	uint64_t value = 0;
	ssize_t used = r->bad ? 0 : pb_varint_decode(&value, bytes_of(r->c.at, left(r)));

	if (used <= 0) {
		r->bad = true;
		return 0;
	}
	r->c.at += used;
	return value;
}

static struct bytes read_bytes(struct pb_reader *r, uint64_t len)
{
	struct bytes out = { 0 };

	if (r->bad || len > left(r)) {
		r->bad = true;
		return out;
	}
	out = bytes_of(r->c.at, (size_t)len);
	r->c.at += len;
	return out;
}

static uint64_t read_fixed(struct pb_reader *r, size_t len)
{
	struct bytes raw = read_bytes(r, len);
	uint64_t value = 0;

	for (size_t i = 0; i < raw.len; i++)
		value |= (uint64_t)raw.at[i] << (8 * i);
	return value;
}

struct pb_reader pb_over(struct bytes message)
{
	const uint8_t *at = message.at ? message.at : nothing;

	return (struct pb_reader){ .c = { .at = at, .end = at + message.len } };
}

bool pb_next(struct pb_reader *r, struct pb_field *field)
{
	*field = (struct pb_field){ .reader = r };
	if (r->bad || left(r) == 0)
		return false;

	uint64_t tag = read_varint(r);

	if (r->bad || tag >> 3 == 0 || tag >> 3 > PB_FIELD_MAX) {
		r->bad = true;
		return false;
	}
	field->number = (uint32_t)(tag >> 3);
	field->type = (enum pb_type)(tag & 7);
	switch (field->type) {
	case PB_VARINT:
		field->value = read_varint(r);
		break;
	case PB_FIXED64:
		field->value = read_fixed(r, 8);
		break;
	case PB_BYTES:
		field->bytes = read_bytes(r, read_varint(r));
		break;
	case PB_FIXED32:
		field->value = read_fixed(r, 4);
		break;
	default: /* groups and what no one has defined */
		r->bad = true;
	}
	return !r->bad;
}

static bool pb_expect(struct pb_field *field, enum pb_type type)
{
	if (field->type == type)
		return true;
	field->reader->bad = true;
	return false;
}

uint64_t pb_u64(struct pb_field *field)
{
	return pb_expect(field, PB_VARINT) ? field->value : 0;
}

bool pb_bool(struct pb_field *field)
{
	return pb_u64(field) != 0;
}

struct bytes pb_bytes(struct pb_field *field)
{
	return pb_expect(field, PB_BYTES) ? field->bytes : (struct bytes){ 0 };
}

uint32_t pb_fixed32(struct pb_field *field)
{
	return pb_expect(field, PB_FIXED32) ? (uint32_t)field->value : 0;
}

bool pb_repeated(struct pb_field *field, bool (*add)(void *ctx, uint64_t value), void *ctx)
{
	struct pb_reader *outer = field->reader;
	struct pb_reader packed;

	if (field->type == PB_VARINT) {
		outer->bad |= !add(ctx, field->value);
		return !outer->bad;
	}
	packed = pb_over(pb_bytes(field));
	while (!outer->bad && left(&packed) > 0) {
		uint64_t value = read_varint(&packed);
		outer->bad |= packed.bad || !add(ctx, value);
	}
	return !outer->bad;
}

static size_t varint_len(uint64_t value)
{
	size_t len = 1;

	while (value >>= 7)
		len++;
	return len;
}

static void put_varint(struct buf *out, uint64_t value)
{
	uint8_t raw[PB_VARINT_MAX_LEN];
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		raw[len++] = (uint8_t)(value | 0x80);
	raw[len++] = (uint8_t)value;
	buf_add(out, bytes_of(raw, len));
}

static uint64_t tag_of(uint32_t number, enum pb_type type)
{
	return (uint64_t)number << 3 | type;
}

void pb_put_u64(struct buf *out, uint32_t number, uint64_t value)
{
	put_varint(out, tag_of(number, PB_VARINT));
	put_varint(out, value);
}

void pb_put_head(struct buf *out, uint32_t number, size_t len)
{
	put_varint(out, tag_of(number, PB_BYTES));
	put_varint(out, len);
}

void pb_put_bytes(struct buf *out, uint32_t number, struct bytes value)
{
	pb_put_head(out, number, value.len);
	buf_add(out, value);
}

void pb_put_str(struct buf *out, uint32_t number, const char *text)
{
	pb_put_bytes(out, number, bytes_str(text));
}

void pb_put_fixed32(struct buf *out, uint32_t number, uint32_t value)
{
	uint8_t raw[4];

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(value >> (8 * i));
	put_varint(out, tag_of(number, PB_FIXED32));
	buf_add(out, bytes_of(raw, sizeof(raw)));
}

size_t pb_len_u64(uint32_t number, uint64_t value)
{
	return varint_len(tag_of(number, PB_VARINT)) + varint_len(value);
}

size_t pb_len_bytes(uint32_t number, size_t len)
{
	return varint_len(tag_of(number, PB_BYTES)) + varint_len(len) + len;
}
