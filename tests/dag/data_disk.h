/* What a working tree keeps on disk of one file, written and loaded by the rules of dag/tree/data.h
 * and nothing else. For tests. */
#ifndef TESTS_DAG_DATA_DISK_H
#define TESTS_DAG_DATA_DISK_H

#include "dag/tree/data.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISK_GENERATIONS 256
#define DISK_CHUNKS 64
#define DISK_GRAINS 2048

struct disk_leaf {
	bool set;
	uint32_t count;
	struct cid cid; /* not set: zeros */
	uint32_t len;
};

struct disk_span {
	uint32_t from, len; /* len 0: none */
	uint8_t *bytes;
};

struct disk_generation {
	uint64_t number; /* 0: not used */
	uint64_t size, floor;
	struct disk_leaf leaves[DISK_CHUNKS];
	struct disk_span spans[DISK_GRAINS];
};

struct disk {
	struct data_config config;
	pthread_mutex_t lock; /* load() comes from any thread */
	struct cid base;      /* not set: none */
	uint64_t base_size;
	struct disk_generation *generations[DISK_GENERATIONS]; /* oldest first */
	size_t count;
};

static inline void disk_span_set(struct disk_span *span, uint32_t from, struct bytes bytes)
{
	free(span->bytes);
	span->bytes = NULL;
	span->from = from;
	span->len = (uint32_t)bytes.len;
	if (bytes.len) {
		span->bytes = xcalloc(1, bytes.len);
		memcpy(span->bytes, bytes.at, bytes.len);
	}
}

static inline void disk_generation_free(struct disk_generation *generation)
{
	for (size_t i = 0; i < DISK_GRAINS; i++)
		free(generation->spans[i].bytes);
	free(generation);
}

static inline struct disk_generation *disk_find(struct disk *disk, uint64_t number)
{
	for (size_t i = 0; i < disk->count; i++)
		if (disk->generations[i]->number == number)
			return disk->generations[i];
	return NULL;
}

static inline int disk_load_bytes(void *ctx, uint64_t number, uint32_t grain, uint32_t from,
				  uint8_t *at, size_t len)
{
	struct disk *disk = ctx;
	int err = -ENOENT;

	pthread_mutex_lock(&disk->lock);
	struct disk_generation *generation = disk_find(disk, number);
	struct disk_span *span = generation ? &generation->spans[grain] : NULL;

	if (span && span->len && from >= span->from && from + len <= span->from + span->len) {
		memcpy(at, span->bytes + (from - span->from), len);
		err = 0;
	}
	pthread_mutex_unlock(&disk->lock);
	return err;
}

static inline void disk_init(struct disk *disk, const struct data_config *config)
{
	*disk = (struct disk){ .config = *config };
	disk->config.load = disk_load_bytes;
	disk->config.ctx = disk;
	pthread_mutex_init(&disk->lock, NULL);
}

static inline void disk_release(struct disk *disk)
{
	while (disk->count)
		disk_generation_free(disk->generations[--disk->count]);
	pthread_mutex_destroy(&disk->lock);
}

/* A commit: generations up to this one go. */
static inline void disk_commit(struct disk *disk, uint64_t number, const struct cid *base,
			       uint64_t size)
{
	size_t kept = 0;

	pthread_mutex_lock(&disk->lock);
	for (size_t i = 0; i < disk->count; i++) {
		if (disk->generations[i]->number > number)
			disk->generations[kept++] = disk->generations[i];
		else
			disk_generation_free(disk->generations[i]);
	}
	disk->count = kept;
	disk->base = *base;
	disk->base_size = size;
	pthread_mutex_unlock(&disk->lock);
}

static inline void disk_drop_from(struct disk *disk, struct disk_generation *generation,
				  uint64_t from)
{
	uint64_t chunk = disk->config.edit.chunk, grain = disk->config.grain;

	for (uint64_t i = 0; i < DISK_CHUNKS; i++) {
		struct disk_leaf *leaf = &generation->leaves[i];

		if (i * chunk >= from)
			leaf->set = false;
		else if (i * chunk + leaf->len > from)
			leaf->len = (uint32_t)(from - i * chunk);
	}
	for (uint64_t i = 0; i < DISK_GRAINS; i++) {
		struct disk_span *span = &generation->spans[i];
		uint64_t start = i * grain + span->from;

		if (!span->len || start + span->len <= from)
			continue;
		if (i * grain >= from || start >= from)
			disk_span_set(span, 0, bytes_of(NULL, 0));
		else
			span->len = (uint32_t)(from - start);
	}
}

static inline void disk_put(struct disk *disk, struct disk_generation *generation,
			    const struct data_item *item)
{
	uint32_t per_chunk = disk->config.edit.chunk / disk->config.grain;

	if (item->kind == DATA_SPAN) {
		disk_span_set(&generation->spans[item->at], item->from, item->bytes);
		return;
	}
	for (uint32_t i = item->at; i < item->at + item->count; i++) {
		generation->leaves[i].set = false;
		for (uint32_t k = 0; k < per_chunk; k++)
			disk_span_set(&generation->spans[i * per_chunk + k], 0, bytes_of(NULL, 0));
	}
	generation->leaves[item->at] = (struct disk_leaf){ .set = true, .count = item->count };
	if (item->kind == DATA_LEAF) {
		generation->leaves[item->at].cid = item->cid;
		generation->leaves[item->at].len = item->len;
	}
}

static inline void disk_write(struct disk *disk, const struct data_cut *cut)
{
	pthread_mutex_lock(&disk->lock);
	struct disk_generation *generation = disk_find(disk, cut->generation);

	if (!generation) {
		assert_true(disk->count < DISK_GENERATIONS);
		generation = xnew(struct disk_generation);
		generation->number = cut->generation;
		disk->generations[disk->count++] = generation;
	}
	generation->size = cut->size;
	generation->floor = cut->floor;
	if (cut->drop_from != UINT64_MAX)
		disk_drop_from(disk, generation, cut->drop_from);
	for (size_t i = 0; i < cut->count; i++)
		disk_put(disk, generation, &cut->items[i]);
	pthread_mutex_unlock(&disk->lock);
}

/* The file as it was last cut. */
static inline struct data *disk_open(struct disk *disk)
{
	struct data *data = data_new(&disk->config, cid_is_set(&disk->base) ? &disk->base : NULL,
				     disk->base_size);

	for (size_t i = 0; i < disk->count; i++) {
		struct disk_generation *from = disk->generations[i];

		assert_int_equal(data_load_size(data, from->number, from->floor, from->size), 0);
		for (uint32_t k = 0; k < DISK_CHUNKS; k++) {
			struct disk_leaf *leaf = &from->leaves[k];
			bool zeros = !cid_is_set(&leaf->cid);

			if (leaf->set)
				assert_int_equal(data_load_leaf(data, k, leaf->count,
								zeros ? NULL : &leaf->cid,
								leaf->len),
						 0);
		}
		for (uint32_t k = 0; k < DISK_GRAINS; k++)
			if (from->spans[k].len)
				assert_int_equal(data_load_span(data, from->number, k,
								from->spans[k].from,
								from->spans[k].len),
						 0);
	}
	return data;
}

#endif
