/* What tests of dag share: a local store, a far one behind a fetcher that counts round trips,
 * blocks made by hand, and a reader of CARs. */
#ifndef TESTS_DAG_FAKE_H
#define TESTS_DAG_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "net/wire/varint.h"
#include "tests/vector.h"

#include <pthread.h>
#include <unistd.h>

#define FAKE_ASKED_MAX 8192

/* Prefetched blocks are under way until somebody waits: then all of them arrive, in one round trip.
 */
struct fake {
	struct fetcher fetcher;
	struct store *local, *far;
	struct blocks *blocks;
	struct wait wait;
	pthread_mutex_t lock; /* guards what follows: many threads may fetch */
	bool forgets;	      /* what arrives is handed out, but does not reach the local store */
	struct store
		*queue;	  /* if set, what arrives stays there: who fetches it pays no round trip */
	unsigned trip_ms; /* how long one takes */
	unsigned trips;	  /* waits */
	unsigned asked;	  /* CIDs prefetched that were not stored */
	struct cid under_way[FAKE_ASKED_MAX];
	size_t under_way_count;
};

static inline void *fake_open(struct fetcher *fetcher)
{
	return fetcher;
}

static inline void fake_close(struct fetcher *fetcher, void *session)
{
	(void)fetcher;
	(void)session;
}

static inline void fake_arrive(struct fake *fake, const struct cid *cid)
{
	struct block *block;

	if (fake->forgets || store_get(fake->far, cid, &block))
		return;
	assert_int_equal(store_put(fake->queue ? fake->queue : fake->local, block,
				   STORE_VERIFY | STORE_WAIT, NULL, NULL),
			 0);
	block_unref(block);
}

static inline int fake_fetch(struct fetcher *fetcher, void *session, const struct cid *cid,
			     struct wait *wait, struct block **out)
{
	struct fake *fake = container_of(fetcher, struct fake, fetcher);
	int err = wait_check(wait);

	(void)session;
	if (err)
		return err;
	if (fake->queue && store_get(fake->queue, cid, out) == 0)
		return 0;
	if (fake->trip_ms)
		usleep(fake->trip_ms * 1000);
	pthread_mutex_lock(&fake->lock);
	fake->trips++;
	while (fake->under_way_count)
		fake_arrive(fake, &fake->under_way[--fake->under_way_count]);
	fake_arrive(fake, cid);
	pthread_mutex_unlock(&fake->lock);
	return store_get(fake->far, cid, out) ? -ETIMEDOUT : 0;
}

static inline void fake_prefetch(struct fetcher *fetcher, void *session, const struct cid *cids,
				 size_t count)
{
	struct fake *fake = container_of(fetcher, struct fake, fetcher);

	(void)session;
	assert_true(count <= EXCHANGE_PREFETCH_MAX);
	pthread_mutex_lock(&fake->lock);
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t k = 0; k < fake->under_way_count; k++)
			known |= cid_equal(&fake->under_way[k], &cids[i]);
		if (known)
			continue;
		assert_true(fake->under_way_count < FAKE_ASKED_MAX);
		fake->under_way[fake->under_way_count++] = cids[i];
		fake->asked++;
	}
	pthread_mutex_unlock(&fake->lock);
}

static inline void fake_have(struct fetcher *fetcher, const struct cid *cids, size_t count)
{
	(void)fetcher;
	(void)cids;
	(void)count;
}

static inline void fake_nothing(struct fetcher *fetcher)
{
	(void)fetcher;
}

static const struct fetcher_ops fake_ops = {
	.open = fake_open,
	.close = fake_close,
	.fetch = fake_fetch,
	.prefetch = fake_prefetch,
	.have = fake_have,
	.free = fake_nothing,
};

static inline struct fake *fake_new(void)
{
	struct fake *fake = xnew(struct fake);

	fake->fetcher.ops = &fake_ops;
	pthread_mutex_init(&fake->lock, NULL);
	fake->local = store_new_memory();
	fake->far = store_new_memory();
	fake->blocks = blocks_new(fake->local, &fake->fetcher);
	assert_int_equal(wait_init(&fake->wait), 0);
	wait_start(&fake->wait, 0);
	return fake;
}

