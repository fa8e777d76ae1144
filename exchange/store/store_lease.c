/* Leases of batches, as files of sums. Made and looked for under the directory's lock, so that
 * nobody sees one that is not locked by its holder yet. Any thread. */
#include "exchange/store/store_lease.h"

#include "exchange/store/store_dir.h"
#include "net/base/alloc.h"
#include "net/base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PREFIX "lease"
#define SUM_LEN sizeof(uint64_t)
#define TRIES_MAX 100 /* numbers that others have */

/* ---- holding ---- */

void lease_init(struct lease *lease)
{
	*lease = (struct lease){ .fd = -1 };
	pthread_mutex_init(&lease->lock, NULL);
}

/* A descriptor of a new file that nobody else has. */
static int make_file(struct store_lmdb *lmdb, unsigned *number)
{
	struct random random = random_system();
	int fd = -EEXIST;

	for (unsigned i = 0; i < TRIES_MAX && fd == -EEXIST; i++) {
		*number = (unsigned)random_u64(&random) | 1;
		fd = open(dir_path(lmdb, PREFIX, *number).text,
			  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			fd = -errno;
	}
	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB)) {
		int err = -errno;

		unlink(dir_path(lmdb, PREFIX, *number).text);
		close(fd);
		return err;
	}
	return fd;
}

static int lease_open(struct store_lmdb *lmdb, struct lease *lease)
{
	if (lmdb->read_only)
		return -EROFS;
	int lock = dir_lock(lmdb, "lock", LOCK_EX);

	if (lock < 0)
		return lock;
	lease->fd = make_file(lmdb, &lease->number);
	close(lock);
	return lease->fd < 0 ? lease->fd : 0;
}

static int lease_append(struct lease *lease, uint64_t sum)
{
	uint8_t bytes[SUM_LEN];

	for (unsigned i = 0; i < SUM_LEN; i++)
		bytes[i] = (uint8_t)(sum >> 8 * i);
	ssize_t n = pwrite(lease->fd, bytes, SUM_LEN, (off_t)lease->bytes);

	if (n < 0)
		return -errno;
	if (n < (ssize_t)SUM_LEN)
		return -ENOSPC;
	lease->bytes += SUM_LEN;
	return 0;
}

int lease_hold(struct store_lmdb *lmdb, struct lease *lease, struct bytes multihash)
{
	int err = 0;

	pthread_mutex_lock(&lease->lock);
	if (lease->bytes >= LEASE_BLOCKS_MAX * SUM_LEN)
		err = -EFBIG;
	else if (lease->fd < 0)
		err = lease_open(lmdb, lease);
	if (!err)
		err = lease_append(lease, XXH3_64bits(multihash.at, multihash.len));
	pthread_mutex_unlock(&lease->lock);
	return err;
}

void lease_end(struct store_lmdb *lmdb, struct lease *lease)
{
	if (lease->fd >= 0) {
		/* Elsewhere a file of that name is another store's. */
		int lock = dir_lock(lmdb, "lock", LOCK_SH);

		if (lock >= 0) {
			unlink(dir_path(lmdb, PREFIX, lease->number).text);
			close(lock);
		}
		close(lease->fd);
	}
	pthread_mutex_destroy(&lease->lock);
}

/* ---- gathering ---- */

/* All of a file that somebody holds; it may grow meanwhile. */
static int read_sums(int fd, struct buf *sums)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return -errno;
	if ((uint64_t)stat.st_size > LEASE_BLOCKS_MAX * SUM_LEN)
		return -EFBIG;
	size_t len = (size_t)stat.st_size / SUM_LEN * SUM_LEN, at = 0;

	buf_reserve(sums, len);
	while (at < len) {
		ssize_t n = pread(fd, sums->at + sums->len + at, len - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += (size_t)n;
	}
	sums->len += len;
	return 0;
}

static int gather_one(struct store_lmdb *lmdb, unsigned number, struct buf *sums)
{
	struct path path = dir_path(lmdb, PREFIX, number);
	int fd = open(path.text, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		unlink(path.text);
	else
		err = errno == EWOULDBLOCK ? read_sums(fd, sums) : -errno;
	close(fd);
	return err;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void take_sums(struct lease_set *set, struct bytes sums)
{
	size_t more = sums.len / SUM_LEN;
	struct cursor c = cursor_over(sums);

	if (!more)
		return;
	set->sums = xrealloc(set->sums, (set->count + more) * sizeof *set->sums);
	for (size_t i = 0; i < more; i++)
		set->sums[set->count++] = cursor_le64(&c);
	qsort(set->sums, set->count, sizeof *set->sums, by_value);
}

int lease_set_gather(struct store_lmdb *lmdb, struct lease_set *set)
{
	int lock = dir_lock(lmdb, "lock", LOCK_EX), err = 0;

	if (lock < 0)
		return lock;
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	struct buf sums = { 0 };
	unsigned number;

	if (!dir)
		err = -errno;
	while (dir && !err && (entry = readdir(dir)))
		if (sscanf(entry->d_name, PREFIX "-%u", &number) == 1)
			err = gather_one(lmdb, number, &sums);
	if (dir)
		closedir(dir);
	close(lock);
	take_sums(set, buf_bytes(&sums));
	buf_release(&sums);
	return err;
}

bool lease_set_has(const struct lease_set *set, struct bytes multihash)
{
	uint64_t sum = XXH3_64bits(multihash.at, multihash.len);

	return set->count && bsearch(&sum, set->sums, set->count, sizeof sum, by_value);
}

void lease_set_release(struct lease_set *set)
{
	free(set->sums);
	*set = (struct lease_set){ 0 };
}
