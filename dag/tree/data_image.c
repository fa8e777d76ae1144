/* The parts of a file in memory: grains, chunks, and the runs of an image, a sorted array. No
 * thread of its own; the owner of an image locks. */
#include "dag/tree/data_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- grains ---- */

struct grain *grain_new(struct data_budget *budget, uint32_t cap)
{
	struct grain *grain = xnew(struct grain);

	grain->refs = 1;
	grain->budget = budget;
	grain->cap = cap;
	if (cap) {
		data_budget_add(budget, cap);
		grain->bytes = xcalloc(1, cap);
	}
	return grain;
}

struct grain *grain_ref(struct grain *grain)
{
	atomic_fetch_add(&grain->refs, 1);
	return grain;
}

void grain_unref(struct grain *grain)
{
	if (!grain || atomic_fetch_sub(&grain->refs, 1) != 1)
		return;
	data_budget_drop(grain->budget, grain->cap);
	free(grain->bytes);
	free(grain);
}

/* ---- chunks ---- */

static struct chunk *chunk_alloc(uint32_t grains)
{
	struct chunk *chunk = xcalloc(1, sizeof(*chunk) + grains * sizeof(struct grain *));

	chunk->refs = 1;
	chunk->grain_count = grains;
	return chunk;
}

struct chunk *chunk_new(const struct data_config *config)
{
	struct chunk *chunk = chunk_alloc(config->edit.chunk / config->grain);

	chunk->budget = config->budget;
	return chunk;
}

struct chunk *chunk_copy(const struct chunk *chunk)
{
	struct chunk *copy = chunk_alloc(chunk->grain_count);

	copy->budget = chunk->budget;
	copy->under = chunk->under;
	copy->dirty = chunk->dirty;
	copy->under_len = chunk->under_len;
	copy->block_len = chunk->block_len;
	copy->mark = chunk->mark;
	copy->under_mark = chunk->under_mark;
	copy->cid_len = chunk->cid_len;
	memcpy(copy->cid, chunk->cid, chunk->cid_len);
	if (chunk->block) {
		copy->block = block_ref(chunk->block);
		data_budget_add(copy->budget, copy->block->data.len);
	}
	for (uint32_t i = 0; i < chunk->grain_count; i++)
		copy->grains[i] = chunk->grains[i] ? grain_ref(chunk->grains[i]) : NULL;
	return copy;
}

struct chunk *chunk_ref(struct chunk *chunk)
{
	atomic_fetch_add(&chunk->refs, 1);
	return chunk;
}

static void drop_block(struct chunk *chunk)
{
	if (!chunk->block)
		return;
	data_budget_drop(chunk->budget, chunk->block->data.len);
	block_unref(chunk->block);
	chunk->block = NULL;
}

void chunk_unref(struct chunk *chunk)
{
	if (!chunk || atomic_fetch_sub(&chunk->refs, 1) != 1)
		return;
	chunk_drop_grains(chunk);
	drop_block(chunk);
	free(chunk);
}

bool chunk_has_grains(const struct chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->grain_count; i++)
		if (chunk->grains[i])
			return true;
	return false;
}

bool chunk_is_full(const struct chunk *chunk, uint32_t grain)
{
	for (uint32_t i = 0; i < chunk->grain_count; i++)
		if (!chunk->grains[i] || chunk->grains[i]->len != grain)
			return false;
	return true;
}

void chunk_drop_grains(struct chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->grain_count; i++) {
		grain_unref(chunk->grains[i]);
		chunk->grains[i] = NULL;
	}
}

bool chunk_is_open(const struct chunk *chunk, uint32_t len)
{
	if (chunk_has_grains(chunk))
		return true;
	return chunk->under == UNDER_BLOCK &&
	       (chunk->under_len != len || (chunk->block_len && chunk->block_len != len));
}

void chunk_set_block(struct chunk *chunk, const struct cid *cid, uint32_t len, uint32_t block_len,
		     struct block *block)
{
	assert(cid->len <= DATA_CID_MAX);
	drop_block(chunk);
	chunk->under = UNDER_BLOCK;
	chunk->under_len = len;
	chunk->block_len = block_len;
	chunk->cid_len = cid->len;
	memcpy(chunk->cid, cid->bytes, cid->len);
	if (block) {
		chunk->block = block_ref(block);
		data_budget_add(chunk->budget, block->data.len);
	}
}

