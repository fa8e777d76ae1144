/* Extended attributes: what a file is in the world of blocks. Each is read by its name; the list is
 * in fs/README.md. They are not listed, as they cannot be set elsewhere: programs that copy what is
 * listed would fail. Trees that change tell their own. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/map.h"

#include <stdlib.h>
#include <string.h>

#define COUNTED_MAX (1u << 20) /* blocks looked at for one answer */

/* Blocks of a tree as far as they can be seen from here. */
struct census {
	struct blocks *blocks;
	struct map known; /* multihash -> anything */
	size_t known_count;
	uint64_t local, local_bytes;
};

struct attribute {
	const char *name;
	/* Appends the value; -errno. */
	int (*value)(struct mount *mount, struct inode *inode, const struct cid *cid,
		     struct buf *out);
};

/* ---- values ---- */

static int value_cid(struct mount *mount, struct inode *inode, const struct cid *cid,
		     struct buf *out)
{
	char text[CID_TEXT_MAX];

	(void)mount;
	(void)inode;
	buf_add_str(out, cid_text(cid, text));
	return 0;
}

static int value_size(struct mount *mount, struct inode *inode, const struct cid *cid,
		      struct buf *out)
{
	(void)mount;
	(void)cid;
	buf_printf(out, "%llu", (unsigned long long)inode->tree_size);
	return 0;
}

static bool is_missing(void *ctx, const struct cid *cid)
{
	struct census *census = ctx;

	return !blocks_has(census->blocks, cid);
}

static int note_link(void *ctx, const struct cid *cid)
{
	struct census *census = ctx;

	map_set(&census->known, cid_hash_bytes(cid), census);
	return census->known.count > COUNTED_MAX ? -EFBIG : 0;
}

static int note_block(void *ctx, const struct block *block, unsigned depth)
{
	struct census *census = ctx;

	(void)depth;
	census->local++;
	census->local_bytes += block->data.len;
	int err = dag_links(block->data, block->cid.codec, note_link, census);

	return err == -ENOTSUP ? 0 : err;
}

/* Walks what is stored; never fetches. -EFBIG for trees of more than COUNTED_MAX blocks. */
static int ops_xattr_count(struct mount *mount, struct inode *inode, const struct cid *cid,
			   struct census *census)
{
	const struct dag_walk_config config = { .skip_seen = true, .stored_only = true };

	*census = (struct census){ .blocks = inode_root(inode)->blocks };
	int err = note_link(census, cid);

	if (!is_missing(census, cid))
		err = dag_walk(census->blocks, cid, &config, &worker_self(mount)->wait, 0,
			       note_block, is_missing, census);
	census->known_count = census->known.count;
	map_release(&census->known);
	return err;
}

static int value_blocks(struct mount *mount, struct inode *inode, const struct cid *cid,
			struct buf *out)
{
	struct census census;
	int err = ops_xattr_count(mount, inode, cid, &census);

	buf_printf(out, "%zu", census.known_count);
	return err;
}

static int value_local_blocks(struct mount *mount, struct inode *inode, const struct cid *cid,
			      struct buf *out)
{
	struct census census;
	int err = ops_xattr_count(mount, inode, cid, &census);

	buf_printf(out, "%llu", (unsigned long long)census.local);
	return err;
}

static int value_local_bytes(struct mount *mount, struct inode *inode, const struct cid *cid,
			     struct buf *out)
{
	struct census census;
	int err = ops_xattr_count(mount, inode, cid, &census);

	buf_printf(out, "%llu", (unsigned long long)census.local_bytes);
	return err;
}

/* "indirect" is told of what is seen through a pinned root; whether another pin holds it too would
 * take a walk over all pins. */
static int value_pinned(struct mount *mount, struct inode *inode, const struct cid *cid,
			struct buf *out)
{
	struct pin pin;
	int err = mount->db ? pin_get(mount->db, cid, &pin) : -ENOENT;
	const char *text = "no";

	if (!err && pin.direct)
		text = "direct"; /* until it is recursive */
	else if (!err && pin.state != PIN_DONE)
		text = "wanted"; /* interrupted: some blocks are missing */
	else if (!err)
		text = pin.kind == PIN_RECURSIVE ? "recursive" : "direct";
	else if (err != -ENOENT)
		return err;
	else if (mount->db && !pin_get(mount->db, &inode_root(inode)->cid, &pin) &&
		 pin.kind == PIN_RECURSIVE && pin.state == PIN_DONE)
		text = "indirect";
	buf_add_str(out, text);
	return 0;
}

static const struct attribute attributes[] = {
	{ "user.ipfs.cid", value_cid },
	{ "ipfs.cid", value_cid },
	{ "user.dagfs.size", value_size },
	{ "user.dagfs.blocks", value_blocks },
	{ "user.dagfs.local_blocks", value_local_blocks },
	{ "user.dagfs.local_bytes", value_local_bytes },
	{ "user.dagfs.pinned", value_pinned },
};

/* ---- requests ---- */

/* size 0 asks how much there is. */
static void xattr_reply(fuse_req_t req, const struct buf *value, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)value->at, value->len);
}

/* What no name of this sort can be told of. The caller (ls -l) then asks no more on this mount; "no
 * such attribute" would be asked of each file. */
static bool is_foreign(const char *name)
{
	return strncmp(name, "user.", 5) != 0;
}

static void get_of_tree(fuse_req_t req, struct inode *inode, const char *name, size_t size)
{
	struct tree_call call = ops_call(req);
	struct buf value = { 0 };
	int err = is_foreign(name)
			  ? -EOPNOTSUPP
			  : inode->tree->ops->xattr_get(inode->tree, &call, inode, name, &value);

	if (err)
		ops_fail_change(req, err);
	else
		xattr_reply(req, &value, size);
	buf_release(&value);
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct inode *inode = ops_inode(req, ino);
	const struct attribute *found = NULL;
	struct buf value = { 0 };
	struct cid cid;

	if (!inode)
		return;
	if (inode->tree->ops->xattr_get) {
		get_of_tree(req, inode, name, size);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (strcmp(name, attributes[i].name) == 0)
			found = &attributes[i];
	if (!found || !inode_cid(inode, &cid)) {
		fuse_reply_err(req, !found && is_foreign(name) ? EOPNOTSUPP : ENODATA);
		return;
	}
	int err = found->value(ops_mount(req), inode, &cid, &value);

	if (err)
		ops_fail(req, err, &cid);
	else
		xattr_reply(req, &value, size);
	buf_release(&value);
}

/* An empty list, and not "not supported" (which the kernel would remember): tar and getfattr
 * complain of that. */
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct inode *inode = ops_inode(req, ino);
	struct buf names = { 0 };

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;
	int err = ops->xattr_list ? ops->xattr_list(inode->tree, &call, inode, &names) : 0;

	if (err)
		ops_fail_change(req, err);
	else
		xattr_reply(req, &names, size);
	buf_release(&names);
}

static void ops_xattr_set(fuse_req_t req, fuse_ino_t ino, const char *name, struct bytes value,
			  int flags)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;
	int err = -EROFS;

	if (ops->xattr_set && is_foreign(name))
		err = -EOPNOTSUPP;
	else if (ops->xattr_set)
		err = ops->xattr_set(inode->tree, &call, inode, name, value, flags);
	ops_answer_change(req, err);
}

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		  int flags)
{
	ops_xattr_set(req, ino, name, bytes_of(value, size), flags);
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	ops_xattr_set(req, ino, name, bytes_of(NULL, 0), 0);
}
