/* Down a directory tree with an explicit stack, every step by openat() from the directory above:
 * paths may be of any length. Only the innermost directories are kept open; others are found
 * again through "..", and checked to be the same. The importing thread. */
#include "dag/import/import_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OPEN_MAX 32 /* directories kept open */
#define TARGET_MAX 4096

struct frame {
	int fd;		 /* -1: closed for now */
	bool by_symlink; /* entered through a symlink: ".." leads elsewhere */
	dev_t dev;
	ino_t ino;
	struct import_entry *entry;
	struct buf text;    /* of each name: its d_type, name, NUL */
	const char **names; /* into text, sorted, pointing behind the type */
	size_t count, at;
};

struct walk {
	struct importer *importer;
	struct frame *frames;
	unsigned depth;
};

/* ---- one directory's names ---- */

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Is it a directory, as far as rules are concerned? */
static bool is_dir(const struct importer *importer, int dir, const struct dirent *item)
{
	bool follow = importer->builder.config.follow_symlinks;
	struct stat stat;

	if (item->d_type != DT_UNKNOWN && !(item->d_type == DT_LNK && follow))
		return item->d_type == DT_DIR;
	return fstatat(dir, item->d_name, &stat, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(stat.st_mode);
}

static bool is_ignored(const struct importer *importer, const struct frame *frame,
		       const struct dirent *item)
{
	const struct ignore *ignore = importer->builder.config.ignore;
	struct buf path = { 0 };
	bool ignored;

	if (!ignore)
		return false;
	importer_path(&path, frame->entry, "", item->d_name);
	buf_add_u8(&path, '\0');
	ignored = ignore_matches(ignore, (const char *)path.at, is_dir(importer, frame->fd, item));
	buf_release(&path);
	return ignored;
}

static bool is_wanted(const struct importer *importer, const struct frame *frame,
		      const struct dirent *item)
{
	const char *name = item->d_name;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (name[0] == '.' && !importer->builder.config.hidden)
		return false;
	return !is_ignored(importer, frame, item);
}

static void sort_names(struct frame *frame)
{
	size_t at = 0;

	frame->names = xcalloc(frame->count + 1, sizeof(*frame->names));
	for (size_t i = 0; i < frame->count; i++) {
		frame->names[i] = (const char *)frame->text.at + at + 1;
		at += strlen(frame->names[i]) + 2;
	}
	if (frame->count > 1)
		qsort(frame->names, frame->count, sizeof(*frame->names), by_bytes);
}

/* Reads and sorts the names of a directory, so that the blocks come in the same order on every
 * system. */
static int read_names(struct importer *importer, struct frame *frame)
{
	int fd = openat(frame->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;
	int err = 0;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (errno = 0, item = readdir(dir))) {
		if (!is_wanted(importer, frame, item))
			continue;
		buf_add_u8(&frame->text, item->d_type);
		buf_add(&frame->text, bytes_of(item->d_name, strlen(item->d_name) + 1));
		if (++frame->count % 4096 == 0)
			err = importer_check(importer);
	}
	if (!err)
		err = -errno;
	closedir(dir);
	if (!err)
		sort_names(frame);
	return err;
}

/* ---- the stack ---- */

static void frame_release(struct frame *frame)
{
	if (frame->fd >= 0)
		close(frame->fd);
	buf_release(&frame->text);
	free(frame->names);
}

/* A symlink that leads to a directory we are in would never end. */
static bool is_inside(const struct walk *walk, const struct stat *stat)
{
	for (unsigned i = 0; i < walk->depth; i++)
		if (walk->frames[i].dev == stat->st_dev && walk->frames[i].ino == stat->st_ino)
			return true;
	return false;
}

/* Takes fd. */
static int walk_enter(struct walk *walk, int fd, bool by_symlink, const char *name)
{
	struct importer *importer = walk->importer;
	struct import_entry *parent = walk->depth ? walk->frames[walk->depth - 1].entry : NULL;
	struct frame *frame;
	struct stat stat;
	int err = 0;

	if (fstat(fd, &stat))
		err = -errno;
	else if (is_inside(walk, &stat))
		err = -ELOOP;
	else if (walk->depth == IMPORT_DEPTH_MAX)
		err = -E2BIG;
	if (err) {
		close(fd);
		return err;
	}
	frame = &walk->frames[walk->depth++];
	*frame = (struct frame){
		.fd = fd, .by_symlink = by_symlink, .dev = stat.st_dev, .ino = stat.st_ino
	};
	frame->entry = importer_entry(importer, parent, name, ENTRY_DIRECTORY, &stat);
	if (walk->depth > OPEN_MAX) {
		struct frame *far = &walk->frames[walk->depth - 1 - OPEN_MAX];

		if (!far[1].by_symlink && far->fd >= 0) {
			close(far->fd);
			far->fd = -1;
		}
	}
	err = read_names(importer, frame);
	return err ? importer_failed(importer, frame->entry, NULL, err) : 0;
}

/* The innermost directory is through. */
static int walk_leave(struct walk *walk)
{
	struct frame *frame = &walk->frames[walk->depth - 1];
	struct frame *parent = walk->depth > 1 ? frame - 1 : NULL;
	int err = 0;

	if (parent && parent->fd < 0) {
		struct stat stat;

		parent->fd = openat(frame->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent->fd < 0 || fstat(parent->fd, &stat))
			err = -errno;
		else if (stat.st_dev != parent->dev || stat.st_ino != parent->ino)
			err = -ESTALE; /* moved while we were below */
		if (err)
			importer_failed(walk->importer, parent->entry, NULL, err);
	}
	if (!err && parent && frame->count == 0 && walk->importer->builder.config.skip_empty_dirs)
		importer_forget(frame->entry);
	else if (!err)
		err = importer_done(walk->importer, frame->entry);
	frame_release(frame);
	walk->depth--;
	return err;
}

/* ---- what stands in a directory ---- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The ctime does not count: that is changed by chmod, link and unlink, too. */
bool importer_same_bytes(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim);
}

