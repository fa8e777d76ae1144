/* FUSE requests for names and attributes, and for the mount as a whole. Each finds the inode, calls
 * an operation of its tree, and answers. Threads of the mount. */
#include "fs/mount/mount_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <string.h>
#include <sys/statvfs.h>

/* Proven absent, and for how long. */
static void reply_absent(fuse_req_t req, double absent_s)
{
	const struct fuse_entry_param entry = { .entry_timeout = absent_s };

	if (absent_s > 0)
		fuse_reply_entry(req, &entry);
	else
		fuse_reply_err(req, ENOENT);
}

static void op_lookup(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct inode *dir = ops_inode(req, ino), *inode;

	if (!dir || !ops_name_fits(req, name))
		return;
	struct tree_call call = ops_call(req);
	struct tree_validity valid = ops_validity(dir);
	int err = dir->tree->ops->lookup(dir->tree, &call, dir, name, &inode);

	if (call.believed_s > 0)
		valid.entry_s = valid.absent_s = call.believed_s;
	if (!err)
		ops_reply_inode(req, &call, valid.entry_s, inode);
	else if (err == -ENOENT)
		reply_absent(req, valid.absent_s);
	else
		ops_fail_call(req, err, &call, dir);
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
	struct tree_call call = ops_call(req);
	int err = ops_stat(&call, inode, &st);

	if (err)
		ops_fail_call(req, err, &call, inode);
	else
		fuse_reply_attr(req, &st, ops_validity(inode).attr_s);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = ops_inode(req, ino);
	struct buf target = { 0 };

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;
	int err = ops->readlink ? ops->readlink(inode->tree, &call, inode, &target) : -EINVAL;

	if (err) {
		ops_fail_call(req, err, &call, inode);
	} else {
		buf_add_u8(&target, 0);
		fuse_reply_readlink(req, (const char *)target.at);
	}
	buf_release(&target);
}

/* Of a mount that is written: the disk of the store. Else the size of what is stored here: of trees
 * elsewhere nobody knows it. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *mount = ops_mount(req);
	struct store_stat stat = { 0 };
	struct statvfs out = { .f_bsize = MOUNT_REQUEST_MAX, .f_frsize = 4096 };
	int err = store_stat(mount->store, &stat);

	(void)ino;
	if (mount->writable && !err && *stat.path && !statvfs(stat.path, &out)) {
		out.f_flag = 0;
	} else if (!err) {
		out.f_blocks = stat.bytes / out.f_frsize;
		out.f_files = stat.blocks;
	}
	out.f_namemax = NAME_LEN_MAX;
	out.f_flag |= ST_NOSUID | ST_NODEV | ST_NOATIME | (mount->writable ? 0 : ST_RDONLY);
	fuse_reply_statfs(req, &out);
}

/* No writeback cache: with it a size that another changed is never shown, and a rename overtakes
 * what was written before. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
				FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS |
				FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_ATOMIC_O_TRUNC;
	const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_HANDLE_KILLPRIV | /* its second version: mount_io.c */
				  FUSE_CAP_ASYNC_DIO;	     /* no signal would end a direct read */
	struct mount *mount = userdata;

	const struct mount_tree_ops *ops = mount->tree->ops;

	mount->files_unasked = ops->files_unasked;
	mount->dirs_unasked = ops->dirs_unasked && (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT);
	conn->want = (conn->want | (conn->capable & wanted)) & ~unwanted;
	conn->max_read = mount->options.max_read; /* as the mount option, or the library refuses */
	conn->max_write = MOUNT_REQUEST_MAX;	  /* also bounds the pages of a read */
	conn->max_readahead = MOUNT_REQUEST_MAX;
	conn->max_background = MOUNT_BACKGROUND_MAX;
	conn->congestion_threshold = MOUNT_BACKGROUND_MAX * 3 / 4;
}

#define READING_OPS                                                                                \
	.init = op_init, .lookup = op_lookup, .forget = op_forget,                                 \
	.forget_multi = op_forget_multi, .getattr = op_getattr, .readlink = op_readlink,           \
	.statfs = op_statfs, .open = ops_open, .release = ops_release, .read = ops_read,           \
	.opendir = ops_opendir, .readdir = ops_readdir, .readdirplus = ops_readdirplus,            \
	.getxattr = ops_getxattr, .listxattr = ops_listxattr

/* No write operations: the kernel answers EROFS by itself. */
const struct fuse_lowlevel_ops mount_ops = { READING_OPS };

const struct fuse_lowlevel_ops mount_ops_writable = {
	READING_OPS,
	.create = ops_create,
	.mknod = ops_mknod,
	.mkdir = ops_mkdir,
	.symlink = ops_symlink,
	.link = ops_link,
	.unlink = ops_unlink,
	.rmdir = ops_rmdir,
	.rename = ops_rename,
	.setattr = ops_setattr,
	.write = ops_write,
	.flush = ops_flush,
	.fsync = ops_fsync,
	.fsyncdir = ops_fsyncdir,
	.fallocate = ops_fallocate,
	.copy_file_range = ops_copy_file_range,
	.lseek = ops_lseek,
	.setxattr = ops_setxattr,
	.removexattr = ops_removexattr,
};
