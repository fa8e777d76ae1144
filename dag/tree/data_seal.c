/* Chunks become blocks, and a file as it was at one moment becomes a root. A chunk is filled
 * without the lock from what it was; its block counts only if nobody changed the chunk meanwhile.
 * Any thread. */
#include "dag/tree/data_private.h"

#include "dag/dag.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 64 /* of filling a chunk whose records on disk are changed meanwhile */

/* ---- a chunk ---- */

/* Does the chunk need a new block to be whole? Lock held. */
static bool is_wanted(const struct data *data, const struct run *run, enum data_seal which)
{
	const struct chunk *chunk = run->chunk;

	if (!chunk)
		return false;
	if (which == DATA_SEAL_ALL)
		return chunk_is_open(chunk, image_chunk_len(&data->now, &data->config, run->first));
	return chunk_is_full(chunk, data->config.grain);
}

bool data_next(struct data *data, enum data_seal which, uint64_t *chunk)
{
	bool found = false;

	if (*chunk >= UINT32_MAX)
		return false;
	pthread_mutex_lock(&data->lock);
	/* A look at all of them begins: what is written from now on tells by itself. */
	if (*chunk == 0)
		data->full_hint = false;
	for (size_t i = image_find(&data->now, (uint32_t)*chunk); !found && i < data->now.count;
	     i++) {
		found = is_wanted(data, &data->now.runs[i], which);
		if (found)
			*chunk = data->now.runs[i].first;
	}
	pthread_mutex_unlock(&data->lock);
	return found;
}

bool data_has_full(struct data *data)
{
	pthread_mutex_lock(&data->lock);
	bool has = data->full_hint;

	pthread_mutex_unlock(&data->lock);
	return has;
}

/* If *at is NULL, to fresh memory of the chunk's length. -EAGAIN: what was on disk is not there any
 * more. */
static ssize_t fill_once(struct data *data, uint32_t index, uint8_t **at, struct wait *wait,
			 uint64_t *mark)
{
	uint64_t start = (uint64_t)index * data->config.edit.chunk;
	struct pieces pieces = { 0 };
	uint8_t *own = NULL;
	int err = -ENOENT;

	pthread_mutex_lock(&data->lock);
	const struct run *run = image_run(&data->now, index);

	if (run && is_wanted(data, run, DATA_SEAL_ALL)) {
		*mark = run->chunk->mark;
		pieces_collect(&pieces, &data->config, &data->now, start,
			       start + image_chunk_len(&data->now, &data->config, index));
		err = 0;
	}
	pthread_mutex_unlock(&data->lock);
	ssize_t got = (ssize_t)pieces.len;

	if (!err && !*at)
		*at = own = xcalloc(1, pieces.len);
	if (!err)
		err = pieces_read(&pieces, *at, wait);
	pieces_release(&pieces);
	if (err && own) {
		free(own);
		*at = NULL;
	}
	return err ? err : got;
}

static ssize_t seal_fill(struct data *data, uint64_t chunk, uint8_t **at, struct wait *wait,
			 uint64_t *mark)
{
	ssize_t got = -EAGAIN;

	if (chunk >= UINT32_MAX)
		return -ENOENT;
	for (unsigned round = 0; got == -EAGAIN && round < ROUNDS_MAX; round++)
		got = fill_once(data, (uint32_t)chunk, at, wait, mark);
	return got == -EAGAIN ? -EIO : got;
}

ssize_t data_fill(struct data *data, uint64_t chunk, uint8_t *at, struct wait *wait, uint64_t *mark)
{
	return seal_fill(data, chunk, &at, wait, mark);
}

static bool seal_replace(struct data *data, uint64_t index, uint64_t mark, struct block *block)
{
	pthread_mutex_lock(&data->lock);
	const struct run *run = index < UINT32_MAX ? image_run(&data->now, (uint32_t)index) : NULL;
	bool same = run && run->chunk && run->chunk->mark == mark;

	if (same && block)
		data_set_block(data, (uint32_t)index, &block->cid, (uint32_t)block->data.len,
			       (uint32_t)block->data.len, block);
	else if (same)
		data_set_zero(data, (uint32_t)index, 1);
	pthread_mutex_unlock(&data->lock);
	return same;
}

bool data_filled(struct data *data, uint64_t chunk, uint64_t mark, struct block *block)
{
	return seal_replace(data, chunk, mark, block);
}

static bool is_zeros(const uint8_t *at, size_t len)
{
	return len == 0 || (at[0] == 0 && memcmp(at, at + 1, len - 1) == 0);
}

/* Names and puts len bytes; *block is NULL if they are zeros. Takes bytes. */
static int make_block(const struct data_config *config, uint8_t *bytes, size_t len,
		      struct block **block)
{
	struct buf buf = { .at = bytes, .len = len, .cap = len };
	struct cid cid;
	int err = 0;

	*block = NULL;
	if (!is_zeros(bytes, len)) {
		err = cid_of_data(&cid, 1, CODEC_RAW, config->edit.hash_code, buf_bytes(&buf));
		if (!err) {
			*block = block_take(&cid, &buf);
			err = blocks_put(config->blocks, *block);
		}
		if (err) {
			block_unref(*block);
			*block = NULL;
		}
	}
	buf_release(&buf);
	return err;
}

