/* A node of a manifest: what decodes is what an encoder writes of the same entries or rows. */
#include "dag/share/radix_node.h"
#include "net/base/alloc.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void leaf_again(const struct radix_node *node, struct buf *out, struct radix_root *sum)
{
	size_t count = (size_t)node->sum.entries;
	struct manifest_entry *entries = xcalloc(count + 1, sizeof(*entries));
	struct manifest_entry **all = xcalloc(count + 1, sizeof(struct manifest_entry *));
	struct manifest_scratch scratch = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct manifest_entry entry;

		radix_node_entry(node, i, &scratch, &entry);
		assert(!manifest_entry_check(&entry));
		manifest_entry_copy(&entries[i], &entry);
		all[i] = &entries[i];
	}
	assert(!radix_leaf_encode(all, count, out, sum));
	for (size_t i = 0; i < count; i++)
		manifest_entry_release(&entries[i]);
	manifest_scratch_release(&scratch);
	free(entries);
	free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes in = bytes_of(at, len);
	struct radix_root sum = { 0 };
	struct buf out = { 0 };
	struct radix_node *node;
	struct cid cid;

	if (cid_of_data(&cid, 1, CODEC_DAG_CBOR, HASH_SHA2_256, in))
		return 0;
	struct block *block = block_copy(&cid, in);

	if (!radix_node_decode(block, &node)) {
		if (node->leaf)
			leaf_again(node, &out, &sum);
		else
			assert(!radix_branch_encode(node->rows, &out, &sum));
		assert(bytes_equal(buf_bytes(&out), in));
		radix_node_unref(node);
	}
	radix_root_release(&sum);
	buf_release(&out);
	block_unref(block);
	return 0;
}
