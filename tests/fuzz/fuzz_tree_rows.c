/* Rows of a working tree, as a damaged or hostile disk has them. The first byte tells which. */
#include "dag/tree/tree_private.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static struct node_said said;
	struct bytes in = bytes_skip(bytes_of(at, len), 1);
	uint64_t number;
	struct cid cid;

	if (!len)
		return 0;
	switch (*at % 3) {
	case 0:
		if (node_said_decode(&said, in))
			break;
		assert(said.xattr_count <= NODE_SAID_XATTRS_MAX && said.size <= TREE_FILE_MAX);
		assert(S_ISREG(said.mode) || S_ISDIR(said.mode) || S_ISLNK(said.mode));
		assert(said.mtime.tv_nsec >= 0 && said.mtime.tv_nsec <= 999999999);
		break;
	case 1:
		(void)name_said_decode(&number, in);
		break;
	default:
		(void)leaf_row_cid(in, &cid);
		break;
	}
	return 0;
}
