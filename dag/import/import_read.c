/* From a descriptor to leaves. A leaf is given only when the next one was read (or the end): the
 * only leaf of a file carries the file's metadata. The importing thread. */
#include "dag/import/import_private.h"
#include "dag/unixfs.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_MIN (4u << 20)

struct reader {
	struct importer *importer;
	struct import_entry *file;
	int fd;
	bool regular, end;
	uint64_t size_hint, total;
	struct leaf *held; /* read, not yet given */
	bool held_is_first;
};

/* Up to len bytes (0: the end), waiting interruptibly. */
static ssize_t read_some(struct reader *reader, uint8_t *at, size_t len)
{
	const struct import_config *config = &reader->importer->builder.config;

	for (;;) {
		struct pollfd fds[] = { { .fd = reader->fd, .events = POLLIN },
					{ .fd = reader->importer->wait->fd, .events = POLLIN } };
		int err = importer_check(reader->importer);
		ssize_t got;

		if (err)
			return err;
		if (!reader->regular && poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		err = importer_check(reader->importer);
		if (err)
			return err;
		got = read(reader->fd, at, len);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return -errno;
		reader->total += (uint64_t)got;
		reader->file->bytes += (uint64_t)got;
		if (got == 0)
			reader->end = true;
		else if (config->on_bytes)
			config->on_bytes(config->ctx, (uint64_t)got);
		/* Saves a read that would say no more than this one does. */
		if (reader->regular && (size_t)got < len && reader->total == reader->size_hint)
			reader->end = true;
		return got;
	}
}

/* Makes a leaf a job. If leaves are wrapped, the only leaf of a balanced file carries the file's
 * metadata. */
static int read_give(struct reader *reader, struct leaf *leaf, bool only)
{
	const struct import_config *config = &reader->importer->builder.config;
	struct job *job = xnew(struct job);

	job->kind = JOB_LEAF;
	job->entry = reader->file;
	job->leaf = leaf;
	if (config->raw_leaves) {
		job->data = bytes_of(leaf->at, leaf->len);
		job->codec = CODEC_RAW;
		job->version = 1;
	} else {
		bool balanced = config->layout == LAYOUT_BALANCED;

		job->data = leaf_wrap(leaf, balanced ? UNIXFS_FILE : UNIXFS_RAW,
				      balanced && only ? &reader->file->attributes : NULL);
		job->codec = CODEC_DAG_PB;
		job->version = config->cid_version;
	}
	return importer_give(reader->importer, job);
}

/* Takes leaf, which is not empty. */
static int next_leaf(struct reader *reader, struct leaf *leaf)
{
	struct leaf *before = reader->held;

	reader->held = leaf;
	reader->held_is_first = !before;
	return before ? read_give(reader, before, false) : 0;
}

static int last_leaf(struct reader *reader)
{
	struct leaf *leaf = reader->held;
	bool balanced = reader->importer->builder.config.layout == LAYOUT_BALANCED;

	reader->held = NULL;
	if (!leaf && balanced) { /* an empty file is one empty leaf */
		leaf = leaf_take(reader->importer->leaves, 0);
		reader->held_is_first = true;
	}
	return leaf ? read_give(reader, leaf, reader->held_is_first) : 0;
}

/* ---- chunks of one size: read to where the block will be ---- */

static struct leaf *read_grow(struct reader *reader, struct leaf *leaf)
{
	struct leaf *large = leaf_take(reader->importer->leaves, reader->importer->chunker.max);

	memcpy(large->at, leaf->at, leaf->len);
	large->len = leaf->len;
	leaf_drop(leaf);
	return large;
}

static int read_leaf(struct reader *reader, struct leaf **out)
{
	size_t max = reader->importer->chunker.max;
	uint64_t left = reader->total < reader->size_hint ? reader->size_hint - reader->total : 0;
	/* One byte more than is expected: so the end shows in a short read. */
	struct leaf *leaf =
		leaf_take(reader->importer->leaves, left < max ? (size_t)left + 1 : max);

	while (!reader->end && leaf->len < max) {
		if (leaf->len == leaf->cap)
			leaf = read_grow(reader, leaf);

		size_t room = (leaf->cap < max ? leaf->cap : max) - leaf->len;
		ssize_t got = read_some(reader, leaf->at + leaf->len, room);

		if (got < 0) {
			leaf_drop(leaf);
			return (int)got;
		}
		leaf->len += (size_t)got;
	}
	*out = leaf;
	return 0;
}

static int read_sized(struct reader *reader)
{
	int err = 0;

	while (!err && !reader->end) {
		struct leaf *leaf = NULL;

		err = read_leaf(reader, &leaf);
		if (err)
			break;
		if (leaf->len > 0)
			err = next_leaf(reader, leaf);
		else
			leaf_drop(leaf);
	}
	return err;
}

/* ---- chunks cut by content: read to a window, copied to leaves ---- */

static int read_fill(struct reader *reader, struct buf *window, size_t size)
{
	buf_reserve(window, size - window->len);
	while (!reader->end && window->len < size) {
		ssize_t got = read_some(reader, window->at + window->len, size - window->len);

		if (got < 0)
			return (int)got;
		window->len += (size_t)got;
	}
	return 0;
}

/* Reads through a window, for chunkers that look at the bytes to find the cut. */
static int read_cut(struct reader *reader)
{
	struct importer *importer = reader->importer;
	size_t max = importer->chunker.max;
	size_t size = 2 * max > WINDOW_MIN ? 2 * max : WINDOW_MIN;
	struct buf *window = &importer->window;
	int err = 0;

	buf_clear(window);
	while (!err && !(reader->end && window->len == 0)) {
		size_t at = 0;

		err = read_fill(reader, window, size);
		while (!err && at < window->len && (reader->end || window->len - at >= max)) {
			struct bytes rest = bytes_skip(buf_bytes(window), at);
			size_t len = chunker_cut(&importer->chunker, rest);
			struct leaf *leaf = leaf_take(importer->leaves, len);

			memcpy(leaf->at, rest.at, len);
			leaf->len = len;
			at += len;
			err = next_leaf(reader, leaf);
		}
		buf_consume(window, at);
	}
	return err;
}

int importer_read(struct importer *importer, int fd, bool regular, uint64_t size_hint,
		  struct import_entry *file)
{
	struct reader reader = { .importer = importer,
				 .file = file,
				 .fd = fd,
				 .regular = regular,
				 .size_hint = size_hint };
	int err;

	if (size_hint > importer->chunker.max)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	err = importer->chunker.kind == CHUNKER_SIZE ? read_sized(&reader) : read_cut(&reader);
	if (!err)
		err = last_leaf(&reader);
	leaf_drop(reader.held);
	return err;
}
