/* cat: bytes of files. They are copied out of the store before the face gets them, so that a slow
 * reader holds no snapshot. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <stdlib.h>

#define PIECE_BYTES (1u << 20)
/* Of a page: from some other places the kernel copied at half the speed. */
#define PIECE_ALIGN 4096

static const struct option_spec cat_options[] = {
	{ "offset", 'o', OPTION_SIZE, "BYTES", "begin here", "0" },
	{ "length", 'l', OPTION_SIZE, "BYTES", "stop after so many", NULL },
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

/* What is still to be written, across all files given. */
struct cat {
	struct api_call *call;
	uint64_t offset, left;
	uint8_t *piece;
};

/* Bytes are copied out of the store before the face gets them: a reader that is slow must not hold
 * a snapshot of it. */
static int copy_out(struct cat *cat, struct file *file, uint64_t len)
{
	bool shows = api_flag(cat->call->args, "progress");
	struct api_progress progress = { .what = "read", .total_bytes = len };
	uint64_t offset = cat->offset;
	int err = 0;

	while (len && !err) {
		struct wait *wait = api_wait(cat->call);
		ssize_t n = wait_check(wait); /* what is stored is read without waiting */

		if (!n)
			n = file_read(file, offset, cat->piece,
				      len < PIECE_BYTES ? len : PIECE_BYTES, wait);
		if (n <= 0) {
			err = n ? (int)n : -EIO;
			break;
		}
		err = api_bytes(cat->call, bytes_of(cat->piece, (size_t)n));
		offset += (uint64_t)n;
		len -= (uint64_t)n;
		progress.bytes += (uint64_t)n;
		if (shows)
			api_progress(cat->call, &progress);
	}
	if (shows)
		api_progress(cat->call, NULL);
	return err;
}

static int cat_file(struct cat *cat, struct file *file)
{
	uint64_t size = file_size(file), len;
	int err;

	if (cat->offset >= size) {
		cat->offset -= size;
		return 0;
	}
	len = size - cat->offset < cat->left ? size - cat->offset : cat->left;
	err = copy_out(cat, file, len);
	cat->offset = 0;
	cat->left -= len;
	return err;
}

/* False after the end of the call. */
static bool cat_one(struct cat *cat, struct blocks *blocks, const char *path)
{
	struct api_call *call = cat->call;
	struct file *file;
	struct cid cid;
	int err;

	if (api_resolve(call, blocks, path, &cid))
		return false;
	err = file_open(blocks, &cid, api_wait(call), &file);
	if (err == -EISDIR) {
		api_refuse(call, err, "%s: this dag node is a directory", path);
		return false;
	}
	if (!err) {
		err = cat_file(cat, file);
		file_close(file);
	}
	if (err)
		api_fail(call, err, "cannot read %s", path);
	return !err;
}

static void run_cat(struct api_call *call)
{
	struct cat cat = { .call = call, .left = UINT64_MAX };
	size_t count = api_word_count(call->args);
	bool going = true;

	cat.offset = (uint64_t)api_int(call->args, "offset");
	if (json_object_get(call->args, "length"))
		cat.left = (uint64_t)api_int(call->args, "length");
	cat.piece = aligned_alloc(PIECE_ALIGN, PIECE_BYTES);
	if (!cat.piece)
		out_of_memory();
	for (size_t i = 0; i < count && going && cat.left; i++) {
		struct blocks *blocks = api_blocks(call, true);

		going = cat_one(&cat, blocks, api_word(call->args, i));
		blocks_free(blocks);
	}
	free(cat.piece);
	if (going)
		api_end(call, 0, NULL);
}

const struct api_row api_cat = {
	.command = { "cat", "PATH...", 1, -1, "write files to the output", NULL, cat_options,
		     NULL },
	.flags = API_BYTES | API_STREAMS,
	.run = run_cat,
};
