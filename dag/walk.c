/* Walking a DAG, depth first, without recursion. A frame holds the links of one block as packed
 * CIDs: `at` is the next to visit, `asked` how far they were asked for ahead. A frame is left
 * before its last link is entered, so a chain of any length needs one frame. The calling
 * thread. */
#include "dag/dag.h"
#include "dag/walk_ahead.h"
#include "dag/walk_seen.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

#define AHEAD_DEFAULT EXCHANGE_PREFETCH_MAX
#define STACK_BYTES_MAX ((size_t)256 << 20) /* of links waiting in all frames */

struct frame {
	struct buf links; /* length byte, CID; again and again */
	size_t at, asked;
	struct ahead_entry *mark; /* while there are links not asked for */
	unsigned depth;		  /* of the blocks these links name */
};

struct walk {
	struct blocks *blocks;
	const struct dag_walk_config *config;
	dag_prune_fn *prune;
	void *ctx;

	struct frame *frames;
	size_t count, cap;
	size_t stack_bytes;
	struct walk_ahead ahead;
	uint64_t bytes;
	struct walk_seen seen;
};

static int add_link(void *ctx, const struct cid *cid)
{
	struct frame *frame = ctx;

	buf_add_u8(&frame->links, cid->len);
	buf_add(&frame->links, cid_bytes(cid));
	return 0;
}

/* The link at an offset; returns the offset of the next. */
static size_t link_at(const struct frame *frame, size_t at, struct cid *cid)
{
	uint8_t len = frame->links.at[at];

	(void)cid_from_bytes(cid, bytes_of(frame->links.at + at + 1, len));
	return at + 1 + len;
}

static bool left_out(void *ctx, const struct cid *cid)
{
	const struct walk *walk = ctx;

	return (walk->prune && walk->prune(walk->ctx, cid)) || walk_seen_has(&walk->seen, cid);
}

/* What the window asks for when it comes to a frame. */
static bool ask_frame(void *ctx, size_t index)
{
	struct walk *walk = ctx;
	struct frame *frame = &walk->frames[index];
	struct cid cid;

	while (frame->asked < frame->links.len) {
		size_t next = link_at(frame, frame->asked, &cid);

		if (!walk_ahead_ask(&walk->ahead, &cid))
			return false;
		frame->asked = next;
	}
	frame->mark = NULL;
	return true;
}

static void walk_stack_pop(struct walk *walk)
{
	struct frame *frame = &walk->frames[--walk->count];

	walk->stack_bytes -= frame->links.len;
	walk_ahead_unmark(frame->mark);
	buf_release(&frame->links);
}

/* Takes the frame's links. */
static int walk_stack_push(struct walk *walk, struct frame *frame)
{
	if (!frame->links.len)
		return 0;
	if (walk->stack_bytes + frame->links.len > STACK_BYTES_MAX) {
		buf_release(&frame->links);
		return -EFBIG;
	}
	if (walk->count == walk->cap) {
		walk->cap = walk->cap ? walk->cap * 2 : 16;
		walk->frames = xrealloc(walk->frames, walk->cap * sizeof(*walk->frames));
	}
	walk->stack_bytes += frame->links.len;
	frame->mark = walk_ahead_mark(&walk->ahead, walk->count);
	walk->frames[walk->count++] = *frame;
	return 0;
}

/* The next link in order, taken off the stack. */
static void walk_take(struct walk *walk, struct cid *cid, unsigned *depth)
{
	struct frame *frame = &walk->frames[walk->count - 1];

	*depth = frame->depth;
	frame->at = link_at(frame, frame->at, cid);
	if (frame->asked < frame->at)
		frame->asked = frame->at;
	if (frame->at == frame->links.len)
		walk_stack_pop(walk);
}

static int walk_get(struct walk *walk, const struct cid *cid, struct wait *wait,
		    struct block **block)
{
	if (!walk->config->stored_only)
		return blocks_get(walk->blocks, cid, wait, block);
	int err = blocks_get_stored(walk->blocks, cid, block);

	return err == -ENOENT ? -EHOSTUNREACH : err;
}

/* One block: it is shown, and its links come onto the stack, with the bounds of the walk. */
static int walk_block_visit(struct walk *walk, const struct cid *cid, unsigned depth,
			    struct wait *wait, dag_walk_fn *each)
{
	struct frame below = { .depth = depth + 1 };
	struct block *block;
	int err = walk_get(walk, cid, wait, &block);

	if (err)
		return err;
	walk_ahead_arrived(&walk->ahead, block->data.len);
	walk->bytes += block->data.len;
	if (walk->config->bytes_max && walk->bytes > walk->config->bytes_max)
		err = -EFBIG;
	if (!err)
		err = each(walk->ctx, block, depth);
	if (!err)
		err = dag_links(block->data, cid->codec, add_link, &below);
	block_unref(block);
	if (err)
		buf_release(&below.links);
	else
		err = walk_stack_push(walk, &below);
	return err;
}

static int walk_all(struct walk *walk, struct wait *wait, uint64_t timeout_ms, dag_walk_fn *each)
{
	int err = 0;

	while (!err && walk->count) {
		struct cid cid;
		unsigned depth;

		walk_take(walk, &cid, &depth);
		if ((walk->prune && walk->prune(walk->ctx, &cid)) ||
		    (walk->config->skip_seen && !walk_seen_add(&walk->seen, &cid))) {
			walk_ahead_skip(&walk->ahead, &cid);
			continue;
		}
		if (!walk->config->stored_only)
			walk_ahead_come(&walk->ahead, &cid, wait);
		/* A fresh deadline, and not wait_start(): an interruption must not be lost. */
		wait->deadline_ms = timeout_ms ? monotonic_ms() + timeout_ms : UINT64_MAX;
		err = wait_check(wait);
		if (err)
			break;
		err = walk_block_visit(walk, &cid, depth, wait, each);
	}
	return err;
}

int dag_walk(struct blocks *blocks, const struct cid *root, const struct dag_walk_config *config,
	     struct wait *wait, uint64_t timeout_ms, dag_walk_fn *each, dag_prune_fn *prune,
	     void *ctx)
{
	struct walk walk = { .blocks = blocks, .config = config, .prune = prune, .ctx = ctx };
	struct frame top = { .depth = 0 };

	add_link(&top, root);
	walk.ahead = (struct walk_ahead){
		.blocks = blocks,
		.max = config->ahead_max ? config->ahead_max : AHEAD_DEFAULT,
		.left_out = left_out,
		.ask_frame = ask_frame,
		.ctx = &walk,
	};
	walk_ahead_init(&walk.ahead);
	int err = walk_stack_push(&walk, &top);

	if (!err)
		err = walk_all(&walk, wait, timeout_ms, each);
	while (walk.count)
		walk_stack_pop(&walk);
	free(walk.frames);
	walk_ahead_release(&walk.ahead);
	walk_seen_release(&walk.seen);
	return err;
}
