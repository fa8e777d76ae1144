/* The dag-pb codec. Reading is strict: the fields of a link stand in order, once each. Writing
 * makes the one canonical form. Pure; any thread. */
/* dag-pb node, fields in any block:
 *   1 Data bytes      2 Links repeated { 1 Hash bytes, 2 Name string, 3 Tsize uint64 }
 * Canonical order is Links, then Data. */
#include "dag/dagpb.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/pb.h"

#include <assert.h>
#include <stdlib.h>

enum { NODE_DATA = 1, NODE_LINKS = 2, LINK_HASH = 1, LINK_NAME = 2, LINK_TSIZE = 3 };

/* Fields of a link stand in order, each at most once, and Hash must be there. */
static int link_decode(struct bytes in, struct dagpb_link *link)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	uint32_t last = 0;
	bool has_hash = false;

	*link = (struct dagpb_link){ 0 };
	while (pb_next(&r, &f)) {
		if (f.number <= last)
			return -EBADMSG;
		last = f.number;
		switch (f.number) {
		case LINK_HASH:
			if (cid_from_bytes(&link->cid, pb_bytes(&f)))
				return -EBADMSG;
			has_hash = true;
			break;
		case LINK_NAME:
			link->name = pb_bytes(&f);
			break;
		case LINK_TSIZE:
			link->tsize = pb_u64(&f);
			break;
		default:
			return -EBADMSG;
		}
	}
	return r.bad || !has_hash ? -EBADMSG : 0;
}

static int add_link(struct dagpb *node, size_t *cap, struct bytes link)
{
	struct dagpb_link checked;

	if (node->link_count == DAGPB_LINKS_MAX || link_decode(link, &checked))
		return -EBADMSG;
	if (node->link_count == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		node->links = xrealloc(node->links, *cap * sizeof(*node->links));
	}
	node->links[node->link_count++] = link;
	return 0;
}

static int node_decode(struct dagpb *node, struct bytes block)
{
	struct pb_reader r = pb_over(block);
	struct pb_field f;
	size_t cap = 0;
	bool links_over = false; /* data came after links: no link may follow */

	while (pb_next(&r, &f)) {
		switch (f.number) {
		case NODE_LINKS:
			if (links_over || f.type != PB_BYTES || add_link(node, &cap, pb_bytes(&f)))
				return -EBADMSG;
			break;
		case NODE_DATA:
			if (node->has_data || f.type != PB_BYTES)
				return -EBADMSG;
			node->has_data = true;
			node->data = pb_bytes(&f);
			links_over = node->link_count > 0;
			break;
		default:
			return -EBADMSG;
		}
	}
	return r.bad ? -EBADMSG : 0;
}

int dagpb_decode(struct dagpb *node, struct bytes block)
{
	*node = (struct dagpb){ 0 };
	int err = node_decode(node, block);

	if (err)
		dagpb_release(node);
	return err;
}

void dagpb_release(struct dagpb *node)
{
	free(node->links);
	*node = (struct dagpb){ 0 };
}

void dagpb_link(const struct dagpb *node, size_t i, struct dagpb_link *link)
{
	assert(i < node->link_count);
	int err = link_decode(node->links[i], link);

	assert(!err);
	(void)err;
}

size_t dagpb_link_len(size_t cid_len, size_t name_len, uint64_t tsize)
{
	size_t inner = pb_len_bytes(LINK_HASH, cid_len) + pb_len_bytes(LINK_NAME, name_len) +
		       pb_len_u64(LINK_TSIZE, tsize);

	return pb_len_bytes(NODE_LINKS, inner);
}

void dagpb_put_link(struct buf *out, struct bytes cid, struct bytes name, uint64_t tsize)
{
	size_t inner = pb_len_bytes(LINK_HASH, cid.len) + pb_len_bytes(LINK_NAME, name.len) +
		       pb_len_u64(LINK_TSIZE, tsize);

	pb_put_head(out, NODE_LINKS, inner);
	pb_put_bytes(out, LINK_HASH, cid);
	pb_put_bytes(out, LINK_NAME, name);
	pb_put_u64(out, LINK_TSIZE, tsize);
}

void dagpb_put_data(struct buf *out, struct bytes data)
{
	pb_put_bytes(out, NODE_DATA, data);
}
