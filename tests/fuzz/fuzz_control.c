/* The control socket's frames and bodies. What decodes encodes again to the same bytes. */
#include "fs/control/control_frame.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void try_fetch(struct bytes body)
{
	struct control_fetch fetch;
	struct buf again = { 0 };

	if (control_fetch_decode(&fetch, body) == 0) {
		control_fetch_encode(&again, &fetch);
		assert(bytes_equal(buf_bytes(&again), body));
	}
	buf_release(&again);
}

static void try_cids(struct bytes body)
{
	struct cursor c = cursor_over(body);
	struct buf again = { 0 };
	struct cid cid;

	while (control_cid_next(&c, &cid))
		control_cid_encode(&again, &cid);
	assert(bytes_start_with(body, buf_bytes(&again)));
	assert(c.bad || again.len == body.len);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes in = bytes_of(at, len);
	struct control_frame frame;
	ssize_t n;

	while ((n = control_frame_decode(&frame, in)) > 0) {
		struct buf again = { 0 };

		assert((size_t)n == CONTROL_HEAD_LEN + frame.body.len && (size_t)n <= in.len);
		control_frame_encode(&again, frame.id, frame.kind, frame.body);
		assert(bytes_equal(buf_bytes(&again), bytes_of(in.at, (size_t)n)));
		buf_release(&again);
		try_fetch(frame.body);
		try_cids(frame.body);
		in = bytes_skip(in, (size_t)n);
	}
	return 0;
}
