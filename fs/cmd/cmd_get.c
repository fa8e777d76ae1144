/* get: a file or tree is written to the disk. Nothing of what a tree says can lead out of the
 * target: names are single parts, every step is taken from an open directory, and symlinks on the
 * way are never followed. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GET_DEPTH_MAX 256 /* directories below each other; each is open meanwhile */
#define VIEW_BYTES (1u << 20)

static const struct option_spec options[] = {
	{ "output", 'o', OPTION_TEXT, "PATH", "where to [the last part of PATH]", NULL },
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

struct get {
	struct invocation *in;
	struct blocks *blocks;
	struct progress *progress;
	struct dag_scout *scout;
	struct buf at; /* path being written, for messages */
	unsigned temps;
};

/* Tells what went wrong where; returns the exit code. */
static int tell(struct get *get, int err, const char *what)
{
	char safe[1024];

	return cli_fail(get->in, err, "%s %s", what,
			cli_safe(safe, sizeof(safe), (char *)get->at.at, get->at.len));
}

static int write_view(int fd, const struct file_view *view)
{
	int err = 0;

	for (int i = 0; i < view->count && !err; i++)
		err = cli_write_all(fd, bytes_of(view->iov[i].iov_base, view->iov[i].iov_len));
	return err;
}

static int copy_file(struct get *get, struct file *file, int fd)
{
	uint64_t offset = 0, size = file_size(file);

	while (offset < size) {
		struct file_view view;
		int err = file_view(file, offset, VIEW_BYTES, cli_wait(get->in), &view);

		if (err)
			return err;
		err = view.len ? write_view(fd, &view) : -EIO;
		offset += view.len;
		progress_add(get->progress, view.len);
		dag_scout_follow(get->scout, view.len);
		file_view_release(&view);
		if (err)
			return err;
	}
	return 0;
}

static int set_times(int dirfd, const char *name, int fd, const struct dag_stat *stat)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = stat->mtime, .tv_nsec = stat->mtime_nanos },
	};

	if (!stat->has_mtime)
		return 0;
	if (fd >= 0 ? futimens(fd, times) : utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return 0;
}

/* Permissions as stored, without set-user-id and its kin: a tree from afar must not hand out
 * rights. */
static int set_mode(int fd, const struct dag_stat *stat)
{
	return stat->mode && fchmod(fd, stat->mode & 0777) ? -errno : 0;
}

/* Complete or not there: written under another name first. A directory of that name is not
 * replaced. */
static int get_file(struct get *get, int dirfd, const char *name, const struct cid *cid,
		    const struct dag_stat *stat)
{
	struct file *file;
	char temp[64];
	int fd = -1, err = file_open(get->blocks, cid, cli_wait(get->in), &file);

	if (err)
		return tell(get, err, "cannot get");
	snprintf(temp, sizeof(temp), ".dagfs-get.%d.%u", (int)getpid(), get->temps++);
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	err = fd < 0 ? -errno : 0;
	if (!err)
		err = copy_file(get, file, fd);
	if (!err)
		err = set_mode(fd, stat);
	if (!err)
		err = set_times(dirfd, NULL, fd, stat);
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	if (!err && renameat(dirfd, temp, dirfd, name))
		err = -errno;
	if (err && fd >= 0)
		unlinkat(dirfd, temp, 0);
	file_close(file);
	return err ? tell(get, err, "cannot get") : EXIT_OK;
}

