/* Trees on their way to the disk. Down with an explicit stack, of which only the innermost
 * directories stay open: the others are found again through "..", and checked to be the same, so
 * that a tree may be as deep as it likes. */
#include "fs/api/get_tree.h"

#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_MAX 32 /* directories kept open */
#define VIEW_BYTES (1u << 20)
#define LEFT_OUT_TOLD_MAX 100

int get_tell(struct get *get, int err)
{
	char safe[1024];

	cli_safe(safe, sizeof(safe), (char *)get->at.at, get->at.len);
	if (!err)
		api_refuse(get->call, -EINVAL, "neither file, directory nor symlink: %s", safe);
	else if (get->is_disk)
		api_fail_file(get->call, err, "cannot write %s", safe);
	else
		api_fail(get->call, err, "cannot get %s", safe);
	return 1;
}

/* A call of the system: 0 or -errno, known to be the disk's. */
static int on_disk(struct get *get, int result)
{
	get->is_disk = result < 0;
	return result < 0 ? -errno : 0;
}

/* ---- what files hold ---- */

static int write_all(struct get *get, int fd, struct bytes data)
{
	while (data.len) {
		ssize_t n = write(fd, data.at, data.len);

		if (n < 0 && (errno != EINTR || wait_check(api_wait(get->call)) == -EINTR))
			return -errno;
		if (n > 0)
			data = bytes_skip(data, (size_t)n);
	}
	return 0;
}

static int write_view(struct get *get, int fd, const struct file_view *view)
{
	int err = 0;

	for (int i = 0; i < view->count && !err; i++)
		err = write_all(get, fd, bytes_of(view->iov[i].iov_base, view->iov[i].iov_len));
	return err;
}

static void count_bytes(struct get *get, size_t len)
{
	dag_scout_follow(get->scout, len);
	get->progress.bytes += len;
	if (get->shows)
		api_progress(get->call, &get->progress);
}

static int copy_file(struct get *get, struct file *file, int fd)
{
	uint64_t offset = 0, size = file_size(file);

	while (offset < size) {
		struct file_view view;
		int err = file_view(file, offset, VIEW_BYTES, api_wait(get->call), &view);

		if (err)
			return err;
		if (view.len) {
			err = write_view(get, fd, &view);
			get->is_disk = err != 0;
		} else {
			err = -EIO;
		}
		offset += view.len;
		count_bytes(get, view.len);
		file_view_release(&view);
		if (err)
			return err;
	}
	return 0;
}

/* Copied before the face gets them: a reader that is slow must not hold a view of the store. */
static int give_file(struct get *get, struct file *file)
{
	uint64_t offset = 0, size = file_size(file);
	uint8_t *piece = xcalloc(1, VIEW_BYTES);
	int err = 0;

	while (!err && offset < size) {
		ssize_t n = file_read(file, offset, piece, VIEW_BYTES, api_wait(get->call));

		err = n < 0 ? (int)n : n ? 0 : -EIO;
		if (!err)
			err = api_bytes(get->call, bytes_of(piece, (size_t)n));
		if (!err)
			count_bytes(get, (size_t)n);
		offset += n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return err;
}

int get_bytes(struct get *get, int fd, const struct cid *cid)
{
	struct file *file;
	int err = file_open(get->blocks, cid, api_wait(get->call), &file);

	get->is_disk = false;
	if (!err) {
		err = fd < 0 ? give_file(get, file) : copy_file(get, file, fd);
		file_close(file);
	}
	return err ? get_tell(get, err) : 0;
}

/* ---- permissions and times ---- */

static int set_times(int dirfd, const char *name, int fd, const struct dag_stat *stat)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = stat->mtime, .tv_nsec = stat->mtime_nanos },
	};

	if (!stat->has_mtime)
		return 0;
	return name ? utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) : futimens(fd, times);
}

/* Permissions as stored, without set-user-id and its kin: a tree from afar must not hand out
 * rights. */
static int set_attributes(int fd, const struct dag_stat *stat)
{
	if (stat->mode && fchmod(fd, stat->mode & 0777))
		return -1;
	return set_times(-1, NULL, fd, stat);
}

/* ---- files and symlinks ---- */

/* What stands at name may be replaced: nothing, a file, a symlink, an empty directory (which is
 * removed). Devices, pipes and sockets are somebody's. */
static int make_way(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -1;
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
		return 0;
	if (S_ISDIR(st.st_mode)) {
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
			return 0;
		errno = EISDIR;
	} else {
		errno = EEXIST;
	}
	return -1;
}

