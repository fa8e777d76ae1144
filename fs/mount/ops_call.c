/* What all requests share: the inode and the call of one, and its answer when it fails. Threads of
 * the mount. */
#include "fs/mount/mount_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

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
		log_warn("mount", "a block did not come, of cid=%s err=\"%s\"",
			 cid ? cid_text(cid, text) : "-", wait_err_text(&worker->wait, err, why));
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

struct tree_call ops_call(fuse_req_t req)
{
	struct mount *mount = ops_mount(req);

	return (struct tree_call){ .mount = mount,
				   .inodes = &mount->inodes,
				   .wait = &worker_self(mount)->wait };
}

void ops_fail_call(fuse_req_t req, int err, const struct tree_call *call, const struct inode *inode)
{
	struct cid cid = call->about;

	ops_fail(req, err, cid_is_set(&cid) || inode_cid(inode, &cid) ? &cid : NULL);
}

int ops_stat(struct tree_call *call, struct inode *inode, struct stat *st)
{
	int err = inode->tree->ops->stat(inode->tree, call, inode, st);

	st->st_ino = inode->ino;
	return err;
}

int ops_entry(struct tree_call *call, double entry_s, struct inode *inode,
	      struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){
		.ino = inode->ino,
		.attr_timeout = ops_validity(inode).attr_s,
		.entry_timeout = entry_s,
	};
	return ops_stat(call, inode, &entry->attr);
}

/* ---- lookup ---- */
