/* What tests of the mount share: a tree mounted for real on a directory of the test's own, over
 * stores in memory. What is only in `far` comes through a fetcher, as slowly as the test wants.
 * Needs /dev/fuse, and root or fusermount3. */
#ifndef TESTS_FS_MOUNTED_H
#define TESTS_FS_MOUNTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dag/dag.h"
#include "fs/mount.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNDER_WAY_MAX 8192

/* Prefetched blocks are under way until somebody waits: then all of them arrive, in one round trip.
 */
struct far {
	struct fetcher fetcher;
	struct store *local, *store;
	pthread_mutex_t lock;
	atomic_bool silent;			  /* never answers */
	atomic_uint trips, waits, waiting, asked; /* waits: begun; waiting: of those */
	struct cid waited_first;
	struct cid under_way[UNDER_WAY_MAX];
	size_t under_way_count;
};

struct mounted {
	char dir[32], point[48];
	struct store *local;
	struct far *far;
	struct blocks *blocks, *far_blocks;
	struct wait wait;
	const char *options;
	struct mount *mount;
	atomic_uint ended, detached;
};

static inline void *far_open(struct fetcher *fetcher)
{
	return fetcher;
}

static inline void far_close(struct fetcher *fetcher, void *session)
{
	(void)fetcher;
	(void)session;
}

static inline void far_arrive(struct far *far, const struct cid *cid)
{
	struct block *block;

	if (store_get(far->store, cid, &block))
		return;
	assert_int_equal(store_put(far->local, block, STORE_VERIFY, NULL, NULL), 0);
	block_unref(block);
}

static inline int far_fetch(struct fetcher *fetcher, void *session, const struct cid *cid,
			    struct wait *wait, struct block **out)
{
	struct far *far = container_of(fetcher, struct far, fetcher);
	int err = wait_check(wait);

	(void)session;
	pthread_mutex_lock(&far->lock);
	if (!far->waits)
		far->waited_first = *cid;
	far->waits++;
	pthread_mutex_unlock(&far->lock);
	atomic_fetch_add(&far->waiting, 1);
	while (!err && atomic_load(&far->silent))
		err = wait_sleep(wait);
	atomic_fetch_sub(&far->waiting, 1);
	if (err)
		return err;
	if (!store_get(far->local, cid, out))
		return 0; /* arrived meanwhile */
	atomic_fetch_add(&far->trips, 1);
	pthread_mutex_lock(&far->lock);
	while (far->under_way_count)
		far_arrive(far, &far->under_way[--far->under_way_count]);
	far_arrive(far, cid);
	pthread_mutex_unlock(&far->lock);
	return store_get(far->store, cid, out) ? -EHOSTUNREACH : 0;
}

static inline void far_prefetch(struct fetcher *fetcher, void *session, const struct cid *cids,
				size_t count)
{
	struct far *far = container_of(fetcher, struct far, fetcher);

	(void)session;
	pthread_mutex_lock(&far->lock);
	for (size_t i = 0; i < count && far->under_way_count < UNDER_WAY_MAX; i++)
		far->under_way[far->under_way_count++] = cids[i];
	pthread_mutex_unlock(&far->lock);
	atomic_fetch_add(&far->asked, (unsigned)count);
}

static inline void far_have(struct fetcher *fetcher, const struct cid *cids, size_t count)
{
	(void)fetcher;
	(void)cids;
	(void)count;
}

static inline void far_nothing(struct fetcher *fetcher)
{
	(void)fetcher;
}

static const struct fetcher_ops far_ops = {
	.open = far_open,
	.close = far_close,
	.fetch = far_fetch,
	.prefetch = far_prefetch,
	.have = far_have,
	.free = far_nothing,
};

static inline int mounted_setup(void **state)
{
	struct mounted *m = xnew(struct mounted);

	m->far = xnew(struct far);
	m->far->fetcher.ops = &far_ops;
	pthread_mutex_init(&m->far->lock, NULL);
	m->local = m->far->local = store_new_memory();
	m->far->store = store_new_memory();
	m->blocks = blocks_new(m->local, NULL);
	m->far_blocks = blocks_new(m->far->store, NULL);
	assert_int_equal(wait_init(&m->wait), 0);
	wait_start(&m->wait, 0);
	strcpy(m->dir, "/tmp/dagfs-mount-XXXXXX");
	assert_non_null(mkdtemp(m->dir));
	snprintf(m->point, sizeof m->point, "%s/mnt", m->dir);
	assert_int_equal(mkdir(m->point, 0755), 0);
	*state = m;
	return 0;
}

static inline void mounted_stop(struct mounted *m, bool force)
{
	if (m->mount)
		assert_int_equal(mount_stop(m->mount, force), 0);
	m->mount = NULL;
}