static int get_symlink(struct get *get, int dirfd, const char *name, const struct cid *cid,
		       const struct dag_stat *stat)
{
	struct buf target = { 0 };
	struct stat st;
	char *text;
	int err = dag_readlink(get->blocks, cid, cli_wait(get->in), &target);

	if (!err && memchr(target.at ? target.at : (uint8_t *)"", 0, target.len))
		err = -EBADMSG;
	text = buf_take_text(&target);
	if (!err && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		unlinkat(dirfd, name, 0);
	if (!err && symlinkat(text, dirfd, name))
		err = -errno;
	if (!err)
		err = set_times(dirfd, name, -1, stat);
	free(text);
	return err ? tell(get, err, "cannot get") : EXIT_OK;
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

static int collect(void *ctx, size_t index, const struct dir_entry *entry)
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

static int get_node(struct get *get, int dirfd, const char *name, const struct cid *cid,
		    unsigned depth);

static int get_children(struct get *get, int fd, const struct children *children, unsigned depth)
{
	size_t at = get->at.len;
	int code = EXIT_OK;

	for (size_t i = 0; i < children->count && !code; i++) {
		buf_printf(&get->at, "/%s", children->list[i].name);
		code = get_node(get, fd, children->list[i].name, &children->list[i].cid, depth + 1);
		get->at.len = at;
	}
	return code;
}

static int list_children(struct get *get, const struct cid *cid, struct children *children)
{
	struct dir *dir;
	int err = dir_open(get->blocks, cid, cli_wait(get->in), &dir);

	if (err)
		return err;
	err = dir_each(dir, 0, cli_wait(get->in), collect, children);
	dir_close(dir);
	return err;
}

static int get_dir(struct get *get, int dirfd, const char *name, const struct cid *cid,
		   const struct dag_stat *stat, unsigned depth)
{
	struct children children = { 0 };
	int fd = -1, code = EXIT_OK, err;

	if (depth >= GET_DEPTH_MAX)
		return tell(get, -ELOOP, "directories are nested too deeply at");
	err = list_children(get, cid, &children);
	if (!err && mkdirat(dirfd, name, 0777) && errno != EEXIST)
		err = -errno;
	if (!err) {
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = fd < 0 ? -errno : 0;
	}
	if (!err)
		code = get_children(get, fd, &children, depth);
	/* Last: a directory without write permission could not be filled, and filling changes its
	 * time. */
	if (!err && !code)
		err = set_mode(fd, stat);
	if (!err && !code)
		err = set_times(dirfd, NULL, fd, stat);
	if (fd >= 0)
		close(fd);
	children_release(&children);
	return err ? tell(get, err, "cannot get") : code;
}

static bool name_is_safe(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/');
}

static int get_node(struct get *get, int dirfd, const char *name, const struct cid *cid,
		    unsigned depth)
{
	struct dag_stat stat;
	int err = dag_stat(get->blocks, cid, cli_wait(get->in), &stat);

	if (!err && !name_is_safe(name))
		err = -EBADMSG;
	if (err)
		return tell(get, err, "cannot get");
	switch (stat.type) {
	case DAG_DIRECTORY:
		return get_dir(get, dirfd, name, cid, &stat, depth);
	case DAG_SYMLINK:
		return get_symlink(get, dirfd, name, cid, &stat);
	case DAG_FILE:
		return get_file(get, dirfd, name, cid, &stat);
	case DAG_OTHER:
		break;
	}
	return tell(get, 0, "neither file, directory nor symlink:");
}

/* ---- where to ---- */

/* The last part of a path in the network: what it is called here when nothing else is said. */
static const char *last_part(const char *path, size_t *len)
{
	size_t end = strlen(path), begin;

	while (end && path[end - 1] == '/')
		end--;
	begin = end;
	while (begin && path[begin - 1] != '/')
		begin--;
	*len = end - begin;
	return path + begin;
}

/* An existing directory as --output takes the tree below it, as cp does; else output names the tree
 * itself. */
static char *target_of(struct invocation *in, const char *path)
{
	const char *output = cli_text(in, "output"), *name;
	struct stat st;
	size_t len;

	name = last_part(path, &len);
	if (!output)
		return xasprintf("%.*s", (int)len, name);
	if (output[strlen(output) - (*output != 0)] == '/' ||
	    (stat(output, &st) == 0 && S_ISDIR(st.st_mode)))
		return xasprintf("%s/%.*s", output, (int)len, name);
	return xstrdup(output);
}

static int get_to(struct get *get, const struct cid *cid, const char *target)
{
	const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
	char *parent = slash ? xasprintf("%.*s", (int)(slash - target + 1), target) : xstrdup(".");
	int code, fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		code = cli_fail(get->in, -errno, "cannot write to %s", parent);
	} else {
		buf_add_str(&get->at, target);
		code = get_node(get, fd, name, cid, 0);
		close(fd);
	}
	free(parent);
	return code;
}

static int run(struct invocation *in)
{
	struct blocks blocks;
	struct get get = { .in = in, .blocks = &blocks };
	struct dag_stat stat;
	struct cid cid;
	char *target;
	int code = cli_need_repo(in);

	if (code)
		return code;
	cli_blocks(in, &blocks);
	code = cli_resolve(in, &blocks, in->argv[0], &cid);
	if (!code) {
		target = target_of(in, in->argv[0]);
		if (dag_stat(&blocks, &cid, cli_wait(in), &stat))
			stat = (struct dag_stat){ .type = DAG_OTHER }; /* told below */
		if (cli_flag(in, "progress"))
			get.progress = progress_start("got", stat.size);
		if (stat.type == DAG_DIRECTORY) /* a file asks ahead by itself */
			get.scout = dag_scout_start(&blocks, &cid);
		code = get_to(&get, &cid, target);
		dag_scout_stop(get.scout);
		progress_end(get.progress);
		if (!code && !in->json)
			printf("Saving file(s) to %s\n", target);
		free(target);
	}
	buf_release(&get.at);
	blocks_release(&blocks);
	return code;
}

const struct command cmd_get = {
	"get",
	"PATH",
	1,
	1,
	"write a file or a tree to the disk",
	"Files appear under their names only when they are complete. Permissions and times are set "
	"where stored;\n"
	"symlinks are made but never followed.",
	options,
	run,
};
