/* What changes a file. A write first sees to it, with the lock given up for reading, that its bytes
 * touch what is dirty in the first and the last grain; then all of it happens in one step, which
 * cannot fail. Any thread. */
#include "dag/tree/data_private.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 64 /* of preparing a write that others disturb */
#define GRAIN_CAP_MIN 4096u

/* ---- with the lock held ---- */

static void write_touch(struct data *data)
{
	data->tick++;
	data->dirty = true;
}

void data_set_size(struct data *data, uint64_t size)
{
	data->now.size = size;
	write_touch(data);
}

struct chunk *data_own_run(struct data *data, struct run *run)
{
	write_touch(data);
	if (run->chunk->refs > 1) {
		struct chunk *copy = chunk_copy(run->chunk);

		chunk_unref(run->chunk);
		run->chunk = copy;
	}
	run->chunk->mark = data->tick;
	return run->chunk;
}

struct chunk *data_own_chunk(struct data *data, uint32_t index)
{
	struct run *run = image_run(&data->now, index);
	struct chunk *chunk;

	if (run && run->chunk)
		return data_own_run(data, run);
	write_touch(data);
	chunk = chunk_new(&data->config);
	/* It is written with the next cut if it was in a run of zeros: their record is replaced. */
	chunk->dirty = run != NULL;
	chunk->under_mark = run ? run->mark : data->tick;
	chunk->mark = data->tick;
	chunk->under =
		!run && image_base_len(&data->now, &data->config, index) ? UNDER_BASE : UNDER_ZERO;
	image_clear(&data->now, index, 1);
	image_insert(&data->now, &(struct run){ .first = index, .count = 1, .chunk = chunk });
	return chunk;
}

void data_set_zero(struct data *data, uint32_t first, uint32_t count)
{
	write_touch(data);
	image_clear(&data->now, first, count);
	image_insert(
		&data->now,
		&(struct run){ .first = first, .count = count, .dirty = true, .mark = data->tick });
}

void data_set_block(struct data *data, uint32_t index, const struct cid *cid, uint32_t len,
		    uint32_t block_len, struct block *block)
{
	struct chunk *chunk = chunk_new(&data->config);

	write_touch(data);
	image_clear(&data->now, index, 1);
	chunk_set_block(chunk, cid, len, block_len, block);
	chunk->dirty = true;
	chunk->mark = chunk->under_mark = data->tick;
	image_insert(&data->now, &(struct run){ .first = index, .count = 1, .chunk = chunk });
}

/* Memory for a stretch of this many bytes. */
static uint32_t cap_for(const struct data *data, uint32_t len)
{
	uint32_t cap = GRAIN_CAP_MIN;

	while (cap < len)
		cap *= 2;
	return cap < data->config.grain ? cap : data->config.grain;
}

/* Writes to [from, from + len) of a grain, which touch its stretch or cover it. */
static void write_grain(struct data *data, struct chunk *chunk, uint32_t i, uint32_t from,
			const uint8_t *bytes, uint32_t len)
{
	struct grain *old = chunk->grains[i], *grain = old;
	bool covered = !old || (from <= old->from && from + len >= old->from + old->len);
	uint32_t begin = covered || from < old->from ? from : old->from;
	uint32_t end =
		covered || from + len > old->from + old->len ? from + len : old->from + old->len;

	if (!old || !old->bytes || old->refs > 1 || begin != old->from || end - begin > old->cap) {
		grain = grain_new(data->config.budget, cap_for(data, end - begin));
		if (!covered)
			memcpy(grain->bytes + (old->from - begin), old->bytes, old->len);
		grain_unref(old);
		chunk->grains[i] = grain;
	}
	grain->from = begin;
	grain->len = end - begin;
	grain->dirty = true;
	grain->written = data->tick;
	memcpy(grain->bytes + (from - begin), bytes, len);
}