/* Whether the file at path is as it was when it was added before: then the entry is made, too, and
 * *err tells how that went. */
static bool add_known(struct walk *walk, struct import_entry *parent, int dir, const char *path,
		      bool by_symlink, const char *name, int *err)
{
	struct importer *importer = walk->importer;
	const struct import_config *config = &importer->builder.config;
	struct import_entry *entry;
	struct import_seen_file seen;
	struct buf whole = { 0 };
	struct stat stat;

	if (!importer->real_path ||
	    fstatat(dir, path, &stat, by_symlink ? 0 : AT_SYMLINK_NOFOLLOW) ||
	    !S_ISREG(stat.st_mode))
		return false;
	importer_path(&whole, parent, importer->real_path, name);
	buf_add_u8(&whole, '\0');
	*err = import_seen_find(importer->seen, (const char *)whole.at, &stat, importer->wait,
				&seen);
	buf_release(&whole);
	if (*err)
		return *err == -EINTR;
	entry = importer_entry(importer, parent, name, ENTRY_FILE, &stat);
	entry->is_known = true;
	entry->seen = seen;
	entry->bytes = seen.root.file_size;
	if (config->on_bytes)
		config->on_bytes(config->ctx, entry->bytes);
	*err = importer_done(importer, entry);
	return true;
}

/* To be remembered once its root is known. */
static void walk_note(const struct importer *importer, struct import_entry *entry,
		      const struct stat *stat, int64_t now_s)
{
	struct buf whole = { 0 };

	if (!importer->real_path || !import_seen_settled(stat, now_s))
		return;
	importer_path(&whole, entry, importer->real_path, NULL);
	buf_add_u8(&whole, '\0');
	import_seen_name(importer->seen, (const char *)whole.at, stat, &entry->seen);
	buf_release(&whole);
	entry->is_noted = true;
}

