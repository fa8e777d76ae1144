/* Reading files. A view looks its pieces up in one short store snapshot and hands out the map's
 * own memory. When pieces are missing the snapshot ends first, all of them are asked for side by
 * side, the blocks that come are held by the view, and it starts over. Many threads may read one
 * file. */
#include "dag/file.h"

#include "dag/file_walk.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 1024	    /* of fetching for one view; each brings a node or a leaf nearer */
#define STRETCH_PIECES 1024 /* asked for at once by a read of more than one view holds */

/* What one round of a view did not find. */
struct missing {
	size_t count;
	bool full; /* one more, and the view could not hold it */
	struct cid cids[FILE_IOV_MAX];
};

/* ---- opening ---- */

static int open_raw(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		    struct file_node **root)
{
	struct block *block;
	size_t size;
	int err = blocks_size(blocks, cid, &size);

	if (err) {
		err = blocks_get(blocks, cid, wait, &block);
		if (err)
			return err;
		size = block->data.len;
		block_unref(block);
	}
	*root = file_node_over(cid, size);
	return 0;
}

static int open_pb(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		   struct file_node **root)
{
	struct file_content content;
	struct block *block;
	int err = blocks_get(blocks, cid, wait, &block);

	if (err)
		return err;
	err = file_content_decode(cid, block->data, &content);
	if (!err)
		*root = content.node ? content.node : file_node_over(cid, content.size);
	block_unref(block);
	return err;
}

int file_open(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct file **out)
{
	struct file_node *root = NULL;
	int err = -EBADMSG;

	if (cid->codec == CODEC_RAW)
		err = open_raw(blocks, cid, wait, &root);
	else if (cid->codec == CODEC_DAG_PB)
		err = open_pb(blocks, cid, wait, &root);
	if (err)
		return err;
	struct file *file = xnew(struct file);

	file->blocks = blocks;
	file->root = root;
	file_nodes_init(&file->nodes);
	pthread_mutex_init(&file->ahead_lock, NULL);
	*out = file;
	return 0;
}

void file_close(struct file *file)
{
	if (!file)
		return;
	file_node_unref(file->root);
	file_nodes_release(&file->nodes);
	pthread_mutex_destroy(&file->ahead_lock);
	free(file);
}

uint64_t file_size(const struct file *file)
{
	return file->root->size;
}

/* ---- a view ---- */

static void end_read(struct file_view *view)
{
	if (view->reading)
		blocks_read_end(&view->read);
	view->reading = false;
}

static void drop_held(struct file_view *view)
{
	while (view->held_count)
		block_unref(view->held[--view->held_count]);
}

void file_view_release(struct file_view *view)
{
	end_read(view);
	drop_held(view);
	view->count = 0;
	view->len = 0;
}

/* The block's bytes, from what the view holds or from the store. -ENOENT: it must be fetched. */
static int block_bytes(struct file *file, struct file_view *view, const struct cid *cid,
		       struct bytes *data)
{
	int err;

	for (int i = 0; i < view->held_count; i++) {
		if (bytes_equal(cid_hash_bytes(&view->held[i]->cid), cid_hash_bytes(cid))) {
			*data = view->held[i]->data;
			return 0;
		}
	}
	if (!view->reading) {
		err = blocks_read_begin(file->blocks, &view->read);
		if (err)
			return err;
		view->reading = true;
	}
	err = blocks_read_get(&view->read, cid, data);
	return err == -EIO ? -ENOENT : err; /* corrupt here: blocks_get() may heal it */
}

/* A piece's bytes, or the node to go down into (one reference). */
static int look_up(struct file *file, struct file_view *view, const struct file_piece *piece,
		   struct bytes *data, struct file_node **node)
{
	struct file_content content;
	struct bytes block;
	bool is_pb = piece->cid.codec == CODEC_DAG_PB;

	*node = is_pb && !piece->own ? file_nodes_get(&file->nodes, &piece->cid) : NULL;
	if (*node)
		return 0;
	if (!is_pb && piece->cid.codec != CODEC_RAW)
		return -EBADMSG;
	int err = block_bytes(file, view, &piece->cid, &block);

	if (err)
		return err;
	if (!is_pb) {
		*data = block;
		return block.len == piece->len ? 0 : -EBADMSG;
	}
	if (file_content_decode(&piece->cid, block, &content))
		return -EBADMSG;
	if (content.node && !piece->own) {
		file_nodes_put(&file->nodes, content.node);
		*node = content.node;
		return 0;
	}
	file_node_unref(content.node);
	*data = content.data;
	return content.data.len == piece->len ? 0 : -EBADMSG;
}

static void add_piece(struct file_view *view, const struct file_piece *piece, struct bytes data,
		      uint64_t at, uint64_t end)
{
	uint64_t stop = piece->start + piece->len < end ? piece->start + piece->len : end;

	view->iov[view->count++] = (struct iovec){
		.iov_base = (void *)(data.at + (at - piece->start)),
		.iov_len = (size_t)(stop - at),
	};
	view->len += (size_t)(stop - at);
}

/* One walk over [offset, end), over no more pieces than the view can hold: they go into it, until
 * one is missing; then only missing ones are collected. */
