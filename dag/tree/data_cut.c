/* What a cut takes from a file and gives back, and what was on disk. The bytes that a cut writes
 * are those of the grains themselves: it holds references, and who writes to such a grain makes
 * another. Any thread. */
#include "dag/tree/data_private.h"

#include <assert.h>
#include <stdlib.h>

/* ---- taking ---- */

static struct data_item *add_item(struct data_cut *cut, size_t *cap, enum data_kind kind,
				  uint32_t at)
{
	if (cut->count == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		cut->items = xrealloc(cut->items, *cap * sizeof(*cut->items));
	}
	cut->items[cut->count] = (struct data_item){ .kind = kind, .at = at };
	return &cut->items[cut->count++];
}

/* Of a chunk: what is under its grains, if that is dirty, then its dirty grains. */
static void take_chunk(struct data_cut *cut, size_t *cap, uint32_t index, struct chunk *chunk)
{
	struct data_item *item;

	if (chunk->dirty) {
		assert(chunk->under != UNDER_BASE);
		item = add_item(cut, cap, chunk->under == UNDER_ZERO ? DATA_ZERO : DATA_LEAF,
				index);
		item->mark = chunk->under_mark;
		item->count = 1;
		if (chunk->under == UNDER_BLOCK) {
			chunk_cid(chunk, &item->cid);
			item->len = chunk->under_len;
			item->block = chunk->block ? block_ref(chunk->block) : NULL;
		}
		chunk->dirty = false;
	}
	for (uint32_t i = 0; i < chunk->grain_count; i++) {
		struct grain *grain = chunk->grains[i];

		if (!grain || !grain->dirty)
			continue;
		item = add_item(cut, cap, DATA_SPAN, index * chunk->grain_count + i);
		item->from = grain->from;
		item->bytes = bytes_of(grain->bytes, grain->len);
		item->ref = grain_ref(grain);
		cut->bytes += grain->len;
		grain->dirty = false;
		grain->cutting = true;
	}
}

static void take_items(struct data *data, struct data_cut *cut)
{
	size_t cap = 0;

	for (size_t i = 0; i < data->now.count; i++) {
		struct run *run = &data->now.runs[i];

		if (run->chunk) {
			take_chunk(cut, &cap, run->first, run->chunk);
		} else if (run->dirty) {
			struct data_item *item = add_item(cut, &cap, DATA_ZERO, run->first);

			item->count = run->count;
			item->mark = run->mark;
			run->dirty = false;
		}
	}
}

static struct data_snapshot *take_snapshot(struct data *data, uint64_t generation)
{
	struct data_snapshot *snapshot = xnew(struct data_snapshot);

	snapshot->config = data->config;
	snapshot->tick = data->tick;
	snapshot->generation = generation;
	image_copy(&snapshot->image, &data->now);
	data->low = data->now.size;
	return snapshot;
}

bool data_cut(struct data *data, uint64_t generation, struct data_snapshot **snapshot,
	      struct data_cut *cut)
{
	*cut = (struct data_cut){ .generation = generation };
	pthread_mutex_lock(&data->lock);
	bool dirty = data->dirty;

	if (dirty) {
		uint64_t before = generation == data->generation ? data->floor : data->cut_size;

		cut->size = data->now.size;
		cut->drop_from = data->drop_from;
		cut->floor = before < data->drop_from ? before : data->drop_from;
		take_items(data, cut);
		data->dirty = false;
		data->drop_from = DATA_NONE;
	}
	if (snapshot)
		*snapshot = take_snapshot(data, generation);
	pthread_mutex_unlock(&data->lock);
	return dirty;
}

/* ---- giving back ---- */

/* What an item stands for, if it is still there. */
static void done_under(struct data *data, const struct data_item *item, bool written)
{
	uint64_t end = (uint64_t)item->at + item->count;

	for (size_t i = image_find(&data->now, item->at);
	     i < data->now.count && data->now.runs[i].first < end; i++) {
		struct run *run = &data->now.runs[i];
		struct chunk *chunk = run->chunk;

		if (!chunk && run->mark == item->mark)
			run->dirty |= !written;
		if (!chunk || chunk->under_mark != item->mark)
			continue;
		chunk->dirty |= !written;
		if (written && chunk->block) {
			data_budget_drop(chunk->budget, chunk->block->data.len);
			block_unref(chunk->block);
			chunk->block = NULL;
		}
	}
}

static void done_span(const struct data_item *item, uint64_t generation, bool written)
{
	struct grain *grain = item->ref;

	grain->cutting = false;
	if (written)
		grain->generation = generation;
	else
		grain->dirty = true;
}

void data_cut_done(struct data *data, struct data_cut *cut, bool written)
{
	pthread_mutex_lock(&data->lock);
	for (size_t i = 0; i < cut->count; i++) {
		if (cut->items[i].kind == DATA_SPAN)
			done_span(&cut->items[i], cut->generation, written);
		else
			done_under(data, &cut->items[i], written);
	}
	if (written) {
		data->generation = cut->generation;
		data->cut_size = cut->size;
		data->floor = cut->floor;
	} else {
		data->dirty = true;
		if (cut->drop_from < data->drop_from)
			data->drop_from = cut->drop_from;
	}
	pthread_mutex_unlock(&data->lock);
	for (size_t i = 0; i < cut->count; i++) {
		grain_unref(cut->items[i].ref);
		block_unref(cut->items[i].block);
	}
	free(cut->items);
	*cut = (struct data_cut){ 0 };
}