static void write_apply(struct data *data, uint64_t at, struct bytes bytes)
{
	uint32_t size = data->config.grain;

	if (bytes.len && at + bytes.len > data->now.size)
		data_set_size(data, at + bytes.len);
	while (bytes.len) {
		struct chunk *chunk =
			data_own_chunk(data, (uint32_t)(at / data->config.edit.chunk));
		uint32_t i = (uint32_t)(at % data->config.edit.chunk) / size;

		for (; bytes.len && i < chunk->grain_count; i++) {
			uint32_t from = (uint32_t)(at % size);
			uint32_t len = bytes.len < size - from ? (uint32_t)bytes.len : size - from;

			write_grain(data, chunk, i, from, bytes.at, len);
			bytes = bytes_skip(bytes, len);
			at += len;
		}
		data->full_hint |= chunk_is_full(chunk, size);
	}
}

/* ---- before a write ---- */

/* Bytes that must be in memory before [from, end) of this grain may be written: the stretch if it
 * is on disk, or the gap between both. False: none. */
static bool find_lack(const struct data *data, uint64_t grain_at, uint32_t from, uint32_t end,
		      uint32_t *lack_from, uint32_t *lack_end)
{
	const struct run *run = image_run(&data->now, (uint32_t)(grain_at / data->per_chunk));
	const struct grain *grain =
		run && run->chunk ? run->chunk->grains[grain_at % data->per_chunk] : NULL;

	if (!grain || (from <= grain->from && end >= grain->from + grain->len))
		return false;
	*lack_from = grain->from;
	*lack_end = grain->from + grain->len;
	if (!grain->bytes)
		return true;
	if (end < grain->from) {
		*lack_from = end;
		*lack_end = grain->from;
		return true;
	}
	if (from > grain->from + grain->len) {
		*lack_from = grain->from + grain->len;
		*lack_end = from;
		return true;
	}
	return false;
}

/* Reads what a grain lacks, with the lock given up; it becomes part of the stretch if meanwhile
 * neither the grain nor what is under it changed. The reference keeps others from changing it in
 * place, and its bytes in memory. Lock held, before and after. */
static int fill_lack(struct data *data, uint64_t grain_at, uint32_t from, uint32_t end,
		     struct wait *wait)
{
	uint64_t start = grain_at * data->config.grain, limit = data->now.limit;
	uint32_t index = (uint32_t)(grain_at / data->per_chunk);
	uint32_t i = (uint32_t)(grain_at % data->per_chunk);
	const struct chunk *chunk = image_run(&data->now, index)->chunk;
	uint64_t under_mark = chunk->under_mark;
	uint32_t under_len = chunk->under_len;
	struct file_shared *base = data->now.base;
	struct grain *grain = grain_ref(chunk->grains[i]);
	uint8_t *bytes = xcalloc(1, data->config.grain);
	struct pieces pieces = { 0 };

	pieces_collect(&pieces, &data->config, &data->now, start + from, start + end);
	data_change_unlock(data);
	int err = pieces_read(&pieces, bytes, wait);

	data_change_lock(data);
	const struct run *run = image_run(&data->now, index);

	chunk = run ? run->chunk : NULL;
	bool same = chunk && chunk->grains[i] == grain && chunk->under_mark == under_mark &&
		    chunk->under_len == under_len && data->now.limit == limit &&
		    data->now.base == base;

	pieces_release(&pieces);
	grain_unref(grain);
	if (!err && same)
		write_grain(data, data_own_chunk(data, index), i, from, bytes, end - from);
	free(bytes);
	return err == -EAGAIN ? 0 : err;
}

/* Only the first and the last grain can lack something. Lock held, and given up in between: *again
 * says that all must be looked at anew. */