static inline int mounted_teardown(void **state)
{
	struct mounted *m = *state;

	mounted_stop(m, true);
	rmdir(m->point);
	rmdir(m->dir);
	blocks_free(m->blocks);
	blocks_free(m->far_blocks);
	wait_release(&m->wait);
	store_close(m->local);
	store_close(m->far->store);
	pthread_mutex_destroy(&m->far->lock);
	free(m->far);
	free(m);
	return 0;
}

static inline void mounted_end(void *ctx)
{
	struct mounted *m = ctx;

	atomic_fetch_add(&m->ended, 1);
}

static inline void mounted_detached(void *ctx)
{
	struct mounted *m = ctx;

	atomic_fetch_add(&m->detached, 1);
}

/* root NULL: the namespace. */
static inline void mounted_start(struct mounted *m, const struct cid *root, uint64_t timeout_ms,
				 bool offline)
{
	struct mount_config config = { .mountpoint = m->point,
				       .source = "test",
				       .timeout_ms = timeout_ms,
				       .offline = offline,
				       .options = m->options,
				       .on_detached = mounted_detached };
	char *why = NULL;

	if (root)
		config.root = *root;
	int err = mount_start(&config, m->local, &m->far->fetcher, NULL, mounted_end, m, &m->mount,
			      &why);

	if (err)
		fail_msg("mount: %s (%s)", why, err_text(err));
}

/* ---- trees by hand ---- */

struct child {
	const char *name;
	struct cid cid;
};

static inline struct cid put(struct blocks *blocks, uint64_t codec, struct bytes data)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, codec, HASH_SHA2_256, data), 0);
	struct block *block = block_copy(&cid, data);

	assert_int_equal(blocks_put(blocks, block), 0);
	block_unref(block);
	return cid;
}

static inline struct cid put_text(struct blocks *blocks, const char *text)
{
	return put(blocks, CODEC_RAW, bytes_str(text));
}

static inline struct cid put_unixfs(struct blocks *blocks, const struct child *children,
				    size_t count, struct unixfs *unixfs)
{
	struct buf data = { 0 }, node = { 0 };

	for (size_t i = 0; i < count; i++)
		dagpb_put_link(&node, cid_bytes(&children[i].cid), bytes_str(children[i].name), 1);
	unixfs_encode(&data, unixfs);
	dagpb_put_data(&node, buf_bytes(&data));
	struct cid cid = put(blocks, CODEC_DAG_PB, buf_bytes(&node));

	buf_release(&data);
	buf_release(&node);
	return cid;
}

static inline struct cid put_dir(struct blocks *blocks, const struct child *children, size_t count)
{
	struct unixfs unixfs = { .type = UNIXFS_DIRECTORY };

	return put_unixfs(blocks, children, count, &unixfs);
}

/* A file of `leaves` raw leaves of leaf_len bytes; byte i is filled by its place. */
static inline struct cid put_file(struct blocks *blocks, size_t leaves, size_t leaf_len)
{
	struct child *children = xcalloc(leaves, sizeof *children);
	struct unixfs unixfs = { .type = UNIXFS_FILE,
				 .has_filesize = true,
				 .filesize = leaves * leaf_len };
	uint8_t *leaf = xcalloc(1, leaf_len);

	unixfs.blocksizes = xcalloc(leaves, sizeof *unixfs.blocksizes);
	unixfs.blocksize_count = leaves;
	for (size_t i = 0; i < leaves; i++) {
		for (size_t k = 0; k < leaf_len; k++)
			leaf[k] = (uint8_t)((i * leaf_len + k) * 0x9e3779b97f4a7c15u >> 56);
		children[i] =
			(struct child){ "", put(blocks, CODEC_RAW, bytes_of(leaf, leaf_len)) };
		unixfs.blocksizes[i] = leaf_len;
	}
	struct cid cid = put_unixfs(blocks, children, leaves, &unixfs);

	unixfs_release(&unixfs);
	free(children);
	free(leaf);
	return cid;
}

/* ---- looking at it ---- */

#define IN_MAX 1024 /* bytes of a path */

static inline const char *in(const struct mounted *m, const char *name, char out[static IN_MAX])
{
	snprintf(out, IN_MAX, "%s/%s", m->point, name);
	return out;
}

#define IN(m, name) in(m, name, (char[IN_MAX]){ 0 })

/* 0, or the errno of a stat(). */
static inline int stat_errno(const struct mounted *m, const char *name)
{
	struct stat st;

	return lstat(IN(m, name), &st) ? errno : 0;
}

/* The bytes of a small file, or the errno as text "errno 5". */
static inline void assert_text(const struct mounted *m, const char *name, const char *want)
{
	char got[256] = { 0 };
	int fd = open(IN(m, name), O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, got, sizeof got - 1);

	if (len < 0)
		fail_msg("%s: %s", name, strerror(errno));
	close(fd);
	assert_string_equal(got, want);
}

static inline uint8_t file_byte(uint64_t at)
{
	return (uint8_t)(at * 0x9e3779b97f4a7c15u >> 56);
}

#endif
