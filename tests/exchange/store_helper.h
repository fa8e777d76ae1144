/* Blocks and scratch stores for the tests of exchange. */
#ifndef TESTS_EXCHANGE_STORE_HELPER_H
#define TESTS_EXCHANGE_STORE_HELPER_H

#include "exchange/store/store.h"
#include "net/base/alloc.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Bytes that follow from number and len alone: any process can tell what a block must hold. */
static inline struct block *numbered(uint64_t number, size_t len)
{
	struct buf data = { 0 };
	uint64_t word = number * 0x9e3779b97f4a7c15u + len;
	struct cid cid;

	buf_reserve(&data, len + 8);
	while (data.len < len) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		buf_add_le64(&data, word);
	}
	data.len = len;
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, buf_bytes(&data)), 0);
	return block_take(&cid, &data);
}

/* One directory per process; its name is made from the process id. */
static inline const char *scratch_dir(char out[static 64])
{
	snprintf(out, 64, "/tmp/dagfs-test-store.%d", (int)getpid());
	return out;
}

static inline int scratch_unlink(const char *path, const struct stat *stat, int type,
				 struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_remove(void)
{
	char dir[64];

	nftw(scratch_dir(dir), scratch_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct store *scratch_store(const struct store_config *config)
{
	struct store *store;
	char dir[64];

	assert_int_equal(store_open_lmdb(scratch_dir(dir), config, &store), 0);
	return store;
}

static inline void nap_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

#endif
