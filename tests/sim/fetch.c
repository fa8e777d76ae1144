#include "tests/sim/fetch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A branch: the mark, its tree's number, then the binary CIDs of its children. */
#define MARK UINT64_MAX
#define BRANCH_HEAD 16
#define NAME_LEN 36

/* ---- trees ---- */

static struct cid keep(struct block *block, struct tree *tree, struct node *const *holders,
		       size_t holder_count)
{
	struct cid cid = block->cid;

	for (size_t i = 0; i < holder_count; i++)
		node_put(holders[i], block);
	tree->blocks++;
	tree->bytes += block->data.len;
	block_unref(block);
	return cid;
}

static struct block *branch(uint64_t number, const struct cid *children, size_t count)
{
	const uint64_t head[2] = { MARK, number };
	struct buf data = { 0 };
	struct cid cid;

	buf_add(&data, bytes_of(head, sizeof(head)));
	for (size_t i = 0; i < count; i++) {
		assert(children[i].len == NAME_LEN);
		buf_add(&data, cid_bytes(&children[i]));
	}
	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, buf_bytes(&data));
	return block_take(&cid, &data);
}

struct tree tree_make(uint64_t number, size_t leaves, size_t leaf_size, size_t fanout,
		      struct node *const *holders, size_t holder_count)
{
	struct tree tree = { .depth = 1 };
	struct cid *level = xcalloc(leaves, sizeof(*level));
	size_t count = leaves;

	for (size_t i = 0; i < leaves; i++)
		level[i] =
			keep(sim_block(number << 32 | i, leaf_size), &tree, holders, holder_count);
	while (count > 1 || tree.depth == 1) {
		size_t above = 0;

		for (size_t i = 0; i < count; i += fanout) {
			size_t n = count - i < fanout ? count - i : fanout;

			level[above++] =
				keep(branch(number, level + i, n), &tree, holders, holder_count);
		}
		count = above;
		tree.depth++;
	}
	tree.root = level[0];
	free(level);
	return tree;
}

/* ---- fetching ---- */

static void add(struct fetch *fetch, const struct cid *cid)
{
	if (fetch->pending_count == fetch->pending_cap) {
		fetch->pending_cap = fetch->pending_cap ? fetch->pending_cap * 2 : 64;
		fetch->pending =
			xrealloc(fetch->pending, fetch->pending_cap * sizeof(*fetch->pending));
	}
	fetch->pending[fetch->pending_count++] = *cid;
}

/* Backwards: the last is taken first, so a walk goes depth first and from the left. */
static void add_children(struct fetch *fetch, struct bytes data)
{
	uint64_t mark;

	if (data.len < BRANCH_HEAD)
		return;
	memcpy(&mark, data.at, sizeof(mark));
	if (mark != MARK)
		return;
	for (size_t at = data.len; at >= BRANCH_HEAD + NAME_LEN; at -= NAME_LEN) {
		struct cid cid;

		if (cid_from_bytes(&cid, bytes_of(data.at + at - NAME_LEN, NAME_LEN)) == 0)
			add(fetch, &cid);
	}
}

static void go(struct fetch *fetch);

struct fetch_want {
	struct fetch *fetch;
	struct cid cid;
};

static void on_got(void *ctx, int err, struct block *block)
{
	struct fetch_want *want = ctx;
	struct fetch *fetch = want->fetch;
	struct cid cid = want->cid;

	free(want);
	fetch->open--;
	if (err == -ECANCELED)
		return; /* the session ends */
	if (err) {
		fetch->err = err;
		fetch->failed++;
		if (fetch->retries_left > 0) {
			fetch->retries_left--;
			add(fetch, &cid);
		}
	} else {
		fetch->blocks++;
		fetch->bytes += block->data.len;
		add_children(fetch, block->data);
	}
	go(fetch);
}

static void go(struct fetch *fetch)
{
	while (fetch->pending_count > 0 && fetch->open < fetch->window) {
		struct fetch_want *want = xnew(struct fetch_want);

		want->fetch = fetch;
		want->cid = fetch->pending[fetch->pending_count - 1];
		if (want_start(fetch->node, fetch->session, &want->cid, fetch->timeout_ms, on_got,
			       want) != 0) {
			free(want); /* the exchange is full: when others end */
			break;
		}
		fetch->pending_count--;
		fetch->open++;
	}
	if (fetch->open == 0 && !fetch->done) {
		fetch->done = true;
		fetch->end_ms = fetch->node->world->now_ms;
	}
}

void fetch_start(struct fetch *fetch, struct node *node, const struct cid *root, size_t window,
		 uint64_t timeout_ms, size_t retries)
{
	*fetch = (struct fetch){
		.node = node,
		.session = exchange_session_new(node->exchange),
		.window = window,
		.timeout_ms = timeout_ms,
		.retries_left = retries,
		.start_ms = node->world->now_ms,
	};
	add(fetch, root);
	go(fetch);
}

void fetch_end(struct fetch *fetch)
{
	if (fetch->session)
		exchange_session_free(fetch->session);
	fetch->session = NULL;
	free(fetch->pending);
	fetch->pending = NULL;
	fetch->pending_count = fetch->pending_cap = 0;
}

double fetch_rate(const struct fetch *fetch)
{
	uint64_t end = fetch->done ? fetch->end_ms : fetch->node->world->now_ms;
	uint64_t ms = end > fetch->start_ms ? end - fetch->start_ms : 1;

	return (double)fetch->bytes * 1000 / (double)ms;
}
