/* Requests: names, attributes, and what the mount is as a whole. */
#include "fs/mount/mount_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <string.h>
#include <sys/statvfs.h>

#define NAME_LEN_MAX 255
#define IPFS_NAME "ipfs"

/* ---- shared ---- */

struct mount *ops_mount(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* What an application is told; the meanings of net/base/err.h are finer than its errnos. */
static int errno_of(int err)
{
	switch (err) {
	case -EBADMSG:
	case -EPROTO:
	case -ENOTSUP:
	case -EFBIG:
		return EIO;
	case -EAGAIN:
		return EBUSY;
	case -ECANCELED:
		return EHOSTUNREACH;
	default:
		return -err;
	}
}

void ops_fail(fuse_req_t req, int err, const struct cid *cid)
{
	struct worker *worker = worker_self(ops_mount(req));
	char text[CID_TEXT_MAX], why[WAIT_TEXT_MAX];

	if (worker->park) {
		fuse_reply_none(req);
		return;
	}
	/* Not of what failed a moment ago and was only looked at again. */
	if (err == -ETIMEDOUT && worker->timeout_ms == worker->mount->timeout_ms)
		log_warn("mount", "a block did not come, of cid=%s err=\"%s\"", cid ? cid_text(cid, text) : "-",
			 wait_err_text(&worker->wait, err, why));
	if (errno_of(err) == EIO)
		log_warn("mount", "cannot be shown cid=%s err=%s", cid ? cid_text(cid, text) : "-",
			 err_text(err));
	fuse_reply_err(req, errno_of(err));
}

struct inode *ops_inode(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *mount = ops_mount(req);
	struct inode *inode = inode_find(&mount->inodes, ino);

	worker_self(mount)->req = req;
	if (!inode)
		fuse_reply_err(req, ESTALE);
	return inode;
}

void ops_entry(const struct mount *mount, const struct inode *inode, struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){
		.ino = inode->ino,
		.attr_timeout = MOUNT_FOREVER,
		.entry_timeout = MOUNT_FOREVER,
	};
	inode_attributes(&mount->inodes, inode, &entry->attr);
}

/* ---- lookup ---- */

/* The lookup was counted; a caller that was interrupted does not know of it. */
static void reply_inode(fuse_req_t req, struct inode *inode)
{
	struct mount *mount = ops_mount(req);
	struct fuse_entry_param entry;
	uint64_t ino = inode->ino;

	ops_entry(mount, inode, &entry);
	if (fuse_reply_entry(req, &entry))
		inode_forget(&mount->inodes, ino, 1);
}

/* Proven absent, and for ever: nothing of the sort can appear. */
static void reply_absent(fuse_req_t req)
{
	const struct fuse_entry_param entry = { .entry_timeout = MOUNT_FOREVER };

	fuse_reply_entry(req, &entry);
}

static void lookup_namespace(fuse_req_t req, const char *name)
{
	struct mount *mount = ops_mount(req);

	if (strcmp(name, IPFS_NAME) == 0)
		reply_inode(req, inode_find(&mount->inodes, INODE_IPFS));
	else
		reply_absent(req);
}

/* The inode of content that a directory or a root leads to. */
static int enter(struct mount *mount, struct root *root, const struct cid *cid, struct place place,
		 struct inode **out)
{
	struct dag_stat stat;
	int err;

	*out = inode_known(&mount->inodes, cid, place);
	if (*out)
		return 0;
	err = dag_stat(&root->blocks, cid, &worker_self(mount)->wait, &stat);
	if (!err)
		*out = inode_enter(&mount->inodes, root, cid, place, &stat);
	return err;
}

static void lookup_root(fuse_req_t req, struct inode *parent, const char *name)
{
	struct mount *mount = ops_mount(req);
	struct inode *inode;
	struct cid cid;

	if (cid_from_text(&cid, name)) {
		reply_absent(req);
		return;
	}
	struct root *root = root_new(mount->store, mount->below ? &mount->fetcher : NULL, &cid);
	int err = enter(mount, root, &cid, place_of(parent, bytes_str(name)), &inode);

	root_unref(root);
	if (err)
		ops_fail(req, err, &cid);
	else
		reply_inode(req, inode);
}

