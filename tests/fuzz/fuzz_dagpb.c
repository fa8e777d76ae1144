/* dag-pb: what decodes encodes again to a block with the same links and data. */
#include "dag/dagpb.h"
#include "dag/file_node.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void as_file(struct bytes block)
{
	struct file_content content;
	struct cid cid;

	if (cid_of_data(&cid, 1, CODEC_DAG_PB, HASH_SHA2_256, block) ||
	    file_content_decode(&cid, block, &content))
		return;
	for (size_t i = 0; content.node && i < content.node->count; i++)
		file_node_child(content.node, i, &cid);
	if (content.node && content.size > content.node->own_len)
		assert(file_node_find(content.node, content.size - 1) < content.node->count);
	file_node_unref(content.node);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct dagpb node, again;
	struct buf out = { 0 };

	as_file(bytes_of(at, len));
	if (dagpb_decode(&node, bytes_of(at, len)))
		return 0;
	for (size_t i = 0; i < node.link_count; i++) {
		struct dagpb_link link;

		dagpb_link(&node, i, &link);
		dagpb_put_link(&out, cid_bytes(&link.cid), link.name, link.tsize);
	}
	if (node.has_data)
		dagpb_put_data(&out, node.data);
	int err = dagpb_decode(&again, buf_bytes(&out));

	assert(!err && again.link_count == node.link_count && again.has_data == node.has_data);
	assert(bytes_equal(again.data, node.data));
	(void)err;
	dagpb_release(&again);
	dagpb_release(&node);
	buf_release(&out);
	return 0;
}