static int prepare(struct data *data, uint64_t at, size_t len, struct wait *wait, bool *again)
{
	uint64_t size = data->config.grain;
	uint64_t ends[] = { at / size, (at + len - 1) / size };

	*again = false;
	for (unsigned i = 0; len && i < 2; i++) {
		uint64_t start = ends[i] * size;
		uint32_t from = at > start ? (uint32_t)(at - start) : 0;
		uint32_t end =
			at + len - start < size ? (uint32_t)(at + len - start) : (uint32_t)size;
		uint32_t lack_from, lack_end;

		if (!find_lack(data, ends[i], from, end, &lack_from, &lack_end))
			continue;
		*again = true;
		return fill_lack(data, ends[i], lack_from, lack_end, wait);
	}
	return 0;
}

uint64_t data_size_max(const struct data *data)
{
	uint64_t max = (FILE_EDIT_CHUNKS_MAX - 1) * data->config.edit.chunk;

	return max < DATA_SIZE_MAX ? max : DATA_SIZE_MAX;
}

struct place {
	bool append; /* at the end of the file, wherever that is; else at `at` */
	bool keep;   /* what is behind the end is left out */
	uint64_t at;
};

/* The part of bytes that is to be written, and where; lock held. */
static struct bytes place_bytes(const struct data *data, struct place *place, struct bytes bytes)
{
	uint64_t size = data->now.size;

	if (place->append)
		place->at = size;
	if (place->keep && place->at >= size)
		bytes.len = 0;
	else if (place->keep && bytes.len > size - place->at)
		bytes.len = (size_t)(size - place->at);
	return bytes;
}

static int write_at(struct data *data, struct place *place, struct bytes bytes, struct wait *wait)
{
	uint64_t room = (bytes.len / data->config.grain + 2) * data->config.grain;
	struct bytes part = { 0 };
	bool again = true;
	int err;

	if (bytes.len > DATA_WRITE_MAX)
		return -EINVAL;
	err = data_budget_reserve(data->config.budget, room, wait);
	if (err)
		return err;
	data_change_lock(data);
	for (unsigned round = 0; !err && again; round++) {
		part = place_bytes(data, place, bytes);
		if (place->at > data_size_max(data) || part.len > data_size_max(data) - place->at)
			err = -EFBIG;
		else if (round == ROUNDS_MAX)
			err = -EIO;
		else
			err = prepare(data, place->at, part.len, wait, &again);
	}
	if (!err)
		write_apply(data, place->at, part);
	data_change_unlock(data);
	data_budget_drop(data->config.budget, room);
	return err;
}

int data_write(struct data *data, uint64_t at, struct bytes bytes, struct wait *wait)
{
	struct place place = { .at = at };

	return bytes.len ? write_at(data, &place, bytes, wait) : 0;
}

int data_append(struct data *data, struct bytes bytes, struct wait *wait, uint64_t *at)
{
	struct place place = { .append = true, .at = data_size(data) };
	int err = bytes.len ? write_at(data, &place, bytes, wait) : 0;

	*at = place.at;
	return err;
}

/* ---- sizes ---- */

/* The chunk with the new end: what is behind the end goes. */
static void trim_chunk(struct data *data, uint32_t index, uint32_t len)
{
	const struct run *run = image_run(&data->now, index);

	if (!run || !run->chunk)
		return;

	struct chunk *chunk = data_own_chunk(data, index);

	chunk->under_len = chunk->under_len < len ? chunk->under_len : len;
	for (uint32_t i = 0; i < chunk->grain_count; i++) {
		struct grain *grain = chunk->grains[i], *cut;
		uint32_t start = i * data->config.grain;

		if (!grain || start + grain->from + grain->len <= len)
			continue;
		if (start + grain->from >= len) {
			grain_unref(grain);
			chunk->grains[i] = NULL;
			continue;
		}
		if (grain->refs > 1) {
			cut = grain_new(data->config.budget, grain->bytes ? grain->cap : 0);
			if (grain->bytes)
				memcpy(cut->bytes, grain->bytes, grain->len);
			cut->from = grain->from;
			cut->dirty = grain->dirty || grain->cutting;
			cut->generation = grain->generation;
			cut->written = grain->written;
			grain_unref(grain);
			chunk->grains[i] = grain = cut;
		}
		grain->len = len - start - grain->from;
	}
}