static int lookup_in(struct mount *mount, struct inode *parent, const char *name, struct cid *cid,
		     struct inode **out)
{
	struct wait *wait = &worker_self(mount)->wait;
	struct dir_entry entry;
	struct view *view;
	int err = view_get(&mount->inodes, parent, wait, &view);

	inode_cid(parent, cid);
	if (err)
		return err;
	err = dir_lookup(view->dir, bytes_str(name), wait, &entry);
	if (!err) {
		*cid = entry.cid;
		if (mount->below)
			mount_ahead_looked_up(view, wait, !blocks_has(&view->root->blocks, cid));
		err = enter(mount, parent->root, cid, place_of(parent, bytes_str(name)), out);
		if (err == -ENOENT)
			err = -EIO; /* the name is there: this is about its block */
	}
	view_put(&mount->inodes, view);
	return err;
}

static void op_lookup(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct inode *parent = ops_inode(req, ino), *inode;
	struct cid cid;
	int err;

	if (!parent)
		return;
	if (strlen(name) > NAME_LEN_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	if (parent->kind == INODE_NAMESPACE) {
		lookup_namespace(req, name);
		return;
	}
	if (parent->kind == INODE_ROOTS) {
		lookup_root(req, parent, name);
		return;
	}
	err = lookup_in(ops_mount(req), parent, name, &cid, &inode);
	if (!err)
		reply_inode(req, inode);
	else if (err == -ENOENT)
		reply_absent(req);
	else
		ops_fail(req, err, &cid);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	inode_forget(&ops_mount(req)->inodes, ino, lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_forget(&ops_mount(req)->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* ---- attributes ---- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);
	struct stat st;

	(void)fi;
	if (!inode)
		return;
	inode_attributes(&ops_mount(req)->inodes, inode, &st);
	fuse_reply_attr(req, &st, MOUNT_FOREVER);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = ops_inode(req, ino);
	struct buf target = { 0 };
	struct cid cid;

	if (!inode)
		return;
	if (!inode_cid(inode, &cid)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	int err = dag_readlink(&inode->root->blocks, &cid, &worker_self(ops_mount(req))->wait,
			       &target);

	if (err) {
		ops_fail(req, err, &cid);
	} else {
		buf_add_u8(&target, 0);
		fuse_reply_readlink(req, (const char *)target.at);
	}
	buf_release(&target);
}

/* The size of what is stored here: of trees elsewhere nobody knows it. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *mount = ops_mount(req);
	struct store_stat stat = { 0 };
	struct statvfs out = { .f_bsize = MOUNT_REQUEST_MAX, .f_frsize = 4096 };

	(void)ino;
	if (!store_stat(mount->store, &stat)) {
		out.f_blocks = stat.bytes / out.f_frsize;
		out.f_files = stat.blocks;
	}
	out.f_namemax = NAME_LEN_MAX;
	out.f_flag = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOATIME;
	fuse_reply_statfs(req, &out);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
				FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS |
				FUSE_CAP_NO_OPEN_SUPPORT;
	const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_ASYNC_DIO; /* no signal would end a direct read */
	struct mount *mount = userdata;

	mount->dirs_stay =
		cid_is_set(&mount->root) && (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT);
	conn->want = (conn->want | (conn->capable & wanted)) & ~unwanted;
	conn->max_read = mount->options.max_read; /* as the mount option, or the library refuses */
	conn->max_write = MOUNT_REQUEST_MAX; /* also bounds the pages of a read */
	conn->max_readahead = MOUNT_REQUEST_MAX;
	conn->max_background = MOUNT_BACKGROUND_MAX;
	conn->congestion_threshold = MOUNT_BACKGROUND_MAX * 3 / 4;
}

/* No write operations: the kernel answers EROFS by itself. No flush, no release: nothing is kept
 * per open file or directory. */
const struct fuse_lowlevel_ops mount_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.statfs = op_statfs,
	.open = ops_open,
	.read = ops_read,
	.opendir = ops_opendir,
	.readdir = ops_readdir,
	.readdirplus = ops_readdirplus,
	.getxattr = ops_getxattr,
	.listxattr = ops_listxattr,
};
