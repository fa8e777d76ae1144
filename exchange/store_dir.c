#include "exchange/store_lmdb.h"

#include "net/base/err.h"
#include "net/base/log.h"

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

#define MAGIC 0x65726f7473666764u /* "dgfstore" */
#define GENS_MAX 1024
#define PER_CLASS 8 /* how many generations a class is meant to have */
#define KEPT_BYTES_MIN ((uint64_t)16 << 30)
#define CACHE_BYTES_MIN ((uint64_t)1 << 30)
#define CACHE_QUOTA_MIN ((uint64_t)64 << 20)
#define TINY_BYTES ((uint64_t)1 << 20)
#define MAP_FACTOR 4 /* room for a generation to outgrow its limit */
#define MAP_SPARE ((uint64_t)64 << 20) /* for the transaction that passes it */

static const char *const class_names[GEN_CLASSES] = { [GEN_KEPT] = "kept", [GEN_CACHE] = "cache" };

struct path {
	char text[GEN_PATH_MAX];
};

static struct path path_in(const struct store_lmdb *lmdb, const char *prefix, unsigned number)
{
	struct path path;

	if (number)
		snprintf(path.text, sizeof path.text, "%s/%s-%06u", lmdb->path, prefix, number);
	else
		snprintf(path.text, sizeof path.text, "%s/%s", lmdb->path, prefix);
	return path;
}