void chunk_set_base(struct chunk *chunk)
{
	drop_block(chunk);
	chunk->under = UNDER_BASE;
	chunk->dirty = false;
	chunk->under_len = 0;
	chunk->cid_len = 0;
}

void chunk_cid(const struct chunk *chunk, struct cid *cid)
{
	/* It was one when it was set. */
	(void)cid_from_bytes(cid, bytes_of(chunk->cid, chunk->cid_len));
}

/* ---- images ---- */

void image_copy(struct image *to, const struct image *from)
{
	*to = *from;
	to->cap = from->count;
	to->base = from->base ? file_shared_ref(from->base) : NULL;
	to->runs = xcalloc(from->count + 1, sizeof(*to->runs));
	for (size_t i = 0; i < from->count; i++) {
		to->runs[i] = from->runs[i];
		if (to->runs[i].chunk)
			chunk_ref(to->runs[i].chunk);
	}
}

void image_release(struct image *image)
{
	for (size_t i = 0; i < image->count; i++)
		chunk_unref(image->runs[i].chunk);
	free(image->runs);
	file_shared_unref(image->base);
	*image = (struct image){ 0 };
}

size_t image_find(const struct image *image, uint32_t chunk)
{
	size_t low = 0, high = image->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct run *run = &image->runs[middle];

		if ((uint64_t)run->first + run->count > chunk)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct run *image_run(const struct image *image, uint32_t chunk)
{
	size_t at = image_find(image, chunk);

	return at < image->count && image->runs[at].first <= chunk ? &image->runs[at] : NULL;
}

uint32_t image_chunks(const struct image *image, const struct data_config *config)
{
	return (uint32_t)((image->size + config->edit.chunk - 1) / config->edit.chunk);
}

/* How many of `bytes` lie in the chunk. */
static uint32_t part(const struct data_config *config, uint64_t bytes, uint32_t chunk)
{
	uint64_t start = (uint64_t)chunk * config->edit.chunk;

	if (bytes <= start)
		return 0;
	return bytes - start < config->edit.chunk ? (uint32_t)(bytes - start) : config->edit.chunk;
}

uint32_t image_chunk_len(const struct image *image, const struct data_config *config,
			 uint32_t chunk)
{
	return part(config, image->size, chunk);
}

uint32_t image_base_len(const struct image *image, const struct data_config *config, uint32_t chunk)
{
	return part(config, image->limit, chunk);
}

static void open_gap(struct image *image, size_t at, size_t more)
{
	if (image->count + more > image->cap) {
		image->cap = image->cap ? image->cap * 2 : 8;
		image->runs = xrealloc(image->runs, image->cap * sizeof(*image->runs));
	}
	memmove(image->runs + at + more, image->runs + at,
		(image->count - at) * sizeof(*image->runs));
	image->count += more;
}

static void close_gap(struct image *image, size_t from, size_t to)
{
	if (from == to)
		return;
	memmove(image->runs + from, image->runs + to, (image->count - to) * sizeof(*image->runs));
	image->count -= to - from;
}

bool image_clear(struct image *image, uint32_t first, uint32_t count)
{
	uint64_t end = (uint64_t)first + count;
	size_t from = image_find(image, first), to;
	struct run *run = image->runs + from;

	if (from == image->count || run->first >= end)
		return false;
	if (run->first < first) { /* zeros, and their beginning stays */
		struct run rest = *run;

		run->dirty = true;
		run->count = first - run->first;
		if ((uint64_t)rest.first + rest.count > end) {
			rest.count = (uint32_t)(rest.first + rest.count - end);
			rest.first = (uint32_t)end;
			rest.dirty = true;
			open_gap(image, from + 1, 1);
			image->runs[from + 1] = rest;
			return true;
		}
		from++;
	}
	for (to = from; to < image->count && image->runs[to].first < end; to++) {
		run = &image->runs[to];
		uint64_t run_end = (uint64_t)run->first + run->count;

		if (run_end > end) { /* zeros, and their end stays */
			run->first = (uint32_t)end;
			run->count = (uint32_t)(run_end - end);
			run->dirty = true;
			break;
		}
		chunk_unref(run->chunk);
	}
	close_gap(image, from, to);
	return true;
}

void image_insert(struct image *image, const struct run *run)
{
	size_t at = image_find(image, run->first);

	open_gap(image, at, 1);
	image->runs[at] = *run;
}
