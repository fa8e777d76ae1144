/* Long churn of the block store: fill a quota, then put 20 times as much through it, with blocks of
 * mixed size, reading on the way; latency of put and get at the end against the beginning.
 *
 *	churn DIR [QUOTA_MIB [TIMES]]
 *
 * Prints one line a lap, and at last the ratios. DIR must not exist; it is left behind. */
#include "exchange/store/store.h"
#include "net/base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GETS 4000
#define MIB ((uint64_t)1 << 20)

struct lap {
	double put_us, get_us; /* of a block, median of the groups */
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* 100 bytes to 1 MiB, small ones more often: the same for each number. */
static size_t size_of(uint64_t number)
{
	uint64_t mixed = number * 0x9e3779b97f4a7c15u;

	return 100 + (size_t)((mixed >> 20) % (1u << (8 + (mixed >> 60) % 13)));
}

static struct block *make(uint64_t number)
{
	size_t len = size_of(number);
	uint64_t word = number + 1;
	struct buf data = { 0 };
	struct cid cid;

	buf_reserve(&data, len + 8);
	while (data.len < len) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		buf_add_le64(&data, word);
	}
	data.len = len;
	if (cid_of_data(&cid, 1, CODEC_RAW, HASH_BLAKE3, buf_bytes(&data)) &&
	    cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, buf_bytes(&data)))
		exit(1);
	return block_take(&cid, &data);
}

static int by_value(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Puts blocks until so many bytes are in; groups of 64 are timed, with a sync each. */
static double put_bytes(struct store *store, uint64_t *number, uint64_t bytes)
{
	double *times = xcalloc(1 << 16, sizeof *times), median;
	size_t groups = 0;

	for (uint64_t done = 0; done < bytes && groups < 1 << 16;) {
		struct block *blocks[64];

		for (unsigned i = 0; i < 64; i++) {
			blocks[i] = make((*number)++);
			done += blocks[i]->data.len;
		}
		double start = now_us();

		for (unsigned i = 0; i < 64; i++)
			if (store_put(store, blocks[i], STORE_WAIT, NULL, NULL))
				exit(1);
		if (store_sync(store))
			exit(1);
		times[groups++] = (now_us() - start) / 64;
		for (unsigned i = 0; i < 64; i++)
			block_unref(blocks[i]);
	}
	qsort(times, groups, sizeof *times, by_value);
	median = times[groups / 2];
	free(times);
	return median;
}

/* Gets of the newest blocks, the median. */
static double get_some(struct store *store, uint64_t number)
{
	static double times[GETS];

	for (unsigned i = 0; i < GETS; i++) {
		struct block *block = make(number - 1 - i * 7919u % 500);
		struct store_read read;
		struct bytes data;
		double start = now_us();

		if (store_read_begin(store, &read))
			exit(1);
		store_read_get(&read, cid_hash_bytes(&block->cid), &data);
		store_read_end(&read);
		times[i] = now_us() - start;
		block_unref(block);
	}
	qsort(times, GETS, sizeof *times, by_value);
	return times[GETS / 2];
}

int main(int argc, char **argv)
{
	struct store_config config = { .quota_bytes = 512 * MIB };
	unsigned times = argc > 3 ? (unsigned)atoi(argv[3]) : 20;
	struct lap first = { 0 }, lap = { 0 };
	uint64_t number = 0;
	struct store *store;

	if (argc > 2)
		config.quota_bytes = strtoull(argv[2], NULL, 10) * MIB;
	if (argc < 2 || store_open_lmdb(argv[1], &config, &store)) {
		fprintf(stderr, "usage: churn DIR [QUOTA_MIB [TIMES]]\n");
		return 2;
	}
	for (unsigned i = 0; i <= times; i++) {
		struct store_stat stat;

		lap.put_us = put_bytes(store, &number, config.quota_bytes);
		lap.get_us = get_some(store, number);
		store_stat(store, &stat);
		if (!i)
			first = lap;
		printf("lap %2u: put %.1f us, get %.2f us, on disk %llu MiB of %llu\n", i,
		       lap.put_us, lap.get_us, (unsigned long long)(stat.cache_disk_bytes / MIB),
		       (unsigned long long)(config.quota_bytes / MIB));
		fflush(stdout);
	}
	printf("last to first: put %.2f, get %.2f\n", lap.put_us / first.put_us,
	       lap.get_us / first.get_us);
	store_close(store);
	return 0;
}