/* A new file's name is durable only when its directory is. */
static int sync_dir(const struct store_lmdb *lmdb)
{
	if (lmdb->config.no_sync)
		return 0;
	int fd = open(lmdb->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

/* A descriptor whose close() ends the lock, or -errno. */
static int lock_file(const struct store_lmdb *lmdb, const char *name, int how)
{
	int flags = lmdb->read_only ? O_RDONLY : O_RDWR | O_CREAT;
	int fd = open(path_in(lmdb, name, 0).text, flags | O_CLOEXEC, 0600);

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
	return lock_file(lmdb, "janitor", LOCK_EX | (wait ? 0 : LOCK_NB));
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

static void gens_free(struct gens *gens)
{
	for (size_t i = 0; i < gens->count; i++)
		gen_unref(gens->at[i]);
	free(gens);
}

void gens_unref(struct gens *gens)
{
	if (gens && atomic_fetch_sub(&gens->refs, 1) == 1)
		gens_free(gens);
}

struct gen *gens_newest(const struct gens *gens, enum gen_class class)
{
	if (class == GEN_KEPT)
		return gens->kept ? gens->at[0] : NULL;
	return gens->count > gens->kept ? gens->at[gens->kept] : NULL;
}

uint64_t gens_used(const struct gens *gens, enum gen_class class)
{
	uint64_t used = 0;

	for (size_t i = 0; i < gens->count; i++)
		if (gens->at[i]->class == class)
			used += gen_used(gens->at[i]);
	return used;
}

uint64_t store_dir_limit(const struct store_lmdb *lmdb, const struct gens *gens, enum gen_class class)
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

struct name {
	enum gen_class class;
	unsigned number;
};

static bool parse_name(const char *text, struct name *name)
{
	for (unsigned class = 0; class < GEN_CLASSES; class ++) {
		size_t len = strlen(class_names[class]);
		char *end;

		if (strncmp(text, class_names[class], len) || text[len] != '-')
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

/* The generations in the directory; free(*out). */
static int list_names(const struct store_lmdb *lmdb, struct name **out, size_t *count)
{
	struct name *names = xcalloc(GENS_MAX, sizeof *names);
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	int err = dir ? 0 : -errno;

	*count = 0;
	while (!err && (entry = readdir(dir)))
		if (*count == GENS_MAX)
			err = -EAGAIN;
		else if (parse_name(entry->d_name, &names[*count]))
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
	return gen_open(path_in(lmdb, class_names[name->class], name->number).text, name->class,
			name->number, &config, out);
}

/* The lock on lists and the file lock are held. */
static int reload(struct store_lmdb *lmdb)
{
	uint64_t version = atomic_load(&lmdb->shared->list);
	struct name *names;
	size_t count;
	int err = list_names(lmdb, &names, &count);

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
		int fd = lock_file(lmdb, "lock", LOCK_SH);

		err = fd < 0 ? fd : reload(lmdb);
		changed = !err;
		if (fd >= 0)
			close(fd);
	}
	if (!err) {
		*out = lmdb->current;
		atomic_fetch_add(&lmdb->current->refs, 1);
	}
	pthread_mutex_unlock(&lmdb->lists);
	if (err)
		log_error("store", "cannot read the generations of %s: %s", lmdb->path,
			  err_text(err));
	if (changed)
		snapshot_drop_idle(lmdb);
	return err;
}

/* ---- changes; the lock on lists and the file lock (exclusive) are held ---- */

static void delete_files(const char *dir)
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

static void told_all(struct store_lmdb *lmdb)
{
	atomic_fetch_add(&lmdb->shared->list, 1);
	store_dir_ring(lmdb);
}

static int make_gen(struct store_lmdb *lmdb, enum gen_class class)
{
	struct gen_config config = { .no_sync = lmdb->config.no_sync, .create = true };
	uint64_t limit = store_dir_limit(lmdb, lmdb->current, class);
	unsigned number = atomic_fetch_add(&lmdb->shared->next_number, 1);
	struct path making = path_in(lmdb, "new", number);
	struct path path = path_in(lmdb, class_names[class], number);
	struct gen *gen;

	config.map_bytes = lmdb->config.map_bytes ? lmdb->config.map_bytes : MAP_FACTOR * limit + MAP_SPARE;
	if (mkdir(making.text, 0700))
		return -errno;
	int err = gen_open(making.text, class, number, &config, &gen);

	if (!err) {
		gen_unref(gen);
		if (rename(making.text, path.text))
			err = -errno;
	}
	if (!err)
		err = sync_dir(lmdb);
	if (err)
		delete_files(making.text);
	else
		told_all(lmdb);
	return err;
}

static int roll(struct store_lmdb *lmdb, enum gen_class class, const struct gen *last)
{
	int err = reload(lmdb);

	if (err)
		return err;
	const struct gen *newest = gens_newest(lmdb->current, class);

	if (newest && (!last || newest->number != last->number))
		return 0;
	err = make_gen(lmdb, class);
	return err ? err : reload(lmdb);
}

int store_dir_roll(struct store_lmdb *lmdb, enum gen_class class, struct gen *last)
{
	/* First, and without our locks: it waits for writers. */
	int err = last ? gen_close_writing(last) : 0;

	if (err)
		return err;
	pthread_mutex_lock(&lmdb->lists);
	int fd = lock_file(lmdb, "lock", LOCK_EX);

	err = fd < 0 ? fd : roll(lmdb, class, last);
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&lmdb->lists);
	return err;
}

int store_dir_remove(struct store_lmdb *lmdb, struct gen *gen)
{
	struct path dead = path_in(lmdb, "dead", gen->number);
	int err;

	pthread_mutex_lock(&lmdb->lists);
	int fd = lock_file(lmdb, "lock", LOCK_EX);

	err = fd < 0 ? fd : 0;
	if (!err && rename(gen->path, dead.text))
		err = -errno;
	if (!err) {
		told_all(lmdb);
		err = reload(lmdb);
		delete_files(dead.text);
	}
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&lmdb->lists);
	snapshot_drop_idle(lmdb);
	return err;
}

/* ---- opening ---- */

/* What a process that died was making or deleting. */
static void remove_leftovers(const struct store_lmdb *lmdb)
{
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	unsigned number;

	while (dir && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "new-%u", &number) == 1)
			delete_files(path_in(lmdb, "new", number).text);
		else if (sscanf(entry->d_name, "dead-%u", &number) == 1)
			delete_files(path_in(lmdb, "dead", number).text);
	if (dir)
		closedir(dir);
}

/* One more than any number in use. */
static int next_number(const struct store_lmdb *lmdb, unsigned *next)
{
	struct name *names;
	size_t count;
	int err = list_names(lmdb, &names, &count);

	if (err)
		return err;
	*next = 1;
	for (size_t i = 0; i < count; i++)
		if (names[i].number >= *next)
			*next = names[i].number + 1;
	free(names);
	return 0;
}

/* Version 1 was one environment in the store's directory: it becomes the newest generation of what is kept. Processes of that
 * version that have it open go on with the same files; a crash between the steps is made good by the next opening. */
static int take_in_version_1(struct store_lmdb *lmdb)
{
	const struct gen_config config = { .no_sync = lmdb->config.no_sync };
	struct path old = path_in(lmdb, "data.mdb", 0), path;
	char to[GEN_PATH_MAX + 16];
	struct gen *gen;
	unsigned number;

	if (access(old.text, F_OK))
		return errno == ENOENT ? 0 : -errno;
	int err = gen_open(lmdb->path, GEN_KEPT, 0, &config, &gen);

	if (err)
		return err;
	/* Its free list would be searched again and again. */
	err = gen_close_writing(gen);
	gen_unref(gen);
	if (err)
		return err;
	if (lmdb->shared)
		number = atomic_fetch_add(&lmdb->shared->next_number, 1);
	else if ((err = next_number(lmdb, &number)))
		return err;
	/* Named as a generation only when it is one: until then the next opening begins anew. */
	path = path_in(lmdb, "taken", number);
	if (mkdir(path.text, 0700) && errno != EEXIST)
		return -errno;
	snprintf(to, sizeof to, "%s/lock.mdb", path.text);
	if (rename(path_in(lmdb, "lock.mdb", 0).text, to) && errno != ENOENT)
		return -errno;
	snprintf(to, sizeof to, "%s/data.mdb", path.text);
	if (rename(old.text, to))
		return -errno;
	log_info("store", "%s is taken in from layout version 1", lmdb->path);
	return 0;
}

/* The last step of taking in: what lies in taken-... becomes a generation. */
static int name_taken(struct store_lmdb *lmdb)
{
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	unsigned number;
	bool any = false;
	int err = dir ? 0 : -errno;

	while (!err && (entry = readdir(dir))) {
		char file[GEN_PATH_MAX + 16];

		if (sscanf(entry->d_name, "taken-%u", &number) != 1)
			continue;
		struct path from = path_in(lmdb, "taken", number);

		snprintf(file, sizeof file, "%s/data.mdb", from.text);
		if (access(file, F_OK))
			rmdir(from.text); /* the crash came before; not when a lock file is in it */
		else if (rename(from.text, path_in(lmdb, "kept", number).text))
			err = -errno;
		else
			any = true;
	}
	if (dir)
		closedir(dir);
	if (!err && any && lmdb->shared)
		told_all(lmdb);
	return err || !any ? err : sync_dir(lmdb);
}

static int write_state(struct store_lmdb *lmdb)
{
	struct store_shared fresh = { .magic = MAGIC, .version = STORE_VERSION };
	struct path making = path_in(lmdb, "state.new", 0);
	unsigned next;
	int err = next_number(lmdb, &next);

	if (err)
		return err;
	atomic_init(&fresh.next_number, next);
	int fd = open(making.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	ssize_t len = write(fd, &fresh, sizeof fresh);

	if (len != sizeof fresh)
		err = len < 0 ? -errno : -ENOSPC;
	else if (!lmdb->config.no_sync && fsync(fd))
		err = -errno;
	close(fd);
	if (!err && rename(making.text, path_in(lmdb, "state", 0).text))
		err = -errno;
	return err ? err : sync_dir(lmdb);
}

/* -ENOENT: there is none. */
static int map_state(struct store_lmdb *lmdb)
{
	/* Not written to where it is read-only, but changes of a process that sees the disk otherwise show. */
	int how = lmdb->read_only ? MAP_PRIVATE : MAP_SHARED;
	int fd = open(path_in(lmdb, "state", 0).text,
		      (lmdb->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct stat stat;

	if (fd < 0)
		return -errno;
	bool whole = !fstat(fd, &stat) && stat.st_size >= (off_t)sizeof(struct store_shared);
	void *at = MAP_FAILED;

	if (whole)
		at = mmap(NULL, sizeof(struct store_shared), PROT_READ | PROT_WRITE, how, fd, 0);
	close(fd);
	if (at == MAP_FAILED) {
		log_error("store", "%s/state is damaged", lmdb->path);
		return -EIO;
	}
	lmdb->shared = at;
	if (lmdb->shared->magic == MAGIC && lmdb->shared->version == STORE_VERSION)
		return 0;
	if (lmdb->shared->magic == MAGIC)
		log_error("store", "%s has layout version %u; this program knows version %d",
			  lmdb->path, lmdb->shared->version, STORE_VERSION);
	else
		log_error("store", "%s/state is damaged", lmdb->path);
	return -EIO;
}

/* The file lock (exclusive) is held. */
static int set_up(struct store_lmdb *lmdb)
{
	int err = map_state(lmdb);

	if (lmdb->read_only)
		return err ? err : reload(lmdb);
	if (err && err != -ENOENT)
		return err;
	if (!err)
		store_boot_check(lmdb);
	remove_leftovers(lmdb);
	err = name_taken(lmdb);
	if (!err)
		err = take_in_version_1(lmdb);
	if (!err)
		err = name_taken(lmdb);
	if (!err && !lmdb->shared) {
		err = write_state(lmdb);
		if (!err)
			err = map_state(lmdb);
		if (!err)
			store_boot_check(lmdb);
	}
	return err ? err : reload(lmdb);
}

/* A sweep that died would have everybody write stored blocks again. */
static void end_dead_sweep(struct store_lmdb *lmdb)
{
	int fd = store_dir_janitor_lock(lmdb, false);

	if (fd < 0)
		return;
	if (atomic_load(&lmdb->shared->epoch) % 2)
		atomic_fetch_add(&lmdb->shared->epoch, 1);
	close(fd);
}

int store_dir_open(struct store_lmdb *lmdb)
{
	pthread_mutex_lock(&lmdb->lists);
	int fd = lock_file(lmdb, "lock", LOCK_EX);

	lmdb->read_only = fd == -EROFS;
	if (lmdb->read_only)
		fd = lock_file(lmdb, "lock", LOCK_EX);
	int err = fd < 0 ? fd : set_up(lmdb);

	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&lmdb->lists);
	if (!err && !lmdb->read_only)
		end_dead_sweep(lmdb);
	return err;
}

void store_dir_close(struct store_lmdb *lmdb)
{
	gens_unref(lmdb->current);
	if (lmdb->shared)
		munmap(lmdb->shared, sizeof *lmdb->shared);
}