static int add_file(struct walk *walk, struct import_entry *parent, int fd, const char *name)
{
	struct importer *importer = walk->importer;
	int64_t now_s = time(NULL);
	struct import_entry *entry;
	struct stat before, after;
	int err;

	if (fstat(fd, &before))
		return -errno;
	if (!S_ISREG(before.st_mode))
		return -ESTALE; /* it was a file a moment ago */
	entry = importer_entry(importer, parent, name, ENTRY_FILE, &before);
	err = importer_read(importer, fd, true, before.st_size > 0 ? (uint64_t)before.st_size : 0,
			    entry);
	if (!err && fstat(fd, &after))
		err = -errno;
	if (!err && !importer_same_bytes(&before, &after))
		err = -ESTALE;
	if (err)
		return importer_failed(importer, entry, NULL, err);
	if (same_time(&before.st_ctim, &after.st_ctim))
		walk_note(importer, entry, &before, now_s);
	return importer_done(importer, entry);
}

static int add_symlink(struct walk *walk, struct import_entry *parent, int dir, const char *path,
		       const char *name)
{
	struct importer *importer = walk->importer;
	char target[TARGET_MAX + 1];
	struct import_entry *entry;
	struct stat stat;
	ssize_t len;

	if (fstatat(dir, path, &stat, AT_SYMLINK_NOFOLLOW))
		return -errno;
	len = readlinkat(dir, path, target, sizeof(target));
	if (len < 0)
		return -errno;
	if (len > TARGET_MAX)
		return -ENAMETOOLONG;
	target[len] = '\0';
	entry = importer_entry(importer, parent, name, ENTRY_SYMLINK, &stat);
	entry->target = xstrdup(target);
	return importer_done(importer, entry);
}

/* The type at path; *by_symlink: path is a symlink that is followed. */
static int find_type(const struct importer *importer, int dir, const char *path, unsigned hint,
		     unsigned *type, bool *by_symlink)
{
	struct stat stat;

	*type = hint;
	*by_symlink = false;
	if (hint == DT_UNKNOWN) {
		if (fstatat(dir, path, &stat, AT_SYMLINK_NOFOLLOW))
			return -errno;
		*type = IFTODT(stat.st_mode);
	}
	if (*type == DT_LNK && importer->builder.config.follow_symlinks) {
		if (fstatat(dir, path, &stat, 0))
			return -errno;
		*type = IFTODT(stat.st_mode);
		*by_symlink = true;
	}
	return 0;
}

/* path leads there from dir; name is what it is called. */
static int walk_visit(struct walk *walk, int dir, const char *path, unsigned hint, const char *name)
{
	struct import_entry *parent = walk->depth ? walk->frames[walk->depth - 1].entry : NULL;
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	bool by_symlink;
	unsigned type;
	int fd;
	int err = find_type(walk->importer, dir, path, hint, &type, &by_symlink);

	if (err)
		return err;
	if (type == DT_LNK)
		return add_symlink(walk, parent, dir, path, name);
	if (type != DT_REG && type != DT_DIR)
		return -ENOTSUP;
	if (type == DT_REG && add_known(walk, parent, dir, path, by_symlink, name, &err))
		return err;
	if (!by_symlink)
		flags |= O_NOFOLLOW;
	if (type == DT_DIR)
		flags |= O_DIRECTORY;
	fd = openat(dir, path, flags);
	if (fd < 0)
		return -errno;
	if (type == DT_DIR)
		return walk_enter(walk, fd, by_symlink, name);
	err = add_file(walk, parent, fd, name);
	close(fd);
	return err;
}

int importer_walk(struct importer *importer)
{
	struct walk walk = { .importer = importer,
			     .frames = xcalloc(IMPORT_DEPTH_MAX, sizeof(*walk.frames)) };
	int err = walk_visit(&walk, AT_FDCWD, importer->path, DT_UNKNOWN, "");

	if (err)
		importer_failed(importer, NULL, importer->path, err);
	while (!err && walk.depth > 0) {
		struct frame *frame = &walk.frames[walk.depth - 1];

		if (frame->at == frame->count) {
			err = walk_leave(&walk);
			continue;
		}

		const char *name = frame->names[frame->at++];

		err = walk_visit(&walk, frame->fd, name, (unsigned char)name[-1], name);
		if (err)
			importer_failed(importer, frame->entry, name, err);
	}
	while (walk.depth > 0)
		frame_release(&walk.frames[--walk.depth]);
	free(walk.frames);
	return err;
}
