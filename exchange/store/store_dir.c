/* The directory of an LMDB store: its generations, each a directory with an environment, and
 * their list. Processes that share the store see changes by a version in a shared file, and
 * change the list under a file lock. Any thread. */
#include "exchange/store/store_dir.h"

#include "net/base/err.h"
#include "net/base/log.h"
#include "net/db/lmdb_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GENS_MAX 1024
#define PER_CLASS 8 /* how many generations a class is meant to have */
#define KEPT_BYTES_MIN ((uint64_t)16 << 30)
#define CACHE_BYTES_MIN ((uint64_t)1 << 30)
#define CACHE_QUOTA_MIN ((uint64_t)64 << 20)
#define TINY_BYTES ((uint64_t)1 << 20)
#define MAP_FACTOR 4		       /* room for a generation to outgrow its limit */
#define MAP_SPARE ((uint64_t)64 << 20) /* for the transaction that passes it */

const char *const dir_class_names[GEN_CLASSES] = { [GEN_KEPT] = "kept", [GEN_CACHE] = "cache" };

struct path dir_path(const struct store_lmdb *lmdb, const char *prefix, unsigned number)
{
	struct path path;

	if (number)
		snprintf(path.text, sizeof path.text, "%s/%s-%06u", lmdb->path, prefix, number);
	else
		snprintf(path.text, sizeof path.text, "%s/%s", lmdb->path, prefix);
	return path;
}

/* A new file's name is durable only when its directory is. */
int dir_sync(const struct store_lmdb *lmdb)
{
	if (lmdb->config.no_sync)
		return 0;
	return lmdb_dir_sync(lmdb->path);
}

/* The paths that we know lead to the directory that was opened. When it was moved they may lead to
 * another store. */
