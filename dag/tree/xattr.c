/* Extended attributes of a node: a few, in the order of manifests. */
#include "dag/tree/tree_private.h"

#include <sys/xattr.h>

static struct bytes copy(struct bytes from)
{
	uint8_t *at = xcalloc(1, from.len + 1);

	if (from.len)
		memcpy(at, from.at, from.len);
	return bytes_of(at, from.len);
}

static void xattr_release(struct manifest_xattr *xattr)
{
	free((void *)xattr->name.at);
	free((void *)xattr->value.at);
}

void xattrs_copy(struct node *node, const struct manifest_xattr *at, size_t count)
{
	xattrs_release(node);
	if (!count)
		return;
	node->xattrs = xcalloc(count, sizeof(*node->xattrs));
	node->xattr_count = count;
	for (size_t i = 0; i < count; i++) {
		node->xattrs[i].name = copy(at[i].name);
		node->xattrs[i].value = copy(at[i].value);
		node->xattr_bytes += at[i].name.len + at[i].value.len;
	}
}

void xattrs_release(struct node *node)
{
	for (size_t i = 0; i < node->xattr_count; i++)
		xattr_release(&node->xattrs[i]);
	free(node->xattrs);
	node->xattrs = NULL;
	node->xattr_count = node->xattr_bytes = 0;
}

/* -EPERM: ours alone; -ENOTSUP: another kind, or a name that a manifest cannot hold. */
static int xattr_check(struct bytes name)
{
	if (bytes_start_with(name, bytes_str("user.ipfs.")) ||
	    bytes_start_with(name, bytes_str("user.dagfs.")))
		return -EPERM;
	return manifest_xattr_allowed(name) ? 0 : -ENOTSUP;
}

/* The shorter name first, then by bytes. *there: it is at the index, else it would be. */
static size_t xattr_place(const struct node *node, struct bytes name, bool *there)
{
	size_t i = 0;

	*there = false;
	for (; i < node->xattr_count; i++) {
		struct bytes other = node->xattrs[i].name;
		int order = other.len != name.len ? (other.len < name.len ? -1 : 1)
						  : bytes_cmp(other, name);

		*there = !order;
		if (order >= 0)
			break;
	}
	return i;
}

static int remove_at(struct node *node, size_t i, bool there)
{
	if (!there)
		return -ENODATA;
	node->xattr_bytes -= node->xattrs[i].name.len + node->xattrs[i].value.len;
	xattr_release(&node->xattrs[i]);
	node->xattr_count--;
	memmove(&node->xattrs[i], &node->xattrs[i + 1],
		(node->xattr_count - i) * sizeof(*node->xattrs));
	return 0;
}

static int set_at(struct node *node, size_t i, bool there, struct bytes name, struct bytes value,
		  int flags)
{
	size_t before = there ? node->xattrs[i].name.len + node->xattrs[i].value.len : 0;

	if (there && flags & XATTR_CREATE)
		return -EEXIST;
	if (!there && flags & XATTR_REPLACE)
		return -ENODATA;
	if (value.len > TREE_XATTRS_MAX ||
	    node->xattr_bytes - before + name.len + value.len > TREE_XATTRS_MAX)
		return -ENOSPC;
	if (!there) {
		node->xattrs =
			xrealloc(node->xattrs, (node->xattr_count + 1) * sizeof(*node->xattrs));
		memmove(&node->xattrs[i + 1], &node->xattrs[i],
			(node->xattr_count - i) * sizeof(*node->xattrs));
		node->xattr_count++;
		node->xattrs[i] = (struct manifest_xattr){ .name = copy(name) };
	}
	free((void *)node->xattrs[i].value.at);
	node->xattrs[i].value = copy(value);
	node->xattr_bytes += name.len + value.len - before;
	return 0;
}

int tree_xattr_set(struct tree *tree, uint64_t number, const char *text, struct bytes value,
		   int flags)
{
	struct bytes name = bytes_str(text);
	int err = tree->config.writer ? xattr_check(name) : -EROFS;
	bool there;

	if (err)
		return err;
	tree_lock(tree);
	struct node *node = node_get(tree, number);

	if (!node) {
		err = -ESTALE;
	} else if (!value.at) {
		size_t i = xattr_place(node, name, &there);

		err = remove_at(node, i, there);
	} else {
		size_t i = xattr_place(node, name, &there);

		err = set_at(node, i, there, name, value, flags);
	}
	if (!err) {
		node->ctime = tree_now();
		node_changed(node);
	}
	tree_unlock(tree);
	return err;
}

int tree_xattr_get(struct tree *tree, uint64_t number, const char *name, struct buf *value)
{
	int err = xattr_check(bytes_str(name));
	bool there;

	if (err)
		return err;
	tree_lock(tree);
	const struct node *node = node_get(tree, number);

	if (node) {
		size_t i = xattr_place(node, bytes_str(name), &there);

		if (there)
			buf_add(value, node->xattrs[i].value);
		else
			err = -ENODATA;
	} else {
		err = -ESTALE;
	}
	tree_unlock(tree);
	return err;
}

int tree_xattr_list(struct tree *tree, uint64_t number, struct buf *names)
{
	tree_lock(tree);
	const struct node *node = node_get(tree, number);

	for (size_t i = 0; node && i < node->xattr_count; i++) {
		buf_add(names, node->xattrs[i].name);
		buf_add_u8(names, 0);
	}
	tree_unlock(tree);
	return node ? 0 : -ESTALE;
}
