/* The bench's reference mount: one directory passed through, on the low-level API; read-only unless
 * -w is given.
 *
 *   passthrough [-k] [-s] [-w] SOURCE MOUNTPOINT
 *     -k  keep the page cache between opens and let attributes live for a day
 *         (what passthrough_ll calls cache=always); without it, cache=auto and one second
 *     -w  it can be written, as passthrough_ll's without its writeback cache
 *     -s  offer splice to the kernel; without it the library's default, as in passthrough_ll
 *
 * It stays in the foreground until the mount is unmounted or a signal comes. Every size the kernel
 * and the library negotiate (max_read, read-ahead, background requests, threads) is left as the
 * library has it, so that its speed is that of a mount nobody has tuned.
 *
 * A node number is the address of a struct node, which owns an O_PATH descriptor. The kernel
 * counts its lookups; the node goes when the last one is forgotten. One lock guards table and
 * counts.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 12)

#include <fuse_lowlevel.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 16384		/* of the node table; a power of two */
#define REPLY_MAX (1024 * 1024) /* of one directory reply */
#define TIMEOUT_AUTO 1.0
#define TIMEOUT_KEEP 86400.0

struct node {
	struct node *next;
	uint64_t lookups; /* under mirror.lock */
	dev_t dev;
	ino_t ino;
	int fd;
};

struct mirror {
	pthread_mutex_t lock;
	struct node *slots[SLOTS];
	struct node root; /* never in the table, never forgotten */
	double timeout;
	bool keep;
	bool splice;
	bool writable;
};

static struct mirror *mirror_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct node *node_of(struct mirror *m, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &m->root : (struct node *)(uintptr_t)ino;
}

static struct node **slot_of(struct mirror *m, const struct stat *st)
{
	return &m->slots[(st->st_ino * 31 + st->st_dev) & (SLOTS - 1)];
}