static bool is_in_place(const struct store_lmdb *lmdb)
{
	struct stat opened, named;

	return !fstat(lmdb->dir_fd, &opened) && !stat(lmdb->path, &named) &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* A descriptor whose close() ends the lock, or -errno. */
int dir_lock(struct store_lmdb *lmdb, const char *name, int how)
{
	int flags = lmdb->read_only ? O_RDONLY : O_RDWR | O_CREAT;

	if (!is_in_place(lmdb)) {
		if (!atomic_exchange(&lmdb->moved, true))
			log_error("store",
				  "%s was moved or removed while it was open: this process must be "
				  "started again",
				  lmdb->path);
		return -ESTALE;
	}
	int fd = open(dir_path(lmdb, name, 0).text, flags | O_CLOEXEC, 0600);

	if (fd < 0 && errno == ENOENT && lmdb->read_only) /* where it was never made */
		fd = open(lmdb->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, how)) {
		if (errno == EINTR)
			continue;
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int store_dir_janitor_lock(struct store_lmdb *lmdb, bool wait)
{
	return dir_lock(lmdb, "janitor", LOCK_EX | (wait ? 0 : LOCK_NB));
}

void store_dir_ring(struct store_lmdb *lmdb)
{
	atomic_fetch_add(&lmdb->shared->bell, 1);
	syscall(SYS_futex, &lmdb->shared->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void store_dir_wait(struct store_lmdb *lmdb, uint32_t was)
{
	syscall(SYS_futex, &lmdb->shared->bell, FUTEX_WAIT, was, NULL, NULL, 0);
}

/* ---- lists ---- */

uint64_t store_dir_limit(const struct store_lmdb *lmdb, const struct gens *gens,
			 enum gen_class class)
{
	uint64_t quota = lmdb->config.quota_bytes, limit, least = KEPT_BYTES_MIN;

	if (lmdb->config.generation_bytes)
		return lmdb->config.generation_bytes;
	if (class == GEN_CACHE && quota) {
		limit = quota / PER_CLASS > CACHE_QUOTA_MIN ? quota / PER_CLASS : CACHE_QUOTA_MIN;
		limit = limit < quota / 2 ? limit : quota / 2;
		return limit > TINY_BYTES ? limit : TINY_BYTES;
	}
	if (class == GEN_CACHE)
		least = CACHE_BYTES_MIN;
	limit = gens ? gens_used(gens, class) / PER_CLASS : 0;
	return limit > least ? limit : least;
}

static bool parse_name(const char *text, struct name *name)
{
	for (unsigned class = 0; class < GEN_CLASSES; class ++) {
		size_t len = strlen(dir_class_names[class]);
		char *end;

		if (strncmp(text, dir_class_names[class], len) || text[len] != '-')
			continue;
		unsigned long number = strtoul(text + len + 1, &end, 10);

		if (*end || end == text + len + 1 || !number || number > UINT_MAX / 2)
			return false;
		*name = (struct name){ .class = class, .number = (unsigned)number };
		return true;
	}
	return false;
}

static int newest_first(const void *a, const void *b)
{
	const struct name *left = a, *right = b;

	if (left->class != right->class)
		return left->class < right->class ? -1 : 1;
	return left->number > right->number ? -1 : left->number < right->number;
}

/* Its files may still lie under its name: see dir_bury(). */
static bool is_dead(const struct store_lmdb *lmdb, unsigned number)
{
	return access(dir_path(lmdb, "dead", number).text, F_OK) == 0;
}

/* The generations in the directory; free(*out). */
int dir_names(const struct store_lmdb *lmdb, struct name **out, size_t *count)
{
	struct name *names = xcalloc(GENS_MAX, sizeof *names);
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	int err = dir ? 0 : -errno;

	*count = 0;
	while (!err && (entry = readdir(dir)))
		if (*count == GENS_MAX)
			err = -EAGAIN;
		else if (parse_name(entry->d_name, &names[*count]) &&
			 !is_dead(lmdb, names[*count].number))
			++*count;
	if (dir)
		closedir(dir);
	if (err) {
		free(names);
		return err;
	}
	qsort(names, *count, sizeof *names, newest_first);
	*out = names;
	return 0;
}

/* One reference, from the list before when it is there. */
static int take_gen(struct store_lmdb *lmdb, const struct name *name, struct gen **out)
{
	const struct gen_config config = { .map_bytes = lmdb->config.map_bytes,
					   .no_sync = lmdb->config.no_sync };
	const struct gens *before = lmdb->current;

	for (size_t i = 0; before && i < before->count; i++)
		if (before->at[i]->class == name->class && before->at[i]->number == name->number) {
			*out = gen_ref(before->at[i]);
			return 0;
		}
	return gen_open(dir_path(lmdb, dir_class_names[name->class], name->number).text,
			name->class, name->number, &config, out);
}

/* The lock on lists and the file lock are held. */
int dir_reload(struct store_lmdb *lmdb)
{
	uint64_t version = atomic_load(&lmdb->shared->list);
	struct name *names;
	size_t count;
	int err = dir_names(lmdb, &names, &count);

	if (err)
		return err;
	struct gens *gens = xcalloc(1, sizeof *gens + count * sizeof *gens->at);

	atomic_init(&gens->refs, 1);
	gens->version = version;
	while (!err && gens->count < count) {
		const struct name *name = &names[gens->count];

		err = take_gen(lmdb, name, &gens->at[gens->count]);
		if (err)
			break;
		gens->count++;
		gens->kept += name->class == GEN_KEPT;
	}
	free(names);
	if (err) {
		gens_free(gens);
		return err;
	}
	gens_unref(lmdb->current);
	lmdb->current = gens;
	return 0;
}

int store_dir_gens(struct store_lmdb *lmdb, struct gens **out)
{
	int err = 0;
	bool changed = false;

	pthread_mutex_lock(&lmdb->lists);
	if (lmdb->current->version != atomic_load(&lmdb->shared->list)) {
		int fd = dir_lock(lmdb, "lock", LOCK_SH);

		err = fd < 0 ? fd : dir_reload(lmdb);
		changed = !err;
		if (fd >= 0)
			close(fd);
	}
	if (!err) {
		*out = lmdb->current;
		atomic_fetch_add(&lmdb->current->refs, 1);
	}
	pthread_mutex_unlock(&lmdb->lists);
	if (err && err != -ESTALE)
		log_error("store", "cannot read the generations of %s: %s", lmdb->path,
			  err_text(err));
	if (changed)
		snapshot_drop_idle(lmdb);
	return err;
}

/* ---- changes; the lock on lists and the file lock (exclusive) are held ---- */

void dir_delete(const char *dir)
{
	static const char *const names[] = { "data.mdb", "lock.mdb", "settled" };
	char file[GEN_PATH_MAX + 16];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(file, sizeof file, "%s/%s", dir, names[i]);
		unlink(file);
	}
	if (rmdir(dir) && errno != ENOENT)
		log_warn("store", "cannot remove %s: %s", dir, err_text(-errno));
}

int dir_bury(const struct store_lmdb *lmdb, const struct name *name)
{
	struct path from = dir_path(lmdb, dir_class_names[name->class], name->number);
	struct path dead = dir_path(lmdb, "dead", name->number);

	if (!rename(from.text, dead.text))
		return 0;
	return mkdir(dead.text, 0700) && errno != EEXIST ? -errno : 0;
}

void dir_delete_dead(const struct store_lmdb *lmdb, unsigned number)
{
	for (unsigned class = 0; class < GEN_CLASSES; class ++) {
		struct path path = dir_path(lmdb, dir_class_names[class], number);

		if (access(path.text, F_OK))
			continue;
		dir_delete(path.text);
		if (!access(path.text, F_OK))
			return; /* the mark stays as long as it does */
	}
	dir_delete(dir_path(lmdb, "dead", number).text);
}

bool dir_may_go(const struct store_lmdb *lmdb, const struct gen *gen)
{
	return !access(lmdb->path, W_OK | X_OK) && !access(gen->path, W_OK | X_OK);
}

int dir_move(const char *from, const char *to)
{
	static const char *const names[] = { "lock.mdb", "settled", "data.mdb" };
	char old[GEN_PATH_MAX + 16], new[GEN_PATH_MAX + 16];

	if (!rename(from, to))
		return 0;
	if (errno != EXDEV || (mkdir(to, 0700) && errno != EEXIST))
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(old, sizeof old, "%s/%s", from, names[i]);
		snprintf(new, sizeof new, "%s/%s", to, names[i]);
		if (rename(old, new) && errno != ENOENT)
			return -errno;
	}
	dir_delete(from);
	return 0;
}

void dir_changing(struct store_lmdb *lmdb)
{
	atomic_fetch_add(&lmdb->shared->list, 1);
	store_dir_ring(lmdb);
}

/* Makes an empty generation under another name and renames it when it is complete, so that a
 * crash leaves none half made. */
static int make_gen(struct store_lmdb *lmdb, enum gen_class class)
{
	struct gen_config config = { .no_sync = lmdb->config.no_sync, .create = true };
	uint64_t limit = store_dir_limit(lmdb, lmdb->current, class);
	unsigned number = atomic_fetch_add(&lmdb->shared->next_number, 1);
	struct path making = dir_path(lmdb, "new", number);
	struct path path = dir_path(lmdb, dir_class_names[class], number);
	struct gen *gen;

	config.map_bytes =
		lmdb->config.map_bytes ? lmdb->config.map_bytes : MAP_FACTOR * limit + MAP_SPARE;
	if (mkdir(making.text, 0700))
		return -errno;
	int err = gen_open(making.text, class, number, &config, &gen);

	if (!err) {
		gen_unref(gen);
		dir_changing(lmdb);
		if (rename(making.text, path.text))
			err = -errno;
	}
	if (!err)
		err = dir_sync(lmdb);
	if (err)
		dir_delete(making.text);
	return err;
}

static int roll(struct store_lmdb *lmdb, enum gen_class class, const struct gen *last)
{
	int err = dir_reload(lmdb);

	if (err)
		return err;
	const struct gen *newest = gens_newest(lmdb->current, class);

	if (newest && (!last || newest->number != last->number))
		return 0;
	err = make_gen(lmdb, class);
	return err ? err : dir_reload(lmdb);
}

int store_dir_roll(struct store_lmdb *lmdb, enum gen_class class, struct gen *last)
{
	/* First, and without our locks: it waits for writers. */
	int err = last ? gen_close_writing(last) : 0;

	if (err)
		return err;
	pthread_mutex_lock(&lmdb->lists);
	int fd = dir_lock(lmdb, "lock", LOCK_EX);

	err = fd < 0 ? fd : roll(lmdb, class, last);
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&lmdb->lists);
	return err;
}

int store_dir_remove(struct store_lmdb *lmdb, struct gen *gen)
{
	const struct name name = { .class = gen->class, .number = gen->number };
	int err;

	pthread_mutex_lock(&lmdb->lists);
	int fd = dir_lock(lmdb, "lock", LOCK_EX);

	err = fd < 0 ? fd : 0;
	if (!err) {
		dir_changing(lmdb);
		err = dir_bury(lmdb, &name);
	}
	if (!err) {
		err = dir_reload(lmdb);
		dir_delete_dead(lmdb, name.number);
	}
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&lmdb->lists);
	snapshot_drop_idle(lmdb);
	return err;
}
