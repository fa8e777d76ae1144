/* First byte: how the rest is cut. Whatever the cuts, the same messages come out. */
#include "net/wire/frame.h"

#include <assert.h>

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

struct seen {
	uint64_t sum;
	unsigned count;
};

static int on_message(void *ctx, struct buf *message)
{
	struct seen *seen = ctx;

	assert(message->len <= MAX);
	seen->count++;
	for (size_t i = 0; i < message->len; i++)
		seen->sum = seen->sum * 31 + message->at[i] + 1;
	if (seen->count % 3 == 0)
		buf_release(message);
	return 0;
}

static int feed(struct seen *seen, struct bytes in, size_t step)
{
	struct frame_reader reader = { 0 };
	int err = 0;

	while (in.len && !err) {
		size_t len = in.len < step ? in.len : step;

		err = frame_reader_feed(&reader, bytes_of(in.at, len), MAX, on_message, seen);
		in = bytes_skip(in, len);
	}
	frame_reader_release(&reader);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct seen whole = { 0 }, cut = { 0 };

	if (!len)
		return 0;
	struct bytes in = bytes_of(at + 1, len - 1);
	int err = feed(&whole, in, len);

	assert(err == feed(&cut, in, at[0] % 16 + 1u));
	assert(whole.sum == cut.sum && whole.count == cut.count);
	return 0;
}