static int stat_fd(int fd, struct stat *st)
{
	return fstatat(fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

/* Opens the file behind an O_PATH descriptor for reading. */
static int reopen(int fd, int flags)
{
	char path[64];
	int opened;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	opened = open(path, flags | O_CLOEXEC);
	return opened < 0 ? -errno : opened;
}

/* Counts one lookup of the file that `fd` names, and takes `fd`. NULL when memory is short. */
static struct node *node_enter(struct mirror *m, int fd, const struct stat *st)
{
	struct node **slot = slot_of(m, st);
	struct node *n;

	pthread_mutex_lock(&m->lock);
	for (n = *slot; n; n = n->next)
		if (n->ino == st->st_ino && n->dev == st->st_dev)
			break;
	if (n) {
		close(fd);
	} else if ((n = calloc(1, sizeof *n))) {
		*n = (struct node){ .next = *slot, .dev = st->st_dev, .ino = st->st_ino, .fd = fd };
		*slot = n;
	} else {
		close(fd);
	}
	if (n)
		n->lookups++;
	pthread_mutex_unlock(&m->lock);
	return n;
}

static void node_leave(struct mirror *m, struct node *n, uint64_t lookups)
{
	struct stat key = { .st_dev = n->dev, .st_ino = n->ino };
	struct node **link = slot_of(m, &key);
	bool gone;

	if (n == &m->root)
		return;
	pthread_mutex_lock(&m->lock);
	assert(n->lookups >= lookups);
	n->lookups -= lookups;
	gone = n->lookups == 0;
	if (gone) {
		while (*link != n)
			link = &(*link)->next;
		*link = n->next;
	}
	pthread_mutex_unlock(&m->lock);
	if (gone) {
		close(n->fd);
		free(n);
	}
}

static int look_up(struct mirror *m, struct node *dir, const char *name, struct fuse_entry_param *e)
{
	struct node *n;
	int fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	memset(e, 0, sizeof *e);
	err = stat_fd(fd, &e->attr);
	if (err) {
		close(fd);
		return err;
	}
	n = node_enter(m, fd, &e->attr);
	if (!n)
		return -ENOMEM;
	e->ino = (uintptr_t)n;
	e->attr_timeout = e->entry_timeout = m->timeout;
	return 0;
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct mirror *m = userdata;

	if (m->splice)
		conn->want |= conn->capable & (FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mirror *m = mirror_of(req);
	struct fuse_entry_param e;
	int err = look_up(m, node_of(m, parent), name, &e);

	if (err)
		fuse_reply_err(req, -err);
	else
		fuse_reply_entry(req, &e);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	struct mirror *m = mirror_of(req);

	node_leave(m, node_of(m, ino), lookups);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *all)
{
	struct mirror *m = mirror_of(req);

	for (size_t i = 0; i < count; i++)
		node_leave(m, node_of(m, all[i].ino), all[i].nlookup);
	fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mirror *m = mirror_of(req);
	struct stat st;
	int err = stat_fd(node_of(m, ino)->fd, &st);

	(void)fi;
	if (err)
		fuse_reply_err(req, -err);
	else
		fuse_reply_attr(req, &st, m->timeout);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	ssize_t len = readlinkat(node_of(mirror_of(req), ino)->fd, "", target, PATH_MAX);

	if (len < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[len] = '\0';
	fuse_reply_readlink(req, target);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mirror *m = mirror_of(req);
	int fd;

	if (!m->writable && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fd = reopen(node_of(m, ino)->fd, fi->flags & ~O_NOFOLLOW);
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->keep_cache = m->keep;
	if (fuse_reply_open(req, fi))
		close(fd);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t at,
		    struct fuse_file_info *fi)
{
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(size);

	(void)ino;
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = (int)fi->fh;
	out.buf[0].pos = at;
	fuse_reply_data(req, &out, FUSE_BUF_SPLICE_MOVE);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	close((int)fi->fh);
	fuse_reply_err(req, 0);
}

static DIR *dir_of(const struct fuse_file_info *fi)
{
	return (DIR *)(uintptr_t)fi->fh;
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mirror *m = mirror_of(req);
	int fd = reopen(node_of(m, ino)->fd, O_RDONLY | O_DIRECTORY);
	DIR *dir;

	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	dir = fdopendir(fd);
	if (!dir) {
		fuse_reply_err(req, errno);
		close(fd);
		return;
	}
	fi->fh = (uintptr_t)dir;
	fi->cache_readdir = 1;
	fi->keep_cache = m->keep;
	if (fuse_reply_open(req, fi))
		closedir(dir);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	closedir(dir_of(fi));
	fuse_reply_err(req, 0);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Adds one entry to a reply with `room` bytes left. Returns its size, 0 when it does not fit, or
 * -errno. An entry that does not fit counts no lookup: the kernel never sees it. */
static ssize_t add_entry(fuse_req_t req, struct node *dir, const struct dirent *d, char *at,
			 size_t room, bool plus)
{
	struct mirror *m = mirror_of(req);
	struct fuse_entry_param e = { .attr = { .st_ino = d->d_ino,
						.st_mode = (mode_t)DTTOIF(d->d_type) } };
	size_t need;
	int err;

	if (!plus) {
		need = fuse_add_direntry(req, at, room, d->d_name, &e.attr, d->d_off);
		return need > room ? 0 : (ssize_t)need;
	}
	if (fuse_add_direntry_plus(req, NULL, 0, d->d_name, NULL, 0) > room)
		return 0;
	if (!is_dot(d->d_name)) {
		err = look_up(m, dir, d->d_name, &e);
		if (err)
			return err;
	}
	return (ssize_t)fuse_add_direntry_plus(req, at, room, d->d_name, &e, d->d_off);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from, DIR *dir, bool plus)
{
	struct node *parent = node_of(mirror_of(req), ino);
	size_t room = size < REPLY_MAX ? size : REPLY_MAX;
	size_t used = 0;
	ssize_t added = 0;
	char *reply = malloc(room);
	struct dirent *d;

	if (!reply) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	seekdir(dir, from);
	errno = 0;
	while ((d = readdir(dir))) {
		added = add_entry(req, parent, d, reply + used, room - used, plus);
		if (added == -ENOENT) /* deleted since the directory was read */
			continue;
		if (added <= 0)
			break;
		used += (size_t)added;
		errno = 0;
	}
	if (!d && errno)
		added = -errno;
	/* What is in the reply has been counted, so an error waits for the next call. */
	if (added < 0 && used == 0)
		fuse_reply_err(req, (int)-added);
	else
		fuse_reply_buf(req, reply, used);
	free(reply);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
		       struct fuse_file_info *fi)
{
	list(req, ino, size, from, dir_of(fi), false);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
			   struct fuse_file_info *fi)
{
	list(req, ino, size, from, dir_of(fi), true);
}

/* ---- writing ---- */

static void reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name, int result)
{
	struct mirror *m = mirror_of(req);
	struct fuse_entry_param e;
	int err = result < 0 ? -errno : look_up(m, node_of(m, parent), name, &e);

	if (err)
		fuse_reply_err(req, -err);
	else
		fuse_reply_entry(req, &e);
}

static int parent_fd(fuse_req_t req, fuse_ino_t parent)
{
	return node_of(mirror_of(req), parent)->fd;
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct mirror *m = mirror_of(req);
	struct fuse_entry_param e;
	int fd = openat(parent_fd(req, parent), name,
			(fi->flags | O_CREAT | O_CLOEXEC) & ~O_NOFOLLOW, mode);
	int err = fd < 0 ? -errno : look_up(m, node_of(m, parent), name, &e);

	if (err) {
		fuse_reply_err(req, -err);
		if (fd >= 0)
			close(fd);
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->keep_cache = m->keep;
	if (fuse_reply_create(req, &e, fi))
		close(fd);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	reply_entry(req, parent, name, mkdirat(parent_fd(req, parent), name, mode));
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	reply_entry(req, parent, name, symlinkat(target, parent_fd(req, parent), name));
}

static void reply_result(fuse_req_t req, int result)
{
	fuse_reply_err(req, result < 0 ? errno : 0);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_result(req, unlinkat(parent_fd(req, parent), name, 0));
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_result(req, unlinkat(parent_fd(req, parent), name, AT_REMOVEDIR));
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
		      const char *as, unsigned flags)
{
	reply_result(req, renameat2(parent_fd(req, parent), name, parent_fd(req, to), as, flags));
}

static void on_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t at,
			 struct fuse_file_info *fi)
{
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(fuse_buf_size(in));
	ssize_t len;

	(void)ino;
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = (int)fi->fh;
	out.buf[0].pos = at;
	len = fuse_buf_copy(&out, in, 0);
	if (len < 0)
		fuse_reply_err(req, (int)-len);
	else
		fuse_reply_write(req, (size_t)len);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	reply_result(req, datasync ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int set_attributes(const struct node *n, const struct stat *st, int what)
{
	char path[64];
	int result = 0;

	snprintf(path, sizeof path, "/proc/self/fd/%d", n->fd);
	if (what & FUSE_SET_ATTR_MODE)
		result = chmod(path, st->st_mode);
	if (!result && what & FUSE_SET_ATTR_SIZE)
		result = truncate(path, st->st_size);
	if (!result && what & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		result = fchownat(n->fd, "", what & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1,
				  what & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1,
				  AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	if (!result && what & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) {
		struct timespec times[2] = { st->st_atim, st->st_mtim };

		if (!(what & FUSE_SET_ATTR_ATIME))
			times[0].tv_nsec = UTIME_OMIT;
		else if (what & FUSE_SET_ATTR_ATIME_NOW)
			times[0].tv_nsec = UTIME_NOW;
		if (!(what & FUSE_SET_ATTR_MTIME))
			times[1].tv_nsec = UTIME_OMIT;
		else if (what & FUSE_SET_ATTR_MTIME_NOW)
			times[1].tv_nsec = UTIME_NOW;
		result = utimensat(AT_FDCWD, path, times, 0);
	}
	return result ? -errno : 0;
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int what,
		       struct fuse_file_info *fi)
{
	int err = set_attributes(node_of(mirror_of(req), ino), st, what);

	if (err)
		fuse_reply_err(req, -err);
	else
		on_getattr(req, ino, fi);
}

static const struct fuse_lowlevel_ops writable_ops = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.readlink = on_readlink,
	.open = on_open,
	.create = on_create,
	.mkdir = on_mkdir,
	.symlink = on_symlink,
	.unlink = on_unlink,
	.rmdir = on_rmdir,
	.rename = on_rename,
	.read = on_read,
	.write_buf = on_write_buf,
	.fsync = on_fsync,
	.release = on_release,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
	.releasedir = on_releasedir,
};

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.readlink = on_readlink,
	.open = on_open,
	.read = on_read,
	.release = on_release,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
	.releasedir = on_releasedir,
};

/* Mounts and serves until unmounted. Returns an exit code. */
static int serve(struct mirror *m, const char *mountpoint)
{
	char *argv[] = { "passthrough", "-o",
			 m->writable ? "rw,fsname=passthrough" : "ro,fsname=passthrough", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se =
		fuse_session_new(&args, m->writable ? &writable_ops : &ops, sizeof ops, m);
	int code = 1;

	if (!se || !config)
		goto out;
	if (fuse_set_signal_handlers(se))
		goto out;
	if (fuse_session_mount(se, mountpoint) == 0) {
		code = fuse_session_loop_mt(se, config) < 0;
		fuse_session_unmount(se);
	}
	fuse_remove_signal_handlers(se);
out:
	if (se)
		fuse_session_destroy(se);
	if (config)
		fuse_loop_cfg_destroy(config);
	fuse_opt_free_args(&args);
	return code;
}

/* Every known file holds a descriptor, so take as many as the machine lets us have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static struct mirror m = { .lock = PTHREAD_MUTEX_INITIALIZER, .timeout = TIMEOUT_AUTO };
	int opt;

	while ((opt = getopt(argc, argv, "ksw")) != -1) {
		if (opt == 'k') {
			m.keep = true;
			m.timeout = TIMEOUT_KEEP;
		} else if (opt == 's') {
			m.splice = true;
		} else if (opt == 'w') {
			m.writable = true;
		} else {
			return 2;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: passthrough [-k] [-s] [-w] SOURCE MOUNTPOINT\n");
		return 2;
	}
	m.root.fd = open(argv[optind], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m.root.fd < 0) {
		perror(argv[optind]);
		return 1;
	}
	raise_descriptor_limit();
	return serve(&m, argv[optind + 1]);
}
