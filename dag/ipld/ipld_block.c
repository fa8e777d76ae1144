/* Blocks of any codec as trees, and paths through them: chooses the reader and writer by the
 * codec. Any thread. */
#include "dag/ipld/cbor.h"
#include "dag/ipld/dagjson.h"
#include "dag/ipld/ipld.h"
#include "dag/ipld/ipld_pb.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <string.h>

uint64_t ipld_codec(const char *name)
{
	static const struct {
		const char *name;
		uint64_t codec;
	} names[] = {
		{ "raw", CODEC_RAW },		{ "dag-pb", CODEC_DAG_PB },
		{ "dag-cbor", CODEC_DAG_CBOR }, { "dag-json", CODEC_DAG_JSON },
		{ "cbor", CODEC_CBOR },		{ "json", CODEC_JSON },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].codec;
	return 0;
}

static int ipld_block_decode(struct ipld *tree, uint64_t codec, struct bytes block,
			     unsigned cbor_flags)
{
	switch (codec) {
	case CODEC_RAW:
		return ipld_put_text(tree, IPLD_BYTES, block);
	case CODEC_DAG_PB:
		return ipld_of_dagpb(tree, block);
	case CODEC_DAG_CBOR:
		return cbor_decode(tree, block, cbor_flags);
	case CODEC_CBOR:
		return cbor_decode(tree, block, cbor_flags | CBOR_NO_LINKS);
	case CODEC_DAG_JSON:
		return dagjson_decode(tree, block, 0);
	case CODEC_JSON:
		return dagjson_decode(tree, block, DAGJSON_PLAIN);
	default:
		return -ENOTSUP;
	}
}

int ipld_decode(struct ipld *tree, uint64_t codec, struct bytes block)
{
	return ipld_block_decode(tree, codec, block, 0);
}

int ipld_decode_strict(struct ipld *tree, uint64_t codec, struct bytes block)
{
	return ipld_block_decode(tree, codec, block, CBOR_STRICT);
}

int ipld_encode(const struct ipld *tree, const struct ipld_node *node, uint64_t codec,
		struct buf *out)
{
	switch (codec) {
	case CODEC_RAW:
		if (node->kind != IPLD_BYTES)
			return -EINVAL;
		buf_add(out, ipld_text(tree, node));
		return 0;
	case CODEC_DAG_PB:
		return ipld_to_dagpb(tree, node, out);
	case CODEC_DAG_CBOR:
		return cbor_encode(tree, node, 0, out);
	case CODEC_CBOR:
		return cbor_encode(tree, node, CBOR_NO_LINKS, out);
	case CODEC_DAG_JSON:
		return dagjson_encode(tree, node, 0, out);
	case CODEC_JSON:
		return dagjson_encode(tree, node, DAGJSON_PLAIN, out);
	default:
		return -ENOTSUP;
	}
}

bool ipld_has_paths(uint64_t codec)
{
	return codec == CODEC_DAG_CBOR || codec == CODEC_DAG_JSON || codec == CODEC_CBOR ||
	       codec == CODEC_JSON;
}

int ipld_walk_path(struct bytes block, uint64_t codec, const char *path, struct cid *link,
		   size_t *used)
{
	const struct ipld_node *node;
	struct ipld tree = { 0 };
	const char *at = path;
	int err = ipld_decode(&tree, codec, block);

	*link = (struct cid){ 0 };
	*used = 0;
	for (node = tree.nodes; !err;) {
		const char *name = at + strspn(at, "/");
		size_t len = strcspn(name, "/");

		/* A link that is the whole block is only followed when names go on behind it. */
		if (node->kind == IPLD_LINK && (len || *used)) {
			err = ipld_link(&tree, node, link);
			break;
		}
		if (!len)
			break;
		err = ipld_step(&tree, node, bytes_of(name, len), &node);
		if (!err) {
			at = name + len;
			*used = (size_t)(at - path);
		}
	}
	ipld_release(&tree);
	return err;
}
