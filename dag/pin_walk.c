/* Walks a pinned DAG depth first, in the order of the links, and reports each block that is
 * stored, missing or damaged. What waits is a stack of packed CIDs and what was met is a set, so
 * wide and repeated trees stay small. The calling thread; nothing is fetched. */
#include "dag/pin_walk.h"

#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

struct waiting {
	struct buf cids; /* each: CID, its length; the last is next */
	size_t count;
	struct buf links; /* of the block at hand, in order */
	size_t link_count;
};

static int add_link(void *ctx, const struct cid *cid)
{
	struct waiting *waiting = ctx;

	if (waiting->count + waiting->link_count == PIN_WALK_STACK_MAX)
		return -EFBIG;
	buf_add_u8(&waiting->links, cid->len);
	buf_add(&waiting->links, cid_bytes(cid));
	waiting->link_count++;
	return 0;
}

static void walk_push(struct waiting *waiting, struct bytes cid)
{
	buf_add(&waiting->cids, cid);
	buf_add_u8(&waiting->cids, (uint8_t)cid.len);
	waiting->count++;
}

static void walk_pop(struct waiting *waiting, struct cid *cid)
{
	struct buf *cids = &waiting->cids;
	size_t len = cids->at[cids->len - 1];
	int err = cid_from_bytes(cid, bytes_of(cids->at + cids->len - 1 - len, len));

	(void)err; /* it was one when it was pushed */
	cids->len -= len + 1;
	waiting->count--;
}

/* The last link first, so that the first is next. */
static void push_links(struct waiting *waiting)
{
	size_t *at = xcalloc(waiting->link_count + 1, sizeof(*at));
	size_t offset = 0;

	for (size_t i = 0; i < waiting->link_count; i++) {
		at[i] = offset;
		offset += 1 + (size_t)waiting->links.at[offset];
	}
	for (size_t i = waiting->link_count; i > 0; i--) {
		const uint8_t *link = waiting->links.at + at[i - 1];

		walk_push(waiting, bytes_of(link + 1, link[0]));
	}
	free(at);
	buf_clear(&waiting->links);
	waiting->link_count = 0;
}

bool pin_seen_has(const struct pin_seen *seen, const struct cid *cid)
{
	return cid_is_identity(cid) ? map_get(&seen->identities, cid_bytes(cid)) != NULL
				    : walk_seen_has(&seen->blocks, cid);
}

bool pin_seen_add(struct pin_seen *seen, const struct cid *cid)
{
	static char met;

	return cid_is_identity(cid) ? !map_set(&seen->identities, cid_bytes(cid), &met)
				    : walk_seen_add(&seen->blocks, cid);
}

void pin_seen_merge(struct pin_seen *seen, const struct pin_seen *more)
{
	walk_seen_merge(&seen->blocks, &more->blocks);
}

void pin_seen_release(struct pin_seen *seen)
{
	walk_seen_release(&seen->blocks);
	map_release(&seen->identities);
}

/* Whether the block is stored, and intact if verify is set; collects its links. */
static int pin_walk_visit(struct blocks *blocks, const struct cid *cid, bool verify,
			  struct waiting *waiting)
{
	struct block *block;
	int err;

	/* A leaf need not be read to know that it is here. */
	if (cid->codec == CODEC_RAW && !verify)
		return blocks_has(blocks, cid) ? 0 : -ENOENT;
	err = blocks_get_stored(blocks, cid, &block);
	if (err == -EBADMSG)
		return -EIO;
	if (err)
		return err;
	if (verify && cid_verify(cid, block->data))
		err = -EIO;
	if (!err)
		err = dag_links(block->data, cid->codec, add_link, waiting);
	block_unref(block);
	return err == -EBADMSG ? -EIO : err;
}

int pin_walk(struct blocks *blocks, const struct cid *root, const struct pin_walk_config *config,
	     struct pin_seen *seen, struct wait *wait, pin_walk_fn *each, void *ctx)
{
	struct waiting waiting = { 0 };
	int err = 0;

	walk_push(&waiting, cid_bytes(root));
	while (!err && waiting.count > 0) {
		struct cid cid;
		bool verify;

		walk_pop(&waiting, &cid);
		if ((config->left_out && config->left_out(ctx, &cid)) || !pin_seen_add(seen, &cid))
			continue;
		verify = config->verify && !(config->intact && config->intact(ctx, &cid));
		if (wait_check(wait) == -EINTR)
			err = -EINTR;
		else
			err = pin_walk_visit(blocks, &cid, verify, &waiting);
		if (err == 0 || err == -ENOENT || err == -EIO)
			err = each(ctx, &cid, err);
		push_links(&waiting);
	}
	buf_release(&waiting.cids);
	buf_release(&waiting.links);
	return err;
}
