/* DAG-CBOR: what strict reading takes is written back the same, and survives DAG-JSON where that
 * can say it. */
#include "dag/ipld/cbor.h"
#include "dag/ipld/cbor_links.h"
#include "dag/ipld/dagjson.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static int on_link(void *ctx, const struct cid *cid)
{
	(void)ctx;
	(void)cid;
	return 0;
}

static void check_json(const struct ipld *tree, struct bytes block)
{
	struct ipld again = { 0 };
	struct buf text = { 0 }, out = { 0 };

	if (dagjson_encode(tree, tree->nodes, 0, &text) == 0 &&
	    dagjson_decode(&again, buf_bytes(&text), 0) == 0) {
		int err = cbor_encode(&again, again.nodes, 0, &out);

		assert(!err && bytes_equal(buf_bytes(&out), block));
		(void)err;
	}
	ipld_release(&again);
	buf_release(&text);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes block = bytes_of(at, len);
	struct ipld tree = { 0 };
	struct buf out = { 0 };

	if (cbor_decode(&tree, block, 0) == 0) {
		int err = cbor_links(block, on_link, NULL);

		assert(!err);
		(void)err;
	}
	ipld_release(&tree);
	if (cbor_decode(&tree, block, CBOR_STRICT) == 0) {
		int err = cbor_encode(&tree, tree.nodes, 0, &out);

		assert(!err && bytes_equal(buf_bytes(&out), block));
		(void)err;
		check_json(&tree, block);
	}
	ipld_release(&tree);
	buf_release(&out);
	return 0;
}