static inline void fake_free(struct fake *fake)
{
	blocks_free(fake->blocks);
	store_close(fake->local);
	store_close(fake->far);
	if (fake->queue)
		store_close(fake->queue);
	wait_release(&fake->wait);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}

/* What opens later gets nothing from the far store. */
static inline void fake_go_offline(struct fake *fake)
{
	blocks_free(fake->blocks);
	fake->blocks = blocks_new(fake->local, NULL);
}

/* A block of the far store. */
static inline struct cid fake_put(struct fake *fake, uint64_t codec, struct bytes data)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, codec, HASH_SHA2_256, data), 0);
	struct block *block = block_copy(&cid, data);

	assert_int_equal(store_put(fake->far, block, STORE_VERIFY | STORE_WAIT, NULL, NULL), 0);
	block_unref(block);
	return cid;
}

struct fake_child {
	struct cid cid;
	const char *name;
	uint64_t size;
};

/* A dag-pb block with these children; data is its UnixFS message (released). */
static inline struct cid fake_node(struct fake *fake, const struct fake_child *children,
				   size_t count, struct unixfs *unixfs)
{
	struct buf data = { 0 }, node = { 0 };

	for (size_t i = 0; i < count; i++)
		dagpb_put_link(&node, cid_bytes(&children[i].cid),
			       bytes_str(children[i].name ? children[i].name : ""),
			       children[i].size);
	unixfs_encode(&data, unixfs);
	dagpb_put_data(&node, buf_bytes(&data));
	struct cid cid = fake_put(fake, CODEC_DAG_PB, buf_bytes(&node));

	buf_release(&data);
	buf_release(&node);
	return cid;
}

/* A file node: own bytes, then children of the sizes they tell. */
static inline struct cid fake_file(struct fake *fake, struct bytes own,
				   const struct fake_child *children, size_t count)
{
	struct unixfs unixfs = { .type = UNIXFS_FILE, .has_data = own.len > 0, .data = own };

	unixfs.blocksizes = xcalloc(count ? count : 1, sizeof(*unixfs.blocksizes));
	unixfs.blocksize_count = count;
	unixfs.has_filesize = true;
	unixfs.filesize = own.len;
	for (size_t i = 0; i < count; i++) {
		unixfs.blocksizes[i] = children[i].size;
		unixfs.filesize += children[i].size;
	}
	struct cid cid = fake_node(fake, children, count, &unixfs);

	unixfs_release(&unixfs);
	return cid;
}

static inline struct cid fake_dir(struct fake *fake, const struct fake_child *children,
				  size_t count)
{
	struct unixfs unixfs = { .type = UNIXFS_DIRECTORY };

	return fake_node(fake, children, count, &unixfs);
}

/* Bytes that differ everywhere. */
static inline void fake_fill(uint8_t *at, size_t len, uint64_t from)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (from + i) * 0x9e3779b97f4a7c15u;

		at[i] = (uint8_t)(x >> 56);
	}
}

/* All blocks of a CARv1 into the far store; the first root. */
static inline struct cid fake_load_car(struct fake *fake, const char *name)
{
	struct buf file = { 0 };
	struct cid root = { 0 };

	vector_load(&file, name);
	struct cursor c = cursor_over(buf_bytes(&file));
	struct bytes header = cursor_take(&c, (size_t)cursor_uvarint(&c));

	for (size_t i = 0; i + 4 < header.len && !cid_is_set(&root); i++)
		if (header.at[i] == 0xd8 && header.at[i + 1] == 0x2a && header.at[i + 2] == 0x58)
			assert_true(cid_decode(&root, bytes_skip(header, i + 5)) > 0);
	while (cursor_left(&c)) {
		struct bytes section = cursor_take(&c, (size_t)cursor_uvarint(&c));
		struct cid cid;
		ssize_t used = cid_decode(&cid, section);

		assert_true(used > 0);
		if (cid_is_identity(&cid))
			continue;
		struct block *block = block_copy(&cid, bytes_skip(section, (size_t)used));

		assert_int_equal(store_put(fake->far, block, STORE_VERIFY | STORE_WAIT, NULL, NULL),
				 0);
		block_unref(block);
	}
	assert_false(c.bad);
	buf_release(&file);
	return root;
}

#endif
