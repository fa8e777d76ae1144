/* What all requests share: the inode and the call of one, and its answer when it fails. Threads of
 * the mount. */
#include "fs/mount/mount_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <string.h>

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

/* The same of a change, whose errors are those of the system call but for the ones that only
 * net/base/err.h means otherwise. */
static int errno_of_change(int err)
{
	return err == -ENOTSUP || err == -EFBIG || err == -EAGAIN ? -err : errno_of(err);
}

static void call_fail(fuse_req_t req, int err, int told, const struct cid *cid)
{
	struct worker *worker = worker_self(ops_mount(req));
	char text[CID_TEXT_MAX], why[WAIT_TEXT_MAX];

	if (worker->park) {
		worker->unanswered = true;
		fuse_reply_none(req);
		return;
	}
	/* Not of what failed a moment ago and was only looked at again. */
	if (err == -ETIMEDOUT && worker->timeout_ms == worker->mount->timeout_ms)
		log_warn("mount", "a block did not come, of cid=%s err=\"%s\"",
			 cid ? cid_text(cid, text) : "-", wait_err_text(&worker->wait, err, why));
	if (told == EIO)
		log_warn("mount", "cannot be shown cid=%s err=%s", cid ? cid_text(cid, text) : "-",
			 err_text(err));
	fuse_reply_err(req, told);
}

void ops_fail(fuse_req_t req, int err, const struct cid *cid)
{
	call_fail(req, err, errno_of(err), cid);
}

void ops_fail_change(fuse_req_t req, int err)
{
	call_fail(req, err, errno_of_change(err), NULL);
}

void ops_answer_change(fuse_req_t req, int err)
{
	if (err)
		ops_fail_change(req, err);
	else
		fuse_reply_err(req, 0);
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
	*st = (struct stat){ 0 };
	int err = inode->tree->ops->stat(inode->tree, call, inode, st);

	if (!st->st_ino)
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

/* The lookup was counted; a caller that was interrupted does not know of it. */
void ops_reply_inode(fuse_req_t req, struct tree_call *call, double entry_s, struct inode *inode)
{
	struct fuse_entry_param entry;
	uint64_t ino = inode->ino;
	int err = ops_entry(call, entry_s, inode, &entry);

	if (err)
		ops_fail_call(req, err, call, inode);
	if (err || fuse_reply_entry(req, &entry))
		inode_forget(call->inodes, ino, 1);
}

bool ops_name_fits(fuse_req_t req, const char *name)
{
	if (strlen(name) <= NAME_LEN_MAX)
		return true;
	fuse_reply_err(req, ENAMETOOLONG);
	return false;
}
