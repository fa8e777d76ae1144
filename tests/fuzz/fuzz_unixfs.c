/* UnixFS: what decodes encodes again to the same message, once written canonically. */
#include "dag/unixfs.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct unixfs node, again;
	struct buf out = { 0 }, second = { 0 };
	uint64_t size;

	if (unixfs_decode(&node, bytes_of(at, len)))
		return 0;
	unixfs_file_size(&node, node.blocksize_count, &size);
	unixfs_encode(&out, &node);
	int err = unixfs_decode(&again, buf_bytes(&out));

	assert(!err);
	(void)err;
	unixfs_encode(&second, &again);
	assert(bytes_equal(buf_bytes(&out), buf_bytes(&second)));
	unixfs_release(&again);
	unixfs_release(&node);
	buf_release(&out);
	buf_release(&second);
	return 0;
}
