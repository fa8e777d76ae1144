/* dag-pb (codec 0x70), strictly (wire/dag section 1): links and data of a node. Pure; any thread.
 */
#ifndef DAG_DAGPB_H
#define DAG_DAGPB_H

#include "net/wire/cid.h"

#define DAGPB_LINKS_MAX 65536

struct dagpb_link {
	struct cid cid;
	struct bytes name; /* borrowed */
	uint64_t tsize;
};

/* A decoded node: data borrows from the block, links do not carry their CIDs decoded (that would be
 * 180 bytes each): dagpb_link() decodes one. Release with dagpb_release(). Zero-initialised is
 * valid and empty. */
struct dagpb {
	bool has_data;
	struct bytes data;
	struct bytes *links; /* the bytes of each PBLink, borrowed from the block */
	size_t link_count;
};

/* Strict: known fields only, link fields in order, no split links, every link's CID whole. 0,
 * -EBADMSG. The block must outlive the node. */
int dagpb_decode(struct dagpb *node, struct bytes block);
void dagpb_release(struct dagpb *node);
/* Link i (< link_count); always succeeds: it was checked by dagpb_decode(). name borrows from the
 * block. */
void dagpb_link(const struct dagpb *node, size_t i, struct dagpb_link *link);

/* Canonical encoding: all links first, in the order added, then data. Name and Tsize are always
 * written, as Kubo does. */
void dagpb_put_link(struct buf *out, struct bytes cid, struct bytes name, uint64_t tsize);
void dagpb_put_data(struct buf *out, struct bytes data);
/* Size that dagpb_put_link() would add. */
size_t dagpb_link_len(size_t cid_len, size_t name_len, uint64_t tsize);

#endif
