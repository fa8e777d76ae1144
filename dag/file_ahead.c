/* Reading ahead. A reader counts as sequential from its second near read on; its window begins
 * small and doubles whenever it has used half of it. Blocks that are stored already cost one
 * look-up each. Any thread. */
#include "dag/file_walk.h"

#include "net/base/err.h"

#define WINDOW_MIN (1u << 20)
#define WINDOW_MAX (64u << 20)
#define NEAR (2u << 20) /* the kernel's threads read out of order by as much */
#define BATCH 64
#define PIECES_MAX                                                                                 \
	EXCHANGE_WANTS_MAX /* asked for at once: leaves may be tiny, and files 2^62 long */

struct batch {
	struct file *file;
	size_t count;
	struct cid cids[BATCH];
};

static void batch_flush(struct batch *batch)
{
	if (batch->count)
		exchange_prefetch(batch->file->blocks, batch->cids, batch->count);
	batch->count = 0;
}

static void batch_add(struct batch *batch, const struct cid *cid)
{
	if (cid_is_identity(cid))
		return;
	if (batch->count == BATCH)
		batch_flush(batch);
	batch->cids[batch->count++] = *cid;
}

/* The interior node of a piece, when it can be had without waiting: one reference. *unknown when it
 * must be interior, being too big for a block, and is not here. */
static struct file_node *known_node(struct file *file, const struct file_piece *piece,
				    bool *unknown)
{
	struct file_content content;
	struct block *block;

	*unknown = false;
	if (piece->own || piece->cid.codec != CODEC_DAG_PB)
		return NULL;
	struct file_node *node = file_nodes_get(&file->nodes, &piece->cid);

	if (node || piece->len <= BLOCK_MAX)
		return node;
	if (blocks_get_stored(file->blocks, &piece->cid, &block)) {
		*unknown = true;
		return NULL;
	}
	if (!file_content_decode(&piece->cid, block->data, &content) && content.node) {
		file_nodes_put(&file->nodes, content.node);
		node = content.node;
	}
	block_unref(block);
	return node;
}

uint64_t file_ask(struct file *file, uint64_t from, uint64_t to, unsigned pieces_max)
{
	struct batch batch = { .file = file };
	struct file_walk walk;
	struct file_piece piece;
	uint64_t reached = to;
	unsigned pieces = 0;

	file_walk_start(&walk, file, from);
	while (walk.at < to && pieces < pieces_max && file_walk_next(&walk, &piece)) {
		bool unknown;
		struct file_node *node = known_node(file, &piece, &unknown);

		if (node) {
			if (file_walk_enter(&walk, &piece, node))
				break; /* a broken tree: its reader will be told */
			continue;
		}
		if (!piece.own)
			batch_add(&batch, &piece.cid);
		if (unknown && reached == to)
			reached = walk.at;
		walk.at = piece.start + piece.len;
		pieces++;
	}
	if (reached > walk.at)
		reached = walk.at;
	file_walk_end(&walk);
	batch_flush(&batch);
	return reached;
}

void file_prefetch(struct file *file, uint64_t offset, uint64_t len)
{
	uint64_t size = file->root->size;

	if (offset >= size)
		return;
	file_ask(file, offset, len < size - offset ? offset + len : size, PIECES_MAX);
}

/* The range to ask for now; false when there is nothing to do. */
static bool ahead_range(struct file *file, uint64_t offset, uint64_t len, uint64_t *from,
			uint64_t *to)
{
	uint64_t end = offset + len;
	bool near = offset + NEAR >= file->ahead_seen && offset <= file->ahead_seen + NEAR;

	if (!near || !file->ahead_streak) {
		file->ahead_streak = 1;
		file->ahead_seen = end;
		file->ahead_asked = 0;
		file->ahead_window = 0;
		return false;
	}
	file->ahead_streak = 2;
	if (end > file->ahead_seen)
		file->ahead_seen = end;
	*from = file->ahead_asked > offset ? file->ahead_asked : offset;
	if (file->ahead_window && *from > file->ahead_seen + file->ahead_window / 2)
		return false;
	uint64_t window = file->ahead_window ? file->ahead_window * 2 : WINDOW_MIN;

	file->ahead_window = window < WINDOW_MAX ? window : WINDOW_MAX;
	*to = file->ahead_seen + file->ahead_window;
	if (*to > file->root->size)
		*to = file->root->size;
	return *from < *to;
}

void file_ahead(struct file *file, uint64_t offset, uint64_t len)
{
	uint64_t from, to;

	/* Another thread reads ahead just now: it does so for us too. */
	if (!blocks_fetches(file->blocks) || pthread_mutex_trylock(&file->ahead_lock))
		return;
	if (ahead_range(file, offset, len, &from, &to))
		file->ahead_asked = file_ask(file, from, to, PIECES_MAX);
	pthread_mutex_unlock(&file->ahead_lock);
}