static int seal_chunk(struct data *data, uint64_t chunk, struct wait *wait)
{
	uint8_t *bytes = NULL;
	struct block *block;
	uint64_t mark;
	ssize_t got = seal_fill(data, chunk, &bytes, wait, &mark);

	if (got < 0)
		return got == -ENOENT ? 0 : (int)got;
	int err = make_block(&data->config, bytes, (size_t)got, &block);

	if (err)
		return err;
	(void)seal_replace(data, chunk, mark, block);
	block_unref(block);
	return 0;
}

int data_seal(struct data *data, enum data_seal which, struct wait *wait)
{
	int err = 0;

	for (uint64_t chunk = 0; !err && data_next(data, which, &chunk); chunk++) {
		err = seal_chunk(data, chunk, wait);
		if (!err && wait_check(wait) == -EINTR)
			err = -EINTR;
	}
	if (err) {
		pthread_mutex_lock(&data->lock);
		data->full_hint = true;
		pthread_mutex_unlock(&data->lock);
	}
	return err;
}

/* ---- a snapshot's root ---- */

struct changes {
	struct file_change *at;
	size_t count, cap;
};

static void add_change(struct changes *changes, uint64_t chunk, uint64_t count,
		       const struct cid *cid)
{
	if (!count)
		return;
	if (changes->count == changes->cap) {
		changes->cap = changes->cap ? changes->cap * 2 : 16;
		changes->at = xrealloc(changes->at, changes->cap * sizeof(*changes->at));
	}
	changes->at[changes->count++] = (struct file_change){
		.chunk = chunk, .count = count, .cid = cid ? *cid : (struct cid){ 0 }
	};
}

static int add_filled(const struct data_snapshot *snapshot, struct changes *changes, uint32_t index,
		      struct wait *wait)
{
	const struct data_config *config = &snapshot->config;
	uint8_t *bytes = xcalloc(1, image_chunk_len(&snapshot->image, config, index));
	struct block *block;
	ssize_t got = image_read(&snapshot->image, config, (uint64_t)index * config->edit.chunk,
				 bytes, config->edit.chunk, wait);

	if (got < 0) {
		free(bytes);
		return (int)got;
	}
	int err = make_block(config, bytes, (size_t)got, &block);

	if (!err)
		add_change(changes, index, 1, block ? &block->cid : NULL);
	block_unref(block);
	return err;
}

/* Chunks [first, end) that no run tells of: of the base, and zeros behind its limit. */
static int add_gap(const struct data_snapshot *snapshot, struct changes *changes, uint32_t first,
		   uint32_t end, struct wait *wait)
{
	const struct image *image = &snapshot->image;
	const struct data_config *config = &snapshot->config;
	uint32_t chunk = config->edit.chunk, last = (uint32_t)(image->limit / chunk);
	uint32_t rest = (uint32_t)(image->limit % chunk);
	uint32_t zeros = last + (rest != 0);

	if (rest && first <= last && last < end &&
	    (image->limit != image->base->size || rest != image_chunk_len(image, config, last))) {
		int err = add_filled(snapshot, changes, last, wait);

		if (err)
			return err;
	}
	zeros = zeros > first ? zeros : first;
	if (zeros < end)
		add_change(changes, zeros, end - zeros, NULL);
	return 0;
}

static int add_run(const struct data_snapshot *snapshot, struct changes *changes,
		   const struct run *run, struct wait *wait)
{
	const struct chunk *chunk = run->chunk;
	uint32_t len = image_chunk_len(&snapshot->image, &snapshot->config, run->first);
	struct cid cid;
	size_t size;

	if (!chunk || (chunk->under == UNDER_ZERO && !chunk_has_grains(chunk))) {
		add_change(changes, run->first, run->count, NULL);
		return 0;
	}
	if (chunk->under != UNDER_BLOCK || chunk_is_open(chunk, len))
		return add_filled(snapshot, changes, run->first, wait);
	chunk_cid(chunk, &cid);
	/* One that was loaded from disk may be longer than what counts of it. */
	if (!chunk->block_len && (blocks_size(snapshot->config.blocks, &cid, &size) || size != len))
		return add_filled(snapshot, changes, run->first, wait);
	add_change(changes, run->first, 1, &cid);
	return 0;
}

static int collect_changes(const struct data_snapshot *snapshot, struct changes *changes,
			   struct wait *wait)
{
	const struct image *image = &snapshot->image;
	uint64_t next = 0;
	int err = 0;

	for (size_t i = 0; !err && i < image->count; i++) {
		const struct run *run = &image->runs[i];

		err = add_gap(snapshot, changes, (uint32_t)next, run->first, wait);
		if (!err)
			err = add_run(snapshot, changes, run, wait);
		next = (uint64_t)run->first + run->count;
		if (!err && wait_check(wait) == -EINTR)
			err = -EINTR;
	}
	if (!err)
		err = add_gap(snapshot, changes, (uint32_t)next,
			      image_chunks(image, &snapshot->config), wait);
	return err;
}