static int file_collect(struct file *file, uint64_t offset, uint64_t end, struct file_view *view,
			struct missing *missing)
{
	size_t room = (size_t)(FILE_IOV_MAX - view->held_count);
	struct file_walk walk;
	struct file_piece piece;
	unsigned seen = 0;
	int err = 0;

	file_walk_start(&walk, file, offset);
	while (!err && walk.at < end && seen < FILE_IOV_MAX && !missing->full &&
	       file_walk_next(&walk, &piece)) {
		struct file_node *node = NULL;
		struct bytes data = { 0 };

		err = look_up(file, view, &piece, &data, &node);
		if (!err && node) {
			err = file_walk_enter(&walk, &piece, node);
			continue;
		}
		if (err == -ENOENT) {
			missing->full = missing->count == room;
			if (!missing->full)
				missing->cids[missing->count++] = piece.cid;
			err = 0;
		} else if (!err && !missing->count) {
			add_piece(view, &piece, data, walk.at, end);
		}
		walk.at = piece.start + piece.len;
		seen++;
	}
	file_walk_end(&walk);
	return err;
}

/* Interior nodes go to the file; leaves are held for the view. */
static int fetch_one(struct file *file, struct file_view *view, const struct cid *cid,
		     struct wait *wait)
{
	struct file_content content = { 0 };
	struct block *block;
	int err = blocks_get(file->blocks, cid, wait, &block);

	if (err)
		return err;
	if (cid->codec == CODEC_DAG_PB && file_content_decode(cid, block->data, &content)) {
		block_unref(block);
		return -EBADMSG;
	}
	if (content.node)
		file_nodes_put(&file->nodes, content.node);
	if (content.node && !content.data.len)
		block_unref(block);
	else
		view->held[view->held_count++] = block;
	file_node_unref(content.node);
	return 0;
}

static int fetch_missing(struct file *file, struct file_view *view, const struct missing *missing,
			 struct wait *wait)
{
	int err = 0;

	if (missing->count > 1)
		exchange_prefetch(file->blocks, missing->cids, missing->count);
	for (size_t i = 0; !err && i < missing->count; i++)
		err = fetch_one(file, view, &missing->cids[i], wait);
	return err;
}

/* One round of making a view: looks its pieces up in one snapshot. If some are missing they are
 * fetched, and the caller begins again. */
static int view_round(struct file *file, uint64_t offset, uint64_t end, struct wait *wait,
		      struct file_view *view, bool *done)
{
	struct missing missing;

	missing.count = 0;
	missing.full = false;
	view->count = 0;
	view->len = 0;
	int err = file_collect(file, offset, end, view, &missing);

	*done = !missing.count && (view->count || !missing.full);
	if (err || *done)
		return err;
	end_read(view);
	/* Full of blocks, and the first piece is not among them: begin again with it. */
	if (!missing.count)
		drop_held(view);
	return fetch_missing(file, view, &missing, wait);
}

/* offset + len is at most the file's size, and len not 0. */
static int view_pieces(struct file *file, uint64_t offset, size_t len, struct wait *wait,
		       struct file_view *view)
{
	bool done = false;
	int err = 0;

	view->count = view->held_count = 0;
	view->len = 0;
	view->reading = false;
	for (unsigned round = 0; !err && !done; round++)
		err = round < ROUNDS_MAX ? view_round(file, offset, offset + len, wait, view, &done)
					 : -EIO;
	if (err)
		file_view_release(view);
	return err;
}

/* As much of len as the file has from offset on. */
static size_t file_within(const struct file *file, uint64_t offset, size_t len)
{
	uint64_t size = file->root->size;

	if (offset >= size)
		return 0;
	return len < size - offset ? len : (size_t)(size - offset);
}

int file_view(struct file *file, uint64_t offset, size_t len, struct wait *wait,
	      struct file_view *view)
{
	len = file_within(file, offset, len);
	if (len == 0) {
		*view = (struct file_view){ 0 };
		return 0;
	}
	file_ahead(file, offset, len);
	return view_pieces(file, offset, len, wait, view);
}

/* ---- copies ---- */

size_t file_view_copy(const struct file_view *view, uint8_t *at)
{
	size_t done = 0;

	for (int i = 0; i < view->count; i++) {
		memcpy(at + done, view->iov[i].iov_base, view->iov[i].iov_len);
		done += view->iov[i].iov_len;
	}
	return done;
}

/* Views alone would wait once for every FILE_IOV_MAX pieces; what one view cannot hold is asked for
 * in larger stretches. */
ssize_t file_read(struct file *file, uint64_t offset, void *at, size_t len, struct wait *wait)
{
	struct file_view view;
	uint64_t asked = 0;
	size_t done = 0;

	len = file_within(file, offset, len);
	if (len)
		file_ahead(file, offset, len);
	while (done < len) {
		if (done && offset + done >= asked)
			asked = file_ask(file, offset + done, offset + len, STRETCH_PIECES);
		int err = view_pieces(file, offset + done, len - done, wait, &view);

		if (err)
			return err;
		size_t got = file_view_copy(&view, (uint8_t *)at + done);

		file_view_release(&view);
		assert(got); /* a piece of no bytes is in nobody's way */
		done += got;
		if (done < len && wait_check(wait) == -EINTR)
			return -EINTR;
	}
	return (ssize_t)done;
}
