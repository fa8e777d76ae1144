/* Unsigned varints of multiformats: minimal, at most 9 bytes. Protobuf has another kind, which is
 * in pb.c. Pure; any thread. */
#include "net/wire/varint.h"

#include <assert.h>
#include <errno.h>

#define GROUP_BITS 7
#define MORE 0x80

ssize_t uvarint_decode(uint64_t *value, struct bytes in)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < UVARINT_MAX_LEN; i++) {
		if (i == in.len)
			return 0;
		uint8_t byte = in.at[i];
		sum |= (uint64_t)(byte & (MORE - 1)) << (GROUP_BITS * i);
		if (byte & MORE)
			continue;
		/* A last group of zeros says nothing: the shorter form exists. */
		if (byte == 0 && i > 0)
			return -EBADMSG;
		*value = sum;
		return (ssize_t)(i + 1);
	}
	return -EBADMSG;
}

size_t uvarint_encode(uint8_t out[static UVARINT_MAX_LEN], uint64_t value)
{
	size_t len = 0;

	assert(value < UINT64_C(1) << 63);
	while (value >= MORE) {
		out[len++] = (uint8_t)(value | MORE);
		value >>= GROUP_BITS;
	}
	out[len++] = (uint8_t)value;
	return len;
}

size_t uvarint_len(uint64_t value)
{
	size_t len = 1;

	while (value >>= GROUP_BITS)
		len++;
	return len;
}

void buf_add_uvarint(struct buf *buf, uint64_t value)
{
	uint8_t out[UVARINT_MAX_LEN];

	buf_add(buf, bytes_of(out, uvarint_encode(out, value)));
}

ssize_t frame_decode(struct bytes *message, struct bytes in, size_t max)
{
	uint64_t len;
	ssize_t used = uvarint_decode(&len, in);

	if (used <= 0)
		return used;
	if (len > max)
		return -EMSGSIZE;
	in = bytes_of(in.at + used, in.len - (size_t)used);
	if (in.len < len)
		return 0;
	*message = bytes_of(in.at, (size_t)len);
	return used + (ssize_t)len;
}
