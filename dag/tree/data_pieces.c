/* Reading: first where each byte of a range is, at one moment and under the owner's lock; then,
 * without it, the bytes. References keep what was found from changing. Any thread. */
#include "dag/tree/data_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- the base ---- */

struct file_shared *file_shared_new(struct blocks *blocks, const struct cid *cid, uint64_t size)
{
	struct file_shared *base = xnew(struct file_shared);

	base->refs = 1;
	base->blocks = blocks;
	base->cid = *cid;
	base->size = size;
	base->fits = -1;
	pthread_mutex_init(&base->lock, NULL);
	return base;
}

struct file_shared *file_shared_ref(struct file_shared *base)
{
	atomic_fetch_add(&base->refs, 1);
	return base;
}

void file_shared_unref(struct file_shared *base)
{
	if (!base || atomic_fetch_sub(&base->refs, 1) != 1)
		return;
	file_close(base->file);
	pthread_mutex_destroy(&base->lock);
	free(base);
}

int file_shared_open(struct file_shared *base, struct wait *wait, struct file **file)
{
	struct file *opened;

	pthread_mutex_lock(&base->lock);
	*file = base->file;
	pthread_mutex_unlock(&base->lock);
	if (*file)
		return 0;
	int err = file_open(base->blocks, &base->cid, wait, &opened);

	if (err)
		return err;
	if (file_size(opened) != base->size) {
		file_close(opened);
		return -EIO;
	}
	pthread_mutex_lock(&base->lock);
	if (!base->file) {
		base->file = opened;
		opened = NULL;
	}
	*file = base->file;
	pthread_mutex_unlock(&base->lock);
	file_close(opened);
	return 0;
}

int file_shared_fits(struct file_shared *base, const struct file_edit_config *config,
		     struct wait *wait)
{
	pthread_mutex_lock(&base->lock);
	int fits = base->fits;

	pthread_mutex_unlock(&base->lock);
	if (fits >= 0)
		return fits;
	fits = file_edit_fits(base->blocks, config, &base->cid, base->size, wait);
	if (fits >= 0) {
		pthread_mutex_lock(&base->lock);
		base->fits = fits;
		pthread_mutex_unlock(&base->lock);
	}
	return fits;
}

/* ---- where the bytes are ---- */

static struct piece *pieces_add(struct pieces *pieces, enum piece_kind kind, uint64_t from,
				size_t len)
{
	struct piece *last = pieces->count ? &pieces->at[pieces->count - 1] : NULL;

	pieces->len += len;
	if (last && last->kind == kind &&
	    (kind == PIECE_ZERO || (kind == PIECE_BASE && last->from + last->len == from))) {
		last->len += len;
		return last;
	}
	if (pieces->count == pieces->cap) {
		pieces->cap = pieces->cap ? pieces->cap * 2 : 8;
		pieces->at = xrealloc(pieces->at, pieces->cap * sizeof(*pieces->at));
	}
	last = &pieces->at[pieces->count++];
	*last = (struct piece){ .kind = kind, .from = from, .len = len };
	return last;
}

/* The base, and zeros behind it. */
static void add_base(struct pieces *pieces, const struct image *image, uint64_t at, uint64_t end)
{
	if (at < image->limit) {
		uint64_t stop = end < image->limit ? end : image->limit;

		if (!pieces->base)
			pieces->base = file_shared_ref(image->base);
		pieces_add(pieces, PIECE_BASE, at, (size_t)(stop - at));
		at = stop;
	}
	if (at < end)
		pieces_add(pieces, PIECE_ZERO, 0, (size_t)(end - at));
}

/* [from, end) of a chunk as it is under its grains. */
static void add_under(struct pieces *pieces, const struct image *image, struct chunk *chunk,
		      uint64_t start, uint32_t from, uint32_t end)
{
	if (chunk->under == UNDER_BASE) {
		add_base(pieces, image, start + from, start + end);
		return;
	}
	if (chunk->under == UNDER_BLOCK && from < chunk->under_len) {
		uint32_t stop = end < chunk->under_len ? end : chunk->under_len;

		struct piece *piece = pieces_add(pieces, PIECE_BLOCK, from, stop - from);

		piece->chunk = chunk_ref(chunk);
		/* Before its record is there, a collection may take it from the store. */
		if (!pieces->is_snapshot && chunk->block)
			piece->block = block_ref(chunk->block);
		from = stop;
	}
	if (from < end)
		pieces_add(pieces, PIECE_ZERO, 0, end - from);
}

