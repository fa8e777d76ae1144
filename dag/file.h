/* Files of a DAG: any layout (balanced, trickle, data inside nodes), raw leaves, raw blocks,
 * identity CIDs. Any thread but the loop's; one struct file may be read by many threads at once.
 * Every wait obeys the caller's struct wait. Limits: wire/security "DAG and files" (depth 64, sizes
 * checked against blocksizes). */
#ifndef DAG_FILE_H
#define DAG_FILE_H

#include "exchange/exchange.h"

#include <sys/uio.h>

struct file;

/* cid must be a file (raw block, dag-pb File or Raw). Borrows blocks for its life. 0; -EISDIR;
 * -ELOOP symlink; -EBADMSG; and blocks_get()'s errors. */
int file_open(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct file **out);
void file_close(struct file *file); /* NULL is ignored */
uint64_t file_size(const struct file *file);

/* Bytes read (short only at the end of the file, however small its pieces are), or -errno; -EINTR
 * also between stored pieces. */
ssize_t file_read(struct file *file, uint64_t offset, void *at, size_t len, struct wait *wait);

/* The bytes without a copy: straight from the store's map, or from blocks just fetched. The iov is
 * valid until file_view_release(), on the same thread, which must follow soon and before any other
 * wait. At most FILE_IOV_MAX pieces: the view may be shorter than asked for only when the file ends
 * or pieces run out. */
#define FILE_IOV_MAX 64
struct file_view {
	struct iovec iov[FILE_IOV_MAX];
	int count;
	size_t len;
	struct blocks_read read;
	bool reading;
	struct block *held[FILE_IOV_MAX];
	int held_count;
};
int file_view(struct file *file, uint64_t offset, size_t len, struct wait *wait,
	      struct file_view *view);
void file_view_release(struct file_view *view);
/* Copies the view's bytes to at, which has room for view->len of them; returns view->len. */
size_t file_view_copy(const struct file_view *view, uint8_t *at);

/* Ask ahead for the leaves of [offset, offset + len) that are not stored; uses only nodes already
 * known, and asks for those that are not; at most EXCHANGE_WANTS_MAX leaves a call. Never waits.
 * file_view() and file_read() do this by themselves for sequential readers. */
void file_prefetch(struct file *file, uint64_t offset, uint64_t len);

#endif
