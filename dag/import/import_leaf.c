/* Buffers for leaves, which go round between reader, hashing threads and store, with room in
 * front and behind for the protobuf that wraps a leaf. Any thread may give one back. */
/* A wrapped leaf:  0a <node data len>  08 <type>  [12 <len> bytes]  18 <len>  [mode, mtime]
 *                  `------------- before the bytes -----------'     `---- behind ----' */
#include "dag/import/import_leaf.h"

#include "dag/unixfs.h"
#include "net/base/alloc.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 64 /* before and behind; also the alignment */
#define TYPE_LEN 2

struct leaf_pool {
	pthread_mutex_t lock;
	size_t cap;
	size_t refs; /* its owner and every large leaf that is out */
	struct leaf *spare;
	unsigned spare_count;
	bool closed;
};

struct leaf_pool *leaf_pool_new(size_t cap)
{
	struct leaf_pool *pool = xnew(struct leaf_pool);

	pthread_mutex_init(&pool->lock, NULL);
	pool->cap = cap;
	pool->refs = 1;
	return pool;
}

/* Called with the lock held; gives it up. */
static void unref(struct leaf_pool *pool)
{
	bool last = --pool->refs == 0;

	pthread_mutex_unlock(&pool->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void leaf_pool_free(struct leaf_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	while (pool->spare) {
		struct leaf *leaf = pool->spare;

		pool->spare = leaf->next;
		free(leaf);
	}
	pool->closed = true;
	unref(pool);
}

/* At most CHUNK_MAX and a little: our own size. */
static struct leaf *new_leaf(size_t cap)
{
	size_t head = (sizeof(struct leaf) + ROOM - 1) / ROOM * ROOM + ROOM;
	size_t size = (head + cap + ROOM + ROOM - 1) / ROOM * ROOM;
	struct leaf *leaf = aligned_alloc(ROOM, size);

	if (!leaf)
		out_of_memory();
	*leaf = (struct leaf){ .at = (uint8_t *)leaf + head, .cap = cap };
	return leaf;
}

struct leaf *leaf_take(struct leaf_pool *pool, size_t want)
{
	struct leaf *leaf;

	assert(want <= pool->cap);
	if (want <= pool->cap / 2)
		return new_leaf(want);
	pthread_mutex_lock(&pool->lock);
	leaf = pool->spare;
	if (leaf) {
		pool->spare = leaf->next;
		pool->spare_count--;
	}
	pool->refs++;
	pthread_mutex_unlock(&pool->lock);
	if (!leaf)
		leaf = new_leaf(pool->cap);
	leaf->pool = pool;
	leaf->len = 0;
	return leaf;
}

void leaf_drop(struct leaf *leaf)
{
	if (!leaf)
		return;

	struct leaf_pool *pool = leaf->pool;

	if (!pool) {
		free(leaf);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	if (!pool->closed && pool->spare_count < LEAF_POOL_BYTES_MAX / pool->cap) {
		leaf->next = pool->spare;
		pool->spare = leaf;
		pool->spare_count++;
	} else {
		free(leaf);
	}
	unref(pool);
}

/* Protobuf tag and length; returns bytes written (at most 6). */
static size_t put_head(uint8_t *out, uint8_t tag, size_t len)
{
	size_t at = 0;

	out[at++] = tag;
	while (len >= 0x80) {
		out[at++] = (uint8_t)(len | 0x80);
		len >>= 7;
	}
	out[at++] = (uint8_t)len;
	return at;
}

struct bytes leaf_wrap(struct leaf *leaf, unsigned type, const struct attributes *attributes)
{
	struct unixfs unixfs = { .type = (enum unixfs_type)type,
				 .has_filesize = true,
				 .filesize = leaf->len };
	struct buf around = { 0 }; /* everything but the bytes: the type first */
	uint8_t head[ROOM], data_head[8];
	size_t head_len, data_head_len = 0, tail_len;

	if (attributes) {
		unixfs.mode = attributes->mode;
		unixfs.has_mtime = attributes->has_mtime;
		unixfs.mtime = attributes->mtime;
		unixfs.mtime_nanos = attributes->mtime_nanos;
	}
	unixfs_encode(&around, &unixfs);
	tail_len = around.len - TYPE_LEN;
	assert(tail_len <= ROOM);
	if (leaf->len > 0)
		data_head_len = put_head(data_head, 0x12, leaf->len);
	head_len = put_head(head, 0x0a, around.len + data_head_len + leaf->len);
	memcpy(head + head_len, around.at, TYPE_LEN);
	head_len += TYPE_LEN;
	memcpy(head + head_len, data_head, data_head_len);
	head_len += data_head_len;
	memcpy(leaf->at - head_len, head, head_len);
	memcpy(leaf->at + leaf->len, around.at + TYPE_LEN, tail_len);
	buf_release(&around);
	return bytes_of(leaf->at - head_len, head_len + leaf->len + tail_len);
}

static void release_block(struct block *block)
{
	leaf_drop(block->owner);
}

struct block *leaf_block(struct leaf *leaf, const struct cid *cid, struct bytes data)
{
	return block_slice(cid, data, leaf, release_block);
}
