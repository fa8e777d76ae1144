/* The content of a changing file: making it, asking it, reading it. What changes it is in
 * data_write.c, what becomes of the changes in data_cut.c and data_seal.c. Any thread. */
#include "dag/tree/data_private.h"

#include "dag/import/chunker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MAX 64 /* of a read that finds records on disk gone */

void data_config_init(struct data_config *config)
{
	*config = (struct data_config){ .grain = DATA_GRAIN };
	file_edit_config_init(&config->edit);
}

struct data *data_new(const struct data_config *config, const struct cid *base, uint64_t size)
{
	struct data *data = xnew(struct data);

	assert(config->grain && config->edit.chunk % config->grain == 0);
	data->config = *config;
	data->per_chunk = config->edit.chunk / config->grain;
	assert(data->per_chunk <= DATA_GRAINS_MAX && config->edit.chunk <= CHUNK_MAX);
	pthread_mutex_init(&data->lock, NULL);
	if (base) {
		data->now.base = file_shared_new(config->blocks, base, size);
		data->now.size = data->now.limit = size;
	}
	data->cut_size = data->floor = data->low = data->now.size;
	data->drop_from = DATA_NONE;
	return data;
}

void data_free(struct data *data)
{
	if (!data)
		return;
	image_release(&data->now);
	pthread_mutex_destroy(&data->lock);
	free(data);
}

uint64_t data_size(struct data *data)
{
	pthread_mutex_lock(&data->lock);
	uint64_t size = data->now.size;

	pthread_mutex_unlock(&data->lock);
	return size;
}

bool data_is_dirty(struct data *data)
{
	pthread_mutex_lock(&data->lock);
	bool dirty = data->dirty;

	pthread_mutex_unlock(&data->lock);
	return dirty;
}

static bool image_is_base(const struct image *image)
{
	return !image->count && image->limit == image->size &&
	       image->limit == (image->base ? image->base->size : 0);
}

bool data_is_base(struct data *data, struct cid *base)
{
	pthread_mutex_lock(&data->lock);
	bool is = image_is_base(&data->now);

	if (base)
		*base = is && data->now.base ? data->now.base->cid : (struct cid){ 0 };
	pthread_mutex_unlock(&data->lock);
	return is;
}

uint64_t data_bytes(struct data *data)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&data->lock);
	for (size_t i = 0; i < data->now.count; i++) {
		const struct chunk *chunk = data->now.runs[i].chunk;

		if (!chunk)
			continue;
		bytes += chunk->block ? chunk->block->data.len : 0;
		for (uint32_t k = 0; k < chunk->grain_count; k++)
			bytes += chunk->grains[k] ? chunk->grains[k]->cap : 0;
	}
	pthread_mutex_unlock(&data->lock);
	return bytes;
}

/* Bytes of a chunk that are not a hole. */
static uint64_t chunk_held(const struct data *data, const struct run *run)
{
	uint64_t bytes = 0;

	if (run->chunk->under != UNDER_ZERO)
		return image_chunk_len(&data->now, &data->config, run->first);
	for (uint32_t i = 0; i < run->chunk->grain_count; i++)
		bytes += run->chunk->grains[i] ? run->chunk->grains[i]->len : 0;
	return bytes;
}

uint64_t data_held(struct data *data)
{
	uint64_t chunk = data->config.edit.chunk, bytes;

	pthread_mutex_lock(&data->lock);
	bytes = data->now.limit;
	for (size_t i = 0; i < data->now.count; i++) {
		const struct run *run = &data->now.runs[i];
		uint64_t from = run->first * chunk, end = from + run->count * chunk;

		end = end < data->now.limit ? end : data->now.limit;
		bytes -= from < end ? end - from : 0;
		bytes += run->chunk ? chunk_held(data, run) : 0;
	}
	pthread_mutex_unlock(&data->lock);
	return bytes;
}

/* ---- reading ---- */

