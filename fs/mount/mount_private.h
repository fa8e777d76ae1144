/* The inside of a mount. Private to fs/mount/.
 *
 *   mount.c          starting and stopping
 *   mount_options.c  the words behind -o
 *   mount_point.c    is the mountpoint fit?
 *   mount_reason.c   why it could not be mounted
 *   mount_watch.c    is it still in the mount table?
 *   mount_io.c       what the library leaves out: of the first answer, and of requests
 *   mount_threads.c  the threads that serve requests
 *   mount_fetch.c    waiting for blocks: deadlines, interrupts, and threads that serve meanwhile
 *   mount_ahead.c    directories: asking for blocks before they are needed
 *   mount_notify.c   telling the kernel of changes
 *   mount_notifier.c a thread that does
 *   ops*.c           requests
 *   tree_*.c         what is shown
 */
#ifndef FS_MOUNT_PRIVATE_H
#define FS_MOUNT_PRIVATE_H

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)

#include "fs/mount.h"
#include "fs/mount/inode.h"

#include "net/base/map.h"

#include <fuse_lowlevel.h>

#define MOUNT_REQUEST_MAX (1u << 20) /* bytes of one read or write */
#define NAME_LEN_MAX 255
#define MOUNT_BACKGROUND_MAX 64
#define MOUNT_BLOCKED_MAX                                                                          \
	(MOUNT_THREADS_MAX - 8) /* requests that wait for blocks at once; the rest serves */
#define MOUNT_PARKED_MAX 4096
#define MOUNT_PARKED_BYTES_MAX ((size_t)64 << 20) /* of their requests: writes carry data */
#define MOUNT_AHEAD_DIRS_MAX 4096
#define MOUNT_AHEAD_PARTS 32

/* A thread that may wait for blocks. Its wait is the only one it hands to dag/, so the worker is
 * found from the wait. */
struct worker {
	struct mount *mount;
	pthread_t thread;
	struct wait wait;
	uint64_t timeout_ms; /* of a fetch, in this request */
	bool waited;	     /* in this request */
	bool listening;	     /* between mount_fetch_listen() and mount_fetch_deafen() */
	int gave_up;	     /* -ETIMEDOUT or -EINTR, in this request: no further waiting */
	bool asleep;	     /* in a wait that mount_fetch_sleep() counted */
	bool park;	 /* this request cannot be served now: ops_fail() leaves it unanswered */
	bool unanswered; /* which it did */
	fuse_req_t req;	 /* being served; NULL: none that the kernel waits for */
	const struct fuse_buf *request; /* the same, as it came */
	/* Under mount->lock. */
	bool started, ended; /* thread runs; is to be joined */
	uint64_t wait_id;    /* of the fetch that runs, 0: none */
	struct fuse_buf buf;
};

/* A request that would have to wait while too many do: as it came, to be served again. */
struct parked {
	struct parked *next;
	struct fuse_buf buf;
};

/* Blocks that the walk ahead asked for together. */
struct ahead_part {
	size_t count;
	struct cid last;
	uint64_t number;
};

/* Directories whose children's blocks will be wanted soon, in the order of a walk. One thread. */
struct ahead {
	struct worker worker;
	pthread_cond_t wake;	/* with mount->lock */
	struct ahead_dir *dirs; /* a stack: the next on top */
	size_t count, cap;
	size_t above;  /* on the stack, of where the directory that is looked into was */
	size_t credit; /* blocks that may still be asked for */
	/* Of the thread alone: */
	struct ahead_part parts[MOUNT_AHEAD_PARTS]; /* the first was asked for first */
	size_t part_count, flying;
	uint64_t number, arrived; /* of directories whose children were asked for */
	bool running;
};

/* Changes of trees that the kernel is still to be told of. */
struct notifier {
	pthread_mutex_t lock; /* below any other */
	pthread_cond_t wake;
	struct change *first, **last;
	struct map pending; /* what is queued, to be queued once */
	bool all;	    /* too much was: the kernel forgets all instead */
	bool running, stopping;
	pthread_t thread;
	struct mount_tree **trees; /* that joined; a reference each; only grows */
	size_t tree_count;
};

struct mount_options {
	bool read, write; /* ro or rw was asked for */
	bool quiet;	  /* changing owners does nothing, instead of failing */
	bool guard;	  /* nobody writes into the mountpoint while nothing is mounted there */
	bool nonempty;	  /* entries below the mountpoint may be covered */
	bool suid;	  /* show set-user-id and set-group-id bits, and let the kernel heed them */
	unsigned max_read; /* bytes of one read */
	char *passed;	   /* further ones, each with a comma before it */
};