/* [from, end) of a chunk that begins at start. */
static void add_chunk(struct pieces *pieces, const struct image *image, struct chunk *chunk,
		      uint64_t start, uint32_t from, uint32_t end)
{
	uint32_t size = pieces->config->grain;

	while (from < end) {
		uint32_t i = from / size;
		uint32_t stop = end < (i + 1) * size ? end : (i + 1) * size;
		struct grain *grain = chunk->grains[i];
		uint32_t begin = grain ? i * size + grain->from : 0;

		if (!grain || from >= begin + grain->len) {
			add_under(pieces, image, chunk, start, from, stop);
			from = stop;
		} else if (from < begin) {
			stop = stop < begin ? stop : begin;
			add_under(pieces, image, chunk, start, from, stop);
			from = stop;
		} else {
			stop = stop < begin + grain->len ? stop : begin + grain->len;
			struct piece *piece =
				pieces_add(pieces, grain->bytes ? PIECE_GRAIN : PIECE_DISK,
					   from - i * size, stop - from);

			piece->grain = grain_ref(grain);
			piece->grain_at = (uint32_t)(start / size) + i;
			from = stop;
		}
	}
}

void pieces_collect(struct pieces *pieces, const struct data_config *config,
		    const struct image *image, uint64_t at, uint64_t end)
{
	uint64_t chunk = config->edit.chunk;
	size_t next = image_find(image, (uint32_t)(at / chunk));

	pieces->config = config;
	for (; at < end && next < image->count; next++) {
		const struct run *run = &image->runs[next];
		uint64_t start = run->first * chunk,
			 stop = (run->first + (uint64_t)run->count) * chunk;

		if (start >= end)
			break;
		if (at < start) {
			add_base(pieces, image, at, start);
			at = start;
		}
		stop = stop < end ? stop : end;
		if (run->chunk)
			add_chunk(pieces, image, run->chunk, start, (uint32_t)(at - start),
				  (uint32_t)(stop - start));
		else
			pieces_add(pieces, PIECE_ZERO, 0, (size_t)(stop - at));
		at = stop;
	}
	if (at < end)
		add_base(pieces, image, at, end);
}

void pieces_release(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->count; i++) {
		chunk_unref(pieces->at[i].chunk);
		block_unref(pieces->at[i].block);
		grain_unref(pieces->at[i].grain);
	}
	free(pieces->at);
	file_shared_unref(pieces->base);
	*pieces = (struct pieces){ 0 };
}

/* ---- the bytes ---- */

static int read_base(const struct pieces *pieces, const struct piece *piece, uint8_t *to,
		     struct wait *wait)
{
	struct file *file;
	int err = file_shared_open(pieces->base, wait, &file);

	if (err)
		return err;
	ssize_t got = file_read(file, piece->from, to, piece->len, wait);

	return got < 0 ? (int)got : (size_t)got == piece->len ? 0 : -EIO;
}

static int copy_part(struct bytes data, const struct piece *piece, uint8_t *to)
{
	if (data.len < piece->from + piece->len)
		return -EIO;
	memcpy(to, data.at + piece->from, piece->len);
	return 0;
}

/* From the store's own memory if it is there: a copy of a whole chunk for each read of a page would
 * be too much. */
static int read_block(struct blocks *blocks, const struct piece *piece, uint8_t *to,
		      struct wait *wait)
{
	struct blocks_read read;
	struct block *block;
	struct bytes data;
	struct cid cid;
	int err;

	if (piece->block)
		return copy_part(piece->block->data, piece, to);
	chunk_cid(piece->chunk, &cid);
	err = blocks_read_begin(blocks, &read);
	if (!err) {
		err = blocks_read_get(&read, &cid, &data);
		if (!err)
			err = copy_part(data, piece, to);
		blocks_read_end(&read);
	}
	if (!err)
		return 0;
	err = blocks_get(blocks, &cid, wait, &block);
	if (err)
		return err;
	err = copy_part(block->data, piece, to);
	block_unref(block);
	return err;
}

int pieces_read(const struct pieces *pieces, uint8_t *to, struct wait *wait)
{
	const struct data_config *config = pieces->config;
	int err = 0;

	for (size_t i = 0; !err && i < pieces->count; i++) {
		const struct piece *piece = &pieces->at[i];

		switch (piece->kind) {
		case PIECE_ZERO:
			memset(to, 0, piece->len);
			break;
		case PIECE_BASE:
			err = read_base(pieces, piece, to, wait);
			break;
		case PIECE_BLOCK:
			err = read_block(config->blocks, piece, to, wait);
			break;
		case PIECE_GRAIN:
			memcpy(to, piece->grain->bytes + (piece->from - piece->grain->from),
			       piece->len);
			break;
		case PIECE_DISK:
			err = config->load(config->ctx, piece->grain->generation, piece->grain_at,
					   (uint32_t)piece->from, to, piece->len);
			err = err == -ENOENT ? -EAGAIN : err;
			break;
		}
		to += piece->len;
	}
	return err;
}
