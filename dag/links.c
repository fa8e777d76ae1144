/* The links of a block, of any codec that has some. dag-pb is decoded here; the readers of DAG-CBOR
 * and DAG-JSON find links without building a tree. Pure; any thread. */
#include "dag/dag.h"

#include "dag/dagpb.h"
#include "dag/ipld/cbor_links.h"
#include "dag/ipld/json_links.h"

#include <errno.h>

int dag_links(struct bytes data, uint64_t codec, int (*each)(void *ctx, const struct cid *cid),
	      void *ctx)
{
	struct dagpb node;
	struct dagpb_link link;
	int err;

	switch (codec) {
	case CODEC_RAW:
	case CODEC_CBOR:
	case CODEC_JSON:
	case CODEC_LIBP2P_KEY:
		return 0;
	case CODEC_DAG_CBOR:
		return cbor_links(data, each, ctx);
	case CODEC_DAG_JSON:
		return json_links(data, each, ctx);
	case CODEC_DAG_PB:
		break;
	default:
		return -ENOTSUP;
	}
	err = dagpb_decode(&node, data);
	for (size_t i = 0; !err && i < node.link_count; i++) {
		dagpb_link(&node, i, &link);
		err = each(ctx, &link.cid);
	}
	dagpb_release(&node);
	return err;
}
