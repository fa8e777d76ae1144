/* Copying between two files: whole chunks by the CIDs of their blocks, without their bytes, if both
 * lie alike in their chunks. The locks of both are never held at once. Any thread. */
#include "dag/tree/data_private.h"

#include <stdlib.h>

#define COPY_CHUNKS_MAX 1024u /* by one call: the caller may be interrupted between calls */

/* What one whole chunk is without reading its bytes. */
struct known {
	bool is_known;	/* else its bytes must be copied */
	uint32_t zeros; /* chunks of a hole; 0: it is a block */
	struct cid cid;
	uint32_t len;
	struct block *block;	  /* one reference, or NULL */
	struct file_shared *base; /* one reference: it is a chunk of the base, to be looked up */
};

/* With the lock of from held. */
static void copy_look(const struct data *from, uint32_t index, struct known *known)
{
	const struct image *image = &from->now;
	const struct data_config *config = &from->config;
	uint32_t len = image_chunk_len(image, config, index);
	const struct run *run = image_run(image, index);
	const struct chunk *chunk = run ? run->chunk : NULL;
	uint32_t base_len = image_base_len(image, config, index);

	known->len = len;
	if (chunk && chunk_has_grains(chunk))
		return;
	if (run && !chunk) {
		known->zeros = run->first + run->count - index;
	} else if (chunk && chunk->under == UNDER_ZERO) {
		known->zeros = 1;
	} else if (chunk && chunk->under == UNDER_BLOCK) {
		known->is_known = chunk->under_len == len && chunk->block_len == len;
		chunk_cid(chunk, &known->cid);
		known->block = chunk->block ? block_ref(chunk->block) : NULL;
	} else if (!base_len) {
		size_t next = image_find(image, index);

		known->zeros = (next < image->count ? image->runs[next].first
						    : image_chunks(image, config)) -
			       index;
	} else if (base_len == len &&
		   (len == config->edit.chunk || image->limit == image->base->size)) {
		known->base = file_shared_ref(image->base);
	}
	known->is_known |= known->zeros > 0;
}

/* A chunk of the base, if that has our layout. Errors of reading it come from reading the bytes. */
static void look_up(const struct data *from, uint32_t index, struct known *known, struct wait *wait)
{
	struct file_shared *base = known->base;
	uint32_t len;

	if (file_shared_fits(base, &from->config.edit, wait) > 0) {
		struct file_chunks *chunks =
			file_chunks_new(base->blocks, &from->config.edit, &base->cid, base->size);

		known->is_known = !file_chunk(chunks, index, wait, &known->cid, &len) &&
				  len == known->len && known->cid.len <= DATA_CID_MAX;
		file_chunks_free(chunks);
	}
	file_shared_unref(base);
	known->base = NULL;
}

/* The block stays in the store from now on; it may have been cached only, or not be there. */
static int copy_keep(const struct data *to, const struct known *known, struct wait *wait)
{
	struct block *block;
	int err = blocks_keep(to->config.blocks, &known->cid, known->block);

	if (err != -ENOENT && err != -EIO)
		return err;
	err = blocks_get(to->config.blocks, &known->cid, wait, &block);
	if (err)
		return err;
	err = blocks_keep(to->config.blocks, &known->cid, block);
	block_unref(block);
	return err;
}

/* Puts count chunks at `at`, a chunk's beginning. *done bytes; 0: the end of `to` lies within. */
static void copy_put(struct data *to, uint64_t at, const struct known *known, uint64_t len,
		     uint64_t *done)
{
	uint32_t chunk = to->config.edit.chunk, index = (uint32_t)(at / chunk);

	data_change_lock(to);
	/* A part of a chunk becomes a chunk only if nothing is behind it. */
	if (len % chunk && at + len < to->now.size)
		len -= len % chunk;
	if (len && known->zeros)
		data_set_zero(to, index, (uint32_t)((len + chunk - 1) / chunk));
	else if (len)
		data_set_block(to, index, &known->cid, known->len, known->len, known->block);
	if (len && at + len > to->now.size)
		data_set_size(to, at + len);
	data_change_unlock(to);
	*done = len;
}

