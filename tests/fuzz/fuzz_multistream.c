/* First byte: role and cut. What is settled and how much was used does not depend on the cuts. */
#include "net/session/multistream.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static const char *const protocols[] = { "/a", "/noise", "/ipfs/ping/1.0.0" };

static const char *speaks(void *ctx, struct bytes name)
{
	(void)ctx;
	for (size_t i = 0; i < 3; i++)
		if (bytes_equal(name, bytes_str(protocols[i])))
			return protocols[i];
	return NULL;
}

static int negotiate(bool dials, struct bytes in, size_t step, size_t *used, struct buf *out)
{
	struct multistream *ms =
		dials ? multistream_dialer(protocols, 3) : multistream_listener(speaks, NULL);
	int err = 0;

	*used = 0;
	multistream_start(ms, out);
	while (*used < in.len && !err) {
		size_t left = in.len - *used, more;

		err = multistream_recv(ms, bytes_of(in.at + *used, left < step ? left : step),
				       &more, out);
		*used += more;
	}
	assert((err == 1) == (multistream_protocol(ms) != NULL));
	multistream_free(ms);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct buf one = { 0 }, two = { 0 };
	size_t used_one, used_two;

	if (!len)
		return 0;
	struct bytes in = bytes_of(at + 1, len - 1);
	bool dials = at[0] & 1;
	int err = negotiate(dials, in, len, &used_one, &one);

	assert(err == negotiate(dials, in, (at[0] >> 1) % 16 + 1u, &used_two, &two));
	assert(used_one == used_two && bytes_equal(buf_bytes(&one), buf_bytes(&two)));
	buf_release(&one);
	buf_release(&two);
	return 0;
}
