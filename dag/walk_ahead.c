#include "dag/walk_ahead.h"

#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS 3 /* looking costs a look-up for each node that was asked for */

struct ahead_node {
	struct cid cid;
	size_t asked; /* links of it */
};

void walk_ahead_release(struct walk_ahead *ahead)
{
	map_release(&ahead->asked);
	free(ahead->nodes);
}

static void insert(struct walk_ahead *ahead, size_t at, const struct cid *cid)
{
	if (ahead->count == ahead->cap) {
		ahead->cap = ahead->cap ? ahead->cap * 2 : 64;
		ahead->nodes = xrealloc(ahead->nodes, ahead->cap * sizeof *ahead->nodes);
	}
	memmove(&ahead->nodes[at + 1], &ahead->nodes[at],
		(ahead->count - at) * sizeof *ahead->nodes);
	ahead->nodes[at] = (struct ahead_node){ .cid = *cid };
	ahead->count++;
}

static void remove_at(struct walk_ahead *ahead, size_t at)
{
	ahead->count--;
	memmove(&ahead->nodes[at], &ahead->nodes[at + 1],
		(ahead->count - at) * sizeof *ahead->nodes);
}

void walk_ahead_flush(struct walk_ahead *ahead)
{
	if (ahead->batched)
		exchange_prefetch(ahead->blocks, ahead->batch, ahead->batched);
	ahead->batched = 0;
}

static bool may_link(const struct cid *cid)
{
	return cid->codec == CODEC_DAG_PB || cid->codec == CODEC_DAG_CBOR ||
	       cid->codec == CODEC_DAG_JSON;
}

/* Asks, and notes a node at *at, which moves behind it. */
static bool ask_at(struct walk_ahead *ahead, const struct cid *cid, size_t *at)
{
	if (map_get(&ahead->asked, cid_bytes(cid)) || ahead->left_out(ahead->ctx, cid))
		return true;
	if (ahead->asked.count >= ahead->max)
		return false;
	map_set(&ahead->asked, cid_bytes(cid), ahead);
	if (may_link(cid))
		insert(ahead, (*at)++, cid);
	ahead->batch[ahead->batched++] = *cid;
	if (ahead->batched == ARRAY_LEN(ahead->batch))
		walk_ahead_flush(ahead);
	return true;
}

bool walk_ahead_ask(struct walk_ahead *ahead, const struct cid *cid)
{
	size_t end = ahead->count;

	return !ahead->blocks->fetcher || ask_at(ahead, cid, &end);
}

void walk_ahead_taken(struct walk_ahead *ahead, const struct cid *cid)
{
	if (!ahead->asked.count || !map_remove(&ahead->asked, cid_bytes(cid)) || !may_link(cid))
		return;
	for (size_t i = 0; i < ahead->count; i++)
		if (cid_equal(&ahead->nodes[i].cid, cid)) {
			remove_at(ahead, i);
			break;
		}
}

/* ---- looking ---- */

struct opening {
	struct walk_ahead *ahead;
	size_t at;    /* where nodes met in there are put: before their parent, as if they stood in its place */
	size_t link;  /* number of the next */
	size_t asked; /* before */
};

static int ask_link(void *ctx, const struct cid *cid)
{
	struct opening *opening = ctx;

	if (opening->link++ < opening->asked)
		return 0;
	if (ask_at(opening->ahead, cid, &opening->at))
		return 0;
	opening->link--;
	return -EAGAIN;
}

/* Goes on with the node at *at when it has arrived. False: the window is full. */
static bool open_node(struct walk_ahead *ahead, size_t *at)
{
	struct ahead_node node = ahead->nodes[*at];
	struct opening opening = { .ahead = ahead, .at = *at, .asked = node.asked };
	struct block *block;

	if (store_get(ahead->blocks->store, &node.cid, &block)) {
		++*at;
		return true;
	}
	int err = dag_links(block->data, node.cid.codec, ask_link, &opening);

	block_unref(block);
	*at = opening.at;
	if (err == -EAGAIN) {
		ahead->nodes[*at].asked = opening.link;
		return false;
	}
	remove_at(ahead, *at); /* a malformed one is told of when the walk comes there */
	return true;
}

void walk_ahead_look(struct walk_ahead *ahead, const struct cid *cid)
{
	uint64_t now_ms = monotonic_ms();

	if (!ahead->blocks->fetcher || now_ms < ahead->looked_ms + LOOK_EVERY_MS ||
	    blocks_has(ahead->blocks, cid))
		return;
	ahead->looked_ms = now_ms;
	/* Nodes that were met and never taken (below what was left out later) must not close the window for good. */
	if (ahead->asked.count >= ahead->max && !map_get(&ahead->asked, cid_bytes(cid))) {
		map_release(&ahead->asked);
		ahead->count = 0;
	}
	for (size_t at = 0; at < ahead->count && open_node(ahead, &at);)
		;
	walk_ahead_flush(ahead);
}
