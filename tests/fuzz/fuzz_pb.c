/* Protobuf: every field read as every type, nested ones to a small depth. */
#include "net/wire/pb.h"

#include <assert.h>

#define DEPTH_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static bool count(void *ctx, uint64_t value)
{
	++*(size_t *)ctx;
	return value != 42;
}

static void walk(struct bytes message, unsigned depth)
{
	struct pb_reader r = pb_over(message), other;
	struct pb_field field;
	size_t numbers = 0;

	while (pb_next(&r, &field)) {
		assert(field.number > 0);
		other = r;
		field.reader = &other;
		pb_repeated(&field, count, &numbers);
		assert(numbers <= message.len);
		other = r;
		pb_u64(&field);
		pb_fixed32(&field);
		assert(pb_bytes(&field).len <= message.len);
		if (field.type == PB_BYTES && depth < DEPTH_MAX)
			walk(field.bytes, depth + 1);
	}
	assert(!pb_next(&r, &field));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	walk(bytes_of(at, len), 0);
	return 0;
}