/* Over the base, or over a base that is cut anew. */
static int edit_base(const struct data_snapshot *snapshot, const struct changes *changes,
		     bool recut, struct wait *wait, struct cid *root, uint64_t *tree_size)
{
	const struct data_config *config = &snapshot->config;
	const struct image *image = &snapshot->image;
	struct file_edit edit = { .size = image->size,
				  .changes = changes->at,
				  .count = changes->count };
	struct cid old;
	int err = 0;

	if (image->limit) {
		old = image->base->cid;
		edit.old = &old;
		edit.old_size = image->base->size;
	}
	if (image->limit && recut)
		err = file_recut(config->blocks, &config->edit, &image->base->cid, wait, &old,
				 &edit.old_size);
	if (!err && image->limit && edit.old_size != image->base->size)
		err = -EIO;
	if (!err)
		err = file_edit_make(config->blocks, &config->edit, &edit, wait, root, tree_size);
	return err;
}

static int make_root(const struct data_snapshot *snapshot, struct wait *wait, struct cid *root,
		     uint64_t *tree_size)
{
	const struct image *image = &snapshot->image;
	struct changes changes = { 0 };
	int err = collect_changes(snapshot, &changes, wait);
	int fits = 1;

	if (!err && image->limit)
		fits = file_shared_fits(image->base, &snapshot->config.edit, wait);
	if (!err && fits < 0 && fits != -EBADMSG)
		err = fits;
	if (!err)
		err = edit_base(snapshot, &changes, fits <= 0, wait, root, tree_size);
	/* A node in the middle was of another shape. */
	if (err == -EBADMSG && fits > 0 && image->limit)
		err = edit_base(snapshot, &changes, true, wait, root, tree_size);
	free(changes.at);
	return err;
}

int data_snapshot_root(struct data_snapshot *snapshot, struct blocks *blocks, struct wait *wait,
		       struct cid *root, uint64_t *size, uint64_t *tree_size)
{
	const struct image *image = &snapshot->image;
	uint64_t cumulative = 0;
	int err;

	snapshot->config.blocks = blocks;

	if (image->base && !image->count && image->limit == image->size &&
	    image->limit == image->base->size) {
		struct dag_stat stat;

		*root = image->base->cid;
		err = tree_size ? dag_stat(snapshot->config.blocks, root, wait, &stat) : 0;
		cumulative = tree_size && !err ? stat.tree_size : 0;
	} else {
		err = make_root(snapshot, wait, root, &cumulative);
	}
	if (err)
		return err;
	if (size)
		*size = image->size;
	if (tree_size)
		*tree_size = cumulative;
	return 0;
}

ssize_t data_snapshot_read(struct data_snapshot *snapshot, uint64_t at, void *to, size_t len,
			   struct wait *wait)
{
	return image_read(&snapshot->image, &snapshot->config, at, to, len, wait);
}

uint64_t data_snapshot_size(const struct data_snapshot *snapshot)
{
	return snapshot->image.size;
}

void data_snapshot_free(struct data_snapshot *snapshot)
{
	if (!snapshot)
		return;
	image_release(&snapshot->image);
	free(snapshot);
}

/* ---- a new base ---- */

/* What the chunk had before the snapshot is in the new base. */
static void rebase_chunk(struct data *data, struct run *run, const struct data_snapshot *snapshot)
{
	const struct run *before = image_run(&snapshot->image, run->first);
	const struct chunk *old = before ? before->chunk : NULL;

	if (run->chunk->under_mark > snapshot->tick)
		return;

	struct chunk *chunk = data_own_run(data, run);

	for (uint32_t i = 0; i < chunk->grain_count; i++) {
		const struct grain *grain = chunk->grains[i];

		if (!grain || !((old && grain == old->grains[i]) ||
				(!grain->dirty && grain->generation <= snapshot->generation)))
			continue;
		grain_unref(chunk->grains[i]);
		chunk->grains[i] = NULL;
	}
	chunk_set_base(chunk);
}

void data_rebase(struct data *data, struct data_snapshot *snapshot, const struct cid *root)
{
	struct image *now = &data->now;
	size_t kept = 0;

	pthread_mutex_lock(&data->lock);
	bool dirty = data->dirty;

	for (size_t i = 0; i < now->count; i++) {
		struct run *run = &now->runs[i];
		bool keep = true;

		if (run->chunk)
			rebase_chunk(data, run, snapshot);
		if (run->chunk)
			keep = run->chunk->under != UNDER_BASE || chunk_has_grains(run->chunk);
		else
			keep = run->mark > snapshot->tick;
		if (keep)
			now->runs[kept++] = *run;
		else
			chunk_unref(run->chunk);
	}
	now->count = kept;
	file_shared_unref(now->base);
	now->base = file_shared_new(data->config.blocks, root, snapshot->image.size);
	now->limit = snapshot->image.size < data->low ? snapshot->image.size : data->low;
	data->dirty = dirty;
	pthread_mutex_unlock(&data->lock);
}