struct mount {
	struct fuse_session *session;
	char *point, *source;
	struct cid root; /* not set: namespace */
	uint64_t timeout_ms;
	struct mount_options options;
	struct store *store;
	struct fetcher *below; /* NULL: offline */
	struct fetcher fetcher;
	struct db *db;
	struct inodes inodes;
	pthread_key_t self;	 /* struct worker of this thread */
	int stop_fd;		 /* readable when all threads are to end */
	int table_fd;		 /* says when the mount table changed; -1: nobody does */
	atomic_bool greeted;	 /* INIT was answered; nothing else is before it */
	struct mount_tree *tree; /* at the mountpoint; one reference */
	/* The kernel opens files, or directories, without asking, for as long as it is mounted. */
	bool files_unasked, dirs_unasked;
	bool writable; /* the kernel asks for changes; each tree says which it takes */

	pthread_mutex_t lock; /* guards what follows */
	struct worker workers[MOUNT_THREADS_MAX];
	unsigned alive, idle, blocked;
	uint64_t last_wait_id;
	struct parked *parked, **parked_end;
	atomic_uint parked_count;
	size_t parked_bytes;
	bool hurrying;	 /* waits of requests end at once */
	bool stopping;	 /* mount_stop() goes on: no thread starts, no wait begins */
	bool unmounting; /* by ourselves: on_end is not told */
	bool ended;	 /* the kernel let go of the mount */
	bool detached;	 /* it is not in the mount table: not to be unmounted by name */
	dev_t dev;	 /* 0: not known yet */
	struct ahead ahead;
	struct notifier notifier;
	struct list opened; /* struct opened: files that the kernel has open */

	void (*on_end)(void *ctx), (*on_detached)(void *ctx);
	void *ctx;
};

/* ---- mount_options.c ---- */

/* Reads a comma separated list (NULL: empty). 0, or -errno and *why (malloc'd), which names what is
 * refused. */
int mount_options_read(struct mount_options *options, const char *list, char **why);
void mount_options_release(struct mount_options *options);

/* ---- mount_point.c ---- */

/* 0, or -errno and *why (malloc'd). A dead mount left there by a killed process is taken away. */
int mount_point_check(const char *point, struct store *store, char **why);
/* -ENOTEMPTY and *why when a mount would cover entries. */
int mount_point_check_empty(const char *point, char **why);
/* Unmount for good, without force: -EBUSY. */
int mount_point_unmount(const char *point);

#define MOUNT_HELPER "fusermount3"

/* ---- mount_guard.c ---- */

/* Makes a guarded mountpoint ready to be mounted on. 0, or -errno and *why. */
int mount_guard_open(const char *point, int *fd, char **why);
/* The directory behind fd, below the mount or not, is guarded from now on. -1 is ignored. */
void mount_guard_close(int fd);

/* ---- mount_reason.c ---- */

/* fuse_session_mount(), with the reason (malloc'd) of what is not 0. options: as the session was
 * made with. */
int mount_with_reason(struct fuse_session *session, const char *point, const char *options,
		      char **reason);

/* ---- mount_watch.c ---- */

/* Before there are threads. */
void mount_watch_open(struct mount *mount);
/* The mounted device is dev. */
void mount_watch_start(struct mount *mount, dev_t dev);
/* Looks into the mount table, and tells on_detached once when the mount has left it. */
void mount_watch_look(struct mount *mount);
/* Closes the device so that the library unmounts nothing. No thread uses it any more. */
void mount_watch_let_go(struct mount *mount);

/* ---- mount_threads.c ---- */

int worker_init(struct worker *worker, struct mount *mount);
void worker_release(struct worker *worker);
/* The worker that this thread is. */
struct worker *worker_self(struct mount *mount);
int mount_threads_start(struct mount *mount);
/* Ends waits with -EINTR, then joins all. */
void mount_threads_stop(struct mount *mount);
/* Before that: waits end with -EINTR, now and from now on, and requests are served. */
void mount_threads_hurry(struct mount *mount);
/* One more thread when none is free to take requests. lock is held. */
void mount_threads_grow(struct mount *mount);

/* ---- mount_fetch.c ---- */

/* Sets mount->fetcher over mount->below. */
void mount_fetch_init(struct mount *mount);
/* Ends the wait with this id, if it still runs. */
void mount_fetch_cancel(struct mount *mount, uint64_t wait_id);
/* Around work for the worker's request that may take long without fetching: between the two an
 * interrupt of the request cancels worker->wait. The request is answered afterwards. */
