/* Files that were added before, in table "added":
 *
 *	key	16 bytes of sha256(settings | absolute path)
 *	value	u8 version 1
 *		16 bytes of sha256(device, inode, size, mtime, ctime)
 *		u32 LE seconds when it was last written; renewed when found a day later
 *		uvarint cumulative size | uvarint file bytes | CID
 *
 * At most SEEN_MAX entries: when there are more, those not found for longest go. An entry is no
 * more than a hint: it counts only when every block below its root is stored, so whatever removes
 * blocks (collection, eviction, `block rm`, a lost disk write) needs to know nothing of it. One
 * thread. */
#ifndef DAG_IMPORT_SEEN_H
#define DAG_IMPORT_SEEN_H

#include "dag/import/builder.h"

#include <sys/stat.h>

#define SEEN_MAX (1u << 20)
#define SEEN_KEPT (SEEN_MAX / 4 * 3) /* after old ones went */

struct import_seen;

/* What became of a file, and when that may be said of it again. */
struct import_seen_file {
	uint8_t key[16], state[16];
	struct child root;
};

/* NULL when config says so: no table, or nothing is stored. Borrows what config points to. */
struct import_seen *import_seen_open(struct blocks *blocks, const struct import_config *config);
/* Writes what was noted (soon), drops old entries. NULL is ignored. */
void import_seen_close(struct import_seen *seen);

/* path: absolute. Was it added as it is now, and is all of it stored? Then all is kept
 * (blocks_keep()) and file->root is filled in. -ENOENT; -EINTR. */
int import_seen_find(struct import_seen *seen, const char *path, const struct stat *stat,
		     struct wait *wait, struct import_seen_file *file);
/* Fills in key and state, for import_seen_note(). */
void import_seen_name(const struct import_seen *seen, const char *path, const struct stat *stat,
		      struct import_seen_file *file);
/* May its times be trusted to show a later change? now_s: the wall clock before the file was read.
 */
bool import_seen_settled(const struct stat *stat, int64_t now_s);
/* file->root was made of what was found there. */
void import_seen_note(struct import_seen *seen, const struct import_seen_file *file);

/* When there are more than max entries: drops the oldest until kept are left. For
 * import_seen_close() and tests. */
int import_seen_prune(struct db *db, uint64_t max, uint64_t kept);

#endif