static size_t data_within(const struct image *image, uint64_t at, size_t len)
{
	if (at >= image->size)
		return 0;
	return len < image->size - at ? len : (size_t)(image->size - at);
}

static void data_collect(struct data *data, uint64_t at, size_t len, struct pieces *pieces)
{
	pthread_mutex_lock(&data->lock);
	len = data_within(&data->now, at, len);
	pieces_collect(pieces, &data->config, &data->now, at, at + len);
	pthread_mutex_unlock(&data->lock);
}

ssize_t data_read(struct data *data, uint64_t at, void *to, size_t len, struct wait *wait)
{
	int err = -EAGAIN;
	size_t got = 0;

	for (unsigned round = 0; err == -EAGAIN; round++) {
		struct pieces pieces = { 0 };

		if (round == ROUNDS_MAX)
			return -EIO;
		data_collect(data, at, len, &pieces);
		got = pieces.len;
		err = pieces_read(&pieces, to, wait);
		pieces_release(&pieces);
	}
	return err ? err : (ssize_t)got;
}

ssize_t image_read(const struct image *image, const struct data_config *config, uint64_t at,
		   uint8_t *to, size_t len, struct wait *wait)
{
	struct pieces pieces = { .is_snapshot = true };

	len = data_within(image, at, len);
	pieces_collect(&pieces, config, image, at, at + len);
	int err = pieces_read(&pieces, to, wait);

	pieces_release(&pieces);
	return err == -EAGAIN ? -EIO : err ? err : (ssize_t)len;
}

/* The whole range is of the base. */
static int view_base(struct data_view *view, const struct pieces *pieces, struct wait *wait)
{
	struct file *file;
	int err = file_shared_open(pieces->base, wait, &file);

	if (!err)
		err = file_view(file, pieces->at[0].from, pieces->at[0].len, wait, &view->view);
	if (err)
		return err;
	view->base = file_shared_ref(pieces->base);
	view->iov = view->view.iov;
	view->count = view->view.count;
	view->len = view->view.len;
	return 0;
}

static int view_copy(struct data_view *view, const struct pieces *pieces, struct wait *wait)
{
	uint8_t *copy = malloc(pieces->len);

	if (!copy)
		return -ENOMEM;
	int err = pieces_read(pieces, copy, wait);

	if (err) {
		free(copy);
		return err;
	}
	view->copy = copy;
	view->one = (struct iovec){ .iov_base = copy, .iov_len = pieces->len };
	view->iov = &view->one;
	view->count = 1;
	view->len = pieces->len;
	return 0;
}

int data_view(struct data *data, uint64_t at, size_t len, struct wait *wait, struct data_view *view)
{
	int err = -EAGAIN;

	view->iov = NULL;
	view->count = 0;
	view->len = 0;
	view->base = NULL;
	view->copy = NULL;
	len = len < DATA_WRITE_MAX ? len : DATA_WRITE_MAX;
	for (unsigned round = 0; err == -EAGAIN; round++) {
		struct pieces pieces = { 0 };

		if (round == ROUNDS_MAX)
			return -EIO;
		data_collect(data, at, len, &pieces);
		if (pieces.count == 0)
			err = 0;
		else if (pieces.count == 1 && pieces.at[0].kind == PIECE_BASE)
			err = view_base(view, &pieces, wait);
		else
			err = view_copy(view, &pieces, wait);
		pieces_release(&pieces);
	}
	return err;
}

void data_view_release(struct data_view *view)
{
	if (view->base)
		file_view_release(&view->view);
	file_shared_unref(view->base);
	free(view->copy);
	view->base = NULL;
	view->copy = NULL;
	view->count = 0;
	view->len = 0;
}

/* ---- holes ---- */

/* What lies from `at` on, as far as one word tells of it. */
struct stretch {
	enum { STRETCH_DATA, STRETCH_HOLE, STRETCH_BASE } kind;
	uint64_t end;
	struct file_shared *base; /* BASE: one reference */
};