static int copy_bytes(struct data *from, uint64_t at, struct data *to, uint64_t to_at, uint64_t len,
		      struct wait *wait, uint64_t *done)
{
	uint32_t chunk = to->config.edit.chunk;
	uint64_t left = chunk - to_at % chunk; /* to the next place where chunks may begin */
	uint8_t *bytes;
	ssize_t got;
	int err;

	len = len < left ? len : left;
	bytes = xcalloc(1, (size_t)len);
	got = data_read(from, at, bytes, (size_t)len, wait);
	err = got < 0 ? (int)got : data_write(to, to_at, bytes_of(bytes, (size_t)got), wait);
	*done = err ? 0 : (uint64_t)got;
	free(bytes);
	return err;
}

/* One step: some chunks, or bytes up to the next chunk. *done is 0 at the end of from. */
static int copy_some(struct data *from, uint64_t at, struct data *to, uint64_t to_at, uint64_t len,
		     struct wait *wait, uint64_t *done)
{
	uint64_t chunk = from->config.edit.chunk, max = COPY_CHUNKS_MAX * chunk;
	struct known known = { 0 };
	int err = 0;

	*done = 0;
	pthread_mutex_lock(&from->lock);
	uint64_t left = at < from->now.size ? from->now.size - at : 0;

	len = len < left ? len : left;
	if (len && at % chunk == 0 && to_at % chunk == 0 && (len >= chunk || len == left))
		copy_look(from, (uint32_t)(at / chunk), &known);
	pthread_mutex_unlock(&from->lock);
	if (!len)
		return 0;
	if (known.base)
		look_up(from, (uint32_t)(at / chunk), &known, wait);
	if (known.is_known && !known.zeros)
		err = copy_keep(to, &known, wait);
	if (!err && known.is_known) {
		uint64_t most = known.zeros ? known.zeros * chunk : known.len;

		most = most < max ? most : max;
		copy_put(to, to_at, &known, len < most ? len : most, done);
	}
	block_unref(known.block);
	if (!err && !*done)
		err = copy_bytes(from, at, to, to_at, len, wait, done);
	return err;
}

static bool same_config(const struct data *a, const struct data *b)
{
	const struct file_edit_config *x = &a->config.edit, *y = &b->config.edit;

	return x->chunk == y->chunk && x->width == y->width && x->hash_code == y->hash_code &&
	       a->config.blocks == b->config.blocks;
}

ssize_t data_copy(struct data *from, uint64_t at, struct data *to, uint64_t to_at, uint64_t len,
		  struct wait *wait)
{
	uint64_t chunk = from->config.edit.chunk, max = COPY_CHUNKS_MAX * chunk, copied = 0;
	bool by_bytes = !same_config(from, to);
	int err = 0;

	if (at > data_size_max(from) || to_at >= data_size_max(to))
		return -EFBIG;
	len = len < max ? len : max;
	if (len > data_size_max(to) - to_at)
		len = data_size_max(to) - to_at;
	/* A copy within one file may make it longer. */
	uint64_t size = data_size(from), left = at < size ? size - at : 0;

	if (from == to && at < to_at + len && to_at < at + len)
		return -EINVAL;
	len = len < left ? len : left;
	while (!err && copied < len) {
		uint64_t done;

		if (by_bytes)
			err = copy_bytes(from, at + copied, to, to_at + copied, len - copied, wait,
					 &done);
		else
			err = copy_some(from, at + copied, to, to_at + copied, len - copied, wait,
					&done);
		if (!done)
			break;
		copied += done;
		if (wait_check(wait) == -EINTR)
			err = -EINTR;
	}
	return copied ? (ssize_t)copied : err;
}
