/* Gives the free pages of a generation back to the disk, as holes in its file, where there is no
 * room to copy what stays. LMDB never reads a free page, and writes one whole when it takes it
 * again. A page is free for everybody when no snapshot that is open, and neither of the two that
 * a power cut can lead back to, is older than the transaction that freed it. The sweeping
 * thread. */
#include "exchange/store/store_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FREE_TABLE                                                                                 \
	0 /* LMDB's own: number of a transaction -> how many pages it freed, their numbers         \
	     descending */
#define SNAPSHOTS_ON_DISK 2
#define FIRST_PAGES 2

struct punch {
	struct gen *gen;
	int fd;
	uint64_t page_bytes, last_page;
	uint64_t oldest; /* open snapshot, or on disk */
};

/* A line of mdb_reader_list(): process, thread, number of the snapshot. */
static int see_reader(const char *line, void *ctx)
{
	struct punch *punch = ctx;
	unsigned long long number;

	if (sscanf(line, "%*d %*x %llu", &number) == 1 && number < punch->oldest)
		punch->oldest = number;
	return 0;
}

/* A run of pages; an LMDB code. */
static int punch_run(const struct punch *punch, uint64_t first, uint64_t end)
{
	const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (first < FIRST_PAGES || end > punch->last_page + 1)
		return MDB_CORRUPTED;
	return fallocate(punch->fd, how, (off_t)(first * punch->page_bytes),
			 (off_t)((end - first) * punch->page_bytes))
		       ? errno
		       : 0;
}

static int punch_pages(const struct punch *punch, const MDB_val *list)
{
	size_t count, page, most = list->mv_size / sizeof count;
	uint64_t first = 0, end = 0;
	int rc = 0;

	if (!most)
		return 0;
	memcpy(&count, list->mv_data, sizeof count);
	if (count >= most)
		return MDB_CORRUPTED;
	for (size_t i = 1; i <= count && !rc; i++) {
		memcpy(&page, (const uint8_t *)list->mv_data + i * sizeof page, sizeof page);
		if (page + 1 != first || !end) {
			rc = end ? punch_run(punch, first, end) : 0;
			end = (uint64_t)page + 1;
		}
		first = page;
	}
	return rc || !end ? rc : punch_run(punch, first, end);
}

/* Nobody writes meanwhile. An LMDB code. */
static int punch_free(const struct punch *punch, MDB_txn *reading)
{
	MDB_cursor *cursor;
	MDB_val key, list;
	int rc = mdb_cursor_open(reading, FREE_TABLE, &cursor);

	if (rc)
		return rc;
	while (!rc && !(rc = mdb_cursor_get(cursor, &key, &list, MDB_NEXT))) {
		size_t number;

		if (key.mv_size != sizeof number)
			rc = MDB_CORRUPTED;
		else
			memcpy(&number, key.mv_data, sizeof number);
		if (!rc && number >= punch->oldest)
			break;
		if (!rc)
			rc = punch_pages(punch, &list);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static uint64_t bytes_on_disk(int fd)
{
	struct stat file;

	return fstat(fd, &file) ? 0 : (uint64_t)file.st_blocks * 512;
}

static int punch_locked(struct gen *gen, uint64_t *freed)
{
	struct punch punch = { .gen = gen };
	MDB_envinfo info;
	MDB_stat stat;
	MDB_txn *reading = NULL;
	int rc = mdb_env_get_fd(gen->env, &punch.fd);

	if (!rc)
		rc = mdb_env_sync(gen->env, 1); /* what freed them is on disk */
	if (rc)
		return gen_err(rc);
	int err = gen_read_start(gen, &reading);

	if (err)
		return err;
	mdb_env_info(gen->env, &info);
	mdb_env_stat(gen->env, &stat);
	punch.page_bytes = stat.ms_psize;
	punch.last_page = info.me_last_pgno;
	punch.oldest = info.me_last_txnid >= SNAPSHOTS_ON_DISK
			       ? info.me_last_txnid - SNAPSHOTS_ON_DISK + 1
			       : 0;
	mdb_reader_list(gen->env, see_reader, &punch);

	uint64_t before = bytes_on_disk(punch.fd);

	err = gen_err(punch_free(&punch, reading));
	gen_read_stop(gen, reading);
	mdb_txn_abort(reading);
	uint64_t after = bytes_on_disk(punch.fd);

	*freed = before > after ? before - after : 0;
	return err;
}

int gen_punch(struct gen *gen, uint64_t *freed)
{
	MDB_txn *txn;
	int err = gen_write_begin(gen, &txn);

	*freed = 0;
	if (err)
		return err;
	err = punch_locked(gen, freed);
	gen_write_drop(gen, txn);
	return err;
}