/* ---- less memory ---- */

static int by_age(const void *a, const void *b)
{
	const struct grain *x = *(struct grain *const *)a, *y = *(struct grain *const *)b;

	return x->written < y->written ? -1 : x->written > y->written;
}

/* Its bytes are on disk, and nobody reads them just now. */
static bool is_spare(const struct chunk *chunk, const struct grain *grain)
{
	return grain && grain->bytes && !grain->dirty && chunk->refs == 1 && grain->refs == 1;
}

uint64_t data_shed(struct data *data, uint64_t bytes)
{
	struct grain **spare = NULL;
	size_t count = 0, cap = 0;
	uint64_t freed = 0;

	if (!data->config.load)
		return 0;
	pthread_mutex_lock(&data->lock);
	for (size_t i = 0; i < data->now.count; i++) {
		struct chunk *chunk = data->now.runs[i].chunk;

		for (uint32_t k = 0; chunk && k < chunk->grain_count; k++) {
			if (!is_spare(chunk, chunk->grains[k]))
				continue;
			if (count == cap) {
				cap = cap ? cap * 2 : 64;
				spare = xrealloc(spare, cap * sizeof(struct grain *));
			}
			spare[count++] = chunk->grains[k];
		}
	}
	if (count)
		qsort(spare, count, sizeof(struct grain *), by_age);
	for (size_t i = 0; i < count && freed < bytes; i++) {
		struct grain *grain = spare[i];

		freed += grain->cap;
		data_budget_drop(grain->budget, grain->cap);
		free(grain->bytes);
		grain->bytes = NULL;
		grain->cap = 0;
	}
	pthread_mutex_unlock(&data->lock);
	free(spare);
	return freed;
}

/* ---- from disk ---- */

int data_load_size(struct data *data, uint64_t generation, uint64_t floor, uint64_t size)
{
	bool was_dirty = data->dirty;

	if (floor > size || size > data_size_max(data) || generation < data->generation)
		return -EBADMSG;
	if (data->now.size > floor)
		(void)data_truncate(data, floor);
	(void)data_truncate(data, size);
	data->generation = generation;
	data->cut_size = size;
	data->floor = floor;
	data->low = size;
	data->drop_from = DATA_NONE;
	data->dirty = was_dirty;
	return 0;
}

int data_load_leaf(struct data *data, uint32_t chunk, uint32_t count, const struct cid *cid,
		   uint32_t len)
{
	uint32_t chunks = image_chunks(&data->now, &data->config);
	bool was_dirty = data->dirty;

	if (!count || (cid && (count != 1 || !len || len > data->config.edit.chunk ||
			       cid->len > DATA_CID_MAX || cid->codec != CODEC_RAW)))
		return -EBADMSG;
	/* A run may reach over an end that came later. */
	if (chunk >= chunks)
		return cid ? -EBADMSG : 0;
	count = count < chunks - chunk ? count : chunks - chunk;
	if (cid && len > image_chunk_len(&data->now, &data->config, chunk))
		return -EBADMSG;
	if (cid)
		data_set_block(data, chunk, cid, len, 0, NULL);
	else
		data_set_zero(data, chunk, count);
	struct run *run = image_run(&data->now, chunk);

	run->dirty = false;
	if (run->chunk)
		run->chunk->dirty = false;
	data->dirty = was_dirty;
	return 0;
}

int data_load_span(struct data *data, uint64_t generation, uint32_t grain_at, uint32_t from,
		   uint32_t len)
{
	uint64_t start = (uint64_t)grain_at * data->config.grain;

	if (!data->config.load || !len || from >= data->config.grain ||
	    len > data->config.grain - from || start + from + len > data->now.size)
		return -EBADMSG;

	/* In a run of zeros, the chunk becomes one of its own, and its record must be written: with
	 * all its bytes, because they go when that is put. */
	const struct run *run = image_run(&data->now, grain_at / data->per_chunk);
	bool in_zeros = run && (!run->chunk || run->chunk->dirty);
	bool was_dirty = data->dirty;
	struct grain *grain = grain_new(data->config.budget, in_zeros ? data->config.grain : 0);

	grain->from = from;
	grain->len = len;
	grain->generation = generation;
	if (in_zeros) {
		int err = data->config.load(data->config.ctx, generation, grain_at, from,
					    grain->bytes, len);

		if (err) {
			grain_unref(grain);
			return err;
		}
		grain->dirty = true;
	}

	struct chunk *chunk = data_own_chunk(data, grain_at / data->per_chunk);

	grain->written = data->tick;
	grain_unref(chunk->grains[grain_at % data->per_chunk]);
	chunk->grains[grain_at % data->per_chunk] = grain;
	data->dirty = was_dirty || in_zeros;
	return 0;
}