static void temp_name(struct get *get, char out[static 64])
{
	snprintf(out, 64, ".dagfs-get.%d.%u", (int)getpid(), get->temps++);
}

/* Puts what stands under the name temp at name. */
static int put_in_place(struct get *get, int dirfd, const char *temp, const char *name)
{
	int err = on_disk(get, make_way(dirfd, name));

	return err ? err : on_disk(get, renameat(dirfd, temp, dirfd, name));
}

static int write_file(struct get *get, int dirfd, const char *name, struct file *file,
		      const struct dag_stat *stat)
{
	char temp[64];
	int fd, err;

	temp_name(get, temp);
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		return on_disk(get, fd);
	err = copy_file(get, file, fd);
	if (!err)
		err = on_disk(get, set_attributes(fd, stat));
	if (close(fd) && !err)
		err = on_disk(get, -1);
	if (!err)
		err = put_in_place(get, dirfd, temp, name);
	if (err)
		unlinkat(dirfd, temp, 0);
	return err;
}

int get_file(struct get *get, int dirfd, const char *name, const struct cid *cid,
	     const struct dag_stat *stat)
{
	struct file *file;
	int err = file_open(get->blocks, cid, api_wait(get->call), &file);

	get->is_disk = false;
	if (!err) {
		err = on_disk(get, make_way(dirfd, name)); /* before it is fetched */
		if (!err)
			err = write_file(get, dirfd, name, file, stat);
		file_close(file);
	}
	return err ? get_tell(get, err) : 0;
}

int get_symlink(struct get *get, int dirfd, const char *name, const struct cid *cid,
		const struct dag_stat *stat)
{
	struct buf target = { 0 };
	char *text, temp[64];
	int err = dag_readlink(get->blocks, cid, api_wait(get->call), &target);

	get->is_disk = false;
	if (!err && memchr(target.at ? target.at : (uint8_t *)"", 0, target.len))
		err = -EBADMSG;
	text = buf_take_text(&target);
	temp_name(get, temp);
	if (!err)
		err = on_disk(get, symlinkat(text, dirfd, temp));
	if (!err) {
		err = on_disk(get, set_times(dirfd, temp, -1, stat));
		if (!err)
			err = put_in_place(get, dirfd, temp, name);
		if (err)
			unlinkat(dirfd, temp, 0);
	}
	free(text);
	return err ? get_tell(get, err) : 0;
}

/* ---- directories ---- */

struct child {
	struct cid cid;
	char *name;
};

struct children {
	struct child *list;
	size_t count, cap;
};

struct level {
	int fd; /* -1: closed for now */
	dev_t dev;
	ino_t ino;
	struct dag_stat stat;
	struct children children;
	size_t next;   /* child */
	size_t at_len; /* of get->at without it */
};

struct descent {
	struct get *get;
	struct level *levels;
	size_t depth, cap;
};

static int get_tree_collect(void *ctx, size_t index, const struct dir_entry *entry)
{
	struct children *children = ctx;
	struct child *child;

	(void)index;
	if (children->count == children->cap) {
		children->cap = children->cap ? children->cap * 2 : 16;
		children->list = xrealloc(children->list, children->cap * sizeof(*children->list));
	}
	child = &children->list[children->count++];
	child->cid = entry->cid;
	child->name = xcalloc(1, entry->name.len + 1);
	memcpy(child->name, entry->name.at, entry->name.len);
	return 0;
}

static void children_release(struct children *children)
{
	for (size_t i = 0; i < children->count; i++)
		free(children->list[i].name);
	free(children->list);
}

static int tell_left_out(void *ctx, const struct dir_entry *entry, const char *why)
{
	struct get *get = ctx;
	char safe[1024], name[1100];

	if (get->left_out++ < LEFT_OUT_TOLD_MAX)
		api_trouble(
			get->call, NULL, "cannot write \"%s\" in %s: %s",
			cli_safe(name, sizeof(name), (const char *)entry->name.at, entry->name.len),
			cli_safe(safe, sizeof(safe), (char *)get->at.at, get->at.len), why);
	return 0;
}

static int list_children(struct get *get, const struct cid *cid, struct children *children)
{
	struct dir *dir;
	int err = dir_open(get->blocks, cid, api_wait(get->call), &dir);

	if (err)
		return err;
	err = dir_each(dir, 0, api_wait(get->call), get_tree_collect, children);
	if (!err)
		err = dir_each_left_out(dir, api_wait(get->call), tell_left_out, get);
	dir_close(dir);
	return err;
}