/* In a chunk that is zeros under its grains. */
static void look_at_grains(const struct data *data, const struct chunk *chunk, uint64_t start,
			   uint64_t at, uint64_t end, struct stretch *out)
{
	out->kind = STRETCH_HOLE;
	out->end = end;
	for (uint32_t i = (uint32_t)((at - start) / data->config.grain); i < chunk->grain_count;
	     i++) {
		const struct grain *grain = chunk->grains[i];
		uint64_t from =
			start + (uint64_t)i * data->config.grain + (grain ? grain->from : 0);

		if (!grain || from + grain->len <= at)
			continue;
		if (from <= at)
			*out = (struct stretch){ .kind = STRETCH_DATA, .end = from + grain->len };
		else
			out->end = from;
		return;
	}
}

/* at is below the size. Lock held. */
static void data_look(const struct data *data, uint64_t at, struct stretch *out)
{
	const struct image *image = &data->now;
	uint64_t chunk = data->config.edit.chunk;
	size_t next = image_find(image, (uint32_t)(at / chunk));
	const struct run *run = next < image->count ? &image->runs[next] : NULL;
	uint64_t start = run ? run->first * chunk : image->size;
	uint64_t end = run ? start + run->count * chunk : image->size;

	if (at < start && at < image->limit) {
		*out = (struct stretch){ .kind = STRETCH_BASE,
					 .end = start < image->limit ? start : image->limit,
					 .base = file_shared_ref(image->base) };
	} else if (at < start) {
		*out = (struct stretch){ .kind = STRETCH_HOLE, .end = start };
	} else if (!run->chunk) {
		*out = (struct stretch){ .kind = STRETCH_HOLE, .end = end };
	} else if (run->chunk->under != UNDER_ZERO) {
		*out = (struct stretch){ .kind = STRETCH_DATA, .end = end };
	} else {
		look_at_grains(data, run->chunk, start, at, end, out);
	}
	if (out->end > image->size)
		out->end = image->size;
}

/* Finds holes of a base that has our layout; of any other it is all data. Gives the base back. */
static int look_into_base(const struct data *data, uint64_t at, struct stretch *stretch,
			  struct wait *wait)
{
	struct file_shared *base = stretch->base;
	uint64_t chunk = data->config.edit.chunk, count = 0;
	int fits = file_shared_fits(base, &data->config.edit, wait);
	int err = fits < 0 ? fits : 0;

	stretch->base = NULL;
	stretch->kind = STRETCH_DATA;
	if (fits > 0) {
		struct file_chunks *chunks =
			file_chunks_new(base->blocks, &data->config.edit, &base->cid, base->size);

		err = file_chunks_run(chunks, at / chunk, true, wait, &count);
		if (!err && count)
			stretch->kind = STRETCH_HOLE;
		else if (!err)
			err = file_chunks_run(chunks, at / chunk, false, wait, &count);
		file_chunks_free(chunks);
	}
	file_shared_unref(base);
	if (count && (at / chunk + count) * chunk < stretch->end)
		stretch->end = (at / chunk + count) * chunk;
	/* What cannot be looked at may be data: reading it tells the error. */
	return err == -EINTR ? err : 0;
}

int64_t data_seek(struct data *data, uint64_t at, int whence, struct wait *wait)
{
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	for (bool first = true;; first = false) {
		struct stretch stretch = { 0 };
		int err = 0;

		pthread_mutex_lock(&data->lock);
		bool inside = at < data->now.size;

		if (inside)
			data_look(data, at, &stretch);
		pthread_mutex_unlock(&data->lock);
		/* There is a hole at the end of every file. */
		if (!inside)
			return whence == SEEK_HOLE && !first ? (int64_t)at : -ENXIO;
		if (stretch.kind == STRETCH_BASE)
			err = look_into_base(data, at, &stretch, wait);
		if (err)
			return err;
		if ((stretch.kind == STRETCH_DATA) == (whence == SEEK_DATA))
			return (int64_t)at;
		at = stretch.end;
	}
}