void mount_fetch_listen(struct worker *worker);
void mount_fetch_deafen(struct worker *worker);

/* Around each sleep of a worker's wait: counts and hears those that did not come by
 * mount->fetcher, as of trees that change. */
void mount_fetch_sleep(struct wait *wait, bool begins);

/* ---- mount_notifier.c ---- */

void mount_notifier_init(struct mount *mount);
/* While requests are still served, as the kernel may make it wait for some; their waits end
 * already. */
void mount_notifier_stop(struct mount *mount);
/* After mount_notifier_stop(), or where nothing was mounted. No thread of the mount runs. */
void mount_notifier_release(struct mount *mount);

/* ---- mount_ahead.c ---- */

int mount_ahead_start(struct mount *mount);
void mount_ahead_stop(struct mount *mount);
/* A directory is being listed; walked: it was met while listing another. */
void mount_ahead_listed(struct mount *mount, struct view *view, struct wait *wait, bool walked);
/* A name was looked up in an open directory; missing: its block is not here. */
void mount_ahead_looked_up(struct view *view, struct wait *wait, bool missing);

/* ---- tree_names.c ---- */

struct mount_tree *tree_names_new(const struct mount_config *config);

/* ---- ops*.c ---- */

/* For mounts that are read-only, and for others. */
extern const struct fuse_lowlevel_ops mount_ops, mount_ops_writable;

struct mount *ops_mount(fuse_req_t req);
/* Answers with an error of dag/ or exchange/ as errno for applications; logs what is corrupt. cid
 * may be NULL. */
void ops_fail(fuse_req_t req, int err, const struct cid *cid);
/* Of an inode the kernel named; replies ESTALE and returns NULL when it is none of ours. */
struct inode *ops_inode(fuse_req_t req, fuse_ino_t ino);
struct tree_call ops_call(fuse_req_t req);
/* The same after an operation of a tree on inode failed. */
void ops_fail_call(fuse_req_t req, int err, const struct tree_call *call,
		   const struct inode *inode);
/* The same of a change: more errors are told as they are. */
void ops_fail_change(fuse_req_t req, int err);
/* ... or that it was made. */
void ops_answer_change(fuse_req_t req, int err);
/* False, and answered: it is too long. */
bool ops_name_fits(fuse_req_t req, const char *name);
static inline struct tree_validity ops_validity(const struct inode *inode)
{
	return inode->tree->ops->validity(inode->tree, inode);
}
int ops_stat(struct tree_call *call, struct inode *inode, struct stat *st);
/* What the kernel is told of an inode whose name may be believed for entry_s. */
int ops_entry(struct tree_call *call, double entry_s, struct inode *inode,
	      struct fuse_entry_param *entry);
/* Answers with an inode that has a lookup more. */
void ops_reply_inode(fuse_req_t req, struct tree_call *call, double entry_s, struct inode *inode);
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
		 struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
		     struct fuse_file_info *fi);
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
/* Opens for these flags. -EROFS: the tree is not written. */
int ops_open_file(struct tree_call *call, struct inode *inode, int flags, void **file);

/* ---- ops_opened.c ---- */

/* Notes an open file, which is taken over; the handle for the kernel. */
uint64_t opened_add(struct mount *mount, struct mount_tree *tree, void *file);
/* What the tree's open() gave; NULL for handle 0, which the kernel has for files it did not ask to
 * open. */
void *opened_file(uint64_t handle);
void opened_close(struct mount *mount, uint64_t handle); /* 0 is ignored */
/* No thread of the mount runs any more. */
void opened_close_all(struct mount *mount);
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		  int flags);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ops_names.c */
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		struct fuse_file_info *fi);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *as,
		unsigned flags);

/* ops_write.c */
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		 struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t at,
	       struct fuse_file_info *fi);
void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t at, off_t len,
		   struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t at, struct fuse_file_info *from_fi,
			 fuse_ino_t to, off_t to_at, struct fuse_file_info *to_fi, size_t len,
			 int flags);
void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t at, int whence, struct fuse_file_info *fi);
/* The set-user-id and set-group-id bits go, if the request is one that takes them. */
int ops_drop_set_id(fuse_req_t req, struct tree_call *call, struct inode *inode);

/* mount_io.c: after fuse_session_mount(). 0 or -errno. */
int mount_io_set(struct mount *mount);
/* Whether the kernel leaves it to us to take the set-user-id and set-group-id bits of the file that
 * this request is about. */
bool mount_io_drops_set_id(const struct fuse_buf *request);

#endif
