/* CARs: any bytes end; however they are cut, blocks and verdict are the same. */
#include "dag/car.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

struct seen {
	size_t blocks, bytes, roots;
	uint64_t offsets;
};

static int on_header(void *ctx, unsigned version, const struct cid *roots, size_t count)
{
	struct seen *seen = ctx;

	assert(version == 1 || version == 2);
	for (size_t i = 0; i < count; i++)
		assert(cid_is_set(&roots[i]));
	seen->roots += count + 1;
	return 0;
}

static int on_block(void *ctx, struct block *block, uint64_t offset)
{
	struct seen *seen = ctx;

	seen->blocks++;
	seen->bytes += block->data.len;
	seen->offsets += offset;
	block_unref(block);
	return 0;
}

static int read_cut(struct bytes in, size_t step, struct seen *seen)
{
	static const struct car_events events = { on_header, on_block };
	struct car_reader *reader = car_reader_new(&events, seen);
	int err = 0;

	for (size_t from = 0; from < in.len && !err; from += step) {
		struct bytes part = bytes_skip(in, from);

		if (part.len > step)
			part.len = step;
		err = car_feed(reader, part);
	}
	if (!err)
		err = car_end(reader);
	car_reader_free(reader);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes in = bytes_of(at, len);
	struct seen whole = { 0 }, cut = { 0 };
	int err = read_cut(in, len ? len : 1, &whole);

	assert(read_cut(in, 1, &cut) == err);
	assert(whole.blocks == cut.blocks && whole.bytes == cut.bytes && whole.roots == cut.roots &&
	       whole.offsets == cut.offsets);
	return 0;
}