static void level_release(struct level *level)
{
	if (level->fd >= 0)
		close(level->fd);
	children_release(&level->children);
}

/* Takes fd. */
static int get_tree_enter(struct descent *descent, int fd, const struct cid *cid,
			  const struct dag_stat *stat)
{
	struct get *get = descent->get;
	struct level level = { .fd = fd, .stat = *stat, .at_len = get->at.len };
	struct stat st;
	int err = on_disk(get, fstat(fd, &st));

	if (!err && descent->depth == GET_DEPTH_MAX)
		err = -ELOOP;
	if (!err)
		err = list_children(get, cid, &level.children);
	if (err) {
		level_release(&level);
		return err;
	}
	level.dev = st.st_dev;
	level.ino = st.st_ino;
	if (descent->depth == descent->cap) {
		descent->cap = descent->cap ? descent->cap * 2 : 16;
		descent->levels = xrealloc(descent->levels, descent->cap * sizeof(level));
	}
	descent->levels[descent->depth++] = level;
	if (descent->depth > OPEN_MAX) {
		struct level *far = &descent->levels[descent->depth - 1 - OPEN_MAX];

		close(far->fd);
		far->fd = -1;
	}
	return 0;
}

/* The directory above is open again. */
static int find_parent(struct get *get, const struct level *level, struct level *parent)
{
	struct stat st;
	int err;

	if (parent->fd >= 0)
		return 0;
	parent->fd = openat(level->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = on_disk(get, parent->fd < 0 ? -1 : fstat(parent->fd, &st));
	if (!err && (st.st_dev != parent->dev || st.st_ino != parent->ino)) {
		errno = ESTALE; /* moved while we were below */
		err = on_disk(get, -1);
	}
	return err;
}

/* The innermost directory is filled. Its attributes come last: without write permission it could
 * not be filled, and filling changes its time. */
static int get_tree_leave(struct descent *descent)
{
	struct level *level = &descent->levels[descent->depth - 1];
	int err = descent->depth > 1 ? find_parent(descent->get, level, level - 1) : 0;

	descent->get->at.len = level->at_len;
	if (!err)
		err = on_disk(descent->get, set_attributes(level->fd, &level->stat));
	if (err)
		return get_tell(descent->get, err);
	level_release(level);
	descent->depth--;
	return 0;
}

static int get_dir(struct descent *descent, int dirfd, const char *name, const struct cid *cid,
		   const struct dag_stat *stat)
{
	struct get *get = descent->get;
	int fd = -1, err = 0;

	if (mkdirat(dirfd, name, 0777) && errno != EEXIST)
		err = on_disk(get, -1);
	if (!err) {
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = on_disk(get, fd);
	}
	if (!err)
		err = get_tree_enter(descent, fd, cid, stat);
	return err ? get_tell(get, err) : 0;
}

/* Writes one entry of a directory, as what its block says it is. */
static int get_child(struct descent *descent, struct level *level, const struct child *child)
{
	struct get *get = descent->get;
	struct dag_stat stat;
	int err;

	get->at.len = level->at_len;
	buf_printf(&get->at, "/%s", child->name);
	get->is_disk = false;
	err = dag_stat(get->blocks, &child->cid, api_wait(get->call), &stat);
	if (err)
		return get_tell(get, err);
	switch (stat.type) {
	case DAG_DIRECTORY:
		return get_dir(descent, level->fd, child->name, &child->cid, &stat);
	case DAG_SYMLINK:
		return get_symlink(get, level->fd, child->name, &child->cid, &stat);
	case DAG_FILE:
		return get_file(get, level->fd, child->name, &child->cid, &stat);
	case DAG_OTHER:
		break;
	}
	return get_tell(get, 0);
}

int get_entries(struct get *get, int fd, const struct cid *cid, const struct dag_stat *stat)
{
	struct descent descent = { .get = get };
	int code = 0, err;

	get->is_disk = false;
	err = get_tree_enter(&descent, fd, cid, stat);
	if (err)
		code = get_tell(get, err);
	while (!code && descent.depth) {
		struct level *level = &descent.levels[descent.depth - 1];

		if (level->next == level->children.count)
			code = get_tree_leave(&descent);
		else
			code = get_child(&descent, level, &level->children.list[level->next++]);
	}
	while (descent.depth)
		level_release(&descent.levels[--descent.depth]);
	free(descent.levels);
	return code;
}
