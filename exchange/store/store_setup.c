/* Opening a store's directory: takes in the layout of version 1, removes what a crash left, and
 * maps the state that all processes share. All of it under a file lock. The opening thread. */
#include "exchange/store/store_dir.h"

#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/wait.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x65726f7473666764u /* "dgfstore" */

/* What a process that died was making or deleting. */
static void remove_leftovers(const struct store_lmdb *lmdb)
{
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	unsigned number;

	while (dir && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "new-%u", &number) == 1)
			dir_delete(dir_path(lmdb, "new", number).text);
		else if (sscanf(entry->d_name, "dead-%u", &number) == 1)
			dir_delete_dead(lmdb, number);
	if (dir)
		closedir(dir);
}

/* One more than any number in use. */
static int next_number(const struct store_lmdb *lmdb, unsigned *next)
{
	struct name *names;
	size_t count;
	int err = dir_names(lmdb, &names, &count);

	if (err)
		return err;
	*next = 1;
	for (size_t i = 0; i < count; i++)
		if (names[i].number >= *next)
			*next = names[i].number + 1;
	free(names);
	return 0;
}

/* Version 1 was one environment in the store's directory: it becomes the newest generation of what
 * is kept. Processes of that version that have it open go on with the same files; a crash between
 * the steps is made good by the next opening. */
static int take_in_version_1(struct store_lmdb *lmdb)
{
	const struct gen_config config = { .no_sync = lmdb->config.no_sync };
	struct path old = dir_path(lmdb, "data.mdb", 0), path;
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
	path = dir_path(lmdb, "taken", number);
	if (mkdir(path.text, 0700) && errno != EEXIST)
		return -errno;
	snprintf(to, sizeof to, "%s/lock.mdb", path.text);
	if (rename(dir_path(lmdb, "lock.mdb", 0).text, to) && errno != ENOENT)
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
		struct path from = dir_path(lmdb, "taken", number);

		snprintf(file, sizeof file, "%s/data.mdb", from.text);
		if (access(file, F_OK)) {
			rmdir(from.text); /* the crash came before; not when a lock file is in it */
			continue;
		}
		if (lmdb->shared)
			dir_changing(lmdb);
		err = dir_move(from.text, dir_path(lmdb, "kept", number).text);
		any = any || !err;
	}
	if (dir)
		closedir(dir);
	return err || !any ? err : dir_sync(lmdb);
}

/* What a state file says at its beginning. */
static int fresh_state(const struct store_lmdb *lmdb, struct store_shared *fresh)
{
	unsigned next = 0;
	int err = next_number(lmdb, &next);

	*fresh = (struct store_shared){ .magic = MAGIC, .version = STORE_VERSION };
	atomic_init(&fresh->next_number, next);
	/* Those that know an older state see that the list changed. */
	atomic_init(&fresh->list, monotonic_ms());
	return err;
}

static int write_to(const struct store_lmdb *lmdb, int fd, const struct store_shared *state)
{
	ssize_t len = pwrite(fd, state, sizeof *state, 0);

	if (len != sizeof *state)
		return len < 0 ? -errno : -ENOSPC;
	return !lmdb->config.no_sync && fsync(fd) ? -errno : 0;
}

static int write_state(struct store_lmdb *lmdb)
{
	struct path making = dir_path(lmdb, "state.new", 0);
	struct store_shared fresh;
	int err = fresh_state(lmdb, &fresh);

	if (err)
		return err;
	int fd = open(making.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	err = write_to(lmdb, fd, &fresh);
	close(fd);
	if (!err && rename(making.text, dir_path(lmdb, "state", 0).text))
		err = -errno;
	if (err)
		unlink(making.text);
	return err ? err : dir_sync(lmdb);
}

/* Written anew where it is: other processes may have it mapped. All it says can be told from the
 * directory. */
static int heal_state(struct store_lmdb *lmdb, int fd)
{
	struct store_shared fresh;
	int err = fresh_state(lmdb, &fresh);

	if (!err)
		err = write_to(lmdb, fd, &fresh);
	if (!err && ftruncate(fd, sizeof fresh))
		err = -errno;
	if (!err)
		log_warn("store", "%s/state was damaged and is made anew", lmdb->path);
	return err;
}

/* On a read-only file system, where none can be read: this process's own. */
static int map_own_state(struct store_lmdb *lmdb)
{
	void *at = mmap(NULL, sizeof(struct store_shared), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	lmdb->shared = at;
	return fresh_state(lmdb, at);
}

static bool is_state(int fd)
{
	struct store_shared state;

	return pread(fd, &state, sizeof state, 0) == sizeof state && state.magic == MAGIC;
}

static int take_version(struct store_lmdb *lmdb)
{
	if (lmdb->shared->version == STORE_VERSION_SAME && lmdb->read_only)
		return 0;
	if (lmdb->shared->version == STORE_VERSION_SAME) {
		lmdb->shared->version = STORE_VERSION;
		return msync(lmdb->shared, sizeof(struct store_shared), MS_SYNC) ? -errno : 0;
	}
	if (lmdb->shared->version == STORE_VERSION)
		return 0;
	log_error("store", "%s has layout version %u; this program knows version %d", lmdb->path,
		  lmdb->shared->version, STORE_VERSION);
	return -EIO;
}

/* -ENOENT: there is none. */
static int map_state(struct store_lmdb *lmdb)
{
	/* Not written to where it is read-only, but changes of a process that sees the disk
	 * otherwise show. */
	int how = lmdb->read_only ? MAP_PRIVATE : MAP_SHARED;
	int fd = open(dir_path(lmdb, "state", 0).text,
		      (lmdb->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;
	bool damaged = !err && !is_state(fd);

	if (lmdb->read_only && (damaged || err == -ENOENT)) {
		if (fd >= 0)
			close(fd);
		return map_own_state(lmdb);
	}
	if (damaged)
		err = heal_state(lmdb, fd);
	void *at = MAP_FAILED;

	if (!err) {
		at = mmap(NULL, sizeof(struct store_shared), PROT_READ | PROT_WRITE, how, fd, 0);
		err = at == MAP_FAILED ? -errno : 0;
	}
	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	lmdb->shared = at;
	return take_version(lmdb);
}

/* The generations; without those that are damaged. */
static int setup_load(struct store_lmdb *lmdb)
{
	int found = repair_suspected(lmdb) ? repair_look(lmdb) : 0;

	if (found < 0)
		return found;
	int err = dir_reload(lmdb);

	if (err == -EIO && !found) {
		found = repair_look(lmdb);
		err = found > 0 ? dir_reload(lmdb) : found < 0 ? found : -EIO;
	}
	return err;
}

/* The file lock (exclusive) is held. */
static int set_up(struct store_lmdb *lmdb)
{
	int err = map_state(lmdb);

	if (lmdb->read_only)
		return err ? err : dir_reload(lmdb);
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
	return err ? err : setup_load(lmdb);
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
	lmdb->dir_fd = open(lmdb->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (lmdb->dir_fd < 0)
		return -errno;
	pthread_mutex_lock(&lmdb->lists);
	int fd = dir_lock(lmdb, "lock", LOCK_EX);

	lmdb->read_only = fd == -EROFS;
	if (lmdb->read_only)
		fd = dir_lock(lmdb, "lock", LOCK_EX);
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
	if (lmdb->dir_fd >= 0)
		close(lmdb->dir_fd);
}
