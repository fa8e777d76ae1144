/* DAG-JSON: what is written is read again and written the same. */
#include "dag/ipld/dagjson.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void check(struct bytes in, unsigned flags)
{
	struct ipld tree = { 0 }, again = { 0 };
	struct buf first = { 0 }, second = { 0 };
	int err;

	if (dagjson_decode(&tree, in, flags) == 0 &&
	    dagjson_encode(&tree, tree.nodes, flags, &first) == 0) {
		err = dagjson_decode(&again, buf_bytes(&first), flags);
		assert(!err);
		err = dagjson_encode(&again, again.nodes, flags, &second);
		assert(!err && bytes_equal(buf_bytes(&first), buf_bytes(&second)));
		(void)err;
	}
	ipld_release(&tree);
	ipld_release(&again);
	buf_release(&first);
	buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	check(bytes_of(at, len), 0);
	check(bytes_of(at, len), 1);
	return 0;
}
