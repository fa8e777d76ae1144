/* Open files: bytes go to the file's data (data.h), which has a lock of its own; the tree notes
 * that the file changed. Full chunks become blocks on the thread that filled them, the rest when
 * the last writer closes. */
#include "dag/tree/tree_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <fcntl.h>
#include <linux/falloc.h>

#define SEAL_MS 1000 /* to wait at a close for blocks of the base; later, the commit does it */

struct tree_file {
	struct tree *tree;
	struct node *node; /* counts in its opens and refs */
	struct data *data;
	bool write;
	uint64_t told; /* the failure of a cut that was told last */
};

/* ---- opening ---- */

static int open_check(const struct tree *tree, const struct node *node, bool write)
{
	if (!node)
		return -ESTALE;
	if (write && !tree->config.writer)
		return -EROFS;
	if (S_ISDIR(node->mode))
		return -EISDIR;
	return S_ISLNK(node->mode) ? -ELOOP : 0;
}

int tree_file_open(struct tree *tree, uint64_t number, bool write, bool truncate, struct wait *wait,
		   struct tree_file **out)
{
	int err = truncate ? tree_wait_room(tree, wait) : 0;

	if (err)
		return err;
	tree_lock(tree);
	struct node *node = node_get(tree, number);

	err = open_check(tree, node, write || truncate);
	if (!err && truncate && node_size(node)) {
		err = data_truncate(node_data(node), 0);
		if (!err) {
			node->mtime = node->ctime = tree_now();
			node_changed(node);
		}
	}
	if (!err) {
		struct tree_file *file = xnew(struct tree_file);

		file->tree = tree;
		file->node = node_ref(node);
		file->data = node_data(node);
		file->write = write;
		file->told = tree->failures;
		node->opens++;
		node->writers += write;
		*out = file;
	}
	tree_unlock(tree);
	return err;
}

/* Chunks become blocks; what does not stays as it is, and is cut as bytes. */
static void seal(struct tree *tree, struct node *node, struct data *data, enum data_seal which,
		 struct wait *wait)
{
	int err = data_seal(data, which, wait);

	if (err && err != -EINTR && err != -ETIMEDOUT && err != -EHOSTUNREACH)
		log_warn("tree", "a file of share %s is kept as bytes: %s", tree->share.name,
			 err_text(err));
	tree_lock(tree);
	if (data_is_dirty(data))
		node_queue(node);
	tree_unlock(tree);
}

/* The last writer is about to close. */
static void seal_closed(struct tree_file *file)
{
	struct tree *tree = file->tree;
	struct wait wait;

	tree_lock(tree);
	bool wanted = file->write && file->node->writers == 1 && !file->node->orphan;

	tree_unlock(tree);
	if (!wanted || data_is_base(file->data, NULL) || wait_init(&wait))
		return;
	wait_start(&wait, SEAL_MS);
	seal(tree, file->node, file->data, DATA_SEAL_ALL, &wait);
	wait_release(&wait);
}

void tree_file_close(struct tree_file *file)
{
	struct tree *tree = file->tree;
	struct node *node = file->node;

	seal_closed(file);
	tree_lock(tree);
	node->opens--;
	node->writers -= file->write;
	if (node->orphan && !node->opens)
		node_queue(node);
	node_unref(node);
	tree_unlock(tree);
	free(file);
}

int tree_file_error(struct tree_file *file)
{
	int err = 0;

	tree_lock(file->tree);
	if (file->tree->failures != file->told && data_is_dirty(file->data))
		err = file->tree->cut_err;
	file->told = file->tree->failures;
	tree_unlock(file->tree);
	return err;
}

/* ---- reading ---- */

int tree_file_read(struct tree_file *file, uint64_t at, size_t size, struct wait *wait,
		   tree_data_fn *bytes, void *ctx)
{
	struct data_view view;
	int err = data_view(file->data, at, size, wait, &view);

	if (err)
		return err;
	/* What is not whole in one view is read as a copy. */
	if (view.len < size && at + view.len < data_size(file->data)) {
		uint8_t *copy = malloc(size);

		data_view_release(&view);
		if (!copy)
			return -ENOMEM;
		ssize_t got = data_read(file->data, at, copy, size, wait);

		if (got >= 0)
			bytes(ctx, &(struct iovec){ copy, (size_t)got }, 1);
		free(copy);
		return got < 0 ? (int)got : 0;
	}
	bytes(ctx, view.iov, view.count);
	data_view_release(&view);
	return 0;
}

int64_t tree_file_seek(struct tree_file *file, uint64_t at, int whence, struct wait *wait)
{
	return data_seek(file->data, at, whence, wait);
}

/* ---- writing ---- */

/* Before a change: may there be another changed file, and is there room on the disk? */
static int write_begin(struct tree_file *file, size_t bytes, struct wait *wait)
{
	struct tree *tree = file->tree;

	if (!file->write)
		return -EBADF;
	tree_lock(tree);
	bool is_changed = file->node->changed;
	int err = tree_space(tree, bytes);

	tree_unlock(tree);
	return err || is_changed ? err : tree_wait_room(tree, wait);
}

static void write_end(struct tree_file *file, size_t bytes)
{
	struct tree *tree = file->tree;

	tree_lock(tree);
	file->node->mtime = file->node->ctime = tree_now();
	node_changed(file->node);
	tree_wrote(tree, bytes);
	tree_unlock(tree);
}

int tree_file_write(struct tree_file *file, uint64_t at, bool append, struct bytes data,
		    struct wait *wait)
{
	uint64_t place;
	int err = write_begin(file, data.len, wait);

	if (!err)
		err = append ? data_append(file->data, data, wait, &place)
			     : data_write(file->data, at, data, wait);
	if (err)
		return err;
	write_end(file, data.len);
	if (data_has_full(file->data))
		seal(file->tree, file->node, file->data, DATA_SEAL_FULL, wait);
	return 0;
}

int tree_file_allocate(struct tree_file *file, int mode, uint64_t at, uint64_t len,
		       struct wait *wait)
{
	int err = write_begin(file, 0, wait);

	if (err)
		return err;
	if (at > TREE_FILE_MAX || len > TREE_FILE_MAX - at)
		return -EFBIG;
	switch (mode) {
	case 0:
		err = data_extend(file->data, at + len);
		break;
	case FALLOC_FL_KEEP_SIZE:
		return 0;
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		err = data_punch(file->data, at, len, wait);
		break;
	case FALLOC_FL_ZERO_RANGE:
		err = data_zero(file->data, at, len, wait);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!err)
		write_end(file, 0);
	return err;
}

ssize_t tree_file_copy(struct tree_file *from, uint64_t at, struct tree_file *to, uint64_t to_at,
		       uint64_t len, struct wait *wait)
{
	ssize_t copied = write_begin(to, 0, wait);

	if (copied)
		return copied;
	copied = data_copy(from->data, at, to->data, to_at, len, wait);
	if (copied > 0)
		write_end(to, 0);
	return copied;
}
