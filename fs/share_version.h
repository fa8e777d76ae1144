/* Versions of a share as people write them. Any thread but the loop's; blocking reads of the db. */
#ifndef FS_SHARE_VERSION_H
#define FS_SHARE_VERSION_H

#include "dag/tree.h"

/* The version that text means: "N"; "-N", that is N before the newest; or a time in UTC as RFC 3339
 * writes it, or a beginning of one down to the month: the newest version that is not after that
 * second, minute, hour, day or month. "" is the newest. -EINVAL: text is none of them; -ENOENT: no
 * such version is kept; errors of the db. */
int share_version_find(struct db *work, uint32_t id, const char *text, struct tree_version *out);

#define STAMP_TEXT_MAX 32
/* A stamp's time: "2026-11-21T10:02:11Z". Returns out. */
const char *stamp_text(uint64_t stamp, char out[static STAMP_TEXT_MAX]);

#endif
