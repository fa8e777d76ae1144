/* Small files that count (the configuration, the identity): whole, or as they were. Any thread. */
#ifndef FS_PUT_FILE_H
#define FS_PUT_FILE_H

#include "net/base/bytes.h"

/* Puts data in the place of file, which is there whole, old or new, at any moment, also after a
 * power cut: it is written to FILE.new, synced and renamed. An old file's owner and rights stay; a
 * new one gets mode. Two at once take turns by a lock of the caller's. 0; -ENOSPC, -EDQUOT or
 * another -errno: the old one is there, and nothing beside it. */
int put_file(const char *file, struct bytes data, unsigned mode);

#endif
