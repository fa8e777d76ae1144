/* A commit of a share, and what it has seen: what decodes is what encoding gives again, but for the
 * signature, which is as it was. */
#include "dag/share.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void seen_again(struct bytes in)
{
	struct cursor c = cursor_over(in);
	struct seen seen = { 0 }, copy = { 0 };
	struct buf out = { 0 };

	if (!seen_decode(&seen, &c)) {
		assert(seen.count <= SEEN_PENS_MAX);
		seen_encode(&seen, &out);
		assert(bytes_equal(buf_bytes(&out), bytes_of(in.at, out.len)));
		assert(seen_within(&seen, &seen));
		seen_copy(&copy, &seen);
		assert(!seen_union(&copy, &seen) && seen_equal(&copy, &seen));
	}
	buf_release(&out);
	seen_release(&copy);
	seen_release(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct commit commit;

	seen_again(bytes_of(at, len));
	if (commit_decode(&commit, bytes_of(at, len)))
		return 0;
	assert(len <= COMMIT_MAX && commit.at && commit.no && commit.with_count <= COMMIT_WITH_MAX);
	assert(seen_contains(&commit.seen, commit.pen, commit.at));
	(void)commit_verify(&commit);
	commit_release(&commit);
	return 0;
}