static void shrink(struct data *data, uint64_t size)
{
	uint32_t chunk = data->config.edit.chunk;
	uint32_t whole = (uint32_t)(size / chunk), rest = (uint32_t)(size % chunk);

	data->low = data->low < size ? data->low : size;
	data->drop_from = data->drop_from < size ? data->drop_from : size;
	data->now.limit = data->now.limit < size ? data->now.limit : size;
	if (rest)
		trim_chunk(data, whole, rest);
	whole += rest != 0;
	image_clear(&data->now, whole, UINT32_MAX - whole);
}

int data_truncate(struct data *data, uint64_t size)
{
	if (size > data_size_max(data))
		return -EFBIG;
	data_change_lock(data);
	if (size < data->now.size)
		shrink(data, size);
	if (size != data->now.size)
		data_set_size(data, size);
	data_change_unlock(data);
	return 0;
}

int data_extend(struct data *data, uint64_t size)
{
	if (size > data_size_max(data))
		return -EFBIG;
	data_change_lock(data);
	if (size > data->now.size)
		data_set_size(data, size);
	data_change_unlock(data);
	return 0;
}

/* ---- holes ---- */

/* Is all of it a hole already? */
static bool is_hole(struct data *data, uint64_t at, uint64_t end)
{
	struct pieces pieces = { 0 };
	bool hole;

	pthread_mutex_lock(&data->lock);
	pieces_collect(&pieces, &data->config, &data->now, at, end);
	pthread_mutex_unlock(&data->lock);
	hole = pieces.count == 1 && pieces.at[0].kind == PIECE_ZERO;
	pieces_release(&pieces);
	return hole;
}

/* Zeros within one chunk, as dirty bytes; the size stays. */
static int write_zeros(struct data *data, uint64_t at, uint64_t end, struct wait *wait)
{
	if (at >= end || is_hole(data, at, end))
		return 0;

	uint8_t *zeros = xcalloc(1, (size_t)(end - at));
	struct place place = { .keep = true, .at = at };
	int err = write_at(data, &place, bytes_of(zeros, (size_t)(end - at)), wait);

	free(zeros);
	return err;
}

int data_punch(struct data *data, uint64_t at, uint64_t len, struct wait *wait)
{
	uint64_t chunk = data->config.edit.chunk, size = data_size(data), end;
	int err = 0;

	if (at >= size || !len)
		return 0;
	end = len < size - at ? at + len : size;

	uint64_t first = (at + chunk - 1) / chunk,
		 stop = end == size ? (end + chunk - 1) / chunk : end / chunk;

	if (first >= stop)
		return write_zeros(data, at, end, wait);
	err = write_zeros(data, at, first * chunk, wait);
	if (!err && stop * chunk < end)
		err = write_zeros(data, stop * chunk, end, wait);
	if (err)
		return err;
	data_change_lock(data);
	/* The file may have become smaller meanwhile, or larger: then a chunk that reached over its
	 * end has bytes that stay. */
	uint64_t now = data->now.size;
	bool rest = stop * chunk > end && now > size;

	stop -= rest;
	if (stop > (now + chunk - 1) / chunk)
		stop = (now + chunk - 1) / chunk;
	if (first < stop)
		data_set_zero(data, (uint32_t)first, (uint32_t)(stop - first));
	data_change_unlock(data);
	return rest ? write_zeros(data, end / chunk * chunk, end, wait) : 0;
}

int data_zero(struct data *data, uint64_t at, uint64_t len, struct wait *wait)
{
	if (at > data_size_max(data) || len > data_size_max(data) - at)
		return -EFBIG;

	int err = data_punch(data, at, len, wait);

	if (err)
		return err;
	data_change_lock(data);
	if (at + len > data->now.size && len)
		data_set_size(data, at + len);
	data_change_unlock(data);
	return 0;
}
